package xdp

import (
	"testing"

	"steelyard/dataplane"
	"steelyard/testenv/netns"
)

// loadTest loads a small packet path for a test.
func loadTest(tb testing.TB) *Balancer {
	tb.Helper()
	netns.RequireRoot(tb)
	b, err := Load(Options{
		Sizes: Sizes{Flows: 1000, Services: 16, VIPs: 16, Origins: 16, Backends: 16, Rings: 16, Slots: 1 << 14, Routes: 100},
		Test:  true,
	})
	if err != nil {
		tb.Fatalf("%+v", err)
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

func TestVerdictsAgreeWithProgram(t *testing.T) {
	if got, want := int(balancerVerdictVERDICT_COUNT), int(dataplane.VerdictCount); got != want {
		t.Fatalf("the program has %d verdicts, package dataplane %d", got, want)
	}
	for got, want := range map[balancerVerdict]dataplane.Verdict{
		balancerVerdictVERDICT_PASS_NOT_OURS:        dataplane.PassNotOurs,
		balancerVerdictVERDICT_PASS_LOCAL:           dataplane.PassLocal,
		balancerVerdictVERDICT_PASS_DIRECT:          dataplane.PassDirect,
		balancerVerdictVERDICT_PASS_UNRESOLVED:      dataplane.PassUnresolved,
		balancerVerdictVERDICT_PASS_FRAGMENT_NEEDED: dataplane.PassFragmentNeeded,
		balancerVerdictVERDICT_SEND_BACK:            dataplane.SendBack,
		balancerVerdictVERDICT_REDIRECT:             dataplane.Redirect,
		balancerVerdictVERDICT_ANSWER_TIME_EXCEEDED: dataplane.AnswerTimeExceeded,
		balancerVerdictVERDICT_ANSWER_TOO_BIG:       dataplane.AnswerTooBig,
		balancerVerdictVERDICT_DROP_TRUNCATED:       dataplane.DropTruncated,
		balancerVerdictVERDICT_DROP_BAD_HEADER:      dataplane.DropBadHeader,
		balancerVerdictVERDICT_DROP_BAD_LENGTH:      dataplane.DropBadLength,
		balancerVerdictVERDICT_DROP_BAD_CHECKSUM:    dataplane.DropBadChecksum,
		balancerVerdictVERDICT_DROP_TTL_ZERO:        dataplane.DropTTLZero,
		balancerVerdictVERDICT_DROP_TTL_EXPIRED:     dataplane.DropTTLExpired,
		balancerVerdictVERDICT_DROP_TOO_BIG:         dataplane.DropTooBig,
		balancerVerdictVERDICT_DROP_FRAGMENT:        dataplane.DropFragment,
		balancerVerdictVERDICT_DROP_BAD_SOURCE:      dataplane.DropBadSource,
		balancerVerdictVERDICT_DROP_NO_SERVICE:      dataplane.DropNoService,
		balancerVerdictVERDICT_DROP_NO_BACKEND:      dataplane.DropNoBackend,
		balancerVerdictVERDICT_DROP_REPLY_CONFLICT:  dataplane.DropReplyConflict,
		balancerVerdictVERDICT_DROP_INTERNAL:        dataplane.DropInternal,
	} {
		if int(got) != int(want) {
			t.Errorf("%s is %d in package dataplane and %d in the program", want, want, got)
		}
	}
}

func TestRunReportsVerdict(t *testing.T) {
	b := loadTest(t)
	r, err := b.Run(1, make([]byte, 60))
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != dataplane.PassNotOurs {
		t.Errorf("an empty frame: verdict %s, want %s", r.Verdict, dataplane.PassNotOurs)
	}
	c, err := b.Counters()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Verdicts[dataplane.PassNotOurs], (dataplane.Count{Packets: 1, Bytes: 60}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

func ring(n int, id dataplane.BackendID) *dataplane.Ring {
	r := &dataplane.Ring{Slots: make([]dataplane.Slot, n)}
	for i := range r.Slots {
		r.Slots[i] = dataplane.Slot{Current: id, Settled: id}
	}
	return r
}

func TestReplaceRingReusesSpace(t *testing.T) {
	b := loadTest(t)
	for i := range 200 {
		if err := b.ReplaceRing(1, ring(4093, dataplane.BackendID(i+1))); err != nil {
			t.Fatalf("replace %d: %v", i, err)
		}
		if err := b.ReplaceRing(2, ring(1021, dataplane.BackendID(i+1))); err != nil {
			t.Fatalf("replace %d: %v", i, err)
		}
	}
	if got, want := b.slots.inUse, uint32(4093+1+1021+1); got != want {
		t.Errorf("%d slots in use, want %d", got, want)
	}
	for id := range dataplane.RingID(2) {
		if err := b.ReplaceRing(id+1, nil); err != nil {
			t.Fatal(err)
		}
	}
	b.slots.reclaim()
	if len(b.slots.free) != 1 || b.slots.free[0].size != 1<<14 {
		t.Errorf("free space after all rings are gone: %v", b.slots.free)
	}
}

func TestReplaceRingRefusesWhatDoesNotFit(t *testing.T) {
	b := loadTest(t)
	if err := b.ReplaceRing(1, ring(1021, 7)); err != nil {
		t.Fatal(err)
	}
	if err := b.ReplaceRing(1, ring(1<<14, 8)); err == nil {
		t.Fatal("a ring larger than the table was accepted")
	}
	at := b.rings[1]
	if at.Size != 1021 || b.slots.slots[at.Offset+1].Current != 7 {
		t.Errorf("the ring before the refused one is gone: %+v", at)
	}
}
