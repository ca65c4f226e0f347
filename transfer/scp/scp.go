// Package scp follows the rcp protocol of scp -t and scp -f.
package scp

import (
	"bytes"
	"path"
	"strconv"
	"strings"
	"sync"

	"sallyport"
	"sallyport/transfer/content"
	"sallyport/transfer/stream"
)

// Command is what runs at the target.
type Command struct {
	Upload  bool // scp -t
	Paths   []string
	Exact   bool // the paths are what the program gets
	IntoDir bool // -d: the path is a directory
}

// Stream is a channel that runs a Command.
//
// One end is the source, the other the sink. The source sends records, T, C, D
// and E, and waits for a response to each; behind a C that was agreed to come
// the file's bytes, a status, and one more response (source and sink in scp.c).
// The next byte of the source is looked at only when the response is there,
// because only then it is known what it is; and a response passes only where
// the source waits for one.
type Stream struct {
	cfg    stream.Config
	rules  stream.Rules
	cmd    Command
	room   content.Room
	events stream.Reporter
	stop   chan struct{}

	toSource sync.Mutex // held while something is written to the source

	// Of the source's goroutine.
	line []byte // the beginning of a record, or of an error
	now  *scpFile
	left int64 // bytes of now that are still to come
	tail bool  // its status is next
	dirs [][]string

	// Of the sink's goroutine.
	reply []byte // the beginning of a response

	mu    sync.Mutex
	cond  sync.Cond
	asked record // what the source waits for
	done  record // that has been answered
	said  string // the error in the answer, empty for none
	file  *scpFile
	raw   bool
	err   error
	ended bool
}

// record is what a response is about.
type record byte

const (
	nothing record = 0
	hello   record = 'h' // the sink is there
	times   record = 'T'
	file    record = 'C'
	dir     record = 'D'
	dirEnd  record = 'E'
	sent    record = 'e' // the file's bytes have come
)

// scpFile is the file that moves.
type scpFile struct {
	event sallyport.FileEvent
	size  int64
	c     *content.File
	fault string // what the source said behind it
}

// maxLine is what scp reads of a line at most; it would take the rest of a longer
// one for another (buf in sink, rbuf in response).
const maxLine = 2047

// New returns the parser of a channel that runs c.
func New(cfg stream.Config, c Command) *Stream {
	s := &Stream{
		cfg: cfg, rules: stream.NewRules(cfg.Rules), cmd: c,
		events: stream.Reporter{To: cfg.Report}, stop: make(chan struct{}), asked: hello,
	}
	s.cond.L = &s.mu
	s.room.Open = cfg.Copy
	return s
}

// FromClient takes what the client has sent.
func (s *Stream) FromClient(p []byte) error {
	if s.cmd.Upload {
		return s.from(p, &s.line, s.source, s.writeSink)
	}
	return s.from(p, &s.reply, s.sink, s.writeSource)
}

// FromTarget takes what the target has sent.
func (s *Stream) FromTarget(p []byte) error {
	if s.cmd.Upload {
		return s.from(p, &s.reply, s.sink, s.writeSource)
	}
	return s.from(p, &s.line, s.source, s.writeSink)
}

func (s *Stream) from(p []byte, held *[]byte, read func([]byte) (int, error), pass func([]byte) error) error {
	for len(p) > 0 {
		s.mu.Lock()
		raw, err := s.raw, s.err
		s.mu.Unlock()
		if err != nil {
			return err
		}
		if raw {
			b := append(*held, p...)
			*held = nil
			return pass(b)
		}
		n, err := read(p)
		p = p[n:]
		if err != nil {
			if err = s.confused(err); err != nil {
				return err
			}
			if len(p) == 0 && len(*held) > 0 {
				b := *held
				*held = nil
				return pass(b)
			}
		}
	}
	return nil
}

func (s *Stream) writeSink(p []byte) error {
	if s.cmd.Upload {
		return s.put(s.cfg.Target.Write, p)
	}
	return s.put(s.cfg.Client.Write, p)
}

func (s *Stream) writeSource(p []byte) error {
	s.toSource.Lock()
	defer s.toSource.Unlock()
	if s.cmd.Upload {
		return s.put(s.cfg.Client.Write, p)
	}
	return s.put(s.cfg.Target.Write, p)
}

