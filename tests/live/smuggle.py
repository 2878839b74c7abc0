#!/usr/bin/env python3
"""What a hostile or clumsy client gets: no second message out of odd line
ends, no relaying for strangers, and RFC 5321's reply codes with enhanced
ones."""
# parallel: measures no time
# timeout: 60 60

import os
import re
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import (Mtad, Sink, Tap, free_port, smart, wait_for,
                    write_config)
from mtatalk import Talk, is_reply

tap = Tap()


def is_code(got, want, name):
    tap.ok(is_reply(got, want), "%s: %s" % (name, want), got)


second = (b"MAIL FROM:<evil@from.example>%sRCPT TO:<victim@to.example>%s"
          b"DATA%sSubject: smuggled%s%sevil%s.\r\n")


def smuggle(port, ending, sink, label, refuse):
    """A message that seems to end with `ending`, commands behind it."""
    sink.clear()
    t = Talk(port)
    t.begin()
    t.s.sendall(b"Subject: first\r\n\r\nhello" + ending +
                second.replace(b"%s", b"\r\n"))
    got = t.reply()
    if refuse:
        is_code(got, "550 5.6.0", label)
    is_code(t.say("NOOP"), "250 2", label + ", in step afterwards")
    mark = Talk(port)
    mark.begin("mark@to.example")
    mark.say("Subject: mark\r\n\r\nx\r\n.")
    wait_for(lambda: sink.to("mark@to.example"))
    tap.same([m.sender for m in sink.got() if "victim@to.example" in m.rcpts],
             [], label + ": no second message")
    if refuse:
        tap.same(sink.to("a@to.example"), [], label + ": nor the first")
    else:
        wait_for(lambda: sink.to("a@to.example"))
        bad = [m for m in sink.got()
               if re.search(rb"(?<!\r)\n|\r(?!\n)", m.data)]
        tap.ok(sink.to("a@to.example") and not bad,
               label + ": arrives with CRLF only", bad and bad[0].data)
    mark.close()
    t.close()


sink = Sink()
stranger = free_port()
listen = {"in": {"bind": "127.0.0.1:%d" % free_port(),
                 "relay_from": ["127.0.0.0/8"], "message_size_max": 100000,
                 "recipients_max": 100, "errors_max": 10},
          "mx": {"bind": "127.0.0.1:%d" % stranger}}
daemon = Mtad(write_config(route=smart(sink), listen=listen)).start()
soft = write_config("soft", route=smart(sink), bare_newlines="normalise")
VECTORS = {"LF . LF": b"\n.\n", "LF . CRLF": b"\n.\r\n",
           "CRLF . LF": b"\r\n.\n", "CRLF . CR": b"\r\n.\r",
           "CR . CR": b"\r.\r", "CR . CRLF": b"\r.\r\n",
           "LF . CR": b"\n.\r", "CR . LF": b"\r.\n",
           "CR CRLF . CR CRLF": b"\r\r\n.\r\r\n",
           "CRLF SP . CRLF": b"\r\n .\r\n", "LF": b"\n", "CR": b"\r",
           "CR LF LF . CRLF": b"\r\n\n.\r\n", "CRLF .. LF": b"\r\n..\n"}
for name, ending in VECTORS.items():
    smuggle(daemon.port, ending, sink, name,
            name not in ("CRLF SP . CRLF",))
normalise = Mtad(soft)
try:
    normalise.start()
except SystemExit as e:
    tap.ok(False, "bare_newlines: normalise", e)
else:
    for name, ending in VECTORS.items():
        smuggle(normalise.port, ending, sink, "normalised: " + name, False)
    normalise.kill9()

t = Talk(stranger)
is_code(t.say("MAIL FROM:<s@from.example>"), "250 2.1.0", "stranger: MAIL")
for rcpt in ("a@to.example", "a%to.example@mta1.example", "a@[127.0.0.1]",
             "@mta1.example:a@to.example", '"a@to.example"@else.example'):
    is_code(t.say("RCPT TO:<%s>" % rcpt), "550 5.7.1", "stranger: " + rcpt)
