#!/usr/bin/env python3
"""What the door promises beyond smuggle.py: commands and their arguments, the
trace field, STARTTLS, steering by header fields, every limit and every
time-out with its reply."""
# parallel: measures no time
# timeout: 90 120

import os
import re
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import (Mtad, Sink, Tap, free_port, path, smart, wait_for,
                    write_config)
from mtatalk import Talk, is_reply

tap = Tap()
cert, key = path("cert.pem"), path("key.pem")
subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                "-days", "2", "-subj", "/CN=localhost", "-keyout", key,
                "-out", cert], check=True, stdin=subprocess.DEVNULL,
               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
SIZE_MAX = 12 << 20
TLS = {"cert": cert, "key": key}


def door(**of):
    return {"bind": "127.0.0.1:%d" % free_port(),
            "relay_from": ["127.0.0.0/8"], **of}


def port_of(daemon, name):
    return int(daemon.conf["listen"][name]["bind"].rsplit(":", 1)[1])


def said(t, line, want):
    got = t.say(line)
    tap.ok(is_reply(got, want), "%.60r: %s" % (line, want), got)


def deliver(port, rcpt, text="Subject: x\r\n\r\nx\r\n", hello=None):
    """One message through a session of its own; as the sink got it."""
    t = Talk(port, hello=not hello)
    if hello:
        t.say(hello)
    got = t.mail(text, rcpt=rcpt)
    t.close()
    if not tap.ok(is_reply(got, "250 2.0.0"), "%s: taken" % rcpt, got):
        return None
    wait_for(lambda: sink.to(rcpt))
    return (sink.to(rcpt) or [None])[0]


def event(kind, rcpt):
    def found():
        return [e for e in daemon.events(kind) if e["recipient"] == rcpt]
    wait_for(found)
    return (found() or [{}])[0]


# ---- commands --------------------------------------------------------------

