package notify

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"sallyport"
)

// journal is an audit log in memory, which the notifier follows.
type journal struct {
	n    *Notifier
	down error

	mu     sync.Mutex
	events []sallyport.Event
}

func (j *journal) Append(e sallyport.Event) error {
	j.mu.Lock()
	if j.down != nil {
		defer j.mu.Unlock()
		return j.down
	}
	j.events = append(j.events, e)
	seq := uint64(len(j.events))
	j.mu.Unlock()
	j.n.Offer(seq, e)
	return nil
}

// lost returns what is said about a hook, and how many events that are in all.
func (j *journal) lost(hook string) (entries, count int, reasons string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.events {
		if e.Type != "notify.lost" || e.Details["hook"] != hook {
			continue
		}
		var n int
		if _, err := fmt.Sscan(e.Details["count"], &n); err != nil {
			panic(err)
		}
		entries, count, reasons = entries+1, count+n, reasons+e.Reason+"\n"
	}
	return entries, count, reasons
}

func newTest(hooks ...Hook) (*Notifier, *journal, *bytes.Buffer) {
	var log bytes.Buffer
	n := &Notifier{
		Gateway: "gate", Random: rand.Reader, Log: zerolog.New(zerolog.SyncWriter(&log)),
		Jitter: func() float64 { return 1 },
	}
	j := &journal{n: n}
	n.Audit = j
	n.Set(hooks)
	return n, j, &log
}

// start runs n until stop is called, which returns when it has ended.
func start(n *Notifier) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { n.Run(ctx); close(done) }()
	return func() { cancel(); <-done }
}

func alert(typ string, s sallyport.Severity) sallyport.Event {
	return sallyport.Event{Type: typ, Severity: s, User: "alice"}
}

// ear is a command that writes down what it is told.
type ear struct {
	mu    sync.Mutex
	heard []wire
	err   error
}

func (r *ear) exec(_ context.Context, _ []string, input []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var w wire
	if err := json.Unmarshal(input, &w); err != nil {
		panic(err)
	}
	r.heard = append(r.heard, w)
	return r.err
}

func (r *ear) types() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, w := range r.heard {
		all = append(all, w.Type)
	}
	return strings.Join(all, " ")
}

func TestWhoHearsOfWhat(t *testing.T) {
	for _, tt := range []struct {
		hook Hook
		want string
	}{
		{Hook{Severity: sallyport.SeverityAlert}, "command.deny command.terminate"},
		{Hook{Severity: sallyport.SeverityCritical}, "command.terminate"},
		{Hook{Severity: sallyport.SeverityInfo}, "session.start session.kill command.deny command.terminate"},
		{Hook{Severity: sallyport.SeverityInfo, Events: []string{"session.kill", "command.*"}}, "session.kill command.deny command.terminate"},
		{Hook{Severity: sallyport.SeverityCritical, Events: []string{"session.*"}}, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			tt.hook.Name, tt.hook.Command = "h", []string{"/x"}
			n, _, _ := newTest(tt.hook)
			var r ear
			n.Exec = r.exec
			stop := start(n)
			n.Offer(1, alert("session.start", ""))
			n.Offer(2, alert("session.kill", sallyport.SeverityWarning))
			n.Offer(3, alert("command.deny", sallyport.SeverityAlert))
			n.Offer(4, alert("command.terminate", sallyport.SeverityCritical))
			synctest.Wait()
			stop()
			if got := r.types(); got != tt.want {
				t.Errorf("%+v hears %q, want %q", tt.hook, got, tt.want)
			}
			for _, w := range r.heard {
				if w.Gateway != "gate" || len(w.ID) != sallyport.IDLength || w.Seq == 0 || w.Severity == "" || w.User != "alice" {
					t.Errorf("told: %+v", w)
				}
			}
		})
	}
}

