// Package auth says who is at the door, from what they proved and nothing else.
//
// It gives the callbacks of an ssh.ServerConfig, and the algorithms that both
// legs of the gateway speak. Identity comes out of the ssh.Permissions of the
// attempt that succeeded; no callback writes anything anywhere else, so a key
// that was merely offered leaves no trace (CVE-2024-45337).
package auth

import (
	"crypto/rsa"
	"errors"
	"strings"

	"golang.org/x/crypto/ssh"

	"sallyport"
)

// MaxTries is how many refused attempts end a connection. The first attempt
// with the method "none", which asks for the list of methods, is free.
const MaxTries = 6

// Identity is who somebody proved to be.
type Identity struct {
	User   string // the name in the configuration
	Key    string // SHA-256 fingerprint, as ssh-keygen -l prints it
	Method string // "publickey", or "none" within a connection of the same user
	Login  string // the SSH user name that was signed; others may have been tried before
}

// identityKey is the key in Permissions.ExtraData. No peer can set it: what a
// peer sends ends in Extensions and CriticalOptions at most.
type identityKey struct{}

// FromPermissions returns the identity of the accepted attempt, false where
// there is none.
func FromPermissions(p *ssh.Permissions) (Identity, bool) {
	if p == nil {
		return Identity{}, false
	}
	id, ok := p.ExtraData[identityKey{}].(Identity)
	return id, ok && id.User != ""
}

// errRefused is the one answer for everybody: which part did not fit is nobody's
// business before authentication.
var errRefused = errors.New("the key was refused")

// Keys maps keys to users. It is not changed after NewKeys and is safe for
// concurrent use; a new configuration makes new Keys.
type Keys struct {
	owners map[string]string // the key in wire format → the user's name
	prints map[string]string // the key's fingerprint → the same
}

// NewKeys reads the keys of the users. Every line that is not exactly a public
// key of a kind and size that is accepted is an error, and so is one key for
// two users.
func NewKeys(users []sallyport.User) (*Keys, error) {
	k := &Keys{owners: map[string]string{}, prints: map[string]string{}}
	for _, u := range users {
		if !sallyport.ValidName(u.Name) {
			return nil, sallyport.Errorf(sallyport.CodeInvalid, "%q cannot be a user's name", u.Name)
		}
		for i, s := range u.Keys {
			key, err := parseKey(s)
			if err != nil {
				return nil, sallyport.Errorf(sallyport.CodeInvalid, "keys[%d] of user %s %w", i, u.Name, err).
					WithHint("write the line of a .pub file: ssh-ed25519, ecdsa-sha2-nistp256 or 384, sk- or ssh-rsa of 3072 bits or more")
			}
			id := string(key.Marshal())
			if other, ok := k.owners[id]; ok && other != u.Name {
				return nil, sallyport.Errorf(sallyport.CodeInvalid, "the users %s and %s have the same key %s", other, u.Name, ssh.FingerprintSHA256(key)).
					WithHint("a key says who somebody is; give each user their own")
			}
			k.owners[id], k.prints[ssh.FingerprintSHA256(key)] = u.Name, u.Name
		}
	}
	return k, nil
}

// parseKey reads one line of an authorized_keys file. Its errors go on from
// "keys[0] of user alice".
func parseKey(s string) (ssh.PublicKey, error) {
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(s))
	switch {
	case err != nil:
		return nil, errors.New("is no public key")
	case strings.TrimSpace(string(rest)) != "":
		return nil, errors.New("has more than one line")
	case len(options) > 0:
		// An option restricts; to accept it unread would be to widen.
		return nil, errors.New("has options, which are not honoured here")
	}
	return key, checkKey(key)
}

