// Package neigh tells a link's neighbours where an address lives: the bytes of
// gratuitous ARP and unsolicited neighbour advertisements, and the sockets
// that send them from a given interface. It never decides which addresses are
// announced, when or how often (control/announce does), and it never changes
// the machine's own neighbour tables.
package neigh
