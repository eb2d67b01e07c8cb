// Package maglev turns the backends of a pool and their weights into a ring,
// and keeps the ring through its changes so that flows stay where they are. It
// is pure: it opens nothing, knows no health and no clock, and never decides
// who is a member. What it promises, to flows whose packets come no further
// apart than the idle time: a flow's backend changes only when that backend
// dies. Two things can break the promise, both only in slots that ask the flow
// table: an entry that the full table evicted or did not take, and a lost table
// (a restart that does not find it again). Slots that do not ask, nearly all
// nearly always, lose nothing with the table. Of an asking slot whose window is
// open, a lost table costs the flows that live on another backend than the
// settled one, that is those begun since the window opened, and at the second
// and later changes those still remembered from before; of one whose window is
// over, the flows that live on another backend than the current one. After a
// change of the ring's size all slots ask, which is why sizes are far apart.
package maglev