// Each hook hears of the events in their order, however slow another one is,
// and nothing that is neither heard nor counted.
func TestOrderAndCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		num := rapid.IntRange(1, 2500).Draw(t, "events")
		failing := rapid.IntRange(2, 50).Draw(t, "one of so many fails")
		n, j, _ := newTest(Hook{Name: "a", Command: []string{"/a"}}, Hook{Name: "b", Command: []string{"/b"}})
		heard := map[string][]uint64{}
		var mu sync.Mutex
		failed := map[string]int{}
		n.Exec = func(_ context.Context, argv []string, input []byte) error {
			var w wire
			if err := json.Unmarshal(input, &w); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if w.Type != "notify.lost" {
				heard[argv[0]] = append(heard[argv[0]], w.Seq)
				if w.Seq%uint64(failing) == 0 {
					failed[argv[0]]++
					return errors.New("no")
				}
			}
			return nil
		}
		stop := start(n)
		for range num {
			if err := j.Append(alert("x.y", "")); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		for _, name := range []string{"a", "b"} {
			all := heard["/"+name]
			if !slices.IsSorted(all) {
				t.Errorf("%s heard them in the order %v", name, all)
			}
			_, count, reasons := j.lost(name)
			if len(all)-failed["/"+name]+count != num {
				t.Errorf("%s took %d of %d, %d are said to be lost: %s", name, len(all)-failed["/"+name], num, count, reasons)
			}
		}
	})
}

// Attack: a storm of noise, so that what matters is lost in it. The noise gives
// way, nobody waits, and the count is in the audit log, in few entries.
func TestAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, j, log := newTest(Hook{Name: "h", Command: []string{"/x"}})
		r, release := ear{}, make(chan struct{})
		n.Exec = func(ctx context.Context, argv []string, input []byte) error {
			select {
			case <-release:
				return r.exec(ctx, argv, input)
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		stop := start(n)
		defer stop()
		const storm = 20_000
		began := time.Now()
		n.Offer(1, alert("command.terminate", sallyport.SeverityCritical))
		for i := range storm {
			e := alert("command.alert", sallyport.SeverityAlert)
			if i == 10 { // what the noise is to push out
				e = alert("target.host_key", sallyport.SeverityCritical)
			}
			n.Offer(uint64(2+i), e)
		}
		n.Offer(storm+2, alert("gateway.panic", sallyport.SeverityCritical))
		n.Offer(storm+3, alert("session.start", sallyport.SeverityInfo)) // even less: it goes itself
		if !time.Now().Equal(began) {
			t.Error("somebody waited")
		}
		time.Sleep(3 * time.Second)
		close(release)
		synctest.Wait()
		got := r.types()
		if !strings.HasPrefix(got, "command.terminate target.host_key ") || !strings.HasSuffix(got, " gateway.panic") || strings.Contains(got, "session.start") {
			t.Errorf("heard %.100s … %s", got, got[max(0, len(got)-100):])
		}
		time.Sleep(2 * lostEvery)
		synctest.Wait()
		entries, count, reasons := j.lost("h")
		if len(r.heard)+count != storm+3 || entries == 0 || entries > 2 || !strings.Contains(reasons, "too many") {
			t.Errorf("%d heard, %d lost in %d entries: %s", len(r.heard), count, entries, reasons)
		}
		if strings.Count(log.String(), "\n") > 5 {
			t.Errorf("the log is noisy: %.2000s", log)
		}
	})
}

// Attack: a storm of the largest events there are, so that the queue eats the
// gateway's memory.
func TestTheQueueIsBoundedInBytes(t *testing.T) {
	n, _, _ := newTest(Hook{Name: "h", Command: []string{"/x"}})
	e := alert("x.y", sallyport.SeverityAlert)
	e.Reason = strings.Repeat("\x01", 32<<10)
	for i := range 500 {
		n.Offer(uint64(i+1), e)
	}
	o := n.outlets[0]
	if o.size > queueSize || len(o.queue) == 0 || len(o.queue)+o.lost.count != 500 || o.lost.last != uint64(o.lost.count) {
		t.Errorf("%d events with %d bytes wait, %+v", len(o.queue), o.size, o.lost)
	}
	for range len(o.queue) {
		o.take()
	}
	if o.size != 0 {
		t.Errorf("%d bytes in an empty queue", o.size)
	}
}

