package proxy

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/wire"
	"sallyport/judge"
	"sallyport/recorder"
	"sallyport/transfer"
)

// bridge joins one session channel of the client to one of the target.
//
//	requests       passes the client's requests, in order, and starts the rest
//	fromTarget     passes the target's requests, and keeps its exit status back
//	input, output  pass the bytes, after the start was answered
//
// What the client sees at the end is: all output, exit status, EOF, close,
// whatever the order was at the target.
type bridge struct {
	x     *session
	name  string // of the channel: "0", "1", …
	ch    ssh.Channel
	in    io.Reader // the client's input; ch, unless the user was held before
	up    ssh.Channel
	pty   atomic.Pointer[wire.Pty]
	env   map[string]string
	nenv  int
	begun bool                       // shell, exec or subsystem was asked for
	calls map[sallyport.Channel]bool // the agent and X11, where asked for

	// Set when the channel has started, before started is closed.
	kind       sallyport.Channel
	rec        atomic.Pointer[recorder.Channel] // nil where the role lets it go on unrecorded
	judge      *judge.Judge                     // nil where nothing is judged or masked
	files      transfer.Stream                  // nil where no files move, or none that can be followed
	started    chan struct{}                    // closed when bytes may flow
	gone       chan struct{}                    // closed when the target has closed the channel
	passed     chan struct{}                    // closed when the client has all that the target sent
	exited     atomic.Bool                      // the target said how the program ended
	told       atomic.Bool                      // the client was told an exit status
	status     atomic.Int32                     // its exit status, plus 1
	confusion  sync.Once                        // the file transfer was not understood
	refusals   atomic.Int32                     // of files
	inputEnded atomic.Bool                      // the client has sent EOF
	stopped    sync.Once                        // the program was told to end
	starts     sync.Mutex                       // held while the start is asked of the target

	pumps  sync.WaitGroup // output
	typing sync.WaitGroup // input

	// writing is held while something is written to the client, and its recording
	// before: x/crypto's Channel.Write is not safe for concurrent use on one
	// stream. It guards eof.
	writing sync.Mutex
	eof     bool // nothing may be written to the client any more

	held bool // the user was held: the client has the answers to what it asked
}

// open joins a new channel. A target that refuses the channel is passed on as
// it said it: a multiplexing client falls back to a connection of its own. Where
// the session has ended, open leaves the channel alone and returns why.
func (x *session) open(nc ssh.NewChannel) error {
	up, upReqs, err := x.target.OpenChannel("session", nil)
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	if err != nil {
		var oe *ssh.OpenChannelError
		if !errors.As(err, &oe) {
			oe = &ssh.OpenChannelError{Reason: ssh.ConnectionFailed, Message: "the target is gone"}
		}
		_ = nc.Reject(oe.Reason, oe.Message)
		return nil
	}
	ch, reqs, err := nc.Accept()
	if err != nil {
		up.Close()
		return nil
	}
	b := x.newBridge(ch, ch, up)
	if b == nil { // ended meanwhile; shut closes both connections
		go ssh.DiscardRequests(reqs)
		go ssh.DiscardRequests(upReqs)
		return nil
	}
	b.run(nil, reqs, upReqs)
	return nil
}

// resume joins a channel whose user was held: what was asked for meanwhile is
// asked of the target now. The client has its answers already.
func (x *session) resume(ch ssh.Channel, in io.Reader, asked []*ssh.Request, reqs <-chan *ssh.Request) error {
	up, upReqs, err := x.target.OpenChannel("session", nil)
	if err != nil {
		return &unreachable{"the target refused the channel"}
	}
	b := x.newBridge(ch, in, up)
	if b == nil {
		go ssh.DiscardRequests(upReqs)
		return context.Cause(x.ctx)
	}
	b.run(asked, reqs, upReqs)
	return nil
}

// newBridge makes the bridge one of the session's, which run must see to its
// end. It returns nil when the session has ended: shut does not look for more.
func (x *session) newBridge(ch ssh.Channel, in io.Reader, up ssh.Channel) *bridge {
	b := &bridge{x: x, ch: ch, in: in, up: up, env: map[string]string{}, calls: map[sallyport.Channel]bool{}, started: make(chan struct{}), gone: make(chan struct{}), passed: make(chan struct{})}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ctx.Err() != nil {
		return nil
	}
	x.active()
	b.name = strconv.Itoa(x.opened)
	x.opened++
	x.bridges[b] = struct{}{}
	x.wg.Add(1)
	return b
}

