package commands

import "strings"

func init() { tables = append(tables, fishForbidden, fishInnocent, dashForbidden, dashInnocent) }

func fish(name, reason string, steps ...Step) Case { return bad("fish", name, reason, steps...) }
func dash(name, reason string, steps ...Step) Case { return bad("dash", name, reason, steps...) }

func ffine(name, reason, file, content string, steps ...Step) Case {
	return good("fish", name, reason, file, content, steps...)
}

func dfine(name, reason, file, content string, steps ...Step) Case {
	return good("dash", name, reason, file, content, steps...)
}

var fishForbidden = []Case{
	fish("plain", "typed, seen, Enter", Line(harm)),
	fish("in one packet", "nothing is echoed when Enter comes", Keys(harm+"\r")),
	fish("slowly", "a key per packet", Slow(harm), Enter),
	fish("terminated", "the session ends with the line", Keys(harm+"\r")).with(terminates),
	fish("line feed", "Ctrl-J is Enter, too", Keys(harm+ctrlJ)),
	fish("recalled", "arrow up, seen, Enter", Keys(up), Shown(harm), Enter).fishHistory(harm),
	fish("recalled, in one packet", "arrow up and Enter", Keys(up+"\r")).fishHistory(harm),
	fish("recalled by what was typed", "arrow up finds the rest", Keys("vict"+up+"\r")).fishHistory(harm),
	fish("a suggestion taken", "ghost text becomes real by the right arrow", Keys("rm "), Shown(harm), Keys(right+"\r")).fishHistory(harm),
	fish("a suggestion taken by words", "Meta-right", Keys("rm -rf "), Shown(harm), Keys("\x1bf\r")).fishHistory(harm),
	fish("a suggestion beside it", "the ghost goes on after the forbidden line", Keys(harm), Shown("victim2"), Enter).fishHistory("rm -rf victim2"),
	fish("inserted at the start", "Ctrl-A", Keys("m -rf victim"+ctrlA+"r\r")),
	fish("Enter at cursor 0", "the line is right of the cursor", Keys(harm+ctrlA), Shown(harm), Enter),
	fish("arrows", "a letter in the middle", Keys("rm -rf vctim"+strings.Repeat(left, 4)+"i\r")),
	fish("killed and yanked", "Ctrl-K, Ctrl-Y", Keys("-rf victim"+ctrlA+ctrlK+"rm "+ctrlY+"\r")),
	fish("undone", "Ctrl-Z takes the last edit back", Keys(harm), Shown(harm), Keys(ctrlW), Think(50), Keys(ctrlZ), Shown(harm), Enter),
	fish("sudo put before it", "Meta-s", Keys(harm), Shown(harm), Keys("\x1bs"), Shown("sudo"), Enter, Wait("password for"), Keys("hunter2-sudo\r")),
	fish("completed", "Tab for the name", Keys("rm -rf vic"+tab), Shown("victim/"), Enter),
	fish("completed, in one packet", "Tab for the name", Keys("rm -rf vic"+tab+"\r")),
	fish("chosen from the pager", "a list below the line", Keys("rm -rf v"+tab), OnScreen("vase"), Keys(tab), Think(50), Keys(tab), Shown("victim"), Enter, Think(100), Enter).file("vase", ""),
	fish("Meta-Enter", "a line feed within the line", Keys("true\x1b\r"+harm+"\r")),
	fish("and", "fish's own word", Line("true; and rm -rf victim")),
	fish("command substitution", "( )", Line("echo (rm -rf victim)")),
	fish("a loop over lines", "for … end", Keys("for d in victim\rrm -rf $d\rend"), Shown("end"), Enter),
	fish("a function", "on one line", Line("function f; rm -rf victim; end; f")),
	fish("begin", "a block", Line("begin; rm -rf victim; end")),
	fish("not", "fish's own word", Line("not rm -rf victim")),
	fish("a right prompt", "text at the right edge", Line(harm)).rc("function fish_right_prompt; echo -n 12:00; end"),
	fish("wrapped", "forbidden on the upper row", Keys(harm+"; echo aaaaaaaaaaaaaaaaaaaaaa"), Shown("aaaaaaaaaaaaaaaaaaaaaa"), Enter).sized(30, 10),
	fish("taller than the screen", "its start has scrolled away", Keys(harm+"; echo "+strings.Repeat("abcdefg ", 20)), Think(300), Enter).sized(20, 5),
	fish("typed ahead", "while a program runs", Line("printf 'as%s\\n' leep; sleep 0.7"), Wait("asleep"), Keys(harm+"\r")),
	fish("pasted", "bracketed paste, then Enter", Paste(harm), Shown(harm), Enter),
	fish("pasted lines", "two lines, one Enter", Paste("true\n"+harm), Shown(harm), Enter),
	fish("vi mode", "fish_vi_key_bindings", Keys("m -rf victim"+esc), Think(600), Keys("0ir"), Shown(harm), Enter).rc("set -g fish_key_bindings fish_vi_key_bindings"),
	fish("vi mode, recalled", "ESC k", Keys(esc), Think(600), Keys("k"), Shown(harm), Enter).rc("set -g fish_key_bindings fish_vi_key_bindings").fishHistory(harm),
	fish("an abbreviation", "it expands at Enter, by itself", Keys("zap"), Shown("zap"), Enter).rc("abbr -a zap rm -rf victim").as(missed),
	fish("an abbreviation, expanded by a blank", "the line is seen before Enter", Keys("zap "), Shown(harm), Enter).rc("abbr -a zap rm -rf victim"),
	fish("before the first prompt", "typed while the rc file is still read", Wait("booting"), Keys(harm+"\r")).rc("printf 'boot%s\\n' ing; sleep 0.5").early(),
	fish("by exec with a terminal", "ssh -tt host fish -i", Keys(harm+"\r")).by("exec"),
}

