package judge

import (
	"strings"
	"testing"
	"testing/synctest"

	"sallyport"
	"sallyport/policy"
)

// work counts what the rules are given to read.
type work struct {
	*Judge
	sent         strings.Builder
	verdicts     []policy.Verdict
	ended        string
	calls, bytes int
	always       bool // every line waits for more; to read it would be slow
	notices      int
}

func newWork(t *testing.T, pty bool) *work {
	t.Helper()
	c, err := policy.CompileCommands(sallyport.Commands{Rules: []sallyport.CommandRule{
		{Program: "rm", Flags: []string{"r"}, Action: sallyport.Terminate},
	}})
	if err != nil {
		t.Fatal(err)
	}
	w := &work{}
	w.Judge = New(Config{
		Commands: c, PTY: pty, Cols: 80, Rows: 24,
		Send:   func(p []byte) error { w.sent.Write(p); return w.echoes(p) },
		Show:   func(_, _ []byte) error { return nil },
		Record: func([]byte, bool) error { return nil },
		Judged: func(_ string, v policy.Verdict) {
			if v.Action > sallyport.Allow {
				w.verdicts = append(w.verdicts, v)
			}
		},
		Notice:    func(string) { w.notices++ },
		Terminate: func(reason string) { w.ended = reason },
		Failed:    func(reason string) { w.ended = reason },
	})
	w.rules = func(line string) policy.Verdict {
		w.calls++
		w.bytes += len(line)
		if w.always && w.calls > 3 {
			return policy.Verdict{Incomplete: true}
		}
		return c.Judge(line)
	}
	if pty {
		_ = w.Output([]byte("\x1b[?2004h$ "))
	}
	t.Cleanup(w.Close)
	return w
}

// echoes shows what was sent as a line editor does, that asks for more.
func (w *work) echoes(p []byte) error {
	if !w.cfg.PTY {
		return nil
	}
	prompt := "\r\n$ "
	if len(w.pending.open) > 0 {
		prompt = "\r\n> "
	}
	shown := strings.NewReplacer("\r", prompt, "\x7f", "\b \b").Replace(string(p))
	return w.Output([]byte(shown))
}

// input sends lines one by one, until the judge has had enough.
func (w *work) input(lines ...string) (n int) {
	end := "\n"
	if w.cfg.PTY {
		end = "\r"
	}
	for i, l := range lines {
		if w.Input([]byte(l+end)) != nil || w.notices > 0 {
			return i
		}
	}
	return len(lines)
}

func lines(first string, n int, line string, last ...string) []string {
	out := []string{first}
	for range n {
		out = append(out, line)
	}
	return append(out, last...)
}

// Attack: send a long here-document, loop or quote, of which the judge
// reads all that came before again for each line.
func TestTheWorkOnALongTextIsBounded(t *testing.T) { synctest.Test(t, workIsBounded) }

func workIsBounded(t *testing.T) {
	const always = 1 << 20
	for _, tt := range []struct {
		name  string
		lines []string
		all   bool // passes
		calls int
	}{
		{"empty lines of a here-document", lines("cat > f <<E", 54000, "", "E", "ls"), true, 5},
		{"text of a here-document", lines("cat > f <<E", 5000, "rm -r x $y", "E", "ls"), true, 5},
		{"two here-documents", append(lines("cat > f <<A <<B", 3000, "rm -r x", "A"), lines("B", 300, "ls")...), true, 310},
		{"a loop", lines("for i in a; do", 900, "ls -la /srv/$i", "done", "ls"), true, 910},
		{"a long loop", lines("for i in a; do", 4000, "ls -la /srv/$i", "done"), false, always},
		{"a quote", lines("x='", 9000, "a", "'"), false, always},
		{"a here-document that is run", lines("sh <<E", 5000, "ls -la /srv", "E"), false, always},
		{"one that expands", lines("cat <<E", 5000, "$(ls -la)", "E"), false, always},
		{"many here-documents", lines("cat"+strings.Repeat(" <<E", 3000), 3000, "E"), false, always},
	} {
		for _, pty := range []bool{false, true} {
			if pty && len(tt.lines) > 10000 {
				continue // as the others, and slow
			}
			w := newWork(t, pty)
			w.always = !tt.all
			n := w.input(tt.lines...)
			if (n == len(tt.lines)) != tt.all {
				t.Errorf("%s (pty %t): %d of %d lines passed: %+v", tt.name, pty, n, len(tt.lines), w.verdicts)
			}
			if !tt.all && (len(w.verdicts) != 1 || w.verdicts[0].Class != sallyport.ClassUnverifiable) {
				t.Errorf("%s (pty %t): verdicts %+v", tt.name, pty, w.verdicts)
			}
			if w.calls > tt.calls || w.bytes > maxRead+2*lineMax {
				t.Errorf("%s (pty %t): the rules were asked %d times for %d bytes", tt.name, pty, w.calls, w.bytes)
			}
		}
	}
}

