#!/usr/bin/env python3
"""make bench: signing by RSA of 2048 bits, beside what `openssl speed` does on
the same processors in the same run. N=6000 messages of 4 KB, ROUNDS=3; prints
the medians of ratios to it.

  one   mtad and openssl each on one processor alone, load and sink on the others
  all   mtad, load and sink together on all processors, and openssl on all
  cpu   signatures in the CPU time that mtad takes in all, of openssl's in as much

And how many messages a second there are without keys, in the same run, with one
for other authors, and signed by Ed25519, beside those by RSA.
"""

import os
import re
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests/lib"))
from simlib import MTASIM, Server, path  # noqa: E402
from mtad import MTAD, Mtad, wait_for  # noqa: E402

N = int(os.environ.get("N", "6000"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
CORES = sorted(os.sched_getaffinity(0))
TICK = os.sysconf("SC_CLK_TCK")


def openssl(cores, *how):
    """Signatures a second: of the clock, or without "-elapsed" of CPU time."""
    out = subprocess.run(["taskset", "-c", ",".join(map(str, cores)),
                          "openssl", "speed", "-seconds", "2", *how,
                          "rsa2048"], text=True, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL).stdout
    return float(re.search(r"rsa 2048 bits \S+ \S+ +([\d.]+)", out).group(1))


def key(selector, *kind):
    file = path(selector + ".pem")
    subprocess.run([MTAD, "dkim", "generate", "--domain", "a.example",
                    "--selector", selector, "--file", file, *kind],
                   check=True, stdout=subprocess.DEVNULL)
    return "dkim: { key: { k: { domain: a.example, selector: %s, file: %s" % (
        selector, file)


def cpu_of(pid):
    with open("/proc/%d/stat" % pid) as f:
        v = f.read().rsplit(")", 1)[1].split()
    return (int(v[11]) + int(v[12])) / TICK


def run(name, dkim, cores=None):
    """Messages a second until all are delivered, and a CPU second."""
    m = Mtad(int(sink.ready.rsplit(":", 1)[1]), name=name, extra=dkim)
    others = [c for c in CORES if cores is None or c not in cores] or CORES
    if cores:
        os.sched_setaffinity(0, cores)
    m.start()
    os.sched_setaffinity(0, CORES)
    used, began = cpu_of(m.p.pid), time.monotonic()
    r = subprocess.run(["taskset", "-c", ",".join(map(str, others)), MTASIM,
                        "load", "--target", m.target, "--count", str(N),
                        "--connections", "50", "--size", "4K", "--chain",
                        "--quiet"], stdout=subprocess.DEVNULL)
    if r.returncode not in (0, 4):
        sys.exit("load ended with %d" % r.returncode)
    wait_for("all is delivered", lambda: m.status()["totals"][
        "delivered_total"] >= N, 120)
    rate = N / (time.monotonic() - began)
    used = cpu_of(m.p.pid) - used
    m.stop()
    return rate, N / used


sink = Server("sink", "--listen", "127.0.0.1:0", "--quiet", name="sink")
rsa, ed = key("rsa"), key("ed", "--ed25519")
rows = []
for i in range(ROUNDS):
    plain = run("plain%d" % i, "")[0]
    other = run("other%d" % i, rsa + ", from: x.example } } }")[0]
    cpu_speed = openssl(CORES[:1])
    one_speed = openssl(CORES[:1], "-elapsed")
    one = run("one%d" % i, rsa + ', from: "*" } } }', CORES[:1])[0]
    all_speed = openssl(CORES, "-elapsed", "-multi", str(len(CORES)))
    both, by_cpu = run("all%d" % i, rsa + ', from: "*" } } }')
    short = run("ed%d" % i, ed + ', from: "*" } } }')[0]
    rows.append((one / one_speed, both / all_speed,
                 by_cpu / cpu_speed, both / plain,
                 short / plain, other / plain, one_speed, both))
names = ("one", "all", "cpu", "rsa/plain", "ed25519/plain", "other/plain")
med = list(map(statistics.median, zip(*rows)))
print("dkim    " + "  ".join("%s %.2f" % x for x in zip(names, med)))
print("        openssl speed %.0f a second on one processor; %.0f signed and "
      "delivered" % tuple(med[-2:]))
sink.stop()
