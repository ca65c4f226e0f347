// Package judge stands between what a person types and the target: it judges a
// line when it is about to be run, and knows what was typed unseen.
//
// Everything that is typed is sent at once, except the byte that would make the
// shell run the line. That byte is held until the screen, a model fed with the
// target's output, shows the whole line; then the line is judged, and the byte
// is sent or not. History, completion and editing need no reconstruction: the
// screen has what they made.
//
//	judge.go     the story of a key: ready, forward, commit
//	state.go     where keys go: a shell, a program, one with the whole screen
//	verdict.go   what the line is, and what it meets
//	output.go    what the target shows
//	keys.go      what was typed since the last commit
//	reading.go   what the line is, from the screen and the keys
//	barrier.go   that the screen shows all that was typed
//	running.go   what is typed where no shell reads
//	pending.go   lines that belong together
//	echo.go      what was typed unseen
//	mask.go      secrets that were typed visibly
//	script.go    a shell without a terminal
//
// Every signal of the target's may add judging and never removes it.
package judge

import (
	"bytes"
	"errors"
	"fmt"
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

// Config says what a judge has around it. All functions but RTT and Held are
// required.
type Config struct {
	Commands   *policy.Commands // nil judges nothing; secrets are masked all the same
	PTY        bool             // a terminal; otherwise a script on standard input
	Command    string           // what was asked to be run; empty for a login shell
	Cols, Rows int
	Erase      byte // the terminal's erase key (VERASE); 0: DEL

	// Send sends to the target. It may block as long as the target likes.
	Send func(p []byte) error
	// Show shows to the client what the target drew; recorded is what the
	// recording is to have of it, nil: the same. Calls are in order.
	Show func(p, recorded []byte) error
	// Record takes what was typed, once it is known whether it was shown.
	Record func(p []byte, secret bool) error
	// Judged hears of every line that was judged: before it is refused, and after
	// it was let through. The line is empty where it was not shown.
	Judged func(line string, v policy.Verdict)
	// Notice tells the user something.
	Notice func(text string)
	// Terminate ends the session; it may be called from any goroutine.
	Terminate func(reason string)
	// Failed ends the session because the judge itself has failed.
	Failed func(reason string)
	// RTT is the time of a round trip to the target.
	RTT func() time.Duration
	// Held hears how long each Enter was held.
	Held func(d time.Duration)
}

// Judge judges one channel. Its methods are safe for concurrent use: Input is
// for the client's bytes in order, Output for the target's in order. Input
// blocks while a line is held; Output never waits for Input.
type Judge struct {
	cfg   Config
	rules func(line string) policy.Verdict // cfg.Commands.Judge
	erase byte

	// sending is held while keys are worked on, which may take as long as the
	// target likes; showing while something is shown, which may take as long as
	// the client likes. Lock order: sending, showing, mu.
	sending sync.Mutex
	showing sync.Mutex

	done   chan struct{} // closed by Close
	once   sync.Once
	ended  atomic.Bool
	failed atomic.Bool

	mu       sync.Mutex
	woken    chan struct{} // closed when output comes; nil: nobody waits
	screen   *term.Terminal
	line     line
	echo     echo
	mask     mask
	pending  pending // lines that the shell would still add to
	prompts  prompts
	last     policy.Reader // what the last line that was let through does with keys
	runs     string        // its last program
	asks     bool          // and it reads one line first
	bare     bool          // it was typed where there was no line editor
	started  bool          // the first prompt was drawn
	mute     bool          // the sentinel may do harm here
	veil     *veil
	bells    int       // since the veil fell
	drawn    time.Time // of the last output
	answered bool      // there was output since the last key
	sent     time.Time // of the last key
	entered  time.Time // when an Enter was sent last
	refused  time.Time // when a line was that ended with Ctrl-D
	at       string    // the prompt of the last line that was let through
	ran      *ran      // the last line that was let through at a prompt, until it is seen to run
	withheld *withheld
	script   []byte // without a terminal: the line so far
}

// ran is when and where a line was let through.
type ran struct {
	row  int64
	offs uint64 // how often bracketed paste had been switched off
	at   time.Time
}

// later is when a condition is looked at again that no time makes true.
const later = time.Hour

// How long keys wait for the target.
const (
	startMax  = 2 * time.Second       // for the first prompt
	settleMax = 2 * time.Second       // until a line that was sent is seen to run
	promptMax = 60 * time.Millisecond // until a prompt is drawn

	// settledFor is how long nothing is drawn after an Enter that ran nothing.
	settledFor = 300 * time.Millisecond
)

// The largest screen that is modelled. Who has a larger one wraps elsewhere.
const MaxColumns, MaxRows = term.MaxCols, term.MaxRows

// New returns a judge of an empty screen. The caller closes it.
func New(cfg Config) *Judge {
	j := &Judge{
		cfg: cfg, rules: cfg.Commands.Judge, erase: cfg.Erase, screen: term.New(cfg.Cols, cfg.Rows),
		done: make(chan struct{}), last: policy.ReadsShell,
	}
	if j.erase == 0 {
		j.erase = del
	}
	if cfg.Command != "" {
		j.last = policy.Reads(cfg.Command)
		j.started = j.last != policy.ReadsShell
	}
	j.mask.init(cfg.Commands, cfg.Record)
	j.echo.record, j.echo.screen = j.mask.typed, j.screen
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
	case j.isClosed():
		return io.ErrClosedPipe
	case !j.cfg.PTY:
		return j.scripted(p)
	case j.withheld != nil:
		return j.behind(p)
	}
	return j.typed(p)
}

