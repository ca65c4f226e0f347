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

// Lock makes a lock stand: l names a user, target, account or grant, who made
// it (By), why, and perhaps its end. What it names must exist. From the return
// on no new session starts under it, and Still ends the live ones. The caller
// checks that By may.
func (s *Service) Lock(ctx context.Context, l sallyport.Lock) (sallyport.Lock, error) {
	now := s.now()
	l.Reason = strings.TrimSpace(l.Reason)
	if err := checkReason(l.Reason); err != nil {
		return sallyport.Lock{}, err
	}
	if err := s.checkLock(ctx, &l, now); err != nil {
		return sallyport.Lock{}, err
	}
	id, err := sallyport.NewID(s.Random)
	if err != nil {
		return sallyport.Lock{}, err
	}
	l.ID, l.CreatedAt, l.EndsAt = id, utc(now), utc(l.EndsAt)
	err = s.Locked.Update(ctx, id, func(old *sallyport.Lock) (*sallyport.Lock, error) {
		if old != nil {
			return nil, sallyport.Errorf(sallyport.CodeConflict, "the id %s is taken", id).WithHint("try again")
		}
		return &l, s.record(lockEvent("lock.add", l.By, l))
	})
	if err != nil {
		return sallyport.Lock{}, err
	}
	return l, s.sweep(ctx, now)
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
// the cause killed and none can start again. Killing twice is no error.
func (s *Service) Kill(ctx context.Context, grant, by, reason string) (sallyport.Lock, error) {
	r, err := s.Store.Get(ctx, grant)
	if err != nil {
		return sallyport.Lock{}, err
	}
	if r.Grant == nil {
		return sallyport.Lock{}, sallyport.Errorf(sallyport.CodeConflict, "request %s has no grant", grant)
	}
	locks, err := s.Locks(ctx)
	if err != nil {
		return sallyport.Lock{}, err
	}
	if i := slices.IndexFunc(locks, func(l sallyport.Lock) bool { return l.Kill && l.Grant == grant }); i >= 0 {
		return locks[i], nil
	}
	if !r.Grant.End.After(s.now()) {
		return sallyport.Lock{}, sallyport.Errorf(sallyport.CodeConflict, "grant %s has expired already", grant)
	}
	return s.Lock(ctx, sallyport.Lock{Grant: grant, By: by, Reason: reason, EndsAt: r.Grant.End, Kill: true})
}

// Unlock removes a lock. The caller checks that by may.
func (s *Service) Unlock(ctx context.Context, id, by string) error {
	return s.Locked.Update(ctx, id, func(old *sallyport.Lock) (*sallyport.Lock, error) {
		if old == nil {
			return nil, sallyport.Errorf(sallyport.CodeNotFound, "no lock %.16q", id).WithHint("lock ls lists them")
		}
		return nil, s.record(lockEvent("lock.remove", by, *old))
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

func lockEvent(typ, by string, l sallyport.Lock) sallyport.Event {
	e := sallyport.Event{
		Type: typ, Severity: sallyport.SeverityWarning, User: by, Account: l.Account, Target: l.Target,
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
