package policy

import (
	"slices"

	"sallyport"
)

// Stage returns where the approval of a request stands: the index of the stage
// that waits for answers, the stage, and how many approvals it still lacks.
//
// done means that nobody is waited for: every stage has its approvals (stage
// is then their number and left 0), or somebody denied (left is then what was
// lacking). It says nothing about a role that no longer exists: nobody can
// decide such a request, it is done with left above zero, too.
func (p *Policy) Stage(r sallyport.Request) (stage int, s sallyport.Stage, left int, done bool) {
	role, ok := p.Role(r.Role)
	if !ok {
		return 0, sallyport.Stage{}, 1, true
	}
	denied := slices.ContainsFunc(r.Decisions, func(d sallyport.Decision) bool { return !d.Approve })
	for i, s := range role.Approval.Stages {
		if left := s.Need - len(p.approvals(r, i, s)); left > 0 {
			return i, s, left, denied
		}
	}
	if denied {
		return len(role.Approval.Stages), sallyport.Stage{}, 1, true
	}
	return len(role.Approval.Stages), sallyport.Stage{}, 0, true
}

// approvals returns the different people whose approval counts in the stage:
// they answered this very request, in this stage, and may approve in it today.
func (p *Policy) approvals(r sallyport.Request, stage int, s sallyport.Stage) []string {
	var names []string
	digest := ""
	for _, d := range r.Decisions {
		if !d.Approve || d.Stage != stage || d.By == r.User || slices.Contains(names, d.By) {
			continue
		}
		if digest == "" {
			digest = r.Digest()
		}
		if u, ok := p.User(d.By); ok && s.Approvers.Has(u) && d.Digest == digest {
			names = append(names, d.By)
		}
	}
	return names
}

// MayDecide returns nil where by may answer the request now, yes or no. The
// requester never may; nobody may twice; only approvers of the stage that
// waits may. Whether the request is pending at this time is the caller's to
// check against the clock.
func (p *Policy) MayDecide(by string, r sallyport.Request) error {
	if by == r.User {
		return sallyport.Errorf(sallyport.CodeDenied, "you cannot decide your own request").
			WithHint("another approver must")
	}
	if r.State != sallyport.RequestPending {
		return sallyport.Errorf(sallyport.CodeConflict, "the request is %s", r.State)
	}
	u, ok := p.User(by)
	if !ok {
		return notApprover()
	}
	if slices.ContainsFunc(r.Decisions, func(d sallyport.Decision) bool { return d.By == by }) {
		return sallyport.Errorf(sallyport.CodeConflict, "you have decided this request already")
	}
	_, s, _, done := p.Stage(r)
	if done {
		return sallyport.Errorf(sallyport.CodeConflict, "the request waits for nobody")
	}
	if !s.Approvers.Has(u) {
		return notApprover()
	}
	return nil
}

func notApprover() error {
	return sallyport.Errorf(sallyport.CodeDenied, "you are no approver of this request").
		WithHint("sallyport request show tells who can decide it")
}

// Approvers returns the users who can decide the request now, in configuration
// order.
func (p *Policy) Approvers(r sallyport.Request) []string {
	var names []string
	for _, u := range p.users {
		if p.MayDecide(u.Name, r) == nil {
			names = append(names, u.Name)
		}
	}
	return names
}
