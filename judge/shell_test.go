package judge_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"sallyport"
	"sallyport/judge"
	"sallyport/policy"
)

// rules are those of the sample configuration, and one that denies.
func rules(t testing.TB) *policy.Commands {
	t.Helper()
	c, err := policy.CompileCommands(sallyport.Commands{Rules: []sallyport.CommandRule{
		{Program: "rm", Flags: []string{"r", "R", "recursive"}, Action: sallyport.Terminate},
		{Program: "shutdown", Action: sallyport.Deny},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// desk is a person at a real shell, with a judge between.
type desk struct {
	t     testing.TB
	dir   string // the shell's home; "victim" is in it
	tty   *os.File
	judge *judge.Judge
	gone  chan struct{} // the shell has ended

	mu       sync.Mutex
	more     *sync.Cond // seen, ended or gone has changed
	seen     bytes.Buffer
	recorded strings.Builder // secrets as •
	verdicts []policy.Verdict
	lines    []string
	accepted []string
	held     []time.Duration
	notices  []string
	ended    string // the reason of Terminate
}

// sit starts the shell and returns when its prompt is drawn.
func sit(t testing.TB, commands *policy.Commands, shell ...string) *desk {
	t.Helper()
	d := &desk{t: t, dir: t.TempDir(), gone: make(chan struct{})}
	d.more = sync.NewCond(&d.mu)
	if err := os.MkdirAll(filepath.Join(d.dir, "victim", "inside"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(shell[0], shell[1:]...)
	cmd.Dir = d.dir
	cmd.Env = []string{"HOME=" + d.dir, "PATH=" + os.Getenv("PATH"), "TERM=xterm", "PS1=ready$ ", "PS2=more> ", "LC_ALL=C.UTF-8", "INPUTRC=/dev/null"}
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	d.tty = tty
	d.judge = judge.New(judge.Config{
		Commands: commands, PTY: true, Cols: 80, Rows: 24,
		Send: func(p []byte) error { _, err := tty.Write(p); return err },
		Record: func(p []byte, secret bool) error {
			d.change(func() {
				if secret {
					p = []byte("•")
				}
				d.recorded.Write(p)
			})
			return nil
		},
		Show: func(p, _ []byte) error { d.change(func() { d.seen.Write(p) }); return nil },
		Judged: func(line string, v policy.Verdict) {
			d.change(func() {
				if v.Action > sallyport.Allow {
					d.lines, d.verdicts = append(d.lines, line), append(d.verdicts, v)
				} else {
					d.accepted = append(d.accepted, line)
				}
			})
		},
		Notice:    func(text string) { d.change(func() { d.notices = append(d.notices, text) }) },
		Terminate: func(reason string) { d.change(func() { d.ended = reason }) },
		Failed:    func(reason string) { d.change(func() { d.ended = reason }) },
		Held:      func(t time.Duration) { d.change(func() { d.held = append(d.held, t) }) },
	})
	go func() {
		defer close(d.gone)
		buf := make([]byte, 4096)
		for {
			n, err := tty.Read(buf)
			if n > 0 {
				_ = d.judge.Output(buf[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		d.judge.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		tty.Close()
		<-d.gone
	})
	d.wait("ready$ ")
	return d
}

func (d *desk) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
	d.more.Broadcast()
}

// until waits for a condition; the watchdog only ends a test that has failed.
func (d *desk) until(what string, cond func() bool) {
	d.t.Helper()
	late := false
	watchdog := time.AfterFunc(10*time.Second, func() { d.change(func() { late = true }) })
	defer watchdog.Stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	for !cond() {
		if late {
			d.t.Fatalf("%s did not come; the screen had %q", what, d.seen.String())
		}
		d.more.Wait()
	}
}

// wait returns when text was shown; what came up to it is taken off.
func (d *desk) wait(text string) {
	d.t.Helper()
	d.until(text, func() bool {
		i := bytes.Index(d.seen.Bytes(), []byte(text))
		if i >= 0 {
			d.seen.Next(i + len(text))
		}
		return i >= 0
	})
}

// keys types keys in one packet. It does not matter here when the judge has
// had enough.
func (d *desk) keys(keys string) {
	d.t.Helper()
	if err := d.judge.Input([]byte(keys)); err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.ended == "" {
			d.t.Fatalf("typing %q: %v", keys, err)
		}
	}
}

// run types a line that must pass, and waits for the next prompt.
func (d *desk) run(line string) {
	d.t.Helper()
	d.keys(line)
	d.wait(line)
	d.keys("\r")
	d.wait("ready$ ")
}

func (d *desk) victim() bool {
	_, err := os.Stat(filepath.Join(d.dir, "victim", "inside"))
	return err == nil
}

// ahead types keys while the shell waits for a program: it sees them later.
func ahead(keys string) func(d *desk) {
	return func(d *desk) {
		d.keys("printf 'as%s' leep; sleep 0.5\r")
		d.wait("asleep")
		d.keys(keys)
	}
}

var bash = []string{"bash", "--norc", "--noprofile", "-i"}

// Attack (C3): the ways round JumpServer's filter and other ways to type a
// forbidden line without typing it. Each ends the session before the line is
// run.
func TestForbiddenLinesAreNotRun(t *testing.T) {
	for _, tt := range []struct {
		name   string
		shell  []string
		typing func(d *desk)
	}{
		{"plain", bash, func(d *desk) { d.keys("rm -rf victim"); d.wait("victim"); d.keys("\r") }},
		{"in one packet", bash, func(d *desk) { d.keys("rm -rf victim\r") }},
		{"line feed", bash, func(d *desk) { d.keys("rm -rf victim\n") }},
		{"Ctrl-O", bash, func(d *desk) { d.keys("rm -rf victim\x0f") }},
		{"second of two", bash, func(d *desk) { d.keys("ls; rm -rf victim\r") }},
		{"quoted", bash, func(d *desk) { d.keys(`r\m -"r"f vic'tim'` + "\r") }},
		{"a path, wrapped", bash, func(d *desk) { d.keys("env X=1 nice /bin/rm -fR victim\r") }},
		{"a variable", bash, func(d *desk) { d.keys("x=rm; $x -rf victim\r") }},
		{"after Ctrl-C", bash, func(d *desk) {
			d.keys("ls")
			d.wait("ls")
			d.keys("\x03")
			d.wait("^C")
			d.keys("\r") // bash may draw no prompt after a Ctrl-C that meets it at work
			d.wait("ready$ ")
			d.keys("rm -rf victim\r")
		}},
		{"after Ctrl-C in a quote", bash, func(d *desk) {
			d.keys("echo '\r")
			d.wait("more> ")
			d.keys("\x03")
			d.wait("^C")
			d.keys("rm -rf victim\r")
		}},
		{"after Ctrl-D in a here-document", bash, func(d *desk) {
			d.keys("cat <<X\r")
			d.wait("more> ")
			d.keys("\x04")
			d.wait("ready$ ")
			d.keys("rm -rf victim\r")
		}},
		{"after a quote that only the keys have", bash, func(d *desk) {
			d.keys("echo '\x1b[D\x1b[3~\r") // Delete
			d.wait("ready$ ")
			d.keys("rm -rf victim\r")
		}},
		{"after a backslash and a blank", bash, func(d *desk) {
			d.keys("echo \\ \r")
			d.wait("ready$ ")
			d.keys("rm -rf victim\r")
		}},
		{"continued, the start last", bash, func(d *desk) {
			d.keys("m \\\x01r\r")
			d.wait("more> ")
			d.keys("-rf victim\r")
		}},
		{"continued, after an empty line", bash, func(d *desk) {
			d.keys("sh <<X\r")
			d.wait("more> ")
			d.keys("\r")
			d.wait("more> ")
			d.keys("rm \\\r")
			d.wait("more> ")
			d.keys("-rf victim\r")
		}},
		{"a here-document that bash ends early", bash, func(d *desk) {
			d.keys("cat <<X\r")
			d.wait("more> ")
			d.keys("X\\\r")
			d.wait("more> ")
			d.keys("\r")
			d.wait("ready$ ")
			d.keys("rm -rf victim\r")
		}},
		{"after Ctrl-U", bash, func(d *desk) { d.keys("echo \x15rm -rf victim\r") }},
		{"after Ctrl-W", bash, func(d *desk) { d.keys("echo\x17rm -rf victim\r") }},
		{"after backspaces", bash, func(d *desk) { d.keys("echo\x7f\x7f\x7f\x7frm -rf victim\r") }},
		{"from history, edited", bash, func(d *desk) {
			d.run("echo rm -rf victim")
			d.keys("\x1b[A")
			d.wait("echo rm -rf victim")
			d.keys("\x01\x1bd")
			d.keys("\r")
		}},
		{"from history, edited, in one packet", bash, func(d *desk) {
			d.run("echo rm -rf victim")
			d.keys("\x1b[A\x01\x1bd\r")
		}},
		{"inserted in the middle", bash, func(d *desk) {
			d.keys("m -rf victim\x01r\r")
		}},
		{"completed", bash, func(d *desk) {
			d.keys("rm -rf vic\t")
			d.wait("victim/")
			d.keys("\r")
		}},
		{"continued", bash, func(d *desk) { d.keys("rm \\\r"); d.wait("more> "); d.keys("-rf victim\r") }},
		{"a function", bash, func(d *desk) { d.keys("f() {\r"); d.wait("more> "); d.keys("rm -rf victim; }; f\r") }},
		{"heredoc into a shell", bash, func(d *desk) {
			d.keys("sh <<X\r")
			d.wait("more> ")
			d.keys("rm -rf victim\r")
			d.keys("X\r")
		}},
		{"typed ahead", bash, func(d *desk) { d.keys("sleep 0.3\r"); d.keys("rm -rf victim\r") }},
		{"typed ahead, the start last", bash, ahead(" -rf victim\x01rm\r")},
		{"typed ahead, with arrows", bash, ahead("m -rf victim" + strings.Repeat("\x1b[D", 12) + "r\r")},
		{"typed ahead, with Home and End", bash, ahead("m -rf vict\x1b[Hr\x1bOFim\r")},
		{"typed ahead, killed and yanked", bash, ahead("-rf victim\x01\x0brm \x19\r")},
		{"typed ahead, transposed", bash, ahead("mr\x14 -rf victim\r")},
		{"typed ahead, by words", bash, ahead(" -rf victim\x1bb\x1bb\x02\x02rm\r")},
		{"typed ahead, a key erased", bash, ahead(" -rf victim\x01\x05\x7frm\r")},
		{"bracketed paste", bash, func(d *desk) { d.keys("\x1b[200~rm -rf victim\x1b[201~\r") }},
		{"paste of two lines", bash, func(d *desk) { d.keys("\x1b[200~ls\rrm -rf victim\r\x1b[201~\r") }},
		{"dash", []string{"dash", "-i"}, func(d *desk) { d.keys("rm -rf victim\r") }},
		{"dash, Ctrl-D", []string{"dash", "-i"}, func(d *desk) { d.keys("rm -rf victim\x04\x04") }},
		{"dash, continued", []string{"dash", "-i"}, func(d *desk) {
			d.keys("rm \\")
			d.wait("rm ")
			d.keys("\r")
			d.wait("more> ")
			d.keys("-rf victim\r")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := sit(t, rules(t), tt.shell...)
			tt.typing(d)
			d.until("the end of the session", func() bool { return d.ended != "" })
			if err := d.judge.Input([]byte("echo on\r")); err == nil {
				t.Error("the judge takes more keys")
			}
			if !d.victim() {
				t.Error("the line was run")
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			if n := len(d.verdicts); n == 0 || d.verdicts[n-1].Action != sallyport.Terminate {
				t.Errorf("verdicts %+v", d.verdicts)
			}
		})
	}
}

// The user's need: what is no forbidden command passes, whatever words are on
// the screen or in the line (koko#285).
func TestOtherLinesPass(t *testing.T) {
	d := sit(t, rules(t), bash...)
	for _, line := range []string{
		"echo 'rm -rf victim'",
		"ls -rt # rm -r",
		"PS1='rm -rf ready$ '",
		"mkdir empty && rm -f nothing && rmdir empty",
		"grep -r shutdown . || true",
	} {
		d.run(line)
	}
	// Enter alone, at a prompt that looks like a forbidden command.
	d.keys("\r")
	d.wait("ready$ ")
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, v := range d.verdicts {
		if v.Action >= sallyport.Deny {
			t.Errorf("%q: %+v", d.lines[i], v)
		}
	}
	if d.ended != "" {
		t.Errorf("ended: %s", d.ended)
	}
}

// A denied line is dropped, the user is told why, and the shell lives on.
func TestADeniedLineIsDropped(t *testing.T) {
	d := sit(t, rules(t), bash...)
	d.keys("touch ran; shutdown -h now")
	d.wait("now")
	d.keys("\r")
	d.until("the notice", func() bool { return len(d.notices) > 0 })
	d.keys("\r") // bash may draw no prompt after a Ctrl-C that meets it at work
	d.wait("ready$ ")
	d.run("echo alive")
	if _, err := os.Stat(filepath.Join(d.dir, "ran")); err == nil {
		t.Error("the line was run")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.notices) != 1 || !strings.Contains(d.notices[0], "shutdown") || d.ended != "" {
		t.Errorf("notices %q, ended %q", d.notices, d.ended)
	}
	if len(d.lines) != 1 || d.lines[0] != "touch ran; shutdown -h now" {
		t.Errorf("lines %q", d.lines)
	}
}

// Attack (R8): read somebody's password out of the recording, whether they
// type it key by key or paste it, to a program that hides it and at once.
func TestSecretsAreNotRecorded(t *testing.T) {
	for _, tt := range []struct{ name, ask string }{
		{"read -s", `read -s -p "Password: " x; echo; echo over`},
		{"stty -echo", `stty -echo; printf "Password: "; head -n1 >/dev/null; stty echo; echo over`},
	} {
		for _, typing := range []string{"by key", "at once"} {
			t.Run(tt.name+" "+typing, func(t *testing.T) {
				t.Parallel()
				d := sit(t, nil, bash...)
				d.keys(tt.ask)
				d.wait("over")
				d.keys("\r")
				d.wait("Password: ")
				const secret = "hunter2-P"
				if typing == "at once" {
					d.keys(secret + "\r")
				} else {
					for _, k := range secret {
						d.keys(string(k))
					}
					d.keys("\r")
				}
				d.wait("over")
				d.wait("ready$ ")
				d.until("the mask", func() bool { return strings.Contains(d.recorded.String(), "•") })
				d.run("echo seen")
				d.judge.Close()
				d.mu.Lock()
				defer d.mu.Unlock()
				got := d.recorded.String()
				if strings.ContainsAny(strings.ReplaceAll(strings.ReplaceAll(got, tt.ask, ""), "echo seen", ""), "hunter2P") {
					t.Errorf("recorded %q", got)
				}
				if !strings.Contains(got, "•") || !strings.Contains(got, "echo seen\r") {
					t.Errorf("recorded %q: no mask, or what was shown is missing", got)
				}
			})
		}
	}
}
