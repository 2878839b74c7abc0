#!/usr/bin/env python3
"""SMTP smuggling, the vectors of 2023 and their kin: whatever stands before and
behind a dot, in DATA, in DATA cut at every place, and in chunks whose borders
lie inside the vector. None yields a second message here, nor through us at a
Postfix that is left as easy to fool as its defaults allow, at Exim, or at a sink
that looks at each octet. First the same vectors go straight to that Postfix: it
must be fooled, or this proves nothing."""
# parallel: measures no time
# takes: 8
# timeout: 60 300

import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
import mtaexim
import mtapostfix
from mtalib import (LONG, Mtad, Sink, Tap, free_port, path, wait_for,
                    write_config)
from mtatalk import Talk

tap = Tap()
EVIL, VICTIM = "evil@from.example", "victim"
# What some program takes for a line's end, or for nothing at all. The last
# four are Unicode's next line, vertical tab, form feed and a blank before CRLF.
ENDS = [b"\n", b"\r", b"\r\n", b"\r\r\n", b"\n\r", b"\n\n", b"\0\r\n",
        b"\r\n\0", b"\r\0\n", b"\0", b"", b"\xc2\x85", b"\v", b"\f",
        b" \r\n"]
DOTS = [b".", b"..", b".\0"]
VECTORS = [a + dot + z for dot in DOTS for a in ENDS for z in ENDS
           if (a[-2:], dot, z[:2]) != (b"\r\n", b".", b"\r\n")]
VECTORS += [b"\r\n.\r\r\n", b"\r\n.\t\r\n", b"\n.\r\n.\n", b"\r\n.=0D=0A",
            b"\r\n\x2e\xe2\x80\xa8", b"\r\n\x82.\r\n", b"\r\n.\r", b"\r",
            b"\n", b"\r\n\r\n.\n"]
VECTORS = list(dict.fromkeys(VECTORS))
COMMANDS = [b"\r\n".join((
    b"MAIL FROM:<%s>" % EVIL.encode(), b"RCPT TO:<%s@%s>" % (
        VICTIM.encode(), where), b"DATA", b"Subject: smuggled", b"",
    b"evil")) for where in (
        b"sink.example", b"postfix.example", b"exim.example")]
BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)|\0")


def envelope(rcpts, data):
    return b"".join([b"MAIL FROM:<good@from.example>\r\n",
                     *(b"RCPT TO:<%s>\r\n" % r.encode() for r in rcpts),
                     b"DATA\r\n" if data else b""])


class Door:
    """Sessions with a server, renewed from time to time."""

    def __init__(self, port):
        self.port, self.t, self.n = port, None, 0

    def open(self):
        if self.t:
            self.t.close()
        self.t = Talk(self.port)
        self.t.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def replies(self, n):
        return [self.t.reply()[:3] for _ in range(n)]

    def by_data(self, rcpts, vector, rest, cut):
        if self.n % 50 == 0:
            self.open()
        self.n += 1
        self.t.send(envelope(rcpts, True))
        want = ["250"] * (1 + len(rcpts)) + ["354"]
        got = self.replies(len(want))
        if got != want:
            return "envelope: %s" % got
        head = b"Subject: x\r\n\r\nx"
        if not cut:
            self.t.send(head + vector + rest + b"\r\n.\r\n")
        else:
            self.t.send(head)
            for i in range(len(vector)):
                self.t.send(vector[i:i + 1])
            self.t.send(rest + b"\r\n.\r\n")
        return self.end()

    def by_bdat(self, rcpts, vector, rest):
        """Every octet of the vector in a chunk of its own, all pipelined.
        Here a line of a dot is a line like any."""
        if self.n % 50 == 0:
            self.open()
        self.n += 1
        parts = [b"Subject: x\r\n\r\nx", *(vector[i:i + 1] for i in
                                          range(len(vector))), rest + b"\r\n.\r\n" + rest]
        chunks = [b"BDAT %d%s\r\n%s" % (
            len(p), b" LAST" if i + 1 == len(parts) else b"", p)
            for i, p in enumerate(parts)]
        self.t.send(envelope(rcpts, False) + b"".join(chunks))
        got = self.replies(1 + len(rcpts) + len(chunks) - 1)
        if got[:1 + len(rcpts)] != ["250"] * (1 + len(rcpts)):
            return "envelope: %s" % got
        # What follows a refused chunk has no place, says RFC 3030 4.2.
        last = self.end()
        refused = [x for x in got if x != "250"]
        return refused[0] if refused and last == "503" else last

    def end(self):
        """The one answer to the message, if the session is in step then."""
        last = self.t.reply()[:3]
        self.t.send(b"NOOP\r\n")
        noop = self.t.reply()
        if not noop.startswith("250 2.0.0"):
            self.n = 0
            return "out of step: %s, %r" % (last, noop)
        return last


