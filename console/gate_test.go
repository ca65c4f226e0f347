package console_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport"
	"sallyport/console"
	"sallyport/control"
	"sallyport/grant"
	"sallyport/policy"
	"sallyport/replay"
	"sallyport/store/bolt"
)

// gate is a gateway of real pieces; only the live sessions are made up.
type gate struct {
	*control.Control
	live  *live
	audit *log
	dir   string

	policy      atomic.Pointer[policy.Policy]
	permissions map[sallyport.Permission]sallyport.Members
}

type log struct {
	mu     sync.Mutex
	events []sallyport.Event
	err    error
}

func (l *log) Append(e sallyport.Event) error { return l.AppendSync(e) }

func (l *log) AppendSync(e sallyport.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.events = append(l.events, e)
	}
	return l.err
}

func (l *log) types() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var types []string
	for _, e := range l.events {
		types = append(types, e.Type+" "+e.User+" "+e.Outcome)
	}
	return strings.Join(types, "\n")
}

// live ends what Still refuses, as the proxy does.
type live struct {
	still func(context.Context, sallyport.Session) error
	mu    sync.Mutex
	all   []sallyport.Session
	ended []*sallyport.Ending
}

func (l *live) Sessions() []sallyport.Session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]sallyport.Session(nil), l.all...)
}

func (l *live) Recheck(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var rest []sallyport.Session
	for _, s := range l.all {
		if ending, ok := sallyport.EndingOf(l.still(ctx, s)); ok {
			l.ended = append(l.ended, ending)
			continue
		}
		rest = append(rest, s)
	}
	l.all = rest
	return nil
}

func newGate(t *testing.T) *gate {
	t.Helper()
	dir := t.TempDir()
	db, err := bolt.Open(filepath.Join(dir, "state.db"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	group := func(g string) sallyport.Members { return sallyport.Members{Groups: []string{g}} }
	role := sallyport.Role{
		Name: "prod-root", Eligible: group("admins"), Targets: sallyport.Selector{Names: []string{"web1"}},
		Accounts: []string{"root"}, MaxDuration: 4 * time.Hour, Justification: true,
		Approval: sallyport.Approval{Stages: []sallyport.Stage{{Approvers: group("approvers"), Need: 1}}},
		Channels: []sallyport.Channel{sallyport.ChannelShell},
	}
	auto := role
	auto.Name, auto.Accounts, auto.Approval, auto.MaxDuration = "prod-lab", []string{"lab"}, sallyport.Approval{Auto: true}, 30*time.Minute
	g := &gate{audit: &log{}, dir: dir}
	g.permissions = map[sallyport.Permission]sallyport.Members{
		sallyport.PermSessions: group("soc"), sallyport.PermRecordings: group("soc"),
	}
	p, err := policy.New(
		[]sallyport.User{
			{Name: "alice", Groups: []string{"admins"}},
			{Name: "bob", Groups: []string{"approvers"}},
			{Name: "eve", Groups: []string{"soc"}},
			{Name: "mallory"},
		},
		[]sallyport.Target{{Name: "web1", Address: "127.0.0.1:22", Accounts: []string{"root", "lab"}}},
		[]sallyport.Role{role, auto},
		g.permissions)
	if err != nil {
		t.Fatal(err)
	}
	g.policy.Store(p)
	now := g.policy.Load
	s := &grant.Service{
		Store: db.Requests(), Locked: db.Locks(), Policy: now, Audit: g.audit, Random: rand.Reader,
	}
	g.live = &live{still: s.Still}
	g.Control = &control.Control{
		Grants: s, Policy: now, Audit: g.audit, Live: g.live, Name: "gate",
		Library: &replay.Library{Dir: filepath.Join(dir, "recordings")},
		Now:     func() time.Time { return time.Now().UTC() },
	}
	return g
}

// makeSOC gives a user the SOC's permissions.
func (g *gate) makeSOC(t *testing.T, user string) {
	t.Helper()
	old := g.policy.Load()
	more := map[sallyport.Permission]sallyport.Members{}
	for p, m := range g.permissions {
		m.Users = append(slices.Clone(m.Users), user)
		more[p] = m
	}
	p, err := policy.New(old.Users(), old.Targets(), old.Roles(), more)
	if err != nil {
		t.Fatal(err)
	}
	g.policy.Store(p)
}

// run runs a command as ssh would send it.
func (g *gate) run(t *testing.T, user, command string) (status int, out, errs string) {
	t.Helper()
	args, err := console.Split(command)
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	caller := control.Caller{User: user, From: "192.0.2.1:5", Admin: user == "root"}
	status = console.Run(t.Context(), g.Control, caller, console.IO{Args: args, In: strings.NewReader(""), Out: &stdout, Err: &stderr})
	return status, stdout.String(), stderr.String()
}

// must runs a command that works and returns what it printed.
func (g *gate) must(t *testing.T, user, command string) string {
	t.Helper()
	status, out, errs := g.run(t, user, command)
	if status != 0 {
		t.Fatalf("%s: %s: status %d\n%s%s", user, command, status, out, errs)
	}
	return strings.TrimSuffix(out, "\n")
}

// granted gives alice root@web1 and returns the id.
func (g *gate) granted(t *testing.T) string {
	t.Helper()
	id := g.must(t, "alice", "request create root@web1 --for 1h --reason INC-42 disk full")
	g.must(t, "bob", "request approve "+id)
	return id
}

// session makes a live session of alice's under the grant.
func (g *gate) session(id, grant string) {
	g.live.mu.Lock()
	defer g.live.mu.Unlock()
	g.live.all = append(g.live.all, sallyport.Session{
		ID: id, User: "alice", Access: sallyport.Access{Account: "root", Target: "web1"}, Role: "prod-root",
		Grant: grant, From: "192.0.2.1:5", Client: "SSH-2.0-x\x1b[2J", StartedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
	})
}

// record makes a recording.
func (g *gate) record(t *testing.T, id string) {
	t.Helper()
	dir := filepath.Join(g.dir, "recordings", "2026", "01", "02", id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"session.json": `{"id":"` + id + `","user":"alice","access":{"account":"root","target":"web1"},"started_at":"2026-01-02T03:04:05Z","ended_at":"2026-01-02T03:05:05Z","cause":"closed"}`,
		"seal.json":    `{}`,
		"0.cast":       `{"version":3,"term":{"cols":80,"rows":24}}` + "\n" + `[0.0,"o","hello from web1\r\n"]` + "\n" + `[0.0,"x","0"]` + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// keyboard is a terminal's input whose Read ends with a context.
type keyboard struct {
	ctx  context.Context
	keys chan string
}

func (k keyboard) Read(p []byte) (int, error) {
	select {
	case s, ok := <-k.keys:
		if !ok {
			return 0, io.EOF
		}
		return copy(p, s), nil
	case <-k.ctx.Done():
		return 0, k.ctx.Err()
	}
}

// screen is a terminal's output that a test can wait on.
type screen struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{}
}

func newScreen() *screen { return &screen{wrote: make(chan struct{}, 1)} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.wrote <- struct{}{}:
	default:
	}
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *screen) wait(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for !strings.Contains(s.String(), text) {
		select {
		case <-s.wrote:
		case <-deadline:
			t.Fatalf("%q does not appear on\n%s", text, s)
		}
	}
}
