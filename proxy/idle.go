package proxy

import (
	"sync/atomic"
	"time"

	"sallyport"
)

// idle tells for how long nothing was done in a session, and what is due by
// that. What counts is what somebody does: keys typed at a terminal, and bytes
// either way where there is none. What a terminal shows by itself (top, tail -f)
// does not.
//
// To note something costs one store: nothing is set anew for it. clock asks when
// something is due.
type idle struct {
	x      *session
	since  time.Time    // when the session began
	last   atomic.Int64 // when something was done, from then
	warned bool         // of the end that is near; guarded by the clock's mu
}

// active notes that something was done.
func (x *session) active() { x.idle.last.Store(int64(time.Since(x.idle.since))) }

// limit returns how long the present role lets a session be idle; 0: for ever.
func (i *idle) limit() time.Duration {
	role, _ := i.x.srv.Policy().Role(i.x.role.Name)
	return role.IdleTimeout
}

// left returns the time until the session ends, were nothing done.
func (i *idle) left(limit time.Duration) time.Duration {
	return limit - (time.Since(i.since) - time.Duration(i.last.Load()))
}

// notice is how long before the end the user is warned.
func notice(limit time.Duration) time.Duration { return min(time.Minute, limit/2) }

// look does what is due, and returns how long nothing is; 0: nothing ever is.
func (i *idle) look() time.Duration {
	limit := i.limit()
	if limit <= 0 {
		return 0
	}
	left, warn := i.left(limit), notice(limit)
	switch {
	case left <= 0:
		i.x.end(&sallyport.Ending{Cause: sallyport.CauseIdle})
		return 0
	case left > warn:
		i.warned = false
		return left - warn
	case !i.warned:
		i.warned = true
		i.x.tell("idle: this session ends in " + spoken(left))
	}
	return left
}

// spoken writes a minute or less for people.
func spoken(d time.Duration) string {
	if d = max(d.Round(time.Second), time.Second); d == time.Minute {
		return "1 minute"
	}
	return d.String()
}
