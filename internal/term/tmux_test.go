package term

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/term"
	"pgregory.net/rapid"
)

// The size of the screens that are compared.
const testCols, testRows = 60, 16

// oracle is a pane of a real tmux: another terminal, written by others. It is
// driven over tmux's control mode, and shows what is written to its tty.
type oracle struct {
	in    io.Writer
	out   *bufio.Reader
	tty   *os.File
	cases int
}

func newOracle(t *testing.T) *oracle {
	t.Helper()
	// A socket of its own, with a short path: they end at 108 bytes.
	dir, err := os.MkdirTemp("", "term")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	conf := filepath.Join(dir, "conf")
	if err := os.WriteFile(conf, []byte("set -g status off\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("tmux", "-u", "-C", "-S", filepath.Join(dir, "s"), "-f", conf, "new-session", "-x", fmt.Sprint(testCols), "-y", fmt.Sprint(testRows), "exec cat")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TERM=xterm-256color", "HOME=" + dir, "SHELL=/bin/sh"}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("tmux, which scripts/prepare.sh installs: %v", err)
	}
	o := &oracle{in: in, out: bufio.NewReaderSize(out, 1<<16)}
	t.Cleanup(func() {
		fmt.Fprintln(in, "kill-server")
		in.Close()
		_, _ = io.Copy(io.Discard, o.out)
		_ = cmd.Wait()
	})
	o.answer(t) // to new-session
	o.ask(t, "refresh-client -f no-output")
	o.tty, err = os.OpenFile(o.ask(t, "display-message -p '#{pane_tty}'"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.tty.Close() })
	if _, err := term.MakeRaw(int(o.tty.Fd())); err != nil {
		t.Fatal(err)
	}
	return o
}

type testingT interface {
	Helper()
	Fatalf(format string, args ...any)
}

func (o *oracle) ask(t testingT, command string) string {
	t.Helper()
	fmt.Fprintln(o.in, command)
	return o.answer(t)
}

func (o *oracle) answer(t testingT) string {
	t.Helper()
	var lines []string
	for inside := false; ; {
		s, err := o.out.ReadString('\n')
		if err != nil {
			t.Fatalf("tmux: %v", err)
		}
		s = strings.TrimSuffix(s, "\n")
		switch {
		case strings.HasPrefix(s, "%begin "):
			inside = true
		case strings.HasPrefix(s, "%error ") && inside:
			t.Fatalf("tmux: %s", lines)
		case strings.HasPrefix(s, "%end ") && inside:
			return strings.Join(lines, "\n")
		case inside:
			lines = append(lines, s)
		}
	}
}

// seen is what a terminal shows.
type seen struct{ state, rows string }

func (s seen) String() string { return s.state + "\n" + s.rows + "\n" }

// show returns what tmux shows after raw, in a terminal that was reset before.
func (o *oracle) show(t testingT, raw []byte) seen {
	t.Helper()
	o.cases++
	done := fmt.Sprintf("case %d", o.cases)
	before := "\x18\x1b[?1049l\x1b[r\x1b[?6l\x1bc\x1b[m\x1b(B\x1b)B\x0f\x1b[?2004l\x1b7"
	if _, err := o.tty.WriteString(before + string(raw) + "\x18\x1b]2;" + done + "\x1b\\"); err != nil {
		t.Fatalf("%v", err)
	}
	for o.ask(t, "display-message -p '#{pane_title}'") != done { // it reads what was written
	}
	return seen{
		rows:  trim(o.ask(t, "capture-pane -p")),
		state: o.ask(t, "display-message -p 'cursor #{cursor_x},#{cursor_y} alternate #{alternate_on}'"),
	}
}

// trim drops the blanks at the ends of rows, and rows that are blank at the end.
func trim(s string) string {
	rows := strings.Split(s, "\n")
	for i := range rows {
		rows[i] = strings.TrimRight(rows[i], " ")
	}
	return strings.TrimRight(strings.Join(rows, "\n"), "\n")
}

// see returns what ours shows.
func see(t *Terminal) seen {
	at, alternate := t.Cursor(), 0
	if t.Alternate() {
		alternate = 1
	}
	return seen{
		rows:  trim(shows(t)),
		state: fmt.Sprintf("cursor %d,%d alternate %d", at.Col, at.Row-t.Scrolled(), alternate),
	}
}

// Real terminals and ours show the same after any sequence that we know, where
// tmux and xterm agree on it.
func TestAsTmux(t *testing.T) {
	o := newOracle(t)
	rapid.Check(t, func(t *rapid.T) {
		ours := New(testCols, testRows)
		var raw []byte
		for range rapid.IntRange(1, 40).Draw(t, "sequences") {
			s := drawSequence(t, ours)
			raw = append(raw, s...)
			ours.Write([]byte(s))
		}
		want, got := o.show(t, raw), see(ours)
		if got != want {
			t.Fatalf("%q\nshows %s\nand in tmux %s", raw, got, want)
		}
	})
}

