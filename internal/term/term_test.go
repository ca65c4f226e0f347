package term

import (
	"strings"
	"testing"
)

func TestScreen(t *testing.T) {
	for name, tt := range map[string]struct {
		in   string
		want string // rows joined with |
	}{
		"text":               {"hello", "hello||"},
		"newline":            {"a\r\nb", "a|b|"},
		"line feed alone":    {"a\nb", "a| b|"},
		"backspace":          {"ab\bc", "ac||"},
		"carriage return":    {"hello\rj", "jello||"},
		"wrap":               {"0123456789ab", "0123456789|ab|"},
		"no wrap yet":        {"0123456789\r\nx", "0123456789|x|"},
		"autowrap off":       {"\x1b[?7l0123456789ab", "012345678b||"},
		"wide":               {"日本", "日本||"},
		"wide at the edge":   {"012345678日", "012345678|日|"},
		"half of a wide":     {"日\rx", "x||"},
		"combining":          {"e\u0301x", "e\u0301x||"},
		"tab":                {"a\tb", "a       b||"},
		"cursor":             {"\x1b[2;3Hx", "|  x|"},
		"up and right":       {"a\r\nb\x1b[A\x1b[2Cx", "a  x|b|"},
		"erase right":        {"hello\x1b[3D\x1b[K", "he||"},
		"erase left":         {"hello\x1b[2D\x1b[1K", "    o||"},
		"erase line":         {"hello\x1b[2K", "||"},
		"erase below":        {"a\r\nb\r\nc\x1b[2;1H\x1b[J", "a||"},
		"clear":              {"a\r\nb\x1b[2J", "||"},
		"scroll":             {"a\r\nb\r\nc\r\nd", "b|c|d"},
		"region":             {"a\r\nb\r\nc\x1b[1;2r\x1b[2;1H\n", "b||c"},
		"reverse index":      {"a\r\nb\x1b[H\x1bM", "|a|b"},
		"insert and delete":  {"abc\x1b[2D\x1b[@\x1b[3C\x1b[P", "a bc||"},
		"delete a line":      {"a\r\nb\r\nc\x1b[H\x1b[M", "b|c|"},
		"insert a line":      {"a\r\nb\x1b[H\x1b[L", "|a|b"},
		"repeat":             {"x\x1b[3b", "xxxx||"},
		"repeat is bounded":  {"x\x1b[100000000b", "xxxxxxxxxx|x|"},
		"colours":            {"\x1b[1;31mred\x1b[0m", "red||"},
		"title":              {"\x1b]0;rm -rf /\x07ok", "ok||"},
		"title with ST":      {"\x1b]0;x\x1b\\ok", "ok||"},
		"charset":            {"\x1b(Bok", "ok||"},
		"device control":     {"\x1bP+q544e\x1b\\ok", "ok||"},
		"no UTF-8":           {"a\xffb", "a\ufffdb||"},
		"cut UTF-8":          {"a\xe6\x97b", "a\ufffdb||"},
		"save and restore":   {"ab\x1b7cd\x1b8x", "abxd||"},
		"alternate":          {"main\x1b[?1049h\x1b[Halt", "alt||"},
		"back from it":       {"main\x1b[?1049h\x1b[Halt\x1b[?1049l!", "main!||"},
		"reset":              {"x\x1b[?2004h\x1bcy", "y||"},
		"aborted":            {"\x1b[12\x18ok", "ok||"},
		"control in a CSI":   {"ab\x1b[\rDx", "xb||"},
		"asks and gets none": {"\x1b[6n\x1b[c\x1b[>c\x05ok", "ok||"},
	} {
		t.Run(name, func(t *testing.T) {
			term := New(10, 3)
			for i := range len(tt.in) { // byte by byte: no state may be lost between writes
				term.Write([]byte{tt.in[i]})
			}
			got := strings.Join([]string{term.Row(0), term.Row(1), term.Row(2)}, "|")
			if got != tt.want {
				t.Errorf("%q shows %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestAPositionSurvivesScrolling(t *testing.T) {
	term := New(10, 3)
	term.Write([]byte("one\r\ntwo\r\n$ "))
	at := term.Cursor()
	term.Write([]byte("0123456789abc")) // wraps, and scrolls
	if got := term.From(at); got != "0123456789abc" {
		t.Errorf("from the anchor: %q", got)
	}
	if got := term.Logical(); got != "$ 0123456789abc" {
		t.Errorf("the whole line: %q", got)
	}
	term.Write([]byte("\r\n\r\n\r\n\r\n"))
	if got := term.From(at); got != "" {
		t.Errorf("scrolled away, and still %q", got)
	}
}

func TestModes(t *testing.T) {
	term := New(10, 3)
	term.Write([]byte("\x1b[?2004h\x1b[?1049h"))
	if !term.Bracketed() || !term.Alternate() {
		t.Error("not set")
	}
	term.Write([]byte("\x1b[?2004;1049l"))
	if term.Bracketed() || term.Alternate() {
		t.Error("not reset")
	}
}

func TestResize(t *testing.T) {
	term := New(10, 3)
	term.Write([]byte("a\r\nb\r\nc"))
	term.Resize(5, 1)
	if term.Row(0) != "c" {
		t.Errorf("row of the cursor: %q", term.Row(0))
	}
	term.Resize(0, -7)
	if c, r := term.Size(); c != minCols || r != minRows {
		t.Errorf("clamped to %d×%d", c, r)
	}
	term.Resize(1<<30, 1<<30)
	if c, r := term.Size(); c != MaxCols || r != MaxRows {
		t.Errorf("clamped to %d×%d", c, r)
	}
}

// Attack: make the model of the screen panic, hang or grow.
func FuzzTerminal(f *testing.F) {
	for _, s := range []string{"hello\r\n", "\x1b[100000000b", "\x1b[6n", "日本\x1b[5;5H\x1b[3P", "\x1b[?1049h\x1b[2;1r\x1b[M", "\x1b]0;x"} {
		f.Add([]byte(s), 10, 3)
	}
	f.Fuzz(func(t *testing.T, p []byte, cols, rows int) {
		term, slow := New(cols, rows), New(cols, rows)
		term.Write(p)
		for _, c := range p { // without the short cut
			slow.step(c)
		}
		for y := range term.rows {
			if a, b := term.Row(y), slow.Row(y); a != b {
				t.Fatalf("row %d is %q, byte by byte %q", y, a, b)
			}
		}
		if term.Cursor() != slow.Cursor() || term.pending != slow.pending || term.last != slow.last {
			t.Fatalf("the cursor is at %+v, byte by byte at %+v", term.Cursor(), slow.Cursor())
		}
		at := term.Cursor()
		term.Resize(rows, cols)
		term.Write(p)
		_, _, _ = term.From(at), term.Logical(), term.Row(0)
		c, r := term.Size()
		if p := term.Cursor(); p.Col < 0 || p.Col > c || p.Row < term.top || p.Row >= term.top+int64(r) {
			t.Errorf("the cursor is at %+v of %d×%d", p, c, r)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	line := []byte(strings.Repeat("the quick brown fox jumps over the lazy dog ", 2) + "\r\n")
	term := New(120, 40)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		term.Write(line)
	}
}