def commands():
    long_domain = ".".join(["d" * 63] * 3 + ["d" * 53, "example"])
    local = "l" * 64
    t = Talk(daemon.port)
    for line, want in (
            ("VRFY", "501 5.5.4"), ("VRFY x", "252 2"), ("EXPN x", "502 5.5.1"),
            ("HELP", "214 2"), ("HELP x", "214 2"), ("NOOP a b", "250 2.0.0"),
            ("RSET x", "501 5.5.4"), ("XYZZY", "500 5"), ("", "500 5.5.2"),
            (b"\0", "500 5.5.2"), (b"NOOP \0", "500 5.5.2"),
            (b"MAIL FROM:<a\0@b.example>", "500 5.5.2"),
            (b"NOOP \xc3\xbc", "500 5.5.2"), ("MAIL", "501 5.5.2"),
            ("NOOP " + "x" * 2041, "250 2.0.0"),
            ("NOOP " + "x" * 2042, "500 5.5.2"),
            ("NOOP " + "x" * 100000, "500 5.5.2"), ("QUIT x", "501 5.5.4"),
            ("EHLO " + "x" * 256, "501 5"), ("DATA", "503 5.5.1"),
            ("NOOP", "250 2.0.0")):
        said(t, line, want)
    for line, want in (
            ("<@a.example,@b.example:user@c.example>", "250 2.1.0"),
            ("<%s@%s>" % (local, long_domain[-189:].lstrip("d.")),
             "250 2.1.0"),
            ("<%sx@b.example>" % local, "501 5.1.7"),
            ("<a@%s>" % long_domain[-252:], "250 2.1.0"),
            ("<a@%s.%s>" % (long_domain, long_domain), "501 5.1.7"),
            ("<a@%s.example>" % ("d" * 64), "501 5.1.7"),
            ("<>", "250 2.1.0"), ("a@b.example", "501 5.1.7"),
            ("<postmaster>", "501 5.1.7"), ("<a@b..example>", "501 5.1.7"),
            ('<"a b\\"c@d"@e.example>', "250 2.1.0"),
            ('<"a@e.example>', "501 5.1.7"), ("<a@[10.0.0.1]>", "250 2.1.0"),
            ("<a@[IPv6:::1]>", "250 2.1.0"), ("<a@[10.0.0]>", "501 5.1.7"),
            ("<a@[::1]>", "501 5.1.7"), ("<grü@b.example>", "553 5.6.7"),
            ("<a@b.example> SMTPUTF8", "250 2.1.0"),
            ("<grü@b.example> SMTPUTF8", "250 2.1.0"),
            ("<a@b.example> RET=HDRS", "250 2.1.0"),
            ("<a@b.example> AUTH=<>", "555 5.5.4"),
            ("<a@b.example> BODY=BINARYMIME", "501 5.5.4"),
            ("<a@b.example> SIZE=%d" % (SIZE_MAX + 1), "552 5.3.4"),
            ("<a@b.example> SIZE=%d BODY=8BITMIME" % SIZE_MAX, "250 2.1.0")):
        said(t, "MAIL FROM:" + line, want)
        t.say("RSET")
    t.say("MAIL FROM:<>")
    for line, want in (
            ("<@x.example:b@to.example>", "250 2.1.5"),
            ('<"a\\>b"@to.example>', "250 2.1.5"),
            ("<grü@to.example>", "553 5.6.7"), ("<>", "501 5.1.3"),
            ("<a>", "501 5.1.3"), ("<a@to.example> NOTIFY=NEVER", "250 2.1.5"),
            ("<a@[127.0.0.1]>", "250 2.1.5"), ("<pOSTmASTER>", "250 2.1.5"),
            ("<@x.example:postmaster>", "250 2.1.5")):
        said(t, "RCPT TO:" + line, want)
    t.close()
    t = Talk(port_of(daemon, "mx"))
    t.say("MAIL FROM:<a@b.example>")
    for rcpt, want in (("postmaster", "250 2.1.5"),
                       ("Postmaster@MTA1.example", "250 2.1.5"),
                       ("postmaster@mx.example", "250 2.1.5"),
                       ("postmaster@else.example", "550 5.7.1"),
                       ("abuse@mx.example", "550 5.7.1")):
        said(t, "RCPT TO:<%s>" % rcpt, want)
    t.close()


def pipelining():
    """In order, one reply each, in whatever pieces it comes."""
    many = b"".join(b"RCPT TO:<p%d@to.example>\r\n" % i for i in range(100))
    all_of_it = (b"RSET\r\nMAIL FROM:<s@from.example>\r\n" + many +
                 b"RCPT TO:<bad>\r\nDATA\r\n")
    rest = (b"Subject: p\r\n\r\n..\r\n.\r\nNOOP\r\nMAIL FROM:<>\r\n"
            b"RSET\r\nQUIT\r\n")
    for step in (len(all_of_it), 7):
        t = Talk(daemon.port)
        t.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        whole = all_of_it + rest
        for i in range(0, len(whole), step):
            t.send(whole[i:i + step])
        codes = [t.reply()[:3] for _ in range(2 + 100 + 2 + 1 + 4)]
        tap.same(codes, ["250"] * 102 + ["501", "354"] +
                 ["250"] * 4 + ["221"], "pipelined, %d bytes a send" % step)
        tap.ok(t.is_closed(), "and closed")


# ---- the trace field, RFC 5321 4.4 ----------------------------------------

DOT = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*"
TRACE = re.compile(
    r"Received: from (%s|\[[0-9A-Fa-f:.]+\]|\[IPv6:[^]]+\])"
    r" \(\[127\.0\.0\.1\]\)"
    r"\s+by (?P<by>%s) with (?P<with>SMTP|ESMTP|ESMTPS)"
    r"(?: \((?P<tls>TLSv1\.[23] [A-Z0-9_-]+)\))? id (?P<id>[0-9A-V]{26})"
    r"(?:\s+for <(?P<for>[^<>\s]+)>)?;"
    r"\s+[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d "
    r"[+-]\d{4}\r\n" % (DOT, DOT))


