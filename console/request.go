package console

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/control"
)

func (a *app) request() *cobra.Command {
	var all bool
	ls := a.verb("ls [--all]", "requests: yours, and those that you decide", func([]string) error {
		list, err := a.c.Requests(a.ctx, a.caller, all)
		if err != nil {
			return err
		}
		if a.output == "json" {
			return a.json(list)
		}
		if len(list) == 0 {
			a.say("there is no request")
		}
		var rows [][]string
		for _, r := range list {
			rows = append(rows, []string{
				r.ID, r.User, access(r.Account, r.Target), duration(r.For), r.State,
				a.stamp(r.CreatedAt), r.Command, strings.TrimSpace(r.Ticket + " " + r.Reason),
			})
		}
		return a.table([]string{"ID", "USER", "ACCESS", "FOR", "STATE", "CREATED", commandColumn, "REASON"}, rows)
	})
	ls.Flags().BoolVar(&all, "all", false, "also those decided more than a week ago")
	show := a.verb("show ID", "one request, and who can decide it", func(args []string) error {
		r, err := a.c.Request(a.ctx, a.caller, args[0])
		if err != nil {
			return err
		}
		return a.showRequest(r)
	})
	var why string
	approve := a.withReason("approve ID", "say yes", &why, func(args []string) error {
		r, err := a.c.Approve(a.ctx, a.caller, args[0], why)
		if err != nil {
			return err
		}
		if r.State == string(sallyport.RequestPending) {
			return a.done(r, "approved request %s%s: it waits for %d more: %s", r.ID, only(r.Command), r.Missing, strings.Join(r.Approvers, ", "))
		}
		return a.done(r, "approved request %s: %s may use %s for %s%s", r.ID, r.User, access(r.Account, r.Target), duration(r.For), only(r.Command))
	})
	var because string
	deny := a.withReason("deny ID", "say no; the requester reads the reason", &because, func(args []string) error {
		r, err := a.c.Deny(a.ctx, a.caller, args[0], because)
		if err != nil {
			return err
		}
		return a.done(r, "denied request %s", r.ID)
	})
	cancel := a.verb("cancel ID", "withdraw your request", func(args []string) error {
		r, err := a.c.Cancel(a.ctx, a.caller, args[0])
		if err != nil {
			return err
		}
		return a.done(r, "withdrew request %s", r.ID)
	})
	return a.group("request", "ask for access, and answer", a.create(), ls, show, approve, deny, cancel)
}

func (a *app) create() *cobra.Command {
	var ask control.Ask
	var length, start string
	var cmd *cobra.Command
	cmd = a.withReason("create ACCESS", "ask for an access, for example root@web1", &ask.Reason, func(args []string) (err error) {
		if ask.Access, err = a.c.ParseAccess(args[0]); err != nil {
			return err
		}
		if length != "" {
			if ask.For, err = sallyport.ParseDuration(length); err != nil {
				return err
			}
		}
		if ask.Start, err = parseStart(start, a.c.Clock()); err != nil {
			return err
		}
		if ask.Command == "" && cmd.Flags().Changed("command") { // a script's empty variable asks for less, not for all
			return sallyport.Errorf(sallyport.CodeUsage, "the command is missing").WithHint("leave --command out to ask for any work")
		}
		r, err := a.c.RequestCreate(a.ctx, a.caller, ask)
		if err != nil {
			return err
		}
		if a.output == "json" {
			return a.json(r)
		}
		if !a.io.Terminal {
			return a.line("%s", r.ID) // for scripts: the id and nothing else
		}
		return a.filed(r)
	})
	f := cmd.Flags()
	f.StringVar(&length, "for", "", "how long: 30m, 1h30m, 2d (default: 1h or the role's longest)")
	f.StringVar(&start, "start", "", "when: 22:00, 2006-01-02 22:00 or RFC 3339 (default: at approval)")
	f.StringVar(&ask.Ticket, "ticket", "", "the ticket it belongs to")
	f.StringVar(&ask.Command, "command", "", "for this one command, in its very words, and nothing else: all up to the next flag")
	f.StringVar(&ask.Role, "role", "", "the role, where several give the access")
	cmd.Long = `Ask for an access, for any work or for one command alone.

With --command the grant is for that command in its very words, as the account's
shell at the target reads it: no shell, no terminal, no files, no forwards. The
value is all up to the next flag, quotes and all. A command with words that begin
with two dashes goes in quotes that reach the gateway:

  ` + a.c.Command(a.caller, `"request create root@web1 --command 'systemctl restart --no-block nginx'"`)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		e := sallyport.Errorf(sallyport.CodeUsage, "%s", err.Error()).WithHint("see: %s", a.help(cmd))
		if ask.Command != "" {
			e.Hint = "if it is a part of the command, put the command in quotes that reach the gateway; " + e.Hint
		}
		return e
	})
	return cmd
}

