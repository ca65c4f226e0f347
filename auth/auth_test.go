package auth

import (
	//lint:ignore SA1019 a DSA key has to be seen refused
	"crypto/dsa"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"sallyport"
)

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signerOf(t, private)
}

func signerOf(t testing.TB, private any) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func line(key ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) }

// userCert certifies key for everybody and for ever, by an authority of nobody.
func userCert(t testing.TB, key ssh.PublicKey, principals ...string) *ssh.Certificate {
	t.Helper()
	c := &ssh.Certificate{
		Key: key, CertType: ssh.UserCert, ValidPrincipals: principals, ValidBefore: ssh.CertTimeInfinity,
		Permissions: ssh.Permissions{Extensions: map[string]string{"user": "root", "permit-pty": ""}},
	}
	if err := c.SignCert(rand.Reader, newSigner(t)); err != nil {
		t.Fatal(err)
	}
	return c
}

// skLine is the public half of a security key, as ssh-keygen -t ed25519-sk
// writes it.
func skLine(t testing.TB) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, public, "ssh:"}))
	if err != nil {
		t.Fatal(err)
	}
	return line(key)
}

func TestNewKeys(t *testing.T) {
	// Threats A8 and A6: keys whose kind or size proves nothing, options that
	// would be dropped in silence, certificates in the place of keys.
	rsaLine := func(bits int) string {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return line(signerOf(t, k).PublicKey())
	}
	ecdsaLine := func(c elliptic.Curve) string {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return line(signerOf(t, k).PublicKey())
	}
	var dsaKey dsa.PrivateKey
	if err := dsa.GenerateParameters(&dsaKey.Parameters, rand.Reader, dsa.L1024N160); err != nil {
		t.Fatal(err)
	}
	if err := dsa.GenerateKey(&dsaKey, rand.Reader); err != nil {
		t.Fatal(err)
	}
	good := line(newSigner(t).PublicKey())
	for name, tt := range map[string]struct {
		line string
		ok   bool
	}{
		"ed25519":              {good, true},
		"with a comment":       {good + " alice@laptop", true},
		"with a newline":       {good + "\n", true},
		"P-256":                {ecdsaLine(elliptic.P256()), true},
		"P-384":                {ecdsaLine(elliptic.P384()), true},
		"RSA 3072":             {rsaLine(3072), true},
		"security key":         {skLine(t), true},
		"P-521":                {ecdsaLine(elliptic.P521()), false},
		"RSA 2048":             {rsaLine(2048), false},
		"DSA":                  {line(signerOf(t, &dsaKey).PublicKey()), false},
		"certificate":          {line(userCert(t, newSigner(t).PublicKey(), "alice")), false},
		"from=":                {`from="10.0.0.0/8" ` + good, false},
		"command=":             {`command="true" ` + good, false},
		"restrict":             {"restrict " + good, false},
		"cert-authority":       {"cert-authority " + good, false},
		"no-touch-required":    {"no-touch-required " + good, false},
		"two keys in one line": {good + "\n" + line(newSigner(t).PublicKey()), false},
		"empty":                {"", false},
		"comment":              {"# nothing", false},
		"type alone":           {"ssh-ed25519", false},
		"torn":                 {good[:40], false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewKeys([]sallyport.User{{Name: "alice", Keys: []string{tt.line}}})
			if (err == nil) != tt.ok {
				t.Fatalf("%v, want ok %v", err, tt.ok)
			}
			if err != nil && (!strings.Contains(err.Error(), "keys[0] of user alice") || sallyport.HintOf(err) == "") {
				t.Errorf("the error is %q, hint %q", err, sallyport.HintOf(err))
			}
		})
	}
}

func TestOneKeyOneUser(t *testing.T) {
	// A key that two users share says nothing about who it is.
	good := line(newSigner(t).PublicKey())
	_, err := NewKeys([]sallyport.User{{Name: "alice", Keys: []string{good}}, {Name: "eve", Keys: []string{good + " other"}}})
	if err == nil || !strings.Contains(err.Error(), "alice and eve") {
		t.Errorf("two users with one key: %v", err)
	}
	if _, err := NewKeys([]sallyport.User{{Name: "alice", Keys: []string{good, good}}}); err != nil {
		t.Errorf("one user with a key twice: %v", err)
	}
	if _, err := NewKeys([]sallyport.User{{Keys: []string{good}}}); err == nil {
		t.Error("a user without a name has a key")
	}
}

