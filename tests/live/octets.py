#!/usr/bin/env python3
"""Relaying changes nothing: well over a thousand messages, odd and broken in
every way there is, go in by DATA and by BDAT, in clear text and under TLS, at a
strict door and at one that makes bare line ends CRLF. Each arrives octet for
octet below our trace field, or is refused for the reason it must be.

CORPUS=DIR takes the messages of a directory instead, every file below it one
(a mbox, several); files whose lines end in LF alone get CRLF."""
# parallel: measures no time
# timeout: 60 300

import collections
import os
import re
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
import brokencorpus
import mailcorpus
import tlsworld as world
from mtalib import (LONG, Mtad, Sink, Tap, free_port, wait_for, write_config)
from mtatalk import Talk

tap = Tap()
# (name, does the door normalise, TLS, in chunks)
WAYS = [(soft + tls + how, soft == "soft", tls == "tls", how == "bdat")
        for soft in ("hard", "soft") for tls in ("clear", "tls")
        for how in ("data", "bdat")]
KINDS = len(brokencorpus.KINDS)
SIZE_MAX = 50 << 20
CODES = {"NUL": "550 5.6.0", "bare": "550 5.6.0", "line": "550 5.6.0",
         "hops": "554 5.4.6", "header": "552 5.3.4"}
# Our field ends in a date; a message may begin with a fold of nothing.
OURS = re.compile(rb"\AReceived: from .*?;\s+\w{3}, [^\r]* [+-]\d{4}\r\n",
                  re.S)
CHUNK = (1, 7, 100, 4096, 70000)


class Client:
    """A session that sends messages, one after the other."""

    def __init__(self, way):
        self.way, self.t, self.n = way, None, 0

    def session(self):
        name, soft, tls, _ = self.way
        if self.t is None or self.n % 100 == 0:
            if self.t:
                self.t.close()
            self.t = Talk(PORT[soft], timeout=60)
            self.t.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:
                self.t.starttls()
                self.t.say("EHLO client.example")
        self.n += 1
        return self.t

    def send(self, rcpt, data):
        """The reply at its end."""
        t = self.session()
        head = b"MAIL FROM:<a@from.example>\r\nRCPT TO:<%s>\r\n" % \
            rcpt.encode()
        if self.way[3]:
            size = max(CHUNK[self.n % len(CHUNK)], len(data) // 12)
            pieces = [data[i:i + size] for i in range(0, len(data), size)]
            pieces = pieces or [b""]
            t.send(head + b"".join(b"BDAT %d%s\r\n%s" % (
                len(p), b" LAST" if i + 1 == len(pieces) else b"", p)
                for i, p in enumerate(pieces)))
            got = [t.reply() for _ in range(2 + len(pieces))]
            bad = [g for g in got if not g.startswith("250")]
            if bad:
                t.say("RSET")
            return bad[0] if bad else got[-1]
        t.send(head + b"DATA\r\n")
        got = [t.reply() for _ in range(3)]
        if not got[2].startswith("354"):
            t.say("RSET")
            return got[2]
        t.send(stuffed(data) + b".\r\n")
        return t.reply()


def stuffed(data):
    """Dots at the start of lines, and CRLF alone ends one."""
    return (b"." if data.startswith(b".") else b"") + \
        data.replace(b"\r\n.", b"\r\n..")


def mbox(data):
    """The messages of a mbox."""
    parts = re.split(rb"(?:\A|(?<=\n\n))From [^\n]*\n", data)
    return [p for p in parts if p.strip()]


def directory(where):
    for base, _, files in os.walk(where):
        if "/.git" in base:
            continue
        for name in sorted(files):
            with open(os.path.join(base, name), "rb") as f:
                data = f.read(SIZE_MAX)
            several = mbox(data) if data.startswith(b"From ") else [data]
            for part in several:
                if b"\r\n" not in part:
                    part = part.replace(b"\n", b"\r\n")
                yield name, part


def generated():
    for data in mailcorpus.corpus(42, 2000 if LONG else 480):
        yield "odd", data
    yield from brokencorpus.corpus(43, 3000 if LONG else 800)


def differ(rcpt, got, want):
    """The first place where two messages differ."""
    at = len(os.path.commonprefix([got, want or b""]))
    return "%s at %d: %.100r\nwant %.100r" % (
        rcpt, at, got[max(at - 20, 0):], (want or b"")[max(at - 20, 0):])


class Run:
    """What must arrive, by recipient; what did not go as it must; how often
    what happened."""

    def __init__(self):
        self.want, self.wrong = {}, []
        self.count = collections.Counter()

    def one_way(self, way, jobs):
        c = Client(way)
        name, soft, tls, chunked = way
        for i, kind, data in jobs:
            if not chunked:       # nothing else is sent so
                data = brokencorpus.whole(data)
            rcpt = "%s.%d@%s.example" % (name, i, "tls" if tls else "clear")
            got = c.send(rcpt, data)
            why = brokencorpus.refusal(data, soft)
            self.count[why or "taken"] += 1
            if not got.startswith(CODES[why] if why else "250 2.0.0"):
                self.wrong.append((kind, i, name, why, got, data[:60]))
            if got.startswith("250"):
                self.want[rcpt] = brokencorpus.expected(data, soft)

    def all(self, messages, ways_each):
        """Each message in so many ways, all ways at a time: the door's answer
        waits for the disk."""
        jobs = [[] for _ in WAYS]
        for i, (kind, data) in enumerate(messages):
            for j in range(ways_each):
                jobs[(i + i // KINDS + j) % len(WAYS)].append(
                    (i, kind, data))
        with ThreadPoolExecutor(len(WAYS)) as pool:
            list(pool.map(self.one_way, WAYS, jobs))


world.authority()
cert, key = world.certificate("localhost", ["localhost"])
sinks = {False: Sink(), True: Sink(tls=(cert, key))}
PORT = {False: free_port(), True: free_port()}
DOOR = {"relay_from": ["127.0.0.0/8"], "errors_max": 10000,
        "message_size_max": SIZE_MAX, "tls": {"cert": cert, "key": key}}
daemon = Mtad(write_config(
    route={where: {"hosts": ["127.0.0.1:%d" % sinks[tls].port]}
           for where, tls in (("clear.example", False),
                              ("tls.example", True))},
    listen={"in": {"bind": "127.0.0.1:%d" % PORT[False], **DOOR},
            "soft": {"bind": "127.0.0.1:%d" % PORT[True],
                     "bare_newlines": "normalise", **DOOR}})).start()
where = os.environ.get("CORPUS")
messages = list(directory(where) if where else generated())
run = Run()
run.all(messages, len(WAYS) if where or LONG else 1)
want = run.want
tap.same(run.wrong[:4], [], "each of %d messages: taken, or refused as it must" %
         len(messages))


def arrived():
    return [(r, OURS.sub(b"", m.data, count=1)) for s in sinks.values()
            for m in s.got() for r in m.rcpts]


wait_for(lambda: sum(len(s.got()) for s in sinks.values()) >= len(want), 60)
got = arrived()
tap.same(len(got), len(want), "what was taken arrives, once")
tap.same(sorted(r for r, _ in got), sorted(want), "and nothing else does")
bad = [(r, data, want.get(r)) for r, data in got if data != want.get(r)]
tap.ok(not bad, "octet for octet below the trace field", bad and
       "%d differ; %s" % (len(bad), differ(*bad[0])))
print("# %d messages, %d times sent: %s" % (
    len(messages), sum(run.count.values()), dict(run.count)))
daemon.kill9()
tap.done()
