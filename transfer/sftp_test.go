package transfer

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"sallyport"
	"sallyport/internal/wire"
)

const create = wire.OpenWrite | wire.OpenCreate | wire.OpenTrunc

func TestUploadAndDownload(t *testing.T) {
	r := newRig(t, sallyport.FileRules{})
	h := r.openFile("a b", create)
	r.write(h, 6, "world")
	r.write(h, 0, "hello ")
	r.closeFile(h)
	h = r.openFile("a b", wire.OpenRead)
	r.read(h, 0, 100)
	r.read(h, 3, 4)
	r.read(h, 11, 100)
	r.closeFile(h)
	for i, e := range r.all() {
		want := sallyport.FileEvent{
			Time: e.Time, EndedAt: e.EndedAt, Op: []sallyport.FileOp{sallyport.OpUpload, sallyport.OpDownload}[i],
			Path: "a b", Bytes: 11, Size: 11, SHA256: sum([]byte("hello world")), Outcome: sallyport.FileComplete,
		}
		if e != want || e.EndedAt.Before(e.Time) {
			t.Errorf("%+v", e)
		}
	}
	if len(r.all()) != 2 {
		t.Errorf("%d events", len(r.all()))
	}
}

// What happened to each file, and what of it is known.
func TestFiles(t *testing.T) {
	abc := sum([]byte("abc"))
	for name, tt := range map[string]struct {
		do   func(r *rig)
		want []sallyport.FileEvent // Op, Bytes, Size, SHA256, NoSum, Detail, Outcome
	}{
		"empty": {func(r *rig) { r.closeFile(r.openFile("f", create)) }, []sallyport.FileEvent{
			{Op: "upload", SHA256: sum(nil), Outcome: "complete"},
		}},
		"empty, read": {func(r *rig) {
			r.put("f", "")
			h := r.openFile("f", wire.OpenRead)
			r.read(h, 0, 10)
			r.closeFile(h)
		}, []sallyport.FileEvent{{Op: "download", SHA256: sum(nil), Outcome: "complete"}}},
		"opened only": {func(r *rig) {
			r.put("f", "abc")
			r.closeFile(r.openFile("f", wire.OpenRead))
		}, []sallyport.FileEvent{{Op: "download", NoSum: "nothing was read", Outcome: "complete"}}},
		"not there": {func(r *rig) {
			if a := r.ask(wire.SFTPRequest{Type: wire.SFTPOpen, Path: "f", Flags: wire.OpenRead}); a.Code != wire.FxNoSuchFile {
				r.t.Errorf("%+v", a)
			}
		}, []sallyport.FileEvent{{Op: "download", Outcome: "failed", Reason: "No such file"}}},
		"not truncated": {func(r *rig) {
			r.put("f", "012345")
			h := r.openFile("f", wire.OpenWrite)
			r.write(h, 0, "abc")
			r.closeFile(h)
		}, []sallyport.FileEvent{{
			Op: "upload", Bytes: 3, Size: 3, SHA256: abc, Outcome: "complete",
			Detail: "not truncated: an older file may go on behind it",
		}}},
		"truncated at the end, as scp does": {func(r *rig) {
			r.put("f", "012345")
			h := r.openFile("f", wire.OpenWrite|wire.OpenCreate)
			r.write(h, 0, "abc")
			r.ask(wire.SFTPRequest{Type: wire.SFTPFsetstat, Handle: h, Attrs: wire.FileAttrs{Flags: wire.AttrSize, Size: 3}})
			r.closeFile(h)
		}, []sallyport.FileEvent{
			{Op: "setattr", Detail: "size=3", Outcome: "complete"},
			{Op: "upload", Bytes: 3, Size: 3, SHA256: abc, Outcome: "complete"},
		}},
		"cut": {func(r *rig) {
			h := r.openFile("f", create)
			r.write(h, 0, "abcdef")
			r.ask(wire.SFTPRequest{Type: wire.SFTPFsetstat, Handle: h, Attrs: wire.FileAttrs{Flags: wire.AttrSize, Size: 3}})
			r.closeFile(h)
		}, []sallyport.FileEvent{
			{Op: "setattr", Detail: "size=3", Outcome: "complete"},
			{Op: "upload", Bytes: 6, Size: 3, SHA256: abc, Outcome: "complete"},
		}},
		"resumed": {func(r *rig) {
			r.put("f", "ab")
			h := r.openFile("f", wire.OpenWrite)
			r.write(h, 2, "c")
			r.closeFile(h)
		}, []sallyport.FileEvent{{
			Op: "upload", Bytes: 1, Size: 3, NoSum: "bytes 0 to 2 did not move", Outcome: "complete",
			Detail: "not truncated: an older file may go on behind it",
		}}},
		"appended": {func(r *rig) {
			r.put("f", "ab")
			h := r.openFile("f", wire.OpenWrite|wire.OpenAppend)
			r.write(h, 0, "c")
			r.closeFile(h)
		}, []sallyport.FileEvent{{
			Op: "upload", Bytes: 1, Size: 1, NoSum: "appended to a file whose beginning did not move", Outcome: "complete",
			Detail: "not truncated: an older file may go on behind it",
		}}},
		"appended to nothing": {func(r *rig) {
			h := r.openFile("f", create|wire.OpenAppend)
			r.write(h, 99, "ab")
			r.write(h, 0, "c")
			r.closeFile(h)
		}, []sallyport.FileEvent{{Op: "upload", Bytes: 3, Size: 3, SHA256: abc, Outcome: "complete"}}},
		"read and written": {func(r *rig) {
			h := r.openFile("f", create|wire.OpenRead)
			r.write(h, 0, "xbc")
			r.write(h, 0, "a")
			r.read(h, 0, 3)
			r.closeFile(h)
		}, []sallyport.FileEvent{
			{Op: "upload", Bytes: 4, Size: 3, SHA256: abc, Outcome: "complete"},
			{Op: "download", Bytes: 3, Size: 3, SHA256: abc, Outcome: "complete"},
		}},
		"open twice": {func(r *rig) {
			h, g := r.openFile("f", create), r.openFile("f", wire.OpenRead)
			r.write(h, 0, "abc")
			r.read(g, 0, 10)
			r.closeFile(h)
			r.closeFile(g)
		}, []sallyport.FileEvent{
			{Op: "upload", Bytes: 3, Size: 3, SHA256: abc, Outcome: "complete"},
			{Op: "download", Bytes: 3, Size: 3, SHA256: abc, Outcome: "complete"},
		}},
		"copied at the target": {func(r *rig) {
			r.put("f", "abc")
			h, g := r.openFile("f", wire.OpenRead), r.openFile("g", create)
			r.ask(wire.SFTPRequest{Type: wire.SFTPExtended, Extension: wire.ExtCopyData, Handle: h, ToHandle: g})
			r.closeFile(g)
		}, []sallyport.FileEvent{
			{Op: "copy", To: "g", Outcome: "complete"},
			{Op: "upload", NoSum: "content was copied at the target", Outcome: "complete"},
		}},
		"written without leave": {func(r *rig) {
			r.put("f", "abc")
			h := r.openFile("f", wire.OpenRead)
			if a := r.write(h, 0, "xyz"); a.Code == wire.FxOK {
				r.t.Error("the target took it")
			}
			r.read(h, 0, 10)
			r.closeFile(h)
		}, []sallyport.FileEvent{{
			Op: "download", Bytes: 3, Size: 3, SHA256: abc, Outcome: "failed", Reason: "writing failed: No such file",
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sallyport.FileRules{})
			tt.do(r)
			got := r.all()
			if len(got) != len(tt.want) {
				t.Fatalf("events %q", r.lines())
			}
			for i, e := range got {
				w := tt.want[i]
				w.Time, w.EndedAt, w.Path = e.Time, e.EndedAt, e.Path
				if e != w {
					t.Errorf("event %+v\nwant  %+v", e, w)
				}
			}
		})
	}
}

