package ca

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"

	"sallyport"
)

var now = time.Date(2026, 5, 4, 10, 0, 0, 500, time.UTC)

func clock() time.Time { return now }

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func goodRequest() Request {
	return Request{
		Account: "root", Session: "abcdefghijkl", User: "alice", Grant: "mnopqrstuvwx",
		SourceAddress: []string{"10.0.0.5"}, Life: 2 * time.Minute, NotAfter: now.Add(time.Hour),
	}
}

func TestIssue(t *testing.T) {
	// Threat G7: a certificate that can more than its session needs, or that
	// the target's log cannot be traced back from.
	a := &Authority{Signer: newSigner(t), Now: clock}
	signer, cert, err := a.Issue(goodRequest())
	if err != nil {
		t.Fatal(err)
	}
	if got := cert.KeyId; got != "sallyport session=abcdefghijkl user=alice grant=mnopqrstuvwx" {
		t.Errorf("key id %q", got)
	}
	if want, _ := sallyport.IDSerial("abcdefghijkl"); cert.Serial != want {
		t.Errorf("serial %d, want %d", cert.Serial, want)
	}
	if len(cert.ValidPrincipals) != 1 || cert.ValidPrincipals[0] != "root" {
		t.Errorf("principals %q", cert.ValidPrincipals)
	}
	if len(cert.Extensions) != 0 {
		t.Errorf("extensions %v for a session without a terminal", cert.Extensions)
	}
	if len(cert.CriticalOptions) != 1 || cert.CriticalOptions["source-address"] != "10.0.0.5" {
		t.Errorf("critical options %v", cert.CriticalOptions)
	}
	if d := now.Unix() - int64(cert.ValidAfter); d < 0 || d > 60 {
		t.Errorf("backdated by %d s", d)
	}
	if signer.PublicKey().Type() != ssh.CertAlgoED25519v01 {
		t.Errorf("the signer presents %s", signer.PublicKey().Type())
	}
	checker := ssh.CertChecker{Clock: clock, SupportedCriticalOptions: []string{"source-address"}}
	if err := checker.CheckCert("root", cert); err != nil {
		t.Error(err)
	}

	r := goodRequest()
	r.PTY, r.ForceCommand = true, "uptime"
	_, second, err := a.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := second.Extensions["permit-pty"]; !ok || len(second.Extensions) != 1 {
		t.Errorf("extensions %v for a session with a terminal", second.Extensions)
	}
	if second.CriticalOptions["force-command"] != "uptime" {
		t.Errorf("critical options %v", second.CriticalOptions)
	}
	if bytes.Equal(cert.Key.Marshal(), second.Key.Marshal()) {
		t.Error("two sessions share a key")
	}
}

func TestIssueRefusesPrincipals(t *testing.T) {
	// Threats A4 and A5: an empty list is "anybody" to x/crypto and to sshd
	// before 10.3; a comma inside a principal is split into two by sshd before
	// 10.3; sshd 9.2 reads "root\0" as root; a wildcard may match more.
	a := &Authority{Signer: newSigner(t), Now: clock}
	for _, account := range []string{
		"", "deploy,root", ",root", "root\x00", "ro ot", " root", "root\n", "*", "ro?t", "root\t", "rööt", "-oProxyCommand=x",
		"root;id", strings.Repeat("a", 65),
	} {
		r := goodRequest()
		r.Account = account
		if signer, cert, err := a.Issue(r); err == nil || signer != nil || cert != nil {
			t.Errorf("the CA signs the principal %q", account)
		}
	}
	for _, account := range []string{"root", "svc@corp", "www-data", "a.b_c"} {
		r := goodRequest()
		r.Account = account
		if _, _, err := a.Issue(r); err != nil {
			t.Errorf("the CA refuses %q: %v", account, err)
		}
	}
}

func TestIssueRefusesLives(t *testing.T) {
	// Threat G5: a life of zero, below zero, too long, or so long that the sum
	// overflows into the past or into "for ever"; a grant that has ended or has
	// no end; a clock that jumped.
	for name, change := range map[string]func(*Request, *Authority){
		"zero":           func(r *Request, _ *Authority) { r.Life = 0 },
		"negative":       func(r *Request, _ *Authority) { r.Life = -time.Minute },
		"below a second": func(r *Request, _ *Authority) { r.Life = time.Second - 1 },
		"too long":       func(r *Request, _ *Authority) { r.Life = 2*time.Minute + 1 },
		"overflow":       func(r *Request, _ *Authority) { r.Life = math.MaxInt64 },
		"smallest":       func(r *Request, _ *Authority) { r.Life = math.MinInt64 },
		"no grant end":   func(r *Request, _ *Authority) { r.NotAfter = time.Time{} },
		"grant ended":    func(r *Request, _ *Authority) { r.NotAfter = now.Add(-time.Second) },
		"grant ends now": func(r *Request, _ *Authority) { r.NotAfter = now },
		"clock of 1960":  func(_ *Request, a *Authority) { a.Now = func() time.Time { return time.Unix(-300e6, 0) } },
		"clock of zero":  func(_ *Request, a *Authority) { a.Now = func() time.Time { return time.Unix(1, 0) } },
		"overflow, no limit": func(r *Request, a *Authority) {
			r.Life, a.MaxLife = math.MaxInt64, math.MaxInt64
			a.Now = func() time.Time { return time.Unix(math.MaxInt64-1, 0) }
			r.NotAfter = time.Unix(math.MaxInt64, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, r := &Authority{Signer: newSigner(t), Now: clock}, goodRequest()
			change(&r, a)
			if _, cert, err := a.Issue(r); err == nil {
				t.Errorf("signed from %d to %d", cert.ValidAfter, cert.ValidBefore)
			}
		})
	}
}

