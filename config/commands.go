package config

import (
	"errors"
	"strings"

	"go.yaml.in/yaml/v4"

	"sallyport"
	"sallyport/policy"
)

// commands reads the command rules of a role.
func (d *decoder) commands(n *yaml.Node) sallyport.Commands {
	var c sallyport.Commands
	var rules, unlisted *yaml.Node
	d.mapping(n, "commands",
		field{"mode", false, func(n *yaml.Node) { c.Mode = oneOf(d, n, "mode of command rules", sallyport.Modes...) }},
		field{"rules", false, func(n *yaml.Node) { rules = n }},
		field{"classes", false, func(n *yaml.Node) {
			c.Classes = map[sallyport.Class]sallyport.Action{}
			read := func(class sallyport.Class) field {
				return field{string(class), false, func(n *yaml.Node) { c.Classes[class] = d.action(n) }}
			}
			d.mapping(n, "classes", read(sallyport.ClassOpaque), read(sallyport.ClassTamper), read(sallyport.ClassUnverifiable),
				field{string(sallyport.ClassUnlisted), false, func(n *yaml.Node) {
					c.Classes[sallyport.ClassUnlisted], unlisted = d.action(n), n
				}})
		}},
		field{"mask", false, func(n *yaml.Node) { c.Mask = d.texts(n, "mask", d.mask) }},
	)
	if unlisted != nil && c.Mode != sallyport.AllowList {
		d.bad(unlisted, "only an allow-list has lines that are unlisted (expected mode: allow-list beside it)")
	}
	if rules != nil { // last: what a rule means depends on the mode
		d.sequence(rules, "rules", func(n *yaml.Node) { c.Rules = append(c.Rules, d.rule(n, c.Mode)) })
	}
	return c
}

// rule reads a rule and compiles it alone, so that an error has its line.
func (d *decoder) rule(n *yaml.Node, mode sallyport.Mode) sallyport.CommandRule {
	var r sallyport.CommandRule
	before := len(d.errs)
	d.mapping(n, "a rule",
		field{"program", false, func(n *yaml.Node) { r.Program = d.text(n) }},
		field{"flags", false, func(n *yaml.Node) { r.Flags = d.texts(n, "flags", nil) }},
		field{"args", false, func(n *yaml.Node) { r.Args = d.texts(n, "args", nil) }},
		field{"match", false, func(n *yaml.Node) { r.Match = d.text(n) }},
		field{"regex", false, func(n *yaml.Node) { r.Regex = d.text(n) }},
		field{"sftp", false, func(n *yaml.Node) { r.SFTP = d.texts(n, "sftp", nil) }},
		field{"paths", false, func(n *yaml.Node) { r.Paths = d.texts(n, "paths", nil) }},
		field{"when", false, func(n *yaml.Node) { r.When = d.when(n) }},
		field{"action", mode != sallyport.AllowList, func(n *yaml.Node) { r.Action = d.action(n) }},
	)
	if len(d.errs) == before {
		d.compiles(resolve(n), "the rule", sallyport.Commands{Mode: mode, Rules: []sallyport.CommandRule{r}})
	}
	return r
}

func (d *decoder) when(n *yaml.Node) *sallyport.CommandWhen {
	var w sallyport.CommandWhen
	d.mapping(n, "when",
		field{"users", false, func(n *yaml.Node) {
			w.Users = d.texts(n, "users", func(n *yaml.Node, s string) { d.members = append(d.members, ref{s, n.Line}) })
		}},
		field{"groups", false, func(n *yaml.Node) { w.Groups = d.texts(n, "groups", d.group) }},
		field{"targets", false, func(n *yaml.Node) {
			w.Targets = d.texts(n, "targets", func(n *yaml.Node, s string) {
				if !strings.ContainsAny(s, `*?[\`) {
					d.selected = append(d.selected, ref{s, n.Line})
				}
			})
		}},
		field{"labels", false, func(n *yaml.Node) { w.Labels = d.labels(n) }},
		field{"accounts", false, func(n *yaml.Node) { w.Accounts = d.accounts(n) }},
		field{"time", false, func(n *yaml.Node) { w.Time = d.text(n) }},
		field{"days", false, func(n *yaml.Node) { w.Days = d.texts(n, "days", nil) }},
		field{"zone", false, func(n *yaml.Node) { w.Zone = d.text(n) }},
	)
	return &w
}

func (d *decoder) mask(n *yaml.Node, pattern string) {
	d.compiles(n, "the mask", sallyport.Commands{Mask: []string{pattern}})
}

// compiles reports what is wrong with a part of the command rules at its line.
func (d *decoder) compiles(n *yaml.Node, what string, c sallyport.Commands) {
	if _, err := policy.CompileCommands(c); err != nil {
		var re *policy.RuleError
		if errors.As(err, &re) {
			err = re.Err
		}
		d.bad(n, "%s does not compile: %s%s", what, err, hint(err))
	}
}
