package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/mattn/go-runewidth"

	"sallyport"
)

func hidden(r rune) bool { return !unicode.IsPrint(r) }

// json prints v. Strings are escaped down to printable characters: what goes
// to a terminal must not steer it, and jq reads it all the same.
func (a *app) json(v any) error {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	var out strings.Builder
	for _, r := range buf.String() {
		switch {
		case r == '\n' || !hidden(r):
			out.WriteRune(r)
		case r > 0xffff: // a pair of surrogates
			r -= 0x10000
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	_, err := io.WriteString(a.io.Out, out.String())
	return err
}

// commandColumn is the column of the commands that grants are for, which is not
// there where none is for one.
const commandColumn = "COMMAND"

// table prints rows under a head, aligned. The last column is cut where the
// line would not fit the terminal. Without rows it prints nothing.
func (a *app) table(head []string, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	if i := slices.Index(head, commandColumn); i >= 0 && !slices.ContainsFunc(rows, func(row []string) bool { return row[i] != "" }) {
		head = slices.Delete(slices.Clone(head), i, i+1)
		for r := range rows {
			rows[r] = slices.Delete(slices.Clone(rows[r]), i, i+1)
		}
	}
	width := make([]int, len(head))
	all := append([][]string{head}, rows...)
	for _, row := range all {
		for i := range row {
			row[i] = sallyport.Printable(row[i])
			width[i] = max(width[i], runewidth.StringWidth(row[i]))
		}
	}
	var b strings.Builder
	for _, row := range all {
		line := ""
		for i, cell := range row {
			if i > 0 {
				line += "  "
			}
			line += cell
			if i < len(row)-1 {
				line += strings.Repeat(" ", width[i]-runewidth.StringWidth(cell))
			}
		}
		line = strings.TrimRight(line, " ")
		if a.io.Terminal && a.io.Columns > 0 {
			line = runewidth.Truncate(line, a.io.Columns, "…")
		}
		b.WriteString(line + "\n")
	}
	_, err := io.WriteString(a.io.Out, b.String())
	return err
}

// fields prints one object, a field a line; empty ones are left out.
func (a *app) fields(pairs ...string) error {
	width := 0
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			width = max(width, len(pairs[i]))
		}
	}
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(&b, "%-*s  %s\n", width, pairs[i], sallyport.Printable(pairs[i+1]))
		}
	}
	_, err := io.WriteString(a.io.Out, b.String())
	return err
}

// line prints one line of text.
func (a *app) line(format string, args ...any) error {
	_, err := io.WriteString(a.io.Out, sallyport.Printable(fmt.Sprintf(format, args...))+"\n")
	return err
}

// stamp shows a time to the second in the gateway's zone.
func (a *app) stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(a.c.Clock().Location()).Format("2006-01-02 15:04:05 MST")
}

// left shows how long it still is until t.
func (a *app) left(t time.Time) string {
	if d := t.Sub(a.c.Clock()); !t.IsZero() && d > 0 {
		return sallyport.FormatDuration(d)
	}
	return ""
}

func duration(seconds int64) string {
	return sallyport.FormatDuration(time.Duration(seconds) * time.Second)
}