func (s *Stream) put(write func([]byte) (int, error), p []byte) error {
	select {
	case <-s.stop:
		return stream.ErrClosed
	default:
	}
	_, err := write(p)
	return err
}

// ready waits until the source's last record has its response.
func (s *Stream) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.asked != nothing && s.err == nil && !s.raw {
		s.cond.Wait()
	}
	if s.raw {
		return stream.Confusion("")
	}
	return s.err
}

// ask is told what the source waits for from now on.
func (s *Stream) ask(r record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = r
	s.cond.Broadcast()
}

// source takes bytes of the source's and returns how many it has dealt with.
func (s *Stream) source(p []byte) (int, error) {
	if err := s.ready(); err != nil {
		return 0, err
	}
	s.settle()
	if s.left > 0 {
		n := int(min(s.left, int64(len(p))))
		s.now.c.Add(uint64(s.now.size-s.left), p[:n])
		if s.left -= int64(n); s.left == 0 {
			s.tail = true
		}
		return n, s.writeSink(p[:n])
	}
	if s.tail && len(s.line) == 0 && p[0] == 0 {
		s.tail = false
		s.ask(sent)
		return 1, s.writeSink(p[:1])
	}
	if len(s.line) == 0 && p[0] == 0 {
		return 0, stream.Confusion("a status comes where there is no file")
	}
	i := bytes.IndexByte(p[:min(len(p), maxLine)], '\n')
	n := i + 1
	if i < 0 {
		n = min(len(p), maxLine+1)
	}
	if len(s.line)+n > maxLine {
		return 0, stream.Confusion("a line is too long")
	}
	s.line = append(s.line, p[:n]...)
	if i < 0 {
		return n, nil
	}
	err := s.record(string(s.line))
	if _, ok := err.(stream.Confusion); !ok {
		s.line = s.line[:0]
	}
	return n, err
}

// settle takes the answer to the last record.
func (s *Stream) settle() {
	s.mu.Lock()
	done, wanted := s.done, s.said == ""
	s.done = nothing
	s.mu.Unlock()
	switch {
	case done == file && wanted:
		s.tail = s.left == 0
	case done == file:
		s.left = 0
	case done == dir && !wanted:
		s.dirs = s.dirs[:len(s.dirs)-1]
	}
}

// record takes a whole line.
func (s *Stream) record(line string) error {
	text := strings.TrimSuffix(line, "\n")
	if strings.IndexByte(text, 0) >= 0 {
		return stream.Confusion("a line holds a NUL")
	}
	if s.tail { // an error in place of the status
		s.tail = false
		s.mu.Lock()
		s.now.fault = message(text)
		s.mu.Unlock()
		s.ask(sent)
		return s.writeSink([]byte(line))
	}
	switch {
	case text == "":
		return stream.Confusion("a line is empty")
	case text[0] == 1 || text[0] == 2: // nobody answers it
		return s.writeSink([]byte(line))
	case text[0] == 'T':
		return s.pass(times, line)
	case text == "E" && len(s.dirs) > 0:
		s.dirs = s.dirs[:len(s.dirs)-1]
		return s.pass(dirEnd, line)
	case text[0] == 'C' || text[0] == 'D':
		size, name, ok := parseRecord(text)
		if !ok {
			break
		}
		return s.entry(record(text[0]), line, size, name)
	}
	return stream.Confusion("a line is none of scp's")
}

// parseRecord reads "C0644 12 name" as strictly as sink does.
func parseRecord(text string) (size int64, name string, ok bool) {
	fields := strings.SplitN(text, " ", 3)
	if len(fields) != 3 || len(fields[0]) != 5 || strings.Trim(fields[0][1:], "01234567") != "" {
		return 0, "", false
	}
	if fields[1] == "" || strings.Trim(fields[1], "0123456789") != "" {
		return 0, "", false
	}
	size, err := strconv.ParseInt(fields[1], 10, 64)
	name = fields[2]
	if err != nil || name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
		return 0, "", false
	}
	return size, name, true
}

func (s *Stream) pass(r record, line string) error {
	s.ask(r)
	return s.writeSink([]byte(line))
}

