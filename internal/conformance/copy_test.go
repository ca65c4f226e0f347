package conformance

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// forest makes a directory with what copies get wrong: modes, empty files, odd
// names, many small files.
func (s *seat) forest() string {
	s.Helper()
	dir := filepath.Join(s.here, "forest")
	s.must(os.MkdirAll(filepath.Join(dir, "deep", "deeper"), 0o755))
	s.write(filepath.Join(dir, "empty"), "")
	s.write(filepath.Join(dir, "two words"), "two words\n")
	s.write(filepath.Join(dir, "ümlaut+plus%percent"), "odd\n")
	s.write(filepath.Join(dir, "deep", "deeper", "text"), strings.Repeat("deep\n", 10000))
	run := s.write(filepath.Join(dir, "run"), "#!/bin/sh\n")
	s.must(os.Chmod(run, 0o750))
	for i := range 25 {
		s.write(filepath.Join(dir, "deep", fmt.Sprintf("small%03d", i)), strings.Repeat("x", i))
	}
	s.age(dir, 1700000000)
	return dir
}

// age sets the times of what is in a directory.
func (s *seat) age(dir string, seconds int64) {
	s.Helper()
	then := time.Unix(seconds, 0)
	s.must(filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, then, then))
	}))
}

func scpNew(s *seat) { scp(s, false) }
func scpOld(s *seat) { scp(s, true) }

// scp, in the protocol of today (which is SFTP's) or of yesterday.
func scp(s *seat, old bool) {
	var options []string
	if old {
		options = append(options, "-O")
	}
	do := func(what string, args ...string) seen {
		return s.sees(what, s.run(nil, append(append([]string{"scp", "-F", s.config}, options...), args...)...))
	}
	far := s.dest + ":" + s.there + "/"
	do("64 MiB there", s.big(), far+"big")
	s.isBig(filepath.Join(s.there, "big"))
	do("64 MiB back", far+"big", "back")
	s.isBig(filepath.Join(s.here, "back"))
	s.must(os.Remove(filepath.Join(s.there, "big")))
	do("with new keys", "-oRekeyLimit=1M", here.mid, far+"mid")
	s.isMid(filepath.Join(s.there, "mid"))
	do("compressed", "-C", far+"mid", "mid")
	s.isMid(filepath.Join(s.here, "mid"))

	options = append(options, s.master())
	forest := s.forest()
	do("a directory there", "-rp", forest, far)
	s.tree("the directory there", filepath.Join(s.there, "forest"))
	info, err := os.Stat(filepath.Join(s.there, "forest", "run"))
	s.must(err)
	s.note("its time: %d", info.ModTime().Unix())
	do("a directory back", "-r", far+"forest", "again")
	s.tree("the directory back", filepath.Join(s.here, "again"))
	do("a pattern", far+"forest/deep/small00*", s.here)
	if old { // the rest does not depend on the protocol
		return
	}
	do("several files", forest+"/empty", forest+"/run", far+"forest/deep")
	do("from there to there", "-3", far+"forest/run", far+"copy")
	do("a file that is not there", far+"no-such-file", "nothing")
	do("a place where nobody may write", forest+"/run", s.dest+":/etc/sallyport-conformance")
	s.tree("all, there", s.there)
}

// sftp, by a batch of commands.
func sftp(s *seat) {
	forest := s.forest()
	option := "-q"
	batch := func(what string, cmds ...string) seen {
		file := s.write(filepath.Join(s.here, "batch"), strings.Join(cmds, "\n")+"\n")
		return s.sees(what, s.run(nil, "sftp", "-F", s.config, option, "-b", file, s.dest))
	}
	batch("64 MiB", "cd "+s.there, "put "+s.big()+" big", "get big back", "rm big")
	s.isBig(filepath.Join(s.here, "back"))
	option = s.master()
	batch("a directory", "cd "+s.there, "put -R "+forest+" f", "get -R f again", "ls f", "ls -1 f/deep")
	s.tree("the directory there", filepath.Join(s.there, "f"))
	s.tree("the directory back", filepath.Join(s.here, "again"))
	batch("names", "cd "+s.there, "pwd", "mkdir d", "put "+forest+"/run d/run", "chmod 600 d/run", "rename d/run d/walk",
		"ln d/walk d/twin", "ln -s walk d/link", "cp d/walk d/copy", "rm d/twin", "ls -l d/no-such-file", "!echo local")
	s.tree("what is there", filepath.Join(s.there, "d"))
	batch("an error ends a batch", "cd "+s.there, "get no-such-file", "mkdir never")
	batch("an error that does not", "cd "+s.there, "-get no-such-file", "mkdir always")
	// A transfer that was broken off goes on.
	half, err := os.ReadFile(here.mid)
	s.must(err)
	s.write(filepath.Join(s.here, "half"), string(half[:5<<20]))
	batch("the rest of a file", "cd "+s.there, "reget "+here.mid+" half", "put -f half whole")
	s.isMid(filepath.Join(s.here, "half"))
	s.isMid(filepath.Join(s.there, "whole"))
	s.sees("other sizes of requests", s.run(nil, "sftp", "-q", "-F", s.config, "-B", "200000", "-R", "200", s.dest+":"+s.there+"/whole", s.here+"/w2"))
	s.isMid(filepath.Join(s.here, "w2"))
	s.tree("all, there", s.there)
}
