package proxy

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/auth"
	"sallyport/ca"
	"sallyport/internal/sshtest"
	"sallyport/policy"
	"sallyport/recorder"
)

// grants is a grant service of one grant.
type grants struct {
	mu    sync.Mutex
	grant *sallyport.Grant
	end   *sallyport.Ending
	role  sallyport.Role
}

func (g *grants) Active(context.Context, string, sallyport.Access) (sallyport.Grant, sallyport.Role, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.end != nil {
		return sallyport.Grant{}, sallyport.Role{}, sallyport.Errorf(sallyport.CodeDenied, "ended")
	}
	if g.grant == nil {
		return sallyport.Grant{}, sallyport.Role{}, sallyport.Errorf(sallyport.CodeNoGrant, "no grant").WithHint("ask")
	}
	return *g.grant, g.role, nil
}

func (g *grants) Still(context.Context, sallyport.Session) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.end != nil {
		return g.end
	}
	return nil
}

func (g *grants) stop(e *sallyport.Ending) {
	g.mu.Lock()
	g.end = e
	g.mu.Unlock()
}

// memory is an audit log that a test can read and break.
type memory struct {
	mu     sync.Mutex
	events []sallyport.Event
	broken bool
}

func (m *memory) Append(e sallyport.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken {
		return errors.New("the disk is full")
	}
	m.events = append(m.events, e)
	return nil
}

func (m *memory) count(typ string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, e := range m.events {
		if e.Type == typ {
			n++
		}
	}
	return n
}

func (m *memory) last(typ string) sallyport.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(m.events) - 1; i >= 0; i-- {
		if m.events[i].Type == typ {
			return m.events[i]
		}
	}
	return sallyport.Event{}
}

// world is a gateway between alice and a target in this process.
type world struct {
	srv    *Server
	target *sshtest.Target
	grants *grants
	audit  *memory
	alice  ssh.Signer
	host   ssh.PublicKey
	addr   string
	dir    string
	policy atomic.Pointer[policy.Policy]
}

