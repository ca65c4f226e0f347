package grant

import (
	"context"
	"strings"
	"time"

	"sallyport"
)

// Decide answers a request. The requester may not; each approver answers once;
// any denial denies; the last approval that the role asks for makes the grant.
// Repeating one's own answer changes nothing and is no error. The answer is
// bound to the digest of what was asked for.
func (s *Service) Decide(ctx context.Context, id string, by sallyport.Actor, yes bool, reason string) (sallyport.Request, error) {
	reason = strings.TrimSpace(reason)
	if err := checkText("reason", reason, maxReason); err != nil {
		return sallyport.Request{}, err
	}
	typ := "request.deny"
	if yes {
		typ = "request.approve"
	}
	refusal := sallyport.Event{Type: typ, User: by.User, From: by.From, Request: id}
	if err := s.UserUnlocked(ctx, by.User); err != nil {
		return sallyport.Request{}, s.refused(refusal, err)
	}
	if yes {
		r, err := s.Store.Get(ctx, id)
		if err != nil {
			return sallyport.Request{}, err
		}
		if r.State == sallyport.RequestPending { // a repetition of an old answer grants nothing
			if err := s.unlocked(ctx, r.User, r.Access, r.ID); err != nil {
				return sallyport.Request{}, s.refused(event(typ, by, r), err)
			}
		}
	}
	r, err := s.update(ctx, id, func(r *sallyport.Request, now time.Time) (sallyport.Event, error) {
		refusal = event(typ, by, *r)
		return s.decide(r, by, sallyport.Decision{By: by.User, Approve: yes, Reason: reason, At: utc(now)}, now)
	})
	if err != nil {
		return sallyport.Request{}, s.refused(refusal, err)
	}
	return r, nil
}

func (s *Service) decide(r *sallyport.Request, by sallyport.Actor, d sallyport.Decision, now time.Time) (sallyport.Event, error) {
	var none sallyport.Event
	p, digest := s.Policy(), r.Digest()
	for _, prior := range r.Decisions {
		if prior.Digest != digest {
			return none, changed(*r)
		}
		if prior.By == d.By && prior.Approve == d.Approve {
			return none, errUnchanged
		}
	}
	if state := r.StateAt(now); state != sallyport.RequestPending && d.By != r.User {
		return none, sallyport.Errorf(sallyport.CodeConflict, "request %s is %s and waits for no answer", r.ID, state)
	}
	if err := p.MayDecide(d.By, *r); err != nil {
		return none, err
	}
	if d.Approve && !p.Allows(r.Role, r.User, r.Access) {
		return none, sallyport.Errorf(sallyport.CodeConflict, "%s may no longer have %s under the role %s", r.User, r.Access, r.Role).
			WithHint("the configuration has changed since the request")
	}
	role, _ := p.Role(r.Role)
	if d.Approve && r.For > role.MaxDuration {
		return none, sallyport.Errorf(sallyport.CodeConflict, "%s is longer than the role %s now allows",
			sallyport.FormatDuration(r.For), r.Role).WithHint("the configuration has changed since the request")
	}
	if why := judged(p, role, r.Command); d.Approve && why != "" {
		return none, sallyport.Errorf(sallyport.CodeConflict, "%s", why).WithHint("the configuration has changed since the request")
	}
	d.Stage, _, _, _ = p.Stage(*r)
	d.Digest = digest
	r.Decisions = append(r.Decisions, d)
	if !d.Approve {
		r.State, r.DecidedAt = sallyport.RequestDenied, d.At
	} else if _, _, left, done := p.Stage(*r); done && left == 0 {
		approve(r, now)
	}
	typ, outcome := "request.approve", string(r.State)
	if !d.Approve {
		typ = "request.deny"
	}
	e := event(typ, by, *r)
	e.Reason, e.Outcome = d.Reason, outcome
	e.Details = about(*r)
	e.Details["digest"] = digest
	if r.Grant != nil {
		e.Details["start"], e.Details["end"] = r.Grant.Start.Format(time.RFC3339), r.Grant.End.Format(time.RFC3339)
	}
	return e, nil
}

// about says in the audit log whose request it is, and for which command.
func about(r sallyport.Request) map[string]string {
	d := map[string]string{"for_user": r.User}
	if r.Command != "" {
		d["command"] = r.Command
	}
	return d
}

