package policy

import "testing"

// Attack: ask for a harmless-looking shell and send it the forbidden commands
// on standard input, where an exec filter does not look.
func TestReadsScript(t *testing.T) {
	for line, want := range map[string]bool{
		"bash": true, "/bin/sh": true, "sh -s": true, "sudo bash": true, "bash -x": true,
		"env LANG=C dash -": true, "cd /tmp && sh": true,
		"bash -c 'echo hi'": false, "sh script.sh": false, "bash -lc uptime": false,
		"uptime": false, "cat bash": false, "": false,
	} {
		if got := ReadsScript(line); got != want {
			t.Errorf("ReadsScript(%q) = %v, want %v", line, got, want)
		}
	}
}
