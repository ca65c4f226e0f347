package replay

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// Attack (threats R6): a hostile target, or somebody logged in there, prints
// sequences that make the terminal of whoever replays the recording answer into
// their own shell, write their clipboard, rename or move their window, print, or
// report their mouse. The analyst must only ever see text.
func TestFilterAttacks(t *testing.T) {
	attacks := map[string]string{
		"ENQ answerback":          "\x05",
		"DSR cursor report":       "\x1b[6n",
		"DSR status":              "\x1b[5n",
		"DEC DSR":                 "\x1b[?6n",
		"DA1":                     "\x1b[c",
		"DA1 with parameter":      "\x1b[0c",
		"DA2":                     "\x1b[>c",
		"DA3":                     "\x1b[=c",
		"DECID":                   "\x1bZ",
		"DECID, C1":               "\u009a",
		"XTVERSION":               "\x1b[>q",
		"XTVERSION with zero":     "\x1b[>0q",
		"DECREQTPARM":             "\x1b[x",
		"DECRQM":                  "\x1b[?2004$p",
		"DECRQCRA":                "\x1b[1;1;1;1;1;1*y",
		"DECRQPSR":                "\x1b[1$w",
		"DECRQUPSS":               "\x1b[&u",
		"kitty keyboard query":    "\x1b[?u",
		"kitty keyboard push":     "\x1b[>1u",
		"modifyOtherKeys":         "\x1b[>4;2m",
		"XTQMODKEYS":              "\x1b[?4m",
		"XTGETTCAP":               "\x1bP+q544e\x1b\\",
		"DECRQSS":                 "\x1bP$qm\x1b\\",
		"DECUDK user-defined key": "\x1bP0;1|17/6c73\x1b\\",
		"tmux pass-through":       "\x1bPtmux;\x1b\x1b]52;c;Zm9v\a\x1b\\",
		"screen pass-through":     "\x1bP\x1b]52;c;Zm9v\a\x1b\\",
		"title set":               "\x1b]0;owned\a",
		"title set, ST":           "\x1b]2;owned\x1b\\",
		"title set, C1":           "\u009d2;owned\u009c",
		"title report":            "\x1b[21t",
		"icon report":             "\x1b[20t",
		"title stack":             "\x1b[22;0t",
		"window size report":      "\x1b[18t",
		"window move":             "\x1b[3;0;0t",
		"window iconify":          "\x1b[2t",
		"clipboard write":         "\x1b]52;c;cm0gLXJmIC8=\a",
		"clipboard read":          "\x1b]52;c;?\a",
		"colour query":            "\x1b]11;?\a",
		"hyperlink":               "\x1b]8;;http://evil.example/\a",
		"iTerm2 file":             "\x1b]1337;File=name=Zm9v:Zm9v\a",
		"kitty notification":      "\x1b]99;;hello\x1b\\",
		"kitty graphics":          "\x1b_Gi=1,a=q;AAAA\x1b\\",
		"kitty DCS command":       "\x1bP@kitty-cmd{}\x1b\\",
		"APC, C1":                 "\u009fGa=q\u009c",
		"PM":                      "\x1b^secret\x1b\\",
		"SOS":                     "\x1bXsecret\x1b\\",
		"media copy: print":       "\x1b[5i",
		"media copy, private":     "\x1b[?5i",
		"mouse reports":           "\x1b[?1000h\x1b[?1006h",
		"focus reports":           "\x1b[?1004h",
		"paste brackets":          "\x1b[?2004h",
		"mouse highlight":         "\x1b[1;2;3;4;5T",
		"132 columns":             "\x1b[?3h",
		"cursor keys":             "\x1b[?1h",
		"keypad":                  "\x1b=",
		"8-bit controls":          "\x1b G",
		"character set":           "\x1b%@",
		"endless REP":             "\x1b[100000000b",
		"scrollback wiped":        "\x1b[3J",
		"scrollback wiped, 03":    "\x1b[003J",
		"scrollback wiped, list":  "\x1b[2;3J",
		"scrollback wiped, DEC":   "\x1b[?3J",
		"scrollback wiped, C1":    "\u009b3J",
		"screen pushed away":      "\x1b[22J",
		"C1 CSI":                  "\u009b6n",
		"controls inside":         "\x1b[\x006\x07n",
		"restarted":               "\x1b[6\x1b[6n",
		"out of order":            "\x1b[ 6n",
		"second prefix":           "\x1b[>?6n",
		"leading zeroes":          "\x1b[0000000000006n",
		"raw C1 byte":             "\x9b6n",
		"huge number":             "\x1b[99999999999999999999C",
		"too long":                "\x1b[" + strings.Repeat("0;", maxSequence) + "6n",
		"too many intermediates":  "\x1b" + strings.Repeat("(", maxSequence+9) + "B",
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			for cut := range len(attack) + 1 {
				var f Filter
				got := string(f.Write([]byte(attack[:cut]))) + string(f.Write([]byte(attack[cut:]+"\x18after")))
				if bad := forbidden(got); bad != "" {
					t.Fatalf("cut at %d: %q lets %q through", cut, got, bad)
				}
				if got = strings.TrimPrefix(got, "\a"); name == "raw C1 byte" {
					got = strings.TrimPrefix(got, "\ufffd6n")
				}
				if got != "after" {
					t.Fatalf("cut at %d: shows %q, want only what comes after", cut, got)
				}
			}
		})
	}
}

