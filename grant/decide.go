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
func (s *Service) Decide(ctx context.Context, id, by string, yes bool, reason string) (sallyport.Request, error) {
	reason = strings.TrimSpace(reason)
	if err := checkText("reason", reason, maxReason); err != nil {
		return sallyport.Request{}, err
	}
	typ := "request.deny"
	if yes {
		typ = "request.approve"
	}
	refusal := sallyport.Event{Type: typ, User: by, Request: id}
	if err := s.userUnlocked(ctx, by); err != nil {
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
	r, err := s.update(ctx, id, func(r *sallyport.Request, now time.Time) error {
		refusal = event(typ, by, *r)
		return s.decide(r, sallyport.Decision{By: by, Approve: yes, Reason: reason, At: utc(now)}, now)
	})
	if err != nil {
		return sallyport.Request{}, s.refused(refusal, err)
	}
	return r, nil
}

func (s *Service) decide(r *sallyport.Request, d sallyport.Decision, now time.Time) error {
	p, digest := s.Policy(), r.Digest()
	for _, prior := range r.Decisions {
		if prior.Digest != digest {
			return changed(*r)
		}
		if prior.By == d.By && prior.Approve == d.Approve {
			return errUnchanged
		}
	}
	if state := r.StateAt(now); state != sallyport.RequestPending && d.By != r.User {
		return sallyport.Errorf(sallyport.CodeConflict, "request %s is %s and waits for no answer", r.ID, state)
	}
	if err := p.MayDecide(d.By, *r); err != nil {
		return err
	}
	if d.Approve && !p.Allows(r.Role, r.User, r.Access) {
		return sallyport.Errorf(sallyport.CodeConflict, "%s may no longer have %s under the role %s", r.User, r.Access, r.Role).
			WithHint("the configuration has changed since the request")
	}
	role, _ := p.Role(r.Role)
	if d.Approve && r.For > role.MaxDuration {
		return sallyport.Errorf(sallyport.CodeConflict, "%s is longer than the role %s now allows",
			sallyport.FormatDuration(r.For), r.Role).WithHint("the configuration has changed since the request")
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
	e := event(typ, d.By, *r)
	e.Reason, e.Outcome = d.Reason, outcome
	e.Details = map[string]string{"for_user": r.User, "digest": digest}
	if r.Grant != nil {
		e.Details["start"], e.Details["end"] = r.Grant.Start.Format(time.RFC3339), r.Grant.End.Format(time.RFC3339)
	}
	return s.record(e)
}

func changed(r sallyport.Request) error {
	return sallyport.Errorf(sallyport.CodeDenied, "request %s is not the one that was approved", r.ID).
		WithHint("ask again; tell the SOC: its record was changed")
}

// Cancel withdraws a pending request: the requester's own, anybody's for an
// admin. Cancelling twice is no error.
func (s *Service) Cancel(ctx context.Context, id, by string) (sallyport.Request, error) {
	return s.change(ctx, "request.cancel", id, by, func(r *sallyport.Request, now time.Time) (*sallyport.Event, error) {
		if by != r.User && !s.Policy().Can(by, sallyport.PermAdmin) {
			return nil, sallyport.Errorf(sallyport.CodeDenied, "request %s is not yours to cancel", r.ID).
				WithHint("an approver can deny it")
		}
		switch state := r.StateAt(now); state {
		case sallyport.RequestCancelled:
			return nil, errUnchanged
		case sallyport.RequestPending:
		case sallyport.RequestApproved:
			return nil, sallyport.Errorf(sallyport.CodeConflict, "request %s is approved already", r.ID).
				WithHint("grants return %s gives the grant back", r.ID)
		default:
			return nil, sallyport.Errorf(sallyport.CodeConflict, "request %s is %s already", r.ID, state)
		}
		r.State, r.DecidedAt = sallyport.RequestCancelled, utc(now)
		return &sallyport.Event{}, nil
	})
}

// Return gives a grant back before its end: by its holder only.
func (s *Service) Return(ctx context.Context, id, by string) (sallyport.Request, error) {
	return s.change(ctx, "grant.return", id, by, func(r *sallyport.Request, now time.Time) (*sallyport.Event, error) {
		if by != r.User {
			return nil, sallyport.Errorf(sallyport.CodeDenied, "grant %s is not yours to return", r.ID).
				WithHint("grants revoke ends somebody else's")
		}
		return end(r, sallyport.GrantReturned, by, "", now)
	})
}

// Revoke ends a grant before its end. The caller checks that by may.
func (s *Service) Revoke(ctx context.Context, id, by, reason string) (sallyport.Request, error) {
	reason = strings.TrimSpace(reason)
	if err := checkReason(reason); err != nil {
		return sallyport.Request{}, err
	}
	return s.change(ctx, "grant.revoke", id, by, func(r *sallyport.Request, now time.Time) (*sallyport.Event, error) {
		return end(r, sallyport.GrantRevoked, by, reason, now)
	})
}

func checkReason(reason string) error {
	if reason == "" {
		return sallyport.Errorf(sallyport.CodeUsage, "the reason is missing").
			WithHint("add --reason and why; the user will read it")
	}
	return checkText("reason", reason, maxReason)
}

func end(r *sallyport.Request, as sallyport.GrantState, by, reason string, now time.Time) (*sallyport.Event, error) {
	if r.Grant == nil {
		return nil, sallyport.Errorf(sallyport.CodeConflict, "request %s is %s and has no grant", r.ID, r.StateAt(now))
	}
	switch state := r.Grant.StateAt(now); state {
	case as:
		return nil, errUnchanged
	case sallyport.GrantActive, sallyport.GrantScheduled:
	default:
		return nil, sallyport.Errorf(sallyport.CodeConflict, "grant %s is %s already", r.ID, state)
	}
	r.Grant.EndedAt, r.Grant.EndedAs, r.Grant.EndedBy, r.Grant.EndReason = utc(now), as, by, reason
	return &sallyport.Event{Reason: reason}, nil
}

// change runs f inside the update of a request and records what it did. f's
// event may add a reason.
func (s *Service) change(ctx context.Context, typ, id, by string,
	f func(*sallyport.Request, time.Time) (*sallyport.Event, error),
) (sallyport.Request, error) {
	refusal := sallyport.Event{Type: typ, User: by, Request: id}
	r, err := s.update(ctx, id, func(r *sallyport.Request, now time.Time) error {
		refusal = event(typ, by, *r)
		more, err := f(r, now)
		if err != nil {
			return err
		}
		e := event(typ, by, *r)
		e.Reason = more.Reason
		e.Details = map[string]string{"for_user": r.User}
		return s.record(e)
	})
	if err != nil {
		return sallyport.Request{}, s.refused(refusal, err)
	}
	return r, nil
}
