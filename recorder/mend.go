package recorder

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sallyport/recorder/cast"
)

// The labels of the marker at the end of a mended cast.
const (
	Interrupted = "recording interrupted: the gateway stopped"
	Unwritable  = "recording interrupted: it could not be written"
)

// mended is what a directory has after its casts were made whole.
type mended struct {
	casts   int
	streams []cast.StreamSum
	end     time.Time // of the last event
}

// mendCasts makes all casts in dir whole again, and everything in dir durable.
// Done again, it changes nothing more.
func mendCasts(dir string, started time.Time, label string) (mended, error) {
	paths, err := filepath.Glob(filepath.Join(globEscape(dir), "*.cast"))
	if err != nil {
		return mended{}, err
	}
	slices.Sort(paths)
	m := mended{casts: len(paths)}
	for _, path := range paths {
		sums, end, err := mendCast(path, started, label)
		if err != nil {
			return mended{}, err
		}
		m.streams = append(m.streams, sums...)
		m.end = latest(m.end, end)
	}
	if err := mendLists(dir); err != nil {
		return mended{}, err
	}
	if err := removeScratch(dir); err != nil {
		return mended{}, err
	}
	// After kill -9 the last second may still be only in the page cache.
	return m, syncFiles(dir)
}

// mendCast makes the cast at path whole again and returns the sums of what it
// stores and the time of its last event.
func mendCast(path string, started time.Time, label string) ([]cast.StreamSum, time.Time, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close()
	good, err := goodPart(f)
	if err != nil {
		return nil, time.Time{}, err
	}
	var b []byte
	if good.size == 0 { // not even the header was written
		good.header = cast.Header{Timestamp: started.Unix()}
		if b, err = good.header.Append(b); err != nil {
			return nil, time.Time{}, err
		}
	}
	torn, err := cutTorn(path, f, good.size)
	if err != nil {
		return nil, time.Time{}, err
	}
	if torn > good.torn {
		b = cast.Note{Op: cast.NoteTorn, Len: torn - good.torn}.Append(b)
	}
	if !good.marked {
		var enc cast.Encoder
		enc.Skip(good.at)
		b = enc.AppendEvent(b, good.at, cast.CodeMarker, []byte(label))
	}
	if _, err := f.WriteAt(b, good.size); err != nil {
		// Half of it would be a torn line at the next attempt.
		return nil, time.Time{}, errors.Join(err, f.Truncate(good.size))
	}
	if err := f.Sync(); err != nil {
		return nil, time.Time{}, err
	}
	sums, err := streamSums(path, f)
	if err != nil {
		return nil, time.Time{}, err
	}
	return sums, time.Unix(good.header.Timestamp, 0).Add(good.at).UTC(), nil
}

// goodCast is a cast up to the end of its last whole line.
type goodCast struct {
	header cast.Header
	size   int64
	at     time.Duration // of its last event
	marked bool          // an earlier attempt has put the marker there
	torn   int64         // bytes in the .torn file of which it speaks
}

func goodPart(f io.ReadSeeker) (g goodCast, err error) {
	if _, err = f.Seek(0, io.SeekStart); err != nil {
		return g, err
	}
	r, err := cast.NewReader(f)
	if err != nil {
		return g, onlySyntax(err)
	}
	g.header = r.Header
	for {
		line, err := r.Next()
		if err != nil {
			g.size = r.Offset()
			return g, onlySyntax(err)
		}
		g.at = line.At
		g.marked = line.Code == cast.CodeMarker && (line.Data == Interrupted || line.Data == Unwritable)
		if n, ok := cast.ParseNote(line.Comment); ok && n.Op == cast.NoteTorn {
			g.torn += n.Len
		}
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

// cutTorn moves what stands behind offset to <name>.torn, and returns how
// much stands there now: evidence is moved, never dropped.
func cutTorn(path string, f *os.File, offset int64) (int64, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	name := strings.TrimSuffix(path, filepath.Ext(path)) + ".torn"
	if size > offset {
		if err := keepTorn(name, io.NewSectionReader(f, offset, size-offset)); err != nil {
			return 0, err
		}
		if err := f.Truncate(offset); err != nil {
			return 0, err
		}
	}
	info, err := os.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// keepTorn appends tail to the file, all of it or nothing.
func keepTorn(name string, tail io.Reader) error {
	torn, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	had, err := torn.Seek(0, io.SeekEnd)
	if err == nil {
		if _, err = io.Copy(torn, tail); err == nil {
			err = torn.Sync()
		}
		if err != nil { // the next attempt appends it again
			err = errors.Join(err, torn.Truncate(had))
		}
	}
	return errors.Join(err, torn.Close())
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

// syncFiles makes every file in dir durable.
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
