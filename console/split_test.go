package console

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"sallyport"
)

func TestSplit(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []string
	}{
		{"", []string{}},
		{"  ls \t -o  json\n", []string{"ls", "-o", "json"}},
		{`request show 'a b' "c \"d\" \e" f\ g`, []string{"request", "show", "a b", `c "d" \e`, "f g"}},
		{
			"request create root@web1 --for 1h --reason INC-42 disk full",
			[]string{"request", "create", "root@web1", "--for", "1h", "--reason=INC-42 disk full"},
		},
		{"deny x --reason don't do it isn't good --for 1h", []string{"deny", "x", "--reason=don't do it isn't good", "--for", "1h"}},
		{"kill x --reason 'tis no good", []string{"kill", "x", "--reason='tis no good"}},
		{`kill x --reason "no more" please --speed 2`, []string{"kill", "x", "--reason=no more please", "--speed", "2"}},
		{"kill x --reason=no more -o json", []string{"kill", "x", "--reason=no more", "-o", "json"}},
		{"kill x --reason -o is an option", []string{"kill", "x", "--reason=-o is an option"}},
		{"kill x --reason a -- b - c", []string{"kill", "x", "--reason=a -- b - c"}},
		{"kill x --reason --for 1h", []string{"kill", "x", "--reason=", "--for", "1h"}},
		{`'kill' 'x' '--reason' 'it'\''s full' '-o' 'json'`, []string{"kill", "x", "--reason=it's full", "-o", "json"}},
		{`'kill' 'x' '--reason=it'\''s full'`, []string{"kill", "x", "--reason=it's full"}},
		{"create a@b --ticket INC 42 --reason why", []string{"create", "a@b", "--ticket=INC 42", "--reason=why"}},
		{
			"request create a@b --command systemctl  restart nginx --reason why not",
			[]string{"request", "create", "a@b", "--command=systemctl  restart nginx", "--reason=why not"},
		},
		{
			`create a@b --command 'systemctl restart --no-block nginx' --for 10m`,
			[]string{"create", "a@b", "--command=systemctl restart --no-block nginx", "--for", "10m"},
		},
		{`create --command="a --b \"c\" 'd'" -o json`, []string{"create", `--command=a --b "c" 'd'`, "-o", "json"}},
		{`create --command sh -c "cd /srv && make --always 'x'" --for 1h`, []string{"create", `--command=sh -c "cd /srv && make --always 'x'"`, "--for", "1h"}},
		{`create --command=echo it\'s "--for" 'a' --for 1h`, []string{"create", `--command=echo it\'s "--for" 'a'`, "--for", "1h"}},
		{`create --command 'a b' c --for 1h`, []string{"create", `--command='a b' c`, "--for", "1h"}},
		{`create --command 'a' 'b' --for 1h`, []string{"create", `--command='a' 'b'`, "--for", "1h"}},
		{`'create' '--command' 'it'\''s --x' '--for' '1h'`, []string{"create", "--command=it's --x", "--for", "1h"}},
		{`'create' '--command=it'\''s --x' '-o' 'json'`, []string{"create", "--command=it's --x", "-o", "json"}},
		{`create --command 'kubectl get -o json' '-o' 'json'`, []string{"create", "--command=kubectl get -o json", "-o", "json"}},
		{"create --command sudo -- ls -l --reason don't", []string{"create", "--command=sudo -- ls -l", "--reason=don't"}},
		{"create --command a\nb\n", []string{"create", "--command=a\nb"}},
		{"create --command  --for 1h", []string{"create", "--command=", "--for", "1h"}},
		{"create --command '' --for 1h", []string{"create", "--command=", "--for", "1h"}},
		{"create --command", []string{"create", "--command="}},
		{"create --reason it's --command 'a b'", []string{"create", "--reason=it's", "--command=a b"}},
		{"ls -- --reason a", []string{"ls", "--", "--reason", "a"}},
	} {
		got, err := Split(tt.in)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("Split(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
	for _, in := range []string{
		"ls 'x", `ls "x`, `ls x\`, "x --command echo don't", "x --command uptime -o json",
		"x --command kubectl get pods -o json --for 1h", strings.Repeat("a", maxCommand+1),
	} {
		if got, err := Split(in); sallyport.CodeOf(err) != sallyport.CodeUsage {
			t.Errorf("Split(%.20q) = %q, %v, want a usage error", in, got, err)
		}
	}
}

// A local shell's arguments go through the same door, once or twice.
func TestJoinFreeTextTwiceIsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.SampledFrom([]string{"a", "--reason", "--reason=x", "--for", "-o", "json", "", "b c", "--"})).Draw(t, "words")
		once := joinFreeText(words)
		if twice := joinFreeText(once); !slices.Equal(once, twice) {
			t.Fatalf("%q: once %q, twice %q", words, once, twice)
		}
		if once == nil {
			t.Fatal("nil arguments would make cobra read os.Args")
		}
	})
}

// Arguments in single quotes, as the local client sends them, come back whole.
func TestSplitUndoesQuoting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.StringMatching(`[a-z' "\\$\n]{0,8}`)).Draw(t, "words")
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
		}
		got, err := Split(strings.Join(quoted, " "))
		if err != nil || !slices.Equal(got, append([]string{}, words...)) {
			t.Fatalf("Split = %q, %v, want %q", got, err, words)
		}
	})
}

