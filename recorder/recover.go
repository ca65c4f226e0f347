package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sallyport"
)

// UnmendedError is about one recording without a seal that cannot be closed, or
// about all of them where Session is empty.
type UnmendedError struct {
	Session string
	Dir     string
	Err     error
}

func (e *UnmendedError) Error() string {
	if e.Session == "" {
		return fmt.Sprintf("looking for recordings that a crash left open: %v", e.Err)
	}
	return fmt.Sprintf("closing the interrupted recording %s: %v", e.Session, e.Err)
}

func (e *UnmendedError) Unwrap() error { return e.Err }

// Recover closes what a crash left open: every session without a seal that this
// recorder does not write itself. Torn tails of casts are cut off and kept as
// <channel>.torn, a marker says what happened, the seal says truncated, and
// session.json gets the cause crash, unless it has one already.
//
// closed hears of each such session, with the SHA-256 of its seal.json in hex,
// before the seal is in place. So a second crash in between, or an error of
// closed, makes the next Recover find the session again: closed hears of every
// session at least once. That error ends Recover.
//
// The error joins (it has Unwrap() []error) an [*UnmendedError] for each
// recording that cannot be mended, which holds up no other, and what ended
// Recover early: the error of closed, or of ctx.
func (r *Recorder) Recover(ctx context.Context, closed func(s sallyport.Session, sealDigest string) error) error {
	var errs []error
	if _, err := os.ReadDir(r.Dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, &UnmendedError{Dir: r.Dir, Err: err}) // Glob keeps silent about it
	}
	dirs, err := filepath.Glob(filepath.Join(globEscape(r.Dir), "[0-9][0-9][0-9][0-9]", "[0-9][0-9]", "[0-9][0-9]", "*"))
	if err != nil {
		errs = append(errs, &UnmendedError{Dir: r.Dir, Err: err})
	}
	for _, dir := range dirs {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || !sallyport.ValidName(info.Name()) || r.isLive(dir) {
			continue
		}
		if _, err := os.Lstat(filepath.Join(dir, SealName)); err == nil {
			continue
		}
		var refused error
		err = r.mend(dir, info.ModTime(), func(s sallyport.Session, digest string) error {
			refused = closed(s, digest)
			return refused
		})
		if refused != nil {
			return errors.Join(append(errs, refused)...)
		}
		if err != nil {
			errs = append(errs, &UnmendedError{Session: filepath.Base(dir), Dir: dir, Err: err})
		}
	}
	return errors.Join(errs...)
}

func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// mend closes one recording. modified stands in for a start that is not known.
func (r *Recorder) mend(dir string, modified time.Time, closed func(sallyport.Session, string) error) error {
	s := sallyport.Session{ID: filepath.Base(dir), StartedAt: modified}
	if b, err := os.ReadFile(filepath.Join(dir, sessionName)); err == nil {
		var read sallyport.Session
		if json.Unmarshal(b, &read) == nil && read.ID == s.ID {
			s = read
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	m, err := mendCasts(dir, s.StartedAt, Interrupted)
	if err != nil {
		return err
	}
	s.EndedAt = latest(latest(s.EndedAt, s.StartedAt), m.end)
	s.Channels = m.casts
	if s.Cause == "" { // else it ended, and only its seal is missing
		s.Cause, s.Reason = sallyport.CauseCrash, "the gateway stopped without closing the session"
	}
	orphan := &Session{rec: r, dir: dir, id: s.ID}
	if err := orphan.writeJSON(sessionName, s, true); err != nil {
		return err
	}
	_, err = orphan.writeSeal(nil, m.streams, true, func(digest string) error { return closed(s, digest) })
	return err
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
