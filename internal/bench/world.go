package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"sallyport/ca"
	"sallyport/internal/sshtest"
	"sallyport/recorder"
)

// account is the login on the target and on both OpenSSH hops.
const account = "lab"

// world is what is measured: one target, and the three hops to it.
type world struct {
	dir      string // all files; gone with the world
	binary   string // sallyport
	cleanups []func()

	target, jumpHost, bastion *host
	gate                      *gateway
	authority                 ssh.Signer // the gateway's user CA
	key                       ssh.Signer // of the person who works
	paths                     []*path
	sizes                     sizes
}

// host is an sshd with its listener's process.
type host struct {
	*sshtest.SSHD
	pid int
	key ssh.PublicKey
}

func (h *host) port() string {
	_, port, _ := net.SplitHostPort(h.Addr()) // of our own making
	return port
}

// world is the sshtest.TB of what it starts.
func (w *world) Helper()                   {}
func (w *world) Cleanup(f func())          { w.cleanups = append(w.cleanups, f) }
func (w *world) Fatalf(f string, a ...any) { panic(fmt.Errorf(f, a...)) }

// TempDir is open to traversal: sshd reads keys with the account's rights.
func (w *world) TempDir() string {
	dir, err := os.MkdirTemp(w.dir, "")
	must(err)
	must(os.Chmod(dir, 0o711))
	return dir
}

// must turns an error while the world is made into newWorld's error.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (w *world) close() {
	for len(w.cleanups) > 0 {
		last := len(w.cleanups) - 1
		f := w.cleanups[last]
		w.cleanups = w.cleanups[:last]
		f()
	}
}

// newWorld starts everything. The caller closes the world, also after an error.
func newWorld(ctx context.Context, o options) (w *world, err error) {
	w = &world{}
	defer func() {
		switch p := recover().(type) {
		case nil:
		case error:
			err = p
		default:
			panic(p)
		}
	}()
	w.dir, err = os.MkdirTemp("", "sallyport-bench-")
	must(err)
	w.Cleanup(func() { os.RemoveAll(w.dir) })
	must(os.Chmod(w.dir, 0o711))
	w.binary = filepath.Join(w.dir, "sallyport")
	must(build(ctx, w.binary))

	data := filepath.Join(w.dir, "data")
	_, err = ca.Init(filepath.Join(data, "keys"), rand.Reader)
	must(err)
	must(os.Chmod(data, 0o700))
	keys, err := ca.Load(filepath.Join(data, "keys"))
	must(err)
	w.authority = keys.UserCA

	keyPath, line, signer := sshtest.NewKey(w)
	w.key = signer
	hopKey, hopLine, _ := sshtest.NewKey(w) // with which the bastion's ssh goes on
	quiet := "LogLevel INFO"                // sshd's default
	w.target = w.startSSHD(sshtest.Options{
		UserCA: []ssh.PublicKey{keys.UserCA.PublicKey()}, AuthorizedKeys: []string{line, hopLine}, Extra: []string{quiet},
	})
	w.jumpHost = w.startSSHD(sshtest.Options{AuthorizedKeys: []string{line}, Extra: []string{quiet}})
	record := w.recordingScript(hopKey)
	w.bastion = w.startSSHD(sshtest.Options{AuthorizedKeys: []string{line}, Extra: []string{quiet, "ForceCommand " + record}})

	w.gate = newGateway(w, data, keys.HostKey.PublicKey(), line)
	w.gate.start(ctx)
	w.paths = w.allPaths(w.sshConfig(keyPath))
	w.sizes = w.makeFiles(o)
	for _, name := range []string{plainTarget, cappedTarget} {
		must(w.gate.request(ctx, name))
	}
	return w, nil
}

// build compiles the gateway as it is in this tree.
func build(ctx context.Context, binary string, flags ...string) error {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", binary}, flags...), "./cmd/sallyport")...)
	cmd.Dir = filepath.Dir(strings.TrimSpace(string(mod)))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build ./cmd/sallyport: %w\n%s", err, bytes.TrimSpace(out))
	}
	return nil
}

func (w *world) startSSHD(o sshtest.Options) *host {
	o.Accounts = []string{account}
	self := os.Getpid()
	before := processes()
	h := &host{SSHD: sshtest.StartSSHD(w, o)}
	for pid, s := range processes() {
		if _, old := before[pid]; !old && s.parent == self {
			h.pid = pid
		}
	}
	if h.pid == 0 {
		w.Fatalf("the sshd at %s has no process", h.Addr())
	}
	// Sessions end with their clients; the listener then waits for their
	// processes, which else nobody may do after it.
	w.Cleanup(func() { _, _ = settled(context.Background(), h.pid) })
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(h.HostKey()))
	must(err)
	h.key = key
	return h
}

