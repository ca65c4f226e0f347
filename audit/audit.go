// Package audit keeps the audit log: one append-only file of JSON lines, one
// event a line.
//
// An event is appended before what it tells takes effect. So whoever gets an
// error from Append must not go on.
package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"sallyport"
)

// FileName is the log's name in its directory.
const FileName = "audit.jsonl"

// SyncInterval is how often Run flushes the log to the disk.
const SyncInterval = time.Second

// Record is an event with its place in the log: the first has Seq 1, and no
// number is missing.
type Record struct {
	Seq uint64 `json:"seq"`
	sallyport.Event
}

// file is what the log needs of an *os.File.
type file interface {
	io.Writer
	Sync() error
	Stat() (fs.FileInfo, error)
	Close() error
}

// Log is an open audit log. Its methods are safe for concurrent use.
//
// After an error the log is down: Err returns the error, and every Append first
// opens the file again, from where it mends what is torn. When that works, the
// log says itself what may be missing (audit.resume) and goes on.
//
// Lock order: syncing, then mu.
type Log struct {
	// Follow hears of every record, in the order of the log, once the operating
	// system has it; and, with Seq 0, that the log has failed (audit.failed), which
	// it cannot hold itself. It is called with the log locked: it must return at
	// once and not append. Set it before others use the log; nil: nobody follows.
	Follow func(Record)

	path string
	now  func() time.Time
	open func(path string) (file, error)

	syncing sync.Mutex // held during an fsync, by one; those who wait share its result

	mu      sync.Mutex // guards what follows
	file    file       // nil: closed after an error
	err     error      // why the log is down
	closed  bool
	failing bool   // since a failure nothing was written
	size    int64  // of the file, as far as we wrote it
	seq     uint64 // of the last line written
	synced  uint64 // everything up to here is on the disk
	// After a failed fsync nobody knows what of [lostFrom, lostTo] is on the
	// disk, and a later fsync that succeeds does not tell (Linux marks the
	// pages clean).
	lostFrom, lostTo uint64
}

// ErrClosed is returned after Close.
var ErrClosed = errors.New("the audit log is closed")

// Open opens the log in dir, and makes both if needed: dir 0700, the file 0600.
// It refuses anything that other users can read, and a log that another process
// has open. A last line that a crash tore is ended and left as it is, and the
// log records that. now may be nil: time.Now. Close the log when done.
func Open(dir string, now func() time.Time) (*Log, error) {
	if now == nil {
		now = time.Now
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, sallyport.Errorf(sallyport.CodeUnavail, "cannot make the directory of the audit log: %w", err)
	}
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	l := &Log{path: filepath.Join(dir, FileName), now: now, open: openFile}
	if err := l.start(); err != nil {
		return nil, err
	}
	return l, nil
}

// Append writes the event. When it returns nil, the operating system has the
// line: it survives the process, and within SyncInterval the machine.
func (l *Log) Append(e sallyport.Event) error {
	_, err := l.append(e)
	return err
}

// AppendSync writes the event and returns when it is on the disk. Callers at
// the same time share an fsync.
func (l *Log) AppendSync(e sallyport.Event) error {
	seq, err := l.append(e)
	if err != nil {
		return err
	}
	return l.sync(seq)
}

// Err returns why the log is down, nil while it works.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Run flushes the log to the disk every SyncInterval until ctx is done, and
// once more then. While the log is down it tries to bring it up again.
func (l *Log) Run(ctx context.Context) {
	tick := time.NewTicker(SyncInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.flush()
		case <-ctx.Done():
			l.flush()
			return
		}
	}
}

// flush leaves what goes wrong to Err.
func (l *Log) flush() {
	l.mu.Lock()
	if l.err != nil && !l.closed {
		_ = l.resume()
	}
	seq := l.seq
	l.mu.Unlock()
	_ = l.sync(seq)
}

// Close flushes the log to the disk and closes it.
func (l *Log) Close() error {
	l.mu.Lock()
	seq, down := l.seq, l.err
	l.mu.Unlock()
	err := down
	if err == nil {
		err = l.sync(seq)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed, l.err = true, ErrClosed
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
		l.file = nil
	}
	return err
}

func (l *Log) append(e sallyport.Event) (seq uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		if err := l.resume(); err != nil {
			return 0, err
		}
	}
	if err := l.write(e); err != nil {
		return 0, err
	}
	return l.seq, nil
}

// write adds an event. Call it with mu held.
func (l *Log) write(e sallyport.Event) error {
	if e.Time.IsZero() {
		e.Time = l.now().UTC()
	}
	r := Record{Seq: l.seq + 1, Event: bound(e)}
	line, err := encode(r)
	if err != nil {
		return sallyport.Errorf(sallyport.CodeInternal, "the event cannot be encoded: %w", err)
	}
	if err := l.put(line); err != nil {
		return l.fail(err)
	}
	l.seq++
	l.failing = false
	if l.Follow != nil {
		l.Follow(r)
	}
	return nil
}

// put writes b with one write(2). Call it with mu held.
func (l *Log) put(b []byte) error {
	n, err := l.file.Write(b)
	l.size += int64(n)
	return err
}

// fail takes the log down. Call it with mu held.
func (l *Log) fail(err error) error {
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
	l.err = l.down(err)
	if !l.failing && l.Follow != nil {
		l.Follow(Record{Event: bound(sallyport.Event{
			Time: l.now().UTC(), Type: "audit.failed", Severity: sallyport.SeverityCritical, Reason: err.Error(),
		})})
	}
	l.failing = true
	return l.err
}

