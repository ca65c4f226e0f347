package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"

	proxyproto "github.com/pires/go-proxyproto"

	"sallyport"
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

// Why a connection ended before it said anything of SSH.
var (
	errNoHeader  = errors.New("a load balancer sent no PROXY header")
	errBadHeader = errors.New("a load balancer sent a malformed PROXY header")
	errNoTCP     = errors.New("a load balancer sent a PROXY header of something else than TCP")
	errHeader    = errors.New("a PROXY header from an address that is not in proxy_protocol")
	errNoSSH     = errors.New("what was sent is not SSH")
)

// meet reads the PROXY header of a load balancer. The connection waits in the
// lobby meanwhile, as one of the balancer's: a silent one is closed after the
// grace time. It returns io.EOF for one that was closed without a word, as health
// checks are.
func (c *conn) meet() error {
	c.mu.Lock()
	c.origin.why = errNoHeader
	c.mu.Unlock()
	if !c.readAhead(func(p []byte) bool { return headerSize(p) <= len(p) }) {
		if len(c.ahead) == 0 && c.gone() {
			return io.EOF
		}
		return errNoHeader
	}
	// The package reads a header lazily, in RemoteAddr too, and a v1 header only
	// where it arrives in one piece: it is given what is complete.
	whole := bytes.NewReader(c.ahead)
	r := bufio.NewReader(whole)
	h, err := proxyproto.Read(r)
	switch {
	case errors.Is(err, proxyproto.ErrNoProxyProtocol):
		return errNoHeader
	case err != nil:
		return errBadHeader
	}
	c.ahead = c.ahead[len(c.ahead)-whole.Len()-r.Buffered():]
	if len(c.ahead) == 0 {
		c.ahead = nil
	}
	if h.Command.IsLocal() { // the balancer itself, or a client that it cannot name
		c.mu.Lock()
		defer c.mu.Unlock()
		c.origin.why, c.origin.probe = nil, true
		return nil
	}
	source, ok := h.SourceAddr.(*net.TCPAddr)
	if !ok {
		return errNoTCP
	}
	c.mu.Lock()
	c.origin.why, c.origin.probe = nil, c.srv.isBalancer(source)
	c.origin.via, c.from, c.origin.addr = c.from, source.String(), source
	c.mu.Unlock()
	c.srv.lobby.move(c.guest, prefixOf(source))
	return nil
}

// gone reports whether the last read failed because the peer has hung up, and
// not because the lobby closed the connection.
func (c *conn) gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closed
}

// maxHeaderV1 is the longest line of version 1, with its end.
const maxHeaderV1 = 107

// headerSize returns how long the PROXY header at the beginning of p is, or how
// much of p it takes to tell. What is none, or too long, is long enough.
func headerSize(p []byte) int {
	v1, v2 := proxyproto.SIGV1, proxyproto.SIGV2
	switch {
	case len(p) == 0:
		return 1
	case bytes.HasPrefix(p, v1):
		if bytes.IndexByte(p[:min(len(p), maxHeaderV1)], '\n') >= 0 {
			return len(p)
		}
		return maxHeaderV1
	case bytes.HasPrefix(p, v2):
		if len(p) < len(v2)+4 {
			return len(v2) + 4
		}
		n := binary.BigEndian.Uint16(p[len(v2)+2:])
		if n > proxyproto.MaxV2HeaderSize {
			return len(p) // to be refused
		}
		return len(v2) + 4 + int(n)
	case bytes.HasPrefix(v1, p), bytes.HasPrefix(v2, p):
		return len(p) + 1
	}
	return len(p)
}

// identifies reports whether what was read ahead can be the identification of an
// SSH client: the first line, and not one after others, as x/crypto would take
// (RFC 4253, 4.2, allows those to the server only; OpenSSH refuses them in kex.c,
// kex_exchange_identification).
func (h *helloConn) identifies() error {
	line, _, _ := strings.Cut(string(h.ahead[:min(len(h.ahead), maxIdent)]), "\n")
	switch {
	case len(h.ahead) == 0, strings.HasPrefix(line, "SSH-"):
		return nil
	case bytes.HasPrefix(h.ahead, proxyproto.SIGV1), bytes.HasPrefix(h.ahead, proxyproto.SIGV2):
		return errHeader
	}
	return errNoSSH
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
	return c.helloConn.RemoteAddr()
}
