package console

import (
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/control"
)

func access(account, target string) string {
	return sallyport.Access{Account: account, Target: target}.String()
}

func (a *app) ls() *cobra.Command {
	return a.verb("ls", "accesses that you may use or request, and their state", func([]string) error { return a.accesses() })
}

func (a *app) accesses() error {
	all, err := a.c.Accesses(a.ctx, a.caller)
	if err != nil {
		return err
	}
	if a.output == "json" {
		return a.json(all)
	}
	if len(all) == 0 {
		a.say("there is no access that you may ask for")
	}
	var rows [][]string
	for _, v := range all {
		needs := "automatic"
		if v.Approval != "auto" {
			needs = "by " + v.Approval
		}
		left := a.left(v.EndsAt)
		if v.State == string(sallyport.GrantScheduled) {
			left = "from " + a.stamp(v.StartedAt)
		}
		rows = append(rows, []string{access(v.Account, v.Target), v.State, left, v.Request, duration(v.Max), needs, v.Role, v.Command})
	}
	return a.table([]string{"ACCESS", "STATE", "LEFT", "ID", "MAX", "APPROVAL", "ROLE", commandColumn}, rows)
}

func (a *app) grants() *cobra.Command {
	var all bool
	ls := a.verb("ls [--all]", "active and scheduled grants", func([]string) error {
		list, err := a.c.GrantsList(a.ctx, a.caller, all)
		if err != nil {
			return err
		}
		if a.output == "json" {
			return a.json(list)
		}
		if len(list) == 0 {
			a.say("there is no grant")
		}
		var rows [][]string
		for _, g := range list {
			rows = append(rows, []string{g.ID, g.User, access(g.Account, g.Target), g.State, a.stamp(g.StartedAt), a.left(g.EndsAt), g.Command, g.Reason})
		}
		return a.table([]string{"ID", "USER", "ACCESS", "STATE", "START", "LEFT", commandColumn, "REASON"}, rows)
	})
	ls.Flags().BoolVar(&all, "all", false, "also those that are over")
	show := a.verb("show ID", "one grant", func(args []string) error {
		g, err := a.c.Grant(a.ctx, a.caller, args[0])
		if err != nil {
			return err
		}
		return a.showGrant(g)
	})
	giveBack := a.verb("return ID", "give your own grant back; its sessions end", func(args []string) error {
		g, err := a.c.Return(a.ctx, a.caller, args[0])
		if err != nil {
			return err
		}
		return a.done(g, "returned grant %s: %s", g.ID, access(g.Account, g.Target))
	})
	var reason string
	revoke := a.withReason("revoke ID", "end somebody's grant; its sessions end", &reason, func(args []string) error {
		g, err := a.c.Revoke(a.ctx, a.caller, args[0], reason)
		if err != nil {
			return err
		}
		return a.done(g, "revoked grant %s: %s for %s", g.ID, access(g.Account, g.Target), g.User)
	})
	return a.group("grants", "what is granted", ls, show, giveBack, revoke)
}

// withReason is a verb with a --reason.
func (a *app) withReason(use, short string, reason *string, run func(args []string) error) *cobra.Command {
	cmd := a.verb(use, short, run)
	cmd.Flags().StringVar(reason, "reason", "", "why: all words up to the next flag")
	return cmd
}

func (a *app) showGrant(g control.Grant) error {
	if a.output == "json" {
		return a.json(g)
	}
	return a.fields("id", g.ID, "user", g.User, "access", access(g.Account, g.Target), "role", g.Role, "state", g.State,
		"start", a.stamp(g.StartedAt), "end", a.stamp(g.EndsAt), "command", g.Command, "reason", g.Reason,
		"ended at", a.stamp(g.EndedAt), "ended by", g.EndedBy, "because", g.EndReason)
}

// done confirms: the object as JSON, or a line.
func (a *app) done(v any, format string, args ...any) error {
	if a.output == "json" {
		return a.json(v)
	}
	return a.line(format, args...)
}

func (a *app) whoami() *cobra.Command {
	return a.verb("whoami", "who the gateway takes you for", func([]string) error {
		p := a.c.Whoami(a.caller)
		if a.output == "json" {
			return a.json(p)
		}
		return a.fields("user", p.User, "kind", p.Kind, "groups", strings.Join(p.Groups, ", "),
			"permissions", strings.Join(p.Permissions, ", "), "from", p.From)
	})
}

func (a *app) version() *cobra.Command {
	return a.verb("version", "the gateway's version", func([]string) error {
		v := struct {
			Version  string `json:"version"`
			Revision string `json:"revision,omitempty"`
			Go       string `json:"go"`
		}{Version: "unknown"}
		if b, ok := debug.ReadBuildInfo(); ok {
			v.Version, v.Go = b.Main.Version, b.GoVersion
			for _, s := range b.Settings {
				if s.Key == "vcs.revision" {
					v.Revision = s.Value
				}
			}
		}
		if a.output == "json" {
			return a.json(v)
		}
		return a.line("%s", strings.Join(strings.Fields("sallyport "+v.Version+" "+v.Revision+" "+v.Go), " "))
	})
}
