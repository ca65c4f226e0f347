package commands

import "strings"

func init() { tables = append(tables, bashScreens, bashPrograms) }

// bashScreens make the line hard to see.
var bashScreens = []Case{
	bash("wrapped, forbidden on the upper row", "the row of the cursor is harmless", Line(harm+"; echo aaaaaaaaaaaaaaaaaaaaaa")).sized(30, 10),
	bash("wrapped, in one packet", "the row of the cursor is harmless", Keys(harm+"; echo aaaaaaaaaaaaaaaaaaaaaa\r")).sized(30, 10),
	bash("wrapped within the word", "the command is on two rows", Line("echo aaaaaaaaaaaa; rm -rf victim")).sized(27, 10),
	bash("wrapped exactly at the edge", "the row is full", Line("true; rm -rf victim")).sized(len(ready)+len("true; rm -rf victim"), 10),
	bash("a tiny window", "20×5", Line("echo a; rm -rf victim; echo bbbbbbbbb")).sized(20, 5),
	bash("taller than the screen", "its start has scrolled away", Keys(harm+"; echo "+strings.Repeat("abcdefg ", 30)), Think(300), Enter).sized(20, 5),
	bash("taller than the screen, in one packet", "its start was never seen", Keys(harm+"; echo "+strings.Repeat("abcdefg ", 30)+"\r")).sized(20, 5),
	bash("taller, the cursor at its start", "Home scrolls back", Keys(harm+"; echo "+strings.Repeat("abcdefg ", 30)), Think(300), Keys(home), Think(100), Enter).sized(20, 5),
	bash("wide characters at the edge", "a column stays empty", Keys("echo a漢字漢字漢字; rm -rf victim"), Shown(harm), Enter).sized(20, 8),
	bash("wide characters, edited", "cursor 0 after wide characters", Keys("m -rf victim 漢字漢字漢字漢字"+home+"r\r")).sized(21, 8),
	bash("combining characters", "they take no column", Line("echo e\u0301e\u0301e\u0301; rm -rf victim")),
	bash("resized", "the window grows in the middle of the line", Keys("echo a; rm -rf vi"), Shown("vi"), Resize(100, 30), Think(200), Keys("ctim"), Think(100), Enter),
	bash("resized, narrower", "the line wraps anew", Keys("echo aaaaaaaaaaaa; rm -rf vi"), Shown("vi"), Resize(24, 10), Think(200), Keys("ctim"), Think(100), Enter),
	bash("a prompt like a comment", "root@vm ~#", Line("PS1='root@vm ~# '"), PromptAs("~# "), Line(harm)),
	bash("a prompt like a comment, in one packet", "root@vm ~#", Keys("PS1='root@vm ~# '\r"), PromptAs("~# "), Keys(harm+"\r")),
	bash("a prompt of two rows", "the upper one is decoration", Line(`PS1='\n[\w]\n$ '`), PromptAs("$ "), Line(harm)),
	bash("no prompt", "PS1 is empty", Line("PS1="), PromptAs(""), Keys(harm), Shown(harm), Enter),
	bash("no prompt, in one packet", "PS1 is empty", Line("PS1="), PromptAs(""), Keys(harm+"\r")),
	bash("a prompt like a secondary one", "PS1 is PS2", Line("PS1='more> '"), PromptAs("more> "), Line(harm)),
	bash("a prompt with an open quote", "it looks unfinished", Line(`PS1="echo ' "`), PromptAs("echo ' "), Line(harm)),
	bash("a prompt that changes", "a counter", Line(`PS1='\# ready$ '`), Prompt, Run("true"), Line(harm)),
	bash("a prompt that forges 2004", "paste mode off while the editor reads", Line(`PS1='ready$ \[\e[?2004l\]'`), Prompt, Line(harm)),
	bash("a prompt that forges 2004, in one packet", "paste mode off while the editor reads", Line(`PS1='ready$ \[\e[?2004l\]'`), Prompt, Keys(harm+"\r")),
	bash("a prompt that forges 1049", "as if an editor were open", Line(`PS1='\[\e[?1049h\]ready$ '`), Prompt, Keys(harm), Think(100), Enter),
	bash("a prompt that forges both", "an editor, no paste", Line(`PS1='\[\e[?1049h\]ready$ \[\e[?2004l\]'`), Prompt, Keys(harm), Think(100), Enter),
	bash("output that forges 1049", "as if an editor were open", Line(`printf '\e[?1049h'`), Prompt, Line(harm)),
	bash("output that forges 2004", "as if no editor were", Line(`printf '\e[?2004l'`), Prompt, Line(harm)),
	bash("a background job that forges 2004", "paste mode off in the middle of the line", Line(`(sleep 0.5; printf '\e[?2004l'; echo noise) &`), Prompt, Keys("rm -rf "), Wait("noise\r"), Keys("victim\r")),
	bash("without 2004", "the editor says nothing of itself", Line("bind 'set enable-bracketed-paste off'"), Prompt, Line(harm)),
	bash("without 2004, in one packet", "the editor says nothing of itself", Keys(harm+"\r")).rc("bind 'set enable-bracketed-paste off'"),
	bash("without 2004, recalled", "the editor says nothing of itself", Keys(up+"\r")).rc("bind 'set enable-bracketed-paste off'").history(harm + "\n"),
	bash("without 2004, recalled after a line", "the editor says nothing of itself", Run("true"), Keys(up+up+"\r")).rc("bind 'set enable-bracketed-paste off'").history(harm + "\n"),
	bash("no editing at all", "the terminal's own line", Line(harm)).rc("set +o emacs +o vi"),
	bash("a file without an end of line", "the prompt stands behind it", Line("printf rest"), Wait("rest"), Prompt, Line(harm)),
	bash("a file without an end of line, in one packet", "the prompt stands behind it", Line("printf rest"), Wait("rest"), Prompt, Keys(harm+"\r")),
	bash("output that looks like a line", "a prompt and a harmless command, then the real prompt", Line("printf 'ready$ echo '"), Prompt, Line(harm)),
	bash("output that looks like a quote", "printf opens what the shell does not", Line(`printf "ready$ echo '"`), Prompt, Line(harm)),
	bash("an editor's screen imitated", "~ and -- INSERT --", Line(`printf '\e[2J\e[H~\n~\n-- INSERT --\e[H'`), Prompt, Line(harm)),
	bash("the bottom row imitates vim", "text, the prompt below", Line(`printf '\e[2J\e[99;1H:set nu\e[H'`), Prompt, Line(harm)),
	bash("dim text", "all that is typed looks like ghost text", Line(`PS1='ready$ \[\e[2m\]'`), Prompt, Line(harm)),
	bash("dim text, the cursor at 0", "ghost text right of the cursor, but it is real", Line(`PS1='ready$ \[\e[2m\]'`), Prompt, Keys(harm+ctrlA), Shown(harm), Enter),
	bash("dim text, the cursor at 0, recalled", "without an arrow to the left", Line(`PS1='ready$ \[\e[2m\]'`), Prompt, Keys(up+up+ctrlA+"\r")).history(harm + "\n"),
	bash("grey text", "the colour of ghost text", Line(`PS1='ready$ \[\e[90m\]'`), Prompt, Keys(harm+"\x01"), Shown(harm), Enter),
	bash("concealed text", "nothing can be read by people", Line(`PS1='ready$ \[\e[8m\]'`), Prompt, Keys(harm+"\r")),
	bash("a clock at the right", "the prompt draws at the right edge, too", Line(`PS1='\[\e7\e[70G12:00:00\e8\]ready$ '`), Prompt, Keys(up+up+"\r")).history(harm + "\n"),
	bash("a job prints meanwhile", "in the middle of the line", Line("(sleep 0.5; echo noise) &"), Prompt, Keys("rm -rf "), Wait("noise\r"), Keys("victim\r")),
	bash("a job erases the line", "the screen shows nothing of it", Line(`(sleep 0.5; printf '\r\e[Knoise\r\n') &`), Prompt, Keys(harm), Wait("noise\r"), Enter),
	bash("a job writes another line", "the screen shows something harmless", Line(`(sleep 0.5; printf '\r\e[Kready$ ls\n'; printf '\r\e[A\e[9C') &`), Prompt, Keys(harm), Wait("ready$ ls\r"), Enter),
	bash("a job prints all the time", "the screen is never quiet", Line("(for i in {1..60}; do echo noise; sleep 0.02; done) &"), Prompt, Wait("noise\r"), Keys(harm+"\r")),
	bash("a busy target", "it hogs the processor and prints", Line("(timeout 3 sh -c 'while :; do echo noise; done' | head -c 300000) &"), Prompt, Wait("noise\r"), Keys(up+up+"\r")).
		history(harm + "\n"),
	bash("much output, then the line", "the screen has scrolled", Line("seq 5000"), Prompt, Line(harm)),
	bash("much output, typed ahead", "the screen has scrolled", Keys("seq 20000\r"+harm+"\r")),
	bash("at the bottom of the screen", "each line scrolls", Line("seq 30"), Prompt, Keys(up+up+"\r")).history(harm + "\n"),
	bash("a scroll region", "output leaves one", Line(`printf '\e[3;6r'`), Prompt, Line(harm)),
	bash("the C locale", "LC_ALL=C", Line(harm)).speaking("C"),
	bash("the C locale, in one packet", "LC_ALL=C: a sentinel of two bytes is no character there", Keys(up+"\r")).speaking("C").history(harm + "\n"),
	bash("the C locale, with bytes", "UTF-8 in a shell that knows none", Keys("echo ä; "+harm+"\r")).speaking("C"),
	bash("POSIX, edited", "LC_ALL=POSIX", Keys("m -rf victim"+ctrlA+"r\r")).speaking("POSIX"),
	bash("a dumb terminal", "TERM=dumb scrolls sideways", Line("TERM=dumb"), Prompt, Keys("echo "+strings.Repeat("a", 90)+"; "+harm), Think(200), Enter),
	bash("scrolled sideways", "horizontal-scroll-mode hides the start", Keys(harm+"; echo "+strings.Repeat("a", 90)), Think(200), Enter).rc("bind 'set horizontal-scroll-mode on'"),
	bash("marks of the modified line", "mark-modified-lines draws a * before it", Keys(up+" \r"), Prompt, Keys(up+up+up+"\r")).rc("bind 'set mark-modified-lines on'").history(harm + "\ntrue\n"),
	bash("mode strings", "vi modes shown in the prompt", Keys(esc), Think(100), Keys("k\r")).rc("set -o vi; bind 'set show-mode-in-prompt on'").history(harm + "\n"),
}

