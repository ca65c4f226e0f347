package conformance

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long one command may take before it counts as hung.
const patience = 2 * time.Minute

// seat is one run of one client on one way. What it notes must be the same on
// every way.
type seat struct {
	*testing.T
	*way
	here  string // a directory of the client's
	there string // a directory of the account's, at the target
	notes strings.Builder
	env   []string
}

func sit(t *testing.T, w *way) *seat {
	t.Helper()
	s := &seat{T: t, way: w}
	base, err := os.MkdirTemp(here.root, "s")
	s.must(err)
	s.must(os.Chmod(base, 0o711))
	s.here, s.there = filepath.Join(base, "h"), filepath.Join(base, "t")
	s.must(os.Mkdir(s.here, 0o755))
	s.must(os.Mkdir(s.there, 0o755))
	s.must(os.Chown(s.there, here.uid, here.gid))
	t.Cleanup(func() { os.RemoveAll(base) }) // not left for the end: they are large
	s.env = []string{
		"HOME=" + s.here, "PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LANG=C.UTF-8", "TERM=xterm", "USER=root", "LOGNAME=root",
		"SSH_CONFIG=" + w.config, "DEST=" + w.dest, "THERE=" + s.there, "BIG=" + here.big,
	}
	return s
}

func (s *seat) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// seen is what a command showed.
type seen struct {
	stdout, stderr []byte
	status         int
}

// command prepares a command of the client's.
func (s *seat) command(argv ...string) (*exec.Cmd, context.CancelFunc) {
	return s.slow(patience, argv...)
}

func (s *seat) slow(patience time.Duration, argv ...string) (*exec.Cmd, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = s.here, s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		s.Errorf("%q hung", argv)
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	cmd.WaitDelay = 5 * time.Second
	return cmd, cancel
}

// run runs a command with an input, nil for none.
func (s *seat) run(stdin io.Reader, argv ...string) seen {
	s.Helper()
	cmd, cancel := s.command(argv...)
	defer cancel()
	// Into files: the race detector takes its time over buffers that grow.
	stdout, stderr := s.scratch(), s.scratch()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	status, err := exitStatus(cmd.Run())
	got := seen{s.contents(stdout), s.contents(stderr), status}
	if err != nil {
		s.Fatalf("%q: %v\n%q\n%q", argv, err, tail(got.stdout), tail(got.stderr))
	}
	return got
}

// scratch opens a file that has no name.
func (s *seat) scratch() *os.File {
	s.Helper()
	f, err := os.CreateTemp(s.here, ".out")
	s.must(err)
	s.must(os.Remove(f.Name()))
	return f
}

// contents reads and closes a scratch file.
func (s *seat) contents(f *os.File) []byte {
	s.Helper()
	defer f.Close()
	info, err := f.Stat()
	s.must(err)
	b := make([]byte, info.Size())
	_, err = f.ReadAt(b, 0)
	if len(b) > 0 {
		s.must(err)
	}
	return b
}

// ssh runs the real ssh with options and a command.
func (s *seat) ssh(stdin io.Reader, args ...string) seen {
	s.Helper()
	return s.run(stdin, s.sshArgs(args...)...)
}

// sshArgs puts the destination between the options and the command. Options
// come first, each as one word; -o takes none apart.
func (s *seat) sshArgs(args ...string) []string {
	argv := []string{"ssh", "-F", s.config}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		argv, args = append(argv, args[0]), args[1:]
	}
	return append(append(argv, s.dest), args...)
}

// sees notes what a command showed and how it exited.
func (s *seat) sees(what string, got seen) seen {
	s.Helper()
	s.note("%s: exit %d\n  stdout %s\n  stderr %s", what, got.status, s.digest(got.stdout), s.digest(got.stderr))
	return got
}

