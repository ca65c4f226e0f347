package recorder_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport"
	"sallyport/recorder"
	"sallyport/recorder/cast"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func begin(t testing.TB, r *recorder.Recorder) *recorder.Session {
	t.Helper()
	s, err := r.Start(sallyport.Session{ID: "abcdefghijkl", User: "alice", StartedAt: epoch})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func channel(t testing.TB, s *recorder.Session, info recorder.ChannelInfo) *recorder.Channel {
	t.Helper()
	c, err := s.Channel(info)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// rebuild returns the streams that are on file now.
func rebuild(t testing.TB, dir, name string) (map[string]string, []cast.Event) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name+".cast"))
	must(t, err)
	r, err := cast.NewReader(bytes.NewReader(b))
	must(t, err)
	var raw io.ReaderAt
	if b, err := os.ReadFile(filepath.Join(dir, name+".raw")); err == nil {
		raw = bytes.NewReader(b)
	}
	got := map[string]string{}
	var events []cast.Event
	for e, err := range cast.Events(r, raw) {
		must(t, err)
		if e.Stream != "" && !e.Masked {
			got[e.Stream] += string(e.Data)
		}
		e.Data = bytes.Clone(e.Data)
		events = append(events, e)
	}
	return got, events
}

func readSeal(t testing.TB, dir string) cast.Seal {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, recorder.SealName))
	must(t, err)
	var seal cast.Seal
	must(t, json.Unmarshal(b, &seal))
	for _, f := range seal.Files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name))
		must(t, err)
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != f.SHA256 || int64(len(b)) != f.Size {
			t.Errorf("%s is not what the seal says", f.Name)
		}
	}
	return seal
}

// Any bytes, in any chunks, on any streams, are on file exactly after every
// single call, before anything is closed; and the digests are theirs.
func TestStoredBeforeDelivered(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		must(t, err)
		s := begin(t, &recorder.Recorder{Dir: dir})
		c := channel(t, s, recorder.ChannelInfo{Name: "0", PTY: rapid.Bool().Draw(rt, "pty")})
		want := map[string]string{}
		piece := rapid.OneOf(
			rapid.SliceOfN(rapid.Byte(), 1, 40),
			rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) }),
			rapid.SampledFrom([][]byte{[]byte("\xe2"), []byte("\x82"), []byte("\xac"), []byte("\xf0\x9f"), []byte("\x00"), bytes.Repeat([]byte("é"), 70_000)}),
		)
		for range rapid.IntRange(1, 12).Draw(rt, "calls") {
			p := piece.Draw(rt, "piece")
			stream := rapid.SampledFrom([]string{"out", "err", "in", "mask"}).Draw(rt, "stream")
			switch stream {
			case "out":
				err = c.Output(p)
			case "err":
				err = c.Stderr(p)
			case "in":
				err = c.Input(p)
			case "mask":
				err = errors.Join(c.InputMasked(len(p)), c.Resize(0, 0), c.Marker("x"))
				p = nil
			}
			must(t, err)
			if len(p) > 0 {
				want[stream] += string(p)
			}
			got, _ := rebuild(t, s.Dir(), "0")
			for k := range want {
				if got[k] != want[k] {
					rt.Fatalf("%s: on file %q, delivered %q", k, got[k], want[k])
				}
			}
		}
		must(t, c.Exit(0), c.Close(), s.Seal(sallyport.Session{ID: "abcdefghijkl"}))
		got, _ := rebuild(t, s.Dir(), "0")
		seal := readSeal(t, s.Dir())
		if seal.Truncated || len(seal.Streams) != len(want) {
			rt.Fatalf("seal %+v", seal)
		}
		for _, sum := range seal.Streams {
			h := sha256.Sum256([]byte(want[sum.Stream]))
			if got[sum.Stream] != want[sum.Stream] || sum.SHA256 != hex.EncodeToString(h[:]) || sum.Bytes != int64(len(want[sum.Stream])) {
				rt.Fatalf("stream %+v", sum)
			}
		}
	})
}

