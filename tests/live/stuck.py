#!/usr/bin/env python3
"""A disk on which not even outcomes have room: delivery stops and says why,
and goes on when there is room again. Nothing is lost."""
# parallel: measures no time
# timeout: 60

import os
import smtplib
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import Mtad, Sink, Tap, path, smart, wait_for, write_config

MESSAGES = 100
RCPTS = 100
tap = Tap()
disk = path("disk")
os.makedirs(disk)
if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk],
                  stderr=subprocess.DEVNULL).returncode:
    tap.skip("a disk that is full", "cannot mount")
    tap.done()
is_shut = True
sink = Sink(lambda stage, text, session:
            "451 4.2.1 not now" if is_shut and stage == "RCPT" else None)
daemon = Mtad(write_config(
    spool=disk + "/spool", spool_segment="1M", message_size_max="100K",
    recipients_max=100,
    spool_min_free="1M", retry={"first": "500ms", "max": "500ms"},
    route=smart(sink), limits={"default": {"connections": 10}}))
try:
    daemon.start()
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=30) as c:
        for k in range(MESSAGES):
            c.sendmail("", ["r%d.%d@to.example" % (k, i)
                            for i in range(RCPTS)],
                       b"Subject: x\r\n\r\nx\r\n")
    with open(disk + "/rubbish", "wb", buffering=0) as f:
        try:
            while True:
                f.write(b"x" * 4096)
        except OSError:
            pass
    stuck = wait_for(lambda: daemon.json("status")["is_disk_full"], 40, .1)
    tap.ok(stuck, "outcomes find no room: delivery stops",
           daemon.json("status"))
    is_shut = False
    daemon.verb("retry", "--all")
    why = wait_for(lambda: "disk" in [
        q["why"] for q in daemon.json("queues")["queues"]], 5)
    tap.ok(why, "the queue says why", daemon.json("queues"))
    code, out = daemon.verb("status")
    tap.ok("disk is full" in out, "and so does the status", out)
    os.unlink(disk + "/rubbish")
    left = wait_for(lambda: daemon.json("status")["totals"]["recipients"]
                    == 0, 30, .1)
    tap.ok(left, "room again: all is delivered", daemon.json("status"))
    got = sorted(r for m in sink.got() for r in m.rcpts)
    tap.same(len(set(got)), MESSAGES * RCPTS, "nothing is lost")
    tap.same(daemon.stop(), 0, "SIGTERM: exit 0")
finally:
    daemon.kill9()
    subprocess.run(["umount", "-l", disk])
tap.done()
