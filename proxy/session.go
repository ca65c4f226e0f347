package proxy

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/auth"
	"sallyport/ca"
	"sallyport/proxy/front"
	"sallyport/recorder"
)

// session is one user's work on one access: one client connection, one
// connection to the target, any number of channels between the two.
//
// begin makes it, run sees it to its end. Everything that ends it calls end
// with the cause; the first cause counts.
type session struct {
	srv    *Server
	conn   *conn
	role   sallyport.Role
	ctx    context.Context // cancelled with a *sallyport.Ending
	cancel context.CancelCauseFunc
	target ssh.Conn
	vital  *front.Vital // the target's
	rec    *recorder.Session
	ended  chan struct{} // closed when all is over and sealed
	wg     sync.WaitGroup
	clock  clock
	idle   idle
	adrift chan struct{} // closed when the target has hung up

	unrecorded sync.Once // the alert that a failed recording was passed over
	lines      *notes    // of the commands in the audit log
	rtt        atomic.Int64

	// mu guards what follows. begin holds it while it looks up the grant, so
	// that a recheck either sees the grant or comes before the look-up.
	mu      sync.Mutex
	info    sallyport.Session
	begun   bool
	opened  int
	bridges map[*bridge]struct{}
	tunnels map[*tunnel]struct{}
	listens map[string]uint32 // what the target may open channels for
	// endpoints is where the session's own servers listen at the target.
	endpoints map[string]*endpoint
}

// begin is the way from a verified identity to an open connection to the
// target. Every step can refuse, and then nothing after it has happened.
func (c *conn) begin(ctx context.Context) (_ *session, err error) {
	s := c.srv
	id, err := sallyport.NewID(s.Random)
	if err != nil {
		return nil, err
	}
	x := &session{
		srv: s, conn: c, ended: make(chan struct{}), lines: newNotes(5, 100),
		bridges: map[*bridge]struct{}{}, tunnels: map[*tunnel]struct{}{}, listens: map[string]uint32{}, endpoints: map[string]*endpoint{},
		info: sallyport.Session{
			ID: id, User: c.identity.User, Access: c.login.Access, From: c.from,
			Client: string(c.ssh.ClientVersion()), StartedAt: s.Now(),
		},
	}
	x.ctx, x.cancel = context.WithCancelCause(context.Background())
	x.idle.x, x.idle.since = x, time.Now()
	x.clock.x, x.adrift = x, make(chan struct{})
	if err := s.register(x); err != nil {
		e := c.event("session.refuse")
		e.Reason = err.Error()
		c.refuse(e)
		return nil, err
	}
	started, done := false, false
	defer func() {
		if done {
			return
		}
		ending, ok := sallyport.EndingOf(err)
		if !ok {
			ending = &sallyport.Ending{Cause: sallyport.CauseTargetLost}
			if err != nil { // not a panic
				ending.Reason = err.Error()
			}
		}
		x.cancel(ending)
		if x.target != nil {
			x.target.Close()
		} else if x.rec != nil { // nothing happened that it could tell
			if derr := x.rec.Discard(); derr != nil {
				s.Log.Error().Err(derr).Str("session", id).Msg("cannot remove an empty recording")
			}
			x.rec = nil
		}
		if started {
			x.finish()
		}
		s.unregister(x)
		close(x.ended)
	}()

	// The configuration may have changed since the connection was opened.
	if !s.Keys().Holds(c.identity) {
		return nil, unknownKey()
	}
	// The grant, with its locks. Without one, nothing below happens.
	if err := x.authorize(ctx); err != nil {
		e := c.event("session.refuse")
		e.Reason = reasonFor(err)
		c.refuse(e)
		return nil, err
	}
	target, ok := s.Policy().Target(x.info.Access.Target)
	if !ok {
		return nil, sallyport.Errorf(sallyport.CodeDenied, "the target is no longer configured")
	}
	x.mu.Lock()
	x.info.Address = target.Address
	x.mu.Unlock()

	// The audit log hears of it before the target does.
	e := x.event("session.start")
	if x.info.Command != "" {
		e.Details = map[string]string{"command": x.info.Command}
	}
	if err := s.Audit.Append(e); err != nil {
		s.Log.Error().Err(err).Msg("cannot write the audit log")
		return nil, errNoAudit
	}
	started = true

	// Before the target is dialled: after a crash the recording is what tells
	// that this session was open.
	rec, err := s.Recorder.Start(x.info)
	if err != nil {
		s.Log.Error().Err(err).Str("session", id).Msg("cannot record")
		if !x.role.Recording.ContinueOnFailure {
			return nil, &sallyport.Ending{Cause: sallyport.CauseRecordingFailed, Reason: "tell the gateway's operator"}
		}
		x.notRecorded(err)
	}
	x.rec = rec
	if err := x.dial(ctx, target); err != nil {
		return nil, err
	}
	if x.ctx.Err() != nil { // ended while it began
		return nil, context.Cause(x.ctx)
	}
	x.mu.Lock()
	x.begun = true
	x.mu.Unlock()
	done = true
	return x, nil
}

