package bolt

import (
	"context"
	"sync"
)

// Watch returns a channel of the ids that change from now on, until ctx ends,
// when the channel is closed. Several changes of one id may arrive as one. A
// reader that is slow, or gone, never holds up a writer.
func (b *Bucket[T]) Watch(ctx context.Context) <-chan string {
	w := &watcher{wake: make(chan struct{}, 1)}
	b.mu.Lock()
	b.watchers[w] = struct{}{}
	b.mu.Unlock()
	out := make(chan string)
	go func() {
		defer close(out)
		defer func() {
			b.mu.Lock()
			delete(b.watchers, w)
			b.mu.Unlock()
		}()
		w.run(ctx, out)
	}()
	return out
}

func (b *Bucket[T]) changed(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.watchers {
		w.add(id)
	}
}

// watcher is one call of Watch. It holds each changed id once, so it is no
// larger than the bucket.
type watcher struct {
	wake chan struct{}

	mu    sync.Mutex
	order []string
	held  map[string]struct{}
}

func (w *watcher) add(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.held[id]; ok {
		return
	}
	if w.held == nil {
		w.held = map[string]struct{}{}
	}
	w.held[id] = struct{}{}
	w.order = append(w.order, id)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take removes the oldest id. It is removed before it is delivered: a change
// during the delivery is then told again, not lost.
func (w *watcher) take() (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.order) == 0 {
		return "", false
	}
	id := w.order[0]
	w.order = w.order[1:]
	delete(w.held, id)
	return id, true
}

func (w *watcher) run(ctx context.Context, out chan<- string) {
	for {
		id, ok := w.take()
		if !ok {
			select {
			case <-w.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case out <- id:
		case <-ctx.Done():
			return
		}
	}
}
