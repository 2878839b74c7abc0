#!/usr/bin/env python3
"""Clients that only cost: a thousand that say nothing, five hundred in the
midst of 10 MB each, some that send a byte now and then, some that vanish. The
daemon stays small and serves the others; what it answers 250, and what is
durable although nobody heard the answer, is in the books and arrives once."""
# timeout: 120 240

import os
import resource
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import LONG, Mtad, Sink, Tap, smart, wait_for, write_config
from mtatalk import Talk, is_reply

_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
MB = 1 << 20
STAGING = 16 * MB
tap = Tap()
sink = Sink()
daemon = Mtad(write_config(
    route=smart(sink), connections_max=3000, connections_per_client_max=3000,
    staging_max=STAGING, recipients_max=1000)).start()


def resident():
    """Bytes that are the daemon's own, not files'."""
    with open("/proc/%d/status" % daemon.p.pid) as f:
        for line in f:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) << 10


def ticks():
    with open("/proc/%d/stat" % daemon.p.pid) as f:
        return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))


def serves(label):
    """A whole message from a client beside those."""
    begin = time.monotonic()
    t = Talk(daemon.port)
    got = t.mail(rcpt="beside@to.example")
    t.close()
    tap.ok(is_reply(got, "250 2.0.0"), label + ": another is served", got)
    spent = time.monotonic() - begin
    # Six turns of the loop, each of which reads up to 256 KB of every client;
    # the disk takes 500 such at its own pace.
    tap.ok(spent < (30 if LONG else 5), label + ": soon", "%.1f s" % spent)
    print("# %s: %.2f s" % (label, spent))


def reset(t):
    """Ends with RST."""
    t.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                   struct.pack("ii", 1, 0))
    t.close()


def idle():
    before = resident()
    talks = [Talk(daemon.port, hello=False) for _ in range(1000)]
    tap.ok(all(t.banner.startswith("220") for t in talks), "1,000 come in")
    each = (resident() - before) / 1000
    tap.ok(each < 16 << 10, "an idle one costs little", "%d bytes" % each)
    begin = ticks()
    serves("1,000 idle")
    time.sleep(1)            # what is measured is that nothing happens
    tap.ok(ticks() - begin < 20, "they cost no time", ticks() - begin)
    for t in talks:
        t.close()


def large(count, size):
    """So many clients, each in the midst of a large message, at once."""
    before = resident()
    talks = [Talk(daemon.port) for _ in range(count)]
    for t in talks:
        t.begin("large@to.example")
        t.send(b"Subject: large\r\n\r\n")
    block = (b"y" * 76 + b"\r\n") * 840
    peak = 0
    for _ in range(size // len(block)):
        for t in talks:
            t.send(block)
        peak = max(peak, resident())
    # The budget, and what stands beside it: a session, and the buffers'
    # spare room.
    most = before + STAGING + count * (16 << 10) + 8 * MB
    # A sanitizer does not give back what is freed.
    tap.ok(peak < most or "asan" in os.environ["BUILD"], "%d times %d MB: memory is bounded" % (
        count, size / MB), "%d MB, want less than %d" % (
            peak / MB, most / MB))
    serves("large ones")
    beside = [Talk(daemon.port) for _ in range(100)]
    got = [t.begin("beside@to.example")[2][:4] for t in beside]
    tap.same(got, ["354 "] * 100, "large ones: many begin beside them")
    for t in beside:
        t.close()
    half = talks[:count // 50]
    for t in half:
        t.send(b".\r\n")
    got = [t.reply()[:9] for t in half]
    tap.same(got, ["250 2.0.0"] * len(half), "and they are taken")
    for i, t in enumerate(talks):
        reset(t) if i % 2 else t.close()
    wait_for(lambda: len(sink.to("large@to.example")) >= len(half))
    want = b"Subject: large\r\n\r\n" + block * (size // len(block))
    tap.ok(all(m.below_received() == want
               for m in sink.to("large@to.example")), "octets")
    tap.same(len(sink.to("large@to.example")), len(half),
             "those that vanished left nothing")
    sink.clear()


def slow():
    """Bytes now and then, in commands and messages."""
    talks = [Talk(daemon.port) for _ in range(200)]
    for t in talks[:100]:
        t.begin("slow@to.example")
    text = b"Subject: slow\r\n\r\nx\r\n.\r\n"
    for i in range(len(text)):
        for t in talks[:100]:
            t.send(text[i:i + 1])
        for t in talks[100:]:
            t.send(b"NOOP\r\n"[i % 6:i % 6 + 1])
        if i == len(text) // 2:
            serves("slow ones")
    got = [t.reply()[:9] for t in talks]
    tap.same(got, ["250 2.0.0"] * 200, "byte by byte: all are answered")
    for t in talks:
        t.close()


def booked(kind, rcpt):
    return [e for e in daemon.events(kind) if e["recipient"] == rcpt]


def vanish():
    """Gone behind the final dot: durable is durable, and is booked."""
    whole = ("EHLO x\r\nMAIL FROM:<s@from.example>\r\nRCPT TO:<%s>\r\nDATA\r\n"
             "Subject: x\r\n\r\nx\r\n.\r\n")
    ways = {"shut": lambda t: t.s.shutdown(socket.SHUT_WR), "reset": reset,
            "closed": Talk.close}
    for way, go in ways.items():
        rcpt = way + "@to.example"
        for _ in range(5):
            t = Talk(daemon.port, hello=False)
            t.send((whole % rcpt).encode())
            go(t)
            if way == "shut":
                said = t.f.read().decode().splitlines()
                tap.ok(said and said[-1].startswith("250 2.0.0 Queued as "),
                       "shut: the answer still comes", said[-1:])
        # A reset may overtake the message; what was received was booked.
        # A mark behind them: whatever they left is in by then.
        mark = way + "-mark@to.example"
        Talk(daemon.port).mail(rcpt=mark)
        wait_for(lambda: booked("Delivery", mark))
        wait_for(lambda: len(booked("Delivery", rcpt)) ==
                 len(booked("Reception", rcpt)))
        ids = sorted(e["id"] for e in booked("Delivery", rcpt))
        tap.same(sorted(e["id"] for e in booked("Reception", rcpt)), ids,
                 way + ": received and delivered are the same")
        if way == "shut":
            tap.same(len(ids), 5, "shut: all of them")
        tap.same(len(sink.to(rcpt)), len(ids), way + ": each once")


idle()
large(500 if LONG else 200, 10 * MB if LONG else 3 * MB)
slow()
vanish()
tap.same(daemon.stop(), 0, "SIGTERM: exit 0")
tap.done()
