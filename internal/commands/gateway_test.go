package commands

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/crypto/ssh"

	"sallyport/ca"
	"sallyport/internal/sshtest"
)

// gateway is a sallyport serve before an sshd, with one target for each set of
// rules and each latency, and one account for each shell.
type gateway struct {
	root   string // everybody may pass through
	port   int
	plain  string // an ssh_config with the gateway
	config string // and one for the jump
	ids    map[string][2]int

	mu      sync.Mutex
	granted map[string]*sync.Once // by access
}

const gateConfig = `listen: 127.0.0.1:%d
data_dir: %s/data
users:
  - {name: alice, groups: [admins], keys: ["%s"]}
limits: {sessions_per_user: 300, per_address: 300}
targets:
%sroles:
%s`

const targetConfig = `  - {name: %[1]s, address: "%[2]s", accounts: [labbash, labzsh, labfish, labdash], host_keys: ["%[3]s"]}
`

const roleConfig = `  - name: %[1]s
    eligible: {groups: [admins]}
    targets: {names: [%[2]s]}
    accounts: [labbash, labzsh, labfish, labdash]
    max_duration: 2h
    justification: optional
    approval: auto
    channels: [shell, exec, sftp]
    env: [CASE_DIR, XDG_DATA_HOME, ENV]
`

// yaml is the rules of a set in the configuration.
func (r ruleSet) yaml() string {
	c := r.commands()
	if len(c.Rules) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("    commands:\n      rules:\n")
	for _, rule := range c.Rules {
		fmt.Fprintf(&b, "        - {program: %s", rule.Program)
		if len(rule.Flags) > 0 {
			fmt.Fprintf(&b, ", flags: [%s]", strings.Join(rule.Flags, ", "))
		}
		if len(rule.Args) > 0 {
			fmt.Fprintf(&b, ", args: [%q]", rule.Args[0])
		}
		fmt.Fprintf(&b, ", action: %s}\n", rule.Action)
	}
	for class, action := range c.Classes {
		fmt.Fprintf(&b, "      classes: {%s: %s}\n", class, action)
	}
	return b.String()
}

// The whole way: what TestDirect does, by ssh through the gateway.
func TestGateway(t *testing.T) {
	g := open(t)
	play(t, part(cases(), 49), "gateway", g.through)
}

