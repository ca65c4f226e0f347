package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"net"
	"testing"

	gliderssh "github.com/gliderlabs/ssh"
	"golang.org/x/crypto/ssh"

	"sallyport"
)

// outcome is what the server made of one connection.
type outcome struct {
	conn *ssh.ServerConn
	err  error
	logs []string // per attempt: method and whether it was refused
}

// pair returns the two ends of a connection. Both sides of SSH begin with a
// write, so that net.Pipe, which holds nothing, would hang.
func pair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// login connects a client to a server and returns both outcomes.
func login(t *testing.T, server *ssh.ServerConfig, client *ssh.ClientConfig) (outcome, error) {
	t.Helper()
	host := newSigner(t)
	server.AddHostKey(host)
	var o outcome
	server.AuthLogCallback = func(_ ssh.ConnMetadata, method string, err error) {
		if err != nil {
			method += " refused"
		}
		o.logs = append(o.logs, method)
	}
	a, b := pair(t)
	defer a.Close()
	defer b.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.conn, _, _, o.err = ssh.NewServerConn(b, server)
		if o.err != nil {
			b.Close()
		}
	}()
	client.HostKeyCallback = ssh.FixedHostKey(host.PublicKey())
	_, _, _, err := ssh.NewClientConn(a, "gate", client)
	if err != nil {
		a.Close()
	}
	<-done
	return o, err
}

func mustKeys(t *testing.T, users map[string]ssh.Signer) *Keys {
	t.Helper()
	var list []sallyport.User
	for name, s := range users {
		list = append(list, sallyport.User{Name: name, Keys: []string{line(s.PublicKey())}})
	}
	k, err := NewKeys(list)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestLogin(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsa3072, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]ssh.Signer{"ed25519": newSigner(t), "P-256": signerOf(t, p256), "RSA": signerOf(t, rsa3072)} {
		t.Run(name, func(t *testing.T) {
			k := mustKeys(t, map[string]ssh.Signer{"alice": s, "bob": newSigner(t)})
			o, err := login(t, k.ServerConfig(), &ssh.ClientConfig{User: "root@web1", Auth: []ssh.AuthMethod{ssh.PublicKeys(s)}})
			if err != nil || o.err != nil {
				t.Fatal(err, o.err)
			}
			id, ok := FromPermissions(o.conn.Permissions)
			want := Identity{User: "alice", Key: ssh.FingerprintSHA256(s.PublicKey()), Method: "publickey", Login: "root@web1"}
			if !ok || id != want {
				t.Errorf("%+v, want %+v", id, want)
			}
		})
	}
}

// offering is a signer that knows only the public half of a key, and signs with
// another.
type offering struct {
	ssh.Signer
	public ssh.PublicKey
}

func (o offering) PublicKey() ssh.PublicKey { return o.public }

func TestOfferedKeyGivesNoIdentity(t *testing.T) {
	// Threat A1 (CVE-2024-45337, shellhub#6837): eve offers the admin's public
	// key, which the server finds acceptable, and then signs with her own. The
	// admin's rights must not stay.
	admin, eve := newSigner(t), newSigner(t)
	k := mustKeys(t, map[string]ssh.Signer{"admin": admin, "eve": eve})
	cfg := k.ServerConfig()
	var offers []*ssh.Permissions
	inner := cfg.PublicKeyCallback
	cfg.PublicKeyCallback = func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		p, err := inner(c, key)
		offers = append(offers, p)
		return p, err
	}
	o, err := login(t, cfg, &ssh.ClientConfig{
		User: "root@web1", Auth: []ssh.AuthMethod{ssh.PublicKeys(queryOnly{admin.PublicKey()}, eve)},
	})
	if err != nil || o.err != nil {
		t.Fatal(err, o.err)
	}
	if id, ok := FromPermissions(o.conn.Permissions); !ok || id.User != "eve" {
		t.Errorf("eve is %+v", id)
	}
	if len(offers) < 2 {
		t.Fatalf("the admin's key was not offered: %d offers", len(offers))
	}
	for i, p := range offers {
		if id, ok := FromPermissions(p); ok {
			t.Errorf("offer %d alone gives %+v", i, id)
		}
		for _, q := range offers[:i] {
			if p == q {
				t.Error("two offers share their permissions")
			}
		}
	}
}

