package cast_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sallyport/recorder/cast"
)

func lines(t interface{ Fatal(...any) }, text string) []cast.Line {
	r, err := cast.NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var all []cast.Line
	for {
		l, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
}

func TestHeader(t *testing.T) {
	h := cast.Header{
		Version: 3, Width: 100, Height: 30, Term: "xterm", Timestamp: 1700000000, Title: "a\nb",
		Command: "ls </script>", Env: map[string]string{"LANG": "C"}, Sallyport: json.RawMessage(`{"a":1}`),
	}
	b, err := h.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(b, []byte("\n")) != 1 || bytes.Contains(b, []byte("</script")) {
		t.Errorf("the header is not one safe line: %s", b)
	}
	r, err := cast.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(h, r.Header); diff != "" {
		t.Error(diff)
	}
	for in, want := range map[[2]int][2]int{{0, 0}: {80, 24}, {-1, 5}: {80, 5}, {1 << 30, 1}: {10000, 1}} {
		if w, h := cast.Size(in[0], in[1]); [2]int{w, h} != want {
			t.Errorf("Size(%v) = %d, %d; want %v", in, w, h, want)
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	const head = `{"version":3,"term":{"cols":80,"rows":24}}` + "\n"
	for name, text := range map[string]string{
		"version 2":         `{"version":2,"width":80,"height":24}` + "\n",
		"no JSON":           "hello\n",
		"object as event":   head + "{}\n",
		"two elements":      head + `[1,"o"]` + "\n",
		"time backwards":    head + `[-1,"o","x"]` + "\n",
		"infinite time":     head + `[1e300,"o","x"]` + "\n",
		"code of two":       head + `[1,"oo","x"]` + "\n",
		"data is a number":  head + `[1,"o",5]` + "\n",
		"line without end":  head + `[1,"o","` + strings.Repeat("a", cast.MaxLine) + `"]` + "\n",
		"overflow of times": head + strings.Repeat(`[3000000000,"o",""]`+"\n", 4),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := cast.NewReader(strings.NewReader(text))
			for err == nil {
				_, err = r.Next()
			}
			var syntax *cast.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got %v, want a syntax error", err)
			}
		})
	}
}

func TestReaderTakes(t *testing.T) {
	const text = `{"version":3,"term":{"cols":80,"rows":24}}` + "\n" +
		"# hello\n\n" + `[0.5, "o", "a\u0000\"é"]` + "\n" + `[1.25,"x",7]` + "\n" + `[1,"z","later"]` + "\n" + `[1,"o","to`
	want := []cast.Line{
		{Comment: "hello"},
		{At: 500 * time.Millisecond, Code: 'o', Data: "a\x00\"é"},
		{At: 1750 * time.Millisecond, Code: 'x', Data: "7"},
		{At: 2750 * time.Millisecond, Code: 'z', Data: "later"},
	}
	if diff := cmp.Diff(want, lines(t, text)); diff != "" {
		t.Error(diff)
	}
}

