#!/usr/bin/env python3
# parallel: measures no time
# timeout: 120
"""A flipped bit in the spool sets one message aside and keeps the rest; a full
disk loses nothing and recovers; the spool cannot be opened twice."""

import glob
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests/lib"))
from simlib import MTASIM, TMP, Server  # noqa: E402
from mtad import Mtad, free_port, wait_for  # noqa: E402

failed = 0
done = 0


def check(ok, what):
    global failed, done
    done += 1
    failed += not ok
    print("%sok %d - %s" % ("" if ok else "not ", done, what), flush=True)


def load(m, n, journal, *more):
    return subprocess.run([MTASIM, "load", "--target", m.target, "--count",
                           str(n), "--connections", "10", "--journal",
                           journal, "--quiet", *more]).returncode


def flip():
    nowhere = free_port()
    m = Mtad(nowhere, name="flip")
    m.start()
    loads = os.path.join(TMP, "flip.load")
    load(m, 200, loads, "--size", "4K")
    check(m.queued() == 200, "200 messages wait")
    m.kill9()
    seg = sorted(glob.glob(m.spool + "/*.seg"))[0]
    data = bytearray(open(seg, "rb").read())
    at = data.find(b"X-Sim-Id", len(data) // 20) + 200
    data[at] ^= 0x10
    open(seg, "wb").write(data)
    r = m.spool_verb("check")
    check(r.returncode == 1 and "1 damaged" in r.stdout,
          "spool check finds it: " + r.stdout.strip().splitlines()[-1])
    journal = os.path.join(TMP, "flip.sink")
    sink = Server("sink", "--listen", "127.0.0.1:%d" % nowhere, "--journal",
                  journal, name="flip-sink")
    m.start()
    wait_for("the queue drains", lambda: m.queued() == 0, 60)
    q = [e for e in m.events() if e["type"] == "Quarantine"]
    check(len(q) == 1 and "id" in q[0], "one Quarantine event with its id")
    check(len(os.listdir(m.spool + "/quarantine")) == 1, "its bytes are kept")
    m.stop()
    sink.stop()
    r = subprocess.run([MTASIM, "verify", "--load", loads, "--sink", journal],
                       text=True, stdout=subprocess.PIPE)
    check("199 delivered" in r.stdout and "1 lost" in r.stdout and
          "0 corrupt" in r.stdout, "the other 199 arrive unchanged")


def flip_alive():
    """The same under a running daemon: who reads the message finds it."""
    nowhere = free_port()
    m = Mtad(nowhere, name="alive")
    m.start()
    load(m, 50, os.path.join(TMP, "alive.load"), "--size", "4K")
    seg = sorted(glob.glob(m.spool + "/*.seg"))[0]
    with open(seg, "r+b") as f:
        at = f.read().find(b"X-Sim-Id", 100000) + 200
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1]))
    journal = os.path.join(TMP, "alive.sink")
    sink = Server("sink", "--listen", "127.0.0.1:%d" % nowhere, "--journal",
                  journal, name="alive-sink")
    m.verb("retry", "--all")
    wait_for("the queue drains", lambda: m.queued() == 0, 60)
    m.stop()
    sink.stop()
    q = [e for e in m.events() if e["type"] == "Quarantine"]
    check(len(q) == 1 and "id" in q[0], "found alive: one Quarantine event")
    check(len(os.listdir(m.spool + "/quarantine")) == 1, "its bytes are kept")


def lost_lock():
    """Somebody tidies up a file that looks like a stale lock."""
    m = Mtad(free_port(), name="lock")
    m.start()
    # It listens before its books are open.
    wait_for("it answers", lambda: m.status() is not None, 20)
    for f in os.listdir(m.spool):
        if not f.endswith(".seg"):
            os.unlink(os.path.join(m.spool, f))
    check(m.spool_verb("ls").returncode == 3,
          "a spool in use is refused without any file to lock")
    m.stop()


def twice():
    m = Mtad(free_port(), name="twice")
    m.start()
    r = m.spool_verb("ls")
    check(r.returncode == 3, "a spool in use is refused: " + r.stdout.strip())
    m.stop()


def full():
    """A small file system: tmpfs of 24 MB, filled while it takes mail."""
    disk = os.path.join(TMP, "disk")
    os.makedirs(disk)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs",
                       disk], stderr=subprocess.DEVNULL).returncode:
        print("ok %d - full disk # SKIP cannot mount" % (done + 1))
        return
    try:
        nowhere = free_port()
        m = Mtad(nowhere, name="full", spool=disk + "/spool")
        m.start()
        loads = os.path.join(TMP, "full.load")
        load(m, 12000, loads, "--size", "4K", "--grace", "3s")
        acked = m.status()["totals"]["messages"]
        check(0 < acked < 12000, "452 when it is full: %d taken" % acked)
        with open(disk + "/rubbish", "wb") as f:
            try:
                while True:
                    f.write(b"x" * 65536)
                    f.flush()
            except OSError:
                pass
        journal = os.path.join(TMP, "full.sink")
        sink = Server("sink", "--listen", "127.0.0.1:%d" % nowhere,
                      "--journal", journal, name="full-sink")
        m.verb("retry", "--all")
        wait_for("delivery goes on", lambda: m.queued() == 0, 90)
        check(True, "delivery goes on while the disk is full")
        os.unlink(disk + "/rubbish")
        wait_for("intake recovers",
                 lambda: load(m, 10, os.path.join(TMP, "x"), "--grace",
                              "1s") == 0 and m.status()["totals"][
                                  "received_total"] >= acked + 10, 30)
        check(True, "intake recovers when space returns")
        wait_for("the queue drains", lambda: m.queued() == 0, 30)
        m.stop()
        sink.stop()
        r = subprocess.run([MTASIM, "verify", "--load", loads, "--sink",
                            journal], text=True, stdout=subprocess.PIPE)
        check("0 lost" in r.stdout and "0 corrupt" in r.stdout,
              r.stdout.strip().splitlines()[-1])
    finally:
        subprocess.run(["umount", "-l", disk])


flip()
flip_alive()
twice()
lost_lock()
full()
print("1..%d" % done)
sys.exit(failed != 0)
