// Package content takes the bytes of one file as they move, in whatever order,
// and tells their digest at the end. Nothing waits for it.
package content

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"math"
	"slices"
	"sync"
)

// firstCopy is how much of the beginning of an uploaded file is at hand, in case
// it is written again.
const firstCopy = 16 << 20

// maxRehash bounds how often the kept beginning of one file is hashed again.
const maxRehash = 16

// File is one file's bytes on their way in one direction. What comes in order is
// hashed at once; what is ahead of that waits in the store, which also has a copy
// of the beginning, up to limit. Safe for concurrent use.
type File struct {
	mu     sync.Mutex
	upload bool  // what is written again counts; what is read again is compared
	limit  int64 // how much of the beginning is copied
	keep   int64 // a file up to this size is kept

	store    store
	sum      hash.Hash // of the bytes 0 to done
	done     int64     // everything before this has come
	size     int64     // the end of the furthest byte that has come
	moved    int64
	ahead    []span // what has come behind done: sorted, apart from each other
	stale    bool   // sum is of what the copy had before
	rehashes int
	copied   bool   // the store has all bytes from 0 to done
	noSum    string // why there will be no digest
	length   int64  // what the file was cut or stretched to; -1: it was not
	over     bool   // reported: nothing counts any more
}

type span struct{ from, to int64 }

// New returns a file of which nothing has come. One that is uploaded may be
// written again; one up to keep bytes is kept.
func New(upload bool, keep int64, r *Room) *File {
	c := &File{upload: upload, limit: keep, keep: keep, sum: sha256.New(), copied: true, length: -1}
	c.store.room = r
	if upload {
		c.limit = max(c.limit, firstCopy)
	}
	return c
}

// fail gives the digest up. Nothing is held for it any more.
func (c *File) fail(format string, args ...any) {
	if c.over {
		return
	}
	if c.noSum == "" {
		c.noSum = fmt.Sprintf(format, args...)
	}
	c.drop()
	c.ahead = nil
}

func (c *File) lock() func() {
	c.mu.Lock()
	return c.mu.Unlock
}

// NoDigest says why there can be no digest. The first reason counts.
func (c *File) NoDigest(why string) {
	defer c.lock()()
	c.fail("%s", why)
}

// drop gives the copy of the beginning up.
func (c *File) drop() {
	c.store.reset()
	c.copied = false
}

// Add takes bytes of the file, which it does not keep.
func (c *File) Add(offset uint64, p []byte) {
	defer c.lock()()
	if len(p) == 0 || c.over {
		return
	}
	if offset > math.MaxInt64-uint64(len(p)) {
		c.fail("an offset is beyond every file")
		return
	}
	off := int64(offset)
	end := off + int64(len(p))
	c.size = max(c.size, end)
	if c.upload || c.noSum != "" {
		c.moved += int64(len(p))
	} else {
		c.moved += c.missing(off, end)
	}
	if c.noSum != "" {
		return
	}
	if off < c.done {
		n := min(c.done, end) - off
		if c.again(off, p[:n]); c.noSum != "" {
			return
		}
		if p, off = p[n:], off+n; len(p) == 0 {
			return
		}
	}
	if off == c.done {
		c.next(p)
		c.drain()
	} else {
		c.wait(off, p)
	}
}

// missing counts the bytes from off to end that have not come yet.
func (c *File) missing(off, end int64) int64 {
	off = max(off, c.done)
	n := max(0, end-off)
	for _, s := range c.ahead {
		n -= max(0, min(end, s.to)-max(off, s.from))
	}
	return n
}

// again takes bytes that have come before.
func (c *File) again(off int64, p []byte) {
	if !c.copied {
		if c.upload {
			c.fail("byte %d was written again when no copy of it was at hand", off)
		}
		return // read twice: it counts once
	}
	had := make([]byte, len(p))
	if err := c.store.read(had, off); err != nil {
		c.fail("the copy cannot be read: %v", err)
		return
	}
	switch {
	case bytes.Equal(had, p):
	case !c.upload:
		c.fail("byte %d and more were read twice and had changed", off)
	default:
		if err := c.store.write(p, off); err != nil {
			c.fail("the copy cannot be written: %v", err)
			return
		}
		c.stale = true
	}
}

// next takes the bytes that follow what is done.
func (c *File) next(p []byte) {
	if c.copied && c.done < c.limit {
		if err := c.store.write(p[:min(int64(len(p)), c.limit-c.done)], c.done); err != nil {
			c.lost()
		}
	}
	c.hash(p)
}

// lost is told that the copy of the beginning has an end.
func (c *File) lost() {
	if c.stale || len(c.ahead) > 0 {
		c.fail("no room is left for a copy")
		return
	}
	c.drop()
}

// hash takes the bytes that follow what is done, of which there is a copy as far
// as there is to be one.
func (c *File) hash(p []byte) {
	if c.noSum != "" {
		return
	}
	c.done += int64(len(p))
	if c.copied && c.done > c.limit {
		inside := max(0, c.limit-(c.done-int64(len(p))))
		if c.stale { // the last moment: from here on there is no whole copy
			c.rehash(c.limit)
			p = p[inside:]
		}
		c.copied = false
	}
	if !c.stale {
		c.sum.Write(p)
	}
}

