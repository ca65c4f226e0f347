package commands

import "strings"

func init() { tables = append(tables, further) }

// further are cases that fit nowhere else: long sessions, several tricks at once.
var further = []Case{
	bash("the second refusal", "the judge goes on after the first one", Line(harm)).leaving(Interrupt, Keys(up+"\r"), Think(300)),
	bash("a refusal, then the same from history", "Ctrl-C keeps no line in bash's history, a person tries", Keys(up), Shown(harm), Enter).history(harm+"\n").leaving(Interrupt, Keys(up+"\r"), Think(300)),
	bash("after many lines", "the hundredth line is judged as the first one", Keys(strings.Repeat("true\r", 50)), File("fifty"), Keys("\r"+harm+"\r")).
		rc("PROMPT_COMMAND+='; [ $prompts -lt 50 ] || : > fifty'"),
	bash("after UTF-8", "wide characters on the rows above", Run("echo 漢字 grün"), Keys(up+ctrlU+harm+"\r")),
	bash("a here-document within a function", "two constructs at once", Line("f() { sh <<X"), More, Line(harm), More, Line("X"), More, Line("}; f")),
	bash("a case over lines", "patterns have brackets of their own", Line("case x in"), More, Line("x) rm -rf victim;;"), More, Line("esac")),
	bash("a comment that goes on", "a backslash ends no comment", Keys("# \\\r"), Prompt, Line(harm)),
	bash("an arithmetic that looks unfinished", "<< is no here-document there", Run("echo $((1<<2))"), Line(harm)),
	bash("a here-string that looks unfinished", "<<< is no here-document", Run("cat <<<X"), Line(harm)),
	bash("a here-document in quotes", "no here-document at all", Run("echo 'cat <<X'"), Line(harm)),
	bash("a syntax error", "it is no unfinished line", Run("echo )"), Line(harm)),
	bash("a lone carriage return in a paste of keys", "CR, text, CR", Keys("\r"+harm+"\r")),
	bash("the clipboard of a terminal without 2004", "lines in one packet, with line feeds", Keys("cd .\n"+harm+"\n")),
	bash("while a password is asked in the background", "a job turns the echo off", Line("(trap '' TTOU; sleep 0.3; stty -echo; touch off; sleep 1) &"), Prompt, File("off"), Keys(harm+"\r")),
	bash("sudo, its password in the packet", "the command is judged before the password is asked", Keys("sudo rm -rf victim\r"), Wait("password for"), Keys("hunter2-sudo\r")),
	bash("a shell by sudo", "the line is typed there", Line("sudo bash"), Wait("password for"), Keys("hunter2-sudo\r"), Prompt, Line(harm)),
	bash("zsh in bash", "another line editor", Line("zsh"), Prompt, Keys(up+"\r")).history(harm + "\n"),
	bash("a window title", "the line is in the title, too", Run(`printf '\e]0;rm -rf x\a'`), Line(harm)),
	bash("a hyperlink", "an OSC 8 around the prompt", Line(`PS1='\[\e]8;;file:///\e\\\]ready\[\e]8;;\e\\\]$ '`), Prompt, Keys(up+up+"\r")).history(harm + "\n"),
	bash("an unfinished escape sequence", "output ends within one", Line(`printf '\e[3'`), Prompt, Line(harm)),
	bash("an unfinished title", "all that follows is hidden in it", Line(`printf '\e]0;x'`), Think(300), Keys(harm), Think(100), Enter),
	bash("the alternate character set", "letters are drawn as lines", Line(`printf '\e(0'`), Prompt, Keys(harm), Think(200), Enter),
	bash("characters inserted", "insert mode is left on", Line(`printf '\e[4h'`), Prompt, Keys(harm+"\r")),
	bash("no wrapping", "the terminal's margin overwrites", Line(`printf '\e[?7l'`), Prompt, Keys(harm+"; echo "+strings.Repeat("a", 80)+"\r")),
	bash("origin mode", "rows are counted from a margin", Line(`printf '\e[3;9r\e[?6h'`), Prompt, Keys(harm+"\r")),
	bash("backspaces in the output", "the prompt is overwritten", Line(`PS1='ready$ \[\b\b\b\]'`), PromptAs("ready$ "), Keys(harm+"\r")),
	fine("after a refusal that the user corrects", "what was refused is gone, the next line runs", "out", "1\n", Keys(harm), Shown(harm), Interrupt, Keys("echo 1 > out\r"), Prompt),
	fine("Enter many times", "empty lines", "out", "1\n", Keys("\r\r\r\r\r\recho 1 > out\r"), File("out")),
	fine("a word with the sign that marks", "¤ typed, erased, typed", "out", "a¤b\n", Keys("echo a¤"+bs+"¤b > out\r"), Prompt),
	fine("a shell by sudo", "a password, then lines", "out", "1\n", Line("sudo bash"), Wait("password for"), Keys("hunter2-sudo\r"), Prompt, Run("echo 1 > out"), Line("exit"), Prompt).hiding("hunter2-sudo"),
	fine("a question in a script", "y and Enter", "out", "y\n", Line("sure"), Wait("Sure? "), Keys("y\r"), Prompt).file("bin/sure", "#!/bin/bash\nread -rp 'Sure? ' x; echo \"$x\" > out\n"),
	fine("a question about the command", "the words are asked, y is typed", "out", "y\n", Line("sure"), Wait("? "), Keys("y\r"), Prompt).file("bin/sure", "#!/bin/bash\nread -rp 'run rm -rf victim? ' x; echo \"$x\" > out\n"),
	fine("a comment with a quote", "it is no unfinished line", "out", "1\n", Run("true # don't"), Run("echo 1 > out")),
	fine("editing over the edge", "arrows over a wrapped row", "out", strings.Repeat("x", 40)+"y\n", Keys("echo "+strings.Repeat("x", 40)+" > out"+strings.Repeat(left, 6)+"y\r"), Prompt).sized(20, 6),
	fine("a window of one column more", "the line ends at the edge", "out", "12345\n", Keys("echo 12345 > out\r"), Prompt).sized(len(ready)+len("echo 12345 > out"), 6),
}
