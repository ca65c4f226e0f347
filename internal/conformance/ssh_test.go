package conformance

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// How a command ends is the command's.
func sshStatus(s *seat) {
	mux := s.master()
	for _, n := range []int{0, 1, 3, 254, 255} {
		s.wants(fmt.Sprintf("exit %d", n), s.ssh(nil, mux, fmt.Sprintf("exit %d", n)), n, "")
	}
	for _, sig := range []string{"TERM", "KILL", "SEGV", "HUP", "USR1"} {
		s.wants("killed by "+sig, s.ssh(nil, mux, "echo before; ulimit -c 0; kill -"+sig+" $$"), 255, "before\n")
	}
	s.wants("no such command", s.ssh(nil, mux, "no-such-command"), 127, "")
	s.wants("not executable", s.ssh(nil, mux, "/etc/passwd"), 126, "")
	s.wants("a child's signal", s.ssh(nil, mux, "{ sh -c 'kill -KILL $$'; echo $?; } 2>/dev/null"), 0, "137\n")

	// With a connection of its own, the end of the command is the end of it.
	s.wants("exit 3 and no more", s.ssh(nil, "exit 3"), 3, "")
	s.wants("exit 255 and no more", s.ssh(nil, "exit 255"), 255, "")
	s.wants("killed and no more", s.ssh(nil, "echo before; kill -KILL $$"), 255, "before\n")
	s.wants("status after output", s.ssh(nil, "head -c 3000000 /dev/zero; exit 9"), 9, strings.Repeat("\x00", 3000000))
	s.wants("a child keeps the output open", s.ssh(nil, "-n", "(sleep 0.5; echo late) & exit 5"), 5, "late\n")
	s.wants("a terminal, and a status", s.ssh(nil, "-tt", "exit 7"), 7, "")
	s.wants("a terminal, and a signal", s.ssh(nil, "-tt", "kill -TERM $$"), 255, "")
}

// Standard input goes there, and its end.
func sshInput(s *seat) {
	s.wants("a pipe", s.ssh(strings.NewReader("abc"), "cat; echo end"), 0, "abcend\n")
	s.wants("none", s.ssh(strings.NewReader("abc"), "-n", "cat; echo end"), 0, "end\n")
	file := s.write(filepath.Join(s.here, "file"), strings.Repeat("line\n", 1000))
	s.wants("a file", s.ssh(s.open(file), "cat"), 0, strings.Repeat("line\n", 1000))
	s.wants("read in part", s.ssh(s.open(here.big), "head -c4 | wc -c"), 0, "4\n")
	s.wants("not read at all", s.ssh(s.open("/dev/zero"), "exec true"), 0, "")
	s.wants("closed by the program", s.ssh(strings.NewReader("abc"), "exec <&-; echo closed; exit 2"), 2, "closed\n")
	s.wants("ended, and much comes after", s.ssh(strings.NewReader("abc"), "cat >/dev/null; sleep 0.3; seq 100000"), 0, lines(100000))
	// The other half: the program closes its output, and reads on.
	s.wants("output closed first", s.ssh(io.LimitReader(s.open(here.big), 4<<20), "exec >&- 2>&-; sleep 0.3; cat > "+s.there+"/rest"), 0, "")
	s.note("what it read: %s", s.sum(filepath.Join(s.there, "rest")))
	s.wants("a script", s.ssh(strings.NewReader("echo one\nexit 6\necho two\n"), "-T", "sh"), 6, "one\n")
	s.sees("a script for the login shell", s.ssh(strings.NewReader("echo $0 one\necho two >&2\nexit 6\n"), "-T"))
	// The client's side of the output breaks.
	s.sees("a broken pipe", s.run(nil, "sh", "-c", `ssh -n -F "$SSH_CONFIG" "$DEST" yes | head -n 3`))
}

// lines is what seq says.
func lines(n int) string {
	var b []byte
	for i := 1; i <= n; i++ {
		b = append(strconv.AppendInt(b, int64(i), 10), '\n')
	}
	return string(b)
}

