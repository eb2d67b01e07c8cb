package xdp

import (
	"testing"

	"github.com/cilium/ebpf/asm"
)

// What a chain of calls may take of the stack, and what kernels before 6.8
// round each function's share up to (check_max_stack_depth in the verifier).
// A newer kernel loads a program that an older one refuses.
const (
	stackMost  = 512
	stackRound = 32
)

func TestStackFitsOldKernels(t *testing.T) {
	spec, err := loadBalancer()
	if err != nil {
		t.Fatal(err)
	}
	frames, calls := stackFrames(spec.Programs["balancer"].Instructions)
	if frames["balancer"] == 0 || len(calls["balancer"]) == 0 {
		t.Fatalf("nothing found to measure: %v, %v", frames, calls)
	}
	depth, chain := deepest("balancer", frames, calls)
	t.Logf("%d of %d bytes: %v", depth, stackMost, chain)
	if depth > stackMost {
		t.Errorf("the chain %v takes %d bytes of stack, more than %d: kernel 6.1 refuses it", chain, depth, stackMost)
	}
}

// stackFrames measures the stack of each function and lists what it calls. A
// function reaches its stack relative to R10, or through a copy of it that is
// moved down by a constant.
func stackFrames(instructions asm.Instructions) (frames map[string]int, calls map[string][]string) {
	frames, calls = make(map[string]int), make(map[string][]string)
	function := ""
	for _, ins := range instructions {
		if ins.Symbol() != "" {
			function = ins.Symbol()
		}
		down := 0
		switch {
		case ins.IsFunctionCall():
			calls[function] = append(calls[function], ins.Reference())
		case ins.Src == asm.RFP || ins.Dst == asm.RFP:
			down = -int(ins.Offset)
		case ins.OpCode.Class() == asm.ALU64Class && ins.OpCode.ALUOp() == asm.Add && ins.OpCode.Source() == asm.ImmSource:
			down = -int(ins.Constant)
		}
		if down <= stackMost {
			frames[function] = max(frames[function], down)
		}
	}
	return frames, calls
}

// deepest returns the chain of calls from a function that takes most stack.
func deepest(function string, frames map[string]int, calls map[string][]string) (int, []string) {
	most, chain := 0, []string(nil)
	for _, callee := range calls[function] {
		if depth, c := deepest(callee, frames, calls); depth > most {
			most, chain = depth, c
		}
	}
	own := (max(frames[function], 1) + stackRound - 1) / stackRound * stackRound
	return own + most, append([]string{function}, chain...)
}