func newWorld(t *testing.T, adjust ...func(*Server, *sallyport.Role)) *world {
	t.Helper()
	w := &world{audit: &memory{}, dir: t.TempDir(), alice: sshtest.NewSigner(t)}
	userCA, hostKey, targetKey := sshtest.NewSigner(t), sshtest.NewSigner(t), sshtest.NewSigner(t)
	w.host = hostKey.PublicKey()
	var err error
	w.target, err = sshtest.NewTarget(sshtest.TargetConfig{
		UserCA: userCA.PublicKey(), HostKey: targetKey, Accounts: []string{"lab"}, Dir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.target.Close() })
	user := sallyport.User{Name: "alice", Keys: []string{sshtest.AuthorizedLine(w.alice.PublicKey())}}
	role := sallyport.Role{
		Name: "r", Eligible: sallyport.Members{Users: []string{"alice"}},
		Targets: sallyport.Selector{Names: []string{"web1"}}, Accounts: []string{"lab"},
		MaxDuration: time.Hour, Approval: sallyport.Approval{Auto: true},
		Channels: []sallyport.Channel{sallyport.ChannelShell, sallyport.ChannelExec, sallyport.ChannelSFTP},
	}
	keys, err := auth.NewKeys([]sallyport.User{user})
	if err != nil {
		t.Fatal(err)
	}
	w.srv = &Server{
		HostKeys: []ssh.Signer{hostKey}, Keys: func() *auth.Keys { return keys },
		Authority: &ca.Authority{Signer: userCA, Random: rand.Reader},
		Recorder:  &recorder.Recorder{Dir: filepath.Join(w.dir, "recordings")},
		Audit:     w.audit, Log: zerolog.New(zerolog.NewTestWriter(t)),
	}
	for _, f := range adjust {
		f(w.srv, &role)
	}
	p, err := policy.New([]sallyport.User{user}, []sallyport.Target{{
		Name: "web1", Address: w.target.Addr(), Accounts: []string{"lab"}, HostKeys: []string{w.target.HostKey()},
	}}, []sallyport.Role{role}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.grants = &grants{role: role, grant: &sallyport.Grant{
		ID: "aaaaaaaaaaaa", User: "alice", Access: sallyport.Access{Account: "lab", Target: "web1"},
		Role: "r", Start: time.Now(), End: time.Now().Add(time.Hour),
	}}
	w.policy.Store(p)
	w.srv.Policy, w.srv.Grants = w.policy.Load, w.grants
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.srv.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		final, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.srv.Close(final); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return w
}

func (w *world) dial(t *testing.T, login string, methods ...ssh.AuthMethod) (*ssh.Client, error) {
	t.Helper()
	if methods == nil {
		methods = []ssh.AuthMethod{ssh.PublicKeys(w.alice)}
	}
	c, err := ssh.Dial("tcp", w.addr, &ssh.ClientConfig{
		User: login, Auth: methods, HostKeyCallback: ssh.FixedHostKey(w.host), Timeout: 10 * time.Second,
	})
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func (w *world) session(t *testing.T) *ssh.Session {
	t.Helper()
	c, err := w.dial(t, "lab@web1")
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// within fails the test when f takes longer than d, and returns what it took.
func within(t *testing.T, d time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("%s took longer than %v", what, d)
	}
}

// recorded returns the output that all casts hold.
func (w *world) recorded(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(filepath.Join(w.dir, "recordings"), func(p string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(p, ".cast") {
			return err
		}
		b, err := os.ReadFile(p)
		for line := range bytes.Lines(b) {
			var event [3]any
			if json.Unmarshal(line, &event) == nil && event[1] == "o" {
				all.WriteString(event[2].(string))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// Attack (trap 1 of gliderlabs): connect with no credential at all.
func TestNobodyGetsInWithoutAKey(t *testing.T) {
	w := newWorld(t)
	if _, err := w.dial(t, "lab@web1", ssh.Password("x")); err == nil {
		t.Fatal("a client without a key got in")
	}
	if _, err := w.dial(t, "lab@web1", ssh.PublicKeys(sshtest.NewSigner(t))); err == nil {
		t.Fatal("a client with an unknown key got in")
	}
	if w.target.Connections() != 0 {
		t.Error("the target was dialled")
	}
}

// Promise 2: without an active grant no TCP connection to the target is opened.
func TestNoGrantNoBytes(t *testing.T) {
	w := newWorld(t)
	w.grants.grant = nil
	s := w.session(t)
	var stderr bytes.Buffer
	s.Stderr = &stderr
	err := s.Run("id")
	var exit *ssh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != sallyport.ExitDenied {
		t.Errorf("ended with %v", err)
	}
	if got := stderr.String(); got != "sallyport: no grant; ask\n" {
		t.Errorf("told %q", got)
	}
	if n := w.target.Connections(); n != 0 {
		t.Errorf("%d connections to the target", n)
	}
	if e := w.audit.last("auth.accept"); e.User != "alice" || e.From == "" || !strings.HasPrefix(e.Details["key"], "SHA256:") {
		t.Errorf("the sign-in was audited as %+v", e)
	}
	if e := w.audit.last("session.refuse"); e.User != "alice" || e.Target != "web1" {
		t.Errorf("audited as %+v", e)
	}
}

// R1: where the audit log cannot be written, nothing new starts.
func TestNoAuditNoSession(t *testing.T) {
	w := newWorld(t)
	s := w.session(t)
	if err := s.Run("true"); err != nil {
		t.Fatal(err)
	}
	w.audit.mu.Lock()
	w.audit.broken = true
	w.audit.mu.Unlock()
	before := w.target.Connections()
	s = w.session(t)
	var stderr bytes.Buffer
	s.Stderr = &stderr
	if err := s.Run("id"); err == nil || !strings.Contains(stderr.String(), "audit log cannot be written") {
		t.Errorf("ended with %v, told %q", err, &stderr)
	}
	if w.target.Connections() != before {
		t.Error("the target was dialled")
	}
}

func TestBytesAndEndsPassUnchanged(t *testing.T) {
	w := newWorld(t)
	t.Run("output apart and status", func(t *testing.T) {
		s := w.session(t)
		var out, errb bytes.Buffer
		s.Stdout, s.Stderr = &out, &errb
		err := s.Run("printf 'a\\r\\n\\000b'; printf oops >&2; exit 7")
		var exit *ssh.ExitError
		if !errors.As(err, &exit) || exit.ExitStatus() != 7 {
			t.Errorf("ended with %v", err)
		}
		if out.String() != "a\r\n\x00b" || errb.String() != "oops" {
			t.Errorf("got %q and %q", &out, &errb)
		}
	})
	t.Run("exit signal", func(t *testing.T) {
		s := w.session(t)
		err := s.Run("kill -TERM $$")
		var exit *ssh.ExitError
		if !errors.As(err, &exit) || exit.Signal() != "TERM" {
			t.Errorf("ended with %v", err)
		}
	})
	t.Run("signal", func(t *testing.T) {
		s := w.session(t)
		out, _ := s.StdoutPipe()
		if err := s.Start("trap 'echo caught; exit 3' USR1; echo ready; while :; do sleep 0.05; done"); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 6)
		if _, err := io.ReadFull(out, buf); err != nil {
			t.Fatal(err)
		}
		if err := s.Signal(ssh.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		rest, _ := io.ReadAll(out)
		var exit *ssh.ExitError
		if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 3 || string(rest) != "caught\n" {
			t.Errorf("%v, %q", err, rest)
		}
	})
	t.Run("half-close", func(t *testing.T) {
		s := w.session(t)
		in, _ := s.StdinPipe()
		var out bytes.Buffer
		s.Stdout = &out
		if err := s.Start("cat; echo after"); err != nil {
			t.Fatal(err)
		}
		io.WriteString(in, "x")
		in.Close()
		if err := s.Wait(); err != nil || out.String() != "xafter\n" {
			t.Errorf("%v, %q", err, &out)
		}
	})
	t.Run("output closed long before the end", func(t *testing.T) {
		s := w.session(t)
		err := s.Run("exec >&- 2>&-; sleep 0.3; exit 5")
		var exit *ssh.ExitError
		if !errors.As(err, &exit) || exit.ExitStatus() != 5 {
			t.Errorf("ended with %v", err)
		}
	})
	t.Run("large both ways", func(t *testing.T) {
		s := w.session(t)
		blob := make([]byte, 3<<20)
		rand.Read(blob)
		s.Stdin = bytes.NewReader(blob)
		out, err := s.Output("cat")
		if err != nil || !bytes.Equal(out, blob) {
			t.Errorf("%v, %d of %d bytes", err, len(out), len(blob))
		}
	})
	t.Run("window changes", func(t *testing.T) {
		s := w.session(t)
		if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
			t.Fatal(err)
		}
		for i := range 50 { // before exec: gliderlabs' own handler hangs here (C7)
			if err := s.WindowChange(30+i, 100+i); err != nil {
				t.Fatal(err)
			}
		}
		out, err := s.Output("stty size")
		if err != nil || strings.TrimSpace(string(out)) != "79 149" {
			t.Errorf("%v, %q", err, out)
		}
	})
}

// A fast command closes before its exec reply was relayed, elsewhere.
func TestFastCommandsLoseNothing(t *testing.T) {
	w := newWorld(t)
	c, err := w.dial(t, "lab@web1")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				s, err := c.NewSession()
				if err != nil {
					t.Error(err)
					return
				}
				if out, err := s.Output("echo x"); err != nil || string(out) != "x\n" {
					t.Errorf("%v, %q", err, out)
					return
				}
			}
		})
	}
	wg.Wait()
}