// typed passes keys up to each one that may run the line, which is judged.
// j.sending is held.
func (j *Judge) typed(p []byte) error {
	for len(p) > 0 && !j.isClosed() {
		if j.line.discard { // set and read by the sender only
			p = j.line.drop(p)
			continue
		}
		if p[0] == ctrlD && time.Since(j.refused) < time.Second {
			// At dash the first one hands over the line, the second runs it: both
			// were meant for the line that was dropped.
			p, j.refused = p[1:], time.Time{}
			continue
		}
		j.ready()
		var n int
		var commits bool
		var err error
		j.locked(func() {
			n, commits = j.line.take(p, j.line.edited)
			if bytes.Contains(j.line.keys, []byte(insertKey)) || bytes.Contains(j.line.keys, []byte{ctrlX, ctrlO}) {
				j.mute = true // text would be written over
			}
			if n > 0 {
				j.mask.after = afterLine
			}
			if err = j.echo.typed(p[:n]); err == nil {
				j.watchEcho()
			}
		})
		if err != nil {
			return err
		}
		if n > 0 {
			j.locked(func() {
				// The beginning of a key is answered by nothing.
				j.answered = j.answered && (n == len(j.line.escape) || n == 1 && p[0] == ctrlX)
				j.sent = time.Now()
			})
			if err := j.cfg.Send(p[:n]); err != nil {
				return err
			}
		}
		if !commits {
			return nil
		}
		if err := j.commit(p[n]); err != nil {
			return err
		}
		p = p[n+1:]
		if j.withheld != nil {
			return j.behind(p)
		}
	}
	return nil
}

// ready waits, at the first key of a line, until the place is known where it
// will be shown. j.sending is held.
func (j *Judge) ready() {
	if j.line.begun {
		return
	}
	if j.cfg.Commands.Active() {
		if !j.started {
			j.wait(startMax, func() time.Duration {
				if j.screen.Bracketed() || j.leftOfCursor() != "" {
					return j.quiet(quietFor)
				}
				return later
			})
		}
		if r := j.ran; r != nil {
			// Keys that come too early would be read by nobody knows whom.
			j.wait(settleMax, func() time.Duration {
				_, offs := j.screen.Events()
				switch {
				case j.screen.Cursor().Row != r.row || offs != r.offs:
					return 0
				case j.answered: // a menu or a search took the Enter
					return j.quiet(settledFor + j.rtt())
				}
				return later
			})
			// A command that is over in no time leaves its prompt; then no key was
			// typed ahead.
			j.wait(promptMax+j.rtt()-time.Since(r.at), func() time.Duration {
				if j.screen.Bracketed() || j.prompts.ends(j.leftOfCursor()) {
					return 0
				}
				return later
			})
		}
	}
	j.wait(promptMax, func() time.Duration {
		if j.screen.Alternate() || !j.screen.Bracketed() && j.leftOfCursor() == "" {
			return 0
		}
		return j.quiet(anchorRest)
	})
	j.locked(j.begin)
}

