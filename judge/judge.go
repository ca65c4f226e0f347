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
//	keys.go      what was typed since the last commit
//	reading.go   what the line is, from the screen and the keys
//	barrier.go   that the screen shows all that was typed
//	running.go   what is typed where no shell reads
//	pending.go   lines that belong together
//	echo.go      what was typed unseen, and secrets typed visibly
//	script.go    a shell without a terminal
//
// Every signal of the target's may add judging and never removes it.
package judge

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
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

	done  chan struct{} // closed by Close
	once  sync.Once
	ended atomic.Bool

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
	settledFor = 150 * time.Millisecond
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
					return j.quiet(settledFor)
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
	j.mask.begin(l.anchor, j.pending.before())
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
		j.withhold(b, text)
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

// kindOf returns what a commit is. j.mu is held.
func (j *Judge) kindOf(b byte, in state) kind {
	l := &j.line
	switch {
	case in == fullscreen || in == running:
		return input
	case l.paste && l.edited && !l.doubtful:
		return pasted
	case l.softly(b):
		return maybe
	}
	return aLine
}

// state is where keys go.
type state int

const (
	prompt     state = iota // a shell's line editor, or a shell without one
	running                 // a program
	fullscreen              // a program that has the whole screen
)

// state is computed from the screen, never remembered from events. j.mu is held.
func (j *Judge) state() state {
	s, l := j.screen, &j.line
	if l.broke && j.last == policy.ReadsInput {
		j.last = policy.ReadsNothing // the program may have ended
	}
	asks := j.asksFor(l.prompt, true)
	known := j.prompts.exact(l.prompt) || j.prompts.ends(l.prompt) && !asks || j.prompts.within(j.leftOfCursor())
	ons, _ := s.Events()
	switch {
	case known || len(j.pending.open) > 0:
		return prompt
	case ons == 0 && l.sure && endsWithMark(l.prompt) && j.last == policy.ReadsNothing:
		return prompt // of a shell without a line editor, whose prompt has changed
	case s.Alternate() && j.last != policy.ReadsShell:
		return fullscreen
	case asks:
		return running
	case s.Bracketed() || j.last == policy.ReadsShell:
		return prompt
	}
	return running
}

// asksFor reports whether a row begins with the prompt of the program that was
// started, which reads lines as a shell does; whole: and is nothing else. By name,
// and only where the shell has another: a program that is not known may start a
// shell. j.mu is held.
func (j *Judge) asksFor(row string, whole bool) bool {
	if j.last != policy.ReadsInput || j.mute || j.at != "" && strings.HasPrefix(row, j.at) {
		return false
	}
	for _, i := range interpreters {
		if m := i.prompt.FindString(row); m != "" && i.program.MatchString(j.runs) {
			return !whole || m == row
		}
	}
	return false
}

// interpreters are well-known programs with their prompts.
var interpreters = []struct{ program, prompt *regexp.Regexp }{
	{regexp.MustCompile(`^(mysql|mariadb)$`), regexp.MustCompile(`^(mysql|MariaDB \[[^\]]*\]|\s+[-'"/*\x60])> `)},
	{regexp.MustCompile(`^psql$`), regexp.MustCompile(`^[\w.-]+[=(!*'"$-]+[>#] `)},
	{regexp.MustCompile(`^sqlite3?$`), regexp.MustCompile(`^(sqlite|\s+\.\.\.)> `)},
	{regexp.MustCompile(`^i?python[\d.]*$`), regexp.MustCompile(`^(>>>|\.\.\.|In \[\d+\]:|\s+\.\.\.:) `)},
	{regexp.MustCompile(`^irb[\d.]*$`), regexp.MustCompile(`^irb\([^)]*\):\d+.\S*[>*"'] `)},
	{regexp.MustCompile(`^(s?ftp|lftp|virsh|gdb|lldb|telnet|bc|redis-cli)$`), regexp.MustCompile(`^(s?ftp> |lftp .*> |virsh # |\(gdb\) |\(lldb\) |telnet> |[\w.:]+> )`)},
}