func TestLifeIsNeverLonger(t *testing.T) {
	a := &Authority{Signer: newSigner(t)}
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(1e9, 4e9).Draw(t, "now"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		r := goodRequest()
		r.Life = time.Duration(rapid.Int64Range(-1e9, 200e9).Draw(t, "life"))
		r.NotAfter = at.Add(time.Duration(rapid.Int64Range(-10e9, 300e9).Draw(t, "left")))
		a := &Authority{Signer: a.Signer, Now: func() time.Time { return at }}
		_, cert, err := a.Issue(r)
		if err != nil {
			return
		}
		end := time.Unix(int64(cert.ValidBefore), 0)
		if end.After(r.NotAfter) || end.After(at.Add(r.Life)) || end.After(at.Add(DefaultMaxLife)) {
			t.Fatalf("valid until %v at %v for %v", end, at, r)
		}
		if cert.ValidAfter >= cert.ValidBefore || at.Sub(time.Unix(int64(cert.ValidAfter), 0)) > 61*time.Second {
			t.Fatalf("valid from %d to %d at %v", cert.ValidAfter, cert.ValidBefore, at)
		}
	})
}

func TestIssueRefusesTheRest(t *testing.T) {
	// Log injection through the key id, certificates that work from anywhere,
	// forced commands of two lines, a CA without a key.
	for name, change := range map[string]func(*Request, *Authority){
		"user with a blank":    func(r *Request, _ *Authority) { r.User = "alice grant=x" },
		"no user":              func(r *Request, _ *Authority) { r.User = "" },
		"grant with a newline": func(r *Request, _ *Authority) { r.Grant = "x\nAccepted publickey for root" },
		"no grant":             func(r *Request, _ *Authority) { r.Grant = "" },
		"no session":           func(r *Request, _ *Authority) { r.Session = "" },
		"half a session id":    func(r *Request, _ *Authority) { r.Session = "abc" },
		"no source":            func(r *Request, _ *Authority) { r.SourceAddress = nil },
		"any IPv4":             func(r *Request, _ *Authority) { r.SourceAddress = []string{"0.0.0.0/0"} },
		"any IPv6":             func(r *Request, _ *Authority) { r.SourceAddress = []string{"::/0"} },
		"unspecified":          func(r *Request, _ *Authority) { r.SourceAddress = []string{"0.0.0.0"} },
		"negation":             func(r *Request, _ *Authority) { r.SourceAddress = []string{"!10.0.0.5"} },
		"two in one":           func(r *Request, _ *Authority) { r.SourceAddress = []string{"10.0.0.5,0.0.0.0/0"} },
		"empty source":         func(r *Request, _ *Authority) { r.SourceAddress = []string{""} },
		"two lines":            func(r *Request, _ *Authority) { r.ForceCommand = "true\nid" },
		"NUL":                  func(r *Request, _ *Authority) { r.ForceCommand = "true\x00id" },
		"no key":               func(_ *Request, a *Authority) { a.Signer = nil },
	} {
		t.Run(name, func(t *testing.T) {
			a, r := &Authority{Signer: newSigner(t), Now: clock}, goodRequest()
			change(&r, a)
			if _, _, err := a.Issue(r); err == nil {
				t.Error("the CA signs it")
			}
		})
	}
}

func TestSourceAddress(t *testing.T) {
	got, err := sourceAddress([]string{"10.0.0.5", "::ffff:10.0.0.6", "10.1.2.3/24", "fe80::1%eth0", "2001:db8::1"})
	if want := "10.0.0.5,10.0.0.6,10.1.2.0/24,fe80::1,2001:db8::1"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestCertificateIsNoAuthority(t *testing.T) {
	// Threat A3 (CVE-2025-49825): a certificate signed by the CA is used to sign
	// another one, with any principal.
	a := &Authority{Signer: newSigner(t), Now: clock}
	nested, _, err := a.Issue(goodRequest())
	if err != nil {
		t.Fatal(err)
	}
	b := &Authority{Signer: nested, Now: clock}
	if _, _, err := b.Issue(goodRequest()); err == nil {
		t.Error("a certificate signed a certificate")
	}
}

func TestOpenSSHReadsTheCertificate(t *testing.T) {
	a := &Authority{Signer: newSigner(t), Now: clock}
	r := goodRequest()
	r.PTY = true
	_, cert, err := a.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "c-cert.pub")
	if err := os.WriteFile(path, ssh.MarshalAuthorizedKey(cert), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ssh-keygen", "-L", "-f", path)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{
		"user certificate", `Key ID: "sallyport session=abcdefghijkl user=alice grant=mnopqrstuvwx"`,
		"Valid: from 2026-05-04T09:59:00 to 2026-05-04T10:02:00",
		"Principals: \n                root\n", "source-address 10.0.0.5\n", "Extensions: \n                permit-pty\n",
		"ED25519 " + ssh.FingerprintSHA256(a.Signer.PublicKey()),
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("ssh-keygen -L does not say %q:\n%s", want, out)
		}
	}
}

func BenchmarkIssue(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "keys")
	if _, err := Init(dir, nil); err != nil {
		b.Fatal(err)
	}
	keys, err := Load(dir)
	if err != nil {
		b.Fatal(err)
	}
	a, r := &Authority{Signer: keys.UserCA, Now: clock}, goodRequest()
	for b.Loop() {
		if _, _, err := a.Issue(r); err != nil {
			b.Fatal(err)
		}
	}
}
