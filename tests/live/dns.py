#!/usr/bin/env python3
"""Names through the real daemon and a real name server: MX, implicit and null
MX, AAAA, CNAME, what is not there, what fails, is slow or never answers, and
the cache."""
# parallel: measures no time
# timeout: 60

import os
import re
import signal
import smtplib
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import Mtad, Tap, path, wait_for, write_config
from mtasink import Sink
from simlib import Server

WORLD = """
ttl: 300
names:
  plain.example: MX 10 mx.plain.example
  mx.plain.example: A 127.0.0.1
  implicit.example: A 127.0.0.1
  null.example: NULL-MX
  v6.example: MX 10 mx6.example
  mx6.example: AAAA ::1
  alias.example: CNAME plain.example
  chain.example: CNAME alias.example
  host-alias.example: MX 10 alias-mx.example
  alias-mx.example: CNAME mx.plain.example
  gone.example: NXDOMAIN
  bare.example: "TXT no mail here"
  bad-mx.example: MX 10 nowhere.example
  nowhere.example: NXDOMAIN
  half.example: [MX 10 nowhere.example, MX 20 mx.plain.example]
  fail.example: SERVFAIL
  refused.example: REFUSED
  "deaf{1..9}.example": SILENT
  "deaf-mx.example": MX 10 deaf1.example
  slow.example: [A 127.0.0.1, DELAY 900ms]
  slower.example: [MX 10 mx.plain.example, DELAY 1800ms]
  cut.example: [MX 10 mx.plain.example, TRUNCATE]
  brief.example: [MX 10 mx.plain.example, TTL 1]
  xn--bcher-kva.example: MX 10 mx.plain.example
  "late{1..9}.example": MX 10 mx.plain.example
"""
GOOD = ["plain", "implicit", "v6", "alias", "chain", "host-alias", "half",
        "slow", "slower", "cut", "brief"]
BOUNCES = {"gone": (550, "5.1.2"), "null": (556, "5.1.10"),
           "bare": (550, "5.4.4"), "bad-mx": (550, "5.4.4"),
           "never-heard-of": (550, "5.1.2")}
FAILS = ["fail", "refused", "deaf1", "deaf-mx"]

tap = Tap()
with open(path("names.yml"), "w") as f:
    f.write(WORLD)
names = Server("dns", "--listen", "127.0.0.1:0", path("names.yml"),
               name="dns")
sink = Sink()
sink6 = Sink(host="::1", port=sink.port)


def asked():
    """Questions that the name server has had."""
    names.p.send_signal(signal.SIGUSR1)
    return int(re.search(r"queries=(\d+)", names.p.stdout.readline())[1])


def send(*domains):
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
        c.sendmail("", ["u@%s.example" % d for d in domains],
                   b"Subject: x\r\n\r\nx\r\n")


def event(kind, domain, seconds=8):
    """The domain's first event of a kind."""
    def found():
        return [e for e in daemon.events(kind)
                if e["recipient"] == "u@%s.example" % domain]
    got = wait_for(found, seconds)
    return got[0] if got else {}


daemon = Mtad(write_config(dns={"servers": [names.ready]},
                           smtp_port=sink.port,
                           source={"a": {}})).start()
send(*GOOD, *BOUNCES, *FAILS)
for d in GOOD:
    e = event("Delivery", d)
    tap.ok(e, d + ": arrives", daemon.events())
    tap.ok(e.get("attempt") == 1 and e.get("queued", 9) < 6,
           d + ": at the first attempt", e)
tap.same(event("Delivery", "v6").get("peer", "").rsplit(":", 1)[0]
         .strip("[]"), "::1", "v6: over IPv6")
tap.same([m.rcpts for m in sink6.got()], [["u@v6.example"]],
         "v6: nothing else is")
tap.same(event("Delivery", "half").get("mx"), "mx.plain.example",
         "half: the host that has an address")
# Letters are A-labels to DNS; and what is no domain bounces.
with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
    c.ehlo()
    c.command_encoding = "utf-8"
    c.docmd("MAIL FROM:<> SMTPUTF8")
    for d in ("bücher", "\u2fff"):
        c.docmd("RCPT TO:<u@%s.example>" % d)
    c.data(b"Subject: x\r\n\r\nx\r\n")
tap.same(event("Bounce", "bücher").get("enhanced"), "5.6.7",
         "bücher: its host is found, and takes no UTF-8")
tap.same(event("Bounce", "\u2fff").get("enhanced"), "5.1.2",
         "no domain: bounces")
for d, (code, enhanced) in BOUNCES.items():
    e = event("Bounce", d)
    tap.same((e.get("code"), e.get("enhanced"), e.get("stage")),
             (code, enhanced, "dns"), d + ": bounces")
    tap.ok(e.get("queued", 9) < 1, d + ": at once", e)
for d in FAILS:
    e = event("TransientFailure", d)
    tap.same((e.get("stage"), e.get("code")), ("dns", 451), d + ": waits")
    tap.ok(0 < e.get("queued", 9) <= 6 and e.get("next"),
           d + ": known within 6 s", e)
hurt = {e["recipient"][2:-8] for e in daemon.events("TransientFailure")}
tap.same(hurt, set(FAILS), "and nobody else does")

# A resolver that has no answer for names in a row is not taken for dead.
for n in (2, 3):
    send("deaf%d" % n)
    event("TransientFailure", "deaf%d" % n)
send("late1")
e = event("Delivery", "late1")
tap.ok(e.get("queued", 9) < 1, "after names without an answer another comes "
       "at once", daemon.events("TransientFailure")[-1:])

before = asked()
send("late1", "plain")
wait_for(lambda: len([m for m in sink.got()
                      if "u@late1.example" in m.rcpts]) == 2)
tap.same(asked(), before, "answers are kept for their time to live")
time.sleep(1.1)                 # brief.example's
send("brief")
wait_for(lambda: len([m for m in sink.got()
                      if "u@brief.example" in m.rcpts]) == 2)
# The old answer serves on while the new one is on its way.
tap.ok(wait_for(lambda: asked() > before, 3), "and no longer")
daemon.kill9()

# A reload's limits hold at once, whether or not name servers answer.
conf = dict(dns={"servers": [names.ready]}, smtp_port=sink.port,
            source={"a": {}}, limits={"default": {"rate": "1/1h"}})
daemon = Mtad(write_config("limits", **conf)).start()
for _ in range(2):
    send("brief")
event("Delivery", "brief")
names.p.kill()
time.sleep(1.1)                 # brief.example's
conf["limits"] = {"default": {"rate": "none"}}
write_config("limits", **dict(conf, listen=daemon.conf["listen"]))
tap.same(len(daemon.events("Delivery")), 1, "a rate holds one back")
daemon.signal(signal.SIGHUP)
tap.ok(wait_for(lambda: len(daemon.events("Delivery")) == 2, 3),
       "until a reload, without an answer from the name server",
       daemon.said()[-300:])
daemon.kill9()
tap.done()
