package proxy

import (
	"context"
	"sync"
	"time"

	"sallyport"
)

// warnings are given this long before the end of a grant.
var warnings = []time.Duration{10 * time.Minute, 5 * time.Minute, time.Minute}

// recheckEvery bounds how long a missed notification or a changed clock can
// keep a session open.
const recheckEvery = 5 * time.Second

// patrol looks at every live session every few seconds, until there is none: a
// timer runs on the monotonic clock and a grant ends by the wall clock (threat
// G5), and a notification can be missed. One goroutine does it for all.
func (s *Server) patrol() {
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	for range tick.C {
		s.mu.Lock()
		list := s.liveNow()
		s.patrolling = len(list) > 0
		s.mu.Unlock()
		if len(list) == 0 {
			return
		}
		s.lookAt(list)
	}
}

func (s *Server) lookAt(list []*session) {
	defer s.contain("patrol", sallyport.Event{}, func() {
		for _, x := range list { // nobody knows whether they may go on: fail closed
			x.panicked()
		}
	})
	for _, x := range list {
		x.clock.look()
	}
	s.recheckAll(context.Background(), list)
}

// liveNow returns the live sessions. s.mu is held.
func (s *Server) liveNow() []*session {
	list := make([]*session, 0, len(s.live))
	for _, x := range s.live {
		list = append(list, x)
	}
	return list
}

// recheckAll rechecks sessions and returns those that have ended. Those of one
// user on one access under one grant get one answer, which is not older than
// the call.
func (s *Server) recheckAll(ctx context.Context, list []*session) (ended []*session) {
	type question struct {
		user, grant string
		access      sallyport.Access
	}
	answers := map[question]error{}
	still := func(ctx context.Context, info sallyport.Session) error {
		q := question{info.User, info.Grant, info.Access}
		err, asked := answers[q]
		if !asked {
			err = s.Grants.Still(ctx, info)
			answers[q] = err
		}
		return err
	}
	for _, x := range list {
		if x.recheck(ctx, still) {
			ended = append(ended, x)
		}
	}
	return ended
}

// clock warns of the end of a session's grant, or of one in which nothing is
// done, and ends the session then. It wakes when it expects something to be due;
// patrol looks as well.
type clock struct {
	x *session

	mu    sync.Mutex
	left  time.Duration // of the grant, when it was looked at
	idle  time.Duration // until something is due if nothing is done; 0: nothing
	timer *time.Timer
}

// start is called once, when the session runs.
func (c *clock) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = c.x.info.ExpiresAt.Sub(c.x.srv.Now())
	c.idle = c.x.idle.look()
	c.timer = time.AfterFunc(c.wait(), func() { c.x.guarded(c.wake) })
}

func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
}

func (c *clock) wake() {
	c.look()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.x.ctx.Err() == nil {
		c.timer.Reset(c.wait())
	}
}

// wait returns how long nothing is due. c.mu is held.
func (c *clock) wait() time.Duration {
	wait := c.left
	for _, w := range warnings {
		if c.left > w {
			wait = min(wait, c.left-w)
		}
	}
	if c.idle > 0 {
		wait = min(wait, c.idle)
	}
	return max(wait, time.Millisecond)
}

// look does what is due by the wall clock, and where nothing is done.
func (c *clock) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer == nil || c.x.ctx.Err() != nil {
		return // it does not run yet, or no longer
	}
	before := c.left
	c.left = c.x.info.ExpiresAt.Sub(c.x.srv.Now())
	if c.left <= 0 {
		c.x.end(&sallyport.Ending{Cause: sallyport.CauseExpired})
		return
	}
	for _, w := range warnings {
		if before > w && c.left <= w {
			c.x.tell(sallyport.Warning(c.left))
			break
		}
	}
	c.idle = c.x.idle.look()
}
