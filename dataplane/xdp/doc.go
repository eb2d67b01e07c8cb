// Package xdp owns the BPF object: it loads it, sizes and fills its maps,
// attaches it to devices, and reads what it counted and remembered. It speaks
// the vocabulary of package dataplane; the kernel's form of it stays inside
// (abi.go). It decides nothing: what goes into the tables, and in which
// order, is control's business.
package xdp
