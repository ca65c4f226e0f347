package commands

// bad, good and miss make a case; the methods after them say what is special
// about it.
func bad(shell, name, reason string, steps ...Step) Case {
	return Case{Name: shell + ": " + name, Shell: shell, Kind: forbidden, Reason: reason, Steps: steps}
}

func miss(shell, name, reason string, steps ...Step) Case {
	return Case{Name: shell + ": " + name, Shell: shell, Kind: missed, Reason: reason, Steps: steps}
}

// good wants a file with a content.
func good(shell, name, reason, file, content string, steps ...Step) Case {
	return Case{Name: shell + ": " + name, Shell: shell, Kind: innocent, Reason: reason, Steps: steps, Want: map[string]string{file: content}}
}

func (c Case) with(rules ruleSet) Case    { c.Rules = rules; return c }
func (c Case) rc(text string) Case        { c.RC += text + "\n"; return c }
func (c Case) sized(cols, rows int) Case  { c.Cols, c.Rows = cols, rows; return c }
func (c Case) speaking(lang string) Case  { c.Lang = lang; return c }
func (c Case) by(way string) Case         { c.Way = way; return c }
func (c Case) leaving(steps ...Step) Case { c.After = steps; return c }
func (c Case) hiding(secret string) Case  { c.Secret = secret; return c }
func (c Case) early() Case                { c.Early = true; return c }
func (c Case) history(lines string) Case  { return c.file("history", lines) }
func (c Case) fishHistory(line string) Case {
	return c.file("data/fish/fish_history", "- cmd: "+line+"\n  when: 1700000000\n")
}

func (c Case) file(name, text string) Case {
	files := map[string]string{name: text}
	for k, v := range c.Files {
		files[k] = v
	}
	c.Files = files
	return c
}

func (c Case) as(k kind) Case { c.Kind = k; return c }

// asleep types keys while the shell waits for a program: it sees them later.
func asleep(keys ...string) Step {
	steps := []Step{Line("printf 'as%s\\n' leep; sleep 0.7"), Wait("asleep")}
	for _, k := range keys {
		steps = append(steps, Keys(k))
	}
	return all(steps...)
}
