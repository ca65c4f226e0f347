package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport"
)

// Requests is what the suite asks of a store of requests.
type Requests interface {
	Get(ctx context.Context, id string) (sallyport.Request, error)
	Find(ctx context.Context, idPrefix string) ([]sallyport.Request, error)
	List(ctx context.Context, indexPrefix string) ([]sallyport.Request, error)
	Update(ctx context.Context, id string, f func(old *sallyport.Request) (*sallyport.Request, error)) error
	Watch(ctx context.Context) <-chan string
}

// Run checks that what open returns, empty each time, behaves as a store must.
func Run(t *testing.T, open func(t *testing.T) Requests) {
	ctx := context.Background()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	request := func(id, user, target string) sallyport.Request {
		return sallyport.Request{
			ID: id, User: user, Access: sallyport.Access{Account: "root", Target: target}, For: time.Hour,
			Reason: "why", CreatedAt: at, State: sallyport.RequestPending,
			Decisions: []sallyport.Decision{{By: "bob", Approve: true, At: at}},
			Grant:     &sallyport.Grant{ID: id, Start: at, End: at.Add(time.Hour)},
		}
	}
	put := func(t *testing.T, s Requests, r sallyport.Request) {
		t.Helper()
		err := s.Update(ctx, r.ID, func(*sallyport.Request) (*sallyport.Request, error) { return &r, nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	ids := func(rs []sallyport.Request, err error) []string {
		if err != nil {
			return []string{err.Error()}
		}
		got := []string{}
		for _, r := range rs {
			got = append(got, r.ID)
		}
		return got
	}

	t.Run("what is put is what is got", func(t *testing.T) {
		s := open(t)
		want := request("aaaa", "alice", "web1")
		put(t, s, want)
		got, err := s.Get(ctx, "aaaa")
		if err != nil || cmp.Diff(want, got) != "" || got.Digest() != want.Digest() {
			t.Errorf("got %+v, %v", got, err)
		}
		if _, err := s.Get(ctx, "aaa"); sallyport.CodeOf(err) != sallyport.CodeNotFound {
			t.Errorf("a prefix is no id: %v", err)
		}
	})
	t.Run("find and list go by prefix", func(t *testing.T) {
		s := open(t)
		put(t, s, request("abcd", "alice", "web1"))
		put(t, s, request("abzz", "alice", "web10"))
		put(t, s, request("zzzz", "alice2", "web1"))
		put(t, s, request("aaaa", "alice", "web1"))
		for prefix, want := range map[string][]string{
			"ab": {"abcd", "abzz"}, "": {"aaaa", "abcd", "abzz", "zzzz"}, "q": {}, "abcdd": {},
		} {
			if diff := cmp.Diff(want, ids(s.Find(ctx, prefix))); diff != "" {
				t.Errorf("Find(%q): %s", prefix, diff)
			}
		}
		for prefix, want := range map[string][]string{
			"alice/root@web1/": {"aaaa", "abcd"}, // neither web10 nor alice2
			"alice2/":          {"zzzz"}, "bob/": {}, "": {"aaaa", "abcd", "abzz", "zzzz"},
		} {
			if diff := cmp.Diff(want, ids(s.List(ctx, prefix))); diff != "" {
				t.Errorf("List(%q): %s", prefix, diff)
			}
		}
	})
	t.Run("the index follows a change and a deletion", func(t *testing.T) {
		s := open(t)
		put(t, s, request("aaaa", "alice", "web1"))
		put(t, s, request("aaaa", "carol", "web1"))
		if got := ids(s.List(ctx, "alice/")); len(got) != 0 {
			t.Errorf("the old index still finds %v", got)
		}
		if got := ids(s.List(ctx, "carol/")); len(got) != 1 {
			t.Errorf("the new index finds %v", got)
		}
		err := s.Update(ctx, "aaaa", func(*sallyport.Request) (*sallyport.Request, error) { return nil, nil })
		if err != nil || len(ids(s.List(ctx, "carol/"))) != 0 || len(ids(s.Find(ctx, ""))) != 0 {
			t.Errorf("after the deletion: %v", err)
		}
	})
	t.Run("an error of the function changes nothing", func(t *testing.T) {
		s := open(t)
		put(t, s, request("aaaa", "alice", "web1"))
		sentinel := errors.New("no")
		err := s.Update(ctx, "aaaa", func(old *sallyport.Request) (*sallyport.Request, error) {
			old.State = sallyport.RequestApproved // also what was changed in place
			return old, sentinel
		})
		if !errors.Is(err, sentinel) {
			t.Errorf("err = %v", err)
		}
		if got, _ := s.Get(ctx, "aaaa"); got.State != sallyport.RequestPending {
			t.Errorf("state = %s", got.State)
		}
		err = s.Update(ctx, "bbbb", func(old *sallyport.Request) (*sallyport.Request, error) {
			if old != nil {
				t.Error("an absent value is not nil")
			}
			r := request("cccc", "alice", "web1")
			return &r, nil
		})
		if err == nil || len(ids(s.Find(ctx, ""))) != 1 {
			t.Errorf("a value went under another id: %v", err)
		}
	})
	t.Run("updates of one value do not overtake each other", func(t *testing.T) {
		s := open(t)
		put(t, s, request("aaaa", "alice", "web1"))
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				err := s.Update(ctx, "aaaa", func(old *sallyport.Request) (*sallyport.Request, error) {
					old.Decisions = append(old.Decisions, sallyport.Decision{By: "x"})
					return old, nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got, _ := s.Get(ctx, "aaaa"); len(got.Decisions) != 17 {
			t.Errorf("%d of 17 decisions are left", len(got.Decisions))
		}
	})
	t.Run("a watch tells changes, and nobody waits for it", func(t *testing.T) {
		s := open(t)
		wctx, cancel := context.WithCancel(ctx)
		defer cancel()
		changes := s.Watch(wctx)
		s.Watch(wctx) // never read
		for range 100 {
			put(t, s, request("aaaa", "alice", "web1"))
		}
		put(t, s, request("bbbb", "alice", "web1"))
		for n := 0; ; n++ {
			if id := <-changes; id == "bbbb" {
				break
			}
			if n > 100 {
				t.Fatal("told more often than changed")
			}
		}
		cancel()
		for range changes { // ends only when it is closed
		}
		if err := s.Update(wctx, "aaaa", nil); !errors.Is(err, context.Canceled) {
			t.Errorf("an update after the end of its context: %v", err)
		}
	})
}
