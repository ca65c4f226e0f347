// Package storetest holds the conformance suite that every store passes, and
// Memory, a store for tests of what stands on one.
package storetest

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"sallyport"
)

// Memory is a store in memory. Its values go through JSON, as in a real store.
// It is safe for concurrent use.
type Memory[T any] struct {
	ID    func(T) string
	Index func(T) string // nil: no index

	mu       sync.Mutex
	values   map[string][]byte
	watchers map[chan struct{}]*[]string
}

// NewRequests returns an empty store of requests.
func NewRequests() *Memory[sallyport.Request] {
	return &Memory[sallyport.Request]{
		ID:    func(r sallyport.Request) string { return r.ID },
		Index: func(r sallyport.Request) string { return r.User + "/" + r.Access.String() + "/" },
	}
}

// NewLocks returns an empty store of locks.
func NewLocks() *Memory[sallyport.Lock] {
	return &Memory[sallyport.Lock]{ID: func(l sallyport.Lock) string { return l.ID }}
}

// Get returns the value with the id, or a not-found error.
func (m *Memory[T]) Get(ctx context.Context, id string) (t T, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[id]
	if !ok {
		return t, sallyport.Errorf(sallyport.CodeNotFound, "no %s", id)
	}
	err = json.Unmarshal(v, &t)
	return t, err
}

// Find returns the values whose id begins with prefix.
func (m *Memory[T]) Find(ctx context.Context, prefix string) ([]T, error) {
	return m.pick(ctx, prefix, m.ID)
}

// List returns the values whose index begins with prefix; "" returns all.
func (m *Memory[T]) List(ctx context.Context, prefix string) ([]T, error) {
	if prefix == "" {
		return m.Find(ctx, "")
	}
	return m.pick(ctx, prefix, func(t T) string { return m.Index(t) + m.ID(t) })
}

func (m *Memory[T]) pick(ctx context.Context, prefix string, key func(T) string) ([]T, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []T
	for _, v := range m.values {
		var t T
		if err := json.Unmarshal(v, &t); err != nil {
			return nil, err
		}
		if strings.HasPrefix(key(t), prefix) {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	return all, nil
}

// Update replaces the value with the id by what f makes of it.
func (m *Memory[T]) Update(ctx context.Context, id string, f func(old *T) (*T, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var old *T
	if v, ok := m.values[id]; ok {
		old = new(T)
		if err := json.Unmarshal(v, old); err != nil {
			return err
		}
	}
	t, err := f(old)
	if err != nil {
		return err
	}
	if t == nil {
		delete(m.values, id)
	} else {
		if m.ID(*t) != id {
			return sallyport.Errorf(sallyport.CodeInternal, "%s cannot be stored as %s", m.ID(*t), id)
		}
		v, err := json.Marshal(t)
		if err != nil {
			return err
		}
		if m.values == nil {
			m.values = map[string][]byte{}
		}
		m.values[id] = v
	}
	for wake, ids := range m.watchers {
		if !slices.Contains(*ids, id) {
			*ids = append(*ids, id)
		}
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// Watch returns a channel of the ids that change, closed when ctx ends.
func (m *Memory[T]) Watch(ctx context.Context) <-chan string {
	out, wake := make(chan string), make(chan struct{}, 1)
	m.mu.Lock()
	if m.watchers == nil {
		m.watchers = map[chan struct{}]*[]string{}
	}
	m.watchers[wake] = new([]string)
	m.mu.Unlock()
	go func() {
		defer close(out)
		defer func() { m.mu.Lock(); delete(m.watchers, wake); m.mu.Unlock() }()
		for {
			select {
			case <-wake:
			case <-ctx.Done():
				return
			}
			m.mu.Lock()
			ids := *m.watchers[wake]
			*m.watchers[wake] = nil
			m.mu.Unlock()
			for _, id := range ids {
				select {
				case out <- id:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return out
}