// authorize looks up the grant.
func (x *session) authorize(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	g, role, err := x.srv.Grants.Active(ctx, x.info.User, x.info.Access)
	if err != nil {
		return err
	}
	x.role = role
	x.info.Grant, x.info.Role, x.info.ExpiresAt = g.ID, role.Name, g.End
	x.info.Command = g.Command
	return nil
}

// dial connects to the target with a certificate made for this session alone.
func (x *session) dial(ctx context.Context, t sallyport.Target) error {
	s := x.srv
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	stop := context.AfterFunc(x.ctx, cancel) // a kill reaches a session that is still dialling
	defer stop()

	check, err := ca.HostKeyCallback(t)
	if err != nil {
		return sallyport.Errorf(sallyport.CodeInternal, "%s has no usable host key in the configuration", t.Name)
	}
	nc, err := s.Dial(ctx, "tcp", t.Address)
	if err != nil {
		s.Log.Warn().Err(err).Str("target", t.Name).Str("address", t.Address).Msg("cannot reach the target")
		return &unreachable{"cannot reach " + t.Name + ": " + plain(err)}
	}
	source := t.SourceAddress
	if len(source) == 0 {
		if host, _, err := net.SplitHostPort(nc.LocalAddr().String()); err == nil {
			source = []string{host}
		}
	}
	permits := func(any ...sallyport.Channel) bool {
		return x.info.Command == "" && slices.ContainsFunc(any, x.role.Permits)
	}
	signer, cert, err := s.Authority.Issue(ca.Request{
		Account: x.info.Access.Account, Session: x.info.ID, User: x.info.User, Grant: x.info.Grant,
		SourceAddress: source, Life: ca.DefaultMaxLife, NotAfter: x.info.ExpiresAt,
		PTY:          permits(sallyport.ChannelShell, sallyport.ChannelExec),
		Agent:        permits(sallyport.ChannelAgent),
		X11:          permits(sallyport.ChannelX11),
		Forward:      permits(sallyport.ChannelForwardLocal, sallyport.ChannelForwardRemote, sallyport.ChannelForwardSocket, sallyport.ChannelIDE),
		ForceCommand: x.info.Command,
	})
	if err != nil {
		nc.Close()
		return err
	}
	hc := front.NewConn(nc)
	closeOnCancel := context.AfterFunc(ctx, func() { nc.Close() })
	algs := auth.ClientAlgorithms()
	conn, chans, reqs, err := ssh.NewClientConn(hc, t.Address, &ssh.ClientConfig{
		Config:            algs.Config,
		User:              x.info.Access.Account,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback:   check.Callback,
		HostKeyAlgorithms: check.Algorithms,
		ClientVersion:     "SSH-2.0-" + front.Version,
	})
	if !closeOnCancel() && err == nil {
		conn.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		nc.Close()
		return x.dialError(t, err, cert)
	}
	x.target, x.vital = conn, &hc.Vital
	go x.guarded(func() { x.attend(chans, reqs) })
	return nil
}

// dialError tells apart the ways in which a target refuses.
func (x *session) dialError(t sallyport.Target, err error, cert *ssh.Certificate) error {
	var wrong *ca.HostKeyError
	if errors.As(err, &wrong) {
		e := x.event("target.host_key")
		e.Severity, e.Outcome, e.Reason = sallyport.SeverityAlert, "refused", wrong.Error()
		x.conn.note(e)
		x.srv.Log.Error().Str("target", t.Name).Str("address", t.Address).Err(wrong).Msg("host key mismatch")
		return &unreachable{t.Name + " did not show the host key that is configured for it; no session is opened, and an alert was raised"}
	}
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	x.srv.Log.Warn().Err(err).Str("target", t.Name).Uint64("serial", cert.Serial).Msg("the target refused")
	return &unreachable{"no session on " + t.Name + " as " + x.info.Access.Account + ": " + plain(err)}
}