// entry judges a file or a directory.
func (s *Stream) entry(r record, line string, size int64, name string) error {
	paths := s.paths(name)
	e := sallyport.FileEvent{Time: s.cfg.Clock(), Op: sallyport.OpDownload}
	if s.cmd.Upload {
		e.Op = sallyport.OpUpload
		if r == dir {
			e.Op, e.Detail = sallyport.OpMkdir, "unless it was there"
		}
	}
	stream.SetPath(&e, paths[0])
	if len(paths) > 1 {
		other, _ := stream.Text(paths[1])
		e.Detail = stream.Sentence(e.Detail, "or "+other+", where that is a directory")
	}
	if no := s.judge(r, paths, size); no != nil {
		return s.refuse(e, no)
	}
	f := &scpFile{event: e, size: size}
	if r == file {
		f.c = content.New(s.cmd.Upload, s.rules.Keep, &s.room)
		s.now, s.left = f, size
	} else {
		s.dirs = append(s.dirs, paths)
	}
	if r == file || s.cmd.Upload {
		s.mu.Lock()
		s.file = f
		s.mu.Unlock()
	}
	return s.pass(r, line)
}

func (s *Stream) judge(r record, paths []string, size int64) *stream.Refusal {
	d := sallyport.FilesDownload
	if s.cmd.Upload {
		d = sallyport.FilesUpload
	}
	if no := s.rules.CheckDirection(d); no != nil {
		return no
	}
	if r == file {
		if no := s.rules.CheckSize(uint64(size)); no != nil {
			return no
		}
	}
	if s.rules.Globs() && !s.cmd.Exact {
		return stream.Denied("your role limits paths, and the command does not tell them")
	}
	for _, p := range paths {
		if no := s.rules.CheckWritten(p); no != nil {
			return no
		}
	}
	if no := s.judged(r, paths); no != nil {
		return no
	}
	for _, p := range s.cmd.Paths {
		if !s.cmd.Upload { // the names come one by one
			p, _ = path.Split(strings.TrimRight(p, "/"))
		}
		if no := s.rules.CheckPattern(p); no != nil {
			return no
		}
	}
	return nil
}

// refuse answers the source as the sink would, and goes on with its next record.
// A client that is the sink is told as a source would tell it.
func (s *Stream) refuse(e sallyport.FileEvent, no *stream.Refusal) error {
	e.Outcome, e.Reason = sallyport.FileRefused, strings.TrimPrefix(no.Text, stream.Prefix)
	s.events.Report(e)
	line := []byte("\x01" + no.Text + "\n")
	if err := s.writeSource(line); err != nil || s.cmd.Upload {
		return err
	}
	return s.writeSink(line)
}

// paths are the places at the target where an entry of that name may be or go:
// one, or two where only the target knows whether a path is a directory.
func (s *Stream) paths(name string) []string {
	if n := len(s.dirs); n > 0 {
		var all []string
		for _, d := range s.dirs[n-1] {
			all = append(all, join(d, name))
		}
		return all
	}
	if !s.cmd.Upload {
		return s.argument(name)
	}
	to := s.cmd.Paths[0]
	inside := join(to, name)
	if s.cmd.IntoDir || strings.HasSuffix(to, "/") || to == "." || to == ".." || to == "~" {
		return []string{inside}
	}
	return []string{to, inside}
}

func join(dir, name string) string {
	if dir == "/" || strings.HasSuffix(dir, "/") {
		return dir + name
	}
	return dir + "/" + name
}

// sink takes bytes of the sink's: responses.
func (s *Stream) sink(p []byte) (int, error) {
	if len(s.reply) == 0 {
		if err := s.expected(); err != nil {
			return 0, err
		}
		if p[0] == 0 {
			if err := s.writeSource(p[:1]); err != nil {
				return 1, err
			}
			s.answered("")
			return 1, nil
		}
	}
	i := bytes.IndexByte(p[:min(len(p), maxLine)], '\n')
	n := i + 1
	if i < 0 {
		n = min(len(p), maxLine+1)
	}
	if len(s.reply)+n > maxLine-1 {
		return 0, stream.Confusion("a response is too long")
	}
	s.reply = append(s.reply, p[:n]...)
	if i < 0 {
		return n, nil
	}
	line := s.reply
	s.reply = nil
	if err := s.writeSource(line); err != nil {
		return n, err
	}
	s.answered(message(strings.TrimSuffix(string(line), "\n")))
	return n, nil
}

