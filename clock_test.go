package sallyport_test

import (
	"testing"
	"time"

	"sallyport"
)

// Attack (G5): set the gateway's clock back and stay in for an hour more.
func TestSteadyNeverGoesBack(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	wall := start
	clock := sallyport.Steady(func() time.Time { return wall })
	for _, tt := range []struct{ wall, want time.Duration }{
		{0, 0},
		{10 * time.Second, 10 * time.Second},
		{-time.Hour, 10 * time.Second},
		{-time.Hour + 5*time.Second, 15 * time.Second}, // time goes on all the same
		{20 * time.Second, time.Hour + 30*time.Second}, // set right again: a jump ahead, as far as anybody can tell
		{3 * time.Hour, 3*time.Hour + time.Hour + 10*time.Second},
		{9 * time.Hour, 10*time.Hour + 10*time.Second},
	} {
		wall = start.Add(tt.wall)
		if got := clock().Sub(start); got != tt.want {
			t.Errorf("at %v it shows %v, want %v", tt.wall, got, tt.want)
		}
	}
}
