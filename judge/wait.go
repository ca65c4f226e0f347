package judge

import (
	"time"
)

// wait waits until a condition holds, at most a time, and reports whether it
// does. The condition is asked with the state locked; it returns 0 where it
// holds, or after which time to ask again if nothing is drawn before.
func (j *Judge) wait(most time.Duration, holds func() time.Duration) (ok bool) {
	end := time.NewTimer(max(0, most))
	defer end.Stop()
	for {
		var again time.Duration
		var woken chan struct{}
		j.locked(func() {
			if again = holds(); j.woken == nil {
				j.woken = make(chan struct{})
			}
			woken = j.woken
		})
		if again <= 0 {
			return true
		}
		ask := time.NewTimer(again)
		select {
		case <-woken:
		case <-ask.C:
		case <-end.C:
			ask.Stop()
			j.locked(func() { ok = holds() <= 0 })
			return ok
		case <-j.done:
			ask.Stop()
			return false
		}
		ask.Stop()
	}
}

// quiet returns how long it is until nothing was drawn for d. j.mu is held.
func (j *Judge) quiet(d time.Duration) time.Duration { return d - time.Since(j.drawn) }

func (j *Judge) rtt() time.Duration {
	if j.cfg.RTT == nil {
		return 0
	}
	return min(j.cfg.RTT(), 2*time.Second)
}
