package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"time"
)

// ErrUnreachable means that no daemon answers on the socket.
var ErrUnreachable = errors.New("daemon unreachable")

// maxAnswer bounds what a client reads: 10,000 services take a few megabytes.
const maxAnswer = 256 << 20

// Client speaks to the daemon whose run directory it was given.
type Client struct {
	http   *http.Client
	socket string
}

// NewClient returns a client; it connects when it is used.
func NewClient(runDir string) *Client {
	socket := filepath.Join(runDir, SocketName)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{
		socket: socket,
		http:   &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: time.Minute},
	}
}

// Status asks for the daemon's status. Returns ErrUnreachable where no daemon
// answers.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.get(ctx, "/v1/status", &s)
}

func (c *Client) get(ctx context.Context, path string, to any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://steelyard"+path, nil)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", path, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%w on %s: %w", ErrUnreachable, c.socket, err)
	}
	defer resp.Body.Close()
	body := io.LimitReader(resp.Body, maxAnswer)
	if resp.StatusCode != http.StatusOK {
		var p Problem
		if err := json.NewDecoder(body).Decode(&p); err != nil {
			return fmt.Errorf("ask for %s: %s", path, resp.Status)
		}
		return fmt.Errorf("ask for %s: %s: %s", path, p.Title, p.Detail)
	}
	if err := json.NewDecoder(body).Decode(to); err != nil {
		return fmt.Errorf("read answer to %s: %w", path, err)
	}
	return nil
}
