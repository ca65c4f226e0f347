package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"sallyport/ca"
)

// idling is row 9: a fresh gateway, then people who do nothing at a prompt. The
// OpenSSH hops hold fewer of them: theirs cost the same each.
func (b *bench) idling(ctx context.Context) error {
	if err := b.gate.restart(ctx); err != nil {
		return err
	}
	for _, p := range []*path{b.path(gate), b.path(jump), b.path(force)} {
		n := b.idle
		if p.name != gate {
			n = min(n, 50)
		}
		if err := b.idleOn(ctx, p, n); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		b.forget()
	}
	return nil
}

func (b *bench) idleOn(ctx context.Context, p *path, n int) error {
	if _, err := settled(ctx, p.pid()); err != nil {
		return err
	}
	base, err := pss(p.pid())
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var people []*link
	defer func() {
		for _, l := range people {
			l.Close()
		}
	}()
	err = atOnceDo(8, n, func() error {
		l, err := b.atPrompt(ctx, p)
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			people = append(people, l)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("after %d sessions: %w", len(people), err)
	}
	rest := b.rest
	if p.name != gate {
		rest = min(rest, 2*time.Second)
	}
	// The first second still belongs to the last sign-ins.
	if err := pause(ctx, time.Second); err != nil {
		return err
	}
	before, _ := usage(p.pid())
	begun := time.Now()
	if err := pause(ctx, rest); err != nil {
		return err
	}
	after, _ := usage(p.pid())
	took := time.Since(begun)
	full, err := pss(p.pid())
	if err != nil {
		return err
	}
	b.samples.add(basePSS, p.name, float64(base)/(1<<20))
	b.samples.add(idlePSS, p.name, float64(full-base)/(1<<10)/float64(n))
	if p.name == gate {
		b.samples.add(idleCPU, p.name, 100*(after-before).Seconds()/took.Seconds())
	}
	return nil
}

// atPrompt opens a shell with a terminal and waits for the first byte of it.
func (b *bench) atPrompt(ctx context.Context, p *path) (*link, error) {
	l, err := p.dial(ctx)
	if err != nil {
		return nil, err
	}
	s, err := l.NewSession()
	if err == nil {
		err = terminal(s)
	}
	if err == nil {
		var first [1]byte
		_, err1 := s.StdinPipe() // else the shell's input ends at once
		out, err2 := s.StdoutPipe()
		if err = errors.Join(err1, err2, s.Shell()); err == nil {
			_, err = out.Read(first[:])
		}
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// certificates is row 10: the gateway's own code in this process, on one core.
func (b *bench) certificates(ctx context.Context) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	a := &ca.Authority{Signer: b.authority}
	span := time.Duration(b.pick(1000, 200)) * time.Millisecond
	for range b.rounds {
		n, begun := 0, time.Now()
		for time.Since(begun) < span && ctx.Err() == nil {
			_, _, err := a.Issue(ca.Request{
				Account: account, Session: "abcdefghijkl", User: "alice", Grant: "abcdefghijkl",
				SourceAddress: []string{"127.0.0.1"}, Life: ca.DefaultMaxLife,
				NotAfter: time.Now().Add(time.Hour), PTY: true,
			})
			if err != nil {
				return err
			}
			n++
		}
		b.samples.add(certRate, gate, float64(n)/time.Since(begun).Seconds())
	}
	return ctx.Err()
}
