package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
)

// terminal FILE COMMAND… runs a command at a terminal, with a person in front of
// it who does what the file says, a line each:
//
//	expect TEXT     waits until the text is shown, after what was expected before
//	type KEYS       types; escapes as in Go: \r, \x03
//	size ROWS COLS  resizes the window
//	run COMMAND     meanwhile, elsewhere: a shell command that must succeed
//	exit N          the command ends, with this status
//
// What was shown becomes the standard output.
func terminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: terminal FILE COMMAND…")
	}
	cmd := exec.Command(lookIn(ts.Getenv("PATH"), args[1]), args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"), "HOME="+ts.Getenv("HOME"), "TERM=xterm", "WORK="+ts.Getenv("WORK"))
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	ts.Check(err)
	w := &window{tty: tty, cmd: cmd, over: make(chan struct{})}
	w.more = sync.NewCond(&w.mu)
	go w.watch()
	// Only a script that has failed waits for this.
	watchdog := time.AfterFunc(40*time.Second, func() { _ = cmd.Process.Kill() })
	defer func() {
		watchdog.Stop()
		_ = cmd.Process.Kill() // where the script has failed
		<-w.over
		tty.Close()
		_, _ = ts.Stdout().Write(w.all.Bytes())
	}()
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		verb, rest, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		var err error
		switch verb {
		case "", "#":
		case "expect":
			err = w.expect(rest)
		case "type":
			var keys string
			if keys, err = strconv.Unquote(`"` + rest + `"`); err == nil {
				_, err = io.WriteString(tty, keys)
			}
		case "size":
			rows, cols, _ := strings.Cut(rest, " ")
			r, err1 := strconv.ParseUint(rows, 10, 16)
			c, err2 := strconv.ParseUint(cols, 10, 16)
			err = errors.Join(err1, err2, pty.Setsize(tty, &pty.Winsize{Rows: uint16(r), Cols: uint16(c)}))
		case "run":
			err = ts.Exec("sh", "-c", rest)
		case "exit":
			<-w.over
			if got := strconv.Itoa(cmd.ProcessState.ExitCode()); got != rest {
				err = errors.New("exit status " + got)
			}
		default:
			err = errors.New("there is no such verb")
		}
		if err != nil {
			ts.Fatalf("%s: %v\nthe screen:\n%s", strings.TrimSpace(line), err, w.screen())
		}
	}
}

// window is what the person in front of the terminal sees.
type window struct {
	tty  *os.File
	cmd  *exec.Cmd
	over chan struct{} // the command has ended

	mu    sync.Mutex
	more  *sync.Cond
	all   bytes.Buffer
	seen  int // of all, up to what was expected last
	ended bool
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
	_ = w.cmd.Wait() // ProcessState tells
	close(w.over)
}

func (w *window) expect(text string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		if i := bytes.Index(w.all.Bytes()[w.seen:], []byte(text)); i >= 0 {
			w.seen += i + len(text)
			return nil
		}
		if w.ended {
			return errors.New("it did not come")
		}
		w.more.Wait()
	}
}

func (w *window) screen() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all.String()
}
