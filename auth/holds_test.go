package auth

import (
	"testing"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/sshtest"
)

// Attack: keep a connection open past the day on which the key was taken out
// of the configuration.
func TestAKeyThatWasRemovedNoLongerHolds(t *testing.T) {
	_, line, signer := sshtest.NewKey(t)
	_, other, _ := sshtest.NewKey(t)
	id := Identity{User: "alice", Key: ssh.FingerprintSHA256(signer.PublicKey()), Method: "publickey"}
	for name, tt := range map[string]struct {
		users []sallyport.User
		want  bool
	}{
		"still there":   {[]sallyport.User{{Name: "alice", Keys: []string{other, line}}}, true},
		"key removed":   {[]sallyport.User{{Name: "alice", Keys: []string{other}}}, false},
		"user removed":  {[]sallyport.User{{Name: "bob", Keys: []string{other}}}, false},
		"key of others": {[]sallyport.User{{Name: "alice", Keys: []string{other}}, {Name: "bob", Keys: []string{line}}}, false},
	} {
		keys, err := NewKeys(tt.users)
		if err != nil {
			t.Fatal(err)
		}
		if got := keys.Holds(id); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
		if keys.Holds(Identity{}) {
			t.Errorf("%s: nobody holds a key", name)
		}
	}
}