// queryOnly has the public half of a key. The server finds it acceptable; the
// signature that follows is of a format that the server refuses before it
// verifies anything, so that the client may go on to its next key.
type queryOnly struct{ public ssh.PublicKey }

func (q queryOnly) PublicKey() ssh.PublicKey { return q.public }

func (q queryOnly) Sign(io.Reader, []byte) (*ssh.Signature, error) {
	return &ssh.Signature{Format: "none", Blob: []byte("none")}, nil
}

func TestWrongSignature(t *testing.T) {
	// Threat A1: the admin's key is offered and the signature is eve's.
	admin, eve := newSigner(t), newSigner(t)
	k := mustKeys(t, map[string]ssh.Signer{"admin": admin, "eve": eve})
	o, err := login(t, k.ServerConfig(), &ssh.ClientConfig{
		User: "root@web1", Auth: []ssh.AuthMethod{ssh.PublicKeys(offering{eve, admin.PublicKey()})},
	})
	if err == nil || o.err == nil {
		t.Error("eve got in with the admin's public key")
	}
}

func TestNoCredentials(t *testing.T) {
	// Design, trap 1: gliderlabs/ssh turns NoClientAuth on when it has no
	// handlers of its own. A client without any key must not get in.
	k := mustKeys(t, map[string]ssh.Signer{"alice": newSigner(t)})
	cfg := k.ServerConfig()
	cfg.NoClientAuth = true
	if o, err := login(t, cfg, &ssh.ClientConfig{User: "root@web1"}); err == nil || o.err == nil {
		t.Error("a client without credentials got in")
	}
}

func TestNoCredentialsThroughGliderlabs(t *testing.T) {
	// The same through gliderlabs/ssh itself.
	alice, host := newSigner(t), newSigner(t)
	k := mustKeys(t, map[string]ssh.Signer{"alice": alice})
	srv := &gliderssh.Server{
		HostSigners:          []gliderssh.Signer{host},
		ServerConfigCallback: func(gliderssh.Context) *ssh.ServerConfig { return k.ServerConfig() },
	}
	dial := func(methods ...ssh.AuthMethod) error {
		a, b := pair(t)
		done := make(chan struct{})
		go func() { defer close(done); srv.HandleConn(b) }()
		_, _, _, err := ssh.NewClientConn(a, "gate", &ssh.ClientConfig{
			User: "root@web1", Auth: methods, HostKeyCallback: ssh.FixedHostKey(host.PublicKey()),
		})
		a.Close()
		<-done
		return err
	}
	if dial() == nil {
		t.Error("a client without credentials got in")
	}
	if dial(ssh.Password("")) == nil {
		t.Error("a client with an empty password got in")
	}
	if err := dial(ssh.PublicKeys(alice)); err != nil {
		t.Errorf("alice did not get in: %v", err)
	}
}

func TestCertificateAsKey(t *testing.T) {
	// Threats A3, A4: a user certificate, valid for everybody, signed by nobody
	// we know, around alice's own key; it must not pass as her key.
	alice := newSigner(t)
	k := mustKeys(t, map[string]ssh.Signer{"alice": alice})
	for name, principals := range map[string][]string{"empty principals": nil, "alice": {"alice"}} {
		s, err := ssh.NewCertSigner(userCert(t, alice.PublicKey(), principals...), alice)
		if err != nil {
			t.Fatal(err)
		}
		if o, err := login(t, k.ServerConfig(), &ssh.ClientConfig{User: "alice", Auth: []ssh.AuthMethod{ssh.PublicKeys(s)}}); err == nil || o.err == nil {
			t.Errorf("%s: the certificate got in", name)
		}
	}
}

func TestSameAnswerForEverybody(t *testing.T) {
	// Threat A11: from the answers to a public key that anybody can know, find
	// out which users exist. The answer must not depend on the name, and a
	// refusal must be the same error.
	alice := newSigner(t)
	k := mustKeys(t, map[string]ssh.Signer{"alice": alice, "bob": newSigner(t)})
	answer := func(user string, key ssh.PublicKey) error {
		_, err := k.offered(meta{user: user}, key)
		return err
	}
	stranger := newSigner(t).PublicKey()
	for _, user := range []string{"alice", "bob", "nobody", "", "root@web1", "bob+root+web1"} {
		if err := answer(user, alice.PublicKey()); err != nil {
			t.Errorf("%q with alice's key: %v", user, err)
		}
		if err := answer(user, stranger); !errors.Is(err, errRefused) {
			t.Errorf("%q with a stranger's key: %v", user, err)
		}
		if err := answer(user, userCert(t, alice.PublicKey())); !errors.Is(err, errRefused) {
			t.Errorf("%q with a certificate: %v", user, err)
		}
	}
}

