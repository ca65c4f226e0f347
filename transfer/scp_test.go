package transfer

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sallyport"
	"sallyport/transfer/stream"
)

// runSCP lets a source and a sink, both the real scp, talk through the parser.
// The arguments follow -f and -t; each runs in its directory.
func runSCP(t *testing.T, upload bool, rules sallyport.FileRules, from, to string, source, sink []string) (*journal, string) {
	t.Helper()
	j := &journal{}
	cfg := j.config(t, rules)
	start := func(dir string, args ...string) (io.WriteCloser, io.ReadCloser, *exec.Cmd) {
		cmd := exec.Command("scp", args...)
		cmd.Dir = dir
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return in, out, cmd
	}
	toSource, fromSource, src := start(from, append([]string{"-f"}, source...)...)
	toSink, fromSink, dst := start(to, append([]string{"-t"}, sink...)...)
	var said bytes.Buffer // to the source
	tell := io.MultiWriter(toSource, &said)
	words := append([]string{"scp", "-t"}, sink...)
	cfg.Target, cfg.Client = toSink, tell
	if !upload {
		words = append([]string{"scp", "-f"}, source...)
		cfg.Target, cfg.Client = tell, toSink
	}
	c, ok := Recognise(words, nil)
	if !ok {
		t.Fatalf("%q is not scp", words)
	}
	s := c.Stream(cfg)
	feedSource, sourceDone, feedSink, sinkDone := s.FromClient, s.ClientDone, s.FromTarget, s.TargetDone
	if !upload {
		feedSource, sourceDone, feedSink, sinkDone = s.FromTarget, s.TargetDone, s.FromClient, s.ClientDone
	}
	var pumps sync.WaitGroup
	pump := func(from io.Reader, feed func([]byte) error, done func() error, to io.Closer) {
		pumps.Go(func() {
			defer to.Close()
			buf := make([]byte, 5000)
			for {
				n, err := from.Read(buf)
				if n > 0 && feed(buf[:n]) != nil {
					break
				}
				if err != nil {
					break
				}
			}
			_ = done()
		})
	}
	pump(fromSource, feedSource, sourceDone, toSink)
	pump(fromSink, feedSink, sinkDone, toSource)
	pumps.Wait()
	s.Close()
	_, _ = src.Wait(), dst.Wait()
	return j, said.String()
}

// tree makes files, and returns their digests by path.
func tree(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

var odd = map[string]string{
	"plain": "abc", "empty": "", "with blanks  in it": "1", `quo"te's`: "22", "C0644 3 x": "C0644 5 evil\n12345",
	"large": strings.Repeat("0123456789\n", 30_000), "d/e/deep": "333", "d/two": "4444", "\xff\xfe": "55555",
}

func TestSCPTrees(t *testing.T) {
	for _, upload := range []bool{true, false} {
		from, to := t.TempDir(), t.TempDir()
		tree(t, from, odd)
		entries, err := os.ReadDir(from)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, from+"/"+e.Name())
		}
		j, _ := runSCP(t, upload, sallyport.FileRules{Keep: 100}, from, to, append([]string{"-r", "-p"}, names...), []string{"-r", "-p", "-d", to})
		at := to
		if !upload {
			at = from
		}
		got := map[string]sallyport.FileEvent{}
		for _, e := range j.all() {
			if e.Op != sallyport.OpMkdir {
				got[e.Path] = e
			}
		}
		for name, body := range odd {
			shown, exact := stream.Text(at + "/" + name)
			e := got[shown]
			if e.SHA256 != sum([]byte(body)) || e.Size != int64(len(body)) || e.Outcome != "complete" || e.PathHex != exact ||
				e.Detail != "" || (e.Kept != "") != (len(body) > 0 && len(body) <= 100) {
				t.Errorf("%v %q: %+v", upload, name, e)
			}
			if b, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(b) != body {
				t.Errorf("%v %q did not arrive: %v", upload, name, err)
			}
		}
		if len(got) != len(odd) || len(j.confused) > 0 {
			t.Errorf("%v: events %q, confused %q", upload, j.lines(), j.confused)
		}
	}
}

