#!/usr/bin/env python3
"""A rate that a receiver has taught outlives kill -9: the daemon goes on at about
that rate, and is not told it once more."""
# parallel: measures no time

import os
import smtplib
import sqlite3
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import Mtad, Sink, Tap, wait_for, write_config

tap = Tap()
began = [0.0]
count = [0]
refused = [0]


def rule(stage, text, session):
    """Two messages a second, and no more."""
    if stage != "MAIL":
        return None
    now = time.monotonic()
    if now - began[0] >= 1:
        began[0], count[0] = now, 0
    count[0] += 1
    if count[0] <= 2:
        return None
    refused[0] += 1
    return "450 4.7.1 Rate limit exceeded, slow down"


sink = Sink(rule)
conf = write_config(
    route={"*": {"hosts": ["127.0.0.1:%d" % sink.port]}},
    limits={"default": {"connections": 4, "backoff_min": "100ms"}}, workers=2)
d = Mtad(conf).start()
with smtplib.SMTP("127.0.0.1", d.port, timeout=10) as c:
    for k in range(300):
        c.sendmail("s@from.example", ["r%d@to.example" % k],
                   b"Subject: x\r\n\r\nx\r\n")


def why():
    return [q["why"] for q in d.json("queues")["queues"]]


def kept():
    db = sqlite3.connect(os.path.join(d.conf["spool"], "books.db"))
    with db:
        return db.execute("SELECT * FROM kept WHERE book = 3").fetchall()


tap.ok(wait_for(lambda: "slowed" in why()), "it is slowed down", why())
tap.ok(wait_for(kept), "and the books know the rate")
d.kill9()
before = refused[0]
d = Mtad(conf).start()
tap.ok(wait_for(lambda: "slowed" in why()), "it is slowed at once", why())
tap.ok(refused[0] - before <= 2, "... and not because it was told again",
       refused[0] - before)
tap.same(d.stop(), 0, "exit 0")
tap.done()
