package transfer

import (
	"path"
	"slices"
	"strings"

	"sallyport"
	"sallyport/transfer/scp"
	"sallyport/transfer/stream"
)

// Kind is a way in which files move.
type Kind string

// The kinds. What of SFTP and scp moves is read; of the others only the command
// line is, and the bytes are counted.
const (
	KindSFTP  Kind = "sftp"
	KindSCP   Kind = "scp"
	KindRsync Kind = "rsync"
	KindGit   Kind = "git"
)

// Command is what a command line moves.
type Command struct {
	Kind Kind
	// Direction is FilesBoth where the line does not tell.
	Direction sallyport.Direction
	// Paths are the arguments as the program gets them. Exact is false where the
	// line does not tell all of them.
	Paths []string
	Exact bool

	name      string // of the program
	recursive bool   // of scp: -r
	intoDir   bool   // of scp: -d
}

// Recognise reads the words of a command, the program first. exact is told of
// each word whether it is what the program gets: a word with a variable in it,
// say, is not.
func Recognise(argv []string, exact func(word string) bool) (Command, bool) {
	if len(argv) == 0 {
		return Command{}, false
	}
	c := Command{name: path.Base(argv[0]), Exact: true}
	args := argv[1:]
	ok := false
	switch c.name {
	case "sftp-server", "internal-sftp":
		c.Kind, c.Direction, ok = KindSFTP, sallyport.FilesBoth, true
	case "scp":
		ok = c.scp(args)
	case "rsync":
		ok = c.rsync(args)
	case "git":
		if len(args) > 0 {
			c.name = "git-" + args[0]
			ok = c.git(args[1:])
		}
	case "git-upload-pack", "git-receive-pack", "git-upload-archive":
		ok = c.git(args)
	}
	if exact != nil {
		c.Exact = c.Exact && !slices.ContainsFunc(c.Paths, func(p string) bool { return !exact(p) })
	}
	return c, ok
}

// scp follows main of scp.c; GNU getopt takes options behind operands too.
func (c *Command) scp(args []string) bool {
	const withValue = "cDFiJlMoPSX"
	c.Kind = KindSCP
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			c.Paths = append(c.Paths, args[i+1:]...)
			break
		}
		if len(a) < 2 || a[0] != '-' {
			c.Paths = append(c.Paths, a)
			continue
		}
		for j, flag := range a[1:] {
			if strings.ContainsRune(withValue, flag) {
				if j == len(a)-2 {
					i++
				}
				break
			}
			switch flag {
			case 't':
				c.Direction = sallyport.FilesUpload
			case 'f':
				c.Direction = sallyport.FilesDownload
			case 'r':
				c.recursive = true
			case 'd':
				c.intoDir = true
			}
		}
	}
	return c.Direction != "" && len(c.Paths) > 0
}

// rsync: the client starts "rsync --server [--sender] OPTIONS . PATHS" at the
// target (options.c, server_options).
func (c *Command) rsync(args []string) bool {
	if !slices.Contains(args, "--server") {
		return false
	}
	c.Kind, c.Direction = KindRsync, sallyport.FilesUpload
	removes := false
	for _, a := range args {
		switch {
		case a == "--sender":
			c.Direction = sallyport.FilesDownload
		case a == "--daemon", a == "--config", strings.HasPrefix(a, "--config="):
			c.Exact = false
		case strings.HasPrefix(a, "--remove-s"):
			removes = true
		}
	}
	if !c.Exact || removes && c.Direction == sallyport.FilesDownload {
		c.Direction = sallyport.FilesBoth
	}
	dot := slices.Index(args, ".")
	if dot < 0 || dot == len(args)-1 { // they come on its input, with --secluded-args
		c.Exact = false
		return true
	}
	c.Paths = args[dot+1:]
	return true
}

func (c *Command) git(args []string) bool {
	c.Kind = KindGit
	switch c.name {
	case "git-upload-pack", "git-upload-archive":
		c.Direction = sallyport.FilesDownload
	case "git-receive-pack":
		c.Direction = sallyport.FilesUpload
	default:
		return false
	}
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			c.Paths = append(c.Paths, a)
		}
	}
	return len(c.Paths) > 0
}

// Check is an error where the rules refuse the command before it begins. What
// single files are refused is the stream's business. Paths are judged as they
// are written: nobody resolves them here.
func (c Command) Check(r sallyport.FileRules) error {
	if c.Kind == KindSFTP {
		return nil
	}
	rules := stream.NewRules(r)
	for _, d := range []sallyport.Direction{sallyport.FilesUpload, sallyport.FilesDownload} {
		if c.Direction != d && c.Direction != sallyport.FilesBoth {
			continue
		}
		if no := rules.CheckDirection(d); no != nil {
			return no
		}
	}
	if !rules.Globs() || c.Kind == KindSCP {
		return nil
	}
	if !c.Exact {
		return stream.Denied("your role limits paths, and the command does not tell them")
	}
	for _, p := range c.Paths {
		if no := rules.CheckWritten(p); no != nil {
			return no
		}
		if no := rules.CheckPattern(p); no != nil {
			return no
		}
		if no := rules.CheckTree(path.Clean(p)); no != nil {
			return no
		}
	}
	return nil
}

// Event is an event about the command as a whole.
func (c Command) Event(outcome, reason string) sallyport.FileEvent {
	e := sallyport.FileEvent{Op: sallyport.OpUpload, Outcome: outcome, Reason: strings.TrimPrefix(reason, stream.Prefix), Detail: c.name}
	if c.Direction == sallyport.FilesDownload {
		e.Op = sallyport.OpDownload
	}
	if len(c.Paths) > 0 {
		stream.SetPath(&e, c.Paths[0])
	}
	if len(c.Paths) > 1 {
		more, _ := stream.Text(strings.Join(c.Paths[1:], " "))
		e.Detail += ", and " + more
	}
	return e
}

// Stream returns the stream of a channel that runs the command.
func (c Command) Stream(cfg Config) Stream {
	switch c.Kind {
	case KindSFTP:
		return NewSFTP(cfg)
	case KindSCP:
		return scp.New(cfg, scp.Command{Upload: c.Direction == sallyport.FilesUpload, Paths: c.Paths, Exact: c.Exact, IntoDir: c.intoDir})
	}
	return newCounter(cfg, c)
}
