package conformance

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport/ca"
	"sallyport/internal/sshtest"
)

// world is what all clients share: one sshd, one gateway before it, one person.
type world struct {
	root        string // short, as paths of control sockets are; everybody may pass through
	gate        string // the gateway's binary
	port        int    // of the gateway
	key         string // alice's private key
	uid, gid    int    // of the account at the target
	big, bigSum string // a file of 64 MiB of noise, and its SHA-256
	mid, midSum string // 8 MiB
	low, lowSum string // 2 MiB, for clients that are slow
	ways        []*way
	shut        []func() // in the order of their making
}

// way is one way to the account lab of the target web1.
type way struct {
	name string

	// For clients that read an ssh_config.
	config string // its path
	dest   string // what is typed

	// For the others.
	user, host string
	port       int
	hostKey    ssh.PublicKey
	proxy      string // a command whose input and output lead to the host; "" for TCP
}

var here *world // made by TestMain

const gateConfig = `listen: 127.0.0.1:%[1]d
data_dir: %[2]s/data
users:
  - {name: alice, groups: [admins], keys: ["%[3]s"]}
targets:
  - name: web1
    address: %[4]s
    accounts: [lab]
    host_keys: ["%[5]s"]
roles:
  - name: lab
    eligible: {groups: [admins]}
    targets: {names: [web1]}
    accounts: [lab]
    max_duration: 1h
    justification: optional
    approval: auto
    channels: [shell, exec, sftp]
    env: [FOO]
limits: {sessions_per_user: 300, per_address: 300}
`

func TestMain(m *testing.M) {
	status := 1
	func() {
		w := new(world)
		defer w.end()
		defer func() {
			if err, ok := recover().(failure); ok {
				fmt.Fprintln(os.Stderr, err)
			}
		}()
		w.begin()
		here = w
		flag.Parse()
		w.check(flag.Set("test.parallel", "3")) // they wait for each other more than they compute
		status = m.Run()
	}()
	os.Exit(status)
}

// failure is how the making of the world ends when it cannot be made.
type failure struct{ error }

// builder is a sshtest.TB for what lives as long as the test binary.
type builder struct{ *world }

func (b builder) Helper()                   {}
func (b builder) Cleanup(f func())          { b.shut = append(b.shut, f) }
func (b builder) Fatalf(f string, a ...any) { panic(failure{fmt.Errorf(f, a...)}) }
func (b builder) TempDir() string {
	dir, err := os.MkdirTemp(b.root, "d")
	b.check(err)
	return dir
}

func (w *world) check(err error) {
	if err != nil {
		panic(failure{err})
	}
}

func (w *world) end() {
	for i := len(w.shut) - 1; i >= 0; i-- {
		w.shut[i]()
	}
}

// begin builds the gateway, starts it before an sshd and gets alice her grant.
func (w *world) begin() {
	var err error
	w.root, err = os.MkdirTemp("", "conf")
	w.check(err)
	w.shut = append(w.shut, func() { os.RemoveAll(w.root) })
	w.check(os.Chmod(w.root, 0o711))
	tb := builder{w}

	w.gate = filepath.Join(w.root, "sallyport")
	if out, err := exec.Command("go", "build", "-o", w.gate, "sallyport/cmd/sallyport").CombinedOutput(); err != nil {
		tb.Fatalf("go build: %v\n%s", err, out)
	}
	keysDir := filepath.Join(w.root, "data", "keys")
	w.check(os.Mkdir(filepath.Join(w.root, "data"), 0o700))
	_, err = ca.Init(keysDir, rand.Reader)
	w.check(err)
	keys, err := ca.Load(keysDir)
	w.check(err)

	var alice string
	w.key, alice, _ = sshtest.NewKey(tb)
	sshd := sshtest.StartSSHD(tb, sshtest.Options{
		UserCA: []ssh.PublicKey{keys.UserCA.PublicKey()}, AuthorizedKeys: []string{alice},
	})
	lab, err := user.Lookup("lab")
	w.check(err)
	w.uid, err = strconv.Atoi(lab.Uid)
	w.check(err)
	w.gid, err = strconv.Atoi(lab.Gid)
	w.check(err)

	w.port = sshtest.FreePort(tb)
	config := filepath.Join(w.root, "sallyport.yaml")
	w.check(os.WriteFile(config, fmt.Appendf(nil, gateConfig, w.port, w.root, alice, sshd.Addr(), sshd.HostKey()), 0o600))
	w.serve(config)
	w.lead(sshd, keys)
	w.noise()

	cmd := exec.Command("ssh", "-n", "-F", w.ways[1].config, "gate", "request", "create", "lab@web1", "--for", "1h")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("request create: %v\n%s", err, out)
	}
}