// open starts everything; the test's cleanup ends it.
func open(t *testing.T) *gateway {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	g := &gateway{granted: map[string]*sync.Once{}, ids: map[string][2]int{}}
	var err error
	g.root, err = os.MkdirTemp("", "cases")
	must(err)
	t.Cleanup(func() { os.RemoveAll(g.root) })
	must(os.Chmod(g.root, 0o711))
	binary := filepath.Join(g.root, "sallyport")
	if out, err := exec.Command("go", "build", "-o", binary, "sallyport/cmd/sallyport").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	keysDir := filepath.Join(g.root, "data", "keys")
	must(os.Mkdir(filepath.Join(g.root, "data"), 0o700))
	_, err = ca.Init(keysDir, rand.Reader)
	must(err)
	keys, err := ca.Load(keysDir)
	must(err)
	key, alice, _ := sshtest.NewKey(t)

	var accounts []string
	for shell := range shells {
		accounts = append(accounts, "lab"+shell)
	}
	sshd := sshtest.StartSSHD(t, sshtest.Options{
		UserCA: []ssh.PublicKey{keys.UserCA.PublicKey()}, Accounts: accounts,
		Extra: []string{"AcceptEnv CASE_DIR XDG_DATA_HOME ENV"},
	})
	for shell := range shells {
		g.ids[shell] = g.house(t, shell)
	}

	var targets, roles strings.Builder
	for _, latency := range append(latencies(t), 0) {
		address := sshd.Addr()
		if latency > 0 {
			address = afar(t, address, latency)
		}
		for _, rules := range []ruleSet{off, denies, terminates, opaque} {
			name := target(rules, latency)
			if strings.Contains(targets.String(), "name: "+name+",") {
				continue
			}
			fmt.Fprintf(&targets, targetConfig, name, address, sshd.HostKey())
			fmt.Fprintf(&roles, roleConfig+rules.yaml(), name, name)
		}
	}
	g.port = sshtest.FreePort(t)
	path := filepath.Join(g.root, "sallyport.yaml")
	must(os.WriteFile(path, fmt.Appendf(nil, gateConfig, g.port, g.root, alice, &targets, &roles), 0o600))
	g.serve(t, binary, path)

	known := filepath.Join(g.root, "known_hosts")
	g.plain = filepath.Join(g.root, "ssh.conf")
	all := "Host *\n  IdentityFile " + key + "\n  IdentitiesOnly yes\n  IdentityAgent none\n  StrictHostKeyChecking yes\n" +
		"  GlobalKnownHostsFile none\n  UserKnownHostsFile " + known + "\n  UpdateHostKeys no\n  BatchMode yes\n" +
		"  SendEnv CASE_DIR XDG_DATA_HOME ENV LC_ALL\n  KexAlgorithms curve25519-sha256\n  EscapeChar none\n  LogLevel ERROR\n"
	gate := fmt.Sprintf("Host gate\n  HostName 127.0.0.1\n  Port %d\n  HostKeyAlias gate\n", g.port)
	must(os.WriteFile(known, []byte("gate "+sshtest.AuthorizedLine(keys.HostKey.PublicKey())+"\n"), 0o644))
	must(os.WriteFile(g.plain, []byte(gate+all), 0o644))
	says := func(words ...string) string {
		out, err := exec.Command("ssh", append([]string{"-n", "-F", g.plain, "gate"}, words...)...).Output()
		must(err)
		return string(out)
	}
	more, err := os.OpenFile(known, os.O_APPEND|os.O_WRONLY, 0)
	must(err)
	_, err = more.WriteString(says("config", "--known-hosts"))
	must(errors.Join(err, more.Close()))
	g.config = filepath.Join(g.root, "jump.conf")
	must(os.WriteFile(g.config, []byte(gate+says("config")+"\n"+all), 0o644))
	return g
}

// target names the target with these rules at this distance.
func target(rules ruleSet, latency time.Duration) string {
	return string(rules) + strconv.Itoa(int(latency.Milliseconds()))
}

// house gives the account of a shell that shell, and its rc files.
func (g *gateway) house(t *testing.T, shell string) [2]int {
	t.Helper()
	path, err := exec.LookPath(shell)
	if err != nil {
		t.Fatalf("no %s: run scripts/prepare.sh: %v", shell, err)
	}
	account, err := user.Lookup("lab" + shell)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("usermod", "-s", path, account.Username).CombinedOutput(); err != nil {
		t.Fatalf("usermod: %v\n%s", err, out)
	}
	uid, err1 := strconv.Atoi(account.Uid)
	gid, err2 := strconv.Atoi(account.Gid)
	if err := errors.Join(err1, err2, settle(account.HomeDir), chown(account.HomeDir, uid, gid)); err != nil {
		t.Fatal(err)
	}
	return [2]int{uid, gid}
}

func chown(dir string, uid, gid int) error {
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}

func (g *gateway) serve(t *testing.T, binary, config string) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(binary, "serve", "--config", config)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-exited
		}
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(2 * patience); ; {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(g.port)))
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-tick.C:
		case <-exited:
			t.Fatalf("the gateway does not start:\n%s", &log)
		case <-late:
			t.Fatalf("the gateway does not answer: %v", err)
		}
	}
}

// afar makes an address far away: half of the latency is added on each way.
func afar(t *testing.T, address string, latency time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	half := func(to, from net.Conn) {
		cable := newLine(latency / 2)
		go func() {
			cable.carry(func(b []byte) error { _, err := to.Write(b); return err })
			to.Close()
		}()
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			_ = cable.put(buf[:n])
			if err != nil {
				cable.close()
				return
			}
		}
	}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", address)
			if err != nil {
				near.Close()
				continue
			}
			go half(far, near)
			go half(near, far)
		}
	}()
	return l.Addr().String()
}

