package config

import (
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"sallyport"
)

// Hook is one place that hears of events: a command or a webhook.
type Hook struct {
	Name       string
	Severity   sallyport.Severity // the least; DefaultSeverity
	Events     []string           // patterns of types; none: all
	Command    []string           // an absolute path, and arguments
	URL        string             // it may hold a secret: show it to nobody
	SecretFile string             // signs what goes to URL
	Timeout    time.Duration      // of one attempt
	Line       int                // in the file, for what only shows when the hook's files are read
}

// The defaults of a hook.
const (
	DefaultSeverity = sallyport.SeverityAlert
	DefaultTimeout  = 10 * time.Second
)

const maxTimeout = time.Minute

func (d *decoder) hook(n *yaml.Node) Hook {
	h := Hook{Severity: DefaultSeverity, Timeout: DefaultTimeout, Line: n.Line}
	ways := 0
	d.mapping(n, "a hook",
		field{"name", true, func(n *yaml.Node) { h.Name = d.name(n, "hook", &d.hooks) }},
		field{"severity", false, func(n *yaml.Node) { h.Severity = oneOf(d, n, "severity", sallyport.Severities...) }},
		field{"events", false, func(n *yaml.Node) { h.Events = d.texts(n, "events", d.eventPattern) }},
		field{"command", false, func(n *yaml.Node) {
			ways++
			h.Command = d.command(n)
		}},
		field{"webhook", false, func(n *yaml.Node) {
			ways++
			d.mapping(n, "a webhook",
				field{"url", true, func(n *yaml.Node) { h.URL = d.webhook(n) }},
				field{"secret_file", true, func(n *yaml.Node) {
					h.SecretFile = d.text(n)
					if h.SecretFile != "" && !filepath.IsAbs(h.SecretFile) {
						d.bad(n, "secret_file %q depends on where sallyport is started (expected a path from /)", h.SecretFile)
					}
				}},
			)
		}},
		field{"timeout", false, func(n *yaml.Node) {
			before := len(d.errs)
			if h.Timeout = d.duration(n); len(d.errs) == before && (h.Timeout < time.Second || h.Timeout > maxTimeout) {
				d.bad(n, "a timeout of %s is not useful (expected 1s to 1m)", h.Timeout)
			}
		}},
	)
	if n = resolve(n); n.Kind == yaml.MappingNode && ways != 1 {
		d.bad(n, "hook %q calls %s (expected either a command or a webhook)", h.Name, []string{"nobody", "", "two"}[ways])
	}
	return h
}

func (d *decoder) command(n *yaml.Node) []string {
	argv := d.texts(n, "command", func(n *yaml.Node, s string) {
		if strings.ContainsRune(s, 0) {
			d.bad(n, "a command cannot hold a zero byte")
		}
	})
	switch n = resolve(n); {
	case n.Kind != yaml.SequenceNode: // told
	case len(n.Content) == 0:
		d.bad(n, "command is empty (expected [/usr/local/bin/program, argument, …])")
	case len(argv) > 0 && !filepath.IsAbs(argv[0]):
		d.bad(n, "the command %q depends on where sallyport is started (expected a path from /; no shell reads it)", argv[0])
	}
	return argv
}

func (d *decoder) eventPattern(n *yaml.Node, s string) {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_.*?") != "" {
		d.bad(n, "%q is no pattern of events (expected for example command.terminate or session.*)", s)
	}
}

// webhook reads a URL. What is wrong is said without it.
func (d *decoder) webhook(n *yaml.Node) string {
	s := d.text(n)
	if s == "" {
		return ""
	}
	const expected = "expected https://…, or http:// on 127.0.0.1, ::1 or localhost"
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Hostname() == "", u.Scheme != "https" && u.Scheme != "http":
		d.bad(n, "this is no URL of a webhook (%s)", expected)
	case u.User != nil:
		d.bad(n, "the URL holds a user or a password (expected none: the signature says who calls)")
	case u.Fragment != "":
		d.bad(n, "the URL has a part after # (expected none: it would not be sent)")
	case u.Scheme == "http":
		if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			d.bad(n, "without TLS others could read and change what is told (%s)", expected)
		}
	}
	return s
}
