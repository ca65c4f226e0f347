package judge

import (
	"fmt"
	"strings"

	"sallyport"
	"sallyport/policy"
)

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
		j.cfg.Terminate(fmt.Sprintf("the judge failed (%T)", r)) // the value may hold what was typed
	}
}

// maxPrompts bounds the prompts that are remembered.
const maxPrompts = 8

// prompted reports whether a shell probably waits at a prompt. j.mu is held.
func (j *Judge) prompted() bool {
	if j.screen.Bracketed() && !j.screen.Alternate() {
		return true
	}
	left := j.screen.Left(j.line.anchor)
	for _, p := range j.prompts {
		if left == p {
			return true
		}
	}
	return false
}

// learn remembers the prompt of a line that was typed plainly and shown.
// j.mu is held.
func (j *Judge) learn() {
	if j.line.odd || !j.line.any || !j.echo.seen || j.screen.Alternate() || j.line.paste {
		return
	}
	left := j.screen.Left(j.line.anchor)
	if strings.TrimSpace(left) == "" || j.prompted() && !j.screen.Bracketed() {
		return
	}
	for _, p := range j.prompts {
		if p == left {
			return
		}
	}
	if len(j.prompts) == maxPrompts {
		j.prompts = append(j.prompts[:0], j.prompts[1:]...)
	}
	j.prompts = append(j.prompts, left)
}

// unshown is the verdict on a line that may be a password: a rule counts, what
// a class of lines makes of it counts at a prompt only, and no word of the line
// is told.
func unshown(v policy.Verdict, prompted bool) policy.Verdict {
	if v.Action == sallyport.Allow || v.Rule == "" && !prompted {
		return policy.Verdict{}
	}
	v.Program, v.Reason = "", "a line that was not shown"
	if v.Rule != "" {
		v.Reason += " meets the rule " + v.Rule
	}
	return v
}
