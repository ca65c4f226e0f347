package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	gliderssh "github.com/gliderlabs/ssh"
	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/auth"
	"sallyport/proxy/front"
)

type connKey struct{}

// errNoAudit is why nothing starts while the audit log cannot be written.
var errNoAudit = sallyport.Errorf(sallyport.CodeUnavail, "the audit log cannot be written, so nothing can start").
	WithHint("tell the gateway's operator")

// conn is one client connection, from accept to close:
//
//	accept         enters the lobby, greets, and chooses what to offer
//	authenticated  leaves it; called during the handshake, once
//	settle         reads identity and destination, at the first channel or request
//	channel        runs for each channel: console, session, jump, or refusal
//	Close          by whoever notices first that it is over
type conn struct {
	*front.Hello
	srv     *Server
	jump    *jump         // nil for a connection from outside
	guest   *front.Guest  // nil for a jump
	from    string        // the client's address
	origin  origin        // how that is known
	ciphers []string      // to offer
	tries   atomic.Int32  // refused authentication attempts
	proved  auth.Identity // set by admit, guarded by srv.mu
	notes   *notes        // of what the client can make the audit log hold
	files   *notes        // the same for files that move
	pace    pace          // of what it can make the gateway do
	opening atomic.Int32  // channels that are being answered, refused ones too

	settled  sync.Once
	ssh      *ssh.ServerConn
	identity auth.Identity
	login    sallyport.Login
	refusal  error // why nothing may be done on this connection

	entering sync.Mutex // held while a session begins, so that there is one

	mu       sync.Mutex
	grace    *time.Timer // of a jump, for its handshake
	authed   bool
	closed   bool
	channels int  // open now
	sessions int  // session channels in all
	noMore   bool // the client said no-more-sessions@openssh.com
	session  *session
	pulse    *front.Pulse // once it has authenticated
}

// accept is gliderlabs' ConnCallback.
func (s *Server) accept(ctx gliderssh.Context, nc net.Conn) net.Conn {
	b, viaBalancer := nc.(balanced)
	if viaBalancer {
		nc = b.Conn
	}
	c := &conn{Hello: front.NewHello(nc), srv: s, from: nc.RemoteAddr().String()}
	c.notes, c.files, c.pace = newNotes(5, 100), newNotes(5, 100), newPace(s.Limits)
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return nil
	}
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	if c.jump, _ = nc.(*jump); c.jump != nil { // its outer connection has left the lobby
		c.mu.Lock()
		c.grace = time.AfterFunc(s.Limits.LoginGrace, func() { c.Close() })
		c.mu.Unlock()
	} else {
		c.guest = front.NewGuest(c)
		s.lobby.Enter(c.guest)
	}
	ctx.SetValue(connKey{}, c)
	if viaBalancer {
		if err := c.meet(); err != nil {
			c.leave(err)
			return nil
		}
	}
	// Here and not in config, which gliderlabs calls with a lock held that
	// everybody needs: who is silent must hold up nobody.
	c.ciphers = c.Greet()
	if err := c.Identifies(); err != nil {
		c.leave(err)
		return nil
	}
	return c
}

// authenticated is called when a signature was verified.
func (c *conn) authenticated() {
	c.mu.Lock()
	c.authed = true
	c.mu.Unlock()
	c.leaveLobby()
}

func (c *conn) leaveLobby() {
	if c.jump != nil {
		c.mu.Lock()
		c.grace.Stop()
		c.mu.Unlock()
		return
	}
	c.srv.lobby.Leave(c.guest)
}

// admit is called for a verified signature, before the client learns of it. It
// bounds the connections of one user and writes who is there.
func (c *conn) admit(meta ssh.ConnMetadata, p *ssh.Permissions) error {
	id, ok := auth.FromPermissions(p)
	if !ok {
		return errors.New("no identity")
	}
	s := c.srv
	s.mu.Lock()
	n := 0
	for o := range s.conns {
		if o.proved.User == id.User {
			n++
		}
	}
	full := n >= s.Limits.connections()
	if !full {
		c.proved = id
	}
	s.mu.Unlock()
	e := sallyport.Event{
		Type: "auth.accept", User: id.User, From: c.from, Outcome: "accepted",
		Details: map[string]string{
			"method": id.Method, "key": id.Key, "login": meta.User(), "client": string(meta.ClientVersion()),
		},
	}
	if c.jump != nil {
		e.Target = c.jump.target.Name
	}
	if c.origin.via != "" {
		e.Details["via"] = c.origin.via
	}
	if full {
		e.Type, e.Outcome, e.Reason = "auth.refuse", "refused", "too many connections of this user"
		c.note(e)
		return errors.New(e.Reason)
	}
	if err := s.Audit.Append(e); err != nil {
		s.Log.Error().Err(err).Msg("cannot write the audit log")
		c.refusal = errNoAudit
	}
	return nil
}

