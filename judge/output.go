package judge

import (
	"bytes"
	"time"
)

// maxLooks bounds how often the screen is looked at for one piece of output.
const maxLooks = 64

// Output takes what the target shows, and shows it.
func (j *Judge) Output(p []byte) (err error) {
	switch {
	case !j.cfg.PTY:
		return j.cfg.Show(p, nil)
	case j.failed.Load(): // nobody knows what is secret in it
		return ErrTerminate
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
	for rest, looks := p, 0; len(rest) > 0; looks++ {
		n := len(rest)
		if looks < maxLooks && (len(j.echo.held) > 0 || j.mask.on()) {
			n = untilMoved(rest)
		}
		j.mask.draw(j.screen, rest[:n], len(p)-len(rest))
		_ = j.echo.shown() // a recording that failed ends the session by itself
		rest = rest[n:]
	}
	return j.mask.masked(p)
}

// untilMoved returns how much of p, at least a byte, is drawn before the cursor is
// moved or something is erased: what was drawn so far can be looked at only then.
func untilMoved(p []byte) int {
	for i, b := range p {
		switch {
		case b == '\r' || b == '\n':
			return max(i, 1)
		case b == esc && i > 0:
			if n := sequence(p[i:]); p[i+n-1] != 'm' {
				return i
			}
		}
	}
	return len(p)
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
