package reconcile

import (
	"context"
	"time"

	"steelyard/control/model"
)

// retry says when a step that failed is tried again.
type retry struct {
	snapshot *model.Snapshot // that the failures are about
	wait     time.Duration   // between the last failure and the next try
	at       time.Time       // of the next try
}

// failed notes a failure and returns how long to wait. Steps that were taken
// before the wait was over, because something changed, do not make it longer.
func (r *retry) failed(now time.Time, snap *model.Snapshot) time.Duration {
	switch {
	case r.snapshot != snap:
		*r = retry{snapshot: snap, wait: retryFirst, at: now.Add(retryFirst)}
	case !now.Before(r.at):
		r.wait = min(2*r.wait, retryMost)
		r.at = now.Add(r.wait)
	}
	return r.at.Sub(now)
}

// conclude keeps what a step came to, and logs what is new about it.
func (r *Reconciler) conclude(ctx context.Context, s step, missing []string, err error) {
	s.problems = append(missing, flatten(err)...)
	before := make(map[string]bool, len(r.last.problems))
	for _, p := range r.last.problems {
		before[p] = true
	}
	for _, p := range s.problems {
		if !before[p] && ctx.Err() == nil {
			r.log.Warn("cannot reach the desired state yet", "problem", p)
		}
	}
	if len(r.last.problems) > 0 && len(s.problems) == 0 {
		r.log.Info("desired state reached", "revision", s.snapshot.Revision)
	}
	r.last = s
}

// flatten lists the messages of joined errors.
func flatten(err error) []string {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var list []string
		for _, e := range joined.Unwrap() {
			list = append(list, flatten(e)...)
		}
		return list
	}
	return []string{err.Error()}
}