// begin notes where the line will be shown. j.mu is held.
func (j *Judge) begin() {
	j.started, j.ran = true, nil
	s, l := j.screen, &j.line
	cur := s.Cursor()
	l.begun, l.anchor, l.prompt = true, cur, s.Left(cur)
	switch right := s.Text(cur, s.End(cur)); {
	case trim(right) == "" || s.Ghost(cur):
	case strings.HasPrefix(right, "  "):
		l.right = strings.TrimLeft(right, " ")
	default: // the editor has a line already, and the cursor in it
		l.moved = inside
	}
	l.sure = j.quiet(anchorRest) <= 0
	// A shell that had no line editor at its last prompt has none now.
	l.edited = s.Bracketed() && !s.Alternate() && !(j.bare && j.last != policy.ReadsShell)
	l.ons, _ = s.Events()
	p, ok := j.prompts.begin(l.prompt)
	if !ok && trim(j.at) != "" {
		p, ok = j.at, strings.HasPrefix(l.prompt, j.at)
	}
	if ok && p != l.prompt && !j.prompts.exact(l.prompt) {
		// A prompt and more: zsh has put a line there before a key was pressed.
		l.anchor, l.prompt = s.After(s.LineStart(cur), p), p
	}
	j.mask.begin(l.anchor, l.prompt, j.pending.before())
}

// leftOfCursor returns what stands left of the cursor on its line, if that is
// more than blanks. j.mu is held.
func (j *Judge) leftOfCursor() string {
	left := j.screen.Left(j.screen.Cursor())
	if trim(left) == "" {
		return ""
	}
	return left
}

// commit judges the line that b would run, and sends, drops, withholds or ends.
// j.sending is held.
func (j *Judge) commit(b byte) error {
	began := time.Now()
	d, err := j.decide(b)
	if err != nil {
		return err
	}
	v, text, what := d.v, d.text, d.what
	if j.isClosed() { // what was waited for may not have come
		return io.ErrClosedPipe
	}
	if j.cfg.Held != nil && v.Action <= sallyport.Alert && what == aLine {
		j.cfg.Held(time.Since(began))
	}
	switch {
	case what == ahead:
		j.withhold(b)
		return nil
	case v.Action == sallyport.Terminate:
		j.ended.Store(true)
		j.cfg.Judged(text, v)
		j.cfg.Terminate(v.Reason)
		return ErrTerminate
	case v.Action == sallyport.Deny:
		j.cfg.Judged(text, v)
		if b == ctrlD {
			defer func() { j.refused = time.Now() }()
		}
		return j.drop(v)
	}
	j.locked(func() { err = j.passed(b, what, d.shown) })
	if err != nil {
		return err
	}
	if v.Action == sallyport.Alert {
		j.cfg.Judged(text, v)
	}
	j.locked(func() { j.sent, j.entered, j.answered = time.Now(), time.Now(), false })
	if err := j.cfg.Send([]byte{b}); err != nil {
		return err
	}
	if v.Action == sallyport.Allow && what == aLine && text != "" {
		j.cfg.Judged(text, v)
	}
	return nil
}

// kind is what a commit was.
type kind int

const (
	aLine  kind = iota // of a shell
	input              // for a program
	pasted             // a line's end within a paste
	ahead              // typed ahead: it waits for the prompt
	maybe              // some shells would run the line at this key
)

// decide finds out what b would run and judges it. j.sending is held.
func (j *Judge) decide(b byte) (d decision, err error) {
	var in state
	j.locked(func() { in = j.state() })
	if in == fullscreen && j.cfg.Commands.Active() {
		j.rest()
		j.locked(func() {
			if in = j.state(); in != fullscreen { // the program has ended
				j.line.sure = false
			}
		})
	}
	j.locked(func() { d.what = j.kindOf(b, in) })
	var r readings
	switch {
	case !j.cfg.Commands.Active():
		j.locked(func() { r = j.glimpse() })
	case d.what == pasted:
		r.add(string(j.line.text))
		r.sure, r.seen = true, true
	case in == fullscreen:
		j.locked(func() { r = j.bottom() })
	case in == running:
		return j.program(b)
	default:
		if r, err = j.look(); err != nil {
			return d, err
		}
	}
	j.locked(func() {
		d.v, d.text = j.judge(&r, b, d.what)
		d.shown = r.shown
	})
	return d, nil
}

