package proxy

import (
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/wire"
	"sallyport/judge"
	"sallyport/policy"
)

// commands returns the command rules of the session, as they are now.
func (x *session) commands() *policy.Commands {
	p := x.srv.Policy()
	facts := policy.Facts{User: x.info.User, Role: x.role.Name, Target: x.info.Access.Target, Account: x.info.Access.Account, Now: x.srv.Now}
	if u, ok := p.User(x.info.User); ok {
		facts.Groups = u.Groups
	}
	if t, ok := p.Target(x.info.Access.Target); ok {
		facts.Target, facts.Labels = t.Name, t.Labels
	}
	return p.Commands(x.role.Name).For(facts)
}

// watch puts the judge between the client's keys and the target, where there
// is a terminal, or a shell that reads its commands from its input.
func (b *bridge) watch(commands *policy.Commands, command string) {
	pty := b.pty.Load()
	script := pty == nil && commands.Active() && (b.kind == sallyport.ChannelShell ||
		b.kind == sallyport.ChannelExec && policy.ReadsScript(command))
	if pty == nil && !script {
		return
	}
	cfg := judge.Config{
		Commands: commands,
		PTY:      pty != nil,
		Command:  command,
		Send:     func(p []byte) error { _, err := b.up.Write(p); return err },
		Show:     func(p, recorded []byte) error { return b.deliver(b.ch, p, recorded, false) },
		Record:   b.typed,
		Judged:   func(line string, v policy.Verdict) { b.judged(commands, line, v) },
		Notice:   b.say,
		Terminate: func(reason string) {
			b.x.end(&sallyport.Ending{Cause: sallyport.CauseForbiddenCommand, Reason: reason})
		},
		Failed: b.judgeFailed,
		RTT:    b.x.roundTrip,
	}
	if pty != nil {
		cfg.Cols, cfg.Rows = shown(pty.Columns, pty.Rows)
		if erase, ok := pty.Mode(wire.VERASE); ok && erase < 0xff { // 255: there is none
			cfg.Erase = byte(erase)
		}
		go b.x.guarded(b.x.measure)
	}
	b.judge = judge.New(cfg)
}

// typed records what was typed.
func (b *bridge) typed(p []byte, secret bool) error {
	rec := b.rec.Load()
	if rec == nil {
		return nil
	}
	var err error
	if secret {
		err = rec.InputMasked(len(p))
	} else {
		err = rec.Input(p)
	}
	if err != nil && !b.x.recordingFailed(err) {
		return err
	}
	return nil
}

// judged writes down a line and what was decided about it: into the recording,
// and into the audit log.
func (b *bridge) judged(commands *policy.Commands, line string, v policy.Verdict) {
	line = commands.Masked(line)
	e := b.x.event("command." + v.Action.String())
	e.Channel, e.Outcome, e.Reason = b.name, v.Action.String(), v.Reason
	e.Details = map[string]string{"line": line}
	if v.Rule != "" {
		e.Details["rule"] = v.Rule
	}
	if v.Class != "" {
		e.Details["class"] = string(v.Class)
	}
	if v.Action == sallyport.Allow {
		b.mark("command: " + line)
		if b.x.lines.take(&e) {
			b.x.conn.note(e)
		}
		return
	}
	b.mark(v.Action.String() + ": " + line)
	e.Severity = sallyport.SeverityAlert
	if v.Action == sallyport.Terminate {
		e.Severity = sallyport.SeverityCritical
		b.x.conn.note(e)
	} else {
		b.x.conn.sparingly(e)
	}
}

// judgeFailed ends the session: what cannot be judged must not pass.
func (b *bridge) judgeFailed(reason string) {
	e := b.x.event("judge.failed")
	e.Channel, e.Reason, e.Severity = b.name, reason, sallyport.SeverityCritical
	b.x.conn.note(e)
	b.x.end(&sallyport.Ending{Cause: sallyport.CauseForbiddenCommand, Reason: reason})
}

// forbid carries out a refusal of an exec request.
func (b *bridge) forbid(req *ssh.Request, v policy.Verdict) {
	if v.Action == sallyport.Terminate {
		_ = req.Reply(true, nil)
		b.x.end(&sallyport.Ending{Cause: sallyport.CauseForbiddenCommand, Reason: v.Reason})
		return
	}
	b.deny(req, "the command was refused: "+v.Reason)
}

// The smallest window that a line can be read in.
const minColumns, minRows = 20, 5

// readable makes a terminal one in which the judge can read a line: line editors
// scroll sideways in a small window, and on a terminal that cannot move its cursor.
func readable(p *wire.Pty) (changed bool) {
	switch p.Term {
	case "", "dumb", "unknown", "network", "emacs", "cons25", "printer":
		p.Term, changed = "vt100", true
	}
	changed = p.Keep(harmless) || changed
	return roomy(&p.Columns, &p.Rows) || changed
}

// harmless reports whether a mode of the client's terminal cannot make the target
// see other keys, or other ends of lines, than the judge does: the erase key, flow
// control, UTF-8, how echo and output look, and the speeds (RFC 4254, section 8).
func harmless(op byte) bool {
	switch {
	case op == wire.VERASE, op >= 38 && op <= 42, op >= 54 && op <= 56, op == 60, op == 61, op >= 70 && op <= 75, op == 91, op == 128, op == 129:
		return true
	}
	return false
}

// roomy is sized for a window that is too small. Zero says nothing and stays.
func roomy(columns, rows *uint32) (changed bool) {
	if *columns > 0 && *columns < minColumns {
		*columns, changed = minColumns, true
	}
	if *rows > 0 && *rows < minRows {
		*rows, changed = minRows, true
	}
	return changed
}

// roundTrip is how long the target took to answer last.
func (x *session) roundTrip() time.Duration { return time.Duration(x.rtt.Load()) }

// measure asks the target something and notes how long it takes.
func (x *session) measure() {
	asked := time.Now()
	if _, _, err := x.target.SendRequest("keepalive@openssh.com", true, nil); err == nil {
		x.rtt.Store(int64(time.Since(asked)))
	}
}
