package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
)

// patience bounds each step of the story.
const patience = 10 * time.Second

// story plays what the gateway is for, step by step, and fails where a step
// does not do what it should.
func (st *stage) story(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	alice, bob, eve := st.people["alice"], st.people["bob"], st.people["eve"]
	step := 0
	say := func(format string, args ...any) {
		step++
		fmt.Fprintf(out, "\n%d. %s\n", step, fmt.Sprintf(format, args...))
	}
	show := func(who, login, command string, r result) {
		fmt.Fprintf(out, "   %s$ ssh %s\n", who, strings.TrimSpace(login+" "+command))
		for line := range strings.Lines(r.text) {
			fmt.Fprintf(out, "   │ %s\n", strings.TrimRight(strings.ReplaceAll(line, "\r", ""), "\n"))
		}
		if r.status != 0 {
			fmt.Fprintf(out, "   └ exit status %d\n", r.status)
		}
	}
	run := func(p person, login, command string, status int) (string, error) {
		r, err := p.run(ctx, login, command)
		if err != nil {
			return "", err
		}
		show(p.name, login+"gate", command, r)
		if r.status != status {
			return "", fmt.Errorf("%s: %q exits %d, want %d", p.name, command, r.status, status)
		}
		return strings.TrimSpace(r.text), nil
	}

	say("alice has no standing access: no connection to web1 is even opened.")
	if _, err := run(alice, "lab@web1@", "uptime", sallyport.ExitDenied); err != nil {
		return err
	}
	if n := st.target.Connections(); n != 0 {
		return fmt.Errorf("%d connections reached the target without a grant", n)
	}

	say("She asks for an hour, and says why. The id is all that a script sees.")
	id, err := run(alice, "", `request create lab@web1 --for 1h --reason INC-42 disk full`, 0)
	if err != nil {
		return err
	}

	say("Her own approval counts for nothing; bob's does.")
	if _, err := run(alice, "", "request approve "+id, sallyport.ExitDenied); err != nil {
		return err
	}
	if _, err := run(bob, "", "request approve "+id, 0); err != nil {
		return err
	}

	say("Now the door opens, with a certificate that lives two minutes and works for this session alone.")
	if _, err := run(alice, "lab@web1@", `echo "I am on web1 as lab"; ls`, 0); err != nil {
		return err
	}

	say("In a shell, a forbidden command is cut before it runs.")
	first, err := alice.shell(ctx)
	if err != nil {
		return err
	}
	defer first.Close()
	if err := first.types("echo hello $((6*7))\r", "hello 42\nlab@web1:~$ "); err != nil {
		return err
	}
	if err := first.types("rm -rf precious", "rm -rf precious"); err != nil {
		return err
	}
	if err := first.types("\r", "sallyport:"); err != nil {
		return err
	}
	status, err := first.wait()
	if err != nil {
		return err
	}
	show("alice", "lab@web1@gate", "", result{first.out.String(), status})
	if status != sallyport.ExitEnded {
		return fmt.Errorf("the session ended with %d, want %d", status, sallyport.ExitEnded)
	}
	if _, err := os.Stat(filepath.Join(st.dir, "web1", "precious")); err != nil {
		return fmt.Errorf("the forbidden command was run: %w", err)
	}
	fmt.Fprintln(out, "   (the directory \"precious\" is still there)")

	say("alice comes back. eve, in the SOC, sees her and pulls the plug.")
	second, err := alice.shell(ctx)
	if err != nil {
		return err
	}
	defer second.Close()
	if err := second.types("echo back again\r", "\nback again\nlab@web1:~$ "); err != nil {
		return err
	}
	live := st.gateway.proxy.Sessions()
	if len(live) == 0 {
		return errors.New("alice's session is not live")
	}
	session := live[len(live)-1].ID // the newest; the one before it may still be closing
	if _, err := run(eve, "", "sessions ls", 0); err != nil {
		return err
	}
	start := time.Now()
	if _, err := run(eve, "", "sessions kill "+session+" --reason unexpected work on web1", 0); err != nil {
		return err
	}
	took := time.Since(start)
	if status, err = second.wait(); err != nil {
		return err
	}
	if status != sallyport.ExitEnded || !strings.Contains(second.out.String(), "killed") {
		return fmt.Errorf("the killed session ended with %d and showed %q", status, second.out.String())
	}
	fmt.Fprintf(out, "   (alice is out %d ms after eve's Enter, and the grant is locked)\n", took.Milliseconds())
	if _, err := run(alice, "lab@web1@", "uptime", sallyport.ExitDenied); err != nil {
		return err
	}

	say("What happened can be replayed, keystroke by keystroke.")
	if _, err := run(eve, "", "recordings ls", 0); err != nil {
		return err
	}
	replayed, err := run(eve, "", "play "+session+" --speed 10 --idle 1s", 0)
	if err != nil {
		return err
	}
	if !strings.Contains(replayed, "back again") {
		return fmt.Errorf("the replay does not show what alice saw")
	}
	fmt.Fprintln(out, "\nThat is the whole story: asked, approved, recorded, cut, killed, replayed.")
	return nil
}

