package proxy

import (
	"slices"
	"strconv"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/wire"
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
	command, ok := b.narrow(req, command)
	if !ok {
		return
	}
	if req.Type == "subsystem" && command != "sftp" || !b.role().Permits(b.kind) {
		b.deny(req, "your role allows no "+what(req.Type, command))
		return
	}

	if b.kind == sallyport.ChannelExec && runsMosh(command) {
		b.deny(req, "mosh needs UDP past the gateway, which would go unseen; use ssh")
		return
	}
	commands := b.x.commands()
	var verdict policy.Verdict
	if b.kind == sallyport.ChannelExec {
		if verdict = commands.Judge(command); verdict.Action >= sallyport.Deny {
			b.judged(commands, command, verdict)
			b.forbid(req, verdict)
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
		e.Details["command"] = commands.Masked(command)
	}
	if err := b.x.srv.Audit.Append(e); err != nil {
		b.x.srv.Log.Error().Err(err).Msg("cannot write the audit log")
		b.deny(req, "the audit log cannot be written")
		return
	}
	if err := b.record(commands.Masked(command)); err != nil && !b.x.recordingFailed(err) {
		_ = req.Reply(true, nil)
		return
	}
	if b.kind == sallyport.ChannelExec { // now there is a recording to mark
		b.judged(commands, command, verdict)
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
