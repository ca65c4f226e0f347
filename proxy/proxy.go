// Package proxy is the gateway: it accepts connections, lets verified people
// through to targets for which they hold a grant, records what passes, and
// ends it on time.
//
// The story of a connection is told by session in session.go. Nothing else in
// sallyport opens a connection to a target.
package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	gliderssh "github.com/gliderlabs/ssh"
	"github.com/rs/zerolog"
	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/auth"
	"sallyport/ca"
	"sallyport/policy"
	"sallyport/proxy/front"
	"sallyport/recorder"
)

// Grants answers whether somebody may, and may still.
type Grants interface {
	// Active returns the grant under which the user may use the access now,
	// and its role. Its error is for the user.
	Active(ctx context.Context, user string, a sallyport.Access) (sallyport.Grant, sallyport.Role, error)
	// Still returns nil while the session may go on and a *sallyport.Ending
	// that says why not otherwise.
	Still(ctx context.Context, s sallyport.Session) error
}

// Audit takes every decision before it takes effect. An error means that the
// decision must not take effect.
type Audit interface {
	Append(e sallyport.Event) error
}

// Visit is a person at the gateway's own console, or held on the way to a
// target: who it is and what is in front of them.
type Visit struct {
	User    string
	From    string // the client's address
	Command string // as ssh sent it: words joined with blanks

	Terminal      bool
	Term          string
	Columns, Rows int

	In       io.Reader
	Out, Err io.Writer
}

// Limits bound what a client can make the gateway hold.
type Limits struct {
	Unauthenticated int           // connections before authentication, in all
	PerAddress      int           // the same for one address
	LoginGrace      time.Duration // for a handshake
	Channels        int           // open at once on one connection
	ChannelsPerSec  int           // opened on one, in the long run; twice as many at once
	ChannelsPerUser int           // open at once on all connections of a user: one may hold megabytes
	SessionsPerUser int
}

// connections bounds those of one user: every session is one, and people look
// at the console besides.
func (l Limits) connections() int { return 2*l.SessionsPerUser + 16 }

// Server is the gateway's SSH side. Set the fields, then call Serve; they are
// not changed afterwards.
type Server struct {
	Name      string // what users call the gateway, for hints: "ssh gate …"
	HostKeys  []ssh.Signer
	Keys      func() *auth.Keys     // the users' keys, of the present configuration
	Policy    func() *policy.Policy // the present policy
	Grants    Grants
	Authority *ca.Authority
	HostCA    *ca.HostAuthority // nil: who jumps to a target sees the gateway's own key
	Recorder  *recorder.Recorder
	Audit     Audit
	Log       zerolog.Logger
	Limits    Limits

	// Banner is shown to every client before its sign-in. Nil, or "": none.
	Banner func() string
	// Balancers are the load balancers in front of the gateway: a PROXY header is
	// required of them, and of nobody else taken.
	Balancers []netip.Prefix

	// Console runs one command of a person at the console and returns the exit
	// status.
	Console func(ctx context.Context, v Visit) int
	// Hold keeps a person with a terminal and without a grant until the access
	// is granted (nil) or not (the error is for them). Nil: nobody is held.
	Hold func(ctx context.Context, v Visit, a sallyport.Access) error

	Dial      func(ctx context.Context, network, address string) (net.Conn, error) // nil: net.Dialer
	Now       func() time.Time                                                     // nil: time.Now, that never goes back
	Random    io.Reader                                                            // nil: crypto/rand
	Keepalive time.Duration                                                        // an interval of the heart; 0: 15 s

	once     sync.Once
	lobby    *front.Lobby
	heart    *front.Heart
	channels tally
	refusals *notes // of audit entries that the unauthenticated can cause
	front    *gliderssh.Server

	mu         sync.Mutex
	closing    bool
	conns      map[*conn]struct{}
	live       map[string]*session
	patrolling bool // patrol runs
}

