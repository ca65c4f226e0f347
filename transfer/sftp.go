package transfer

import (
	"sync"
	"time"

	"sallyport"
	"sallyport/internal/wire"
	"sallyport/transfer/content"
	"sallyport/transfer/stream"
)

// Bounds of one channel.
const (
	maxPending = 4096 // requests without an answer: the client waits
	maxHandles = 1024 // open at once: the next one is refused
)

// SFTP is a channel that speaks SFTP, version 3. It is a [Stream].
//
// A request is judged in FromClient: it is passed on, or answered here with a
// status between two of the target's packets. It is pending until FromTarget
// sees the answer, which tells what became of it. Where that takes asking the
// target (where does this path lead?), FromClient waits for the answer to a
// request of its own, so meanwhile nothing else is sent.
type SFTP struct {
	cfg    Config
	rules  stream.Rules
	room   content.Room
	events stream.Reporter

	client side // used by FromClient
	target side // used by FromTarget
	out    injector
	stop   chan struct{} // closed by Close

	mu      sync.Mutex
	cond    sync.Cond // of mu: a pending request went away, or the end came
	begun   bool      // the client has sent its INIT
	greeted bool      // the target has answered it
	pending map[uint32]*pending
	waiting int // how many are pending
	opening int // of them, those that make handles
	handles map[string]*handle
	open    int // handles that are not over, closing ones too
	ownID   uint32
	home    string // where relative paths begin, once it was asked for
	raw     bool   // not understood: everything is passed on
	err     error  // nothing is passed on any more
	closed  bool
}

// pending is a request that has no answer yet.
type pending struct {
	next   *pending // with the same id, and later
	typ    byte
	reply  byte // what an answer may be, besides a status
	file   *handle
	opened *handle // to be, of an OPEN
	offset uint64
	length uint64
	cut    bool                 // the file's content was cut to a new length
	event  *sallyport.FileEvent // of an operation
	own    bool                 // the gateway's; answer is set when it came
	answer *wire.SFTPAnswer
}

// handle is an open file or directory.
type handle struct {
	path        string
	flags       uint32
	at          time.Time
	dir         bool
	read, write bool // what it was opened for
	up, down    *content.File
	wrote       int64 // of up, what the target took
	eof         bool
	end         uint64 // behind the last byte that was written
	busy        int    // requests on it that are pending
	closing     bool   // the target has closed it
	over        bool   // reported
	refused     string
	failed      string
}

// NewSFTP returns the parser of a channel that nothing was sent on yet.
func NewSFTP(cfg Config) *SFTP {
	s := &SFTP{
		cfg: cfg, rules: stream.NewRules(cfg.Rules), events: stream.Reporter{To: cfg.Report}, stop: make(chan struct{}),
		pending: map[uint32]*pending{}, handles: map[string]*handle{}, ownID: 0xffffffff,
	}
	s.rules.Restrict = s.rules.Restrict || cfg.Judge != nil // no request may go by another way
	s.cond.L = &s.mu
	s.room.Open = cfg.Copy
	s.out = injector{to: cfg.Client, stop: s.stop, space: make(chan struct{}, 1)}
	s.client.judge, s.target.judge = s.request, s.answer
	s.client.write = func(p []byte, _ int) error { return s.toTarget(p) }
	s.target.write = s.out.stream
	return s
}

// toTarget is called by FromClient only.
func (s *SFTP) toTarget(p []byte) error {
	select {
	case <-s.stop:
		return stream.ErrClosed
	default:
	}
	_, err := s.cfg.Target.Write(p)
	return err
}

// FromClient takes what the client has sent.
func (s *SFTP) FromClient(p []byte) error {
	return s.from(&s.client, p)
}

// FromTarget takes what the target has sent.
func (s *SFTP) FromTarget(p []byte) error {
	return s.from(&s.target, p)
}

func (s *SFTP) from(d *side, p []byte) error {
	s.mu.Lock()
	raw, err := s.raw, s.err
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if !raw {
		p, err = d.feed(p)
		if err != nil {
			if err = s.confused(err); err != nil {
				return err
			}
			raw = true
		}
	}
	if !raw {
		return nil
	}
	if held := d.taken(); len(held) > 0 {
		if err := d.write(held, len(held)); err != nil {
			return err
		}
	}
	if len(p) == 0 {
		return nil
	}
	return d.write(p, len(p))
}

// confused takes an error of a side: it ends the channel, or, where that was
// only not understood and may be, makes the rest pass unread.
func (s *SFTP) confused(err error) error {
	reason, ok := err.(stream.Confusion)
	if err == wire.ErrSFTP {
		reason, ok = stream.Confusion("a packet is malformed"), true
	}
	if !ok {
		return err
	}
	s.mu.Lock()
	if s.err != nil || s.raw { // the other direction was first
		defer s.mu.Unlock()
		return s.err
	}
	if s.cfg.EndsOnConfusion() {
		s.err = &stream.ConfusedError{Reason: string(reason)}
	} else {
		s.raw = true
	}
	err = s.err
	files, ops := s.abandon()
	s.mu.Unlock()
	s.broken(files, ops, "the rest was not understood: "+string(reason))
	if s.cfg.Confused != nil {
		s.cfg.Confused(string(reason))
	}
	return err
}

// ClientDone is told that the client sends nothing more.
func (s *SFTP) ClientDone() error { return s.done(&s.client) }

// TargetDone is told that the target sends nothing more: no answer will come.
func (s *SFTP) TargetDone() error {
	err := s.done(&s.target)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = stream.ErrClosed
	}
	s.cond.Broadcast()
	return err
}

// done passes on what was held back of a packet that will never be whole, where
// nothing depends on it.
func (s *SFTP) done(d *side) error {
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if err != nil || len(d.held) == 0 || s.cfg.EndsOnConfusion() {
		return err
	}
	held := d.taken()
	return d.write(held, len(held))
}

// Close ends the channel. What is open is broken.
func (s *SFTP) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	if s.err == nil {
		s.err = stream.ErrClosed
	}
	close(s.stop)
	files, ops := s.abandon()
	s.mu.Unlock()
	s.broken(files, ops, "the channel ended before it was closed")
}

// abandon takes everything that is open or pending. It is called with mu held.
func (s *SFTP) abandon() (files []*handle, ops []sallyport.FileEvent) {
	add := func(f *handle) {
		if f != nil && !f.over {
			f.over = true
			files = append(files, f)
		}
	}
	for _, f := range s.handles {
		add(f)
	}
	for _, p := range s.pending {
		for ; p != nil; p = p.next {
			add(p.file)
			add(p.opened)
			if p.event != nil {
				p.event.Outcome, p.event.Reason = sallyport.FileBroken, "the target did not answer"
				ops = append(ops, *p.event)
			}
		}
	}
	s.handles, s.pending = map[string]*handle{}, map[uint32]*pending{}
	s.waiting, s.opening, s.open = 0, 0, 0
	s.cond.Broadcast()
	return files, ops
}

// broken reports what abandon has taken.
func (s *SFTP) broken(files []*handle, ops []sallyport.FileEvent, reason string) {
	for _, f := range files {
		ops = append(ops, s.finish(f, sallyport.FileBroken, reason)...)
	}
	sortEvents(ops)
	s.events.Report(ops...)
}
