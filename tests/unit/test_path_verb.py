#!/usr/bin/env python3
"""`mtad explain path` as its user meets it: every effective value with the file
and line that it came from, without a daemon."""

import json
import os
import subprocess

TMP = os.environ["TMP"]
MTAD = os.path.join(os.environ["BUILD"], "mtad")

done = []


def ok(holds, name, what=""):
    done.append(holds)
    print("%sok %d - %s" % ("" if holds else "not ", len(done), name))
    if not holds:
        print("# %r" % (what,))


def write(name, text):
    path = os.path.join(TMP, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def run(*argv):
    r = subprocess.run([MTAD, "explain", "path", *argv],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=60)
    return r.returncode, r.stdout.decode(), r.stderr.decode()


more = write("more.yml", """
provider:
  big:
    mx: mx.big.example
    connections: 5
    messages_per_connection: 30
    source:
      a: { connections: 2, rate: 10/m }
domain:
  d.example: { messages_per_connection: ~ }
""")
conf = write("mtad.yml", """hostname: mx.example
source: { a: { address: 10.0.0.1 }, b: { address: 10.0.0.2 } }
shaping: [%s]
shaping_shipped: false
route: { r.example: { hosts: [7.mx.big.example] } }
limits:
  default: { messages_per_connection: 40, backoff_min: 2m }
""" % more)


def limits(*argv):
    status, out, err = run(*argv, "-c", conf, "--json")
    assert status == 0, err
    a = json.loads(out)
    return a, {x["name"]: [x["value"], x["layer"],
                           os.path.basename(x["file"] or "-"), x["line"]]
               for x in a["limits"]}


a, v = limits("x.example", "a", "--mx", "in.mx.big.example")
ok(v["connections"] == ["2", "provider for this source", "more.yml", 8]
   and v["rate"] == ["10/1m", "provider for this source", "more.yml", 8]
   and v["messages_per_connection"] == ["30", "provider", "more.yml", 6]
   and v["backoff_min"] == ["2m", "default", "mtad.yml", 7]
   and v["burst"] == ["1", "built in", "-", 0],
   "each value says its layer, file and line", v)
ok(a["provider"] == "big" and a["provider_by"] == "mx"
   and a["provider_for"] == "in.mx.big.example", "and why that provider", a)
a, v = limits("r.example", "b")
ok(a["hosts_from"] == "route" and v["connections"][0] == "5",
   "the hosts of a route need no look-up", (a, v))
a, v = limits("d.example", "--mx", "in.mx.big.example")
ok(v["messages_per_connection"] == ["40", "domain", "more.yml", 10]
   and [x["unset"] for x in a["limits"]
        if x["name"] == "messages_per_connection"] == [True],
   "~ falls back to the default, and says where", v)
a, v = limits("x.example", "--mx", "mx.other.example")
ok(a["provider"] is None and v["connections"] == ["20", "built in", "-", 0],
   "who is nobody's gets the default", (a, v))
status, out, err = run("x.example", "b", "--mx", "mx.big.example", "-c", conf)
ok(status == 0 and "provider  big" in out and "more.yml:5" in out,
   "a table for people", out)
status, out, err = run("x.example", "nosuch", "--mx", "mx.example", "-c", conf)
ok(status == 1 and "nosuch" in err, "a source that there is not", err)
status, out, err = run("-c", conf)
ok(status == 2, "a domain is needed", err)
bad = write("bad.yml", "hostname: mx.example\nprovider: { p: { conns: 1 } }\n")
status, out, err = run("x.example", "--mx", "mx.example", "-c", bad)
ok(status == 1 and "bad.yml:2:18:" in err, "errors are told", err)
print("1..%d" % len(done))