// down says for people that the log is down.
func (l *Log) down(err error) error {
	var told *sallyport.Error
	if errors.As(err, &told) {
		return err
	}
	return sallyport.Errorf(sallyport.CodeUnavail, "the audit log cannot be written: %w", err).
		WithHint("see that the disk of %s is healthy and not full", l.path)
}

// sync returns nil once everything up to seq is on the disk.
func (l *Log) sync(seq uint64) error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.mu.Lock()
	if l.lostTo > 0 && seq >= l.lostFrom && seq <= l.lostTo {
		l.mu.Unlock()
		return sallyport.Errorf(sallyport.CodeUnavail, "an audit record may not have reached the disk")
	}
	if l.synced >= seq {
		l.mu.Unlock()
		return nil
	}
	if l.err != nil {
		defer l.mu.Unlock()
		return l.err
	}
	f, upto, size := l.file, l.seq, l.size
	l.mu.Unlock()

	err := f.Sync()
	if err == nil {
		err = l.inPlace(f, size)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.synced = max(l.synced, upto)
		return nil
	}
	l.lose(upto)
	if l.file == f {
		return l.fail(err)
	}
	return l.down(err) // reopened meanwhile
}

// lose marks what was written up to upto and not synced as doubtful. Call it
// with mu held.
func (l *Log) lose(upto uint64) {
	if upto <= l.synced {
		return
	}
	if l.lostTo == 0 {
		l.lostFrom = l.synced + 1
	}
	l.lostTo = max(l.lostTo, upto)
}

// inPlace reports an error when the file that we write is no longer the one at
// its path, or was cut: what goes into it then is no evidence.
func (l *Log) inPlace(f file, size int64) error {
	open, err := f.Stat()
	if err != nil {
		return err
	}
	at, err := os.Lstat(l.path)
	switch {
	case err != nil:
		return fmt.Errorf("it was moved or removed: %w", err)
	case !os.SameFile(open, at):
		return errors.New("another file was put in its place")
	case open.Size() < size:
		return fmt.Errorf("it was cut from %d to %d bytes", size, open.Size())
	}
	return nil
}

// resume brings a log up again that is down. Call it with mu held.
func (l *Log) resume() error {
	if l.closed {
		return ErrClosed
	}
	down, from := l.err, l.synced+1
	if l.seq > l.synced {
		l.lose(l.seq)
	}
	if err := l.start(); err != nil {
		return err
	}
	e := sallyport.Event{
		Type: "audit.resume", Severity: sallyport.SeverityCritical, Reason: down.Error(),
		Details: map[string]string{"synced_before": strconv.FormatUint(from-1, 10)},
	}
	return l.write(e)
}

// start opens the file, goes to its end, mends that, and makes everything in it
// durable. Call it with mu held or before anybody else has l. On an error the
// log is down.
func (l *Log) start() error {
	f, err := l.open(l.path)
	if err != nil {
		return l.fail(err)
	}
	l.file = f
	seq, size, torn, err := tail(l.path)
	if err != nil {
		return l.fail(err)
	}
	l.seq, l.size = max(l.seq, seq), size
	if torn > 0 {
		// Nothing is taken away, not even half a line.
		if err := l.put([]byte{'\n'}); err != nil {
			return l.fail(err)
		}
		if err := l.write(sallyport.Event{
			Type: "audit.mend", Severity: sallyport.SeverityWarning, Reason: "the last line was torn",
			Details: map[string]string{"offset": strconv.FormatInt(size-torn, 10), "bytes": strconv.FormatInt(torn, 10)},
		}); err != nil {
			return err
		}
	}
	if err := errors.Join(f.Sync(), syncDir(filepath.Dir(l.path))); err != nil {
		return l.fail(err)
	}
	l.synced, l.err = l.seq, nil
	return nil
}

// encode returns the record, which is within bounds, as one line of JSON,
// control bytes escaped.
func encode(r Record) ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return append(sallyport.EscapeJSON(b), '\n'), nil
}

// openFile opens and locks the log.
func openFile(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeUnavail, "cannot open the audit log: %w", err)
	}
	if err := checkFile(path, f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func checkFile(path string, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return sallyport.Errorf(sallyport.CodeUnavail, "cannot open the audit log: %w", err)
	}
	if !info.Mode().IsRegular() {
		return sallyport.Errorf(sallyport.CodeInvalid, "%s is no regular file", path)
	}
	if err := checkMode(path, info, "600"); err != nil {
		return err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return sallyport.Errorf(sallyport.CodeUnavail, "another sallyport writes %s", path).
			WithHint("one gateway for one data_dir: stop the other one first")
	}
	if err != nil {
		return sallyport.Errorf(sallyport.CodeUnavail, "cannot lock the audit log: %w", err)
	}
	return nil
}

func checkDir(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return sallyport.Errorf(sallyport.CodeUnavail, "cannot read the directory of the audit log: %w", err)
	}
	if !info.IsDir() {
		return sallyport.Errorf(sallyport.CodeInvalid, "%s is no directory", dir)
	}
	return checkMode(dir, info, "700")
}

func checkMode(path string, info fs.FileInfo, want string) error {
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return sallyport.Errorf(sallyport.CodeInvalid, "%s belongs to another user", path).
			WithHint("run: chown %d %s", os.Geteuid(), path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return sallyport.Errorf(sallyport.CodeInvalid, "%s is open to other users (mode %04o)", path, mode).
			WithHint("run: chmod %s %s", want, path)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
