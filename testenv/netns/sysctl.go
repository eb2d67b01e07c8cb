package netns

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// commonSysctls make a namespace predictable. IPv4 values would otherwise be
// copied from the machine the world is raised on.
func commonSysctls() map[string]string {
	return map[string]string{
		"net/ipv4/ip_forward":              "0",
		"net/ipv4/conf/all/rp_filter":      "0",
		"net/ipv4/conf/default/rp_filter":  "0",
		"net/ipv6/conf/all/disable_ipv6":   "0",
		"net/ipv6/conf/all/forwarding":     "0",
		"net/ipv6/conf/all/accept_dad":     "0", // addresses work at once
		"net/ipv6/conf/default/accept_dad": "0",
		"net/ipv6/conf/default/accept_ra":  "0",
		// Without these a host talks on its own and captures are noisy.
		"net/ipv6/conf/default/router_solicitations": "0",
		// A one-armed gateway would tell clients to go round it.
		"net/ipv4/conf/all/send_redirects":       "0",
		"net/ipv4/conf/default/send_redirects":   "0",
		"net/ipv4/conf/all/accept_redirects":     "0",
		"net/ipv4/conf/default/accept_redirects": "0",
		"net/ipv6/conf/default/accept_redirects": "0",
	}
}

func forwardSysctls() map[string]string {
	return map[string]string{
		"net/ipv4/ip_forward":          "1",
		"net/ipv6/conf/all/forwarding": "1",
	}
}

// setSysctls writes the values in the order of their names. /proc/sys/net
// shows the namespace of the thread that opens it.
func (s *space) setSysctls(values map[string]string) error {
	return s.do(func() error {
		for _, key := range slices.Sorted(maps.Keys(values)) {
			path := filepath.Join("/proc/sys", strings.TrimPrefix(key, "/"))
			if err := os.WriteFile(path, []byte(values[key]), 0); err != nil {
				return fmt.Errorf("set sysctl: %w", err)
			}
		}
		return nil
	})
}