def trace():
    cases = {"esmtp@to.example": ("in", "EHLO client.example"),
             "smtp@to.example": ("in", "HELO client.example"),
             "literal@to.example": ("in", "EHLO [127.0.0.1]"),
             "named@to.example": ("named", "EHLO client.example")}
    for rcpt, (name, hello) in cases.items():
        m = deliver(port_of(daemon, name), rcpt, hello=hello)
        got = m and TRACE.match(m.data.decode())
        if not tap.ok(got, rcpt + ": well-formed", m and m.data):
            continue
        tap.same(got["with"], "SMTP" if "HELO" in hello else "ESMTP",
                 rcpt + ": with")
        tap.same(got["by"], "door.example" if name == "named" else
                 "mta1.example", rcpt + ": by")
        tap.same(got["for"], rcpt, rcpt + ": for")
        tap.same(got["id"], event("Reception", rcpt)["id"], rcpt + ": id")
        lines = m.data.split(b"\r\n")
        tap.ok(all(len(x) <= 78 for x in lines), rcpt + ": lines", lines)
    t = Talk(daemon.port, hello=False)
    for name in ("a(b", "a<b", "a;b", "a b", 'a"b'):
        said(t, "EHLO " + name, "501 5.5.2")
    t.close()
    m = deliver(daemon.port, '"q q"@to.example')
    tap.ok(m and b"for" not in m.data, "no address that would need quoting",
           m and m.data)


def starttls():
    t = Talk(daemon.port)
    tap.ok("STARTTLS" in t.ehlo, "STARTTLS is offered", t.ehlo)
    said(t, "STARTTLS x", "501 5.5.4")
    t.send(b"STARTTLS\r\nMAIL FROM:<evil@from.example>\r\n"
           b"RCPT TO:<evil@to.example>\r\n")
    got = t.reply()
    tap.ok(is_reply(got, "220 2.0.0"), "STARTTLS", got)
    t.handshake()
    said(t, "RCPT TO:<x@to.example>", "503 5.5.1")
    got = t.say("EHLO again.example")
    tap.ok("STARTTLS" not in got and "PIPELINING" in got,
           "EHLO after STARTTLS", got)
    said(t, "STARTTLS", "503 5.5.1")
    got = t.mail(rcpt="tls@to.example")
    tap.ok(is_reply(got, "250 2.0.0"), "by TLS: taken", got)
    wait_for(lambda: sink.to("tls@to.example"))
    m = sink.to("tls@to.example")[0]
    got = TRACE.match(m.data.decode())
    tap.ok(got and got["with"] == "ESMTPS" and
           got["tls"] == event("Reception", "tls@to.example").get("tls"),
           "by TLS: trace", m.data)
    tap.ok(b"again.example" in m.data and m.sender == "s@from.example",
           "nothing of the clear text is left", m.data)
    t.close()
    late = Talk(daemon.port)
    late.say("STARTTLS")
    late.send(b"MAIL FROM:<evil@from.example>\r\n")
    tap.ok(late.is_closed(), "clear text behind 220: closed")


# ---- steering --------------------------------------------------------------

