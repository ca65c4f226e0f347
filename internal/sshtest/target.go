package sshtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	glssh "github.com/gliderlabs/ssh"
	"golang.org/x/crypto/ssh"
)

// TargetConfig describes a target inside the process.
type TargetConfig struct {
	UserCA   ssh.PublicKey // the only authority for user certificates; required
	HostKey  ssh.Signer    // or a host certificate's signer; required
	Accounts []string      // the logins that exist; all run as this process's user
	Shell    string        // "": /bin/bash
	Dir      string        // HOME and working directory of every account, with its .profile; "": /
	Env      []string      // further variables of every session; what /etc/profile sets, it sets again
	Log      io.Writer     // one line per event, in sshd's words; nil: none
	Now      func() time.Time
}

// Target is an SSH server that behaves as sshd does where the gateway can see
// it: certificates of one authority, a real shell or command per session, a
// pty, windows, signals, exit-status and exit-signal, a forced command. It has no sftp and no
// forwards, and ignores terminal modes. Safe for concurrent use.
type Target struct {
	cfg      TargetConfig
	listener net.Listener
	server   *glssh.Server
	served   chan struct{}
	sessions sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	accepted int
	conns    map[net.Conn]bool
	running  map[*exec.Cmd]bool
	logging  sync.Mutex
}

// NewTarget listens on a free port of 127.0.0.1 and serves until Close.
func NewTarget(cfg TargetConfig) (*Target, error) {
	switch {
	case cfg.UserCA == nil || cfg.HostKey == nil:
		return nil, errors.New("sshtest: a target needs a user CA and a host key")
	case isCertificate(cfg.UserCA):
		return nil, errors.New("sshtest: a certificate is no authority")
	}
	if cfg.Shell == "" {
		cfg.Shell = "/bin/bash"
	}
	if cfg.Dir == "" {
		cfg.Dir = "/"
	}
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &Target{
		cfg: cfg, listener: l, served: make(chan struct{}),
		conns: map[net.Conn]bool{}, running: map[*exec.Cmd]bool{},
	}
	t.server = &glssh.Server{
		HostSigners:          []glssh.Signer{cfg.HostKey},
		Version:              "sallyport_target",
		ServerConfigCallback: func(glssh.Context) *ssh.ServerConfig { return t.serverConfig() },
		ChannelHandlers: map[string]glssh.ChannelHandler{
			// Not gliderlabs' own: it rewrites newlines, drops exit signals and
			// blocks its request loop on the second window change.
			"session": func(_ *glssh.Server, conn *ssh.ServerConn, nc ssh.NewChannel, _ glssh.Context) {
				t.session(conn, nc)
			},
		},
		RequestHandlers:   map[string]glssh.RequestHandler{},
		SubsystemHandlers: map[string]glssh.SubsystemHandler{},
	}
	go func() {
		defer close(t.served)
		_ = t.server.Serve(counting{l, t}) // ends by Close, with the listener's error
	}()
	return t, nil
}

// Addr returns host:port.
func (t *Target) Addr() string { return t.listener.Addr().String() }

// HostKey returns the host key as a line of an authorized_keys file.
func (t *Target) HostKey() string { return AuthorizedLine(t.cfg.HostKey.PublicKey()) }

// Connections returns how many TCP connections were ever accepted.
func (t *Target) Connections() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.accepted
}

// Close cuts every connection, kills what runs in the sessions and returns when
// all of it is gone. It may be called again.
func (t *Target) Close() error {
	t.mu.Lock()
	first := !t.closed
	t.closed = true
	for c := range t.conns {
		c.Close()
	}
	for cmd := range t.running {
		// The group of a session leader that has not been waited for is still its own.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	t.mu.Unlock()
	var err error
	if first {
		err = t.listener.Close()
		_ = t.server.Close() // the listener again
	}
	<-t.served
	t.sessions.Wait()
	return err
}

func (t *Target) logf(format string, args ...any) {
	t.logging.Lock()
	defer t.logging.Unlock()
	fmt.Fprintf(t.cfg.Log, format+"\n", args...)
}

func (t *Target) serverConfig() *ssh.ServerConfig {
	return &ssh.ServerConfig{
		PublicKeyCallback: t.authenticate,
		// gliderlabs turns NoClientAuth on, because its own three handlers are nil.
		NoClientAuthCallback: func(ssh.ConnMetadata) (*ssh.Permissions, error) {
			return nil, errors.New("a certificate is required")
		},
		VerifiedPublicKeyCallback: t.verified,
	}
}

// authenticate judges a certificate that was offered; x/crypto enforces
// source-address from the permissions that it returns.
func (t *Target) authenticate(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	if !slices.Contains(t.cfg.Accounts, conn.User()) {
		return nil, fmt.Errorf("no account %q", conn.User())
	}
	// CheckCert takes a certificate without principals for every account.
	if c, ok := key.(*ssh.Certificate); ok && len(c.ValidPrincipals) == 0 {
		return nil, errors.New("the certificate names no principal")
	}
	checker := ssh.CertChecker{
		Clock: t.cfg.Now, SupportedCriticalOptions: []string{forceCommand},
		IsUserAuthority: func(auth ssh.PublicKey) bool {
			return !isCertificate(auth) && bytes.Equal(auth.Marshal(), t.cfg.UserCA.Marshal())
		},
	}
	perms, err := checker.Authenticate(conn, key)
	if err != nil {
		t.logf("Refused certificate for %q from %s: %v", conn.User(), conn.RemoteAddr(), err)
		return nil, err
	}
	return perms, nil
}

// verified logs the certificate that signed, in the words of sshd.
func (t *Target) verified(conn ssh.ConnMetadata, key ssh.PublicKey, perms *ssh.Permissions, _ string) (*ssh.Permissions, error) {
	if c, ok := key.(*ssh.Certificate); ok {
		t.logf("Accepted publickey for %s from %s: %s ID %q (serial %d) CA %s", conn.User(), conn.RemoteAddr(),
			ssh.FingerprintSHA256(c.Key), c.KeyId, c.Serial, ssh.FingerprintSHA256(c.SignatureKey))
	}
	return perms, nil
}

func isCertificate(k ssh.PublicKey) bool {
	_, ok := k.(*ssh.Certificate)
	return ok
}

// counting counts and keeps the connections of a target.
type counting struct {
	net.Listener
	t *Target
}

func (l counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	l.t.accepted++
	if l.t.closed {
		c.Close()
	} else {
		l.t.conns[c] = true
	}
	return counted{c, l.t}, nil
}

type counted struct {
	net.Conn
	t *Target
}

func (c counted) Close() error {
	c.t.mu.Lock()
	delete(c.t.conns, c.Conn)
	c.t.mu.Unlock()
	return c.Conn.Close()
}
