package control

import (
	"context"
	"slices"
	"strconv"
	"time"

	"sallyport"
)

// Accesses returns what the caller may use or ask for, and where each stands.
func (c *Control) Accesses(ctx context.Context, caller Caller) ([]Access, error) {
	own, err := c.Grants.List(ctx, caller.User)
	if err != nil {
		return nil, err
	}
	locks, err := c.Grants.Locks(ctx)
	if err != nil {
		return nil, err
	}
	now, list := c.now(), []Access{}
	for _, ar := range c.Policy().Accesses(caller.User) {
		v := Access{
			Account: ar.Access.Account, Target: ar.Access.Target, Role: ar.Role.Name, State: "eligible",
			Max: seconds(ar.Role.MaxDuration), Approval: approval(ar.Role.Approval), Channels: []string{},
		}
		for _, ch := range ar.Role.Channels {
			v.Channels = append(v.Channels, string(ch))
		}
		for _, r := range own {
			if r.User != caller.User || r.Access != ar.Access || r.Role != ar.Role.Name {
				continue
			}
			state := string(r.StateAt(now))
			if r.Grant != nil {
				state = string(r.Grant.StateAt(now))
			}
			// Of two in the same state that for any work is used.
			if rank(state) < rank(v.State) || rank(state) == rank(v.State) && (v.Command == "" || r.Command != "") {
				continue
			}
			v.State, v.Request, v.Command, v.StartedAt, v.EndsAt = state, r.ID, r.Command, time.Time{}, time.Time{}
			if r.Grant != nil {
				v.StartedAt, v.EndsAt = r.Grant.Start, r.Grant.End
			}
		}
		for _, l := range locks {
			if l.Covers(caller.User, ar.Access, v.Request, now) {
				v.State = "locked"
			}
		}
		list = append(list, v)
	}
	return list, nil
}

// rank orders the states of an access: the highest is the one that matters, 0
// is over.
func rank(state string) int {
	return 1 + slices.Index([]string{
		"eligible", string(sallyport.RequestPending), string(sallyport.GrantScheduled), string(sallyport.GrantActive),
	}, state)
}

func approval(a sallyport.Approval) string {
	if a.Auto {
		return "auto"
	}
	n := 0
	for _, s := range a.Stages {
		n += s.Need
	}
	return strconv.Itoa(n)
}

// GrantsList returns the grants that the caller may see: those that are active
// or scheduled, or all.
func (c *Control) GrantsList(ctx context.Context, caller Caller, all bool) ([]Grant, error) {
	rs, err := c.visible(ctx, caller)
	if err != nil {
		return nil, err
	}
	now, list := c.now(), []Grant{}
	for _, r := range rs {
		if r.Grant == nil {
			continue
		}
		g := viewGrant(r, now)
		if all || g.State == string(sallyport.GrantActive) || g.State == string(sallyport.GrantScheduled) {
			list = append(list, g)
		}
	}
	return list, nil
}

// Grant returns one grant.
func (c *Control) Grant(ctx context.Context, caller Caller, prefix string) (Grant, error) {
	r, err := c.find(ctx, caller, "grant", prefix)
	if err != nil {
		return Grant{}, err
	}
	return viewGrant(r, c.now()), nil
}

// Return gives the caller's own grant back. Its sessions have ended on return.
func (c *Control) Return(ctx context.Context, caller Caller, prefix string) (Grant, error) {
	r, err := c.find(ctx, caller, "grant", prefix)
	if err != nil {
		return Grant{}, err
	}
	if r, err = c.Grants.Return(context.WithoutCancel(ctx), r.ID, caller); err != nil {
		return Grant{}, err
	}
	return viewGrant(r, c.now()), c.recheck(ctx)
}

// Revoke ends somebody's grant: an approver of it may, and an admin. Its
// sessions have ended on return.
func (c *Control) Revoke(ctx context.Context, caller Caller, prefix, reason string) (Grant, error) {
	r, err := c.find(ctx, caller, "grant", prefix)
	if err != nil {
		return Grant{}, err
	}
	e := sallyport.Event{
		Type: "grant.revoke", Account: r.Access.Account, Target: r.Access.Target, Role: r.Role, Request: r.ID, Grant: r.ID,
	}
	if c.approves(caller, r) {
		if err := c.unlocked(ctx, caller, e); err != nil {
			return Grant{}, err
		}
	} else {
		if err := c.require(ctx, caller, sallyport.PermAdmin, e); err != nil {
			if r.User == caller.User && sallyport.CodeOf(err) == sallyport.CodeDenied {
				return Grant{}, sallyport.Errorf(sallyport.CodeDenied, "you cannot revoke your own grant").
					WithHint("give it back: %s", c.Command(caller, "grants return "+r.ID))
			}
			return Grant{}, err
		}
	}
	if r, err = c.Grants.Revoke(context.WithoutCancel(ctx), r.ID, caller, reason); err != nil {
		return Grant{}, err
	}
	return viewGrant(r, c.now()), c.recheck(ctx)
}

// Whoami tells who the gateway takes the caller for, and what they may do on it.
func (c *Control) Whoami(caller Caller) Person {
	v := Person{User: caller.User, From: caller.From, Groups: []string{}, Permissions: []string{}}
	if u, ok := c.Policy().User(caller.User); ok {
		v.Kind = string(u.Kind)
		if v.Kind == "" {
			v.Kind = string(sallyport.KindPerson)
		}
		v.Groups = append(v.Groups, u.Groups...)
	}
	for _, p := range sallyport.Permissions {
		if c.can(caller, p) {
			v.Permissions = append(v.Permissions, string(p))
		}
	}
	return v
}
