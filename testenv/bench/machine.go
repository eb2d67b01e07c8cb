package bench

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine is where figures come from; they say little elsewhere.
type Machine struct {
	Kernel string `json:"kernel"`
	Arch   string `json:"arch"`
	CPUs   int    `json:"cpus"` // usable
	Model  string `json:"model"`
}

// String returns one line.
func (m Machine) String() string {
	return fmt.Sprintf("Linux %s %s, %s: %s", m.Kernel, m.Arch, plural(m.CPUs, "CPU"), m.Model)
}

func thisMachine(cpus []int) Machine {
	m := Machine{CPUs: len(cpus), Model: "unknown model"}
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		m.Kernel, m.Arch = unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:])
	}
	// For people only: a machine that does not tell is no reason to stop.
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			m.Model = strings.TrimSpace(value)
			break
		}
	}
	return m
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// thousands writes 1000000 as 1,000,000.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func flowCount(n int) string {
	if n == 1 {
		return "1 flow"
	}
	return thousands(n) + " flows"
}
