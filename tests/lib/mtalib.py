"""Runs mtad for tests: a configuration, the daemon, its events.

Nothing sleeps blindly; what waits has a deadline. The sink that records is
mtasink.py, results as TAP are mtatap.py.
"""

import atexit
import glob
import json
import os
import signal
import socket
import subprocess
import time

from mtasink import Sink  # noqa: F401, for who imports from here
from mtatap import Tap  # noqa: F401
from ports import free_port

BUILD = os.environ["BUILD"]
TMP = os.environ["TMP"]
LONG = os.environ.get("CHECK", "quick") == "long"
MTAD = os.path.join(BUILD, "mtad")
MTASIM = os.path.join(BUILD, "mtasim")
READY_S = 20
SKIP = 77


def wait_for(predicate, seconds=READY_S, step=0.02):
    """Asks until the answer is true, and gives it; the last one if never."""
    end = time.monotonic() + seconds
    while True:
        answer = predicate()
        if answer or time.monotonic() > end:
            return answer
        time.sleep(step)


def path(name):
    return os.path.join(TMP, name)


def write_config(name="mtad", **over):
    """A configuration; a key of `over` replaces the one here, None drops it.
    JSON is YAML. Its "port" is the first listener's."""
    port = free_port()
    conf = {
        "hostname": "mta1.example",
        "postmaster": "ops@mta1.example",
        "spool": path(name + ".spool"),
        "control": path(name + ".sock"),
        "log": path(name + ".log"),
        "spool_min_free": "16M",
        "listen": {"in": {"bind": "127.0.0.1:%d" % port,
                          "relay_from": ["127.0.0.0/8"]}},
        "source": {"a": {"address": "127.0.0.10", "ehlo": "a.mta.example"}},
        "pool": {"default": {"sources": ["a"]}},
        "client": {"host_retry_min": "1s", "host_retry_max": "1s"},
        "limits": {"default": {"backoff_min": "1s", "backoff_max": "1s"}},
        "retry": {"first": "1s", "max": "2s"},
    }
    conf.update(over)
    conf = {k: v for k, v in conf.items() if v is not None}
    file = path(name + ".yml")
    with open(file, "w") as f:
        json.dump(conf, f, indent=1)
    conf["port"] = int(conf["listen"]["in"]["bind"].rsplit(":", 1)[1])
    conf["file"] = file
    return conf


def smart(sink):
    """Routes that send everything to a sink."""
    return {"*": {"hosts": ["127.0.0.1:%d" % sink.port]}}


class Mtad:
    """The daemon, on a configuration of write_config()."""

    def __init__(self, conf):
        self.conf = conf
        self.port = conf["port"]
        self.p = None
        self.err = conf["file"] + ".err"
        atexit.register(self.kill9)

    def start(self, wait=READY_S):
        with open(self.err, "a") as err:
            self.p = subprocess.Popen(
                [MTAD, "run", "-c", self.conf["file"]], stdout=err,
                stderr=err, stdin=subprocess.DEVNULL)
        if wait:
            self.wait_ready(wait)
        return self

    def wait_ready(self, seconds=READY_S):
        if not wait_for(self.greets, seconds):
            raise SystemExit("mtad is not ready (exit %s):\n%s" % (
                self.p.poll(), self.said()[-2000:]))

    def greets(self):
        """Does it greet, and does its control socket answer?"""
        if self.p.poll() is not None:
            raise SystemExit("mtad ended with %d:\n%s" % (
                self.p.returncode, self.said()[-2000:]))
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as s:
                if not s.recv(100).startswith(b"220"):
                    return False
                s.sendall(b"QUIT\r\n")
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(self.conf["control"])
        except OSError:
            return False
        return True

    def said(self):
        with open(self.err, errors="replace") as f:
            return f.read()

    def signal(self, number):
        self.p.send_signal(number)

    def stop(self, seconds=READY_S):
        """SIGTERM; its exit code, None if it does not end."""
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGTERM)
        try:
            return self.p.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill9(self):
        if self.p and self.p.poll() is None:
            self.p.kill()
            self.p.wait()

    def verb(self, *args):
        """mtad VERB: (exit code, what it printed)."""
        p = subprocess.run([MTAD, *args, "-H", self.conf["control"]],
                           text=True, stdout=subprocess.PIPE, timeout=30,
                           stderr=subprocess.STDOUT)
        return p.returncode, p.stdout

    def json(self, *args):
        code, out = self.verb(*args, "--json")
        if code:
            raise SystemExit("mtad %s: exit %d: %s" % (args, code, out))
        return json.loads(out)

    def resolve(self, domain):
        """mtad resolve, which asks no daemon: (exit code, JSON, text)."""
        argv = [MTAD, "resolve", domain, "-c", self.conf["file"]]
        p = subprocess.run([*argv, "--json"], text=True, timeout=30,
                           stdout=subprocess.PIPE)
        text = subprocess.run(argv, text=True, timeout=30,
                              stdout=subprocess.PIPE).stdout
        return p.returncode, json.loads(p.stdout or "{}"), text

    def spool_check(self):
        p = subprocess.run([MTAD, "spool", "check", "--spool",
                            self.conf["spool"]], text=True, timeout=120,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return p.returncode, p.stdout

    def events(self, kind=None):
        """The event log, oldest first; a line cut off by a kill is none."""
        found = []
        files = glob.glob(os.path.join(self.conf["log"], "*.jsonl"))
        for name in sorted(files, key=os.path.getmtime):
            with open(name, errors="replace") as f:
                for line in f:
                    try:
                        e = json.loads(line)
                    except ValueError:
                        continue
                    if kind in (None, e.get("type"), e.get("event")):
                        found.append(e)
        return found
