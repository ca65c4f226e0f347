package transfer

import (
	"bytes"
	"strings"
	"testing"

	"sallyport"
	"sallyport/transfer/stream"
)

func TestRecognise(t *testing.T) {
	for line, want := range map[string]string{
		"scp -t /srv/x":              "scp upload /srv/x",
		"scp -f /srv/x":              "scp download /srv/x",
		"/usr/bin/scp -rpt -d -- -x": "scp upload -x",
		"scp -v -f -- a b":           "scp download a|b",
		"scp /x -t":                  "scp upload /x",
		"scp -l 100 -t /x":           "scp upload /x",
		"scp -l100 -tr /x":           "scp upload /x",
		"scp -o t=f /a /b":           "",
		"scp a b":                    "",
		"scp -t":                     "",
		"rsync --server -vlogDtpre.iLsfxCIvu . /srv/in":           "rsync upload /srv/in",
		"rsync --server --sender -vlogDtpre.iLsfxCIvu . /a /b":    "rsync download /a|/b",
		"rsync --server --sender --remove-source-files -e.L . /a": "rsync both /a",
		"rsync --server -slogDtpr . .":                            "rsync upload .",
		"rsync --server -slogDtpr":                                "rsync upload  ?",
		"rsync --server --daemon .":                               "rsync both  ?",
		"rsync -a /x /y":                                          "",
		"git-upload-pack /srv/r.git":                              "git download /srv/r.git",
		"git upload-pack --strict /srv/r.git":                     "git download /srv/r.git",
		"git-receive-pack r.git":                                  "git upload r.git",
		"git-upload-archive r.git":                                "git download r.git",
		"git status":                                              "",
		"git":                                                     "",
		"/usr/lib/openssh/sftp-server -l INFO":                    "sftp both ",
		"cat /usr/bin/scp":                                        "",
		"":                                                        "",
	} {
		c, ok := Recognise(strings.Fields(line), nil)
		got := ""
		if ok {
			got = string(c.Kind) + " " + string(c.Direction) + " " + strings.Join(c.Paths, "|")
			if !c.Exact {
				got += " ?"
			}
		}
		if got != want {
			t.Errorf("%q is %q, want %q", line, got, want)
		}
	}
	c, _ := Recognise([]string{"scp", "-t", "$HOME"}, func(word string) bool { return word[0] != '$' })
	if c.Exact {
		t.Error("$HOME is exact")
	}
}

func TestCheck(t *testing.T) {
	down := sallyport.FileRules{Direction: sallyport.FilesDownload}
	srv := sallyport.FileRules{Allow: []string{"/srv/**"}, Deny: []string{"/srv/secret/**"}}
	for line, want := range map[string][2]bool{ // allowed by down, by srv
		"scp -t /etc":             {false, true}, // its stream refuses the files
		"scp -f /srv/a":           {true, true},
		"rsync --server . /srv/a": {false, true},

		"rsync --server --sender . /srv/a /srv/b":                {true, true},
		"rsync --server --sender . /srv/a /etc":                  {true, false},
		"rsync --server --sender . /srv":                         {true, false}, // the secret is below it
		"rsync --server --sender . /srv/secret/x":                {true, false},
		"rsync --server --sender . /srv/a/../secret/x":           {true, false},
		"rsync --server --sender . a":                            {true, false},
		"rsync --server --sender -s":                             {true, false},
		"rsync --server --sender --remove-source-files . /srv/a": {false, true},
		"rsync --server --sender . /srv/*/x":                     {true, false},
		"git-upload-pack /srv/r.git":                             {true, true},
		"git-receive-pack /srv/r.git":                            {false, true},
		"sftp-server":                                            {true, true},
	} {
		c, ok := Recognise(strings.Fields(line), nil)
		if !ok {
			t.Fatal(line)
		}
		for i, rules := range []sallyport.FileRules{down, srv} {
			if err := c.Check(rules); (err == nil) != want[i] {
				t.Errorf("%q: %v", line, err)
			} else if err != nil && strings.HasPrefix(err.Error(), stream.Prefix) {
				t.Errorf("%q: %v", line, err)
			}
		}
		if err := c.Check(sallyport.FileRules{}); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestCounter(t *testing.T) {
	for i, want := range []string{
		"upload /a complete 5 | rsync, and /b", "upload /a failed 5 exit status 23| rsync, and /b",
		"upload /a broken 5 the channel ended before the command did| rsync, and /b",
	} {
		c, _ := Recognise(strings.Fields("rsync --server -a . /a /b"), nil)
		j := &journal{}
		cfg := j.config(t, sallyport.FileRules{})
		cfg.Exited = func() (int, bool) { return []int{0, 23, 0}[i], i < 2 }
		var target, client bytes.Buffer
		cfg.Target, cfg.Client = &target, &client
		s := c.Stream(cfg)
		_, _ = s.FromClient([]byte("hello")), s.FromTarget([]byte("hi"))
		_, _ = s.ClientDone(), s.TargetDone()
		s.Close()
		s.Close()
		e := j.all()[0]
		got := strings.Join([]string{j.lines()[0], "5"}, " ")
		if e.Reason != "" {
			got += " " + e.Reason
		} else {
			got += " "
		}
		if got += "| " + e.Detail; got != want || e.Bytes != 5 || len(j.all()) != 1 || e.NoSum != "what rsync sends is not read" {
			t.Errorf("%q, %+v", got, e)
		}
		if target.String() != "hello" || client.String() != "hi" {
			t.Error("something else passed")
		}
	}
}
