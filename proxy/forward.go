package proxy

import (
	"context"
	"net"
	"slices"
	"strconv"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/wire"
	"sallyport/policy"
)

// What a session forwards besides its session channels, each as its role says:
//
//	client → target   direct-tcpip, direct-streamlocal   -L, -D
//	target → client   forwarded-tcpip, forwarded-streamlocal, after a request to
//	                  listen; auth-agent and x11, after one on a session channel
//
// Each opening is judged, and refused or audited, before the other side hears of
// it. What passes is a tunnel.

// forwards returns what the present configuration allows the session: nil, which
// allows nothing, where its grant is for one command alone.
func (x *session) forwards() *policy.Forwards {
	if x.alone() != "" {
		return nil
	}
	return x.srv.Policy().Forwards(x.role.Name)
}

// address writes host and port as one.
func address(host string, port uint32) string {
	return net.JoinHostPort(sallyport.Printable(host), strconv.FormatUint(uint64(port), 10))
}

// forwardTo opens a connection from the target to elsewhere.
func (c *conn) forwardTo(ctx context.Context, nc ssh.NewChannel, to wire.Direct) {
	c.forward(ctx, nc, forwarding{
		kind: sallyport.ChannelForwardLocal, from: address(to.From, to.FromPort), to: address(to.Host, to.Port),
		allowed: func(f *policy.Forwards) bool { return f.Local(to.Host, to.Port) }, endpoint: loopback(to),
	})
}

// directSocket answers direct-streamlocal@openssh.com: a connection to a unix
// socket at the target.
func (c *conn) directSocket(ctx context.Context, nc ssh.NewChannel) {
	to, err := wire.ParseDirectSocket(nc.ExtraData())
	if err != nil {
		c.turnAway(nc, ssh.ConnectionFailed, "the path is malformed")
		return
	}
	c.forward(ctx, nc, forwarding{
		kind: sallyport.ChannelForwardSocket, to: sallyport.Printable(to.Path),
		allowed: func(f *policy.Forwards) bool { return f.Socket(to.Path) }, endpoint: socketEndpoint(to.Path),
	})
}

// forwarding is one channel that somebody asks for.
type forwarding struct {
	kind     sallyport.Channel
	from, to string
	allowed  func(f *policy.Forwards) bool
	endpoint string // as a server of the session's would have announced it
}

// forward opens a channel of the client's at the target.
func (c *conn) forward(ctx context.Context, nc ssh.NewChannel, f forwarding) {
	if c.refusal != nil {
		c.turnAway(nc, ssh.Prohibited, c.refusal.Error())
		return
	}
	if c.login.Console() {
		c.turnAway(nc, ssh.Prohibited, c.noAccess(f.to))
		return
	}
	if !c.everAllowed(func(p *policy.Forwards) bool {
		return f.allowed(p) || f.endpoint != "" && p.Permits(sallyport.ChannelIDE)
	}) {
		c.refuseForward(nc, f, c.event("forward.refuse"))
		return
	}
	x, err := c.enter(ctx)
	if err != nil {
		c.turnAway(nc, ssh.Prohibited, err.Error())
		return
	}
	if rules := x.forwards(); !f.allowed(rules) {
		e := x.event("forward.refuse")
		e.Reason = x.alone()
		if rules.Permits(sallyport.ChannelIDE) {
			f.kind, e.Severity = sallyport.ChannelIDE, sallyport.SeverityAlert
			e.Reason = "no server that this session has started listens on " + f.to
		}
		if f.kind != sallyport.ChannelIDE || !x.announced(f.endpoint) {
			c.refuseForward(nc, f, e)
			return
		}
	}
	if t := x.newTunnel(nc, f); t != nil {
		t.join(nc, x.target.OpenChannel, func(opener, other ssh.Channel) (client, target ssh.Channel) {
			return opener, other
		})
	}
}

