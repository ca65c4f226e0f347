package sallyport

import (
	"sync"
	"time"
)

// Steady returns a clock that follows now, but never goes back: where the wall
// clock is set back, it goes on by the monotonic one. What has an end by it ends
// no later because somebody has changed the time. The clock is safe for
// concurrent use.
func Steady(now func() time.Time) func() time.Time {
	var mu sync.Mutex
	last := now()
	shown := last.Round(0)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		t := now()
		if elapsed := t.Sub(last); elapsed > 0 { // by the monotonic clock, where now has one
			shown = shown.Add(elapsed)
		}
		last = t
		if wall := t.Round(0); wall.After(shown) {
			shown = wall
		}
		return shown
	}
}
