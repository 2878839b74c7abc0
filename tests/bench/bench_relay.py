#!/usr/bin/env python3
"""make bench: a relay beside no relay at all, in one run, with our own tools;
and beside Postfix where that can be started. Prints ratios; absolute rates only
compare within the run. ROUNDS=3, N=20000 messages of 4 KB.

  plain   one command at a time, as most clients do     } 50 sessions
  chain   pipelined, the next MAIL with the final dot   }

  accept  messages a second that mtad acknowledged, of what the sink alone takes
  drain   until the sink had them all, of the same
  cpu     CPU time of mtad over that of load and sink together
  sync    fdatasync calls a message (100 sessions)
  lone    final dot to 250, over a bare 4 KB write with fdatasync, in turn
"""

import os
import resource
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests/lib"))
from simlib import MTASIM, TMP, Server, path  # noqa: E402
from mtad import Mtad, free_port, wait_for  # noqa: E402
import postfix_peer  # noqa: E402

N = int(os.environ.get("N", "20000"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
MODES = {"plain": "--no-pipelining", "chain": "--chain"}


def load(target, count, mode, sessions=50):
    """Returns the seconds until the last message was acknowledged."""
    began = time.monotonic()
    r = subprocess.run([MTASIM, "load", "--target", target, "--count",
                        str(count), "--connections", str(sessions), "--size",
                        "4K", MODES[mode], "--quiet"],
                       stdout=subprocess.DEVNULL)
    if r.returncode not in (0, 4):
        sys.exit("load ended with %d" % r.returncode)
    return time.monotonic() - began


def cpu_of(pid):
    f = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")


def cpu_of_children():
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return r.ru_utime + r.ru_stime


def metric(name):
    out = subprocess.run(["curl", "-s", "--unix-socket", m.socket,
                          "http://mtad/metrics"], text=True,
                         stdout=subprocess.PIPE).stdout
    for line in out.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    sys.exit("no metric " + name)


def delivered():
    return m.status()["totals"]["delivered_total"]


def relayed(mode, sessions=50):
    """Through mtad: seconds to the last 250, to the last delivery, and its
    CPU time over that of load and sink."""
    before, began = delivered(), time.monotonic()
    mine, ends = cpu_of(m.p.pid), cpu_of(sink.p.pid) + cpu_of_children()
    accept = load(m.target, N, mode, sessions)
    wait_for("all is delivered", lambda: delivered() - before >= N, 120)
    drain = time.monotonic() - began
    ends = cpu_of(sink.p.pid) + cpu_of_children() - ends
    return accept, drain, (cpu_of(m.p.pid) - mine) / ends


def through_postfix(peer):
    """Messages a second until the sink has them; a tenth of the messages."""
    count = max(N // 10, 100)
    own = Server("sink", "--listen", "127.0.0.1:%d" % peer_port, "--count",
                 str(count), "--quiet", name="sink2")
    began = time.monotonic()
    load(peer.target, count, "plain")
    own.p.wait(300)
    return count / (time.monotonic() - began)


sink = Server("sink", "--listen", "127.0.0.1:0", "--quiet", name="sink")
m = Mtad(int(sink.ready.rsplit(":", 1)[1]))
m.start()
SPOOL = "mtad_spool_syncs_total", "mtad_spool_commits_total"
peer, peer_port, ratios = None, free_port(), []
if postfix_peer.is_there():
    peer = postfix_peer.Postfix(path("postfix"), free_port(), peer_port)
for mode in MODES:
    rows = []
    for _ in range(ROUNDS):
        direct = load(sink.ready, N, mode)
        accept, drain, cpu = relayed(mode)
        rows.append((direct / accept, direct / drain, cpu))
        if peer and mode == "plain" and peer.start():
            ratios.append(N / drain / through_postfix(peer))
            peer.stop()
    print("%s   accept %.2f  drain %.2f  of no relay; cpu %.2f of both ends"
          % ((mode,) + tuple(map(statistics.median, zip(*rows)))), flush=True)
print("postfix %s" % ("not measured (needs Debian's postfix and root)"
                      if not ratios else "mtad is %.1f times as fast"
                      % statistics.median(ratios)), flush=True)
syncs, commits = map(metric, SPOOL)
relayed("chain", 100)
print("sync    %.3f a message" % ((metric(SPOOL[0]) - syncs) /
                                  (metric(SPOOL[1]) - commits)),
      flush=True)
host, port = m.target.rsplit(":", 1)
subprocess.run([sys.executable, os.path.join(
    os.environ["TOP"], "tests/bench/lone_message.py"), host, port, "1000",
    os.path.join(TMP, "bare")])
m.stop()
sink.stop()
