package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport"
)

// The hooks of the sample are comments, because their files are not there yet.
func TestTheSamplesHooks(t *testing.T) {
	plain, commented, ok := strings.Cut(sample(t), "#notify:\n")
	if !ok {
		t.Fatal("the sample shows no hooks")
	}
	s := plain + "notify:\n" + strings.ReplaceAll("\n"+commented, "\n#", "\n")
	c, err := Parse("c.yaml", []byte(s))
	if err != nil {
		t.Fatal(err)
	}
	first := strings.Count(plain, "\n") + 3
	want := []Hook{
		{Name: "soc", Severity: sallyport.SeverityAlert, Command: []string{"/usr/local/bin/page-soc"}, Timeout: 10 * time.Second, Line: first},
		{
			Name: "siem", Severity: sallyport.SeverityInfo, Events: []string{"command.*", "session.kill"},
			URL: "https://siem.example/hook", SecretFile: "/etc/sallyport/siem.secret", Timeout: 5 * time.Second, Line: first + 1,
		},
	}
	if diff := cmp.Diff(want, c.Notify); diff != "" {
		t.Error(diff)
	}
}

func TestAHooksDefaults(t *testing.T) {
	c, err := Parse("c.yaml", []byte(sample(t)+"\nnotify: [{name: a, command: [/bin/x, y z]}, {name: b, webhook: {url: \"http://[::1]:99/x\", secret_file: /s}}]\n"))
	if err != nil || c.Notify[0].Severity != sallyport.SeverityAlert || c.Notify[0].Timeout != DefaultTimeout || len(c.Notify[0].Command) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestMistakesInHooks(t *testing.T) {
	for hook, want := range map[string]string{
		"{name: a}": `hook "a" calls nobody (expected either a command or a webhook)`,
		"{name: a, command: [/x], webhook: {url: \"https://h/\", secret_file: /s}}": `hook "a" calls two`,
		"{command: [/x]}":                                                             `a hook has no "name"`,
		"{name: a b, command: [/x]}":                                                  `"a b" cannot name a hook`,
		"{name: a, command: [/x]}, {name: a, command: [/x]}":                          `a second hook named "a"`,
		"{name: a, command: [page]}":                                                  `the command "page" depends on where sallyport is started`,
		"{name: a, command: []}":                                                      `command is empty`,
		"{name: a, command: /x}":                                                      `command must be a list`,
		"{name: a, command: [/x], severity: high}":                                    `"high" is no severity (expected info, warning, alert or critical)`,
		"{name: a, command: [/x], events: [\"Command *\"]}":                           `"Command *" is no pattern of events`,
		"{name: a, command: [/x], timeout: 1h}":                                       `a timeout of 1h0m0s is not useful`,
		"{name: a, command: [/x], retry: 3}":                                          `unknown field "retry" in a hook`,
		"{name: a, webhook: {url: \"https://h/T0KEN\"}}":                              `a webhook has no "secret_file"`,
		"{name: a, webhook: {secret_file: /s}}":                                       `a webhook has no "url"`,
		"{name: a, webhook: {url: \"https://h/T0KEN\", secret_file: s}}":              `secret_file "s" depends on where`,
		"{name: a, webhook: {url: \"http://h/T0KEN\", secret_file: /s}}":              `without TLS others could read and change what is told`,
		"{name: a, webhook: {url: \"http://127.0.0.1.evil/T0KEN\", secret_file: /s}}": `without TLS`,
		"{name: a, webhook: {url: \"ftp://h/T0KEN\", secret_file: /s}}":               `this is no URL of a webhook`,
		"{name: a, webhook: {url: \"https:///T0KEN\", secret_file: /s}}":              `this is no URL of a webhook`,
		"{name: a, webhook: {url: \"https://h:T0KEN/\", secret_file: /s}}":            `this is no URL of a webhook`,
		"{name: a, webhook: {url: \"https://u:T0KEN@h/\", secret_file: /s}}":          `the URL holds a user or a password`,
		"{name: a, webhook: {url: \"https://h/#T0KEN\", secret_file: /s}}":            `the URL has a part after #`,
	} {
		s := sample(t)
		_, err := Parse("c.yaml", []byte(s+"\nnotify:\n  ["+hook+"]\n"))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "c.yaml:") {
			t.Errorf("%s: %v", hook, err)
		}
		// A URL may hold a secret.
		if err != nil && strings.Contains(err.Error(), "T0KEN") {
			t.Errorf("%s: the URL is told: %v", hook, err)
		}
	}
}
