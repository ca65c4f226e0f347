// Package judge stands between what a person types and the target: it judges a
// line when it is about to be run, and knows what was typed unseen.
//
// This is the first judge. It looks at the keys since the last commit and, where
// they do not tell the line (history, completion, editing), at what the screen
// shows after the place where the line began. A line that is only on the screen
// is held until the screen is quiet. The whole design is in the design notes on
// command control; the API is what the proxy knows, so that the inside can be
// replaced.
package judge

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sallyport"
	"sallyport/internal/term"
	"sallyport/policy"
)

// ErrTerminate is returned by Input when the session must end: the byte that
// would have run the line was not sent.
var ErrTerminate = errors.New("the line ends the session")

// Config says what a judge has around it. All functions but Now and AfterFunc
// are required.
type Config struct {
	Commands   *policy.Commands // nil judges nothing; secrets are masked all the same
	PTY        bool             // a terminal; otherwise a script on standard input
	Cols, Rows int

	Send    func(p []byte) error              // to the target
	Record  func(p []byte, secret bool) error // what was typed, once it is known whether it was shown
	Verdict func(line string, v policy.Verdict)
	Notice  func(text string) // for the user's screen
	// Terminate ends the session; it may be called from any goroutine.
	Terminate func(reason string)

	Now       func() time.Time                                   // nil: time.Now
	AfterFunc func(d time.Duration, f func()) (stop func() bool) // nil: time.AfterFunc
}

// Judge judges one channel. Its methods are safe for concurrent use: Input is
// for the client's bytes in order, Output for the target's in order.
type Judge struct {
	cfg   Config
	rules func(line string) policy.Verdict // cfg.Commands.Judge

	// sending is held while bytes go to the target, which may take as long as
	// the target likes; mu never is, so that output is always let through.
	// Lock order: sending, mu.
	sending sync.Mutex

	mu      sync.Mutex
	screen  *term.Terminal
	line    line
	echo    echo
	held    []byte // a commit byte and what came after it
	since   time.Time
	quiet   func() bool // stops the timer of the held byte
	script  []byte      // without a terminal: the line so far
	pending pending     // lines that the shell would still add to
	prompts []string    // that lines were typed at
	ended   atomic.Bool
	closed  atomic.Bool
}

// How long a held line waits for the screen: until it was quiet this long, and
// no longer than that in all.
const (
	quietFor = 60 * time.Millisecond
	holdMax  = 600 * time.Millisecond
	heldMax  = 64 << 10 // bytes typed behind a held line; more ends the wait
)

// The largest screen that is modelled. Who has a larger one wraps elsewhere.
const MaxColumns, MaxRows = term.MaxCols, term.MaxRows

