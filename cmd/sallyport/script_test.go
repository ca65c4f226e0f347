package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"sallyport/ca"
	"sallyport/internal/sshtest"
)

// The scripts run what a person types: stock ssh, scp and sftp against a
// gateway that is this test's binary, which goes to a real sshd.
//
// Each person is a command: "alice ssh gate ls" runs ssh with alice's
// configuration. "gateway start|stop|kill|hup|wait" is the operator.
func TestMain(m *testing.M) {
	syscall.Umask(0o022) // the files of a script are then what an operator would make
	testscript.Main(m, map[string]func(){"sallyport": func() {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
	}})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "../../testdata/script",
		Setup:               setupScript,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"gateway":    operate,
			"capture":    capture,
			"eventually": eventually,
			"subst":      subst,
			"sshd-log":   sshdLog,
			"terminal":   terminal,
		},
	})
}

const scriptConfig = `listen: 127.0.0.1:%[1]s
data_dir: %[2]s/data
users:
  - {name: alice, groups: [admins], keys: ["%[3]s"]}
  - {name: bob, groups: [approvers], keys: ["%[4]s"]}
  - {name: carol, groups: [approvers, admins], keys: ["%[5]s"]}
  - {name: eve, groups: [soc], keys: ["%[6]s"]}
targets:
  - name: web1
    aliases: [www]
    address: %[7]s
    labels: {env: prod}
    accounts: [lab, root]
    host_keys: ["%[8]s"]
  - name: down1
    address: 127.0.0.1:1
    labels: {env: prod}
    accounts: [lab]
    host_keys: ["%[8]s"]
  - name: wrong1
    address: %[7]s
    labels: {env: prod}
    accounts: [lab]
    host_keys: ["%[3]s"]
  - name: free1
    address: %[7]s
    accounts: [lab]
    host_keys: ["%[8]s"]
  - name: pair1
    address: %[7]s
    accounts: [lab]
    host_keys: ["%[8]s"]
  - name: fwd1
    address: %[7]s
    accounts: [lab]
    host_keys: ["%[8]s"]
  - name: ide1
    address: %[7]s
    accounts: [lab]
    host_keys: ["%[8]s"]
roles:
  - name: prod-lab
    eligible: {groups: [admins]}
    targets: {labels: {env: prod}}
    accounts: [lab]
    max_duration: 4h
    justification: required
    approval: {stages: [{approvers: {groups: [approvers]}, need: 1}]}
    channels: [shell, exec, sftp]
    commands:
      rules:
        - {program: rm, flags: [r, R, recursive], action: terminate}
        - {program: shutdown, action: deny}
      classes: {opaque: alert, tamper: alert, unverifiable: deny}
  - name: free-lab
    eligible: {groups: [admins]}
    targets: {names: [free1]}
    accounts: [lab]
    max_duration: 1h
    justification: optional
    approval: auto
    channels: [shell, exec, sftp]
  - name: fwd-lab
    eligible: {groups: [admins]}
    targets: {names: [fwd1]}
    accounts: [lab]
    max_duration: 1h
    justification: optional
    approval: auto
    channels: [shell, exec, agent, x11, forward-local, forward-remote, forward-socket]
    forwards: {local: ["127.0.0.1:20000-29999"], remote: ["127.0.0.1:30000-30999", "localhost:0"], sockets: [/tmp/sallyport-fwd-*], max_open: 3, max_bytes: 100KiB}
  - name: ide-lab
    eligible: {groups: [admins]}
    targets: {names: [ide1]}
    accounts: [lab]
    max_duration: 1h
    justification: optional
    approval: auto
    channels: [shell, exec, sftp, ide]
  - name: pair-lab
    eligible: {groups: [admins]}
    targets: {names: [pair1]}
    accounts: [lab]
    max_duration: 1h
    justification: required
    approval: {stages: [{approvers: {users: [bob, carol, eve]}, need: 2}]}
    channels: [exec]
permissions:
  sessions: {groups: [soc]}
  recordings: {groups: [soc]}
  audit: {groups: [soc]}
  admin: {groups: [soc]}
`

