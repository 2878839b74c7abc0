#!/usr/bin/env python3
"""The verbs that touch mail, the control socket for curl, and signals."""
# parallel: measures no time
# timeout: 60 60

import json
import os
import signal
import smtplib
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import Mtad, Sink, Tap, smart, wait_for, write_config

tap = Tap()
shut = True                     # nobody is let in


def rule(stage, text, session):
    return "451 4.3.0 later" if shut and stage == "RCPT" else None


def send(n, domain, sender="s@from.example"):
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
        for i in range(n):
            c.sendmail(sender, ["r%d@%s" % (i, domain)],
                       b"Subject: x\r\n\r\nx\r\n")


def rows(*sel):
    return daemon.json("list", *sel)["recipients"]


def totals(key):
    return daemon.json("status")["totals"][key]


def verb(*args):
    code, out = daemon.verb(*args)
    tap.same(code, 0, "mtad " + " ".join(args[:3]) + ": exit 0")
    return out


def curl(url):
    p = subprocess.run(["curl", "-sS", "--unix-socket", conf["control"],
                        "http://x" + url], timeout=10, text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return p.stdout


sink = Sink(rule)
conf = write_config(route=smart(sink), retry={"first": "1h"},
                    stop_timeout="2s")
daemon = Mtad(conf).start()
for domain in ("one.example", "two.example", "three.example", "four.example"):
    send(3, domain)
tap.ok(wait_for(lambda: totals("deferred") == 12), "12 wait",
       daemon.verb("status")[1])
tap.same(len(rows("--domain", "one.example")), 3, "list by domain")
some = rows("--domain", "one.example")[0]["id"]
tap.same([r["id"] for r in rows(some)], [some], "list by id")
out = daemon.verb("show", some)[1]
tap.ok("s@from.example" in out and "@one.example" in out, "show by id", out)

for name in ("hold", "retry", "bounce", "delete"):
    out = verb(name, "--domain", "one.example", "--dry-run")
    tap.ok("3" in out, name + " --dry-run counts", out)
tap.same((totals("recipients"), totals("held")), (12, 0),
         "... and changes nothing")
tap.ok(daemon.verb("delete")[0] == 2, "delete wants a selector")

verb("hold", "--domain", "one.example", "--reason", "testing")
verb("hold", "--domain", "two.example")
tap.ok(wait_for(lambda: totals("held") == 6), "held", totals("held"))
tap.same(daemon.stop(), 0, "SIGTERM: exit 0")
daemon.start()
tap.ok(wait_for(lambda: totals("recipients") == 12), "12 after a restart")
tap.same(totals("held"), 6, "held mail survives a restart")
shut = False
sink.clear()
verb("retry", "--domain", "three.example")
tap.ok(wait_for(lambda: totals("recipients") == 9), "retry by domain")
verb("retry", "--domain", "one.example")
verb("release", some)
tap.ok(wait_for(lambda: totals("held") == 5), "release by id")
verb("retry", some)
tap.ok(wait_for(lambda: totals("recipients") == 8), "... and it goes")
tap.same(sorted(r.split("@")[1] for m in sink.got() for r in m.rcpts),
         ["one.example"] + ["three.example"] * 3, "held mail stays")
verb("release", "--domain", "one.example")
verb("retry", "--domain", "one.example")
tap.ok(wait_for(lambda: totals("recipients") == 6), "release by domain")
sink.clear()
verb("bounce", "--domain", "two.example", "--reason", "list is old")
tap.ok(wait_for(lambda: len(sink.to("s@from.example")) == 3),
       "bounce: a notice each", len(sink.got()))
tap.ok(wait_for(lambda: totals("recipients") == 3), "bounce: gone")
one = rows("--domain", "four.example")[0]["id"]
sink.clear()
verb("delete", one)
tap.ok(wait_for(lambda: totals("recipients") == 2), "delete by id")
verb("delete", "--all")
tap.ok(wait_for(lambda: totals("recipients") == 0), "delete --all")
tap.same(sink.got(), [], "delete tells nobody")
for kind in ("AdminBounce", "AdminDelete"):
    wait_for(lambda: len(daemon.events(kind)) >= 3, 5)
    tap.same(len(daemon.events(kind)), 3, "three times " + kind)
tap.ok("list is old" in json.dumps(daemon.events()), "with the reason")

status = json.loads(curl("/v1/status"))
tap.same(status["hostname"], "mta1.example", "curl /v1/status")
for what in ("queues", "sources"):
    tap.ok(what in json.loads(curl("/v1/" + what)), "curl /v1/" + what)
tap.ok("# TYPE " in curl("/metrics"), "curl /metrics")
tap.ok(len(curl("/metrics").splitlines()) < 4000, "... of bounded length")
tap.ok(curl("/v1/nothing"), "curl of what is not there is answered")

with open(conf["file"]) as f:
    good = f.read()
with open(conf["file"], "w") as f:
    f.write(good.replace('"mta1.example"', '"mta9.example"') + "\nnonsense: [")
before = len(daemon.said())
daemon.signal(signal.SIGHUP)
tap.ok(wait_for(lambda: "mtad.yml:" in daemon.said()[before:]),
       "SIGHUP, bad file: says why", daemon.said()[before:])
sink.clear()
send(1, "five.example")
tap.ok(wait_for(lambda: sink.to("r0@five.example")), "... mail goes on")
tap.same(daemon.json("status")["hostname"], "mta1.example",
         "... nothing changes")
with open(conf["file"], "w") as f:
    f.write(good)
c = smtplib.SMTP("127.0.0.1", daemon.port, timeout=10)
c.ehlo("x")
c.mail("s@from.example")
since = time.monotonic()
code = daemon.stop(10)
tap.same(code, 0, "SIGTERM in mid-transaction: exit 0")
tap.ok(time.monotonic() - since < 5, "... in stop_timeout")
c.close()
daemon.start()
c = smtplib.SMTP("127.0.0.1", daemon.port, timeout=10)
c.ehlo("x")
tap.same(daemon.stop(10), 0, "SIGTERM with an idle client: exit 0")
tap.done()