// run passes everything until the client has closed the channel.
func (b *bridge) run(asked []*ssh.Request, reqs, upReqs <-chan *ssh.Request) {
	defer b.x.wg.Done()
	var target sync.WaitGroup
	target.Go(func() { b.x.guarded(func() { b.fromTarget(upReqs) }) })
	b.held = true
	for _, req := range asked {
		req.WantReply = false // answered while the user was held
		b.request(req)
	}
	b.held = false
	for req := range reqs {
		b.x.conn.pace.request(b.x.ctx, req.Type)
		b.request(req)
	}
	b.stop()
	b.up.Close()
	if b.judge != nil && b.pty.Load() != nil {
		b.judge.Close() // what it holds is for nobody
	}
	target.Wait()
	if b.files != nil {
		b.files.Close()
	}
	b.typing.Wait()
	b.close()
}

// close ends the recording of the channel.
func (b *bridge) close() {
	if b.judge != nil {
		b.judge.Close()
	}
	b.writing.Lock()
	rec := b.rec.Swap(nil) // a late notice is not recorded
	b.writing.Unlock()
	if rec != nil {
		if err := rec.Close(); err != nil {
			b.x.recordingFailed(err)
		}
	}
	b.x.mu.Lock()
	delete(b.x.bridges, b)
	b.x.mu.Unlock()
}

// panicked ends a session in which a goroutine has panicked: fail closed.
func (x *session) panicked() {
	x.end(&sallyport.Ending{Cause: sallyport.CauseRecordingFailed, Reason: "an internal error"})
}

// request passes one request of the client's.
func (b *bridge) request(req *ssh.Request) {
	if b.extra(req) {
		return
	}
	switch req.Type {
	case "pty-req":
		p, err := wire.ParsePty(req.Payload)
		if err != nil || b.begun || len(req.Payload) > maxPtyBytes {
			b.refuse(req, "malformed or late")
			return
		}
		changed := sized(&p.Columns, &p.Rows)
		if b.x.commands().Active() {
			changed = readable(&p) || changed
		}
		if changed {
			req.Payload = wire.Marshal(p)
		}
		if b.pass(req) { // else it is a command without one, and is treated so
			b.pty.Store(&p)
		}
	case "env":
		e, err := wire.ParseEnv(req.Payload)
		if err != nil || b.begun {
			b.refuse(req, "malformed or late")
			return
		}
		if fault := envFault(e, b.nenv, b.role().Env); fault != "" {
			b.refuse(req, fault)
			return
		}
		b.nenv++
		b.env[e.Name] = e.Value
		if !envAllowed(e.Name, nil) { // what a role adds may hold a secret
			b.env[e.Name] = "(not recorded)"
		}
		b.pass(req)
	case "shell", "exec", "subsystem":
		if b.begun { // a second one on a channel is an attack on the judge (threat C4)
			b.refuse(req, "the channel has started already")
			return
		}
		b.begun = true
		b.start(req)
	case "window-change":
		w, err := wire.ParseWindow(req.Payload)
		if err != nil {
			_ = req.Reply(false, nil)
			return
		}
		changed := sized(&w.Columns, &w.Rows)
		if b.x.commands().Active() {
			changed = roomy(&w.Columns, &w.Rows) || changed
		}
		if changed {
			req.Payload = wire.Marshal(w)
		}
		b.resize(w)
		b.pass(req)
	case "signal":
		if name, err := wire.ParseString(req.Payload); err == nil {
			b.mark("signal " + name)
		}
		b.pass(req)
	case "break", "eow@openssh.com", "xon-xoff":
		b.pass(req)
	case "keepalive@openssh.com":
		_ = req.Reply(false, nil)
	case "auth-agent-req@openssh.com":
		b.callBack(req, sallyport.ChannelAgent, "agent")
	case "x11-req":
		if _, err := wire.ParseX11(req.Payload); err != nil {
			b.refuse(req, "malformed")
			return
		}
		b.callBack(req, sallyport.ChannelX11, "x11")
	default:
		b.refuse(req, "not allowed: "+req.Type)
	}
}

