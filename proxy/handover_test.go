package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/wire"
)

// Attack (C9, C10): without any grant, open channels to the console and send what
// nobody reads, before the command and while it runs. x/crypto keeps two
// megabytes of a channel's payload, and many times that in packets of one byte.
func TestUnreadInputHoldsNoMemory(t *testing.T) {
	w := newWorld(t, func(s *Server, _ *sallyport.Role) {
		s.Console = func(ctx context.Context, _ Visit) int { <-ctx.Done(); return 0 }
	})
	c, err := w.dial(t, "alice")
	if err != nil {
		t.Fatal(err)
	}
	ch, reqs, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(reqs)
	flood := func(when string) {
		t.Helper()
		within(t, waitLong, "input "+when, func() { // blocks where the window is never opened again
			if n, err := ch.Write(make([]byte, 5<<20)); err != nil {
				t.Errorf("%s: %d bytes, %v", when, n, err)
			}
		})
	}
	flood("before the command")
	if ok, err := ch.SendRequest("exec", true, wire.String("audit tail -f")); !ok || err != nil {
		t.Fatal(ok, err)
	}
	flood("while it runs")
}

// What is typed ahead goes to the next reader, whole and in order.
func TestAHandoverLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, in := io.Pipe()
		h := newHandover(r)
		defer h.close()
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() {
			_, err := h.reader(ctx).Read(make([]byte, 10))
			first <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the first reader: %v", err)
		}
		go func() {
			for i := range 100_000 / 1000 {
				_, _ = in.Write(bytes.Repeat([]byte{byte(i)}, 1000))
				if i == 50 {
					time.Sleep(time.Second)
				}
			}
			in.Close()
		}()
		synctest.Wait()
		rest, err := h.rest()
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // more than is kept waits now
		time.Sleep(time.Minute)
		got, err := io.ReadAll(rest)
		if err != nil || len(got) != 100_000 {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		for i, b := range got {
			if b != byte(i/1000) {
				t.Fatalf("byte %d is %d", i, b)
			}
		}
	})
}

// What is forgotten is not passed over in silence.
func TestAHandoverSaysWhatItForgot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, in := io.Pipe()
		h := newHandover(r)
		defer h.close()
		for range 2 {
			_, _ = in.Write(make([]byte, maxAhead))
		}
		synctest.Wait()
		if got, err := io.ReadAll(h.reader(t.Context())); len(got) > maxAhead || !errors.Is(err, errTooMuch) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if _, err := h.rest(); !errors.Is(err, errTooMuch) {
			t.Errorf("the last reader: %v", err)
		}
		in.Close()
	})
}

// after is a channel on which more comes after EOF.
type after struct{ reads int }

func (a *after) Read(p []byte) (int, error) {
	a.reads++
	if a.reads%2 == 1 {
		return 0, io.EOF
	}
	return len(p), nil
}

func TestAHandoverReadsOnAfterEOF(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &after{}
		h := newHandover(a)
		time.Sleep(10 * time.Second)
		if n, err := h.reader(t.Context()).Read(make([]byte, 10)); n != 0 || err != io.EOF {
			t.Errorf("after the end: %d bytes, %v", n, err)
		}
		h.close()
		synctest.Wait()
		if a.reads < 10 {
			t.Errorf("%d reads in 10 seconds", a.reads)
		}
	})
}