// Attack: hooks that all fail would tell each other of it without end.
func TestLossesDoNotBreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, j, _ := newTest(Hook{Name: "a", Command: []string{"/a"}}, Hook{Name: "b", Command: []string{"/b"}})
		n.Exec = func(context.Context, []string, []byte) error { return errors.New("no") }
		stop := start(n)
		defer stop()
		n.Offer(7, alert("x.y", sallyport.SeverityAlert))
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		for _, name := range []string{"a", "b"} {
			if entries, count, _ := j.lost(name); entries != 1 || count != 1 {
				t.Errorf("%s: %d lost in %d entries", name, count, entries)
			}
		}
		if e := j.events[0]; e.Details["first_seq"] != "7" || e.Details["last_seq"] != "7" || e.Severity != sallyport.SeverityAlert {
			t.Errorf("%+v", e)
		}
	})
}

// What cannot be said while the audit log is down is said later, all of it.
func TestLossesOutliveTheAuditLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, j, _ := newTest(Hook{Name: "a", Command: []string{"/a"}})
		n.Exec = func(context.Context, []string, []byte) error { return errors.New("no") }
		j.down = errors.New("the disk is full")
		stop := start(n)
		defer stop()
		for i := range 5 {
			n.Offer(uint64(i+3), alert("x.y", ""))
			time.Sleep(40 * time.Second)
		}
		j.mu.Lock()
		j.down = nil
		j.mu.Unlock()
		time.Sleep(2 * lostEvery)
		synctest.Wait()
		if entries, count, _ := j.lost("a"); entries != 1 || count != 5 {
			t.Errorf("%d lost in %d entries", count, entries)
		}
		if d := j.events[0].Details; d["first_seq"] != "3" || d["last_seq"] != "7" {
			t.Errorf("%v", d)
		}
	})
}

// A stop gives what waits a moment, and counts what is left then.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, j, _ := newTest(Hook{Name: "quick", Command: []string{"/quick"}}, Hook{Name: "stuck", Command: []string{"/stuck"}})
		var r ear
		n.Exec = func(ctx context.Context, argv []string, input []byte) error {
			if argv[0] == "/quick" {
				time.Sleep(time.Second)
				return r.exec(ctx, argv, input)
			}
			<-ctx.Done()
			return context.Cause(ctx)
		}
		stop := start(n)
		for i := range 3 {
			n.Offer(uint64(i+1), alert("x.y", ""))
		}
		synctest.Wait()
		began := time.Now()
		stop()
		if d := time.Since(began); d != grace {
			t.Errorf("it took %v to stop", d)
		}
		if r.types() != "x.y x.y x.y" {
			t.Errorf("quick heard %q", r.types())
		}
		if _, count, reasons := j.lost("stuck"); count != 3 || reasons != "the gateway stopped\n" {
			t.Errorf("%d lost: %s", count, reasons)
		}
	})
}

// A reload: who stays keeps what waits and is called in the new way, who is
// gone is not called again.
func TestSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stays, goes := Hook{Name: "stays", Command: []string{"/old"}}, Hook{Name: "goes", Command: []string{"/goes"}}
		n, j, _ := newTest(stays, goes)
		var calls []string
		var mu sync.Mutex
		n.Exec = func(ctx context.Context, argv []string, input []byte) error {
			if !bytes.Contains(input, []byte("notify.lost")) {
				mu.Lock()
				calls = append(calls, argv[0])
				mu.Unlock()
			}
			if argv[0] == "/new" {
				return nil
			}
			<-ctx.Done()
			return context.Cause(ctx)
		}
		stop := start(n)
		defer stop()
		n.Offer(1, alert("x.y", ""))
		n.Offer(2, alert("x.y", ""))
		synctest.Wait()
		stays.Command = []string{"/new"}
		n.Set([]Hook{stays, {Name: "comes", Command: []string{"/new"}}})
		n.Offer(3, alert("x.y", ""))
		time.Sleep(time.Minute)
		synctest.Wait()
		// The third event went to stays and to comes; the second waited for the new stays.
		if slices.Sort(calls); strings.Join(calls, " ") != "/goes /new /new /new /old" {
			t.Errorf("calls: %v", calls)
		}
		if _, count, reasons := j.lost("goes"); count != 2 || !strings.Contains(reasons, "taken out of the configuration") {
			t.Errorf("goes lost %d: %s", count, reasons)
		}
		if len(n.outlets) != 2 {
			t.Errorf("%d outlets are kept", len(n.outlets))
		}
	})
}
