package front

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// C11: who is gone is lost within two intervals of the last sign of life, not
// before one and a half of them, and was asked in between; whenever that sign was.
func TestTheHeartLosesTheDeadWithinTwoIntervals(t *testing.T) {
	const interval = 15 * time.Second
	for offset := time.Duration(1); offset < interval; offset += 700 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			h := NewHeart(interval)
			v := &Vital{}
			var asked time.Time
			var asks int
			lost := make(chan struct{})
			h.Watch(&Pulse{Vital: v, Lost: func() { close(lost) }, Ask: func() {
				asks++
				asked = time.Now()
				<-lost // no answer
			}})
			time.Sleep(offset)
			v.sign()
			last := time.Now()
			<-lost
			synctest.Wait()
			switch silence := time.Since(last); {
			case silence > 2*interval, silence < 3*interval/2:
				t.Errorf("lost after %v", silence)
			case asks != 1, asked.Sub(last) < interval, time.Since(asked) < interval/2:
				t.Errorf("asked %d times, the first after %v, %v before it was lost", asks, asked.Sub(last), time.Since(asked))
			}
			time.Sleep(interval) // nobody is left to watch
			synctest.Wait()
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.beating {
				t.Error("the heart beats for nobody")
			}
		})
	}
}

// The living are not Lost: neither those who answer, nor those who talk and are
// not even asked; and nobody because the gateway was stopped.
func TestTheHeartKeepsTheLiving(t *testing.T) {
	const interval = 15 * time.Second
	synctest.Test(t, func(t *testing.T) {
		h := NewHeart(interval)
		var asks [2]atomic.Int32
		answers, talks := &Vital{}, &Vital{}
		gone := func() { t.Error("lost") }
		p := &Pulse{Vital: answers, Lost: gone, Ask: func() {
			asks[0].Add(1)
			time.Sleep(interval / 2)
			answers.sign()
		}}
		h.Watch(p)
		q := &Pulse{Vital: talks, Lost: gone, Ask: func() { asks[1].Add(1) }}
		h.Watch(q)
		for range 100 {
			time.Sleep(interval * 9 / 10)
			talks.sign()
		}
		if n := asks[0].Load(); n < 50 || n > 90 || asks[1].Load() != 0 {
			t.Errorf("asked %d and %d times", n, asks[1].Load())
		}
		h.Forget(p)
		h.Forget(q)
		time.Sleep(interval)
	})
}

// A thousand idle sessions are asked by the same looks.
func TestTheHeartAsksTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHeart(16 * time.Second)
		defer time.Sleep(16 * time.Second) // it stops when all are forgotten
		var mu sync.Mutex
		at := map[time.Time]int{}
		for range 1000 {
			time.Sleep(7 * time.Millisecond)
			p := &Pulse{Vital: &Vital{}, Lost: func() {}}
			p.Ask = func() {
				mu.Lock()
				at[time.Now()]++
				mu.Unlock()
				p.Vital.sign()
			}
			h.Watch(p)
			defer h.Forget(p)
		}
		time.Sleep(160 * time.Second)
		synctest.Wait()
		total := 0
		for _, n := range at {
			total += n
		}
		if len(at) > 44 || total < 7500 {
			t.Errorf("%d asked at %d moments", total, len(at))
		}
	})
}