// Output and error output are two streams.
func sshStreams(s *seat) {
	s.sees("apart", s.ssh(nil, "echo out; echo err >&2; exit 7"))
	big := s.sees("both large, at once", s.ssh(nil, "seq 100000 & seq 150000 >&2; wait"))
	if want := lines(150000); string(big.stderr) != want {
		s.Errorf("stderr is %s", s.digest(big.stderr))
	}
	if want := lines(100000); string(big.stdout) != want {
		s.Errorf("stdout is %s", s.digest(big.stdout))
	}
	s.sees("error output after the end of output", s.ssh(nil, "exec >&-; sleep 0.3; seq 50000 >&2"))
	s.sees("output after the end of error output", s.ssh(nil, "exec 2>&-; sleep 0.3; seq 50000"))
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	s.wants("every byte", s.ssh(bytes.NewReader(every), "cat"), 0, string(every))
	s.sees("every byte as an error", s.ssh(bytes.NewReader(every), "cat >&2"))
	s.wants("a line at a time", s.ssh(nil, "for i in 1 2 3 4 5; do echo $i; sleep 0.05; done"), 0, "1\n2\n3\n4\n5\n")
}

// The command line arrives as it was typed.
func sshWords(s *seat) {
	mux := s.master()
	s.sees("blanks", s.ssh(nil, mux, "echo", "a  b", "'c  d'", "\"e\"", "$HOME", "*"))
	s.sees("lines", s.ssh(nil, mux, "echo one\necho two\n# three\nexit 4"))
	s.sees("letters", s.ssh(nil, mux, "printf '%s' 'ä€😀\xff\xfe'"))
	s.sees("control bytes", s.ssh(nil, mux, "printf '%s' '\x01\x1b[31m\x7f\t'"))
	s.sees("long", s.ssh(nil, mux, "printf '%s' '"+strings.Repeat("x", 100000)+"' | wc -c"))
	s.sees("who", s.ssh(nil, mux, "id -un; pwd; echo $0 $SHELL $USER $LOGNAME $PATH"))
	s.wants("variables", s.ssh(nil, "-oSetEnv=LC_ALL=C LC_FOO=\"a b\" LANG=de_DE FOO=foo", "env | grep -E '^(LC_|LANG|FOO)' | sort"), 0,
		"FOO=foo\nLANG=de_DE\nLC_ALL=C\nLC_FOO=a b\n")
	s.sees("no variables", s.ssh(nil, mux, "env | grep -cE '^(LC_|TERM=)'"))
}

// What the user may set about the connection.
func sshOptions(s *seat) {
	text := lines(50000)
	for _, o := range []string{
		"-C", "-oRekeyLimit=64K", "-oCiphers=aes256-ctr", "-oCiphers=aes128-gcm@openssh.com", // no ChaCha20: docs/adr/0004
		"-oMACs=hmac-sha2-256", "-oKexAlgorithms=ecdh-sha2-nistp256", "-oKexAlgorithms=^sntrup761x25519-sha512@openssh.com", "-4kaxq",
	} {
		s.wants(o, s.ssh(strings.NewReader(text), o, "cat; exit 3"), 3, text)
	}
	s.wants("quiet for longer than its keepalive", s.ssh(nil, "-oServerAliveInterval=1", "-oServerAliveCountMax=1", "sleep 2.3; echo there"), 0, "there\n")
}

// 64 MiB each way; new keys every megabyte, and compression, on less.
func sshLarge(s *seat) {
	got := s.ssh(s.open(s.big()), "sha256sum; exit 2")
	if s.note("there: exit %d", got.status); string(got.stdout) != s.bigSum()+"  -\n" {
		s.Errorf("what arrived is not what was sent: %s", got.stdout)
	}
	s.isBig(s.back("back", s.ssh(nil, "-n", "cat "+s.big())))
	for _, o := range []string{"-C", "-oRekeyLimit=1M"} {
		got := s.ssh(s.open(here.mid), o, "cat; exit 2")
		s.note("there and back %s: exit %d, %s", o, got.status, s.digest(got.stderr))
		s.isMid(s.back(o, got))
	}
}

// back keeps what came back in a file.
func (s *seat) back(what string, got seen) string {
	s.Helper()
	path := filepath.Join(s.here, "back")
	s.must(os.WriteFile(path, got.stdout, 0o600))
	s.note("%s: exit %d, %s", what, got.status, s.digest(got.stderr))
	return path
}
