// Package netns owns declarative worlds of network namespaces: hosts, cables
// and switches are declared as data, raised at once and removed as a whole. It
// serves tests and the laboratory alike; it runs no external program, knows
// nothing about the balancer and never changes the namespace it was called
// from.
package netns
