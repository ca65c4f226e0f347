package conformance

import (
	"bytes"
	"testing"
)

// mosh is the one client that must not work: its UDP would go past the recorder.
// The user is told so.
func TestMosh(t *testing.T) {
	t.Parallel()
	for i, w := range here.ways {
		t.Run(w.name, func(t *testing.T) {
			s := sit(t, w)
			argv := []string{"mosh", "--ssh=ssh -F " + w.config}
			if w.proxy != "" {
				argv = append(argv, "--experimental-remote-ip=remote") // its other ways replace the jump
			}
			m := s.terminal(append(argv, w.dest, "--", "sh", "-c", "echo mosh is $((6*7)); read x")...)
			if i == 0 { // so that what follows says something
				m.expect("mosh is 42")
				m.types("\r")
				<-m.over
				return
			}
			m.expect("sallyport: mosh needs UDP")
			<-m.over
			if m.status == 0 {
				t.Error("mosh exits with 0")
			}
			got := s.ssh(nil, "mosh-server new -s -c 256 -l LANG=C.UTF-8")
			if got.status != 254 || len(got.stdout) > 0 || !bytes.HasPrefix(got.stderr, []byte("sallyport: mosh ")) {
				t.Errorf("exit %d, %q, %q", got.status, got.stdout, got.stderr)
			}
		})
	}
}