// init fills in what was left out.
func (s *Server) init() {
	s.once.Do(func() {
		if s.Dial == nil {
			s.Dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
		}
		if s.Now == nil {
			s.Now = sallyport.Steady(time.Now)
		}
		if s.Random == nil {
			s.Random = rand.Reader
		}
		if s.Keepalive == 0 {
			s.Keepalive = 15 * time.Second
		}
		if s.Name == "" {
			s.Name = "gate"
		}
		orDefault(&s.Limits.Unauthenticated, 512)
		orDefault(&s.Limits.PerAddress, 128)
		orDefault(&s.Limits.Channels, 64)
		orDefault(&s.Limits.ChannelsPerSec, 50)
		orDefault(&s.Limits.ChannelsPerUser, 512)
		orDefault(&s.Limits.SessionsPerUser, 100)
		if s.Limits.LoginGrace == 0 {
			s.Limits.LoginGrace = 20 * time.Second
		}
		s.lobby = front.NewLobby(s.Limits.PerAddress, s.Limits.Unauthenticated, s.Limits.LoginGrace)
		s.heart = front.NewHeart(s.Keepalive)
		s.refusals = newNotes(20, 100)
		s.conns = map[*conn]struct{}{}
		s.live = map[string]*session{}
		s.front = &gliderssh.Server{
			HostSigners:          hostSigners(s.HostKeys),
			Version:              front.Version,
			ConnCallback:         s.accept,
			ServerConfigCallback: s.config,
			// gliderlabs' own session handler rewrites newlines and loses
			// signals; the raw channel and its requests are ours.
			ChannelHandlers: map[string]gliderssh.ChannelHandler{
				"session":                        channel((*conn).workOn),
				"direct-tcpip":                   channel((*conn).direct),
				"direct-streamlocal@openssh.com": channel((*conn).directSocket),
				"default":                        channel((*conn).refuseChannel),
			},
			RequestHandlers: map[string]gliderssh.RequestHandler{"default": handleRequest},
		}
	})
}

func orDefault(n *int, d int) {
	if *n == 0 {
		*n = d
	}
}

func hostSigners(keys []ssh.Signer) []gliderssh.Signer {
	signers := make([]gliderssh.Signer, len(keys))
	for i, k := range keys {
		signers[i] = k
	}
	return signers
}

// Serve accepts connections until ctx is done or the listener fails. It closes
// the listener. Connections that are open go on: see Drain and Close.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.init()
	if len(s.HostKeys) == 0 {
		return errors.New("the gateway has no host key")
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	var delay time.Duration
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			var ne net.Error
			if errors.Is(err, net.ErrClosed) || !errors.As(err, &ne) {
				return fmt.Errorf("accepting connections: %w", err)
			}
			// Out of file descriptors, most likely: wait, do not spin.
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			s.Log.Error().Err(err).Dur("retry", delay).Msg("cannot accept a connection")
			select {
			case <-time.After(delay):
				continue
			case <-ctx.Done():
				return nil
			}
		}
		delay = 0
		go s.serve(s.mark(c))
	}
}

// serve runs one connection. A panic in it is that connection's own.
func (s *Server) serve(c net.Conn) {
	defer s.contain("connection", sallyport.Event{From: c.RemoteAddr().String()}, func() { c.Close() })
	s.front.HandleConn(c)
}

// contain turns a panic into an alert, about whom e tells, and calls cleanup. It
// is deferred.
func (s *Server) contain(where string, e sallyport.Event, cleanup func()) {
	v := recover()
	if v == nil {
		return
	}
	s.Log.Error().Str("where", where).Str("from", e.From).Str("panic", fmt.Sprint(v)).Bytes("stack", debug.Stack()).Msg("contained a panic")
	e.Type, e.Severity, e.Details = "gateway.panic", sallyport.SeverityCritical, map[string]string{"where": where}
	_ = s.Audit.Append(e)
	cleanup()
}

// config makes the handshake of one connection.
func (s *Server) config(ctx gliderssh.Context) *ssh.ServerConfig {
	c := ctx.Value(connKey{}).(*conn)
	cfg := s.Keys().ServerConfig()
	if c.jump != nil {
		cfg = c.jump.config(s.Keys())
	}
	cfg.Ciphers = c.ciphers
	cfg.BannerCallback = c.banner
	verified := cfg.VerifiedPublicKeyCallback
	cfg.VerifiedPublicKeyCallback = func(meta ssh.ConnMetadata, key ssh.PublicKey, p *ssh.Permissions, alg string) (*ssh.Permissions, error) {
		p, err := verified(meta, key, p, alg)
		if err != nil {
			return nil, err
		}
		return p, c.admit(meta, p)
	}
	none := cfg.NoClientAuthCallback
	cfg.NoClientAuthCallback = func(meta ssh.ConnMetadata) (*ssh.Permissions, error) {
		p, err := none(meta)
		if err != nil {
			return nil, err
		}
		return p, c.admit(meta, p)
	}
	cfg.AuthLogCallback = func(meta ssh.ConnMetadata, method string, err error) {
		if err == nil {
			c.authenticated()
			c.watched(ctx)
		} else if method != "none" {
			c.tries.Add(1)
		}
	}
	return cfg
}

// refused writes that somebody did not get in. The unauthenticated cannot fill
// the disk with it: past the limit refusals are counted, and the count goes
// into the next entry.
func (s *Server) refused(c *conn) {
	if c.healthCheck() {
		return
	}
	e := c.turnedAway()
	if !s.refusals.take(&e) {
		return
	}
	if n := s.lobby.TurnedAway(); n > 0 {
		e.Details["turned_away"] = strconv.Itoa(n)
	}
	if err := s.Audit.Append(e); err != nil {
		s.Log.Error().Err(err).Msg("cannot write the audit log")
	}
}
