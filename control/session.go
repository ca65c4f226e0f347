package control

import (
	"context"
	"slices"
	"time"

	"sallyport"
	"sallyport/grant"
)

// live returns the live sessions that the caller may see: their own, and all
// with the permission.
func (c *Control) live(caller Caller) []sallyport.Session {
	all := c.Live.Sessions()
	if c.can(caller, sallyport.PermSessions) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(s sallyport.Session) bool { return s.User != caller.User })
}

func sessionID(s sallyport.Session) string { return s.ID }

// Sessions returns the live sessions that the caller may see, oldest first.
func (c *Control) Sessions(_ context.Context, caller Caller) ([]Session, error) {
	return viewSessions(c.live(caller)), nil
}

// Session returns one session, live or ended.
func (c *Control) Session(ctx context.Context, caller Caller, prefix string) (Session, error) {
	all := c.live(caller)
	recorded, err := c.Library.Find(ctx, prefix)
	if err != nil {
		return Session{}, err
	}
	every := c.can(caller, sallyport.PermSessions)
	for _, r := range recorded {
		if (every || r.Session.User == caller.User) && !slices.ContainsFunc(all, func(s sallyport.Session) bool { return s.ID == r.Session.ID }) {
			all = append(all, r.Session)
		}
	}
	s, err := pick("session", prefix, all, sessionID)
	if err != nil {
		return Session{}, err
	}
	return viewSession(s), nil
}

// Kill ends a session and locks its grant, so that after it returns no session
// of that grant lives and none can start. It needs a reason, which the user
// reads. It returns the session as it was.
func (c *Control) Kill(ctx context.Context, caller Caller, prefix, reason string) (Session, error) {
	e := sallyport.Event{Type: "session.kill", Severity: sallyport.SeverityWarning, Reason: reason}
	refusal := e
	refusal.Details = map[string]string{"asked_for": prefix}
	if err := c.require(ctx, caller, sallyport.PermSessions, refusal); err != nil {
		return Session{}, err
	}
	if err := grant.CheckReason(reason); err != nil {
		return Session{}, err
	}
	s, err := pick("session", prefix, c.live(caller), sessionID)
	if err != nil {
		return Session{}, err
	}
	if s.Grant == "" {
		return Session{}, sallyport.Errorf(sallyport.CodeConflict, "session %s has no grant yet", s.ID).WithHint("try again")
	}
	e.Session, e.Grant, e.Role, e.To = s.ID, s.Grant, s.Role, s.Address
	e.Account, e.Target = s.Access.Account, s.Access.Target
	e.Details = map[string]string{"for_user": s.User}
	if err := c.record(caller, e); err != nil {
		return Session{}, err
	}
	// First the block, then the end: what starts in between finds the block.
	// A grant that has just expired needs none.
	_, err = c.Grants.Kill(context.WithoutCancel(ctx), s.Grant, caller, reason)
	if err != nil && sallyport.CodeOf(err) != sallyport.CodeConflict {
		return Session{}, err
	}
	return viewSession(s), c.recheck(ctx)
}

// LockAsk says what to lock.
type LockAsk struct {
	User, Target, Account string        // all that are named must match
	For                   time.Duration // 0: until removed
	Reason                string
}

// LockAdd makes a lock stand. The sessions that it covers have ended on return.
func (c *Control) LockAdd(ctx context.Context, caller Caller, ask LockAsk) (sallyport.Lock, error) {
	e := sallyport.Event{
		Type: "lock.add", Account: ask.Account, Target: ask.Target, Reason: ask.Reason,
		Details: map[string]string{"for_user": ask.User},
	}
	if err := c.require(ctx, caller, sallyport.PermSessions, e); err != nil {
		return sallyport.Lock{}, err
	}
	l := sallyport.Lock{User: ask.User, Target: ask.Target, Account: ask.Account, Reason: ask.Reason}
	if ask.For > 0 {
		l.EndsAt = c.now().Add(ask.For)
	}
	l, err := c.Grants.Lock(context.WithoutCancel(ctx), caller, l)
	if err != nil {
		return sallyport.Lock{}, err
	}
	return l, c.recheck(ctx)
}

// Locks returns the locks that stand, oldest first.
func (c *Control) Locks(ctx context.Context, caller Caller) ([]sallyport.Lock, error) {
	if err := c.require(ctx, caller, sallyport.PermSessions, sallyport.Event{Type: "lock.list"}); err != nil {
		return nil, err
	}
	all, err := c.Grants.Locks(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b sallyport.Lock) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return all, nil
}

// LockRemove removes a lock and returns it.
func (c *Control) LockRemove(ctx context.Context, caller Caller, prefix string) (sallyport.Lock, error) {
	e := sallyport.Event{Type: "lock.remove", Details: map[string]string{"asked_for": prefix}}
	if err := c.require(ctx, caller, sallyport.PermSessions, e); err != nil {
		return sallyport.Lock{}, err
	}
	all, err := c.Grants.Locks(ctx)
	if err != nil {
		return sallyport.Lock{}, err
	}
	l, err := pick("lock", prefix, all, func(l sallyport.Lock) string { return l.ID })
	if err != nil {
		return sallyport.Lock{}, err
	}
	if own, err := c.binds(ctx, l, caller); err != nil {
		return sallyport.Lock{}, err
	} else if own {
		return sallyport.Lock{}, c.refused(caller, e, sallyport.Errorf(sallyport.CodeDenied, "lock %s is on you", l.ID).
			WithHint("somebody else has to remove it"))
	}
	return l, c.Grants.Unlock(ctx, l.ID, caller)
}

// binds reports whether the lock is on the caller.
func (c *Control) binds(ctx context.Context, l sallyport.Lock, caller Caller) (bool, error) {
	if caller.Admin {
		return false, nil
	}
	if l.User == caller.User {
		return true, nil
	}
	if l.Grant == "" {
		return false, nil
	}
	r, err := c.Grants.Get(ctx, l.Grant)
	if sallyport.CodeOf(err) == sallyport.CodeNotFound {
		return false, nil
	}
	return r.User == caller.User, err
}