// result is what a command showed and how it ended.
type result struct {
	text   string
	status int
}

// dial opens a person's connection to the gateway.
func (p person) dial(ctx context.Context, login string) (*ssh.Client, error) {
	conn, err := ssh.Dial("tcp", p.addr, &ssh.ClientConfig{
		User: strings.TrimSuffix(login, "@"), Auth: []ssh.AuthMethod{ssh.PublicKeys(p.signer)},
		HostKeyCallback: ssh.FixedHostKey(p.host), Timeout: patience,
	})
	if err != nil {
		return nil, fmt.Errorf("%s at the gateway: %w", p.name, err)
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	return conn, nil
}

// run runs one command, as ssh without a terminal does.
func (p person) run(ctx context.Context, login, command string) (result, error) {
	c, err := p.dial(ctx, login)
	if err != nil {
		return result{}, err
	}
	defer c.Close()
	s, err := c.NewSession()
	if err != nil {
		return result{}, err
	}
	var out screen
	s.Stdout, s.Stderr = &out, &out
	status, err := exitOf(s.Run(command))
	return result{out.String(), status}, err
}

// shell is a person at a terminal.
type shell struct {
	*ssh.Client
	session *ssh.Session
	keys    io.Writer
	out     screen
}

func (p person) shell(ctx context.Context) (*shell, error) {
	c, err := p.dial(ctx, "lab@web1")
	if err != nil {
		return nil, err
	}
	s, err := c.NewSession()
	if err != nil {
		c.Close()
		return nil, err
	}
	sh := &shell{Client: c, session: s}
	s.Stdout, s.Stderr = &sh.out, &sh.out
	if sh.keys, err = s.StdinPipe(); err == nil {
		if err = s.RequestPty("xterm", 24, 80, ssh.TerminalModes{}); err == nil {
			err = s.Shell()
		}
	}
	if err == nil {
		err = sh.out.await("$ ")
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("%s's shell: %w", p.name, err)
	}
	return sh, nil
}

// types sends keys and waits until the screen shows a text.
func (s *shell) types(keys, want string) error {
	if _, err := io.WriteString(s.keys, keys); err != nil {
		return err
	}
	return s.out.await(want)
}

func (s *shell) wait() (int, error) { return exitOf(s.session.Wait()) }

func exitOf(err error) (int, error) {
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		return exit.ExitStatus(), nil
	}
	return 0, err
}

// screen collects what is shown. Safe for concurrent use.
type screen struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{}
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.more != nil {
		close(s.more)
		s.more = nil
	}
	return s.buf.Write(p)
}

// String returns what was shown, without what only a terminal understands.
func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.plain()
}

// plain is String with s.mu held.
func (s *screen) plain() string {
	return strings.NewReplacer("\r", "", "\x1b[?2004h", "", "\x1b[?2004l", "").Replace(s.buf.String())
}

// await returns when the text has been shown.
func (s *screen) await(want string) error {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		s.mu.Lock()
		if strings.Contains(s.plain(), want) {
			s.mu.Unlock()
			return nil
		}
		if s.more == nil {
			s.more = make(chan struct{})
		}
		more := s.more
		s.mu.Unlock()
		select {
		case <-more:
		case <-limit.C:
			return fmt.Errorf("%q was not shown; there was %q", want, s.String())
		}
	}
}