// The attack: what is typed at a password prompt is looked for in the recording.
// Neither it, nor its length, nor its digest may be there; nor the rhythm of the
// keys, which gives much of a password away (Song, Wagner, Tian: Timing analysis
// of keystrokes, 2001).
func TestMasked(t *testing.T) {
	files := map[string]string{}
	for name, keys := range map[string][]int{"one": {1}, "pasted": {30}, "typed": {1, 1, 0, 1, 2, 1}} {
		now := epoch
		s := begin(t, &recorder.Recorder{Dir: t.TempDir(), Now: func() time.Time { return now }})
		c := channel(t, s, recorder.ChannelInfo{Name: "0", PTY: true})
		must(t, c.Input([]byte("sudo -i\r")), c.Output([]byte("Password: ")))
		for i, n := range keys {
			now = epoch.Add(time.Second + time.Duration(i*i)*10*time.Millisecond)
			must(t, c.InputMasked(n))
		}
		now = epoch.Add(5 * time.Second)
		must(t, c.Output([]byte("# ")), c.Input([]byte("id\r")), c.InputMasked(3), c.Close())
		b, err := os.ReadFile(filepath.Join(s.Dir(), "0.cast"))
		must(t, err)
		files[name] = string(b)
		masked := 0
		_, events := rebuild(t, s.Dir(), "0")
		for _, e := range events {
			if e.Masked {
				masked++
			}
		}
		if last := events[len(events)-1]; !last.Masked || string(last.Data) != "•" || masked != 2 {
			t.Errorf("%s: %d masked, last event %+v", name, masked, last)
		}
	}
	if files["one"] != files["pasted"] || files["one"] != files["typed"] {
		t.Errorf("the recording tells how the secret was typed:\n%s\n%s\n%s", files["one"], files["pasted"], files["typed"])
	}
}

func TestContentCap(t *testing.T) {
	text := strings.Repeat("0123456789", 30)
	for _, pty := range []bool{false, true} {
		s := begin(t, &recorder.Recorder{Dir: t.TempDir()})
		c := channel(t, s, recorder.ChannelInfo{Name: "0", PTY: pty, ContentCap: 205})
		for i := 0; i < len(text); i += 10 {
			must(t, c.Output([]byte(text[i:i+10])))
		}
		must(t, c.Close(), s.Seal(sallyport.Session{}))
		stored := 205
		if pty {
			stored = len(text)
		}
		got, _ := rebuild(t, s.Dir(), "0")
		if got["out"] != text[:stored] {
			t.Errorf("pty %v: kept %d bytes, want %d", pty, len(got["out"]), stored)
		}
		sum := readSeal(t, s.Dir()).Streams[0]
		if h := sha256.Sum256([]byte(text)); sum.SHA256 != hex.EncodeToString(h[:]) || sum.Bytes != 300 || sum.Stored != int64(stored) {
			t.Errorf("pty %v: %+v", pty, sum)
		}
	}
}

func TestFilesArePrivateAndSealed(t *testing.T) {
	root := filepath.Join(t.TempDir(), "recordings")
	r := &recorder.Recorder{Dir: root}
	s := begin(t, r)
	if want := filepath.Join(root, "2026/03/01/abcdefghijkl"); s.Dir() != want {
		t.Errorf("directory %s, want %s", s.Dir(), want)
	}
	c := channel(t, s, recorder.ChannelInfo{Name: "0"})
	must(t, c.Output([]byte{0, 1, 2}), os.WriteFile(filepath.Join(s.Dir(), "files.jsonl"), []byte("{}\n"), 0o600))
	must(t, s.Seal(sallyport.Session{ID: "abcdefghijkl", Cause: sallyport.CauseClosed}))
	must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	}))
	var names []string
	for _, f := range readSeal(t, s.Dir()).Files {
		names = append(names, f.Name)
	}
	if got := strings.Join(names, " "); got != "0.cast 0.raw files.jsonl session.json" {
		t.Errorf("sealed: %s", got)
	}
	b, err := os.ReadFile(filepath.Join(s.Dir(), recorder.SealName))
	must(t, err)
	if sum := sha256.Sum256(b); s.SealDigest() != hex.EncodeToString(sum[:]) {
		t.Error("the digest of the seal is another one")
	}
	if c.Output([]byte("late")) == nil || s.Seal(sallyport.Session{}) == nil {
		t.Error("a sealed recording took more")
	}
	if _, err := s.Channel(recorder.ChannelInfo{Name: "1"}); err == nil {
		t.Error("a sealed recording took a channel")
	}
	if got, err := recovered(t, r); err != nil || len(got) != 0 {
		t.Errorf("a sealed session was recovered: %v, %v", got, err)
	}
}

