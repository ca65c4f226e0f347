package content

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// scratch is a copy in a temporary directory.
type scratch struct {
	*os.File
	kept int64
}

func (s *scratch) Keep(size int64, _ string) (string, error) {
	s.kept = size
	return "kept", s.Truncate(size)
}

func (s *scratch) Close() error {
	if s.kept > 0 {
		return nil
	}
	return errors.Join(s.File.Close(), os.Remove(s.Name()))
}

func newRoom(dir string) (*Room, *[]*scratch) {
	var all []*scratch
	return &Room{Open: func() (Copy, error) {
		f, err := os.CreateTemp(dir, "scratch-")
		if err != nil {
			return nil, err
		}
		all = append(all, &scratch{File: f})
		return all[len(all)-1], nil
	}}, &all
}

func hexSum(p []byte) string {
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:])
}

// Pieces in any order, overlapping, written again and cut, are digested as the
// file that they make; where they are not, the reason given is true.
func TestContentIsWhatTheFileIs(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		room, _ := newRoom(dir)
		upload := rapid.Bool().Draw(t, "upload")
		c := New(upload, 0, room)
		// Small enough that pieces cross it.
		c.limit = int64(rapid.SampledFrom([]int{0, 100, 5000, 200_000, 16 << 20}).Draw(t, "limit"))
		whole := rapid.Bool().Draw(t, "large")
		unit := 100
		if whole {
			unit = 40_000
		}
		var file, has []byte // has: 1 where a byte came
		grow := func(n int) {
			for len(file) < n {
				file, has = append(file, make([]byte, n-len(file))...), append(has, make([]byte, n-len(has))...)
			}
		}
		original := rapid.Byte().Draw(t, "seed")
		at := func(i int) byte { return byte(i*7+i>>8) ^ original }
		salt, longest := byte(0), 0
		for range rapid.IntRange(1, 30).Draw(t, "pieces") {
			if upload && rapid.IntRange(0, 9).Draw(t, "cut") == 0 {
				n := rapid.IntRange(0, len(file)+unit).Draw(t, "length")
				c.Cut(uint64(n))
				if n < len(file) {
					file, has = file[:n], has[:n]
				}
				continue
			}
			off := rapid.IntRange(0, max(0, len(file)+rapid.SampledFrom([]int{0, 0, 0, unit}).Draw(t, "gap"))).Draw(t, "offset")
			if rapid.Bool().Draw(t, "in order") {
				off = len(file)
			}
			n := rapid.IntRange(0, unit).Draw(t, "size")
			p := make([]byte, n)
			if upload && rapid.Bool().Draw(t, "new content") {
				salt++
			}
			for i := range p {
				p[i] = at(off+i) ^ salt
				if !upload {
					p[i] = at(off + i)
				}
			}
			if n == 0 {
				continue
			}
			grow(off + n)
			longest = max(longest, off+n)
			copy(file[off:], p)
			copy(has[off:], bytes.Repeat([]byte{1}, n))
			// A payload comes in any number of parts.
			part := rapid.IntRange(0, n).Draw(t, "part")
			c.Add(uint64(off), p[:part])
			c.Add(uint64(off+part), p[part:])
		}
		r := c.Finish()
		hole := bytes.IndexByte(has, 0) >= 0
		switch {
		case r.Sum != "" && (hole || r.Sum != hexSum(file)):
			t.Fatalf("the digest is of something else (hole: %v)", hole)
		case r.Size != int64(len(file)):
			t.Fatalf("size %d, want %d", r.Size, len(file))
		case r.Sum == "" && !hole && (!upload || int64(longest) <= c.limit):
			t.Fatalf("no digest: %s", r.NoSum)
		}
		if m := room.memory.Load(); m != 0 {
			t.Fatalf("%d bytes of memory are still counted", m)
		}
		if d := room.disk.Load(); d != 0 {
			t.Fatalf("%d bytes of disk are still counted", d)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
			t.Fatalf("%d scratch files are left", len(left))
		}
	})
}