func TestFilterKeepsText(t *testing.T) {
	for _, s := range []string{
		"plain\r\ntext\twith\bbells\a\v\f",
		"grüße, 世界 👩‍💻 e\u0301",
		"\x1b[1;31mred\x1b[0m \x1b[38;2;1;2;3mrgb\x1b[m \x1b[4:3mcurly",
		"\x1b[H\x1b[2J\x1b[J\x1b[0J\x1b[1J\x1b[?2J\x1b[10;20H\x1b[K\x1b[5A\x1b[s\x1b[u\x1b7\x1b8",
		"\x1b[?1049h\x1b[?25l\x1b[1;24r\x1b[?7l\x1b[?12;25h\x1b[?1049l",
		"\x1b(0lqqk\x1b(B\x0e\x0f\x1b)0",
		"\x1b[3L\x1b[2M\x1b[4P\x1b[5@\x1b[6X\x1b[2S\x1b[2T\x1b[10b",
		"\x1b[!p\x1b[2 q\x1b#8\x1bD\x1bE\x1bH\x1bM",
	} {
		var f Filter
		if got := string(f.Write([]byte(s))); got != s {
			t.Errorf("got  %q\nwant %q", got, s)
		}
	}
}

func TestFilterRewrites(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"\x1b[?1;25;1000;1049h", "\x1b[?25;1049h"},
		{"\x1b]0;title\aafter", "after"},
		{"\x1b]0;title\x18after", "after"},
		{"\x1b]0;title\x1b[31mred", "\x1b[31mred"},
		{"\u009b31mred", "\x1b[31mred"},
		{"\x1b[3\r\n1mred", "\r\n\x1b[31mred"},
		{"\x1b[3é", "é"},
		// RIS would wipe the scrollback and all settings of the viewer.
		{"a\x1bcb", "a\x1b[!p\x1b[H\x1b[2Jb"},
		{"\x1b[H\x1b[2J\x1b[3Jclear", "\x1b[H\x1b[2Jclear"},
		{"bad \xff\xc3( bytes", "bad \ufffd\ufffd( bytes"},
		{"\x1bP" + strings.Repeat("q", maxString) + "visible", "visible"},
	} {
		var f Filter
		if got := string(f.Write([]byte(c.in))); got != c.want {
			t.Errorf("%.40q: got %q, want %q", c.in, got, c.want)
		}
	}
}

