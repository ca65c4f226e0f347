package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// rsync, both ways, whole and in part, by checksums.
func rsync(s *seat) {
	s.env = append(s.env, "RSYNC_RSH=ssh -F "+s.config)
	far := s.dest + ":" + s.there + "/"
	forest := s.forest()
	for i := range 200 {
		s.write(filepath.Join(forest, "deep", fmt.Sprint(i)), strings.Repeat("y", 10*i))
	}
	s.age(forest, 1700000000)
	s.works("there", "rsync", "-ai", "--checksum", forest, far)
	s.tree("what is there", filepath.Join(s.there, "forest"))
	s.write(filepath.Join(forest, "deep", "new"), "new\n")
	s.write(filepath.Join(forest, "deep", "small009"), "changed\n")
	s.must(os.Remove(filepath.Join(forest, "empty")))
	s.age(forest, 1800000000)
	s.works("what has changed", "rsync", "-ai", "--checksum", "--delete", forest, far)
	s.works("nothing has changed", "rsync", "-ai", "--checksum", "--delete", forest, far)
	s.works("back, compressed", "rsync", "-az", "--checksum", far+"forest/", "again/")
	s.tree("what came back", filepath.Join(s.here, "again"))

	s.works("a large one", "rsync", "-W", here.mid, far+"large")
	s.isMid(filepath.Join(s.there, "large"))
	s.works("a large one back", "rsync", "-W", far+"large", "large")
	s.isMid(filepath.Join(s.here, "large"))
	b, err := os.ReadFile(here.mid)
	s.must(err)
	copy(b[3<<20:], "a small change")
	old := s.write(filepath.Join(s.here, "large"), string(b))
	s.works("its difference", "rsync", "--inplace", "--no-whole-file", "--checksum", here.mid, s.dest+":"+s.there+"/large")
	s.works("its difference back", "rsync", "--no-whole-file", "--checksum", far+"large", old)
	s.isMid(old)
	s.sees("what is not there", s.run(nil, "rsync", far+"no-such-file", "x"))
}

// git over ssh: clone, push, fetch.
func git(s *seat) {
	s.env = append(s.env, "GIT_SSH_COMMAND=ssh -F "+s.config, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=alice", "GIT_AUTHOR_EMAIL=alice@example.com", "GIT_COMMITTER_NAME=alice", "GIT_COMMITTER_EMAIL=alice@example.com",
		"GIT_AUTHOR_DATE=1700000000 +0000", "GIT_COMMITTER_DATE=1700000000 +0000")
	in := func(dir string, args ...string) {
		s.Helper()
		s.works(args[0], append([]string{"git", "-C", dir}, args...)...)
	}
	s.wants("a repository there", s.ssh(nil, "git init -q --bare -b main "+s.there+"/repo.git"), 0, "")
	far := s.dest + ":" + s.there + "/repo.git"

	work := s.forest()
	noise, err := os.ReadFile(here.mid)
	s.must(err)
	s.write(filepath.Join(work, "noise"), string(noise[:1<<20]))
	in(work, "init", "-q", "-b", "main")
	in(work, "add", ".")
	in(work, "commit", "-q", "-m", "first")
	in(work, "push", far, "main")
	in(s.here, "clone", far, "again")
	in(s.here, "clone", "-q", "--depth=1", "ssh://"+s.dest+s.there+"/repo.git", "shallow")
	s.must(os.RemoveAll(filepath.Join(s.here, "again", "noise")))
	in(filepath.Join(s.here, "again"), "commit", "-q", "-a", "-m", "second")
	in(filepath.Join(s.here, "again"), "push", "-q", "origin", "main:side")
	in(work, "fetch", far, "side")
	in(work, "ls-remote", "--heads", far)
	s.must(os.RemoveAll(filepath.Join(work, "deep")))
	in(work, "commit", "-q", "-a", "-m", "other")
	got := s.run(nil, "git", "-C", work, "push", far, "main:side")
	if s.sees("a push that is refused", got); got.status == 0 || !strings.Contains(string(got.stderr), "rejected") {
		s.Errorf("the push was not refused: %s", got.stderr)
	}
	s.sees("no repository", s.run(nil, "git", "clone", s.dest+":"+s.there+"/nothing.git"))
}

const playbook = `- hosts: all
  gather_facts: false
  tasks:
    - ping:
    - copy: {src: forest/deep/deeper, dest: "{{ there }}/", mode: preserve}
    - shell: "echo out; echo err >&2; cat; exit 3"
      args: {stdin: "in"}
      register: ran
      failed_when: ran.rc != 3
    - debug: {msg: "{{ ran.rc }} {{ ran.stdout_lines }} {{ ran.stderr_lines }}"}
    - fetch: {src: "{{ there }}/deeper/text", dest: "fetched", flat: true}
    - command: echo piped
      vars: {ansible_pipelining: true}
      register: piped
    - debug: {msg: "{{ piped.stdout }}"}
`