// A command comes to the approver as it was written: in quotes around all of it,
// or as it stands where it is no more than words.
func TestSplitKeepsTheCommand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		command := rapid.StringMatching(`[a-z' "\\$|;*=-]{0,20}`).Draw(t, "command")
		quoted := "'" + strings.ReplaceAll(command, "'", `'\''`) + "'"
		for _, line := range []string{"x --command " + quoted + " --for 1h", "x --command=" + quoted + " --for 1h"} {
			got, err := Split(line)
			if want := []string{"x", "--command=" + command, "--for", "1h"}; err != nil || !slices.Equal(got, want) {
				t.Fatalf("Split(%s) = %q, %v, want %q", line, got, err, want)
			}
		}
		plain := rapid.StringMatching(`[a-z|;*][a-z|;*$=/.]*( -?[a-z|;*$=/.]+){0,3}`).Draw(t, "plain")
		got, err := Split("x --command " + plain + " --for 1h")
		if want := []string{"x", "--command=" + plain, "--for", "1h"}; err != nil || !slices.Equal(got, want) {
			t.Fatalf("Split = %q, %v, want %q", got, err, want)
		}
	})
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{
		"ls", "kill x --reason don't 'a' \"b", `'a'\''b'`, "--reason", "a\\", "--reason='\\",
		"--command a 'b' --reason x", "--command='a' -o json", "'--command=a' b --command",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		words, err := Split(s)
		if err == nil && !slices.Equal(words, joinFreeText(words)) {
			t.Errorf("Split(%q) = %q, which joins again", s, words)
		}
	})
}

// Attack: a reason, a user name or a client version with escape sequences,
// line feeds or right-to-left marks forges the list that an approver reads.
func TestCleanLeavesOnlyPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"disk full":       "disk full",
		"a\x1b[2Jb":       `a\x1b[2Jb`,
		"a\nb\tc\r":       `a\nb\tc\r`,
		"\u202eevil":      `\u202eevil`,
		"\x9b31m":         `\x9b31m`,
		"c1 \u009b31m":    `c1 \u009b31m`,
		"größe 日本":        "größe 日本",
		"\U000e0041 tags": `\U000e0041 tags`,
	} {
		if got := sallyport.Printable(in); got != want {
			t.Errorf("sallyport.Printable(%q) = %q, want %q", in, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		if got := sallyport.Printable(s); strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("sallyport.Printable(%q) = %q", s, got)
		}
	})
}

func TestParseAt(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"": 0, "0": 0, "12:30": 12*time.Minute + 30*time.Second, "1:02:03": time.Hour + 2*time.Minute + 3*time.Second,
		"90s": 90 * time.Second, "90:00": 90 * time.Minute,
	} {
		if got, err := parseAt(in); err != nil || got != want {
			t.Errorf("parseAt(%q) = %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"1:60", ":", "1:2:3:4", "-1:00", "x", "1:", "99999999999:00"} {
		if got, err := parseAt(in); sallyport.CodeOf(err) != sallyport.CodeUsage {
			t.Errorf("parseAt(%q) = %v, %v, want a usage error", in, got, err)
		}
	}
}

func TestParseStart(t *testing.T) {
	now := time.Date(2026, 3, 1, 21, 30, 0, 0, time.UTC)
	for in, want := range map[string]time.Time{
		"":                     {},
		"22:00":                time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC),
		"21:00":                time.Date(2026, 3, 2, 21, 0, 0, 0, time.UTC),
		"2026-04-05T06:07":     time.Date(2026, 4, 5, 6, 7, 0, 0, time.UTC),
		"2026-04-05T06:07:08Z": time.Date(2026, 4, 5, 6, 7, 8, 0, time.UTC),
	} {
		if got, err := parseStart(in, now); err != nil || !got.Equal(want) {
			t.Errorf("parseStart(%q) = %v, %v, want %v", in, got, err, want)
		}
	}
	if _, err := parseStart("tonight", now); sallyport.CodeOf(err) != sallyport.CodeUsage {
		t.Errorf("tonight: %v", err)
	}
}
