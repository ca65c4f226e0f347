package notify

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport"
)

// The vector of the Standard Webhooks libraries.
func TestSignature(t *testing.T) {
	secret, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// wires is a network in memory: what is dialled reaches one server.
type wires struct {
	accept chan net.Conn
	done   chan struct{}
	once   sync.Once
}

// seat is one end of a wire, as if on the loopback.
type seat struct{ net.Conn }

// afar is one that is not.
type afar struct{ net.Conn }

func (afar) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80} }

func (seat) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (w *wires) dial(context.Context, string, string) (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case w.accept <- b:
		return seat{a}, nil
	case <-w.done:
		return nil, errors.New("connection refused")
	}
}

func (w *wires) Accept() (net.Conn, error) {
	select {
	case c := <-w.accept:
		return c, nil
	case <-w.done:
		return nil, net.ErrClosed
	}
}
func (w *wires) Close() error   { w.once.Do(func() { close(w.done) }); return nil }
func (w *wires) Addr() net.Addr { return seat{}.RemoteAddr() }

// answers runs a server in memory for the notifier until end is called, in a
// bubble of synctest.
func answers(n *Notifier, handler http.HandlerFunc) (end func()) {
	w := &wires{accept: make(chan net.Conn), done: make(chan struct{})}
	n.Dial = w.dial
	srv := &http.Server{Handler: handler}
	go func() { _ = srv.Serve(w) }()
	return func() {
		srv.Close()
		n.once.Do(n.clients)
		n.nearby.CloseIdleConnections()
		time.Sleep(time.Minute) // of the bubble's time: until the handlers have ended
	}
}

// What fails for a while is tried again, in order, under the same id, later each
// time; what is refused is not.
func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, j, _ := newTest(Hook{Name: "h", URL: "http://localhost/x", Secret: []byte("secret")})
		var calls []string
		ids := map[string]bool{}
		began := time.Now()
		script := []func(http.ResponseWriter){
			func(w http.ResponseWriter) { w.WriteHeader(500) },
			func(w http.ResponseWriter) { w.WriteHeader(503) },
			func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
			func(w http.ResponseWriter) { w.Header().Set("Retry-After", "90"); w.WriteHeader(429) },
			func(w http.ResponseWriter) { w.WriteHeader(204) },
			func(w http.ResponseWriter) { w.WriteHeader(400) },
			func(w http.ResponseWriter) { w.WriteHeader(200) },
		}
		end := answers(n, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			at := r.Header.Get("webhook-timestamp")
			if err != nil || r.Header.Get("webhook-signature") != sign([]byte("secret"), r.Header.Get("webhook-id"), at, body) ||
				at != strconv.FormatInt(time.Now().Unix(), 10) || r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%v, %v", r, err)
			}
			ids[r.Header.Get("webhook-id")] = true
			calls = append(calls, time.Since(began).String())
			f := script[0]
			script = script[1:]
			f(w)
		})
		defer end()
		stop := start(n)
		defer stop()
		for i := range 3 {
			n.Offer(uint64(i+1), alert("x.y", ""))
		}
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		if got := strings.Join(calls, " "); got != "0s 1s 3s 7s 1m37s 1m37s 1m37s" || len(ids) != 3 {
			t.Errorf("calls at %s with %d ids", got, len(ids))
		}
		if _, count, reasons := j.lost("h"); count != 1 || reasons != "it answered with the HTTP status 400\n" {
			t.Errorf("%d lost: %s", count, reasons)
		}
	})
}

// A receiver that is gone for long: each event is tried at least once and for
// ten minutes at most, and the URL, which may hold a secret, is in no log.
func TestAReceiverThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, j, logged := newTest(Hook{Name: "h", URL: "https://siem.example/hook/T0KEN", Secret: []byte("s3cret")})
		calls := 0
		n.Dial = func(context.Context, string, string) (net.Conn, error) {
			calls++
			return nil, errors.New("connection refused")
		}
		stop := start(n)
		defer stop()
		n.Offer(1, alert("x.y", ""))
		n.Offer(2, alert("x.y", ""))
		time.Sleep(time.Hour)
		synctest.Wait()
		if _, count, reasons := j.lost("h"); count != 2 || !strings.Contains(reasons, "connection refused") {
			t.Errorf("%d lost: %s", count, reasons)
		}
		if calls < 10 || calls > 30 {
			t.Errorf("%d calls", calls)
		}
		if all := fmt.Sprint(logged, j.events); strings.Contains(all, "T0KEN") || strings.Contains(all, "s3cret") {
			t.Errorf("a secret is written: %s", all)
		}
	})
}

