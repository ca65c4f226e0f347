package config

import (
	"fmt"
	"slices"
	"strings"

	"sallyport"
)

// ref is the use of a name that must be defined elsewhere in the file.
type ref struct {
	name string
	line int
}

// roleLines are the lines of a role that errors across the file name.
type roleLines struct {
	accounts int
	stages   []int
}

// across checks what the parts of the file say about each other, where a
// mistyped name would silently leave a role that nobody can use.
func (d *decoder) across(c *Config) {
	at := func(line int, format string, args ...any) {
		d.errs = append(d.errs, problem{d.file, line, fmt.Sprintf(format, args...)})
	}
	for _, m := range d.members {
		if _, ok := d.users.line[m.name]; !ok {
			at(m.line, "no user is named %q (expected a name under users)", m.name)
		}
	}
	for _, t := range d.selected {
		if _, ok := d.targets.line[t.name]; !ok {
			at(t.line, "no target is named %q (expected a name or an alias under targets, or a pattern with * or ?)", t.name)
		}
	}
	if len(d.errs) > 0 {
		return // what is missing would be told again
	}
	nameTargets(c)
	for i, r := range c.Roles {
		if have := accountsOf(r, c.Targets); len(have) > 0 && !slices.ContainsFunc(r.Accounts, func(a string) bool { return slices.Contains(have, a) }) {
			at(d.roleLines[i].accounts, "no account of role %q is on any of its targets (expected one of %s)", r.Name, strings.Join(have, ", "))
		}
		for k, s := range r.Approval.Stages {
			people := 0
			for _, u := range c.Users {
				if s.Approvers.Has(u) {
					people++
				}
			}
			if people < s.Need {
				at(d.roleLines[i].stages[k], "an approval of role %q needs %d, but only %d may approve it (expected more people in approvers, or a lower need)", r.Name, s.Need, people)
			}
		}
	}
}

// nameTargets puts the names of targets where roles and their rules name their
// aliases: a selector knows names only.
func nameTargets(c *Config) {
	for _, t := range c.Targets {
		name := func(names []string) {
			for i, n := range names {
				if slices.Contains(t.Aliases, n) {
					names[i] = t.Name
				}
			}
		}
		for _, r := range c.Roles {
			name(r.Targets.Names)
			for _, rule := range r.Commands.Rules {
				if rule.When != nil {
					name(rule.When.Targets)
				}
			}
		}
	}
}

// accountsOf returns the accounts of the targets that the role selects.
func accountsOf(r sallyport.Role, targets []sallyport.Target) (have []string) {
	for _, t := range targets {
		if !r.Targets.Matches(t) {
			continue
		}
		for _, a := range t.Accounts {
			if !slices.Contains(have, a) {
				have = append(have, a)
			}
		}
	}
	return have
}
