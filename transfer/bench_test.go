package transfer

import (
	"encoding/binary"
	"fmt"
	"io"
	"syscall"
	"testing"

	"sallyport"
	"sallyport/internal/wire"
)

// cpu is what this process has used, in seconds.
func cpu() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// The cost of following a file: 256 MiB in one, in packets of the sizes that
// clients use, as the channel delivers them (32 KiB). CPU-s/GB is the number to
// look at.
func BenchmarkSFTP(b *testing.B) {
	const size = 256 << 20
	for _, packet := range []int{32 << 10, 255 << 10} {
		for _, upload := range []bool{true, false} {
			name := map[bool]string{true: "WRITE", false: "DATA"}[upload]
			b.Run(fmt.Sprintf("%s/%dKiB", name, packet>>10), func(b *testing.B) {
				dir := b.TempDir()
				b.SetBytes(size)
				b.ReportAllocs()
				began, n := cpu(), 0
				for b.Loop() {
					n++
					j := &journal{}
					cfg := j.config(b, sallyport.FileRules{})
					cfg.Target, cfg.Client = io.Discard, io.Discard
					s := NewSFTP(cfg)
					must := func(err error) {
						if err != nil {
							b.Fatal(err)
						}
					}
					must(s.FromClient(wire.SFTPRequest{Type: wire.SFTPInit, ID: 3}.Append(nil)))
					must(s.FromTarget([]byte{0, 0, 0, 5, wire.SFTPVersion, 0, 0, 0, 3}))
					must(s.FromClient(openFor(dir+"/f", create|wire.OpenRead).Append(nil)))
					must(s.FromTarget([]byte{0, 0, 0, 10, wire.SFTPHandle, 0, 0, 0, 0, 0, 0, 0, 1, 'h'}))
					buf := make([]byte, packet+100)
					feed := func(to func([]byte) error, p []byte) {
						for len(p) > 0 {
							k := min(len(p), 32<<10)
							must(to(p[:k]))
							p = p[k:]
						}
					}
					for off := 0; off < size; off += packet {
						q := wire.SFTPRequest{Type: wire.SFTPWrite, ID: 1, Handle: "h", Offset: uint64(off), Length: uint64(packet)}
						if !upload {
							q.Type = wire.SFTPRead
							must(s.FromClient(q.Append(buf[:0])))
							head := binary.BigEndian.AppendUint32(buf[:0], uint32(9+packet))
							head = append(head, wire.SFTPData, 0, 0, 0, 1)
							head = binary.BigEndian.AppendUint32(head, uint32(packet))
							feed(s.FromTarget, buf[:len(head)+packet])
							continue
						}
						feed(s.FromClient, buf[:len(q.Append(buf[:0]))+packet])
						must(s.FromTarget(wire.AppendSFTPStatus(nil, 1, 0, "")))
					}
					s.Close()
				}
				b.ReportMetric((cpu()-began)/float64(n)/(size/1e9), "CPU-s/GB")
			})
		}
	}
}