func TestOwner(t *testing.T) {
	// Threats A3 and A5: a certificate, which anybody can make, around a user's
	// public key, which anybody can know.
	alice := newSigner(t)
	k, err := NewKeys([]sallyport.User{{Name: "alice", Keys: []string{line(alice.PublicKey())}}})
	if err != nil {
		t.Fatal(err)
	}
	if user, ok := k.Owner(alice.PublicKey()); !ok || user != "alice" {
		t.Errorf("alice's key is %q's", user)
	}
	for name, key := range map[string]ssh.PublicKey{
		"another key": newSigner(t).PublicKey(),
		"certificate": userCert(t, alice.PublicKey(), "alice"),
		"nil":         nil,
	} {
		if user, ok := k.Owner(key); ok {
			t.Errorf("%s is %q's", name, user)
		}
	}
}

func TestFromPermissions(t *testing.T) {
	// What a peer can put into Permissions, through a certificate, names nobody.
	for name, p := range map[string]*ssh.Permissions{
		"nil":        nil,
		"empty":      {},
		"extensions": {Extensions: map[string]string{"user": "alice", "identityKey": "alice"}},
		"other data": {ExtraData: map[any]any{"identityKey": Identity{User: "alice"}, struct{}{}: Identity{User: "alice"}}},
		"other type": {ExtraData: map[any]any{identityKey{}: "alice"}},
		"no user":    {ExtraData: map[any]any{identityKey{}: Identity{Key: "SHA256:x"}}},
	} {
		if id, ok := FromPermissions(p); ok {
			t.Errorf("%s: %+v", name, id)
		}
	}
}

func TestAlgorithms(t *testing.T) {
	// Threat A12: a default server of x/crypto v0.58 offers group14-sha1 and
	// hmac-sha1-96, and what Terrapin can cut.
	insecure := ssh.InsecureAlgorithms()
	supported := ssh.SupportedAlgorithms()
	for name, a := range map[string]Algorithms{"server": ServerAlgorithms(), "client": ClientAlgorithms()} {
		all := slices.Concat(a.Config.KeyExchanges, a.Config.Ciphers, a.Config.MACs, a.PublicKeys)
		for _, s := range all {
			if strings.HasSuffix(s, "sha1") || strings.Contains(s, "sha1-") || strings.Contains(s, "cbc") || strings.Contains(s, "chacha20") ||
				strings.Contains(s, "group1") || s == ssh.KeyAlgoRSA || s == "ssh-dss" {
				t.Errorf("%s: %s", name, s)
			}
			if slices.Contains(slices.Concat(insecure.KeyExchanges, insecure.Ciphers, insecure.MACs, insecure.PublicKeyAuths), s) ||
				!slices.Contains(slices.Concat(supported.KeyExchanges, supported.Ciphers, supported.MACs, supported.PublicKeyAuths), s) {
				t.Errorf("%s: x/crypto does not vouch for %s", name, s)
			}
		}
		if a.Config.KeyExchanges[0] != "mlkem768x25519-sha256" || !strings.Contains(a.Config.Ciphers[0], "gcm") || len(a.Config.MACs) == 0 {
			t.Errorf("%s begins with %s, %s", name, a.Config.KeyExchanges[0], a.Config.Ciphers[0])
		}
	}
	if len(ServerAlgorithms().PublicKeys) == 0 {
		t.Error("an empty list is x/crypto's default list")
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(line(newSigner(f).PublicKey()))
	f.Add(skLine(f))
	f.Add(line(userCert(f, newSigner(f).PublicKey(), "alice")))
	f.Add(`from="a",command="b \" c" ssh-ed25519 AAAA`)
	f.Fuzz(func(t *testing.T, s string) {
		k, err := NewKeys([]sallyport.User{{Name: "alice", Keys: []string{s}}})
		if err != nil {
			return
		}
		key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(s))
		if err != nil || len(options) > 0 {
			t.Fatalf("accepted %q: %v %v", s, options, err)
		}
		if user, ok := k.Owner(key); !ok || user != "alice" {
			t.Fatalf("%q has no owner", s)
		}
	})
}