// Close ends the connection and what runs on it.
func (c *conn) Close() error {
	c.mu.Lock()
	first, authed, x, p := !c.closed, c.authed, c.session, c.pulse
	c.closed = true
	c.mu.Unlock()
	err := c.Hello.Close()
	if !first {
		return err
	}
	c.srv.mu.Lock()
	delete(c.srv.conns, c)
	c.srv.mu.Unlock()
	c.srv.heart.Forget(p)
	if !authed {
		c.leaveLobby()
		c.srv.refused(c)
	}
	if x != nil {
		cause := sallyport.CauseClosed
		if x.working() {
			cause = sallyport.CauseClientLost
		}
		x.end(&sallyport.Ending{Cause: cause})
	}
	return err
}

// patient is how long a client may take to hang up by itself.
const patient = 500 * time.Millisecond

// hangUp ends a connection with nothing left to do on it. The client, whose last
// channel was closed, hangs up by itself; where it does not, its side is closed
// first: a connection that is cut while it still writes would make ssh exit with
// 255 and hide the reason.
func (c *conn) hangUp() {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return
	}
	time.AfterFunc(patient, func() {
		if w, ok := c.Hello.Conn.Conn.(interface{ CloseWrite() error }); ok {
			_ = w.CloseWrite()
		}
	})
	time.AfterFunc(2*patient, func() { c.Close() })
}

// settle reads who is there and where they want to go, from what the verified
// attempt says and nothing else: the name may have been another one in the
// attempts before (threat A2).
func (c *conn) settle(sc *ssh.ServerConn) {
	c.settled.Do(func() {
		c.ssh = sc
		p := c.srv.Policy()
		id, ok := auth.FromPermissions(sc.Permissions)
		if !ok {
			c.refusal = sallyport.Errorf(sallyport.CodeDenied, "you are not authenticated")
			return
		}
		c.identity = id
		if c.refusal != nil {
			return
		}
		name := sc.User()
		if c.jump != nil {
			name += "+" + c.jump.target.Name
		}
		login, err := sallyport.ParseLogin(name, p.Target)
		if err != nil {
			c.refusal = err
			return
		}
		if login.User != "" && login.User != id.User {
			// At the console a name that is no user's says nothing: it is the
			// caller's local account, which ssh sends when no other is given.
			if _, known := p.User(login.User); known || !login.Console() {
				c.refusal = sallyport.Errorf(sallyport.CodeDenied, "your key is not %s's", login.User).
					WithHint("leave the name out, or use that person's key")
				return
			}
		}
		c.login = login
	})
}

// event starts an audit event about this connection.
func (c *conn) event(typ string) sallyport.Event {
	return sallyport.Event{
		Type: typ, User: c.identity.User, From: c.from,
		Account: c.login.Access.Account, Target: c.login.Access.Target,
	}
}

// answering counts a channel that is being answered. Each has a goroutine, which
// a client that reads nothing can hold: one that opens more than it may ever
// have is cut off. False: it was.
func (c *conn) answering() bool {
	if int(c.opening.Add(1)) <= 2*c.srv.Limits.Channels+16 {
		return true
	}
	c.Close()
	return false
}

// channel makes gliderlabs' handler for one type of channel.
func channel(handle func(c *conn, ctx context.Context, nc ssh.NewChannel)) gliderssh.ChannelHandler {
	return func(_ *gliderssh.Server, sc *ssh.ServerConn, nc ssh.NewChannel, ctx gliderssh.Context) {
		c := ctx.Value(connKey{}).(*conn)
		defer c.srv.contain("channel", sallyport.Event{From: c.from}, func() { c.Close() })
		defer c.opening.Add(-1)
		if !c.answering() {
			return
		}
		c.settle(sc)
		if err := c.openChannel(nc.ChannelType() == "session"); err != nil {
			c.turnAway(nc, ssh.ResourceShortage, err.Error())
			return
		}
		defer c.closeChannel()
		handle(c, ctx, nc)
	}
}

// turnAway refuses a channel, and says so to the client and in the audit log.
func (c *conn) turnAway(nc ssh.NewChannel, reason ssh.RejectionReason, text string) {
	e := c.event("channel.refuse")
	e.Reason = text
	e.Details = map[string]string{"type": nc.ChannelType()}
	c.refuse(e)
	_ = nc.Reject(reason, "sallyport: "+sallyport.Printable(text))
}

// refuseChannel answers every type of channel that has no handler: a forward
// past the recorder is the oldest hole of bastions (threat C1).
func (c *conn) refuseChannel(_ context.Context, nc ssh.NewChannel) {
	c.turnAway(nc, ssh.Prohibited, nc.ChannelType()+" channels are not allowed")
}

