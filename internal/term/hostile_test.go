package term

import (
	"strings"
	"testing"
)

// hostile is what a peer would write to keep the model busy.
var hostile = map[string]string{
	"line feeds":              "\n",
	"long rows":               "\x1b[999Cx\n",
	"a region":                "\x1b[2r\x1b[999H\n\n\n\n\n\n\n\n\n\n\n\n",
	"rows inserted":           "\x1b[L",
	"all rows inserted":       "x\x1b[999L",
	"cells inserted":          "\x1b[999Gx\r\x1b[@",
	"insert mode":             "\x1b[4h\r日",
	"cells removed":           "\x1b[999Gx\r\x1b[P",
	"repeats":                 "x\x1b[9999b",
	"wide repeats":            "日\x1b[9999b",
	"inserted repeats":        "\x1b[4hx\x1b[9999b",
	"clears":                  "\x1b[2J",
	"alignment":               "\x1b#8",
	"alignment, then a clear": "x\x1b#8\x1b[2J",
	"alignment, touched":      "x\x1b#8",
	"alternate":               "\x1b[?1049h\x1b[?1049l",
	"many alternates":         "\x1b[?1049;47;1049;47;1049;47;1049;47;1049;47h",
	"tabs":                    "\x1b[3g\r\t",
	"many tabs":               "\x1b[3g\x1b[9999I\x1b[9999Z",
	"parameters":              "\x1b[" + strings.Repeat("1;", 1000) + "m",
	"colons":                  "\x1b[" + strings.Repeat("38:2:", 10) + "m",
	"huge numbers":            "\x1b[" + strings.Repeat("9", 100) + "C",
	"strings":                 "\x1bP\x1b]\x1b_\x1b^",
	"one string":              "x",
	"marks":                   "a\u0301\u0302\u0303\u0304",
	"no UTF-8":                "\xff\xe6",
	"resets":                  "\x1bc",
	"styles":                  "\x1b[1;38;5;8mx",
}

// Attack: make the model allocate, by any sequence, however often.
func TestHostileOutputAllocatesNothing(t *testing.T) {
	for name, s := range hostile {
		term := New(MaxCols, MaxRows)
		term.Write([]byte("\x1b[?1049h\x1b[?1049l")) // the alternate screen is made once
		p := []byte(strings.Repeat(s, 20))
		if name == "one string" {
			p = append([]byte("\x1b]"), p...)
		}
		if n := testing.AllocsPerRun(3, func() { term.Write(p) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestTracingAllocatesNothing(t *testing.T) {
	term := New(80, 24)
	p := []byte("hello 日本 e\u0301 \xff\r\n")
	n := 0
	if got := testing.AllocsPerRun(100, func() {
		count := 0
		term.WriteTraced(p, func(int, int, Pos) { count++ })
		n = count
	}); got > 0 || n != 13 {
		t.Errorf("%v allocations, %d characters", got, n)
	}
}

// BenchmarkHostile shows a megabyte of each on the largest screen.
func BenchmarkHostile(b *testing.B) {
	for name, s := range hostile {
		b.Run(name, func(b *testing.B) {
			p := []byte(strings.Repeat(s, 1<<20/len(s)))
			if name == "one string" {
				p = append([]byte("\x1b]"), p...)
			}
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				New(MaxCols, MaxRows).Write(p)
			}
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	quick := strings.Repeat("the quick brown fox jumps over the lazy dog ", 2)
	for name, s := range map[string]string{
		"plain":     quick + "\r\n",
		"short":     "x\r\n",
		"colours":   strings.Repeat("\x1b[1;32mthe quick\x1b[0m brown \x1b[38;5;240mfox\x1b[m ", 3) + "\r\n",
		"utf8":      strings.Repeat("größer — 日本語 ", 4) + "\r\n",
		"addressed": "\x1b[12;40Hfox\x1b[3;5Hdog\x1b[K\x1b[20;1H> ",
	} {
		b.Run(name, func(b *testing.B) {
			p := []byte(strings.Repeat(s, 1<<15/len(s)))
			term := New(120, 40)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				term.Write(p)
			}
		})
	}
}
