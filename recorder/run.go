package recorder

import (
	"context"
	"sync"
	"time"
)

// SyncInterval is how often Run syncs; together with the sync itself what was
// written reaches the disk within a second.
const SyncInterval = 500 * time.Millisecond

// syncers is how many sessions are synced at the same time: one file that the
// disk does not take holds up only itself.
const syncers = 8

// Run syncs what was written, every SyncInterval, until ctx is done, and once
// more then. A sync that fails makes its session fail. It also makes the seals
// for which there was no room when their sessions ended. Run it once.
func (r *Recorder) Run(ctx context.Context) {
	tick := time.NewTicker(SyncInterval)
	defer tick.Stop()
	work, synced := startSyncers()
	var sealer sync.WaitGroup
	sealing := make(chan struct{}, 1) // holds a token while sealer works
	var waiting []*Session
	for ctx.Err() == nil {
		var next *Session
		var idle chan<- *Session
		if len(waiting) > 0 {
			next, idle = waiting[0], work
		}
		select {
		case <-ctx.Done():
		case idle <- next:
			waiting = waiting[1:]
		case <-tick.C:
			for _, s := range r.sessions() {
				// Idle sessions cost nothing; one whose last sync is not over waits.
				if s.unsynced() && !s.queued.Swap(true) {
					waiting = append(waiting, s)
				}
			}
			select {
			case sealing <- struct{}{}:
				sealer.Go(func() { r.sealAgain(); <-sealing })
			default:
			}
		}
	}
	close(work)
	synced.Wait()
	sealer.Wait()

	work, synced = startSyncers()
	for _, s := range r.sessions() {
		work <- s
	}
	close(work)
	synced.Wait()
	r.sealAgain()
}

// startSyncers starts what syncs the sessions that it is sent, until the channel
// is closed.
func startSyncers() (chan<- *Session, *sync.WaitGroup) {
	work := make(chan *Session)
	var wg sync.WaitGroup
	for range syncers {
		wg.Go(func() {
			for s := range work {
				if err := s.sync(); err != nil {
					s.fail(err)
				}
				s.queued.Store(false)
			}
		})
	}
	return work, &wg
}
