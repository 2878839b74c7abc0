#!/usr/bin/env python3
"""make bench: what a relay costs beside another build of mtad, in one run.
BEFORE=/path/to/mtad names the other; without it nothing is measured. PAIRS=20,
N=20000 messages of 4 KB, 50 sessions; MODE=--chain (pipelined) or, as most
clients do, --no-pipelining. Both run all the time and take turns, of which one
goes first in one pair and the other in the next; two pairs only warm up.

  loss   of throughput, mean over the pairs, and where it is at most with 95 %
  cpu    CPU time a message over that of the other
"""

import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests/lib"))
from simlib import MTASIM, Server  # noqa: E402
from mtad import Mtad, wait_for  # noqa: E402

BEFORE = os.environ.get("BEFORE")
N = int(os.environ.get("N", "20000"))
PAIRS = int(os.environ.get("PAIRS", "20"))
MODE = os.environ.get("MODE", "--chain")
T95 = 1.73  # of one side, about 20 pairs


class Side:
    def __init__(self, program, name, port):
        self.m = Mtad(port, name)
        self.m.program = program or self.m.program
        self.m.start()

    def cpu(self):
        f = open("/proc/%d/stat" % self.m.p.pid).read().rsplit(")", 1)[1]
        f = f.split()
        return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")

    def delivered(self):
        return self.m.status()["totals"]["delivered_total"]

    def turn(self):
        """Seconds, and CPU seconds, until N messages are delivered."""
        cpu, before, began = self.cpu(), self.delivered(), time.monotonic()
        r = subprocess.run([MTASIM, "load", "--target", self.m.target,
                            "--count", str(N), "--connections", "50",
                            "--size", "4K", MODE, "--quiet"],
                           stdout=subprocess.DEVNULL)
        if r.returncode not in (0, 4):
            sys.exit("load ended with %d" % r.returncode)
        wait_for("all is delivered",
                 lambda: self.delivered() - before >= N, 120)
        return time.monotonic() - began, self.cpu() - cpu


if not BEFORE:
    print("pairs   not measured (needs BEFORE=/path/to/another/mtad)")
    sys.exit(0)
sink = Server("sink", "--listen", "127.0.0.1:0", "--quiet", name="sink")
port = int(sink.ready.rsplit(":", 1)[1])
sides = Side(BEFORE, "before", port), Side(None, "now", port)
losses, cpus = [], []
for k in range(PAIRS + 2):
    took = {}
    for i in (0, 1) if k % 2 else (1, 0):
        took[i] = sides[i].turn()
    if k >= 2:
        losses.append(1 - took[0][0] / took[1][0])
        cpus.append(took[1][1] / took[0][1])
mean, dev = statistics.mean(losses), statistics.stdev(losses)
most = mean + T95 * dev / len(losses) ** 0.5
print("pairs   %d: loss %.1f %% of throughput, at most %.1f %% (95 %%); "
      "cpu %.2f of the other's" % (PAIRS, 100 * mean, 100 * most,
                                    statistics.mean(cpus)), flush=True)
for side in sides:
    side.m.stop()
sink.stop()
