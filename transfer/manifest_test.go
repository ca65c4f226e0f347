package transfer

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/pkg/sftp"

	"sallyport"
)

// newClient is a client of another make on a rig's channel.
func newClient(t testing.TB, rules sallyport.FileRules) (*rig, *sftp.Client) {
	t.Helper()
	in, out := newBuffer(), newBuffer()
	r := startRig(t, t.TempDir(), rules, out)
	go func() {
		defer r.kill()
		buf := make([]byte, 70000)
		for {
			n, err := in.Read(buf)
			if err != nil || r.s.FromClient(buf[:n]) != nil {
				return
			}
		}
	}()
	c, err := sftp.NewClientPipe(out, in, sftp.UseConcurrentWrites(true), sftp.UseConcurrentReads(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return r, c
}

// The digests are those of the files on disk, for a client that writes and reads
// concurrently, in any order and size, many files at a time.
func TestManifest(t *testing.T) {
	r, c := newClient(t, sallyport.FileRules{Keep: 1 << 20})
	random := rand.New(rand.NewPCG(1, 2))
	var files sync.WaitGroup
	sizes := map[string]int{"empty": 0, "one": 1, "block": 32768, "odd": 100_003, "large": 5<<20 + 17, "larger": 20 << 20}
	for i := range 20 {
		sizes[fmt.Sprintf("f %d", i)] = random.IntN(300_000)
	}
	contents := map[string][]byte{}
	for name, n := range sizes {
		b := make([]byte, n)
		for i := 0; i < n; i += 8 {
			copy(b[i:], fmt.Appendf(nil, "%08x", random.Uint32()))
		}
		contents[name] = b
	}
	order := map[string][]int{} // the blocks of files that are written in no order
	for name, b := range contents {
		if len(b) < 3<<20 {
			order[name] = random.Perm((len(b) + 4095) / 4096)
		}
	}
	room := make(chan struct{}, 4)
	for name, b := range contents {
		files.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			f, err := c.Create(filepath.Join(r.dir, name))
			if err != nil {
				t.Error(err)
				return
			}
			if order[name] != nil {
				for _, k := range order[name] {
					end := min(len(b), (k+1)*4096+k%3*100) // some overlap
					if _, err := f.WriteAt(b[k*4096:end], int64(k)*4096); err != nil {
						t.Error(err)
					}
				}
			} else if _, err := f.ReadFrom(bytes.NewReader(b)); err != nil {
				t.Error(err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	files.Wait()
	check := func(op sallyport.FileOp) {
		t.Helper()
		seen := map[string]bool{}
		for _, e := range r.all() {
			if e.Op != op {
				continue
			}
			onDisk, err := os.ReadFile(e.Path)
			if err != nil || !bytes.Equal(onDisk, contents[filepath.Base(e.Path)]) {
				t.Fatalf("%s at the target: %v", e.Path, err)
			}
			if e.SHA256 != sum(onDisk) || e.Size != int64(len(onDisk)) || e.Outcome != sallyport.FileComplete {
				t.Errorf("%+v: the file has %d bytes", e, len(onDisk))
			}
			if kept := e.Kept != ""; kept != (e.Size > 0 && e.Size <= 1<<20) {
				t.Errorf("%s of %d bytes: kept %v", e.Path, e.Size, kept)
			}
			seen[filepath.Base(e.Path)] = true
		}
		if got, want := slices.Sorted(maps.Keys(seen)), slices.Sorted(maps.Keys(contents)); !slices.Equal(got, want) {
			t.Errorf("%s of %q, want %q", op, got, want)
		}
	}
	check(sallyport.OpUpload)
	for name, b := range contents {
		files.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			f, err := c.Open(filepath.Join(r.dir, name))
			if err != nil {
				t.Error(err)
				return
			}
			if len(b)%2 == 0 {
				if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, b) {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
				}
			} else {
				buf := make([]byte, 10_000)
				for _, k := range rand.New(rand.NewPCG(3, 4)).Perm(len(b)/8000 + 1) {
					if _, err := f.ReadAt(buf, int64(k)*8000); err != nil && err != io.EOF {
						t.Error(err)
					}
				}
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	files.Wait()
	check(sallyport.OpDownload)
	if len(r.confused) > 0 {
		t.Errorf("confused: %q", r.confused)
	}
}
