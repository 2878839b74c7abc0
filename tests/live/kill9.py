#!/usr/bin/env python3
# timeout: 120 900
"""kill -9 under load, again and again, at moments spread over group commits:
no acknowledged message is lost, duplicates are few and counted, every message
arrives unchanged."""

import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests/lib"))
from simlib import LONG, MTASIM, TMP, Server  # noqa: E402
from mtad import Mtad, wait_for  # noqa: E402

# At most 200 ms of outcomes may be unsynced, at 2,000 a second, and what is in
# flight comes on top.
KILLS = 50 if LONG else 10
journal = os.path.join(TMP, "sink.journal")
loads = os.path.join(TMP, "load.journal")
sink = Server("sink", "--listen", "127.0.0.1:0", "--journal", journal,
              "--delay", "1ms", name="sink")
m = Mtad(int(sink.ready.rsplit(":", 1)[1]))
m.start()
load = subprocess.Popen(
    [MTASIM, "load", "--target", m.target, "--rate", "2000", "--seconds",
     str(int(KILLS * 0.45 + 2)), "--connections", "30", "--size", "1K..12K",
     "--grace", "30s", "--journal", loads, "--quiet"])
rng = random.Random(1)
kills = 0
while kills < KILLS and load.poll() is None:
    time.sleep(0.15 + rng.random() * 0.25)  # the moment is the test
    m.kill9()
    m.start()
    kills += 1
load.wait()
wait_for("the queue drains", lambda: m.queued() == 0, 60)
assert m.stop() == 0
sink.stop()
print("1..2")
print("%sok 1 - killed %d times" % ("" if kills == KILLS else "not ", kills))
r = subprocess.run([MTASIM, "verify", "--load", loads, "--sink", journal,
                    "--allow-duplicates", str(KILLS * 500)], text=True,
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
print("\n".join("# " + x for x in r.stdout.splitlines()[-12:]))
print("%sok 2 - nothing acknowledged is lost" % (
    "" if r.returncode == 0 else "not "))
sys.exit(r.returncode != 0 or kills != KILLS)
