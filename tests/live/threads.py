#!/usr/bin/env python3
"""Every thread of the daemon at once: mail comes in with and without TLS, is
signed, looked up, delivered, put off and bounced; meanwhile the configuration is read
again, operators look and act, and the daemon is stopped in the middle of it
all, twice, and started on what it left. In both shapes: one worker for each
direction, and several with the engine on a thread of its own. All of it is recorded, and replayed at the end.

A race that ThreadSanitizer sees ends the daemon and so the test.
"""
# tsan: the daemon as a whole
# parallel: nothing of it is measured, and what it waits for comes at last
# timeout: 60 180
# takes: 45

import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtad import Mtad, wait_for
from simlib import LONG, MTASIM, Server, Tap, free_port, path, run, run_json

WORLD = """
seed: 3
provider:
  fine:
    domains: ["f{1..40}.example"]
    mx: [5 mx1.fine.example 127.83.0.1, 10 mx2.fine.example 127.83.0.2]
    tls: { cert: %(cert)s, key: %(key)s }
    replies: ["rcpt:3%%:550 5.1.1 nobody", "eom:3%%:451 4.3.0 later"]
  busy:
    domains: ["b{1..10}.example"]
    mx: 5 mx.busy.example 127.83.0.3
    per_source: { connections: 8 }
    messages_per_connection: 3
    replies: ["mail:5%%:421 4.7.0 slow down", "data:3%%:close"]
"""
EXTRA = """
smtp_port: %(port)d
workers: %(workers)d
stop_timeout: 2s
dns: { servers: ["%(dns)s"], timeout: 2s }
suppression: { bounces: { kinds: [disabled] } }
retry: { first: 1s, max: 2s }
limits: { default: { backoff_min: 200ms, backoff_max: 1s, rate_floor: none } }
dkim: { key: { k: { domain: a.example, selector: s, file: "%(key)s",
                    from: "*" } } }
"""
RATE = 120
ROUNDS = 2 if not LONG or "tsan" in os.environ["BUILD"] else 5
tap = Tap()


def certificate():
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                    "-days", "9", "-subj", "/CN=mx.example", "-keyout",
                    path("key.pem"), "-out", path("cert.pem")], check=True,
                   stderr=subprocess.DEVNULL)
    return {"cert": path("cert.pem"), "key": path("key.pem")}


def configure(d, world, workers):
    """Its directory and listener as in other tests, but the whole world."""
    dns, port = [w.split("=")[1] for w in world.ready.split()[:2]]
    extra = EXTRA % {"port": int(port), "workers": workers, "dns": dns,
                     "key": path("key.pem")}
    with open(d.conf) as f:
        text = f.read()
    text = text[:text.index("route:")]
    text = text.replace("relay_from: [127.0.0.0/8] }",
                        "relay_from: [127.0.0.0/8], tls: { cert: %s, key: %s "
                        "} }" % (path("cert.pem"), path("key.pem")))
    with open(d.conf, "w") as f:
        f.write(text + extra)


def load(d, name, *args):
    journal = path(name)
    return journal, subprocess.Popen([
        MTASIM, "load", "--target", d.target, "--rate", str(RATE),
        "--seconds", "80", "--connections", "6", "--size", "1K..20K",
        "--recipients", "2", "--domains", "f{1..40}.example=4,"
        "b{1..10}.example=1,gone.example=1", "--tenant", "t,u", "--grace",
        "30s", "--lag-max", "60s", "--json", "--journal", journal, *args],
        stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)


def look_and_act(d):
    """All that may come in from the side; answers matter little."""
    d.p.send_signal(signal.SIGHUP)
    for what in (["status"], ["queues", "--json"], ["sources"],
                 ["list", "--domain", "b1.example", "--json"],
                 ["hold", "--domain", "f1.example"],
                 ["release", "--domain", "f1.example"],
                 ["retry", "--domain", "b2.example"],
                 ["suppress", "add", "a@x.example", "*.y.example"],
                 ["suppress", "remove", "a@x.example"],
                 ["bounce", "--domain", "b3.example"],
                 ["delete", "--domain", "b4.example"]):
        code, _, err = d.verb(*what)
        if code != 0:
            return "%s: %s" % (" ".join(what), err)
    subprocess.run(["curl", "-s", "--unix-socket", d.socket,
                    "http://mtad/metrics"], stdout=subprocess.DEVNULL,
                   check=True)
    return None


def stop(d):
    d.p.terminate()
    code = d.p.wait(60)
    if code != 0:
        with open(d.err.name) as f:
            print("".join("# " + line for line in f))
    return code


def shape(workers, world, journal):
    name = "%d workers" % workers
    d = Mtad(1, name="d%d" % workers)
    configure(d, world, workers)
    ring = path("ring%d" % workers)
    d.args = ["--record", ring]
    d.start()
    loads = [load(d, "l%d" % workers),
             load(d, "m%d" % workers, "--tls", "--source", "127.0.0.9")]
    bad = None
    for _ in range(ROUNDS):
        got = d.status()["totals"]["received_total"]
        for _ in range(3):
            got += RATE // 5
            wait_for("mail goes on", lambda: d.status()["totals"][
                "received_total"] >= got, 30)
            bad = bad or look_and_act(d)
        tap.same(stop(d), 0, name + ": stops under load")
        d.start()
    tap.same(bad, None, name + ": every verb was answered")
    for _, p in loads:
        p.terminate()
    tap.same([p.wait(60) for _, p in loads], [0, 0],
             name + ": the loads end well")
    wait_for("the queue is empty", lambda: d.queued() == 0, 60)
    tap.same(stop(d), 0, name + ": stops at rest")
    world.stop()                # and so its journal is complete
    logs = os.path.join(d.dir, "log")
    args = []
    for file, _ in loads:
        args += ["--load", file]
    for file in os.listdir(logs):
        if file.endswith(".jsonl"):
            args += ["--events", os.path.join(logs, file)]
    code, sums = run_json("verify", "--sink", journal, *args)
    tap.same((code, sums.get("lost"), sums.get("duplicated"),
              sums.get("corrupted")), (0, [], [], []),
             name + ": the ledger balances")
    tap.ok(sums["total"]["delivered"] > sums["total"]["acked"] / 2,
           name + ": mail was delivered", json.dumps(sums["total"]))
    code, said = run("replay", "--engine", ring)
    tap.ok(code == 0 and " 0 gaps" in said,
           name + ": what was recorded of it replays to the same", said)


with open(path("world.yml"), "w") as file:
    file.write(WORLD % certificate())
# Under ThreadSanitizer all is slow; the quick check takes the richer shape.
for n in (4,) if "tsan" in os.environ["BUILD"] and not LONG else (2, 4):
    os.mkdir(path("w%d" % n))
    w = Server("world", path("world.yml"), "--dns", "127.0.0.1:%d" %
               free_port(), "--port", free_port(), "--journal",
               path("w%d" % n), name="world%d" % n)
    shape(n, w, path("w%d/world.journal" % n))
tap.done()
