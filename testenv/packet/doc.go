// Package packet makes frames for tests from readable layers, breaks them in
// chosen ways, aims random ones at a described world, checks their checksums
// and says in words where two of them differ. It never sends anything and
// knows nothing of what a balancer does with a frame.
package packet
