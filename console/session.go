package console

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/control"
)

func (a *app) sessions() *cobra.Command {
	ls := a.verb("ls", "live sessions", func([]string) error {
		list, err := a.c.Sessions(a.ctx, a.caller)
		if err != nil {
			return err
		}
		if a.output == "json" {
			return a.json(list)
		}
		if len(list) == 0 {
			a.say("there is no live session")
		}
		var rows [][]string
		for _, s := range list {
			rows = append(rows, []string{
				s.ID, s.User, access(s.Account, s.Target), a.stamp(s.StartedAt), a.left(s.ExpiresAt),
				strconv.Itoa(s.Channels), s.From, s.Grant, s.Command,
			})
		}
		return a.table([]string{"ID", "USER", "ACCESS", "STARTED", "LEFT", "CHANNELS", "FROM", "GRANT", commandColumn}, rows)
	})
	show := a.verb("show ID", "one session, live or ended", func(args []string) error {
		s, err := a.c.Session(a.ctx, a.caller, args[0])
		if err != nil {
			return err
		}
		if a.output == "json" {
			return a.json(s)
		}
		return a.fields("id", s.ID, "user", s.User, "access", access(s.Account, s.Target), "state", s.State,
			"role", s.Role, "grant", s.Grant, "command", s.Command, "from", s.From, "client", s.Client, "address", s.Address,
			"channels", strconv.Itoa(s.Channels), "started", a.stamp(s.StartedAt), "expires", a.stamp(s.ExpiresAt),
			"ended", a.stamp(s.EndedAt), "cause", s.Cause, "by", s.By, "because", s.Reason)
	})
	var reason string
	kill := a.withReason("kill ID", "end a session and lock its grant", &reason, func(args []string) error {
		s, err := a.c.Kill(a.ctx, a.caller, args[0], reason)
		if err != nil {
			return err
		}
		return a.done(s, "killed session %s: %s on %s; grant %s is locked", s.ID, s.User, access(s.Account, s.Target), s.Grant)
	})
	return a.group("sessions", "who is on which target", ls, show, kill)
}

func (a *app) lock() *cobra.Command {
	var ask control.LockAsk
	var length string
	add := a.withReason("add", "refuse a user, a target, an account, or what matches all that are named", &ask.Reason, func([]string) (err error) {
		if length != "" {
			if ask.For, err = sallyport.ParseDuration(length); err != nil {
				return err
			}
		}
		l, err := a.c.LockAdd(a.ctx, a.caller, ask)
		if err != nil {
			return err
		}
		if a.output == "text" && !a.io.Terminal {
			return a.line("%s", l.ID)
		}
		return a.done(l, "lock %s stands: %s", l.ID, covers(l))
	})
	f := add.Flags()
	f.StringVar(&ask.User, "user", "", "whom")
	f.StringVar(&ask.Target, "target", "", "where")
	f.StringVar(&ask.Account, "account", "", "as whom")
	f.StringVar(&length, "for", "", "how long (default: until removed)")
	ls := a.verb("ls", "the locks that stand", func([]string) error {
		list, err := a.c.Locks(a.ctx, a.caller)
		if err != nil {
			return err
		}
		if a.output == "json" {
			return a.json(append([]sallyport.Lock{}, list...))
		}
		if len(list) == 0 {
			a.say("there is no lock")
		}
		var rows [][]string
		for _, l := range list {
			rows = append(rows, []string{l.ID, covers(l), l.By, a.stamp(l.CreatedAt), a.left(l.EndsAt), l.Reason})
		}
		return a.table([]string{"ID", "COVERS", "BY", "CREATED", "LEFT", "REASON"}, rows)
	})
	rm := a.verb("rm ID", "remove a lock", func(args []string) error {
		l, err := a.c.LockRemove(a.ctx, a.caller, args[0])
		if err != nil {
			return err
		}
		return a.done(l, "removed lock %s: %s", l.ID, covers(l))
	})
	return a.group("lock", "standing refusals", add, ls, rm)
}

func covers(l sallyport.Lock) string {
	var parts []string
	for _, p := range [][2]string{{"user", l.User}, {"account", l.Account}, {"target", l.Target}, {"grant", l.Grant}} {
		if p[1] != "" {
			parts = append(parts, p[0]+" "+p[1])
		}
	}
	return strings.Join(parts, ", ")
}

