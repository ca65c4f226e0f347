#!/usr/bin/env bash
# Installs what the tests need and Debian has: OpenSSH's server, its clients and
# other people's, shells, a player for exported recordings, a C compiler for the
# race detector.
set -euo pipefail

packages=()
need() { # need FILE PACKAGE...
	[ -e "$1" ] || packages+=("${@:2}")
}
need /usr/sbin/sshd openssh-server
need /usr/lib/openssh/sftp-server openssh-sftp-server
need /usr/bin/ssh openssh-client
need /usr/bin/asciinema asciinema
need /usr/bin/zsh zsh
need /usr/bin/fish fish
need /usr/sbin/useradd passwd
need /usr/lib/python3/dist-packages/paramiko python3-paramiko
# The clients of internal/conformance.
need /usr/lib/python3/dist-packages/asyncssh python3-asyncssh
need /usr/lib/openssh/regress/test-exec.sh openssh-tests
need /usr/bin/rsync rsync
need /usr/bin/git git
need /usr/bin/ansible ansible-core
need /usr/bin/plink putty-tools
need /usr/bin/dbclient dropbear-bin
need /usr/bin/lftp lftp
need /usr/bin/sshfs sshfs
need /usr/bin/curl curl
need /usr/bin/mosh mosh
# The shells and programs of internal/commands and internal/term.
need /usr/bin/zsh zsh
need /usr/share/zsh-autosuggestions/zsh-autosuggestions.zsh zsh-autosuggestions
need /usr/share/zsh-syntax-highlighting/zsh-syntax-highlighting.zsh zsh-syntax-highlighting
need /usr/bin/fish fish
need /usr/bin/dash dash
need /usr/bin/vim vim
need /usr/bin/less less
need /usr/bin/more util-linux
need /usr/bin/tmux tmux
need /usr/bin/screen screen
need /usr/bin/python3 python3
command -v "${CC:-gcc}" >/dev/null || packages+=(gcc)
need /usr/include/stdlib.h libc6-dev

if [ ${#packages[@]} -eq 0 ]; then
	exit 0
fi
echo "make test needs ${packages[*]}: installing with apt-get" >&2
if [ "$(id -u)" -ne 0 ]; then
	echo "not root: run as root, or first: apt-get install ${packages[*]}" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends "${packages[@]}"
