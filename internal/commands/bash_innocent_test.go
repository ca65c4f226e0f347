package commands

import "strings"

func init() { tables = append(tables, bashInnocent, bashInnocentPrograms) }

func fine(name, reason, file, content string, steps ...Step) Case {
	return good("bash", name, reason, file, content, steps...)
}

var bashInnocent = []Case{
	fine("a command", "nothing special", "out", "hello\n", Run("echo hello > out")),
	fine("in one packet", "nothing is echoed when Enter comes", "out", "hello\n", Keys("echo hello > out\r"), Prompt),
	fine("three lines in one packet", "each runs once, in order", "out", "1\n2\n3\n", Keys("echo 1 > out\recho 2 >> out\recho 3 >> out\r"), Prompt, Prompt, Prompt),
	fine("ten lines in one packet", "each runs once, in order", "out", "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n", Keys(tenLines), Prompt, Prompt, Prompt, Prompt, Prompt, Prompt, Prompt, Prompt, Prompt, Prompt),
	fine("words in quotes", "a text about the command", "out", "rm -rf victim\n", Run("echo 'rm -rf victim' > out")),
	fine("words without quotes", "arguments of echo", "out", "rm -rf victim\n", Run("echo rm -rf victim > out")),
	fine("rm of a file", "no -r", "file", gone, Run("rm file")).file("file", ""),
	fine("rm -f of a file", "-f is no -r", "file", gone, Run("rm -f file")).file("file", ""),
	fine("rm of a file named -r", "-- ends options", "-r", gone, Run("rm -- -r")).file("-r", ""),
	fine("rmdir", "another program", "empty", gone, Run("mkdir empty; rmdir empty")),
	fine("ls -r", "another program's -r", "out", "b\na\n", Run("ls -r a b > out")).file("a", "").file("b", ""),
	fine("grep", "the words are a pattern", "out", "rm -rf x\n", Run("grep 'rm -r' script > out")).file("script", "ls\nrm -rf x\n"),
	fine("a commit message", "an argument of git", "out", "no more rm -rf victim\n", Run(`git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m "no more rm -rf victim" && git log --format=%s > out`)),
	fine("a comment", "not run", "out", "1\n", Run("echo 1 > out # rm -rf victim")),
	fine("a comment alone", "not run", "out", "1\n", Run("# rm -rf victim"), Run("echo 1 > out")),
	fine("find without -delete", "the rule wants it", "out", "victim\n", Run("find victim -maxdepth 0 > out")),
	fine("mv of something else", "the rule wants the victim", "b", "x", Run("mv a b")).file("a", "x"),
	fine("a here-document for cat", "its body is text", "out", "rm -rf victim\n", Line("cat > out <<X"), More, Line(harm), More, Line("X"), Prompt),
	fine("a here-document for cat, in one packet", "its body is text", "out", "rm -rf victim\n", Keys("cat > out <<X\r"+harm+"\rX\r"), Prompt),
	fine("a here-document pasted", "its body is text", "out", "rm -rf victim\n", Keys("\x1b[200~cat > out <<'X'\r"+harm+"\rX\x1b[201~"), Shown("X"), Enter, Prompt),
	fine("a here-string for cat", "text", "out", "rm -rf victim\n", Run("cat <<< 'rm -rf victim' > out")),
	fine("text for cat", "lines that look forbidden", "out", "rm -rf victim\nls\n", Line("echo g''o; cat > out"), Wait("go\r"), Keys("rm -rf victim\r"), Wait("victim\r"), Keys("ls\r"), Wait("ls\r"), Keys(ctrlD), Prompt),
	fine("text for cat, in one packet", "lines that look forbidden", "out", "rm -rf victim\nls\n", Line("echo g''o; cat > out"), Wait("go\r"), Keys("rm -rf victim\rls\r"+ctrlD), Prompt),
	fine("text for read", "a line that looks forbidden", "out", "rm -rf victim\n", Line(`read -p "$ask" x; echo "$x" > out`), Wait("Name? "), Keys("rm -rf victim\r"), Prompt).rc(ask),
	fine("text for tee", "lines that look forbidden", "out", "rm -rf victim\n", Line("echo g''o; tee out"), Wait("go\r"), Keys("rm -rf victim\r"), Wait("victim\r"), Keys(ctrlD), Prompt),
	fine("text for a program of one's own", "it reads the terminal, nobody knows", "out", "rm -rf victim\n", Line("ask"), Wait("Name? "), Keys("rm -rf victim\r"), Prompt).
		file("bin/ask", "#!/bin/bash\nread -p 'Name? ' x; echo \"$x\" > out\n").as(hindered),
	fine("a secret for read", "not shown, not judged, not recorded", "out", "hunter2-s3cret\n", Line(`read -s -p "$ask" x; echo "$x" > out`), Wait("Name? "), Slow("hunter2-s3cret"), Enter, Prompt).rc(ask).hiding("hunter2-s3cret"),
	fine("a secret in one packet", "not shown, not judged, not recorded", "out", "hunter2-s4cret\n", Line(`read -s -p "$ask" x; echo "$x" > out`), Wait("Name? "), Keys("hunter2-s4cret\r"), Prompt).rc(ask).hiding("hunter2-s4cret"),
	fine("a secret that looks forbidden", "who knows what people choose", "out", "rm -rf hunter2\n", Line(`read -s -p "$ask" x; echo "$x" > out`), Wait("Name? "), Keys("rm -rf hunter2\r"), Prompt).rc(ask).hiding("rm -rf hunter2"),
	fine("a secret for sudo", "the password of a wrapped command", "out", "1\n", Line("sudo sh -c 'echo 1 > out'"), Wait("password for"), Slow("hunter2-sudo"), Enter, Prompt).hiding("hunter2-sudo"),
	fine("a masked secret", "a program shows * for each key", "out", "hunter2-masked\n", Line("mask"), Wait("PIN: "), Slow("hunter2-masked"), Enter, Prompt).hiding("hunter2-masked").
		file("bin/mask", "#!/bin/bash\nprintf 'PIN: '; while IFS= read -rsn1 k && [ -n \"$k\" ]; do x+=$k; printf '*'; done; echo; echo \"$x\" > out\n"),
	fine("keys of a program", "a menu reads single keys", "out", "n\n", Line("menu"), Wait("Remove? "), Keys("n"), Prompt).
		file("bin/menu", "#!/bin/bash\nread -rsn1 -p 'Remove? ' k; echo; echo \"$k\" > out\n"),
	fine("typed ahead", "while a program runs", "out", "1\n", asleep("echo 1 > out\r"), Prompt, Prompt),
	fine("typed ahead, edited", "while a program runs", "out", "1\n", asleep("cho 1 > out"+ctrlA+"e\r"), Prompt, Prompt),
	fine("typed ahead, split", "half of it at the prompt", "out", "1\n", asleep("echo 1 "), Prompt, Keys("> out\r"), Prompt),
	fine("recalled", "arrow up, Enter", "out", "1\n1\n", Run("echo 1 >> out"), Keys(up+"\r"), Prompt),
	fine("recalled, a harmless line beside a forbidden one", "what was passed on the way does not count", "out", "1\n", Keys(up+up+down), Shown("echo 1"), Enter, Prompt).history(harm + "\necho 1 > out\n"),
	fine("recalled beside a forbidden one, in one packet", "what was passed on the way does not count", "out", "1\n", Keys(up+up+down+"\r"), Prompt).history(harm + "\necho 1 > out\n"),
	fine("recalled and dropped", "Ctrl-C", "out", "1\n", Keys(up), Shown(harm), Interrupt, Run("echo 1 > out")).history(harm + "\n"),
	fine("recalled and made harmless", "a word put before it", "out", "rm -rf victim\n", Keys(up+ctrlA+"echo "+ctrlE+" > out\r"), Prompt).history(harm + "\n"),
	fine("recalled and commented", "Meta-#", "out", "1\n", Keys(up), Shown(harm), Keys("\x1b#"), Prompt, Run("echo 1 > out")).history(harm + "\n"),
	fine("typed and dropped", "Ctrl-U", "out", "1\n", Keys(harm+ctrlU+"echo 1 > out\r"), Prompt),
	fine("typed and dropped by Ctrl-C", "Ctrl-C", "out", "1\n", Keys(harm), Shown(harm), Interrupt, Run("echo 1 > out")),
	fine("searched", "Ctrl-R for a harmless line", "out", "1\n", Keys(ctrlR+"echo"), Shown("echo 1"), Enter, Prompt).history("echo 1 > out\n" + harm + "\n"),
	fine("searched and given up", "Ctrl-G", "out", "1\n", Keys(ctrlR+"vict"), Shown(harm), Keys("\x07"), Hidden("i-search"), Keys("echo 1 > out\r"), Prompt).history(harm + "\n"),
	fine("completed", "Tab", "out", "x", Keys("cp fi"+tab), Shown("file"), Keys("out\r"), Prompt).file("file", "x"),
	fine("completed, in one packet", "Tab", "out", "x", Keys("cp fi"+tab+"out\r"), Prompt).file("file", "x"),
	fine("killed and yanked", "Ctrl-W, Ctrl-Y", "out", "a b\n", Keys("echo a b > out"+ctrlA+ctrlK+ctrlY+"\r"), Prompt),
	fine("UTF-8", "bytes arrive as typed", "out", "grün 漢字 e\u0301 🙂\n", Run("echo 'grün 漢字 e\u0301 🙂' > out")),
	fine("UTF-8, in one packet, edited", "bytes arrive as typed", "out", "grün 漢字\n", Keys("echo grün 漢字"+left+right+" > out\r"), Prompt),
	fine("the currency sign", "¤ is a character like others", "out", "¤¤\n", Keys("echo ¤¤x"+bs+" > out\r"), Prompt),
	fine("the C locale", "LC_ALL=C: no byte is changed", "out", "abc\n", Keys("echo abx"+bs+"c > out\r"), Prompt).speaking("C"),
	fine("the C locale, recalled", "LC_ALL=C: what is held must not be changed", "out", "1\n", Keys(up+"\r"), Prompt).speaking("C").history("echo 1 > out\n"),
	fine("the C locale, UTF-8 bytes", "LC_ALL=C: no byte is changed", "out", "grün\n", Run("echo gr'ün' > out")).speaking("C"),
	fine("the C locale, many recalls", "LC_ALL=C: no key is left over", "out", "1\n1\n1\n1\n", Run("echo 1 >> out"), Keys(up+"\r"), Prompt, Keys(up+"\r"), Prompt, Keys(ctrlP+ctrlA+ctrlE+"\r"), Prompt).speaking("C"),
	fine("a long line", "it wraps many times", "out", strings.Repeat("abcdefg ", 60)+"\n", Keys("echo '"+strings.Repeat("abcdefg ", 60)+"' > out\r"), Prompt).sized(40, 10),
	fine("a very long line", "four thousand characters", "out", strings.Repeat("x", 4000)+"\n", Keys("echo "+strings.Repeat("x", 4000)+" > out\r"), Prompt),
	fine("taller than the screen, edited", "nobody sees all of it", "out", strings.Repeat("abcdefg ", 30)+"\n", Keys("cho '"+strings.Repeat("abcdefg ", 30)+"' > out"), Think(300), Keys(ctrlA+"e\r"), Prompt).sized(20, 5),
	fine("a prompt that looks forbidden", "PS1 contains the words", "out", "1\n", Line("PS1='rm -rf victim; ready$ '"), Prompt, Run("echo 1 > out"), Keys(up+up+"\r"), Prompt, Enter, Prompt),
	fine("a screen that looks forbidden", "the words all over the screen", "out", "1\n", Line("yes 'ready$ rm -rf victim' | head -30"), Prompt, Keys("echo 1 > out\r"), Prompt, Keys(up+"\r"), Prompt),
	fine("Enter below forbidden words", "an empty line", "out", "1\n", Line("printf 'rm -rf victim'"), Prompt, Enter, Prompt, Run("echo 1 > out")),
	fine("a job prints meanwhile", "in the middle of the line", "out", "1\n", Line("(sleep 0.5; echo noise) &"), Prompt, Keys("echo 1 "), Wait("noise\r"), Keys("> out\r"), Prompt),
	fine("a job prints the words", "in the middle of the line", "out", "1\n", Line("(sleep 0.5; echo 'rm -rf victim') &"), Prompt, Keys("echo 1 "), Wait("victim\r"), Keys("> out\r"), Prompt),
	fine("jobs", "Ctrl-Z, fg", "out", "a\nb\n", Line("cat > out"), File("out"), Keys("a\r"), Holds("out", "a\n"), Keys(ctrlZ), Prompt, Line("fg"), Wait("cat > out"), Keys("b\r"), Wait("b\r"), Keys(ctrlD), Prompt),
	fine("the screen cleared", "Ctrl-L in the line", "out", "1\n", Keys("echo 1"+ctrlL+" > out\r"), Prompt),
	fine("resized", "in the middle of the line", "out", "1\n", Keys("echo 1"), Shown("echo 1"), Resize(50, 12), Think(200), Keys(" > out\r"), Prompt),
	fine("vi mode", "set -o vi", "out", "1\n", Keys("cho 1 > out"+esc), Think(100), Keys("0ie\r"), Prompt).rc("set -o vi"),
	fine("a loop over lines", "for … do", "out", "1\n2\n", Line("for i in 1 2"), More, Line("do echo $i"), More, Line("done > out"), Prompt),
	fine("a loop over lines, pasted", "for … do", "out", "1\n2\n", Paste("for i in 1 2\rdo echo $i\rdone > out"), Shown("done"), Enter, Prompt),
	fine("lines pasted", "each runs", "out", "1\n2\n", Paste("echo 1 > out\recho 2 >> out\r"), Think(100), Enter, Prompt),
	fine("a quote over lines", "the words are text", "out", "a\nrm -rf victim\n", Line("echo 'a"), More, Line("rm -rf victim' > out"), Prompt),
	fine("Ctrl-D deletes", "in the middle of a line", "out", "1\n", Keys("xecho 1 > out"+ctrlA+ctrlD+"\r"), Prompt),
	fine("Ctrl-V", "a quoted control key", "out", "a\x01b\n", Keys("echo a"+ctrlV+ctrlA+"b > out\r"), Prompt),
	fine("a tab", "a quoted tab", "out", "a\tb\n", Keys("echo 'a"+ctrlV+tab+"b' > out\r"), Prompt),
	fine("history expanded", "!$ is a word", "out", "file\n", Run("cat file"), Run("echo !$ > out")).file("file", ""),
	fine("slowly", "a key per packet", "out", "hello\n", Slow("echo hello > out"), Enter, Prompt),
	fine("no editing at all", "the terminal's own line", "out", "1\n", Keys("echo 12"+bs+" > out\r"), Prompt).rc("set +o emacs +o vi"),
	fine("by exec with a terminal", "ssh -tt host bash -i", "out", "1\n", Run("echo 1 > out")).by("exec"),
	fine("by the jump", "ssh -J", "out", "1\n", Keys(up+"\r"), Prompt).history("echo 1 > out\n").by("jump"),
	fine("over a shared connection", "ControlMaster", "out", "1\n", Keys(up+"\r"), Prompt).history("echo 1 > out\n").by("mux"),
}

