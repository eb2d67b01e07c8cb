package site

import (
	"fmt"
	"net/netip"
	"strings"
)

// Config is a config file for a site, in the parts that scenarios vary.
type Config struct {
	Interfaces []string     // devices of the gateway; default wan and lan
	VIPs       []netip.Addr // default VIP4 and VIP6
	Ports      []string     // default 7000/udp and 7000/tcp
	Port       uint16       // of the backends; default 9000
	Backends   []Member
	Track      string // "" = default
	UDPIdle    string // of the service; "" = default
	Flows      string // the flows section in flow style; "" = default
	XDP        string // of all interfaces; "" = default
}

// Member is a backend in a config, in both families.
type Member struct {
	Index  int // of the site's backends, from 1
	Weight int
}

// Members returns the first n backends with weight 1.
func Members(n int) []Member {
	m := make([]Member, n)
	for i := range m {
		m[i] = Member{Index: i + 1, Weight: 1}
	}
	return m
}

// String returns the file.
func (c Config) String() string {
	c.setDefaults()
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("version: 1")
	line("node: { name: lab }")
	line("interfaces:")
	for _, dev := range c.Interfaces {
		if c.XDP != "" {
			line("  %s: { xdp: %s }", dev, c.XDP)
		} else {
			line("  %s: {}", dev)
		}
	}
	if c.Flows != "" {
		line("flows: %s", c.Flows)
	}
	line("announce: { burst: 2, spacing: 100ms, refresh: 60s }")
	line("vips:")
	line("  front: { addresses: %s, interface: wan }", quoted(c.VIPs))
	line("services:")
	line("  echo:")
	line("    vip: front")
	line("    ports: [%s]", strings.Join(c.Ports, ", "))
	if c.Track != "" {
		line("    track: %s", c.Track)
	}
	if c.UDPIdle != "" {
		line("    udp: { idle: %s }", c.UDPIdle)
	}
	line("    backends:")
	for _, m := range c.Backends {
		line("      - { name: %s-v4, address: %q, weight: %d }", Backend(m.Index), netip.AddrPortFrom(Backend4(m.Index), c.Port), m.Weight)
		line("      - { name: %s-v6, address: %q, weight: %d }", Backend(m.Index), netip.AddrPortFrom(Backend6(m.Index), c.Port), m.Weight)
	}
	return b.String()
}

func (c *Config) setDefaults() {
	if len(c.Interfaces) == 0 {
		c.Interfaces = []string{"wan", "lan"}
	}
	if len(c.VIPs) == 0 {
		c.VIPs = []netip.Addr{VIP4, VIP6}
	}
	if len(c.Ports) == 0 {
		c.Ports = []string{"7000/udp", "7000/tcp"}
	}
	if c.Port == 0 {
		c.Port = 9000
	}
}

func quoted(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = fmt.Sprintf("%q", a)
	}
	return "[" + strings.Join(texts, ", ") + "]"
}
