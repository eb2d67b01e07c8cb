package config

import (
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/goccy/go-yaml/ast"
)

var plainKey = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// join appends a key to a path.
func join(path, key string) string {
	if !plainKey.MatchString(key) {
		key = quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// index appends a place of a list to a path.
func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// text returns the text of a scalar; anything else is reported.
func (d *decoder) text(v value, expected string) (string, bool) {
	if v.node == nil || !isScalar(v.node) {
		d.unexpected(v, expected)
		return "", false
	}
	return scalar(v.node), true
}

// name is text that is not empty, so that "" can stand for what was refused.
func (d *decoder) name(v value, expected string) (string, bool) {
	s, ok := d.text(v, expected)
	if ok && s == "" {
		d.unexpected(v, expected)
		ok = false
	}
	return s, ok
}

var wholeNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// number returns a whole number from lo to hi.
func (d *decoder) number(v value, lo, hi int) (int, bool) {
	n, isNumber := v.node.(*ast.IntegerNode)
	if !isNumber || !wholeNumber.MatchString(n.Token.Value) {
		hint := ""
		if s, ok := v.node.(*ast.StringNode); ok && wholeNumber.MatchString(s.Value) {
			hint = "remove the quotes"
		}
		if what := found(v.node); what != "" {
			d.r.errorf(v.at, hint, "expected a whole number from %d to %d, found %s", lo, hi, what)
		}
		return 0, false
	}
	i, err := strconv.Atoi(n.Token.Value)
	if err != nil || i < lo || i > hi {
		d.r.errorf(v.at, "", "%s is out of bounds: from %d to %d", n.Token.Value, lo, hi)
		return 0, false
	}
	return i, true
}

var plainNumber = regexp.MustCompile(`^[+-]?[0-9]*\.?[0-9]+$`)

// duration returns a duration from lo to hi.
func (d *decoder) duration(v value, lo, hi time.Duration) (time.Duration, bool) {
	s, ok := d.text(v, "a duration, for example 30s")
	if !ok {
		return 0, false
	}
	got, err := time.ParseDuration(s)
	switch {
	case plainNumber.MatchString(s):
		d.r.errorf(v.at, "say the unit, for example "+example(s), "a duration without unit")
	case err != nil:
		d.r.errorf(v.at, "units are ms, s, m and h, as in 1h30m", "%s is not a duration", quote(s))
	case got < lo || got > hi:
		d.r.errorf(v.at, "", "%s is out of bounds: from %s to %s", s, short(lo), short(hi))
	default:
		return got, true
	}
	return 0, false
}

// example is a plain number as seconds, where that is what was meant at all.
func example(number string) string {
	if wholeNumber.MatchString(number) && number[0] != '-' && number != "0" && len(number) <= 5 {
		return number + "s"
	}
	return "30s"
}

// short prints a duration without zero parts: "24h", not "24h0m0s".
func short(d time.Duration) string {
	switch {
	case d != 0 && d%time.Hour == 0:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	case d != 0 && d%time.Minute == 0:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	}
	return d.String()
}

// word returns one of the words of values[shape].
func (d *decoder) word(v value, shape string) (string, bool) {
	known := values[shape]
	s, ok := d.text(v, known.expected()[len("expected "):])
	switch {
	case !ok:
		return "", false
	case slices.Contains(known.built, s):
		return s, true
	case slices.Contains(known.later, s):
		d.r.notSupported(v.at, s, known.expected())
	default:
		d.r.errorf(v.at, d.r.suggest(s, known.all()), "%s, found %s", known.expected(), quote(s))
	}
	return "", false
}

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// checkName reports a name that is not allowed, and whether it is one.
func (d *decoder) checkName(name string, at where) bool {
	if namePattern.MatchString(name) {
		return true
	}
	d.r.errorf(at, "a name is up to 63 of a-z, 0-9, '.', '_' and '-', and starts with a letter or digit",
		"bad name %s", quote(name))
	return false
}

// maxDevice is the kernel's IFNAMSIZ less the terminating zero.
const maxDevice = 15

// checkDevice reports a device name that the kernel could not have given; ""
// has been reported already.
func (d *decoder) checkDevice(i *iface) {
	switch {
	case i.device == "", len(i.device) <= maxDevice && devicePattern.MatchString(i.device):
		return
	case len(i.device) > maxDevice && i.deviceAt == i.at:
		d.r.errorf(i.at, "add `device`", "%s has more than %d characters and names no device", quote(i.device), maxDevice)
	case len(i.device) > maxDevice:
		d.r.errorf(i.deviceAt, "", "%s has more than %d characters", quote(i.device), maxDevice)
	default:
		d.r.errorf(i.deviceAt, "", "%s is not the name of a network device", quote(i.device))
	}
	i.device = ""
}

// devicePattern is stricter than the kernel, which only refuses "/", ":" and
// spaces.
var devicePattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@-]*$`)
