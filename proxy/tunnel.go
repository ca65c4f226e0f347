package proxy

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
)

// tunnel joins a forwarded channel of the one side to one of the other. Its
// bytes are counted, not kept. It ends when both sides have closed it, at its
// limit, and with the session.
type tunnel struct {
	x              *session
	name           string // of the channel
	f              forwarding
	opened         time.Time
	client, target ssh.Channel
	limit          int64 // of bytes, both ways together; 0: none
	sent, received atomic.Int64
	audited        atomic.Bool // that it opens
	ended          sync.Once
}

// newTunnel makes the tunnel of a channel that is allowed, and counts it. Nil: the
// session has as many as it may have, which the other side was told, or ends.
func (x *session) newTunnel(nc ssh.NewChannel, f forwarding) *tunnel {
	t := &tunnel{x: x, f: f, opened: x.srv.Now(), limit: x.forwards().Bytes()}
	if err := x.addTunnel(t); err != nil {
		if x.ctx.Err() == nil { // else shut closes both connections
			x.conn.sparingly(t.event("forward.refuse", err.Error()))
			_ = nc.Reject(ssh.ResourceShortage, "sallyport: "+err.Error())
		}
		return nil
	}
	return t
}

// join opens the other side of the channel and runs the two until their end.
// sides says which of them is the client's.
func (t *tunnel) join(nc ssh.NewChannel,
	open func(typ string, payload []byte) (ssh.Channel, <-chan *ssh.Request, error),
	sides func(opener, other ssh.Channel) (client, target ssh.Channel),
) {
	x := t.x
	defer x.removeTunnel(t)
	if err := x.srv.Audit.Append(t.event("forward.open", "")); err != nil {
		x.srv.Log.Error().Err(err).Msg("cannot write the audit log")
		_ = nc.Reject(ssh.ResourceShortage, "sallyport: "+errNoAudit.Error())
		return
	}
	t.audited.Store(true)
	other, otherReqs, err := open(nc.ChannelType(), nc.ExtraData())
	if err != nil {
		var oe *ssh.OpenChannelError
		if !errors.As(err, &oe) {
			oe = &ssh.OpenChannelError{Reason: ssh.ConnectionFailed, Message: "the other side is gone"}
		}
		t.end("refused: " + sallyport.Printable(oe.Message))
		_ = nc.Reject(oe.Reason, oe.Message)
		return
	}
	opener, reqs, err := nc.Accept()
	if err != nil {
		other.Close()
		go ssh.DiscardRequests(otherReqs)
		t.end("closed")
		return
	}
	t.client, t.target = sides(opener, other)
	clientReqs, targetReqs := reqs, otherReqs
	if t.client != opener {
		clientReqs, targetReqs = otherReqs, reqs
	}
	t.run(clientReqs, targetReqs)
}

// addTunnel counts t in, unless the session has as many as it may have or ends.
func (x *session) addTunnel(t *tunnel) error {
	limit := x.forwards().Open()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	if len(x.tunnels) >= limit {
		return sallyport.Errorf(sallyport.CodeUnavail, "%d forwarded channels are open, which is the limit", limit)
	}
	t.name = strconv.Itoa(x.opened)
	x.opened++
	x.tunnels[t] = struct{}{}
	x.wg.Add(1)
	return nil
}

func (x *session) removeTunnel(t *tunnel) {
	x.mu.Lock()
	delete(x.tunnels, t)
	x.mu.Unlock()
	x.wg.Done()
}

// run passes the bytes. Each direction ends by itself; a side that has closed
// the channel ends the other one once that has all that it sent.
func (t *tunnel) run(clientReqs, targetReqs <-chan *ssh.Request) {
	stop := context.AfterFunc(t.x.ctx, func() {
		t.end(string(t.x.ending().Cause))
		go t.client.Close()
		t.target.Close()
	})
	defer stop()
	up, down := make(chan struct{}), make(chan struct{})
	go t.x.guarded(func() {
		defer close(up)
		t.pass(t.client, t.target, &t.sent)
	})
	go t.x.guarded(func() {
		defer close(down)
		t.pass(t.target, t.client, &t.received)
	})
	var closed sync.WaitGroup
	closed.Go(func() { ssh.DiscardRequests(clientReqs); <-up; t.target.Close() })
	closed.Go(func() { ssh.DiscardRequests(targetReqs); <-down; t.client.Close() })
	<-up
	<-down
	t.end("closed")
	// A side that does not confirm holds memory, and so the tunnel counts as long.
	t.target.Close()
	t.client.Close()
	closed.Wait()
}

// errLimit ends a tunnel that has carried what it may.
var errLimit = errors.New("the limit on bytes was reached")

// pass passes one direction. A failure ends both, but for a side that is closed.
func (t *tunnel) pass(from, to ssh.Channel, count *atomic.Int64) {
	err := pump(from, func(p []byte) error {
		if t.x.ctx.Err() != nil {
			return t.x.ctx.Err()
		}
		if t.limit > 0 && t.sent.Load()+t.received.Load()+int64(len(p)) > t.limit {
			return errLimit
		}
		t.x.active()
		count.Add(int64(len(p)))
		_, err := to.Write(p)
		return err
	})
	switch {
	case err == nil:
		_ = to.CloseWrite()
		return
	case errors.Is(err, io.EOF): // to is closed; from may still have to get what it sent before
		return
	case errors.Is(err, errLimit):
		t.end("limit")
	case t.x.ctx.Err() == nil:
		t.end("broken")
	}
	t.target.Close()
	t.client.Close()
}

// end writes what passed, and why no more does. Once: the first cause counts.
func (t *tunnel) end(cause string) {
	t.ended.Do(func() {
		e := t.event("forward.close", "")
		e.Outcome = cause
		f := sallyport.ForwardEvent{
			OpenedAt: t.opened, ClosedAt: t.x.srv.Now(), Channel: t.name, Kind: t.f.kind, From: t.f.from, To: t.f.to,
			Sent: t.sent.Load(), Received: t.received.Load(), Cause: cause,
		}
		e.Details["sent"], e.Details["received"] = strconv.FormatInt(f.Sent, 10), strconv.FormatInt(f.Received, 10)
		e.Details["seconds"] = strconv.FormatFloat(f.ClosedAt.Sub(f.OpenedAt).Seconds(), 'f', 3, 64)
		if t.x.rec != nil {
			if err := t.x.rec.Forward(f); err != nil {
				t.x.recordingFailed(err)
			}
		}
		t.x.conn.note(e)
	})
}

func (t *tunnel) event(typ, reason string) sallyport.Event {
	e := t.x.event(typ)
	e.Channel, e.Reason = t.name, reason
	e.Details = map[string]string{"kind": string(t.f.kind), "to": t.f.to}
	if t.f.from != "" {
		e.Details["from"] = t.f.from
	}
	return e
}
