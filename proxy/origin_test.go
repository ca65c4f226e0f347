package proxy

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/proxy/front"
)

// behindBalancer is a world to which 127.0.0.1 is a load balancer.
func behindBalancer(t *testing.T, adjust ...func(*Server, *sallyport.Role)) *world {
	return newWorld(t, append(adjust, func(s *Server, _ *sallyport.Role) {
		s.Balancers = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})...)
}

const signature2 = "\r\n\r\n\x00\r\nQUIT\n"

// header2 is a PROXY header of version 2.
func header2(command, family byte, rest string) string {
	h := []byte(signature2 + string([]byte{command, family}))
	return string(binary.BigEndian.AppendUint16(h, uint16(len(rest)))) + rest
}

const (
	ports4 = "\x30\x39\x00\x16" // 12345, 22
	addr4  = "\xcb\x00\x71\x07\x0a\x00\x00\x01" + ports4
	addr6  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + ports4
	// mapped is ::ffff:203.0.113.7
	mapped = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xcb\x00\x71\x07" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x00\x00\x01" + ports4
	tlv = "\x02\x00\x04gate\x20\x00\x08\x01\x00\x00\x00\x00abc"
)

// enter connects from a local address, says what a load balancer says, in pieces
// of the given size, and signs in.
func (w *world) enter(t *testing.T, local, says string, step int) (*ssh.Client, error) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
	nc, err := d.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	for p := range slices.Chunk([]byte(says), step) {
		_, _ = nc.Write(p)
		if step < 1000 {
			time.Sleep(time.Millisecond)
		}
	}
	_ = nc.SetDeadline(time.Now().Add(waitLong))
	sc, chans, reqs, err := ssh.NewClientConn(nc, w.addr, &ssh.ClientConfig{
		User: "lab@web1", Auth: []ssh.AuthMethod{ssh.PublicKeys(w.alice)}, HostKeyCallback: ssh.FixedHostKey(w.host),
	})
	if err != nil {
		return nil, err
	}
	_ = nc.SetDeadline(time.Time{})
	return ssh.NewClient(sc, chans, reqs), nil
}

// The user's need: behind a load balancer the audit log, the sessions and the
// limits see the client's address.
func TestTheAddressOfThePROXYHeaderCounts(t *testing.T) {
	for name, tt := range map[string]struct {
		header, from string // the rest of from is the client's own port
	}{
		"v1 TCP4":      {"PROXY TCP4 203.0.113.7 10.0.0.1 12345 22\r\n", "203.0.113.7:12345"},
		"v1 TCP6":      {"PROXY TCP6 2001:db8::7 2001:db8::1 12345 22\r\n", "[2001:db8::7]:12345"},
		"v1 UNKNOWN":   {"PROXY UNKNOWN\r\n", "127.0.0.1:"},
		"v1 UNKNOWN 2": {"PROXY UNKNOWN ffff:f::f ffff:f::f 65535 65535\r\n", "127.0.0.1:"},
		"v2 TCP4":      {header2(0x21, 0x11, addr4), "203.0.113.7:12345"},
		"v2 TCP6":      {header2(0x21, 0x21, addr6), "[2001:db8::7]:12345"},
		"v2 mapped":    {header2(0x21, 0x21, mapped), "203.0.113.7:12345"},
		"v2 TLVs":      {header2(0x21, 0x11, addr4+tlv), "203.0.113.7:12345"},
		"v2 4 KiB":     {header2(0x21, 0x11, addr4+strings.Repeat("\x04\x00\x00", 1300)), "203.0.113.7:12345"},
		"v2 LOCAL":     {header2(0x20, 0x00, ""), "127.0.0.1:"},
		"v2 LOCAL 2":   {header2(0x20, 0x11, addr4), "127.0.0.1:"},
	} {
		t.Run(name, func(t *testing.T) {
			w := behindBalancer(t)
			for _, step := range []int{1 << 20, 7, 1} {
				if step == 1 && len(tt.header) > 200 {
					continue
				}
				c, err := w.enter(t, "127.0.0.1", tt.header, step)
				if err != nil {
					t.Fatalf("in pieces of %d: %v", step, err)
				}
				if e := w.audit.last("auth.accept"); !strings.HasPrefix(e.From, tt.from) ||
					strings.HasPrefix(e.Details["via"], "127.0.0.1:") == strings.HasPrefix(tt.from, "127.") {
					t.Errorf("audited as %+v", e)
				}
				s, err := c.NewSession()
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Start("cat"); err != nil {
					t.Fatal(err)
				}
				x := w.live(t)
				if got := x.info.From; !strings.HasPrefix(got, tt.from) {
					t.Errorf("the session is from %s", got)
				}
				// x/crypto holds a certificate's source-address against this.
				if got := x.conn.ssh.RemoteAddr().String(); !strings.HasPrefix(got, tt.from) {
					t.Errorf("the connection is from %s", got)
				}
				c.Close()
				eventually(t, "the end", func() bool { return w.connections() == 0 && w.sessions() == 0 })
			}
			if n := w.audit.count("auth.refuse"); n != 0 {
				t.Errorf("%d refusals", n)
			}
		})
	}
}