// checkKey refuses the kinds and sizes that are not accepted.
func checkKey(key ssh.PublicKey) error {
	switch t := key.Type(); t {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return nil
	case ssh.KeyAlgoRSA:
		c, ok := key.(ssh.CryptoPublicKey)
		if !ok {
			return errors.New("is of a kind that is not accepted")
		}
		k, ok := c.CryptoPublicKey().(*rsa.PublicKey)
		if !ok || k.N.BitLen() < 3072 || k.N.BitLen() > 8192 {
			return errors.New("is an RSA key of fewer than 3072 or more than 8192 bits")
		}
		return nil
	default:
		if _, ok := key.(*ssh.Certificate); ok {
			return errors.New("is a certificate, not a key")
		}
		return errors.New("is of the kind " + t + ", which is not accepted")
	}
}

// Owner returns the user whose key this is. A certificate is nobody's, whatever
// key is inside it.
func (k *Keys) Owner(key ssh.PublicKey) (user string, ok bool) {
	if _, cert := key.(*ssh.Certificate); cert || key == nil {
		return "", false
	}
	user, ok = k.owners[string(key.Marshal())]
	return user, ok
}

// Holds reports whether an identity that was proved earlier, under other Keys
// perhaps, would be proved again with these.
func (k *Keys) Holds(id Identity) bool { return id.User != "" && k.prints[id.Key] == id.User }

// ServerConfig returns a new configuration without host keys for one
// connection; gliderlabs/ssh writes into what it is given.
func (k *Keys) ServerConfig() *ssh.ServerConfig {
	a := ServerAlgorithms()
	return &ssh.ServerConfig{
		Config:                  a.Config,
		PublicKeyAuthAlgorithms: a.PublicKeys,
		MaxAuthTries:            MaxTries,
		// gliderlabs/ssh sets NoClientAuth where none of its own three handlers
		// is set (server.go, config); this callback makes that harmless.
		NoClientAuthCallback:      refuseNone,
		PublicKeyCallback:         k.offered,
		VerifiedPublicKeyCallback: k.verified,
	}
}

// Within is ServerConfig for a connection inside another one: whoever proved to
// be outer there is that here, with no proof, with the method "none", or with
// a key of the same user. Nobody else gets in.
func (k *Keys) Within(outer Identity) *ssh.ServerConfig {
	cfg := k.ServerConfig()
	cfg.NoClientAuthCallback = func(c ssh.ConnMetadata) (*ssh.Permissions, error) {
		if !k.Holds(outer) {
			return nil, errRefused
		}
		id := outer
		id.Method, id.Login = "none", c.User()
		return permissions(id), nil
	}
	own := func(key ssh.PublicKey) error {
		if user, ok := k.Owner(key); !ok || user != outer.User {
			return errRefused
		}
		return nil
	}
	cfg.PublicKeyCallback = func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		return &ssh.Permissions{}, own(key)
	}
	cfg.VerifiedPublicKeyCallback = func(c ssh.ConnMetadata, key ssh.PublicKey, p *ssh.Permissions, alg string) (*ssh.Permissions, error) {
		if err := own(key); err != nil {
			return nil, err
		}
		return k.verified(c, key, p, alg)
	}
	return cfg
}

func permissions(id Identity) *ssh.Permissions {
	return &ssh.Permissions{ExtraData: map[any]any{identityKey{}: id}}
}

func refuseNone(ssh.ConnMetadata) (*ssh.Permissions, error) { return nil, ssh.ErrNoAuth }

// offered answers whether it is worth signing with key. It looks at the key
// alone, never at the name: the answer tells nobody which users exist. What it
// returns carries no identity.
func (k *Keys) offered(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	if _, ok := k.Owner(key); !ok {
		return nil, errRefused
	}
	return &ssh.Permissions{}, nil
}

// verified is called after the signature over this key and this name was
// checked, and makes the identity anew.
func (k *Keys) verified(c ssh.ConnMetadata, key ssh.PublicKey, _ *ssh.Permissions, _ string) (*ssh.Permissions, error) {
	user, ok := k.Owner(key)
	if !ok {
		return nil, errRefused
	}
	return permissions(Identity{User: user, Key: ssh.FingerprintSHA256(key), Method: "publickey", Login: c.User()}), nil
}
