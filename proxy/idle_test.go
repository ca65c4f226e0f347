package proxy

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"sallyport"
	"sallyport/auth"
	"sallyport/internal/sshtest"
	"sallyport/internal/wire"
	"sallyport/policy"
)

// timedSession is a session without a network, for a clock that a test moves.
func timedSession(t *testing.T, grant, idle time.Duration) *session {
	t.Helper()
	keys, err := auth.NewKeys(nil)
	if err != nil {
		t.Fatal(err)
	}
	role := sallyport.Role{
		Name: "r", Eligible: sallyport.Members{Users: []string{"alice"}}, Targets: sallyport.Selector{Names: []string{"web1"}},
		Accounts: []string{"lab"}, MaxDuration: time.Hour, Approval: sallyport.Approval{Auto: true},
		Channels: []sallyport.Channel{sallyport.ChannelShell}, IdleTimeout: idle,
	}
	p, err := policy.New([]sallyport.User{{Name: "alice"}}, []sallyport.Target{{
		Name: "web1", Address: "192.0.2.1:22", Accounts: []string{"lab"}, HostKeys: []string{sshtest.AuthorizedLine(sshtest.NewSigner(t).PublicKey())},
	}}, []sallyport.Role{role}, nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := &Server{
		Grants: &grants{}, Keys: func() *auth.Keys { return keys }, Policy: func() *policy.Policy { return p },
		Now: time.Now, Log: zerolog.Nop(), Audit: &memory{},
	}
	x := &session{srv: srv, conn: &conn{srv: srv}, role: role, bridges: map[*bridge]struct{}{}}
	x.ctx, x.cancel = context.WithCancelCause(t.Context())
	x.info.ExpiresAt = time.Now().Add(grant)
	x.idle.x, x.idle.since, x.clock.x = x, time.Now(), x
	return x
}

// every is a reader that gives a byte in each interval, n times, and then nothing
// until the session ends.
type every struct {
	x        *session
	interval time.Duration
	n        int
}

func (e *every) Read(p []byte) (int, error) {
	if e.n == 0 {
		<-e.x.ctx.Done()
		return 0, io.EOF
	}
	e.n--
	time.Sleep(e.interval)
	p[0] = '.'
	return 1, nil
}

// The user's need: a session that was left open ends by itself, after a warning;
// one that somebody works in does not. What a terminal shows is not work.
func TestIdleSessionsEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		limit         time.Duration
		pty           bool
		typed, showed int // bytes, one every 4 minutes
		ends          time.Duration
		says          string
	}{
		"nothing":                 {15 * time.Minute, true, 0, 0, 15 * time.Minute, "14m0s idle: this session ends in 1 minute"},
		"typed":                   {15 * time.Minute, true, 5, 0, 35 * time.Minute, "34m0s idle: this session ends in 1 minute"},
		"showed only":             {15 * time.Minute, true, 0, 1000, 15 * time.Minute, "14m0s idle: this session ends in 1 minute"},
		"sent without a terminal": {15 * time.Minute, false, 5, 0, 35 * time.Minute, "34m0s idle: this session ends in 1 minute"},
		"got without a terminal":  {15 * time.Minute, false, 0, 10, 55 * time.Minute, "54m0s idle: this session ends in 1 minute"},
		"a short limit":           {time.Minute, true, 0, 0, time.Minute, "30s idle: this session ends in 30s"},
		"warned, then typed":      {270 * time.Second, true, 2, 0, 750 * time.Second, "3m30s idle: this session ends in 1 minute,7m30s idle: this session ends in 1 minute,11m30s idle: this session ends in 1 minute"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := timedSession(t, 24*time.Hour, tt.limit)
				start := time.Now()
				ch := &fakeChannel{start: start}
				b := &bridge{x: x, ch: ch, up: &fakeChannel{start: start}, in: &every{x, 4 * time.Minute, tt.typed}}
				if tt.pty {
					b.pty.Store(&wire.Pty{})
				}
				x.bridges[b] = struct{}{}
				go b.input()
				go b.output(&every{x, 4 * time.Minute, tt.showed}, io.Discard, false)
				x.clock.start()
				<-x.ctx.Done()
				x.clock.stop()
				if got := time.Since(start); got != tt.ends || x.ending().Cause != sallyport.CauseIdle {
					t.Errorf("ended after %v with %v, want %v", got, x.ending().Cause, tt.ends)
				}
				time.Sleep(5 * time.Minute) // for the readers
				synctest.Wait()
				var said []string
				for _, s := range ch.said {
					said = append(said, strings.NewReplacer("\r\n", "", "sallyport: ", "", "\n", "").Replace(s))
				}
				if got := strings.Join(said, ","); got != tt.says {
					t.Errorf("said %q", got)
				}
			})
		})
	}
}

// A role without a limit has none, and the end of a grant comes first.
func TestIdleIsNotTheOnlyEnd(t *testing.T) {
	for _, limit := range []time.Duration{0, 2 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			x := timedSession(t, time.Hour, limit)
			start := time.Now()
			x.clock.start()
			<-x.ctx.Done()
			x.clock.stop()
			if got := time.Since(start); got != time.Hour || x.ending().Cause != sallyport.CauseExpired {
				t.Errorf("limit %v: ended after %v with %v", limit, got, x.ending().Cause)
			}
		})
	}
}

// A forward is work, either way.
func TestAForwardIsNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := timedSession(t, 24*time.Hour, 15*time.Minute)
		start := time.Now()
		ch := &fakeChannel{start: start}
		tu := &tunnel{x: x, client: ch, target: ch}
		go tu.pass(channelOf{ch, &every{x, 10 * time.Minute, 3}}, ch, &tu.received)
		x.clock.start()
		<-x.ctx.Done()
		x.clock.stop()
		if got := time.Since(start); got != 45*time.Minute || x.ending().Cause != sallyport.CauseIdle {
			t.Errorf("ended after %v with %v", got, x.ending().Cause)
		}
		synctest.Wait()
	})
}

// channelOf is a channel that is read elsewhere.
type channelOf struct {
	*fakeChannel
	r io.Reader
}

func (c channelOf) Read(p []byte) (int, error) { return c.r.Read(p) }

// A reload that shortens the limit reaches the sessions that are live.
func TestAReloadReachesTheIdle(t *testing.T) {
	w := newWorld(t)
	s := w.session(t)
	if err := s.Start("sleep 60"); err != nil {
		t.Fatal(err)
	}
	target, _ := w.srv.Policy().Target("web1")
	role := w.grants.role
	role.IdleTimeout = time.Millisecond
	w.setPolicy(t, target, role)
	within(t, waitLong+recheckEvery, "the end", func() { _ = s.Wait() })
	eventually(t, "the end of the session", func() bool { return w.audit.count("session.end") == 1 })
	if e := w.audit.last("session.end"); e.Outcome != string(sallyport.CauseIdle) {
		t.Errorf("audited as %+v", e)
	}
}