func TestOperations(t *testing.T) {
	r := newRig(t, sallyport.FileRules{})
	r.put("f", "abc")
	ext := func(name, from, to string) wire.SFTPRequest {
		return wire.SFTPRequest{Type: wire.SFTPExtended, Extension: name, Path: from, To: to}
	}
	mode := wire.FileAttrs{Flags: wire.AttrPermissions | wire.AttrTimes, Permissions: 0o100600, Atime: 1, Mtime: 2}
	for _, q := range []wire.SFTPRequest{
		{Type: wire.SFTPMkdir, Path: "d"},
		{Type: wire.SFTPRename, Path: "f", To: "d/g"},
		ext(wire.ExtPosixRename, "d/g", "f"),
		{Type: wire.SFTPSymlink, Path: "f", To: "l"},
		ext(wire.ExtHardlink, "f", "h"),
		{Type: wire.SFTPSetstat, Path: "f", Attrs: mode},
		{Type: wire.SFTPExtended, Extension: wire.ExtLsetstat, Path: "l", Attrs: wire.FileAttrs{Flags: wire.AttrTimes}},
		{Type: wire.SFTPRemove, Path: "l"},
		{Type: wire.SFTPRmdir, Path: "d"},
		{Type: wire.SFTPRmdir, Path: "\xffd"},
		ext(wire.ExtStatvfs, ".", ""),
		ext(wire.ExtLimits, "", ""),
		ext(wire.ExtExpandPath, "~", ""),
		ext("nothing@example.com", "", ""),
	} {
		if q.Extension == "nothing@example.com" {
			q.Path = ""
		}
		r.ask(q)
	}
	r.want("mkdir d complete", "rename f > d/g complete", "rename d/g > f complete", "symlink f > l complete",
		"hardlink f > h complete", "setattr f complete", "setattr l complete", "remove l complete", "rmdir d complete",
		"rmdir \uFFFDd failed")
	all := r.all()
	if got := all[5].Detail; got != "mode=0600 atime=1 mtime=2" {
		t.Errorf("detail %q", got)
	}
	if last := all[len(all)-1]; last.PathHex != "ff64" || last.Reason != "No such file" {
		t.Errorf("%+v", last)
	}
}

