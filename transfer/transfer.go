// Package transfer understands file transfers in flight: which files move, which
// way, with which content, and whether a role's rules allow it.
//
// A stream of this package stands in the middle of one channel. Both directions
// are handed to it as they arrive, and it passes them on: content at once,
// everything else when it has been judged. docs/files.md says what is seen and
// what is enforced.
package transfer

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"sallyport"
	"sallyport/transfer/content"
)

// Config is what a stream works with.
type Config struct {
	Rules  sallyport.FileRules
	Target io.Writer // takes what the target is sent
	Client io.Writer // takes what the client is sent

	// Report hears of each file and each operation once, when it is over and
	// before the client does. One call at a time, from either direction.
	Report func(sallyport.FileEvent)
	// Confused hears that the rest of the channel is not understood. It goes on
	// unread, unless the rules end it. Nil: nobody hears of it.
	Confused func(reason string)
	// Copy makes room for a copy of content. Nil: there is only memory, and
	// nothing is kept.
	Copy func() (Copy, error)
	// Exited tells how the command ended, if it did; for what is only counted.
	// Nil: it did not.
	Exited func() (code int, ok bool)
	Now    func() time.Time // nil: time.Now
}

// Copy holds content beside the recording.
type Copy = content.Copy

// Stream is a channel in which files move.
//
// FromClient and FromTarget are called from one goroutine each and pass on what
// they are given. An error ends the channel: nothing may be passed on any more.
// ClientDone and TargetDone follow the last call of each, in the same goroutine.
// Close, from any goroutine, ends everything: what is waiting gets an error, and
// what is still open is reported as broken.
type Stream interface {
	FromClient(p []byte) error
	FromTarget(p []byte) error
	ClientDone() error
	TargetDone() error
	Close()
}

// ConfusedError says why a channel cannot go on under its rules.
type ConfusedError struct{ Reason string }

func (e *ConfusedError) Error() string { return "the file transfer is not understood: " + e.Reason }

var errClosed = errors.New("the channel is closed")

// maxPath is how much of a path is kept, in bytes: no system takes a longer one.
const maxPath = 4096

// report serialises the calls of Config.Report.
type reporter struct {
	mu sync.Mutex
	to func(sallyport.FileEvent)
}

func (r *reporter) report(events ...sallyport.FileEvent) {
	if r.to == nil || len(events) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		r.to(e)
	}
}

func (c Config) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// endsOnConfusion reports whether what is not understood may not pass: a client
// must not be able to switch the rules off.
func (c Config) endsOnConfusion() bool { return c.Rules.EndOnConfusion || c.Rules.Restricts() }

// text returns a path as an event has it, and its exact bytes in hex where that
// is not the same.
func text(path string) (shown, exact string) {
	if len(path) > maxPath {
		path = path[:maxPath]
	}
	if utf8.ValidString(path) {
		return path, ""
	}
	return strings.ToValidUTF8(path, "\uFFFD"), hex.EncodeToString([]byte(path))
}

func setPath(e *sallyport.FileEvent, path string) { e.Path, e.PathHex = text(path) }

func setTo(e *sallyport.FileEvent, path string) { e.To, e.ToHex = text(path) }

// prefix begins every text that the gateway says for itself.
const prefix = "sallyport: "

func ours(format string, args ...any) string { return prefix + fmt.Sprintf(format, args...) }
