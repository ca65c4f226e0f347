package recorder_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport"
	"sallyport/recorder"
)

// slowFile takes its time to sync, or for ever.
type slowFile struct {
	*os.File
	wait   time.Duration
	stuck  <-chan struct{}
	synced *atomic.Int64
}

func (f slowFile) Sync() error {
	if f.stuck != nil {
		<-f.stuck
	}
	<-time.After(f.wait)
	f.synced.Add(1)
	return nil
}

// A hundred sessions on a slow disk are synced within a second, and one file
// that the disk does not take holds up no other (threats R11).
func TestSyncsManySessions(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const sessions = 100
		var synced atomic.Int64
		stuck := make(chan struct{})
		r := &recorder.Recorder{Dir: dir, Create: func(path string) (recorder.File, error) {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			slow := slowFile{File: f, wait: 30 * time.Millisecond, synced: &synced}
			if filepath.Base(path) == "stuck.cast" {
				slow.stuck = stuck
			}
			return slow, err
		}}
		ctx, cancel := context.WithCancel(context.Background())
		ran := make(chan struct{})
		go func() { defer close(ran); r.Run(ctx) }()
		defer func() { close(stuck); cancel(); <-ran }()
		var channels []*recorder.Channel
		for i := range sessions {
			s, err := r.Start(sallyport.Session{ID: fmt.Sprintf("s%d", i), StartedAt: epoch})
			must(t, err)
			name := "0"
			if i == 0 {
				name = "stuck"
			}
			channels = append(channels, channel(t, s, recorder.ChannelInfo{Name: name}))
		}
		for round := range int64(3) {
			for _, c := range channels {
				must(t, c.Output([]byte("x")))
			}
			<-time.After(time.Second)
			synctest.Wait()
			if got := synced.Load(); got != (round+1)*(sessions-1) {
				t.Fatalf("round %d: %d synced after a second", round, got)
			}
		}
	})
}
