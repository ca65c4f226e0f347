package proxy

import (
	"slices"
	"strconv"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/wire"
	"sallyport/judge"
	"sallyport/policy"
	"sallyport/recorder"
)

// start begins the channel's work: is it allowed, is it judged harmless, is it
// recorded, and only then is it asked of the target.
func (b *bridge) start(req *ssh.Request) {
	var command string
	switch req.Type {
	case "shell":
		b.kind = sallyport.ChannelShell
	case "exec":
		b.kind = sallyport.ChannelExec
	case "subsystem":
		b.kind = sallyport.ChannelSFTP
	}
	if req.Type != "shell" {
		s, err := wire.ParseString(req.Payload)
		if err != nil {
			b.deny(req, "the request was malformed")
			return
		}
		command = s
	}
	if req.Type == "subsystem" && command != "sftp" || !b.role().Permits(b.kind) {
		b.deny(req, "your role allows no "+what(req.Type, command))
		return
	}

	if b.kind == sallyport.ChannelExec && runsMosh(command) {
		b.deny(req, "mosh needs UDP past the gateway, which would go unseen; use ssh")
		return
	}
	commands := b.x.srv.Policy().Commands(b.x.role.Name)
	if b.kind == sallyport.ChannelExec {
		v := commands.Judge(command)
		if !b.verdict(command, v) {
			b.forbid(req, v)
			return
		}
	}
	moves, err := b.moves(command)
	if err != nil {
		b.deny(req, err.Error())
		return
	}
	e := b.x.event("channel.start")
	e.Channel = b.name
	e.Details = map[string]string{"kind": string(b.kind), "pty": strconv.FormatBool(b.pty.Load() != nil)}
	if b.kind == sallyport.ChannelExec {
		e.Details["command"] = command
	}
	if err := b.x.srv.Audit.Append(e); err != nil {
		b.x.srv.Log.Error().Err(err).Msg("cannot write the audit log")
		b.deny(req, "the audit log cannot be written")
		return
	}
	if err := b.record(command); err != nil && !b.x.recordingFailed(err) {
		_ = req.Reply(true, nil)
		return
	}
	b.watch(commands, command)
	b.follow(moves)
	b.starts.Lock()
	defer b.starts.Unlock()
	if !b.pass(req) {
		if b.held { // the client was told yes
			go b.x.guarded(func() { b.goodbye("the target refused the "+what(req.Type, command), sallyport.ExitUnreachable) })
		}
		return
	}
	// The interactive part begins: Nagle is off at the client, and delayed
	// acknowledgements are welcome again.
	b.x.conn.Finished()
	// A target may use its standard error with a terminal too.
	b.pumps.Go(func() { b.x.guarded(func() { b.output(b.up, b.ch, false) }) })
	b.pumps.Go(func() { b.x.guarded(func() { b.output(b.up.Stderr(), b.ch.Stderr(), true) }) })
	b.typing.Go(func() { b.x.guarded(b.input) })
	close(b.started)
}

// runsMosh reports whether a command starts the server of mosh, whose client then
// speaks UDP to the target itself.
func runsMosh(command string) bool {
	return slices.ContainsFunc(policy.Programs(command), func(words []string) bool { return words[0] == "mosh-server" })
}

// record opens the channel's recording.
func (b *bridge) record(command string) error {
	if b.x.rec == nil {
		return nil
	}
	info := recorder.ChannelInfo{
		Name: b.name, Kind: b.kind, Command: command, Env: b.env, ContentCap: b.x.role.Recording.ContentCap,
	}
	if p := b.pty.Load(); p != nil {
		info.PTY, info.Term, info.Width, info.Height = true, p.Term, int(p.Columns), int(p.Rows)
	}
	rec, err := b.x.rec.Channel(info)
	if err != nil {
		return err
	}
	b.rec.Store(rec)
	return nil
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
		Send:     func(p []byte) error { _, err := b.up.Write(p); return err },
		Record: func(p []byte, secret bool) error {
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
		},
		Verdict: func(line string, v policy.Verdict) { b.verdict(line, v) },
		Notice:  b.say,
		Terminate: func(reason string) {
			b.x.end(&sallyport.Ending{Cause: sallyport.CauseForbiddenCommand, Reason: reason})
		},
		Now: b.x.srv.Now,
	}
	if pty != nil {
		cfg.Cols, cfg.Rows = shown(pty.Columns, pty.Rows)
	}
	b.judge = judge.New(cfg)
}

// verdict writes down what was judged and reports whether it may pass.
func (b *bridge) verdict(line string, v policy.Verdict) bool {
	refused := v.Action >= sallyport.Deny
	if v.Action == sallyport.Allow {
		return true
	}
	e := b.x.event("command." + v.Action.String())
	e.Channel, e.Outcome, e.Reason = b.name, v.Action.String(), v.Reason
	e.Severity = sallyport.SeverityAlert
	e.Details = map[string]string{"line": line, "rule": v.Rule}
	if v.Class != "" {
		e.Details["class"] = string(v.Class)
	}
	b.mark(v.Action.String() + ": " + line)
	if v.Action == sallyport.Terminate {
		b.x.conn.note(e)
	} else {
		b.x.conn.sparingly(e)
	}
	return !refused
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

// deny ends one channel that never starts, with a line that says why. The
// request is answered with yes: after a no the client would not show the line.
func (b *bridge) deny(req *ssh.Request, text string) {
	e := b.x.event("request.refuse")
	e.Channel, e.Reason = b.name, text
	e.Details = map[string]string{"type": req.Type}
	b.x.conn.refuse(e)
	_ = req.Reply(true, nil)
	go b.x.guarded(func() { b.goodbye(text, sallyport.ExitEnded) })
}
