#!/usr/bin/env python3
"""Reactions of a running daemon: a reply that a rule knows stops the source at
that site; `mtad reactions` and `mtad explain` say so, and by which rule and
reply; it outlives kill -9; `mtad end` ends it, and mail goes; a reload ends what
has no rule any more."""
# parallel: measures no time

import json
import os
import signal
import smtplib
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import Mtad, Sink, Tap, wait_for, write_config

tap = Tap()
refuses = [True]


def rule(stage, text, session):
    if stage == "MAIL" and refuses[0]:
        return "421 4.7.0 [TSS04] Messages from 10.1.2.3 deferred, call 4711"
    return None


def send(d, rcpt):
    with smtplib.SMTP("127.0.0.1", d.port, timeout=10) as c:
        c.sendmail("s@from.example", [rcpt], b"Subject: x\r\n\r\nx\r\n")


def reactions():
    return d.json("reactions")["reactions"]


def delivered(d, rcpt):
    return [e for e in d.events()
            if e["type"] == "Delivery" and e.get("recipient") == rcpt]


RULE = {"seen": {"text": "\\[tss04\\]", "action": "suspend", "for": "2h"}}
sink = Sink(rule)


conf = write_config(
    route={"*": {"hosts": ["127.0.0.1:%d" % sink.port]}},
    limits={"default": {"backoff_min": "10ms", "backoff_max": "10ms",
                        "rate_floor": "none"}},
    automation=RULE, workers=2)
d = Mtad(conf).start()
send(d, "one@to.example")
tap.ok(wait_for(reactions), "a reply that a rule knows makes a reaction")
row = reactions()[0]
tap.same((row["rule"], row["action"], row["target"]["source"],
          row["reply"]["code"]), ("seen", "suspend", "a", 421),
         "... of its path, by its rule")
tap.ok(row["file"].endswith(".yml") and row["line"] > 0, "... file and line")
tap.ok("[TSS04]" in row["reply"]["text"] and "4711" not in row["reply"]["text"],
       "... and the reply without its numbers", row["reply"])
tap.ok(7100 < row["until_s"] <= 7200, "... for two hours")
out = d.verb("reactions")[1]
tap.ok("seen" in out and "suspend" in out and "1h59m" in out,
       "mtad reactions shows it", out)
out = d.verb("explain", "domain", "to.example")[1]
tap.ok("suspended" in out and "by rule seen" in out and "[TSS04]" in out,
       "mtad explain says why", out)
refuses[0] = False


def is_kept():
    """What holds is written within moments, not at once."""
    db = sqlite3.connect(os.path.join(d.conf["spool"], "books.db"))
    with db:
        return db.execute("SELECT * FROM kept WHERE book = 2").fetchall()


tap.ok(wait_for(is_kept), "it is kept")
d.kill9()
d = Mtad(conf).start()
tap.ok(wait_for(reactions), "it outlives kill -9")
again = reactions()[0]
tap.same((again["id"], again["rule"], again["reply"]["text"]),
         (row["id"], "seen", row["reply"]["text"]), "... as it was")
tap.ok(abs(again["until_s"] - row["until_s"]) < 60, "... until the same time")
tap.same(delivered(d, "one@to.example"), [], "... and holds")

tap.same(d.verb("end", str(again["id"] + 1))[0], 1,
         "a number that is none is refused")
code, out = d.verb("end", str(again["id"]), "--reason", "they said so")
tap.same((code, out), (0, "It is over; 0 hold\n"), "mtad end ends it")
tap.ok(wait_for(lambda: delivered(d, "one@to.example")), "... and mail goes")
tap.ok(wait_for(lambda: [e for e in d.events() if e["type"] == "AdminAction" and
                         "end reaction" in json.dumps(e)]),
       "... and the event log has it")

refuses[0] = True
send(d, "two@to.example")
tap.ok(wait_for(reactions), "the next reply makes another")
refuses[0] = False
before = len(d.said())
with open(conf["file"]) as f:
    written = json.load(f)
del written["automation"]
with open(conf["file"], "w") as f:
    json.dump(written, f)
d.signal(signal.SIGHUP)
wait_for(lambda: "configuration taken over" in d.said()[before:])
tap.ok(wait_for(lambda: delivered(d, "two@to.example")),
       "a reload without the rule ends it")
tap.same(reactions(), [], "... and none is left")
tap.same(d.stop(), 0, "exit 0")
tap.done()