// New returns a judge of an empty screen.
func New(cfg Config) *Judge {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.AfterFunc == nil {
		cfg.AfterFunc = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	j := &Judge{cfg: cfg, rules: cfg.Commands.Judge, screen: term.New(cfg.Cols, cfg.Rows)}
	j.echo.record, j.echo.screen = cfg.Record, j.screen
	return j
}

// Input takes what the client sent and forwards what may be forwarded.
func (j *Judge) Input(p []byte) (err error) {
	j.sending.Lock()
	defer j.sending.Unlock()
	defer j.guard(&err)
	switch {
	case j.ended.Load():
		return ErrTerminate
	case j.closed.Load():
		return io.ErrClosedPipe
	case !j.cfg.PTY:
		return j.scripted(p)
	}
	var held, full bool
	j.locked(func() {
		if held = len(j.held) > 0; held {
			j.held = append(j.held, p...)
			full = len(j.held) > heldMax
		}
	})
	switch {
	case full:
		return j.release()
	case held:
		return nil
	}
	return j.keys(p)
}

// keys passes keys up to each commit byte, which is judged. j.sending is held.
func (j *Judge) keys(p []byte) error {
	for len(p) > 0 {
		if j.line.discard { // set and read by the sender only
			p = j.line.drop(p)
			continue
		}
		var n int
		var commit, hold bool
		var err error
		j.locked(func() {
			n, commit = j.line.take(p, j.screen)
			if err = j.echo.typed(p[:n]); err != nil {
				return
			}
			j.watchEcho()
			if hold = commit && j.cfg.Commands.Active() && j.line.odd; hold {
				j.held = append([]byte(nil), p[n:]...)
				j.since = j.cfg.Now()
				if j.line.blind && j.prompted() {
					j.arm(holdMax) // the screen does not show yet what the key did
				} else {
					j.arm(quietFor)
				}
			}
		})
		if err != nil {
			return err
		}
		if n > 0 {
			if err := j.cfg.Send(p[:n]); err != nil {
				return err
			}
		}
		if hold || !commit {
			return nil
		}
		p = p[n:]
		if err := j.commit(p[0]); err != nil {
			return err
		}
		p = p[1:]
	}
	return nil
}

// arm starts the timer of a held byte. j.mu is held.
func (j *Judge) arm(d time.Duration) {
	if j.quiet != nil {
		j.quiet()
	}
	j.quiet = j.cfg.AfterFunc(d, func() {
		var err error // a failed send is seen by the next Input
		j.sending.Lock()
		defer j.sending.Unlock()
		defer j.guard(&err)
		err = j.release()
	})
}

// release judges the held line and passes on what was typed after it.
// j.sending is held.
func (j *Judge) release() error {
	var held []byte
	j.locked(func() {
		held, j.held = j.held, nil
		if j.quiet != nil {
			j.quiet()
			j.quiet = nil
		}
	})
	if len(held) == 0 || j.closed.Load() || j.ended.Load() {
		return nil
	}
	if err := j.commit(held[0]); err != nil {
		return err
	}
	return j.keys(held[1:])
}

// commit judges the line and sends, drops or ends. j.sending is held.
func (j *Judge) commit(b byte) error {
	var text string
	var v policy.Verdict
	var next pending
	var paste bool
	var err error
	j.locked(func() {
		text, v, next = j.verdict()
		if j.echo.unseen() {
			text = "" // it may be a password
			if b != ctrlD {
				j.line.keys = nil // nor is it yanked into a line that is told
			}
			if !j.prompted() {
				next = pending{}
			}
			if !j.line.long {
				v = unshown(v, j.prompted())
			}
		}
		if v.Action <= sallyport.Alert {
			j.learn()
		}
		if err = j.echo.committed(b); err != nil {
			return
		}
		j.watchEcho()
		paste = j.next(b, v, next)
		j.ended.Store(v.Action == sallyport.Terminate)
	})
	if err != nil {
		return err
	}
	if v.Action > sallyport.Allow {
		j.cfg.Verdict(text, v)
	}
	switch v.Action {
	case sallyport.Terminate:
		j.cfg.Terminate(v.Reason)
		return ErrTerminate
	case sallyport.Deny:
		// Ctrl-C and never a carriage return: the line editor drops the line.
		// Within a paste it would be text.
		drop := string(rune(ctrlC))
		if paste {
			drop = pasteEnd + drop
		}
		if err := j.cfg.Send([]byte(drop)); err != nil {
			return err
		}
		j.cfg.Notice("not run: " + v.Reason)
		return nil
	}
	return j.cfg.Send([]byte{b})
}

// next begins another line, which continues what is pending then. It returns
// whether a line that was refused ended within a paste. j.mu is held.
func (j *Judge) next(b byte, v policy.Verdict, then pending) (paste bool) {
	switch {
	case v.Action >= sallyport.Deny:
		paste = j.line.paste
		j.line.reset()
		j.line.paste, j.line.discard = false, paste
		j.pending = pending{}
	case b == ctrlD: // in a line editor it deletes a character: the line goes on
		j.line.ends = len(j.line.text)
		j.line.note(b)
		j.line.strange()
	default:
		j.line.reset()
		j.pending = then
	}
	return paste
}

// verdict judges what would be run now: the worst that any reading of the line
// meets, and what then waits for more. j.mu is held.
func (j *Judge) verdict() (text string, worst policy.Verdict, next pending) {
	if !j.cfg.Commands.Active() {
		return "", worst, next
	}
	if j.line.any {
		next.first, next.prompt = j.line.anchor, j.screen.Left(j.line.anchor)
	}
	lines := j.line.candidates(j.screen, j.prompts)
	if p := &j.pending; len(p.open) > 0 {
		if len(lines) == 0 {
			lines = []string{""}
		}
		// After a Ctrl-C, or at another prompt like that of the first line, the
		// shell has probably dropped it.
		again := next.first != p.first && next.prompt == p.prompt && strings.TrimSpace(p.prompt) != ""
		p.alone = p.alone || again || j.line.broke
		next.first, next.prompt = p.first, p.prompt
	}
	for _, line := range lines {
		v := j.pending.judge(j.cfg.Commands, j.rules, line, len(lines) == 1, &next)
		if text == "" || v.Action > worst.Action {
			text, worst = line, v
		}
	}
	// Keys that could mean anything at a prompt, and a screen that shows nothing
	// of it: nobody can say what this Enter runs.
	blank := text == "" && j.line.odd && j.line.blind && j.prompted()
	if v := j.cfg.Commands.Unverifiable(); (j.line.long || blank) && v.Action > worst.Action {
		worst = v
	}
	return text, worst, next
}

// Output takes what the target shows, before it is shown, and returns what to
// show.
func (j *Judge) Output(p []byte) []byte {
	if !j.cfg.PTY || j.ended.Load() {
		return p
	}
	var err error
	defer j.guard(&err)
	j.locked(func() {
		// What was typed may be on the screen at the end of a row only, before
		// the output of the line that it ran.
		for rest := p; len(rest) > 0; {
			n := len(rest)
			if len(j.echo.typedp) > 0 {
				if i := bytes.IndexAny(rest, "\r\n"); i >= 0 {
					n = max(i, 1)
				}
			}
			_, _ = j.screen.Write(rest[:n])
			_ = j.echo.shown() // a recording that failed ends the session by itself
			rest = rest[n:]
		}
		j.line.drawn(j.screen)
		if len(j.held) > 0 {
			left := holdMax - j.cfg.Now().Sub(j.since)
			if left > 0 && j.line.blind && j.prompted() {
				j.arm(left)
			} else if left > 0 {
				j.arm(min(quietFor, left))
			}
		}
	})
	return p
}

// watchEcho masks what stays unseen. j.mu is held.
func (j *Judge) watchEcho() {
	j.echo.watch(j.cfg.AfterFunc, func() {
		var err error
		defer j.guard(&err)
		j.locked(func() { err = j.echo.mask() })
	})
}

// Resize follows the client's window.
func (j *Judge) Resize(cols, rows int) {
	var err error
	defer j.guard(&err)
	j.locked(func() { j.screen.Resize(cols, rows) })
}

// Close ends the judging: what is not known to have been shown is recorded
// masked, and what was held is not sent. It does not wait for a target that
// takes nothing. A script's last line without an end is judged and sent.
func (j *Judge) Close() {
	var err error
	defer j.guard(&err)
	if !j.cfg.PTY {
		if j.sending.TryLock() { // otherwise Input is still sending: there is no end
			defer j.sending.Unlock()
			err = j.endScript()
		}
		j.closed.Store(true)
		return
	}
	j.closed.Store(true)
	j.locked(func() {
		if j.quiet != nil {
			j.quiet()
		}
		j.echo.stop()
		err = j.echo.mask()
	})
}
