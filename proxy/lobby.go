package proxy

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// lobby holds the connections that have not authenticated yet and bounds them:
// per address, in all, and in time.
//
// Where it is full it does not turn the newcomer away, as a flood would then
// keep everybody out. It closes the oldest connection of the address that has
// the most: whoever floods throws out their own, and a known user, whose
// handshake takes a fraction of a second, gets in. Safe for concurrent use.
type lobby struct {
	grace      time.Duration // how long a handshake may take
	perAddress int
	total      int

	mu      sync.Mutex
	waiting map[netip.Prefix][]*guest // oldest first
	count   int
	came    uint64
	dropped int // closed by the lobby since the last call of turnedAway
}

// guest is one connection in the lobby.
type guest struct {
	net.Conn
	from   netip.Prefix
	expiry *time.Timer
	nth    uint64 // of all that came in
	out    bool   // no longer in the lobby
}

func newGuest(c net.Conn) *guest { return &guest{Conn: c, from: prefixOf(c.RemoteAddr())} }

func newLobby(perAddress, total int, grace time.Duration) *lobby {
	return &lobby{grace: grace, perAddress: perAddress, total: total, waiting: map[netip.Prefix][]*guest{}}
}

// enter admits a connection to the lobby. It is closed unless leave is called
// within the grace time.
func (l *lobby) enter(g *guest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g.out { // gone before it came in
		return
	}
	l.add(g)
	g.expiry = time.AfterFunc(l.grace, func() {
		if l.leave(g) {
			g.Close()
		}
	})
}

// leave takes g out of the lobby: it has authenticated or is gone. It reports
// whether g was still in it.
func (l *lobby) leave(g *guest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g.out {
		return false
	}
	g.out = true
	if g.expiry == nil { // it never came in
		return false
	}
	g.expiry.Stop()
	l.remove(g)
	return true
}

// move counts g under another address: a load balancer has told whose it is. Its
// time goes on.
func (l *lobby) move(g *guest, to netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g.out || g.expiry == nil || g.from == to {
		return
	}
	l.remove(g)
	g.from = to
	l.add(g)
}

// add puts g in, as the newest, where there is room or room is made. l.mu is
// held.
func (l *lobby) add(g *guest) {
	if len(l.waiting[g.from]) >= l.perAddress {
		l.evict(g.from)
	}
	if l.count >= l.total {
		l.evict(l.heaviest())
	}
	l.waiting[g.from] = append(l.waiting[g.from], g)
	l.count++
	l.came++
	g.nth = l.came
}

// remove takes g out of the count. l.mu is held.
func (l *lobby) remove(g *guest) {
	rest := l.waiting[g.from]
	for i := range rest {
		if rest[i] == g {
			rest = append(rest[:i], rest[i+1:]...)
			break
		}
	}
	if len(rest) == 0 {
		delete(l.waiting, g.from)
	} else {
		l.waiting[g.from] = rest
	}
	l.count--
}

// evict closes the oldest connection from an address. l.mu is held.
func (l *lobby) evict(from netip.Prefix) {
	g := l.waiting[from][0]
	l.waiting[from] = l.waiting[from][1:]
	if len(l.waiting[from]) == 0 {
		delete(l.waiting, from)
	}
	l.count--
	l.dropped++
	g.out = true
	g.expiry.Stop()
	go g.Close()
}

// heaviest returns the address with the most connections, of several the one
// whose oldest has waited longest: an honest handshake is over soon. l.mu is
// held.
func (l *lobby) heaviest() netip.Prefix {
	var most netip.Prefix
	n := 0
	for p, gs := range l.waiting {
		if len(gs) > n || len(gs) == n && gs[0].nth < l.waiting[most][0].nth {
			most, n = p, len(gs)
		}
	}
	return most
}

// turnedAway returns how many connections were closed to make room since it
// was last called.
func (l *lobby) turnedAway() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.dropped
	l.dropped = 0
	return n
}

// prefixOf returns what counts as one address: an IPv4 address, an IPv6 /64,
// because that is what one customer gets.
func prefixOf(a net.Addr) netip.Prefix {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{} // a pipe or a unix socket: one address
	}
	addr := ap.Addr().Unmap()
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
