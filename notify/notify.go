// Package notify calls people: it passes events of some severity on to hooks, a
// command or a signed webhook each.
//
// The audit log is the record, this is a call. Nothing here waits for a hook but
// the hook's own goroutine, what a hook does not take in time is lost, and that
// is said in the audit log (notify.lost). What waits when the process is killed
// is lost as well.
package notify

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"sallyport"
)

// Bounds.
const (
	queueLength = 1000             // events that wait for one hook
	queueSize   = 16 << 20         // their bytes
	maxAge      = 10 * time.Minute // after which an event is not tried again; each is tried once
	firstPause  = time.Second      // between attempts; twice as long each time
	longPause   = time.Minute
	lostEvery   = time.Minute     // between two notify.lost of one hook
	grace       = 5 * time.Second // for what waits when a hook or the gateway is stopped
)

// DefaultTimeout bounds one attempt.
const DefaultTimeout = 10 * time.Second

// Hook is one place that hears of events. It has either a Command or a URL.
type Hook struct {
	Name     string
	Severity sallyport.Severity // the least that is told
	Events   []string           // patterns of types, such as command.*; none: all

	Command []string // an absolute path and the arguments; no shell reads them
	URL     string   // https, or http on this host's loopback
	Secret  []byte   // signs what goes to URL

	Timeout time.Duration // of one attempt; 0: DefaultTimeout
}

// wants reports whether the hook is to hear of e.
func (h Hook) wants(e sallyport.Event) bool {
	// That this very hook fails would only be one more that it does not take.
	if e.Type == lost && e.Details["hook"] == h.Name {
		return false
	}
	return e.Severity.AtLeast(h.Severity) && (len(h.Events) == 0 ||
		slices.ContainsFunc(h.Events, func(p string) bool { return sallyport.MatchPath(p, e.Type) }))
}

// The types of our own events.
const (
	lost = "notify.lost"
	test = "notify.test"
)

// Audit takes what is said about lost events.
type Audit interface {
	Append(sallyport.Event) error
}

// Notifier passes events on. Set its fields first; Set and Offer may be called at
// any time after that, Run once. Its methods are safe for concurrent use.
//
// Each hook has a queue and a goroutine of its own, so each hears of events in
// the order in which they were offered, and none waits for another.
type Notifier struct {
	Gateway string // its name, in every message
	Audit   Audit
	Log     zerolog.Logger

	Now    func() time.Time // nil: time.Now
	Random io.Reader        // for ids
	Jitter func() float64   // in [0,1), of pauses; nil: math/rand
	Dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	Roots  *x509.CertPool // who may vouch for https; nil: the system's
	// Exec runs a command with the input and returns when it has ended; nil: runs it.
	Exec func(ctx context.Context, argv []string, input []byte) error

	once           sync.Once
	secure, nearby *http.Client // for https, for http on loopback

	mu      sync.RWMutex // guards what follows; taken before an outlet's
	running context.Context
	outlets []*outlet
	work    sync.WaitGroup
}

// message is what a hook is told.
type message struct {
	id       string
	at       time.Time // when it was offered
	seq      uint64    // in the audit log; 0: not from there
	typ      string
	severity sallyport.Severity
	body     []byte
}

// wire is the shape of a message: the event as the audit log has it, and whose.
type wire struct {
	ID      string `json:"id"`
	Gateway string `json:"gateway"`
	Seq     uint64 `json:"seq,omitempty"`
	sallyport.Event
}

// message makes one of an event, which is within the audit log's bounds.
func (n *Notifier) message(seq uint64, e sallyport.Event) (message, error) {
	id, err := sallyport.NewID(n.Random)
	if err != nil {
		return message{}, err
	}
	if e.Severity == "" {
		e.Severity = sallyport.SeverityInfo
	}
	body, err := json.Marshal(wire{ID: id, Gateway: n.Gateway, Seq: seq, Event: e})
	if err != nil {
		return message{}, fmt.Errorf("encoding an event: %w", err)
	}
	return message{id, n.now(), seq, e.Type, e.Severity, sallyport.EscapeJSON(body)}, nil
}

// Offer passes an event on to the hooks that want it. seq is its place in the
// audit log, 0 where it is not in there. It returns at once.
func (n *Notifier) Offer(seq uint64, e sallyport.Event) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	var m message
	for _, o := range n.outlets {
		if !o.wants(e) {
			continue
		}
		if m.body == nil {
			var err error
			if m, err = n.message(seq, e); err != nil {
				o.lose(message{seq: seq, typ: e.Type}, err.Error())
				continue
			}
		}
		o.put(m)
	}
}

