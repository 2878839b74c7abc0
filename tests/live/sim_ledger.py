#!/usr/bin/env python3
"""The load, the sink and the ledger, back to back: 10,000 messages balance,
and what a broken relay loses, doubles or changes is found by id."""
# parallel: measures no time

import os
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
import lossy_proxy
from simlib import Tap, path, run, run_json, sink

tap = Tap()


def ids(sums, key):
    """Message ids of a list of recipients such as r0.3f2a10bc0000002a."""
    return {r.split(".")[1] for r in sums[key]}


def back_to_back():
    s = sink("--journal", path("sink.j"))
    code, report = run_json("load", "--target", s.address, "--count", 10000,
                            "--connections", 20, "--recipients", 2,
                            "--size", "1K..12K", "--journal", path("load.j"),
                            "--domains", "d{1..50}.example,big.example=50")
    tap.same(code, 0, "10,000 messages are taken")
    tap.same((report["acked"], report["rcpt_acked"], report["refused"],
              report["doubt"]), (10000, 20000, 0, 0),
             "every one of them is acknowledged")
    s.stop()
    tap.same(s.code, 0, "the sink ends well")
    n = s.counts("sink")
    tap.same((n["messages"], n["recipients"], n["good"], n["bad"],
              n["foreign"], n["lost"], n["bytes"]),
             (10000, 20000, 10000, 0, 0, 0, report["bytes"]),
             "the sink counted as many, whole")
    code, sums = run_json("verify", "--load", path("load.j"), "--sink",
                          path("sink.j"))
    tap.same(code, 0, "the ledger balances")
    tap.same(sums["total"]["acked"], 20000, "over all recipients")
    tap.same(sums["total"]["delivered"], 20000, "which were all delivered")
    code, text = run("verify", "--load", path("load.j"), "--sink",
                     path("sink.j"))
    tap.ok("20000 acknowledged = 20000 delivered" in text and
           "balanced" in text, "and says so", text)


def without_the_sink():
    code, sums = run_json("verify", "--load", path("load.j"))
    tap.same((code, sums["total"]["lost"]), (5, 20000),
             "without a receiver everything is lost")
    code, _ = run_json("verify", "--load", path("load.j"), "--queued", 20000)
    tap.same(code, 0, "unless as much is said to be queued")


def hurt(fault):
    """One relay that makes one kind of fault."""
    s = sink("--journal", path(fault + ".j"), name=fault)
    proxy = lossy_proxy.Proxy(s.port, **{fault: 50})
    code, report = run_json("load", "--target", "127.0.0.1:%d" % proxy.port,
                            "--count", 400, "--connections", 4,
                            "--journal", path(fault + ".load"))
    proxy.stop()
    s.stop()
    tap.same((code, report.get("acked")), (0, 400), fault + ": all are taken")
    code, sums = run_json("verify", "--load", path(fault + ".load"),
                          "--sink", path(fault + ".j"))
    tap.same(code, 5, fault + ": the ledger is broken")
    return sums, proxy.hurt[fault]


def faults():
    sums, want = hurt("lose")
    tap.same((ids(sums, "lost"), len(want)), (want, 8), "losses are named")
    tap.same((sums["duplicated"], sums["corrupted"]), ([], []),
             "and nothing else is")
    sums, want = hurt("double")
    tap.same((ids(sums, "duplicated"), len(want)), (want, 8),
             "duplicates are named")
    tap.same((sums["lost"], sums["corrupted"]), ([], []),
             "and nothing else is")
    code, _ = run("verify", "--load", path("double.load"), "--sink",
                  path("double.j"), "--allow-duplicates", 8)
    tap.same(code, 0, "eight may be allowed")
    code, _ = run("verify", "--load", path("double.load"), "--sink",
                  path("double.j"), "--allow-duplicates", 7)
    tap.same(code, 5, "seven are then too few")
    sums, want = hurt("change")
    tap.same((ids(sums, "corrupted"), len(want)), (want, 8),
             "changes are named")
    tap.same((sums["lost"], sums["duplicated"]), ([], []),
             "and nothing else is")


def refusals():
    s = sink("--journal", path("refuse.j"), "--reply",
             "rcpt:10%:550 5.1.1 unknown", "--reply", "eom:10%:451 4.2.1 x",
             "--reply", "eom:5%:close", "--reply", "mail:2%:421 4.7.0 x",
             name="refuse")
    code, report = run_json("load", "--target", s.address, "--count", 3000,
                            "--recipients", 3, "--journal",
                            path("refuse.load"))
    s.stop()
    n = s.counts("sink")
    tap.same(code, 0, "refusals are no failure of the load")
    tap.same(report["acked"] + report["refused"] + report["doubt"], 3000,
             "every message has its end")
    tap.same((report["acked"], report["doubt"]),
             (n["messages"], n["dropped"]),
             "both sides agree on what was taken")
    tap.ok(report["retried"] > 0 and report["rcpt_refused"] > 900,
           "421 is tried again, a refused recipient is not")
    code, sums = run_json("verify", "--load", path("refuse.load"), "--sink",
                          path("refuse.j"))
    tap.same((code, sums["total"]["acked"]), (0, n["recipients"]),
             "and the ledger balances")


back_to_back()
without_the_sink()
faults()
refusals()
tap.done()
