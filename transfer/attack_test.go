package transfer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport"
	"sallyport/internal/wire"
)

// secret is a role that may do everything but with what is below secret.
func secret() sallyport.FileRules { return sallyport.FileRules{Deny: []string{"HOME/secret/**"}} }

// safe fails if the secret has moved or changed.
func (r *rig) safe() {
	r.t.Helper()
	got, err := os.ReadFile(filepath.Join(r.dir, "secret/key"))
	if err != nil || string(got) != "the key" {
		r.t.Errorf("the secret: %q, %v", got, err)
	}
	if bytes.Contains(r.out.b, []byte("the key")) {
		r.t.Error("the client was sent the secret")
	}
}

func openFor(path string, flags uint32) wire.SFTPRequest {
	return wire.SFTPRequest{Type: wire.SFTPOpen, Path: path, Flags: flags}
}

func ext(name, from, to string) wire.SFTPRequest {
	return wire.SFTPRequest{Type: wire.SFTPExtended, Extension: name, Path: from, To: to}
}

// Attack: other names for the same file: relative, with .., double slashes,
// dots, through symbolic links to it, to its directory, to nothing yet, through
// links that the client makes itself.
func TestAttackOtherNames(t *testing.T) {
	r := newRig(t, secret())
	r.put("secret/key", "the key")
	r.put("pub/f", "public")
	r.link("secret/key", "link")
	r.link("secret", "dir")
	r.link("..", "pub/up")
	r.link("../secret/new", "pub/dangling")
	r.link(r.dir+"/link", "link2")
	for _, p := range []string{
		"secret/key", r.dir + "/secret/key", "pub/../secret/key", "./secret//key", r.dir + "//secret/./key",
		"link", "dir/key", "pub/up/secret/key", "link2", "pub/up/pub/up/dir/key", "pub/../link2", "secret/key/", "../" + filepath.Base(r.dir) + "/secret/key",
	} {
		for _, flags := range []uint32{wire.OpenRead, 0, wire.OpenWrite, create, wire.OpenRead | wire.OpenTrunc} {
			if a := r.ask(openFor(p, flags)); a.Type == wire.SFTPHandle || !strings.HasPrefix(a.Message, "sallyport: ") {
				t.Errorf("%s is opened: %+v", p, a)
			}
		}
		r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPSetstat, Path: p, Attrs: wire.FileAttrs{Flags: wire.AttrSize}}))
	}
	r.denied(r.ask(openFor("pub/dangling", create)))
	r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPRemove, Path: "dir/key"}))
	r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPMkdir, Path: "dir/sub"}))
	r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPMkdir, Path: "dir/sub/"}))
	// Links are made where they lead to nothing that is denied, by either name.
	for _, says := range []string{r.dir + "/secret/key", "secret", "../" + filepath.Base(r.dir) + "/secret", r.dir + "/dir"} {
		r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPSymlink, Path: says, To: "mine"}))
	}
	r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPSymlink, Path: "mine", To: "secret/mine"}))
	if a := r.ask(wire.SFTPRequest{Type: wire.SFTPSymlink, Path: "pub", To: "mine"}); a.Code != wire.FxOK {
		t.Errorf("%+v", a)
	}
	// A link may go: that is nothing done to what it leads to.
	if a := r.ask(wire.SFTPRequest{Type: wire.SFTPRemove, Path: "link"}); a.Code != wire.FxOK {
		t.Errorf("%+v", a)
	}
	// The server's own memory, its open files.
	r.denied(r.ask(openFor("/proc/self/mem", wire.OpenWrite)))
	r.denied(r.ask(openFor("/proc/self/root"+r.dir+"/secret/key", wire.OpenRead)))
	r.denied(r.ask(openFor("pub/up/pub/../../../../../../proc/self/environ", wire.OpenRead)))
	r.safe()
}

