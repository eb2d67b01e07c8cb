package xdp_test

import (
	"encoding/binary"
	"math/rand"
	"net/netip"
	"testing"
	"time"

	"steelyard/dataplane"
	"steelyard/dataplane/maglev"
	"steelyard/testenv/model"
	"steelyard/testenv/model/cases"
	"steelyard/testenv/packet"
)

const (
	historyIdle    = 5 * time.Second
	historyClosing = 2 * time.Second
	historyRing    = dataplane.RingID(1)
	historySteps   = 12_000
)

// TestFlowsStay lives through long histories of a pool: members come, go and
// die, rings are published late, windows end, flags are cleared, daemons and
// programs restart, and the flow table overflows or is lost. No flow of a
// living backend may move unless the table lost its entry.
func TestFlowsStay(t *testing.T) {
	tests := []struct {
		name    string
		room    int // flows the table is made for
		clients int
		losses  bool
	}{
		{"table large enough and never lost", 2000, 200, false},
		{"table large enough, lost at times", 2000, 200, true},
		// 14 flows make 4 buckets of 7 places.
		{"table of four buckets", 14, 60, true},
	}
	seed := seedFor(t)
	onMachine(t, func(d cases.Devices) {
		for i, tt := range tests {
			for _, v6 := range []bool{false, true} {
				h := newHistory(t, rand.New(rand.NewSource(seed+int64(i))), d, v6, tt.clients)
				h.losses = tt.losses
				h.m = newMachine(t, h.box, tt.room)
				h.live(historySteps)
				t.Logf("%s, IPv6 %v: %+v", tt.name, v6, h.seen)
				h.seen.judge(t, tt.name, tt.losses)
			}
		}
	})
}

// history is one pool's life: its owner with a Mover, its clients, and the
// machine that carries the packets.
type history struct {
	tb     testing.TB
	rng    *rand.Rand
	m      *machine
	box    *model.Box
	d      cases.Devices
	v6     bool
	losses bool // the table may be lost

	seed    uint64
	mover   *maglev.Mover
	late    bool // the mover has a ring that the machine has not
	size    int
	members []maglev.Entry
	lastID  dataplane.BackendID
	clients []client
	seen    tally
}

// client is one 5-tuple, which carries one flow after the other.
type client struct {
	addr    netip.AddrPort
	service dataplane.ServiceKey
	live    bool
	backend dataplane.BackendID
	until   time.Duration // the flow counts as ended past it
	closing bool          // it has sent a FIN
	excused bool          // the table lost what it needed
}

// tally shows what a history has exercised.
type tally struct {
	begun, kept, excused, refused, evicted, lost, restarts int
	changes, cleared, asked                                int

	// before is evicted and refused as they were when the program was
	// loaded.
	before dataplane.FlowTableCount
}

func (s tally) judge(t *testing.T, name string, losses bool) {
	t.Helper()
	if s.kept < historySteps/3 || s.asked < historySteps/6 || s.changes < historySteps/300 || s.cleared == 0 {
		t.Errorf("%s: the history did not exercise what it should: %+v", name, s)
	}
	if losses != (s.lost+s.evicted > 0) || !losses && s.excused > 0 {
		t.Errorf("%s: losses %v, but %+v", name, losses, s)
	}
}

func newHistory(tb testing.TB, rng *rand.Rand, d cases.Devices, v6 bool, clients int) *history {
	h := &history{tb: tb, rng: rng, d: d, v6: v6, box: model.New(), size: 31, seed: rng.Uint64()}
	h.mover = maglev.NewMover(h.seed)
	b := h.box
	b.Now, b.Closing, b.AnswersPerSecond, b.Listens = 7*time.Hour, historyClosing, 10, listens
	b.Devices[d.Outside], b.Devices[d.Inside] = true, true
	b.Interfaces[d.Outside] = dataplane.Interface{Ifindex: d.Outside, MAC: townOutside}
	vip, source := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("198.51.100.9")
	if v6 {
		vip, source = netip.MustParseAddr("2001:db8:113::1"), netip.MustParseAddr("2001:db8:9::9")
	}
	b.VIPs[vip] = true
	for i, proto := range []dataplane.Protocol{dataplane.TCP, dataplane.UDP} {
		key := dataplane.ServiceKey{Addr: vip, Port: 80, Proto: proto}
		b.Services[key] = dataplane.Service{ID: dataplane.ServiceID(i + 1), Ring: historyRing, Mode: dataplane.ModeNAT, Idle: historyIdle}
		for n := range clients / 2 {
			h.clients = append(h.clients, client{addr: netip.AddrPortFrom(source, uint16(20000+n)), service: key})
		}
	}
	return h
}

// live lives through so many steps and comes to rest.
func (h *history) live(steps int) {
	h.tb.Helper()
	for range 3 {
		h.join()
	}
	h.change()
	h.publish()
	for i := range steps {
		h.step()
		if h.losses && i == steps/2 {
			h.restart(true)
		}
	}
	h.quiesce()
	h.checkTableCount()
	h.m.close()
}

// checkTableCount compares what the program counted with what was seen.
func (h *history) checkTableCount() {
	h.tb.Helper()
	c, err := h.m.program.Counters()
	h.m.must(err)
	c.Flows.Inserted = 0
	want := dataplane.FlowTableCount{Evicted: uint64(h.seen.evicted) - h.seen.before.Evicted, Refused: uint64(h.seen.refused) - h.seen.before.Refused}
	if c.Flows != want {
		h.tb.Errorf("flow table counted %+v, want %+v", c.Flows, want)
	}
}

func (h *history) now() time.Time { return time.Unix(0, 0).Add(h.box.Now) }

func (h *history) alive(id dataplane.BackendID) bool { return h.box.Backends[id].Alive }

