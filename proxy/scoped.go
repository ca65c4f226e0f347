package proxy

import (
	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/wire"
)

// A grant may be for one command alone. Its session's certificate then carries
// that command as force-command and permits nothing else, so that the target's
// own sshd runs nothing else whatever reaches it. What is here says no before
// sshd does, in words: sshd would run the command whatever was asked for.

// alone returns why the session does not do something besides the one command
// of its grant; "" where the grant is for any work.
func (x *session) alone() string {
	if x.info.Command == "" {
		return ""
	}
	return "your grant " + x.info.Grant + " is for one command alone: " + x.info.Command
}

// extra refuses what a command that is granted alone does not get: a terminal,
// variables, which can change what the words do, the agent, X11. It reports
// whether it did.
func (b *bridge) extra(req *ssh.Request) bool {
	why := b.x.alone()
	if why == "" {
		return false
	}
	switch req.Type {
	case "pty-req":
		// A no would make ssh leave, or go on, with words of its own. The target
		// is not asked; the start is refused, on the screen that was asked for.
		if p, err := wire.ParsePty(req.Payload); err == nil && !b.begun && len(req.Payload) <= maxPtyBytes {
			sized(&p.Columns, &p.Rows)
			b.pty.Store(&p)
			_ = req.Reply(true, nil)
			return true
		}
	case "env":
		if e, err := wire.ParseEnv(req.Payload); err == nil && envAllowed(e.Name, nil) {
			_ = req.Reply(false, nil) // every ssh sends its language: no news
			return true
		}
	case "auth-agent-req@openssh.com", "x11-req":
	default:
		return false
	}
	b.refuse(req, why)
	return true
}

// narrow lets the one command of the session's grant start, where it is asked
// for in its very words or where no command is named at all; it returns what
// runs. With a terminal nothing does: who wanted a shell does not get a command
// by mistake. False: the channel was refused.
func (b *bridge) narrow(req *ssh.Request, command string) (string, bool) {
	why := b.x.alone()
	switch {
	case why == "":
		return command, true
	case b.pty.Load() != nil:
		why += "; it runs without a terminal (ssh -T)"
	case req.Type == "exec" && command == b.x.info.Command:
		return command, true
	case req.Type == "shell":
		req.Type, req.Payload = "exec", wire.String(b.x.info.Command)
		b.kind = sallyport.ChannelExec
		return b.x.info.Command, true
	}
	if req.Type == "exec" && command != b.x.info.Command {
		e := b.x.event("command.deny")
		e.Channel, e.Severity, e.Outcome, e.Reason = b.name, sallyport.SeverityAlert, "deny", why
		e.Details = map[string]string{"line": command}
		b.x.conn.sparingly(e)
	}
	b.deny(req, why)
	return "", false
}