// What either end cannot read or write is said, and the rest goes on.
func TestSCPErrors(t *testing.T) {
	for _, upload := range []bool{true, false} {
		from, to := t.TempDir(), t.TempDir()
		tree(t, from, map[string]string{"a": "aaa", "d/b": "bbb", "z": "zzz"})
		tree(t, to, map[string]string{"a/in the way": "", "d": "a file"})
		j, said := runSCP(t, upload, sallyport.FileRules{}, from, to, []string{"-r", "a", "gone", "d", "z"}, []string{"-r", "-d", to})
		want := []string{"upload TO/a failed", "mkdir TO/d failed", "upload TO/z complete"}
		if !upload {
			want = []string{"download a failed", "download z complete"}
		}
		lines := j.lines()
		for i := range lines {
			lines[i] = strings.ReplaceAll(lines[i], to, "TO")
		}
		if !slices.Equal(lines, want) || len(j.confused) > 0 {
			t.Errorf("%q, confused %q, said %q", lines, j.confused, said)
		}
		if r := j.all()[0].Reason; !strings.Contains(r, "directory") {
			t.Errorf("reason %q", r)
		}
	}
}

// The target alone knows whether a path is a directory.
func TestSCPPaths(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	tree(t, from, map[string]string{"f": "1"})
	for args, want := range map[string]string{
		"-d " + to: to + "/f", to + "/": to + "/f", ".": "./f",
		to + "/new": to + "/new|or " + to + "/new/f, where that is a directory",
		to:          to + "|or " + to + "/f, where that is a directory",
	} {
		j, _ := runSCP(t, true, sallyport.FileRules{}, from, to, []string{"f"}, strings.Fields(args))
		got, detail, _ := strings.Cut(want, "|")
		if e := j.all(); len(e) != 1 || e[0].Path != got || e[0].Detail != detail {
			t.Errorf("%s: %+v, want %s", args, e, want)
		}
	}
}

// Attack: what the rules refuse, by direction, size, path, and in directories;
// the files next to it still move.
func TestAttackSCPRules(t *testing.T) {
	for name, tt := range map[string]struct {
		upload bool
		rules  sallyport.FileRules
		source []string
		sink   string
		want   []string
		said   string // to the source
	}{
		"size": {true, sallyport.FileRules{MaxSize: 3}, []string{"a", "big", "z"}, "TO", []string{
			"upload TO/a complete", "upload TO/big refused", "upload TO/z complete",
		}, "\x01sallyport: your role allows files of 3 bytes at most\n"},
		"size, down": {false, sallyport.FileRules{MaxSize: 3}, []string{"a", "big", "z"}, "TO", []string{
			"download a complete", "download big refused", "download z complete",
		}, "\x01sallyport: "},
		"direction": {true, sallyport.FileRules{Direction: sallyport.FilesDownload}, []string{"-r", "a", "d"}, "TO", []string{
			"upload TO/a refused", "mkdir TO/d refused",
		}, "\x01sallyport: your role may not upload or change files\n"},
		"direction, down": {false, sallyport.FileRules{Direction: sallyport.FilesNone}, []string{"-r", "a", "d"}, "TO", []string{
			"download a refused", "download d refused",
		}, "\x01sallyport: your role may not download files\n"},
		"deny": {true, sallyport.FileRules{Deny: []string{"TO/d/secret", "TO/big"}}, []string{"-r", "d", "big", "a"}, "TO", []string{
			"mkdir TO/d complete", "upload TO/d/ok complete", "upload TO/d/secret refused", "upload TO/big refused", "upload TO/a complete",
		}, "\x01sallyport: your role does not allow TO/d/secret\n"},
		"allow, down": {false, sallyport.FileRules{Allow: []string{"FROM/d/**"}, Deny: []string{"**/secret"}}, []string{"-r", "FROM/d", "FROM/a"}, "TO", []string{
			"download FROM/d/ok complete", "download FROM/d/secret refused", "download FROM/a refused",
		}, "\x01sallyport: your role does not allow FROM/a\n"},
		"relative": {
			false,
			sallyport.FileRules{Deny: []string{"/etc/**"}},
			[]string{"a"},
			"TO",
			[]string{"download a refused"},
			"\x01sallyport: your role limits paths, so they must begin with a slash: a\n",
		},
		"upwards": {
			false,
			sallyport.FileRules{Deny: []string{"/etc/**"}},
			[]string{"FROM/d/../a"},
			"TO",
			[]string{"download FROM/d/../a refused"},
			"\x01sallyport: your role limits paths, so they may not go up: FROM/d/../a\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := t.TempDir(), t.TempDir()
			tree(t, from, map[string]string{"a": "aaa", "big": "bigger", "z": "z", "d/secret": "s", "d/ok": "ok"})
			fill := strings.NewReplacer("FROM", from, "TO", to)
			each := func(list []string) (out []string) {
				for _, s := range list {
					out = append(out, fill.Replace(s))
				}
				return out
			}
			tt.rules.Allow, tt.rules.Deny = each(tt.rules.Allow), each(tt.rules.Deny)
			sink := fill.Replace(tt.sink)
			if err := os.MkdirAll(sink, 0o755); err != nil {
				t.Fatal(err)
			}
			j, said := runSCP(t, tt.upload, tt.rules, from, to, each(tt.source), []string{"-r", "-d", sink})
			lines, want := j.lines(), each(tt.want)
			slices.Sort(lines)
			slices.Sort(want)
			if !slices.Equal(lines, want) {
				t.Errorf("events %q, want %q", lines, want)
			}
			if !strings.Contains(said, fill.Replace(tt.said)) {
				t.Errorf("the source was told %q", said)
			}
			for _, e := range j.all() {
				path := filepath.Join(to, strings.TrimPrefix(strings.TrimPrefix(e.Path, from), to))
				if _, err := os.Stat(path); (err == nil) != (e.Outcome == sallyport.FileComplete) {
					t.Errorf("%s %s: %v", e.Path, e.Outcome, err)
				}
			}
		})
	}
}

