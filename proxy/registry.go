package proxy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"sallyport"
)

// Sessions returns the live sessions, oldest first.
func (s *Server) Sessions() []sallyport.Session {
	s.init()
	s.mu.Lock()
	list := s.liveNow()
	s.mu.Unlock()
	var out []sallyport.Session
	for _, x := range list {
		if info, ok := x.snapshot(); ok {
			out = append(out, info)
		}
	}
	slices.SortFunc(out, func(a, b sallyport.Session) int {
		if c := a.StartedAt.Compare(b.StartedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// Recheck asks of every live session whether it may go on, ends those that may
// not, and returns when they have ended: no channel of theirs is open, neither
// at the client nor at the target. It is how a kill, a revocation, a lock and a
// new configuration reach the sessions: the block is written first, then
// Recheck is called, so nothing slips in between. It also closes the connections
// of keys that are no longer known.
func (s *Server) Recheck(ctx context.Context) error {
	s.init()
	keys := s.Keys()
	s.mu.Lock()
	list := s.liveNow()
	var strangers []*conn
	for c := range s.conns {
		if c.proved.User != "" && !keys.Holds(c.proved) {
			strangers = append(strangers, c)
		}
	}
	s.mu.Unlock()
	for _, x := range s.recheckAll(ctx, list) {
		select {
		case <-x.ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, c := range strangers { // after their sessions, which are told why
		c.Close()
	}
	return nil
}

// register makes a session visible to Sessions and Recheck, before its grant
// is looked up: a kill either finds it here or was written before the look-up.
func (s *Server) register(x *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return sallyport.Errorf(sallyport.CodeUnavail, "the gateway is shutting down").WithHint("try again in a minute")
	}
	n := 0
	for _, o := range s.live {
		if o.info.User == x.info.User {
			n++
		}
	}
	if n >= s.Limits.SessionsPerUser {
		return sallyport.Errorf(sallyport.CodeUnavail, "you have %d sessions open, which is the limit", n).
			WithHint("close one of them: ssh %s sessions ls", s.Name)
	}
	s.live[x.info.ID] = x
	if !s.patrolling {
		s.patrolling = true
		go s.patrol()
	}
	return nil
}

func (s *Server) unregister(x *session) {
	s.mu.Lock()
	delete(s.live, x.info.ID)
	s.mu.Unlock()
}

// Drain stops new sessions, tells the people in live ones, and returns when
// the last has ended or ctx is done.
func (s *Server) Drain(ctx context.Context) error {
	s.init()
	s.mu.Lock()
	s.closing = true
	list := s.liveNow()
	s.mu.Unlock()
	for _, x := range list {
		text := "the gateway is shutting down"
		if deadline, ok := ctx.Deadline(); ok {
			text += " in " + sallyport.FormatDuration(time.Until(deadline))
		}
		x.tell(text)
	}
	for _, x := range list {
		select {
		case <-x.ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Close ends every session with cause shutdown and every connection. It
// returns when the recordings are sealed or ctx is done.
func (s *Server) Close(ctx context.Context) error {
	s.init()
	s.mu.Lock()
	s.closing = true
	var list []*session
	for _, x := range s.live {
		list = append(list, x)
	}
	var conns []*conn
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, x := range list {
		x.end(&sallyport.Ending{Cause: sallyport.CauseShutdown})
	}
	var errs []error
	for _, x := range list {
		select {
		case <-x.ended:
		case <-ctx.Done():
			errs = append(errs, ctx.Err())
		}
	}
	for _, c := range conns {
		c.Close()
	}
	return errors.Join(errs...)
}
