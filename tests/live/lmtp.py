#!/usr/bin/env python3
"""LMTP (RFC 2033) by TCP and by a socket of the file system: each recipient has
the answer that is his own; who was refused or has a full mailbox does not have
the others get it twice; and a store that goes between its answers."""
# parallel: measures no time
# timeout: 60

import os
import smtplib
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import MTAD, Mtad, Tap, path, wait_for, write_config
from mtapeer import DROP, Peer

tap = Tap()
full = set()


def rule(stage, text, s):
    if stage == "RCPT" and "<no" in text:
        return "550 5.1.1 no such user"
    if stage != "body":
        return None
    if text.startswith("once") and text not in full:
        full.add(text)
        return "452 4.2.2 mailbox full"
    if text.startswith("gone") and text not in full:
        full.add(text)
        return DROP
    if text.startswith("bad"):
        return "554 5.2.0 not this one"


where = "/tmp/mtad-lmtp-%d" % os.getpid()
tcp = Peer(["8BITMIME"], lmtp=True, rule=rule)
sock = Peer(["8BITMIME"], lmtp=True, rule=rule, unix=where)
daemon = Mtad(write_config(route={
    "tcp.example": {"hosts": ["127.0.0.1:%d" % tcp.port], "protocol": "lmtp"},
    "unix.example": {"hosts": ["unix:" + where], "protocol": "lmtp"},
    "away.example": {"hosts": ["unix:/nowhere/at/all"], "protocol": "lmtp"},
}, retry={"first": "300ms", "max": "300ms"})).start()


def send(domain, *names):
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
        c.sendmail("s@x.example", ["%s@%s.example" % (n, domain)
                                   for n in names],
                   b"Subject: x\r\n\r\n.x\r\n")


def ends(domain, n):
    def ended():
        v = [(e["recipient"].split("@")[0], e["type"], e.get("enhanced"))
             for e in daemon.events()
             if e["type"] in ("Delivery", "Bounce", "TransientFailure") and
             e.get("recipient", "").endswith("@%s.example" % domain)]
        over = [x for x in v if x[1] != "TransientFailure"]
        return sorted(v) if len(over) == n else None
    return wait_for(ended, 10) or [e for e in daemon.events()][-5:]


for domain, peer in (("tcp", tcp), ("unix", sock)):
    full.clear()
    send(domain, "a", "no", "once", "bad", "b")
    tap.same(ends(domain, 5), [
        ("a", "Delivery", "2.0.0"), ("b", "Delivery", "2.0.0"),
        ("bad", "Bounce", "5.2.0"), ("no", "Bounce", "5.1.1"),
        ("once", "Delivery", "2.0.0"),
        ("once", "TransientFailure", "4.2.2")],
        domain + ": an answer for each recipient")
    m = peer.got()
    tap.same([[r.split("@")[0] for r in x.rcpts] for x in m],
             [["a", "once", "bad", "b"], ["once"]],
             domain + ": nobody has it twice")
    tap.ok(all(x.data.endswith(b"\r\n\r\n.x\r\n") for x in m) and
           m[0].session.lines[0].startswith(b"LHLO "), domain + ": LHLO")
full.clear()
send("tcp", "c", "gone", "d")
got = ends("tcp", 8)
tap.ok(("c", "Delivery", "2.0.0") in got and
       ("gone", "Delivery", "2.0.0") in got and
       ("d", "Delivery", "2.0.0") in got and
       len([1 for m in tcp.got() if "c@tcp.example" in m.rcpts]) == 1,
       "a store that goes between its answers", got)
send("away", "e")
e = wait_for(lambda: [e for e in daemon.events("TransientFailure")
                      if e["recipient"] == "e@away.example"], 10) or [{}]
tap.ok("No such file" in e[0].get("text", "") and
       e[0].get("stage") == "connect", "a socket that is not there", e[0])

for route, words in (({"protocol": "lmtp"}, "hosts beside it"),
                     ({"hosts": ["unix:/a"]}, "protocol: lmtp beside"),
                     ({"hosts": ["unix:a"], "protocol": "lmtp"}, "unix:/PATH"),
                     ({"hosts": ["unix:/" + "x" * 107], "protocol": "lmtp"},
                      "unix:/PATH")):
    bad = write_config("bad", route={"*": route})
    r = subprocess.run([MTAD, "check", "-c", bad["file"]], text=True,
                       capture_output=True)
    tap.ok(r.returncode == 1 and words in r.stdout + r.stderr,
           "check: " + words, r.stdout + r.stderr)
tap.same(daemon.stop(), 0, "it stops")
os.unlink(where)
tap.done()
