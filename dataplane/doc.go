// Package dataplane is the vocabulary of the packet path in Go: services,
// backends, rings, next hops, verdicts and counters, in their human form. It
// owns no state, opens nothing and imports only the standard library; the
// kernel form of the same things lives in bpf/abi.h and is converted in one
// place, dataplane/xdp.
package dataplane
