package grant

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"sallyport"
)

// Active returns the grant under which the user may use the access now, and its
// role: where there are several, one for any work before one for a single
// command, then the one that ends last. The target may be named by an alias.
//
// Its error is for the user: CodeDenied for what is locked or not theirs at
// all, CodeNoGrant for what they may ask for.
func (s *Service) Active(ctx context.Context, user string, a sallyport.Access) (sallyport.Grant, sallyport.Role, error) {
	p, now := s.Policy(), s.now()
	a = s.canonical(a)
	fail := func(err error) (sallyport.Grant, sallyport.Role, error) {
		return sallyport.Grant{}, sallyport.Role{}, err
	}
	if len(p.Eligible(user, a)) == 0 {
		return fail(notYours(a))
	}
	locks, err := s.standing(ctx)
	if err != nil {
		return fail(err)
	}
	all, err := s.Store.List(ctx, user+"/"+a.String()+"/")
	if err != nil {
		return fail(err)
	}
	var best *sallyport.Grant
	var refusal error
	for _, r := range all {
		g := r.Grant
		if g == nil || r.State != sallyport.RequestApproved || g.StateAt(now) != sallyport.GrantActive ||
			best != nil && !better(g, best) || !p.Allows(g.Role, user, a) {
			continue
		}
		if err := genuine(r); err != nil {
			refusal = err
			continue
		}
		if err := covered(locks, user, a, g.ID, now); err != nil {
			refusal = err
			if covered(locks, user, a, "", now) == nil { // this grant alone: another one may be asked for
				refusal = s.another(err, a)
			}
			continue
		}
		best = g
	}
	if best != nil {
		role, _ := p.Role(best.Role)
		return *best, role, nil
	}
	if refusal == nil {
		refusal = covered(locks, user, a, "", now)
	}
	if refusal != nil {
		return fail(refusal)
	}
	return fail(s.noGrant(all, a, now))
}

// better reports whether g is used where b could be too.
func better(g, b *sallyport.Grant) bool {
	if any := g.Command == ""; any != (b.Command == "") {
		return any
	}
	return g.End.After(b.End)
}

// another makes the refusal of a locked grant one after which a new request is
// in order: somebody else has to say yes to it.
func (s *Service) another(err error, a sallyport.Access) error {
	return sallyport.Errorf(sallyport.CodeNoGrant, "%s", err.Error()).WithHint("ask for another: %s", s.ask(a))
}

// ask is the one command that asks for an access.
func (s *Service) ask(a sallyport.Access) string {
	return fmt.Sprintf("ssh %s request create %s --for 1h --reason WHY", cmp.Or(s.Name, "gate"), a)
}

// noGrant says what is in the way and the one command that helps.
func (s *Service) noGrant(all []sallyport.Request, a sallyport.Access, now time.Time) error {
	var pending, scheduled, expired *sallyport.Request
	for i, r := range all {
		switch {
		case r.StateAt(now) == sallyport.RequestPending:
			pending = &all[i]
		case r.Grant != nil && r.Grant.StateAt(now) == sallyport.GrantScheduled &&
			(scheduled == nil || r.Grant.Start.Before(scheduled.Grant.Start)):
			scheduled = &all[i]
		case r.Grant != nil && r.Grant.StateAt(now) == sallyport.GrantExpired &&
			(expired == nil || r.Grant.End.After(expired.Grant.End)):
			expired = &all[i]
		}
	}
	gate := cmp.Or(s.Name, "gate")
	ask := s.ask(a)
	e := func(format string, args ...any) *sallyport.Error {
		return sallyport.Errorf(sallyport.CodeNoGrant, format, args...)
	}
	switch {
	case pending != nil:
		return e("your request %s for %s waits for approval", pending.ID, a).
			WithHint("who can approve it: ssh %s request show %s", gate, pending.ID)
	case scheduled != nil:
		return e("your grant for %s starts at %s", a, scheduled.Grant.Start.Format(time.RFC3339)).
			WithHint("come back then, or %s", ask)
	case expired != nil && now.Sub(expired.Grant.End) < 24*time.Hour:
		return e("your grant for %s expired at %s", a, expired.Grant.End.Format(time.RFC3339)).WithHint("ask for it: %s", ask)
	default:
		return e("you have no active grant for %s", a).WithHint("ask for it: %s", ask)
	}
}