// wants is sees for a command that has one right outcome.
func (s *seat) wants(what string, got seen, status int, stdout string) {
	s.Helper()
	s.sees(what, got)
	if got.status != status || string(got.stdout) != stdout {
		s.Errorf("%s: exit %d, want %d\nstdout %s, want %s\nstderr %s", what, got.status, status, s.digest(got.stdout),
			s.digest([]byte(stdout)), tail(got.stderr))
	}
}

// works runs a command that has to succeed, and notes what it showed.
func (s *seat) works(what string, argv ...string) seen {
	s.Helper()
	got := s.sees(what, s.run(nil, argv...))
	if got.status != 0 {
		s.Errorf("%s: exit %d\n%s\n%s", what, got.status, tail(got.stdout), tail(got.stderr))
	}
	return got
}

func (s *seat) note(format string, args ...any) {
	s.notes.WriteString(s.scrub(fmt.Sprintf(format, args...)))
	s.notes.WriteByte('\n')
}

var closing = regexp.MustCompile(`(?i)connection to \S+ closed`)

// scrub takes out what may differ: the names of directories and of the way.
func (s *seat) scrub(text string) string {
	text = closing.ReplaceAllString(text, "connection to HOST closed")
	host := s.dest[strings.LastIndex(s.dest, "@")+1:]
	return strings.NewReplacer(s.here, "HERE", s.there, "THERE", s.dest, "DEST", s.user+"@"+s.host, "DEST", `\"`+s.user+`\"`, "USER", here.big, "FILE", here.mid, "FILE", here.low, "FILE", host+":", "HOST:").Replace(text)
}

// digest shows bytes, long ones by length and hash.
func (s *seat) digest(b []byte) string {
	if len(b) > 2000 && len(b) < 100_000 {
		b = []byte(s.scrub(string(b)))
	}
	if len(b) > 2000 {
		return fmt.Sprintf("%d bytes, sha256 %x", len(b), sha256.Sum256(b))
	}
	return fmt.Sprintf("%q", b)
}

func tail(b []byte) []byte { return b[max(0, len(b)-2000):] }

// tree notes every file below a directory: mode, size, digest.
func (s *seat) tree(what, dir string) {
	s.Helper()
	s.note("%s:", what)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		extra := ""
		switch {
		case d.Type().IsRegular():
			extra = fmt.Sprintf(" %d %s", info.Size(), s.sum(path))
		case d.Type()&fs.ModeSymlink != 0:
			if extra, err = os.Readlink(path); err != nil {
				return err
			}
			extra = " -> " + extra
		}
		s.note("  %s %s%s", info.Mode(), rel, extra)
		return nil
	})
	s.must(err)
}

func (s *seat) sum(path string) string {
	s.Helper()
	f, err := os.Open(path)
	s.must(err)
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	s.must(err)
	return fmt.Sprintf("%x", h.Sum(nil))
}

// few is a part of n, straight, where nothing is to be proven: it only says that
// the client and the target are up to it. So is the file small that big returns.
func (s *seat) few(n int) int {
	if s.way == here.ways[0] {
		return n / 10
	}
	return n
}

func (s *seat) big() string {
	if s.way == here.ways[0] {
		return here.mid
	}
	return here.big
}

// isBig checks that a file is the big one.
func (s *seat) isBig(path string) { s.Helper(); s.is(path, s.bigSum()) }
func (s *seat) isMid(path string) { s.Helper(); s.is(path, here.midSum) }
func (s *seat) isLow(path string) { s.Helper(); s.is(path, here.lowSum) }

func (s *seat) bigSum() string {
	if s.way == here.ways[0] {
		return here.midSum
	}
	return here.bigSum
}

func (s *seat) is(path, sum string) {
	s.Helper()
	if s.sum(path) != sum {
		s.Errorf("%s is not what was sent", s.scrub(path))
	}
}

func (s *seat) write(path, text string) string {
	s.Helper()
	s.must(os.WriteFile(path, []byte(text), 0o644))
	return path
}

func (s *seat) open(path string) *os.File {
	s.Helper()
	f, err := os.Open(path)
	s.must(err)
	s.Cleanup(func() { f.Close() })
	return f
}
