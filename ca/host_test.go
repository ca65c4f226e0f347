package ca

import (
	"bytes"
	"crypto/rand"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestCertifyAHost(t *testing.T) {
	authority, key := newSigner(t), newSigner(t)
	a := &HostAuthority{Signer: authority, Random: rand.Reader, Now: clock}
	signer, err := a.Certify(key, []string{"web1", "10.0.0.5"})
	if err != nil {
		t.Fatal(err)
	}
	checker := &ssh.CertChecker{
		Clock:           clock,
		IsHostAuthority: func(k ssh.PublicKey, _ string) bool { return bytes.Equal(k.Marshal(), authority.PublicKey().Marshal()) },
	}
	for host, want := range map[string]bool{"web1:22": true, "10.0.0.5:22": true, "web2:22": false, ":22": false} {
		if err := checker.CheckHostKey(host, nil, signer.PublicKey()); (err == nil) != want {
			t.Errorf("%s: %v", host, err)
		}
	}
	cert := signer.PublicKey().(*ssh.Certificate)
	if life := time.Duration(cert.ValidBefore-cert.ValidAfter) * time.Second; cert.CertType != ssh.HostCert || life > 25*time.Hour {
		t.Errorf("type %d for %v", cert.CertType, life)
	}
	// Threats A4 and A5: a list that means everybody, or that is read as another.
	for _, names := range [][]string{nil, {""}, {"web1", ""}, {"web1,web2"}, {"*"}, {"web?"}, {"web1\x00"}, {"web 1"}} {
		if _, err := a.Certify(key, names); err == nil {
			t.Errorf("%q was certified", names)
		}
	}
}
