package traffic

import (
	"context"
	"net/netip"
	"testing"

	"steelyard/testenv/netns"
)

// Serve runs a server for a test and stops it when the test ends. The
// function it returns stops it earlier, as a backend that dies does.
func Serve(tb testing.TB, host *netns.HostEnv, name string, addrs ...netip.AddrPort) (s *Server, stop func()) {
	tb.Helper()
	s, err := Listen(tb.Context(), host, name, addrs...)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			tb.Error(err)
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	tb.Cleanup(stop)
	return s, stop
}
