package proxy

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/auth"
	"sallyport/internal/wire"
	"sallyport/policy"
)

// jump is a channel of one connection on which the gateway serves SSH itself,
// in the name of a target: "ssh -J gate root@web1" opens direct-tcpip to
// web1:22 and speaks SSH there. What comes in by it is a connection like any
// other, but who is there is known from the outer one.
//
// It is a net.Conn. Deadlines do nothing: the grace time of the handshake and
// the pulse of the session end what is silent.
type jump struct {
	ssh.Channel
	outer  *conn
	target sallyport.Target
	depth  int           // 1 for a jump from outside
	gone   chan struct{} // closed when both sides have closed the channel
	once   sync.Once

	writing sync.Mutex // x/crypto's Write and CloseWrite are not safe together
}

// maxDepth bounds the jumps within jumps: -J gate,web1,web2,…
const maxDepth = 4

// unconfirmed is how long a client may take to confirm the close of a jump.
// Until then what waits for it inside is stuck.
const unconfirmed = 2 * time.Second

// direct answers direct-tcpip. To a target it is the jump, whatever the
// connection is: nobody reaches the sshd of a target past the recorder.
func (c *conn) direct(ctx context.Context, nc ssh.NewChannel) {
	to, err := wire.ParseDirect(nc.ExtraData())
	if err != nil {
		c.turnAway(nc, ssh.ConnectionFailed, "the address is malformed")
		return
	}
	if c.refusal != nil {
		c.turnAway(nc, ssh.Prohibited, c.refusal.Error())
		return
	}
	t, known := c.target(to)
	switch {
	case !known && c.disguised(to):
		c.turnAway(nc, ssh.Prohibited, c.noAccess(address(to.Host, to.Port)))
		return
	case !known:
		c.forwardTo(ctx, nc, to)
		return
	case !c.srv.Policy().Reaches(c.identity.User, t):
		c.turnAway(nc, ssh.Prohibited, c.noAccess(address(to.Host, to.Port)))
		return
	}
	if err := c.mayJump(ctx); err != nil {
		c.turnAway(nc, ssh.Prohibited, err.Error())
		return
	}
	e := c.event("jump.open")
	e.Target, e.To = t.Name, t.Address
	if err := c.srv.Audit.Append(e); err != nil {
		c.srv.Log.Error().Err(err).Msg("cannot write the audit log")
		_ = nc.Reject(ssh.ResourceShortage, "sallyport: "+errNoAudit.Error())
		return
	}
	ch, reqs, err := nc.Accept()
	if err != nil {
		return
	}
	j := &jump{Channel: ch, outer: c, target: t, depth: 1, gone: make(chan struct{})}
	if c.jump != nil {
		j.depth += c.jump.depth
	}
	go func() {
		ssh.DiscardRequests(reqs)
		close(j.gone)
	}()
	c.srv.serve(j)
	<-j.gone // the channel counts until then
}

// target returns the target whose sshd is at an address that a client asks for:
// its name or an alias with port 22 or its own, or its very address, or the
// loopback of the one that the connection is for.
func (c *conn) target(to wire.Direct) (sallyport.Target, bool) {
	p := c.srv.Policy()
	name := to.Host
	if policy.IsLoopback(to.Host) && !c.login.Console() {
		name = c.login.Access.Target
	}
	if t, ok := p.Target(name); ok {
		if _, port := hostPort(t); to.Port == 22 || to.Port == port {
			return t, true
		}
	}
	// Of several at one address, the first that the user reaches.
	var found sallyport.Target
	known := false
	for _, t := range p.Targets() {
		if host, port := hostPort(t); host != to.Host || port != to.Port {
			continue
		}
		if p.Reaches(c.identity.User, t) {
			return t, true
		}
		found, known = t, true
	}
	return found, known
}