// only says after what is granted that it is for one command alone.
func only(command string) string {
	if command == "" {
		return ""
	}
	return ", only to run: " + command
}

// filed tells a person what became of their request, and what happens next.
func (a *app) filed(r control.Request) error {
	if r.Grant != nil {
		if err := a.line("request %s is approved: %s until %s%s", r.ID, access(r.Account, r.Target), a.stamp(r.Grant.EndsAt), only(r.Command)); err != nil {
			return err
		}
		return a.warn(r)
	}
	if err := a.line("request %s is filed: %s for %s%s", r.ID, access(r.Account, r.Target), duration(r.For), only(r.Command)); err != nil {
		return err
	}
	if err := a.warn(r); err != nil {
		return err
	}
	return a.askApprovers(r)
}

// warn tells what is to be looked at in the command of a request.
func (a *app) warn(r control.Request) error {
	if r.Warning == "" {
		return nil
	}
	return a.line("mind the command: %s", r.Warning)
}

// askApprovers tells who can approve and what they type.
func (a *app) askApprovers(r control.Request) error {
	if len(r.Approvers) == 0 {
		return a.line("nobody can approve it: tell the operator of the gateway")
	}
	who := strings.Join(r.Approvers, ", ")
	if r.Missing > 1 {
		who += " (" + strconv.Itoa(r.Missing) + " of them)"
	}
	if err := a.line("who can approve: %s", who); err != nil {
		return err
	}
	return a.line("they type:       %s", a.c.Command(control.Caller{}, "request approve "+r.ID))
}

func (a *app) showRequest(r control.Request) error {
	if a.output == "json" {
		return a.json(r)
	}
	var answers []string
	for _, d := range r.Decisions {
		s := d.By + " approved"
		if !d.Approve {
			s = d.By + " denied"
		}
		if d.Reason != "" {
			s += ": " + d.Reason
		}
		answers = append(answers, s)
	}
	pairs := []string{
		"id", r.ID, "user", r.User, "access", access(r.Account, r.Target), "role", r.Role, "state", r.State,
		"for", duration(r.For), "start", a.stamp(r.Start), "command", r.Command, "mind the command", r.Warning, "reason", r.Reason, "ticket", r.Ticket,
		"created", a.stamp(r.CreatedAt), "answers", strings.Join(answers, "; "),
		"who can approve", strings.Join(r.Approvers, ", "),
	}
	if r.State == string(sallyport.RequestPending) {
		pairs = append(pairs, "lapses", a.stamp(r.LapsesAt))
	}
	if r.Grant != nil {
		pairs = append(pairs, "grant", r.Grant.State, "granted from", a.stamp(r.Grant.StartedAt), "granted until", a.stamp(r.Grant.EndsAt))
	}
	return a.fields(pairs...)
}

// parseStart reads when a grant shall start: a time of day is the next such
// time on the gateway's clock.
func parseStart(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	t, err := time.Parse("15:04", s)
	if err != nil {
		return time.Time{}, sallyport.Errorf(sallyport.CodeUsage, "%.40q is no time", s).
			WithHint("write 22:00, 2006-01-02T22:00 or 2006-01-02T22:00:00Z")
	}
	y, m, d := now.Date()
	at := time.Date(y, m, d, t.Hour(), t.Minute(), 0, 0, now.Location())
	if at.Before(now) {
		at = time.Date(y, m, d+1, t.Hour(), t.Minute(), 0, 0, now.Location())
	}
	return at, nil
}
