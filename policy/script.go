package policy

import "sallyport/policy/shell"

// ReadsScript reports whether the line runs a shell, or something that starts
// one, that reads its commands from standard input: what is sent to it has to
// be judged as typed lines are (threat C3). When unsure it does.
func ReadsScript(line string) bool {
	s := shell.Parse(line)
	return s.Input || s.Unread != ""
}
