package proxy

import (
	"cmp"
	"context"
	"sync"

	"golang.org/x/time/rate"

	"sallyport/judge"
)

// pace bounds the work that one connection causes. Channels past it are refused.
// Requests past it wait, and with them everything else on the connection, as x/crypto
// reads no further: who floods slows down themselves, and an honest client loses
// nothing.
type pace struct {
	opens    *rate.Limiter // of channels
	requests *rate.Limiter // of requests on channels, and of global ones
}

// Requests of one connection, a second and at once: a window that is dragged
// sends some dozens a second; 64 channels that begin, some hundreds.
const requestsPerSec, requestsAtOnce = 200, 1000

func newPace(l Limits) pace {
	return pace{
		opens:    rate.NewLimiter(rate.Limit(l.ChannelsPerSec), 2*l.ChannelsPerSec),
		requests: rate.NewLimiter(requestsPerSec, requestsAtOnce),
	}
}

// tally counts something by user. The zero value is ready; safe for concurrent
// use.
type tally struct {
	mu   sync.Mutex
	have map[string]int
}

// take counts one more, unless the user has that many. It returns how many there
// are.
func (t *tally) take(user string, most int) (int, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.have[user]
	if n >= most {
		return n, false
	}
	if t.have == nil {
		t.have = map[string]int{}
	}
	t.have[user] = n + 1
	return n + 1, true
}

func (t *tally) give(user string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.have[user]--; t.have[user] == 0 {
		delete(t.have, user)
	}
}

// request waits until a request of this type may be answered, or for the end of
// ctx. A window-change makes the judge's screen anew, so it weighs more.
func (p pace) request(ctx context.Context, typ string) {
	n := 1
	if typ == "window-change" {
		n = 8
	}
	_ = p.requests.WaitN(ctx, n)
}

// The largest terminal, in characters and in cells: a cell costs the judge a
// dozen bytes, on two screens. 8K with a tiny font is below that.
const maxColumns, maxRows, maxCells = judge.MaxColumns, judge.MaxRows, 200_000

// maxPtyBytes bounds a pty-req: the name of a terminal, and modes of 5 bytes.
const maxPtyBytes = 4096

// sized bounds a terminal's size and reports whether it had to. The target is
// told the bounded one, so that it wraps lines where the judge does: sshd itself
// cuts a size to 16 bits, and 65537 columns are one to its shell. Zero says
// nothing and stays (RFC 4254, 6.2).
func sized(columns, rows *uint32) bool {
	c, r := min(*columns, maxColumns), min(*rows, maxRows)
	if c == 1 { // the judge's screen holds a wide rune
		c = 2
	}
	if c > 0 {
		r = min(r, maxCells/c)
	}
	changed := c != *columns || r != *rows
	*columns, *rows = c, r
	return changed
}

// shown returns the size at which programs show themselves: 80 by 24 where the
// client says nothing.
func shown(columns, rows uint32) (int, int) {
	return int(cmp.Or(columns, 80)), int(cmp.Or(rows, 24))
}