def steering():
    big = b"".join(b"%09d\r\n" % i for i in range(950000))
    header = (b"X-MTA-Tenant: first\r\nA: 1\r\nx-mta-TENANT: last\r\n"
              b"X-Mta-Campaign \t: spring\r\n sale \r\nB: 2\r\n"
              b"X-MTA-Pool:\r\n\tsecond\r\nX-MTA-Poolx: stays\r\n")
    body = b"\r\nX-MTA-Tenant: body\r\n" + big
    m = deliver(daemon.port, "tags@to.example", header + body)
    want = b"A: 1\r\nB: 2\r\nX-MTA-Poolx: stays\r\n" + body
    tap.ok(m and m.below_received() == want, "taken out, the rest untouched",
           m and m.below_received()[:300])
    e = event("Delivery", "tags@to.example")
    tap.same([e.get(k) for k in ("tenant", "campaign", "pool", "source")],
             ["last", "spring sale", "second", "b"], "and obeyed")
    many = b"".join(b"X-MTA-Tenant: t%d\r\nX-%d: y\r\n" % (i, i)
                    for i in range(3000))
    m = deliver(daemon.port, "many@to.example", many + b"\r\nx\r\n")
    tap.ok(m and m.below_received() == b"".join(
        b"X-%d: y\r\n" % i for i in range(3000)) + b"\r\nx\r\n",
        "3,000 of them")
    tap.same(event("Delivery", "many@to.example").get("tenant"), "t2999",
             "the last one counts")
    m = deliver(port_of(daemon, "steers"), "door@to.example")
    e = event("Delivery", "door@to.example")
    tap.same([e.get(k) for k in ("tenant", "campaign", "pool", "source")],
             ["dt", "dc", "second", "b"], "by the listener")
    m = deliver(port_of(daemon, "steers"), "both@to.example",
                "X-MTA-Tenant: mine\r\nX-MTA-Campaign:\r\n\r\nx\r\n")
    e = event("Delivery", "both@to.example")
    tap.same([e.get(k) for k in ("tenant", "campaign", "pool")],
             ["mine", "dc", "second"], "header before listener")
    by_route()
    for value in ("t" * 65, "a\tb", "\xe4"):
        got = Talk(daemon.port).mail(b"X-MTA-Tenant: %s\r\n\r\nx\r\n" %
                                     value.encode("latin-1"))
        tap.ok(is_reply(got, "550 5.6.0"), "no name: %.10r" % value, got)
    for head in ("X-MTA-Class: fast", "X-MTA-Expires: soon",
                 "X-MTA-Expires: 2001-01-01T00:00:00Z", "X-MTA-Expires: 400d",
                 "X-MTA-Schedule: 2027-13-01T00:00:00Z", "X-MTA-Schedule:",
                 "X-MTA-Engaged: rather",
                 "X-MTA-Expires: 1h\r\nX-MTA-Schedule: +2h"):
        got = Talk(daemon.port).mail(head + "\r\n\r\nx\r\n")
        tap.ok(is_reply(got, "550 5.6.0"), "refused: " + head, got)
    got = Talk(daemon.port).mail("X-MTA-Zone: Mars/Olympus\r\n\r\nx\r\n")
    tap.ok(is_reply(got, "554 5.3.5"), "refused: a zone nobody knows", got)
    began = time.time()
    m = deliver(daemon.port, "later@to.example",
                "X-MTA-Schedule: +2s\r\nX-MTA-Class: transactional\r\n"
                "X-MTA-Zone: UTC\r\nX-MTA-Expires: 1h\r\n"
                "X-MTA-Engaged: Yes\r\n\r\nx\r\n")
    tap.ok(time.time() - began >= 1.9, "scheduled mail waits")
    tap.ok(b"X-MTA-" not in m.data, "and its fields are taken out", m.data)
    t = Talk(port_of(daemon, "mx"))
    got = t.mail("X-MTA-Tenant: evil\r\n\r\nx\r\n", rcpt="postmaster")
    tap.ok(is_reply(got, "250 2.0.0"), "a stranger's: taken", got)
    wait_for(lambda: sink.to("ops@mta1.example"))
    m = sink.to("ops@mta1.example")[0]
    tap.ok(m.below_received().startswith(b"X-MTA-Tenant: evil"),
           "left alone", m.data)
    e = event("Delivery", "ops@mta1.example")
    tap.same(e.get("tenant"), None, "and not obeyed")