var fishInnocent = []Case{
	ffine("a command", "nothing special", "out", "hello\n", Run("echo hello > out")),
	ffine("three lines in one packet", "each runs once, in order", "out", "1\n2\n3\n", Keys("echo 1 > out\recho 2 >> out\recho 3 >> out\r"), Prompt, Prompt, Prompt),
	ffine("words in quotes", "a text about the command", "out", "rm -rf victim\n", Run("echo 'rm -rf victim' > out")),
	ffine("a suggestion not taken", "ghost text is not run", "f", gone, Keys("rm -f f"), Shown("victim"), Enter, Prompt).fishHistory("rm -f f -r victim").file("f", ""),
	ffine("a suggestion of forbidden words", "ghost text is not run", "out", "rm\n", Keys("echo rm"), Shown("victim"), Keys(" > out\r"), Prompt).fishHistory("echo rm; rm -rf victim"),
	ffine("a right prompt that looks forbidden", "it contains the words", "out", "1\n", Run("echo 1 > out"), Keys(up+"\r"), Prompt).rc("function fish_right_prompt; echo -n '; rm -rf victim'; end"),
	ffine("recalled", "arrow up, Enter", "out", "1\n1\n", Run("echo 1 >> out"), Keys(up+"\r"), Prompt),
	ffine("completed", "Tab", "out", "x", Keys("cp fi"+tab), Shown("file"), Keys("out\r"), Prompt).file("file", "x"),
	ffine("a loop over lines", "for … end", "out", "1\n2\n", Keys("for i in 1 2\recho $i >> out\rend"), Shown("end"), Enter, Prompt),
	ffine("vi mode", "fish_vi_key_bindings", "out", "1\n", Keys("cho 1 > out"+esc), Think(600), Keys("0ie"), Shown("echo 1"), Enter, Prompt).rc("set -g fish_key_bindings fish_vi_key_bindings"),
	ffine("a secret", "not shown as typed, not recorded", "out", "hunter2-fish\n", Line("read -s -P $ask x; echo $x > out"), Wait("Name? "), Slow("hunter2-fish"), Enter, Prompt).rc("set ask 'Name? '").hiding("hunter2-fish"),
	ffine("UTF-8", "bytes arrive as typed", "out", "grün 漢字 ¤\n", Keys("echo grün 漢字 ¤ > out\r"), Prompt),
	ffine("forbidden, typed and dropped", "Ctrl-U", "out", "1\n", Keys(harm+ctrlU+"echo 1 > out\r"), Prompt),
	ffine("text for cat", "lines that look forbidden", "out", "rm -rf victim\n", Line("echo g''o; cat > out"), Wait("go\r"), Keys("rm -rf victim\r"), Wait("victim\r"), Keys(ctrlD), Prompt),
	ffine("typed ahead", "while a program runs", "out", "1\n", Line("printf 'as%s\\n' leep; sleep 0.7"), Wait("asleep"), Keys("echo 1 > out\r"), Prompt, Prompt),
}

