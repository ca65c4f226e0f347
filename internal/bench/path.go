package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"time"

	"golang.org/x/crypto/ssh"
)

// The names of the paths, also of the hosts in the ssh_config.
const (
	direct = "direct"
	jump   = "jump"
	force  = "force+rec"
	gate   = "sallyport"
)

var pathNames = []string{direct, jump, force, gate}

// path is one way to the target.
type path struct {
	name string
	dial func(context.Context) (*link, error)
	hop  func() int // the process that listens, with its sessions below; nil: none
	ssh  []string   // the arguments of the real ssh, less the command
}

// pid returns the hop's process, 0 where there is none.
func (p *path) pid() int {
	if p.hop == nil {
		return 0
	}
	return p.hop()
}

// link is a connection to the target.
type link struct {
	*ssh.Client
	outer io.Closer // what it runs through, or nil
}

func (l *link) Close() error {
	err := l.Client.Close()
	if l.outer != nil {
		l.outer.Close()
	}
	return err
}

func (w *world) allPaths(config string) []*path {
	straight := func(h *host) func(context.Context) (*link, error) {
		return func(ctx context.Context) (*link, error) {
			c, err := w.connect(ctx, h.Addr(), account, h.key)
			return &link{Client: c}, err
		}
	}
	paths := []*path{
		{name: direct, dial: straight(w.target)},
		{name: jump, dial: w.dialJump, hop: func() int { return w.jumpHost.pid }},
		{name: force, dial: straight(w.bastion), hop: func() int { return w.bastion.pid }},
		{name: gate, dial: w.dialGate(plainTarget), hop: w.gate.pid},
	}
	for _, p := range paths {
		p.ssh = []string{"-F", config, p.name}
	}
	return paths
}

func (w *world) dialGate(target string) func(context.Context) (*link, error) {
	return func(ctx context.Context) (*link, error) {
		c, err := w.connect(ctx, w.gate.addr(), account+"@"+target, w.gate.hostKey)
		return &link{Client: c}, err
	}
}

func (w *world) dialJump(ctx context.Context) (*link, error) {
	outer, err := w.connect(ctx, w.jumpHost.Addr(), account, w.jumpHost.key)
	if err != nil {
		return nil, err
	}
	conn, err := outer.DialContext(ctx, "tcp", w.target.Addr())
	if err != nil {
		outer.Close()
		return nil, err
	}
	inner, err := w.handshake(conn, w.target.Addr(), account, w.target.key)
	if err != nil {
		outer.Close()
		return nil, err
	}
	return &link{inner, outer}, nil
}

// connect opens a connection that is cut when ctx is done: nothing here can
// hang for longer than the run may take.
func (w *world) connect(ctx context.Context, addr, login string, hostKey ssh.PublicKey) (*ssh.Client, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	c, err := w.handshake(conn, addr, login, hostKey)
	if err != nil {
		stop()
		return nil, err
	}
	go func() {
		_ = c.Wait()
		stop()
	}()
	return c, nil
}

func (w *world) handshake(conn net.Conn, addr, login string, hostKey ssh.PublicKey) (*ssh.Client, error) {
	c, chans, reqs, err := ssh.NewClientConn(conn, addr, &ssh.ClientConfig{
		User: login, Auth: []ssh.AuthMethod{ssh.PublicKeys(w.key)},
		HostKeyCallback: ssh.FixedHostKey(hostKey), HostKeyAlgorithms: []string{hostKey.Type()},
	})
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("%s at %s: %w", login, addr, err)
	}
	return ssh.NewClient(c, chans, reqs), nil
}

// trip connects, runs true and closes.
func (p *path) trip(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	l, err := p.dial(ctx)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", p.name, err)
	}
	defer l.Close()
	s, err := l.NewSession()
	if err == nil {
		err = s.Run("true")
	}
	if err != nil {
		return 0, fmt.Errorf("%s: true: %w", p.name, err)
	}
	l.Close()
	return time.Since(begun), nil
}

// realTrip is trip with the real ssh.
func (p *path) realTrip(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	out, err := exec.CommandContext(ctx, "ssh", append(p.ssh, "true")...).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%s: ssh: %w: %s", p.name, err, out)
	}
	return time.Since(begun), nil
}

// inTurn calls f for every path, each round beginning with another one.
func inTurn(paths []*path, round int, f func(*path) error) error {
	for i := range paths {
		if err := f(paths[(round+i)%len(paths)]); err != nil {
			return err
		}
	}
	return nil
}
