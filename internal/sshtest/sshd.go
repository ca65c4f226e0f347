package sshtest

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	sshdPath = "/usr/sbin/sshd"
	patience = 10 * time.Second // for sshd to start, to stop, or to log a line
)

// Options describe an sshd. The zero value has the account lab and lets nobody in.
type Options struct {
	UserCA         []ssh.PublicKey // TrustedUserCAKeys
	HostCA         ssh.Signer      // signs a host certificate, when set
	HostPrincipals []string        // of the host certificate; nil: 127.0.0.1 and localhost
	AuthorizedKeys []string        // lines that let in to every account
	Accounts       []string        // made when missing, unprivileged; nil: lab
	InternalSFTP   bool            // sftp inside sshd, not /usr/lib/openssh/sftp-server
	Extra          []string        // further lines of sshd_config
}

// SSHD is a running OpenSSH server on loopback. Its methods are safe for
// concurrent use.
type SSHD struct {
	addr    string
	hostKey ssh.Signer
	cmd     *exec.Cmd
	exited  chan struct{} // closed when the listener is gone
	silent  chan struct{} // closed when its sessions are gone too
	stop    sync.Once

	mu   sync.Mutex
	log  strings.Builder
	more chan struct{} // closed and replaced at each line
}

// StartSSHD starts Debian's sshd with a configuration of its own and returns
// when it listens. It must run as root. The test's cleanup stops it.
func StartSSHD(t TB, o Options) *SSHD {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatalf("sshtest: a real sshd needs root, to log in as another account")
	}
	if _, err := os.Stat(sshdPath); err != nil {
		t.Fatalf("sshtest: no sshd: run scripts/prepare.sh: %v", err)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // sshd's privilege separation directory
		t.Fatalf("sshtest: %v", err)
	}
	if o.Accounts == nil {
		o.Accounts = []string{"lab"}
	}
	if err := ensureAccounts(o.Accounts); err != nil {
		t.Fatalf("sshtest: %v", err)
	}
	dir := t.TempDir()
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatalf("sshtest: make a host key: %v", err)
	}
	hostKey := signerOf(t, priv)
	writeFile(t, filepath.Join(dir, "host_key"), privatePEM(t, priv))
	config := configure(t, dir, hostKey, o)

	// sshd cannot listen on port 0, so another process may be faster.
	for try := 1; ; try++ {
		s, err := start(config, FreePort(t), hostKey)
		if err == nil {
			t.Cleanup(s.Stop)
			return s
		}
		if try == 5 || !strings.Contains(err.Error(), "Address already in use") {
			t.Fatalf("sshtest: %v", err)
		}
	}
}

// configure writes what sshd reads and returns the path of its configuration.
func configure(t TB, dir string, hostKey ssh.Signer, o Options) string {
	t.Helper()
	sftp := "/usr/lib/openssh/sftp-server"
	if o.InternalSFTP {
		sftp = "internal-sftp"
	}
	lines := []string{
		"HostKey " + filepath.Join(dir, "host_key"),
		"PidFile none", "LogLevel VERBOSE", "UsePAM no", "StrictModes no",
		"PermitRootLogin yes", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
		"MaxStartups 1000", "MaxSessions 100", "LoginGraceTime 20", "UseDNS no", "PrintMotd no", "PrintLastLog no",
		"AcceptEnv LANG LC_* FOO",
		"Subsystem sftp " + sftp,
	}
	// One list of keys in one file: where the file is empty, nobody gets in by it.
	list := func(option, name string, keys []string) {
		path := filepath.Join(dir, name)
		if len(keys) == 0 {
			path = "none"
		} else {
			writeFile(t, path, strings.Join(keys, "\n")+"\n")
			readableByAll(t, path)
		}
		lines = append(lines, option+" "+path)
	}
	var cas []string
	for _, ca := range o.UserCA {
		cas = append(cas, AuthorizedLine(ca))
	}
	list("TrustedUserCAKeys", "user_ca.pub", cas)
	list("AuthorizedKeysFile", "authorized_keys", o.AuthorizedKeys)
	if o.HostCA != nil {
		path := filepath.Join(dir, "host_key-cert.pub")
		writeFile(t, path, AuthorizedLine(hostCertificate(t, hostKey.PublicKey(), o))+"\n")
		lines = append(lines, "HostCertificate "+path)
	}
	path := filepath.Join(dir, "sshd_config")
	// sshd takes the first value of an option, and a Match block lasts to the end.
	single, match := o.Extra, []string(nil)
	for i, l := range o.Extra {
		if strings.HasPrefix(strings.ToLower(strings.TrimSpace(l)), "match ") {
			single, match = o.Extra[:i], o.Extra[i:]
			break
		}
	}
	all := append(append(append([]string{}, single...), lines...), match...)
	writeFile(t, path, strings.Join(all, "\n")+"\n")
	return path
}

