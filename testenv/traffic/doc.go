// Package traffic owns real-socket traffic between hosts of a netns world:
// servers that answer with their name, and clients that send over many flows
// and account for every answer. It judges only what a client can see: lost,
// misplaced or broken answers, and flows that changed their server. It knows
// nothing about the balancer in between.
package traffic
