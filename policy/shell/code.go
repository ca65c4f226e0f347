package shell

import (
	"strings"
)

// text reads code that a program was given as a word.
func (w *walker) text(program, code string, in source) {
	if strings.TrimSpace(code) == "" {
		return
	}
	if !Word(code).Literal() {
		if strings.Trim(code, unknown+" \t\n") == "" {
			w.script.Input = true // eval "$(cat)"
		}
		w.find(Opaque, program, "%s runs code that is not on the line", program)
		// What is known of it may still say enough. Unknown is no character of
		// shell syntax, it stays within its word.
	}
	if w.depth >= maxDepth {
		w.unread("code is nested too deeply")
		return
	}
	w.code(code, in, w.depth+1)
}

// source reads what flows into something that runs it.
func (w *walker) source(program string, in source) {
	if in.isText {
		w.used = true
		w.text(program, in.text, source{pipe: in.pipe})
		return
	}
	w.find(Opaque, program, "%s runs what flows into it", program)
}
