package transfer

import (
	"sallyport"
	"sallyport/internal/wire"
	"sallyport/transfer/stream"
)

// sftpVersion is the only one that is read. sftp-server never says another.
const sftpVersion = 3

// answer sees what became of a request.
func (s *SFTP) answer(head []byte, total int) (decision, error) {
	a, err := wire.ParseSFTPAnswer(head)
	if err != nil {
		return decision{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.going(); err != nil {
		return decision{}, err
	}
	if a.Type == wire.SFTPVersion {
		if !s.begun || s.greeted {
			return decision{}, stream.Confusion("the target tells its version when it was not asked")
		}
		if a.ID != sftpVersion {
			return decision{}, stream.Confusion("the target speaks another version than 3")
		}
		s.greeted = true
		return decision{}, nil
	}
	if !s.greeted {
		return decision{}, stream.Confusion("the target does not begin with its version")
	}
	p := s.pending[a.ID]
	if p == nil {
		return decision{}, stream.Confusion("the target answers what was not asked")
	}
	if a.Type != wire.SFTPStatus && a.Type != p.reply && p.reply != anyReply {
		return decision{}, stream.Confusion("the target's answer does not fit the request")
	}
	if p.own && len(head) < total {
		return decision{whole: true}, nil
	}
	s.pop(a.ID, p)
	if p.own {
		p.answer = &a
		return decision{drop: true}, nil
	}
	if a.Type == wire.SFTPData {
		return s.data(a, p)
	}
	s.settle(a, p)
	return decision{}, nil
}

func (s *SFTP) pop(id uint32, p *pending) {
	if p.next == nil {
		delete(s.pending, id)
	} else {
		s.pending[id] = p.next
	}
	s.waiting--
	if p.opened != nil {
		s.opening--
	}
	s.cond.Broadcast()
}

// data takes content that was read. Too much of it is kept from the client, who
// gets a status instead.
func (s *SFTP) data(a wire.SFTPAnswer, p *pending) (decision, error) {
	f := p.file
	if f == nil {
		return decision{}, nil
	}
	if no := s.rules.CheckSize(p.offset + uint64(a.Length)); no != nil || p.offset > p.offset+uint64(a.Length) {
		if no == nil {
			no = stream.Denied("the offset is beyond every file")
		}
		f.refused = no.Text
		s.leave(f)
		s.mu.Unlock()
		defer s.mu.Lock()
		if err := s.target.flush(); err != nil {
			return decision{}, err
		}
		return decision{drop: true}, s.out.inject(wire.AppendSFTPStatus(nil, a.ID, no.Code, no.Text))
	}
	offset, down := p.offset, f.down
	return decision{
		tee: func(piece []byte) {
			down.Add(offset, piece)
			offset += uint64(len(piece))
		},
		end: func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.leave(f)
		},
	}, nil
}

// settle closes the account of a request.
func (s *SFTP) settle(a wire.SFTPAnswer, p *pending) {
	failed := ""
	if a.Type == wire.SFTPStatus && a.Code != wire.FxOK {
		failed = statusText(a)
	}
	switch {
	case p.opened != nil:
		s.opened(a, p.opened, failed)
	case p.event != nil:
		p.event.Outcome = sallyport.FileComplete
		if failed != "" {
			p.event.Outcome, p.event.Reason, p.event.Bytes = sallyport.FileFailed, failed, 0
			if p.cut {
				p.file.up.NoDigest("it could not be cut")
			}
		}
		s.tell(*p.event)
	case p.typ == wire.SFTPRead && p.file != nil:
		switch {
		case a.Code == wire.FxEOF:
			p.file.eof = true
		case failed != "" && p.file.failed == "":
			p.file.failed = "reading failed: " + failed
		}
	case p.typ == wire.SFTPWrite && p.file != nil:
		if failed == "" {
			p.file.wrote += int64(p.length)
			break
		}
		if p.file.failed == "" {
			p.file.failed = "writing failed: " + failed
		}
		if p.file.up != nil {
			p.file.up.NoDigest("a part of it was not written")
		}
	case p.typ == wire.SFTPClose && p.file != nil:
		p.file.closing = true
		if failed != "" && p.file.failed == "" {
			p.file.failed = "closing failed: " + failed
		}
	}
	if p.file != nil {
		s.leave(p.file)
	}
}

// opened takes the answer to an OPEN or OPENDIR.
func (s *SFTP) opened(a wire.SFTPAnswer, f *handle, failed string) {
	if a.Type != wire.SFTPHandle {
		s.open--
		if !f.dir {
			e := s.eventOf(f, f.op())
			e.Outcome, e.Reason = sallyport.FileFailed, failed
			s.tell(e)
		}
		return
	}
	if old := s.handles[a.Handle]; old != nil { // no server does that
		s.end(old, sallyport.FileBroken, "the target gave its handle to another file")
	}
	s.handles[a.Handle] = f
}

// leave is told that a request on f has its answer. The last one after its close
// ends it.
func (s *SFTP) leave(f *handle) {
	if f.busy--; f.busy == 0 && f.closing {
		s.end(f, sallyport.FileComplete, "")
	}
}

// end reports a file. It is called with mu held, and lets go of it meanwhile.
func (s *SFTP) end(f *handle, outcome, reason string) {
	if f.over {
		return
	}
	f.over = true
	s.open--
	s.mu.Unlock()
	defer s.mu.Lock()
	s.events.Report(s.finish(f, outcome, reason)...)
}

// tell reports an operation, as end does a file.
func (s *SFTP) tell(e sallyport.FileEvent) {
	s.mu.Unlock()
	defer s.mu.Lock()
	s.events.Report(e)
}

// going is an error where the other direction has ended the channel, or was not
// understood.
func (s *SFTP) going() error {
	if s.err == nil && s.raw {
		return stream.Confusion("the other direction was not")
	}
	return s.err
}

// statusText is why the target said no, in its words or in ours.
func statusText(a wire.SFTPAnswer) string {
	if a.Message != "" {
		return sallyport.Printable(a.Message[:min(len(a.Message), 200)])
	}
	switch a.Code {
	case wire.FxEOF:
		return "end of file"
	case wire.FxNoSuchFile:
		return "no such file"
	case wire.FxPermissionDenied:
		return "permission denied"
	case wire.FxOpUnsupported:
		return "not supported"
	}
	return "failure"
}
