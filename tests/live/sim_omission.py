#!/usr/bin/env python3
"""Coordinated omission: a target that stops for a second delays every message
that was due in that second, not only those it held. The corrected latency
shows it, and the service time is recorded apart."""

import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from simlib import Tap, path, run_json, sink

RATE = 500
SECONDS = 6
PAUSE = 1.0

tap = Tap()
s = sink("--journal", path("sink.j"))


def pause():
    """Stops the sink for PAUSE seconds, counted from when it has stopped."""
    time.sleep(1.5)
    s.p.send_signal(signal.SIGSTOP)
    os.waitpid(s.p.pid, os.WUNTRACED)
    time.sleep(PAUSE)
    s.p.send_signal(signal.SIGCONT)


t = threading.Thread(target=pause)
t.start()
# Two connections: two messages are held in the pause, 0.07 % of all, so the
# service time's 99th percentile cannot see it; 500 were due meanwhile.
code, report = run_json("load", "--target", s.address, "--rate", RATE,
                        "--seconds", SECONDS, "--connections", 2,
                        "--journal", path("load.j"))
t.join()
intended = report["from_intended_ms"]
actual = report["from_actual_ms"]
note = "intended %r, actual %r, lag %r" % (intended, actual,
                                           report["generator_lag_ms"])
tap.same(code, 0, "the run is valid")
tap.same((report["offered"], report["acked"]),
         (RATE * SECONDS, RATE * SECONDS), "the schedule was kept")
tap.ok(0.93 * PAUSE * 1000 <= intended["p99.9"] <= 1.5 * PAUSE * 1000,
       "p99.9 from the intended start shows the pause", note)
# 500 of 3,000 messages waited, evenly from 0 to 1 s: a twelfth of all waited
# for more than half a second.
tap.ok(intended["p90"] >= 250, "and so does p90", note)
tap.ok(actual["p99"] < 250, "the service time's p99 does not", note)
tap.ok(actual["max"] >= 0.93 * PAUSE * 1000,
       "its maximum does: those that were held", note)
code, sums = run_json("verify", "--load", path("load.j"), "--sink",
                      path("sink.j"))
tap.ok(code == 5 or code == 0, "verify reads unfinished journals")
s.stop()
code, sums = run_json("verify", "--load", path("load.j"), "--sink",
                      path("sink.j"))
tap.same((code, sums["total"]["delivered"]), (0, RATE * SECONDS),
         "nothing was lost")
tap.ok(sums["total"]["p99_ms"] >= 500, "receivers saw the delay too",
       sums["total"])
code, report = run_json("load", "--target", "127.0.0.1:1", "--count", 5,
                        "--grace", "300ms")
tap.same((code, report["unsent"]), (3, 5), "no target is exit code 3")
s = sink("--delay", "30ms", name="slow")
code, report = run_json("load", "--target", s.address, "--count", 50,
                        "--connections", 1, "--rate", 100,
                        "--slo", "p50<10ms")
tap.same(code, 1, "a goal that is missed is exit code 1")
s.stop()
tap.done()
