#!/usr/bin/env python3
"""mtasim plan against theory: queueing formulas, token buckets, the fluid
outage table; determinism; errors of a scenario.
# timeout: 180 900
# takes: 230
"""

import concurrent.futures
import json
import os
import resource
import subprocess

TMP = os.environ["TMP"]
MTASIM = os.path.join(os.environ["BUILD"], "mtasim")
os.environ["XDG_STATE_HOME"] = TMP     # uncalibrated, whoever runs it
LONG = os.environ.get("CHECK") == "long"
IS_SLOW = "asan" in os.environ["BUILD"]  # a sanitizer: seven times
TOP = os.environ.get("TOP", ".")
results = []
looked_at = [0]

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
    made = json.loads(p.stdout)
    for one in [row["plan"] for row in made] if "--sweep" in args else [made]:
        law = one["littles_law"]
        looked_at[0] += law["queues"]
        assert law["broken"] == 0 and law["queues"] == one["seeds"] * (
            len(one["provider"]) + 1), law
    return made


def scenario(limits, arrival, provider, idle="12h", more=""):
    write("c.yml", CONF % (idle, limits))
    return write("s.yml", "config: c.yml\ndns: 0s\n" + more +
                 "workload: { w: { arrival: %s, recipients: { p: 1 } } }\n"
                 "provider:\n  p: %s\n" % (arrival, provider))


def value(side, key):
    return side[key]["median"]


def little(p):
    """L = lambda W by what is printed; exact but for thousandths."""
    a = p["all"]
    end = value(a, "drained_at")
    area = value(a, "mean_depth") * end
    stay = value(a, "time_mean") * value(a, "arrived")
    return abs(area - stay) <= 0.001 * end + 0.001 * value(a, "arrived")


