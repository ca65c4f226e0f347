package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/wire"
	"sallyport/policy"
)

// An editor on the user's machine runs a server at the target and reaches it by
// a forward: VS Code Remote-SSH by -D, JetBrains Gateway by its own client. With
// the channel ide a session may reach what its own bootstrap has announced on
// its standard output and what then proves to be listened on by the session's
// account, on the loopback or on a unix socket; nothing else.

// announcements are the ways in which a bootstrap says where its server listens.
var announcements = []*regexp.Regexp{
	regexp.MustCompile(`listeningOn==(?:127\.0\.0\.1:|localhost:)?([0-9]{1,5}|/[^=\s]{1,107})==`),         // VS Code, the bootstrap's report
	regexp.MustCompile(`Extension host agent listening on (?:127\.0\.0\.1:)?([0-9]{1,5}|/\S{1,107})\.?$`), // VS Code, the server's log
	regexp.MustCompile(`tcp://(?:127\.0\.0\.1|localhost):([0-9]{1,5})#`),                                  // JetBrains, the join link
}

// maxAnnounced bounds the endpoints of one session, announcedLine what is read of
// a line of output, verifyWithin how long the target has to tell who listens.
const maxAnnounced, announcedLine, verifyWithin = 32, 1024, 5 * time.Second

// endpoint is where a server of the session's listens.
type endpoint struct {
	known chan struct{} // closed when it is known whether it is the session's
	err   error         // why not; read after known
}

// listener reads the output of a bootstrap on its way, line by line.
type listener struct {
	line     []byte
	announce func(where string)
}

// read looks at output before the user sees it.
func (l *listener) read(p []byte) {
	for len(p) > 0 {
		rest, _, whole := bytes.Cut(p, []byte{'\n'})
		if room := announcedLine - len(l.line); room > 0 {
			l.line = append(l.line, rest[:min(room, len(rest))]...)
		}
		if !whole {
			return
		}
		p = p[len(rest)+1:]
		line := bytes.TrimRight(l.line, "\r")
		for _, re := range announcements {
			if m := re.FindSubmatch(line); m != nil {
				l.announce(string(m[1]))
			}
		}
		l.line = l.line[:0]
	}
}

// listens makes the listener of a channel whose output may announce a server.
func (b *bridge) listens() *listener {
	if b.kind != sallyport.ChannelExec || b.pty.Load() != nil || !b.role().Permits(sallyport.ChannelIDE) {
		return nil
	}
	return &listener{announce: b.announce}
}

// announce notes an endpoint and asks the target, in the background, whose it is.
// Who connects meanwhile waits for the answer.
func (b *bridge) announce(where string) {
	x := b.x
	if port, err := strconv.ParseUint(where, 10, 16); err == nil {
		where = address("127.0.0.1", uint32(port))
	}
	x.mu.Lock()
	if x.endpoints[where] != nil || len(x.endpoints) >= maxAnnounced || x.ctx.Err() != nil {
		x.mu.Unlock()
		return
	}
	e := &endpoint{known: make(chan struct{})}
	x.endpoints[where] = e
	x.mu.Unlock()
	b.mark("a server is announced on " + where) // now, as the channel may be closed when it is known
	go x.guarded(func() {
		defer close(e.known)
		e.err = errors.New("an internal error") // what a panic leaves
		ev := x.event("ide.listen")
		ev.Channel, ev.Details = b.name, map[string]string{"on": sallyport.Printable(where)}
		e.err = x.verify(where)
		if e.err != nil {
			ev.Outcome, ev.Severity, ev.Reason = "refused", sallyport.SeverityAlert, e.err.Error()
		}
		if err := x.srv.Audit.Append(ev); err != nil && e.err == nil {
			e.err = errNoAudit
		}
	})
}

// announced reports whether the session's own server listens there.
func (x *session) announced(where string) bool {
	x.mu.Lock()
	e := x.endpoints[where]
	x.mu.Unlock()
	if e == nil {
		return false
	}
	select {
	case <-e.known:
		return e.err == nil
	case <-x.ctx.Done():
		return false
	}
}

// loopback returns the endpoint that a client asks for, "" for one elsewhere.
func loopback(to wire.Direct) string {
	if !policy.IsLoopback(to.Host) {
		return ""
	}
	return address("127.0.0.1", to.Port)
}

// socketEndpoint is loopback for the path of a socket: "127.0.0.1:80" is none.
func socketEndpoint(path string) string {
	if !strings.HasPrefix(path, "/") {
		return ""
	}
	return path
}

// Not quoted for the shell, so nothing but these.
var plainPath = regexp.MustCompile(`^/[A-Za-z0-9/._+@:-]+$`)

// verify asks the target whose endpoint it is. The answer comes by way of the
// account's own shell: it stops what is announced by mistake or in passing, not
// a user who bends that shell, and who could reach the port from there anyway.
func (x *session) verify(where string) error {
	command := "/bin/sh -c 'id -u; cat /proc/net/tcp /proc/net/tcp6'"
	isSocket := where[0] == '/'
	if isSocket {
		if !plainPath.MatchString(where) {
			return errors.New("the path of the socket is not plain")
		}
		command = "/bin/sh -c 'id -u; stat -L -c %u:%F " + where + "'"
	}
	out, err := x.ask(command)
	if err != nil {
		return err
	}
	uid, rest, _ := strings.Cut(out, "\n")
	if isSocket {
		if strings.TrimSpace(rest) != uid+":socket" {
			return errors.New("no socket of the account's is there")
		}
		return nil
	}
	_, port, _ := net.SplitHostPort(where)
	if !listensOn(rest, uid, port) {
		return errors.New("nothing of the account's listens there")
	}
	return nil
}

// ask runs a command of the gateway's own at the target and returns what it
// prints. The user sees nothing of it.
func (x *session) ask(command string) (string, error) {
	ctx, cancel := context.WithTimeout(x.ctx, verifyWithin)
	defer cancel()
	ch, reqs, err := x.target.OpenChannel("session", nil)
	if err != nil {
		return "", errors.New("the target opens no channel to ask it")
	}
	stop := context.AfterFunc(ctx, func() { ch.Close() })
	defer stop()
	defer ch.Close()
	go ssh.DiscardRequests(reqs)
	if ok, err := ch.SendRequest("exec", true, wire.String(command)); err != nil || !ok {
		return "", errors.New("the target does not say whose it is")
	}
	const enough = 4 << 20
	b, err := io.ReadAll(io.LimitReader(ch, enough))
	if err != nil || ctx.Err() != nil {
		return "", errors.New("the target does not say whose it is")
	}
	return string(b), nil
}

// listensOn reports whether a table of /proc/net/tcp or tcp6 (proc_net_tcp.txt)
// has a socket of uid that listens on the port of the loopback, or of every
// address.
func listensOn(table, uid, port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || uid == "" {
		return false
	}
	const listen = "0A"
	here := map[string]bool{
		"0100007F": true, "00000000": true,
		"00000000000000000000000001000000": true, "00000000000000000000000000000000": true,
		"0000000000000000FFFF00000100007F": true,
	}
	for line := range strings.SplitSeq(table, "\n") {
		f := strings.Fields(line)
		if len(f) < 8 || f[3] != listen || f[7] != uid {
			continue
		}
		addr, hex, ok := strings.Cut(f[1], ":")
		if p, err := strconv.ParseUint(hex, 16, 16); ok && err == nil && p == n && here[addr] {
			return true
		}
	}
	return false
}