def by_route():
    fields = ("tenant", "campaign", "pool", "source")
    deliver(daemon.port, "x@a.route.example")
    e = event("Delivery", "x@a.route.example")
    tap.same([e.get(k) for k in fields], ["rt", "rc", "second", "b"],
             "by the route")
    tap.same(event("Reception", "x@a.route.example").get("tenant"), "rt",
             "and the books say so from the first")
    deliver(daemon.port, "y@A.ROUTE.example",
            "X-MTA-Tenant: mine\r\n\r\nx\r\n")
    e = event("Delivery", "y@A.ROUTE.example")
    tap.same([e.get(k) for k in fields], ["mine", "rc", "second", "b"],
             "header before route")
    deliver(port_of(daemon, "steers"), "z@a.route.example")
    e = event("Delivery", "z@a.route.example")
    tap.same([e.get(k) for k in fields], ["dt", "dc", "second", "b"],
             "listener before route")
    routed, none = ["rt", "rc", "second", "b"], [None, None, "default", "a"]
    for other, want in (("b.route.example", routed), ("to.example", none)):
        both(daemon.port, "1@" + other, "with-%s@a.route.example" % other)
        for rcpt, its in (("1@" + other, want),
                          ("with-%s@a.route.example" % other, routed)):
            e = event("Delivery", rcpt)
            tap.same([e.get(k) for k in fields], its,
                     "%s beside another: by its own route" % rcpt)
            e = event("Reception", rcpt)
            tap.same([e.get(k) for k in fields[:2]], its[:2],
                     "and from the first")


def both(port, *rcpts):
    """One message to several."""
    t = Talk(port)
    t.say("MAIL FROM:<s@from.example>")
    for r in rcpts:
        said(t, "RCPT TO:<%s>" % r, "250 2.1.5")
    t.say("DATA")
    t.say("\r\nx\r\n.")
    t.close()


def pools():
    """A pool that is not there is refused, by the configuration of now; and
    who is of which pool is not forgotten by a crash."""
    conf = dict(source={"a": {"address": "127.0.0.10"}},
                pool={"default": {"sources": ["a"]},
                      "second": {"sources": ["a"]}},
                route={"*.route.example": {"pool": "second",
                                           "hosts": ["127.0.0.1:9"]},
                       "*": {"hosts": ["127.0.0.1:9"]}})
    d = Mtad(write_config("pools", **conf)).start()
    t = Talk(d.port)
    named = "X-MTA-Pool: third\r\n\r\nx\r\n"
    got = t.mail(named)
    tap.ok(is_reply(got, "554 5.3.5"), "an unknown pool: refused", got)
    e = (wait_for(lambda: d.events("Rejection")) or [{}])[0]
    tap.same([e.get(k) for k in ("code", "enhanced", "stage")],
             [554, "5.3.5", "eom"], "and in the books")
    got = t.mail("X-MTA-Pool: \r\n\r\nx\r\n")
    tap.ok(is_reply(got, "250 2.0.0"), "a pool without a name: none", got)
    conf["pool"]["third"] = {"sources": ["a"]}
    write_config("pools", **dict(conf, listen=d.conf["listen"]))
    d.signal(1)
    wait_for(lambda: "taken over" in d.said())
    wait_for(lambda: is_reply(t.mail(named), "250 2.0.0"), 5)
    got = t.mail(named)
    tap.ok(is_reply(got, "250 2.0.0"), "known after a reload, on a "
           "connection from before", got)
    both(d.port, "1@route.example", "2@a.route.example")

    def pool_of():
        rows = d.json("list", "--all")["recipients"]
        return {r["domain"]: r["pool"] for r in rows}
    want = {"route.example": "default", "a.route.example": "second"}
    for when in ("", ", after a crash"):
        got = {k: v for k, v in pool_of().items() if k in want}
        tap.same(got, want, "to each its pool%s" % when)
        code, out = d.verb("hold", "--pool", "second", "--dry-run")
        tap.ok("1 recipient " in out, "and found by it" + when, out)
        d.kill9()
        d.start()
    d.kill9()