// Any text at any times comes back, and the times never drift by more than the
// rounding of one event.
func TestWriterRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var file bytes.Buffer
		w, err := cast.NewWriter(&file, cast.Header{})
		if err != nil {
			t.Fatal(err)
		}
		var want []cast.Line
		var at time.Duration
		for range rapid.IntRange(0, 200).Draw(t, "events") {
			at += time.Duration(rapid.Int64Range(0, 3e9).Draw(t, "wait"))
			code := rapid.SampledFrom([]byte("oirmx")).Draw(t, "code")
			data := rapid.String().Draw(t, "data")
			if !utf8.ValidString(data) {
				data = strings.ToValidUTF8(data, "")
			}
			if err := w.Event(at, code, []byte(data)); err != nil {
				t.Fatal(err)
			}
			want = append(want, cast.Line{At: at, Code: code, Data: data})
		}
		got := lines(t, file.String())
		if len(got) != len(want) {
			t.Fatalf("%d events of %d", len(got), len(want))
		}
		for i := range got {
			if d := (got[i].At - want[i].At).Abs(); d > time.Microsecond {
				t.Fatalf("event %d is %v off", i, d)
			}
			got[i].At = want[i].At
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A character that is cut anywhere between two events of one code arrives
// whole, also with an event of another code in between.
func TestWriterHoldsTails(t *testing.T) {
	const text = "aé€😀b"
	for cut := range len(text) + 1 {
		var file bytes.Buffer
		w, err := cast.NewWriter(&file, cast.Header{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range []struct {
			code byte
			data string
		}{{'o', text[:cut]}, {'i', "é"}, {'o', text[cut:]}} {
			if err := w.Event(0, e.code, []byte(e.data)); err != nil {
				t.Fatal(err)
			}
		}
		var out string
		for _, l := range lines(t, file.String()) {
			if l.Code == 'o' {
				out += l.Data
			}
		}
		if out != text {
			t.Errorf("cut at %d: %q", cut, out)
		}
	}
}

func TestTail(t *testing.T) {
	for in, want := range map[string]int{
		"": 0, "a": 0, "é": 0, "a\xc3": 1, "\xe2\x82": 2, "\xf0\x9f\x98": 3, "\xf0\x9f\x98\x80": 0,
		"\x82": 0, "\xff": 0, "\xc3(": 0, "\xe2\x28": 0, "\xc0": 0, "\x80\x80\x80\x80": 0,
	} {
		if got := cast.Tail([]byte(in)); got != want {
			t.Errorf("Tail(%q) = %d, want %d", in, got, want)
		}
	}
}

// The attack: a program prints a newline and what looks like a note, to hide or
// forge events. A newline in data or comments never begins a line.
func TestNothingForgesALine(t *testing.T) {
	evil := "x\n# sallyport {\"op\":\"masked\"}\n[0,\"x\",\"0\"]\n"
	var file bytes.Buffer
	w, err := cast.NewWriter(&file, cast.Header{Title: evil, Command: evil})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Event(0, 'o', []byte(evil)), w.Event(0, 'm', []byte(evil)), w.Comment(evil)); err != nil {
		t.Fatal(err)
	}
	got := lines(t, file.String())
	if len(got) != 3 || got[0].Data != evil || got[1].Data != evil || got[2].Code != 0 {
		t.Errorf("got %+v", got)
	}
}

// The attack: the target prints controls of one byte, which do what ESC and a
// letter do, or a user puts them into a command, so that an analyst's terminal
// acts when the file is shown with cat or less. No control but the newline is in
// a cast, and the values are the same.
func TestNothingSteersTheTerminal(t *testing.T) {
	evil := "\u009b6n\u009d52;c;cm0=\u009c\u0090$qm\u0080\u009f\x7f\x1b[c é§\u00a0"
	ours, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	h := cast.Header{
		Version: 3, Width: 80, Height: 24, Title: evil, Command: evil, Term: evil, Env: map[string]string{evil: evil}, Sallyport: ours,
	}
	var file bytes.Buffer
	w, err := cast.NewWriter(&file, h)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Event(0, 'o', []byte(evil)), w.Event(0, 'm', []byte(evil)), w.Comment(evil)); err != nil {
		t.Fatal(err)
	}
	note := cast.Note{Op: cast.NoteRaw, Stream: evil}
	file.Write(note.Append(nil))
	for _, r := range file.String() {
		if r != '\n' && (r < 0x20 || r >= 0x7f && r < 0xa0) {
			t.Fatalf("%q is in %q", r, file.String())
		}
	}
	r, err := cast.NewReader(bytes.NewReader(file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	var value string
	if err := json.Unmarshal(r.Header.Sallyport, &value); err != nil || value != evil {
		t.Errorf("our key became %q, %v", value, err)
	}
	h.Sallyport, r.Header.Sallyport = nil, nil
	if diff := cmp.Diff(h, r.Header); diff != "" {
		t.Error(diff)
	}
	got := lines(t, file.String())
	if n, ok := cast.ParseNote(got[3].Comment); got[0].Data != evil || got[1].Data != evil || !ok || n != note {
		t.Errorf("got %+v", got)
	}
}

// The attack: a recording is changed so that a raw note asks for a terabyte or
// for bytes before the file.
func TestEventsRefuseForgedNotes(t *testing.T) {
	for _, n := range []cast.Note{
		{Op: cast.NoteRaw, Stream: "out", Len: 1 << 40},
		{Op: cast.NoteRaw, Stream: "out", Len: -1},
		{Op: cast.NoteRaw, Stream: "out", Offset: -1, Len: 1},
		{Op: cast.NoteRaw, Stream: "other", Len: 1},
	} {
		b, err := cast.Header{}.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := cast.NewReader(bytes.NewReader(n.Append(b)))
		if err != nil {
			t.Fatal(err)
		}
		var failed error
		for _, err := range cast.Events(r, strings.NewReader("abc")) {
			failed = err
		}
		if failed == nil {
			t.Errorf("%+v was taken", n)
		}
	}
}

func FuzzReader(f *testing.F) {
	const head = `{"version":3,"term":{"cols":80,"rows":24}}` + "\n"
	f.Add([]byte(head + `[0.1,"o","a"]` + "\n" + `# sallyport {"op":"hold","stream":"out","hex":"e282"}` + "\n"))
	f.Add([]byte(head + `# sallyport {"op":"raw","stream":"err","len":3,"us":-5}` + "\n" + `[1,"x","0"]`))
	f.Add([]byte(head + `# sallyport {"op":"masked"}` + "\n" + `[9e9,"i","•"]` + "\n"))
	f.Add([]byte("{}\n\x00\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := cast.NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		last := time.Duration(0)
		for e, err := range cast.Events(r, bytes.NewReader([]byte("raw"))) {
			if err != nil {
				break
			}
			if e.At < last && e.Stream == "" {
				t.Fatal("time runs backwards")
			}
			last = max(last, e.At)
			if e.At < 0 {
				t.Fatal("negative time")
			}
		}
		if r.Offset() > int64(len(b)) {
			t.Fatalf("offset %d of %d", r.Offset(), len(b))
		}
		// The good part alone reads without a tear.
		good, err := cast.NewReader(bytes.NewReader(b[:r.Offset()]))
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = good.Next()
		}
		if !errors.Is(err, io.EOF) || good.Torn() {
			t.Fatalf("the good part: %v, torn %v", err, good.Torn())
		}
	})
}

// The escaper looks at eight bytes at a time; one that looks at each agrees.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "plain text of some length", "\"\\\x7f\x00\x1f \x20~", "ä\x80é\xff\xf0\x9f", "1234567\n1234567\"", "\xc3\xbc\xe2\x80\x93abcdefgh\x1b[0m", "\u009b6n § \u0080\u009f\u00a0abcdef\u009d52;c;?\u009c\xc2"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		want := ""
		for _, r := range string(p) { // what is no UTF-8 becomes U+FFFD, byte by byte
			switch {
			case r == '"' || r == '\\':
				want += "\\" + string(r)
			case r == '\n':
				want += `\n`
			case r == '\r':
				want += `\r`
			case r == '\t':
				want += `\t`
			case r < 0x20 || r >= 0x7f && r < 0xa0:
				want += fmt.Sprintf(`\u%04x`, r)
			default:
				want += string(r)
			}
		}
		var e cast.Encoder
		if got := string(e.AppendEvent(nil, 0, 'o', p)); got != `[0.000000,"o","`+want+"\"]\n" {
			t.Errorf("%q: %s, want %s", p, got, want)
		}
	})
}