// Attack: come from the load balancer's network without a header, or with one
// that is none, to be seen as the balancer or as nobody.
func TestWithoutAHeaderNobodyComesFromABalancer(t *testing.T) {
	for name, header := range map[string]string{
		"none":             "",
		"v1 lower case":    "proxy TCP4 203.0.113.7 10.0.0.1 12345 22\r\n",
		"v1 no address":    "PROXY TCP4 203.0.113 10.0.0.1 12345 22\r\n",
		"v1 wrong family":  "PROXY TCP4 2001:db8::7 2001:db8::1 12345 22\r\n",
		"v1 port":          "PROXY TCP4 203.0.113.7 10.0.0.1 70000 22\r\n",
		"v1 no CR":         "PROXY TCP4 203.0.113.7 10.0.0.1 12345 22\n",
		"v1 more":          "PROXY TCP4 203.0.113.7 10.0.0.1 12345 22 x\r\n",
		"v1 control bytes": "PROXY TCP4 203.0.113.7\x1b[2J 10.0.0.1 12345 22\r\n",
		"v1 too long":      "PROXY UNKNOWN " + strings.Repeat("x", 200) + "\r\n",
		"v2 version 3":     header2(0x31, 0x11, addr4),
		"v2 command":       header2(0x2f, 0x11, addr4),
		"v2 family":        header2(0x21, 0x13, addr4),
		"v2 UDP":           header2(0x21, 0x12, addr4),
		"v2 unix":          header2(0x21, 0x31, strings.Repeat("/run/x\x1b[2J", 20)[:108]+strings.Repeat("\x00", 108)),
		"v2 short":         header2(0x21, 0x11, addr4[:8]),
		"v2 too long":      header2(0x21, 0x11, addr4+strings.Repeat("\x00", 5000)),
		"v2 other bytes":   signature2[:10] + "XX" + header2(0x21, 0x11, addr4)[12:],
	} {
		t.Run(name, func(t *testing.T) {
			w := behindBalancer(t)
			if _, err := w.enter(t, "127.0.0.1", header, 1<<20); err == nil {
				t.Fatal("got in")
			}
			eventually(t, "the refusal", func() bool { return w.audit.count("auth.refuse") == 1 })
			if e := w.audit.last("auth.refuse"); !strings.HasPrefix(e.From, "127.0.0.1:") || !strings.HasPrefix(e.Reason, "a load balancer sent ") {
				t.Errorf("audited as %+v", e)
			}
		})
	}
}

