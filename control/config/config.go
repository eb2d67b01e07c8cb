package config

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"steelyard/control/model"
)

// MaxBytes is the largest file that is read. More services fit than a mapping
// may hold (maxKeys), and what a mistaken or hostile file costs stays bounded.
const MaxBytes = 4 << 20

// Config is a file that was accepted.
type Config struct {
	// Snapshot is the desired state; its Revision is 0 until stored.
	Snapshot *model.Snapshot
	Log      Log
	// Warnings are things that are allowed and probably not meant, sorted
	// by position.
	Warnings Errors
}

// Log says how the daemon logs.
type Log struct {
	Level  slog.Level
	Format LogFormat
}

// LogFormat is the shape of a log line.
type LogFormat string

// The log formats.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// defaults is what a file that says nothing gets.
func defaults() (model.Flows, model.Announce, Log) {
	return model.Flows{
			Capacity:       262144,
			TCPEstablished: 2 * time.Hour,
			TCPClosing:     30 * time.Second,
			UDPIdle:        30 * time.Second,
		}, model.Announce{
			Burst: 5,
			// Linux hosts ignore a second change of a neighbour
			// within one second (locktime).
			Spacing: 1100 * time.Millisecond,
			Refresh: time.Minute,
		}, Log{Level: slog.LevelInfo, Format: LogText}
}

// Load reads and parses the file at path. The error is an Errors where the
// file was read and refused, else the reason why it could not be read.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading: nothing is lost
	// One byte more than allowed is enough for Parse to refuse the file.
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	return Parse(path, data)
}

// Parse turns the bytes of a config file into a Config. name stands for the
// file in messages. The error, if any, is an Errors with everything that is
// wrong, sorted by position. Equal configs give equal snapshots whatever the
// order of their keys and lists.
func Parse(name string, data []byte) (*Config, error) {
	r := newReport(name, data)
	f := decode(r, data)
	if f != nil {
		validate(r, f)
	}
	if len(r.errors) > 0 {
		return nil, r.sorted(r.errors)
	}
	return &Config{Snapshot: f.snapshot(), Log: f.log, Warnings: r.sorted(r.warnings)}, nil
}