func TestFilterRestore(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain\r\n", ""},
		{"\x1b[31mred", "\x1b[0m"},
		{"\x1b[?25l", "\x1b[ q\x1b[?25h"},
		{"\x1b[?1049h", "\x1b[?1049l\x1b[?1047l\x1b[?47l"},
		{"\x1b(0", "\x1b(B\x1b)B\x0f"},
		{"\x1b[?1000h", ""},
	} {
		var f Filter
		f.Write([]byte(c.in))
		if got := string(f.Restore()); got != c.want {
			t.Errorf("after %q: got %q, want %q", c.in, got, c.want)
		}
		if again := f.Restore(); len(again) != 0 {
			t.Errorf("after %q: restores twice: %q", c.in, again)
		}
	}
}

// Property: where the chunks are cut changes nothing.
func TestFilterChunks(t *testing.T) {
	piece := rapid.SampledFrom([]string{
		"a", "é", "世", "\x1b", "[", "]", "P", "\\", "6n", "?", ">", "c", "0;t", "\a", "\u009b", "\u009c", "\x9b", "\xe4",
		"31m", ";", "\x18", "\r\n", "$q", " q", "52;c;?", "!p", "\x05", "25h",
	})
	rapid.Check(t, func(t *rapid.T) {
		in := strings.Join(rapid.SliceOf(piece).Draw(t, "in"), "")
		var whole, cut Filter
		want := whole.Write([]byte(in))
		var got []byte
		for rest := in; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			got = append(got, cut.Write([]byte(rest[:n]))...)
			rest = rest[n:]
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%q: whole %q, cut %q", in, want, got)
		}
		if bad := forbidden(string(got)); bad != "" {
			t.Fatalf("%q lets %q through", in, bad)
		}
	})
}

// Attack (threats R6): any bytes, cut anywhere, in search of a sequence that the
// filter and a terminal read differently.
func FuzzFilter(f *testing.F) {
	f.Add([]byte("\x1b]52;c;Zm9v\a\x1b[6n\x1b[?25h"), 4)
	f.Add([]byte("\x1bP$q\x1b\x1b\\m\x1b[>0q"), 6)
	f.Add([]byte("\u009b6n\xc2"), 1)
	f.Add([]byte("\x1b\x1b[\x1b[c\x18\x1a\x05"), 3)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		if cut < 0 || cut > len(in) {
			cut = 0
		}
		var filter Filter
		got := append(filter.Write(in[:cut]), filter.Write(in[cut:])...)
		if bad := forbidden(string(got)); bad != "" {
			t.Fatalf("%q becomes %q, with %q", in, got, bad)
		}
		if !utf8.Valid(got) {
			t.Fatalf("%q becomes %q, which is no UTF-8", in, got)
		}
		if again := new(Filter).Write(got); !bytes.Equal(again, got) {
			t.Fatalf("filtering %q again gives %q", got, again)
		}
	})
}

// allowed is every shape of output that no terminal answers. It is written
// apart from the filter, as regular expressions, so that one checks the other.
var allowed = regexp.MustCompile("^(?:" + strings.Join([]string{
	`[\x07-\x0f\x20-\x7e]`,
	`[^\x00-\x{9f}]`,
	`\x1b[78DEHM]`,
	`\x1b#[34568]`,
	`\x1b[()][0AB12]`,
	`\x1b\[[0-9;:]*[@A-IKLMPSXZ` + "`" + `adefgmrsub]`,
	`\x1b\[[0-9:]*T`,
	`\x1b\[(?:4|20)[hl]`,
	`\x1b\[\?[0-9;:]*K`,
	`\x1b\[\??(?:0*[0-2]?[;:])*0*[0-2]?J`,
	`\x1b\[\?(?:(?:5|6|7|12|25|45|47|69|1047|1048|1049);?)+[hl]`,
	`\x1b\[[0-9;:]*(?: [q@A]|!p)`,
}, "|") + ")")

// forbidden returns the first part of s that a terminal may be asked to do more
// with than to show it.
func forbidden(s string) string {
	for s != "" {
		m := allowed.FindStringIndex(s)
		if m == nil {
			return s[:min(len(s), 12)]
		}
		s = s[m[1]:]
	}
	return ""
}
