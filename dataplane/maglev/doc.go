// Package maglev turns the backends of a pool and their weights into a ring,
// and keeps the ring through its changes so that flows stay where they are. It
// is pure: it opens nothing, reads no clock and never decides who is a member
// or who lives. What it promises: a flow that is never silent for longer than
// the idle time keeps its backend while that backend lives. A flow begins with
// its first packet; a SYN that is sent again counts as a first packet. Two
// things can break the promise, both only in slots that ask the flow table: an
// entry that a full table evicted or did not take, and a table lost as a whole
// (a restart that does not find it again). Slots that do not ask, nearly all
// nearly always, lose nothing with the table. In a slot whose window is over, a
// lost entry costs the flow its backend if that is not the slot's current one.
// In a slot whose window is open, it does so if the flow lives on another
// backend than the settled one, and also if the flow stays silent until the
// window ends; Restore, which opens the windows anew, avoids the latter. After
// a change of the ring's size all slots ask, which is why sizes are far apart.
package maglev