// Set replaces the hooks. A hook of the same name keeps what waits for it; one
// that is gone gets a moment for that.
func (n *Notifier) Set(hooks []Hook) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, o := range n.outlets {
		if i := slices.IndexFunc(hooks, func(h Hook) bool { return h.Name == o.name }); i < 0 {
			o.leave()
		}
	}
	for _, h := range hooks {
		i := slices.IndexFunc(n.outlets, func(o *outlet) bool { return o.name == h.Name && !o.leaving() })
		if i >= 0 {
			n.outlets[i].set(h)
			continue
		}
		o := &outlet{n: n, name: h.Name, wake: make(chan struct{}, 1), stop: make(chan struct{}), hook: h}
		n.outlets = append(n.outlets, o)
		if n.running != nil {
			n.start(o)
		}
	}
}

// start lets an outlet work. Call it with mu held.
func (n *Notifier) start(o *outlet) {
	n.work.Go(func() { o.run(n.running) })
}

// Run delivers until ctx is done, then for a few seconds what still waits. It
// says what was lost before it returns.
func (n *Notifier) Run(ctx context.Context) {
	n.mu.Lock()
	n.running = ctx
	for _, o := range n.outlets {
		n.start(o)
	}
	n.mu.Unlock()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			n.confess(false)
			continue
		case <-ctx.Done():
		}
		break
	}
	n.work.Wait()
	n.confess(true)
}

// confess says what was lost, now or as soon as it is time again, and forgets
// the outlets that are done.
func (n *Notifier) confess(now bool) {
	n.mu.RLock()
	all := slices.Clone(n.outlets)
	n.mu.RUnlock()
	for _, o := range all {
		done := o.done.Load() // before what it lost is looked at
		l, ok := o.losses(now || done)
		if ok {
			n.Log.Error().Str("hook", o.name).Int("count", l.count).Str("reason", l.reason).Msg("events were not told")
			if err := n.Audit.Append(l.event(o.name)); err != nil {
				n.Log.Error().Err(err).Msg("cannot write the audit log")
				o.unsaid(l)
			}
		}
		if done && o.leaving() {
			n.mu.Lock()
			n.outlets = slices.DeleteFunc(n.outlets, func(x *outlet) bool { return x == o })
			n.mu.Unlock()
		}
	}
}

// loss is what one hook was not told.
type loss struct {
	count       int
	first, last uint64 // of those in the audit log
	reason      string // of the last
}

func (l loss) event(hook string) sallyport.Event {
	e := sallyport.Event{
		Type: lost, Severity: sallyport.SeverityAlert, Outcome: "lost", Reason: l.reason,
		Details: map[string]string{"hook": hook, "count": strconv.Itoa(l.count)},
	}
	if l.last > 0 {
		e.Details["first_seq"], e.Details["last_seq"] = strconv.FormatUint(l.first, 10), strconv.FormatUint(l.last, 10)
	}
	return e
}

// Try tells one hook of a test (notify.test), once, and returns what came of it.
// It needs no Run.
func (n *Notifier) Try(ctx context.Context, h Hook) error {
	m, err := n.message(0, sallyport.Event{
		Time: n.now().UTC(), Type: test, Severity: sallyport.SeverityInfo,
		Reason: "a test: nothing has happened", Details: map[string]string{"hook": h.Name},
	})
	if err != nil {
		return err
	}
	return n.attempt(ctx, h, m)
}

// attempt tells a hook once.
func (n *Notifier) attempt(ctx context.Context, h Hook, m message) error {
	timeout := h.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it took longer than %s", timeout))
	defer cancel()
	if len(h.Command) == 0 {
		return n.post(ctx, h, m)
	}
	exec := n.Exec
	if exec == nil {
		exec = command
	}
	return exec(ctx, h.Command, append(slices.Clip(m.body), '\n'))
}

func (n *Notifier) now() time.Time {
	if n.Now == nil {
		return time.Now()
	}
	return n.Now()
}

// pause is how long to wait after the given attempt, the first being 1: between
// half and all of it, so that many gateways do not call at once.
func (n *Notifier) pause(attempt int) time.Duration {
	d := longPause
	if attempt < 10 {
		d = min(d, firstPause<<(attempt-1))
	}
	jitter := rand.Float64
	if n.Jitter != nil {
		jitter = n.Jitter
	}
	return d/2 + time.Duration(jitter()*float64(d/2))
}