// Attack: give a denied file an allowed name, or a directory above it, or put a
// directory of one's own in a denied place; with every request that renames.
func TestAttackRename(t *testing.T) {
	r := newRig(t, sallyport.FileRules{Deny: []string{"HOME/a/secret/*", "HOME/*/hooks/*"}})
	r.put("a/secret/key", "the key")
	r.put("own/hooks2/run", "evil")
	r.put("f", "file")
	r.link("a", "to-a")
	for _, do := range []func(from, to string) wire.SFTPRequest{
		func(from, to string) wire.SFTPRequest {
			return wire.SFTPRequest{Type: wire.SFTPRename, Path: from, To: to}
		},
		func(from, to string) wire.SFTPRequest { return ext(wire.ExtPosixRename, from, to) },
		func(from, to string) wire.SFTPRequest { return ext(wire.ExtHardlink, from, to) },
	} {
		r.denied(r.ask(do("a/secret/key", "mine")))
		r.denied(r.ask(do("to-a/secret/key", "mine")))
		r.denied(r.ask(do("f", "a/secret/key")))
		if do("", "").Extension == wire.ExtHardlink {
			continue
		}
		r.denied(r.ask(do("a", "b")))
		r.denied(r.ask(do("a/secret", "b")))
		r.denied(r.ask(do("./a/", "b")))
		r.denied(r.ask(do("own/hooks2", "own/hooks")))
		if a := r.ask(do("to-a", "to-b")); a.Code != wire.FxOK { // a link is a name only
			t.Errorf("%+v", a)
		}
		if a := r.ask(do("to-b", "to-a")); a.Code != wire.FxOK {
			t.Errorf("%+v", a)
		}
		if a := r.ask(do("f", "g")); a.Code != wire.FxOK {
			t.Errorf("%+v", a)
		}
		if a := r.ask(do("g", "f")); a.Code != wire.FxOK {
			t.Errorf("%+v", a)
		}
	}
	if got, _ := os.ReadFile(filepath.Join(r.dir, "a/secret/key")); string(got) != "the key" {
		t.Errorf("the secret is %q", got)
	}
	// With an allow list, a directory moves only where all of it is allowed.
	r = newRig(t, sallyport.FileRules{Allow: []string{"HOME/in/**", "HOME/x"}})
	r.put("in/d/f", "1")
	r.put("x/f", "2")
	r.denied(r.ask(ext(wire.ExtPosixRename, "x", "in/x")))
	r.denied(r.ask(ext(wire.ExtPosixRename, "in/d", "x")))
	if a := r.ask(ext(wire.ExtPosixRename, "in/d", "in/e")); a.Code != wire.FxOK {
		t.Errorf("%+v", a)
	}
}

// Attack: a file of another name for the rules' eyes, by a handle that is kept,
// guessed before it is given out, given out again after a close, or made up.
func TestAttackHandles(t *testing.T) {
	r := newRig(t, sallyport.FileRules{Direction: sallyport.FilesDownload})
	r.put("f", "abc")
	h := r.openFile("f", wire.OpenRead)
	r.denied(r.write(h, 0, "xyz"))
	r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPFsetstat, Handle: h, Attrs: wire.FileAttrs{Flags: wire.AttrSize}}))
	r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPExtended, Extension: wire.ExtCopyData, Handle: h, ToHandle: h, Length: 1}))
	r.closeFile(h)
	if a := r.write(h, 0, "xyz"); a.Code == wire.FxOK || !strings.HasPrefix(a.Message, "sallyport: ") {
		t.Errorf("a closed handle is written: %+v", a)
	}
	if a := r.write("nothing", 0, "xyz"); a.Code == wire.FxOK || !strings.HasPrefix(a.Message, "sallyport: ") {
		t.Errorf("a handle of one's own is written: %+v", a)
	}
	if got, _ := os.ReadFile(filepath.Join(r.dir, "f")); string(got) != "abc" {
		t.Errorf("the file is %q", got)
	}

	// A guess that comes before the answer counts for the file that it hits, also
	// where nothing is refused.
	r = newRig(t, sallyport.FileRules{})
	h = r.openFile("first", create)
	r.send(wire.SFTPRequest{Type: wire.SFTPClose, ID: 1, Handle: h}, nil)
	r.send(wire.SFTPRequest{Type: wire.SFTPOpen, ID: 2, Path: "second", Flags: create}, nil)
	r.send(wire.SFTPRequest{Type: wire.SFTPWrite, ID: 3, Handle: h}, []byte("guessed"))
	r.send(wire.SFTPRequest{Type: wire.SFTPClose, ID: 4, Handle: h}, nil)
	for range 4 {
		r.recv()
	}
	r.want("upload first complete", "upload second complete")
	if e := r.all()[1]; e.SHA256 != sum([]byte("guessed")) {
		t.Errorf("%+v", e)
	}
}

