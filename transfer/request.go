package transfer

import (
	"fmt"
	"math"
	"strings"

	"sallyport"
	"sallyport/internal/wire"
	"sallyport/transfer/content"
	"sallyport/transfer/stream"
)

// replies are what a request may be answered with, besides a status
// (draft-ietf-secsh-filexfer-02, section 7).
var replies = map[byte]byte{
	wire.SFTPOpen: wire.SFTPHandle, wire.SFTPOpendir: wire.SFTPHandle, wire.SFTPRead: wire.SFTPData,
	wire.SFTPReaddir: wire.SFTPName, wire.SFTPRealpath: wire.SFTPName, wire.SFTPReadlink: wire.SFTPName,
	wire.SFTPStat: wire.SFTPAttrs, wire.SFTPLstat: wire.SFTPAttrs, wire.SFTPFstat: wire.SFTPAttrs,
}

// extended are those of the extensions that answer otherwise.
var extended = map[string]byte{
	wire.ExtExpandPath: wire.SFTPName, wire.ExtHomeDir: wire.SFTPName, wire.ExtStatvfs: wire.SFTPExtendedReply,
	wire.ExtFstatvfs: wire.SFTPExtendedReply, wire.ExtLimits: wire.SFTPExtendedReply, wire.ExtUsersGroups: wire.SFTPExtendedReply,
}

// anyReply is for a request that is not known.
const anyReply = 0