// Handles are given out again at once, many are open, and the target answers
// nothing that was asked twice in vain.
func TestHandles(t *testing.T) {
	r := newRig(t, sallyport.FileRules{})
	for i := range 300 {
		h := r.openFile(fmt.Sprintf("f%d", i), create)
		r.write(h, 0, fmt.Sprint(i))
		r.closeFile(h)
	}
	for i, e := range r.all() {
		if e.Path != fmt.Sprintf("f%d", i) || e.SHA256 != sum(fmt.Append(nil, i)) {
			t.Errorf("%d: %+v", i, e)
		}
	}
	// All at once, without waiting for an answer, two with each id.
	r.id = 1000
	for i := range 200 {
		r.send(wire.SFTPRequest{Type: wire.SFTPOpen, ID: uint32(i / 2), Path: fmt.Sprintf("f%d", i), Flags: wire.OpenRead}, nil)
	}
	handles := map[uint32][]string{}
	for range 200 {
		a := r.recv()
		handles[a.ID] = append(handles[a.ID], a.Handle)
	}
	before := len(r.all())
	for i := range 200 {
		h := handles[uint32(i/2)][i%2]
		r.read(h, 0, 100)
		r.closeFile(h)
	}
	for i, e := range r.all()[before:] {
		if e.Path != fmt.Sprintf("f%d", i) || e.SHA256 != sum(fmt.Append(nil, i)) {
			t.Errorf("%d: %+v", i, e)
		}
	}
}