// Attack: lines that this parser and scp would read differently, bytes that come
// before they are asked for, answers in advance: nothing of it passes, and the
// channel ends.
func TestAttackSCPConfusion(t *testing.T) {
	upload, _ := Recognise([]string{"scp", "-t", "-d", "/in"}, nil)
	long := strings.Repeat("x", 3000)
	for name, p := range map[string]string{
		"too long":             "C0644 1 " + long + "\n",
		"too long, an error":   "\x01" + long + "\nC0644 1 x\n",
		"never a line":         long,
		"NUL":                  "C0644 1 ok\x00/../../etc/passwd\n",
		"slash":                "C0644 1 ../passwd\n",
		"up":                   "D0755 0 ..\n",
		"no name":              "C0644 1 \n",
		"negative":             "C0644 -1 x\n",
		"too large":            "C0644 99999999999999999999 x\n",
		"octal":                "C0999 1 x\n",
		"ends what was not":    "E\n",
		"E and more":           "D0755 0 d\nEvil\n",
		"empty":                "\n",
		"status before a file": "\x00",
	} {
		j := &journal{}
		cfg := j.config(t, sallyport.FileRules{Allow: []string{"/in/**"}})
		var target, client bytes.Buffer
		cfg.Target, cfg.Client = &target, &client
		s := upload.Stream(cfg)
		if err := s.FromTarget([]byte{0}); err != nil {
			t.Fatal(err)
		}
		var err error
		if first, rest, ok := strings.Cut(p, "\nEvil"); ok {
			_ = s.FromClient([]byte(first + "\n"))
			_ = s.FromTarget([]byte{0})
			p = "Evil" + rest
			target.Reset()
		}
		err = s.FromClient([]byte(p))
		var confused *ConfusedError
		if !errors.As(err, &confused) || target.Len() > 0 || len(j.confused) != 1 {
			t.Errorf("%s: %v, the target got %q", name, err, target.String())
		}
		s.Close()
	}

	// Unasked words of the target would be taken for an answer to the next record.
	j := &journal{}
	cfg := j.config(t, sallyport.FileRules{MaxSize: 1})
	cfg.Target, cfg.Client = io.Discard, io.Discard
	s := upload.Stream(cfg)
	if err := s.FromTarget([]byte("\x00\x01scp: set times\n")); err == nil {
		t.Error("it passes")
	}
	s.Close()

	// A client that sends the file before the target has agreed, and one that
	// agrees to a file before it is told of it.
	j = &journal{}
	cfg = j.config(t, sallyport.FileRules{Deny: []string{"/in/secret"}})
	target, client := newBuffer(), newBuffer()
	cfg.Target, cfg.Client = target, client
	s = upload.Stream(cfg)
	fed := make(chan error)
	go func() { fed <- s.FromClient([]byte("C0644 20 f\nC0644 5 secret\n12345678\x00C0644 5 secret\n12345")) }()
	for i, agreed := range []string{"", "C0644 20 f\n", "C0644 20 f\nC0644 5 secret\n12345"} {
		eventually(t, "the record does not come", func() bool {
			target.mu.Lock()
			defer target.mu.Unlock()
			return strings.HasPrefix(string(target.b), agreed)
		})
		if err := s.FromTarget([]byte{0}); err != nil && i < 2 {
			t.Fatal(err)
		}
	}
	if err := <-fed; err == nil {
		t.Error("what follows the refusal is taken")
	}
	if got := string(target.b); strings.Contains(strings.TrimPrefix(got, "C0644 20 f\nC0644 5 secret\n12345"), "secret") {
		t.Errorf("the target got %q", got)
	}
	s.Close()

	down, _ := Recognise([]string{"scp", "-f", "/in/secret", "/in/f"}, nil)
	target, client = newBuffer(), newBuffer()
	cfg.Target, cfg.Client = target, client
	s = down.Stream(cfg)
	go func() { fed <- s.FromClient([]byte{0, 0, 0, 0, 0}) }()
	if err := s.FromTarget([]byte("C0644 3 secret\n")); err != nil {
		t.Fatal(err)
	}
	if got := string(target.b); got != "\x00\x01sallyport: your role does not allow /in/secret\n" {
		t.Errorf("the target got %q", got)
	}
	if got := string(client.b); got != "\x01sallyport: your role does not allow /in/secret\n" {
		t.Errorf("the client got %q", got)
	}
	s.Close()
	if err := <-fed; err == nil {
		t.Error("answers to nothing passed")
	}
}

