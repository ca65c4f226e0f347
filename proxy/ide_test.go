package proxy

import (
	"io"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/wire"
)

// An announcement is found wherever the output is cut, and only where it is one.
func TestAnnouncementsAreHeard(t *testing.T) {
	const out = "8f3a: start\r\nlisteningOn==39455==\r\nlisteningOn==127.0.0.1:5990==\nlisteningOn==/run/user/1/vscode.sock==\n" +
		"Extension host agent listening on 40001\nJoin link: tcp://127.0.0.1:5991#jt=0\n" +
		"listeningOn==10.0.0.1:22==\nlisteningOn====\nlisteningOn==/a b==\ntcp://10.0.0.5:80#\nlisteningOn==123456==\n"
	want := "39455 5990 /run/user/1/vscode.sock 40001 5991"
	for step := 1; step <= len(out); step++ {
		var got []string
		l := listener{announce: func(where string) { got = append(got, where) }}
		for i := 0; i < len(out); i += step {
			l.read([]byte(out[i:min(i+step, len(out))]))
		}
		if s := strings.Join(got, " "); s != want {
			t.Fatalf("cut every %d: %q", step, s)
		}
	}
	// Attack: a line without an end.
	l := listener{announce: func(string) { t.Error("announced") }}
	for range 1000 {
		l.read([]byte(strings.Repeat("x", 1000)))
	}
	if len(l.line) > announcedLine {
		t.Errorf("%d bytes of one line are held", len(l.line))
	}
}

func TestWhoListens(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   113        0 20000 1 0000 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20001 1 0000 100 0 0 10 0
   2: 0100007F:9A1F 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 20002 1 0000 100 0 0 10 0
   3: 0100007F:9A20 0100007F:9A1F 01 00000000:00000000 00:00000000 00000000  1001        0 20003 1 0000 100 0 0 10 0
   4: 0500000A:9A21 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 20004 1 0000 100 0 0 10 0
   0: 00000000000000000000000001000000:9A22 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 20005 1 0000 100 0 0 10 0
`
	for _, tt := range []struct {
		uid, port string
		want      bool
	}{
		{"1001", "39455", true},  // 9A1F
		{"1001", "39458", true},  // 9A22, ::1
		{"1001", "39456", false}, // a connection, no listener
		{"1001", "39457", false}, // not the loopback
		{"1001", "5432", false},  // another account's
		{"113", "5432", true},
		{"", "39455", false},
		{"1001", "x", false},
		{"0", "22", true},
	} {
		if got := listensOn(table, tt.uid, tt.port); got != tt.want {
			t.Errorf("uid %q port %s: %v", tt.uid, tt.port, got)
		}
	}
}

// Fail closed: a target that does not say whose a port is has none that is the
// session's; the wait for its answer ends with the session at the latest.
func TestATargetThatDoesNotTell(t *testing.T) {
	for name, answer := range map[string]func(ch ssh.Channel, req *ssh.Request){
		"refuses": func(_ ssh.Channel, req *ssh.Request) { _ = req.Reply(false, nil) },
		"says nothing": func(ch ssh.Channel, req *ssh.Request) {
			_ = req.Reply(true, nil)
			ch.Close()
		},
		"lies about another": func(ch ssh.Channel, req *ssh.Request) {
			_ = req.Reply(true, nil)
			_, _ = io.WriteString(ch, "1001\n 2: 0100007F:0016 00000000:0000 0A 0:0 0:0 0  1001 0 1\n")
			ch.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(_ *Server, r *sallyport.Role) { r.Channels = append(r.Channels, sallyport.ChannelIDE) })
			w.strange(t, func(_ *ssh.ServerConn, chans <-chan ssh.NewChannel) {
				for nc := range chans {
					ch, reqs, err := nc.Accept()
					if err != nil {
						continue
					}
					go func() {
						for req := range reqs {
							if cmd, _ := wire.ParseString(req.Payload); req.Type == "exec" && strings.Contains(cmd, "/proc/net/tcp") {
								answer(ch, req)
								continue
							}
							_ = req.Reply(true, nil)
							_, _ = io.WriteString(ch, "listeningOn==39455==\n")
						}
					}()
				}
			})
			c := w.outer(t, "lab@web1")
			s, err := c.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			out, _ := s.StdoutPipe()
			if err := s.Start("sh"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(out, make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			within(t, waitLong, "the answer", func() {
				if _, _, err := c.OpenChannel("direct-tcpip", direct("127.0.0.1", 39455)); err == nil {
					t.Error("opened")
				}
			})
			if e := w.audit.last("ide.listen"); e.Severity != sallyport.SeverityAlert || e.Outcome != "refused" {
				t.Errorf("audited as %+v", e)
			}
			if e := w.audit.last("forward.refuse"); e.Severity != sallyport.SeverityAlert || e.Details["kind"] != "ide" {
				t.Errorf("audited as %+v", e)
			}
		})
	}
}
