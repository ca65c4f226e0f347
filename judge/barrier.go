package judge

import (
	"strings"
	"time"

	"sallyport/internal/term"
)

// The echo barrier. A line editor takes its keys in the order in which they were
// sent. So text that is typed behind them, and seen, tells that all of them have
// done what they do, however busy or far away the target is.

// sentinel is that text. It is ASCII, as a shell in the C locale takes the bytes
// of anything else for Meta keys. Its blank makes the editor do what Enter would:
// expand an abbreviation, or drop the slash of a completed directory. The braces
// have no meaning in the command mode of readline, zsh and fish, where the blank
// moves the cursor and the erase key moves it back; no line ends with the three.
const sentinel = " }{"

// How long the screen is waited for, each on top of the round trip to the target.
const (
	quietFor   = 25 * time.Millisecond  // without output, it is at rest
	menuFor    = 150 * time.Millisecond // without output, nothing more comes of a Tab
	screenMax  = 600 * time.Millisecond // for what may never be shown
	silentMax  = 5 * time.Second        // for a target that shows nothing at all
	anchorRest = 8 * time.Millisecond   // without output, the prompt is drawn
	veilMax    = 256 << 10              // bytes of output that wait for the barrier's end
)

// veil hides the sentinel from the client and the recording.
type veil struct {
	before *term.Terminal // what the client's screen shows
	raw    []byte         // what the target has sent since
	off    bool           // there was too much: it goes through
}

// mayBar reports whether the sentinel would be text where the cursor is. j.mu is held.
func (j *Judge) mayBar() bool {
	s, l := j.screen, &j.line
	switch {
	case j.mute || s.Alternate() || l.paste && s.Bracketed() || l.quoted || len(l.escape) > 0:
		return false
	case l.mini || l.recording() || l.awaited():
		return false
	case !s.Bracketed() && !j.prompts.ends(l.prompt):
		return false
	}
	cur := s.Cursor()
	if _, searching := l.searched(s.Text(s.LineStart(cur), s.End(cur))); searching {
		return false
	}
	return s.Below(cur) == "" // a menu would take it for the end of choosing
}

// bar types the sentinel, waits until it is seen, and takes it back. It reports
// whether the screen shows what the keys did. j.sending is held.
func (j *Judge) bar() (seen bool, err error) {
	j.locked(func() { j.veil, j.bells, j.answered = &veil{before: j.screen.Clone()}, 0, false })
	defer func() {
		if uerr := j.unveil(); err == nil {
			err = uerr
		}
	}()
	if err := j.cfg.Send([]byte(sentinel)); err != nil {
		return false, err
	}
	sent := time.Now()
	var text string
	j.wait(silentMax+j.rtt(), func() time.Duration {
		cur := j.screen.Cursor()
		text = j.screen.Text(j.screen.LineStart(cur), cur)
		switch {
		case strings.HasSuffix(text, sentinel):
			seen = true
			return 0
		case j.bells >= 2: // it is no text here, but was heard
			return j.quiet(quietFor)
		case len(j.veil.raw) > 0 || j.line.vi:
			return screenMax + j.rtt() - time.Since(sent)
		}
		return later
	})
	if err := j.cfg.Send([]byte(strings.Repeat(string(rune(j.erase)), len(sentinel)))); err != nil {
		return false, err
	}
	if !seen { // a vi-like editor in its command mode moves its cursor; or there is none
		return j.rest(), nil
	}
	text = strings.TrimSuffix(text, sentinel)
	if !j.wait(silentMax+j.rtt(), func() time.Duration {
		cur := j.screen.Cursor()
		if j.veil.off || j.screen.Text(j.screen.LineStart(cur), cur) == text {
			return 0
		}
		return later
	}) {
		return false, nil
	}
	return true, nil
}

// unveil shows what has changed since the veil fell, without the sentinel.
func (j *Judge) unveil() error {
	j.showing.Lock()
	defer j.showing.Unlock()
	var show, recorded []byte
	j.locked(func() {
		v := j.veil
		j.veil = nil
		if v != nil && !v.off {
			show, recorded = v.lift(j.screen, &j.mask)
		}
	})
	return j.show(show, recorded)
}

// lift returns what takes the client's screen to what the target shows now, and
// what the recording is to have of it; nil: the same.
func (v *veil) lift(now *term.Terminal, m *mask) (show, recorded []byte) {
	out, ok := now.Redraw(v.before, nil)
	if !ok {
		show = []byte(strings.ReplaceAll(string(v.raw), sentinel, ""))
		return show, m.replaced(show, nil)
	}
	show = append(strays(v.raw), out...)
	if len(m.areas) > 0 {
		out, _ = now.Redraw(v.before, m.covers)
		recorded = append(strays(v.raw), out...)
	}
	return show, m.replaced(show, recorded)
}

// strays returns what of p is not drawn but heard or answered: bells, titles and
// questions to the terminal.
func strays(p []byte) []byte {
	var out []byte
	for i := 0; i < len(p); {
		n := 1
		switch {
		case p[i] == 0x07:
			out = append(out, p[i])
		case p[i] == esc:
			n = sequence(p[i:])
			s := p[i : i+n]
			if n > 1 && (s[1] == ']' || s[1] == 'P' || s[1] == '[' && (s[n-1] == 'n' || s[n-1] == 'c')) {
				out = append(out, s...)
			}
		}
		i += n
	}
	return out
}

// rest waits until the screen is at rest, and reports whether it is, and the target
// has answered the last key. j.sending is held.
func (j *Judge) rest() bool {
	return j.wait(screenMax+j.rtt(), func() time.Duration {
		if !j.answered && j.line.any {
			return later
		}
		return max(j.quiet(quietFor), j.rtt()+quietFor-time.Since(j.sent))
	})
}
