package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// setUp is row 1: connect, sign in, run true, close; one at a time.
func (b *bench) setUp(ctx context.Context) error {
	for round := range b.rounds {
		for _, kind := range []struct {
			metric metric
			trip   func(*path, context.Context) (time.Duration, error)
			n      int
		}{{setUpGo, (*path).trip, b.pick(7, 2)}, {setUpSSH, (*path).realTrip, b.pick(4, 1)}} {
			took := map[string][]float64{}
			for i := range kind.n {
				err := inTurn(b.paths, round+i, func(p *path) error {
					d, err := kind.trip(p, ctx)
					took[p.name] = append(took[p.name], d.Seconds()*1e3)
					return err
				})
				if err != nil {
					return err
				}
			}
			for name, v := range took {
				b.samples.add(kind.metric, name, quantile(v, 0.5))
			}
		}
	}
	return nil
}

// rush is rows 2 and 3: sessions as in row 1, 16 at once, and what the hop
// spends on each, from the connection to the sealed recording.
func (b *bench) rush(ctx context.Context) error {
	const atOnce = 16
	n := b.pick(3*atOnce, atOnce)
	for round := range b.rounds {
		err := inTurn(b.paths, round, func(p *path) error {
			before, err := settled(ctx, p.pid())
			if err != nil {
				return err
			}
			begun := time.Now()
			if err := atOnceDo(atOnce, n, func() error { _, err := p.trip(ctx); return err }); err != nil {
				return err
			}
			took := time.Since(begun)
			after, err := settled(ctx, p.pid())
			if err != nil {
				return err
			}
			b.samples.add(rate, p.name, float64(n)/took.Seconds())
			if p.hop != nil {
				b.samples.add(sessionCPU, p.name, (after-before).Seconds()*1e3/float64(n))
			}
			return nil
		})
		b.forget()
		if err != nil {
			return err
		}
	}
	return nil
}

// atOnceDo calls f n times, k of them at once. The first error stops it.
func atOnceDo(k, n int, f func() error) error {
	var (
		workers sync.WaitGroup
		taken   atomic.Int64
		once    sync.Once
		first   error
	)
	for range k {
		workers.Go(func() {
			for taken.Add(1) <= int64(n) {
				if err := f(); err != nil {
					once.Do(func() { first = err })
					taken.Add(int64(n))
				}
			}
		})
	}
	workers.Wait()
	return first
}

// typist is a session with a terminal that echoes.
type typist struct {
	link *link
	in   io.Writer
	out  io.Reader
	buf  [512]byte
}

// newTypist returns when the terminal is ready. The kernel of the target
// echoes, as it does for a person at a prompt of cat.
func newTypist(ctx context.Context, p *path) (*typist, error) {
	l, err := p.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	t := &typist{link: l}
	if err := t.open("echo ready; exec cat >/dev/null", "ready\r\n"); err != nil {
		l.Close()
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	return t, nil
}

func (t *typist) open(command, until string) error {
	s, err := t.link.NewSession()
	if err != nil {
		return err
	}
	if t.in, err = s.StdinPipe(); err != nil {
		return err
	}
	if t.out, err = s.StdoutPipe(); err != nil {
		return err
	}
	if err := terminal(s); err != nil {
		return err
	}
	if err := s.Start(command); err != nil {
		return err
	}
	return t.read(until)
}

func terminal(s *ssh.Session) error {
	return s.RequestPty("xterm", 24, 80, ssh.TerminalModes{ssh.ECHO: 1})
}

// read returns when the output ends with text.
func (t *typist) read(text string) error {
	var got []byte
	for {
		n, err := t.out.Read(t.buf[:])
		if got = append(got, t.buf[:n]...); bytes.HasSuffix(got, []byte(text)) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%q came, not %q: %w", got, text, err)
		}
	}
}

func (t *typist) key(key, echo string) (time.Duration, error) {
	begun := time.Now()
	if _, err := io.WriteString(t.in, key); err != nil {
		return 0, err
	}
	err := t.read(echo)
	return time.Since(begun), err
}

// keystrokes is row 4: from a key to its echo, one after the other. Lines are
// as long as people's, so an Enter comes now and then; it is not timed.
func (b *bench) keystrokes(ctx context.Context) error {
	const line = 50
	lines := b.pick(20, 2)
	for round := range b.rounds {
		err := inTurn(b.paths, round, func(p *path) error {
			t, err := newTypist(ctx, p)
			if err != nil {
				return err
			}
			defer t.link.Close()
			var took []float64
			for range lines {
				for range line {
					d, err := t.key("x", "x")
					if err != nil {
						return fmt.Errorf("%s: %w", p.name, err)
					}
					took = append(took, float64(d.Nanoseconds())/1e3)
				}
				if _, err := t.key("\r", "\r\n"); err != nil {
					return fmt.Errorf("%s: %w", p.name, err)
				}
			}
			b.samples.add(keyP50, p.name, quantile(took, 0.5))
			b.samples.add(keyP99, p.name, quantile(took, 0.99))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
