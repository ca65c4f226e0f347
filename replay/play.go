package replay

import (
	"context"
	"errors"
	"io"
	"math"
	"time"

	"sallyport"
	"sallyport/recorder/cast"
)

// PlayOptions say how to play. Times are those of the recording.
type PlayOptions struct {
	Channel string        // empty: the first
	Speed   float64       // 0: 1
	Idle    time.Duration // the longest pause that is kept; 0: any
	At      time.Duration // where to begin

	// Out is a terminal, or any writer. Only what went through Filter reaches it.
	Out io.Writer
	// Keys is the viewer's keyboard, in raw mode: space pauses, a dot steps, the
	// arrows or h and l go back and forth 5 s, + and - change the speed, q or
	// Ctrl-C quits. Nil: it just plays. Its end leaves the rest playing. A Read
	// that is under way when Play returns gets to its end, and its bytes are lost.
	Keys io.Reader
}

const (
	seekBy   = 5 * time.Second
	minSpeed = 1.0 / 64
	maxSpeed = 1024
	// maxLate is how far behind its time output may be made up for: beyond, the
	// viewer's terminal was stopped and goes on where it was.
	maxLate = time.Second
)

// Play shows a channel of a recording as it was. It returns nil at its end or
// when the viewer quits, and the cause of ctx when that is done. The terminal is
// left in its usual state.
func Play(ctx context.Context, r Recording, o PlayOptions) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	channel, err := r.channel(o.Channel)
	if err != nil {
		return err
	}
	p := &player{rec: r, channel: channel, opts: o, speed: o.Speed}
	if err := p.rewind(); err != nil {
		return err
	}
	defer func() {
		p.src.close()
		err = errors.Join(err, p.write(p.filter.Restore()))
	}()
	if o.Keys != nil {
		keys, done := make(chan key), make(chan struct{})
		defer close(done)
		go readKeys(o.Keys, keys, done)
		p.keys = keys
	}
	if o.At > 0 {
		if err := p.seek(ctx, o.At); err != nil {
			return err
		}
	}
	return p.run(ctx)
}

func (o *PlayOptions) check() error {
	if o.Speed == 0 {
		o.Speed = 1
	}
	if math.IsNaN(o.Speed) || o.Speed < minSpeed || o.Speed > maxSpeed {
		return sallyport.Errorf(sallyport.CodeUsage, "the speed must be between %g and %d", minSpeed, maxSpeed).
			WithHint("for example --speed 2")
	}
	if o.Idle < 0 || o.At < 0 {
		return sallyport.Errorf(sallyport.CodeUsage, "a time to play from or to wait cannot be negative")
	}
	return nil
}

// player is one run of Play. Only its goroutine touches it.
type player struct {
	rec     Recording
	channel string
	opts    PlayOptions
	keys    <-chan key

	src    *source
	crlf   newlines
	filter Filter

	event  cast.Event // the next one to show; valid until fetch
	ended  bool       // there is none
	pos    time.Duration
	speed  float64
	paused bool
	left   time.Duration // while paused: from here to event, unscaled
	due    time.Time     // otherwise: when event is to be shown
}

// rewind opens the recording at its beginning.
func (p *player) rewind() error {
	src, err := p.rec.openSource(p.channel)
	if err != nil {
		return err
	}
	if p.src != nil {
		p.src.close()
	}
	p.src = src
	p.crlf = newlines{on: !src.pty && p.opts.Keys != nil} // raw mode needs them
	p.filter = Filter{used: p.filter.used}
	p.pos, p.ended = 0, false
	return p.fetch()
}

// fetch reads on to the next event that can be seen, and sets when it is due.
func (p *player) fetch() error {
	for {
		e, err := p.src.event()
		if errors.Is(err, io.EOF) {
			p.ended = true
			return nil
		}
		if err != nil {
			p.ended = true
			return err
		}
		if e.Code == cast.CodeOutput {
			p.event = e
			p.wait(p.capped(e.At - p.pos))
			return nil
		}
	}
}

