package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// sizes are the files on the target, in bytes.
type sizes struct {
	dir                          string
	text, ptyText, zeros, random int
}

// makeFiles writes what is sent. Random bytes come from a fixed seed: every
// run sends the same.
func (w *world) makeFiles(o options) sizes {
	const mega = 1 << 20
	z := sizes{dir: w.TempDir()}
	z.text, z.ptyText = o.pick(64, 4)*mega, o.pick(32, 2)*mega
	z.zeros, z.random = o.pick(48, 4)*mega, o.pick(48, 4)*mega
	lines := text(mega)
	block := make([]byte, mega)
	_, _ = rand.NewChaCha8([32]byte{}).Read(block) // never fails
	for name, b := range map[string][]byte{
		"text":    bytes.Repeat(lines, z.text/mega),
		"ptytext": bytes.Repeat(lines, z.ptyText/mega),
		"zeros":   make([]byte, z.zeros),
		"random":  bytes.Repeat(block, z.random/mega),
	} {
		writeFile(filepath.Join(z.dir, name), string(b), 0o644)
	}
	return z
}

// text returns n bytes of log lines: ASCII with quotes, tabs, escape
// sequences and now and then a letter beyond it.
func text(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "2026-01-02T15:%02d:%02dZ web1 app[%d]: \"GET /item/%x\" 200\t%d ms \x1b[32mok\x1b[0m", i/60%60, i%60, i, r.Uint32(), r.IntN(900))
		if i%8 == 0 {
			b.WriteString(" – für")
		}
		b.WriteByte('\n')
	}
	// Whole lines, so that no letter is torn, and a last one to fill up.
	b.Truncate(bytes.LastIndexByte(b.Bytes()[:n-1], '\n') + 1)
	b.WriteString(strings.Repeat(".", n-1-b.Len()))
	b.WriteByte('\n')
	return b.Bytes()
}

// counter counts what arrives, and the carriage returns that a terminal adds.
type counter struct {
	first, last    time.Time // when something arrived
	bytes, returns int
}

func (c *counter) Write(p []byte) (int, error) {
	c.last = time.Now()
	if c.bytes == 0 {
		c.first = c.last
	}
	c.bytes += len(p)
	c.returns += bytes.Count(p, []byte{'\r'})
	return len(p), nil
}

// stream is one way to send one file.
type stream struct {
	file  string
	size  int
	pty   bool
	goes  bool // through the Go client, which takes AES-GCM everywhere; else the real ssh
	speed metric
	cpu   metric // of the hop; the zero metric: not of interest
}

// measure sends the file once. The speed counts from the first byte: how long
// that takes is row 1's, and a ForceCommand's own ssh is slow to begin. The CPU
// is that of the whole, up to the sealed recording.
func (b *bench) measure(ctx context.Context, p *path, st stream) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", p.name, err)
		}
	}()
	b.forget()
	before, err := settled(ctx, p.pid())
	if err != nil {
		return err
	}
	var got counter
	if err := st.receive(ctx, p, "cat "+filepath.Join(b.sizes.dir, st.file), &got); err != nil {
		return err
	}
	took := got.last.Sub(got.first)
	after, err := settled(ctx, p.pid())
	if err != nil {
		return err
	}
	// script puts a terminal between, also where the person has none.
	if !st.pty && p.name != force {
		got.returns = 0
	}
	if n := got.bytes - got.returns; n != st.size {
		return fmt.Errorf("%d bytes of %s arrived, not %d", n, st.file, st.size)
	}
	b.samples.add(st.speed, p.name, float64(st.size)/1e6/took.Seconds())
	// When the real ssh takes its leave, sshd's monitor goes without waiting for
	// the process that did the work, whose time is then nowhere to be read.
	readable := p.name == gate || p.hop != nil && st.goes
	if readable && st.cpu != (metric{}) {
		b.samples.add(st.cpu, p.name, (after-before).Seconds()/float64(st.size)*1e9)
	}
	return nil
}

// receive runs a command on the path and closes the connection.
func (st stream) receive(ctx context.Context, p *path, command string, out io.Writer) error {
	if !st.goes {
		args := slices.Clone(p.ssh)
		if st.pty {
			args = append([]string{"-tt"}, args...)
		}
		cmd := exec.CommandContext(ctx, "ssh", append(args, command)...)
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = out, &stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("ssh: %w: %s", err, &stderr)
		}
		return nil
	}
	l, err := p.dial(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	s, err := l.NewSession()
	if err != nil {
		return err
	}
	s.Stdout, s.Stderr = out, io.Discard
	if st.pty {
		if err := terminal(s); err != nil {
			return err
		}
	}
	return s.Run(command)
}

// send measures a file on several paths, all rounds.
func (b *bench) send(ctx context.Context, paths []*path, streams ...stream) error {
	defer b.forget()
	for round := range b.rounds {
		for _, st := range streams {
			if err := inTurn(paths, round, func(p *path) error { return b.measure(ctx, p, st) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// execText is row 5. All of it is recorded.
func (b *bench) execText(ctx context.Context) error {
	return b.send(ctx, b.paths,
		stream{"text", b.sizes.text, false, false, execText, execTextCPU},
		stream{"text", b.sizes.text, false, true, execTextGo, execTextGoCPU})
}

// ptyText is row 6.
func (b *bench) ptyText(ctx context.Context) error {
	return b.send(ctx, b.paths,
		stream{"ptytext", b.sizes.ptyText, true, false, ptyText, ptyTextCPU},
		stream{"ptytext", b.sizes.ptyText, true, true, ptyTextGo, ptyTextGoCPU})
}

// execBinary is row 7: sallyport keeps the first 16 MiB and a digest of all,
// the default, and beside it all of it. script is no match for random bytes:
// its terminal changes them.
func (b *bench) execBinary(ctx context.Context) error {
	capped := *b.path(gate)
	capped.dial, capped.ssh = b.dialGate(cappedTarget), slices.Clone(capped.ssh)
	capped.ssh[len(capped.ssh)-1] = cappedTarget
	paths := []*path{b.path(direct), b.path(jump), &capped}
	z, r := b.sizes.zeros, b.sizes.random
	if err := b.send(ctx, append(paths, b.path(force)), stream{"zeros", z, false, false, zeros, metric{}}); err != nil {
		return err
	}
	if err := b.send(ctx, paths,
		stream{"random", r, false, false, random, randomCPU},
		stream{"random", r, false, true, randomGo, randomGoCPU}); err != nil {
		return err
	}
	return b.send(ctx, []*path{b.path(gate)}, stream{"random", r, false, false, randomWhole, metric{}})
}

func (b *bench) path(name string) *path {
	for _, p := range b.paths {
		if p.name == name {
			return p
		}
	}
	panic("no path " + name)
}