// recordingScript writes what people build today: a ForceCommand that runs ssh
// under script. Its ssh uses a terminal where the person has one.
func (w *world) recordingScript(key string) string {
	lab, err := user.Lookup(account)
	must(err)
	uid, err1 := strconv.Atoi(lab.Uid)
	gid, err2 := strconv.Atoi(lab.Gid)
	must(errors.Join(err1, err2, os.Chown(key, uid, gid)))
	dir := w.TempDir()
	must(os.Chmod(dir, 0o711))
	records := w.typescripts()
	must(os.MkdirAll(records, 0o700))
	must(os.Chown(records, uid, gid))
	must(os.Chmod(filepath.Dir(key), 0o711))

	known := filepath.Join(dir, "known_hosts")
	writeFile(known, "target "+w.target.HostKey()+"\n", 0o644)
	conf := filepath.Join(dir, "ssh_config")
	writeFile(conf, strings.Join([]string{
		"Host target", "  HostName 127.0.0.1", "  Port " + w.target.port(), "  HostKeyAlias target", "  User " + account,
		"  IdentityFile " + key, "  IdentitiesOnly yes", "  IdentityAgent none", "  LogLevel ERROR",
		"  UserKnownHostsFile " + known, "  StrictHostKeyChecking yes", "",
	}, "\n"), 0o644)
	script := filepath.Join(dir, "record")
	writeFile(script, "#!/bin/sh\nt=-T\n[ -t 0 ] && t=-tt\n"+
		"exec script -qc \"exec ssh -F "+conf+" $t target \\\"\\$SSH_ORIGINAL_COMMAND\\\"\" "+records+"/$$\n", 0o755)
	return script
}

func (w *world) typescripts() string { return filepath.Join(w.dir, "typescripts") }

// forget removes the recordings that are complete, so that the disk neither
// fills nor is still busy with them while something else is measured.
func (w *world) forget() {
	scripts, _ := filepath.Glob(filepath.Join(w.typescripts(), "*")) // the patterns are sound
	seals, _ := filepath.Glob(filepath.Join(w.gate.data, "recordings", "*", "*", "*", "*", recorder.SealName))
	for _, p := range scripts {
		os.RemoveAll(p)
	}
	for _, p := range seals {
		os.RemoveAll(filepath.Dir(p))
	}
}

// sshConfig writes the configuration of the person's ssh.
func (w *world) sshConfig(key string) string {
	known := filepath.Join(w.dir, "known_hosts")
	var hosts strings.Builder
	for name, key := range map[string]ssh.PublicKey{
		"target": w.target.key, "hop": w.jumpHost.key, "bastion": w.bastion.key, "gate": w.gate.hostKey,
	} {
		fmt.Fprintf(&hosts, "%s %s", name, ssh.MarshalAuthorizedKey(key))
	}
	writeFile(known, hosts.String(), 0o600)
	conf := filepath.Join(w.dir, "ssh_config")
	var b strings.Builder
	host := func(name, port, alias string, more ...string) {
		fmt.Fprintf(&b, "Host %s\n  Port %s\n  HostKeyAlias %s\n", name, port, alias)
		for _, m := range more {
			fmt.Fprintf(&b, "  %s\n", m)
		}
	}
	host(direct, w.target.port(), "target")
	host(jump, w.target.port(), "target", "ProxyJump hop")
	host("hop", w.jumpHost.port(), "hop")
	host(force, w.bastion.port(), "bastion")
	host(gate, w.gate.port, "gate", "User "+account+"+"+plainTarget)
	host(cappedTarget, w.gate.port, "gate", "User "+account+"+"+cappedTarget)
	fmt.Fprintf(&b, "Host *\n  HostName 127.0.0.1\n  User %s\n  IdentityFile %s\n  IdentitiesOnly yes\n  IdentityAgent none\n"+
		"  UserKnownHostsFile %s\n  StrictHostKeyChecking yes\n  LogLevel ERROR\n", account, key, known)
	writeFile(conf, b.String(), 0o600)
	return conf
}

func writeFile(path, text string, mode os.FileMode) {
	must(os.WriteFile(path, []byte(text), mode))
	must(os.Chmod(path, mode)) // whatever the umask is
}
