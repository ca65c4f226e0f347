// Package bolt keeps the gateway's state in one bbolt file: requests (with
// their grants) and locks.
//
// It is asked only what etcd could answer too: get, list by prefix, update as a
// function of the old value, watch.
package bolt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"sallyport"
)

// DB is an open state file. Its methods are safe for concurrent use.
type DB struct {
	bolt     *bbolt.DB
	requests *Bucket[sallyport.Request]
	locks    *Bucket[sallyport.Lock]
}

// Open opens the state file at path, creates it where there is none, and checks
// that it is whole. It waits at most timeout for another process to let go of
// the file; zero waits for ever. The caller closes the DB.
func Open(path string, timeout time.Duration) (*DB, error) {
	if err := checkMode(path); err != nil {
		return nil, err
	}
	var b *bbolt.DB
	err := contain(func() (err error) {
		b, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: timeout})
		return err
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, sallyport.Errorf(sallyport.CodeUnavail, "another sallyport uses %s", path).
			WithHint("stop the other one, or give this one a data_dir of its own")
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return nil, sallyport.Errorf(sallyport.CodeUnavail, "cannot open the state: %w", err).
			WithHint("the user that runs sallyport must own the data_dir")
	}
	if err != nil {
		return nil, damaged(path, err)
	}
	db := &DB{bolt: b}
	db.requests = newBucket(db, "requests", "request",
		func(r sallyport.Request) string { return r.ID },
		func(r sallyport.Request) string { return r.User + "/" + r.Access.String() + "/" })
	db.locks = newBucket(db, "locks", "lock",
		func(l sallyport.Lock) string { return l.ID }, nil)
	if err := contain(func() error { return db.prepare() }); err != nil {
		_ = contain(b.Close)
		return nil, damaged(path, err)
	}
	return db, nil
}

// Requests returns the requests, indexed by "user/account@target/".
func (db *DB) Requests() *Bucket[sallyport.Request] { return db.requests }

// Locks returns the locks.
func (db *DB) Locks() *Bucket[sallyport.Lock] { return db.locks }

// Close waits for transactions to end and releases the file.
func (db *DB) Close() error { return db.bolt.Close() }

// Backup writes a consistent copy of the whole state to w while the gateway
// runs. A copy is restored by putting it in the place of the file.
func (db *DB) Backup(w io.Writer) error {
	return db.bolt.View(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(w)
		return err
	})
}

// prepare makes the buckets and checks the file: its pages, that every value
// can be read, and that the index and the values agree.
func (db *DB) prepare() error {
	// Page checks come before the first write: writing into a damaged file
	// damages it further (bbolt#446, #701).
	err := db.bolt.View(func(tx *bbolt.Tx) error {
		if fi, err := os.Stat(db.bolt.Path()); err != nil {
			return err
		} else if fi.Size() < tx.Size() {
			return fmt.Errorf("the file has %d bytes of %d", fi.Size(), tx.Size())
		}
		var first error
		for err := range tx.Check() { // to its end: it blocks on its channel
			if first == nil {
				first = err
			}
		}
		return first
	})
	if err != nil {
		return err
	}
	if err := db.bolt.Update(func(tx *bbolt.Tx) error {
		return errors.Join(db.requests.create(tx), db.locks.create(tx))
	}); err != nil {
		return err
	}
	return db.bolt.View(func(tx *bbolt.Tx) error {
		return errors.Join(db.requests.check(tx), db.locks.check(tx))
	})
}

func (b *Bucket[T]) create(tx *bbolt.Tx) error {
	for _, name := range [][]byte{b.name, b.indexName} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bucket[T]) check(tx *bbolt.Tx) error {
	values, index, n := tx.Bucket(b.name), tx.Bucket(b.indexName), 0
	err := values.ForEach(func(k, v []byte) error {
		var t T
		if err := json.Unmarshal(v, &t); err != nil {
			return fmt.Errorf("%s %s cannot be read: %w", b.noun, k, err)
		}
		if b.id(t) != string(k) {
			return fmt.Errorf("%s %s is stored under %q", b.noun, b.id(t), k)
		}
		if b.index == nil {
			return nil
		}
		n++
		if index.Get([]byte(b.index(t)+string(k))) == nil {
			return fmt.Errorf("%s %s is missing from the index", b.noun, k)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if got := index.Stats().KeyN; got != n {
		return fmt.Errorf("the index of %ss has %d entries for %d", b.noun, got, n)
	}
	return nil
}

// contain turns a panic of bbolt, or a fault in its mapped file, into an error:
// a damaged file must not take the process down without a word (bbolt#135).
func contain(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("reading it failed: %v", r)
		}
	}()
	return f()
}

func damaged(path string, err error) error {
	return sallyport.Errorf(sallyport.CodeUnavail, "the state in %s is damaged: %w", path, err).
		WithHint("keep the damaged file, put the newest backup in its place, start again")
}

// checkMode refuses a state file that others may read or write.
func checkMode(path string) error {
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return sallyport.Errorf(sallyport.CodeUnavail, "cannot open the state: %w", err)
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return sallyport.Errorf(sallyport.CodeUnavail, "others may open %s (mode %04o)", path, fi.Mode().Perm()).
			WithHint("chmod 600 %s", path)
	}
	return nil
}