func hostCertificate(t TB, key ssh.PublicKey, o Options) ssh.PublicKey {
	t.Helper()
	if o.HostPrincipals == nil {
		o.HostPrincipals = []string{"127.0.0.1", "localhost"}
	}
	c := &ssh.Certificate{
		Key: key, CertType: ssh.HostCert, KeyId: "sshtest", ValidPrincipals: o.HostPrincipals,
		ValidBefore: ssh.CertTimeInfinity,
	}
	if err := c.SignCert(rand.Reader, o.HostCA); err != nil {
		t.Fatalf("sshtest: sign the host certificate: %v", err)
	}
	return c
}

// readableByAll opens a file and its directory: sshd reads authorized keys with
// the rights of the account that logs in.
func readableByAll(t TB, path string) {
	t.Helper()
	for dir := filepath.Dir(path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		fi, err := os.Stat(dir)
		if err == nil {
			err = os.Chmod(dir, fi.Mode().Perm()|0o011)
		}
		if err != nil {
			t.Fatalf("sshtest: %v", err)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatalf("sshtest: %v", err)
	}
}

// start runs one sshd and returns when it listens.
func start(config string, port int, hostKey ssh.Signer) (*SSHD, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s := &SSHD{addr: addr, hostKey: hostKey, exited: make(chan struct{}), silent: make(chan struct{}), more: make(chan struct{})}
	// -r: it does not execute itself anew for each connection, which costs as
	// much as half a login.
	s.cmd = exec.Command(sshdPath, "-D", "-e", "-r", "-f", config, "-o", "ListenAddress="+addr)
	s.cmd.Stderr = w
	if err := s.cmd.Start(); err != nil {
		r.Close()
		return nil, fmt.Errorf("start sshd: %w", err)
	}
	go s.follow(r)
	go func() {
		_ = s.cmd.Wait() // the log says why
		close(s.exited)
	}()
	if err := s.await("Server listening on "); err != nil {
		s.Stop()
		return nil, fmt.Errorf("sshd does not listen: %w", err)
	}
	return s, nil
}

// follow collects the log until the last process of this sshd has gone.
func (s *SSHD) follow(r io.ReadCloser) {
	defer close(s.silent)
	defer r.Close()
	for in := bufio.NewReader(r); ; {
		line, err := in.ReadString('\n')
		s.mu.Lock()
		s.log.WriteString(line)
		close(s.more)
		s.more = make(chan struct{})
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Addr returns host:port.
func (s *SSHD) Addr() string { return s.addr }

// HostKey returns the host key as a line of an authorized_keys file.
func (s *SSHD) HostKey() string { return AuthorizedLine(s.hostKey.PublicKey()) }

// Log returns what sshd has logged so far, at LogLevel VERBOSE.
func (s *SSHD) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// WaitLog returns when the log contains text; the test fails when that takes
// longer than ten seconds.
func (s *SSHD) WaitLog(t TB, text string) {
	t.Helper()
	if err := s.await(text); err != nil {
		t.Fatalf("sshtest: %v", err)
	}
}

func (s *SSHD) await(text string) error {
	timeout := time.After(patience)
	for {
		s.mu.Lock()
		log, more := s.log.String(), s.more
		s.mu.Unlock()
		if strings.Contains(log, text) {
			return nil
		}
		select {
		case <-more:
		case <-s.silent:
			if s.Log() == log {
				return fmt.Errorf("sshd ended and never logged %q:\n%s", text, log)
			}
		case <-timeout:
			return fmt.Errorf("sshd did not log %q within %v:\n%s", text, patience, log)
		}
	}
}

// Stop ends the listener and every session under it at once, as a host that
// goes down. It returns when the listener is gone, and may be called again.
func (s *SSHD) Stop() {
	s.stop.Do(func() {
		// Sessions run in process groups of their own: end the listener's descendants.
		for _, pid := range append([]int{s.cmd.Process.Pid}, descendants(s.cmd.Process.Pid)...) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				panic(err) // root may kill
			}
		}
	})
	<-s.exited
}

// descendants lists the processes below pid.
func descendants(pid int) []int {
	children := map[int][]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		panic(err) // the pattern is constant
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		// pid (name) state ppid …; the name may contain anything.
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(fields) < 2 {
			continue
		}
		child, err1 := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parent, err2 := strconv.Atoi(fields[1])
		if err1 == nil && err2 == nil {
			children[parent] = append(children[parent], child)
		}
	}
	all := children[pid]
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}
