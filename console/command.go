package console

import (
	"strings"

	"sallyport"
)

const commandFlag = "--command"

func isCommand(w string) bool { return w == commandFlag || strings.HasPrefix(w, commandFlag+"=") }

// joinCommand joins the flag w, which begins at start and is followed by after, with
// its value.
func joinCommand(w, start, after string) (joined, rest string, err error) {
	if value, ok := strings.CutPrefix(start, commandFlag+"="); ok {
		after = value
	} else if w != commandFlag { // the quotes are around flag and value
		return w, after, nil
	}
	text, rest, err := commandText(skipBlanks(after))
	return commandFlag + "=" + text, rest, err
}

// commandText reads the command that somebody asks for. It is for the target's
// shell, and so it is taken as it stands, quotes and all, up to the next flag
// outside quotes:
//
//	--command systemctl restart nginx --reason …
//	--command sh -c "cd /srv && make" --reason …
//
// Quotes around all of it are the console's, and are taken off; the words in
// them may begin with dashes:
//
//	--command 'systemctl restart --no-block nginx' --reason …
//
// What could be either is refused: a wrong command is worse than none.
func commandText(s string) (text, rest string, err error) {
	rest = s
	for n := 0; ; n++ {
		next := skipBlanks(rest)
		if next == "" {
			break
		}
		if word, _ := rawWord(next); isFlag(word) {
			break
		}
		word, after, ok := shellWord(next)
		if !ok {
			return "", s, sallyport.Errorf(sallyport.CodeUsage, "a quote in the command is not closed").
				WithHint("the target's shell would wait for its end")
		}
		rest = after
		if n == 0 && (next[0] == '\'' || next[0] == '"') && quotedWhole(next) && flagNext(rest) {
			return word, rest, nil
		}
	}
	text = s[:len(s)-len(rest)]
	words := strings.Fields(text)
	for i := range words {
		if isOutput(words[i:]) {
			return "", s, sallyport.Errorf(sallyport.CodeUsage, "is %s a part of the command?", strings.Join(words[i:min(i+2, len(words))], " ")).
				WithHint("put the command in quotes that reach the gateway, or -o before --command")
		}
	}
	return text, rest, nil
}

// flagNext reports whether s goes on with a flag or not at all.
func flagNext(s string) bool {
	var words []string
	for s = skipBlanks(s); s != "" && len(words) < 2; s = skipBlanks(s) {
		w, after, ok := shellWord(s)
		if !ok {
			return false
		}
		words, s = append(words, w), after
	}
	return len(words) == 0 || isFlag(words[0]) || isOutput(words)
}