// The same bytes in pieces of any size are the same files.
func TestSCPCutAnywhere(t *testing.T) {
	up, _ := Recognise([]string{"scp", "-r", "-t", "/in"}, nil)
	client := []string{"T1 0 2 0\n", "C0644 5 f\n", "hello\x00", "D0755 0 d\n", "C0600 0 g\n", "\x00", "C0600 3 h\n", "abc\x01scp: read error\n", "E\n", "\x01scp: gone: No such file\n", "C0644 1 k\n"}
	target := []string{"\x00", "\x00", "\x00", "\x00", "\x00", "\x00", "\x00", "\x00", "\x00", "\x00", "", "\x01scp: no\n"}
	for n := 1; n < 30; n++ {
		j := &journal{}
		cfg := j.config(t, sallyport.FileRules{})
		var in, out bytes.Buffer
		cfg.Target, cfg.Client = &in, &out
		s := up.Stream(cfg)
		feed := func(to func([]byte) error, text string) {
			for p := range slices.Chunk([]byte(text), n) {
				if err := to(p); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, text := range target {
			feed(s.FromTarget, text)
			if i < len(client) {
				feed(s.FromClient, client[i])
			}
		}
		s.Close()
		want := []string{"upload /in complete", "mkdir /in complete", "upload /in/g complete", "upload /in/h failed", "upload /in failed"}
		if !slices.Equal(j.lines(), want) || in.String() != strings.Join(client, "") || out.String() != strings.Join(target, "") {
			t.Fatalf("%d: %q\n%q\n%q", n, j.lines(), in.String(), out.String())
		}
	}
}

func FuzzSCP(f *testing.F) {
	f.Add([]byte("T1 0 2 0\nC0644 5 f\nhello\x00D0755 0 d\nC0600 0 g\n\x00E\n"), []byte("\x00\x00\x00\x00\x00\x00\x00\x00"), true, uint8(3))
	f.Add([]byte("\x01scp: no\n"), []byte("\x00\x01no\n\x02"), false, uint8(1))
	f.Fuzz(func(t *testing.T, source, sink []byte, upload bool, n uint8) {
		words := []string{"scp", "-f", "/a/b", "/c*"}
		if upload {
			words = []string{"scp", "-t", "/a/b"}
		}
		c, _ := Recognise(words, nil)
		rules := []sallyport.FileRules{{}, {Deny: []string{"/a/b/secret"}, MaxSize: 100}}[n%2]
		var toSource, toSink bytes.Buffer
		cfg := Config{Rules: rules, Target: &toSource, Client: &toSink, Report: func(e sallyport.FileEvent) {
			if e.Outcome == "" || e.Op == "" || e.Path == "" {
				t.Errorf("%+v", e)
			}
		}}
		if upload {
			cfg.Target, cfg.Client = &toSink, &toSource
		}
		s := c.Stream(cfg)
		feedSource, sourceDone, feedSink, sinkDone := s.FromClient, s.ClientDone, s.FromTarget, s.TargetDone
		if !upload {
			feedSource, sourceDone, feedSink, sinkDone = s.FromTarget, s.TargetDone, s.FromClient, s.ClientDone
		}
		step := int(n)%50 + 1
		var both sync.WaitGroup
		both.Go(func() {
			for p := range slices.Chunk(source, step) {
				if feedSource(p) != nil {
					break
				}
			}
			_ = sourceDone()
			s.Close()
		})
		both.Go(func() {
			for p := range slices.Chunk(sink, step) {
				if feedSink(p) != nil {
					break
				}
			}
			_ = sinkDone()
		})
		both.Wait()
		if !rules.Restricts() && (!bytes.HasPrefix(source, toSink.Bytes()) || !bytes.HasPrefix(sink, toSource.Bytes())) {
			t.Errorf("%q became %q, %q became %q", source, toSink.Bytes(), sink, toSource.Bytes())
		}
	})
}