// everAllowed reports whether any role of the user's for this access allows
// something. What none allows is refused before a target is dialled for it.
func (c *conn) everAllowed(allowed func(*policy.Forwards) bool) bool {
	p := c.srv.Policy()
	return slices.ContainsFunc(p.Eligible(c.identity.User, c.login.Access), func(r sallyport.Role) bool {
		return allowed(p.Forwards(r.Name))
	})
}

// refuseForward says no to a channel, whichever side asked for it.
func (c *conn) refuseForward(nc ssh.NewChannel, f forwarding, e sallyport.Event) {
	if e.Reason == "" {
		e.Reason = "your role allows no " + string(f.kind) + " to " + f.to
	}
	e.Details = map[string]string{"kind": string(f.kind), "to": f.to}
	if f.from != "" {
		e.Details["from"] = f.from
	}
	c.refuse(e)
	_ = nc.Reject(ssh.Prohibited, "sallyport: "+e.Reason)
}

// fromTarget answers a channel that the target opens: only where the client has
// asked for it, and the role still allows it. Only a tunnel, of which there are
// so many, gets a goroutine: a target that opens channels without end and reads
// no refusal waits itself.
func (x *session) fromTarget(nc ssh.NewChannel) {
	f, expected := forwarding{to: "the client"}, false
	switch nc.ChannelType() {
	case "forwarded-tcpip":
		d, err := wire.ParseDirect(nc.ExtraData())
		f.kind, f.from, f.to = sallyport.ChannelForwardRemote, address(d.From, d.FromPort), address(d.Host, d.Port)
		expected = err == nil && x.listening(f.to)
		f.allowed = x.mayListen(wire.Listen{Host: d.Host, Port: d.Port})
	case "forwarded-streamlocal@openssh.com":
		d, err := wire.ParseForwardedSocket(nc.ExtraData())
		f.kind, f.to = sallyport.ChannelForwardSocket, sallyport.Printable(d.Path)
		expected = err == nil && x.listening(d.Path)
		f.allowed = func(p *policy.Forwards) bool { return p.Socket(d.Path) }
	case "auth-agent@openssh.com":
		f.kind, expected = sallyport.ChannelAgent, x.listening("agent")
		f.allowed = func(p *policy.Forwards) bool { return p.Permits(f.kind) }
	case "x11":
		o, err := wire.ParseOrigin(nc.ExtraData())
		f.kind, f.from, expected = sallyport.ChannelX11, address(o.Host, o.Port), err == nil && x.listening("x11")
		f.allowed = func(p *policy.Forwards) bool { return p.Permits(f.kind) }
	default:
		_ = nc.Reject(ssh.Prohibited, "not allowed")
		return
	}
	if !expected || !f.allowed(x.forwards()) {
		x.conn.refuseForward(nc, f, x.event("forward.refuse"))
		return
	}
	if t := x.newTunnel(nc, f); t != nil {
		go x.guarded(func() {
			t.join(nc, x.conn.ssh.OpenChannel, func(opener, other ssh.Channel) (client, target ssh.Channel) {
				return other, opener
			})
		})
	}
}

// mayListen reports whether the role allows the target to listen there. A port
// that the target chose is as good as the 0 that was asked for.
func (x *session) mayListen(l wire.Listen) func(*policy.Forwards) bool {
	return func(f *policy.Forwards) bool {
		return f.Remote(l.Host, l.Port) || x.chosen(l.Port) && f.Remote(l.Host, 0)
	}
}

// listening reports whether the client has asked for channels from the target
// for this address.
func (x *session) listening(where string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, ok := x.listens[where]
	return ok
}

func (x *session) chosen(port uint32) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, chosen := range x.listens {
		if chosen != 0 && chosen == port {
			return true
		}
	}
	return false
}

// maxListens bounds what a session may listen on.
const maxListens = 64