// Attack (C3): hide a forbidden line behind a text that is not read again, or
// that is longer than what is remembered.
func TestLongTextsHideNothing(t *testing.T) { synctest.Test(t, longTextsHideNothing) }

func longTextsHideNothing(t *testing.T) {
	for name, all := range map[string][]string{
		"after the document":      lines("cat <<E", 100, "x", "E", "rm -r x"),
		"after one with <<-":      lines("cat <<-E", 100, "x", "E", "rm -r x"),
		"in one that is run":      lines("sh <<E", 100, "ls", "rm -r x"),
		"in one that expands":     lines("cat <<E", 100, "x", "$(rm -r x)"),
		"run by a later pipe":     append(lines("cat <<E |", 100, "ls"), "rm -r x", "E", "sh"),
		"ended by joined lines":   lines("cat <<E", 100, "x", "E\\", "", "rm -r x"),
		"ended by a bracket":      append(lines("eval \"$(cat <<E", 100, "ls"), "rm -r x", "E)\""),
		"split over lines":        lines("sh <<E", 100, "ls", "rm \\", "-r x"),
		"a substitution of lines": lines("cat <<E", 100, "x", "$(", "rm -r x", ")"),
		"after the last kibibyte": lines("cat <<E", 60, strings.Repeat("x", 1<<10), strings.Repeat("x", 6<<10), "rm -r x"),
	} {
		for _, pty := range []bool{false, true} {
			w := newWork(t, pty)
			if n := w.input(all...); n == len(all) || w.ended == "" && name != "after the last kibibyte" {
				t.Errorf("%s (pty %t): %d lines passed: %+v", name, pty, n, w.verdicts)
			}
		}
	}
}

// A here-document's text is no command, however the lines before it were typed.
func TestTextIsNoCommand(t *testing.T) { synctest.Test(t, textIsNoCommand) }

func textIsNoCommand(t *testing.T) {
	for _, pty := range []bool{false, true} {
		w := newWork(t, pty)
		all := []string{"cat > f <<E", "rm -r x", "", "echo 'rm -r x", "E", "x='", "rm -r x", "'", "ls"}
		if n := w.input(all...); n != len(all) || len(w.verdicts) > 0 {
			t.Errorf("pty %t: %d lines passed: %+v", pty, n, w.verdicts)
		}
	}
}

func TestReadline(t *testing.T) {
	for keys, want := range map[string]string{
		"": "", "ls -l": "ls -l", "é\x02e": "eé", " -rf x\x01rm": "rm -rf x", "ac\x1b[Db": "abc", "ac\x1bODb\x1bOCd": "abcd", "b\x1b[Ha\x1b[Fc": "abc", "b\x1bOHa\x1b[4~c": "abc", "ab\x02\x04c": "ac", "ab\x01\x06\x0bc": "ac",
		"ab\x7f\x08c": "c", "a b\x17c": "a c", "a b\x15c": "c", "a b\x02\x15c": "cb", "b\x01\x0ba\x19": "ab", "a b c\x17\x17\x19": "a b c", "b\x01\x0b\x19\x19": "bb", "mr\x14": "rm", "mr x\x01\x06\x14": "rm x", "a bc d\x1bb\x1bbx": "a xbc d",
		"ab cd\x01\x1bfx": "abx cd", "ab cd\x01\x1bdx": "x cd", "ab cd\x1b\x7fx": "ab x", "a\x16\x01b": "a\x01b", "a\x1b[Ab\x10\tc": "abc", "a\x1b[3~\x02\x1b[3~b": "b", "\x02\x7f\x14\x17\x15\x0b\x19\x1bb\x1bd\x1bfa": "a", "\xff\x02b\x1b": "b\xff", "a\x1b[1;5Db\x1b[1;5Cc": "bac",
	} {
		if got, _ := readline([]byte(keys), nil); got != want {
			t.Errorf("%q: %q, want %q", keys, got, want)
		}
	}
	if got, kill := readline([]byte("\x19\x01\x0bx"), []byte("old")); got != "x" || string(kill) != "old" {
		t.Errorf("yanked %q, kept %q", got, kill)
	}
	for keys, want := range map[string]string{"a\x01\x05\x7fb": "a\x01b", "a\x15b c\x17d": "b d", "a\x16\x7f": "a\x16\x7f", "\x7f\x17\x15": ""} {
		if got := string(cooked([]byte(keys))); got != want {
			t.Errorf("cooked %q: %q, want %q", keys, got, want)
		}
	}
}

// Keys made to be slow to follow take no longer than others: nothing grows
// beyond a line.
func TestReadlineIsBounded(t *testing.T) {
	for _, keys := range []string{
		strings.Repeat("a", 100) + strings.Repeat("\x15\x19\x19", lineMax/3), strings.Repeat("a\x01", lineMax/2), strings.Repeat("a \x17\x19\x01\x0b", lineMax/6),
	} {
		line, kill := readline([]byte(keys), nil)
		if len(line) > 2*lineMax || len(kill) > 2*lineMax {
			t.Errorf("%.20q…: %d bytes, %d killed", keys, len(line), len(kill))
		}
	}
}
