package proxy

import (
	"context"
	"errors"
	"io"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/wire"
)

// visit is a channel that the gateway answers itself: the console, a person who
// is held until a grant comes, or a refusal. It answers the client's requests
// until the channel is handed on to a target or closed.
type visit struct {
	conn *conn
	ch   ssh.Channel
	reqs <-chan *ssh.Request
	in   *handover

	// What the client asked for, to be asked of the target if it comes to that.
	asked []*ssh.Request
	pty   *wire.Pty
	start *ssh.Request // shell, exec or subsystem
}

// hearOut accepts a channel that has no session to go to and finds out what
// the client wants: the console where the login says so; otherwise refused is
// why there is no session, and the user is told, or held where a grant could
// still come.
func (c *conn) hearOut(ctx context.Context, nc ssh.NewChannel, refused error) {
	ch, reqs, err := nc.Accept()
	if err != nil {
		return
	}
	v := &visit{conn: c, ch: ch, reqs: reqs, in: newHandover(ch)}
	defer v.in.close()
	// The channel counts until the client has closed it too, as it holds memory
	// until then; and whoever sends requests to nobody blocks the connection.
	defer ssh.DiscardRequests(reqs)
	defer ch.Close()
	if !v.listen(ctx) {
		return
	}
	c.Finished()
	_ = v.start.Reply(true, nil)
	var x *session
	v.attend(ctx, func(ctx context.Context, p Visit) {
		err := refused
		switch {
		case refused == nil:
			v.exit(v.console(ctx, p))
			return
		case v.pty != nil && c.srv.Hold != nil && sallyport.CodeOf(refused) == sallyport.CodeNoGrant:
			x, err = v.hold(ctx, p)
		}
		if err != nil {
			v.refuse(err)
		}
	})
	if x == nil {
		return
	}
	in, err := v.in.rest()
	if err == nil {
		err = x.resume(v.ch, in, append(v.asked, v.start), v.reqs)
	}
	if err != nil {
		v.attend(ctx, func(context.Context, Visit) { v.refuse(err) })
	}
}

// listen answers requests until the client says what to run. It returns false
// if it never does.
func (v *visit) listen(ctx context.Context) bool {
	nenv := 0
	for {
		var req *ssh.Request
		var ok bool
		select {
		case req, ok = <-v.reqs:
			if !ok {
				return false
			}
		case <-ctx.Done():
			return false
		}
		v.conn.pace.request(ctx, req.Type)
		switch req.Type {
		case "shell", "exec", "subsystem":
			v.start = req
			return true
		case "pty-req":
			p, err := wire.ParsePty(req.Payload)
			if err != nil || v.pty != nil || len(req.Payload) > maxPtyBytes {
				v.decline(req, "malformed or a second one")
				continue
			}
			sized(&p.Columns, &p.Rows)
			v.pty = &p
			v.asked = append(v.asked, req)
			_ = req.Reply(true, nil)
		case "env":
			nenv++
			if nenv > maxEnv || len(req.Payload) > maxEnvBytes {
				v.decline(req, "too many variables, or too large a one")
				continue
			}
			v.asked = append(v.asked, req)
			_ = req.Reply(true, nil)
		case "window-change":
			v.resize(req)
		default:
			_ = req.Reply(false, nil)
		}
	}
}

// decline answers no and says so in the audit log.
func (v *visit) decline(req *ssh.Request, reason string) {
	e := v.conn.event("request.refuse")
	e.Reason, e.Details = reason, map[string]string{"type": req.Type}
	v.conn.refuse(e)
	_ = req.Reply(false, nil)
}

// resize keeps the size for the pty-req that the target may get later.
func (v *visit) resize(req *ssh.Request) {
	w, err := wire.ParseWindow(req.Payload)
	if err != nil || v.pty == nil {
		return
	}
	sized(&w.Columns, &w.Rows)
	v.pty.Columns, v.pty.Rows, v.pty.Width, v.pty.Height = w.Columns, w.Rows, w.Width, w.Height
	for _, r := range v.asked {
		if r.Type == "pty-req" {
			r.Payload = wire.Marshal(*v.pty)
		}
	}
}