type meta struct {
	ssh.ConnMetadata
	user string
}

func (m meta) User() string { return m.user }

func TestSignedLoginCounts(t *testing.T) {
	// Threat A2: the name that carries the target changes between the query and
	// the signature. The identity holds the one that was signed.
	alice := newSigner(t)
	k := mustKeys(t, map[string]ssh.Signer{"alice": alice})
	p, err := k.offered(meta{user: "deploy@web1"}, alice.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	p, err = k.verified(meta{user: "root@db1"}, alice.PublicKey(), p, ssh.KeyAlgoED25519)
	if id, ok := FromPermissions(p); err != nil || !ok || id.Login != "root@db1" {
		t.Errorf("%+v, %v", id, err)
	}
}

func TestTries(t *testing.T) {
	// Threat A10: guessing on and on over one connection.
	k := mustKeys(t, map[string]ssh.Signer{"alice": newSigner(t)})
	var wrong []ssh.Signer
	for range 2 * MaxTries {
		wrong = append(wrong, newSigner(t))
	}
	o, err := login(t, k.ServerConfig(), &ssh.ClientConfig{User: "alice", Auth: []ssh.AuthMethod{ssh.PublicKeys(wrong...)}})
	if err == nil || o.err == nil {
		t.Fatal("a stranger got in")
	}
	refused := 0
	for _, l := range o.logs {
		if l == "publickey refused" {
			refused++
		}
	}
	if refused != MaxTries {
		t.Errorf("%d keys were tried: %v", refused, o.logs)
	}
}

// All that Dropbear 2022.83 and libssh2 1.10 have in common with the gateway.
func TestSmallClientsGetIn(t *testing.T) {
	alice := newSigner(t)
	k := mustKeys(t, map[string]ssh.Signer{"alice": alice})
	for _, mac := range []string{ssh.HMACSHA256, ssh.HMACSHA512} {
		c := ssh.Config{
			KeyExchanges: []string{ssh.KeyExchangeCurve25519, ssh.KeyExchangeECDHP256},
			Ciphers:      []string{ssh.CipherChaCha20Poly1305, ssh.CipherAES128CTR}, MACs: []string{mac, ssh.HMACSHA1},
		}
		if o, err := login(t, k.ServerConfig(), &ssh.ClientConfig{Config: c, User: "alice", Auth: []ssh.AuthMethod{ssh.PublicKeys(alice)}}); err != nil || o.err != nil {
			t.Errorf("%s: %v, %v", mac, err, o.err)
		}
	}
}

func TestOldAlgorithmsAreRefused(t *testing.T) {
	// Threat A12: a client, or somebody between, that only speaks what is broken.
	alice := newSigner(t)
	k := mustKeys(t, map[string]ssh.Signer{"alice": alice})
	for name, c := range map[string]ssh.Config{
		"group14-sha1": {KeyExchanges: []string{ssh.InsecureKeyExchangeDH14SHA1}},
		"CBC":          {Ciphers: []string{ssh.InsecureCipherAES128CBC}},
		"chacha20":     {Ciphers: []string{ssh.CipherChaCha20Poly1305}},
		"hmac-sha1-96": {Ciphers: []string{ssh.CipherAES128CTR}, MACs: []string{ssh.InsecureHMACSHA196}},
	} {
		if o, err := login(t, k.ServerConfig(), &ssh.ClientConfig{Config: c, User: "alice", Auth: []ssh.AuthMethod{ssh.PublicKeys(alice)}}); err == nil || o.err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	sha1, err := ssh.NewSignerWithAlgorithms(signerOf(t, rsaKey).(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
	if err != nil {
		t.Fatal(err)
	}
	k = mustKeys(t, map[string]ssh.Signer{"alice": sha1})
	if o, err := login(t, k.ServerConfig(), &ssh.ClientConfig{User: "alice", Auth: []ssh.AuthMethod{ssh.PublicKeys(sha1)}}); err == nil || o.err == nil {
		t.Error("a signature with SHA-1 is accepted")
	}
}