// Attack: choose the address under which one is seen. x/crypto itself would read
// over the line of version 1.
func TestAHeaderFromElsewhereIsRefused(t *testing.T) {
	for _, header := range []string{
		"PROXY TCP4 203.0.113.7 10.0.0.1 12345 22\r\n", header2(0x21, 0x11, addr4), "hello\r\n",
	} {
		w := behindBalancer(t)
		if _, err := w.enter(t, "127.0.0.2", header, 1<<20); err == nil {
			t.Fatalf("%q: got in", header)
		}
		eventually(t, "the refusal", func() bool { return w.audit.count("auth.refuse") == 1 })
		e := w.audit.last("auth.refuse")
		if !strings.HasPrefix(e.From, "127.0.0.2:") || strings.Contains(e.Reason, "PROXY") != (header[0] != 'h') {
			t.Errorf("%q: audited as %+v", header, e)
		}
		// Who has no header needs none.
		if _, err := w.enter(t, "127.0.0.2", "", 1); err != nil {
			t.Error(err)
		}
	}
}

// The operator's need: the checks of a load balancer, once a second, are no noise
// in the audit log. What comes through it is.
func TestHealthChecksAreNoNoise(t *testing.T) {
	w := behindBalancer(t)
	for _, says := range []string{
		"", "PROXY UNKNOWN\r\n", header2(0x20, 0, ""), header2(0x20, 0, "") + "SSH-2.0-check\r\n",
		"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n",
	} {
		for _, reset := range []bool{false, true} {
			nc, err := net.Dial("tcp", w.addr)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(nc, says)
			if says != "" {
				if _, err := io.ReadFull(nc, make([]byte, len(front.IdentLine))); err != nil {
					t.Fatal(err)
				}
			}
			if reset {
				_ = nc.(*net.TCPConn).SetLinger(0)
			}
			nc.Close()
		}
	}
	nc, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(nc, header2(0x21, 0x11, addr4))
	nc.Close()
	eventually(t, "the end of all", func() bool { return w.connections() == 0 && w.audit.count("auth.refuse") == 1 })
	if e := w.audit.last("auth.refuse"); e.From != "203.0.113.7:12345" || !strings.HasPrefix(e.Details["via"], "127.0.0.1:") {
		t.Errorf("audited as %+v", e)
	}
}

// Attack (A10): keep the balancer's connections open without a header.
func TestASilentBalancerHoldsUpNobody(t *testing.T) {
	w := behindBalancer(t, func(s *Server, _ *sallyport.Role) { s.Limits.LoginGrace = 500 * time.Millisecond })
	var silent []net.Conn
	for range 3 {
		nc, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		silent = append(silent, nc)
	}
	c, err := w.enter(t, "127.0.0.1", header2(0x21, 0x11, addr4), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	within(t, waitLong, "the grace time", func() {
		for _, nc := range silent {
			if b, _ := io.ReadAll(nc); len(b) > 0 {
				t.Errorf("told %q", b)
			}
		}
	})
	eventually(t, "three refusals", func() bool { return w.audit.count("auth.refuse") == 3 })
	if s, err := c.NewSession(); err != nil || s.Run("true") != nil {
		t.Errorf("who came through the balancer in time: %v", err)
	}
}

// Attack: flood through the load balancer, so that its address is the one that
// is thrown out, and everybody with it.
func TestAFloodBehindABalancerIsTheClients(t *testing.T) {
	w := behindBalancer(t, func(s *Server, _ *sallyport.Role) { s.Limits.PerAddress = 4 })
	var flood []net.Conn
	for range 8 {
		nc, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		_, _ = io.WriteString(nc, header2(0x21, 0x11, addr4))
		// It is counted under its own address when it is greeted.
		_, _ = io.ReadFull(nc, make([]byte, len(front.IdentLine)))
		flood = append(flood, nc)
	}
	honest, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer honest.Close()
	_, _ = io.WriteString(honest, header2(0x21, 0x21, addr6))
	_, _ = io.ReadFull(honest, make([]byte, len(front.IdentLine)))
	counts := map[string]int{}
	for p, n := range w.srv.lobby.Waiting() {
		counts[p.String()] = n
	}
	if len(counts) != 2 || counts["203.0.113.7/32"] != 4 || counts["2001:db8::/64"] != 1 {
		t.Errorf("the lobby holds %v", counts)
	}
	within(t, waitLong, "the flood's oldest", func() { _, _ = io.ReadAll(flood[0]) })
}