// request judges a packet of the client's.
func (s *SFTP) request(head []byte, _ int) (decision, error) {
	q, err := wire.ParseSFTPRequest(head)
	if err != nil {
		return decision{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.going(); err != nil {
		return decision{}, err
	}
	if q.Type == wire.SFTPInit {
		if s.begun {
			return decision{}, stream.Confusion("the client begins twice")
		}
		s.begun = true
		return decision{}, nil
	}
	if !s.begun {
		return decision{}, stream.Confusion("the client does not begin with its version")
	}
	if s.waiting >= maxPending {
		if err := s.wait(func() bool { return s.waiting < maxPending }); err != nil {
			return decision{}, err
		}
	}
	p := &pending{typ: q.Type, reply: replies[q.Type]}
	if q.Type == wire.SFTPExtended {
		p.reply = extended[q.Extension]
	}
	tee, err := s.admit(q, p)
	if err == nil {
		err = s.ruled(q, p)
	}
	if no, ok := err.(*stream.Refusal); ok { // it is never wrapped
		return decision{drop: true}, s.refuse(q, p, no)
	}
	if err != nil {
		return decision{}, err
	}
	s.push(q.ID, p)
	return decision{tee: tee}, nil
}

// wait lets the answers come until done. It is called with mu held, by
// FromClient: what was judged before goes to the target first.
func (s *SFTP) wait(done func() bool) error {
	s.mu.Unlock()
	err := s.client.flush()
	s.mu.Lock()
	for err == nil && s.err == nil && !done() {
		s.cond.Wait()
	}
	if err != nil {
		return err
	}
	return s.err
}

func (s *SFTP) push(id uint32, p *pending) {
	last := s.pending[id]
	if last == nil {
		s.pending[id] = p
	} else {
		for last.next != nil {
			last = last.next
		}
		last.next = p
	}
	s.waiting++
	if p.opened != nil {
		s.opening++
		s.open++
	}
	if p.file != nil {
		p.file.busy++
	}
}

// refuse answers a request. It is called with mu held.
func (s *SFTP) refuse(q wire.SFTPRequest, p *pending, no *stream.Refusal) error {
	e := p.event
	switch {
	case p.opened != nil:
		e = &sallyport.FileEvent{Time: p.opened.at, Op: p.opened.op()}
		stream.SetPath(e, p.opened.path)
	case p.file != nil && e == nil && p.file.refused == "":
		p.file.refused = no.Text // it comes with the event of the file
	}
	s.mu.Unlock()
	defer s.mu.Lock()
	if e != nil {
		e.Outcome, e.Reason = sallyport.FileRefused, strings.TrimPrefix(no.Text, stream.Prefix)
		s.events.Report(*e)
	}
	return s.out.inject(wire.AppendSFTPStatus(nil, q.ID, no.Code, no.Text))
}

// admit fills p in for a request that may pass. Its error is a *stream.Refusal, or ends
// the channel.
func (s *SFTP) admit(q wire.SFTPRequest, p *pending) (tee func([]byte), err error) {
	if !q.Known {
		p.reply = anyReply
		if s.rules.Restrict {
			return nil, stream.Refuse(wire.FxOpUnsupported, "your role allows no request that the gateway does not know")
		}
		return nil, nil
	}
	switch q.Type {
	case wire.SFTPOpen:
		return nil, s.admitOpen(q, p)
	case wire.SFTPOpendir:
		p.opened = &handle{path: q.Path, dir: true, at: s.cfg.Clock()}
		return nil, s.roomForHandle()
	case wire.SFTPClose:
		f, err := s.lookup(q.Handle)
		if err == nil && f != nil {
			delete(s.handles, q.Handle)
			p.file = f
		}
		return nil, err
	case wire.SFTPRead:
		return nil, s.admitRead(q, p)
	case wire.SFTPWrite:
		return s.admitWrite(q, p)
	case wire.SFTPFsetstat:
		return nil, s.admitFsetstat(q, p)
	case wire.SFTPSetstat:
		return nil, s.admitOp(q, p, sallyport.OpChmod)
	case wire.SFTPRemove:
		return nil, s.admitOp(q, p, sallyport.OpRemove)
	case wire.SFTPMkdir:
		return nil, s.admitOp(q, p, sallyport.OpMkdir)
	case wire.SFTPRmdir:
		return nil, s.admitOp(q, p, sallyport.OpRmdir)
	case wire.SFTPRename:
		return nil, s.admitOp(q, p, sallyport.OpRename)
	case wire.SFTPSymlink:
		return nil, s.admitOp(q, p, sallyport.OpSymlink)
	case wire.SFTPExtended:
		switch q.Extension {
		case wire.ExtPosixRename:
			return nil, s.admitOp(q, p, sallyport.OpRename)
		case wire.ExtHardlink:
			return nil, s.admitOp(q, p, sallyport.OpHardlink)
		case wire.ExtLsetstat:
			return nil, s.admitOp(q, p, sallyport.OpChmod)
		case wire.ExtCopyData:
			return nil, s.admitCopy(q, p)
		}
	}
	return nil, nil // names and attributes are there to be read
}

// admitOpen follows flags_from_portable of sftp-server.c: without WRITE a file
// is opened for reading, and even then O_TRUNC empties it.
func (s *SFTP) admitOpen(q wire.SFTPRequest, p *pending) error {
	f := &handle{path: q.Path, flags: q.Flags, at: s.cfg.Clock()}
	f.read = q.Flags&wire.OpenRead != 0 || q.Flags&wire.OpenWrite == 0
	f.write = q.Flags&^wire.OpenRead != 0
	p.opened = f
	if f.write {
		if no := s.rules.CheckDirection(sallyport.FilesUpload); no != nil {
			return no
		}
		f.up = content.New(true, s.rules.Keep, &s.room)
		if f.flags&wire.OpenAppend != 0 && f.flags&wire.OpenTrunc == 0 {
			f.up.NoDigest("appended to a file whose beginning did not move")
		}
	}
	if f.read {
		if no := s.rules.CheckDirection(sallyport.FilesDownload); no != nil {
			return no
		}
		if !f.write {
			f.down = content.New(false, s.rules.Keep, &s.room)
		}
	}
	if q.Attrs.Flags&wire.AttrSize != 0 { // sftp-server takes no notice; others may
		if no := s.rules.CheckSize(q.Attrs.Size); no != nil {
			return no
		}
	}
	if err := s.roomForHandle(); err != nil {
		return err
	}
	return s.checkPath(q.Path, follow)
}

func (s *SFTP) roomForHandle() error {
	if s.open >= maxHandles {
		return stream.Refuse(wire.FxFailure, "%d files are open, and more cannot be", maxHandles)
	}
	return nil
}

// lookup finds a handle. One that is not known may be the answer to an OPEN that
// is still pending: handles can be guessed. It returns nil for one that is not
// the target's, an error where there may be none.
func (s *SFTP) lookup(name string) (*handle, error) {
	if f := s.handles[name]; f != nil {
		return f, nil
	}
	if s.opening > 0 {
		if err := s.wait(func() bool { return s.opening == 0 || s.handles[name] != nil }); err != nil {
			return nil, err
		}
	}
	f := s.handles[name]
	if f == nil && s.rules.Restrict {
		return nil, stream.Refuse(wire.FxFailure, "there is no such handle")
	}
	return f, nil
}

func (s *SFTP) admitRead(q wire.SFTPRequest, p *pending) error {
	f, err := s.lookup(q.Handle)
	if f == nil || err != nil {
		return err
	}
	p.file, p.offset, p.length = f, q.Offset, q.Length
	if s.rules.Restrict && !f.read {
		return stream.Denied("the file is not open for reading")
	}
	if f.down == nil {
		f.down = content.New(false, s.rules.Keep, &s.room)
	}
	return nil
}

func (s *SFTP) admitWrite(q wire.SFTPRequest, p *pending) (func([]byte), error) {
	f, err := s.lookup(q.Handle)
	if f == nil || err != nil {
		return nil, err
	}
	p.file, p.length = f, q.Length
	if s.rules.Restrict && !f.write {
		return nil, stream.Denied("the file is not open for writing")
	}
	offset := q.Offset
	if f.flags&wire.OpenAppend != 0 { // the offset is ignored (process_write in sftp-server.c)
		if offset, err = s.appendAt(f, q.Handle); err != nil {
			return nil, err
		}
	}
	if q.Length > math.MaxUint64-offset {
		return nil, stream.Refuse(wire.FxFailure, "the offset is beyond every file")
	}
	if no := s.rules.CheckSize(offset + q.Length); no != nil {
		return nil, no
	}
	f.end = offset + q.Length
	if f.up == nil {
		f.up = content.New(true, s.rules.Keep, &s.room)
	}
	up := f.up
	return func(piece []byte) {
		up.Add(offset, piece)
		offset += uint64(len(piece))
	}, nil
}

// appendAt is where the next byte goes of a file that grows at its end. Where its
// size is limited the target is asked each time: others may have added to it,
// another handle of this client's among them.
func (s *SFTP) appendAt(f *handle, name string) (uint64, error) {
	if s.rules.MaxSize == 0 {
		return f.end, nil
	}
	a, err := s.ask(wire.SFTPRequest{Type: wire.SFTPFstat, Handle: name})
	if err != nil {
		return 0, err
	}
	if a.Type != wire.SFTPAttrs || a.Attrs.Flags&wire.AttrSize == 0 {
		return 0, stream.Denied("the target does not tell how large the file is")
	}
	return a.Attrs.Size, nil
}

func (s *SFTP) admitFsetstat(q wire.SFTPRequest, p *pending) error {
	f, err := s.lookup(q.Handle)
	if f == nil || err != nil {
		return err
	}
	p.file = f
	p.event = s.event(sallyport.OpChmod, f.path, "")
	p.event.Detail = describe(q.Attrs)
	if no := s.rules.CheckDirection(sallyport.FilesUpload); no != nil {
		return no
	}
	if s.rules.Globs() && f.dir { // a directory may be listed wherever it is
		if err := s.checkPath(f.path, follow); err != nil {
			return err
		}
	}
	if q.Attrs.Flags&wire.AttrSize == 0 {
		return nil
	}
	if no := s.rules.CheckSize(q.Attrs.Size); no != nil {
		return no
	}
	if f.up != nil {
		f.up.Cut(q.Attrs.Size)
		f.end, p.cut = q.Attrs.Size, true
	}
	return nil
}

// admitOp judges what changes names and attributes.
func (s *SFTP) admitOp(q wire.SFTPRequest, p *pending, op sallyport.FileOp) error {
	p.event = s.event(op, q.Path, q.To)
	if op == sallyport.OpChmod {
		p.event.Detail = describe(q.Attrs)
	}
	if no := s.rules.CheckDirection(sallyport.FilesUpload); no != nil {
		return no
	}
	if op == sallyport.OpChmod && q.Attrs.Flags&wire.AttrSize != 0 {
		if no := s.rules.CheckSize(q.Attrs.Size); no != nil {
			return no
		}
	}
	if !s.rules.Globs() {
		return nil
	}
	switch {
	case op == sallyport.OpRename:
		return s.checkRename(q.Path, q.To)
	case op == sallyport.OpSymlink:
		return s.checkSymlink(q.Path, q.To)
	case op == sallyport.OpHardlink:
		// link(2) may follow a link or not (POSIX leaves it open).
		if err := s.checkPath(q.Path, follow); err != nil {
			return err
		}
		if err := s.checkPath(q.Path, stay); err != nil {
			return err
		}
		return s.checkPath(q.To, stay)
	case op == sallyport.OpChmod && q.Type == wire.SFTPSetstat:
		return s.checkPath(q.Path, follow)
	}
	return s.checkPath(q.Path, stay)
}

// admitCopy judges copy-data: content moves at the target, from one open file to
// another. A length of 0 means up to the end (OpenSSH's PROTOCOL, section 4.10).
func (s *SFTP) admitCopy(q wire.SFTPRequest, p *pending) error {
	from, err := s.lookup(q.Handle)
	if err != nil {
		return err
	}
	to, err := s.lookup(q.ToHandle)
	if err != nil || from == nil || to == nil {
		return err
	}
	p.file = to
	p.event = s.event(sallyport.OpCopy, from.path, to.path)
	p.event.Bytes = int64(min(q.Length, math.MaxInt64))
	if no := s.rules.CheckDirection(sallyport.FilesUpload); no != nil {
		return no
	}
	if s.rules.Restrict && (!from.read || !to.write) {
		return stream.Denied("the files are not open for that")
	}
	if s.rules.MaxSize > 0 {
		if to.flags&wire.OpenAppend != 0 {
			return stream.Denied("your role limits the size of files: none can be copied to the end of another")
		}
		length := q.Length
		if length == 0 {
			a, err := s.ask(wire.SFTPRequest{Type: wire.SFTPFstat, Handle: q.Handle})
			if err != nil {
				return err
			}
			if a.Type != wire.SFTPAttrs || a.Attrs.Flags&wire.AttrSize == 0 {
				return stream.Denied("the target does not tell how large the file is")
			}
			length = a.Attrs.Size - min(a.Attrs.Size, q.Offset)
		}
		if length > math.MaxUint64-q.ToOffset {
			return stream.Denied("the offset is beyond every file")
		}
		if no := s.rules.CheckSize(q.ToOffset + length); no != nil {
			return no
		}
	}
	if to.up != nil {
		to.up.NoDigest("content was copied at the target")
	}
	return nil
}

func (s *SFTP) event(op sallyport.FileOp, path, to string) *sallyport.FileEvent {
	e := &sallyport.FileEvent{Time: s.cfg.Clock(), Op: op}
	stream.SetPath(e, path)
	stream.SetTo(e, to)
	return e
}

// describe says in words what a setattr changes.
func describe(a wire.FileAttrs) string {
	var words []string
	if a.Flags&wire.AttrSize != 0 {
		words = append(words, fmt.Sprintf("size=%d", a.Size))
	}
	if a.Flags&wire.AttrUIDGID != 0 {
		words = append(words, fmt.Sprintf("owner=%d:%d", a.UID, a.GID))
	}
	if a.Flags&wire.AttrPermissions != 0 {
		words = append(words, fmt.Sprintf("mode=%04o", a.Permissions&0o7777))
	}
	if a.Flags&wire.AttrTimes != 0 {
		words = append(words, fmt.Sprintf("atime=%d mtime=%d", a.Atime, a.Mtime))
	}
	if a.Flags&wire.AttrExtended != 0 {
		words = append(words, fmt.Sprintf("extended=%d", len(a.Extended)/2))
	}
	return strings.Join(words, " ")
}
