package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxResponse = 64 << 10 // bytes read of an answer, and of its header
	maxAfter    = 5 * time.Minute
)

// sign returns the signature of a message as Standard Webhooks has it.
func sign(secret []byte, id, timestamp string, body []byte) string {
	h := hmac.New(sha256.New, secret)
	fmt.Fprintf(h, "%s.%s.", id, timestamp)
	h.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// post makes one signed request. Its errors do not name the URL, which may hold
// a secret.
func (n *Notifier) post(ctx context.Context, h Hook, m message) error {
	n.once.Do(n.clients)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(m.body))
	if err != nil {
		return errors.New("its URL cannot be read")
	}
	at := strconv.FormatInt(n.now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "sallyport")
	req.Header.Set("webhook-id", m.id)
	req.Header.Set("webhook-timestamp", at)
	req.Header.Set("webhook-signature", sign(h.Secret, m.id, at, m.body))
	client := n.secure
	if req.URL.Scheme == "http" {
		client = n.nearby
	}
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return &passing{err: context.Cause(ctx)}
		}
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return &passing{err: err}
	}
	defer resp.Body.Close()
	// Read, so that the connection can be used again. A 2xx has been given: what
	// comes of the rest changes nothing.
	_, _ = io.CopyN(io.Discard, resp.Body, maxResponse)
	switch s := resp.StatusCode; {
	case s >= 200 && s < 300:
		return nil
	case s >= 500, s == http.StatusTooManyRequests, s == http.StatusRequestTimeout:
		return &passing{fmt.Errorf("it answered with the HTTP status %d", s), retryAfter(resp.Header.Get("Retry-After"), n.now())}
	case s >= 300 && s < 400:
		return fmt.Errorf("it answered with the HTTP status %d; redirections are not followed", s)
	default:
		return fmt.Errorf("it answered with the HTTP status %d", s)
	}
}

// retryAfter reads a Retry-After header: seconds, or a date.
func retryAfter(v string, now time.Time) time.Duration {
	if s, err := strconv.ParseUint(strings.TrimSpace(v), 10, 31); err == nil {
		return min(time.Duration(s)*time.Second, maxAfter)
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(t.Sub(now), 0), maxAfter)
	}
	return 0
}

// clients makes what speaks HTTP: no proxy, no redirection, no cookies.
func (n *Notifier) clients() {
	dial := n.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: DefaultTimeout}).DialContext
	}
	client := func(dial func(context.Context, string, string) (net.Conn, error)) *http.Client {
		return &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				DialContext:     dial,
				TLSClientConfig: &tls.Config{RootCAs: n.Roots, MinVersion: tls.VersionTLS12, Time: n.Now},
				IdleConnTimeout: 30 * time.Second, MaxIdleConnsPerHost: 1,
				MaxResponseHeaderBytes: maxResponse, DisableCompression: true,
			},
		}
	}
	n.secure = client(dial)
	n.nearby = client(func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		// What a name of the loopback resolves to is another's decision.
		if a, ok := c.RemoteAddr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
			c.Close()
			return nil, errors.New("http leads away from this host")
		}
		return c, nil
	})
}
