package grant

import (
	"context"
	"slices"
	"strings"
	"time"

	"sallyport"
)

// keepEnded is how long a lock stays in the store after its end, so that a
// clock that is set back finds it again.
const keepEnded = 24 * time.Hour

// Lock makes a lock stand: l names a user, target, account or grant, why, and
// perhaps its end. What it names must exist. From the return
// on no new session starts under it, and Still ends the live ones. The caller
// checks that by may.
func (s *Service) Lock(ctx context.Context, by sallyport.Actor, l sallyport.Lock) (sallyport.Lock, error) {
	now := s.now()
	l.Reason = strings.TrimSpace(l.Reason)
	if err := CheckReason(l.Reason); err != nil {
		return sallyport.Lock{}, err
	}
	if err := s.checkLock(ctx, &l, now); err != nil {
		return sallyport.Lock{}, err
	}
	id, err := sallyport.NewID(s.Random)
	if err != nil {
		return sallyport.Lock{}, err
	}
	l.ID, l.By, l.CreatedAt, l.EndsAt = id, by.User, utc(now), utc(l.EndsAt)
	err = put(ctx, s, s.Locked, id, func(old *sallyport.Lock) (*sallyport.Lock, sallyport.Event, error) {
		e := lockEvent("lock.add", by, l)
		if old != nil {
			return nil, e, sallyport.Errorf(sallyport.CodeConflict, "the id %s is taken", id).WithHint("try again")
		}
		return &l, e, nil
	})
	if err != nil {
		return sallyport.Lock{}, err
	}
	// The lock stands; that old ones could not be swept away is no reason to say
	// otherwise, and the next one sweeps again.
	_ = s.sweep(ctx, now)
	return l, nil
}

// checkLock refuses a lock that would never cover anything: a lock with a typing
// mistake is a false comfort. It names the target by its name.
func (s *Service) checkLock(ctx context.Context, l *sallyport.Lock, now time.Time) error {
	p := s.Policy()
	if l.User == "" && l.Target == "" && l.Account == "" && l.Grant == "" {
		return sallyport.Errorf(sallyport.CodeUsage, "a lock must name something").
			WithHint("add --user, --target or --account")
	}
	if l.User != "" {
		if _, ok := p.User(l.User); !ok {
			return sallyport.Errorf(sallyport.CodeNotFound, "no user %q", l.User)
		}
	}
	if l.Target != "" {
		t, ok := p.Target(l.Target)
		if !ok {
			return sallyport.Errorf(sallyport.CodeNotFound, "no target %q", l.Target)
		}
		l.Target = t.Name
	}
	if l.Account != "" && !sallyport.ValidAccount(l.Account) {
		return sallyport.Errorf(sallyport.CodeInvalid, "%q cannot be an account", l.Account)
	}
	if l.Grant != "" {
		if r, err := s.Store.Get(ctx, l.Grant); err != nil {
			return err
		} else if r.Grant == nil {
			return sallyport.Errorf(sallyport.CodeConflict, "request %s has no grant", l.Grant)
		}
	}
	if !l.EndsAt.IsZero() && !l.EndsAt.After(now) {
		return sallyport.Errorf(sallyport.CodeUsage, "the lock would end before it begins")
	}
	return nil
}

// Kill locks a grant for the rest of its life, so that its sessions end with
// the cause killed and none can start again; with it every other grant that
// its holder has for the same access, or a second one, made beforehand, would
// undo the kill. Killing twice is no error. It returns the lock of the grant.
func (s *Service) Kill(ctx context.Context, grant string, by sallyport.Actor, reason string) (sallyport.Lock, error) {
	s.creating.Lock() // a request that is being approved automatically comes before, or finds the lock
	defer s.creating.Unlock()
	r, err := s.Store.Get(ctx, grant)
	if err != nil {
		return sallyport.Lock{}, err
	}
	if r.Grant == nil {
		return sallyport.Lock{}, sallyport.Errorf(sallyport.CodeConflict, "request %s has no grant", grant)
	}
	lock, err := s.kill(ctx, r, by, reason)
	if err != nil {
		return sallyport.Lock{}, err
	}
	others, err := s.Store.List(ctx, r.User+"/"+r.Access.String()+"/")
	if err != nil {
		return lock, err
	}
	for _, o := range others {
		if o.ID == r.ID || o.Grant == nil || !o.Grant.EndedAt.IsZero() || !o.Grant.End.After(s.now()) {
			continue
		}
		if _, err := s.kill(ctx, o, by, reason); err != nil {
			return lock, err
		}
	}
	return lock, nil
}

// kill locks one grant.
func (s *Service) kill(ctx context.Context, r sallyport.Request, by sallyport.Actor, reason string) (sallyport.Lock, error) {
	locks, err := s.Locks(ctx)
	if err != nil {
		return sallyport.Lock{}, err
	}
	if i := slices.IndexFunc(locks, func(l sallyport.Lock) bool { return l.Kill && l.Grant == r.ID }); i >= 0 {
		return locks[i], nil
	}
	if !r.Grant.End.After(s.now()) {
		return sallyport.Lock{}, sallyport.Errorf(sallyport.CodeConflict, "grant %s has expired already", r.ID)
	}
	return s.Lock(ctx, by, sallyport.Lock{Grant: r.ID, Reason: reason, EndsAt: r.Grant.End, Kill: true})
}

// Unlock removes a lock. The caller checks that by may.
func (s *Service) Unlock(ctx context.Context, id string, by sallyport.Actor) error {
	return put(ctx, s, s.Locked, id, func(old *sallyport.Lock) (*sallyport.Lock, sallyport.Event, error) {
		if old == nil {
			return nil, sallyport.Event{}, sallyport.Errorf(sallyport.CodeNotFound, "no lock %.16q", id).WithHint("lock ls lists them")
		}
		return nil, lockEvent("lock.remove", by, *old), nil
	})
}

// Locks returns the locks that stand now.
func (s *Service) Locks(ctx context.Context) ([]sallyport.Lock, error) {
	all, err := s.standing(ctx)
	now := s.now()
	return slices.DeleteFunc(all, func(l sallyport.Lock) bool {
		return !l.EndsAt.IsZero() && !now.Before(l.EndsAt)
	}), err
}

// standing returns every stored lock; Covers looks at the clock.
func (s *Service) standing(ctx context.Context) ([]sallyport.Lock, error) {
	return s.Locked.List(ctx, "")
}

// sweep removes locks that ended long ago; the audit log remembers them.
func (s *Service) sweep(ctx context.Context, now time.Time) error {
	all, err := s.standing(ctx)
	if err != nil {
		return err
	}
	for _, l := range all {
		if l.EndsAt.IsZero() || now.Sub(l.EndsAt) < keepEnded {
			continue
		}
		err := s.Locked.Update(ctx, l.ID, func(*sallyport.Lock) (*sallyport.Lock, error) { return nil, nil })
		if err != nil {
			return err
		}
	}
	return nil
}

func lockEvent(typ string, by sallyport.Actor, l sallyport.Lock) sallyport.Event {
	e := sallyport.Event{
		Type: typ, Severity: sallyport.SeverityWarning, User: by.User, From: by.From, Account: l.Account, Target: l.Target,
		Grant: l.Grant, Outcome: "ok", Reason: l.Reason, Details: map[string]string{"lock": l.ID},
	}
	if l.User != "" {
		e.Details["for_user"] = l.User
	}
	if l.Kill {
		e.Details["kill"] = "true"
	}
	if !l.EndsAt.IsZero() {
		e.Details["until"] = l.EndsAt.Format(time.RFC3339)
	}
	return e
}