func (a *app) recordings() *cobra.Command {
	var q control.Query
	var since, until string
	ls := a.verb("ls [flags]", "what sessions left", func([]string) (err error) {
		if q.Since, err = parseDay(since, a.c.Clock()); err != nil {
			return err
		}
		if q.Until, err = parseDay(until, a.c.Clock()); err != nil {
			return err
		}
		list, err := a.c.Recordings(a.ctx, a.caller, q)
		if err != nil {
			return err
		}
		if a.output == "json" {
			return a.json(list)
		}
		if len(list) == 0 {
			a.say("there is no recording")
		}
		var rows [][]string
		for _, r := range list {
			length := ""
			if !r.EndedAt.IsZero() {
				length = sallyport.FormatDuration(r.EndedAt.Sub(r.StartedAt))
			}
			rows = append(rows, []string{
				r.ID, r.User, access(r.Account, r.Target), a.stamp(r.StartedAt), length,
				strconv.Itoa(len(r.Names)), condition(r),
			})
		}
		return a.table([]string{"ID", "USER", "ACCESS", "STARTED", "LENGTH", "CHANNELS", "END"}, rows)
	})
	f := ls.Flags()
	f.StringVar(&q.User, "user", "", "of this user")
	f.StringVar(&q.Account, "account", "", "as this account")
	f.StringVar(&q.Target, "target", "", "on this target")
	f.StringVar(&since, "since", "", "begun at or after this time or day")
	f.StringVar(&until, "until", "", "begun before this time or day")

	var o control.ExportOptions
	var format string
	export := a.verb("export ID [flags]", "write a recording to stdout", func(args []string) error {
		switch format {
		case "cast", "v2", "txt", "raw":
		default:
			return sallyport.Errorf(sallyport.CodeUsage, "there is no format %.40q", format).WithHint("write --format cast, v2, txt or raw")
		}
		if a.io.Terminal && (format == "raw" || format == "cast") {
			return sallyport.Errorf(sallyport.CodeUsage, "%s holds what the target sent, unfiltered, and your terminal would obey it", format).
				WithHint("send it to a file: %s", a.c.Command(a.caller, "recordings export "+args[0]+" --format "+format+" > FILE"))
		}
		o.Format = control.Format(format)
		return a.c.Export(a.ctx, a.caller, a.io.Out, args[0], o)
	})
	f = export.Flags()
	f.StringVar(&format, "format", "cast", "cast (asciicast v3), v2 (asciicast v2), txt or raw")
	f.StringVar(&o.Channel, "channel", "", "which channel (default: the first)")
	f.StringVar(&o.Stream, "stream", "", "for raw: out, err or in (default: out)")
	return a.group("recordings", "what sessions left", ls, export)
}

func condition(r control.Recording) string {
	switch {
	case r.Damaged != "":
		return "damaged: " + r.Damaged
	case r.State == "live":
		return "live"
	case r.Truncated:
		return r.Cause + ", truncated"
	}
	return r.Cause
}

func (a *app) play() *cobra.Command {
	var o control.PlayOptions
	var idle, at string
	cmd := a.verb("play ID [flags]", "show a recording; space pauses, arrows seek, . steps, q quits", func(args []string) (err error) {
		if o.Speed <= 0 {
			return sallyport.Errorf(sallyport.CodeUsage, "the speed must be above zero").WithHint("write for example --speed 2")
		}
		if idle != "" {
			if o.Idle, err = sallyport.ParseDuration(idle); err != nil {
				return err
			}
		}
		if o.At, err = parseAt(at); err != nil {
			return err
		}
		o.Out = a.io.Out
		if a.io.Terminal {
			o.Keys = a.io.In
		}
		return a.c.Play(a.ctx, a.caller, args[0], o)
	})
	f := cmd.Flags()
	f.Float64Var(&o.Speed, "speed", 1, "how many times as fast")
	f.StringVar(&idle, "idle", "", "the longest pause, for example 1s (default: as it was)")
	f.StringVar(&at, "at", "", "where to begin: 12:30, 1:02:03 or 90s")
	f.StringVar(&o.Channel, "channel", "", "which channel (default: the first)")
	return cmd
}

// parseAt reads a place in a recording: minutes:seconds, hours:minutes:seconds
// or a duration.
func parseAt(s string) (time.Duration, error) {
	if s == "" || s == "0" || s == "0s" {
		return 0, nil
	}
	parts := strings.Split(s, ":")
	if len(parts) == 1 {
		return sallyport.ParseDuration(s)
	}
	var total time.Duration
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || len(parts) > 3 || i > 0 && n > 59 {
			return 0, sallyport.Errorf(sallyport.CodeUsage, "%.40q is no place in a recording", s).
				WithHint("write 12:30, 1:02:03 or 90s")
		}
		total = total*60 + time.Duration(n)
	}
	return total * time.Second, nil
}

// parseDay reads a time or the beginning of a day.
func parseDay(s string, now time.Time) (time.Time, error) {
	if t, err := time.ParseInLocation(time.DateOnly, s, now.Location()); err == nil {
		return t, nil
	}
	return parseStart(s, now)
}
