#!/usr/bin/env python3
"""make bench T=tls: a relay with TLS on both sides beside the same in clear text,
in one run, with our own tools. ROUNDS=5, N=20000 messages of 4 KB, 50 sessions
that stay; they take turns.

  drain   messages a second until the sink had them all, of those in clear text
  cpu     CPU time of mtad over that in clear text
"""

import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests/lib"))
import tlsworld  # noqa: E402
from simlib import MTASIM, Server  # noqa: E402
from mtad import Mtad, wait_for  # noqa: E402

N = int(os.environ.get("N", "20000"))
ROUNDS = int(os.environ.get("ROUNDS", "5"))
MODES = {"plain": "--no-pipelining", "chain": "--chain"}


class Side:
    def __init__(self, name, cert=None):
        tls = ["--tls-cert", cert[0], "--tls-key", cert[1]] if cert else []
        self.sink = Server("sink", "--listen", "127.0.0.1:0", "--quiet", *tls,
                           name="sink-" + name)
        port = int(self.sink.ready.rsplit(":", 1)[1])
        self.m = Mtad(port, name)
        if cert:
            with open(self.m.conf) as f:
                text = f.read()
            text = text.replace("relay_from: [127.0.0.0/8] }",
                                "relay_from: [127.0.0.0/8],\n        tls: "
                                "{ cert: %s, key: %s } }" % cert)
            text += "limits: { default: { tls: required } }\n"
            with open(self.m.conf, "w") as f:
                f.write(text)
        self.args = ["--tls"] if cert else []
        self.m.start()

    def cpu(self):
        f = open("/proc/%d/stat" % self.m.p.pid).read().rsplit(")", 1)[1]
        f = f.split()
        return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")

    def delivered(self):
        return self.m.status()["totals"]["delivered_total"]

    def turn(self, mode):
        cpu, before, began = self.cpu(), self.delivered(), time.monotonic()
        r = subprocess.run([MTASIM, "load", "--target", self.m.target,
                            "--count", str(N), "--connections", "50",
                            "--size", "4K", MODES[mode], "--quiet",
                            *self.args], stdout=subprocess.DEVNULL)
        if r.returncode not in (0, 4):
            sys.exit("load ended with %d" % r.returncode)
        wait_for("all is delivered",
                 lambda: self.delivered() - before >= N, 120)
        return time.monotonic() - began, self.cpu() - cpu


tlsworld.authority()
certificate = tlsworld.certificate("bench", ["mta.test.example"])
sides = Side("clear"), Side("tls", certificate)
for mode in MODES:
    drains, cpus = [], []
    for k in range(ROUNDS + 1):
        took = {}
        for i in (0, 1) if k % 2 else (1, 0):
            took[i] = sides[i].turn(mode)
        if k > 0:
            drains.append(took[0][0] / took[1][0])
            cpus.append(took[1][1] / took[0][1])
    print("%s   drain %.2f of clear text (%.2f to %.2f); cpu %.2f"
          % (mode, statistics.median(drains), min(drains), max(drains),
             statistics.median(cpus)), flush=True)
last = [e for e in sides[1].m.events() if e["type"] == "Delivery"][-1]
if not str(last.get("tls", "")).startswith("TLS"):
    sys.exit("this was not TLS: %s" % last)
for side in sides:
    side.m.stop()
    side.sink.stop()
