package xdp

// The object is built with a fixed compiler and the headers in bpf/include, so
// that it is the same on every machine; a test compares it with what is
// checked in.
//
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -go-package xdp -target bpfel -cflags "-O2 -g -fno-strict-aliasing -Wall -Werror -mcpu=v3 -nostdinc -fdebug-prefix-map=../..=. -I../../bpf -I../../bpf/include" -type verdict -type slot -type flow -type next_hop -type answer_budget balancer ../../bpf/balancer.bpf.c
