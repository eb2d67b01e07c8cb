// Package api is the admin interface: REST with JSON on a unix socket, and the
// client that the command line uses. It defines what is said, in types of its
// own; where the answers come from is its Provider's business. It changes
// nothing by itself.
package api