// The attack: an id or a channel name that leads out of the directory.
func TestNamesStayInside(t *testing.T) {
	r := &recorder.Recorder{Dir: t.TempDir()}
	for _, id := range []string{"", "..", "../x", "a/b", ".hidden", "-x", "a\x00"} {
		if _, err := r.Start(sallyport.Session{ID: id}); err == nil {
			t.Errorf("session %q was taken", id)
		}
	}
	s := begin(t, r)
	channel(t, s, recorder.ChannelInfo{Name: "0"})
	for _, name := range []string{"", "../0", "a/b", "0"} {
		if _, err := s.Channel(recorder.ChannelInfo{Name: name}); err == nil {
			t.Errorf("channel %q was taken", name)
		}
	}
	if _, err := r.Start(sallyport.Session{ID: "abcdefghijkl", StartedAt: epoch}); err == nil {
		t.Error("one id was taken twice")
	}
}

// A session whose target could not be reached leaves nothing, not even after a
// crash. Once something is recorded it is evidence and stays.
func TestDiscard(t *testing.T) {
	r := &recorder.Recorder{Dir: t.TempDir()}
	s := begin(t, r)
	must(t, s.Discard())
	if _, err := os.Stat(s.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
	if _, err := s.Channel(recorder.ChannelInfo{Name: "0"}); err == nil || s.Seal(sallyport.Session{}) == nil || s.Discard() == nil {
		t.Error("a discarded recording took more")
	}
	if got, err := recovered(t, r); err != nil || len(got) != 0 {
		t.Errorf("a discarded session was recovered: %v, %v", got, err)
	}
	again := begin(t, r) // the id is forgotten
	must(t, channel(t, again, recorder.ChannelInfo{Name: "0"}).Output([]byte("evidence")))
	if again.Discard() == nil {
		t.Error("evidence was discarded")
	}
	must(t, again.Seal(sallyport.Session{ID: "abcdefghijkl"}))
	if got, _ := rebuild(t, again.Dir(), "0"); got["out"] != "evidence" || again.Discard() == nil {
		t.Errorf("kept %q", got)
	}
}

// Attack (threats O5): an administrator's mistake, or another account of the
// host, opens the recordings to everybody.
func TestCheck(t *testing.T) {
	open := t.TempDir()
	file := filepath.Join(t.TempDir(), "file")
	foreign := "/" // of root, unless we are
	if os.Geteuid() == 0 {
		foreign = t.TempDir()
		must(t, os.Chown(foreign, 12345, -1))
	}
	must(t, os.WriteFile(file, nil, 0o600))
	for mode, fine := range map[fs.FileMode]bool{0o700: true, 0o500: true, 0o750: false, 0o701: false, 0o777: false} {
		must(t, os.Chmod(open, mode))
		err := (&recorder.Recorder{Dir: open}).Check()
		if fine != (err == nil) || !fine && sallyport.HintOf(err) != "run: chmod 700 "+open {
			t.Errorf("mode %o: %v, hint %q", mode, err, sallyport.HintOf(err))
		}
	}
	if err := (&recorder.Recorder{Dir: foreign}).Check(); err == nil || !strings.Contains(sallyport.HintOf(err), "chown") {
		t.Errorf("of another: %v", err)
	}
	if err := (&recorder.Recorder{Dir: file}).Check(); err == nil {
		t.Error("a file passes for a directory")
	}
	r := &recorder.Recorder{Dir: filepath.Join(t.TempDir(), "a/b")}
	must(t, r.Check(), r.Check())
	if info, err := os.Stat(r.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("made as %v, %v", info, err)
	}
}
