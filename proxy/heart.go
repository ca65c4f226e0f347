package proxy

import (
	gliderssh "github.com/gliderlabs/ssh"
	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/proxy/front"
)

// ask sends what every implementation answers, if only with a no. It blocks for as
// long as the peer is silent; the end of the connection ends it.
func ask(peer ssh.Conn) { _, _, _ = peer.SendRequest("keepalive@openssh.com", true, nil) }

// watched begins to watch an authenticated client, with a session or without.
func (c *conn) watched(ctx gliderssh.Context) {
	p := &front.Pulse{Vital: &c.Vital, Lost: c.lost, Ask: func() {
		if sc, ok := ctx.Value(gliderssh.ContextKeyConn).(*ssh.ServerConn); ok { // the handshake is over
			ask(sc)
		}
	}}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.pulse = p
	c.srv.heart.Watch(p)
}

// silent is why a session ends whose peer was lost.
const silent = "it stopped answering"

// lost ends a connection whose client is gone without a word.
func (c *conn) lost() {
	defer c.srv.contain("connection", sallyport.Event{From: c.from}, func() { c.Close() })
	c.mu.Lock()
	x := c.session
	c.mu.Unlock()
	if x != nil {
		x.end(&sallyport.Ending{Cause: sallyport.CauseClientLost, Reason: silent})
		<-x.ended
	}
	c.Close()
}

// watchTarget begins to watch the session's target; the function ends it.
func (x *session) watchTarget() (forget func()) {
	p := &front.Pulse{Vital: x.vital, Ask: x.measure, Lost: func() {
		x.end(&sallyport.Ending{Cause: sallyport.CauseTargetLost, Reason: silent})
	}}
	x.srv.heart.Watch(p)
	return func() { x.srv.heart.Forget(p) }
}
