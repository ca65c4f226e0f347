package console

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"golang.org/x/term"

	"sallyport"
	"sallyport/control"
)

// maxAnswers bounds how often one question is asked again.
const maxAnswers = 3

// Hold keeps a person with a terminal and without a grant: it asks for reason
// and duration, files the request, shows who can approve it, and returns nil the
// moment it is approved. Where a request is pending already it waits for that
// one. Ctrl-C withdraws the request. The error is for the user: CodeDenied where
// somebody denied or the user withdrew.
//
// A connection that is lost (ctx) leaves a filed request as it is: the person
// comes back and waits on.
//
// What is typed during the wait is thrown away. Hold may leave one Read of io.In
// behind, which ends with ctx.
func Hold(ctx context.Context, c *control.Control, caller control.Caller, access sallyport.Access, io IO) error {
	a := &app{ctx: ctx, c: c, caller: caller, io: io, output: "text"}
	r, pending, err := c.Pending(ctx, caller, access)
	if err != nil {
		return err
	}
	if !pending {
		ask, err := a.interview(access)
		if err != nil {
			return err
		}
		if r, err = c.RequestCreate(ctx, caller, ask); err != nil {
			return err
		}
	}
	if err := a.filed(r); err != nil {
		return err
	}
	if r.Grant != nil {
		return a.ready(r)
	}
	if err := a.line("waiting; Ctrl-C withdraws the request"); err != nil {
		return err
	}
	return a.await(r)
}

// await waits for the answer to r or for Ctrl-C.
func (a *app) await(r control.Request) error {
	ctx, cancel := context.WithCancelCause(a.ctx)
	defer cancel(nil)
	go watchKeys(ctx, a.io.In, func() { cancel(errWithdrawn) })
	decided, err := a.c.Await(ctx, a.caller, r.ID)
	if err != nil {
		if errors.Is(context.Cause(ctx), errWithdrawn) {
			return a.withdraw(r)
		}
		return err
	}
	return a.outcome(decided)
}

var errWithdrawn = errors.New("withdrawn")

// watchKeys reads what is typed and reports Ctrl-C. It ends with the first of
// those, the end of r or the end of ctx.
func watchKeys(ctx context.Context, r io.Reader, interrupted func()) {
	buf := make([]byte, 64)
	for ctx.Err() == nil {
		n, err := r.Read(buf)
		if bytes.IndexByte(buf[:n], 0x03) >= 0 {
			interrupted()
			return
		}
		if err != nil {
			return
		}
	}
}

// withdraw cancels the request. Where the answer came first, it stands: a yes
// is given back unused, by whoever asked for it.
func (a *app) withdraw(r control.Request) error {
	withdrawn := sallyport.Errorf(sallyport.CodeDenied, "you withdrew the request %s", r.ID)
	_, err := a.c.Cancel(a.ctx, a.caller, r.ID)
	switch sallyport.CodeOf(err) {
	case "":
		return withdrawn
	case sallyport.CodeConflict:
		now, err := a.c.Request(a.ctx, a.caller, r.ID)
		if err != nil {
			return err
		}
		if now.Grant != nil {
			return sallyport.Errorf(sallyport.CodeDenied, "the request %s was approved before you withdrew it", r.ID).
				WithHint("give it back: %s", a.c.Command(a.caller, "grants return "+r.ID))
		}
		return a.outcome(now)
	}
	return err
}

// outcome turns a decided request into the answer to the person who waits.
func (a *app) outcome(r control.Request) error {
	switch sallyport.RequestState(r.State) {
	case sallyport.RequestApproved:
		return a.ready(r)
	case sallyport.RequestDenied:
		text := "your request " + r.ID + " was denied"
		for _, d := range r.Decisions {
			if d.Approve {
				continue
			}
			text += " by " + d.By
			if d.Reason != "" {
				text += ": " + d.Reason
			}
		}
		return sallyport.Errorf(sallyport.CodeDenied, "%s", sallyport.Printable(text))
	case sallyport.RequestLapsed:
		return sallyport.Errorf(sallyport.CodeDenied, "nobody answered your request %s in time", r.ID).
			WithHint("ask again and tell an approver")
	}
	return sallyport.Errorf(sallyport.CodeDenied, "your request %s was withdrawn", r.ID)
}

// ready tells that the request is approved. A grant that starts later is no way
// in now.
func (a *app) ready(r control.Request) error {
	if r.Grant != nil && r.Grant.State == string(sallyport.GrantScheduled) {
		return sallyport.Errorf(sallyport.CodePending, "approved: your grant for %s starts at %s",
			access(r.Account, r.Target), a.stamp(r.Grant.StartedAt)).WithHint("come back then")
	}
	var by []string
	for _, d := range r.Decisions {
		by = append(by, d.By)
	}
	if len(by) == 0 {
		return nil // automatic: it was said already
	}
	return a.line("approved by %s: %s for %s%s", strings.Join(by, " and "), access(r.Account, r.Target), duration(r.For), only(r.Command))
}

// interview asks for the reason and the duration.
func (a *app) interview(to sallyport.Access) (control.Ask, error) {
	ask := control.Ask{Access: to}
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{a.io.In, a.io.Out}, "")
	if a.io.Columns > 0 && a.io.Rows > 0 {
		if err := t.SetSize(a.io.Columns, a.io.Rows); err != nil {
			return ask, err
		}
	}
	if err := a.line("you have no active grant for %s: ask for one here, or leave with Ctrl-C", to); err != nil {
		return ask, err
	}
	question := func(prompt string) (string, error) {
		t.SetPrompt(prompt)
		s, err := t.ReadLine()
		if errors.Is(err, term.ErrPasteIndicator) {
			err = nil
		}
		if errors.Is(err, io.EOF) {
			err = sallyport.Errorf(sallyport.CodeDenied, "nothing was asked for")
		}
		return strings.TrimSpace(s), err
	}
	var err error
	for range maxAnswers {
		if ask.Reason, err = question("reason: "); err != nil || ask.Reason != "" {
			break
		}
	}
	if err != nil {
		return ask, err
	}
	preset, longest := a.c.DefaultFor(a.caller, to, "")
	for range maxAnswers {
		var s string
		s, err = question("how long [" + sallyport.FormatDuration(preset) + ", at most " + sallyport.FormatDuration(longest) + "]: ")
		if err != nil {
			return ask, err
		}
		if ask.For, err = howLong(s, preset, longest); err == nil {
			return ask, nil
		}
		if err := a.line("%s", err.Error()); err != nil {
			return ask, err
		}
	}
	return ask, err
}

func howLong(s string, preset, longest time.Duration) (time.Duration, error) {
	if s == "" {
		return preset, nil
	}
	d, err := sallyport.ParseDuration(s)
	if err == nil && longest > 0 && d > longest {
		err = sallyport.Errorf(sallyport.CodeUsage, "%s is longer than you may ask for", sallyport.FormatDuration(d)).
			WithHint("at most %s", sallyport.FormatDuration(longest))
	}
	return d, err
}
