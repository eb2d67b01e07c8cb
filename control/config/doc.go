// Package config turns the bytes of a config file into a validated Config and
// the model.Snapshot it means. It owns the vocabulary of the file, its units,
// bounds and defaults, and the texts that explain a refusal. It is pure: apart
// from Load, which reads one file, it opens nothing, looks at no network and
// keeps no state; whether a device exists or an address can be reached is for
// others to find out.
package config
