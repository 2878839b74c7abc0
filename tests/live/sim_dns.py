#!/usr/bin/env python3
"""The simulated name server, asked by dig: by UDP and TCP, about everything
that it knows, knows not, delays, truncates or leaves without an answer."""
# parallel: measures no time

import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from simlib import Server, Tap, path, run

WORLD = """
names:
  a.example: [MX 10 mx1.a.example, MX 20 mx2.a.example, "TXT hello, world"]
  mx1.a.example: [A 127.1.0.1, A 127.1.0.2, "AAAA ::1"]
  "*.tail.example": MX 5 mx1.a.example
  "d{1..1000}.many.example": MX 5 mx1.a.example
  alias.example: CNAME a.example
  null.example: NULL-MX
  gone.example: NXDOMAIN
  broken.example: SERVFAIL
  closed.example: REFUSED
  hung.example: SILENT
  slow.example: [A 127.0.0.1, DELAY 400ms]
  big.example: [TRUNCATE, A 127.0.0.9]
  brief.example: [A 127.0.0.1, TTL 7]
"""

tap = Tap()
with open(path("w.yml"), "w") as f:
    f.write(WORLD)
server = Server("dns", "--listen", "127.0.0.1:0", "--zone",
                "more.example A 127.9.9.9", path("w.yml"))
port = server.ready.split(":")[1]


def dig(*words):
    """(status or "", answers as text, whole output)"""
    p = subprocess.run(["dig", "@127.0.0.1", "-p", port, "+tries=1",
                        "+time=2"] + list(words), text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    status = re.search(r"status: (\w+)", p.stdout)
    short = []
    section = ""
    for line in p.stdout.splitlines():
        if line.startswith(";; ANSWER SECTION"):
            section = "answer"
        elif line.startswith(";;") or not line:
            section = ""
        elif section:
            # Name, time to live, class: off.
            short.append(" ".join(line.split()[3:]))
    return status.group(1) if status else "", sorted(short), p.stdout


CASES = [
    ("a.example", "MX", "NOERROR",
     ["MX 10 mx1.a.example.", "MX 20 mx2.a.example."]),
    ("A.Example", "MX", "NOERROR",
     ["MX 10 mx1.a.example.", "MX 20 mx2.a.example."]),
    ("a.example", "TXT", "NOERROR", ['TXT "hello, world"']),
    ("a.example", "A", "NOERROR", []),
    ("mx1.a.example", "A", "NOERROR", ["A 127.1.0.1", "A 127.1.0.2"]),
    ("mx1.a.example", "AAAA", "NOERROR", ["AAAA ::1"]),
    ("x.y.tail.example", "MX", "NOERROR", ["MX 5 mx1.a.example."]),
    ("tail.example", "MX", "NOERROR", []),
    ("d1000.many.example", "MX", "NOERROR", ["MX 5 mx1.a.example."]),
    ("d1001.many.example", "MX", "NXDOMAIN", []),
    ("alias.example", "MX", "NOERROR",
     ["CNAME a.example.", "MX 10 mx1.a.example.", "MX 20 mx2.a.example."]),
    ("null.example", "MX", "NOERROR", ["MX 0 ."]),
    ("gone.example", "MX", "NXDOMAIN", []),
    ("unheard-of.example", "MX", "NXDOMAIN", []),
    ("broken.example", "MX", "SERVFAIL", []),
    ("closed.example", "MX", "REFUSED", []),
    ("more.example", "A", "NOERROR", ["A 127.9.9.9"]),
]
for how in ("+notcp", "+tcp"):
    for name, kind, status, want in CASES:
        have = dig(how, name, kind)
        tap.same(have[:2], (status, want), "%s %s %s" % (how, kind, name))

status, _, text = dig("unheard-of.example", "MX")
tap.ok(re.search(r"^example\.\s.*SOA", text, re.M), "NXDOMAIN has its SOA",
       text)
_, _, text = dig("brief.example", "A")
tap.ok(re.search(r"^brief.example.\s+7\s", text, re.M),
       "the time to live is the stated one", text)
status, have, text = dig("big.example", "A")
tap.same((status, have), ("NOERROR", ["A 127.0.0.9"]),
         "a truncated answer is fetched by TCP")
tap.ok("retrying in TCP" in text, "having been truncated", text)
status, have, text = dig("+ignore", "+notcp", "big.example", "A")
tap.ok(have == [] and " tc" in text, "the truncated one is empty", text)
start = time.monotonic()
status, have, _ = dig("slow.example", "A")
took = time.monotonic() - start
tap.ok(status == "NOERROR" and have == ["A 127.0.0.1"] and took >= 0.4,
       "a delayed answer comes, late", took)
status, have, text = dig("+time=1", "hung.example", "A")
tap.ok(status == "" and "timed out" in text, "silence is silence", text)
status, have, text = dig("+noedns", "a.example", "MX")
tap.same((status, len(have)), ("NOERROR", 2), "a client without EDNS")
status, _, _ = dig("+opcode=UPDATE", "a.example", "SOA")
tap.same(status, "NOTIMP", "another kind of query")

server.stop()
n = server.counts("dns")
tap.same(server.code, 0, "it ends well")
tap.ok(n["silent"] == 1 and n["late"] == 1 and n["tcp"] >= len(CASES),
       "it counted", n)
code, _ = run("dns", "--zone", "a.example WHAT")
tap.same(code, 2, "a wrong fact is a usage error")
tap.done()
