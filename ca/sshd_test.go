package ca_test

import (
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/ca"
	"sallyport/internal/sshtest"
)

func TestRealSSHD(t *testing.T) {
	// Promises 5 and 6: OpenSSH's own sshd lets the certificate in to its one
	// account from its one address, and nowhere else.
	dir := filepath.Join(t.TempDir(), "keys")
	if _, err := ca.Init(dir, nil); err != nil {
		t.Fatal(err)
	}
	keys, err := ca.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	sshd := sshtest.StartSSHD(t, sshtest.Options{
		UserCA: []ssh.PublicKey{keys.UserCA.PublicKey()}, HostCA: keys.HostCA, Accounts: []string{"lab", "lab2"},
	})
	check, err := ca.HostKeyCallback(sallyport.Target{
		Name: "web1", Address: sshd.Addr(), HostCA: []string{string(ssh.MarshalAuthorizedKey(keys.HostCA.PublicKey()))},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, login, source string
		now                 func() time.Time
		ok                  bool
	}{
		{"its account", "lab", "127.0.0.1", time.Now, true},
		{"another account", "lab2", "127.0.0.1", time.Now, false},
		{"another address", "lab", "10.9.8.7", time.Now, false},
		{"an hour later", "lab", "127.0.0.1", func() time.Time { return time.Now().Add(-time.Hour) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &ca.Authority{Signer: keys.UserCA, Now: tt.now}
			signer, _, err := a.Issue(ca.Request{
				Account: "lab", Session: "abcdefghijkl", User: "alice", Grant: "mnopqrstuvwx",
				SourceAddress: []string{tt.source}, Life: time.Minute, NotAfter: time.Now().Add(time.Hour),
			})
			if err != nil {
				t.Fatal(err)
			}
			c, err := ssh.Dial("tcp", sshd.Addr(), &ssh.ClientConfig{
				User: tt.login, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
				HostKeyCallback: check.Callback, HostKeyAlgorithms: check.Algorithms,
			})
			if err == nil {
				c.Close()
			}
			if (err == nil) != tt.ok {
				t.Errorf("%v, want ok %v", err, tt.ok)
			}
		})
	}
	sshd.WaitLog(t, "ID sallyport session=abcdefghijkl user=alice grant=mnopqrstuvwx")
}
