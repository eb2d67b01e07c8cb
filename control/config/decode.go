package config

import (
	"cmp"
	"log/slog"
	"time"

	"steelyard/control/model"
)

// decoder walks the syntax tree and fills a file. It reports what is wrong
// with a value by itself; validate looks at how values go together.
type decoder struct {
	r *report
	f *file
}

// The bounds of values, each with its reason.
const (
	// Below this a table is too small to tell a flood from a service; the
	// upper end takes about 1 GiB.
	minCapacity, maxCapacity = 1024, 1 << 24
	// The packet path counts in steps of 134 ms; a day is longer than any
	// NAT on the way remembers a silent flow.
	minIdle, maxIdle   = time.Second, 24 * time.Hour
	minBurst, maxBurst = 1, 100
	// Closer together, switches and hosts drop some of a burst.
	minSpacing, maxSpacing = 100 * time.Millisecond, time.Minute
	minRefresh, maxRefresh = time.Second, 24 * time.Hour
	// Weights are shares of 100 at most so that a ring can honour them.
	maxWeight = 100
	// maxPorts and maxAddresses bound what one service stands for.
	maxPorts, maxAddresses = 256, 256
)

// decode returns what the file says, or nil where it is no YAML at all.
func decode(r *report, data []byte) *file {
	root := parseYAML(r, data)
	if root == nil {
		return nil
	}
	if !isMapping(unwrap(root)) {
		what := cmp.Or(found(unwrap(root)), "something else")
		r.errorf(position(root, where{line: 1, col: 1}), "", "expected keys such as `version: 1`, found %s", what)
		return nil
	}
	top := value{node: unwrap(root), at: position(unwrap(root), where{line: 1, col: 1})}
	f := &file{at: top.at, servicesAt: top.at, interfacesAt: top.at}
	f.flows, f.announce, f.log = defaults()
	d := &decoder{r: r, f: f}
	version := false
	for _, it := range d.fields(top, "") {
		version = version || it.key == "version"
		d.section(it)
	}
	if !version {
		r.errorf(f.at, "add `version: 1`", "the version of the file's format is missing")
	}
	return f
}

// section decodes one top-level key.
func (d *decoder) section(it field) {
	switch it.key {
	case "version":
		d.version(it.value)
	case "node":
		for _, it := range d.fields(it.value, "node") { // name is the only key
			if name, ok := d.name(it.value, "a name"); ok && d.checkName(name, it.value.at) {
				d.f.node = name
			}
		}
	case "interfaces":
		d.f.interfacesAt = it.keyAt
		d.f.interfacesAt.path = it.key
		d.interfaces(it.value)
	case "flows":
		d.flows(it.value)
	case "announce":
		d.announce(it.value)
	case "vips":
		d.vips(it.value)
	case "pools":
		d.pools(it.value)
	case "services":
		d.f.servicesAt = it.keyAt
		d.f.servicesAt.path = it.key
		d.services(it.value)
	case "log":
		d.log(it.value)
	}
}

func (d *decoder) version(v value) {
	s, ok := d.text(v, "1")
	switch {
	case !ok || s == "1":
	case plainNumber.MatchString(s):
		d.r.notSupported(v.at, s, "expected 1")
	default:
		d.r.errorf(v.at, "", "expected 1, found %s", quote(s))
	}
}

// named returns the entries of a mapping whose keys are the user's names,
// without those whose name is refused.
func (d *decoder) named(v value) []field {
	all := d.pairs(v)
	good := all[:0]
	for _, it := range all {
		if d.checkName(it.key, it.keyAt) {
			it.keyAt.path = it.value.at.path
			good = append(good, it)
		}
	}
	return good
}

func (d *decoder) interfaces(v value) {
	before := len(d.r.errors)
	list := d.named(v)
	d.f.interfacesGiven = len(list) > 0 || len(d.r.errors) > before
	for _, it := range list {
		i := &iface{name: it.key, at: it.keyAt, device: it.key, deviceAt: it.keyAt, xdp: model.XDPAuto}
		for _, it := range d.fields(it.value, "interfaces.NAME") {
			switch it.key {
			case "device":
				i.deviceAt = it.value.at
				i.device, _ = d.name(it.value, "the name of a network device")
			case "xdp":
				if mode, ok := d.word(it.value, "interfaces.NAME.xdp"); ok {
					i.xdp = model.XDPMode(mode)
				}
			}
		}
		d.checkDevice(i)
		d.f.interfaces = append(d.f.interfaces, i)
	}
}

func (d *decoder) flows(v value) {
	f := &d.f.flows
	for _, it := range d.fields(v, "flows") {
		switch it.key {
		case "capacity":
			if n, ok := d.number(it.value, minCapacity, maxCapacity); ok {
				f.Capacity = n
			}
		case "tcp":
			for _, it := range d.fields(it.value, "flows.tcp") {
				switch it.key {
				case "established":
					d.idle(it.value, &f.TCPEstablished)
				case "closing":
					d.idle(it.value, &f.TCPClosing)
				}
			}
		case "udp":
			for _, it := range d.fields(it.value, "flows.udp") { // idle is the only key
				d.idle(it.value, &f.UDPIdle)
			}
		}
	}
}

func (d *decoder) idle(v value, to *time.Duration) {
	if got, ok := d.duration(v, minIdle, maxIdle); ok {
		*to = got
	}
}

func (d *decoder) announce(v value) {
	a := &d.f.announce
	for _, it := range d.fields(v, "announce") {
		switch it.key {
		case "burst":
			if n, ok := d.number(it.value, minBurst, maxBurst); ok {
				a.Burst = n
			}
		case "spacing":
			if got, ok := d.duration(it.value, minSpacing, maxSpacing); ok {
				a.Spacing = got
			}
		case "refresh":
			d.refresh(it.value)
		}
	}
}

// refresh takes a duration, and two ways to say "never".
func (d *decoder) refresh(v value) {
	word := ""
	if v.node != nil && isScalar(v.node) {
		word = scalar(v.node)
	}
	switch word {
	case "off", "0s":
		d.f.announce.Refresh = 0
	case "0":
		d.r.errorf(v.at, "write 0s or off for never", "a duration without unit")
	default:
		if got, ok := d.duration(v, minRefresh, maxRefresh); ok {
			d.f.announce.Refresh = got
		}
	}
}

func (d *decoder) log(v value) {
	for _, it := range d.fields(v, "log") {
		word, ok := d.word(it.value, "log."+it.key)
		switch {
		case !ok:
		case it.key == "format":
			d.f.log.Format = LogFormat(word)
		case it.key == "level":
			// values names only levels that slog knows.
			levels := map[string]slog.Level{
				"debug": slog.LevelDebug, "info": slog.LevelInfo,
				"warn": slog.LevelWarn, "error": slog.LevelError,
			}
			d.f.log.Level = levels[word]
		}
	}
}
