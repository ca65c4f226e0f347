package policy

import (
	"strings"
	"testing"
)

func TestRuns(t *testing.T) {
	for line, want := range map[string]string{
		"scp -t /srv/x":                        "scp -t /srv/x!",
		"/usr/bin/scp -t '/srv/a b'":           "scp -t /srv/a b!",
		"sudo -u root rsync --server":          "sudo -u root rsync --server|rsync --server!",
		"rsync --server -logDtpre.iLsfxC . /x": "rsync --server -logDtpre.iLsfxC . /x!",
		"cd /srv && scp -t .":                  "cd /srv|scp -t .",
		"scp -t x; scp -t x":                   "scp -t x|scp -t x",
		"scp -f a | cat":                       "scp -f a|cat",
		"":                                     "",
	} {
		runs, single := Runs(line)
		var all []string
		for _, words := range runs {
			all = append(all, strings.Join(words, " "))
		}
		got := strings.Join(all, "|")
		if single {
			got += "!"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
	runs, single := Runs(`scp -t "$UPLOADS"/x`)
	if !single || len(runs) != 1 || Known(runs[0][2]) || !Known(runs[0][1]) {
		t.Errorf("%q, %v", runs, single)
	}
}
