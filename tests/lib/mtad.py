"""Starts mtad for tests, kills it, and reads what it says. See simlib.py for
the simulated world around it.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import time

from ports import free_port
from simlib import BUILD, TMP

MTAD = os.path.join(BUILD, "mtad")


def wait_for(what, condition, seconds=20, step=0.01):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise SystemExit("not within %d s: %s" % (seconds, what))
        time.sleep(step)


class Mtad:
    """A daemon with its own directory, whose next hop is one port for all."""

    def __init__(self, next_port, name="mtad", extra="", spool=None):
        self.dir = os.path.join(TMP, name)
        os.makedirs(self.dir, exist_ok=True)
        self.spool = spool or os.path.join(self.dir, "spool")
        self.port = free_port()
        self.target = "127.0.0.1:%d" % self.port
        self.socket = os.path.join(self.dir, "c.sock")
        self.conf = os.path.join(self.dir, "mtad.yml")
        self.p = None
        self.program = MTAD
        self.args = []       # more of `mtad run`
        self.write_conf(next_port, extra)
        atexit.register(self.kill9)

    def write_conf(self, next_port, extra):
        with open(self.conf, "w") as f:
            f.write("""hostname: mta.test.example
spool: %s
control: %s
log: %s/log
spool_segment: 4M
message_size_max: 2M
spool_min_free: 1M
listen:
  in: { bind: "%s", relay_from: [127.0.0.0/8] }
source:
  a: { address: 127.0.0.10 }
pool:
  default: { sources: [a] }
route:
  "*": { hosts: [127.0.0.1:%d] }
%s
""" % (self.spool, self.socket, self.dir, self.target, next_port, extra))

    def start(self, wait=True):
        self.err = open(os.path.join(self.dir, "err"), "a")
        self.p = subprocess.Popen([self.program, "run", "-c", self.conf,
                                   *self.args],
                                  stdout=self.err, stderr=self.err,
                                  stdin=subprocess.DEVNULL)
        if wait:
            wait_for("mtad listens", self.listens)

    def listens(self):
        if self.p.poll() is not None:
            raise SystemExit("mtad ended with %d: %s" % (
                self.p.returncode, open(self.err.name).read()[-2000:]))
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def kill9(self):
        if self.p and self.p.poll() is None:
            self.p.send_signal(signal.SIGKILL)
            self.p.wait()

    def stop(self, seconds=40):
        """SIGTERM; returns the exit status."""
        self.p.terminate()
        return self.p.wait(seconds)

    def verb(self, *args):
        r = subprocess.run([MTAD, *args, "-H", self.socket], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return r.returncode, r.stdout, r.stderr

    def status(self):
        code, out, err = self.verb("status", "--json")
        return json.loads(out) if code == 0 else None

    def queued(self):
        s = self.status()
        return s["totals"]["recipients"] if s else -1

    def events(self):
        """All event log lines, oldest file first."""
        d = os.path.join(self.dir, "log")
        names = sorted(x for x in os.listdir(d) if x.endswith(".jsonl"))
        names.sort(key=lambda x: x == "events.jsonl")
        for n in names:
            with open(os.path.join(d, n)) as f:
                for line in f:
                    if line.endswith("\n"):
                        yield json.loads(line)

    def spool_verb(self, *args):
        return subprocess.run([MTAD, "spool", *args, "--spool", self.spool],
                              text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
