package bolt

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"go.etcd.io/bbolt"

	"sallyport"
)

// Bucket holds the values of one type by id. Its methods are safe for
// concurrent use.
type Bucket[T any] struct {
	db        *DB
	name      []byte
	indexName []byte
	noun      string         // for messages
	id        func(T) string // the id inside the value
	index     func(T) string // what List's prefix is matched with; nil: no index

	mu       sync.Mutex
	watchers map[*watcher]struct{}
}

func newBucket[T any](db *DB, name, noun string, id, index func(T) string) *Bucket[T] {
	return &Bucket[T]{
		db: db, name: []byte(name), indexName: []byte(name + ".index"), noun: noun,
		id: id, index: index, watchers: map[*watcher]struct{}{},
	}
}

// Get returns the value with the whole id, or a not-found error.
func (b *Bucket[T]) Get(ctx context.Context, id string) (t T, err error) {
	err = b.view(ctx, func(tx *bbolt.Tx) error {
		p, err := b.get(tx, []byte(id))
		if err != nil {
			return err
		}
		if p == nil {
			return sallyport.Errorf(sallyport.CodeNotFound, "no %s %s", b.noun, id)
		}
		t = *p
		return nil
	})
	return t, err
}

// Find returns the values whose id begins with prefix, in the order of ids.
func (b *Bucket[T]) Find(ctx context.Context, prefix string) (all []T, err error) {
	err = b.view(ctx, func(tx *bbolt.Tx) error {
		all, err = b.find(tx, []byte(prefix))
		return err
	})
	return all, err
}

// List returns the values whose index begins with prefix, in the order of the
// index; "" returns all, in the order of ids.
func (b *Bucket[T]) List(ctx context.Context, prefix string) (all []T, err error) {
	if prefix == "" {
		return b.Find(ctx, "")
	}
	if b.index == nil {
		return nil, fmt.Errorf("bolt: %ss have no index", b.noun)
	}
	err = b.view(ctx, func(tx *bbolt.Tx) error {
		p := []byte(prefix)
		c := tx.Bucket(b.indexName).Cursor()
		for k, id := c.Seek(p); k != nil && bytes.HasPrefix(k, p); k, id = c.Next() {
			t, err := b.get(tx, id)
			if err != nil {
				return err
			}
			if t == nil {
				return fmt.Errorf("bolt: the index names a %s %s that is not there", b.noun, id)
			}
			all = append(all, *t)
		}
		return nil
	})
	return all, err
}

// Update replaces the value with the given id by what f makes of it, in one
// transaction: old is nil where there is none, a nil result deletes it, and an
// error of f changes nothing and is returned. f must not call the Bucket, and a
// store of another kind may call it more than once. On return without error the
// change is on the disk.
func (b *Bucket[T]) Update(ctx context.Context, id string, f func(old *T) (*T, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := b.db.bolt.Update(func(tx *bbolt.Tx) error {
		key := []byte(id)
		old, err := b.get(tx, key)
		if err != nil {
			return err
		}
		var oldIndex string
		if old != nil && b.index != nil {
			oldIndex = b.index(*old) // before f, which may change old in place
		}
		existed := old != nil
		t, err := f(old)
		if err != nil {
			return err
		}
		if t != nil && b.id(*t) != id {
			return fmt.Errorf("bolt: %s %s cannot be stored as %s", b.noun, b.id(*t), id)
		}
		values, index := tx.Bucket(b.name), tx.Bucket(b.indexName)
		if existed && b.index != nil {
			if err := index.Delete([]byte(oldIndex + id)); err != nil {
				return err
			}
		}
		if t == nil {
			return values.Delete(key)
		}
		v, err := json.Marshal(t)
		if err != nil {
			return err
		}
		if b.index != nil {
			if err := index.Put([]byte(b.index(*t)+id), key); err != nil {
				return err
			}
		}
		return values.Put(key, v)
	})
	if err == nil {
		b.changed(id)
	}
	return err
}

func (b *Bucket[T]) view(ctx context.Context, f func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.db.bolt.View(f)
}

func (b *Bucket[T]) get(tx *bbolt.Tx, id []byte) (*T, error) {
	v := tx.Bucket(b.name).Get(id)
	if v == nil {
		return nil, nil
	}
	return b.decode(id, v)
}

func (b *Bucket[T]) find(tx *bbolt.Tx, prefix []byte) ([]T, error) {
	var all []T
	c := tx.Bucket(b.name).Cursor()
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		t, err := b.decode(k, v)
		if err != nil {
			return nil, err
		}
		all = append(all, *t)
	}
	return all, nil
}

func (b *Bucket[T]) decode(id, v []byte) (*T, error) {
	t := new(T)
	if err := json.Unmarshal(v, t); err != nil {
		return nil, fmt.Errorf("bolt: %s %s cannot be read: %w", b.noun, id, err)
	}
	return t, nil
}
