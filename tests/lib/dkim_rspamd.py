"""Verifies signatures by rspamd: its own daemon, with nothing but its module for
DKIM, asked over HTTP. DNS is a server of the test."""

import atexit
import http.client
import json
import os
import re
import subprocess

from mtalib import free_port, path, wait_for

CONF = """
options {
  filters = "dkim";
  pidfile = "%(dir)s/pid";
  rundir = "%(dir)s"; tempdir = "%(dir)s"; dbdir = "%(dir)s";
  cores_dir = "%(dir)s";
  control_socket = "%(dir)s/control mode=0600";
  dns { nameserver = ["%(dns)s:1"]; timeout = 5s; sockets = 4; }
  local_addrs = ["192.0.2.0/24"];
}
logging { type = "console"; level = "warning"; }
worker "normal" { bind_socket = "127.0.0.1:%(port)d"; count = 1; }
dkim { check_local = true; check_authed = true; max_sigs = 16; }
metric { name = "default"; actions { reject = 100; } }
"""
# It lets a message fail in which one of these is there twice.
ONCE = (b"from", b"sender", b"reply-to", b"subject", b"date", b"to", b"cc",
        b"message-id", b"in-reply-to", b"references")


def reads(message):
    """Not blanks before a colon; and of a body that is nothing but blank lines
    it takes the relaxed form for a line end (3.4)."""
    head, _, body = message.partition(b"\r\n\r\n")
    names = [x.lower() for x in re.findall(rb"^([!-9;-~]+)[ \t]*:", head,
                                           re.M)]
    return not (re.search(rb"^[!-9;-~]+[ \t]+:", head, re.M) or
                any(names.count(x) > 1 for x in ONCE) or
                (body and not body.strip()))


class Rspamd:
    def __init__(self, dns):
        self.port = free_port()
        dir = path("rspamd")
        os.makedirs(dir)
        with open(path("rspamd.conf"), "w") as f:
            f.write(CONF % {"dir": dir, "dns": dns, "port": self.port})
        self.log = open(path("rspamd.log"), "w")
        self.p = subprocess.Popen(
            ["rspamd", "-c", path("rspamd.conf"), "-f", "-i"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        atexit.register(self.stop)
        wait_for(lambda: self.ask("GET", "/ping"), 60)

    def ask(self, verb, what, body=None):
        h = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            h.request(verb, what, body)
            return h.getresponse().read()
        except OSError:
            return None

    def verified(self, message):
        """"d/s" of each signature that holds."""
        said = json.loads(self.ask("POST", "/checkv2", message) or "{}")
        good = said.get("symbols", {}).get("R_DKIM_ALLOW", {})
        return [x.replace(":s=", "/") for x in good.get("options", [])]

    def stop(self):
        self.p.terminate()
        self.p.wait(20)
