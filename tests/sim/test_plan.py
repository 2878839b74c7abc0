#!/usr/bin/env python3
"""mtasim plan against theory: queueing formulas, token buckets, the fluid
outage table; determinism; errors of a scenario.
timeout: 120 900
"""

import json
import os
import subprocess

TMP = os.environ["TMP"]
MTASIM = os.path.join(os.environ["BUILD"], "mtasim")
LONG = os.environ.get("CHECK") == "long"
TOP = os.environ.get("TOP", ".")
results = []

CONF = """hostname: m.example
source: { a: {} }
pool: { bulk: { sources: [a] } }
client: { timeouts: { idle: %s } }
limits:
  default: { %s }
"""


def check(name, ok, detail=""):
    results.append(ok)
    print("%s %d - %s" % ("ok" if ok else "not ok", len(results), name))
    if not ok:
        print("# " + detail)


def near(got, want, part):
    return abs(got - want) <= part * want


def write(name, text):
    with open(os.path.join(TMP, name), "w") as f:
        f.write(text)
    return os.path.join(TMP, name)


def run(path, *args):
    return subprocess.run([MTASIM, "plan", path, *args],
                          capture_output=True, text=True)


def plan(path, *args):
    p = run(path, "--json", *args)
    assert p.returncode == 0, p.stderr
    return json.loads(p.stdout)


def scenario(limits, arrival, provider, idle="12h", more=""):
    write("c.yml", CONF % (idle, limits))
    return write("s.yml", "config: c.yml\ndns: 0s\n" + more +
                 "workload: { w: { arrival: %s, recipients: { p: 1 } } }\n"
                 "provider:\n  p: %s\n" % (arrival, provider))


def value(side, key):
    return side[key]["median"]


def little(p):
    """L = lambda W, over the whole run; exact but for thousandths."""
    a = p["all"]
    end = value(a, "drained_at")
    area = value(a, "mean_depth") * end
    stay = value(a, "time_mean") * value(a, "arrived")
    return abs(area - stay) <= 0.001 * end + 0.001 * value(a, "arrived")


def queues():
    seeds = "20" if LONG else "3"
    limits = ("connections: %d, messages_per_connection: 0, assign_ahead: 1")
    part = 0.02 if LONG else 0.04
    p = plan(scenario(limits % 1, "poisson 8/s for 125000s",
             "{ setup: 0s, per_message: exponential 100ms }"),
             "--seeds", seeds)
    depth = value(p["all"], "mean_depth")
    check("M/M/1 at 0.8: L = 4.0", near(depth, 4.0, part), str(depth))
    check("M/M/1: its connection cap binds", p["all"]["binds"] == "conn",
          str(p["all"]["binds"]))
    p = plan(os.path.join(TMP, "s.yml"))
    check("M/M/1: Little's law", little(p))
    why = p["all"]["reasons"]
    check("M/M/1: four fifths of the time is waiting for the server",
          near(why["conn"], 80.0, 0.02), str(why))
    p = plan(scenario(limits % 1, "poisson 8/s for 125000s",
             "{ setup: 0s, per_message: 100ms }"), "--seeds", seeds)
    depth = value(p["all"], "mean_depth") - 0.8
    check("M/D/1 at 0.8: Lq = 1.60", near(depth, 1.6, part), str(depth))
    p = plan(scenario(limits % 10, "poisson 80/s for 12500s",
             "{ setup: 0s, per_message: exponential 100ms }"),
             "--seeds", seeds)
    waited = value(p["all"], "waited")
    check("M/M/10 offered 8: P(wait) = 0.4092", near(waited, 40.92, part),
          str(waited))
    lq = value(p["all"], "mean_depth") - 8
    check("M/M/10 offered 8: Lq = 1.637", near(lq, 1.637, 2.5 * part), str(lq))


def buckets():
    for n, rate, burst in ((100, 10, 20), (1000, 7, 1), (50, 1, 50),
                           (5000, 300, 400)):
        p = plan(scenario(
            "connections: 0, messages_per_connection: 0, rate: %d/s, "
            "burst: %d" % (rate, burst), "campaign %d" % n,
            "{ setup: 0s, per_message: 0s }"))
        want = max(0, n - burst) / rate
        got = value(p["all"], "drained_at")
        check("%d messages at %d/s, burst %d" % (n, rate, burst),
              abs(got - want) <= 0.001, "%s, not %s" % (got, want))
        if want:
            check("  and the rate binds", p["all"]["binds"] == "rate")
    b = p["all"]["blocked"]["rate"]["recipient_seconds"]
    # Message burst + i waits i / rate.
    want = sum(i / 300 for i in range(1, 4601))
    check("blocked time is the sum of the waits", abs(b - want) <= 1,
          "%s, not %s" % (b, want))