// disguised reports whether an address that is no target's as it is written leads
// to the sshd of one by another spelling: WEB1, web1., 127.1, ::ffff:10.0.0.5.
// That is no jump, as no certificate has the name, and no forward either.
func (c *conn) disguised(to wire.Direct) bool {
	host, here := policy.Plain(to.Host), policy.IsHere(to.Host) && !c.login.Console()
	for _, t := range c.srv.Policy().Targets() {
		own, port := hostPort(t)
		if to.Port == port && policy.Plain(own) == host {
			return true
		}
		if to.Port != 22 && to.Port != port {
			continue
		}
		names := append([]string{t.Name}, t.Aliases...)
		if here && t.Name == c.login.Access.Target ||
			slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, host) }) {
			return true
		}
	}
	return false
}

// noAccess is the one answer about what is unknown and what is not the user's.
func (c *conn) noAccess(to string) string {
	return "no access to " + to + "; see what there is: ssh " + c.srv.Name + " ls"
}

// hostPort returns the parts of a target's address.
func hostPort(t sallyport.Target) (string, uint32) {
	host, port, err := net.SplitHostPort(t.Address)
	if err != nil {
		return "", 0
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", 0
	}
	return host, uint32(n)
}

// mayJump reports why a connection may not go on to another target. From one
// that is at a target itself (-J gate,web1) that takes an active grant for it.
func (c *conn) mayJump(ctx context.Context) error {
	if !c.srv.Keys().Holds(c.identity) {
		return unknownKey()
	}
	if c.jump != nil && c.jump.depth >= maxDepth {
		return sallyport.Errorf(sallyport.CodeDenied, "more than %d jumps", maxDepth)
	}
	if c.login.Console() {
		return nil
	}
	g, _, err := c.srv.Grants.Active(ctx, c.identity.User, c.login.Access)
	if err == nil && g.Command != "" {
		err = sallyport.Errorf(sallyport.CodeDenied, "your grant %s is for one command alone: %s", g.ID, g.Command)
	}
	return err
}

// config makes the handshake of the connection inside: no proof is asked for
// twice, and the host key is the gateway's with a certificate for every name
// of the target.
func (j *jump) config(keys *auth.Keys) *ssh.ServerConfig {
	s := j.outer.srv
	cfg := keys.Within(j.outer.identity)
	if s.HostCA == nil {
		return cfg
	}
	names := append([]string{j.target.Name}, j.target.Aliases...)
	host, _ := hostPort(j.target)
	if _, err := netip.ParseAddr(host); err == nil || sallyport.ValidName(host) {
		names = append(names, host)
	}
	for _, key := range s.HostKeys {
		signer, err := s.HostCA.Certify(key, names)
		if err != nil { // clients that know no certificates need none
			s.Log.Error().Err(err).Str("target", j.target.Name).Msg("cannot certify the host key")
			continue
		}
		cfg.AddHostKey(signer)
	}
	return cfg
}

func (j *jump) Write(p []byte) (int, error) {
	j.writing.Lock()
	defer j.writing.Unlock()
	return j.Channel.Write(p)
}

// CloseWrite waits for a Write, which Close ends.
func (j *jump) CloseWrite() error {
	j.writing.Lock()
	defer j.writing.Unlock()
	return j.Channel.CloseWrite()
}

// Close closes the channel without waiting for a client that reads nothing. One
// that does not confirm loses the whole connection.
func (j *jump) Close() error {
	j.once.Do(func() {
		go func() { _ = j.Channel.Close() }()
		time.AfterFunc(unconfirmed, func() {
			select {
			case <-j.gone:
			default:
				j.outer.Close()
			}
		})
	})
	return nil
}

func (j *jump) LocalAddr() net.Addr  { return j.outer.LocalAddr() }
func (j *jump) RemoteAddr() net.Addr { return j.outer.RemoteAddr() }

func (j *jump) SetDeadline(time.Time) error      { return nil }
func (j *jump) SetReadDeadline(time.Time) error  { return nil }
func (j *jump) SetWriteDeadline(time.Time) error { return nil }
