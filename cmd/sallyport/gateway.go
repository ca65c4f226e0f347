package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/audit"
	"sallyport/auth"
	"sallyport/ca"
	"sallyport/config"
	"sallyport/console"
	"sallyport/control"
	"sallyport/grant"
	"sallyport/notify"
	"sallyport/policy"
	"sallyport/proxy"
	"sallyport/recorder"
	"sallyport/replay"
	"sallyport/store/bolt"
)

// gateway is all the parts of a running sallyport, wired together. Opened by
// openGateway, run by serve, closed by close.
type gateway struct {
	settings atomic.Pointer[settings]
	file     string        // the configuration, for reload
	drainFor time.Duration // from the command line; 0: the configuration's
	log      zerolog.Logger
	keys     *ca.Keys
	db       *bolt.DB
	audit    *audit.Log
	notify   *notify.Notifier
	recorder *recorder.Recorder
	control  *control.Control
	proxy    *proxy.Server
}

// settings are what a reload replaces, all at once.
type settings struct {
	cfg   *config.Config
	keys  *auth.Keys
	hooks []notify.Hook
}

func newSettings(file string, cfg *config.Config) (*settings, error) {
	keys, err := auth.NewKeys(cfg.Users)
	if err != nil {
		return nil, err
	}
	hooks, err := hooksOf(file, cfg)
	if err != nil {
		return nil, err
	}
	return &settings{cfg, keys, hooks}, nil
}

// openGateway opens everything that a gateway needs and starts nothing.
func openGateway(file string, cfg *config.Config, log zerolog.Logger) (_ *gateway, err error) {
	g := &gateway{file: file, log: log}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	set, err := newSettings(file, cfg)
	if err != nil {
		return nil, err
	}
	g.settings.Store(set)
	if g.keys, err = ca.Load(keysDir(cfg)); err != nil {
		return nil, err
	}
	if g.db, err = bolt.Open(filepath.Join(cfg.DataDir, "state.db"), time.Second); err != nil {
		return nil, err
	}
	if g.audit, err = audit.Open(filepath.Join(cfg.DataDir, "audit"), time.Now); err != nil {
		return nil, err
	}
	g.notify = newNotifier(cfg.Name, g.audit, log)
	g.notify.Set(set.hooks)
	now := sallyport.Steady(time.Now)
	policyNow := func() *policy.Policy { return g.settings.Load().cfg.Policy }
	grants := &grant.Service{
		Store: g.db.Requests(), Locked: g.db.Locks(), Policy: policyNow, Audit: g.audit,
		Now: now, Random: rand.Reader, Lapse: cfg.RequestLapse, Name: cfg.Name,
	}
	recordings := filepath.Join(cfg.DataDir, "recordings")
	g.recorder = &recorder.Recorder{Dir: recordings, Reserve: cfg.SpaceReserve}
	if err := g.recorder.Check(); err != nil {
		return nil, err
	}
	g.control = &control.Control{
		Grants: grants, Policy: policyNow, Audit: g.audit,
		Library: &replay.Library{Dir: recordings}, Now: now, Name: cfg.Name,
		CertAuthority: func(patterns []string) string { return ca.CertAuthorityLine(patterns, g.keys.HostCA.PublicKey()) },
	}
	g.proxy = &proxy.Server{
		Name: cfg.Name, HostKeys: []ssh.Signer{g.keys.HostKey},
		Keys:   func() *auth.Keys { return g.settings.Load().keys },
		Policy: policyNow, Grants: grants,
		Authority: &ca.Authority{Signer: g.keys.UserCA, Random: rand.Reader, Now: time.Now, MaxLife: 2 * time.Minute},
		HostCA:    &ca.HostAuthority{Signer: g.keys.HostCA, Random: rand.Reader, Now: time.Now},
		Recorder:  g.recorder, Audit: g.audit, Log: log, Now: now,
		Limits: proxy.Limits{
			Unauthenticated: cfg.Limits.Unauthenticated, PerAddress: cfg.Limits.PerAddress,
			LoginGrace: cfg.Limits.LoginGrace, Channels: cfg.Limits.Channels,
			ChannelsPerSec: cfg.Limits.ChannelsPerSec, ChannelsPerUser: cfg.Limits.ChannelsPerUser,
			SessionsPerUser: cfg.Limits.SessionsPerUser,
		},
		Banner:    func() string { return g.settings.Load().cfg.Banner },
		Balancers: cfg.Balancers, Keepalive: cfg.Keepalive,
		Console: g.console, Hold: g.hold,
	}
	g.control.Live = g.proxy
	return g, nil
}

