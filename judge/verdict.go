package judge

import (
	"strings"
	"time"

	"sallyport"
	"sallyport/policy"
)

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
		if r.shown = j.shows(); r.shown { // else it may be a secret
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
		// After a Ctrl-C, or at another prompt that ends as that of the first line, the
		// shell has probably dropped it.
		again := next.first != p.first && trim(p.prompt) != "" &&
			(next.prompt == p.prompt || mark(p.prompt) != "" && mark(next.prompt) == mark(p.prompt))
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
