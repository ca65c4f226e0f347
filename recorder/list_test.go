package recorder_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport"
	"sallyport/recorder"
)

func TestListsAreSealed(t *testing.T) {
	s := begin(t, &recorder.Recorder{Dir: t.TempDir()})
	hostile := "/srv/a\n\x1b]0;x\a\u009b\x7f.txt"
	must(t, s.File(sallyport.FileEvent{Op: sallyport.OpUpload, Path: hostile, Outcome: sallyport.FileComplete}))
	must(t, s.File(sallyport.FileEvent{Op: sallyport.OpRemove, Path: "/b", Outcome: sallyport.FileFailed}))
	must(t, s.Forward(sallyport.ForwardEvent{Kind: sallyport.ChannelForwardLocal, To: "db1:5432", Sent: 3}))
	if err := s.Discard(); err == nil {
		t.Fatal("evidence was discarded")
	}
	must(t, s.Seal(sallyport.Session{ID: "abcdefghijkl"}))
	if s.File(sallyport.FileEvent{}) == nil {
		t.Error("written after the seal")
	}
	b, err := os.ReadFile(filepath.Join(s.Dir(), recorder.FilesName))
	must(t, err)
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if len(lines) != 2 || strings.ContainsAny(string(b), "\x1b\x07\x7f\u009b") {
		t.Fatalf("%q", b)
	}
	var e sallyport.FileEvent
	must(t, json.Unmarshal([]byte(lines[0]), &e))
	if e.Path != hostile {
		t.Errorf("%q", e.Path)
	}
	names := map[string]bool{}
	for _, f := range readSeal(t, s.Dir()).Files {
		names[f.Name] = true
	}
	if !names[recorder.FilesName] || !names[recorder.ForwardsName] {
		t.Errorf("the seal covers %v", names)
	}
}

// A list that cannot be written ends the recording like a cast.
func TestAListThatCannotBeWritten(t *testing.T) {
	s := begin(t, &recorder.Recorder{Dir: t.TempDir(), Create: func(path string) (recorder.File, error) {
		if filepath.Base(path) == recorder.FilesName {
			return nil, errors.New("no space")
		}
		return os.Create(path)
	}})
	if err := s.File(sallyport.FileEvent{}); err == nil {
		t.Fatal("no error")
	}
	select {
	case <-s.Failed():
	default:
		t.Error("nobody is told")
	}
}

// A crash leaves any prefix of a list: the whole lines stay, the rest is moved.
func TestRecoverAListAtEveryByte(t *testing.T) {
	s := begin(t, &recorder.Recorder{Dir: t.TempDir()})
	must(t, s.File(sallyport.FileEvent{Op: sallyport.OpUpload, Path: "/a"}), s.File(sallyport.FileEvent{Op: sallyport.OpUpload, Path: "/b"}))
	whole, err := os.ReadFile(filepath.Join(s.Dir(), recorder.FilesName))
	must(t, err)
	session, err := os.ReadFile(filepath.Join(s.Dir(), "session.json"))
	must(t, err)
	root := t.TempDir()
	dir := filepath.Join(root, "2026/03/01/abcdefghijkl")
	for n := range len(whole) + 1 {
		must(t, os.RemoveAll(dir), os.MkdirAll(dir, 0o700),
			os.WriteFile(filepath.Join(dir, "session.json"), session, 0o600),
			os.WriteFile(filepath.Join(dir, recorder.FilesName), whole[:n], 0o600))
		got, err := recovered(t, &recorder.Recorder{Dir: root})
		must(t, err)
		if len(got) != 1 {
			t.Fatalf("at %d: %+v", n, got)
		}
		kept, err := os.ReadFile(filepath.Join(dir, recorder.FilesName))
		must(t, err)
		torn, _ := os.ReadFile(filepath.Join(dir, "files.torn"))
		if string(kept)+string(torn) != string(whole[:n]) || len(kept) > 0 && kept[len(kept)-1] != '\n' || strings.Contains(string(torn), "\n") {
			t.Fatalf("at %d: %q and %q", n, kept, torn)
		}
	}
}
