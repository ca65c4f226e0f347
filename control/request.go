package control

import (
	"context"
	"slices"
	"time"

	"sallyport"
	"sallyport/grant"
)

// recent is how long lists show what is over, unless all is asked for.
const recent = 7 * 24 * time.Hour

// defaultFor is the duration asked for where none is named and the role allows it.
const defaultFor = time.Hour

// Ask is what a caller asks for.
type Ask struct {
	Access sallyport.Access
	For    time.Duration // 0: the role's longest or an hour, whichever is less
	Start  time.Time     // zero: at approval
	Reason string
	Ticket string
	Role   string // "": the first that fits

	Command string // the only one that it is for; "": any work
}

// ParseAccess reads an access as people write it in a login name: root@web1,
// root+web1, root%web1. It does not tell whether the target exists.
func (c *Control) ParseAccess(s string) (sallyport.Access, error) {
	l, err := sallyport.ParseLogin(s, c.Policy().Target)
	if err != nil || l.Console() || l.User != "" {
		return sallyport.Access{}, sallyport.Errorf(sallyport.CodeUsage, "%.64q is no access", s).
			WithHint("write account@target, for example root@web1")
	}
	return l.Access, nil
}

// DefaultFor returns how long a request for the access asks for where it does
// not say, and the longest that the caller may ask for: 0 where they may not
// ask at all.
func (c *Control) DefaultFor(caller Caller, a sallyport.Access, role string) (d, longest time.Duration) {
	p := c.Policy()
	if t, ok := p.Target(a.Target); ok {
		a.Target = t.Name
	}
	first := true
	for _, r := range p.Eligible(caller.User, a) {
		if role != "" && r.Name != role {
			continue
		}
		if first {
			d, first = min(defaultFor, r.MaxDuration), false
		}
		longest = max(longest, r.MaxDuration)
	}
	if d == 0 {
		d = defaultFor
	}
	return d, longest
}

// RequestCreate files a request for the caller. Under a role with automatic
// approval it comes back approved.
func (c *Control) RequestCreate(ctx context.Context, caller Caller, ask Ask) (Request, error) {
	if ask.For == 0 {
		ask.For, _ = c.DefaultFor(caller, ask.Access, ask.Role)
	}
	r, err := c.Grants.Create(ctx, grant.Ask{
		By: caller, Access: ask.Access, For: ask.For, Start: ask.Start,
		Reason: ask.Reason, Ticket: ask.Ticket, Role: ask.Role, Command: ask.Command,
	})
	if err != nil {
		return Request{}, err
	}
	return c.viewRequest(r), nil
}

// sees reports whether the caller may know of the request: it is theirs, they
// decide such requests, or they are an admin.
func (c *Control) sees(caller Caller, r sallyport.Request) bool {
	return r.User == caller.User || c.can(caller, sallyport.PermAdmin) || c.approves(caller, r)
}

// approves reports whether the caller is an approver of the request in any of
// its stages. Whether they may answer now is for grant to say.
func (c *Control) approves(caller Caller, r sallyport.Request) bool {
	p := c.Policy()
	u, known := p.User(caller.User)
	role, ok := p.Role(r.Role)
	return known && ok && r.User != caller.User &&
		slices.ContainsFunc(role.Approval.Stages, func(s sallyport.Stage) bool { return s.Approvers.Has(u) })
}

// visible returns the requests that the caller may see, oldest first.
func (c *Control) visible(ctx context.Context, caller Caller) ([]sallyport.Request, error) {
	all, err := c.Grants.List(ctx, "")
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(r sallyport.Request) bool { return !c.sees(caller, r) })
	slices.SortStableFunc(all, func(a, b sallyport.Request) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return all, nil
}

// find returns the one request that the caller may see and whose id begins
// with prefix. noun is what the caller looks for: a request or a grant.
func (c *Control) find(ctx context.Context, caller Caller, noun, prefix string) (sallyport.Request, error) {
	all, err := c.Grants.Find(ctx, prefix)
	if err != nil {
		return sallyport.Request{}, err
	}
	all = slices.DeleteFunc(all, func(r sallyport.Request) bool {
		return !c.sees(caller, r) || noun == "grant" && r.Grant == nil
	})
	return pick(noun, prefix, all, func(r sallyport.Request) string { return r.ID })
}

// Requests returns the requests that the caller may see, oldest first: those
// that are pending or recent, or all.
func (c *Control) Requests(ctx context.Context, caller Caller, all bool) ([]Request, error) {
	rs, err := c.visible(ctx, caller)
	if err != nil {
		return nil, err
	}
	now, list := c.now(), []Request{}
	for _, r := range rs {
		if all || r.State == sallyport.RequestPending || now.Sub(r.CreatedAt) < recent {
			list = append(list, c.viewRequest(r))
		}
	}
	return list, nil
}

// Request returns one request.
func (c *Control) Request(ctx context.Context, caller Caller, prefix string) (Request, error) {
	r, err := c.find(ctx, caller, "request", prefix)
	if err != nil {
		return Request{}, err
	}
	return c.viewRequest(r), nil
}

// Approve says yes to a request.
func (c *Control) Approve(ctx context.Context, caller Caller, prefix, reason string) (Request, error) {
	return c.decide(ctx, caller, prefix, true, reason)
}

// Deny says no to a request. The requester reads the reason.
func (c *Control) Deny(ctx context.Context, caller Caller, prefix, reason string) (Request, error) {
	if err := grant.CheckReason(reason); err != nil {
		return Request{}, err
	}
	return c.decide(ctx, caller, prefix, false, reason)
}

func (c *Control) decide(ctx context.Context, caller Caller, prefix string, yes bool, reason string) (Request, error) {
	r, err := c.find(ctx, caller, "request", prefix)
	if err != nil {
		return Request{}, err
	}
	if r, err = c.Grants.Decide(ctx, r.ID, caller, yes, reason); err != nil {
		return Request{}, err
	}
	return c.viewRequest(r), nil
}

// Cancel withdraws a pending request.
func (c *Control) Cancel(ctx context.Context, caller Caller, prefix string) (Request, error) {
	r, err := c.find(ctx, caller, "request", prefix)
	if err != nil {
		return Request{}, err
	}
	if r, err = c.Grants.Cancel(ctx, r.ID, caller, c.can(caller, sallyport.PermAdmin)); err != nil {
		return Request{}, err
	}
	return c.viewRequest(r), nil
}

// Pending returns the caller's own pending request for any work at the access, if
// there is one.
func (c *Control) Pending(ctx context.Context, caller Caller, a sallyport.Access) (Request, bool, error) {
	if t, ok := c.Policy().Target(a.Target); ok {
		a.Target = t.Name
	}
	own, err := c.Grants.List(ctx, caller.User)
	if err != nil {
		return Request{}, false, err
	}
	for _, r := range own {
		if r.User == caller.User && r.Access == a && r.Command == "" && r.State == sallyport.RequestPending {
			return c.viewRequest(r), true, nil
		}
	}
	return Request{}, false, nil
}

// Await returns a request of the caller's own once it is no longer pending.
func (c *Control) Await(ctx context.Context, caller Caller, id string) (Request, error) {
	r, err := c.Grants.Get(ctx, id)
	if err != nil {
		return Request{}, err
	}
	if r.User != caller.User {
		return Request{}, sallyport.Errorf(sallyport.CodeNotFound, "no request %.16q", id)
	}
	if r, err = c.Grants.Await(ctx, id); err != nil {
		return Request{}, err
	}
	return c.viewRequest(r), nil
}