// callBack passes a request after which the target opens channels to the client:
// for its agent, or its X server. What they are asked is between those two; the
// gateway uses neither itself.
func (b *bridge) callBack(req *ssh.Request, kind sallyport.Channel, where string) {
	if b.begun || !b.role().Permits(kind) {
		b.refuse(req, "your role allows no "+string(kind)+" forwarding")
		return
	}
	if b.calls[kind] { // each is an audit entry
		b.refuse(req, string(kind)+" forwarding was asked for already")
		return
	}
	b.calls[kind] = true
	e := b.x.event("forward.listen")
	e.Channel, e.Details = b.name, map[string]string{"kind": string(kind)}
	if err := b.x.srv.Audit.Append(e); err != nil || !b.x.listen(where, 0) {
		_ = req.Reply(false, nil)
		return
	}
	b.pass(req)
}

// role is the session's role in the present configuration: a reload may have
// taken something away. A role that is gone permits nothing.
func (b *bridge) role() sallyport.Role {
	role, _ := b.x.srv.Policy().Role(b.x.role.Name)
	return role
}

// pass sends a request to the target and its answer to the client. It reports
// whether the target agreed.
func (b *bridge) pass(req *ssh.Request) bool {
	ask := req.WantReply || b.held
	ok, err := b.up.SendRequest(req.Type, ask, req.Payload)
	if err != nil {
		ok = false
	}
	_ = req.Reply(ok, nil)
	return err == nil && (ok || !ask)
}

// refuse answers no and says so in the audit log.
func (b *bridge) refuse(req *ssh.Request, reason string) {
	e := b.x.event("request.refuse")
	e.Channel, e.Reason = b.name, reason
	e.Details = map[string]string{"type": req.Type}
	b.x.conn.refuse(e)
	_ = req.Reply(false, nil)
}

// resize follows the client's window.
func (b *bridge) resize(w wire.Window) {
	if p := b.pty.Load(); p != nil {
		resized := *p
		resized.Columns, resized.Rows = w.Columns, w.Rows
		b.pty.Store(&resized)
	}
	if b.judge != nil {
		b.judge.Resize(shown(w.Columns, w.Rows))
	}
	if rec := b.rec.Load(); rec != nil {
		if err := rec.Resize(int(w.Columns), int(w.Rows)); err != nil {
			b.x.recordingFailed(err)
		}
	}
}

// mark puts a marker into the recording.
func (b *bridge) mark(text string) {
	rec := b.rec.Load()
	if rec == nil {
		return
	}
	if err := rec.Marker(text); err != nil {
		b.x.recordingFailed(err)
	}
}

// input passes what the client types or sends.
func (b *bridge) input() {
	err := pump(b.in, func(p []byte) error {
		if b.x.ctx.Err() != nil {
			return b.x.ctx.Err()
		}
		b.x.active()
		if b.judge != nil {
			return b.judge.Input(p)
		}
		if rec := b.rec.Load(); rec != nil {
			if err := rec.Input(p); err != nil && !b.x.recordingFailed(err) {
				return err
			}
		}
		if b.files != nil {
			return b.files.FromClient(p)
		}
		_, err := b.up.Write(p)
		return err
	})
	b.unfollowed(err)
	switch {
	case errors.Is(err, judge.ErrTerminate):
		b.x.end(&sallyport.Ending{Cause: sallyport.CauseForbiddenCommand, Reason: "the line was not run"})
	case err == nil:
		b.inputEnded.Store(true)
		if b.judge != nil {
			b.judge.Close() // what was not a whole line is judged, or let go
		}
		if b.files != nil {
			_ = b.files.ClientDone()
		}
		_ = b.up.CloseWrite()
	}
}

// output passes what the target shows: to the recording, then to the client,
// so that nothing is seen that is not stored (promise 3).
func (b *bridge) output(from io.Reader, to io.Writer, stderr bool) {
	var listener *listener
	if !stderr {
		listener = b.listens()
	}
	err := pump(from, func(p []byte) error {
		if b.x.ctx.Err() != nil {
			return b.x.ctx.Err()
		}
		if b.pty.Load() == nil {
			b.x.active()
		}
		if listener != nil {
			listener.read(p)
		}
		if b.judge != nil && !stderr {
			return b.judge.Output(p)
		}
		if b.files != nil && !stderr {
			return b.files.FromTarget(p)
		}
		return b.deliver(to, p, nil, stderr)
	})
	if b.files != nil && !stderr {
		b.unfollowed(errors.Join(err, b.files.TargetDone()))
	}
}

