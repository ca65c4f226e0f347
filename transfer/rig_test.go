package transfer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport"
	"sallyport/internal/wire"
)

const server = "/usr/lib/openssh/sftp-server"

// scratch is a copy in a temporary directory.
type scratch struct {
	*os.File
	kept bool
}

func (s *scratch) Keep(size int64, _ string) (string, error) {
	s.kept = true
	return filepath.Base(s.Name()), errors.Join(s.Truncate(size), s.File.Close())
}

func (s *scratch) Close() error {
	if s.kept {
		return nil
	}
	return errors.Join(s.File.Close(), os.Remove(s.Name()))
}

// buffer is a pipe without bounds.
type buffer struct {
	mu   sync.Mutex
	cond sync.Cond
	b    []byte
	done bool
}

func newBuffer() *buffer {
	b := &buffer{}
	b.cond.L = &b.mu
	return b
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b = append(b.b, p...)
	b.cond.Broadcast()
	return len(p), nil
}

func (b *buffer) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.b) == 0 && !b.done {
		b.cond.Wait()
	}
	if len(b.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.b)
	b.b = b.b[n:]
	return n, nil
}

func (b *buffer) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
	b.cond.Broadcast()
	return nil
}

// journal collects what is reported.
type journal struct {
	mu       sync.Mutex
	events   []sallyport.FileEvent
	confused []string
}

func (j *journal) config(t testing.TB, rules sallyport.FileRules) Config {
	dir := t.TempDir()
	return Config{
		Rules: rules,
		Report: func(e sallyport.FileEvent) {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.events = append(j.events, e)
		},
		Confused: func(reason string) {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.confused = append(j.confused, reason)
		},
		Copy: func() (Copy, error) {
			f, err := os.CreateTemp(dir, "copy-")
			return &scratch{File: f}, err
		},
	}
}

func (j *journal) all() []sallyport.FileEvent {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]sallyport.FileEvent(nil), j.events...)
}

// lines are the events in short: "upload /a complete 5".
func (j *journal) lines() []string {
	var lines []string
	for _, e := range j.all() {
		s := string(e.Op) + " " + e.Path
		if e.To != "" {
			s += " > " + e.To
		}
		lines = append(lines, s+" "+e.Outcome)
	}
	return lines
}

// rig is a real sftp-server behind the parser, and a client's end of it.
type rig struct {
	*journal
	t    testing.TB
	s    *SFTP
	dir  string // the home at the target
	out  *buffer
	id   uint32
	done chan struct{} // closed when the target has ended
	kill func()

	mu    sync.Mutex
	turns []turn // what both sides have sent, in order
}

// turn is something that one side has sent.
type turn struct {
	client bool
	p      []byte
}

func (r *rig) said(client bool, p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turns = append(r.turns, turn{client, bytes.Clone(p)})
}

func newRig(t testing.TB, rules sallyport.FileRules, more ...func(*Config)) *rig {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := startRig(t, dir, rules, newBuffer(), more...)
	r.send(wire.SFTPRequest{Type: wire.SFTPInit, ID: 3}, nil)
	if a := r.recv(); a.Type != wire.SFTPVersion {
		t.Fatalf("no version: %+v", a)
	}
	return r
}

// startRig starts the server in dir; out is what the client is sent.
func startRig(t testing.TB, dir string, rules sallyport.FileRules, out *buffer, more ...func(*Config)) *rig {
	t.Helper()
	r := &rig{journal: &journal{}, t: t, dir: dir, out: out, done: make(chan struct{})}
	for i, p := range rules.Allow {
		rules.Allow[i] = strings.ReplaceAll(p, "HOME", dir)
	}
	for i, p := range rules.Deny {
		rules.Deny[i] = strings.ReplaceAll(p, "HOME", dir)
	}
	cmd := exec.Command(server)
	cmd.Dir = r.dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	from, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.kill = func() { in.Close() }
	cfg := r.config(t, rules)
	cfg.Target, cfg.Client = in, r.out
	for _, f := range more {
		f(&cfg)
	}
	r.s = NewSFTP(cfg)
	go func() {
		defer close(r.done)
		defer r.out.Close()
		buf := make([]byte, 40000)
		for {
			n, err := from.Read(buf)
			if n > 0 {
				r.said(false, buf[:n])
				if r.s.FromTarget(buf[:n]) != nil {
					break
				}
			}
			if err != nil {
				break
			}
		}
		_ = r.s.TargetDone()
		in.Close()
		_ = cmd.Wait()
	}()
	t.Cleanup(func() { in.Close(); <-r.done; r.s.Close() })
	return r
}

