package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport"
	"sallyport/recorder/cast"
)

// stamped notes when each piece was shown.
type stamped struct {
	start time.Time
	log   []string
}

func (s *stamped) Write(p []byte) (int, error) {
	s.log = append(s.log, fmt.Sprintf("%v %q", time.Since(s.start), p))
	return len(p), nil
}

func (s *stamped) String() string { return strings.Join(s.log, "\n") }

type press struct {
	after time.Duration // since the press before
	keys  string
}

// play plays r in fake time and returns what was shown when.
func play(t *testing.T, r Recording, o PlayOptions, presses ...press) string {
	t.Helper()
	var out *stamped
	synctest.Test(t, func(t *testing.T) {
		out = &stamped{start: time.Now()}
		o.Out = out
		if len(presses) > 0 {
			pr, pw := io.Pipe()
			defer pw.Close()
			o.Keys = pr
			defer pr.Close()
			go func() {
				for _, p := range presses {
					<-time.After(p.after)
					if _, err := io.WriteString(pw, p.keys); err != nil {
						return
					}
				}
			}()
		}
		if err := Play(t.Context(), r, o); err != nil {
			t.Errorf("playing: %v", err)
		}
	})
	return out.String()
}

func TestPlay(t *testing.T) {
	r := one(
		t, cast.Header{},
		at{time.Second, 'o', "a"}, at{2 * time.Second, 'm', "label"}, at{3 * time.Second, 'o', "b"},
		at{63 * time.Second, 'o', "c"}, at{64 * time.Second, 'x', "0"},
	)
	for _, c := range []struct {
		name    string
		options PlayOptions
		presses []press
		want    string
	}{
		{"as it was", PlayOptions{}, nil, `1s "a"|3s "b"|1m3s "c"`},
		{"twice as fast", PlayOptions{Speed: 2}, nil, `500ms "a"|1.5s "b"|31.5s "c"`},
		{"idle", PlayOptions{Idle: 2 * time.Second}, nil, `1s "a"|3s "b"|5s "c"`},
		{"idle at speed", PlayOptions{Idle: 2 * time.Second, Speed: 4}, nil, `250ms "a"|750ms "b"|1.25s "c"`},
		{"at", PlayOptions{At: 33 * time.Second}, nil, `0s "ab"|30s "c"`},
		{"at an event", PlayOptions{At: 3 * time.Second}, nil, `0s "ab"|1m0s "c"`},
		{"at beyond the end", PlayOptions{At: time.Hour}, nil, `0s "abc"`},
		{"quit", PlayOptions{}, []press{{2 * time.Second, "q"}}, `1s "a"`},
		{"interrupt", PlayOptions{}, []press{{2 * time.Second, "\x03"}}, `1s "a"`},
		{"pause", PlayOptions{}, []press{{2 * time.Second, " "}, {10 * time.Second, " "}}, `1s "a"|13s "b"|1m13s "c"`},
		{"step", PlayOptions{}, []press{{2 * time.Second, "."}, {time.Second, "."}}, `1s "a"|2s "b"|3s "c"`},
		{"faster", PlayOptions{}, []press{{13 * time.Second, "+"}}, `1s "a"|3s "b"|38s "c"`},
		{"slower", PlayOptions{}, []press{{53 * time.Second, "-"}}, `1s "a"|3s "b"|1m13s "c"`},
		{"forward", PlayOptions{}, []press{{13 * time.Second, "\x1b[C"}, {0, "l"}}, `1s "a"|3s "b"|53s "c"`},
		{"back", PlayOptions{}, []press{{5 * time.Second, "\x1b[D"}}, `1s "a"|3s "b"|5s "\x1b[0m\x1b[H\x1b[2J"|6s "a"|8s "b"|1m8s "c"`},
		{"back a little", PlayOptions{}, []press{{7 * time.Second, "h"}}, `1s "a"|3s "b"|7s "\x1b[0m\x1b[H\x1b[2Ja"|8s "b"|1m8s "c"`},
		{"paused seek", PlayOptions{}, []press{{2 * time.Second, " l"}, {time.Second, "q"}}, `1s "a"|2s "b"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := strings.ReplaceAll(c.want, "|", "\n")
			if got := play(t, r, c.options, c.presses...); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// Attack (threats R6): a recorded target asks the viewer's terminal to answer and
// to write the clipboard, in pieces. Playing, stepping and seeking show text alone,
// and the terminal is left in its usual state.
func TestPlayIsFiltered(t *testing.T) {
	r := one(
		t, cast.Header{},
		at{time.Second, 'o', "a\x1b]52;c;"}, at{2 * time.Second, 'o', "Zm9v\ab\x1b["},
		at{3 * time.Second, 'o', "6n\x1b[?1049hc\x1b[31m"}, at{4 * time.Second, 'o', "\u009b>qd\x05"},
	)
	for _, c := range []struct {
		name    string
		presses []press
		at      time.Duration
	}{
		{"play", nil, 0},
		{"at", nil, 3 * time.Second},
		{"step", []press{{0, "....."}}, 0},
		{"back", []press{{3500 * time.Millisecond, "h"}}, 0},
		{"quit within a sequence", []press{{1500 * time.Millisecond, "q"}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			for line := range strings.Lines(play(t, r, PlayOptions{At: c.at}, c.presses...)) {
				var when, what string
				if _, err := fmt.Sscanf(line, "%s %q", &when, &what); err != nil {
					t.Fatal(err)
				}
				out.WriteString(what)
			}
			if bad := forbidden(out.String()); bad != "" {
				t.Errorf("%q shows %q", out.String(), bad)
			}
			if strings.Contains(out.String(), "1049h") && !strings.HasSuffix(out.String(), "\x1b[0m") {
				t.Errorf("the terminal is left in disorder by %q", out.String())
			}
		})
	}
}

func TestPlayCancelled(t *testing.T) {
	r := one(t, cast.Header{}, at{time.Hour, 'o', "a"})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		time.AfterFunc(time.Minute, func() { cancel(gone) })
		start := time.Now()
		err := Play(ctx, r, PlayOptions{Out: io.Discard})
		if !errors.Is(err, gone) || time.Since(start) != time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestPlayRefuses(t *testing.T) {
	r := one(t, cast.Header{})
	for _, o := range []PlayOptions{{Speed: -1}, {Speed: math.NaN()}, {Speed: math.Inf(1)}, {Idle: -1}, {At: -1}} {
		o.Out = io.Discard
		if err := Play(t.Context(), r, o); sallyport.CodeOf(err) != sallyport.CodeUsage {
			t.Errorf("%+v: got %v", o, err)
		}
	}
}

func TestKeys(t *testing.T) {
	for in, want := range map[string][]key{
		" .hl+-q":        {keyPause, keyStep, keyBack, keyForward, keyFaster, keySlower, keyQuit},
		"\x1b[D\x1b[C":   {keyBack, keyForward},
		"\x1bOD\x1bOC":   {keyBack, keyForward},
		"\x1b[A\x1b[1~ ": {keyPause},
		"\x1b[1;5Cx":     nil,
		"\x1bq":          {keyQuit},
	} {
		var k keyReader
		var got []key
		for i := range len(in) { // an arrow in pieces
			got = append(got, k.read([]byte(in[i:i+1]))...)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: got %v, want %v", in, got, want)
		}
	}
}
