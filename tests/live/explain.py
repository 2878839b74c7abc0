#!/usr/bin/env python3
"""mtad explain: the gates before real mail, found by id and by address, and its
events when it is over; the index survives a stop, a kill and its own loss."""
# parallel: measures no time

import os
import shutil
import smtplib
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import Mtad, Sink, Tap, smart, wait_for, write_config

tap = Tap()
is_slow = [True]
sink = Sink(lambda stage, text, session:
            "451 4.7.1 greylisted, come back" if is_slow[0] and
            stage == "RCPT" and "slow" in text else
            "421 4.7.0 too many messages, slow down" if stage == "RCPT" and
            "throttled" in text else None)
conf = write_config(route=smart(sink), retry={"first": "1h"})
d = Mtad(conf).start()


def send(*rcpts):
    """Its id."""
    with smtplib.SMTP("127.0.0.1", d.port, timeout=10) as c:
        c.ehlo()
        c.mail("s@from.example")
        for r in rcpts:
            c.rcpt(r)
        code, text = c.data(b"Subject: x\r\n\r\nx\r\n")
    return text.decode().split()[-1]


def rows(*args):
    return d.json("explain", *args)["recipients"]


def events(*args):
    return [e["type"] for e in d.json("explain", *args).get("events", [])]


slow = send("slow@a.example", "fast@a.example")
fast = send("Fast@A.example")
wait_for(lambda: len(d.events("TransientFailure")) >= 1 and
         len(d.events("Delivery")) >= 2)
wait_for(lambda: "Delivery" in events("message", fast))

r = {row["address"]: row for row in rows("message", slow)}
tap.same((r["slow@a.example"]["state"], r["fast@a.example"]["state"]),
         ("queued", "done"), "a message's recipients: one waits, one is done")
tap.same(r["slow@a.example"]["shut_by"], "retry", "its retry timer is shut")
tap.ok(3000 < r["slow@a.example"]["next_s"] < 4200, "for about an hour")
tap.ok(r["slow@a.example"]["eta"]["is"] in ("time", "unknown"), "it has an ETA")
got = rows("recipient", "SLOW@a.example")
tap.same([(x["id"], x["state"]) for x in got], [(slow, "queued")],
         "an address leads to its message, in any case")
got = rows("recipient", "fast@a.example")
tap.same(sorted((x["id"], x["rcpt"], x["state"]) for x in got),
         sorted([(slow, 1, "done"), (fast, 0, "done")]),
         "an address leads to its messages, finished ones too")
tap.same(sorted(events("message", fast)), ["Delivery", "Reception"],
         "a finished message has its events")
tap.ok("greylisted" in d.verb("explain", "message", slow)[1],
       "what the peer said is told")
tap.same(rows("recipient", "nobody@a.example"), [], "an unknown address: none")
code, out = d.verb("explain", "message", "0" * 26)
tap.ok(code == 1, "an unknown message: refused", out)
code, out = d.verb("explain", "domain", "a.example")
tap.ok(code == 0 and "retry" in out or "open" in out, "the domain", out)
tap.ok("greylisted" in out, "what its receiver said", out)
code, out = d.verb("explain", "source", "a")
tap.ok(code == 0 and "source a" in out, "the source", out)


# ---- which reply shut a path, by which rule --------------------------------

throttled = send("throttled@b.example")
wait_for(lambda: rows("message", throttled)[0]["shut_by"] == "path")
gate = [g for g in rows("message", throttled)[0]["gates"]
        if g["gate"] == "path"][0]
reply = gate.get("reply", {})
tap.same((gate["state"], reply.get("code"), reply.get("enhanced"),
          reply.get("text"), reply.get("stage"), reply.get("kind")),
         ("shut", 421, "4.7.0", "too many messages, slow down", "rcpt",
          "throttle"), "the gate has the reply that shut it")
tap.ok("bounces.yml:" in reply.get("rule", ""), "and the rule", reply)
tap.ok(gate["since_s"] < 60, "and since when", gate)
out = d.verb("explain", "message", throttled)[1]
tap.ok("for: 421 4.7.0 too many messages, slow down at rcpt, judged throttle "
       "by " in out, "people are told, too", out)
site = d.json("explain", "source", "a")["sites"][0]
tap.same(site.get("reply", {}).get("code"), 421, "the source's site has it")


def knows(what):
    tap.same([x["id"] for x in rows("recipient", "slow@a.example")], [slow],
             what + ": the address is known")
    tap.same([x["state"] for x in rows("message", slow)],
             ["queued", "done"], what + ": the message is found")


d.stop()
d.start()
knows("after a stop")
tap.same(sorted(events("message", fast)), ["Delivery", "Reception"],
         "after a stop the events are there")
d.kill9()
d.start()
knows("after a kill")
d.stop()
shutil.rmtree(os.path.join(conf["log"], "index"))
d.start()
knows("without the index")
d.stop()
with open(os.path.join(conf["log"], "index", "find.new"), "wb") as f:
    f.write(b"x" * 1001)
d.start()
tap.same([x["state"] for x in rows("message", slow)], ["queued", "done"],
         "with a broken index a message is found by a search")
d.stop()
tap.done()