// wait sets that the next event is gap away, in time of the recording.
func (p *player) wait(gap time.Duration) {
	if p.paused {
		p.left = gap
		return
	}
	if now := time.Now(); p.due.Before(now.Add(-maxLate)) {
		p.due = now
	}
	p.due = p.due.Add(p.scaled(gap))
}

func (p *player) capped(gap time.Duration) time.Duration {
	if p.opts.Idle > 0 {
		return min(gap, p.opts.Idle)
	}
	return gap
}

func (p *player) scaled(d time.Duration) time.Duration {
	return time.Duration(min(float64(d)/p.speed, math.MaxInt64/2))
}

// gap returns how far away the next event is, in time of the recording.
func (p *player) gap() time.Duration {
	if p.paused {
		return p.left
	}
	return time.Duration(float64(max(time.Until(p.due), 0)) * p.speed)
}

func (p *player) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !p.ended {
		var tick <-chan time.Time
		if !p.paused {
			timer.Reset(time.Until(p.due))
			tick = timer.C
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick:
			if err := p.show(); err != nil {
				return err
			}
		case k, ok := <-p.keys:
			if !ok { // the keyboard is gone: nobody could end a pause
				p.keys = nil
				p.pause(false)
				continue
			}
			if k == keyQuit {
				return nil
			}
			if err := p.press(ctx, k); err != nil {
				return err
			}
		}
		if ctx.Err() != nil { // a timer that is always ready must not starve it
			return context.Cause(ctx)
		}
	}
	return nil
}

func (p *player) press(ctx context.Context, k key) error {
	switch k {
	case keyPause:
		p.pause(!p.paused)
	case keyStep:
		p.pause(true)
		return p.show()
	case keyBack, keyForward:
		by := seekBy
		if k == keyBack {
			by = -by
		}
		return p.seek(ctx, p.now()+by)
	case keyFaster, keySlower:
		gap, factor := p.gap(), 2.0
		if k == keySlower {
			factor = 0.5
		}
		p.speed = min(max(p.speed*factor, minSpeed), maxSpeed)
		p.due = time.Now()
		p.wait(gap)
	}
	return nil
}

// now returns the position in the recording, also between two events.
func (p *player) now() time.Duration { return max(p.event.At-p.gap(), p.pos) }

func (p *player) pause(on bool) {
	if on == p.paused {
		return
	}
	gap := p.gap()
	p.paused = on
	p.due = time.Now()
	p.wait(gap)
}

// show shows the next event.
func (p *player) show() error {
	if err := p.write(p.feed()); err != nil {
		return err
	}
	return p.fetch()
}

// feed takes the next event and returns what of it a terminal may show.
func (p *player) feed() []byte {
	p.pos = p.event.At
	return p.filter.Write(p.crlf.write(p.event.Data))
}

// blank clears a terminal that is in its usual state.
const blank = "\x1b[0m\x1b[H\x1b[2J"

// seek goes to a time and shows the screen as it was then: all that was shown
// up to there, at once, on a blank screen when it goes back. The viewer's own
// terminal is then exact in every detail, and memory stays bounded.
func (p *player) seek(ctx context.Context, to time.Duration) error {
	to = max(to, 0)
	var out []byte
	if to < p.pos {
		out = append(p.filter.Restore(), blank...)
		if err := p.rewind(); err != nil {
			return err
		}
	}
	for !p.ended && p.event.At <= to {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if out = append(out, p.feed()...); len(out) >= 64<<10 {
			if err := p.write(out); err != nil {
				return err
			}
			out = out[:0]
		}
		if err := p.fetch(); err != nil {
			return errors.Join(err, p.write(out))
		}
	}
	if !p.ended {
		p.pos = to
		p.due = time.Now()
		p.wait(p.capped(p.event.At - to))
	}
	return p.write(out)
}

func (p *player) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	_, err := p.opts.Out.Write(b)
	return err
}
