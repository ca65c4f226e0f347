package sshtest

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// lastWords is how long a pty may still speak after its leader has ended:
// somebody else may hold it open for ever.
const lastWords = 200 * time.Millisecond

// session is one channel of a target: at most one program, once.
type session struct {
	t    *Target
	conn *ssh.ServerConn
	ch   ssh.Channel

	env      []string
	term     string
	master   *os.File // of the pty, when there is one
	slave    *os.File
	cmd      *exec.Cmd
	finished chan struct{} // closed when the program has been waited for
	done     chan struct{} // closed when all was delivered
	pipes    []io.Closer   // our ends, without a pty
}

// session serves a channel until both sides are done with it.
func (t *Target) session(conn *ssh.ServerConn, nc ssh.NewChannel) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	t.sessions.Add(1)
	t.mu.Unlock()
	defer t.sessions.Done()

	ch, reqs, err := nc.Accept()
	if err != nil {
		return // the connection is gone
	}
	s := &session{t: t, conn: conn, ch: ch, finished: make(chan struct{}), done: make(chan struct{})}
	for r := range reqs {
		ok := s.request(r)
		if r.WantReply {
			_ = r.Reply(ok, nil)
		}
		if ok && isStart(r.Type) {
			s.deliver() // only now: the client hears "success" before the first byte
		}
	}
	// The client closed the channel. As in sshd, a pty hangs up and pipes break.
	if s.master != nil {
		s.master.Close()
	}
	if s.slave != nil {
		s.slave.Close()
	}
	for _, p := range s.pipes {
		p.Close()
	}
	ch.Close()
	if s.cmd != nil {
		<-s.finished
		<-s.done
	}
}

// forceCommand is the option of a certificate that names all that it may run.
const forceCommand = "force-command"

func isStart(request string) bool { return request == "shell" || request == "exec" }

// request answers one request of RFC 4254 section 6.
func (s *session) request(r *ssh.Request) bool {
	switch r.Type {
	case "env":
		var m struct{ Name, Value string }
		if ssh.Unmarshal(r.Payload, &m) != nil || s.cmd != nil {
			return false
		}
		if m.Name != "LANG" && m.Name != "FOO" && !strings.HasPrefix(m.Name, "LC_") {
			return false // AcceptEnv of the sshd beside us
		}
		s.env = append(s.env, m.Name+"="+m.Value)
		return true
	case "pty-req":
		var m struct {
			Term                      string
			Cols, Rows, Width, Height uint32
			Modes                     string
		}
		_, permitted := s.conn.Permissions.Extensions["permit-pty"]
		if ssh.Unmarshal(r.Payload, &m) != nil || !permitted || s.master != nil || s.cmd != nil {
			return false
		}
		master, slave, err := openPTY()
		if err != nil {
			return false
		}
		s.master, s.slave, s.term = master, slave, m.Term
		return setSize(master, m.Cols, m.Rows, m.Width, m.Height)
	case "window-change":
		var m struct{ Cols, Rows, Width, Height uint32 }
		if ssh.Unmarshal(r.Payload, &m) != nil || s.master == nil {
			return false
		}
		return setSize(s.master, m.Cols, m.Rows, m.Width, m.Height)
	case "shell":
		return s.start("")
	case "exec":
		var m struct{ Command string }
		return ssh.Unmarshal(r.Payload, &m) == nil && s.start(m.Command)
	case "signal":
		var m struct{ Name string }
		return ssh.Unmarshal(r.Payload, &m) == nil && s.signal(m.Name)
	case "break":
		return s.master != nil
	}
	return false
}

// start runs the shell, as a login shell when there is no command.
func (s *session) start(command string) bool {
	if s.cmd != nil || s.master != nil && s.slave == nil {
		return false // one program per channel, and one try
	}
	if forced, ok := s.conn.Permissions.CriticalOptions[forceCommand]; ok {
		if command != "" {
			s.env = append(s.env, "SSH_ORIGINAL_COMMAND="+command)
		}
		command = forced
	}
	c := s.t.cfg
	cmd := exec.Command(c.Shell)
	if command == "" {
		cmd.Args = []string{"-" + filepath.Base(c.Shell)}
	} else {
		cmd.Args = []string{filepath.Base(c.Shell), "-c", command}
	}
	cmd.Dir = c.Dir
	cmd.Env = append([]string{
		"HOME=" + c.Dir, "USER=" + s.conn.User(), "LOGNAME=" + s.conn.User(), "SHELL=" + c.Shell,
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}, c.Env...)
	cmd.Env = append(cmd.Env, s.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var theirs []io.Closer
	if s.master != nil {
		if s.term != "" {
			cmd.Env = append(cmd.Env, "TERM="+s.term)
		}
		cmd.SysProcAttr.Setctty = true
		cmd.Stdin, cmd.Stdout, cmd.Stderr = s.slave, s.slave, s.slave
		theirs, s.slave = []io.Closer{s.slave}, nil
	} else {
		var err error
		if theirs, err = s.connect(cmd); err != nil {
			return false
		}
	}
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
	}()
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	if s.t.closed || cmd.Start() != nil {
		return false
	}
	s.t.running[cmd] = true
	s.cmd = cmd
	return true
}