// handleRequest answers the requests that belong to no channel.
func handleRequest(ctx gliderssh.Context, _ *gliderssh.Server, req *ssh.Request) (bool, []byte) {
	c := ctx.Value(connKey{}).(*conn)
	defer c.srv.contain("request", sallyport.Event{From: c.from}, func() { c.Close() })
	c.pace.request(ctx, req.Type)
	switch req.Type {
	case "no-more-sessions@openssh.com":
		c.mu.Lock()
		c.noMore = true
		c.mu.Unlock()
		return true, nil
	case "tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com", "cancel-streamlocal-forward@openssh.com":
		if sc, ok := ctx.Value(gliderssh.ContextKeyConn).(*ssh.ServerConn); ok {
			c.settle(sc)
			return c.listenRequest(ctx, req)
		}
	}
	// keepalive@openssh.com and the like: any answer is an answer.
	return false, nil
}

// note writes an event about something that takes effect whether or not it can
// be written, as nothing starts by it.
func (c *conn) note(e sallyport.Event) {
	if err := c.srv.Audit.Append(e); err != nil {
		c.srv.Log.Error().Err(err).Str("event", e.Type).Msg("cannot write the audit log")
	}
}

// refuse writes that a request of the client's was refused.
func (c *conn) refuse(e sallyport.Event) {
	e.Outcome = "refused"
	if e.Severity == "" {
		e.Severity = sallyport.SeverityWarning
	}
	c.sparingly(e)
}

// sparingly writes an event that a client can cause at will. One that keeps on
// cannot fill the disk: past the limit its events are counted, and the count
// goes into the next entry.
func (c *conn) sparingly(e sallyport.Event) {
	if c.notes.take(&e) {
		c.note(e)
	}
}

func (c *conn) openChannel(session bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	// OpenSSH asks for no more sessions right after it has opened its one, and
	// the two are handled at the same time: the first one is always let in.
	if session && c.noMore && c.sessions > 0 {
		return sallyport.Errorf(sallyport.CodeDenied, "the client asked for no more sessions")
	}
	if c.channels >= c.srv.Limits.Channels {
		return sallyport.Errorf(sallyport.CodeUnavail, "%d channels are open, which is the limit", c.channels)
	}
	if !c.pace.opens.Allow() {
		return sallyport.Errorf(sallyport.CodeUnavail, "channels are opened too fast: %d a second is the limit", c.srv.Limits.ChannelsPerSec)
	}
	if n, ok := c.srv.channels.take(c.identity.User, c.srv.Limits.ChannelsPerUser); !ok {
		return sallyport.Errorf(sallyport.CodeUnavail, "you have %d channels open on all connections, which is the limit", n)
	}
	c.channels++
	if session {
		c.sessions++
	}
	return nil
}

func (c *conn) closeChannel() {
	c.srv.channels.give(c.identity.User)
	c.mu.Lock()
	c.channels--
	c.mu.Unlock()
}

// workOn takes one session channel to where the login name says.
func (c *conn) workOn(ctx context.Context, nc ssh.NewChannel) {
	refusal := c.refusal
	if refusal == nil && !c.srv.Keys().Holds(c.identity) {
		// The configuration has changed since this connection was opened.
		refusal = unknownKey()
	}
	if refusal == nil && !c.login.Console() {
		x, err := c.enter(ctx)
		if err == nil {
			err = x.open(nc)
		}
		if err != nil {
			c.hearOut(ctx, nc, err)
		}
		return
	}
	if refusal != nil {
		e := c.event("session.refuse")
		e.Reason = refusal.Error()
		c.refuse(e)
	}
	c.hearOut(ctx, nc, refusal)
}

func unknownKey() error {
	return sallyport.Errorf(sallyport.CodeDenied, "your key is no longer known to this gateway")
}

// enter returns the connection's session and begins it if there is none. The
// grant is read again for each channel: one login may live all day under
// ControlMaster, and a grant does not (threat G1).
func (c *conn) enter(ctx context.Context) (*session, error) {
	c.entering.Lock()
	defer c.entering.Unlock()
	c.mu.Lock()
	x := c.session
	c.mu.Unlock()
	if x != nil {
		if x.recheck(ctx, c.srv.Grants.Still) {
			return nil, context.Cause(x.ctx)
		}
		return x, nil
	}
	x, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.session = x
	closed := c.closed
	c.mu.Unlock()
	go x.live()
	if closed {
		x.end(&sallyport.Ending{Cause: sallyport.CauseClientLost})
		return nil, context.Cause(x.ctx)
	}
	return x, nil
}