def headers():
    """Whatever the header looks like, and wherever the pieces are cut."""
    room = 256 << 10
    line = b"H: " + b"h" * 70 + b"\r\n"
    fits = line * ((room - 1000) // len(line))
    for name, text, want in (
            ("no header", b"words.\r\n" * 60000, "250 2.0.0"),
            ("no blank line", b"Subject: x\r\n" + b"words\r\n" * 60000,
             "250 2.0.0"),
            ("a large header", fits + b"\r\n" + b"x\r\n" * 100000,
             "250 2.0.0"),
            ("too large a header", line * 4000, "552 5.3.4"),
            ("only a header", b"Subject: x\r\n", "250 2.0.0"),
            ("nothing", b"", "250 2.0.0"),
            ("100 hops", b"received : x\r\n" * 100 + b"\r\n", "250 2.0.0"),
            ("101 hops", b"received : x\r\n" * 101 + b"\r\n", "554 5.4.6"),
            ("101 hops and a body", b"Received: x\r\n" * 101 + b"\r\n" +
             b"x\r\n" * 100000, "554 5.4.6")):
        t = Talk(daemon.port)
        got = t.mail(text)
        tap.ok(is_reply(got, want), "%s: %s" % (name, want), got)
        t.close()


# ---- limits ----------------------------------------------------------------

def limits():
    # The smallest stated line that may be refused is 998 bytes.
    t = Talk(port_of(daemon, "tight"))
    for n, want in ((1000, "250 2.0.0"), (1001, "550 5.6.0")):
        got = t.mail(b"\r\n" + b"x" * n + b"\r\n")
        tap.ok(is_reply(got, want), "a line of %d bytes: %s" % (n, want), got)
    text = b"\r\n" + b"x" * 98 + b"\r\n"
    for n, want in ((99, "250 2.0.0"), (100, "552 5.3.4")):
        got = t.mail(text[:2] + text[2:] * n)
        tap.ok(is_reply(got, want), "%d bytes: %s" % (2 + 100 * n, want), got)
    t.say("MAIL FROM:<a@b.example>")
    got = [t.say("RCPT TO:<r%d@to.example>" % i)[:9] for i in range(5)]
    tap.same(got, ["250 2.1.5"] * 3 + ["452 4.5.3"] * 2, "recipients")
    t.close()
    t = Talk(port_of(daemon, "tight"))
    got = [t.say("XYZZY")[:9] for _ in range(4)] + [t.reply()[:9]]
    tap.same(got[-2:], ["500 5.5.1", "421 4.7.0"], "errors")
    tap.ok(t.is_closed(), "errors: closed")
    t = Talk(port_of(daemon, "tight"))
    got = [t.mail()[:9] for _ in range(7)]
    tap.same(got[5:], ["250 2.0.0", "421 4.7.0"], "messages a connection")
    tap.ok(t.is_closed(), "messages: closed")


def guests(port):
    """What nine connections of one client are told, and then twelve of three
    others."""
    one = [Talk(port, hello=False) for _ in range(9)]
    others = [Talk(port, hello=False, bind="127.0.0.%d" % (9 + i // 4))
              for i in range(12)]
    for t in one + others:
        t.close()
    return [sorted(t.banner[:9] for t in x) for x in (one, others)]


def connections(workers):
    """The limits hold for all workers together, and places become free."""
    d = Mtad(write_config("conns%d" % workers, route=smart(sink),
                          workers=workers, listen={"in": door(
                              connections_max=12,
                              connections_per_client_max=5)})).start()
    want = [["220 mta1."] * 5 + ["421 4.7.0"] * 4,
            ["220 mta1."] * 7 + ["421 4.3.2"] * 5]
    got = []
    for turn in ("", ", again"):
        # What has just been closed may still be counted.
        wait_for(lambda: got.append(guests(d.port)) or got[-1] == want, 5)
        tap.same(got[-1], want, "%d workers: connections of one client and "
                 "of all%s" % (workers, turn))
    d.kill9()


def timeouts():
    at = port_of(daemon, "hasty")

    def quiet(name, t, want, least, most):
        begin = time.monotonic()
        got = t.reply()
        spent = time.monotonic() - begin
        tap.ok(got.startswith(want) and t.is_closed(),
               "time-out, %s: %s" % (name, want or "closed"), got)
        tap.ok(least <= spent <= most, "after its time",
               "%.2f s" % spent)
    quiet("no EHLO", Talk(at, hello=False), "421 4.4.2", .3, 3)
    t = Talk(at)
    t.say("MAIL FROM:<a@b.example>")
    quiet("after MAIL", t, "421 4.4.2", .3, 3)
    t = Talk(at)
    t.begin()
    t.send(b"Subject: x\r\n")
    quiet("in the message", t, "421 4.4.2", .8, 4)
    t = Talk(at)
    t.say("STARTTLS")
    quiet("in the handshake", t, "", .5, 3)
    # A byte now and then is no command; what counts is the line.
    t = Talk(at)
    begin = time.monotonic()
    t.s.settimeout(.1)
    while time.monotonic() < begin + 5:
        try:
            t.send(b"N")
            got = t.s.recv(100)
            break
        except TimeoutError:
            pass
    tap.ok(got.startswith(b"421 4.4.2") and time.monotonic() < begin + 3,
           "time-out, a byte now and then", got)


def certificates():
    with open(path("bad.pem"), "w") as f:
        f.write("no certificate\n")
    bad = Mtad(write_config("bad", listen={"in": door(
        tls={"cert": path("bad.pem"), "key": key})}))
    try:
        bad.start()
        tap.ok(False, "a bad certificate: refused at start")
    except SystemExit:
        tap.ok("bad.pem" in bad.said(), "a bad certificate: named at start",
               bad.said())
    good = Mtad(write_config("reload", listen={"in": door(
        tls={"cert": path("c.pem"), "key": key})}))
    os.link(cert, path("c.pem"))
    good.start()
    os.rename(path("bad.pem"), path("c.pem"))
    good.signal(1)
    tap.ok(wait_for(lambda: "nothing changed" in good.said()),
           "a bad certificate: reload says so", good.said())
    t = Talk(good.port)
    tap.ok(t.starttls().startswith("220") and
           is_reply(t.say("NOOP"), "250 2.0.0"), "and the old one serves")
    good.kill9()


sink = Sink()
daemon = Mtad(write_config(
    source={"a": {"address": "127.0.0.10", "ehlo": "a.mta.example"},
            "b": {"address": "127.0.0.11"}},
    pool={"default": {"sources": ["a"]}, "second": {"sources": ["b"]}},
    route={"*.route.example": {"tenant": "rt", "campaign": "rc",
                               "pool": "second", **smart(sink)["*"]},
           **smart(sink)}, errors_max=1000, listen={
        "in": door(tls=TLS, message_size_max=SIZE_MAX),
        "mx": {"bind": "127.0.0.1:%d" % free_port(),
               "hostname": "mx.example"},
        "named": door(hostname="door.example"),
        "steers": door(tenant="dt", campaign="dc", pool="second"),
        "tight": door(line_length_max=1000, message_size_max=10000,
                      recipients_max=3, errors_max=4,
                      messages_per_connection_max=6),
        "hasty": door(tls=TLS, timeouts={
            "command": "400ms", "body": "1s", "tls": "600ms"})})).start()
commands()
pipelining()
trace()
starttls()
steering()
pools()
headers()
limits()
timeouts()
connections(0)
connections(4)
certificates()
tap.same(daemon.stop(), 0, "SIGTERM: exit 0")
tap.done()
