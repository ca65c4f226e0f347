package bolt

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/store/storetest"
)

func open(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestConforms(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Requests {
		return open(t, filepath.Join(t.TempDir(), "state.db")).Requests()
	})
}

func put(t *testing.T, db *DB, id string) {
	t.Helper()
	err := db.Requests().Update(context.Background(), id, func(*sallyport.Request) (*sallyport.Request, error) {
		return &sallyport.Request{ID: id, User: "alice", Reason: strings.Repeat("x", 500)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A second gateway is started on the data of a running one (O3): it must say
// so, not hang for ever as bbolt does without a timeout.
func TestSecondProcessGetsAMessage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	open(t, path)
	_, err := Open(path, 50*time.Millisecond)
	if sallyport.CodeOf(err) != sallyport.CodeUnavail || !strings.Contains(err.Error(), "another sallyport uses") {
		t.Errorf("err = %v", err)
	}
}

// The power fails or the disk lies, and pages of the state are gone (O3,
// bbolt#135 and others: corruption panics). The start must refuse with a clear
// message, whatever is damaged, and must never panic or go on with a hole.
func TestDamagedFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range "abcdefghijklmnopqrstuvwxyz" {
		put(t, db, strings.Repeat(string(c), 12))
	}
	db.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	for name, damage := range map[string]func([]byte) []byte{
		"cut in half":     func(b []byte) []byte { return b[:len(b)/2/page*page] },
		"two pages left":  func(b []byte) []byte { return b[:2*page] },
		"no meta pages":   func(b []byte) []byte { clear(b[:2*page]); return b },
		"zeroed data":     func(b []byte) []byte { clear(b[2*page:]); return b },
		"no bbolt at all": func(b []byte) []byte { return []byte(strings.Repeat("not a database\n", 4096)) },
		"spoilt values":   func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`"user":"alice"`), []byte(`"user":"alice{`)) },
		"another index":   func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`alice/@/b`), []byte(`alicf/@/b`)) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			if err := os.WriteFile(path, damage(bytes.Clone(whole)), 0o600); err != nil {
				t.Fatal(err)
			}
			db, err := Open(path, time.Second)
			if err == nil {
				db.Close()
			}
			if sallyport.CodeOf(err) != sallyport.CodeUnavail || !strings.Contains(err.Error(), "damaged") || sallyport.HintOf(err) == "" {
				t.Errorf("err = %v", err)
			}
		})
	}
}

func TestBackupIsWholeWhileInUse(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "state.db"))
	put(t, db, "aaaaaaaaaaaa")
	var b bytes.Buffer
	if err := db.Backup(&b); err != nil {
		t.Fatal(err)
	}
	put(t, db, "bbbbbbbbbbbb")
	path := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := open(t, path).Requests().List(context.Background(), "")
	if err != nil || len(all) != 1 || all[0].ID != "aaaaaaaaaaaa" {
		t.Errorf("restored %v, %v", all, err)
	}
}

// Another account on the gateway host reads or writes the state, because it was
// copied back with the wrong mode (O5).
func TestOpenToOthersIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("made with mode %v, %v", fi.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, time.Second); err == nil || !strings.Contains(sallyport.HintOf(err), "chmod 600") {
		t.Errorf("err = %v", err)
	}
}

func TestLocksSurviveAReopen(t *testing.T) {
	path, ctx := filepath.Join(t.TempDir(), "state.db"), context.Background()
	db, err := Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	want := sallyport.Lock{ID: "aaaaaaaaaaaa", Grant: "g", Kill: true, Reason: "r"}
	if err := db.Locks().Update(ctx, want.ID, func(*sallyport.Lock) (*sallyport.Lock, error) { return &want, nil }); err != nil {
		t.Fatal(err)
	}
	db.Close()
	all, err := open(t, path).Locks().List(ctx, "")
	if err != nil || len(all) != 1 || all[0] != want {
		t.Errorf("%v, %v", all, err)
	}
}
