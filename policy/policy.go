// Package policy answers what the configuration allows: who may ask for which
// access, who must agree, who may do what on the gateway, and what a command
// line meets.
//
// Everything here is pure: no I/O, no clock, no state that changes. A *Policy is
// built once from a configuration and is safe for concurrent use; a reload
// builds another.
package policy

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sallyport"
)

// Policy is a checked configuration. Use New.
type Policy struct {
	users    []sallyport.User
	targets  []sallyport.Target
	roles    []sallyport.Role
	perms    map[sallyport.Permission]sallyport.Members
	user     map[string]int
	target   map[string]int // by name and by alias
	role     map[string]int
	commands map[string]*Commands // by role
	forwards map[string]*Forwards // by role
}

// RoleError is an error in the definition of one role, by its index in the
// list that New was given. Err may hold a *RuleError.
type RoleError struct {
	Index int
	Err   error
}

func (e *RoleError) Error() string { return e.Err.Error() }

func (e *RoleError) Unwrap() error { return e.Err }

// New checks the parts of a configuration against each other. It refuses
// duplicate and malformed names, roles that nobody could ever be approved for
// and command rules that do not compile. The slices are not copied deeply and
// must not change afterwards.
func New(users []sallyport.User, targets []sallyport.Target, roles []sallyport.Role,
	perms map[sallyport.Permission]sallyport.Members,
) (*Policy, error) {
	p := &Policy{
		users: slices.Clone(users), targets: slices.Clone(targets), roles: slices.Clone(roles), perms: perms,
		user: map[string]int{}, target: map[string]int{}, role: map[string]int{}, commands: map[string]*Commands{},
		forwards: map[string]*Forwards{},
	}
	add := func(m map[string]int, what, name string, i int) error {
		if !sallyport.ValidName(name) {
			return sallyport.Errorf(sallyport.CodeInvalid, "%q cannot name a %s", name, what).
				WithHint("use letters, digits, dot, underscore and dash")
		}
		if _, ok := m[name]; ok {
			return sallyport.Errorf(sallyport.CodeInvalid, "there are two %ss named %q", what, name)
		}
		m[name] = i
		return nil
	}
	for i, u := range p.users {
		if err := add(p.user, "user", u.Name, i); err != nil {
			return nil, err
		}
	}
	for i, t := range p.targets {
		for _, name := range append([]string{t.Name}, t.Aliases...) {
			if err := add(p.target, "target", name, i); err != nil {
				return nil, err
			}
		}
		for _, a := range t.Accounts {
			if !sallyport.ValidAccount(a) {
				return nil, sallyport.Errorf(sallyport.CodeInvalid, "%q cannot be an account on target %q", a, t.Name)
			}
		}
	}
	for i, r := range p.roles {
		if err := add(p.role, "role", r.Name, i); err != nil {
			return nil, &RoleError{Index: i, Err: err}
		}
		if err := checkRole(r); err != nil {
			return nil, &RoleError{Index: i, Err: err}
		}
		c, err := CompileCommands(r.Commands)
		if err != nil {
			return nil, &RoleError{Index: i, Err: fmt.Errorf("role %q: %w", r.Name, err)}
		}
		p.commands[r.Name] = c
		p.forwards[r.Name] = compileForwards(r)
	}
	for perm := range perms {
		if !slices.Contains(sallyport.Permissions, perm) {
			return nil, sallyport.Errorf(sallyport.CodeInvalid, "%q is no permission", perm).
				WithHint("expected sessions, recordings, audit or admin")
		}
	}
	return p, nil
}

func checkRole(r sallyport.Role) error {
	bad := func(format string, args ...any) *sallyport.Error {
		return sallyport.Errorf(sallyport.CodeInvalid, "role %q: "+format, append([]any{r.Name}, args...)...)
	}
	for _, n := range r.Targets.Names {
		if _, err := path.Match(n, ""); err != nil {
			return bad("%q is no pattern for the names of targets", n)
		}
	}
	for _, a := range r.Accounts {
		if !sallyport.ValidAccount(a) {
			return bad("%q cannot be an account", a)
		}
	}
	for _, c := range r.Channels {
		if !slices.Contains(sallyport.Channels, c) {
			return bad("%q is no channel", c).WithHint("expected shell, exec, sftp, agent, x11, forward-local, forward-remote, forward-socket or ide")
		}
	}
	if err := checkForwards(r); err != nil {
		return bad("%w", err)
	}
	if d := r.Files.Direction; d != "" && !slices.Contains(sallyport.Directions, d) {
		return bad("%q is no direction for files", d).WithHint("expected none, upload, download or both")
	}
	for _, p := range slices.Concat(r.Files.Allow, r.Files.Deny) {
		if !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "**") {
			return bad("%q is no pattern of absolute paths", p).WithHint("expected a path from /, for example /srv/** or **.key")
		}
	}
	if r.Files.MaxSize < 0 || r.Files.Keep < 0 || r.IdleTimeout < 0 || r.Forwards.MaxOpen < 0 || r.Forwards.MaxBytes < 0 {
		return bad("a size, a number or a duration is negative")
	}
	if r.MaxDuration < 0 {
		return bad("max_duration is negative")
	}
	if r.Approval.Auto == (len(r.Approval.Stages) > 0) {
		return bad("approval must be auto or at least one stage, not both")
	}
	for i, s := range r.Approval.Stages {
		if s.Need < 1 {
			return bad("stage %d of its approval needs nobody", i+1).WithHint("need: 1 or more")
		}
		if len(s.Approvers.Users)+len(s.Approvers.Groups) == 0 {
			return bad("stage %d of its approval names no approvers", i+1)
		}
	}
	return nil
}

