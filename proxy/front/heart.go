package front

import (
	"sync"
	"sync/atomic"
	"time"
)

// Heart watches the peers of all connections, authenticated clients and targets,
// for signs of life, which is whatever they send. Who was silent for an interval
// is asked for one; who is still silent before the second is over is lost.
//
// One goroutine looks at all of them, a few times an interval, so that a thousand
// idle sessions wake the gateway together. It counts its looks and not the time:
// a gateway that was itself stopped for a while loses nobody by that. Safe for
// concurrent use.
type Heart struct {
	every time.Duration // between looks

	mu      sync.Mutex
	pulses  map[*Pulse]struct{}
	beating bool
}

// beats is how many looks an interval has. Lost is who gave no sign in 2*beats-1
// of them: that is less than two intervals, and was asked most of one before.
const beats = 4

// NewHeart returns one that watches nobody yet; interval is how long a peer may
// be silent before it is asked.
func NewHeart(interval time.Duration) *Heart {
	return &Heart{every: interval / beats, pulses: map[*Pulse]struct{}{}}
}

// Vital is a connection's part of its Pulse.
type Vital struct{ heard atomic.Bool }

// sign is called for each read, so it writes only what it must.
func (v *Vital) sign() {
	if !v.heard.Load() {
		v.heard.Store(true)
	}
}

// Pulse is one peer that is watched.
type Pulse struct {
	Vital  *Vital
	Ask    func() // returns when the peer has answered, or never will
	Lost   func() // called once
	quiet  int    // looks without a sign; the Heart's own
	asking atomic.Bool
}

// Watch begins to watch p, until Forget.
func (h *Heart) Watch(p *Pulse) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pulses[p] = struct{}{}
	if !h.beating {
		h.beating = true
		go h.beat()
	}
}

func (h *Heart) Forget(p *Pulse) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.pulses, p)
}

// beat looks at everybody until there is nobody.
func (h *Heart) beat() {
	tick := time.NewTicker(h.every)
	defer tick.Stop()
	var list []*Pulse
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

func (p *Pulse) look(h *Heart) {
	if p.Vital.heard.Swap(false) {
		p.quiet = 0
		return
	}
	p.quiet++
	switch {
	case p.quiet >= 2*beats-1:
		h.Forget(p)
		go p.Lost()
	case p.quiet >= beats && p.asking.CompareAndSwap(false, true):
		go func() {
			defer p.asking.Store(false)
			p.Ask()
		}()
	}
}
