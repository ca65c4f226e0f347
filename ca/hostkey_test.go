package ca

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
)

func hostCert(t *testing.T, authority ssh.Signer, change func(*ssh.Certificate)) *ssh.Certificate {
	t.Helper()
	c := &ssh.Certificate{
		Key: newSigner(t).PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"web1"},
		ValidAfter: uint64(now.Add(-time.Hour).Unix()), ValidBefore: uint64(now.Add(time.Hour).Unix()),
	}
	if change != nil {
		change(c)
	}
	if err := c.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHostCertificates(t *testing.T) {
	// Threats A3, A4, A6, A13: somebody between the gateway and the target shows
	// a certificate that is nearly right.
	authority, other := newSigner(t), newSigner(t)
	check, err := hostKeyCallback(sallyport.Target{
		Name: "web1", Aliases: []string{"www"}, Address: "10.0.0.5:22", HostCA: []string{line(authority.PublicKey())},
	}, clock)
	if err != nil {
		t.Fatal(err)
	}
	nested := hostCert(t, authority, nil)
	for name, tt := range map[string]struct {
		key ssh.PublicKey
		ok  bool
	}{
		"good":                 {hostCert(t, authority, nil), true},
		"alias":                {hostCert(t, authority, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"x", "www"} }), true},
		"host of the address":  {hostCert(t, authority, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"10.0.0.5"} }), true},
		"for ever":             {hostCert(t, authority, func(c *ssh.Certificate) { c.ValidBefore = ssh.CertTimeInfinity }), true},
		"empty principals":     {hostCert(t, authority, func(c *ssh.Certificate) { c.ValidPrincipals = nil }), false},
		"one empty principal":  {hostCert(t, authority, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"", "web1"} }), false},
		"another host":         {hostCert(t, authority, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"web2"} }), false},
		"comma":                {hostCert(t, authority, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"web1,web2"} }), false},
		"wildcard":             {hostCert(t, authority, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"*"} }), false},
		"NUL":                  {hostCert(t, authority, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"web1\x00"} }), false},
		"user certificate":     {hostCert(t, authority, func(c *ssh.Certificate) { c.CertType = ssh.UserCert }), false},
		"another authority":    {hostCert(t, other, nil), false},
		"expired":              {hostCert(t, authority, func(c *ssh.Certificate) { c.ValidBefore = uint64(now.Unix()) }), false},
		"not yet":              {hostCert(t, authority, func(c *ssh.Certificate) { c.ValidAfter = uint64(now.Unix()) + 1 }), false},
		"life of zero":         {hostCert(t, authority, func(c *ssh.Certificate) { c.ValidBefore = 0 }), false},
		"overflow":             {hostCert(t, authority, func(c *ssh.Certificate) { c.ValidBefore = math.MaxUint64 - 1 }), false},
		"critical option":      {hostCert(t, authority, func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"x": ""} }), false},
		"plain key":            {newSigner(t).PublicKey(), false},
		"authority as its own": {authority.PublicKey(), false},
		"changed after signing": {func() ssh.PublicKey {
			c := hostCert(t, authority, nil)
			c.Key = newSigner(t).PublicKey()
			return c
		}(), false},
		"nested": {func() ssh.PublicKey {
			c := hostCert(t, other, nil)
			c.SignatureKey = nested
			return c
		}(), false},
		"nested around the authority": {func() ssh.PublicKey {
			c := hostCert(t, other, nil)
			c.SignatureKey = &ssh.Certificate{
				Key: authority.PublicKey(), SignatureKey: authority.PublicKey(), Signature: &ssh.Signature{},
			}
			return c
		}(), false},
		"no authority": {&ssh.Certificate{
			CertType: ssh.HostCert, Key: newSigner(t).PublicKey(), ValidPrincipals: []string{"web1"}, ValidBefore: math.MaxUint64,
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := check.Callback("web1:22", nil, tt.key)
			if (err == nil) != tt.ok {
				t.Fatalf("%v, want ok %v", err, tt.ok)
			}
			var wrong *HostKeyError
			if err != nil && (!errors.As(err, &wrong) || wrong.Target != "web1" || wrong.Presented == "") {
				t.Errorf("the error is %#v", err)
			}
		})
	}
}

func TestHostCertificateWithSHA1(t *testing.T) {
	// Threat A12: a certificate signed with ssh-rsa, that is SHA-1, of which a
	// collision can be bought.
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	check, err := hostKeyCallback(sallyport.Target{Name: "web1", HostCA: []string{line(authority.PublicKey())}}, clock)
	if err != nil {
		t.Fatal(err)
	}
	if err := check.Callback("", nil, hostCert(t, authority, nil)); err != nil {
		t.Errorf("SHA-512 is refused: %v", err)
	}
	sha1, err := ssh.NewSignerWithAlgorithms(authority.(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
	if err != nil {
		t.Fatal(err)
	}
	if err := check.Callback("", nil, hostCert(t, sha1, nil)); err == nil {
		t.Error("SHA-1 is accepted")
	}
}

func TestHostKeys(t *testing.T) {
	key, other := newSigner(t), newSigner(t)
	check, err := HostKeyCallback(sallyport.Target{Name: "web1", HostKeys: []string{line(key.PublicKey()) + " root@web1"}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(check.Algorithms, []string{ssh.KeyAlgoED25519}) {
		t.Errorf("algorithms %v", check.Algorithms)
	}
	if err := check.Callback("", nil, key.PublicKey()); err != nil {
		t.Error(err)
	}
	if check.Callback("", nil, other.PublicKey()) == nil {
		t.Error("another key is accepted")
	}
	// The configured key certified by somebody else is not the configured key.
	cert := hostCert(t, other, nil)
	cert.Key = key.PublicKey()
	if check.Callback("", nil, cert) == nil {
		t.Error("a certificate around the key is accepted")
	}
}

func TestHostKeyLines(t *testing.T) {
	// Threat A13: a target without a usable key must be an error, never "any".
	good := line(newSigner(t).PublicKey())
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weakKey, err := ssh.NewPublicKey(&weak.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]sallyport.Target{
		"nothing":        {},
		"empty line":     {HostKeys: []string{""}},
		"comment":        {HostKeys: []string{"# key"}},
		"junk":           {HostCA: []string{"ssh-ed25519 AAAA"}},
		"options":        {HostKeys: []string{"restrict " + good}},
		"two in one":     {HostKeys: []string{good + "\n" + good}},
		"certificate":    {HostCA: []string{line(hostCert(t, newSigner(t), nil))}},
		"weak RSA":       {HostKeys: []string{line(weakKey)}},
		"good and wrong": {HostKeys: []string{good}, HostCA: []string{"x"}},
	} {
		target.Name = "web1"
		if _, err := HostKeyCallback(target); sallyport.CodeOf(err) != sallyport.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