// close releases what openGateway took.
func (g *gateway) close() {
	if g.audit != nil {
		if err := g.audit.Close(); err != nil {
			g.log.Error().Err(err).Msg("closing the audit log")
		}
	}
	if g.db != nil {
		if err := g.db.Close(); err != nil {
			g.log.Error().Err(err).Msg("closing the state")
		}
	}
}

// console runs one command of a person who came over SSH.
func (g *gateway) console(ctx context.Context, v proxy.Visit) int {
	args, err := console.Split(v.Command)
	if err != nil {
		complain(v.Err, err)
		return sallyport.ExitStatus(err)
	}
	io := g.visitIO(v)
	io.Args = args
	return console.Run(ctx, g.control, control.Caller{User: v.User, From: v.From}, io)
}

// hold keeps a person until an access is granted.
func (g *gateway) hold(ctx context.Context, v proxy.Visit, a sallyport.Access) error {
	return console.Hold(ctx, g.control, control.Caller{User: v.User, From: v.From}, a, g.visitIO(v))
}

func (g *gateway) visitIO(v proxy.Visit) console.IO {
	return console.IO{
		In: v.In, Out: v.Out, Err: v.Err, Terminal: v.Terminal, Columns: v.Columns, Rows: v.Rows,
		Internal: func(err error) { g.log.Error().Err(err).Str("user", v.User).Str("from", v.From).Msg("console") },
	}
}

// recover ends what a crash left open: sessions without a seal. What cannot be
// mended is an alert and holds nothing up. Only without an audit log there is no
// start.
func (g *gateway) recover(ctx context.Context) error {
	event := func(typ string, s sallyport.Session, seal string) sallyport.Event {
		return sallyport.Event{
			Type: typ, Severity: sallyport.SeverityWarning, Outcome: string(s.Cause),
			User: s.User, Account: s.Access.Account, Target: s.Access.Target, Role: s.Role,
			Grant: s.Grant, Session: s.ID, From: s.From, To: s.Address,
			Reason: s.Reason, Details: map[string]string{"seal": seal},
		}
	}
	// session.end of these was audited with a seal that had failed.
	g.recorder.Resealed = func(s sallyport.Session, seal string) error {
		return g.audit.AppendSync(event("recording.seal", s, seal))
	}
	var unaudited error
	err := g.recorder.Recover(ctx, func(s sallyport.Session, seal string) error {
		e := event("session.end", s, seal)
		if s.By != "" {
			e.Details["by"] = s.By
		}
		if unaudited = g.audit.AppendSync(e); unaudited == nil {
			g.log.Warn().Str("session", s.ID).Str("user", s.User).Str("access", s.Access.String()).
				Str("cause", string(s.Cause)).Msg("closed a session that a crash left open")
		}
		return unaudited
	})
	joined, _ := err.(interface{ Unwrap() []error })
	if joined == nil {
		return nil
	}
	for _, err := range joined.Unwrap() {
		unmended, ok := errors.AsType[*recorder.UnmendedError](err)
		if !ok {
			continue
		}
		g.log.Error().Err(unmended.Err).Str("session", unmended.Session).Str("dir", unmended.Dir).
			Msg("a recording that a crash left open cannot be mended; the next start tries again")
		unaudited = errors.Join(unaudited, g.audit.AppendSync(sallyport.Event{
			Type: "recording.unmended", Severity: sallyport.SeverityAlert,
			Session: unmended.Session, Reason: unmended.Err.Error(),
		}))
	}
	if unaudited != nil {
		return fmt.Errorf("closing the sessions that a crash left open: %w", unaudited)
	}
	return nil
}

// listen opens the gateway's port.
func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, sallyport.Errorf(sallyport.CodeUnavail, "%s is in use by another program: %w", addr, err).
			WithHint("stop it, or set another listen address in the configuration; ss -ltnp shows who it is")
	}
	if errors.Is(err, os.ErrPermission) {
		return nil, sallyport.Errorf(sallyport.CodeUnavail, "no permission to listen on %s: %w", addr, err).
			WithHint("use a port of 1024 or above, or run as root")
	}
	return l, err
}

