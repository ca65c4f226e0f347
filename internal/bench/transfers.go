package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// unparsed is the gateway built so that it does not look into transfers: what
// the parser costs shows beside it.
const unparsed = "parser off"

// transfer is one way to move the random file with a real client.
type transfer struct {
	speed metric
	cpu   metric // of the hop
	args  func(conf, host, remote, local string) []string
	in    func(remote, local string) string // standard input
	up    bool
}

func sftpArgs(conf, host, _, _ string) []string {
	return []string{"sftp", "-q", "-F", conf, "-b", "-", host}
}

var movements = []transfer{
	{
		speed: sftpGet, cpu: sftpGetCPU, args: sftpArgs,
		in: func(remote, local string) string { return "get " + remote + " " + local + "\n" },
	},
	{
		speed: sftpPut, cpu: sftpPutCPU, args: sftpArgs, up: true,
		in: func(remote, local string) string { return "put " + local + " " + remote + "\n" },
	},
	{
		speed: scpGet, cpu: scpGetCPU,
		args: func(conf, host, remote, local string) []string {
			return []string{"scp", "-q", "-O", "-F", conf, host + ":" + remote, local}
		},
	},
}

// transfers is row 8, with the real sftp and with scp's old protocol. The time
// is that of the whole command. Each round runs the gateway twice: as it is, and
// with the parser off.
func (b *bench) transfers(ctx context.Context) error {
	off := b.binary + "-unparsed"
	if err := build(ctx, off, "-ldflags", "-X sallyport/proxy.unparsed=yes"); err != nil {
		return err
	}
	on := b.binary
	defer func() { b.binary = on }()
	open := b.TempDir() // where the account may write
	if err := os.Chmod(open, 0o777); err != nil {
		return err
	}
	paths := []*path{b.path(direct), b.path(jump), b.path(gate)}
	other := *b.path(gate)
	other.name = unparsed
	for round := range b.rounds {
		for _, m := range movements {
			if err := inTurn(paths, round, func(p *path) error { return b.move(ctx, p, m, open) }); err != nil {
				return err
			}
		}
		for _, binary := range []string{off, on} {
			b.binary = binary
			if err := b.gate.restart(ctx); err != nil {
				return err
			}
			if binary == on {
				break
			}
			for _, m := range movements {
				if err := b.move(ctx, &other, m, open); err != nil {
					return err
				}
			}
		}
	}
	b.forget()
	return nil
}

// move runs one transfer and checks what arrived.
func (b *bench) move(ctx context.Context, p *path, m transfer, open string) error {
	b.forget()
	before, err := settled(ctx, p.pid())
	if err != nil {
		return err
	}
	random := filepath.Join(b.sizes.dir, "random")
	arrived := filepath.Join(open, "moved")
	remote, local := random, arrived
	if m.up {
		remote, local = arrived, random
	}
	conf, host := p.ssh[1], p.ssh[len(p.ssh)-1]
	args := m.args(conf, host, remote, local)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if m.in != nil {
		cmd.Stdin = bytes.NewBufferString(m.in(remote, local))
	}
	begun := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %v: %w: %s", p.name, args, err, &out)
	}
	took := time.Since(begun)
	after, err := settled(ctx, p.pid())
	if err != nil {
		return err
	}
	info, err := os.Stat(arrived)
	if err != nil {
		return err
	}
	if info.Size() != int64(b.sizes.random) {
		return fmt.Errorf("%s: %d bytes arrived, not %d", p.name, info.Size(), b.sizes.random)
	}
	b.samples.add(m.speed, p.name, float64(b.sizes.random)/1e6/took.Seconds())
	if p.name == gate || p.name == unparsed {
		b.samples.add(m.cpu, p.name, (after-before).Seconds()/float64(b.sizes.random)*1e9)
	}
	return os.Remove(arrived)
}
