package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	gliderssh "github.com/gliderlabs/ssh"
	"golang.org/x/crypto/ssh"

	"sallyport"
)

// heart watches the peers of all connections, authenticated clients and targets,
// for signs of life, which is whatever they send. Who was silent for an interval
// is asked for one; who is still silent before the second is over is lost.
//
// One goroutine looks at all of them, a few times an interval, so that a thousand
// idle sessions wake the gateway together. It counts its looks and not the time:
// a gateway that was itself stopped for a while loses nobody by that. Safe for
// concurrent use.
type heart struct {
	every time.Duration // between looks

	mu      sync.Mutex
	pulses  map[*pulse]struct{}
	beating bool
}

// beats is how many looks an interval has. Lost is who gave no sign in 2*beats-1
// of them: that is less than two intervals, and was asked most of one before.
const beats = 4

func newHeart(interval time.Duration) *heart {
	return &heart{every: interval / beats, pulses: map[*pulse]struct{}{}}
}

// vital is a connection's part of its pulse.
type vital struct{ heard atomic.Bool }

// sign is called for each read, so it writes only what it must.
func (v *vital) sign() {
	if !v.heard.Load() {
		v.heard.Store(true)
	}
}

// pulse is one peer that is watched.
type pulse struct {
	vital  *vital
	ask    func() // returns when the peer has answered, or never will
	lost   func() // called once
	quiet  int    // looks without a sign; the heart's own
	asking atomic.Bool
}

// watch begins to watch p, until forget.
func (h *heart) watch(p *pulse) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pulses[p] = struct{}{}
	if !h.beating {
		h.beating = true
		go h.beat()
	}
}

func (h *heart) forget(p *pulse) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.pulses, p)
}

// beat looks at everybody until there is nobody.
func (h *heart) beat() {
	tick := time.NewTicker(h.every)
	defer tick.Stop()
	var list []*pulse
	for range tick.C {
		h.mu.Lock()
		list = list[:0]
		for p := range h.pulses {
			list = append(list, p)
		}
		h.beating = len(list) > 0
		h.mu.Unlock()
		if len(list) == 0 {
			return
		}
		for _, p := range list {
			p.look(h)
		}
		clear(list)
	}
}

func (p *pulse) look(h *heart) {
	if p.vital.heard.Swap(false) {
		p.quiet = 0
		return
	}
	p.quiet++
	switch {
	case p.quiet >= 2*beats-1:
		h.forget(p)
		go p.lost()
	case p.quiet >= beats && p.asking.CompareAndSwap(false, true):
		go func() {
			defer p.asking.Store(false)
			p.ask()
		}()
	}
}

// ask sends what every implementation answers, if only with a no. It blocks for as
// long as the peer is silent; the end of the connection ends it.
func ask(peer ssh.Conn) { _, _, _ = peer.SendRequest("keepalive@openssh.com", true, nil) }

// watched begins to watch an authenticated client, with a session or without.
func (c *conn) watched(ctx gliderssh.Context) {
	p := &pulse{vital: &c.vital, lost: c.lost, ask: func() {
		if sc, ok := ctx.Value(gliderssh.ContextKeyConn).(*ssh.ServerConn); ok { // the handshake is over
			ask(sc)
		}
	}}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.pulse = p
	c.srv.heart.watch(p)
}

// silent is why a session ends whose peer was lost.
const silent = "it stopped answering"

// lost ends a connection whose client is gone without a word.
func (c *conn) lost() {
	defer c.srv.contain("connection", c.from, func() { c.Close() })
	c.mu.Lock()
	x := c.session
	c.mu.Unlock()
	if x != nil {
		x.end(&sallyport.Ending{Cause: sallyport.CauseClientLost, Reason: silent})
		<-x.ended
	}
	c.Close()
}

// watchTarget begins to watch the session's target; the function ends it.
func (x *session) watchTarget() (forget func()) {
	p := &pulse{vital: x.vital, ask: func() { ask(x.target) }, lost: func() {
		x.end(&sallyport.Ending{Cause: sallyport.CauseTargetLost, Reason: silent})
	}}
	x.srv.heart.watch(p)
	return func() { x.srv.heart.forget(p) }
}