// look waits until the screen shows the line, and reads it. j.sending is held.
func (j *Judge) look() (readings, error) {
	var r readings
	// The fast path; or the echo is on its way.
	if j.line.plain() && j.line.sure && j.wait(quietFor+j.rtt(), func() time.Duration {
		if j.shows() {
			return 0
		}
		return later
	}) {
		r.add(string(j.line.text))
		r.sure, r.seen, r.shown = true, true, true
		if !j.prompts.exact(j.line.prompt) {
			r.tails(j.line.prompt+string(j.line.text), len(j.line.prompt))
			r.words(j.line.prompt+string(j.line.text), len(j.line.prompt))
		}
		return r, nil
	}
	if j.line.last == tabKey {
		// Is there a menu to choose from? It takes a while to find what is in it.
		j.wait(screenMax+j.rtt(), func() time.Duration { return max(j.quiet(menuFor), j.rtt()+menuFor-time.Since(j.sent)) })
	}
	var bar bool
	j.locked(func() { bar = j.mayBar() })
	heard := j.line.vi && j.rest() || !j.line.any
	if bar {
		seen, err := j.bar()
		if err != nil {
			return r, err
		}
		j.locked(func() { r = j.read() })
		// An empty line in a vi-like editor's command mode answers nothing.
		r.unheard = !seen && !(heard && len(r.lines)+len(r.weak) == 0)
	} else {
		heard = j.rest()
		j.locked(func() { r = j.read() })
		r.unheard = !heard
	}
	if j.line.paste {
		r.add(string(j.line.text))
	}
	return r, nil
}

// shows reports whether the screen shows what plain keys made. j.mu is held.
func (j *Judge) shows() bool {
	s, l := j.screen, &j.line
	if !l.plain() || !l.sure || l.moved != atEnd || j.prompts.exact(l.prompt) != j.prompts.ends(l.prompt) {
		return false
	}
	return s.Left(l.anchor) == l.prompt && s.Text(l.anchor, s.Cursor()) == string(l.text)
}

// glimpse is look for a role without rules, where nothing waits. j.mu is held.
func (j *Judge) glimpse() readings {
	var r readings
	if in := j.state(); in != prompt || !j.line.sure {
		return r
	}
	if j.line.plain() {
		if r.shown = j.shows(); r.shown || j.screen.Bracketed() {
			r.add(string(j.line.text))
		}
	} else if found := j.read(); found.sure {
		r = found
	}
	if len(r.lines) > 0 {
		r.sure, r.seen = true, true
	}
	return r
}

// judge returns the worst that any reading of the line meets. j.mu is held.
func (j *Judge) judge(r *readings, b byte, what kind) (worst policy.Verdict, text string) {
	c, l := j.cfg.Commands, &j.line
	var next pending
	next.first, next.prompt = l.anchor, l.prompt
	lines := r.lines
	if p := &j.pending; len(p.open) > 0 {
		if len(lines) == 0 {
			lines = []string{""}
		}
		// After a Ctrl-C, or at another prompt like that of the first line, the
		// shell has probably dropped it.
		again := next.first != p.first && next.prompt == p.prompt && trim(p.prompt) != ""
		p.alone = p.alone || again || l.broke
		next.first, next.prompt = p.first, p.prompt
	}
	if what == maybe && b == '#' { // makes a comment of the line, or a line of the comment
		lines, r.weak = nil, nil
		for _, line := range r.lines {
			if strings.HasPrefix(line, "#") {
				r.weak = append(r.weak, strings.TrimLeft(line, "# "))
			}
		}
	}
	for _, line := range lines {
		v := j.pending.judge(c, j.rules, line, len(lines) == 1, &next)
		if text == "" || v.Action > worst.Action {
			text, worst = line, v
		}
	}
	for _, line := range r.weak {
		if v := c.Judge(line); v.Rule != "" && v.Action > worst.Action {
			text, worst = line, v
		}
	}
	if len(lines) > 1 && worst.Rule == "" && worst.Action > sallyport.Alert && worst.Class != sallyport.ClassUnverifiable {
		worst.Action = sallyport.Alert // of several readings one is wrong
	}
	// Nobody can say what this key runs.
	blank := !r.sure && len(r.lines)+len(r.weak) == 0
	unread := what != input && l.odd && (blank || r.unheard)
	if v := c.Unverifiable(); (l.long || unread) && v.Action > worst.Action {
		worst = v
	}
	if j.unseen(r) {
		worst = unshown(worst)
		text = ""
		if b != ctrlD {
			l.keys = nil // nor is it yanked into a line that is told
		}
	}
	text = j.mask.line(text)
	if what == aLine || what == pasted || what == maybe && worst.Action >= sallyport.Deny {
		j.after(b, worst, next, r)
	}
	return worst, text
}

