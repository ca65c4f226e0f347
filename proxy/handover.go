package proxy

import (
	"cmp"
	"context"
	"io"
	"sync"
	"time"

	"sallyport"
)

// handover lets one reader after another read a channel. A reader that is told
// to stop while it waits loses nothing: what arrives goes to the next one.
//
// It reads the channel whether or not somebody reads it. x/crypto would keep what
// arrives until then, and that is two megabytes of a channel's window, or a hundred
// where they come in packets of one byte: a client without any grant could take
// all memory. Past maxAhead it forgets, and says so to the next reader, until the
// channel has a reader for good.
type handover struct {
	r io.Reader

	mu      sync.Mutex
	change  *sync.Cond
	ahead   []byte // was read, and nobody has read it yet
	err     error  // the end of r
	lost    bool   // more came than is kept
	patient bool   // the reader is there for good: r can wait
	closed  bool
	gone    chan struct{} // closed with it
}

// maxAhead is how much is kept for readers to come: what is typed ahead, and a
// small file.
const maxAhead = 64 << 10

var errTooMuch = sallyport.Errorf(sallyport.CodeInvalid, "more input came than is kept")

func newHandover(r io.Reader) *handover {
	h := &handover{r: r, gone: make(chan struct{})}
	h.change = sync.NewCond(&h.mu)
	go h.fill()
	return h
}

func (h *handover) fill() {
	buf := make([]byte, 4096)
	for {
		n, err := h.r.Read(buf)
		h.mu.Lock()
		for h.patient && !h.closed && len(h.ahead) > 0 && len(h.ahead)+n > maxAhead {
			h.change.Wait()
		}
		switch {
		case h.closed: // nobody comes any more
		case len(h.ahead)+n > maxAhead:
			h.lost = true
		case h.err == nil:
			h.ahead = append(h.ahead, buf[:n]...)
		}
		h.err = cmp.Or(h.err, err)
		h.change.Broadcast()
		h.mu.Unlock()
		if err == nil {
			continue
		}
		select { // who has sent EOF may send more, against the rules
		case <-h.gone:
			return
		case <-time.After(time.Second):
		}
	}
}

// close is called once, when the channel is closed.
func (h *handover) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed, h.ahead = true, nil
	close(h.gone)
	h.change.Broadcast()
}

// reader returns a reader whose reads end with ctx.
func (h *handover) reader(ctx context.Context) io.Reader { return &turn{h, ctx} }

// rest returns the last reader, for which nothing is forgotten; an error where
// something has been.
func (h *handover) rest() (io.Reader, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost {
		return nil, errTooMuch
	}
	h.patient = true
	return h.reader(context.Background()), nil
}

type turn struct {
	h   *handover
	ctx context.Context
}

func (t *turn) Read(p []byte) (int, error) {
	h := t.h
	stop := context.AfterFunc(t.ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.change.Broadcast()
	})
	defer stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch err := t.ctx.Err(); {
		case err != nil:
			return 0, err
		case len(h.ahead) > 0:
			n := copy(p, h.ahead)
			if h.ahead = h.ahead[n:]; len(h.ahead) == 0 {
				h.ahead = nil
			}
			h.change.Broadcast()
			return n, nil
		case h.lost:
			return 0, errTooMuch
		case h.err != nil:
			return 0, h.err
		case h.closed:
			return 0, io.EOF
		}
		h.change.Wait()
	}
}
