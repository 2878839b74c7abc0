#!/usr/bin/env python3
"""make bench: a relay beside no relay at all, in one run, with our own tools.
Prints ratios; absolute rates only compare within the run. ROUNDS=3, N=20000.

  accept  messages a second that mtad acknowledged, of what the sink alone takes
  drain   until the sink had them all, of the same
  cpu     CPU time of mtad over that of load and sink together
  sync    fdatasync calls a message (50 sessions)
  lone    final dot to 250, over a bare 4 KB write with fdatasync, in turn
"""

import os
import resource
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests/lib"))
from simlib import MTASIM, TMP, Server  # noqa: E402
from mtad import Mtad, wait_for  # noqa: E402

N = int(os.environ.get("N", "20000"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))


def load(target):
    began = time.monotonic()
    r = subprocess.run([MTASIM, "load", "--target", target, "--count", str(N),
                        "--connections", "50", "--size", "4K", "--chain",
                        "--quiet"], stdout=subprocess.DEVNULL)
    if r.returncode not in (0, 4):
        sys.exit("load ended with %d" % r.returncode)
    return N / (time.monotonic() - began)


def cpu_of(pid):
    f = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")


def metric(m, name):
    out = subprocess.run(["curl", "-s", "--unix-socket", m.socket,
                          "http://mtad/metrics"], text=True,
                         stdout=subprocess.PIPE).stdout
    for line in out.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    return 0.0


sink = Server("sink", "--listen", "127.0.0.1:0", "--quiet", name="sink")
m = Mtad(int(sink.ready.rsplit(":", 1)[1]))
m.start()
accept, drain, cpu = [], [], []
for _ in range(ROUNDS):
    direct = load(sink.ready)
    before = m.status()["totals"]["delivered_total"]
    mine, sinks = cpu_of(m.p.pid), cpu_of(sink.p.pid)
    loads = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    accept.append(load(m.target) / direct)
    wait_for("all is delivered", lambda: m.status()["totals"][
        "delivered_total"] - before >= N, 120)
    drain.append(N / (time.monotonic() - began) / direct)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    ends = (now.ru_utime + now.ru_stime - loads.ru_utime - loads.ru_stime +
            cpu_of(sink.p.pid) - sinks)
    cpu.append((cpu_of(m.p.pid) - mine) / ends)
sync = metric(m, "mtad_spool_syncs") / max(metric(m, "mtad_spool_commits"), 1)
print("accept %.2f  drain %.2f  cpu %.2f  sync %.3f" % (
    statistics.median(accept), statistics.median(drain),
    statistics.median(cpu), sync), flush=True)
host, port = m.target.rsplit(":", 1)
subprocess.run([sys.executable, os.path.join(
    os.environ["TOP"], "tests/bench/lone_message.py"), host, port, "1000",
    os.path.join(TMP, "bare")])
m.stop()
sink.stop()