def queues():
    # Long: a million messages a seed, whose mean has a standard deviation of a
    # hundredth, and the median of eight one of four thousandths. Sanitized it
    # is only seen that it runs: the theory is that of the same code.
    seeds = "8"
    much = 125000 if LONG else 1500 if IS_SLOW else 12500    # seconds
    limits = ("connections: %d, messages_per_connection: 0, assign_ahead: 1")
    part = 0.02 if LONG else 0.15 if IS_SLOW else 0.04
    p = plan(scenario(limits % 1, "poisson 8/s for %ds" % much,
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
          near(why["conn"], 80.0, 0.05 if IS_SLOW else 0.02), str(why))
    p = plan(scenario(limits % 1, "poisson 8/s for %ds" % much,
             "{ setup: 0s, per_message: 100ms }"), "--seeds", seeds)
    depth = value(p["all"], "mean_depth") - 0.8
    check("M/D/1 at 0.8: Lq = 1.60", near(depth, 1.6, part), str(depth))
    p = plan(scenario(limits % 10, "poisson 80/s for %ds" % (much // 10),
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


def stalled():
    p = plan(scenario("backoff_min: 1h", "constant 20/s for 60s",
                      "{ per_source: { rate: 1/1h, burst: 20 } }",
                      more="until: 60s\n"))["all"]
    check("what has come to a stop has the throughput of all its time",
          value(p, "queued") > 0 and near(
              value(p, "throughput"), value(p, "delivered") / 60, 0.01),
          str((value(p, "throughput"), value(p, "delivered"))))


def rates():
    """A rate is used to the full, whatever its bucket holds and however often
    sessions end; a peer that counts by the very same bucket refuses nothing."""
    for burst, per_conn, service, counts in (
            (1, 0, "250ms", True), (1, 20, "250ms", True),
            (1, 100, "100ms", False), (2, 100, "gamma 250ms k 4", True),
            (50, 100, "250ms", True)):
        p = plan(scenario(
            "connections: 20, messages_per_connection: %d, rate: 5/s, "
            "burst: %d, backoff_min: 10s" % (per_conn, burst),
            "campaign 2000", "{ setup: 350ms, per_message: %s%s }" % (
                service, ", per_source: { rate: 5/s, burst: %d }" % burst
                if counts else "")))
        a = p["all"]
        want = (2000 - burst) / 5
        got = value(a, "drained_at")
        name = "5/s, burst %d, %s a message, %d in a connection" % (
            burst, service, per_conn)
        check(name, want <= got <= want + 1.5, "%s, not %s" % (got, want))
        check("  nothing is refused, and the rate binds",
              value(a, "deferrals") == 0 and a["binds"] == "rate" and
              a["reasons"]["rate"] > 95, str(a["reasons"]))


def fluid(ips, hours):
    """Finish (s) and peak (messages) of 8.4 million in 12 hours, 5 a second
    from each source, an outage from the second hour on."""
    lam, mu, t, q, peak = 8.4e6 / 43200, ips * 5.0, 0.0, 0.0, 0.0
    for until, inflow, out in ((7200, lam, mu), (7200 + hours * 3600, lam, 0),
                               (43200, lam, mu)):
        q = max(0.0, q + (inflow - out) * (until - t))
        t, peak = until, max(peak, q)
    return t + q / mu, peak


def said(end, peak):
    return "%dh%02d, %.2fM" % (end // 3600, end % 3600 // 60, peak / 1e6)


def cell(side, ips, hours, scale, beside):
    """One cell of the table, in a world 1 / scale as large."""
    end, peak = fluid(ips, hours)
    got = value(side, "drained_at"), scale * value(side, "peak")
    print("# %d sources, %d h: fluid %s; plan %s; default policy %s" % (
        ips, hours, said(end, peak), said(*got),
        said(value(beside, "drained_at"), scale * value(beside, "peak"))))
    check("%d sources, %d h: finished within a minute" % (ips, hours),
          abs(got[0] - end) <= 60, "%s, not %s" % (got[0], end))
    check("  and the peak within 1 %",
          got[1] <= 8400 if peak < 1 else near(got[1], peak, 0.01),
          "%s, not %s" % (got[1], peak))
    spool = value(side, "spool_peak") * scale
    check("  and 46 KB for each", near(spool, got[1] * 46 * 1024, 0.01),
          str(spool))
    check("  the default policy is no faster",
          value(beside, "drained_at") >= got[0] - 60)


def small(name, policy, scale):
    """share/scenarios/outage.yml in a world 1 / scale as large."""
    write(name + ".conf", CONF % ("5m", "rate: %g/100s%s" % (
        500 / scale, policy)))
    return write(name, "config: " + name + """.conf
workload:
  w: { arrival: constant %.9f/s for 12h, size: 46K, recipients: { gmail: 1 } }
pool: { bulk: { addresses: 52 } }
provider:
  gmail:
    per_source: { connections: 20, rate: %g/100s, burst: 50 }
    setup: lognormal 350ms
    per_message: gamma mean 250ms k=4
    events: [ { at: 2h, for: 4h, stage: mail, reply: "421 4.7.0 later" } ]
""" % (8.4e6 / 43200 / scale, 500 / scale))


def table(path, cells):
    """Each cell of the table, on two processors."""
    with concurrent.futures.ThreadPoolExecutor(2) as two:
        return [row[0]["plan"]["all"] for row in two.map(
            lambda c: plan(path, "--sweep",
                           "provider.gmail.events.0.for=%dh" % c[0], "--sweep",
                           "pool.bulk.addresses=%d" % c[1]), cells)]


def outages():
    """The whole table in a world a hundredth as large; the long variant in one a
    twentieth as large, and the scenario's own cell as it stands."""
    ips, hours = (30, 40, 52, 62, 72), (0, 2, 4, 8)
    if IS_SLOW:
        ips, hours = (52,), (0, 4)
    cells = [(h, n) for h in hours for n in ips]
    probing = ", backoff_min: 10s, backoff_max: 10s"
    scale = 20 if LONG and not IS_SLOW else 100
    sides = table(small("o.yml", probing, scale), cells)
    # The default policy is asked of the smaller world.
    defaults = table(small("d.yml", "", 100), cells)
    for (h, n), side, other in zip(cells, sides, defaults):
        alone = dict(other, peak=dict(other["peak"]))
        alone["peak"]["median"] *= 100 // scale
        cell(side, n, h, scale, alone)
        if (n, h) == (52, 4) and LONG and not IS_SLOW:
            whole = table(os.path.join(TOP, "share/scenarios/outage.yml"),
                          [(h, n)])[0]
            other["peak"]["median"] *= 100
            cell(whole, n, h, 1, other)
    # Another rate, two outages: each fills what it lets in.
    write("c.yml", CONF % ("5m", "rate: 2/s" + probing))
    p = plan(write("two.yml", """config: c.yml
workload:
  w: { arrival: constant 10/s for 3h, recipients: { p: 1 } }
pool: { bulk: { addresses: 7 } }
provider:
  p:
    per_source: { rate: 2/s, burst: 10 }
    events:
      - { at: 30m, for: 30m, stage: connect, reply: "421 4.7.0 later" }
      - { at: 90m, for: 45m, stage: mail, reply: "451 4.7.0 later" }
"""))["all"]
    # 18,000 - 7,200 left of the first; 27,000 more in the second.
    check("two outages: the peak", near(value(p, "peak"), 10800 + 27000,
                                        0.01), str(value(p, "peak")))


def short_outages():
    """Where pauses are not short beside the outage it ends, for a path, with
    the first probe after it: each comes a pause, a set-up and a refusal after
    the one before, the first as the outage begins. That one session delivers,
    the others, which stand, follow at once, and the queue grows no more."""
    cycle, lam = 10 + 0.35 + 0.05, 200
    write("c.yml", CONF % ("5m", "rate: 5/s, backoff_min: 10s, "
                           "backoff_max: 10s"))
    for hold in (60,) if IS_SLOW else (60, 80, 180):
        p = plan(write("s.yml", """config: c.yml
workload:
  w: { arrival: constant %d/s for 20m, recipients: { p: 1 } }
pool: { bulk: { addresses: 60 } }
provider:
  p:
    per_source: { connections: 20, rate: 5/s, burst: 50 }
    setup: 350ms
    per_message: 250ms
    events: [ { at: 10m, for: %ds, stage: mail, reply: "421 4.7.0 later" } ]
""" % (lam, hold)))["all"]
        # A probe by a session that stands saves the set-up.
        want = -(-hold // cycle) * cycle + 0.25
        least = -(-hold // (cycle - 0.35)) * (cycle - 0.35)
        got = value(p, "peak") / lam
        check("an outage of %d s is one of %.1f for who asks each 10" % (
            hold, want), least <= got <= 1.005 * want, str(got))


SPARKPOST = (200, 500, 1000, 2000, 5000, 10000, 20000, 40000, 50000, 75000,
             100000, 150000, 200000, 250000)


def by_day(n, schedule, rate, more=""):
    """What n young sources deliver on each of 14 days, with mail to spare."""
    write("c.yml", "hostname: m.example\nsource: { a: {} }\n"
          "pool: { bulk: { sources: [a] } }\nexpire: 60d\n"
          "limits: { default: { backoff_min: 5m, backoff_max: 5m } }\n")
    p = plan(write("w.yml", """config: c.yml
until: 14d
workload: { w: { arrival: constant %f/s for 14d, recipients: { p: 1 } } }
pool: { bulk: { addresses: %d, warming: { schedule: %s%s } } }
provider: { p: {} }
""" % (rate / 86400, n, schedule, more)))
    assert p["course"]["bucket_seconds"] == 86400
    return [b["delivered"] for b in p["course"]["buckets"]], p


def warming():
    one = [v // 100 for v in SPARKPOST]
    for n, days in ((12, (9, 11, 14)), (24, (8, 9, 12)))[IS_SLOW:]:
        got, p = by_day(n, one, 35000)
        want = [n * v for v in one if n * v <= 35000]
        check("%d young sources carry their table" % n,
              got[:len(want)] == want, str(got))
        first = tuple(next(d for d, v in enumerate(got, 1) if v >= most)
                      for most in (5000, 10000, 30000))
        check("  500k, 1M and 3M a day from days %d, %d, %d" % days,
              first == days, str(first))
        check("  and their refusals bind", p["all"]["binds"] == "backoff")
    got, p = by_day(1, "sparkpost-30d", 100000)
    check("the table by name: 100k on day 11, 250k on day 14, 903,700 by then",
          got == list(SPARKPOST) and sum(got) == 903700, str(got))
    got, p = by_day(2, one, 100, ", count: 1, day: 3")
    check("what a young source may not carry goes by an old one",
          got[:13] == [100] * 13 and value(p["all"], "peak") < 10 and
          value(p["all"], "deferrals") > 10,
          str((got, value(p["all"], "peak"))))


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
    cases = (("all goes well", "", (3, 30, 19)),
             ("a fifth is deferred",
              ', replies: ["rcpt:20%:450 4.2.0 later"]', (4, 40, 25)))
    for name, provider, most in cases if LONG else cases[1:]:
        few, many = work(10000, provider), work(60000 if LONG else 30000,
                                                provider)
        for k, a, b, top in zip(COUNTS, few, many, most):
            # A quarter of one is not a queue's length: more queued are at
            # more of the sites.
            check("%s: %s a message grow by less than 5 %%" % (name, k),
                  b < 1.05 * a + 0.25, "%.3f to %.3f" % (a, b))
            check("  and are no more than %d" % top, max(a, b) <= top,
                  "%.3f, %.3f" % (a, b))
    write("c.yml", CONF % ("5m", "rate: 5/s, connections: 20"))
    w = plan(write("r.yml", """config: c.yml
workload: { w: { arrival: constant 300/s for 60s, recipients: { p: 1 } } }
pool: { bulk: { addresses: 50 } }
provider: { p: { setup: 350ms, per_message: 250ms } }
"""), "--counters")["work"]["fill"]
    each = w["decisions"] / w["messages"]
    check("50 paths at their rate: none looks at all of them each time",
          each <= 35, "%.1f decisions" % each)
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


def warm_up():
    """The month of four new addresses; quick: ten days with a tenth of its
    mail and a tenth of that."""
    here = os.path.join(TOP, "share", "scenarios")
    with open(os.path.join(here, "warmup.yml")) as f:
        text = f.read()
    days, scale = (30, 1) if LONG and not IS_SLOW else (10, 40)
    if scale > 1:
        text = text.replace("23.1481481/s", "%.7f/s" % (23.1481481 / scale))
        text = text.replace("720h", "%dh" % (24 * days))
    with open(os.path.join(here, "warmup.mtad.yml")) as f:
        write("warmup.mtad.yml", f.read())
    made = plan(write("warmup.yml", text))
    pairs = made["warmup"]
    check("warm-up: four addresses at three providers and the others",
          len(pairs) == 16, str(len(pairs)))
    check("warm-up: all is delivered, nothing refused, whatever day it is",
          made["all"]["delivered"]["median"] > 0.99 * 23.14 / scale * 86400 *
          days and all(d["deferred"] + d["refused"] == 0
                       for p in pairs for d in p["days"]))
    check("warm-up: no day has more than its share",
          all(d["sent"] <= d["share"] for p in pairs for d in p["days"]))
    check("warm-up: each day stands in the calendar",
          all(len(p["days"]) == days for p in pairs),
          str([len(p["days"]) for p in pairs]))
    steps = all(
        b["stage"] == a["stage"] + (10 * a["delivered"] > 9 * a["share"])
        for p in pairs for a, b in zip(p["days"], p["days"][1:]))
    check("warm-up: the next stage follows a day that carried its share, "
          "and no other", steps)
    check("warm-up: the new ones come far at the large provider",
          all(p["days"][-1]["stage"] >= (3 if scale > 1 else 8)
              for p in pairs if p["provider"] == "google"),
          str([p["days"][-1] for p in pairs]))


def processor_s():
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


for part in (queues, buckets, stalled, rates, outages, short_outages, warming,
             warm_up, shares, costs, same, mistakes):
    # What only counts or measures is done without sanitizers.
    if part in (costs, outages) and IS_SLOW:
        continue
    before = processor_s()
    part()
    print("# %s: %.1f s of the processor" % (part.__name__,
                                             processor_s() - before))
check("Little's law holds on every queue of every run", looked_at[0] > 30,
      str(looked_at))
print("1..%d" % len(results))
raise SystemExit(0 if all(results) else 1)
