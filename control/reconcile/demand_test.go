package reconcile

import "testing"

func TestDemandCountsWhatTheTablesMustHold(t *testing.T) {
	got := DemandOf(want(`
		interface wan eth0
		vip 203.0.113.10
		vip 2001:db8:1::10
		pool web 10.0.0.1:80 10.0.0.2:80 [fd00::1]:80
		pool idle 10.0.0.3:80
		service web 203.0.113.10,2001:db8:1::10 80/tcp,443/udp web
		service more 203.0.113.10 81/udp web`))
	want := Demand{
		Services: 5, VIPs: 2, Backends: 3, Rings: 2, // nobody uses the idle pool
		Origins: 2*2 + 2*1 + 2, // at most: shared ones count for each service
		Slots:   2 * 1021, LargestRing: 1021,
		LongestIdle: tcpIdle,
	}
	if got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}