// A file that is written again after more than the kept beginning, one that
// comes backwards, one without scratch space: what cannot be known is said.
func TestContentBeyondItsBounds(t *testing.T) {
	chunk := bytes.Repeat([]byte("sallyport"), 4000)
	n := uint64(len(chunk))
	for name, tt := range map[string]struct {
		upload bool
		do     func(c *File)
		want   string // of NoSum
	}{
		"header last": {true, func(c *File) {
			for off := n; off < 4<<20; off += n {
				c.Add(off, chunk)
			}
			c.Add(0, chunk)
		}, ""},
		"again within the copy": {true, func(c *File) {
			for off := uint64(0); off < 15<<20; off += n {
				c.Add(off, chunk)
			}
			c.Add(5, []byte("other"))
		}, ""},
		"again behind it": {true, func(c *File) {
			for off := uint64(0); off < 17<<20; off += n {
				c.Add(off, chunk)
			}
			c.Add(5, []byte("other"))
		}, "byte 5 was written again when no copy of it was at hand"},
		"a hole":           {true, func(c *File) { c.Add(0, chunk); c.Add(n+1, chunk) }, "bytes 36000 to 36001 did not move"},
		"only the end":     {true, func(c *File) { c.Add(1<<40, chunk) }, "bytes 0 to 1099511627776 did not move"},
		"beyond all files": {true, func(c *File) { c.Add(math.MaxUint64-5, chunk) }, "an offset is beyond every file"},
		"every second byte": {false, func(c *File) {
			for off := uint64(1); off < 5000; off += 2 {
				c.Add(off, []byte("x"))
			}
		}, "it came too far out of order"},
		"read twice, changed": {false, func(c *File) { c.Add(0, chunk); c.Add(0, []byte("SALLY")) }, ""},
		"cut, and written again and again": {true, func(c *File) {
			for off := uint64(0); off < 16<<20; off += n {
				c.Add(off, chunk)
			}
			for range 20 {
				c.Cut(16<<20 - 1)
				c.Add(16<<20-1, chunk)
			}
		}, "it was cut to 16777215 bytes when no copy of them was at hand"},
	} {
		t.Run(name, func(t *testing.T) {
			room, _ := newRoom(t.TempDir())
			c := New(tt.upload, 0, room)
			tt.do(c)
			if r := c.Finish(); r.NoSum != tt.want || (r.Sum == "") != (tt.want != "") {
				t.Errorf("no sum: %q, sum %q; want %q", r.NoSum, r.Sum, tt.want)
			}
			if room.memory.Load() != 0 || room.disk.Load() != 0 {
				t.Error("room is still taken")
			}
		})
	}
	r := func() Result {
		c := New(true, 0, &Room{})
		for off := uint64(n); off < 2<<20; off += n {
			c.Add(off, chunk)
		}
		return c.Finish()
	}()
	if r.NoSum == "" {
		t.Error("out of order by more than there is memory, without a scratch file")
	}
}

// A kept copy is the file: byte for byte, also where it came in no order.
func TestKept(t *testing.T) {
	for _, upload := range []bool{true, false} {
		room, copies := newRoom(t.TempDir())
		c := New(upload, 3<<20, room)
		want := bytes.Repeat([]byte("0123456789abcdef"), 1<<17) // 2 MiB
		c.Add(1<<20, want[1<<20:])
		c.Add(0, want[:1<<20])
		r := c.Finish()
		if r.Kept != "kept" || r.Sum != hexSum(want) {
			t.Fatalf("%+v", r)
		}
		got, err := os.ReadFile((*copies)[0].Name())
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("the copy has %d bytes, and not the file's: %v", len(got), err)
		}
	}
	room, copies := newRoom(t.TempDir())
	c := New(true, 1000, room)
	c.Add(0, []byte("abc"))
	c.Add(6, []byte("ghi"))
	r := c.Finish()
	got, err := os.ReadFile((*copies)[0].Name())
	if err != nil || string(got) != "abc\x00\x00\x00ghi" || r.Sum != "" || r.Kept == "" {
		t.Errorf("a file with a hole is kept as %q: %v, %+v", got, err, r)
	}
	large := New(true, 1000, room)
	large.Add(0, make([]byte, 1001))
	if r := large.Finish(); r.Kept != "" || r.Unkept != "" {
		t.Errorf("a larger file: %+v", r)
	}
}