// scriptTB lets sshtest start and stop with a script.
type scriptTB struct{ env *testscript.Env }

func (s scriptTB) Helper()                   {}
func (s scriptTB) Cleanup(f func())          { s.env.Defer(f) }
func (s scriptTB) Fatalf(f string, a ...any) { panic(fmt.Errorf(f, a...)) }
func (s scriptTB) TempDir() string {
	dir, err := os.MkdirTemp("", "sallyport-script-")
	if err != nil {
		s.Fatalf("%v", err)
	}
	s.env.Defer(func() { os.RemoveAll(dir) })
	return dir
}

// setupScript makes the people, the target and the files of one script. The
// gateway itself is started by the script.
func setupScript(env *testscript.Env) (err error) {
	defer func() {
		if e, ok := recover().(error); ok {
			err = e
		}
	}()
	tb := scriptTB{env}
	dir := env.WorkDir
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		return err
	}
	keysDir := filepath.Join(dir, "data", "keys")
	if _, err := ca.Init(keysDir, rand.Reader); err != nil {
		return err
	}
	keys, err := ca.Load(keysDir)
	if err != nil {
		return err
	}
	sshd := sshtest.StartSSHD(tb, sshtest.Options{UserCA: []ssh.PublicKey{keys.UserCA.PublicKey()}})
	env.Values["sshd"] = sshd
	port := strconv.Itoa(sshtest.FreePort(tb))
	args := []any{port, dir}
	for _, name := range []string{"alice", "bob", "carol", "eve", "mallory"} {
		key, line, _ := sshtest.NewKey(tb)
		if name != "mallory" { // who is no user of the gateway
			args = append(args, line)
		}
		if err := writePerson(dir, name, key, port, keys.HostKey.PublicKey()); err != nil {
			return err
		}
	}
	args = append(args, sshd.Addr(), sshd.HostKey())
	if err := os.WriteFile(filepath.Join(dir, "sallyport.yaml"), fmt.Appendf(nil, scriptConfig, args...), 0o600); err != nil {
		return err
	}
	exits := "#!/bin/sh\nwant=$1; shift; \"$@\"; got=$?\n[ $got -eq $want ] || { echo \"exit status $got, want $want\" >&2; exit 1; }\n"
	if err := os.WriteFile(filepath.Join(dir, "bin", "exits"), []byte(exits), 0o755); err != nil {
		return err
	}
	env.Setenv("PATH", filepath.Join(dir, "bin")+":"+env.Getenv("PATH"))
	env.Setenv("PORT", port)
	_, targetPort, err := net.SplitHostPort(sshd.Addr())
	if err != nil {
		return err
	}
	env.Setenv("TARGETPORT", targetPort)
	env.Setenv("HOME", dir)
	env.Setenv("CONFIG", filepath.Join(dir, "sallyport.yaml"))
	host := &operator{}
	env.Values["operator"] = host
	env.Defer(func() {
		if host.gateway != nil {
			host.gateway.end(syscall.SIGKILL)
		}
	})
	return nil
}

// writePerson writes an ssh_config, and the command that uses it.
func writePerson(dir, name, key, port string, host ssh.PublicKey) error {
	conf := strings.Join([]string{
		"Host gate", "  HostName 127.0.0.1", "  Port " + port, "  HostKeyAlias gate",
		"  UserKnownHostsFile " + filepath.Join(dir, "known_hosts"), "  StrictHostKeyChecking yes",
		"  IdentityFile " + key, "  IdentitiesOnly yes", "  IdentityAgent none", "  LogLevel ERROR", "",
	}, "\n")
	if err := os.WriteFile(filepath.Join(dir, name+".conf"), []byte(conf), 0o600); err != nil {
		return err
	}
	known := "gate " + string(ssh.MarshalAuthorizedKey(host))
	if err := os.WriteFile(filepath.Join(dir, "known_hosts"), []byte(known), 0o600); err != nil {
		return err
	}
	sh := fmt.Sprintf("#!/bin/sh\nprog=$1; shift\nexec \"$prog\" -F %s \"$@\"\n", filepath.Join(dir, name+".conf"))
	return os.WriteFile(filepath.Join(dir, "bin", name), []byte(sh), 0o755)
}

