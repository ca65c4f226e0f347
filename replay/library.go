package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/recorder/cast"
)

// Library is the recordings of one gateway: Dir/YYYY/MM/DD/<session>/. It only
// reads. Safe for concurrent use, also while recordings are being written.
//
// It does not ask who may see a recording; its caller does. No path is ever
// made from what a person typed: names come from the directory and are
// compared with the id, and nothing outside Dir is opened, symbolic links
// included.
type Library struct {
	Dir string // data_dir/recordings
}

// Query selects recordings. The zero Query selects all.
type Query struct {
	User, Account, Target string    // empty: any
	Since, Until          time.Time // when it started: from Since to just before Until; zero: no bound
}

func (q Query) matches(s sallyport.Session) bool {
	return (q.User == "" || q.User == s.User) &&
		(q.Account == "" || q.Account == s.Access.Account) &&
		(q.Target == "" || q.Target == s.Access.Target) &&
		(q.Since.IsZero() || !s.StartedAt.Before(q.Since)) &&
		(q.Until.IsZero() || s.StartedAt.Before(q.Until))
}

// Recording is what a session left.
type Recording struct {
	Session   sallyport.Session `json:"session"`
	Channels  []string          `json:"channels"`          // their names, in order of opening
	Sealed    bool              `json:"sealed"`            // false: the session still runs, or its end was lost
	Truncated bool              `json:"truncated"`         // the gateway crashed; the tail may be missing
	Damaged   string            `json:"damaged,omitempty"` // why the session's facts cannot be read; only Session.ID is then known

	library, dir string // dir is below library
}

const (
	sessionFile = "session.json"
	sealFile    = "seal.json"
	castSuffix  = ".cast"
	rawSuffix   = ".raw"

	maxFacts = 16 << 20 // bytes of session.json or seal.json
)

// List returns the selected recordings, the oldest first. A damaged recording
// is listed too and stops nothing; a Query that selects by user or place
// cannot select it.
func (l Library) List(ctx context.Context, q Query) ([]Recording, error) {
	return l.read(ctx, "", q)
}

// Find returns the recordings whose session id begins with prefix, the oldest
// first, and reads no others. Of what cannot begin an id there are none.
func (l Library) Find(ctx context.Context, prefix string) ([]Recording, error) {
	if !sallyport.IsIDPrefix(prefix) {
		return nil, nil
	}
	return l.read(ctx, prefix, Query{})
}

func (l Library) read(ctx context.Context, prefix string, q Query) ([]Recording, error) {
	var all []Recording
	err := l.walk(ctx, func(dir string) error {
		if !strings.HasPrefix(path.Base(dir), prefix) {
			return nil
		}
		r, err := l.load(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since, or not begun
		}
		if err != nil {
			return err
		}
		if q == (Query{}) || q.matches(r.Session) {
			all = append(all, r)
		}
		return nil
	})
	slices.SortStableFunc(all, func(a, b Recording) int {
		return a.Session.StartedAt.Compare(b.Session.StartedAt)
	})
	return all, err
}

// walk calls do with the path, below Dir, of every recording.
func (l Library) walk(ctx context.Context, do func(dir string) error) error {
	root, err := os.OpenRoot(l.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was recorded yet
	}
	if err != nil {
		return unreadable(err)
	}
	defer root.Close()
	return descend(ctx, root.FS(), ".", 0, do)
}

// levels are what a directory's name must be: year, month, day, session.
var levels = [...]func(string) bool{digits(4), digits(2), digits(2), wholeID}

func descend(ctx context.Context, root fs.FS, dir string, level int, do func(string) error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	entries, err := fs.ReadDir(root, dir)
	if errors.Is(err, fs.ErrNotExist) && level > 0 {
		return nil // removed meanwhile
	}
	if err != nil {
		return unreadable(err)
	}
	for _, e := range entries {
		if !e.IsDir() || !levels[level](e.Name()) {
			continue
		}
		name := path.Join(dir, e.Name())
		if level == len(levels)-1 {
			err = do(name)
		} else {
			err = descend(ctx, root, name, level+1, do)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func digits(n int) func(string) bool {
	return func(s string) bool { return len(s) == n && strings.Trim(s, "0123456789") == "" }
}

func wholeID(s string) bool { return len(s) == sallyport.IDLength && sallyport.IsIDPrefix(s) }

// load reads the facts of the recording in dir.
func (l Library) load(dir string) (Recording, error) {
	r := Recording{library: l.Dir, dir: dir}
	root, err := r.root()
	if err != nil {
		return r, err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return r, unreadable(err)
	}
	for _, e := range entries {
		name, isCast := strings.CutSuffix(e.Name(), castSuffix)
		if isCast && e.Type().IsRegular() && sallyport.ValidName(name) {
			r.Channels = append(r.Channels, name)
		}
	}
	slices.SortFunc(r.Channels, func(a, b string) int { // 2 before 10
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})

	var seal cast.Seal
	switch err := readJSON(root, sealFile, &seal); {
	case err == nil:
		r.Sealed, r.Truncated = true, seal.Truncated
	case !errors.Is(err, fs.ErrNotExist):
		r.Damaged = err.Error()
	}
	id := path.Base(dir)
	if err := readJSON(root, sessionFile, &r.Session); err != nil {
		r.Session, r.Damaged = sallyport.Session{}, err.Error()
	} else if r.Session.ID != id {
		r.Session, r.Damaged = sallyport.Session{}, sessionFile+" is of another session"
	}
	r.Session.ID = id
	r.Truncated = r.Truncated || r.Session.Cause == sallyport.CauseCrash
	return r, nil
}

func (r Recording) root() (*os.Root, error) {
	top, err := os.OpenRoot(r.library)
	if err != nil {
		return nil, unreadable(err)
	}
	defer top.Close()
	root, err := top.OpenRoot(r.dir)
	if err != nil {
		return nil, unreadable(err)
	}
	return root, nil
}

// channel returns the name of the channel that is meant; empty means the first.
func (r Recording) channel(name string) (string, error) {
	switch {
	case name != "" && slices.Contains(r.Channels, name):
		return name, nil
	case name == "" && len(r.Channels) > 0:
		return r.Channels[0], nil
	case len(r.Channels) == 0:
		return "", sallyport.Errorf(sallyport.CodeNotFound, "session %s has no recorded channel", r.Session.ID)
	}
	return "", sallyport.Errorf(sallyport.CodeNotFound, "session %s has no channel %q", r.Session.ID, clip(name, 40)).
		WithHint("its channels are %s", strings.Join(r.Channels, ", "))
}

// open opens a file of the recording. The caller closes it.
func (r Recording) open(name string) (*os.File, error) {
	root, err := r.root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return openRegular(root, name)
}

// openRegular does not follow a link and does not wait at a FIFO.
func openRegular(root *os.Root, name string) (*os.File, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, unreadable(err)
	}
	if !info.Mode().IsRegular() {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "%s of the recording is no regular file", name)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, unreadable(err)
	}
	return f, nil
}

func readJSON(root *os.Root, name string, v any) error {
	f, err := openRegular(root, name)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFacts+1))
	switch {
	case err != nil:
		return unreadable(err)
	case len(b) > maxFacts:
		return fmt.Errorf("%s is too long", name)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s is damaged: %w", name, err)
	}
	return nil
}

// unreadable hides from users where the gateway keeps its data; operators find
// it in Err.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		e := sallyport.Errorf(sallyport.CodeNotFound, "a part of the recording is missing")
		e.Err = err
		return e
	}
	e := sallyport.Errorf(sallyport.CodeInternal, "the recording cannot be read")
	e.Err = err
	return e
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
