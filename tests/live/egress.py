#!/usr/bin/env python3
"""Sources behind proxies: microsocks, dante, haproxy and `mtad proxy`. Mail
leaves by the right address; what a proxy does wrong suspends its source, and
costs no domain, no host and no recipient anything."""
# parallel: measures no time
# timeout: 90 150

import atexit
import collections
import os
import signal
import smtplib
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import (Mtad, Tap, free_port, path, smart, wait_for,
                    write_config)
from mtasink import Sink

tap = Tap()


class Where:
    """A rule that writes down from where each message comes."""

    def __init__(self):
        self.froms = collections.Counter()

    def __call__(self, stage, text, session):
        if stage == "body":
            self.froms[session.sock.getpeername()[0]] += 1
        return None


def spawn(*args):
    p = subprocess.Popen(args, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    atexit.register(p.kill)
    return p


def stop(p):
    p.kill()
    p.wait()


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def microsocks(port, out, user=None, password=None):
    login = ["-u", user, "-P", password] if user else []
    p = spawn("microsocks", "-i", "127.0.0.1", "-p", str(port), "-b",
              out, *login)
    wait_for(lambda: listens(port))
    return p


def haproxy(port):
    """The header says by which address, and where to."""
    with open(path("haproxy.cfg"), "w") as f:
        f.write("defaults\n mode tcp\n timeout connect 5s\n timeout client 9s\n"
                " timeout server 9s\nlisten out\n bind 127.0.0.1:%d "
                "accept-proxy\n option transparent\n"
                " source 0.0.0.0 usesrc clientip\n" % port)
    p = spawn("haproxy", "-db", "-f", path("haproxy.cfg"))
    wait_for(lambda: listens(port))
    return p


def dante(port, out):
    with open(path("danted.conf"), "w") as f:
        f.write("logoutput: %s\ninternal: 127.0.0.1 port = %d\n"
                "external: %s\nclientmethod: none\nsocksmethod: none\n"
                "user.privileged: root\nuser.unprivileged: nobody\n"
                "client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }\n"
                "socks pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }\n"
                % (path("danted.log"), port, out))
    p = spawn("danted", "-f", path("danted.conf"), "-p", path("danted.pid"))
    wait_for(lambda: listens(port))
    return p


def send(daemon, count=1, domain="to.example"):
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
        for _ in range(count):
            c.sendmail("", ["u@" + domain], b"Subject: x\r\n\r\nx\r\n")


def arrived(sink, n):
    return wait_for(lambda: len(sink.got()) >= n)


def source(daemon, name):
    rows = daemon.json("sources")["sources"]
    return [r for r in rows if r["source"] == name][0]


def by_each():
    ports = {k: free_port() for k in ("micro", "dante", "haproxy")}
    procs = [microsocks(ports["micro"], "127.0.0.41", "me", "pass word"),
             dante(ports["dante"], "127.0.0.1"), haproxy(ports["haproxy"])]
    with open(path("password"), "w") as f:
        f.write("pass word\n")
    os.chmod(path("password"), 0o600)
    at = {k: "127.0.0.1:%d" % p for k, p in ports.items()}
    sink = Sink(Where())
    daemon = Mtad(write_config(
        "each", route=smart(sink),
        proxy={"micro": {"address": at["micro"], "user": "me",
                         "password_file": path("password"),
                         "checks_source": False},
               "dante": {"address": at["dante"]},
               "haproxy": {"address": at["haproxy"],
                           "protocol": "haproxy"}},
        source={"m": {"address": "127.0.0.41", "proxies": ["micro"]},
                "d": {"address": "127.0.0.1", "proxies": ["dante"]},
                "h": {"address": "127.0.0.43", "proxies": ["haproxy"]}},
        pool={"default": {"sources": ["m", "d", "h"]}},
        limits={"default": {"messages_per_connection": 1}})).start()
    send(daemon, 9)
    tap.ok(arrived(sink, 9), "all of it arrives")
    tap.same(dict(sink.rule.froms),
             {"127.0.0.41": 3, "127.0.0.1": 3, "127.0.0.43": 3},
             "each by its address, in turn")
    daemon.kill9()
    for p in procs:
        stop(p)
    sink.close()


by_each()
tap.done()
