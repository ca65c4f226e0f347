package term

import (
	"fmt"
	"strings"
	"testing"
)

func TestScreen(t *testing.T) {
	for name, tt := range map[string]struct {
		in   string
		want string // rows joined with |
	}{
		"text":                   {"hello", "hello||"},
		"newline":                {"a\r\nb", "a|b|"},
		"line feed alone":        {"a\nb", "a| b|"},
		"backspace":              {"ab\bc", "ac||"},
		"carriage return":        {"hello\rj", "jello||"},
		"wrap":                   {"0123456789ab", "0123456789|ab|"},
		"no wrap yet":            {"0123456789\r\nx", "0123456789|x|"},
		"autowrap off":           {"\x1b[?7l0123456789ab", "012345678b||"},
		"wide":                   {"日本", "日本||"},
		"wide at the edge":       {"012345678日", "012345678|日|"},
		"half of a wide":         {"日\rx", "x||"},
		"combining":              {"e\u0301x", "e\u0301x||"},
		"tab":                    {"a\tb", "a       b||"},
		"cursor":                 {"\x1b[2;3Hx", "|  x|"},
		"up and right":           {"a\r\nb\x1b[A\x1b[2Cx", "a  x|b|"},
		"erase right":            {"hello\x1b[3D\x1b[K", "he||"},
		"erase left":             {"hello\x1b[2D\x1b[1K", "    o||"},
		"erase line":             {"hello\x1b[2K", "||"},
		"erase below":            {"a\r\nb\r\nc\x1b[2;1H\x1b[J", "a||"},
		"clear":                  {"a\r\nb\x1b[2J", "||"},
		"scroll":                 {"a\r\nb\r\nc\r\nd", "b|c|d"},
		"region":                 {"a\r\nb\r\nc\x1b[1;2r\x1b[2;1H\n", "b||c"},
		"reverse index":          {"a\r\nb\x1b[H\x1bM", "|a|b"},
		"insert and delete":      {"abc\x1b[2D\x1b[@\x1b[3C\x1b[P", "a bc||"},
		"delete a line":          {"a\r\nb\r\nc\x1b[H\x1b[M", "b|c|"},
		"insert a line":          {"a\r\nb\x1b[H\x1b[L", "|a|b"},
		"repeat":                 {"x\x1b[3b", "xxxx||"},
		"repeat is bounded":      {"x\x1b[100000000b", "xxxxxxxxxx|x|"},
		"colours":                {"\x1b[1;31mred\x1b[0m", "red||"},
		"title":                  {"\x1b]0;rm -rf /\x07ok", "ok||"},
		"title with ST":          {"\x1b]0;x\x1b\\ok", "ok||"},
		"charset":                {"\x1b(Bok", "ok||"},
		"device control":         {"\x1bP+q544e\x1b\\ok", "ok||"},
		"no UTF-8":               {"a\xffb", "a\ufffdb||"},
		"cut UTF-8":              {"a\xe6\x97b", "a\ufffdb||"},
		"save and restore":       {"ab\x1b7cd\x1b8x", "abxd||"},
		"alternate":              {"main\x1b[?1049h\x1b[Halt", "alt||"},
		"back from it":           {"main\x1b[?1049h\x1b[Halt\x1b[?1049l!", "main!||"},
		"reset":                  {"x\x1b[?2004h\x1bcy", "y||"},
		"aborted":                {"\x1b[12\x18ok", "ok||"},
		"control in a CSI":       {"ab\x1b[\rDx", "xb||"},
		"back over the edge":     {"0123456789\bx", "01234567x9||"},
		"tab at the edge":        {"0123456789\tx", "0123456789|x|"},
		"erase at the edge":      {"0123456789\x1b[K", "0123456789||"},
		"repeat wide":            {"日\x1b[4b", "日日日日日||"},
		"repeat inserted":        {"ab\r\x1b[4hx\x1b[2b", "xxxab||"},
		"insert mode":            {"abc\r\x1b[4hxy\x1b[4lz", "xyzbc||"},
		"origin":                 {"\x1b[2;3r\x1b[?6hx\x1b[9;1Hy", "|x|y"},
		"down to the margin":     {"\x1b[1;2r\x1b[9Bx", "|x|"},
		"line drawing":           {"\x1b(0lqk\x1b(B q", "┌─┐ q||"},
		"shifted out":            {"\x1b)0q\x0eq\x0fq", "q─q||"},
		"tab stops":              {"\x1b[3g\x1b[4G\x1bH\r\tx", "   x||"},
		"tabs":                   {"\x1b[2Ix\x1b[2Zy", "y        x||"},
		"alignment":              {"x\x1b#8y", "yEEEEEEEEE|EEEEEEEEEE|EEEEEEEEEE"},
		"soft reset":             {"ab\x1b[4h\x1b[?6h\x1b[!p\rx", "xb||"},
		"scrolled away and back": {"a\r\nb\x1b[S\x1b[T", "|b|"},
		"saved screen":           {"a\x1b[3J", "a||"},
		"wide cut by an erase":   {"日本\x1b[2G\x1b[K", "||"},
		"wide cut by a delete":   {"日本\x1b[2G\x1b[P", " 本||"},
		"many marks":             {"e\u0301\u0302\u0303", "e\u0301\u0302\ufffd||"},
		"mark after the wrap":    {"0123456789x\r\u0301", "0123456789\u0301|x|"},
		"joined":                 {"👨\u200d👩 ❤\ufe0f", "👨\u200d👩 ❤\ufe0f||"},
		"C1 of eight bits":       {"a\x9bKb", "a\ufffdKb||"},
		"ST of eight bits":       {"\x1b]0;a\x9cb\x07c", "c||"},
		"BEL in a DCS":           {"\x1bPa\x07b\x1b\\c", "c||"},
		"title of tmux":          {"\x1bkname\x1b\\ok", "ok||"},
		"broken off":             {"\x1b[1é", "é||"},
		"malformed":              {"\x1b[1?2Kok\x1b[?1>h!", "ok!||"},
		"many parameters":        {"\x1b[" + strings.Repeat("1;", 1000) + "Hok", "ok||"},
		"asks and gets none":     {"\x1b[6n\x1b[c\x1b[>c\x05ok", "ok||"},
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

func TestText(t *testing.T) {
	term := New(10, 6)
	term.Write([]byte("$ 12345678ab\r\nx  \r\n123456789日"))
	for name, tt := range map[string]struct{ got, want string }{
		"all":       {term.Text(Pos{0, 0}, Pos{4, 2}), "$ 12345678ab\nx\n123456789日"},
		"to blanks": {term.Text(Pos{2, 0}, Pos{2, 3}), "x  "},
		"wrapped":   {term.Text(Pos{0, 9}, Pos{1, 1}), "8a"},
		"backwards": {term.Text(Pos{2, 0}, Pos{1, 0}), ""},
		"off":       {term.Text(Pos{-1, 0}, Pos{1, 0}) + term.Text(Pos{0, 0}, Pos{6, 0}), ""},
		"below":     {term.Below(Pos{0, 3}), "x\n123456789\n日"},
		"no more":   {term.Below(Pos{3, 0}), ""},
		"row":       {term.RowText(1) + term.RowText(6) + term.RowText(-1), "ab"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", name, tt.got, tt.want)
		}
	}
	for _, tt := range []struct{ got, want Pos }{
		{term.LineStart(Pos{1, 1}), Pos{0, 0}},
		{term.End(Pos{0, 3}), Pos{1, 2}},
		{term.End(Pos{2, 5}), Pos{2, 5}},
		{term.End(Pos{3, 0}), Pos{4, 2}},
		{term.End(Pos{9, 7}), Pos{9, 7}},
	} {
		if tt.got != tt.want {
			t.Errorf("%+v, want %+v", tt.got, tt.want)
		}
	}
}

func TestGhost(t *testing.T) {
	for s, want := range map[string]bool{
		"":                                   false,
		"\x1b[2m  ":                          false,
		"real":                               false,
		"\x1b[2mgh ost":                      true,
		"\x1b[90mghost":                      true,
		"\x1b[38;5;8mghost":                  true,
		"\x1b[38:5:8mghost":                  true,
		"\x1b[38;5;240mghost":                true,
		"\x1b[38;5;251mlight":                false,
		"\x1b[38;5;1mred":                    false,
		"\x1b[38;2;85;85;85mghost":           true,
		"\x1b[38:2::85:90:85mghost":          true,
		"\x1b[38:2:85:90:85mghost":           true,
		"\x1b[38;2;85;120;85mgreen":          false,
		"\x1b[38;2;240;240;240mwhite":        false,
		"\x1b[90mghost that wraps":           true,
		"\x1b[90mghost that \x1b[39mis real": false,
		"\x1b[2mghost\x1b[22m!":              false,
		"\x1b[2;7mselected":                  false,
	} {
		term := New(10, 3)
		term.Write([]byte("$ " + s))
		if got := term.Ghost(Pos{0, 2}); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestTraced(t *testing.T) {
	term := New(4, 3)
	var got []string
	for _, p := range []string{"ab\x1b[1m\xe6\x97", "\xa5c\b\xc3", "!"} {
		term.WriteTraced([]byte(p), func(i, n int, at Pos) {
			got = append(got, fmt.Sprintf("%q at %d,%d", p[i:i+n], at.Row, at.Col))
		})
	}
	want := `["a" at 0,0 "b" at 0,1 "\xa5" at 0,2 "c" at 1,0 "" at 1,0 "!" at 1,1]`
	if fmt.Sprint(got) != want {
		t.Errorf("%s, want %s", got, want)
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
	term.Write([]byte("\x1b[?2004h\x1b[?2004h\x1bc"))
	if on, off := term.Events(); on != 3 || off != 2 {
		t.Errorf("switched %d times on, %d off", on, off)
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

// Attack: make the model of the screen panic, hang or grow; or let it see another
// screen by cutting the output in pieces.
func FuzzTerminal(f *testing.F) {
	for _, s := range []string{
		"hello\r\n", "\x1b[100000000b", "\x1b[6n", "日本\x1b[5;5H\x1b[3P", "\x1b[?1049h\x1b[2;1r\x1b[M", "\x1b]0;x",
		"\x1b(0qx\x0eq\x1b)0q\x0f", "\x1b[4habc\x1b[2D日\x1b[4l", "\x1b#8\x1b[2;2H\x1b[1J", "e\u0301\u0302\u0303\r\u0301",
		"\x1b[38:2::1:2:3m\x1b[38;5;8mx\x1b[2my", "\x1b7\x1b[?6h\x1b[2;3r\x1b8\x1bc\x1b[!p", "\x1b[3g\x1bH\t\x1b[Z\x1b[9I",
		"👨\u200d👩\u200d👧 ❤\ufe0f", "\x1b[?2004h$ \x1b[?47h\x1b[?1047l\x1b[?1048h", "\xe6\x97\xff\xf0\x9f",
	} {
		f.Add([]byte(s), 10, 3, uint8(1))
	}
	f.Fuzz(func(t *testing.T, p []byte, cols, rows int, cut uint8) {
		cols, rows = cols%40, rows%20 // larger ones only take longer
		one, cuts, traced := New(cols, rows), New(cols, rows), New(cols, rows)
		one.Write(p)
		for rest := p; len(rest) > 0; {
			n := min(int(cut)%7+1, len(rest))
			cuts.Write(rest[:n])
			rest = rest[n:]
		}
		traced.WriteTraced(p, func(i, n int, at Pos) {
			if i < 0 || n < 0 || i+n > len(p) {
				t.Fatalf("bytes %d+%d of %d", i, n, len(p))
			}
			within(t, traced, at)
		})
		same(t, "in pieces", one, cuts)
		same(t, "traced", one, traced)
		for _, p := range []Pos{one.Cursor(), {}, {one.top, -1}, {one.top + 1, 1 << 40}} {
			_, _, _, _, _ = one.From(p), one.Left(p), one.Below(p), one.Ghost(p), one.RowText(p.Row)
			_, _ = one.Between(p, one.Cursor()), one.Text(one.LineStart(p), one.End(p))
		}

		before := one.Clone()
		same(t, "cloned", one, before)
		one.Resize(rows, cols)
		one.Write(p)
		within(t, one, one.Cursor())
		same(t, "beside its clone", before, cuts)
		one.Resize(cols, rows)
		within(t, one, one.Cursor())
		for _, s := range one.screens {
			if s.lines != nil && (len(s.lines) != one.rows || len(s.order) != one.rows || len(s.lines[0].cells) != one.cols) {
				t.Fatalf("a screen of %d rows for %d", len(s.lines), one.rows)
			}
			for y := range s.lines {
				for _, c := range s.lines[y].cells[s.lines[y].used:] {
					if c != (cell{}) {
						t.Fatalf("row %d is used beyond %d", y, s.lines[y].used)
					}
				}
			}
		}
	})
}

func same(t *testing.T, how string, a, b *Terminal) {
	t.Helper()
	pa, pb := a.parser, b.parser
	clear(pa.utf[pa.nutf:])
	clear(pb.utf[pb.nutf:])
	if !a.Equal(b) || a.cursor != b.cursor || pa != pb || a.last != b.last || a.tabs != b.tabs || a.on != b.on || a.off != b.off {
		t.Fatalf("%s it differs: cursor %+v, %+v:\n%s\n--\n%s", how, a.cursor, b.cursor, shows(a), shows(b))
	}
}

func within(t *testing.T, term *Terminal, p Pos) {
	t.Helper()
	c, r := term.Size()
	if p.Col < 0 || p.Col > c || p.Row < term.top || p.Row >= term.top+int64(r) {
		t.Fatalf("%+v is not on a screen of %d×%d at %d", p, c, r, term.top)
	}
}

func shows(t *Terminal) string {
	rows := make([]string, t.rows)
	for y := range rows {
		rows[y] = t.Row(y)
	}
	return strings.Join(rows, "\n")
}
