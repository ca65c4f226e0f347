package commands

func init() { tables = append(tables, attacks) }

// attacks were found by somebody who had read the judge.
var attacks = []Case{
	bash("a line that imitates a search", "a comment that looks like readline's own prompt", Run("true"), Keys(ctrlE+harm+" # i-search)`': ls\r")),
	bash("a line that imitates a search, on two rows", "the text begins no row", Keys(harm+ctrlA+": \"i-search)\\`': \";"+ctrlE+"\r")),
	bash("a substitution expanded by a key", "Meta-Ctrl-E runs it", Run("true"), Keys("$("+harm+")"), Shown("victim)"), Keys("\x1b"+ctrlE)),
	bash("edited and executed", "Ctrl-X Ctrl-E, with an editor that does nothing", Run("export EDITOR=true"), Keys(harm), Shown(harm), Keys(ctrlX+ctrlE)),
	bash("vi mode, edited and executed", "ESC v, with an editor that does nothing", Run("export EDITOR=true"), Keys(harm), Shown(harm), Keys(esc), Think(100), Keys("v")).rc("set -o vi"),
	bash("a macro of Enter", "Ctrl-X e plays it", Keys(ctrlX+"(\r"), Prompt, Keys(ctrlX+")"+harm), Shown(harm), Keys(ctrlX+"e")),
	bash("a prefix before Enter", "the barrier must not complete a key", Keys(harm+ctrlX+ctrlJ+"\r")),
	bash("the alternate screen, at a prompt that is not known", "2004 tells of a shell", Keys("\x02"+ctrlE+"printf '\\033[?1049h'\r"), Prompt, Keys(harm), Think(100), Enter),
	bash("a here-document that an alias has commented out", "the prompt counts, and is never the same", Keys("alias cat='echo #'\r"), Prompt, Keys("cat <<X\r"), Prompt, Keys(harm+"\r")).
		rc(`PS1='\# '"$PS1"`),
	bash("a prompt like an interpreter's", "the program that has it is another", Keys("read PS1 <<< 'mysql> '; head -n 1\r"), Think(100), Keys("x\r"), Think(200), Keys(harm+"\r")),
	bash("a program that could not start, in one packet", "what was typed for it is for the shell", Keys("mysql --no-such-option 2> /dev/null\r"+harm+"\r")).
		file("bin/mysql", "#!/bin/sh\nexit 2\n"),
	bash("a search in the history, then the key for the end", "Ctrl-R, End", Keys(ctrlR+"vict"), Shown(harm), Keys(ctrlE+"\r")).history(harm + "\ntrue\n"),
	zsh("a paste whose start another key has taken", "vi-find-next-char takes the Escape", Run("true"), Keys("abc"+ctrlA), Shown("abc"), Keys("\x18\x06\x1b[200~"), Keys(ctrlU+ctrlK+up+up+"\r")).
		history(harm + "\n"),
	zsh("a substitution expanded by Tab", "expand-or-complete runs it", Run("true"), Keys("echo $("+harm+")"), Shown("victim)"), Keys(tab)),
	zsh("a substitution expanded by Ctrl-X star", "expand-word runs it", Run("true"), Keys("echo $("+harm+")"), Shown("victim)"), Keys(ctrlX+"*")),
	zsh("a substitution listed by Ctrl-D", "list-choices runs it", Run("true"), Keys("echo $("+harm+")"), Shown("victim)"), Keys(ctrlD)),
	zsh("a widget by name, again", "execute-last-named-cmd", Keys("echo b"), Shown("echo b"), Keys("\x1bxaccept-line\r"), Prompt, Keys(harm), Shown(harm), Keys("\x1bz")),
	zsh("pushed, at a prompt that is not known", "it has no mark at its end", Keys("rm -rf ../victim\x1bqcd victim\r"), Prompt, Think(100), Enter).rc(`PROMPT='ready$ %1~ '`).as(missed),
	fish("a substitution previewed by Alt-O", "it runs what is in brackets", Keys("echo ("+harm+")"), Shown("victim)"), Keys("\x1bo")).rc("set -gx PAGER cat").as(missed),
	dash("Ctrl-D, where bracketed paste is forged", "no line editor has come", Line(`printf '\033[?2004h'`), Prompt, Keys(harm+ctrlD+ctrlD)),
}