// Attack: more than a file may have: by an offset, in steps, at the end of
// another, by cutting it longer, by a copy; and reading what is larger.
func TestAttackSize(t *testing.T) {
	r := newRig(t, sallyport.FileRules{MaxSize: 10})
	r.put("large", strings.Repeat("x", 20))
	r.put("nine", "123456789")
	h := r.openFile("f", create)
	if a := r.write(h, 0, "12345"); a.Code != wire.FxOK {
		t.Errorf("%+v", a)
	}
	r.denied(r.write(h, 6, "12345"))
	r.denied(r.write(h, 1<<40, "1"))
	if a := r.write(h, ^uint64(0), "12"); a.Code == wire.FxOK || !strings.HasPrefix(a.Message, "sallyport: ") {
		t.Errorf("%+v", a)
	}
	size := wire.FileAttrs{Flags: wire.AttrSize, Size: 11}
	r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPFsetstat, Handle: h, Attrs: size}))
	r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPSetstat, Path: "f", Attrs: size}))
	large := r.openFile("nine", wire.OpenRead)
	copyData := wire.SFTPRequest{Type: wire.SFTPExtended, Extension: wire.ExtCopyData, Handle: large, ToHandle: h, ToOffset: 2}
	r.denied(r.ask(copyData)) // up to the end: 9 bytes
	copyData.Length = 9
	r.denied(r.ask(copyData))
	copyData.Length = 8
	if a := r.ask(copyData); a.Code != wire.FxOK {
		t.Errorf("%+v", a)
	}
	g := r.openFile("nine", wire.OpenWrite|wire.OpenAppend)
	if a := r.write(g, 0, "0"); a.Code != wire.FxOK {
		t.Errorf("%+v", a)
	}
	r.denied(r.write(g, 0, "1"))
	// Two handles that append to one file.
	g1, g2 := r.openFile("both", wire.OpenWrite|wire.OpenAppend|wire.OpenCreate), r.openFile("both", create|wire.OpenAppend)
	r.write(g1, 0, "12345")
	r.write(g2, 0, "12345")
	r.denied(r.write(g1, 0, "1"))
	r.denied(r.write(g2, 0, "1"))
	d := r.openFile("large", wire.OpenRead)
	r.denied(r.read(d, 0, 20))
	if a := r.read(d, 0, 10); a.Type != wire.SFTPData || a.Length != 10 {
		t.Errorf("%+v", a)
	}
	r.denied(r.read(d, 10, 1))
	for _, h := range []string{h, large, g, d} {
		r.closeFile(h)
	}
	for name, want := range map[string]int64{"f": 10, "nine": 10, "large": 20, "both": 10} {
		if fi, err := os.Stat(filepath.Join(r.dir, name)); err != nil || fi.Size() != want {
			t.Errorf("%s: %v, %v", name, fi.Size(), err)
		}
	}
	r.want("setattr f refused", "setattr f refused", "copy nine > f refused", "copy nine > f refused", "copy nine > f complete",
		"upload f refused", "download nine complete", "upload nine refused", "download large refused")
}

