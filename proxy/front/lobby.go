package front

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// Lobby holds the connections that have not authenticated yet and bounds them:
// per address, in all, and in time.
//
// Where it is full it does not turn the newcomer away, as a flood would then
// keep everybody out. It closes the oldest connection of the address that has
// the most: whoever floods throws out their own, and a known user, whose
// handshake takes a fraction of a second, gets in. Safe for concurrent use.
type Lobby struct {
	grace      time.Duration // how long a handshake may take
	perAddress int
	total      int

	mu      sync.Mutex
	waiting map[netip.Prefix][]*Guest // oldest first
	count   int
	came    uint64
	dropped int // closed by the lobby since the last call of TurnedAway
}

// Guest is one connection in the lobby.
type Guest struct {
	net.Conn
	from   netip.Prefix
	expiry *time.Timer
	nth    uint64 // of all that came in
	out    bool   // no longer in the lobby
}

// NewGuest makes a guest of a connection. The lobby closes c.
func NewGuest(c net.Conn) *Guest { return &Guest{Conn: c, from: PrefixOf(c.RemoteAddr())} }

// NewLobby bounds those who wait: from one address, in all, and for how long.
func NewLobby(perAddress, total int, grace time.Duration) *Lobby {
	return &Lobby{grace: grace, perAddress: perAddress, total: total, waiting: map[netip.Prefix][]*Guest{}}
}

// Enter admits a connection to the lobby. It is closed unless Leave is called
// within the grace time.
func (l *Lobby) Enter(g *Guest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g.out { // gone before it came in
		return
	}
	l.add(g)
	g.expiry = time.AfterFunc(l.grace, func() {
		if l.Leave(g) {
			g.Close()
		}
	})
}

// Leave takes g out of the lobby: it has authenticated or is gone. It reports
// whether g was still in it.
func (l *Lobby) Leave(g *Guest) bool {
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

// Move counts g under another address: a load balancer has told whose it is. Its
// time goes on.
func (l *Lobby) Move(g *Guest, to netip.Prefix) {
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
func (l *Lobby) add(g *Guest) {
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
func (l *Lobby) remove(g *Guest) {
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
func (l *Lobby) evict(from netip.Prefix) {
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
func (l *Lobby) heaviest() netip.Prefix {
	var most netip.Prefix
	n := 0
	for p, gs := range l.waiting {
		if len(gs) > n || len(gs) == n && gs[0].nth < l.waiting[most][0].nth {
			most, n = p, len(gs)
		}
	}
	return most
}

// TurnedAway returns how many connections were closed to make room since it
// was last called.
func (l *Lobby) TurnedAway() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.dropped
	l.dropped = 0
	return n
}

// Waiting returns how many connections wait, by address.
func (l *Lobby) Waiting() map[netip.Prefix]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := map[netip.Prefix]int{}
	for p, gs := range l.waiting {
		counts[p] = len(gs)
	}
	return counts
}

// PrefixOf returns what counts as one address: an IPv4 address, an IPv6 /64,
// because that is what one customer gets.
func PrefixOf(a net.Addr) netip.Prefix {
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
