package judge

import (
	"bytes"
	"regexp"
	"strings"
	"time"

	"sallyport"
	"sallyport/policy"
)

// program decides about an Enter where no shell reads: it is for a program, ends
// a secret, or was typed ahead for a shell that will read it later.
// j.sending is held.
func (j *Judge) program(b byte) (d decision, err error) {
	var guess readings
	var last policy.Reader
	j.locked(func() {
		guess = j.line.guesses()
		if last = j.last; j.asks && !j.line.broke {
			last = policy.ReadsInput
		}
		j.asks = false
		if last == policy.ReadsInput {
			guess.escapes(j.line.keys)
		}
		d.v, d.text = j.guess(&guess)
	})
	if d.v.Action > sallyport.Allow && j.returned() { // the program has ended
		return j.decide(b)
	}
	seen := false
	if d.v.Action > sallyport.Allow || j.line.odd {
		seen = j.echoed()
	}
	if !seen { // then no word of it is told
		d.text = ""
	}
	switch {
	case d.v.Action == sallyport.Allow && !(seen && j.literal()), last == policy.ReadsInput && !seen:
		// A secret, or the keys of a program that has the keyboard to itself.
		return decision{what: input}, nil
	case last == policy.ReadsInput && guess.weak == nil:
		d.v.Action, d.what = min(d.v.Action, sallyport.Alert), input
		return d, nil
	case last == policy.ReadsInput:
		return d, nil // a shell escape
	case d.v.Action == sallyport.Alert:
		d.what = input
		return d, nil
	}
	// It looks like a command, or has keys that only a line editor understands.
	d.what = ahead
	return d, nil
}

// programMax is how long after an Enter a program may end, on top of the round
// trip, before what comes next is taken to be for it.
const programMax = 500 * time.Millisecond

// returned waits, soon after the last Enter, for the prompt of a shell to which the
// program has returned. j.sending is held.
func (j *Judge) returned() bool {
	if !j.wait(programMax+j.rtt()-time.Since(j.entered), func() time.Duration {
		if j.screen.Bracketed() && !j.screen.Alternate() && !j.asksFor(j.leftOfCursor(), false) || j.prompts.within(j.leftOfCursor()) {
			return 0
		}
		return later
	}) {
		return false
	}
	j.locked(func() {
		j.line.sure, j.last = false, policy.ReadsNothing
		j.line.prompt = j.leftOfCursor()
	})
	return true
}

// guess judges what the keys may be; only a rule counts. A shell escape that meets
// none is dropped. j.mu is held.
func (j *Judge) guess(r *readings) (worst policy.Verdict, text string) {
	for _, line := range r.weak {
		if v := j.cfg.Commands.Judge(line); v.Rule != "" && v.Action > worst.Action {
			worst, text = v, line
		}
	}
	if worst.Action == sallyport.Allow {
		r.weak = nil
	}
	for _, line := range r.lines {
		if v := j.cfg.Commands.Judge(line); v.Rule != "" && v.Action > worst.Action {
			worst, text = v, line
		}
	}
	return worst, text
}

// shellEscape is how programs are asked to run a command: vim's :!cmd and
// :r !cmd, less's !cmd, psql's \! cmd.
var shellEscape = regexp.MustCompile(`^\s*(?::[^!]*|\\)?!(.*)`)

// escapes adds the command of a shell escape among keys.
func (r *readings) escapes(keys []byte) {
	if i := bytes.LastIndexByte(keys, esc); i >= 0 {
		keys = keys[i+1:]
	}
	if i := bytes.LastIndexByte(keys, ':'); i >= 0 && bytes.IndexByte(keys[i:], '!') > 0 {
		keys = keys[i:]
	}
	if m := shellEscape.FindSubmatch(keys); m != nil {
		r.doubt(string(visible(m[1])))
	}
}

// echoed waits for the echo of what was typed, and reports whether it came.
// j.sending is held.
func (j *Judge) echoed() bool {
	return j.wait(echoWait+j.rtt()-time.Since(j.sent), func() time.Duration {
		l := &j.line
		cur := j.screen.Cursor()
		shown := j.screen.Text(j.screen.LineStart(cur), j.screen.End(cur))
		want := string(visible(l.text))
		if want != "" && strings.Contains(shown, want) || caret.MatchString(shown) {
			return 0
		}
		return later
	})
}

// caret matches a control key as a terminal in its own line mode shows it.
var caret = regexp.MustCompile(`\^[@-_?]`)

