package audit

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"sallyport"
)

// faulty is a file whose writes and syncs can be made to fail.
type faulty struct {
	*os.File
	disk *disk
}

type disk struct {
	writeErr, syncErr atomic.Pointer[error]
	short             atomic.Int64 // bytes that a failing write still writes
	syncs             atomic.Int64
}

func (d *disk) open(path string) (file, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	return &faulty{f.(*os.File), d}, nil
}

func (f *faulty) Write(p []byte) (int, error) {
	if err := f.disk.writeErr.Load(); err != nil {
		n, werr := f.File.Write(p[:min(int(f.disk.short.Load()), len(p))])
		return n, errors.Join(*err, werr)
	}
	return f.File.Write(p)
}

func (f *faulty) Sync() error {
	f.disk.syncs.Add(1)
	if err := f.disk.syncErr.Load(); err != nil {
		return *err
	}
	return f.File.Sync()
}

func openLog(t testing.TB, dir string) *Log {
	t.Helper()
	l, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func openFaulty(t testing.TB) (*Log, *disk) {
	t.Helper()
	l, d := openLog(t, auditDir(t)), &disk{}
	l.file, l.open = &faulty{l.file.(*os.File), d}, d.open
	return l, d
}

func auditDir(t testing.TB) string { return filepath.Join(t.TempDir(), "audit") }

func mustAppend(t testing.TB, l *Log, typ string) {
	t.Helper()
	if err := l.Append(sallyport.Event{Type: typ}); err != nil {
		t.Fatal(err)
	}
}

// types returns what the log holds; an error in it is "!".
func types(t testing.TB, path string) string {
	t.Helper()
	var all []string
	for e, err := range Read(path) {
		if err != nil {
			e.Type = "!"
		}
		all = append(all, e.Type)
	}
	return strings.Join(all, " ")
}

func TestAppendAndRead(t *testing.T) {
	dir := auditDir(t)
	at := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	l, err := Open(dir, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	want := sallyport.Event{
		Type: "session.start", Severity: sallyport.SeverityInfo, User: "alice", Account: "root", Target: "web1",
		Session: "abc", Details: map[string]string{"command": "uptime"},
	}
	if err := l.Append(want); err != nil {
		t.Fatal(err)
	}
	if err := l.AppendSync(sallyport.Event{Type: "session.end"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(want); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	mustAppend(t, openLog(t, dir), "again")
	n := uint64(0)
	for r, err := range Records(l.path) {
		n++
		if err != nil || r.Seq != n {
			t.Errorf("record %d: %+v, %v", n, r, err)
		}
		if n == 1 && (r.User != "alice" || r.Details["command"] != "uptime" || !r.Time.Equal(at)) {
			t.Errorf("%+v", r)
		}
	}
	if got := types(t, l.path); got != "session.start session.end again" {
		t.Error(got)
	}
	if info, err := os.Stat(l.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestLogInjection(t *testing.T) {
	// Threat R7: a user name, a client version or a command with line breaks,
	// terminal escapes, C1 controls, text turned right to left, or megabytes.
	// One event stays one line of plain characters, and can be read back.
	l := openLog(t, auditDir(t))
	evil := "x\n{\"seq\":99,\"type\":\"grant.approve\"}\r\x1b]52;c;aGk=\x07\x7f\u009b31m\u202Egpj.exe\u2028\x00\U000E0041"
	if err := l.Append(sallyport.Event{
		Type: "auth.refuse", User: evil, From: "\xff\xfe" + evil, Reason: strings.Repeat("é", 1<<20),
		Details: map[string]string{evil: evil, "big": strings.Repeat("\x01", 1<<20)},
	}); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, "next")
	b, err := os.ReadFile(l.path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), "\n"); n != 2 {
		t.Errorf("%d lines", n)
	}
	for _, r := range string(b) {
		if r != '\n' && (r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x202e || r == 0x2028 || r == 0xe0041) {
			t.Errorf("the log holds %U", r)
		}
	}
	if len(b) > 200<<10 {
		t.Errorf("one event takes %d bytes", len(b))
	}
	n := 0
	for e, err := range Read(l.path) {
		n++
		if err != nil {
			t.Error(err)
		}
		if n == 1 && (e.User != evil || !strings.HasPrefix(e.From, `\xff\xfe`) || !strings.Contains(e.Reason, "bytes more")) {
			t.Errorf("read back %q from %q", e.User, e.From)
		}
	}
	if n != 2 {
		t.Errorf("%d events", n)
	}
}

func TestEveryEventIsOneLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Record{Seq: 1, Event: sallyport.Event{
			Type: "x" + rapid.String().Draw(t, "type"), User: string(rapid.SliceOf(rapid.Byte()).Draw(t, "user")),
			Details: rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "details"),
		}}
		b, err := encode(Record{Seq: r.Seq, Event: bound(r.Event)})
		if err != nil || strings.Count(string(b), "\n") != 1 || len(b) > maxLine {
			t.Fatalf("%q, %v", b, err)
		}
		var back Record
		if err := json.Unmarshal(b, &back); err != nil || back.Type != clean(r.Type, maxField) {
			t.Fatalf("%q: %v", b, err)
		}
	})
}

