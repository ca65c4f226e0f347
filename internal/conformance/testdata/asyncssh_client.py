"""What asyncssh's users do: commands at once, signals, parallel sftp."""
import asyncio
import hashlib
import json
import logging
import os
import sys

import asyncssh

w = json.loads(sys.argv[1])
# asyncio warns when asyncssh reaps the proxy command first.
logging.getLogger("asyncio").setLevel(logging.ERROR)
known = ([asyncssh.import_public_key(w["host_key"])], [], [])


def digest(data):
    return data if len(data) < 200 else (len(data), hashlib.sha256(data.encode()).hexdigest())


def sum(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


async def main():
    proxy = w["proxy"].split() if w["proxy"] else ()
    async with asyncssh.connect(w["host"], w["port"], username=w["user"], client_keys=[w["key"]], known_hosts=known,
                                proxy_command=proxy, agent_path=None, config=None) as c:
        for command in ["echo out; echo err >&2; exit 7", "true", "kill -TERM $$", "ulimit -c 0; kill -SEGV $$", "no-such-command",
                        "seq 300000; seq 100 >&2"]:
            r = await c.run(command)
            print(command, digest(r.stdout), digest(r.stderr), r.exit_status, r.exit_signal)
        r = await c.run("cat; echo end", input="abc")
        print("input", r.stdout, r.exit_status)
        r = await c.run("stty size; echo $TERM; stty -a | grep -o -- -echo.", term_type="vt100", term_size=(132, 43))
        print("terminal", r.stdout, r.exit_status)

        # Signals, after the program has said that it is ready for them.
        for name in ["USR1", "TERM", "INT"]:
            async with c.create_process("trap 'echo got %s; exit 9' %s; echo ready; while :; do sleep 0.05; done" % (name, name)) as p:
                print(await p.stdout.readline())
                p.send_signal(name)
                print(name, await p.stdout.read(), await p.wait_closed(), p.exit_status, p.exit_signal)
        async with c.create_process("echo ready; exec sleep 100") as p:
            print(await p.stdout.readline())
            p.kill()
            await p.wait_closed()
            print("KILL", p.exit_status, p.exit_signal)

        # A size that changes.
        async with c.create_process("read x; stty size; read x; stty size", term_type="xterm", term_size=(80, 24)) as p:
            p.stdin.write("\n")
            print([await p.stdout.readline() for _ in range(2)])
            p.change_terminal_size(90, 33)
            p.stdin.write("\n")
            print([await p.stdout.readline() for _ in range(2)])

        many = await asyncio.gather(*[c.run("cat; echo %d >&2; exit %d" % (i, i), input="x" * 50000) for i in range(10)])
        print("many", [(len(r.stdout), r.stderr, r.exit_status) for r in many])

        async with c.start_sftp_client() as sftp:
            await sftp.chdir(w["there"])
            await asyncio.gather(*[sftp.put(w["file"], "large%d" % i) for i in range(2)])
            await asyncio.gather(*[sftp.get("large%d" % i, os.path.join(w["here"], "large%d" % i)) for i in range(2)])
            print("large", [sum(os.path.join(w["here"], "large%d" % i)) == sum(w["file"]) for i in range(2)])
            os.mkdir(os.path.join(w["here"], "many"))
            for i in range(50):
                with open(os.path.join(w["here"], "many", str(i)), "w") as f:
                    f.write("x" * i)
            await sftp.put(os.path.join(w["here"], "many"), "many", recurse=True)
            print(sorted(await sftp.listdir("many")), await sftp.glob("large*"), await sftp.realpath("."))
            await sftp.rmtree("many")
            for attempt in [sftp.stat("no-such-file"), sftp.mkdir("large0"), sftp.open("/etc/shadow")]:
                try:
                    await attempt
                except asyncssh.SFTPError as e:
                    print("refused", e.code, e.reason)
            await sftp.rename("large0", "renamed")
            print((await sftp.stat("renamed")).size == os.path.getsize(w["file"]))
        await asyncssh.scp(w["file"], (c, w["there"] + "/copied"))
        print("scp", sum(os.path.join(w["there"], "copied")) == sum(w["file"]))


asyncio.run(main())