// unreachable is why a target could not be reached: exit status 255.
type unreachable struct{ text string }

func (u *unreachable) Error() string { return u.text }

// plain takes the innermost sentence of an error for a user's eyes.
func plain(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return "it did not answer in time"
	}
	var ea *ssh.ServerAuthError
	if errors.As(err, &ea) {
		return "it does not accept the gateway's certificate"
	}
	if s := err.Error(); len(s) < 200 { // a target may have worded it
		return sallyport.Printable(s)
	}
	return "the SSH handshake failed"
}

// attend answers what the target sends on the connection, until it is lost.
func (x *session) attend(chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) {
	for chans != nil || reqs != nil {
		select {
		case nc, ok := <-chans:
			if !ok {
				chans = nil
				continue
			}
			x.fromTarget(nc)
		case r, ok := <-reqs:
			if !ok {
				reqs = nil
				continue
			}
			_ = r.Reply(false, nil)
		}
	}
	close(x.adrift)
	// Whose program has ended is still owed its output, however slowly it reads;
	// only what was under way is lost.
	x.mu.Lock()
	bridges := slices.Collect(maps.Keys(x.bridges))
	x.mu.Unlock()
	for _, b := range bridges {
		select {
		case <-b.gone: // its last requests were read, the exit status among them
		case <-x.ctx.Done():
		}
		if b.exited.Load() {
			select {
			case <-b.passed:
			case <-x.ctx.Done():
			}
		}
	}
	x.end(&sallyport.Ending{Cause: sallyport.CauseTargetLost})
}

// event starts an audit event about this session.
func (x *session) event(typ string) sallyport.Event {
	e := x.conn.event(typ)
	e.Session, e.Grant, e.Role, e.To = x.info.ID, x.info.Grant, x.info.Role, x.info.Address
	return e
}

// end ends the session. The first cause counts; later ones change nothing.
func (x *session) end(cause *sallyport.Ending) { x.cancel(cause) }

// ending returns why the session ended. It is called after x.ctx is done.
func (x *session) ending() *sallyport.Ending {
	if e, ok := sallyport.EndingOf(context.Cause(x.ctx)); ok {
		return e
	}
	return &sallyport.Ending{Cause: sallyport.CauseClosed}
}

// snapshot returns the session as it is now, false while it has not begun and
// once its last channel has ended.
func (x *session) snapshot() (sallyport.Session, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	info := x.info
	info.Channels = len(x.bridges) + len(x.tunnels)
	over := x.ctx.Err() != nil && info.Channels == 0 // nothing is left but to seal
	return info, x.begun && !over
}

// working reports whether something runs at the target whose end nobody has
// seen yet.
func (x *session) working() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for b := range x.bridges {
		if b.hasStarted() && !b.exited.Load() {
			return true
		}
	}
	return false
}

// recheck ends the session if it may not go on, and reports whether it has
// ended; still is what Grants.Still answers. An answer that cannot be had ends
// it too.
func (x *session) recheck(ctx context.Context, still func(context.Context, sallyport.Session) error) bool {
	x.mu.Lock()
	info := x.info
	x.mu.Unlock()
	if info.Grant == "" {
		return false // its grant is looked up after this
	}
	if x.ctx.Err() != nil {
		return true
	}
	if !x.srv.Keys().Holds(x.conn.identity) {
		x.end(&sallyport.Ending{Cause: sallyport.CauseRevoked, Reason: "your key was removed from the gateway"})
		return true
	}
	if err := still(ctx, info); err != nil {
		ending, ok := sallyport.EndingOf(err)
		if !ok {
			x.srv.Log.Error().Err(err).Str("session", info.ID).Msg("cannot check a grant")
			ending = &sallyport.Ending{Cause: sallyport.CauseRevoked, Reason: "the grant could not be checked"}
		}
		x.end(ending)
		return true
	}
	return false
}

// notRecorded says that a role lets this session go on without a recording.
// Once: what follows the first failure is not recorded either.
func (x *session) notRecorded(err error) {
	x.unrecorded.Do(func() {
		x.srv.Log.Error().Err(err).Str("session", x.info.ID).Msg("a session goes on without a recording")
		e := x.event("recording.failed")
		e.Severity, e.Outcome, e.Reason = sallyport.SeverityAlert, "continued", err.Error()
		x.conn.note(e)
	})
}