func TestLooseFilesAreRefused(t *testing.T) {
	// Threat O5: a log that others can read, or write over, or that is a link to
	// a file of theirs.
	for name, spoil := range map[string]func(dir, path string) error{
		"directory": func(dir, _ string) error { return os.Chmod(dir, 0o755) },
		"file":      func(_, path string) error { return os.Chmod(path, 0o640) },
		"link": func(dir, path string) error {
			if err := os.Rename(path, path+".old"); err != nil {
				return err
			}
			return os.Symlink(path+".old", path)
		},
		"pipe": func(_, path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return syscall.Mkfifo(path, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := auditDir(t)
			l := openLog(t, dir)
			l.Close()
			if err := spoil(dir, l.path); err != nil {
				t.Fatal(err)
			}
			if again, err := Open(dir, nil); err == nil {
				again.Close()
				t.Error("it is opened")
			}
		})
	}
}

func TestSecondProcess(t *testing.T) {
	dir := auditDir(t)
	l := openLog(t, dir)
	if _, err := Open(dir, nil); sallyport.CodeOf(err) != sallyport.CodeUnavail || !strings.Contains(err.Error(), "another sallyport") {
		t.Errorf("a second log on the same file: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	openLog(t, dir)
}

func TestTornLine(t *testing.T) {
	// Threats R2 and R3: the machine dies in the middle of a line. What is there
	// stays there, the next event is whole, and the log says what happened.
	for _, torn := range []string{"{", `{"seq":3,"type":"x`, strings.Repeat("x", 300<<10)} {
		dir := auditDir(t)
		l := openLog(t, dir)
		mustAppend(t, l, "a")
		mustAppend(t, l, "b")
		l.Close()
		f, err := os.OpenFile(l.path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(torn); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if got := types(t, l.path); got != "a b !" {
			t.Errorf("torn: %s", got)
		}
		mustAppend(t, openLog(t, dir), "c")
		if got := types(t, l.path); got != "a b ! audit.mend c" {
			t.Errorf("mended: %s", got)
		}
	}
}

func TestMissingRecordIsSeen(t *testing.T) {
	dir := auditDir(t)
	l := openLog(t, dir)
	for _, s := range []string{"a", "b", "c"} {
		mustAppend(t, l, s)
	}
	l.Close()
	b, err := os.ReadFile(l.path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(b), "\n")
	if err := os.WriteFile(l.path, []byte(lines[0]+lines[2]), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := types(t, l.path); got != "a ! c" {
		t.Error(got)
	}
}

func TestFullDisk(t *testing.T) {
	// Threat R1: the disk fills in the middle of a line. No decision may take
	// effect from then on, until writing works again; and then the log says so.
	l, d := openFaulty(t)
	mustAppend(t, l, "a")
	full := error(syscall.ENOSPC)
	d.short.Store(7)
	d.writeErr.Store(&full)
	for range 3 {
		if err := l.Append(sallyport.Event{Type: "lost"}); !errors.Is(err, syscall.ENOSPC) || sallyport.CodeOf(err) != sallyport.CodeUnavail {
			t.Errorf("on a full disk: %v", err)
		}
	}
	if l.Err() == nil {
		t.Error("Err says that all is well")
	}
	d.writeErr.Store(nil)
	mustAppend(t, l, "b")
	if l.Err() != nil {
		t.Error(l.Err())
	}
	var whole []string
	for _, s := range strings.Fields(types(t, l.path)) {
		if s != "!" {
			whole = append(whole, s)
		}
	}
	if got := strings.Join(whole, " "); got != "a audit.mend audit.resume b" {
		t.Error(got)
	}
}

func TestFailedSync(t *testing.T) {
	// Threat R1: fsync fails once. Linux forgets, and the next fsync succeeds;
	// an AppendSync that was answered with it would tell of a durable record
	// that is none.
	l, d := openFaulty(t)
	broken := error(syscall.EIO)
	d.syncErr.Store(&broken)
	if err := l.AppendSync(sallyport.Event{Type: "a"}); !errors.Is(err, syscall.EIO) {
		t.Errorf("with a broken disk: %v", err)
	}
	if err := l.Append(sallyport.Event{Type: "b"}); err == nil {
		t.Error("the next Append succeeds while fsync fails")
	}
	d.syncErr.Store(nil)
	if err := l.AppendSync(sallyport.Event{Type: "c"}); err != nil {
		t.Error(err)
	}
	if err := l.sync(1); err == nil {
		t.Error("the record of the failed fsync counts as durable")
	}
	if got := types(t, l.path); got != "a audit.resume c" {
		t.Error(got)
	}
}

func TestLogTakenAway(t *testing.T) {
	// Threat R4: somebody removes, replaces or cuts the log while the gateway
	// runs, and what it writes goes nowhere.
	for name, take := range map[string]func(path string) error{
		"removed":  os.Remove,
		"moved":    func(p string) error { return os.Rename(p, p+".1") },
		"cut":      func(p string) error { return os.Truncate(p, 0) },
		"replaced": func(p string) error { return errors.Join(os.Remove(p), os.WriteFile(p, nil, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			l := openLog(t, auditDir(t))
			mustAppend(t, l, "a")
			if err := take(l.path); err != nil {
				t.Fatal(err)
			}
			if name == "cut" {
				// A line after the cut must not hide it.
				mustAppend(t, l, "")
			}
			if err := l.AppendSync(sallyport.Event{Type: "b"}); err == nil {
				t.Error("nobody noticed")
			}
			if err := l.AppendSync(sallyport.Event{Type: "c"}); err != nil {
				t.Error(err)
			}
			if got := types(t, l.path); !strings.HasSuffix(got, "audit.resume c") {
				t.Error(got)
			}
		})
	}
}

func TestGroupCommit(t *testing.T) {
	l, d := openFaulty(t)
	var wg sync.WaitGroup
	const n = 200
	for range n {
		wg.Go(func() {
			if err := l.AppendSync(sallyport.Event{Type: "x"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := d.syncs.Load(); got < 1 || got > n {
		t.Errorf("%d fsyncs for %d events", got, n)
	}
	if l.synced != n {
		t.Errorf("%d on the disk", l.synced)
	}
	if got := types(t, l.path); got != strings.TrimSpace(strings.Repeat("x ", n)) {
		t.Error("the log is not in order")
	}
}

func TestRun(t *testing.T) {
	dir := auditDir(t)
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		d := &disk{}
		l.file, l.open = &faulty{l.file.(*os.File), d}, d.open
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); l.Run(ctx) }()
		mustAppend(t, l, "a")
		time.Sleep(SyncInterval + 1) // of the bubble's clock
		synctest.Wait()
		if d.syncs.Load() != 1 {
			t.Errorf("%d fsyncs within %v", d.syncs.Load(), SyncInterval)
		}
		time.Sleep(10 * SyncInterval)
		if d.syncs.Load() != 1 {
			t.Errorf("%d fsyncs of an idle log", d.syncs.Load())
		}
		broken := error(syscall.EIO)
		d.syncErr.Store(&broken)
		mustAppend(t, l, "b")
		time.Sleep(SyncInterval + 1)
		synctest.Wait()
		if l.Err() == nil {
			t.Error("a failed fsync goes unnoticed")
		}
		d.syncErr.Store(nil)
		time.Sleep(SyncInterval + 1)
		synctest.Wait()
		if l.Err() != nil {
			t.Errorf("it does not come up again: %v", l.Err())
		}
		cancel()
		<-done
		if l.synced != l.seq {
			t.Errorf("Run left %d of %d", l.synced, l.seq)
		}
	})
}

func TestReadMissing(t *testing.T) {
	for _, err := range Read(filepath.Join(t.TempDir(), "none")) {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte("{\"seq\":1,\"type\":\"a\"}\n{\"seq\":2,\"type\":\"b\"}\n"))
	f.Add([]byte("{\"seq\":1,\"type\":\"a\"}\n{\"seq\":3"))
	f.Add([]byte("\n\n\x00{}\n[]\nnull\n"))
	path := filepath.Join(f.TempDir(), "log")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var last uint64
		lines := 0
		for r, err := range Records(path) {
			if err == nil {
				last = r.Seq
			}
			lines++
		}
		if limit := 2 * (strings.Count(string(b), "\n") + 1); lines > limit {
			t.Fatalf("%d results of at most %d", lines, limit)
		}
		seq, size, torn, err := tail(path)
		if err != nil || seq != last || size != int64(len(b)) || torn != size-int64(strings.LastIndex(string(b), "\n"))-1 {
			t.Fatalf("tail: %d (want %d), %d, %d, %v", seq, last, size, torn, err)
		}
	})
}
