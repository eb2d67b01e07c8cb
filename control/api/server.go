package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// SocketName is the socket's name in the run directory.
const SocketName = "api.sock"

// Limits of the server: nobody who may speak to it needs more.
const (
	maxHeaderBytes = 16 << 10
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	idleTimeout    = time.Minute
	writeTimeout   = 30 * time.Second
	closeTimeout   = time.Second
)

// Provider answers the questions.
type Provider interface {
	Status() (Status, error)
}

// Server serves the admin API on a unix socket.
type Server struct {
	lock     *runLock
	listener net.Listener
	http     *http.Server
}

// Listen opens the socket in runDir, which it creates if it is missing. A
// socket that a dead process left there is replaced. Returns ErrInUse where a
// living one serves.
func Listen(runDir string, p Provider) (s *Server, err error) {
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return nil, fmt.Errorf("make run directory: %w", err)
	}
	lock, err := lockRunDir(runDir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.release())
		}
	}()
	path := filepath.Join(runDir, SocketName)
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(fmt.Errorf("protect admin socket: %w", err), l.Close())
	}
	return &Server{
		lock:     lock,
		listener: trusted{l.(*net.UnixListener)},
		http: &http.Server{
			Handler:           handler(p),
			ReadHeaderTimeout: headerTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
		},
	}, nil
}

// Run serves until ctx ends, lets answers that are on their way finish, and
// removes the socket.
func (s *Server) Run(ctx context.Context) error {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err := s.http.Shutdown(grace); err != nil {
			s.http.Close()
		}
	})
	err := s.http.Serve(s.listener)
	if stop() {
		s.http.Close() // it ended by itself; nothing else ends its clients
	} else {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("serve admin socket: %w", err)
	}
	return errors.Join(err, s.lock.release())
}

func handler(p Provider) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		status, err := p.Status()
		if err != nil {
			answer(w, http.StatusInternalServerError, Problem{"cannot read status", http.StatusInternalServerError, err.Error()})
			return
		}
		answer(w, http.StatusOK, status)
	})
	mux.HandleFunc("/v1/status", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", "GET, HEAD")
		answer(w, http.StatusMethodNotAllowed, Problem{"method not allowed", http.StatusMethodNotAllowed, r.Method + " " + r.URL.Path})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusNotFound, Problem{"no such resource", http.StatusNotFound, r.Method + " " + r.URL.Path})
	})
	return mux
}

func answer(w http.ResponseWriter, code int, body any) {
	kind := "application/json"
	if code >= http.StatusBadRequest {
		kind = "application/problem+json" // RFC 9457, Section 3
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(code)
	// A client that hung up has no use for an error.
	_ = json.NewEncoder(w).Encode(body)
}

// trusted accepts connections of root and of the daemon's own user only.
type trusted struct{ *net.UnixListener }

func (t trusted) Accept() (net.Conn, error) {
	for {
		conn, err := t.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, err := peerUID(conn); err == nil && (uid == 0 || uid == os.Geteuid()) {
			return conn, nil
		}
		conn.Close()
	}
}

func peerUID(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, credErr
	}
	return int(cred.Uid), nil
}
