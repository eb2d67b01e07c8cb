// Package cases is the packet path's rules as examples: a gateway, packets,
// and what becomes of each, for IPv4 and IPv6. The oracle and the loaded
// program both run them. It decides nothing and runs nothing itself.
package cases
