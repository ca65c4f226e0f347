package recorder

import (
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"sallyport"
)

// A sync that comes in the middle of a start finds nothing to sync yet, and does
// not take that for a failure.
func TestASyncDuringTheStart(t *testing.T) {
	r := &Recorder{Dir: t.TempDir()}
	stop := make(chan struct{})
	var syncer sync.WaitGroup
	syncer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, s := range r.sessions() {
				if err := s.sync(); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 300 {
		id, err := sallyport.NewID(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		s, err := r.Start(sallyport.Session{ID: id, StartedAt: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Seal(sallyport.Session{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	syncer.Wait()
}
