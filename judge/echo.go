package judge

import (
	"bytes"
	"time"

	"sallyport/internal/term"
)

// echoWait is how long typed text may stay unseen, on top of the round trip,
// before it counts as a secret.
const echoWait = 90 * time.Millisecond

// echo holds typed text back from the recording until the target has shown it.
// What it does not show in time was a secret, and is recorded masked: when
// unsure, mask.
type echo struct {
	record func(p []byte, secret bool) error
	held   []byte      // not recorded yet
	cancel func() bool // of the timer
	screen *term.Terminal
	anchor term.Pos // where the first byte of it will be shown
	lost   bool     // that place is not known
	late   bool     // text of this line was masked
	seen   bool     // text of this line was shown
}

// maxUnseen bounds what is held back, in bytes.
const maxUnseen = 4096

// typed takes keys on their way to the target.
func (e *echo) typed(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if len(e.held) == 0 {
		e.anchor, e.lost = e.screen.Cursor(), false
	}
	e.held = append(e.held, p...)
	if len(e.held) > maxUnseen {
		return e.hide()
	}
	if !hasText(e.held) && !cutShort(e.held) { // arrows and controls are no secret
		return e.clear(len(e.held))
	}
	return nil
}

// shown looks for the keys on the screen: from where the cursor was to where it
// is now there must be what was typed, and nothing else. Text that merely
// contains it proves nothing: "P" is no echo in "Password: ".
func (e *echo) shown() error {
	want := firstLine(e.held)
	if len(want) == 0 || e.lost {
		return nil
	}
	at := e.screen.Cursor()
	if cols, _ := e.screen.Size(); (at.Row-e.anchor.Row-1)*int64(cols) > int64(len(want)) {
		return nil // more than was typed
	}
	got := e.screen.Between(e.anchor, at)
	if got == "" || !bytes.HasPrefix(want, []byte(got)) {
		return nil
	}
	e.seen = true
	n := rawLength(e.held, len(got))
	e.anchor = at
	// A line that follows is shown elsewhere: nobody knows where.
	e.lost = bytes.ContainsAny(e.held[:n], "\r\n\x0f")
	return e.clear(n)
}

// firstLine returns what p would show up to its first commit byte.
func firstLine(p []byte) []byte {
	for len(p) > 0 {
		i := bytes.IndexAny(p, "\r\n\x0f")
		if i < 0 {
			return visible(p)
		}
		if v := visible(p[:i]); len(v) > 0 {
			return v
		}
		p = p[i+1:]
	}
	return nil
}

// committed records the byte that runs the line, after the line itself. shown: the
// screen has the line.
func (e *echo) committed(b byte, shown bool) error {
	// Text that is still unseen at Enter may be shown in a moment, when it came
	// in one packet; the timer decides.
	if i := bytes.LastIndexAny(e.held, "\r\n\x0f"); shown && i >= 0 && hasText(e.held[:i]) {
		// The line before was never shown; this one says nothing of it.
		p := e.held[:i+1]
		e.held = e.held[i+1:]
		if err := e.record(p, true); err != nil {
			return err
		}
	}
	e.held = append(e.held, b)
	if shown {
		e.late, e.seen = false, false
		return e.clear(len(e.held))
	}
	e.late, e.seen = false, false
	if !hasText(e.held) {
		return e.clear(len(e.held))
	}
	return nil
}

// unseen reports whether the line was typed without being shown.
func (e *echo) unseen() bool { return e.late || !e.seen && hasText(e.held) }

// clear records n bytes as they are.
func (e *echo) clear(n int) error {
	p := e.held[:n]
	e.held = e.held[n:]
	if len(e.held) == 0 {
		e.held = nil
		e.stop()
	}
	if len(p) == 0 {
		return nil
	}
	return e.record(p, false)
}

// hide records everything that is held back as a secret.
func (e *echo) hide() error {
	p := e.held
	e.held = nil
	e.stop()
	if len(p) == 0 {
		return nil
	}
	if !hasText(p) {
		return e.record(p, false)
	}
	e.late = true
	return e.record(p, true)
}

// watch starts the timer that masks, where something is held back.
func (e *echo) watch(wait time.Duration, f func()) {
	if len(e.held) == 0 {
		return
	}
	e.stop()
	e.cancel = time.AfterFunc(wait, f).Stop
}

func (e *echo) stop() {
	if e.cancel != nil {
		e.cancel()
		e.cancel = nil
	}
}

// cutShort reports whether p ends within an escape sequence: what follows of it
// is no text.
func cutShort(p []byte) bool {
	i := bytes.LastIndexByte(p, esc)
	return i >= 0 && (len(p)-i < 2 || len(p)-i < 32 && (p[i+1] == 'O' && len(p)-i < 3 ||
		p[i+1] == '[' && (len(p)-i < 3 || p[len(p)-1] < 0x40)))
}

func hasText(p []byte) bool { return len(visible(p)) > 0 }

// visible returns the bytes of p that a terminal shows, without escape
// sequences and controls.
func visible(p []byte) []byte {
	out := make([]byte, 0, len(p))
	for i := 0; i < len(p); {
		switch c := p[i]; {
		case c == esc:
			i += sequence(p[i:])
		case c < 0x20 || c == del:
			i++
		default:
			out = append(out, c)
			i++
		}
	}
	return out
}

// sequence returns the length of the escape sequence at the start of p.
func sequence(p []byte) int {
	if len(p) < 2 {
		return len(p)
	}
	switch p[1] {
	case '[':
		for i := 2; i < len(p); i++ {
			if p[i] >= 0x40 && p[i] <= 0x7e {
				return i + 1
			}
		}
		return len(p)
	case ']', 'P', '_', '^', 'X':
		for i := 2; i < len(p); i++ {
			if p[i] == 0x07 {
				return i + 1
			}
			if p[i] == '\\' && p[i-1] == esc {
				return i + 1
			}
		}
		return len(p)
	case 'O':
		return min(3, len(p))
	default:
		return 2
	}
}

// rawLength returns how many bytes of p hold its first n visible ones, with the
// controls between and after them.
func rawLength(p []byte, n int) int {
	i := 0
	for i < len(p) {
		switch c := p[i]; {
		case c == esc:
			i += sequence(p[i:])
		case c < 0x20 || c == del:
			i++
		case n == 0:
			return i
		default:
			n--
			i++
		}
	}
	return i
}