// drawSequence draws what to write next. It keeps off what tmux does otherwise
// than xterm: moving or erasing behind the last column, and erasing half of a
// wide rune.
func drawSequence(t *rapid.T, ours *Terminal) string {
	n := rapid.OneOf(rapid.IntRange(0, 5), rapid.IntRange(0, 70), rapid.Just(9999)).Draw(t, "n")
	m := rapid.IntRange(0, 70).Draw(t, "m")
	one := func(from ...string) string { return rapid.SampledFrom(from).Draw(t, "one") }
	if ours.shown.line(ours.y).cells[ours.x].style&half != 0 && !ours.pending {
		return "\r" // tmux does not always clear the left half
	}
	switch kind := rapid.IntRange(0, 16).Draw(t, "kind"); kind {
	case 0, 1, 2:
		return rapid.StringMatching(`[a-zA-Z0-9 ]{1,70}`).Draw(t, "text")
	case 3:
		if ours.noWrap {
			return "ß"
		}
		return one("日本語", "é", "e\u0301", "ü", "한", "x", "ﬁ", "—", "👍")
	case 4:
		if ours.pending { // tmux goes down and still waits to wrap
			return "\r\n"
		}
		return one("\r", "\n", "\r\n", "\t", "\v", "\f", "\x1bD", "\x1bE", "\x1bM")
	case 5:
		return fmt.Sprintf("\x1b[%d;%dH", n, m)
	case 6:
		if ours.pending {
			return "\r"
		}
		return fmt.Sprintf("\x1b[%d%s", n, one("A", "B", "C", "D", "E", "F", "G", "d"))
	case 7:
		if ours.pending || wide(ours) {
			return "\r\n"
		}
		room := (ours.cols - ours.x) / 3 // tmux leaves cells behind if it inserts more
		if room < 1 {
			return "\r"
		}
		return fmt.Sprintf("\x1b[%d%s", min(n, room), one("P", "@", "X"))
	case 8:
		if wide(ours) {
			return "y"
		}
		if ours.pending {
			return one("\x1b[K", "\x1b[J", "\x1b[2K", "\x1b[2J")
		}
		return one("\x1b[K", "\x1b[1K", "\x1b[2K", "\x1b[J", "\x1b[1J", "\x1b[2J", "\x1b[3J")
	case 9:
		if ours.y < ours.from || ours.y >= ours.to { // where xterm does nothing
			return "\x1b[r"
		}
		return fmt.Sprintf("\r\x1b[%d%s", n, one("L", "M", "S"))
	case 10:
		return fmt.Sprintf("\x1b[%d;%dr\x1b[H", m%10, max(n, 1))
	case 11:
		if ours.pending || ours.screens[1].lines != nil { // tmux has one saved cursor for both screens
			return "\r"
		}
		return one("\x1b7", "\x1b8", "\x1b[?6h", "\x1b[?6l", "\x1b[?2004h", "\x1b[s", "\x1b[u")
	case 12:
		return fmt.Sprintf("\x1b[%d;%d;38;5;%dm", m, m%11, n)
	case 13:
		return one("\x1b]0;title\a", "\x1bP+q544e\x1b\\", "\x1b_x\x1b\\", "\x1b[1;2\x18", "\x1b[?25l", "\x1b[2 q", "\x1bktitle\x1b\\", "\x1b[>1u", "\x1b#8")
	case 14:
		if ours.pending || ours.x == 0 { // tmux goes to the row above
			return "z"
		}
		return one("\b", "\x1bH", "\x1b[g", "\x1b[3g", "\x1b[Z")
	case 15:
		if wide(ours) {
			return "\r"
		}
		if ours.Alternate() { // which a reset does not leave
			return "\r\x1b[?1049l"
		}
		if ours.origin || ours.pending { // which xterm saves on the way
			return "\x1b[?6l"
		}
		return one("\x1b[?1049h", "\x1bc", "\r\x1b[4habc\x1b[4l", "\x1b[?7l\r", "\x1b[?7h\r")
	default:
		if room := ours.cols - ours.x - 1; room > 1 { // tmux repeats no further
			return fmt.Sprintf("%s\x1b[%db", one("a", "-"), 1+n%(room-1))
		}
		return "x"
	}
}

// wide reports whether a wide rune is on the screen.
func wide(t *Terminal) bool {
	for _, r := range shows(t) {
		if r >= utf8.RuneSelf && width(r) == 2 {
			return true
		}
	}
	return false
}
