package xdp

import (
	"fmt"
	"time"
)

// ProgramInfo is what the kernel says of the loaded program; a number it does
// not tell is 0.
type ProgramInfo struct {
	// Instructions is the length after verification, in instructions.
	Instructions int
	// Verified is how many instructions the verifier looked at, over all
	// paths; the kernel refuses a program above a million.
	Verified int
	// MachineBytes is the size of the compiled program.
	MachineBytes int
}

// bytesPerInstruction is sizeof(struct bpf_insn) of linux/bpf.h.
const bytesPerInstruction = 8

// ProgramInfo looks the loaded program up.
func (b *Balancer) ProgramInfo() (ProgramInfo, error) {
	info, err := b.objs.Balancer.Info()
	if err != nil {
		return ProgramInfo{}, fmt.Errorf("look at program: %w", err)
	}
	var p ProgramInfo
	if n, err := info.TranslatedSize(); err == nil {
		p.Instructions = n / bytesPerInstruction
	}
	if n, err := info.JitedSize(); err == nil {
		p.MachineBytes = int(n)
	}
	if n, ok := info.VerifiedInstructions(); ok {
		p.Verified = int(n)
	}
	return p, nil
}

// ProgramStats returns how often the program ran and how long that took in
// all, over all CPUs. The kernel counts only while BPF run-time statistics are
// on (ebpf.EnableStats, or sysctl kernel.bpf_stats_enabled), and then spends
// some 50 ns on each run.
func (b *Balancer) ProgramStats() (runs uint64, spent time.Duration, err error) {
	s, err := b.objs.Balancer.Stats()
	if err != nil {
		return 0, 0, fmt.Errorf("read program statistics: %w", err)
	}
	return s.RunCount, s.Runtime, nil
}
