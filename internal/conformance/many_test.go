package conformance

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
)

// master opens a connection for many commands, which are much cheaper on one
// that is there than each on its own, and returns the option that uses it.
func (s *seat) master() (mux string) {
	s.Helper()
	mux = "-oControlPath=" + filepath.Join(filepath.Dir(s.here), "m")
	s.sees("the master", s.ssh(nil, "-oControlMaster=yes", "-oControlPersist=yes", mux, "-fN"))
	s.Cleanup(func() { s.ssh(nil, mux, "-Oexit") })
	return mux
}

// Ten channels at once on one connection, more than once.
func sshChannels(s *seat) {
	mux := s.master()
	s.note("it is there: exit %d", s.ssh(nil, mux, "-Ocheck").status) // and its pid
	var all sync.WaitGroup
	got := make([]seen, 10)
	for c := range got {
		all.Go(func() {
			for range 3 {
				cmd := fmt.Sprintf("cat; seq %d; echo err %d >&2; exit %d", 10000*c, c, c)
				in := strings.Repeat(fmt.Sprint(c), 50000)
				got[c] = s.ssh(strings.NewReader(in), mux, cmd)
				if want := in + lines(10000*c); string(got[c].stdout) != want || got[c].status != c {
					s.Errorf("channel %d: exit %d, %s", c, got[c].status, s.digest(got[c].stdout))
				}
			}
		})
	}
	all.Wait()
	for c, g := range got {
		s.sees(fmt.Sprintf("channel %d", c), g)
	}
	// One channel is large and slow, the others do not wait for it.
	cmd, cancel := s.command(s.sshArgs("-n", mux, "cat /dev/zero")...)
	defer cancel()
	slow, err := cmd.StdoutPipe()
	s.must(err)
	s.must(cmd.Start())
	_, err = slow.Read(make([]byte, 1))
	s.must(err)
	s.wants("beside one that does not read", s.ssh(nil, "-n", mux, "seq 100000"), 0, lines(100000))
	s.must(slow.Close())
	status, err := exitStatus(cmd.Wait())
	s.must(err)
	s.note("the one that was left: exit %d", status)
	s.wants("still there", s.ssh(nil, "-n", mux, "echo there"), 0, "there\n")
	s.sees("no more", s.ssh(nil, mux, "-Ostop"))
}

// Many short sessions, one after the other. stress.txtar has more.
func sshRapid(s *seat) {
	wrong := 0
	for i := range s.few(40) {
		out, errs, want := fmt.Sprintf("out-%d\n", i), fmt.Sprintf("err-%d\n", i), i%200
		got := s.ssh(nil, "-n", fmt.Sprintf("echo out-%d; echo err-%d >&2; exit %d", i, i, want))
		if string(got.stdout) != out || string(got.stderr) != errs || got.status != want {
			wrong++
			s.Errorf("session %d: exit %d, %q, %q", i, got.status, got.stdout, got.stderr)
		}
	}
	s.note("%d wrong", wrong)
}

// Many at once.
func sshParallel(s *seat) {
	var all sync.WaitGroup
	for c := range s.few(50) {
		all.Go(func() {
			in := strings.Repeat("x", 1000*c)
			got := s.ssh(strings.NewReader(in), fmt.Sprintf("cat; echo %d >&2; exit %d", c, c))
			if string(got.stdout) != in || string(got.stderr) != fmt.Sprintf("%d\n", c) || got.status != c {
				s.Errorf("connection %d: exit %d, %s, %q", c, got.status, s.digest(got.stdout), got.stderr)
			}
		})
	}
	all.Wait()
}