// Attack: confuse the parser, so that the rest passes unread: nothing of it
// passes, and the channel ends.
func TestAttackConfusion(t *testing.T) {
	packet := func(typ byte, rest ...byte) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(1+len(rest))), append([]byte{typ}, rest...)...)
	}
	open := openFor("f", create)
	trailing := append(open.Append(nil), 0)
	binary.BigEndian.PutUint32(trailing, uint32(len(trailing)-4))
	for name, b := range map[string][]byte{
		"no length":       {0, 0, 0, 0},
		"too long":        {0x7f, 0xff, 0xff, 0xff, wire.SFTPOpen},
		"short":           packet(wire.SFTPOpen, 0, 0, 0, 1),
		"begins again":    wire.SFTPRequest{Type: wire.SFTPInit, ID: 3}.Append(nil),
		"trailing":        trailing,
		"NUL":             openFor("f\x00g", create).Append(nil),
		"an answer":       nil,
		"write too short": packet(wire.SFTPWrite, 0, 0, 0, 1, 0, 0, 0, 9),
	} {
		if name == "an answer" {
			b = packet(wire.SFTPStatus, 0, 0, 0, 1) // refused as unknown, not as confusing
		}
		r := newRig(t, sallyport.FileRules{Direction: sallyport.FilesDownload})
		err := r.s.FromClient(append(b, openFor("evil", create).Append(nil)...))
		var confused *ConfusedError
		if name != "an answer" && !errors.As(err, &confused) {
			t.Errorf("%s: %v", name, err)
		}
		if err := r.s.FromClient(openFor("evil", create).Append(nil)); name != "an answer" && err == nil {
			t.Errorf("%s: something passed later", name)
		}
		r.kill()
		<-r.done
		if left, _ := os.ReadDir(r.dir); len(left) > 0 {
			t.Errorf("%s: the target has %v", name, left)
		}
	}

	// Where nothing is refused it passes unread, both ways, and is told.
	r := newRig(t, sallyport.FileRules{})
	h := r.openFile("f", create)
	r.write(h, 0, "abc")
	if err := r.s.FromClient(wire.SFTPRequest{Type: wire.SFTPInit, ID: 3}.Append(nil)); err != nil {
		t.Fatal(err)
	}
	r.id = 99
	if a := r.recv(); a.Type != wire.SFTPVersion {
		t.Errorf("%+v", a)
	}
	if a := r.ask(wire.SFTPRequest{Type: wire.SFTPClose, Handle: h}); a.Code != wire.FxOK {
		t.Errorf("%+v", a)
	}
	r.want("upload f broken")
	if len(r.confused) != 1 || r.confused[0] != "the client begins twice" {
		t.Errorf("told %q", r.confused)
	}
	// A role can end such a channel all the same.
	r = newRig(t, sallyport.FileRules{EndOnConfusion: true})
	if err := r.s.FromClient([]byte("rubbish")); err == nil {
		t.Error("rubbish passes")
	}
}

// Attack: take the id with which the gateway asks the target, to get its answer
// or to give one.
func TestAttackOwnID(t *testing.T) {
	r := newRig(t, secret())
	r.put("secret/key", "the key")
	// Requests with that id are under way when the gateway asks.
	for range 100 {
		r.send(wire.SFTPRequest{Type: wire.SFTPRealpath, ID: 0xffffffff, Path: "pub"}, nil)
		r.send(wire.SFTPRequest{Type: wire.SFTPOpen, ID: 0xfffffffe, Path: "secret/key", Flags: wire.OpenRead}, nil)
	}
	names, refused := 0, 0
	for range 200 {
		switch a := r.recv(); {
		case a.Type == wire.SFTPName && a.ID == 0xffffffff && strings.HasSuffix(a.Name, "/pub"):
			names++
		case a.ID == 0xfffffffe && a.Code == wire.FxPermissionDenied:
			refused++
		default:
			t.Fatalf("%+v", a)
		}
	}
	if names != 100 || refused != 100 {
		t.Errorf("%d names, %d refused", names, refused)
	}
	r.safe()
}

// Attack: requests that the gateway does not know, or knows under another name.
func TestAttackUnknown(t *testing.T) {
	r := newRig(t, secret())
	r.put("secret/key", "the key")
	for _, q := range []wire.SFTPRequest{
		{Type: 21, Rest: []byte("\x00\x00\x00\x0asecret/key\x00\x00\x00\x01x\x00")}, // LINK of version 6
		{Type: wire.SFTPExtended, Extension: "hardlink@openssh.org", Rest: []byte("\x00\x00\x00\x0asecret/key\x00\x00\x00\x01x")},
		{Type: wire.SFTPExtended, Extension: "check-file-name", Rest: []byte("\x00\x00\x00\x0asecret/key")},
	} {
		if a := r.ask(q); a.Code != wire.FxOpUnsupported || !strings.HasPrefix(a.Message, "sallyport: ") {
			t.Errorf("%+v", a)
		}
	}
	r.safe()
}

