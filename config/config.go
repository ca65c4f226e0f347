// Package config reads the gateway's configuration: one strict YAML file. Every
// error is one line with the file, the line and what was expected; all of them
// are told at once.
package config

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"sallyport"
	"sallyport/policy"
)

// Config is a checked configuration.
type Config struct {
	Listen       string // host:port
	Name         string // what users call the gateway, in hints: ssh NAME …
	DataDir      string
	Users        []sallyport.User
	Targets      []sallyport.Target
	Roles        []sallyport.Role
	Permissions  map[sallyport.Permission]sallyport.Members
	RequestLapse time.Duration // how long a request waits for answers
	Drain        time.Duration // how long sessions may end by themselves at shutdown
	SpaceReserve int64         // bytes that must be free to start a recording
	Limits       Limits
	Banner       string        // shown before the sign-in
	Keepalive    time.Duration // how long a peer may be silent before it is asked for a sign of life

	// Balancers are the load balancers whose PROXY header is required and believed.
	Balancers []netip.Prefix

	Notify []Hook // who hears of events

	Policy *policy.Policy // of the users, targets, roles and permissions
}

// Limits bound what clients can make the gateway hold.
type Limits struct {
	Unauthenticated int           // connections that have not signed in yet, in all
	PerAddress      int           // of those, from one address
	LoginGrace      time.Duration // to sign in
	Channels        int           // open at once on one connection
	ChannelsPerSec  int           // opened on one connection, in the long run
	ChannelsPerUser int           // open at once on all connections of a user
	SessionsPerUser int           // live at once
}

// The defaults.
const (
	DefaultListen       = "0.0.0.0:2222"
	DefaultName         = "gate"
	DefaultDataDir      = "/var/lib/sallyport"
	DefaultRequestLapse = 24 * time.Hour
	DefaultDrain        = 30 * time.Second
	DefaultSpaceReserve = 64 << 20
	DefaultContentCap   = 16 << 20
	DefaultKeepalive    = 15 * time.Second
)

// DefaultLimits returns the limits of a configuration that names none.
func DefaultLimits() Limits {
	return Limits{
		Unauthenticated: 512, PerAddress: 128, LoginGrace: 20 * time.Second,
		Channels: 64, ChannelsPerSec: 50, ChannelsPerUser: 512, SessionsPerUser: 100,
	}
}

// maxSize bounds the file, in bytes.
const maxSize = 16 << 20

// Load reads and checks the file at path.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "cannot read the configuration: %w", err).
			WithHint("name it with --config FILE")
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "cannot read the configuration: %w", err)
	}
	if fi.Mode().Perm()&0o022 != 0 && !fi.IsDir() {
		// Whoever can write it can let themselves in anywhere.
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "%s can be written by others than its owner", path).
			WithHint("chmod go-w %s", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1)) // of the file that was looked at
	if fi.IsDir() || len(data) > maxSize {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "%s is no configuration file", path).
			WithHint("name it with --config FILE")
	}
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "cannot read the configuration: %w", err)
	}
	return Parse(path, data)
}

// Parse reads and checks a configuration; name stands for the file in errors.
// The error is an *Error.
func Parse(name string, data []byte) (*Config, error) {
	d := &decoder{file: name}
	var doc yaml.Node
	// Loading one document into a node also refuses a second one.
	if err := yaml.Load(data, &doc); err != nil {
		for _, l := range syntaxLines(err) {
			d.errs = append(d.errs, l.in(name))
		}
		return nil, d.err()
	}
	c := d.config(&doc)
	if err := d.err(); err != nil {
		return nil, err
	}
	p, err := policy.New(c.Users, c.Targets, c.Roles, c.Permissions)
	if err != nil {
		d.policyError(err)
		return nil, d.err()
	}
	c.Policy = p
	return c, nil
}

// Error is everything that is wrong with a configuration, one line each:
// "file:line: message (expected …)".
type Error struct {
	Lines []string
}

func (e *Error) Error() string { return strings.Join(e.Lines, "\n") }

// Unwrap gives the error its code and hint.
func (e *Error) Unwrap() error {
	return sallyport.Errorf(sallyport.CodeInvalid, "the configuration is not valid")
}

func (d *decoder) err() error {
	if len(d.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(d.errs, func(a, b problem) int { return a.line - b.line })
	e := &Error{}
	for _, p := range d.errs {
		e.Lines = append(e.Lines, p.String())
	}
	e.Lines = slices.Compact(e.Lines)
	return e
}

// problem is one error in a file.
type problem struct {
	file string
	line int // from 1; 0: the whole file
	text string
}

func (p problem) String() string {
	if p.line == 0 {
		return fmt.Sprintf("%s: %s", p.file, p.text)
	}
	return fmt.Sprintf("%s:%d: %s", p.file, p.line, p.text)
}

func (p problem) in(file string) problem { p.file = file; return p }

// syntaxLines takes the errors of the YAML package apart.
func syntaxLines(err error) []problem {
	var all *yaml.LoadErrors
	if errors.As(err, &all) && len(all.Errors) > 0 {
		var ps []problem
		for _, e := range all.Errors {
			ps = append(ps, syntaxLine(e))
		}
		return ps
	}
	return []problem{syntaxLine(err)}
}

func syntaxLine(err error) problem {
	var e *yaml.LoadError
	if errors.As(err, &e) {
		return problem{line: e.Mark.Line, text: "no YAML: " + oneLine(e.Message)}
	}
	return problem{text: "no YAML: " + oneLine(err.Error())}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