def fluid(ips, hours):
    """Finish and peak of the gmail-like share, a hundredth of 8.4 million in
    12 hours; 0.05 a second and source; the outage begins after 2 hours."""
    lam, mu, t, q, peak = 84000 / 43200, ips * 0.05, 0.0, 0.0, 0.0
    for until, inflow, out in ((7200, lam, mu), (7200 + hours * 3600, lam, 0),
                               (43200, lam, mu)):
        q = max(0.0, q + (inflow - out) * (until - t))
        t, peak = until, max(peak, q)
    return t + q / mu, peak


def outages():
    # Sources that carry a message each 20 s: the bucket must hold one while
    # a connection is set up for another.
    write("c.yml", CONF % ("5s", "connections: 20, rate: 3/60s, burst: 2, "
          "backoff_min: 10s, backoff_max: 10s"))
    path = write("o.yml", """config: c.yml
workload:
  w: { arrival: constant 1.944444444/s for 12h, size: 46K,
       recipients: { gmail: 1 } }
pool: { bulk: { addresses: 52 } }
provider:
  gmail:
    per_source: { connections: 20, rate: 3/60s, burst: 50 }
    setup: 350ms
    per_message: 250ms
    events: [ { at: 2h, for: 4h, stage: mail, reply: "421 4.7.0 later" } ]
""")
    ips = (30, 40, 52, 62, 72) if LONG else (40, 52)
    hours = (0, 2, 4, 8) if LONG else (0, 4)
    rows = plan(path, "--sweep",
                "provider.gmail.events.0.for=" +
                ",".join("%dh" % h for h in hours),
                "--sweep", "pool.bulk.addresses=" + ",".join(map(str, ips)))
    cells = iter(rows)
    for h in hours:
        for n in ips:
            side = next(cells)["plan"]["all"]
            end, peak = fluid(n, h)
            got_end = value(side, "drained_at")
            got_peak = value(side, "peak")
            check("%d sources, %d h: finished within a minute" % (n, h),
                  abs(got_end - end) <= 60, "%s, not %s" % (got_end, end))
            check("  and the peak within 1 %",
                  got_peak <= 84 if peak < 1 else near(got_peak, peak, 0.01),
                  "%s, not %s" % (got_peak, peak))
            spool = value(side, "spool_peak")
            check("  and 46 KB for each",
                  near(spool, got_peak * 46 * 1024, 0.01), str(spool))


def shares():
    """Closed arrivals hold the queue; domains and tenants follow Zipf."""
    write("c.yml", CONF % ("5s", "connections: 20"))
    path = write("z.yml", """config: c.yml
dns: 0s
workload:
  w: { arrival: closed 500 of 20000, recipients: { tail: 1 },
       tenants: "zipf 1.0 over t{1..300}" }
provider:
  tail: { domains: "d{1..400}.example", zipf: 1.1, mx: own, setup: 0s }
""")
    p = plan(path)
    a = p["all"]
    check("closed: all come and all leave", value(a, "arrived") == 20000 ==
          value(a, "delivered"))
    check("closed: never more in the queue", value(a, "peak") == 500)
    # Until the last came, it was full: the rest is the last 500.
    end = value(a, "drained_at")
    full = 19500 / value(a, "throughput")
    check("closed: never fewer, while there are any", abs(
        value(a, "mean_depth") * end - 500 * full) < 500 * (end - full) + 500,
        "%s of %s" % (full, end))
    for text, words in (
            ("closed 0 of 5", "arrival"), ("closed 5", "arrival"),
            ("closed 5 of 5 of 5", "arrival")):
        p = run(scenario("connections: 5", text, "{}"))
        check("not an arrival: " + text, p.returncode == 2 and words in
              p.stderr, p.stderr)
    for text in ("zipf over t{1..3}", "zipf 1.0 over t{3..1}",
                 "zipf 1.0 t{1..3}", "acme", "zipf 1 over %s{1..9}" %
                 ("t" * 64)):
        path = scenario("connections: 5",
                        'campaign 1, tenants: "%s"' % text, "{}")
        p = run(path)
        check("no tenants: " + text[:20], p.returncode == 2 and
              "tenants, expected a map of weights" in p.stderr, p.stderr)