// rehash hashes the first n bytes again, from the copy.
func (c *File) rehash(n int64) {
	if c.rehashes++; c.rehashes > maxRehash {
		c.fail("it was written again too often")
		return
	}
	c.sum.Reset()
	c.stale = false
	buf := make([]byte, 64<<10)
	for off := int64(0); off < n; {
		b := buf[:min(int64(len(buf)), n-off)]
		if err := c.store.read(b, off); err != nil {
			c.fail("the copy cannot be read: %v", err)
			return
		}
		c.sum.Write(b)
		off += int64(len(b))
	}
}

// wait takes bytes that are ahead.
func (c *File) wait(off int64, p []byte) {
	if err := c.store.write(p, off); err != nil {
		c.fail("it came too far out of order: %v", err)
		return
	}
	c.ahead = join(c.ahead, span{off, off + int64(len(p))})
	var n int64
	for _, s := range c.ahead {
		n += s.to - s.from
	}
	if n > maxAhead || len(c.ahead) > maxGaps {
		c.fail("it came too far out of order")
	}
}

// join adds a span to sorted ones.
func join(all []span, s span) []span {
	i, _ := slices.BinarySearchFunc(all, s.from, func(a span, from int64) int { return cmp.Compare(a.to, from) })
	j := i
	for ; j < len(all) && all[j].from <= s.to; j++ {
		s.from, s.to = min(s.from, all[j].from), max(s.to, all[j].to)
	}
	return slices.Replace(all, i, j, s)
}

// drain takes what was ahead and is in order now.
func (c *File) drain() {
	var buf []byte
	for len(c.ahead) > 0 && c.noSum == "" {
		s := c.ahead[0]
		if s.from > c.done {
			break
		}
		if buf == nil {
			buf = make([]byte, 64<<10)
		}
		for c.done < s.to && c.noSum == "" {
			b := buf[:min(int64(len(buf)), s.to-c.done)]
			if err := c.store.read(b, c.done); err != nil {
				c.fail("the copy cannot be read: %v", err)
				return
			}
			c.hash(b) // it is in the store already
		}
		c.ahead = slices.Delete(c.ahead, 0, min(1, len(c.ahead)))
	}
	if c.done > c.limit && c.noSum == "" {
		if len(c.ahead) == 0 {
			c.drop()
		} else {
			c.store.passed(c.done)
		}
	}
}

// Cut sets the length of the file, as ftruncate does.
func (c *File) Cut(length uint64) {
	defer c.lock()()
	if length > math.MaxInt64 || c.over {
		return // no file is so long: the target refuses it
	}
	n := int64(length)
	c.length = n
	if n >= c.size {
		return
	}
	c.size = n
	if c.noSum != "" {
		return
	}
	c.ahead = slices.DeleteFunc(c.ahead, func(s span) bool { return s.from >= n })
	if last := len(c.ahead) - 1; last >= 0 {
		c.ahead[last].to = min(c.ahead[last].to, n)
	}
	if n >= c.done {
		return
	}
	switch {
	case n == 0:
		c.sum.Reset()
		c.store.reset()
		c.copied, c.stale = true, false
	case c.copied:
		c.stale = true
	default:
		c.fail("it was cut to %d bytes when no copy of them was at hand", n)
	}
	c.done = n
}

// digest returns the SHA-256 in hex, or why there is none.
func (c *File) digest() (sum, why string) {
	if c.noSum == "" && c.done < c.size {
		next := c.size
		if len(c.ahead) > 0 {
			next = c.ahead[0].from
		}
		c.noSum = fmt.Sprintf("bytes %d to %d did not move", c.done, next)
	}
	if c.noSum == "" && c.stale {
		c.rehash(c.done)
	}
	if c.noSum != "" {
		return "", c.noSum
	}
	return hex.EncodeToString(c.sum.Sum(nil)), ""
}

// kept makes the copy a file of the recording, where there is to be one. why
// says why there is none although there should be.
func (c *File) kept(sum string) (name, why string) {
	if c.keep == 0 || c.size == 0 || c.size > c.keep {
		return "", ""
	}
	if err := c.fillGaps(); err != nil {
		return "", "no copy was kept: " + err.Error()
	}
	name, err := c.store.file.Keep(c.size, sum)
	if err != nil {
		return "", "no copy was kept: " + err.Error()
	}
	return name, ""
}

// fillGaps moves the copy to a file, with zeros for what did not move.
func (c *File) fillGaps() error {
	if c.store.file == nil {
		if c.store.pages == nil {
			return errRoom // it was given up
		}
		if err := c.store.spill(); err != nil {
			return err
		}
	}
	at, zeros := c.done, make([]byte, 32<<10)
	for _, s := range append(c.ahead, span{c.size, c.size}) {
		for at < s.from {
			n := min(int64(len(zeros)), s.from-at)
			if err := c.store.put(zeros[:n], at); err != nil {
				return err
			}
			at += n
		}
		at = s.to
	}
	return nil
}

// Result is what is known about a file in the end.
type Result struct {
	Moved  int64  // bytes; what was read twice counts once
	Size   int64  // the end of the furthest byte
	Length int64  // what the file was cut or stretched to; -1: it was not
	Sum    string // SHA-256 of the bytes 0 to Size, in hex
	NoSum  string // why there is none
	Kept   string // the name of the copy
	Unkept string // why there is none although there should be
}

// Finish ends the file. It is called once; later calls of others do nothing.
func (c *File) Finish() (r Result) {
	defer c.lock()()
	c.over = true
	r.Sum, r.NoSum = c.digest()
	r.Kept, r.Unkept = c.kept(r.Sum)
	r.Moved, r.Size, r.Length = c.moved, c.size, c.length
	c.store.reset()
	return r
}
