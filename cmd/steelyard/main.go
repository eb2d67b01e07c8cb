// Command steelyard is the load balancer: the daemon and the client of its
// admin socket in one binary, one file per verb. It wires the parts together
// and holds no logic of theirs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"steelyard/control/api"
)

// Exit codes, the same for every verb.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitRefused     = 3 // the config has errors
	exitUnreachable = 5 // no daemon answers
	exitDegraded    = 8 // status --exit-code: something is wrong
)

// env is the world of a command, so that tests can bring their own.
type env struct {
	out, err io.Writer
	// color is set where out is a terminal that shows colours.
	color bool
}

func main() {
	color := false
	if _, err := unix.IoctlGetTermios(int(os.Stdout.Fd()), unix.TCGETS); err == nil {
		color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	code := run(ctx, env{out: os.Stdout, err: os.Stderr, color: color}, os.Args[1:])
	stop()
	os.Exit(code)
}

// run is the whole command line; it returns the exit code.
func run(ctx context.Context, e env, args []string) int {
	root := newRoot(e)
	root.SetArgs(args)
	root.SetOut(e.out)
	root.SetErr(e.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var coded *codedError
	if errors.As(err, &coded) {
		if coded.err != nil {
			fmt.Fprintf(e.err, "steelyard: %v\n", coded.err)
		}
		return coded.code
	}
	fmt.Fprintf(e.err, "steelyard: %v\n", err)
	switch {
	case errors.Is(err, api.ErrUnreachable):
		return exitUnreachable
	case errors.Is(err, errUsage):
		return exitUsage
	}
	return exitFailed
}

// errUsage marks an error in how a command was called.
var errUsage = errors.New("wrong usage")

// codedError ends the command with an exit code of its own; a nil err has been
// reported already.
type codedError struct {
	code int
	err  error
}

func (c *codedError) Error() string {
	if c.err == nil {
		return fmt.Sprintf("exit code %d", c.code)
	}
	return c.err.Error()
}

func (c *codedError) Unwrap() error { return c.err }