// serve runs the gateway until the end of the world.
func (w *world) serve(config string) {
	tb := builder{w}
	var log bytes.Buffer
	cmd := exec.Command(w.gate, "serve", "--config", config)
	cmd.Stdout, cmd.Stderr = &log, &log
	w.check(cmd.Start())
	gone := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(gone)
	}()
	w.shut = append(w.shut, func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-gone:
		case <-time.After(5 * time.Second): // somebody is still in: a test has failed
			_ = cmd.Process.Kill()
			<-gone
		}
	})
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(w.port))
	for tick, tries := time.NewTicker(10*time.Millisecond), 0; ; <-tick.C {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-gone:
			tb.Fatalf("the gateway does not start:\n%s", &log)
		default:
		}
		if tries++; tries > 2000 {
			tb.Fatalf("the gateway does not answer: %v", err)
		}
	}
}

// lead writes the ways to the target.
func (w *world) lead(sshd *sshtest.SSHD, keys *ca.Keys) {
	hostKey, _, _, _, err := ssh.ParseAuthorizedKey([]byte(sshd.HostKey()))
	w.check(err)
	_, port, err := net.SplitHostPort(sshd.Addr())
	w.check(err)
	sshdPort, err := strconv.Atoi(port)
	w.check(err)

	known := func(name string, lines ...string) string {
		path := filepath.Join(w.root, "known_hosts."+name)
		w.check(os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644))
		return path
	}
	all := "Host *\n  IdentityFile " + w.key + "\n  IdentitiesOnly yes\n  IdentityAgent none\n  StrictHostKeyChecking yes\n" +
		"  GlobalKnownHostsFile none\n  UpdateHostKeys no\n  BatchMode yes\n" +
		// An sshd prefers sntrup761, which takes the client longer than all the rest; ssh/options has it.
		"  KexAlgorithms curve25519-sha256\n"
	config := func(name, text string) string {
		path := filepath.Join(w.root, name+".conf")
		w.check(os.WriteFile(path, []byte(text+all), 0o644))
		return path
	}
	gateKey := sshtest.AuthorizedLine(keys.HostKey.PublicKey())
	gate := fmt.Sprintf("Host gate\n  HostName 127.0.0.1\n  Port %d\n  HostKeyAlias gate\n  UserKnownHostsFile %s\n",
		w.port, known("gate", "gate "+gateKey))

	direct := &way{
		name: "direct", dest: "lab@web1",
		config: config("direct", fmt.Sprintf("Host web1\n  HostName 127.0.0.1\n  Port %d\n  HostKeyAlias web1\n  UserKnownHostsFile %s\n"+
			"  Ciphers ^aes128-gcm@openssh.com\n", // cheaper than its first
			sshdPort, known("direct", "web1 "+sshd.HostKey()))),
		user: "lab", host: "127.0.0.1", port: sshdPort, hostKey: hostKey,
	}
	plus := &way{
		name: "plus", dest: "lab+web1@gate", config: config("plus", gate),
		user: "lab+web1", host: "127.0.0.1", port: w.port, hostKey: keys.HostKey.PublicKey(),
	}
	// The jump is set up as users set it up, by what the gateway prints for them.
	says := func(words ...string) string {
		out, err := exec.Command("ssh", append([]string{"-n", "-F", plus.config, "gate"}, words...)...).Output()
		w.check(err)
		return string(out)
	}
	jump := &way{
		name: "jump", dest: "lab@web1",
		user: "lab", host: "web1", port: 22, hostKey: keys.HostKey.PublicKey(),
	}
	jump.config = config("jump", gate+says("config")+"  UserKnownHostsFile "+known("jump", says("config", "--known-hosts"))+"\n")
	jump.proxy = "ssh -F " + jump.config + " -W web1:22 gate"
	w.ways = []*way{direct, plus, jump}
}

// noise writes files that no compression makes smaller.
func (w *world) noise() {
	block := make([]byte, 64<<20)
	_, err := rand.Read(block)
	w.check(err)
	file := func(name string, size int) (path, sum string) {
		path = filepath.Join(w.root, name)
		w.check(os.WriteFile(path, block[:size], 0o644))
		return path, fmt.Sprintf("%x", sha256.Sum256(block[:size]))
	}
	w.big, w.bigSum = file("big", len(block))
	w.mid, w.midSum = file("mid", 8<<20)
	w.low, w.lowSum = file("low", 2<<20)
}

// exitStatus is what a shell would have in $?.
func exitStatus(err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case !errors.As(err, &exit):
		return 0, err
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return exit.ExitCode(), nil
}