func (r *rig) send(q wire.SFTPRequest, payload []byte) {
	r.t.Helper()
	q.Length = max(q.Length, uint64(len(payload)))
	b := append(q.Append(nil), payload...)
	r.said(true, b)
	if err := r.s.FromClient(b); err != nil {
		r.t.Fatalf("%+v: %v", q, err)
	}
}

// packet reads the next whole packet that the client is sent.
func (r *rig) packet() []byte {
	r.t.Helper()
	head := make([]byte, 4)
	if _, err := io.ReadFull(r.out, head); err != nil {
		r.t.Fatalf("the client is sent nothing more: %v", err)
	}
	b := append(head, make([]byte, int(head[0])<<24|int(head[1])<<16|int(head[2])<<8|int(head[3]))...)
	if _, err := io.ReadFull(r.out, b[4:]); err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *rig) recv() wire.SFTPAnswer {
	r.t.Helper()
	b := r.packet()
	if b[4] == wire.SFTPData {
		b = b[:13]
	}
	a, err := wire.ParseSFTPAnswer(b)
	if err != nil {
		r.t.Fatalf("%x: %v", b, err)
	}
	return a
}

// ask sends one request and returns its answer.
func (r *rig) ask(q wire.SFTPRequest, payload ...byte) wire.SFTPAnswer {
	r.t.Helper()
	r.id++
	q.ID = r.id
	r.send(q, payload)
	a := r.recv()
	if a.ID != q.ID {
		r.t.Fatalf("an answer to %d, not to %d", a.ID, q.ID)
	}
	return a
}

func (r *rig) openFile(path string, flags uint32) string {
	r.t.Helper()
	a := r.ask(wire.SFTPRequest{Type: wire.SFTPOpen, Path: path, Flags: flags})
	if a.Type != wire.SFTPHandle {
		r.t.Fatalf("opening %s: %+v", path, a)
	}
	return a.Handle
}

func (r *rig) write(handle string, off uint64, text string) wire.SFTPAnswer {
	r.t.Helper()
	return r.ask(wire.SFTPRequest{Type: wire.SFTPWrite, Handle: handle, Offset: off}, []byte(text)...)
}

func (r *rig) read(handle string, off, n uint64) wire.SFTPAnswer {
	r.t.Helper()
	return r.ask(wire.SFTPRequest{Type: wire.SFTPRead, Handle: handle, Offset: off, Length: n})
}

func (r *rig) closeFile(handle string) {
	r.t.Helper()
	if a := r.ask(wire.SFTPRequest{Type: wire.SFTPClose, Handle: handle}); a.Code != wire.FxOK {
		r.t.Fatalf("closing: %+v", a)
	}
}

// put makes a file at the target.
func (r *rig) put(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) link(says, name string) {
	r.t.Helper()
	if err := os.Symlink(says, filepath.Join(r.dir, name)); err != nil {
		r.t.Fatal(err)
	}
}

// denied fails unless the answer is the gateway's own refusal.
func (r *rig) denied(a wire.SFTPAnswer) {
	r.t.Helper()
	if a.Type != wire.SFTPStatus || a.Code != wire.FxPermissionDenied || !strings.HasPrefix(a.Message, "sallyport: ") {
		r.t.Errorf("not refused: %+v", a)
	}
}

func (r *rig) want(lines ...string) {
	r.t.Helper()
	got := strings.ReplaceAll(strings.Join(r.lines(), "\n"), r.dir, "HOME")
	if want := strings.Join(lines, "\n"); got != want {
		r.t.Errorf("events:\n%s\nwant:\n%s", got, want)
	}
}

func sum(p []byte) string {
	s := sha256.Sum256(p)
	return hex.EncodeToString(s[:])
}

// eventually waits for something that another goroutine does.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal(what)
}