// bashPrograms run the command from within a program.
var bashPrograms = []Case{
	bash("vim, :!", "a command from an editor", Line("vim -u NONE -N notes"), OnScreen("notes"), Keys(":!rm -rf victim"), OnScreen("!rm -rf victim"), Enter).leaving(Keys(esc + ":q!\r")),
	bash("vim, :! in one packet", "a command from an editor", Line("vim -u NONE -N notes"), OnScreen("notes"), Keys(":!rm -rf victim\r")).leaving(Keys(esc + ":q!\r")),
	bash("after vim", "back at the prompt", Line("vim -u NONE -N notes"), OnScreen("notes"), Keys(":q\r"), Prompt, Line(harm)),
	bash("after vim, in one packet", "back at the prompt", Line("vim -u NONE -N notes"), OnScreen("notes"), Keys(":q\r"), Prompt, Keys(harm+"\r")),
	bash("less, !", "a command from a pager", Line("less book"), OnScreen("chapter 1"), Keys("!rm -rf victim"), OnScreen("!rm -rf victim"), Enter).
		leaving(Keys("\rq")).file("book", book),
	bash("less, ! in one packet", "a command from a pager", Line("less book"), OnScreen("chapter 1"), Keys("!rm -rf victim\r")).
		leaving(Keys("\rq")).file("book", book),
	bash("after less", "back at the prompt", Line("less book"), OnScreen("chapter 1"), Keys("q"), Prompt, Line(harm)).file("book", book),
	bash("after less, in one packet", "back at the prompt", Line("less book"), OnScreen("chapter 1"), Keys("q"+harm+"\r")).file("book", book),
	bash("tmux", "a shell in a window of tmux", Line("tmux -S sock -f tmux.conf new 'bash'"), OnScreen("[0]"), OnScreen(strings.TrimSpace(ready)), Keys(harm), OnScreen(harm), Enter).
		file("tmux.conf", "set -g destroy-unattached on\nset -g default-terminal screen\n"),
	bash("screen", "a shell in a window of screen", Line("SCREENDIR=$PWD/scr screen -c screenrc bash"), OnScreen("window 0"), OnScreen(strings.TrimSpace(ready)), Keys(harm), OnScreen(harm), Enter).
		file("screenrc", "startup_message off\nautodetach off\nhardstatus alwayslastline 'window %n'\n"),
	bash("after a REPL", "back at the prompt", Line("python3 -q"), Wait(">>> "), Keys("exit()\r"), Prompt, Line(harm)),
	miss("bash", "vim, a script", "what an editor does by itself is not seen", Line("vim -u NONE -N -S x.vim notes")).file("x.vim", "call system('rm -rf victim')\n"),
}

// book is longer than a screen.
var book = strings.Repeat("chapter 1\nrm -rf everything\nquiet flows\n", 40)
