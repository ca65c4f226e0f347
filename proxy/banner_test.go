package proxy

import (
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/sshtest"
)

// The operator's need: a notice before the sign-in, to known and unknown alike;
// a reload changes it.
func TestTheBannerIsForEverybody(t *testing.T) {
	var text atomic.Value
	text.Store("Authorised use only.\n\nAll is recorded.\n")
	w := newWorld(t, func(s *Server, _ *sallyport.Role) { s.Banner = func() string { return text.Load().(string) } })
	shown := func(key ssh.Signer) (banner string) {
		c, err := ssh.Dial("tcp", w.addr, &ssh.ClientConfig{
			User: "lab@web1", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.FixedHostKey(w.host),
			BannerCallback: func(s string) error { banner += s; return nil },
		})
		if err == nil {
			c.Close()
		}
		if (err == nil) != (key == w.alice) {
			t.Errorf("signing in: %v", err)
		}
		return banner
	}
	for _, key := range []ssh.Signer{w.alice, sshtest.NewSigner(t)} {
		if got := shown(key); got != "Authorised use only.\r\n\r\nAll is recorded.\r\n" {
			t.Errorf("shown %q", got)
		}
	}
	text.Store("")
	if got := shown(w.alice); got != "" {
		t.Errorf("no banner is shown as %q", got)
	}
}