// operator is who runs the gateway of a script.
type operator struct{ gateway *process }

// process is a running gateway.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // how it ended; read after done
}

func (p *process) end(sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig)
	<-p.done
}

// operate starts and stops the gateway.
func operate(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: gateway start|stop|kill|hup|term|wait")
	}
	g := ts.Value("operator").(*operator).gateway
	if args[0] != "start" && g == nil {
		ts.Fatalf("the gateway was not started")
	}
	switch args[0] {
	case "start":
		startGateway(ts, args[1:])
	case "stop":
		g.end(syscall.SIGTERM)
		if (g.err != nil) != neg {
			ts.Fatalf("the gateway ended with %v", g.err)
		}
	case "kill":
		g.end(syscall.SIGKILL)
	case "term":
		ts.Check(g.cmd.Process.Signal(syscall.SIGTERM))
	case "hup":
		ts.Check(g.cmd.Process.Signal(syscall.SIGHUP))
	case "wait":
		select {
		case <-g.done:
			ts.Check(g.err)
		case <-time.After(20 * time.Second):
			ts.Fatalf("the gateway has not ended")
		}
	default:
		ts.Fatalf("gateway %s?", args[0])
	}
}

func startGateway(ts *testscript.TestScript, args []string) {
	log, err := os.OpenFile(ts.MkAbs("gateway.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	defer log.Close()
	cmd := exec.Command(lookIn(ts.Getenv("PATH"), "sallyport"), append([]string{"serve", "--config", ts.Getenv("CONFIG")}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = ts.MkAbs(".")
	ts.Check(cmd.Start())
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() { p.err = cmd.Wait(); close(p.done) }()
	ts.Value("operator").(*operator).gateway = p
	deadline := time.Now().Add(15 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		c, err := net.Dial("tcp", "127.0.0.1:"+ts.Getenv("PORT"))
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-p.done:
			ts.Fatalf("the gateway does not start: %v\n%s", p.err, ts.ReadFile("gateway.log"))
		default:
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the gateway does not answer: %v", err)
		}
	}
}

func lookIn(path, name string) string {
	for _, dir := range filepath.SplitList(path) {
		if fi, err := os.Stat(filepath.Join(dir, name)); err == nil && fi.Mode()&0o111 != 0 {
			return filepath.Join(dir, name)
		}
	}
	return name
}

// capture VAR REGEXP sets a variable from the last standard output: to the
// first group of the expression, or to all of it.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: capture VAR [REGEXP]")
	}
	text := strings.TrimSpace(ts.ReadFile("stdout"))
	if len(args) == 2 {
		m := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(text)
		if m == nil {
			ts.Fatalf("%q is not in %q", args[1], text)
		}
		text = m[len(m)-1]
	}
	ts.Setenv(args[0], text)
}

// sshd-log REGEXP waits until the target's own log holds the expression.
func sshdLog(ts *testscript.TestScript, neg bool, args []string) {
	re := regexp.MustCompile(args[0])
	sshd := ts.Value("sshd").(*sshtest.SSHD)
	deadline := time.Now().Add(10 * time.Second)
	for tick := time.NewTicker(50 * time.Millisecond); re.MatchString(sshd.Log()) == neg; <-tick.C {
		if time.Now().After(deadline) {
			ts.Fatalf("%q in the target's log: want %v\n%s", args[0], !neg, sshd.Log())
		}
	}
}

// eventually COMMAND… runs a command until it succeeds; ! eventually, until it
// fails.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	deadline := time.Now().Add(10 * time.Second)
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		err := ts.Exec(args[0], args[1:]...)
		if (err == nil) != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%q: still %v", args, err)
		}
	}
}

// subst FILE OLD NEW replaces text in a file.
func subst(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: subst FILE OLD NEW")
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, args[1], args[2])), 0o600))
}
