package transfer

import (
	"bytes"
	"io"
	"sync"

	"sallyport/internal/wire"
	"sallyport/transfer/stream"
)

// side cuts one direction of a channel into SFTP packets.
type side struct {
	// judge decides on a packet of which the first bytes are there; it may be
	// asked again with all of them. write passes bytes on, and is told where
	// in them the last packet ended, -1 where none did.
	judge func(head []byte, total int) (decision, error)
	write func(p []byte, edge int) error

	held  []byte // the beginning of a packet that was not judged yet
	whole bool   // the packet is judged when all of it is there
	rest  int    // bytes of the judged packet that are still to come
	now   decision

	// Of the chunk at hand: from run to at it was judged and not yet passed on;
	// the last packet ended at edge.
	p             []byte
	run, at, edge int
}

// decision is what becomes of a packet.
type decision struct {
	drop  bool
	whole bool               // ask again with the whole packet
	tee   func(piece []byte) // takes the payload as it comes
	end   func()             // called behind the last byte
}

// feed takes a chunk. With an error nothing that was not judged was passed on,
// and unread is the rest.
func (d *side) feed(p []byte) (unread []byte, err error) {
	d.p, d.run, d.at, d.edge = p, 0, 0, -1
	defer func() { d.p = nil }()
	for d.at < len(p) {
		if d.rest > 0 {
			err = d.payload()
		} else {
			err = d.begin()
		}
		if err != nil {
			rest := p[d.at:]
			if ferr := d.flush(); ferr != nil {
				return nil, ferr
			}
			return rest, err
		}
	}
	return nil, d.flush()
}

func (d *side) payload() error {
	n := min(d.rest, len(d.p)-d.at)
	if d.now.drop {
		if err := d.flush(); err != nil {
			return err
		}
	}
	if d.now.tee != nil {
		d.now.tee(d.p[d.at : d.at+n])
	}
	d.at, d.rest = d.at+n, d.rest-n
	if d.now.drop {
		d.run = d.at
	}
	d.settle()
	return nil
}

// settle is called behind every part of a packet.
func (d *side) settle() {
	if d.rest > 0 {
		return
	}
	d.edge = d.at
	if d.now.end != nil {
		d.now.end()
	}
	d.now = decision{}
}

// begin takes the beginning of a packet.
func (d *side) begin() error {
	b := d.p[d.at:]
	if len(d.held) > 0 {
		b = d.held
	}
	head, total, err := wire.SFTPHead(b)
	if err != nil {
		return err
	}
	if d.whole {
		head = total
	}
	if len(b) < head {
		n := min(head-len(d.held), len(d.p)-d.at)
		if err := d.flush(); err != nil {
			return err
		}
		d.held = append(d.held, d.p[d.at:d.at+n]...)
		d.at += n
		d.run = d.at
		if len(d.held) < head {
			return nil // the chunk is over
		}
		return d.begin()
	}
	now, err := d.judge(b[:head], total)
	if err != nil {
		return err
	}
	if now.whole && head < total {
		d.whole = true
		return d.begin()
	}
	d.whole, d.now, d.rest = false, now, total-head
	switch {
	case len(d.held) > 0:
		if !now.drop {
			edge := -1
			if d.rest == 0 {
				edge = head
			}
			err = d.write(d.held, edge)
		}
		if d.held = d.held[:0]; cap(d.held) > 4096 {
			d.held = nil
		}
		d.run = d.at
	case now.drop:
		err = d.flush()
		d.at += head
		d.run = d.at
	default:
		d.at += head
	}
	d.settle()
	return err
}

// flush passes on what was judged of the chunk at hand.
func (d *side) flush() error {
	if d.run >= d.at {
		return nil
	}
	p, edge := d.p[d.run:d.at], -1
	if d.edge >= d.run {
		edge = d.edge - d.run
	}
	d.run = d.at
	return d.write(p, edge)
}

// taken returns what was held back, for somebody who passes on everything.
func (d *side) taken() []byte {
	b := bytes.Clone(d.held)
	d.held, d.rest, d.now, d.whole = nil, 0, decision{}, false
	return b
}

// maxQueue bounds the answers of the gateway's own that wait for the end of a
// packet of the target's.
const maxQueue = 64 << 10

// injector writes to the client: the target's packets, and between two of them
// the gateway's own.
type injector struct {
	to    io.Writer
	stop  <-chan struct{} // closed when nothing is written any more
	space chan struct{}   // holds a token when the queue has gone; capacity 1

	mu    sync.Mutex
	mid   bool // inside a packet
	queue []byte
}

// stream writes the target's bytes. edge is where in p the last packet ended.
func (w *injector) stream(p []byte, edge int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) > 0 && edge >= 0 {
		if err := w.put(p[:edge]); err != nil {
			return err
		}
		if err := w.flush(); err != nil {
			return err
		}
		p, edge = p[edge:], 0
	}
	if len(p) > 0 {
		w.mid = edge != len(p)
	}
	return w.put(p)
}

func (w *injector) put(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	select {
	case <-w.stop:
		return stream.ErrClosed
	default:
	}
	_, err := w.to.Write(p)
	return err
}

func (w *injector) flush() error {
	q := w.queue
	w.queue, w.mid = nil, false
	select {
	case w.space <- struct{}{}:
	default:
	}
	return w.put(q)
}

// inject writes packets of the gateway's own as soon as the target's packet is
// over. It waits where too many are waiting already.
func (w *injector) inject(p []byte) error {
	for {
		w.mu.Lock()
		if !w.mid {
			w.queue = append(w.queue, p...)
			err := w.flush()
			w.mu.Unlock()
			return err
		}
		if len(w.queue) < maxQueue {
			w.queue = append(w.queue, p...)
			w.mu.Unlock()
			return nil
		}
		w.mu.Unlock()
		select {
		case <-w.space:
		case <-w.stop:
			return stream.ErrClosed
		}
	}
}