// Attack: a receiver that does not answer, or whose answer does not end, slow or
// fast. It costs the hook its timeout, or nothing.
func TestReceiversThatHang(t *testing.T) {
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		err     string
	}{
		"never answers": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // the server looks for the client's end only then
			<-r.Context().Done()
		}, "it took longer than 10s"},
		"slow body": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte("x"))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Second)
			}
		}, ""},
		"huge body": {func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}, ""},
		"huge header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 2*maxResponse))
		}, "server response headers exceeded"},
	} {
		synctest.Test(t, func(t *testing.T) {
			n, _, _ := newTest()
			end := answers(n, tt.handler)
			defer end()
			began := time.Now()
			err := n.Try(t.Context(), Hook{Name: "h", URL: "http://127.0.0.1/x", Secret: []byte("s")})
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("%s: %v", name, err)
			}
			if d := time.Since(began); d > DefaultTimeout {
				t.Errorf("%s: it took %v", name, d)
			}
		})
	}
}

// Attack: a receiver that sends the gateway elsewhere, inside the network; one
// whose certificate is another's; and a name of the loopback that is none.
func TestReceiversThatMislead(t *testing.T) {
	inner := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was asked", r.URL) }))
	defer inner.Close()
	outer := httptest.NewUnstartedServer(http.RedirectHandler(inner.URL, http.StatusTemporaryRedirect))
	outer.Config.ErrorLog = log.New(io.Discard, "", 0)
	outer.StartTLS()
	defer outer.Close()
	n, _, _ := newTest()
	n.Roots = x509.NewCertPool()
	n.Roots.AddCert(outer.Certificate())
	h := Hook{Name: "h", URL: outer.URL, Secret: []byte("s")}
	if err := n.Try(t.Context(), h); err == nil || !strings.Contains(err.Error(), "307; redirections are not followed") {
		t.Error(err)
	}
	n, _, _ = newTest()
	if err := n.Try(t.Context(), h); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Error(err)
	}
	n, _, _ = newTest()
	n.Dial = func(context.Context, string, string) (net.Conn, error) {
		a, _ := net.Pipe()
		return afar{a}, nil
	}
	if err := n.Try(t.Context(), Hook{URL: "http://localhost:1/x"}); err == nil || !strings.Contains(err.Error(), "http leads away") {
		t.Error(err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-7": 0, "x": 0, "99999999999999999999": 0, "86400": maxAfter,
		"Thu, 01 Jan 2026 00:00:09 GMT": 9 * time.Second, "Thu, 01 Jan 2020 00:00:09 GMT": 0, "Thu, 01 Jan 2099 00:00:09 GMT": maxAfter,
	} {
		if got := retryAfter(v, now); got != want {
			t.Errorf("%q: %v, want %v", v, got, want)
		}
	}
}

// Attack: a secret that others can read, a program that others can change.
func TestLooseFilesAreRefused(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := secretPrefix + base64.StdEncoding.EncodeToString([]byte("12345678901234567890abcd"))
	good := write("good", key+"\n", 0o600)
	if b, err := ReadSecret(good); err != nil || string(b) != "12345678901234567890abcd" {
		t.Errorf("%q, %v", b, err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(good, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		write("open", key, 0o640):                          "open to other users",
		write("short", secretPrefix+"aHVudGVyMg==", 0o600): "holds no secret",
		write("bare", key[6:], 0o600):                      "holds no secret",
		write("text", "hunter2", 0o600):                    "holds no secret",
		link:                                               "symbolic link",
		dir:                                                "",
		filepath.Join(dir, "none"):                         "cannot be read",
	} {
		_, err := ReadSecret(path)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error()+sallyport.HintOf(err), "hunter2") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := CheckCommand("/bin/sh"); err != nil {
		t.Error(err)
	}
	for path, want := range map[string]string{
		write("loose", "", 0o777): "can be written by others",
		write("plain", "", 0o600): "is no program",
		dir:                       "is no program",
		"/none":                   "cannot be found",
	} {
		if err := CheckCommand(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
