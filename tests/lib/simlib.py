"""Starts mtasim's commands for tests, and tells results as TAP.

A serving command is waited for until it says "ready"; nothing sleeps blindly.
"""

import atexit
import json
import os
import re
import socket
import subprocess
import sys
import time

from ports import free_port     # noqa: F401, for who imports from here

BUILD = os.environ["BUILD"]
TMP = os.environ["TMP"]
LONG = os.environ.get("CHECK", "quick") == "long"
MTASIM = os.path.join(BUILD, "mtasim")
READY_S = 20


class Server:
    """A serving command of mtasim; .ready is what it said."""

    def __init__(self, *args, name="server"):
        self.args = [str(a) for a in args]
        self.name = name
        self.out = ""
        self.log = open(os.path.join(TMP, name + ".err"), "w")
        self.p = subprocess.Popen([MTASIM] + self.args, text=True,
                                  stdout=subprocess.PIPE, stderr=self.log,
                                  stdin=subprocess.DEVNULL)
        atexit.register(self.kill)
        self.ready = self.p.stdout.readline()
        if not self.ready.startswith("ready"):
            raise SystemExit("%s did not start: %s" % (
                name, open(self.log.name).read()))
        self.ready = self.ready[len("ready"):].strip()

    def stop(self):
        """Ends it as an operator would; the answer is what it printed."""
        if self.p.poll() is None:
            self.p.terminate()
        self.out = self.p.communicate(timeout=READY_S)[0]
        self.code = self.p.returncode
        return self.out

    def kill(self):
        if self.p.poll() is None:
            self.p.kill()
        self.p.wait()

    def counts(self, name):
        """The counters that `name` printed at its end."""
        for line in self.out.splitlines():
            if line.startswith(name + " "):
                return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)",
                                                         line)}
        raise SystemExit("no counts of %s in: %s" % (name, self.out))


def sink(*args, name="sink"):
    s = Server("sink", "--listen", "127.0.0.1:0", *args, name=name)
    s.address = s.ready
    s.port = int(s.ready.split(":")[1])
    return s


def run(*args, timeout=120):
    """Runs a command to its end: (exit code, standard output)."""
    p = subprocess.run([MTASIM] + [str(a) for a in args], text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       stdin=subprocess.DEVNULL, timeout=timeout)
    sys.stderr.write(p.stderr)
    return p.returncode, p.stdout


def run_json(*args, timeout=120):
    code, out = run(*args, "--json", timeout=timeout)
    return code, json.loads(out) if out.strip().startswith("{") else {}


def path(name):
    return os.path.join(TMP, name)


def wait_for(what, seconds=READY_S):
    """Asks until it is true."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


class Talk:
    """A client that says one line and reads one reply."""

    def __init__(self, host, port, source=None, timeout=10):
        self.s = socket.create_connection(
            (host, port), timeout, (source, 0) if source else None)
        self.f = self.s.makefile("rb")

    def reply(self):
        lines = []
        while True:
            line = self.f.readline().decode()
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    def say(self, line):
        self.s.sendall(line.encode() + b"\r\n")
        return self.reply()

    def close(self):
        self.f.close()
        self.s.close()


class Tap:
    def __init__(self):
        self.n = self.bad = 0

    def ok(self, good, name, note=""):
        self.n += 1
        self.bad += not good
        print("%sok %d - %s" % ("" if good else "not ", self.n, name),
              flush=True)
        if not good and note != "":
            print("# %s" % note, flush=True)

    def same(self, have, want, name):
        self.ok(have == want, name, "have %r, want %r" % (have, want))

    def done(self):
        print("1..%d" % self.n, flush=True)
        sys.exit(1 if self.bad else 0)