// User returns the user of that name.
func (p *Policy) User(name string) (sallyport.User, bool) { return lookup(p.users, p.user, name) }

// Users returns every user in configuration order.
func (p *Policy) Users() []sallyport.User { return slices.Clone(p.users) }

// Target returns the target of that name or alias.
func (p *Policy) Target(nameOrAlias string) (sallyport.Target, bool) {
	return lookup(p.targets, p.target, nameOrAlias)
}

// Targets returns every target in configuration order.
func (p *Policy) Targets() []sallyport.Target { return slices.Clone(p.targets) }

// Role returns the role of that name.
func (p *Policy) Role(name string) (sallyport.Role, bool) { return lookup(p.roles, p.role, name) }

// Roles returns every role in configuration order.
func (p *Policy) Roles() []sallyport.Role { return slices.Clone(p.roles) }

func lookup[T any](list []T, index map[string]int, name string) (T, bool) {
	i, ok := index[name]
	if !ok {
		var zero T
		return zero, false
	}
	return list[i], true
}

// Eligible returns the roles under which the user may ask for the access, in
// configuration order. The access names its target by its name, not an alias.
func (p *Policy) Eligible(user string, a sallyport.Access) []sallyport.Role {
	u, ok := p.User(user)
	if !ok {
		return nil
	}
	var roles []sallyport.Role
	for _, r := range p.roles {
		if p.covers(r, u, a) {
			roles = append(roles, r)
		}
	}
	return roles
}

// Allows reports whether the role still exists, the user is still eligible for
// it and the access is still in it.
func (p *Policy) Allows(role, user string, a sallyport.Access) bool {
	u, known := p.User(user)
	r, ok := p.Role(role)
	return known && ok && p.covers(r, u, a)
}

func (p *Policy) covers(r sallyport.Role, u sallyport.User, a sallyport.Access) bool {
	t, ok := p.Target(a.Target)
	return ok && t.Name == a.Target && slices.Contains(t.Accounts, a.Account) &&
		slices.Contains(r.Accounts, a.Account) && r.Eligible.Has(u) && r.Targets.Matches(t)
}

// Reaches reports whether there is any access on the target that the user may
// use or ask for.
func (p *Policy) Reaches(user string, t sallyport.Target) bool {
	return slices.ContainsFunc(t.Accounts, func(account string) bool {
		return len(p.Eligible(user, sallyport.Access{Account: account, Target: t.Name})) > 0
	})
}

// AccessRole is an access and a role that it can be had under.
type AccessRole struct {
	Access sallyport.Access
	Role   sallyport.Role
}

// Accesses returns everything the user may use or ask for: targets in
// configuration order, then their accounts, then roles.
func (p *Policy) Accesses(user string) []AccessRole {
	var list []AccessRole
	for _, t := range p.targets {
		for _, account := range t.Accounts {
			a := sallyport.Access{Account: account, Target: t.Name}
			for _, r := range p.Eligible(user, a) {
				list = append(list, AccessRole{Access: a, Role: r})
			}
		}
	}
	return list
}

// Can reports whether the user has the permission. Admin implies the others.
func (p *Policy) Can(user string, perm sallyport.Permission) bool {
	u, ok := p.User(user)
	if !ok || !slices.Contains(sallyport.Permissions, perm) {
		return false
	}
	return p.perms[perm].Has(u) || p.perms[sallyport.PermAdmin].Has(u)
}

// Commands returns the compiled command rules of the role. It returns nil,
// which judges nothing, for a role that does not exist.
func (p *Policy) Commands(role string) *Commands { return p.commands[role] }
