package judge_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkHeldEnter is how long Enter is held at bash, for lines that are typed
// key by key, as people do, and for what only the screen tells.
func BenchmarkHeldEnter(b *testing.B) {
	for _, bb := range []struct {
		name string
		line func(d *desk)
	}{
		{"typed", func(d *desk) {
			for _, k := range "true 1234567" {
				d.keys(string(k))
				d.wait(string(k))
			}
		}},
		{"recalled", func(d *desk) {
			d.keys("\x1b[A")
			d.wait("true")
		}},
		{"in one packet", func(d *desk) {}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			d := sit(b, rules(b), bash...)
			d.run("true 1")
			d.change(func() { d.held = nil })
			for b.Loop() {
				bb.line(d)
				if bb.name == "in one packet" {
					d.keys("true 1\r")
				} else {
					d.keys("\r")
				}
				d.wait("ready$ ")
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			slices.Sort(d.held)
			n := len(d.held)
			b.ReportMetric(float64(d.held[n/2].Nanoseconds())/1e6, "ms-p50")
			b.ReportMetric(float64(d.held[n*99/100].Nanoseconds())/1e6, "ms-p99")
			b.Log(bins(d.held))
		})
	}
}

// bins counts sorted durations.
func bins(all []time.Duration) string {
	var out strings.Builder
	last := 0
	for _, most := range []time.Duration{10 * time.Microsecond, 100 * time.Microsecond, time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Hour} {
		i, _ := slices.BinarySearch(all, most)
		fmt.Fprintf(&out, "under %v: %d  ", most, i-last)
		last = i
	}
	return out.String()
}
