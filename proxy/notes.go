package proxy

import (
	"strconv"
	"sync"

	"golang.org/x/time/rate"

	"sallyport"
)

// notes bounds the audit entries that somebody can cause at will, so that they
// cannot fill the disk: past the limit they are counted, and the count goes into
// the next one. Safe for concurrent use.
type notes struct {
	rate *rate.Limiter

	mu       sync.Mutex
	unlogged int
}

func newNotes(perSecond, atOnce int) *notes {
	return &notes{rate: rate.NewLimiter(rate.Limit(perSecond), atOnce)}
}

// take reports whether e may be written. It then says how many were not before it.
func (n *notes) take(e *sallyport.Event) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.rate.Allow() {
		n.unlogged++
		return false
	}
	if n.unlogged > 0 {
		if e.Details == nil {
			e.Details = map[string]string{}
		}
		e.Details["unlogged"] = strconv.Itoa(n.unlogged)
		n.unlogged = 0
	}
	return true
}