// Attack: a target that answers what was not asked, or something else, or more
// than one packet holds.
func TestAttackOfTheTarget(t *testing.T) {
	version := []byte{0, 0, 0, 5, wire.SFTPVersion, 0, 0, 0, 3}
	begin := wire.SFTPRequest{Type: wire.SFTPInit, ID: 3}.Append(nil)
	read := wire.SFTPRequest{Type: wire.SFTPStat, ID: 1, Path: "f"}.Append(nil)
	for name, b := range map[string][]byte{
		"no version":      wire.AppendSFTPStatus(nil, 1, 0, ""),
		"version 6":       {0, 0, 0, 5, wire.SFTPVersion, 0, 0, 0, 6},
		"not asked":       append(bytes.Clone(version), wire.AppendSFTPStatus(nil, 2, 0, "")...),
		"answered twice":  append(bytes.Clone(version), append(wire.AppendSFTPStatus(nil, 1, 0, ""), wire.AppendSFTPStatus(nil, 1, 0, "")...)...),
		"another kind":    append(bytes.Clone(version), 0, 0, 0, 9, wire.SFTPData, 0, 0, 0, 1, 0, 0, 0, 0),
		"no packet":       []byte("This account is not available.\n"),
		"says it twice":   append(bytes.Clone(version), version...),
		"an endless name": append(bytes.Clone(version), 0xff, 0, 0, 0, wire.SFTPName),
	} {
		for _, strict := range []bool{true, false} {
			j := &journal{}
			cfg := j.config(t, sallyport.FileRules{EndOnConfusion: strict})
			var in, out bytes.Buffer
			cfg.Target, cfg.Client = &in, &out
			s := NewSFTP(cfg)
			if err := s.FromClient(append(bytes.Clone(begin), read...)); err != nil {
				t.Fatal(err)
			}
			err := s.FromTarget(b)
			if strict != (err != nil) || len(j.confused) != 1 {
				t.Errorf("%s: %v, told %q", name, err, j.confused)
			}
			if !strict && !bytes.Equal(out.Bytes(), b) {
				t.Errorf("%s: the client got %x", name, out.Bytes())
			}
			s.Close()
		}
	}
}

// Attack: open files without end, and ask without reading an answer.
func TestAttackWithoutEnd(t *testing.T) {
	j := &journal{}
	cfg := j.config(t, sallyport.FileRules{})
	in, out := newBuffer(), newBuffer()
	cfg.Target, cfg.Client = in, out
	s := NewSFTP(cfg)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.FromClient(wire.SFTPRequest{Type: wire.SFTPInit, ID: 3}.Append(nil)))
	must(s.FromTarget([]byte{0, 0, 0, 5, wire.SFTPVersion, 0, 0, 0, 3}))
	for i := range maxHandles {
		q := openFor("f", create)
		q.ID = uint32(i)
		must(s.FromClient(q.Append(nil)))
		must(s.FromTarget([]byte{0, 0, 0, 11, wire.SFTPHandle, 0, 0, byte(i >> 8), byte(i), 0, 0, 0, 2, byte(i >> 8), byte(i)}))
	}
	out.b = nil
	must(s.FromClient(openFor("one more", create).Append(nil)))
	if a, err := wire.ParseSFTPAnswer(out.b); err != nil || a.Code != wire.FxFailure || !strings.HasPrefix(a.Message, "sallyport: 1024 files") {
		t.Errorf("%+v, %v", a, err)
	}
	s.Close()
	if n := len(j.all()); n != maxHandles+1 {
		t.Errorf("%d events", n)
	}

	asked := make(chan error)
	s = NewSFTP(cfg)
	must(s.FromClient(wire.SFTPRequest{Type: wire.SFTPInit, ID: 3}.Append(nil)))
	go func() {
		for i := range maxPending + 1 {
			if err := s.FromClient(wire.SFTPRequest{Type: wire.SFTPStat, ID: uint32(i), Path: "f"}.Append(nil)); err != nil {
				asked <- err
				return
			}
		}
		asked <- nil
	}()
	eventually(t, "it does not wait", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.waiting == maxPending
	})
	must(s.FromTarget([]byte{0, 0, 0, 5, wire.SFTPVersion, 0, 0, 0, 3}))
	must(s.FromTarget(wire.AppendSFTPStatus(nil, 0, wire.FxNoSuchFile, "")))
	if err := <-asked; err != nil {
		t.Error(err)
	}
	s.Close()
}