// attend answers requests while f runs, and ends f's context when the client
// closes the channel.
func (v *visit) attend(ctx context.Context, f func(ctx context.Context, p Visit)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := v.person(ctx) // before the size can change
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer v.conn.srv.contain("console", sallyport.Event{User: v.conn.identity.User, From: v.conn.from}, func() { v.conn.Close() })
		f(ctx, p)
	}()
	reqs := v.reqs
	for {
		select {
		case req, ok := <-reqs:
			if !ok {
				cancel()
				reqs = nil
				continue
			}
			v.conn.pace.request(ctx, req.Type)
			if req.Type == "window-change" {
				v.resize(req)
			}
			_ = req.Reply(false, nil)
		case <-done:
			return
		}
	}
}

// person returns what the console sees of this visit.
func (v *visit) person(ctx context.Context) Visit {
	p := Visit{
		User: v.conn.identity.User, From: v.conn.from,
		In: v.in.reader(ctx), Out: v.ch, Err: v.ch.Stderr(),
	}
	if v.start.Type == "exec" {
		p.Command, _ = wire.ParseString(v.start.Payload)
	}
	if v.pty != nil {
		p.Terminal, p.Term = true, v.pty.Term
		p.Columns, p.Rows = shown(v.pty.Columns, v.pty.Rows)
		out := newlines{v.ch}
		p.Out, p.Err = out, out
	}
	return p
}

// console runs one command at the gateway itself.
func (v *visit) console(ctx context.Context, p Visit) int {
	if v.start.Type == "subsystem" || v.conn.srv.Console == nil {
		v.line("the gateway itself has no " + what(v.start.Type, "") + "; name a target: account@target")
		return sallyport.ExitUsage
	}
	return v.conn.srv.Console(ctx, p)
}

// hold keeps the user until the access is granted, and begins the session.
func (v *visit) hold(ctx context.Context, p Visit) (*session, error) {
	if err := v.conn.srv.Hold(ctx, p, v.conn.login.Access); err != nil {
		return nil, err
	}
	return v.conn.enter(ctx)
}

// refuse tells the user why, and what to do.
func (v *visit) refuse(err error) {
	ending, ended := sallyport.EndingOf(err)
	var un *unreachable
	status := sallyport.ExitStatus(err)
	switch {
	case ended:
		status = exitStatus(ending)
	case errors.As(err, &un):
		status = sallyport.ExitUnreachable
	case sallyport.CodeOf(err) == sallyport.CodePending, sallyport.CodeOf(err) == sallyport.CodeNotFound:
		status = sallyport.ExitDenied // of a session, there is only the one kind of no
	case sallyport.CodeOf(err) == sallyport.CodeInternal:
		v.conn.srv.Log.Error().Err(err).Str("user", v.conn.identity.User).Msg("no session")
		err = sallyport.Errorf(sallyport.CodeInternal, "an internal error; the gateway's operator sees more in its log")
	}
	text := err.Error()
	if hint := sallyport.HintOf(err); hint != "" {
		text += "; " + hint // one line: scripts read it
	}
	v.line(text)
	v.exit(status)
}

// line writes one line of the gateway's own.
func (v *visit) line(text string) {
	text = sallyport.Printable(text)
	if v.pty != nil {
		_, _ = io.WriteString(v.ch, "sallyport: "+text+"\r\n")
		return
	}
	_, _ = io.WriteString(v.ch.Stderr(), "sallyport: "+text+"\n")
}

func (v *visit) exit(status int) {
	_, _ = v.ch.SendRequest("exit-status", false, wire.ExitStatus(uint32(status)))
	_ = v.ch.CloseWrite() // after the status: see finish in bridge.go
	_ = v.ch.Close()
}

// newlines writes for a terminal in raw mode, as the client's is when it has
// asked for one: a line feed alone would not go to the first column.
type newlines struct{ w io.Writer }

func (n newlines) Write(p []byte) (int, error) {
	out := make([]byte, 0, len(p)+16)
	for i, c := range p {
		if c == '\n' && (i == 0 || p[i-1] != '\r') {
			out = append(out, '\r')
		}
		out = append(out, c)
	}
	if _, err := n.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}
