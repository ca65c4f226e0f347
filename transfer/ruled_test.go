package transfer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport"
	"sallyport/internal/wire"
)

// guarded is a role whose command rules forbid to remove anything and to write
// what is in HOME/.ssh.
func guarded(t *testing.T, heard *[]string) func(*Config) {
	return func(c *Config) {
		c.Judges = func(op string) bool { return op == "write" || op == "remove" || op == "link" }
		c.Judge = func(home, op string, paths ...string) error {
			if !filepath.IsAbs(home) {
				t.Errorf("home is %q", home)
			}
			*heard = append(*heard, op)
			for _, p := range paths {
				if op == "remove" || op == "write" && (sallyport.MatchPath(home+"/.ssh/*", p) || p == home+"/.ssh/") {
					return errors.New("it is a rule")
				}
			}
			return nil
		}
	}
}

// Attack: install a key without writing it by its name: through links, by a
// rename of the file or of a directory with the file in it, by a hard link to
// the file, by cutting it.
func TestAttackFileRules(t *testing.T) {
	var heard []string
	r := newRig(t, sallyport.FileRules{}, guarded(t, &heard))
	r.put(".ssh/authorized_keys", "keys")
	r.put("x/authorized_keys", "mine")
	r.put("f", "mine")
	r.link(".ssh", "dir")
	r.link(".ssh/authorized_keys", "link")
	const create = wire.OpenWrite | wire.OpenCreate | wire.OpenTrunc
	for _, p := range []string{".ssh/authorized_keys", ".ssh/new", "dir/authorized_keys", "link", "./x/../.ssh//new", r.dir + "/.ssh/new"} {
		r.denied(r.ask(openFor(p, create)))
		r.denied(r.ask(openFor(p, wire.OpenRead|wire.OpenAppend)))
		r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPSetstat, Path: p, Attrs: wire.FileAttrs{Flags: wire.AttrSize}}))
		r.denied(r.ask(ext(wire.ExtHardlink, p, "y")))
		if p == "link" {
			continue // what follows would replace the link
		}
		r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPRename, Path: "f", To: p}))
		r.denied(r.ask(ext(wire.ExtPosixRename, "f", p)))
		r.denied(r.ask(ext(wire.ExtHardlink, "f", p)))
		r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPSymlink, Path: "f", To: p}))
	}
	r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPRemove, Path: "f"}))
	r.ask(wire.SFTPRequest{Type: wire.SFTPRename, Path: ".ssh", To: "old"})
	r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPRename, Path: "x", To: ".ssh"}))
	r.denied(r.ask(ext(wire.ExtPosixRename, "x", ".ssh")))
	r.denied(r.ask(wire.SFTPRequest{Type: wire.SFTPRename, Path: "old", To: ".ssh"})) // one does not know what is in it now
	if a := r.ask(wire.SFTPRequest{Type: wire.SFTPExtended, Extension: "evil@example.org"}); a.Code != wire.FxOpUnsupported {
		t.Errorf("an unknown request passes: %+v", a)
	}
	if _, err := os.Stat(filepath.Join(r.dir, ".ssh/new")); err == nil {
		t.Error("the key is there")
	}

	h := r.openFile("g", create) // what no rule forbids goes on
	r.write(h, 0, "fine")
	r.closeFile(h)
	if a := r.ask(wire.SFTPRequest{Type: wire.SFTPRename, Path: "g", To: "h"}); a.Code != wire.FxOK {
		t.Errorf("a rename is refused: %+v", a)
	}
	if a := r.ask(wire.SFTPRequest{Type: wire.SFTPOpen, Path: "old/authorized_keys", Flags: wire.OpenRead}); a.Type != wire.SFTPHandle {
		t.Errorf("reading is refused: %+v", a)
	}
	if strings.Contains(strings.Join(heard, " "), "rename") {
		t.Error("it is asked about what it has nothing to say of")
	}
	lines := strings.Join(r.lines(), "\n")
	for _, want := range []string{"upload .ssh/new refused", "rename f > .ssh/new refused", "remove f refused", "hardlink f > .ssh/new refused"} {
		if !strings.Contains(lines, want) {
			t.Errorf("not reported: %s", want)
		}
	}
}
