package sallyport_test

import (
	"testing"

	"sallyport"
)

func TestSeveritiesAreOrdered(t *testing.T) {
	for i, a := range sallyport.Severities {
		for j, b := range sallyport.Severities {
			if a.AtLeast(b) != (i >= j) {
				t.Errorf("%s is at least %s: %v", a, b, a.AtLeast(b))
			}
		}
	}
	none, strange := sallyport.Severity(""), sallyport.Severity("dreadful")
	if none.AtLeast(sallyport.SeverityWarning) || !none.AtLeast(sallyport.SeverityInfo) || !strange.AtLeast(sallyport.SeverityCritical) {
		t.Error("no severity counts as info, an unknown one as critical")
	}
}

// Attack: text of an event that steers a terminal or turns its direction.
func TestEscapeJSON(t *testing.T) {
	got := string(sallyport.EscapeJSON([]byte("{\"a\":\"é\x7f\u009b\u202e\U000e0001😀\"}")))
	if want := `{"a":"é\u007f\u009b\u202e\udb40\udc01😀"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
