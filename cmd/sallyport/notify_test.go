package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"sallyport"
	"sallyport/audit"
	"sallyport/config"
	"sallyport/notify"
)

func python(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	out, err := exec.Command("/usr/bin/python3", append([]string{"-c", program}, args...)...).CombinedOutput()
	return string(out), err
}

// Attack: a storm of alerts while a hook hangs. The audit log, and so every
// session, goes on; what a hook hears has the order of the log; all that it does
// not hear is counted there.
func TestAStormOfAlerts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l, err := audit.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := newNotifier("gate", l, zerolog.Nop())
	var heard []uint64
	release := make(chan struct{})
	n.Exec = func(ctx context.Context, argv []string, input []byte) error {
		<-release
		var e struct{ Seq uint64 }
		if err := json.Unmarshal(input, &e); err != nil {
			return err
		}
		heard = append(heard, e.Seq)
		return nil
	}
	n.Set([]notify.Hook{{Name: "soc", Command: []string{"/x"}}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { n.Run(ctx); close(done) }()
	const people, each = 8, 500
	var storm sync.WaitGroup
	for range people {
		storm.Go(func() {
			for range each {
				if err := l.Append(sallyport.Event{Type: "command.alert", Severity: sallyport.SeverityAlert}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	storm.Wait()
	close(release)
	cancel()
	<-done
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	lost := 0
	for r, err := range audit.Read(filepath.Join(dir, audit.FileName)) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Type == "notify.lost" {
			count, err := strconv.Atoi(r.Details["count"])
			if err != nil {
				t.Error(err)
			}
			lost += count
		}
	}
	if lost == 0 || len(heard)+lost != people*each || !slices.IsSorted(heard) {
		t.Errorf("%d heard, %d lost, in order: %v", len(heard), lost, slices.IsSorted(heard))
	}
}

// The document's receiver takes what a hook sends, and nothing that was changed.
func TestTheDocumentsReceiver(t *testing.T) {
	examples := blocks(readDoc(t, "docs/alerts.md"), "python")
	if len(examples) != 3 {
		t.Fatalf("%d examples", len(examples))
	}
	var body []byte
	headers := map[string]string{}
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		for _, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
			headers[name] = r.Header.Get(name)
		}
	}))
	defer srv.Close()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	n := &notify.Notifier{Gateway: "gate", Random: rand.Reader}
	if err := n.Try(t.Context(), notify.Hook{Name: "siem", URL: srv.URL, Secret: key}); err != nil {
		t.Fatal(err)
	}
	secret := "whsec_" + base64.StdEncoding.EncodeToString(key) + "\n"
	check := func(secret string, body []byte) (string, error) {
		h, err := json.Marshal(headers)
		if err != nil {
			t.Fatal(err)
		}
		return python(t, examples[2]+"import json, sys\nverify(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3].encode())\n", secret, string(h), string(body))
	}
	if out, err := check(secret, body); err != nil {
		t.Errorf("what was sent is not taken: %v: %s", err, out)
	}
	if out, err := check(secret, bytes.Replace(body, []byte("siem"), []byte("mies"), 1)); err == nil || !strings.Contains(out, "not from the gateway") {
		t.Errorf("a changed body is taken: %s", out)
	}
	if _, err := check("whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32)), body); err == nil {
		t.Error("another secret is taken")
	}
	headers["webhook-timestamp"] = "1614265330"
	if out, err := check(secret, body); err == nil || !strings.Contains(out, "too old") {
		t.Errorf("an old message is taken: %s", out)
	}
	for _, e := range examples {
		if out, err := python(t, "import sys; compile(sys.argv[1], 'alerts.md', 'exec')", e); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
}

// The document shows what is told, every type of event, and hooks that load.
func TestTheDocumentOfAlerts(t *testing.T) {
	doc := readDoc(t, "docs/alerts.md")
	var told struct {
		ID, Gateway string
		Seq         uint64
		sallyport.Event
	}
	d := json.NewDecoder(strings.NewReader(blocks(doc, "json")[0]))
	d.DisallowUnknownFields()
	if err := d.Decode(&told); err != nil || told.Severity != sallyport.SeverityAlert || len(told.ID) != sallyport.IDLength {
		t.Errorf("%+v, %v", told, err)
	}
	if _, err := config.Parse("alerts.md", []byte(readDoc(t, "configs/sample.yaml")+blocks(doc, "yaml")[0])); err != nil {
		t.Error(err)
	}
	types := regexp.MustCompile(`"((?:audit|auth|channel|command|config|file|forward|gateway|grant|ide|judge|jump|lock|notify|recording|request|session|target)\.[a-z_]+)"`)
	files := regexp.MustCompile(`\.(jsonl?|sock|log)$`)
	n := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range types.FindAllStringSubmatch(string(b), -1) {
			if files.MatchString(m[1]) {
				continue
			}
			n++
			if !strings.Contains(doc, "`"+m[1]+"`") {
				t.Errorf("%s: the document does not know %s", path, m[1])
			}
		}
		return nil
	})
	if err != nil || n < 40 {
		t.Errorf("%d types of events found, %v", n, err)
	}
}
