package conformance

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/creack/pty"
)

// window is a terminal with a person in front of it.
type window struct {
	s      *seat
	tty    *os.File
	cmd    *exec.Cmd
	over   chan struct{} // the command has ended
	status int           // after over

	mu    sync.Mutex
	more  *sync.Cond
	all   bytes.Buffer
	seen  int // of all, up to what was expected last
	ended bool
}

// terminal runs a command at a terminal of 24 lines.
func (s *seat) terminal(argv ...string) *window {
	s.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = s.here, s.env
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	s.must(err)
	w := &window{s: s, tty: tty, cmd: cmd, over: make(chan struct{})}
	w.more = sync.NewCond(&w.mu)
	watchdog := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	go w.watch()
	s.Cleanup(func() {
		watchdog.Stop()
		_ = cmd.Process.Kill() // where the test has failed
		<-w.over
		tty.Close()
	})
	return w
}

func (w *window) watch() {
	buf := make([]byte, 4096)
	for {
		n, err := w.tty.Read(buf)
		w.mu.Lock()
		w.all.Write(buf[:n])
		w.ended = err != nil
		w.more.Broadcast()
		w.mu.Unlock()
		if err != nil {
			break
		}
	}
	var err error
	if w.status, err = exitStatus(w.cmd.Wait()); err != nil {
		w.status = -1
	}
	close(w.over)
}

// expect waits until the text is shown, after what was expected before.
func (w *window) expect(text string) {
	w.s.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		if i := bytes.Index(w.all.Bytes()[w.seen:], []byte(text)); i >= 0 {
			w.seen += i + len(text)
			return
		}
		if w.ended {
			w.s.Fatalf("%q was not shown:\n%s", text, w.all.String())
		}
		w.more.Wait()
	}
}

func (w *window) types(keys string) {
	w.s.Helper()
	_, err := io.WriteString(w.tty, keys)
	w.s.must(err)
}

func (w *window) size(rows, cols uint16) {
	w.s.Helper()
	w.s.must(pty.Setsize(w.tty, &pty.Winsize{Rows: rows, Cols: cols}))
}

// ends waits for the end and notes all that was shown.
func (w *window) ends(what string) {
	<-w.over
	w.s.note("%s: exit %d", what, w.status)
	for line := range strings.SplitAfterSeq(w.all.String(), "\n") {
		w.s.note("  %q", line)
	}
}

// A command with a terminal: its size and its changes, its modes, its keys.
func sshTerminal(s *seat) {
	stop := filepath.Join(s.there, "stop")
	// The trap only takes note: bash forgets a signal that comes while its trap runs.
	w := s.terminal(s.sshArgs("-t", `trap told=yes WINCH; test -t 0 && echo "term $TERM"; stty -a; `+
		`until [ -e `+stop+` ]; do now=$(stty size); [ "$now" = "$was" ] || echo "size $now"; was=$now; sleep 0.05; done; `+
		`echo "told $told"; `+
		`while read line; do echo "read $line"; [ "$line" = end ] && exit 7; done`)...)
	w.expect("term xterm")
	w.expect("24; columns 80;")
	w.expect("size 24 80")
	for _, size := range [][2]uint16{{40, 100}, {10, 20}, {300, 400}} {
		w.size(size[0], size[1])
		w.expect(fmt.Sprintf("size %d %d", size[0], size[1]))
	}
	s.write(stop, "")
	w.expect("told yes")
	w.types("hello ä\x7f\x7fworld\r")
	w.expect("read ")
	w.types("end\r")
	w.ends("a command at a terminal")

	w = s.terminal(s.sshArgs("-t", `trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.1; done`)...)
	w.expect("ready")
	w.types("\x03")
	w.ends("^C")

	w = s.terminal(s.sshArgs("-t", `stty raw -echo; echo ready; head -c 5 | od -An -tx1; exit 3`)...)
	w.expect("ready")
	w.types("\x03\x04\x1a\x1c\x80")
	w.ends("a raw terminal")

	w = s.terminal(s.sshArgs("-t", "cat; echo end")...)
	w.types("abc\r")
	w.expect("abc\r\nabc")
	w.types("\x04")
	w.ends("^D")

	w = s.terminal(s.sshArgs("-t", "echo ready; sleep 100")...)
	w.expect("ready")
	w.types("\r~.")
	w.ends("hanging up by ~.")

	big := s.terminal(s.sshArgs("-t", "stty -opost; seq 200000")...)
	<-big.over
	output, farewell, _ := bytes.Cut(big.all.Bytes(), []byte("Connection to"))
	s.note("much output: exit %d, %s, then %d lines", big.status, s.digest(output), bytes.Count(farewell, []byte("\n")))
}

var prompt = regexp.MustCompile(`lab@[^:]*:`)

// A shell, as people use it.
func sshShell(s *seat) {
	w := s.terminal(s.sshArgs()...)
	const ready = ":~$ "
	w.expect(ready)
	for _, line := range []string{
		"echo hello $((6*7))", "stty size", "cd " + s.there, "ls -la --time-style=+", "false", "echo $?", "cat <<X\rone\rtwo\rX",
		"printf '\\033[31mred\\033[0m\\a\\n'", "tty >/dev/null && echo a terminal", "cd",
	} {
		w.types(line + "\r")
		w.expect("$ ")
	}
	w.types(`sh -c 'trap "exit 1" INT; echo started; while :; do sleep 0.05; done'` + "\r")
	w.expect("started\r\n")
	w.types("\x03")
	w.expect("$ ")
	w.types("exit 5\r")
	<-w.over
	// What is shown where depends on when it was typed; the lines do not.
	s.note("a shell: exit %d", w.status)
	text := prompt.ReplaceAllString(strings.ReplaceAll(w.all.String(), "\x1b[?2004l\r", ""), "lab@HOST:")
	for line := range strings.SplitAfterSeq(text, "\n") {
		s.note("  %q", line)
	}
}
