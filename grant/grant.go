// Package grant decides whether somebody may use an access, and until when:
// request, approval, grant, its end, and locks.
//
// A decision is checked, written to the audit log and stored inside one update
// of the store, in that order: there is no grant without an audit record, and
// no two decisions on the same state of a request.
//
// What only the person concerned or an approver may do (create, decide, cancel,
// return) is checked here. Revoke, Kill, Lock and Unlock are for whoever holds
// the permission on the gateway; their callers check it.
package grant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"sallyport"
	"sallyport/policy"
)

// Store is where requests or locks are kept. Update runs f on the old value
// (nil where there is none) and stores what it returns, atomically; an error
// of f changes nothing. Watch tells the ids that change from the call on, until
// ctx ends.
type Store[T any] interface {
	Get(ctx context.Context, id string) (T, error)
	Find(ctx context.Context, idPrefix string) ([]T, error)
	List(ctx context.Context, indexPrefix string) ([]T, error)
	Update(ctx context.Context, id string, f func(old *T) (*T, error)) error
	Watch(ctx context.Context) <-chan string
}

// RequestStore keeps requests; its index is "user/account@target/".
type RequestStore = Store[sallyport.Request]

// LockStore keeps locks. Only its List("") is used.
type LockStore = Store[sallyport.Lock]

// Audit takes every decision before it takes effect. On return the event is on
// the disk; an error means that the decision must not take effect.
type Audit interface {
	AppendSync(e sallyport.Event) error
}

// DefaultLapse is how long a request waits for answers.
const DefaultLapse = 24 * time.Hour

// Bounds of what may be asked for.
const (
	minDuration = time.Second
	maxAhead    = 90 * 24 * time.Hour // of a start in the future
	maxReason   = 1024                // bytes
	maxTicket   = 128                 // bytes
	clockSlack  = time.Minute         // a start this far in the past still counts as now
	maxPerDay   = 500                 // requests of one user
)

// Service is the state machine of requests and grants over a store. Its methods
// are safe for concurrent use; the fields must not change once it is in use.
type Service struct {
	Store  RequestStore
	Locked LockStore
	Policy func() *policy.Policy // the one in force
	Audit  Audit
	Now    func() time.Time // nil: time.Now
	Random io.Reader        // for ids
	Lapse  time.Duration    // 0: DefaultLapse
	Name   string           // what users call the gateway, for hints; empty: gate

	// creating makes looking for a pending request and storing a new one a
	// single step. With several gateways it is one per gateway: the worst is
	// then a second request, never a second approval.
	creating sync.Mutex
}

// errUnchanged ends an update that found everything as it was asked for.
var errUnchanged = errors.New("grant: nothing to change")

// Get returns the request with the whole id.
func (s *Service) Get(ctx context.Context, id string) (sallyport.Request, error) {
	r, err := s.Store.Get(ctx, id)
	return s.seen(r), err
}

// Find returns the requests whose ids begin with prefix, which is not empty.
func (s *Service) Find(ctx context.Context, prefix string) ([]sallyport.Request, error) {
	if !sallyport.IsIDPrefix(prefix) {
		return nil, nil
	}
	all, err := s.Store.Find(ctx, prefix)
	for i := range all {
		all[i] = s.seen(all[i])
	}
	return all, err
}

// List returns the requests of a user, of everybody where user is "".
func (s *Service) List(ctx context.Context, user string) ([]sallyport.Request, error) {
	prefix := ""
	if user != "" {
		prefix = user + "/"
	}
	all, err := s.Store.List(ctx, prefix)
	for i := range all {
		all[i] = s.seen(all[i])
	}
	return all, err
}

// Await returns the request once it is no longer pending: decided, cancelled or
// lapsed. It learns of that from the store and the clock and never polls.
func (s *Service) Await(ctx context.Context, id string) (sallyport.Request, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := s.Store.Watch(ctx) // before the first look: nothing falls between
	for {
		r, err := s.Get(ctx, id)
		if err != nil || r.State != sallyport.RequestPending {
			return r, err
		}
		if err := s.awaitChange(ctx, changed, r); err != nil {
			return r, err
		}
	}
}