for rcpt in ("postmaster", "Postmaster", "POSTMASTER"):
    is_code(t.say("RCPT TO:<%s>" % rcpt), "250 2.1.5", "stranger: " + rcpt)
sink.clear()
tap.ok(t.say("DATA").startswith("354 "), "stranger: DATA")
is_code(t.say("Subject: help\r\n\r\nx\r\n."), "250 2", "to postmaster")
tap.ok(wait_for(lambda: sink.to("ops@mta1.example")), "postmaster's arrives")
t.close()

t = Talk(daemon.port, hello=False)
tap.ok(re.match(r"220 mta1\.example .*ESMTP", t.banner), "banner", t.banner)
is_code(t.say("MAIL FROM:<s@from.example>"), "503 5.5.1", "MAIL before EHLO")
is_code(t.say("EHLO"), "501 5.5.2", "EHLO without a name")
offers = t.say("EHLO c.example")
for word in ("PIPELINING", "SIZE 100000", "8BITMIME", "ENHANCEDSTATUSCODES"):
    tap.ok(re.search(r"250[- ]%s$" % word, offers, re.M), word, offers)
tap.ok("STARTTLS" not in offers, "no STARTTLS without a certificate")
for line, want in (
        ("RCPT TO:<a@to.example>", "503 5.5.1"), ("DATA", "503 5.5.1"),
        ("FOO", "500 5.5.1"), ("STARTTLS", "50"), ("VRFY a", "252 2"),
        ("NOOP", "250 2.0.0"), ("RSET", "250 2.0.0")):
    got = t.say(line)
    if want == "50":
        tap.ok(got.startswith(("502 5.5.1", "500 5.5.", "454 4.7.0",
                               "503 5.5.1")), "STARTTLS: not here", got)
    else:
        is_code(got, want, line)
t.close()
t = Talk(daemon.port)
is_code(t.say("MAIL FROM:<s@from.example> SIZE=100001"), "552 5.3.4", "SIZE")
is_code(t.say("MAIL FROM:<s@from.example> FOO=1"), "555 5.5.4", "parameter")
is_code(t.say("MAIL FROM:s from"), "501 5", "MAIL's syntax")
is_code(t.say("MAIL FROM:<s@from.example>"), "250 2.1.0", "MAIL")
is_code(t.say("MAIL FROM:<s@from.example>"), "503 5.5.1", "MAIL twice")
is_code(t.say("RCPT TO:<>"), "501 5", "RCPT of nobody")
is_code(t.say("RCPT TO:<no at sign>"), "501 5", "RCPT's syntax")
codes = [t.say("RCPT TO:<u%d@to.example>" % i)[:9] for i in range(102)]
tap.same(codes[:100], ["250 2.1.5"] * 100, "100 recipients")
tap.same(codes[100:], ["452 4.5.3"] * 2, "those beyond")
t.say("DATA")
sink.clear()
is_code(t.say("Subject: x\r\n\r\n" + ("y" * 70 + "\r\n") * 1500 + "."),
        "552 5.3.4", "too large without SIZE")
is_code(t.say("QUIT"), "221 2.0.0", "QUIT")
tap.same(t.f.read(), b"", "and closed")
tap.same(sink.got(), [], "too large: nothing goes out")
t = Talk(daemon.port)
got = [t.say("FOO%d" % i)[:3] for i in range(10)]
end = t.reply() if got[-1] != "421" else "421"
tap.ok(got[0] == "500" and end.startswith("421"), "421 after many errors",
       (got, end))
tap.same(t.f.read(), b"", "and closed")
t = Talk(daemon.port)
t.begin()
is_code(t.say("Received: x\r\n" * 101 + "\r\nx\r\n."), "554 5.4.6", "a loop")
t.close()
tap.same(daemon.stop(), 0, "SIGTERM: exit 0")
tap.done()
