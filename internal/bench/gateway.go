package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport/internal/sshtest"
)

// The same target twice: plainTarget's role keeps whole streams, cappedTarget's
// the default share of each without a terminal, and a digest of the rest.
const (
	plainTarget  = "web1"
	cappedTarget = "cap1"
)

// The rules are the sample configuration's; only the limit on one person's
// sessions is raised, for row 9, and approval is automatic.
const gatewayConfig = `listen: 127.0.0.1:%[1]s
data_dir: %[2]s
limits: {sessions_per_user: 100000, channels_per_user: 100000}
users:
  - {name: alice, groups: [admins], keys: ["%[3]s"]}
targets:
  - {name: web1, address: "%[4]s", accounts: [lab], host_keys: ["%[5]s"]}
  - {name: cap1, address: "%[4]s", accounts: [lab], host_keys: ["%[5]s"]}
roles:
  - name: whole
    eligible: {groups: [admins]}
    targets: {names: [web1]}
    accounts: [lab]
    max_duration: 4h
    approval: auto
    channels: [shell, exec, sftp]
    recording: {content_cap: 64GiB}
    commands: &commands
      rules:
        - {program: rm, flags: [r, R, recursive], action: terminate}
        - {program: shutdown, action: terminate}
      classes: {opaque: alert, tamper: alert, unverifiable: deny}
  - name: capped
    eligible: {groups: [admins]}
    targets: {names: [cap1]}
    accounts: [lab]
    max_duration: 4h
    approval: auto
    channels: [shell, exec, sftp]
    commands: *commands
`

// gateway is a sallyport that runs as a child process.
type gateway struct {
	w       *world
	data    string
	config  string
	log     string
	port    string
	hostKey ssh.PublicKey

	cmd  *exec.Cmd
	done chan struct{}
	err  error // how it ended; read after done
}

func newGateway(w *world, data string, hostKey ssh.PublicKey, user string) *gateway {
	g := &gateway{
		w: w, data: data, hostKey: hostKey, port: strconv.Itoa(sshtest.FreePort(w)),
		config: filepath.Join(w.dir, "sallyport.yaml"), log: filepath.Join(w.dir, "gateway.log"),
	}
	writeFile(g.config, fmt.Sprintf(gatewayConfig, g.port, data, user, w.target.Addr(), w.target.HostKey()), 0o600)
	w.Cleanup(g.stop)
	return g
}

func (g *gateway) pid() int { return g.cmd.Process.Pid }

// start runs init, which finds its keys made, and serve; it returns when the
// port answers.
func (g *gateway) start(ctx context.Context) {
	out, err := exec.CommandContext(ctx, g.w.binary, "init", "--config", g.config).CombinedOutput()
	if err != nil {
		g.w.Fatalf("sallyport init: %w\n%s", err, bytes.TrimSpace(out))
	}
	log, err := os.OpenFile(g.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(err)
	defer log.Close()
	g.cmd = exec.Command(g.w.binary, "serve", "--config", g.config, "--drain", "1s")
	g.cmd.Stdout, g.cmd.Stderr = log, log
	must(g.cmd.Start())
	cmd, done := g.cmd, make(chan struct{})
	g.done = done
	go func() { g.err = cmd.Wait(); close(done) }()
	for begun := time.Now(); ; {
		c, err := net.Dial("tcp", g.addr())
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-done:
			g.w.Fatalf("the gateway does not start: %w", errors.Join(g.err, g.w.gateLog()))
		default:
		}
		if time.Since(begun) > 15*time.Second {
			g.w.Fatalf("the gateway does not answer: %w", err)
		}
		must(pause(ctx, 10*time.Millisecond))
	}
}

// stop ends the gateway in order, or by force when that takes too long.
func (g *gateway) stop() {
	if g.cmd == nil || g.cmd.Process == nil {
		return
	}
	_ = g.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-g.done:
	case <-time.After(10 * time.Second):
		_ = g.cmd.Process.Kill()
		<-g.done
	}
	g.cmd = nil
}

// restart replaces the process by a fresh one on the same data.
func (g *gateway) restart(ctx context.Context) (err error) {
	defer func() {
		if p, ok := recover().(error); ok {
			err = p
		}
	}()
	g.stop()
	g.start(ctx)
	return nil
}

func (g *gateway) addr() string { return net.JoinHostPort("127.0.0.1", g.port) }

// request asks for an access as a person does, and gets it at once.
func (g *gateway) request(ctx context.Context, target string) error {
	c, err := g.w.connect(ctx, g.addr(), "alice", g.hostKey)
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := c.NewSession()
	if err != nil {
		return err
	}
	out, err := s.CombinedOutput("request create " + account + "@" + target + " --for 1h --reason measuring")
	if err != nil {
		return fmt.Errorf("request create: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// gateLog returns the end of the gateway's log as an error, nil when it is empty.
func (w *world) gateLog() error {
	b, err := os.ReadFile(w.gate.log)
	if err != nil || len(b) == 0 {
		return err
	}
	const last = 2000
	return fmt.Errorf("the gateway's log ends:\n%s", bytes.TrimSpace(b[max(0, len(b)-last):]))
}
