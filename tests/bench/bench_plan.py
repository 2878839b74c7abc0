#!/usr/bin/env python3
"""make bench: how fast mtasim plan is, at 10,000 queued and at 10 million.

Domains, each its own site, by Zipf 1.1 and 1,000 tenants by Zipf 1.0; eight
sources and a thousand sessions for all. The queue is filled and kept full: what
is measured is one message more, from its arrival to its end, at that depth.
Work a message is counted, and the same on every machine; messages a second are
of processor time on this one; bytes are the growth of the whole process.
SITES=10000 LARGE=10000000
"""

import json
import os
import subprocess
import sys

MTASIM = os.path.join(os.environ["BUILD"], "mtasim")
TMP = os.environ["TMP"]
SITES = int(os.environ.get("SITES", "10000"))
LARGE = int(os.environ.get("LARGE", "10000000"))
SMALL = 10000
COUNTS = ("decisions", "comparisons", "moves", "steps", "commands")
# Enough for all: about 4,000 messages a second at most.
SECONDS = {SMALL: 200, LARGE: 120}

CONF = """hostname: m.example
source: { a: {} }
pool: { bulk: { sources: [a] } }
limits: { default: { connections: 20 } }
sessions_max: 1000
messages_max: 100000000
queue_recipients_max: 100000000
"""
SCENARIO = """config: c.yml
until: %ds
workload:
  w:
    arrival: closed %d of 1000000000
    recipients: { tail: 1 }
    tenants: "zipf 1.0 over t{1..1000}"
pool: { bulk: { addresses: 8 } }
provider:
  tail:
    domains: "d{1..%d}.tail.example"
    zipf: 1.1
    mx: own
    setup: 300ms
    per_message: 200ms
"""


def write(name, text):
    with open(os.path.join(TMP, name), "w") as f:
        f.write(text)
    return os.path.join(TMP, name)


def work(queued):
    path = write("s.yml", SCENARIO % (SECONDS[queued], queued, SITES))
    p = subprocess.run([MTASIM, "plan", path, "--json", "--counters"],
                       stdout=subprocess.PIPE, text=True)
    if p.returncode:
        sys.exit("plan ended with %d" % p.returncode)
    w = json.loads(p.stdout)["work"]
    full = w["full"]
    row = {k: full[k] / full["messages"] for k in COUNTS}
    row["speed"] = full["messages_per_cpu_second"]
    row["bytes"] = w["bytes_per_queued"]
    row["messages"] = full["messages"]
    row["fill"] = w["fill"]["messages_per_cpu_second"]
    return row


write("c.yml", CONF)
small, large = work(SMALL), work(LARGE)
print("%-34s %12d %12d" % ("%d sites; queued" % SITES, SMALL, LARGE))
for name, key, form in (
        ("messages measured", "messages", "%12d"),
        ("messages/s of one processor", "speed", "%12d"),
        ("arrivals/s while it is filled", "fill", "%12d"),
        ("bytes for each that is queued", "bytes", "%12d")):
    print(("%-34s " + form + " " + form) % (name, small[key], large[key]))
for key in COUNTS:
    print("%-34s %12.3f %12.3f  %+.1f %%" % (
        key + " a message", small[key], large[key],
        100 * (large[key] / small[key] - 1)))