// listen notes that channels for this address are expected. chosen is a port that
// the target chose itself, else 0. False: there are too many.
func (x *session) listen(where string, chosen uint32) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.listens) >= maxListens {
		return false
	}
	x.listens[where] = chosen
	return true
}

func (x *session) unlisten(where string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.listens, where)
}

// listenRequest answers tcpip-forward and its like: the target is asked to listen
// for the client, or to stop.
func (c *conn) listenRequest(ctx context.Context, req *ssh.Request) (bool, []byte) {
	if c.refusal != nil || c.login.Console() {
		e := c.event("forward.refuse")
		e.Reason = "there is no target to listen at"
		e.Details = map[string]string{"type": req.Type}
		c.refuse(e)
		return false, nil
	}
	var where string
	var port wire.Listen
	var socket struct{ Path string }
	kind, allowed := sallyport.ChannelForwardRemote, func(f *policy.Forwards) bool { return f.Remote(port.Host, port.Port) }
	var err error
	switch req.Type {
	case "tcpip-forward", "cancel-tcpip-forward":
		port, err = wire.ParseListen(req.Payload)
		where = address(port.Host, port.Port)
	default:
		socket.Path, err = wire.ParseString(req.Payload)
		kind, where, allowed = sallyport.ChannelForwardSocket, socket.Path, func(f *policy.Forwards) bool { return f.Socket(socket.Path) }
	}
	if err != nil {
		return false, nil
	}
	if req.Type == "cancel-tcpip-forward" || req.Type == "cancel-streamlocal-forward@openssh.com" {
		return c.stopListening(req, where), nil
	}
	e, x := c.event("forward.listen"), (*session)(nil)
	err = sallyport.Errorf(sallyport.CodeDenied, "your role allows no %s on %s", kind, sallyport.Printable(where))
	if c.everAllowed(allowed) {
		var entered error
		if x, entered = c.enter(ctx); entered != nil {
			err = entered
		} else if why := x.alone(); why != "" {
			err = sallyport.Errorf(sallyport.CodeDenied, "%s", why)
		} else if e = x.event("forward.listen"); allowed(x.forwards()) {
			err = nil
			if x.listening(where) { // that one is not forgotten when the target refuses this
				err = sallyport.Errorf(sallyport.CodeInvalid, "%s is listened on already", sallyport.Printable(where))
			} else if !x.listen(where, 0) {
				err = sallyport.Errorf(sallyport.CodeUnavail, "%d forwards are listened for, which is the limit", maxListens)
			}
		}
	}
	e.Details = map[string]string{"kind": string(kind), "on": sallyport.Printable(where)}
	if err != nil {
		e.Type, e.Reason, e.Severity = "forward.refuse", err.Error(), sallyport.SeverityWarning
		c.refuse(e)
		return false, nil
	}
	if err := c.srv.Audit.Append(e); err != nil {
		x.unlisten(where)
		c.srv.Log.Error().Err(err).Msg("cannot write the audit log")
		return false, nil
	}
	ok, answer, err := x.target.SendRequest(req.Type, true, req.Payload)
	if err != nil || !ok {
		x.unlisten(where)
		return false, nil
	}
	if req.Type == "tcpip-forward" && port.Port == 0 {
		chosen, err := wire.ParsePort(answer)
		x.unlisten(where)
		if err != nil || chosen == 0 || !x.listen(address(port.Host, chosen), chosen) {
			return false, nil
		}
	}
	return true, answer
}

// stopListening passes a cancel on. What was not listened for cannot be ended.
func (c *conn) stopListening(req *ssh.Request, where string) bool {
	c.mu.Lock()
	x := c.session
	c.mu.Unlock()
	if x == nil || !x.listening(where) {
		return false
	}
	x.unlisten(where)
	ok, _, err := x.target.SendRequest(req.Type, true, req.Payload)
	e := x.event("forward.cancel")
	e.Details = map[string]string{"on": sallyport.Printable(where)}
	c.sparingly(e)
	return ok && err == nil
}
