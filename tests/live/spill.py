#!/usr/bin/env python3
"""A disk that hangs while large messages spill to it: only their senders wait,
and memory stays bounded. Afterwards they are taken, octet for octet."""
# parallel: measures no time but that somebody is served at all
# timeout: 60

import os
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import BUILD, Mtad, Sink, Tap, path, smart, wait_for, write_config
from mtatalk import Talk

if "san" in os.path.basename(BUILD):
    sys.exit(77)             # a sanitizer must be loaded first
MB = 1 << 20
LARGE = 60
SIZE = 2 * MB
tap = Tap()
shim, gate = path("slow_spill.so"), path("hangs")
src = os.path.join(os.environ["TOP"], "tests", "lib", "slow_spill.c")
subprocess.run([os.environ.get("CC", "cc"), "-D_GNU_SOURCE", "-O2", "-shared",
                "-fPIC", "-o", shim, src, "-ldl"], check=True)
sink = Sink()
os.environ.update(LD_PRELOAD=shim, SPILL_HANGS=gate)
daemon = Mtad(write_config(route=smart(sink), staging_max=8 * MB,
                           connections_per_client_max=200)).start()
del os.environ["LD_PRELOAD"]
block = (b"y" * 76 + b"\r\n") * 840
body = b"Subject: large\r\n\r\n" + block * (SIZE // len(block))
answers = []


def resident():
    with open("/proc/%d/status" % daemon.p.pid) as f:
        for line in f:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) << 10


def large(i):
    t = Talk(daemon.port, timeout=50)
    t.begin("large%d@to.example" % i)
    try:
        t.send(body)
        answers.append(t.say(".")[:9])
    except OSError as e:
        answers.append(str(e))
    t.close()


def serve(label):
    """Small mail, the control socket, and clients that leave in the midst."""
    begin = time.monotonic()
    try:
        t = Talk(daemon.port, timeout=5)
        got = [t.mail(rcpt="small@to.example")[:9] for _ in range(10)]
        t.close()
    except (OSError, socket.timeout) as e:
        got = [str(e)]
    tap.same(got, ["250 2.0.0"] * 10, label + ": small mail is taken")
    print("# %s: 10 messages in %.3f s" % (label, time.monotonic() - begin))


serve("before")
before = resident()
open(gate, "w").close()
threads = [threading.Thread(target=large, args=(i,)) for i in range(LARGE)]
for t in threads:
    t.start()
gone = Talk(daemon.port)
gone.begin("gone@to.example")
gone.s.settimeout(1)
try:
    gone.send(body)
except OSError:
    pass
time.sleep(0.5)              # the senders go on as long as they are read
serve("hanging")
gone.close()
tap.ok(daemon.json("status"), "hanging: the control socket answers")
most = before + 8 * MB + 2 * MB + LARGE * (64 << 10) // 4 + 4 * MB
peak = resident()
tap.ok(peak < most, "hanging: memory is bounded", "%.1f MB, want less than "
       "%.1f" % (peak / MB, most / MB))
print("# hanging: %.1f MB more" % ((peak - before) / MB))
tap.same(answers, [], "hanging: the large ones wait")
os.unlink(gate)
for t in threads:
    t.join()
tap.same(answers, ["250 2.0.0"] * LARGE, "then they are taken")
wait_for(lambda: len([m for m in sink.got() if
                      m.rcpts[0].startswith("large")]) == LARGE)
got = [m for m in sink.got() if m.rcpts[0].startswith("large")]
tap.same(len(got), LARGE, "each is delivered")
tap.ok(all(m.below_received() == body for m in got), "octets")
tap.same(sink.to("gone@to.example"), [], "who left in the midst left nothing")
serve("after")
tap.same(daemon.stop(), 0, "SIGTERM: exit 0")
tap.done()