// literal reports whether the control keys were shown as themselves: no program
// has the keyboard, so they wait for whoever reads next. j.sending is held.
func (j *Judge) literal() (yes bool) {
	j.locked(func() {
		cur := j.screen.Cursor()
		yes = caret.MatchString(j.screen.Text(j.screen.LineStart(cur), j.screen.End(cur)))
	})
	return yes
}

// bottom reads the command that a program with the whole screen may be asked to
// run, on its last row. j.mu is held.
func (j *Judge) bottom() readings {
	r := readings{seen: true}
	if j.last != policy.ReadsInput {
		j.row(&r)
	}
	cur := j.screen.Cursor()
	_, rows := j.screen.Size()
	if j.screen.End(cur).Row-j.screen.Scrolled() < int64(rows-1) {
		return r
	}
	row := j.screen.Text(j.screen.LineStart(cur), j.screen.End(cur))
	if m := shellEscape.FindStringSubmatch(row); m != nil {
		r.doubt(m[1])
	}
	if !j.answered { // it has not shown the keys yet
		r.escapes(j.line.keys)
	}
	return r
}

// row reads what a shell may have where a program is not known that has the whole
// screen. j.mu is held.
func (j *Judge) row(r *readings) {
	cur := j.screen.Cursor()
	whole := j.screen.Text(j.screen.LineStart(cur), j.screen.End(cur))
	r.doubt(whole)
	r.tails(whole, len(whole))
	for _, guess := range j.line.guesses().lines {
		r.doubt(guess)
	}
}

// withheld is an Enter that was typed ahead, with what came after it.
type withheld struct {
	queue []byte
	since time.Time
}

// withhold keeps an Enter until a prompt appears, where its line is judged again.
// j.sending is held.
func (j *Judge) withhold(b byte) {
	w := &withheld{queue: []byte{b}, since: time.Now()}
	j.locked(func() { j.withheld = w })
	go j.release(w)
}

// heldMax bounds what is typed behind a withheld line, in bytes.
const heldMax = 64 << 10

// slow is after what time a user is told why nothing happens.
const slow = time.Second

// behind takes keys that come after a withheld line. Ctrl-C and its like go to
// the program at once; the terminal then forgets all that was typed.
// j.sending is held.
func (j *Judge) behind(p []byte) error {
	w := j.withheld
	i := bytes.IndexAny(p, string([]byte{ctrlC, ctrlZ, ctrlQuit}))
	if i < 0 {
		w.queue = append(w.queue, p[:min(len(p), heldMax-len(w.queue))]...)
		return nil
	}
	j.locked(func() {
		j.withheld = nil
		j.line.reset()
		j.line.broke = true
	})
	if err := j.cfg.Send(p[i : i+1]); err != nil {
		return err
	}
	return j.typed(p[i+1:])
}

// release waits for a prompt, and works on what was withheld.
func (j *Judge) release(w *withheld) {
	var err error // a failed send is seen by the next Input
	defer j.guard(&err)
	gone := func() bool { return j.withheld != w }
	appeared := func() time.Duration {
		if gone() {
			return 0
		}
		if !j.prompted(w) {
			return later
		}
		return j.quiet(quietFor)
	}
	if !j.wait(slow, appeared) && !j.isClosed() {
		j.cfg.Notice("held until a prompt appears, as it looks like a command; Ctrl-C drops it")
		if !j.wait(24*time.Hour, appeared) {
			return
		}
	}
	j.sending.Lock()
	defer j.sending.Unlock()
	if gone() || j.isClosed() || j.ended.Load() {
		return
	}
	queue := w.queue
	j.locked(func() {
		j.withheld = nil
		l := &j.line
		l.sure = false // it is drawn where the prompt is, not where it was typed
		l.prompt = j.leftOfCursor()
		j.last = policy.ReadsShell // a prompt has appeared
	})
	if err = j.commit(queue[0]); err == nil {
		if j.withheld != nil {
			err = j.behind(queue[1:])
		} else {
			err = j.typed(queue[1:])
		}
	}
}

// prompted reports whether a prompt stands where the cursor is. j.mu is held.
func (j *Judge) prompted(w *withheld) bool {
	left := j.leftOfCursor()
	switch {
	case j.screen.Bracketed() && !j.screen.Alternate(), j.prompts.within(left), j.prompts.ends(left):
		return true
	}
	return j.drawn.After(w.since) && endsWithMark(left)
}
