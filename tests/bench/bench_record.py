#!/usr/bin/env python3
"""make bench: what `mtad run --record` costs. Two daemons, one that records and
one that does not, take turns with the same load, PAIRS (100) times N (5000)
messages of 4 KB; the first two pairs only warm up. The ring is so small that
files change often.

The estimator, chosen before any result of it was seen: each pair gives the
logarithm of the ratio of its two times, from the first command to the last
delivery; two pairs, of which one daemon goes first in one and the other in the
other, make a block, its value the mean of the two, so that what drifts with
time and who comes second cancel out. The cost is that of the mean of all
blocks, its interval Student's t with 95 %. No outlier is left out: a change of
files is one, too, and it is a cost. Exit 1 when the upper bound is over 5 %.
"""

import math
import os
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests/lib"))
from simlib import MTASIM, TMP, Server  # noqa: E402
from mtad import Mtad, wait_for  # noqa: E402

N = int(os.environ.get("N", "5000"))
PAIRS = int(os.environ.get("PAIRS", "100")) // 2 * 2
BOUND = 0.05
# Student's t, 97.5 %, by degrees of freedom; larger ones are as the last.
T = {19: 2.093, 20: 2.086, 21: 2.080, 22: 2.074, 23: 2.069, 24: 2.064,
     29: 2.045, 39: 2.023, 49: 2.010, 59: 2.001, 119: 1.980}


def student(df):
    """Of the next fewer degrees of freedom that the table has."""
    return next((T[k] for k in sorted(T, reverse=True) if k <= df), 2.3)


def start(name, *args):
    m = Mtad(int(sink.ready.rsplit(":", 1)[1]), name)
    m.args = list(args)
    m.start()
    m.sent = 0
    return m


def delivered(m):
    """Asked without a process of its own, which would be felt."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(m.socket)
        s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        said = b"".join(iter(lambda: s.recv(65536), b""))
    for line in said.splitlines():
        if line.startswith(b"mtad_delivered_total "):
            return float(line.split()[1])
    sys.exit("no count of deliveries")


def seconds(m):
    """From the first command until the sink has all of one round's."""
    m.sent += N
    began = time.monotonic()
    r = subprocess.run([MTASIM, "load", "--target", m.target, "--count",
                        str(N), "--connections", "50", "--size", "4K",
                        "--chain", "--quiet"], stdout=subprocess.DEVNULL)
    if r.returncode not in (0, 4):
        sys.exit("load ended with %d" % r.returncode)
    wait_for("all is delivered", lambda: delivered(m) >= m.sent, 60,
             step=0.001)
    return time.monotonic() - began


sink = Server("sink", "--listen", "127.0.0.1:0", "--quiet", name="sink")
ring = os.path.join(TMP, "ring")
plain, records = start("plain"), start("records", "--record", ring,
                                         "--record-size", "64M")
logs, rates = [], []
for i in range(PAIRS + 2):
    took = {}
    for m in [plain, records] if i % 2 else [records, plain]:
        took[m] = seconds(m)
    if i >= 2:
        logs.append(math.log(took[records] / took[plain]))
        rates.append(N / took[plain])


def interval(v):
    half = student(len(v) - 1) * statistics.stdev(v) / math.sqrt(len(v))
    mean = statistics.mean(v)
    return [1 - math.exp(-x) for x in (mean, mean - half, mean + half)]


def percent(triple):
    return "%.1f %% (95 %%: %.1f .. %.1f %%)" % tuple(100 * x for x in triple)


used = sum(os.stat(os.path.join(ring, x)).st_blocks * 512
           for x in os.listdir(ring))
records.stop()
plain.stop()
sink.stop()
r = subprocess.run([MTASIM, "replay", "--engine", ring, "--quiet"], text=True,
                   stdout=subprocess.PIPE)
cost = interval([(a + b) / 2 for a, b in zip(logs[::2], logs[1::2])])
print("record  costs %s of throughput; %d pairs, %.0f messages/s without; "
      "ring %.1f MB" % (percent(cost), PAIRS, statistics.median(rates),
                        used / 1e6))
print("        " + r.stdout.strip().splitlines()[-1])
for line in open(records.err.name):
    if " record " in line:
        print("        " + line.strip())
sys.exit(cost[2] > BOUND or r.returncode != 0)