// deliver records what the client is sent, and sends it. recorded is what the
// recording has of it where a secret is in it; nil: the same.
func (b *bridge) deliver(to io.Writer, p, recorded []byte, stderr bool) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	if recorded == nil {
		recorded = p
	}
	if rec := b.rec.Load(); rec != nil {
		write := rec.Output
		if stderr {
			write = rec.Stderr
		}
		if err := write(recorded); err != nil && !b.x.recordingFailed(err) {
			return err
		}
	}
	_, err := to.Write(p)
	return err
}

// fromTarget passes the target's requests. The exit status waits until all
// output was delivered; it arrives before that when the program leaves
// children behind that still write.
func (b *bridge) fromTarget(reqs <-chan *ssh.Request) {
	exit := make(chan *ssh.Request, 1)
	var finish sync.WaitGroup
	finish.Go(func() { b.x.guarded(func() { b.finish(exit) }) })
	for req := range reqs {
		switch req.Type {
		case "exit-status", "exit-signal":
			b.exited.Store(true)
			select {
			case exit <- req:
			default: // one is all there can be
			}
		case "keepalive@openssh.com":
			_ = req.Reply(false, nil)
		default:
			ok, err := b.ch.SendRequest(req.Type, false, req.Payload)
			_ = req.Reply(ok && err == nil, nil)
		}
	}
	close(b.gone)
	finish.Wait()
	close(b.passed)
	if !b.exited.Load() {
		// Closed without a word of how the program ended: that may be a target
		// that is gone, and then the session tells the client.
		select {
		case <-b.x.adrift:
			<-b.x.ctx.Done()
		case <-b.x.ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	if b.x.ctx.Err() == nil {
		b.ch.Close()
	}
}

// halfClosed is how long a program may have closed its output without having
// ended before its EOF is passed on alone.
const halfClosed = 100 * time.Millisecond

// finish delivers the end: all output, the exit status, EOF; the close follows.
//
// The exit status goes before EOF, because a client that has sent its own EOF
// answers ours with a close, and nothing can be sent after that: x/crypto
// confirms the close at once, where sshd waits for its program. So EOF goes
// alone only to a client that is still sending, to a program that still reads.
func (b *bridge) finish(exit <-chan *ssh.Request) {
	select {
	case <-b.started:
	case <-b.gone:
		// A fast command is over before its start was answered.
		if !b.settledStart() {
			return
		}
	}
	b.pumps.Wait()
	if b.x.ctx.Err() != nil {
		return // cut says goodbye
	}
	defer b.closeWrite()
	t := time.NewTimer(halfClosed)
	defer t.Stop()
	select {
	case req := <-exit:
		b.exit(req)
		return
	case <-b.gone:
	case <-t.C:
		if !b.inputEnded.Load() {
			b.closeWrite()
		}
		<-b.gone
	}
	select {
	case req := <-exit:
		b.exit(req)
	default:
	}
}

// exit passes how the program ended.
func (b *bridge) exit(req *ssh.Request) {
	code := -1
	if req.Type == "exit-status" {
		if n, err := wire.ParseExitStatus(req.Payload); err == nil {
			code = int(n)
		}
	} else if s, err := wire.ParseExitSignal(req.Payload); err == nil {
		code = 128 + wire.SignalNumber(s.Signal)
		b.mark("ended by signal " + s.Signal)
	}
	b.status.Store(int32(code) + 1)
	if rec := b.rec.Load(); rec != nil && code >= 0 {
		if err := rec.Exit(code); err != nil {
			b.x.recordingFailed(err)
		}
	}
	b.tellExit(req.Type, req.Payload)
}

// tellExit tells the client how the program ended. Once: ssh takes the last word.
func (b *bridge) tellExit(typ string, payload []byte) {
	if b.told.CompareAndSwap(false, true) {
		_, _ = b.ch.SendRequest(typ, false, payload)
	}
}