// guarded runs f; a panic in it ends the session and no other.
func (x *session) guarded(f func()) {
	about := x.conn.event("")
	about.Session = x.info.ID
	defer x.srv.contain("session", about, x.panicked)
	f()
}

// live runs the session and ends it, also after a panic.
func (x *session) live() {
	x.guarded(func() {
		defer x.shut()
		x.run()
	})
}

// run sees the session to its end.
func (x *session) run() {
	defer x.watchTarget()()
	x.clock.start()
	defer x.clock.stop()
	var failed <-chan error
	if x.rec != nil {
		failed = x.rec.Failed()
	}
	for over := false; !over; {
		select {
		case err := <-failed:
			x.recordingFailed(err)
		case <-x.ctx.Done():
			over = true
		}
	}
}

// recordingFailed ends the session, unless its role says otherwise. It reports
// whether the session may go on.
func (x *session) recordingFailed(err error) bool {
	if x.ctx.Err() != nil {
		return false
	}
	if x.role.Recording.ContinueOnFailure {
		x.notRecorded(err)
		return true
	}
	x.srv.Log.Error().Err(err).Str("session", x.info.ID).Msg("recording failed")
	x.end(&sallyport.Ending{Cause: sallyport.CauseRecordingFailed})
	return false
}

// tell puts a line on the screen of everybody in the session.
func (x *session) tell(text string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for b := range x.bridges {
		go x.guarded(func() { b.say(text) })
	}
}

// The end has a second in all (promise 4). These parts of it are for telling the
// user and for the target's processes to hear their signals, and for the client
// to confirm that its channels are closed.
const farewell, confirm = 450 * time.Millisecond, 250 * time.Millisecond

// shut ends every channel, whatever the client or the target are doing, seals
// the recording and says so in the audit log.
func (x *session) shut() {
	defer close(x.ended)
	defer x.srv.unregister(x)
	if x.ctx.Err() == nil {
		x.panicked()
	}
	ending := x.ending()

	x.mu.Lock()
	bridges, tunnels := slices.Collect(maps.Keys(x.bridges)), slices.Collect(maps.Keys(x.tunnels))
	x.mu.Unlock()
	var cuts sync.WaitGroup
	for _, b := range bridges {
		cuts.Go(func() { x.guarded(func() { b.cut(ending) }) })
	}
	told := waitFor(&cuts, farewell)
	x.target.Close()
	waitFor(&x.wg, confirm)
	if told { // no byte of the session is on its way to the client any more
		x.conn.hangUp()
	} else {
		x.conn.Close()
		waitFor(&x.wg, confirm)
	}
	for _, t := range tunnels { // also those that a peer keeps from opening or ending
		if t.audited.Load() {
			t.end(string(ending.Cause))
		}
	}
	x.finish()
}

// finish seals the recording and writes the end into the audit log.
func (x *session) finish() {
	ending := x.ending()
	x.mu.Lock()
	x.info.EndedAt = x.srv.Now()
	x.info.Cause, x.info.By, x.info.Reason = ending.Cause, ending.By, ending.Reason
	x.info.Channels = x.opened
	info := x.info
	x.mu.Unlock()
	e := x.event("session.end")
	e.Outcome, e.Reason = string(ending.Cause), ending.Reason
	e.Details = map[string]string{
		"seconds":  strconv.FormatFloat(info.EndedAt.Sub(info.StartedAt).Seconds(), 'f', 3, 64),
		"channels": strconv.Itoa(info.Channels),
	}
	if ending.By != "" {
		e.Details["by"] = ending.By
	}
	if ending.Cause == sallyport.CauseRecordingFailed {
		e.Severity = sallyport.SeverityAlert
	}
	if x.rec != nil {
		if err := x.rec.Seal(info); err != nil {
			x.srv.Log.Error().Err(err).Str("session", info.ID).Msg("cannot seal the recording")
			e.Severity, e.Details["seal"] = sallyport.SeverityAlert, "failed"
		} else {
			e.Details["seal"] = x.rec.SealDigest()
		}
	}
	x.conn.note(e)
}

// waitFor waits for wg, at most d, and reports whether it is done.
func waitFor(wg *sync.WaitGroup, d time.Duration) bool {
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// reasonFor returns why somebody was refused, for the audit log: the inner
// error where the user is told less.
func reasonFor(err error) string {
	var e *sallyport.Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}
