#!/usr/bin/env python3
"""The load outlives its target: killed with SIGKILL in the middle of traffic
and started again, several times. Every message ends acknowledged, refused or
in doubt, and the ledger counts those that were acknowledged."""
# parallel: measures no time

import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from simlib import LONG, Server, Tap, free_port, path, run_json

KILLS = 10 if LONG else 3
tap = Tap()
port = free_port()
where = "127.0.0.1:%d" % port
journals = []
over = threading.Event()


def start():
    journals.append(path("sink%d.j" % len(journals)))
    return Server("sink", "--listen", where, "--delay", "2ms", "--journal",
                  journals[-1], name="sink%d" % len(journals))


def size(name):
    try:
        return os.path.getsize(name)
    except OSError:
        return 0


def killer():
    """Kills once a journal has grown: the sink is busy then."""
    global s
    for _ in range(KILLS):
        while size(journals[-1]) < 1000 and not over.is_set():
            time.sleep(0.01)
        s.kill()
        time.sleep(0.2)  # time to notice that nobody is there
        s = start()


s = start()
t = threading.Thread(target=killer)
t.start()
code, report = run_json("load", "--target", where, "--rate", 400,
                        "--seconds", 2 * KILLS + 2, "--connections", 10,
                        "--journal", path("load.j"), "--grace", "20s")
over.set()
t.join()
s.stop()
tap.same(code, 0, "the load ends well")
tap.same(report["acked"] + report["refused"] + report["doubt"],
         report["offered"], "every message has its end")
tap.same(report["offered"], 400 * (2 * KILLS + 2), "the schedule was kept")
tap.ok(report["doubt"] <= 10 * KILLS,
       "at most what was in flight is in doubt", report["doubt"])
tap.ok(report["broken"] >= KILLS and
       report["unconnected"] > 0, "it lost connections and came back",
       report)
# A sink that is killed takes up to a second of its journal with it: such
# losses are the sink's. What stands in a journal must agree.
args = []
for j in journals:
    args += ["--sink", j]
code, sums = run_json("verify", "--load", path("load.j"), *args)
tap.same((sums["duplicated"], sums["corrupted"], sums["strangers"]),
         ([], [], 0), "nothing came twice or changed")
tap.same(sums["total"]["acked"], report["rcpt_acked"],
         "the journal has what the report says")
tap.ok(sums["total"]["delivered"] > 0, "receivers' journals were read")
tap.done()
