package notify

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sallyport"
)

// outlet is the way to one hook. run takes from the queue, everybody puts in.
type outlet struct {
	n    *Notifier
	name string
	wake chan struct{} // holds one entry when something was put in
	stop chan struct{} // closed by leave
	done atomic.Bool   // run has returned

	mu     sync.Mutex // guards what follows
	hook   Hook
	left   bool
	queue  []message
	size   int // of the bodies in it
	lost   loss
	toldAt time.Time // when a loss was last said
}

func (o *outlet) wants(e sallyport.Event) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.left && o.hook.wants(e)
}

func (o *outlet) set(h Hook) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hook = h
}

func (o *outlet) current() Hook {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.hook
}

// leave takes no more, and lets run end.
func (o *outlet) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.left {
		o.left = true
		close(o.stop)
	}
}

func (o *outlet) leaving() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.left
}

// put queues a message. In a full queue the oldest of the least severe makes
// room: noise pushes out noise, and what is new can still be acted on.
func (o *outlet) put(m message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) >= queueLength || o.size+len(m.body) > queueSize {
		least := 0
		for i, q := range o.queue {
			if !q.severity.AtLeast(o.queue[least].severity) {
				least = i
			}
		}
		const why = "too many events at once"
		if !m.severity.AtLeast(o.queue[least].severity) {
			o.forget(m, why)
			return
		}
		o.forget(o.remove(least), why)
	}
	o.queue = append(o.queue, m)
	o.size += len(m.body)
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take returns what waits longest.
func (o *outlet) take() (m message, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		return message{}, false
	}
	return o.remove(0), true
}

// remove takes a message out of the queue. Call it with mu held.
func (o *outlet) remove(i int) message {
	m := o.queue[i]
	o.queue = slices.Delete(o.queue, i, i+1)
	o.size -= len(m.body)
	return m
}

// lose counts a message that was not delivered.
func (o *outlet) lose(m message, reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forget(m, reason)
}

// forget is lose with mu held. That a loss elsewhere was not told is not told
// again: two hooks that fail would go on about each other forever.
func (o *outlet) forget(m message, reason string) {
	if m.typ == lost {
		return
	}
	o.lost.count++
	o.lost.reason = reason
	if m.seq > 0 {
		if o.lost.first == 0 || m.seq < o.lost.first {
			o.lost.first = m.seq
		}
		o.lost.last = max(o.lost.last, m.seq)
	}
}

// losses returns and forgets what was lost, when it is time to say so.
func (o *outlet) losses(now bool) (loss, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := o.n.now()
	if o.lost.count == 0 || !now && !o.toldAt.IsZero() && at.Sub(o.toldAt) < lostEvery {
		return loss{}, false
	}
	l := o.lost
	o.lost, o.toldAt = loss{}, at
	return l, true
}

// unsaid takes back a loss that could not be said.
func (o *outlet) unsaid(l loss) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lost.count > 0 {
		l.reason = o.lost.reason
		l.last = max(l.last, o.lost.last)
		if l.first == 0 {
			l.first = o.lost.first
		}
	}
	l.count += o.lost.count
	o.lost = l
}

// run delivers until ctx is done or the outlet is left, and for the grace after
// that.
func (o *outlet) run(ctx context.Context) {
	defer o.done.Store(true)
	hard, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	stopping := make(chan struct{})
	over := make(chan struct{})
	defer close(over)
	go func() {
		why := errors.New("the hook was taken out of the configuration")
		select {
		case <-ctx.Done():
			why = errors.New("the gateway stopped")
		case <-o.stop:
		case <-over:
			return
		}
		close(stopping)
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-t.C:
			cancel(why)
		case <-over:
		}
	}()
	for {
		m, ok := o.take()
		if !ok {
			select {
			case <-o.wake:
				continue
			case <-stopping:
			}
			if m, ok = o.take(); !ok { // put in between
				return
			}
		}
		if hard.Err() != nil {
			o.lose(m, context.Cause(hard).Error())
			continue
		}
		if err := o.deliver(hard, m); err != nil {
			o.lose(m, err.Error())
		}
	}
}

// deliver tells the hook, again and again where that may help.
func (o *outlet) deliver(ctx context.Context, m message) error {
	for attempt := 1; ; attempt++ {
		err := o.n.attempt(ctx, o.current(), m)
		if err == nil {
			if attempt > 1 {
				o.n.Log.Info().Str("hook", o.name).Int("attempts", attempt).Msg("the hook answers again")
			}
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		again, ok := errors.AsType[*passing](err)
		if !ok {
			return err
		}
		pause := max(o.n.pause(attempt), again.after)
		if o.n.now().Add(pause).Sub(m.at) > maxAge {
			return err
		}
		if attempt == 1 {
			o.n.Log.Warn().Str("hook", o.name).Str("event", m.typ).Err(err).Msg("the hook does not answer; it is tried again")
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
	}
}

// passing is an error that another attempt may not meet.
type passing struct {
	err   error
	after time.Duration // not before; 0: when one likes
}

func (p *passing) Error() string { return p.err.Error() }

func (p *passing) Unwrap() error { return p.err }
