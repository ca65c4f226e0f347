package proxy

import (
	"io"
	"sync"
	"time"

	"sallyport"
	"sallyport/internal/wire"
)

// say writes a line of the gateway's own on the user's screen, and into the
// recording. It may block as long as the client reads nothing, until the
// connection is closed.
func (b *bridge) say(text string) {
	text = sallyport.Printable(text)
	b.mark(text)
	b.writing.Lock()
	defer b.writing.Unlock()
	if b.eof {
		return
	}
	pty := b.pty.Load() != nil
	line, to := "sallyport: "+text+"\n", io.Writer(b.ch.Stderr())
	if pty {
		line, to = "\r\nsallyport: "+text+"\r\n", b.ch
	}
	if rec := b.rec.Load(); rec != nil {
		write := rec.Stderr
		if pty {
			write = rec.Output
		}
		if err := write([]byte(line)); err != nil {
			b.x.recordingFailed(err)
		}
	}
	_, _ = io.WriteString(to, line)
}

// cut ends the channel because the session ends: the user is told why, and
// what runs without a terminal at the target is told to stop, because closing
// its channel would not (sshd ends only what has lost its terminal).
func (b *bridge) cut(ending *sallyport.Ending) {
	var all sync.WaitGroup
	all.Go(func() {
		b.x.guarded(func() {
			switch ending.Cause {
			case sallyport.CauseClosed, sallyport.CauseClientLost:
				return
			}
			b.goodbye(ending.Error(), exitStatus(ending))
		})
	})
	all.Go(b.stop)
	all.Go(func() {
		b.x.guarded(func() {
			if b.settledStart() && b.files != nil {
				b.files.Close() // before the seal: what is under way is broken
			}
		})
	})
	all.Wait()
}

// goodbye tells the user why the channel ends, and ends it. It may block as long
// as the client reads nothing, so never where its requests are answered.
func (b *bridge) goodbye(text string, status int) {
	b.say(text)
	b.tellExit("exit-status", wire.ExitStatus(uint32(status)))
	b.closeWrite()
	b.ch.Close()
}

// stop tells a program that runs without a terminal to end, before its channel
// is closed: closing would not end it, and it would go on with nobody watching.
// sshd passes these signals on for ordinary accounts, not for root and not for
// subsystems (session.c, session_signal_req).
func (b *bridge) stop() {
	if !b.settledStart() {
		return
	}
	if b.pty.Load() != nil || b.kind == sallyport.ChannelSFTP || b.exited.Load() {
		return
	}
	b.stopped.Do(func() {
		for _, name := range []string{"HUP", "TERM", "KILL"} {
			if _, err := b.up.SendRequest("signal", false, wire.String(name)); err != nil {
				return
			}
			select {
			case <-time.After(120 * time.Millisecond):
			case <-b.gone:
				return
			}
		}
	})
}

// settledStart is hasStarted after a start that is just being asked of the target.
func (b *bridge) settledStart() bool {
	b.starts.Lock()
	defer b.starts.Unlock()
	return b.hasStarted()
}

func (b *bridge) hasStarted() bool {
	select {
	case <-b.started:
		return true
	default:
		return false
	}
}

// closeWrite ends the output to the client.
func (b *bridge) closeWrite() {
	b.writing.Lock()
	defer b.writing.Unlock()
	if !b.eof {
		b.eof = true
		_ = b.ch.CloseWrite()
	}
}

// exitStatus is what the client's ssh exits with when the gateway ends it.
func exitStatus(e *sallyport.Ending) int {
	if e.Cause == sallyport.CauseTargetLost {
		return sallyport.ExitUnreachable
	}
	return sallyport.ExitEnded
}

// what names a request for a sentence.
func what(typ, command string) string {
	if typ == "subsystem" {
		return "subsystem " + command
	}
	return typ
}