// Ansible, as it comes: files by sftp, commands on a persistent master; and
// with pipelining, modules on standard input.
func ansible(s *seat) {
	s.forest()
	host := s.dest[strings.LastIndex(s.dest, "@")+1:]
	user := strings.TrimSuffix(s.dest, "@"+host)
	s.write(filepath.Join(s.here, "hosts"), fmt.Sprintf("box ansible_host=%s ansible_user=%s ansible_ssh_common_args=\"-F %s\" "+
		"ansible_python_interpreter=/usr/bin/python3 there=%s ansible_remote_tmp=%s/.ansible\n", host, user, s.config, s.there, s.there))
	s.write(filepath.Join(s.here, "play.yml"), playbook)
	control := filepath.Join(filepath.Dir(s.here), "c")
	s.env = append(s.env, "ANSIBLE_SSH_CONTROL_PATH_DIR="+control, "ANSIBLE_LOCAL_TEMP="+s.here+"/tmp", "ANSIBLE_HOME="+s.here+"/a",
		"ANSIBLE_NOCOLOR=1", "ANSIBLE_DEPRECATION_WARNINGS=0", "ANSIBLE_LOCALHOST_WARNING=0")
	defer func() { // the masters, which wait for more
		sockets, err := filepath.Glob(control + "/*")
		s.must(err)
		for _, path := range sockets {
			s.ssh(nil, "-oControlPath="+path, "-Oexit")
		}
	}()
	got := s.works("a playbook", "ansible-playbook", "-i", "hosts", "play.yml")
	if !strings.Contains(string(got.stdout), "piped") {
		s.Errorf("%s", got.stdout)
	}
	s.must(os.RemoveAll(filepath.Join(s.there, ".ansible")))
	s.tree("what is there", s.there)
	s.note("what was fetched: %s", s.sum(filepath.Join(s.here, "fetched")))
}

// lftp runs ssh for its sftp.
func lftp(s *seat) {
	s.forest()
	host := s.dest[strings.LastIndex(s.dest, "@")+1:]
	user := strings.TrimSuffix(s.dest, "@"+host)
	open := "set sftp:connect-program 'ssh -a -x -F " + s.config + "'; set net:max-retries 1; set net:timeout 30; set cmd:fail-exit yes; " +
		"open -u '" + user + ",' sftp://" + host + "; cd " + s.there + "; "
	do := func(what, commands string) { s.Helper(); s.sees(what, s.run(nil, "lftp", "-c", open+commands)) }
	do("a directory there", "mirror -R forest; put "+here.mid+" -o large")
	s.tree("the directory there", filepath.Join(s.there, "forest"))
	s.isMid(filepath.Join(s.there, "large"))
	do("a directory back", "mirror --parallel=3 forest again; pget -n 4 large -o large")
	s.tree("the directory back", filepath.Join(s.here, "again"))
	s.isMid(filepath.Join(s.here, "large"))
	do("names", "mv large big; mkdir d; mv big d/; cat forest/run; find; chmod 600 d/big; rm d/big; rmdir d")
	do("what is not there", "get no-such-file")
}

// sshfs, where the kernel lets it mount.
func sshfs(s *seat) {
	mnt := filepath.Join(s.here, "mnt")
	s.must(os.Mkdir(mnt, 0o755))
	got := s.run(nil, "sshfs", "-F", s.config, s.dest+":"+s.there, mnt)
	refusals := regexp.MustCompile("fusermount3: mount failed: Operation not permitted|fuse: device not found")
	if got.status != 0 && refusals.Match(got.stderr) {
		s.Logf("the kernel mounts nothing here: %s", got.stderr)
		return
	}
	s.sees("mount", got)
	if got.status != 0 {
		s.Fatalf("%s", got.stderr)
	}
	mounted := true
	unmount := func() {
		if mounted {
			mounted = false
			s.works("unmount", "fusermount3", "-u", mnt)
		}
	}
	defer unmount()
	forest := s.forest()
	s.works("a directory", "cp", "-r", forest, mnt)
	s.tree("through the mount", filepath.Join(mnt, "forest"))
	s.works("a large one", "cp", here.mid, mnt+"/large")
	s.works("the same", "cmp", here.mid, mnt+"/large")
	s.works("names", "sh", "-ec", "cd mnt; mv large big; ln -s big link; truncate -s 1000 big; chmod 600 big; mkdir d; rmdir d; "+
		"echo more >> big; tail -c 5 link; df . >/dev/null; rm -r forest/deep; ls forest")
	s.sees("what is not allowed", s.run(nil, "sh", "-c", "cd mnt; cat no-such-file; mkdir big"))
	unmount()
	s.tree("what is there", s.there)
}
