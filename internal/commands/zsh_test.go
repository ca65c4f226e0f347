package commands

import "strings"

func init() { tables = append(tables, zshForbidden, zshInnocent) }

func zsh(name, reason string, steps ...Step) Case { return bad("zsh", name, reason, steps...) }

func zfine(name, reason, file, content string, steps ...Step) Case {
	return good("zsh", name, reason, file, content, steps...)
}

const (
	suggests   = ". /usr/share/zsh-autosuggestions/zsh-autosuggestions.zsh"
	highlights = ". /usr/share/zsh-syntax-highlighting/zsh-syntax-highlighting.zsh"
	emacs      = "bindkey -e"
)

var zshForbidden = []Case{
	zsh("plain", "typed, seen, Enter", Line(harm)),
	zsh("in one packet", "nothing is echoed when Enter comes", Keys(harm+"\r")),
	zsh("slowly", "a key per packet", Slow(harm), Enter),
	zsh("terminated", "the session ends with the line", Keys(harm+"\r")).with(terminates),
	zsh("line feed", "Ctrl-J is Enter, too", Keys(harm+ctrlJ)),
	zsh("Ctrl-O", "accept-line-and-down-history", Keys(harm+ctrlO)).rc(emacs),
	zsh("accepted and held", "Meta-a runs the line without Enter", Keys(harm), Shown(harm), Keys("\x1ba")).rc(emacs),
	zsh("accepted and held, in one packet", "Meta-a runs the line without Enter", Keys(harm+"\x1ba")).rc(emacs),
	zsh("accepted, the next inferred", "Ctrl-X Ctrl-N is no Enter, Enter is", Keys(up), Shown("true"), Keys(ctrlN+up+up+"\r")).rc(emacs).history(harm + "\ntrue\n"),
	zsh("=rm", "zsh's own name of a path", Line("=rm -rf victim")),
	zsh("a global alias", "defined on the line before", Line("alias -g z='rm -rf victim'"), Prompt, Line("eval z")),
	zsh("noglob", "a precommand modifier", Line("noglob rm -rf victim")),
	zsh("short for", "a loop without do", Line("for d (victim) rm -rf $d")),
	zsh("a multio", "output into a process", Line("echo x > >(rm -rf victim)")),
	zsh("recalled", "arrow up, seen, Enter", Keys(up), Shown(harm), Enter).history(harm + "\n"),
	zsh("recalled, in one packet", "arrow up and Enter", Keys(up+"\r")).history(harm + "\n"),
	zsh("recalled with lines in it", "the whole command comes back at once", Line("for d in victim; do"), More, Line("true $d"), More, Line("done"), Prompt,
		Keys(up), Shown("done"), Keys(ctrlA+up+strings.Repeat("\x1b[C", 0)), Think(100), Keys("\x1b<"), Think(50), Keys("rm -rf victim; \r")).rc(emacs),
	zsh("a command of several lines recalled, in one packet", "the forbidden line is in the middle", Keys(up+"\r")).history("for d in victim; do\\\n" + harm + "\\\ndone\n"),
	zsh("searched", "Ctrl-R, seen, Enter", Keys(ctrlR+"vict"), Shown(harm), Enter).rc(emacs).history(harm + "\ntrue\n"),
	zsh("searched, in one packet", "Ctrl-R and Enter", Keys(ctrlR+"vict\r")).rc(emacs).history(harm + "\ntrue\n"),
	zsh("searched by its beginning", "Meta-p", Keys("rm\x1bp\r")).rc(emacs).history(harm + "\ntrue\n"),
	zsh("inserted at the start", "Ctrl-A", Keys("m -rf victim"+ctrlA+"r\r")).rc(emacs),
	zsh("Enter at cursor 0", "the line is right of the cursor", Keys(harm+ctrlA), Shown(harm), Enter).rc(emacs),
	zsh("arrows", "a letter in the middle", Keys("rm -rf vctim"+strings.Repeat(left, 4)+"i\r")),
	zsh("killed and yanked", "Ctrl-W, Ctrl-Y", Keys("-rf victim"+ctrlA+ctrlK+"rm "+ctrlY+"\r")).rc(emacs),
	zsh("undone", "Ctrl-_ brings the word back", Keys(harm+ctrlW+undo+"\r")).rc(emacs),
	zsh("pushed", "Meta-q puts the line aside; it comes back by itself", Keys(harm+"\x1bq"), Think(100), Keys("true\r"), Prompt, Shown(harm), Enter).rc(emacs),
	zsh("pushed, in one packet", "Meta-q, another line, Enter", Keys(harm+"\x1bqtrue\r"), Prompt, Enter).rc(emacs),
	zsh("put there by print -z", "the line comes by itself", Line("print -z rm -rf victim"), Prompt, Shown(harm), Enter),
	zsh("put there by print -z, in one packet", "the Enter comes before the line", Keys("print -z rm -rf victim\r\r")),
	zsh("put there in part", "the rest is typed", Line("print -z rm -rf"), Prompt, Shown("rm -rf"), Keys(" victim\r")),
	zsh("ESC Enter", "a line feed within the line", Keys("true\x1b\r"+harm+"\r")).rc(emacs),
	zsh("the last word yanked", "Meta-.", Run("true victim"), Keys("rm -rf \x1b."), Shown(harm), Enter).rc(emacs),
	zsh("expanded", "!! is the last line; Enter shows and runs it", Line("!!")).history(harm + "\n").with(opaque),
	zsh("expanded by Tab", "expand-or-complete", Keys("!!"+tab), Shown(harm), Enter).history(harm + "\n"),
	zsh("completed", "Tab for the name", Keys("rm -rf vic"+tab), Shown("victim"), Enter),
	zsh("completed, in one packet", "Tab for the name", Keys("rm -rf vic"+tab+"\r")),
	zsh("chosen from a menu", "a list with a cursor", Keys("rm -rf v"+tab+tab), Shown("vase"), Keys(tab), Shown("victim"), Enter, Think(100), Enter).
		rc("autoload -Uz compinit; compinit -u -d zcompdump; zstyle ':completion:*' menu select").file("vase", ""),
	zsh("a suggestion taken", "ghost text becomes real by the right arrow", Keys("rm"), Shown(harm), Keys(right+"\r")).rc(suggests).history(harm + "\n"),
	zsh("a suggestion taken at once", "no suggestion was shown yet", Keys("rm -rf vict"), Shown(harm), Keys(ctrlE+"\r")).rc(suggests + "\n" + emacs).history(harm + "\n"),
	zsh("a suggestion run", "a widget of the plugin takes and runs it", Keys("rm"), Shown(harm), Keys("\x1bg")).
		rc(suggests + "; bindkey '\\eg' autosuggest-execute").history(harm + "\n").as(missed),
	zsh("a suggestion beside it", "the ghost goes on after the forbidden line", Keys(harm), Shown("victim2"), Enter).rc(suggests).history("rm -rf victim2\n"),
	zsh("a suggestion in the colour of text", "ghost text that does not look like it", Keys(harm), Shown("victim2"), Enter).
		rc("ZSH_AUTOSUGGEST_HIGHLIGHT_STYLE=fg=default\n" + suggests).history("rm -rf victim2\n"),
	zsh("highlighted", "each word in its colour", Line(harm)).rc(highlights),
	zsh("highlighted, in one packet", "each word in its colour", Keys("m -rf victim"+ctrlA+"r\r")).rc(highlights + "\n" + emacs),
	zsh("suggested and highlighted", "both plugins", Keys("m -rf victim"), Think(100), Keys(ctrlA+"r"), Shown(harm), Enter).rc(emacs + "\n" + suggests + "\n" + highlights).history("mount -a\n"),
	zsh("a right prompt", "text at the right edge", Line(harm)).rc("RPROMPT='%~ [12:00]'"),
	zsh("a right prompt, recalled", "text at the right edge", Keys(up+"\r")).rc("RPROMPT='%~ [12:00]'").history(harm + "\n"),
	zsh("a right prompt that begins a comment", "the line seems to end before it", Keys(harm+ctrlA+"\r")).rc("RPROMPT='#'\n" + emacs),
	zsh("wrapped", "forbidden on the upper row", Line(harm+"; echo aaaaaaaaaaaaaaaaaaaaaa")).sized(30, 10),
	zsh("taller than the screen", "its start has scrolled away", Keys(harm+"; echo "+strings.Repeat("abcdefg ", 30)), Think(300), Enter).sized(20, 5),
	zsh("taller than the screen, in one packet", "its start was never seen", Keys(harm+"; echo "+strings.Repeat("abcdefg ", 30)+"\r")).sized(20, 5),
	zsh("wide characters at the edge", "a column stays empty", Keys("echo a漢字漢字漢字; rm -rf victim"), Shown("victim"), Enter).sized(21, 8),
	zsh("typed ahead", "while a program runs", asleep(harm+"\r")),
	zsh("typed ahead, edited", "Ctrl-A", asleep(" -rf victim"+ctrlA+"rm\r")).rc(emacs),
	zsh("typed ahead, two lines", "the second is forbidden", asleep("true\r"+harm+"\r")),
	zsh("a file without an end of line", "zsh marks it and begins a row", Line("printf rest"), Prompt, Line(harm)),
	zsh("a file without an end of line, no mark", "the prompt erases it", Line("printf rest"), Prompt, Line(harm)).rc("unsetopt prompt_sp"),
	zsh("a here-document for sh", "its body is code", Line("sh <<X"), More, Line(harm), More, Line("X")),
	zsh("continued", "a backslash at the end", Line(`rm \`), More, Line("-rf victim")),
	zsh("a function over lines", "f() {", Line("f() {"), More, Line(harm), More, Line("}; f")),
	zsh("pasted", "bracketed paste, then Enter", Paste(harm), Shown("victim"), Enter),
	zsh("pasted lines", "two lines, one Enter", Keys("\x1b[200~true\r"+harm+"\x1b[201~\r")),
	zsh("without 2004", "zle_bracketed_paste is unset", Keys(up+"\r")).rc("unset zle_bracketed_paste").history(harm + "\n"),
	zsh("vi mode", "bindkey -v", Keys("m -rf victim"+esc), Think(600), Keys("0ir\r")).rc("bindkey -v"),
	zsh("vi mode, recalled", "ESC k", Keys(esc), Think(600), Keys("k"), Shown(harm), Enter).rc("bindkey -v").history(harm + "\n"),
	zsh("no prompt", "PROMPT is empty", Line("PROMPT="), PromptAs(""), Keys(harm+"\r")),
	zsh("a prompt like a comment", "root@vm ~#", Line("PROMPT='root@vm ~# '"), PromptAs("~# "), Keys(harm+"\r")),
	zsh("a bindkey of one's own", "Ctrl-G runs the line", Keys(harm), Shown(harm), Keys("\x07")).rc("bindkey '^G' accept-line").with(denies).as(missed),
	zsh("a widget writes the line", "what a widget does is not seen", Keys("true\r")).rc("accept() { BUFFER='rm -rf victim'; zle .accept-line }; zle -N accept-line accept").as(missed),
	zsh("before the first prompt", "typed while the rc file is still read", Wait("booting"), Keys(harm+"\r")).rc("printf 'boot%s\\n' ing; sleep 0.5").early(),
	zsh("the C locale", "LC_ALL=C", Keys(up+"\r")).speaking("C").history(harm + "\n"),
	zsh("by exec with a terminal", "ssh -tt host zsh -i", Keys(harm+"\r")).by("exec"),
}

var zshInnocent = []Case{
	zfine("a command", "nothing special", "out", "hello\n", Run("echo hello > out")),
	zfine("three lines in one packet", "each runs once, in order", "out", "1\n2\n3\n", Keys("echo 1 > out\recho 2 >> out\recho 3 >> out\r"), Prompt, Prompt, Prompt),
	zfine("words in quotes", "a text about the command", "out", "rm -rf victim\n", Run("echo 'rm -rf victim' > out")),
	zfine("a suggestion not taken", "ghost text is not run", "f", gone, Keys("rm -f f"), Shown("rm -f f"), Enter, Prompt).rc(suggests).history("rm -f f -r victim\n").file("f", ""),
	zfine("a suggestion of forbidden words", "ghost text is not run", "out", "rm\n", Keys("echo rm"), Think(100), Keys(" > out\r"), Prompt).rc(suggests).history("echo rm; rm -rf victim\n"),
	zfine("a suggestion in another colour", "ghost text is not run", "f", gone, Keys("rm -f f"), Shown("victim"), Enter, Prompt).
		rc("ZSH_AUTOSUGGEST_HIGHLIGHT_STYLE=fg=6\n"+suggests).history("rm -f f -r victim\n").file("f", ""),
	zfine("highlighted", "each word in its colour", "out", "1\n", Keys("cho 1 > out"+ctrlA+"e\r"), Prompt).rc(highlights + "\n" + emacs),
	zfine("a right prompt that looks forbidden", "RPROMPT contains the words", "out", "1\n", Run("echo 1 > out"), Keys(up+"\r"), Prompt).rc("RPROMPT='; rm -rf victim'"),
	zfine("a right prompt, recalled", "RPROMPT contains the words", "out", "1\n", Keys(up+ctrlA+"\r"), Prompt).rc("RPROMPT='; rm -rf victim'\n" + emacs).history("echo 1 > out\n"),
	zfine("recalled", "arrow up, Enter", "out", "1\n1\n", Run("echo 1 >> out"), Keys(up+"\r"), Prompt),
	zfine("pushed", "Meta-q and back", "out", "1\n", Keys("echo 1 > out\x1bq"), Think(100), Keys("true\r"), Prompt, Shown("echo 1"), Enter, Prompt).rc(emacs),
	zfine("put there by print -z", "the line comes by itself", "out", "1\n", Line("print -z 'echo 1 > out'"), Prompt, Shown("> out"), Enter, Prompt),
	zfine("forbidden, put there and dropped", "Ctrl-U", "out", "1\n", Line("print -z rm -rf victim"), Prompt, Shown(harm), Keys(ctrlU+"echo 1 > out\r"), Prompt),
	zfine("ESC Enter", "two lines in one", "out", "1\n2\n", Keys("echo 1 > out\x1b\recho 2 >> out\r"), Prompt).rc(emacs),
	zfine("accepted and held", "Meta-a runs it, Enter again", "out", "1\n1\n", Keys("echo 1 >> out\x1ba"), Prompt, Shown("echo 1"), Enter, Prompt).rc(emacs),
	zfine("chosen from a menu", "the first Enter takes the word, the second runs", "out", "x", Keys("cp f"+tab+tab), OnScreen("fb"), Enter, Think(100), Keys(" out\r"), Prompt).
		rc("autoload -Uz compinit; compinit -u -d zcompdump; zstyle ':completion:*' menu select").file("fa", "x").file("fb", "x"),
	zfine("chosen from a menu before it is drawn", "the barrier leaves the menu, so that one Enter does both", "out", "x", Keys("cp f"+tab+tab), Shown("cp f"), Enter, Think(100), Keys(" out\r"), Prompt).
		rc("autoload -Uz compinit; compinit -u -d zcompdump; zstyle ':completion:*' menu select").file("fa", "x").file("fb", "x").as(hindered),
	zfine("vi mode", "bindkey -v", "out", "1\n", Keys("cho 1 > out"+esc), Think(600), Keys("0ie\r"), Prompt).rc("bindkey -v"),
	zfine("a here-document for cat", "its body is text", "out", "rm -rf victim\n", Line("cat > out <<X"), More, Line(harm), More, Line("X"), Prompt),
	zfine("a secret", "not shown, not judged, not recorded", "out", "hunter2-zsh\n", Line(`read -rs 'x?'$ask; echo $x > out`), Wait("Name? "), Slow("hunter2-zsh"), Enter, Prompt).rc(ask).hiding("hunter2-zsh"),
	zfine("a selection of text", "text with the words, pasted into quotes", "out", "rm -rf victim\n", Keys("echo '"), Paste("rm -rf victim"), Keys("' > out\r"), Prompt),
	zfine("UTF-8", "bytes arrive as typed", "out", "grün 漢字 ¤\n", Keys("echo grün 漢字 ¤ > out\r"), Prompt),
	zfine("wrapped", "many rows", "out", strings.Repeat("abcdefg ", 30)+"\n", Keys("echo '"+strings.Repeat("abcdefg ", 30)+"' > out\r"), Prompt).sized(20, 5),
	zfine("vim, text", "a note about the command", "notes", "rm -rf victim\n", Line("vim -u NONE -N notes"), OnScreen("notes"), Keys("irm -rf victim"), OnScreen("rm -rf victim"), Keys(esc+":wq\r"), Prompt),
	zfine("typed ahead", "while a program runs", "out", "1\n", asleep("echo 1 > out\r"), Prompt, Prompt),
}
