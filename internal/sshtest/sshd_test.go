package sshtest_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport/internal/sshtest"
)

// userCert returns a signer that presents a certificate for lab, changed by f.
func userCert(t *testing.T, ca ssh.Signer, f func(*ssh.Certificate)) ssh.Signer {
	t.Helper()
	key := sshtest.NewSigner(t)
	c := &ssh.Certificate{
		Key: key.PublicKey(), CertType: ssh.UserCert, KeyId: "sallyport session=s1 user=alice grant=g1", Serial: 7,
		ValidPrincipals: []string{"lab"}, ValidBefore: uint64(time.Now().Add(time.Minute).Unix()),
		Permissions: ssh.Permissions{
			CriticalOptions: map[string]string{"source-address": "127.0.0.1/32"},
			Extensions:      map[string]string{"permit-pty": ""},
		},
	}
	if f != nil {
		f(c)
	}
	if err := c.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewCertSigner(c, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// dial connects as account and checks the host key line.
func dial(t *testing.T, addr, hostKey, account string, auth ...ssh.Signer) (*ssh.Client, error) {
	t.Helper()
	pub, _, _, _, err := ssh.ParseAuthorizedKey([]byte(hostKey))
	if err != nil {
		t.Fatal(err)
	}
	cfg := &ssh.ClientConfig{User: account, HostKeyCallback: ssh.FixedHostKey(pub), Timeout: 10 * time.Second}
	if len(auth) > 0 {
		cfg.Auth = []ssh.AuthMethod{ssh.PublicKeys(auth...)}
	}
	c, err := ssh.Dial("tcp", addr, cfg)
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func TestSSHDStockClient(t *testing.T) {
	key, line, _ := sshtest.NewKey(t)
	hostCA := sshtest.NewSigner(t)
	// Registered first, so that it runs when sshd has stopped.
	t.Cleanup(func() {
		if out, err := exec.Command("userdel", "-f", "-r", "sshtmp").CombinedOutput(); err != nil {
			t.Errorf("userdel: %v: %s", err, out)
		}
	})
	d := sshtest.StartSSHD(t, sshtest.Options{
		HostCA: hostCA, AuthorizedKeys: []string{line}, Accounts: []string{"lab", "sshtmp"}, InternalSFTP: true,
		Extra: []string{"Banner none", "Match User sshtmp", "ForceCommand echo forced"},
	})
	dir := t.TempDir()
	host, port, _ := strings.Cut(d.Addr(), ":")
	exact := filepath.Join(dir, "exact")
	byCA := filepath.Join(dir, "ca")
	for path, content := range map[string]string{
		exact: fmt.Sprintf("[%s]:%s %s\n", host, port, d.HostKey()),
		byCA:  fmt.Sprintf("@cert-authority * %s\n", sshtest.AuthorizedLine(hostCA.PublicKey())),
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	options := func(known string) []string {
		return []string{
			"-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
			"-o", "UserKnownHostsFile=" + known, "-o", "StrictHostKeyChecking=yes",
		}
	}
	tests := []struct {
		name, known, account, algorithm, want string
	}{
		{"host key", exact, "lab", "ssh-ed25519", "lab:FOO=bar"},
		{"host certificate", byCA, "lab", "ssh-ed25519-cert-v01@openssh.com", "lab:FOO=bar"},
		{"new account and Match block", exact, "sshtmp", "ssh-ed25519", "forced"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := append(options(tt.known), "-p", port, "-o", "SetEnv=FOO=bar", "-o", "HostKeyAlgorithms="+tt.algorithm,
				tt.account+"@"+host, "echo $(id -un):FOO=$FOO")
			out, err := exec.Command("ssh", args...).CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != tt.want {
				t.Errorf("ssh said %q, %v; want %q\n%s", out, err, tt.want, d.Log())
			}
		})
	}
	t.Run("sftp", func(t *testing.T) {
		cmd := exec.Command("sftp", append(options(exact), "-q", "-b", "-", "-P", port, "lab@"+host)...)
		cmd.Stdin = strings.NewReader("pwd\n")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "/home/lab") {
			t.Errorf("sftp said %q, %v", out, err)
		}
	})
}

func TestSSHDCertificates(t *testing.T) {
	ca := sshtest.NewSigner(t)
	d := sshtest.StartSSHD(t, sshtest.Options{UserCA: []ssh.PublicKey{sshtest.NewSigner(t).PublicKey(), ca.PublicKey()}})
	c, err := dial(t, d.Addr(), d.HostKey(), "lab", userCert(t, ca, nil))
	if err != nil {
		t.Fatalf("%v\n%s", err, d.Log())
	}
	d.WaitLog(t, `ID sallyport session=s1 user=alice grant=g1 (serial 7) CA`)
	if _, err := dial(t, d.Addr(), d.HostKey(), "lab", sshtest.NewSigner(t)); err == nil {
		t.Error("a key without a certificate got in")
	}

	// Stop is a host that goes down: live sessions end with it.
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("echo up; exec sleep 1000"); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	d.Stop()
	d.Stop()
	if err := s.Wait(); err == nil {
		t.Error("the session ended well after its host went down")
	}
	if _, err := dial(t, d.Addr(), d.HostKey(), "lab", userCert(t, ca, nil)); err == nil {
		t.Error("the stopped sshd took a connection")
	}
}
