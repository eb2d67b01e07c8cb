// Package model is the packet path in plain Go: what the program in bpf/ has
// to decide about each packet and what the packet looks like afterwards. It is
// written from the rules, for one CPU and a flow table that never fills, and
// is the oracle that tests hold the loaded program against. It is never part
// of the product.
package model