// serve runs the gateway on l until ctx is done, then drains it. hurry, when
// closed or sent to, cuts the drain short.
func (g *gateway) serve(ctx context.Context, l net.Listener, hurry <-chan os.Signal) error {
	if err := g.recover(ctx); err != nil {
		return err
	}
	if err := g.audit.AppendSync(sallyport.Event{Type: "gateway.start", Details: map[string]string{"listen": l.Addr().String(), "version": version()}}); err != nil {
		return err
	}
	// What writes runs until the last session has ended.
	writers, stopWriters := context.WithCancel(context.Background())
	var background sync.WaitGroup
	defer background.Wait()
	defer stopWriters()
	background.Go(func() { g.audit.Run(writers) })
	background.Go(func() { g.recorder.Run(writers) })
	background.Go(func() { g.notify.Run(writers) })

	socket := socketPath(g.settings.Load().cfg.DataDir)
	errs := make(chan error, 2)
	serving, stop := context.WithCancel(ctx)
	defer stop()
	go func() { errs <- g.proxy.Serve(serving, l) }()
	// The socket outlives the listener, so that a drain can be watched.
	socketCtx, stopSocket := context.WithCancel(context.Background())
	defer stopSocket()
	background.Go(func() {
		if err := serveSocket(socketCtx, socket, g.keys.HostKey, g.control, g.log); err != nil {
			g.log.Error().Err(err).Str("socket", socket).Msg("no socket for the people's verbs on this host")
		}
	})
	g.log.Info().Str("listen", l.Addr().String()).Str("data", g.settings.Load().cfg.DataDir).Msg("sallyport serves")

	var err error
	select {
	case <-ctx.Done():
		err = g.drain(hurry)
	case err = <-errs:
	}
	final, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = errors.Join(err, g.proxy.Close(final))
	if e := g.audit.AppendSync(sallyport.Event{Type: "gateway.stop"}); e != nil {
		err = errors.Join(err, e)
	}
	return err
}

// drain lets the sessions end by themselves for a while.
func (g *gateway) drain(hurry <-chan os.Signal) error {
	wait := cmp.Or(g.drainFor, g.settings.Load().cfg.Drain)
	g.log.Info().Dur("wait", wait).Int("sessions", len(g.proxy.Sessions())).Msg("draining")
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	go func() {
		select {
		case <-hurry:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := g.proxy.Drain(ctx); err != nil {
		g.log.Warn().Int("sessions", len(g.proxy.Sessions())).Msg("ending the sessions that are left")
	}
	return nil
}

// reload takes a new configuration, whole or not at all, and ends what it no
// longer allows. Keys, data and the listening address stay until a restart.
func (g *gateway) reload(ctx context.Context) error {
	cfg, err := config.Load(g.file)
	var set *settings
	if err == nil {
		set, err = newSettings(g.file, cfg)
	}
	if err != nil {
		_ = g.audit.Append(sallyport.Event{Type: "config.reload", Severity: sallyport.SeverityWarning, Outcome: "refused", Reason: err.Error()})
		return fmt.Errorf("the old configuration stays in force: %w", err)
	}
	if err := g.audit.AppendSync(sallyport.Event{Type: "config.reload", Outcome: "accepted"}); err != nil {
		return err
	}
	for _, key := range needsRestart(g.settings.Load().cfg, cfg) {
		g.log.Warn().Str("key", key).Msg("this change of the configuration takes effect at the next start only")
	}
	g.settings.Store(set)
	g.notify.Set(set.hooks)
	if err := g.proxy.Recheck(ctx); err != nil {
		g.log.Error().Err(err).Msg("not every session is known to have ended that the new configuration does not allow")
	}
	return nil
}

// needsRestart names what differs and is not taken from a new configuration.
func needsRestart(old, cfg *config.Config) []string {
	var keys []string
	for key, same := range map[string]bool{
		"listen": old.Listen == cfg.Listen, "data_dir": old.DataDir == cfg.DataDir, "name": old.Name == cfg.Name,
		"limits": old.Limits == cfg.Limits, "request_lapse": old.RequestLapse == cfg.RequestLapse,
		"space_reserve": old.SpaceReserve == cfg.SpaceReserve, "keepalive": old.Keepalive == cfg.Keepalive,
		"proxy_protocol": slices.Equal(old.Balancers, cfg.Balancers),
	} {
		if !same {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