var dashForbidden = []Case{
	dash("plain", "typed, seen, Enter", Line(harm)),
	dash("in one packet", "nothing is echoed when Enter comes", Keys(harm+"\r")),
	dash("slowly", "a key per packet", Slow(harm), Enter),
	dash("terminated", "the session ends with the line", Keys(harm+"\r")).with(terminates),
	dash("line feed", "Ctrl-J is Enter, too", Keys(harm+ctrlJ)),
	dash("Ctrl-D twice", "an unfinished line is run at the second", Keys(harm), Shown(harm), Keys(ctrlD), Think(100), Keys(ctrlD)),
	dash("Ctrl-D twice, in one packet", "an unfinished line is run at the second", Keys(harm+ctrlD+ctrlD)),
	dash("Ctrl-D, then Enter", "the first hands over what there is", Keys("rm -rf "+ctrlD), Think(100), Keys("victim\r")),
	dash("Ctrl-D within the word", "the line comes in two parts", Keys("r"+ctrlD+"m -rf victim\r")),
	dash("continued", "PS2", Line(`rm \`), More, Line("-rf victim")),
	dash("continued, in one packet", "PS2", Keys("rm \\\r-rf victim\r")),
	dash("a quote over lines", "PS2", Line("sh -c '"), More, Line(harm), More, Line("'")),
	dash("a here-document for sh", "its body is code", Line("sh <<X"), More, Line(harm), More, Line("X")),
	dash("after a here-document", "the next line is the shell's", Line("cat <<X"), More, Line("text"), More, Line("X"), Prompt, Line(harm)),
	dash("backspaces", "the terminal's own editing", Keys("echx"+strings.Repeat(bs, 4)+harm+"\r")),
	dash("Ctrl-U", "the terminal's own editing", Keys("echo "+ctrlU+harm+"\r")),
	dash("Ctrl-W", "the terminal's own editing", Keys("echo "+ctrlW+harm+"\r")),
	dash("Ctrl-R", "the terminal shows the line again", Keys("rm -rf "+ctrlR+"victim\r")),
	dash("Ctrl-V", "a quoted key, then the line", Keys("true "+ctrlV+ctrlA+"; "+harm+"\r")),
	dash("Ctrl-C first", "a line that was dropped", Keys("echo '"), Shown("echo"), Interrupt, Line(harm)),
	dash("paste brackets forged", "nobody pastes here: the brackets are keys", Keys("\x1b[200~\r"+harm+"\r\x1b[201~\r")),
	dash("typed ahead", "while a program runs", asleep(harm+"\r")),
	dash("typed ahead, two lines", "the second is forbidden", asleep("true\r"+harm+"\r")),
	dash("typed ahead, split", "half of it at the prompt", asleep("rm -rf "), Prompt, Keys("victim\r")),
	dash("after a password", "stty -echo", Line("stty -echo; printf \"$ask\"; read x; stty echo"), Wait("Name? "), Keys("hunter2-dash\r"), Prompt, Line(harm)).rc(ask),
	dash("without echo", "stty -echo, and on", Run("stty -echo"), Keys(harm+"\r")).leaving(),
	dash("after cat", "its input ends by Ctrl-D", Line("echo g''o; cat > note"), Wait("go\r"), Keys("text\r"), Wait("text"), Keys(ctrlD), Prompt, Line(harm)),
	dash("no prompt", "PS1 is empty", Line("PS1="), Think(200), Keys(harm), Shown(harm), Enter),
	dash("a prompt like a comment", "#", Line("PS1='# '"), Wait("# "), Wait("# "), Line(harm)),
	dash("vi mode", "set -o vi does nothing without libedit, and must not", Keys(harm+"\r")).rc("set -o vi 2>/dev/null || :"),
	dash("before the first prompt", "typed while the rc file is still read", Wait("booting"), Keys(harm+"\r")).rc("printf 'boot%s\\n' ing; sleep 0.5").early(),
	dash("UTF-8 erased", "a character of two bytes", Keys("ä"+bs+bs+harm+"\r")),
	dash("by exec with a terminal", "ssh -tt host dash -i", Keys(harm+"\r")).by("exec"),
}

var dashInnocent = []Case{
	dfine("a command", "nothing special", "out", "hello\n", Run("echo hello > out")),
	dfine("three lines in one packet", "each runs once, in order", "out", "1\n2\n3\n", Keys("echo 1 > out\recho 2 >> out\recho 3 >> out\r"), Prompt, Prompt, Prompt),
	dfine("words in quotes", "a text about the command", "out", "rm -rf victim\n", Run("echo 'rm -rf victim' > out")),
	dfine("a here-document for cat", "its body is text", "out", "rm -rf victim\n", Line("cat > out <<X"), More, Line(harm), More, Line("X"), Prompt),
	dfine("text for cat", "lines that look forbidden", "out", "rm -rf victim\n", Line("echo g''o; cat > out"), Wait("go\r"), Keys("rm -rf victim\r"), Wait("victim\r"), Keys(ctrlD), Prompt),
	dfine("text for read", "a line that looks forbidden", "out", "rm -rf victim\n", Line(`printf "$ask"; read x; echo "$x" > out`), Wait("Name? "), Keys("rm -rf victim\r"), Prompt).rc(ask),
	dfine("a secret", "stty -echo: not recorded", "out", "hunter2-dash\n", Line(`stty -echo; printf "$ask"; read x; stty echo; echo "$x" > out`), Wait("Name? "), Slow("hunter2-dash"), Enter, Prompt).rc(ask).hiding("hunter2-dash"),
	dfine("backspaces", "the terminal's own editing", "out", "12\n", Keys("echo 13"+bs+"2 > out\r"), Prompt),
	dfine("Ctrl-D, then Enter", "the line comes in two parts", "out", "1\n", Keys("echo 1 "+ctrlD), Think(100), Keys("> out\r"), Prompt),
	dfine("continued", "PS2", "out", "1 2\n", Line(`echo 1 \`), More, Line("2 > out"), Prompt),
	dfine("UTF-8", "bytes arrive as typed", "out", "grün 漢字 ¤\n", Keys("echo grün 漢字 ¤ > out\r"), Prompt),
	dfine("forbidden, dropped by Ctrl-C", "Ctrl-C", "out", "1\n", Keys(harm), Shown(harm), Interrupt, Run("echo 1 > out")),
	dfine("typed ahead", "while a program runs", "out", "1\n", asleep("echo 1 > out\r"), Prompt, Prompt),
}
