#!/usr/bin/env python3
"""mtad dies in the middle of group commits, as often before a group is written
as half way, before its sync, and after it, under the full load of pipelining
clients, with a receiver that defers and bounces; and the power goes, with what
was not synced. The ledger balances each time."""
# parallel: measures no time
# timeout: 60 400
# takes: 70

import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests/lib"))
from simlib import LONG, MTASIM, TMP, Server, Tap, run_json  # noqa: E402
from mtad import Mtad, free_port, wait_for  # noqa: E402
import power  # noqa: E402

PHASES = ["write", "half", "sync", "done"]
if "asan" in os.environ["BUILD"]:
    sys.exit(77)                 # its runtime must be loaded before our shim
KILLS = 16 if LONG else 4
# In flight: MAIL was sent and the outcome is not yet durable.
WINDOW_S = 0.2
random.seed(7)
tap = Tap()
shim = power.build_shim(TMP)


def die_once(m, i, diary):
    """Starts it so that it dies in the middle of the load. When it did; None
    if it ended in another way."""
    os.environ.update(LD_PRELOAD=shim, CRASH_AT="%s:%d" % (
        PHASES[i % 4], random.randrange(20, 300 if LONG else 150)))
    if diary:
        os.environ["CRASH_UNDO"] = diary
    m.start(wait=False)
    for k in ("LD_PRELOAD", "CRASH_AT", "CRASH_UNDO"):
        os.environ.pop(k, None)
    m.p.wait(60)
    return time.time() if m.p.returncode == -signal.SIGKILL else None


def read_journals(loads, journal):
    """Who was acknowledged, who refused for good, when each one came."""
    acked, refused, came = set(), set(), {}
    for line in open(loads):
        f = line.split()
        if len(f) > 2 and f[1] == "acked":
            acked.add(f[2])
    for line in open(journal):
        f = line.split()
        if f[1:3] == ["recv", "ok"]:
            came.setdefault(f[3], []).append(int(f[0]) / 1e6)
        elif f[1] == "refuse" and " 550 " in line:
            refused.add(f[-1].split("@")[0].split(".")[-1])
    return acked, refused, came


def early_copies(came, deaths):
    """Copies whose original was older at the death than it may be."""
    copies = bad = 0
    for times in came.values():
        for t in sorted(times)[:-1]:
            copies += 1
            bad += not any(t - 0.01 <= d <= t + WINDOW_S for d in deaths)
    return copies, bad


def session(name, kills, lose_power):
    nowhere = free_port()
    journal, loads = (os.path.join(TMP, name + x) for x in (".sink", ".load"))
    diary = os.path.join(TMP, name + ".diary") if lose_power else None
    sink = Server("sink", "--listen", "127.0.0.1:%d" % nowhere, "--journal",
                  journal, "--reply", "rcpt:20%:451 4.2.0 later", "--reply",
                  "rcpt:5%:550 5.1.1 no such user", "--quiet", name=name)
    m = Mtad(nowhere, name=name, extra="""
retry: { first: 1s, max: 2s }
client: { host_retry_min: 1s, host_retry_max: 1s }
limits: { default: { backoff_min: 1s, backoff_max: 1s } }
""")
    load = subprocess.Popen(
        [MTASIM, "load", "--target", m.target, "--seconds", "3600",
         "--connections", "20", "--chain", "--size", "1K..8K", "--domains",
         "d{1..20}.example", "--journal", loads, "--grace", "60s", "--quiet"])
    deaths = []
    dropped = unsynced = 0
    try:
        for i in range(kills):
            deaths.append(die_once(m, i, diary))
            if lose_power:
                d, u = power.lose(m.spool, diary, random)
                dropped, unsynced = dropped + d, unsynced + u
        m.start()
    finally:
        load.terminate()
        load.wait(30)
    wait_for("the queue drains", lambda: m.queued() == 0, 120)
    m.stop()
    sink.stop()
    acked, refused, came = read_journals(loads, journal)
    lost = acked - set(came) - refused
    copies, early = early_copies(came, [d for d in deaths if d])
    print("# %s: %d deaths, %d acknowledged, %d arrived, %d copies, %d of %d "
          "sectors dropped" % (name, len(deaths), len(acked), len(came),
                               copies, dropped, unsynced))
    tap.ok(None not in deaths and len(deaths) == kills,
           name + ": died in the middle of so many groups")
    tap.same(sorted(lost)[:5], [], name + ": nothing acknowledged is lost")
    tap.same(early, 0, name + ": copies are of what was in flight")
    # An outcome is durable only behind its line, so the books balance too.
    logs = os.path.join(m.dir, "log")
    events = [w for f in os.listdir(logs)
              if f.endswith(".jsonl") for w in ("--events",
                                                   os.path.join(logs, f))]
    code, sums = run_json("verify", "--load", loads, "--sink", journal,
                          *events, "--allow-duplicates", 1 << 30)
    tap.same(sums["corrupted"], [], name + ": nothing is changed")
    tap.same(sums["lost"][:5], [], name + ": every end is in the books")
    r = m.spool_verb("check")
    tap.ok(r.returncode == 0, name + ": the spool is clean", r.stdout)
    if lose_power:
        tap.ok(dropped > 0, name + ": something was there to lose")


# Deaths alone are the business of live/kill9 too.
session("kill", KILLS if LONG else 2, False)
session("power", KILLS, True)
tap.done()
