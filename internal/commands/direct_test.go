package commands

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"sallyport"
	"sallyport/judge"
	"sallyport/policy"
)

// commands are the rules of a set.
func (r ruleSet) commands() sallyport.Commands {
	act := sallyport.Deny
	if r == terminates {
		act = sallyport.Terminate
	}
	c := sallyport.Commands{Rules: []sallyport.CommandRule{
		{Program: "rm", Flags: []string{"r", "R", "recursive"}, Action: act},
		{Program: "find", Args: []string{"-delete"}, Action: act},
		{Program: "mv", Args: []string{"victim"}, Action: act},
		{Program: "chmod", Args: []string{"victim"}, Action: act},
	}}
	switch r {
	case off:
		return sallyport.Commands{}
	case opaque:
		c.Classes = map[sallyport.Class]sallyport.Action{sallyport.ClassOpaque: sallyport.Deny}
	}
	return c
}

// directly runs a case with the judge between a person and a shell, with half
// of the latency on each way between judge and shell.
func directly(t *testing.T, c *Case, rules ruleSet, latency time.Duration) error {
	root := t.TempDir()
	homeDir, dir := filepath.Join(root, "home"), filepath.Join(root, "work")
	if err := errors.Join(settle(homeDir), furnish(c, dir)); err != nil {
		return err
	}
	commands, err := policy.CompileCommands(rules.commands())
	if err != nil {
		return err
	}
	argv := shells[c.Shell]
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = homeDir
	cmd.Env = []string{
		"HOME=" + homeDir, "PATH=" + os.Getenv("PATH"), "TERM=xterm-256color", "LC_ALL=" + c.lang(), "USER=lab", "SHELL=/bin/" + argv[0],
		"CASE_DIR=" + dir, "XDG_DATA_HOME=" + filepath.Join(dir, "data"), "ENV=" + filepath.Join(homeDir, ".dashrc"),
	}
	cols, rows := c.size()
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: uint16(rows), Cols: uint16(cols)})
	if err != nil {
		return err
	}
	p := newPerson(c, rules, dir)
	toShell, toPerson := newLine(latency/2), newLine(latency/2)
	hangUp := func() { endAll(dir) }
	j := judge.New(judge.Config{
		Commands: commands, PTY: true, Cols: cols, Rows: rows,
		Send:   func(b []byte) error { return toShell.put(b) },
		Show:   func(b, _ []byte) error { p.shows(b); return nil },
		Record: func([]byte, bool) error { return nil },
		Judged: func(string, policy.Verdict) {},
		RTT:    func() time.Duration { return latency },
		Failed: func(reason string) { p.shows([]byte("\r\nsallyport: " + reason + "\r\n")); hangUp() },
		Notice: func(text string) { p.shows([]byte("\r\nsallyport: " + text + "\r\n")) },
		Terminate: func(reason string) {
			p.shows([]byte("\r\nsallyport: " + reason + "\r\n"))
			hangUp()
		},
	})
	p.in = typist{j}
	p.resize = func(cols, rows int) {
		j.Resize(cols, rows)
		_ = pty.Setsize(tty, &pty.Winsize{Rows: uint16(rows), Cols: uint16(cols)})
	}
	over := make(chan struct{})
	go toShell.carry(func(b []byte) error { _, err := tty.Write(b); return err })
	go func() {
		defer close(over)
		toPerson.carry(j.Output)
		p.ends()
	}()
	go func() {
		defer toPerson.close()
		buf := make([]byte, 32<<10)
		for {
			n, err := tty.Read(buf)
			_ = toPerson.put(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	defer func() {
		j.Close()
		hangUp()
		_ = cmd.Wait()
		tty.Close()
		toShell.close()
		<-over
	}()
	return p.run()
}

// endAll ends the processes of a case, which have its directory in their
// environment: jobs in the background hold the terminal open, and so do screen
// and tmux, which are in sessions of their own.
func endAll(dir string) {
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environs {
		b, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(b, []byte("CASE_DIR="+dir+"\x00")) {
			continue // it may have just ended
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// typist is a judge as a writer.
type typist struct{ *judge.Judge }

func (t typist) Write(b []byte) (int, error) { return len(b), t.Input(b) }

func (c *Case) lang() string {
	if c.Lang == "" {
		return "C.UTF-8"
	}
	return c.Lang
}

// settle writes the rc files.
func settle(homeDir string) error {
	// What an earlier run has told fish to keep.
	if err := os.RemoveAll(filepath.Join(homeDir, ".config/fish/fish_variables")); err != nil {
		return err
	}
	for name, text := range homeFiles {
		path := filepath.Join(homeDir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// line is a long cable: what is put in comes out after a delay, in order.
type line struct {
	delay time.Duration
	in    chan packet
	gone  chan struct{} // nothing more is put in
}

type packet struct {
	due  time.Time
	data []byte
}

func newLine(delay time.Duration) *line {
	return &line{delay: delay, in: make(chan packet, 4096), gone: make(chan struct{})}
}

func (l *line) put(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	select {
	case l.in <- packet{time.Now().Add(l.delay), append([]byte(nil), b...)}:
		return nil
	case <-l.gone:
		return io.ErrClosedPipe
	}
}

// close is called once, by whoever puts.
func (l *line) close() { close(l.gone) }

// carry hands out what was put in until the line is closed and empty.
func (l *line) carry(out func([]byte) error) {
	for {
		var p packet
		select {
		case p = <-l.in:
		case <-l.gone:
			select {
			case p = <-l.in:
			default:
				return
			}
		}
		time.Sleep(time.Until(p.due)) // this is the cable
		if out(p.data) != nil {
			return
		}
	}
}
