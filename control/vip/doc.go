// Package vip is control's side of the kernel's network configuration, by
// netlink: it puts VIPs on devices (and removes only what it put there), it
// mirrors links, addresses, routes and neighbours into a model.Topology, and it
// keeps the neighbours that the packet path needs resolved. It never decides
// which VIPs a node holds, never announces them, and changes no address, route
// or neighbour of anyone else.
package vip
