package judge

import (
	"regexp"
	"strings"

	"sallyport/policy"
)

// state is where keys go.
type state int

const (
	prompt     state = iota // a shell's line editor, or a shell without one
	running                 // a program
	fullscreen              // a program that has the whole screen
)

// kindOf returns what a commit is. j.mu is held.
func (j *Judge) kindOf(b byte, in state) kind {
	l := &j.line
	switch {
	case in == fullscreen || in == running:
		return input
	case l.paste && l.edited && !l.doubtful:
		return pasted
	case l.softly(b), b == ctrlD && l.edited:
		return maybe
	}
	return aLine
}

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