def through(name, door, is_strict):
    """Each vector in each way; the recipients that were taken."""
    taken, wrong = [], []
    for i, vector in enumerate(VECTORS):
        for way in ("data", "cut", "bdat"):
            if not LONG and way != "data" and i % 3:
                continue
            rcpts = ["%s%s%d@sink.example" % (name, way, i)]
            if way == "data" or LONG:
                rcpts += [rcpts[0].replace("sink.", x)
                          for x in ("postfix.", "exim.")]
            rest = COMMANDS[i % 3 if way == "data" or LONG else 0]
            got = door.by_bdat(rcpts, vector, rest) if way == "bdat" else \
                door.by_data(rcpts, vector, rest, way == "cut")
            bad = BARE.search(b"x" + vector + rest)
            if got == "250":
                taken += rcpts
            if got != ("550" if bad and (is_strict or b"\0" in vector)
                       else "250"):
                wrong.append((way, vector, got))
    tap.same(wrong[:5], [], "%s: one answer to each message, %d vectors" % (
        name, len(VECTORS)))
    return taken


def control():
    """How many vectors fool this Postfix, when they come to it directly."""
    for vector in (b"\n.\n", b"\n.\r\n", b"\r\n.\n"):
        t = Talk(postfix.port)
        t.send(envelope(["control@postfix.example"], True))
        [t.reply() for _ in range(3)]
        t.send(b"Subject: x\r\n\r\nx" + vector + COMMANDS[1] +
               b"\r\n.\r\n")
        t.reply(), t.reply()
        t.close()
    fooled = wait_for(lambda: postfix.said().count(
        "to=<%s@postfix.example>" % VICTIM) >= 3, 10)
    tap.ok(fooled, "control: this Postfix is fooled when asked directly",
           postfix.said()[-2000:])


def at_postfix():
    return re.findall(r"/discard\[\d+\]: \w+: to=<([^>]*)>",
                      postfix.said()[before:])


def at_exim():
    return [r for line in re.findall(r" <= .* for (.*)", exim.said())
            for r in line.split()]


def arrive(taken):
    """What was taken arrives, once; nothing else does."""
    where = [("the sink", "@sink.example", lambda: [
        r for m in sink.got() for r in m.rcpts])]
    if postfix:
        where.append(("Postfix", "@postfix.example", at_postfix))
    if exim:
        where.append(("Exim", "@exim.example", at_exim))
    for name, domain, look in where:
        want = sorted(r for r in taken if r.endswith(domain))
        wait_for(lambda: len(look()) >= len(want), 40)
        got = sorted(look())
        tap.ok(got == want and len(got) > 100,
               "%s: %d messages and no other" % (name, len(want)),
               "%d; more %s; less %s" % (
                   len(got), sorted(set(got) - set(want))[:5],
                   sorted(set(want) - set(got))[:5]))
    bad = [m.data for m in sink.got() if BARE.search(m.data)]
    tap.same(bad[:1], [], "the sink: no bare CR, LF or NUL in any octet")
    tap.same([m.sender for m in sink.got()
              if m.sender != "good@from.example"], [], "the sink: one sender")
    tap.ok(all(EVIL.encode() in m.data for m in sink.got()),
           "the sink: what was to be commands is text")


sink = Sink()
postfix = exim = None
if mtapostfix.is_there():
    postfix = mtapostfix.Postfix(path("postfix"), free_port(), {
        "myhostname": "postfix.example", "default_transport": "discard",
        "smtpd_forbid_bare_newline": "no",
        "smtpd_forbid_unauth_pipelining": "no"})
    if not postfix.start():
        raise SystemExit("Postfix does not start:\n" + postfix.said())
else:
    tap.skip("Postfix", "needs Debian's postfix, and root")
if mtaexim.is_there():
    exim = mtaexim.Exim(path("exim"), free_port(),
                        "hole:\n  driver = redirect\n  data = :blackhole:\n",
                        main="queue_only = true")
    exim.start()
else:
    tap.skip("Exim", "needs make deps-test, and root")
try:
    before = 0
    if postfix:
        control()
        before = len(postfix.said())
    door = {"relay_from": ["127.0.0.0/8"], "errors_max": 10000}
    route = {"sink.example": {"hosts": ["127.0.0.1:%d" % sink.port]},
             "postfix.example": {"hosts": ["127.0.0.1:%d" % (
                 postfix or sink).port]},
             "exim.example": {"hosts": ["127.0.0.1:%d" % (
                 exim or sink).port]}}
    strict, normal = free_port(), free_port()
    daemon = Mtad(write_config(route=route, listen={
        "in": {"bind": "127.0.0.1:%d" % strict, **door},
        "soft": {"bind": "127.0.0.1:%d" % normal,
                 "bare_newlines": "normalise", **door}})).start()
    taken = through("strict", Door(strict), True)
    taken += through("soft", Door(normal), False)
    arrive(taken)
    daemon.kill9()
finally:
    if postfix:
        postfix.stop()
    if exim:
        exim.stop()
tap.done()
