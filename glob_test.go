package sallyport_test

import (
	"strings"
	"testing"

	"sallyport"
)

func TestMatchPath(t *testing.T) {
	for _, tt := range []struct {
		pattern, path string
		want          bool
	}{
		{"/etc/passwd", "/etc/passwd", true},
		{"/etc/passwd", "/etc/passwd2", false},
		{"/etc/*", "/etc/passwd", true},
		{"/etc/*", "/etc/ssh/sshd_config", false},
		{"/etc/**", "/etc/ssh/sshd_config", true},
		{"/etc/**", "/etc", true},
		{"/etc/**", "/etcetera", false},
		{"/srv/*/in/**", "/srv/a/in/b/c", true},
		{"/srv/*/in/**", "/srv/a/b/in/c", false},
		{"/a?c", "/abc", true},
		{"/a?c", "/a/c", false},
		{"**", "/anything/at/all", true},
		{"**.key", "/home/a/x.key", true},
		{"*.key", "/home/a/x.key", false},
		{"", "", true},
		{"", "x", false},
		{"/x[y]", "/xy", false}, // no classes: they stand for themselves
		{"/x[y]", "/x[y]", true},
	} {
		if got := sallyport.MatchPath(tt.pattern, tt.path); got != tt.want {
			t.Errorf("MatchPath(%q, %q) = %v", tt.pattern, tt.path, got)
		}
	}
	// The attack: a pattern and a name that make a backtracking matcher run for years.
	if sallyport.MatchPath(strings.Repeat("**a", 60), strings.Repeat("a", 4000)+"b") {
		t.Error("it does not end in a")
	}
}

func TestMatchesBelow(t *testing.T) {
	for _, tt := range []struct {
		pattern, dir string
		some, all    bool
	}{
		{"/srv/**", "/srv", true, true},
		{"/srv/**", "/srv/a", true, true},
		{"/srv/**", "/", true, false},
		{"/srv/**", "/srv2", false, false},
		{"/srv/*", "/srv", true, false},
		{"/srv/*", "/srv/a", false, false},
		{"/srv/a/secret/*", "/srv/a", true, false},
		{"/srv/*/secret/*", "/srv/a", true, false},
		{"/srv/?/x", "/srv/a", true, false},
		{"**.key", "/home", true, false},
		{"**", "/home", true, true},
		{"/etc/passwd", "/etc", true, false},
		{"/etc/passwd", "/etc/passwd", false, false},
		{"/home/*.d/**", "/home/a", false, false},
	} {
		if some, all := sallyport.MatchesBelow(tt.pattern, tt.dir); some != tt.some || all != tt.all {
			t.Errorf("MatchesBelow(%q, %q) = %v, %v", tt.pattern, tt.dir, some, all)
		}
	}
}
