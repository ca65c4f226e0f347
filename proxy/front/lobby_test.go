package front

import (
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeConn is a connection from an address that notes its closing.
type fakeConn struct {
	net.Conn
	addr   net.Addr
	closed chan struct{}
	once   sync.Once
}

func from(ip string, port int) *fakeConn {
	return &fakeConn{addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: port}, closed: make(chan struct{})}
}

func (c *fakeConn) RemoteAddr() net.Addr { return c.addr }
func (c *fakeConn) Close() error         { c.once.Do(func() { close(c.closed) }); return nil }

func (c *fakeConn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// Attack (A10): open connections and never authenticate, from one address or
// from many, until nobody else gets in.
func TestFloodThrowsOutItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLobby(4, 16, 20*time.Second)
		var flood []*fakeConn
		for i := range 100 {
			c := from("192.0.2.1", i+1)
			l.Enter(NewGuest(c))
			flood = append(flood, c)
		}
		user := from("198.51.100.7", 1)
		g := NewGuest(user)
		l.Enter(g)
		for i := range 12 { // others come, the lobby is full
			c := from("192.0.2.1", 200+i)
			l.Enter(NewGuest(c))
			flood = append(flood, c)
		}
		synctest.Wait()
		open := 0
		for _, c := range flood {
			if !c.isClosed() {
				open++
			}
		}
		if open != 4 {
			t.Errorf("%d connections of the flood are open, want 4", open)
		}
		if user.isClosed() {
			t.Error("the user was thrown out")
		}
		if !l.Leave(g) {
			t.Error("the user was not in the lobby any more")
		}
		if l.TurnedAway() != 108 || l.TurnedAway() != 0 {
			t.Error("the evictions are not counted, once")
		}
	})
}

// Attack: the same from a thousand addresses, so that no single one stands out.
func TestFloodFromEverywhereIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLobby(4, 16, 20*time.Second)
		var all []*fakeConn
		heavy := from("192.0.2.9", 1)
		l.Enter(NewGuest(heavy))
		l.Enter(NewGuest(from("192.0.2.9", 2)))
		for i := range 500 {
			c := from(net.IPv4(10, 0, byte(i>>8), byte(i)).String(), 1)
			l.Enter(NewGuest(c))
			all = append(all, c)
		}
		synctest.Wait()
		open := 0
		for _, c := range all {
			if !c.isClosed() {
				open++
			}
		}
		if open > 16 {
			t.Errorf("%d connections are open, want at most 16", open)
		}
		if !heavy.isClosed() {
			t.Error("the address with the most connections kept its oldest")
		}
		time.Sleep(21 * time.Second)
		synctest.Wait()
		for i, c := range all {
			if !c.isClosed() {
				t.Fatalf("connection %d outlives the grace time", i)
			}
		}
		if l.count != 0 || len(l.waiting) != 0 {
			t.Errorf("the lobby still holds %d, %v", l.count, l.waiting)
		}
	})
}

func TestWhoLeftTheLobbyIsNotClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLobby(4, 16, 20*time.Second)
		c := from("192.0.2.1", 1)
		g := NewGuest(c)
		l.Enter(g)
		if !l.Leave(g) || l.Leave(g) {
			t.Error("leaving is once")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if c.isClosed() {
			t.Error("closed by the grace time after it had authenticated")
		}
	})
}

// Attack: one IPv6 customer has 2^64 addresses.
func TestAnIPv6NetworkIsOneAddress(t *testing.T) {
	a := PrefixOf(&net.TCPAddr{IP: net.ParseIP("2001:db8:1:2::1"), Port: 1})
	b := PrefixOf(&net.TCPAddr{IP: net.ParseIP("2001:db8:1:2:ffff::9"), Port: 2})
	c := PrefixOf(&net.TCPAddr{IP: net.ParseIP("2001:db8:1:3::1"), Port: 1})
	if a != b || a == c {
		t.Errorf("prefixes %v %v %v", a, b, c)
	}
	if m := PrefixOf(&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1")}); m != PrefixOf(&net.TCPAddr{IP: net.ParseIP("192.0.2.1")}) {
		t.Errorf("a mapped address counts apart: %v", m)
	}
}