// connect gives the program three pipes, keeps our ends and returns its own.
// Pipes of our own, not cmd's: its Wait would close them with bytes unread.
func (s *session) connect(cmd *exec.Cmd) (theirs []io.Closer, err error) {
	var r, w [3]*os.File
	for i := range r {
		if r[i], w[i], err = os.Pipe(); err != nil {
			for j := range i {
				r[j].Close()
				w[j].Close()
			}
			return nil, err
		}
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r[0], w[1], w[2]
	s.pipes = []io.Closer{w[0], r[1], r[2]}
	return []io.Closer{r[0], w[1], w[2]}, nil
}

// deliver moves the bytes, then says how the program ended, in this order: all
// output, exit-status or exit-signal, EOF, close.
func (s *session) deliver() {
	var out sync.WaitGroup
	if s.master != nil {
		out.Go(func() { _, _ = io.Copy(s.ch, s.master) }) // EIO: the last slave was closed
		go func() { _, _ = io.Copy(s.master, s.ch) }()
	} else {
		stdin, stdout, stderr := s.pipes[0].(*os.File), s.pipes[1].(*os.File), s.pipes[2].(*os.File)
		out.Go(func() { _, _ = io.Copy(s.ch, stdout) })
		out.Go(func() { _, _ = io.Copy(s.ch.Stderr(), stderr) })
		go func() {
			_, _ = io.Copy(stdin, s.ch)
			stdin.Close()
		}()
	}
	copied := make(chan struct{})
	go func() {
		out.Wait()
		close(copied)
	}()
	go func() {
		defer close(s.done)
		// Until it is reaped its process group is its own; after that nobody may
		// send it a signal.
		for unix.Waitid(unix.P_PID, s.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		}
		s.t.mu.Lock()
		delete(s.t.running, s.cmd)
		s.t.mu.Unlock()
		err := s.cmd.Wait()
		close(s.finished)
		if s.master != nil {
			select {
			case <-copied:
			case <-time.After(lastWords):
				s.master.Close()
			}
		}
		<-copied
		s.exit(err)
		_ = s.ch.CloseWrite()
		s.ch.Close()
	}()
}

func (s *session) exit(err error) {
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		if w, ok := failed.Sys().(syscall.WaitStatus); ok && w.Signaled() {
			_, _ = s.ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Name    string
				Core    bool
				Message string
				Lang    string
			}{signalName(w.Signal()), w.CoreDump(), "", ""}))
			return
		}
	}
	code := s.cmd.ProcessState.ExitCode()
	_, _ = s.ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(code)}))
}

// signal sends a signal to the program and what it started, while it lives.
func (s *session) signal(name string) bool {
	for _, k := range signals {
		if k.name != name || s.cmd == nil {
			continue
		}
		s.t.mu.Lock()
		defer s.t.mu.Unlock()
		return s.t.running[s.cmd] && syscall.Kill(-s.cmd.Process.Pid, k.signal) == nil
	}
	return false
}

func signalName(sig syscall.Signal) string {
	for _, k := range signals {
		if k.signal == sig {
			return k.name
		}
	}
	return "SIG@openssh.com" // as OpenSSH's sig2name
}

// signals are those of RFC 4254 section 6.10.
var signals = [...]struct {
	name   string
	signal syscall.Signal
}{
	{"ABRT", syscall.SIGABRT},
	{"ALRM", syscall.SIGALRM},
	{"FPE", syscall.SIGFPE},
	{"HUP", syscall.SIGHUP},
	{"ILL", syscall.SIGILL},
	{"INT", syscall.SIGINT},
	{"KILL", syscall.SIGKILL},
	{"PIPE", syscall.SIGPIPE},
	{"QUIT", syscall.SIGQUIT},
	{"SEGV", syscall.SIGSEGV},
	{"TERM", syscall.SIGTERM},
	{"USR1", syscall.SIGUSR1},
	{"USR2", syscall.SIGUSR2},
}
