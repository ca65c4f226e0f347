package recorder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/recorder/cast"
)

// Interrupted is the label of the marker at the end of a mended cast.
const Interrupted = "recording interrupted: the gateway stopped"

// Recover closes what a crash left open: every session without a seal that this
// recorder does not write itself. Torn tails of casts are cut off and kept as
// <channel>.torn, a marker says what happened, the seal says truncated, and
// session.json gets the cause crash. It returns the sessions that it closed.
//
// One that cannot be mended does not keep back the others: the error joins what
// failed. What it closed once, it does not close again.
func (r *Recorder) Recover(ctx context.Context) ([]sallyport.Session, error) {
	dirs, err := filepath.Glob(filepath.Join(globEscape(r.Dir), "[0-9][0-9][0-9][0-9]", "[0-9][0-9]", "[0-9][0-9]", "*"))
	if err != nil {
		return nil, err
	}
	var (
		sessions []sallyport.Session
		errs     []error
	)
	if _, err := os.ReadDir(r.Dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, err) // Glob keeps silent about it
	}
	for _, dir := range dirs {
		if err := ctx.Err(); err != nil {
			return sessions, errors.Join(append(errs, err)...)
		}
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || !sallyport.ValidName(info.Name()) || r.isLive(dir) {
			continue
		}
		if _, err := os.Lstat(filepath.Join(dir, SealName)); err == nil {
			continue
		}
		s, err := r.mend(dir, info.ModTime())
		if err != nil {
			errs = append(errs, fmt.Errorf("closing the interrupted recording %s: %w", filepath.Base(dir), err))
			continue
		}
		sessions = append(sessions, s)
	}
	return sessions, errors.Join(errs...)
}

func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// mend closes one recording. modified stands in for a start that is not known.
func (r *Recorder) mend(dir string, modified time.Time) (sallyport.Session, error) {
	s := sallyport.Session{ID: filepath.Base(dir), StartedAt: modified}
	if b, err := os.ReadFile(filepath.Join(dir, "session.json")); err == nil {
		var read sallyport.Session
		if json.Unmarshal(b, &read) == nil && read.ID == s.ID {
			s = read
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return s, err
	}
	casts, err := filepath.Glob(filepath.Join(globEscape(dir), "*.cast"))
	if err != nil {
		return s, err
	}
	slices.Sort(casts)
	s.EndedAt = latest(s.EndedAt, s.StartedAt)
	var streams []cast.StreamSum
	for _, path := range casts {
		sums, end, err := mendCast(path, s.StartedAt)
		if err != nil {
			return s, err
		}
		streams = append(streams, sums...)
		s.EndedAt = latest(s.EndedAt, end)
	}
	s.Channels = len(casts)
	if s.Cause == "" { // else it ended well, and only its seal is missing
		s.Cause, s.Reason = sallyport.CauseCrash, "the gateway stopped without closing the session"
	}
	orphan := &Session{rec: r, dir: dir, id: s.ID}
	if err := syncFiles(dir); err != nil {
		return s, err
	}
	_, err = orphan.seal(s, nil, streams, true)
	return s, err
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// mendCast makes the cast at path whole again and returns the sums of what it
// stores and the time of its last event.
func mendCast(path string, started time.Time) ([]cast.StreamSum, time.Time, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close()
	header, good, at, marked, err := goodPart(f)
	if err != nil {
		return nil, time.Time{}, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, time.Time{}, err
	}
	var b []byte
	if good == 0 { // not even the header was written
		header = cast.Header{Timestamp: started.Unix()}
		if b, err = header.Append(b); err != nil {
			return nil, time.Time{}, err
		}
	}
	if torn := size - good; torn > 0 {
		if err := keepTorn(path, f, good); err != nil {
			return nil, time.Time{}, err
		}
		b = cast.Note{Op: cast.NoteTorn, Len: torn}.Append(b)
	}
	if !marked {
		var enc cast.Encoder
		enc.Skip(at)
		b = enc.AppendEvent(b, at, cast.CodeMarker, []byte(Interrupted))
	}
	if err := f.Truncate(good); err != nil {
		return nil, time.Time{}, err
	}
	if _, err := f.WriteAt(b, good); err != nil {
		return nil, time.Time{}, err
	}
	if err := f.Sync(); err != nil {
		return nil, time.Time{}, err
	}
	sums, err := streamSums(path, f)
	if err != nil {
		return nil, time.Time{}, err
	}
	return sums, time.Unix(header.Timestamp, 0).Add(at).UTC(), nil
}

// goodPart reads f to the end of its last whole line. marked tells that an
// earlier attempt has already put the marker there.
func goodPart(f io.ReadSeeker) (h cast.Header, good int64, at time.Duration, marked bool, err error) {
	if _, err = f.Seek(0, io.SeekStart); err != nil {
		return h, 0, 0, false, err
	}
	r, err := cast.NewReader(f)
	if err != nil {
		return h, 0, 0, false, onlySyntax(err)
	}
	for {
		line, err := r.Next()
		if err != nil {
			return r.Header, r.Offset(), at, marked, onlySyntax(err)
		}
		at = line.At
		marked = line.Code == cast.CodeMarker && line.Data == Interrupted
	}
}

// onlySyntax drops the errors that mending is for. What comes after a line that
// is none, as a power failure leaves it, goes with it.
func onlySyntax(err error) error {
	var syntax *cast.SyntaxError
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &syntax) {
		return nil
	}
	return err
}

// keepTorn appends what stands behind offset to <channel>.torn: evidence is
// moved, never dropped.
func keepTorn(path string, f io.ReaderAt, offset int64) error {
	torn, err := os.OpenFile(strings.TrimSuffix(path, ".cast")+".torn", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(torn, io.NewSectionReader(f, offset, 1<<62))
	return errors.Join(err, torn.Sync(), torn.Close())
}

// streamSums digests what the cast and its raw track store, as far as they can
// be read: a forged note must not keep a recording from being sealed.
func streamSums(path string, f io.ReadSeeker) ([]cast.StreamSum, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	r, err := cast.NewReader(f)
	if err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(path, ".cast")
	var raw io.ReaderAt
	switch track, err := os.Open(name + ".raw"); {
	case err == nil:
		defer track.Close()
		raw = track
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	type total struct {
		hash.Hash
		n int64
	}
	totals := map[string]*total{}
	for e, err := range cast.Events(r, raw) {
		if err != nil {
			break
		}
		if e.Stream == "" || e.Masked {
			continue
		}
		t := totals[e.Stream]
		if t == nil {
			t = &total{Hash: sha256.New()}
			totals[e.Stream] = t
		}
		t.Write(e.Data)
		t.n += int64(len(e.Data))
	}
	var sums []cast.StreamSum
	for _, stream := range []string{cast.StreamOut, cast.StreamErr, cast.StreamIn} {
		if t := totals[stream]; t != nil {
			sums = append(sums, cast.StreamSum{
				Channel: filepath.Base(name), Stream: stream, Bytes: t.n, Stored: t.n,
				SHA256: hex.EncodeToString(t.Sum(nil)),
			})
		}
	}
	return sums, nil
}

// syncFiles makes every file in dir durable: after kill -9 the last second may
// still be only in the page cache.
func syncFiles(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		if err := syncDir(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
