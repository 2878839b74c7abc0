#!/usr/bin/env python3
"""SIGKILL under load, again and again: what was answered 250 arrives at least
once, what arrives twice was in flight. The load reconnects by itself."""
# timeout: 60 400

import glob
import json
import os
import random
import smtplib
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import LONG, Mtad, Sink, Tap, smart, wait_for, write_config

KILLS = 50 if LONG else 10
THREADS = 8
# In flight: what the sink took and no durable record tells of, at most
# 200 ms of outcomes and the sessions' transactions.
WINDOW_S = 0.2
tap = Tap()
random.seed(1)
over = threading.Event()
lock = threading.Lock()
acked, offered, logins = set(), [0], [0]


def load(me):
    """One message after another; what is in doubt is counted as not acked."""
    n = 0
    while not over.is_set():
        try:
            c = smtplib.SMTP("127.0.0.1", daemon.port, timeout=10)
            c.ehlo("load")
            with lock:
                logins[0] += 1
            while not over.is_set():
                n += 1
                name = "m%d-%d" % (me, n)
                with lock:
                    offered[0] += 1
                c.sendmail("load@from.example", ["%s@to.example" % name],
                           b"Subject: %s\r\n\r\n%s\r\n" % (
                               name.encode(), b"x" * random.randrange(4000)))
                with lock:
                    acked.add(name)
            c.quit()
        except (OSError, smtplib.SMTPException, socket.timeout):
            over.wait(0.02)


def arrived():
    """How often each came."""
    count = {}
    for m in sink.got():
        for r in m.rcpts:
            name = r.split("@")[0]
            count[name] = count.get(name, 0) + 1
    return count


sink = Sink(delay=0.001)
# Small files, for what a start reads back may go over several.
daemon = Mtad(write_config(route=smart(sink), log_rotate="1M",
                           log_keep=10000))
daemon.start()
threads = [threading.Thread(target=load, args=(i,)) for i in range(THREADS)]
for t in threads:
    t.start()
kills = 0
rate = 0.0                       # messages the sink takes a second
for i in range(KILLS):
    before, since = len(acked), time.monotonic()
    if not wait_for(lambda: len(acked) > before + 20, 10):
        break
    # Evenly over the cycle of group commits and deliveries.
    time.sleep(0.3 * (i + random.random()) / KILLS)
    rate = max(rate, (len(acked) - before) / (time.monotonic() - since))
    daemon.kill9()
    kills += 1
    daemon.start()
before = len(acked)
tap.ok(wait_for(lambda: len(acked) > before + 20, 10),
       "the load goes on after the last start")
over.set()
for t in threads:
    t.join()
tap.same(kills, KILLS, "killed so often, with new mail each time")
tap.ok(logins[0] > KILLS, "the load connected again", logins[0])
wait_for(lambda: set(arrived()) >= acked, 60)
wait_for(lambda: daemon.json("status")["totals"]["recipients"] == 0, 60)
count = arrived()
lost = sorted(acked - set(count))
twice = {n: c for n, c in count.items() if c > 1}
copies = sum(c - 1 for c in twice.values())
print("# %d offered, %d acknowledged, %d arrived, %d copies too many, "
      "%.0f/s" % (offered[0], len(acked), len(count), copies, rate))
tap.same(lost, [], "no acknowledged message is lost")
bound = KILLS * (rate * WINDOW_S + 20)
tap.ok(copies <= bound, "copies: at most what was in flight",
       "%d, bound %d" % (copies, bound))
tap.ok(all(len(m.data) > 40 and m.data.endswith(b"\r\n") and
           ("Subject: %s\r\n" % m.rcpts[0].split("@")[0]).encode() in m.data
           for m in sink.got()), "each is whole and its own")
tap.same(daemon.json("status")["totals"]["recipients"], 0, "nothing stays")
daemon.stop()


def booked():
    """{type: {recipient: [event ids]}} of all lines of the event log."""
    found = {}
    for name in glob.glob(os.path.join(daemon.conf["log"], "*.jsonl")):
        with open(name, "rb") as f:
            for line in f:
                try:
                    e = json.loads(line)
                except ValueError:          # a kill cut it short
                    continue
                found.setdefault(e["type"], {}).setdefault(
                    e.get("recipient", "").split("@")[0],
                    []).append(e["event_id"])
    return found


books = booked()
for kind in "Reception", "Delivery":
    has = books.get(kind, {})
    missing = sorted(acked - set(has))
    print("# %s: %d of %d have no line, %d lines stand twice" % (
        kind, len(missing), len(acked),
        sum(len(v) - len(set(v)) for v in has.values())))
    tap.same(missing, [], "each acknowledged message has its %s" % kind)
tap.same([n for n in acked if len(set(books["Reception"].get(n, []))) > 1],
         [], "and one Reception, however often it stands there")
code, said = daemon.spool_check()
tap.ok(code == 0 and "0 damaged" in said, "spool check: no damage", said)
tap.done()