// A channel that ends leaves broken files, and nothing that waits.
func TestTheEnd(t *testing.T) {
	r := newRig(t, sallyport.FileRules{Deny: []string{"/nowhere"}})
	h := r.openFile("f", create)
	r.write(h, 0, "abc")
	r.s.Close()
	r.s.Close()
	r.want("upload f broken")
	if e := r.all()[0]; e.Bytes != 3 || e.SHA256 != sum([]byte("abc")) || e.Reason != "the channel ended before it was closed" {
		t.Errorf("%+v", e)
	}
	if err := r.s.FromClient(wire.SFTPRequest{Type: wire.SFTPRemove, Path: "f"}.Append(nil)); err == nil {
		t.Error("something passed")
	}
	// The target goes while the gateway waits for its answer.
	r = newRig(t, sallyport.FileRules{Deny: []string{"/nowhere"}})
	r.kill()
	<-r.done
	if err := r.s.FromClient(wire.SFTPRequest{Type: wire.SFTPRemove, Path: "f"}.Append(nil)); err == nil {
		t.Error("something passed")
	}
}

func TestKeptFiles(t *testing.T) {
	r := newRig(t, sallyport.FileRules{Keep: 10})
	for _, text := range []string{"abc", strings.Repeat("x", 11)} {
		h := r.openFile("f", create)
		r.write(h, 0, text)
		r.closeFile(h)
	}
	h := r.openFile("f", wire.OpenRead)
	r.read(h, 0, 5)
	r.closeFile(h)
	all := r.all()
	if all[0].Kept == "" || all[1].Kept != "" || all[2].Kept == "" {
		t.Errorf("kept %q, %q, %q", all[0].Kept, all[1].Kept, all[2].Kept)
	}
}

// Rules that restrict nothing of what is asked change nothing.
func TestTheRulesAllow(t *testing.T) {
	r := newRig(t, sallyport.FileRules{Direction: sallyport.FilesDownload, Allow: []string{"HOME/pub/**"}})
	r.put("pub/f", "abc")
	h := r.openFile("pub/f", wire.OpenRead)
	if a := r.read(h, 0, 10); a.Type != wire.SFTPData {
		t.Errorf("%+v", a)
	}
	r.closeFile(h)
	for _, q := range []wire.SFTPRequest{
		{Type: wire.SFTPStat, Path: "/etc"},
		{Type: wire.SFTPLstat, Path: "/etc"},
		{Type: wire.SFTPRealpath, Path: "."},
		{Type: wire.SFTPOpendir, Path: "/etc"},
	} {
		if a := r.ask(q); a.Type == wire.SFTPStatus {
			t.Errorf("%+v: %+v", q, a)
		}
	}
	r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPOpen, Path: "pub/f", Flags: create}))
	r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPMkdir, Path: "pub/d"}))
	if a := r.ask(wire.SFTPRequest{Type: wire.SFTPOpen, Path: "pub/none", Flags: wire.OpenRead}); a.Code != wire.FxNoSuchFile || strings.HasPrefix(a.Message, "sallyport") {
		t.Errorf("%+v", a)
	}
	if a := r.ask(wire.SFTPRequest{Type: wire.SFTPOpen, Path: "pub/no/ne", Flags: wire.OpenRead}); a.Code != wire.FxNoSuchFile {
		t.Errorf("%+v", a)
	}
	r.want("download pub/f complete", "upload pub/f refused", "mkdir pub/d refused", "download pub/none failed", "download pub/no/ne refused")
	r = newRig(t, sallyport.FileRules{Direction: sallyport.FilesUpload})
	r.closeFile(r.openFile("f", create))
	r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPOpen, Path: "f", Flags: wire.OpenRead}))
	r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPOpen, Path: "f"})) // no flag reads too
	r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPOpen, Path: "f", Flags: wire.OpenRead | wire.OpenWrite}))
	r = newRig(t, sallyport.FileRules{Direction: sallyport.FilesNone})
	r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPOpen, Path: "f", Flags: wire.OpenRead}))
	r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPOpen, Path: "f", Flags: create}))
	if a := r.ask(wire.SFTPRequest{Type: wire.SFTPOpendir, Path: "."}); a.Type != wire.SFTPHandle {
		t.Errorf("%+v", a)
	}
	if left, _ := os.ReadDir(r.dir); len(left) > 0 {
		t.Errorf("the target has %v", left)
	}
}
