package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"steelyard/control/model"
	"steelyard/dataplane"
)

// sized returns a snapshot with n services of two backends each.
func sized(n int) *model.Snapshot {
	s := &model.Snapshot{Flows: model.Flows{Capacity: 1000, TCPEstablished: time.Hour, TCPClosing: time.Second}}
	vip := netip.MustParseAddr("203.0.113.1")
	s.VIPs = []model.VIP{{Addr: vip}}
	for i := range n {
		name := fmt.Sprint("s", i)
		port := uint16(i + 1)
		s.Pools = append(s.Pools, model.Pool{Name: name, Backends: []model.Backend{
			{Addr: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), port), Weight: 1},
			{Addr: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.2"), port), Weight: 1},
		}})
		s.Services = append(s.Services, model.Service{
			Name: name, VIPs: []netip.Addr{vip}, Pool: name, Mode: dataplane.ModeNAT,
			Ports: []model.Port{{Port: port, Proto: dataplane.TCP}},
		})
	}
	return s
}

func TestConfigThatOutgrowsTheTablesIsRefused(t *testing.T) {
	loaded := loadOptions(sized(2000))
	for _, n := range []int{0, 1, 2000, 2200} {
		if err := fits(sized(n), loaded); err != nil {
			t.Errorf("%d services after 2000: %v", n, err)
		}
	}
	err := fits(sized(4000), loaded)
	for _, word := range []string{"services", "pools", "ring slots", "restart"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("4000 services after 2000: %v; want something about %s", err, word)
		}
	}
}

func TestWhatHoldsFromTheNextStart(t *testing.T) {
	loaded := loadOptions(sized(1))
	changed := sized(1)
	if got := fixed(changed, loaded); len(got) != 0 {
		t.Errorf("nothing changed, but %v", got)
	}
	changed.Flows.Capacity++
	changed.Flows.TCPClosing++
	if got := fixed(changed, loaded); len(got) != 2 {
		t.Errorf("two changes gave %v", got)
	}
}
