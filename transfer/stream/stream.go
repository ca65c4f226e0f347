// Package stream is what the readers of all file transfers have in common: what
// they work with, a role's rules, and how they say what they saw.
package stream

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
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

	// Judge hears of an operation before it is done: read, write, remove, rename,
	// mkdir, rmdir, setstat, symlink, link, copy, list, stat, readlink. The paths are
	// absolute, or relative to the home, which is empty where nobody knows it; one
	// that ends in / is a directory with what is in it. Its error refuses the
	// operation. Judges reports whether it has anything to say of an operation. Nil,
	// both: nothing is refused.
	Judge  func(home, op string, paths ...string) error
	Judges func(op string) bool
}

// Judged asks Judge, as far as it has anything to say.
func (c Config) Judged(home, op string, paths ...string) *Refusal {
	if c.Judge == nil {
		return nil
	}
	if err := c.Judge(home, op, paths...); err != nil {
		return Denied("%s", err)
	}
	return nil
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

// ErrClosed is the error of a stream that is closed.
var ErrClosed = errors.New("the channel is closed")

// MaxPath is how much of a path is kept, in bytes: no system takes a longer one.
const MaxPath = 4096

// Reporter serialises the calls of Config.Report.
type Reporter struct {
	To func(sallyport.FileEvent) // nil: nobody

	mu sync.Mutex
}

// Report tells of events, in their order.
func (r *Reporter) Report(events ...sallyport.FileEvent) {
	if r.To == nil || len(events) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		r.To(e)
	}
}

// Clock returns the time.
func (c Config) Clock() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// EndsOnConfusion reports whether what is not understood may not pass: a client
// must not be able to switch the rules off.
func (c Config) EndsOnConfusion() bool {
	return c.Rules.EndOnConfusion || c.Rules.Restricts() || c.Judge != nil
}

// Text returns a path as an event has it, and its exact bytes in hex where that
// is not the same.
func Text(path string) (shown, exact string) {
	if len(path) > MaxPath {
		path = path[:MaxPath]
	}
	if utf8.ValidString(path) {
		return path, ""
	}
	return strings.ToValidUTF8(path, "\uFFFD"), hex.EncodeToString([]byte(path))
}

// SetPath sets Path.
func SetPath(e *sallyport.FileEvent, path string) { e.Path, e.PathHex = Text(path) }

// SetTo sets To.
func SetTo(e *sallyport.FileEvent, path string) { e.To, e.ToHex = Text(path) }

// Prefix begins every text that the gateway says for itself.
const Prefix = "sallyport: "

// Ours words such a text.
func Ours(format string, args ...any) string { return Prefix + fmt.Sprintf(format, args...) }

// Confusion is why something was not understood.
type Confusion string

func (c Confusion) Error() string { return string(c) }

// Sentence joins what there is to say.
func Sentence(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; ")
}