// after prepares for what follows the verdict. j.mu is held.
func (j *Judge) after(b byte, v policy.Verdict, next pending, r *readings) {
	l := &j.line
	if v.Action >= sallyport.Deny {
		return
	}
	if r.sure && l.sure && l.plain() && l.any && !j.screen.Alternate() && !l.paste && j.shows() {
		j.prompts.learn(l.prompt)
	}
	j.at = l.prompt
	if v.Class == sallyport.ClassTamper {
		j.mute = true
	}
	whole := j.pending.joined(r.lines)
	if b != ctrlD {
		j.pending = next
	}
	switch {
	case len(next.open) > 0:
	case trim(whole) != "":
		j.last, j.asks, j.runs = policy.Reads(whole), policy.AsksFirst(whole), ""
		if programs := policy.Programs(whole); len(programs) > 0 {
			j.runs = programs[len(programs)-1][0]
		}
	case l.any && !r.sure:
		j.last = policy.ReadsNothing
	}
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
		paste = j.line.paste && j.line.edited
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

// Output takes what the target shows, and shows it.
func (j *Judge) Output(p []byte) (err error) {
	if !j.cfg.PTY || j.ended.Load() {
		return j.cfg.Show(p, nil)
	}
	defer j.guard(&err)
	j.showing.Lock()
	defer j.showing.Unlock()
	show, recorded := p, []byte(nil)
	j.locked(func() {
		recorded = j.draw(p)
		j.drawn, j.answered = time.Now(), true
		if j.woken != nil {
			close(j.woken)
			j.woken = nil
		}
		j.bells += bytes.Count(p, []byte{0x07})
		if v := j.veil; v != nil && !v.off {
			v.raw = append(v.raw, p...)
			show = nil
			if len(v.raw) > veilMax {
				v.off = true
				show, recorded = v.lift(j.screen, &j.mask)
			}
		}
	})
	return j.show(show, recorded)
}

func (j *Judge) show(p, recorded []byte) error {
	if len(p) == 0 {
		return nil
	}
	return j.cfg.Show(p, recorded)
}

// draw shows p on the model, and returns what the recording is to have of it, nil
// for p itself. j.mu is held.
func (j *Judge) draw(p []byte) []byte {
	// What was typed may be on the screen at the end of a row only, before the
	// output of the line that it ran.
	for rest := p; len(rest) > 0; {
		n := len(rest)
		if len(j.echo.held) > 0 || j.mask.on() {
			if i := bytes.IndexAny(rest, "\r\n"); i >= 0 {
				n = max(i, 1)
			}
		}
		j.mask.draw(j.screen, rest[:n], len(p)-len(rest))
		_ = j.echo.shown() // a recording that failed ends the session by itself
		rest = rest[n:]
	}
	return j.mask.masked(p)
}

// watchEcho masks what stays unseen. j.mu is held.
func (j *Judge) watchEcho() {
	wait := echoWait
	if j.screen.Bracketed() {
		wait = settleMax
	}
	j.echo.watch(wait+j.rtt(), func() {
		var err error
		defer j.guard(&err)
		j.locked(func() { err = j.echo.hide() })
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

// wait waits until a condition holds, at most a time, and reports whether it
// does. The condition is asked with the state locked; it returns 0 where it
// holds, or after which time to ask again if nothing is drawn before.
func (j *Judge) wait(most time.Duration, holds func() time.Duration) (ok bool) {
	end := time.NewTimer(max(0, most))
	defer end.Stop()
	for {
		var again time.Duration
		var woken chan struct{}
		j.locked(func() {
			if again = holds(); j.woken == nil {
				j.woken = make(chan struct{})
			}
			woken = j.woken
		})
		if again <= 0 {
			return true
		}
		ask := time.NewTimer(again)
		select {
		case <-woken:
		case <-ask.C:
		case <-end.C:
			ask.Stop()
			j.locked(func() { ok = holds() <= 0 })
			return ok
		case <-j.done:
			ask.Stop()
			return false
		}
		ask.Stop()
	}
}

// quiet returns how long it is until nothing was drawn for d. j.mu is held.
func (j *Judge) quiet(d time.Duration) time.Duration { return d - time.Since(j.drawn) }

func (j *Judge) rtt() time.Duration {
	if j.cfg.RTT == nil {
		return 0
	}
	return min(j.cfg.RTT(), 2*time.Second)
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
		*err = ErrTerminate
		j.cfg.Failed(fmt.Sprintf("the judge failed (%T)", r)) // the value may hold what was typed
	}
}
