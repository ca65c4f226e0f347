package replay

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/recorder/cast"
)

var day = time.Date(2026, 7, 9, 22, 30, 0, 0, time.UTC)

// shelf is a library on disk that a test fills.
type shelf struct {
	t *testing.T
	Library
}

func newShelf(t *testing.T) shelf {
	return shelf{t, Library{Dir: filepath.Join(t.TempDir(), "recordings")}}
}

func (s shelf) put(dir, name, content string) {
	s.t.Helper()
	path := filepath.Join(s.Dir, dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// session puts a session's facts and returns its directory.
func (s shelf) session(id, user string, started time.Time) string {
	s.t.Helper()
	b, err := json.Marshal(sallyport.Session{
		ID: id, User: user, Access: sallyport.Access{Account: "root", Target: "web1"}, StartedAt: started,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	dir := filepath.Join(started.Format("2006/01/02"), id)
	s.put(dir, sessionFile, string(b))
	return dir
}

type at struct {
	time time.Duration
	code byte
	data string
}

// cast puts a channel.
func (s shelf) cast(dir, name string, h cast.Header, events ...at) {
	s.t.Helper()
	var b strings.Builder
	w, err := cast.NewWriter(&b, h)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range events {
		if err := w.Event(e.time, e.code, []byte(e.data)); err != nil {
			s.t.Fatal(err)
		}
	}
	s.put(dir, name+castSuffix, b.String())
}

// find returns the one recording with the id prefix.
func (s shelf) find(prefix string) Recording {
	s.t.Helper()
	found, err := s.Find(s.t.Context(), prefix)
	if err != nil || len(found) != 1 {
		s.t.Fatalf("finding %q: %v, %v", prefix, found, err)
	}
	return found[0]
}

// one is a recording with a single channel of a terminal.
func one(t *testing.T, h cast.Header, events ...at) Recording {
	t.Helper()
	s := newShelf(t)
	s.cast(s.session("aaaaaaaaaaaa", "alice", day), "0", h, events...)
	return s.find("aaaaaaaaaaaa")
}

func TestList(t *testing.T) {
	s := newShelf(t)
	if all, err := s.List(t.Context(), Query{}); err != nil || len(all) != 0 {
		t.Fatalf("before anything was recorded: %v, %v", all, err)
	}
	first := s.session("zzzzzzzzzzzz", "alice", day)
	for _, name := range []string{"10", "2", "0"} {
		s.cast(first, name, cast.Header{})
	}
	s.put(first, sealFile, `{"version":1,"truncated":true}`)
	s.session("aaaaaaaaaaaa", "bob", day.Add(24*time.Hour))
	s.put("2026/07/09/bbbbbbbbbbbb", sessionFile, `{"id":"bbbb`)
	s.put("2026/07/09/cccccccccccc", sessionFile, `{"id":"zzzzzzzzzzzz","user":"mallory"}`)
	s.put("2026/07/09/not-an-id", sessionFile, `{}`)
	s.put("lost+found/07/09/dddddddddddd", sessionFile, `{}`)

	all, err := s.List(t.Context(), Query{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	byID := map[string]Recording{}
	for _, r := range all {
		ids = append(ids, r.Session.ID)
		byID[r.Session.ID] = r
	}
	if got := strings.Join(ids, " "); got != "bbbbbbbbbbbb cccccccccccc zzzzzzzzzzzz aaaaaaaaaaaa" {
		t.Errorf("listed %s", got)
	}
	z := byID["zzzzzzzzzzzz"]
	if !z.Sealed || !z.Truncated || z.Damaged != "" || strings.Join(z.Channels, " ") != "0 2 10" {
		t.Errorf("the truncated one: %+v", z)
	}
	if a := byID["aaaaaaaaaaaa"]; a.Sealed || a.Truncated || a.Session.User != "bob" {
		t.Errorf("the running one: %+v", a)
	}
	for _, id := range []string{"bbbbbbbbbbbb", "cccccccccccc"} {
		if r := byID[id]; r.Damaged == "" || r.Session.User != "" {
			t.Errorf("the damaged one: %+v", r)
		}
	}
}

func TestListQuery(t *testing.T) {
	s := newShelf(t)
	s.session("aaaaaaaaaaaa", "alice", day)
	s.session("bbbbbbbbbbbb", "bob", day.Add(time.Hour))
	for _, c := range []struct {
		name  string
		query Query
		want  string
	}{
		{"all", Query{}, "ab"},
		{"user", Query{User: "bob"}, "b"},
		{"nobody", Query{User: "eve"}, ""},
		{"account", Query{Account: "root"}, "ab"},
		{"target", Query{Target: "web2"}, ""},
		{"since includes", Query{Since: day.Add(time.Hour)}, "b"},
		{"until excludes", Query{Until: day.Add(time.Hour)}, "a"},
	} {
		got, err := s.List(t.Context(), c.query)
		if err != nil {
			t.Fatal(err)
		}
		var ids string
		for _, r := range got {
			ids += r.Session.ID[:1]
		}
		if ids != c.want {
			t.Errorf("%s: got %q, want %q", c.name, ids, c.want)
		}
	}
}

func TestFind(t *testing.T) {
	s := newShelf(t)
	if found, err := s.Find(t.Context(), "a"); err != nil || len(found) != 0 {
		t.Fatalf("before anything was recorded: %v, %v", found, err)
	}
	s.session("abcaaaaaaaaa", "alice", day.Add(time.Hour))
	s.session("abcbbbbbbbbb", "bob", day)
	s.put("2026/07/09/xyzaaaaaaaaa", sessionFile, `{"id":`) // a damaged one is found too
	for prefix, want := range map[string]string{
		"abca": "abcaaaaaaaaa alice", "abc": "abcbbbbbbbbb bob|abcaaaaaaaaa alice", "q": "", "": "", "XYZ": "",
		"abcaaaaaaaaa": "abcaaaaaaaaa alice", "x": "xyzaaaaaaaaa ",
	} {
		found, err := s.Find(t.Context(), prefix)
		if err != nil {
			t.Errorf("%q: %v", prefix, err)
		}
		var got []string
		for _, r := range found {
			got = append(got, r.Session.ID+" "+r.Session.User)
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%q: found %q, want %q", prefix, got, want)
		}
	}
}

// A person who asks for one recording does not wait until all of them were read.
func TestFindReadsNoOthers(t *testing.T) {
	s := newShelf(t)
	s.session("aaaaaaaaaaaa", "alice", day)
	for i := range 200 {
		id := "b" + strings.Repeat(string(rune('a'+i%20)), 6) + strings.Repeat(string(rune('a'+i/20)), 5)
		s.session(id, "bob", day)
	}
	find := testing.AllocsPerRun(1, func() { s.find("a") })
	list := testing.AllocsPerRun(1, func() {
		if all, err := s.List(t.Context(), Query{}); err != nil || len(all) != 201 {
			t.Fatalf("%d, %v", len(all), err)
		}
	})
	if find > list/3 {
		t.Errorf("to find one takes %v allocations, to list all %v", find, list)
	}
}

// Attack (threats R5, CVE-2023-42819): the id of a recording is a path that leads
// out of the library, or one with a wildcard in it. No such id finds anything.
func TestFindTraversal(t *testing.T) {
	s := newShelf(t)
	s.session("aaaaaaaaaaaa", "alice", day)
	s.put("../outside/bbbbbbbbbbbb", sessionFile, `{"id":"bbbbbbbbbbbb"}`)
	for _, id := range []string{
		"..", "../outside/bbbbbbbbbbbb", "2026/07/09/aaaaaaaaaaaa", "/etc", "./a", "a/", "a\x00", "*", "a*", "?", "",
		"aaaaaaaaaaaa/..", "..%2f..", "AAAAAAAAAAAA", "aaaaaaaaaaaaa", `..\..`, "-a", "a ", " a",
	} {
		if found, err := s.Find(t.Context(), id); err != nil || len(found) != 0 {
			t.Errorf("%q: found %v, %v", id, found, err)
		}
	}
}

// Attack (threats R5): whoever may write into a recording, or restores one from a
// backup, plants symbolic links, so that the gateway reads any file for them; or a
// FIFO, at which it would wait for ever.
func TestLinksAreNotFollowed(t *testing.T) {
	s := newShelf(t)
	dir := s.session("aaaaaaaaaaaa", "alice", day)
	s.cast(dir, "0", cast.Header{}, at{0, 'o', "mine"})
	secret := filepath.Join(t.TempDir(), "secret.cast")
	if err := os.WriteFile(secret, []byte(`{"version":3,"term":{"cols":80,"rows":24}}`+"\n"+`[0,"o","secret"]`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := func(from, to string) {
		t.Helper()
		if err := os.Symlink(from, filepath.Join(s.Dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	link(secret, filepath.Join(dir, "1.cast"))
	link(filepath.Dir(secret), "2026/07/09/bbbbbbbbbbbb")
	link(secret, filepath.Join(dir, sealFile))

	r := s.find("a")
	if strings.Join(r.Channels, " ") != "0" {
		t.Errorf("channels %v, want only the real file", r.Channels)
	}
	if r.Sealed || r.Damaged == "" {
		t.Errorf("a link passes for a seal: %+v", r)
	}
	if found, err := s.Find(t.Context(), "b"); err != nil || len(found) != 0 {
		t.Errorf("a link passes for a recording: %v, %v", found, err)
	}
	for _, channel := range []string{"1", "../0", "../../../secret", "0.cast", "0/../0"} {
		if err := Export(t.Context(), new(strings.Builder), r, ExportOptions{Format: FormatCast, Channel: channel}); sallyport.CodeOf(err) != sallyport.CodeNotFound {
			t.Errorf("channel %q: got %v, want not found", channel, err)
		}
	}
	// The file is swapped for a link after the recording was found.
	file := filepath.Join(s.Dir, dir, "0.cast")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	link(secret, filepath.Join(dir, "0.cast"))
	var out strings.Builder
	if err := Export(t.Context(), &out, r, ExportOptions{Format: FormatRaw}); err == nil || out.Len() > 0 {
		t.Errorf("the swapped file: %q, %v", out.String(), err)
	}
}

// Errors for people do not say where the gateway keeps its data.
func TestErrorsHidePaths(t *testing.T) {
	r := one(t, cast.Header{})
	if err := os.RemoveAll(r.library); err != nil {
		t.Fatal(err)
	}
	err := Export(t.Context(), new(strings.Builder), r, ExportOptions{Format: FormatRaw})
	if err == nil || strings.Contains(err.Error(), "/") {
		t.Errorf("got %v", err)
	}
}
