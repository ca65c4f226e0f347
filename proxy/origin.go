package proxy

import (
	"io"
	"net"
	"net/netip"
	"strconv"

	"sallyport"
	"sallyport/proxy/front"
)

// A load balancer tells with a PROXY header who its client is. The header is
// believed, and demanded, from the addresses of Server.Balancers; from anybody
// else it is no SSH identification and ends the connection, so that nobody
// chooses the address under which they are seen.

// balanced marks a connection from a load balancer. What arrives another way,
// in the channel of a jump for instance, never has a header.
type balanced struct{ net.Conn }

// origin is how a connection's address is known. conn.mu guards it, and conn.from,
// until accept returns.
type origin struct {
	via   string   // the load balancer's address, where there is one
	addr  net.Addr // the client's, where a load balancer told it
	probe bool     // a load balancer's own connection, as far as it has said
	why   error    // it ended before it spoke SSH
}

// mark marks the connections of load balancers.
func (s *Server) mark(c net.Conn) net.Conn {
	if s.isBalancer(c.RemoteAddr()) {
		return balanced{c}
	}
	return c
}

func (s *Server) isBalancer(a net.Addr) bool {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return false
	}
	addr := ap.Addr().Unmap().WithZone("")
	for _, p := range s.Balancers {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// meet reads the PROXY header of a load balancer. The connection waits in the
// lobby meanwhile, as one of the balancer's: a silent one is closed after the
// grace time. It returns io.EOF for one that was closed without a word, as health
// checks are.
func (c *conn) meet() error {
	c.mu.Lock()
	c.origin.why = front.ErrNoHeader
	c.mu.Unlock()
	source, err := c.ProxyHeader()
	if err == io.EOF && !c.gone() { // the lobby has closed it
		err = front.ErrNoHeader
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.origin.why, c.origin.probe = nil, source == nil || c.srv.isBalancer(source)
	if source != nil {
		c.origin.via, c.from, c.origin.addr = c.from, source.String(), source
	}
	c.mu.Unlock()
	if source != nil {
		c.srv.lobby.Move(c.guest, front.PrefixOf(source))
	}
	return nil
}

// gone reports whether the last read failed because the peer has hung up, and
// not because the lobby closed the connection.
func (c *conn) gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closed
}

// leave closes a connection that has not begun to speak SSH.
func (c *conn) leave(why error) {
	c.mu.Lock()
	if c.origin.why, c.origin.probe = why, why == io.EOF; c.origin.probe {
		c.origin.why = nil
	}
	c.mu.Unlock()
	c.Close()
}

// healthCheck reports whether this is a connection of a load balancer's own that
// has tried nothing: its end is no refusal of anybody.
func (c *conn) healthCheck() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.origin.probe && c.tries.Load() == 0
}

// turnedAway is the event of a connection that ends before it has authenticated.
func (c *conn) turnedAway() sallyport.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := sallyport.Event{
		Type: "auth.refuse", Severity: sallyport.SeverityWarning, From: c.from, Outcome: "refused",
		Details: map[string]string{"tries": strconv.Itoa(int(c.tries.Load()))},
	}
	if c.origin.via != "" {
		e.Details["via"] = c.origin.via
	}
	if c.origin.why != nil {
		e.Reason = c.origin.why.Error()
	}
	return e
}

// RemoteAddr returns the address of the client, also behind a load balancer.
// x/crypto checks the source-address option of certificates against it.
func (c *conn) RemoteAddr() net.Addr {
	if c.origin.addr != nil {
		return c.origin.addr
	}
	return c.Hello.RemoteAddr()
}
