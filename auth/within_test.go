package auth

import (
	"testing"

	"golang.org/x/crypto/ssh"

	"sallyport"
)

// metaOf is the metadata of an attempt with a login name.
type metaOf struct {
	ssh.ConnMetadata
	login string
}

func (m metaOf) User() string { return m.login }

// Attack: become somebody else inside a connection of one's own, with their
// key, or with one's own that was taken away meanwhile.
func TestWithinIsTheSamePerson(t *testing.T) {
	alice, second, bob, stranger := newSigner(t), newSigner(t), newSigner(t), newSigner(t)
	line := func(s ssh.Signer) string { return string(ssh.MarshalAuthorizedKey(s.PublicKey())) }
	keys, err := NewKeys([]sallyport.User{
		{Name: "alice", Keys: []string{line(alice), line(second)}}, {Name: "bob", Keys: []string{line(bob)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	outer := Identity{User: "alice", Key: ssh.FingerprintSHA256(alice.PublicKey()), Method: "publickey", Login: "gate"}
	cfg := keys.Within(outer)
	p, err := cfg.NoClientAuthCallback(metaOf{login: "root"})
	if err != nil {
		t.Fatal(err)
	}
	id, ok := FromPermissions(p)
	if want := (Identity{User: "alice", Key: outer.Key, Method: "none", Login: "root"}); !ok || id != want {
		t.Errorf("with none: %+v", id)
	}
	for name, tt := range map[string]struct {
		key ssh.Signer
		ok  bool
	}{"the same": {alice, true}, "another of hers": {second, true}, "bob's": {bob, false}, "a stranger's": {stranger, false}} {
		_, err := cfg.PublicKeyCallback(metaOf{login: "root"}, tt.key.PublicKey())
		if (err == nil) != tt.ok {
			t.Errorf("%s key offered: %v", name, err)
		}
		p, err := cfg.VerifiedPublicKeyCallback(metaOf{login: "root"}, tt.key.PublicKey(), &ssh.Permissions{}, "")
		if (err == nil) != tt.ok {
			t.Errorf("%s key: %v", name, err)
		}
		if id, ok := FromPermissions(p); ok != tt.ok || ok && id.User != "alice" {
			t.Errorf("%s key: %+v", name, id)
		}
	}
	// A configuration without her first key.
	later, err := NewKeys([]sallyport.User{{Name: "alice", Keys: []string{line(second)}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := later.Within(outer).NoClientAuthCallback(metaOf{login: "root"}); err == nil {
		t.Error("a key that was taken away still counts inside")
	}
}
