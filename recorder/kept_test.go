package recorder_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport"
	"sallyport/recorder"
)

func hexSum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// A copy that is kept is a file of the recording, under the seal; one that is
// not leaves nothing.
func TestCopies(t *testing.T) {
	s := begin(t, &recorder.Recorder{Dir: t.TempDir()})
	for i, sum := range []string{hexSum("hello"), "", "dropped"} {
		c, err := s.Copy("0")
		must(t, err)
		if _, err := c.WriteAt([]byte("lo, and more"), 3); err != nil {
			t.Fatal(err)
		}
		if _, err := c.WriteAt([]byte("hel"), 0); err != nil {
			t.Fatal(err)
		}
		if sum != "dropped" {
			name, err := c.Keep(5, sum)
			if want := []string{"0.1.kept", "0.2.kept"}[i]; err != nil || name != want {
				t.Fatalf("%q, %v", name, err)
			}
		}
		must(t, c.Close())
	}
	late, err := s.Copy("1")
	must(t, err)
	must(t, s.Seal(sallyport.Session{ID: "abcdefghijkl"}))
	if _, err := late.Keep(0, ""); err == nil {
		t.Error("kept after the seal")
	}
	must(t, late.Close())
	if _, err := s.Copy("0"); err == nil {
		t.Error("copied after the seal")
	}
	sums := map[string]string{}
	for _, f := range readSeal(t, s.Dir()).Files {
		sums[f.Name] = f.SHA256
	}
	entries, err := os.ReadDir(s.Dir())
	must(t, err)
	for _, e := range entries {
		if strings.Contains(e.Name(), ".kept") {
			b, err := os.ReadFile(filepath.Join(s.Dir(), e.Name()))
			must(t, err)
			info, err := e.Info()
			must(t, err)
			if string(b) != "hello" || sums[e.Name()] != hexSum("hello") || info.Mode().Perm() != 0o600 {
				t.Errorf("%s is %q, sealed %s, %v", e.Name(), b, sums[e.Name()], info.Mode())
			}
			delete(sums, e.Name())
		}
	}
	if len(sums) != 1 { // session.json
		t.Errorf("the seal has %v besides", sums)
	}
}

// After a crash what was kept is sealed, and what was not is gone.
func TestCopiesAfterACrash(t *testing.T) {
	root := t.TempDir()
	s := begin(t, &recorder.Recorder{Dir: root})
	c, err := s.Copy("0")
	must(t, err)
	_, err = c.WriteAt([]byte("kept"), 0)
	must(t, err)
	_, err = c.Keep(4, hexSum("kept"))
	must(t, err)
	_, err = s.Copy("0")
	must(t, err)
	got, err := recovered(t, &recorder.Recorder{Dir: root})
	must(t, err)
	if len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	var names []string
	for _, f := range readSeal(t, s.Dir()).Files {
		names = append(names, f.Name)
	}
	entries, err := os.ReadDir(s.Dir())
	must(t, err)
	if strings.Join(names, " ") != "0.1.kept session.json" || len(entries) != 3 {
		t.Errorf("sealed %q, there are %v", names, entries)
	}
}
