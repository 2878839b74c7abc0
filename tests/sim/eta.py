#!/usr/bin/env python3
"""Is the ETA honest? Simulated incidents, each asked about at a moment that is
drawn from its long queue: nine of ten intervals hold the truth, `unknown` and
`grows` are rare, and the intervals are narrow. These seeds judge; whoever tunes
the engine uses others (tests/lib/incidents.py DIR SEED N makes them).
# timeout: 60 300
# takes: 50
"""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("TOP", "."), "tests", "lib"))
import incidents
from mtatap import Tap

MTASIM = os.path.join(os.environ["BUILD"], "mtasim")
LONG = os.environ.get("CHECK") == "long"
SLOW = "asan" in os.environ["BUILD"]    # too few to judge the shares by
SEED, N = 20261, 644 if LONG else 23 if SLOW else 92
tap = Tap()


def ask(paths):
    p = subprocess.run([MTASIM, "eta", "--json", *paths],
                       capture_output=True, text=True)
    rows = [json.loads(line) for line in p.stdout.splitlines()]
    tap.same((p.returncode, p.stderr), (0, ""), "every incident is asked about")
    return rows[:-1], rows[-1]


def tell(row):
    kind = os.path.basename(row["scenario"]).split(".")[0]
    print("# %-14s %-7s %6d queued, %-10s %9.0f s (%.0f to %.0f), in truth %.0f"
          % (kind, row["verdict"], row["n"], row["why"], row["eta_s"],
             row["low_s"], row["high_s"], row["truth_s"]))


paths = incidents.write(os.environ["TMP"], SEED, N)
rows, total = ask(paths)
for row in rows:
    if row["verdict"] in ("before", "after", "wrong"):
        tell(row)
print("# %s" % total)
asked, held = total["asked"], total["hits"] / total["intervals"]
words = (total["grows"] + total["unknown"]) / asked
# Few say less: the quick run has some room.
low, high = (0.85, 0.95) if LONG else (0.6, 1) if SLOW else (0.80, 0.98)
tap.ok(asked >= N * 2 // 3, "most incidents have a queue: %d" % asked)
tap.ok(low <= held <= high, "intervals that hold the truth: %.3f" % held)
tap.ok(words <= (0.3 if SLOW else 0.15), "unknown or growing: %.3f" % words)
tap.ok(total["told_right"] >= total["told_wrong"],
       "these words are right more often than not: %d of %d"
       % (total["told_right"], total["told_right"] + total["told_wrong"]))
tap.ok(total["median_width"] <= (1 if SLOW else 0.5),
       "median width beside the ETA: %.3f" % total["median_width"])
again = ask(paths[:7])[0]
tap.same(again, rows[:len(again)], "the same seeds give the same answers")
tap.done()
