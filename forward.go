package sallyport

import "time"

// ForwardRules say where a role's forwards may lead. Nothing is allowed that is
// not listed, and a list works only together with its channel.
type ForwardRules struct {
	// Local are host:port patterns that forward-local may reach from the target,
	// Remote those that forward-remote may listen on there. * and ? match as in
	// a shell.
	Local  []string `json:"local,omitempty"`
	Remote []string `json:"remote,omitempty"`
	// Sockets are patterns of paths of unix sockets at the target, for
	// forward-socket, both ways: * and ? stop at a slash, ** does not.
	Sockets []string `json:"sockets,omitempty"`
	// MaxOpen bounds the forwarded channels that are open at once in a session,
	// MaxBytes what one of them may carry, both ways together. 0: the default,
	// and no limit.
	MaxOpen  int   `json:"max_open,omitempty"`
	MaxBytes int64 `json:"max_bytes,omitempty"`
}

// ForwardEvent is one line of forwards.jsonl: a forwarded channel, from its
// opening to its end.
type ForwardEvent struct {
	OpenedAt time.Time `json:"opened_at"`
	ClosedAt time.Time `json:"closed_at"`
	Channel  string    `json:"channel"`
	Kind     Channel   `json:"kind"`           // forward-local, forward-remote, forward-socket, agent, x11, ide
	From     string    `json:"from,omitempty"` // who opened it, as that side says
	To       string    `json:"to"`             // host:port or the path of a socket
	Sent     int64     `json:"sent"`           // bytes from the client
	Received int64     `json:"received"`       // bytes to the client
	Cause    string    `json:"cause"`          // closed, limit, or the cause of the session's end
}