// expected waits until the source wants a response: a client that answers ahead
// would agree to what it has not seen. A target that says something unasked is
// not understood: its next responses would be taken for others.
func (s *Stream) expected() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked == nothing && s.cmd.Upload && s.err == nil {
		return stream.Confusion("the target answers what was not asked")
	}
	for s.asked == nothing && s.err == nil && !s.raw {
		s.cond.Wait()
	}
	if s.raw {
		return stream.Confusion("")
	}
	return s.err
}

// message is an error of one end in words.
func message(text string) string {
	text = strings.TrimPrefix(strings.Trim(text, "\x01\x02"), "scp: ")
	if text = sallyport.Printable(text[:min(len(text), 200)]); text == "" {
		return "an error without words"
	}
	return text
}

// answered is told of a response; said is empty where it is no error.
func (s *Stream) answered(said string) {
	s.mu.Lock()
	f := s.file
	s.done, s.said, s.asked = s.asked, said, nothing
	over := f != nil && (s.done == sent || s.done == dir || s.done == file && said != "")
	if over {
		s.file = nil
	}
	s.mu.Unlock()
	if over {
		s.report(f, sallyport.FileComplete, said)
	}
	s.mu.Lock()
	s.cond.Broadcast()
	s.mu.Unlock()
}

// report tells of a file or a directory that is over.
func (s *Stream) report(f *scpFile, outcome, reason string) {
	e := f.event
	if f.c != nil {
		r := f.c.Finish()
		e.Bytes, e.Size, e.SHA256, e.NoSum, e.Kept = r.Moved, r.Size, r.Sum, r.NoSum, r.Kept
		e.Detail = stream.Sentence(e.Detail, r.Unkept)
		e.EndedAt = s.cfg.Clock()
	}
	e.Outcome, e.Reason = outcome, reason
	if f.fault != "" {
		reason = f.fault
	}
	if outcome == sallyport.FileComplete && reason != "" {
		e.Outcome, e.Reason = sallyport.FileFailed, reason
	}
	s.events.Report(e)
}

// confused takes an error of a side: it ends the channel, or, where that was only
// not understood and may be, makes the rest pass unread.
func (s *Stream) confused(err error) error {
	reason, ok := err.(stream.Confusion)
	if !ok {
		return err
	}
	s.mu.Lock()
	if s.err != nil || s.raw {
		defer s.mu.Unlock()
		return s.err
	}
	if s.cfg.EndsOnConfusion() {
		s.err = &stream.ConfusedError{Reason: string(reason)}
	} else {
		s.raw = true
	}
	f, err := s.file, s.err
	s.file = nil
	s.cond.Broadcast()
	s.mu.Unlock()
	if f != nil {
		s.report(f, sallyport.FileBroken, "the rest was not understood: "+string(reason))
	}
	if s.cfg.Confused != nil {
		s.cfg.Confused(string(reason))
	}
	return err
}

// ClientDone is told that the client sends nothing more.
func (s *Stream) ClientDone() error { return s.over(s.cmd.Upload) }

// TargetDone is told that the target sends nothing more.
func (s *Stream) TargetDone() error { return s.over(!s.cmd.Upload) }

// over is told that the source, or the sink, sends nothing more. What was held
// back of a line will never be one.
func (s *Stream) over(source bool) error {
	s.mu.Lock()
	pass := s.err == nil && !s.cfg.EndsOnConfusion()
	err := s.err
	s.mu.Unlock()
	switch {
	case pass && source && len(s.line) > 0:
		err = s.writeSink(s.line)
	case pass && !source && len(s.reply) > 0:
		err = s.writeSource(s.reply)
	}
	if !source { // no response will come
		s.mu.Lock()
		defer s.mu.Unlock()
		s.close()
	}
	return err
}

// close ends every wait. It is called with mu held.
func (s *Stream) close() {
	if s.err == nil {
		s.err = stream.ErrClosed
	}
	s.cond.Broadcast()
}

// Close ends the channel. What is open is broken.
func (s *Stream) Close() {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.ended = true
	close(s.stop)
	s.close()
	f := s.file
	s.file = nil
	s.mu.Unlock()
	if f != nil {
		s.report(f, sallyport.FileBroken, "the channel ended before all of it had moved")
	}
}
