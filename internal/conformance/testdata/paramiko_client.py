"""What paramiko's users do: commands, sftp with and without prefetch."""
import base64
import hashlib
import json
import os
import socket
import sys

import paramiko

w = json.loads(sys.argv[1])
kind, data = w["host_key"].split()
host_key = paramiko.PKey.from_type_string(kind, base64.b64decode(data)) if hasattr(
    paramiko.PKey, "from_type_string") else paramiko.Ed25519Key(data=base64.b64decode(data))
name = w["host"] if w["port"] == 22 else "[%s]:%d" % (w["host"], w["port"])


def digest(data):
    return data if len(data) < 200 else (len(data), hashlib.sha256(data).hexdigest())


def connect():
    client = paramiko.SSHClient()
    client.get_host_keys().add(name, kind, host_key)
    sock = paramiko.ProxyCommand(w["proxy"]) if w["proxy"] else None
    client.connect(w["host"], w["port"], w["user"], key_filename=w["key"], sock=sock,
                   allow_agent=False, look_for_keys=False, timeout=30)
    return client


client = connect()
for command in ["echo out; echo err >&2; exit 7", "true", "kill -TERM $$", "no-such-command", "seq 300000; seq 100 >&2"]:
    stdin, stdout, stderr = client.exec_command(command)
    out, err = stdout.read(), stderr.read()
    print(command, digest(out), digest(err), stdout.channel.recv_exit_status())

stdin, stdout, stderr = client.exec_command("cat; echo end")
stdin.write("abc")
stdin.flush()
stdin.channel.shutdown_write()
print("input", stdout.read(), stdout.channel.recv_exit_status())

stdin, stdout, stderr = client.exec_command("stty size; echo $TERM; read x; exit $x", get_pty=True)
shown = stdout.readline() + stdout.readline()
stdin.write("5\n")
print("terminal", shown, stdout.read(), stdout.channel.recv_exit_status())

channel = client.get_transport().open_session()
channel.set_combine_stderr(True)
channel.exec_command("echo out; sleep 0.1; echo err >&2; sleep 0.1; echo out")
print("combined", channel.makefile().read(), channel.recv_exit_status())

# Several channels at once on one connection.
many = [client.exec_command("echo %d; exit %d" % (i, i)) for i in range(8)]
print("many", [(o.read(), o.channel.recv_exit_status()) for _, o, _ in many])

shell = client.invoke_shell(width=100, height=30)
shell.send("stty -echo; PS1=; stty size; exit 6\n")
shown = b""
while True:
    try:
        more = shell.recv(4096)
    except socket.timeout:
        break
    if not more:
        break
    shown += more
print("shell", b"30 100\r\n" in shown, shell.recv_exit_status())

sftp = client.open_sftp()
sftp.chdir(w["there"])
with open(w["file"], "rb") as f:
    whole = f.read()
sum = hashlib.sha256(whole).hexdigest()
print("put", sftp.put(w["file"], "large").st_size == len(whole))
for prefetch in [True, False]:
    if not prefetch:  # one request at a time is slow
        sftp.truncate("large", 1 << 20)
        sum = hashlib.sha256(whole[:1 << 20]).hexdigest()
    back = os.path.join(w["here"], "back")
    sftp.get("large", back, prefetch=prefetch)
    with open(back, "rb") as f:
        print("get", prefetch, hashlib.sha256(f.read()).hexdigest() == sum)
with sftp.open("large", "rb") as f:
    f.seek(1000)
    print("readv", [p == whole[a:a + n] for p, (a, n) in zip(f.readv([(5, 10), (70000, 40000)]), [(5, 10), (70000, 40000)])])
with sftp.open("written", "w") as f:
    f.set_pipelined(True)
    for i in range(1000):
        f.write("line %d\n" % i)
sftp.mkdir("d", 0o750)
sftp.rename("written", "d/renamed")
sftp.symlink("d/renamed", "link")
sftp.chmod("d/renamed", 0o600)
print(sorted(sftp.listdir()), sftp.readlink("link"), oct(sftp.stat("link").st_mode), sftp.lstat("link").st_size > 0)
for attempt in [lambda: sftp.open("no-such-file"), lambda: sftp.mkdir("d"), lambda: sftp.open("/etc/shadow")]:
    try:
        attempt()
    except IOError as e:
        print("refused", e.errno, e.strerror)
sftp.close()
sftp = client.open_sftp()  # a second time on the same connection
print(sftp.normalize("."))
client.close()