// step is the next thing that happens.
func (h *history) step() {
	h.tb.Helper()
	h.m.advance(time.Duration(h.rng.Intn(16)) * time.Millisecond)
	h.packet(&h.clients[h.rng.Intn(len(h.clients))])
	switch n := h.rng.Intn(1000); {
	case n < 8:
		h.stir()
	case n < 20:
		h.publish()
	case n < 40:
		h.settle()
	case n < 50:
		h.clear()
	case n < 51 && h.rng.Intn(3) == 0:
		h.m.advance(historyIdle / 2)
	case n < 52 && h.rng.Intn(10) == 0:
		h.restart(h.losses && h.rng.Intn(2) == 0)
	case n < 53 && h.rng.Intn(4) == 0:
		h.quiesce()
	}
}

// packet sends the next packet of a client and judges where it went.
func (h *history) packet(c *client) {
	h.tb.Helper()
	udp := c.service.Proto == dataplane.UDP
	ended := !c.live || h.box.Now > c.until || !h.alive(c.backend)
	flags := h.nextFlags(ended)
	var before []dataplane.Flow
	if h.scarce() {
		before = h.box.ListFlows()
	}
	result, disagree := h.m.send(h.d.Outside, h.frame(c, flags))
	if disagree != "" {
		h.tb.Fatalf("client %v: %s", c.addr, disagree)
	}
	excused := c.excused
	c.excused = false
	h.watchTable(before)
	got := dataplane.BackendID(0)
	if result.Verdict == dataplane.Redirect {
		got = backendOf(result.Frame)
	}
	begins := ended || !udp && flags == "S"
	switch {
	case begins:
		h.seen.begun++
	case got == c.backend:
		h.seen.kept++
	case excused:
		h.seen.excused++
	default:
		h.tb.Fatalf("flow of %v to %s moved from %d to %d; slot %+v", c.addr, c.service, c.backend, got, h.slot(c))
	}
	if h.slot(c).Ask {
		h.seen.asked++
	}
	c.note(flags, got, h.alive(got), h.box.Now)
	if flags == "FA" && h.rng.Intn(2) == 0 {
		c.live = false // its last word: what comes next is another flow
	}
}

// note takes in where a packet went and how long its flow may now be silent:
// less than others in a handshake and after its end.
func (c *client) note(flags string, got dataplane.BackendID, alive bool, now time.Duration) {
	c.live, c.backend = alive, got
	if c.service.Proto == dataplane.UDP {
		c.until = now + historyIdle
		return
	}
	c.closing = flags == "FA" || c.closing && flags != "S"
	c.until = now + historyIdle
	if c.closing || flags == "S" {
		c.until = now + historyClosing
	}
}

// nextFlags are those of the next TCP packet: a flow begins with a SYN, but
// not every one (a table may be lost between).
func (h *history) nextFlags(ended bool) string {
	switch n := h.rng.Intn(40); {
	case ended || n == 0:
		return "S"
	case n == 1:
		return "FA"
	}
	return "A"
}

func (h *history) frame(c *client, flags string) []byte {
	eth := packet.Ether{Src: dataplane.MAC{2, 1, 1, 1, 1, 1}, Dst: townOutside}
	ip := packet.IP{Src: c.addr.Addr(), Dst: c.service.Addr}
	if c.service.Proto == dataplane.UDP {
		return packet.Build(eth, ip, packet.UDP{Src: c.addr.Port(), Dst: c.service.Port})
	}
	return packet.Build(eth, ip, packet.TCP{Src: c.addr.Port(), Dst: c.service.Port, Flags: flags})
}

// backend is a living backend whose MAC and address say its number.
func (h *history) backend(id dataplane.BackendID) dataplane.Backend {
	addr := netip.AddrFrom4([4]byte{10, 0, byte(id >> 8), byte(id)})
	if h.v6 {
		addr = netip.AddrFrom16([16]byte{0xfd, 14: byte(id >> 8), 15: byte(id)})
	}
	return dataplane.Backend{ID: id, Alive: true, Addr: netip.AddrPortFrom(addr, 8080), Next: dataplane.NextHop{
		Kind: dataplane.NextHopNeighbor, Ifindex: h.d.Inside, Src: townInside, Dst: dataplane.MAC{2, 0, 0, 0, byte(id >> 8), byte(id)},
	}}
}

// backendOf reads the number of the backend that a frame goes to.
func backendOf(frame []byte) dataplane.BackendID {
	return dataplane.BackendID(binary.BigEndian.Uint16(frame[4:]))
}

func (h *history) slot(c *client) dataplane.Slot {
	slots := h.box.Rings[historyRing].Slots
	return slots[dataplane.Index(dataplane.FlowHash(c.addr, c.service), len(slots))]
}

// scarce says that the table is too small for all flows.
func (h *history) scarce() bool { return h.m.opts.Flows < len(h.clients) }

// watchTable excuses the flows whose entries a full table has lost. One that
// does not fill must hold what the oracle's holds, always.
func (h *history) watchTable(before []dataplane.Flow) {
	h.tb.Helper()
	if !h.scarce() {
		if h.rng.Intn(50) == 0 {
			h.m.checkFlows()
		}
		return
	}
	evicted, refused := h.m.syncTable(before)
	h.excuse(evicted)
	h.excuse(refused)
	h.seen.evicted += len(evicted)
	h.seen.refused += len(refused)
}

// excuse lets the flow of a lost entry move.
func (h *history) excuse(lost []dataplane.Flow) {
	for _, f := range lost {
		for i := range h.clients {
			c := &h.clients[i]
			if c.addr == f.Client && h.box.Services[c.service].ID == f.Service {
				c.excused = true
			}
		}
	}
}
