// Package sshtest brings the far side of the gateway to tests and to the demo:
// a real OpenSSH sshd (SSHD) and a target inside the process (Target).
package sshtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// TB is the part of testing.TB that this package needs. It keeps package
// testing out of the sallyport binary, whose demo uses Target.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
	TempDir() string
}

// NewSigner returns a fresh ed25519 key.
func NewSigner(t TB) ssh.Signer {
	t.Helper()
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatalf("sshtest: make a key: %v", err)
	}
	return signerOf(t, priv)
}

// NewKey makes an ed25519 key pair in a directory of the test: the private key
// (0600) at privPath and the public one beside it with the suffix .pub, as
// ssh -i takes them. authorizedLine has no comment and no newline.
func NewKey(t TB) (privPath, authorizedLine string, signer ssh.Signer) {
	t.Helper()
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatalf("sshtest: make a key: %v", err)
	}
	signer = signerOf(t, priv)
	privPath = filepath.Join(t.TempDir(), "id_ed25519")
	authorizedLine = AuthorizedLine(signer.PublicKey())
	writeFile(t, privPath, privatePEM(t, priv))
	writeFile(t, privPath+".pub", authorizedLine+"\n")
	return privPath, authorizedLine, signer
}

// AuthorizedLine returns the key as a line of an authorized_keys file, without
// a comment and without a newline.
func AuthorizedLine(pub ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub)))
}

// FreePort returns a TCP port of 127.0.0.1 that was free a moment ago. Another
// process may take it first: whoever can listen on port 0 should.
func FreePort(t TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("sshtest: find a free port: %v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func signerOf(t TB, priv ed25519.PrivateKey) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(priv)
	if err != nil {
		t.Fatalf("sshtest: make a signer: %v", err)
	}
	return s
}

func privatePEM(t TB, priv ed25519.PrivateKey) string {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(priv, "")
	if err != nil {
		t.Fatalf("sshtest: encode a key: %v", err)
	}
	return string(pem.EncodeToMemory(block))
}

func writeFile(t TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatalf("sshtest: %v", err)
	}
}