// genuine checks that a grant is what its approvers said yes to: every answer
// is bound to this very request, nobody said no, the requester said nothing,
// and the grant gives what was asked for and no more.
func genuine(r sallyport.Request) error {
	g, digest := r.Grant, r.Digest()
	for _, d := range r.Decisions {
		if d.Digest != digest || !d.Approve || d.By == r.User {
			return changed(r)
		}
	}
	if g.ID != r.ID || g.User != r.User || g.Access != r.Access || g.Role != r.Role || g.Command != r.Command ||
		!g.End.Equal(g.Start.Add(r.For)) || !r.Start.IsZero() && !g.Start.Equal(r.Start) {
		return changed(r)
	}
	return nil
}

// Still returns nil while a session may go on, and a *sallyport.Ending that says
// why not otherwise. Another error means that this could not be checked.
func (s *Service) Still(ctx context.Context, sess sallyport.Session) error {
	now := s.now()
	locks, err := s.standing(ctx)
	if err != nil {
		return err
	}
	var lock *sallyport.Lock
	for i, l := range locks {
		if l.Covers(sess.User, sess.Access, sess.Grant, now) && (lock == nil || l.Kill) {
			lock = &locks[i] // a kill says more than a lock
		}
	}
	if lock != nil {
		cause := sallyport.CauseLocked
		if lock.Kill {
			cause = sallyport.CauseKilled
		}
		return &sallyport.Ending{Cause: cause, By: lock.By, Reason: lock.Reason}
	}
	r, err := s.Store.Get(ctx, sess.Grant)
	if sallyport.CodeOf(err) == sallyport.CodeNotFound {
		return &sallyport.Ending{Cause: sallyport.CauseRevoked, Reason: "its record is gone"}
	}
	if err != nil {
		return err
	}
	g := r.Grant
	if g == nil || g.User != sess.User || g.Access != sess.Access || g.Command != sess.Command || genuine(r) != nil {
		return &sallyport.Ending{Cause: sallyport.CauseRevoked, Reason: "it does not cover this session"}
	}
	switch g.StateAt(now) {
	case sallyport.GrantActive:
	case sallyport.GrantReturned:
		return &sallyport.Ending{Cause: sallyport.CauseClosed, By: g.EndedBy, Reason: "the grant was returned"}
	case sallyport.GrantRevoked:
		return &sallyport.Ending{Cause: sallyport.CauseRevoked, By: g.EndedBy, Reason: g.EndReason}
	case sallyport.GrantScheduled: // the clock was set back
		return &sallyport.Ending{Cause: sallyport.CauseRevoked, Reason: "it has not started"}
	default:
		return &sallyport.Ending{Cause: sallyport.CauseExpired}
	}
	if !s.Policy().Allows(g.Role, g.User, g.Access) {
		return &sallyport.Ending{Cause: sallyport.CauseRevoked, Reason: "the configuration no longer allows it"}
	}
	return nil
}

// unlocked refuses where a lock covers the access.
func (s *Service) unlocked(ctx context.Context, user string, a sallyport.Access, grant string) error {
	locks, err := s.standing(ctx)
	if err != nil {
		return err
	}
	return covered(locks, user, a, grant, s.now())
}

// UserUnlocked refuses a user who is locked everywhere: such an approver does
// not approve either, and such a member of the SOC locks nobody.
func (s *Service) UserUnlocked(ctx context.Context, user string) error {
	return s.unlocked(ctx, user, sallyport.Access{}, "")
}

func covered(locks []sallyport.Lock, user string, a sallyport.Access, grant string, now time.Time) error {
	for _, l := range locks {
		if l.Covers(user, a, grant, now) {
			what := "access is locked"
			if l.Kill {
				what = "your session was killed and its grant is locked"
			}
			err := sallyport.Errorf(sallyport.CodeDenied, "%s: %s", what, l.Reason)
			if !l.EndsAt.IsZero() {
				return err.WithHint("until %s", l.EndsAt.Format(time.RFC3339))
			}
			return err.WithHint("ask the SOC to remove lock %s", l.ID)
		}
	}
	return nil
}
