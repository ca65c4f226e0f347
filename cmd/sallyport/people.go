package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	gliderssh "github.com/gliderlabs/ssh"
	"github.com/rs/zerolog"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"sallyport"
	"sallyport/config"
	"sallyport/console"
	"sallyport/control"
)

// The people's verbs on the gateway's own host go through a unix socket. What
// is spoken there is SSH too, without authentication: the kernel says who it
// is, and root has the permission admin. So terminals, exit statuses and
// signals need no protocol of our own.

func socketPath(dataDir string) string { return filepath.Join(dataDir, "gateway.sock") }

// people runs one of the people's verbs at the gateway on this host.
func people(ctx context.Context, configFile string, args []string, std streams) (int, error) {
	cfg, err := config.Load(configFile)
	if err != nil {
		return sallyport.ExitStatus(err), err
	}
	nc, err := (&net.Dialer{}).DialContext(ctx, "unix", socketPath(cfg.DataDir))
	if err != nil {
		err := sallyport.Errorf(sallyport.CodeUnavail, "no gateway answers on this host: %w", err).
			WithHint("start it (sallyport serve), or ask it from elsewhere: ssh GATEWAY %s", strings.Join(args, " "))
		return sallyport.ExitStatus(err), err
	}
	defer nc.Close()
	pub, err := os.ReadFile(filepath.Join(keysDir(cfg), "host_key.pub"))
	if err != nil {
		return sallyport.ExitError, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(pub)
	if err != nil {
		return sallyport.ExitError, fmt.Errorf("host_key.pub: %w", err)
	}
	conn, chans, reqs, err := ssh.NewClientConn(nc, "gateway", &ssh.ClientConfig{
		User: "root", HostKeyCallback: ssh.FixedHostKey(key),
	})
	if err != nil {
		return sallyport.ExitError, fmt.Errorf("speaking to the gateway: %w", err)
	}
	client := ssh.NewClient(conn, chans, reqs)
	defer client.Close()
	s, err := client.NewSession()
	if err != nil {
		return sallyport.ExitError, err
	}
	defer s.Close()
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	s.Stdin, s.Stdout, s.Stderr = std.in, std.out, std.err
	if f, ok := std.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		restore, err := localTerminal(s, f)
		if err != nil {
			return sallyport.ExitError, err
		}
		defer restore()
	}
	err = s.Run(quote(args))
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		return exit.ExitStatus(), nil
	}
	if err != nil {
		return sallyport.ExitError, err
	}
	return sallyport.ExitOK, nil
}

// localTerminal asks for a terminal of the size of f, and makes the keys come
// one by one where input is a terminal too.
func localTerminal(s *ssh.Session, f *os.File) (restore func(), err error) {
	w, h, err := term.GetSize(int(f.Fd()))
	if err != nil {
		w, h = 80, 24
	}
	if err := s.RequestPty(os.Getenv("TERM"), h, w, nil); err != nil {
		return nil, err
	}
	stdin := int(os.Stdin.Fd())
	if !term.IsTerminal(stdin) {
		return func() {}, nil
	}
	old, err := term.MakeRaw(stdin)
	if err != nil {
		return nil, err
	}
	return func() { _ = term.Restore(stdin, old) }, nil
}

// quote joins words so that console.Split gives them back.
func quote(args []string) string {
	q := make([]string, len(args))
	for i, a := range args {
		q[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	return strings.Join(q, " ")
}

// serveSocket answers the people's verbs on the unix socket until ctx is done.
func serveSocket(ctx context.Context, path string, hostKey ssh.Signer, ctl *control.Control, log zerolog.Logger) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	old := syscall.Umask(0o077)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return err
	}
	defer l.Close()
	srv := &gliderssh.Server{
		HostSigners: []gliderssh.Signer{hostKey},
		ConnCallback: func(gctx gliderssh.Context, c net.Conn) net.Conn {
			uid, err := peerUID(c)
			if err != nil || uid != 0 && uid != os.Geteuid() {
				return nil
			}
			return c
		},
		Handler: func(s gliderssh.Session) {
			defer func() { // a panic in one verb is that verb's own
				if p := recover(); p != nil {
					log.Error().Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("contained a panic on the socket")
					_ = s.Exit(sallyport.ExitError)
				}
			}()
			args, err := console.Split(s.RawCommand())
			if err != nil {
				complain(s.Stderr(), err)
				_ = s.Exit(sallyport.ExitStatus(err))
				return
			}
			pty, _, terminal := s.Pty()
			io := console.IO{
				Args: args, In: s, Out: s, Err: s.Stderr(), Terminal: terminal,
				Columns: pty.Window.Width, Rows: pty.Window.Height,
			}
			if terminal {
				io.Err = s
			}
			_ = s.Exit(console.Run(s.Context(), ctl, control.Caller{User: "root", From: "local", Admin: true}, io))
		},
	}
	stop := context.AfterFunc(ctx, func() {
		srv.Close()
		l.Close() // Close knows nothing of it before Serve has begun
	})
	defer stop()
	if err := srv.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}

// peerUID asks the kernel who is at the other end of a unix socket.
func peerUID(c net.Conn) (int, error) {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return 0, errors.New("no unix socket")
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, credErr
	}
	return int(cred.Uid), nil
}
