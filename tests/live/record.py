#!/usr/bin/env python3
"""A recording of the engine: taken under load, with a reload, over a ring that
goes round, with kill -9 at the end, it replays to the same commands; a byte
that is another is found, by checksum or as the first event that differs."""
# parallel: measures no time
# timeout: 60 120

import os
import re
import signal
import smtplib
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtad import Mtad, wait_for  # noqa: E402
from mtatap import Tap  # noqa: E402
from simlib import BUILD, MTASIM, TMP, sink  # noqa: E402

# Bytes that the ring may have: a checkpoint, a megabyte here, may have a sixth.
SIZE, FILES = 12 << 20, 2
MESSAGES = 1000
HEADER, HEAD = 128, 48           # as share/doc/recording.md says
ring = os.path.join(TMP, "ring")
tap = Tap()


def replay(where=ring, *args):
    r = subprocess.run([MTASIM, "replay", "--engine", where, *args], text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return r.returncode, r.stdout


def steps(said):
    m = re.search(r"^REPLAY (\d+) files, (\d+) steps, (\d+) commands, "
                  r"(\d+) gaps: the same", said, re.M)
    return [int(x) for x in m.groups()] if m else [0, 0, 0, -1]


def load(count, recipients=1, daemon=None):
    target = (daemon or m).target
    r = subprocess.run([MTASIM, "load", "--target", target, "--count",
                        str(count), "--connections", "20", "--size", "1K",
                        "--recipients", str(recipients), "--domains",
                        "d{1..40}.example", "--quiet"])
    return r.returncode in (0, 4)


def files():
    return sorted(x for x in os.listdir(ring) if x.startswith("engine-"))


def ring_bytes():
    return sum(os.stat(os.path.join(ring, x)).st_blocks * 512
               for x in os.listdir(ring))


def event_bytes():
    """In the newest file, once its checkpoint is there."""
    with open(os.path.join(ring, files()[-1]), "rb") as f:
        head = f.read(HEADER)
        at = struct.unpack_from("<Q", head, 72)[0] if any(head) else 1 << 60
        return f.seek(0, os.SEEK_END) - at


def total():
    return m.status()["totals"]


# Some are told to come again, and the policy changes while they wait.
s = sink("--reply", "rcpt:10%:451 4.2.1 later", "--reply",
         "rcpt:5%:550 5.1.1 no", "--recipients", "100")
m = Mtad(s.port)
m.args = ["--record", ring, "--record-size", str(SIZE), "--record-files",
          str(FILES)]
m.start()
tap.ok(load(MESSAGES, 5), "mail goes in")
m.write_conf(s.port, "retry: { first: 1s, max: 5s }")
m.p.send_signal(signal.SIGHUP)
rounds, biggest = 0, 0
while rounds < 60 and (not files() or files()[0] == "engine-0000000001.rec"):
    rounds += 1
    load(MESSAGES, 5)
    wait_for("the queue is short", lambda: total()["recipients"] < 3000)
    biggest = max(biggest, ring_bytes())
tap.ok(files()[0] > "engine-0000000001.rec", "the ring goes round",
       (rounds, files()))
tap.ok(len(files()) == FILES and biggest <= SIZE,
       "and stays in its bounds", (files(), biggest))
tap.same(m.stop(), 0, "it stops in order")
code, said = replay()
print("#", said.replace("\n", "\n# "))
got = steps(said)
tap.ok(code == 0 and got[1] > 1000 and got[3] == 0,
       "what the ring holds replays to the same commands")
code, each = replay(ring, "--each")
tap.ok(code == 0 and steps(each) == got, "and so does each file alone", each)

# A second life of the daemon, with a reload in it, that is killed.
m.start()
m.write_conf(s.port, "retry: { first: 2s, max: 3s }")
m.p.send_signal(signal.SIGHUP)
load(300, 20)
wait_for("mail leaves", lambda: total()["delivered_total"] > 1000)
before = event_bytes()
load(10)
wait_for("and that is written", lambda: event_bytes() > max(before, 50000))
m.kill9()
code, said = replay()
tap.ok(code == 0 and steps(said)[1] > 1000,
       "a recording replays whose daemon was killed", said)


def frames(data):
    """Offsets of the frames of events, with lengths."""
    at, = struct.unpack_from("<Q", data, 72)
    while at + HEAD <= len(data):
        n, = struct.unpack_from("<I", data, at + 16)
        yield at, n
        at += HEAD + n


CRC = []
for i in range(256):
    c = i
    for _ in range(8):
        c = c >> 1 ^ (0x82f63b78 if c & 1 else 0)
    CRC.append(c)


def crc32c(data):
    c = 0xffffffff
    for b in data:
        c = CRC[(c ^ b) & 0xff] ^ c >> 8
    return c ^ 0xffffffff


def changed(name, change):
    """A directory with the newest file as change leaves it."""
    where = os.path.join(TMP, name)
    os.mkdir(where)
    with open(os.path.join(ring, files()[-1]), "rb") as f:
        data = bytearray(f.read())
    data = change(data) or data
    with open(os.path.join(where, files()[-1]), "wb") as f:
        f.write(data)
    return where


def another_event(data):
    """The address of the only host is another, with the right checksum."""
    for at, n in frames(data):
        k = data.find(bytes([4, 127, 0, 0, 1]), at + HEAD, at + HEAD + n)
        if k > 0:
            data[k + 4] = 99
            struct.pack_into("<I", data, at + 4,
                             crc32c(bytes(data[at + 8:at + HEAD + n])))
            return


code, said = replay(changed("flipped", another_event))
print("#", said.replace("\n", "\n# "))
tap.ok(code == 6 and "DIFFERS" in said and
       re.search(r"^  event +\w+", said, re.M) and
       re.search(r"^  expected +open .*ip=127.0.0.1", said, re.M) and
       re.search(r"^  got +open .*ip=127.0.0.99", said, re.M),
       "an event that is another: the first command that differs is shown")


def rot(data):
    at, n = list(frames(data))[-1]
    data[at + HEAD + n // 2] ^= 1


code, said = replay(changed("rotten", rot))
tap.ok(code == 2 and "checksum" in said, "rot in an event is an error", said)


def rot_checkpoint(data):
    data[HEADER + 5000] ^= 1


code, said = replay(changed("rotten2", rot_checkpoint))
tap.ok(code == 2 and "checksum" in said, "and in a checkpoint", said)
code, said = replay(changed("cut", lambda d: d[:-30]))
tap.ok(code == 0 and "cut off" in said, "a file may end within a frame", said)
code, said = replay(changed("unborn", lambda d: bytearray(len(d))))
tap.ok(code == 2 and "never finished" in said and "no recording" in said,
       "a file without its checkpoint is left out", said)
code, said = replay(os.path.join(TMP, "nowhere"))
tap.same(code, 2, "no directory, no replay")

# A directory that cannot be written to: no start. A full disk: mail goes on.
r = subprocess.run([os.path.join(BUILD, "mtad"), "run", "-c", m.conf,
                    "--record", "/proc/nowhere"], text=True,
                   stderr=subprocess.PIPE)
tap.ok(r.returncode == 1 and "cannot make the directory" in r.stderr,
       "no recording, no start", r.stderr)
r = subprocess.run([os.path.join(BUILD, "mtad"), "run", "-c", m.conf,
                    "--record", ring, "--record-size", "1M"], text=True,
                   stderr=subprocess.PIPE)
tap.same(r.returncode, 2, "a ring too small is a usage error")


def full_disk():
    """It fills while mail goes through, and mail goes on."""
    small = os.path.join(TMP, "small")
    os.mkdir(small)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs",
                       small], stderr=subprocess.DEVNULL).returncode:
        tap.skip("a full disk", "cannot mount")
        return
    try:
        d = Mtad(s.port, "full")
        d.args = ["--record", small]
        d.start()
        for _ in range(20):
            load(100, 50, d)
            if "cannot write" in open(d.err.name).read():
                break
        said = open(d.err.name).read()
        tap.ok("cannot write" in said and "nothing more is recorded" in said,
               "a full disk ends the recording with a line", said)
        taken = d.status()["totals"]["received_total"]
        tap.ok(load(100, 1, d) and
               d.status()["totals"]["received_total"] > taken,
               "and mail goes on")
        tap.same(d.stop(), 0, "to an orderly end")
        code, out = replay(small)
        tap.ok(code == 0 and steps(out)[1] > 1000, "what is there replays",
               out)
    finally:
        subprocess.run(["umount", "-l", small])


def look_up_at_the_end():
    """It outlives the recording."""
    quiet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    quiet.bind(("127.0.0.1", 0))
    quiet.settimeout(20)
    d = Mtad(s.port, "quiet",
             'dns: { servers: ["127.0.0.1:%d"] }' % quiet.getsockname()[1])
    with open(d.conf) as f:
        text = f.read()
    with open(d.conf, "w") as f:
        f.write(re.sub(r"hosts: .*", "hosts: [mx.x.example] }", text))
    d.args = ["--record", os.path.join(TMP, "quiet-ring")]
    d.start()
    with smtplib.SMTP("127.0.0.1", d.port) as c:
        c.sendmail("a@b.example", "c@x.example", "Subject: s\r\n\r\nb\r\n")
    quiet.recv(512)
    tap.same(d.stop(), 0, "it stops in order while a name is looked up")


look_up_at_the_end()
full_disk()
tap.done()