COUNTS = ("decisions", "comparisons", "moves")


def work(held, provider):
    write("c.yml", CONF % ("5s", "connections: 20") + "sessions_max: 300\n")
    path = write("w.yml", """config: c.yml
workload:
  w: { arrival: closed %d of %d, recipients: { tail: 1 },
       tenants: "zipf 1.0 over t{1..100}" }
pool: { bulk: { addresses: 8 } }
provider:
  tail: { domains: "d{1..3000}.example", zipf: 1.1, mx: own, setup: 300ms,
          per_message: 200ms%s }
""" % (held, held + 15000, provider))
    w = plan(path, "--counters")["work"]
    return [w["full"][k] / w["full"]["messages"] for k in COUNTS]


def costs():
    """What a message costs does not depend on how many are queued."""
    for name, provider, most in (
            ("all goes well", "", (9, 30, 19)),
            ("a fifth is deferred",
             ', replies: ["rcpt:20%:450 4.2.0 later"]', (11, 40, 25))):
        few, many = work(3000, provider), work(60000, provider)
        for k, a, b, top in zip(COUNTS, few, many, most):
            check("%s: %s a message grow by less than 5 %%" % (name, k),
                  b < 1.05 * a, "%.3f to %.3f" % (a, b))
            check("  and are no more than %d" % top, max(a, b) <= top,
                  "%.3f, %.3f" % (a, b))
    p = run(os.path.join(TMP, "w.yml"), "--counters")
    check("the counts as text", all(w in p.stdout for w in (
        "decisions each", "moves each", "messages/s", "bytes each")),
        p.stdout[-600:])


def same():
    path = os.path.join(TOP, "share/scenarios/evening-sale.yml")
    a, b = run(path, "--json"), run(path, "--json")
    c = run(path, "--json", "--seed", "2")
    check("the example works as it stands", a.returncode == 0, a.stderr)
    check("same seed, same bytes", a.stdout == b.stdout)
    check("another seed, others", a.stdout != c.stdout)
    p = json.loads(a.stdout)
    every = sum(value(s, "arrived") for s in p["provider"].values())
    a = p["all"]
    check("arrived = delivered + bounced + expired + queued, over providers",
          every == value(a, "arrived") == value(a, "delivered") +
          value(a, "bounced") + value(a, "expired") + value(a, "queued"))
    text = run(path)
    words = ("delivered/s", "queue peak", "drained at", "p99", "attempts",
             "deferrals", "spool peak", "limit that binds")
    check("the text has the same fields",
          all(w in text.stdout for w in words))


def mistakes():
    write("c.yml", CONF % ("5s", "connections: 5"))
    path = write("bad.yml", """config: c.yml
workload:
  w: { arrival: often, recipients: { nobody: 1 }, colour: red }
provider:
  p:
    setup: quick
    per_source: { rate: 5 }
pool: { none: { addresses: 3 } }
""")
    p = run(path)
    for want in ("bad.yml:3:17: arrival, expected",
                 "bad.yml:3:38: recipients, expected the name of a provider, "
                 "got 'nobody'", "bad.yml:3:51: a workload, expected arrival",
                 "bad.yml:6:12: setup, expected a time",
                 "bad.yml:7:25: rate, expected a rate",
                 "bad.yml:8:9: pool, expected the name of a pool"):
        check("an error: " + want, want in p.stderr, p.stderr)
    check("and exit code 2", p.returncode == 2)
    path = write("twice.yml", "config: c.yml\nconfig: c.yml\n")
    check("a key twice", "twice.yml:2:1" in run(path).stderr,
          run(path).stderr)
    path = scenario("connections: 5", "campaign 1", "{}")
    p = run(path, "--sweep", "provider.q.setup=1s")
    check("a sweep of a key that is not there", p.returncode == 2 and
          "provider.q.setup, expected a key" in p.stderr, p.stderr)


queues()
buckets()
outages()
shares()
costs()
same()
mistakes()
print("1..%d" % len(results))
raise SystemExit(0 if all(results) else 1)