func (s *Service) awaitChange(ctx context.Context, changed <-chan string, r sallyport.Request) error {
	lapse := time.NewTimer(r.LapsesAt.Sub(s.now()))
	defer lapse.Stop()
	for {
		select {
		case id, ok := <-changed:
			if !ok {
				if err := context.Cause(ctx); err != nil {
					return err
				}
				return errors.New("the store no longer tells what changes")
			}
			if id == r.ID {
				return nil
			}
		case <-lapse.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Watch returns a channel that receives after a request, grant or lock changed:
// then every live session asks Still again. Changes in a row may come as one.
// The channel is closed when ctx ends.
func (s *Service) Watch(ctx context.Context) <-chan struct{} {
	requests, locks := s.Store.Watch(ctx), s.Locked.Watch(ctx)
	out := make(chan struct{}, 1)
	go func() {
		defer close(out)
		for requests != nil || locks != nil {
			var ok bool
			select {
			case _, ok = <-requests:
				if !ok {
					requests = nil
				}
			case _, ok = <-locks:
				if !ok {
					locks = nil
				}
			}
			if ok {
				select {
				case out <- struct{}{}:
				default:
				}
			}
		}
	}()
	return out
}

// put changes one value of a store to what f makes of the old one. f's event is
// in the audit log before the value is stored; where it then cannot be stored,
// the log says that too.
func put[T any](ctx context.Context, s *Service, store Store[T], id string, f func(old *T) (*T, sallyport.Event, error)) error {
	var told *sallyport.Event
	err := store.Update(ctx, id, func(old *T) (*T, error) {
		v, e, err := f(old)
		if err == nil {
			err = s.record(e)
		}
		if err != nil {
			return nil, err
		}
		told = &e
		return v, nil
	})
	if err != nil && told != nil {
		told.Outcome, told.Severity, told.Reason = "failed", sallyport.SeverityCritical, "it could not be stored: "+err.Error()
		if rerr := s.record(*told); rerr != nil {
			err = fmt.Errorf("%w (%w)", err, rerr)
		}
	}
	return err
}

// update runs f on the stored request; f gets a copy to change, and says what
// it did.
func (s *Service) update(ctx context.Context, id string, f func(r *sallyport.Request, now time.Time) (sallyport.Event, error)) (sallyport.Request, error) {
	var result sallyport.Request
	err := put(ctx, s, s.Store, id, func(old *sallyport.Request) (*sallyport.Request, sallyport.Event, error) {
		if old == nil {
			return nil, sallyport.Event{}, sallyport.Errorf(sallyport.CodeNotFound, "no request %.16q", id).WithHint("request ls lists them")
		}
		r := *old
		r.Decisions = append([]sallyport.Decision(nil), old.Decisions...)
		if old.Grant != nil {
			g := *old.Grant
			r.Grant = &g
		}
		e, err := f(&r, s.now())
		result = r
		return &r, e, err
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return sallyport.Request{}, err
	}
	return s.seen(result), nil
}

// record writes e to the audit log.
func (s *Service) record(e sallyport.Event) error {
	e.Time = s.now()
	if err := s.Audit.AppendSync(e); err != nil {
		return sallyport.Errorf(sallyport.CodeUnavail, "this cannot be recorded in the audit log: %w", err).
			WithHint("tell the operator of the gateway")
	}
	return nil
}

// refused records a refusal with its reason and returns the error.
func (s *Service) refused(e sallyport.Event, err error) error {
	switch sallyport.CodeOf(err) {
	case sallyport.CodeDenied, sallyport.CodeNotFound:
	default:
		return err
	}
	e.Outcome, e.Severity = "refused", sallyport.SeverityWarning
	if e.Reason == "" {
		e.Reason = err.Error()
	}
	if aerr := s.record(e); aerr != nil {
		return fmt.Errorf("%w (%w)", err, aerr)
	}
	return err
}

func event(typ string, by sallyport.Actor, r sallyport.Request) sallyport.Event {
	e := sallyport.Event{
		Type: typ, User: by.User, From: by.From, Account: r.Access.Account, Target: r.Access.Target,
		Role: r.Role, Request: r.ID, Outcome: "ok",
	}
	if r.Grant != nil {
		e.Grant = r.Grant.ID
	}
	return e
}

func (s *Service) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// seen shows a request as it is now: a lapse is a matter of the clock and is
// never written.
func (s *Service) seen(r sallyport.Request) sallyport.Request {
	if r.ID != "" {
		r.State = r.StateAt(s.now())
	}
	return r
}