// grant gets alice the access, once.
func (g *gateway) grant(access string) error {
	g.mu.Lock()
	once := g.granted[access]
	if once == nil {
		once = new(sync.Once)
		g.granted[access] = once
	}
	g.mu.Unlock()
	var err error
	once.Do(func() {
		out, e := exec.Command("ssh", "-n", "-F", g.plain, "gate", "request", "create", access, "--for", "2h").CombinedOutput()
		if e != nil {
			err = fmt.Errorf("request create: %w\n%s", e, out)
		}
	})
	return err
}

// through runs a case by ssh -tt through the gateway.
func (g *gateway) through(t *testing.T, c *Case, rules ruleSet, latency time.Duration) error {
	base, err := os.MkdirTemp(g.root, "c")
	if err != nil {
		return err
	}
	defer os.RemoveAll(base)
	dir, ids := filepath.Join(base, "work"), g.ids[c.Shell]
	if err := errors.Join(os.Chmod(base, 0o711), furnish(c, dir), chown(dir, ids[0], ids[1])); err != nil {
		return err
	}
	account, host := "lab"+c.Shell, target(rules, latency)
	if err := g.grant(account + "@" + host); err != nil {
		return err
	}
	env := append(os.Environ(), "TERM=xterm-256color", "LC_ALL="+c.lang(), "CASE_DIR="+dir,
		"XDG_DATA_HOME="+filepath.Join(dir, "data"), "ENV=/home/"+account+"/.dashrc")
	argv := []string{"-tt", "-F", g.plain, account + "+" + host + "@gate"}
	switch c.way() {
	case "exec":
		argv = append(argv, shells[c.Shell]...)
	case "jump":
		argv = []string{"-tt", "-F", g.config, account + "@" + host}
	case "mux":
		socket := filepath.Join(base, "mux")
		master := exec.Command("ssh", "-M", "-N", "-S", socket, "-F", g.plain, account+"+"+host+"@gate")
		master.Env = env
		if err := master.Start(); err != nil {
			return err
		}
		defer func() { _ = master.Process.Kill(); _ = master.Wait() }()
		if !exists(socket) {
			return errors.New("no master connection")
		}
		argv = append([]string{"-S", socket}, argv...)
	}
	cmd := exec.Command("ssh", argv...)
	cmd.Env = env
	cols, rows := c.size()
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: uint16(rows), Cols: uint16(cols)})
	if err != nil {
		return err
	}
	p := newPerson(c, rules, dir)
	p.in = tty
	p.resize = func(cols, rows int) { _ = pty.Setsize(tty, &pty.Winsize{Rows: uint16(rows), Cols: uint16(cols)}) }
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = io.Copy(screen{p}, tty)
		p.ends()
	}()
	err = p.run()
	_ = cmd.Process.Signal(syscall.SIGHUP)
	_ = cmd.Wait()
	endAll(dir) // at the target
	<-over
	tty.Close()
	if err == nil && c.Secret != "" {
		err = g.secretKept(c.Secret)
	}
	return err
}

// screen is a person as a writer.
type screen struct{ *person }

func (s screen) Write(b []byte) (int, error) {
	s.shows(b)
	return len(b), nil
}

func exists(path string) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); ; {
		if _, err := os.Stat(path); err == nil {
			return true
		}
		select {
		case <-tick.C:
		case <-late:
			return false
		}
	}
}

// secretKept looks for a secret in what the gateway has written: recordings,
// the audit log and the rest.
func (g *gateway) secretKept(secret string) error {
	shown := false // or nothing is proven
	err := filepath.WalkDir(filepath.Join(g.root, "data"), func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) || err == nil && !d.Type().IsRegular() {
			return nil
		} else if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		} else if err == nil && bytes.Contains(b, []byte(secret)) {
			return fmt.Errorf("the secret is in %s", d.Name())
		}
		shown = shown || bytes.Contains(b, []byte(ready)) && strings.HasSuffix(path, ".cast")
		return err
	})
	if err == nil && !shown {
		return errors.New("no recording can be read")
	}
	return err
}