var tenLines = func() string {
	s := "echo 0 > out\r"
	for _, d := range "123456789" {
		s += "echo " + string(d) + " >> out\r"
	}
	return s
}()

var bashInnocentPrograms = []Case{
	fine("vim, text", "a note about the command", "notes", "rm -rf victim\n", Line("vim -u NONE -N notes"), OnScreen("notes"), Keys("irm -rf victim"), OnScreen("rm -rf victim"), Keys(esc+":wq\r"), Prompt),
	fine("vim, lines", "Enter in insert mode", "notes", "rm -rf victim\nmv victim x\n", Line("vim -u NONE -N notes"), OnScreen("notes"), Keys("irm -rf victim\rmv victim x"), OnScreen("mv victim x"), Keys(esc+":wq\r"), Prompt),
	fine("vim, all in one packet", "text, Enter, :wq", "notes", "rm -rf victim\nls\n", Line("vim -u NONE -N notes"), OnScreen("notes"), Keys("irm -rf victim\rls"+esc+":wq\r"), Prompt),
	fine("vim, substitute", "the words are a pattern", "notes", "ls\n", Line("vim -u NONE -N notes"), OnScreen("rm -rf"), Keys(":%s/rm -rf victim/ls/\r:wq\r"), Prompt).file("notes", "rm -rf victim\n"),
	fine("vim, :!", "a harmless command", "out", "1\n", Line("vim -u NONE -N notes"), OnScreen("notes"), Keys(":!echo 1 > out\r"), Wait("Press ENTER"), Keys("\r:q\r"), Prompt),
	fine("vim, a script edited", "a file full of the words", "notes", "#\nrm -rf victim\n", Line("vim -u NONE -N notes"), OnScreen("rm -rf"), Keys("O#"+esc+":wq\r"), Prompt).file("notes", "rm -rf victim\n"),
	fine("less", "a search for the words", "out", "1\n", Line("less book"), OnScreen("chapter 1"), Keys("/rm -rf\r"), Think(100), Keys("n\r\rq"), Prompt, Run("echo 1 > out")).file("book", book),
	fine("less, !", "a harmless command", "out", "1\n", Line("less book"), OnScreen("chapter 1"), Keys("!echo 1 > out\r"), File("out"), Wait("done"), Keys("\rq"), Prompt).file("book", book),
	fine("more", "Enter scrolls", "out", "1\n", Line("more book"), Wait("More"), Keys("\r\rq"), Prompt, Run("echo 1 > out")).file("book", book),
	fine("python", "a REPL's lines", "out", "rm -rf victim", Line("python3 -q"), Wait(">>> "), Keys("import os\r"), Wait(">>> "), Keys("rm = 'rm -rf victim'\r"), Wait(">>> "), Keys("_ = open('out', 'w').write(rm)\r"), Wait(">>> "), Keys("exit()\r"), Prompt),
	fine("python, in one packet", "a REPL's lines", "out", "rm -rf victim", Line("python3 -q"), Wait(">>> "), Keys("_ = open('out', 'w').write('rm -rf victim')\rexit()\r"), Prompt),
	fine("a database's prompt", "its lines are no shell's", "out", "rm -rf victim;\n", Line("mysql"), Wait("mysql> "), Keys("rm -rf victim;\r"), Wait("mysql> "), Keys("quit\r"), Prompt).
		file("bin/mysql", "#!/bin/bash\nwhile IFS= read -er -p 'mysql> ' x && [ \"$x\" != quit ]; do echo \"$x\" >> out; done\n"),
	fine("a database's prompt, plain", "without a line editor", "out", "rm -rf victim;\n", Line("mysql"), Wait("mysql> "), Keys("rm -rf victim;\r"), Wait("mysql> "), Keys("quit\r"), Prompt).
		file("bin/mysql", "#!/bin/bash\nwhile IFS= read -r -p 'mysql> ' x && [ \"$x\" != quit ]; do echo \"$x\" >> out; done\n"),
	fine("a shell in the shell", "bash, then back", "out", "1\n2\n", Line("bash"), Prompt, Run("echo 1 > out"), Line("exit"), Prompt, Run("echo 2 >> out")),
	fine("dash in the shell", "no line editor", "out", "1\n2\n", Line("dash"), Prompt, Run("echo 1 > out"), Line("exit"), Prompt, Run("echo 2 >> out")),
	fine("tmux", "a shell in a window of tmux", "out", "1\n", Line("tmux -S sock -f tmux.conf new 'bash'"), OnScreen("[0]"), OnScreen(strings.TrimSpace(ready)), Keys("echo 1 > out\r"), File("out"), Keys("exit\r"), Prompt).
		file("tmux.conf", "set -g destroy-unattached on\nset -g default-terminal screen\n"),
	fine("a busy target", "it prints all the time", "out", "1\n", Line("(for i in {1..60}; do echo noise; sleep 0.02; done) &"), Prompt, Wait("noise\r"), Keys("echo 1 > out\r"), File("out")),
}