// decision is what was found out about an Enter.
type decision struct {
	v     policy.Verdict
	text  string // the line as it was judged, with its secrets masked; empty: it is not told
	what  kind
	shown bool // the screen has the line
}

// passed notes that b goes to the target. j.mu is held.
func (j *Judge) passed(b byte, what kind, shown bool) error {
	l := &j.line
	if err := j.echo.committed(b, what == aLine && shown && !j.echo.late); err != nil {
		return err
	}
	j.watchEcho()
	switch {
	case what == maybe:
		l.key(b)
		return nil
	case what == pasted:
		text, keys := l.text, l.keys
		l.ends = 0
		l.text, l.keys, l.kept = text[:0], keys[:0], l.kept[:0]
		l.odd, l.moved = true, inside // the real Enter is for all of it
		return nil
	case b == ctrlD: // a part of a line: the rest goes on
		l.ends = len(l.text)
		l.note(b)
		l.strange(l.moved)
		return nil
	}
	if what == aLine {
		j.bare = !l.edited
	}
	if what == aLine && j.screen.Bracketed() {
		_, offs := j.screen.Events()
		j.ran = &ran{row: j.screen.Cursor().Row, offs: offs, at: time.Now()}
	}
	l.reset()
	return j.mask.end()
}

// drop makes the line editor drop the line: with Ctrl-C, and never a carriage
// return. Within a paste it would be text. j.sending is held.
func (j *Judge) drop(v policy.Verdict) error {
	var err error
	var paste bool
	var row int64
	j.cfg.Notice("not run: " + v.Reason)
	j.rest() // readline keeps a line where Ctrl-C meets it at work
	j.locked(func() {
		paste = j.line.paste && j.line.edited && !j.line.doubtful
		err = j.mask.end()
		row = j.screen.Cursor().Row
	})
	for range 5 {
		if err == nil && paste { // in a paste it would be text, and it would drop what ends the paste
			j.locked(func() { j.sent, j.answered = time.Now(), false })
			err = j.cfg.Send([]byte(pasteEnd))
			j.rest()
		}
		if err == nil {
			err = j.cfg.Send([]byte{ctrlC})
		}
		if err != nil {
			return err
		}
		j.locked(func() { j.sent = time.Now() })
		if j.screen.Alternate() || j.wait(250*time.Millisecond+j.rtt(), func() time.Duration {
			if j.dropped(row) {
				return j.quiet(3 * quietFor)
			}
			return later
		}) {
			break
		}
	}
	j.locked(func() {
		l := &j.line
		l.reset()
		l.paste, l.discard, l.broke = false, paste, true
		l.escape = l.escape[:0]
		j.pending = pending{}
	})
	return nil
}

// dropped reports whether the line editor has dropped the line that it had in a
// row: it shows its prompt, and nothing behind it. j.mu is held.
func (j *Judge) dropped(row int64) bool {
	s, prompt := j.screen, j.line.prompt
	cur := s.Cursor()
	if trim(prompt) == "" {
		return cur.Row > row
	}
	left, right := s.Left(cur), s.Text(cur, s.End(cur))
	fresh := strings.HasSuffix(left, prompt)
	if m := mark(prompt); m != "" { // it may show how the last line ended
		fresh = fresh || strings.HasSuffix(left, m)
	}
	return fresh && (trim(right) == "" || strings.HasPrefix(right, "  ") || s.Ghost(cur))
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
	if !j.cfg.PTY && j.sending.TryLock() { // otherwise Input is still sending: there is no end
		defer j.sending.Unlock()
		err = j.endScript()
	}
	j.once.Do(func() { close(j.done) })
	if j.cfg.PTY {
		j.locked(func() {
			j.echo.stop()
			err = j.echo.hide()
			_ = j.mask.end()
		})
	}
}

func (j *Judge) isClosed() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// locked runs f with the state locked, and unlocks it where f panics.
func (j *Judge) locked(f func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f()
}

// guard ends the session where the model of the screen or the rules panicked:
// what cannot be judged must not pass, and must not take other sessions along.
func (j *Judge) guard(err *error) {
	if r := recover(); r != nil {
		j.ended.Store(true)
		j.failed.Store(true)
		*err = ErrTerminate
		j.cfg.Failed(fmt.Sprintf("the judge failed (%T)", r)) // the value may hold what was typed
	}
}