func changed(r sallyport.Request) error {
	return sallyport.Errorf(sallyport.CodeDenied, "request %s is not the one that was approved", r.ID).
		WithHint("ask again; tell the SOC: its record was changed")
}

// Cancel withdraws a pending request: the requester's own. With any, which the
// caller checks, anybody's. Cancelling twice is no error.
func (s *Service) Cancel(ctx context.Context, id string, by sallyport.Actor, any bool) (sallyport.Request, error) {
	return s.change(ctx, "request.cancel", id, by, func(r *sallyport.Request, now time.Time) (string, error) {
		if by.User != r.User && !any {
			return "", sallyport.Errorf(sallyport.CodeDenied, "request %s is not yours to cancel", r.ID).
				WithHint("an approver can deny it")
		}
		switch state := r.StateAt(now); state {
		case sallyport.RequestCancelled:
			return "", errUnchanged
		case sallyport.RequestPending:
		case sallyport.RequestApproved:
			return "", sallyport.Errorf(sallyport.CodeConflict, "request %s is approved already", r.ID).
				WithHint("grants return %s gives the grant back", r.ID)
		default:
			return "", sallyport.Errorf(sallyport.CodeConflict, "request %s is %s already", r.ID, state)
		}
		r.State, r.DecidedAt = sallyport.RequestCancelled, utc(now)
		return "", nil
	})
}

// Return gives a grant back before its end: by its holder only.
func (s *Service) Return(ctx context.Context, id string, by sallyport.Actor) (sallyport.Request, error) {
	return s.change(ctx, "grant.return", id, by, func(r *sallyport.Request, now time.Time) (string, error) {
		if by.User != r.User {
			return "", sallyport.Errorf(sallyport.CodeDenied, "grant %s is not yours to return", r.ID).
				WithHint("grants revoke ends somebody else's")
		}
		return end(r, sallyport.GrantReturned, by.User, "", now)
	})
}

// Revoke ends a grant before its end. The caller checks that by may.
func (s *Service) Revoke(ctx context.Context, id string, by sallyport.Actor, reason string) (sallyport.Request, error) {
	reason = strings.TrimSpace(reason)
	if err := CheckReason(reason); err != nil {
		return sallyport.Request{}, err
	}
	return s.change(ctx, "grant.revoke", id, by, func(r *sallyport.Request, now time.Time) (string, error) {
		return end(r, sallyport.GrantRevoked, by.User, reason, now)
	})
}

// CheckReason refuses what is no reason to tell a user.
func CheckReason(reason string) error {
	if strings.TrimSpace(reason) == "" {
		return sallyport.Errorf(sallyport.CodeUsage, "the reason is missing").
			WithHint("add --reason and why; the user will read it")
	}
	return checkText("reason", reason, maxReason)
}

func end(r *sallyport.Request, as sallyport.GrantState, by, reason string, now time.Time) (string, error) {
	if r.Grant == nil {
		return "", sallyport.Errorf(sallyport.CodeConflict, "request %s is %s and has no grant", r.ID, r.StateAt(now))
	}
	switch state := r.Grant.StateAt(now); state {
	case as:
		return "", errUnchanged
	case sallyport.GrantActive, sallyport.GrantScheduled:
	default:
		return "", sallyport.Errorf(sallyport.CodeConflict, "grant %s is %s already", r.ID, state)
	}
	r.Grant.EndedAt, r.Grant.EndedAs, r.Grant.EndedBy, r.Grant.EndReason = utc(now), as, by, reason
	return reason, nil
}

// change runs f inside the update of a request and records what it did, with
// the reason that f returns.
func (s *Service) change(ctx context.Context, typ, id string, by sallyport.Actor,
	f func(*sallyport.Request, time.Time) (why string, err error),
) (sallyport.Request, error) {
	refusal := sallyport.Event{Type: typ, User: by.User, From: by.From, Request: id}
	r, err := s.update(ctx, id, func(r *sallyport.Request, now time.Time) (sallyport.Event, error) {
		refusal = event(typ, by, *r)
		why, err := f(r, now)
		e := event(typ, by, *r)
		e.Reason, e.Details = why, about(*r)
		return e, err
	})
	if err != nil {
		return sallyport.Request{}, s.refused(refusal, err)
	}
	return r, nil
}
