"""Incidents for the ETA: scenarios of outages, throttles, hidden limits that
move, greylists, rate and load steps, dead hosts, shared limits, quotas, tenants
and young sources, drawn from a seed. Whoever tunes the engine uses other seeds
than who judges it."""

import os
import random


def seconds(x):
    return "%ds" % max(1, round(x))


def per_minutes(rate):
    return "%d/10m" % max(1, round(rate * 600))


def log_uniform(r, low, high):
    return low * (high / low) ** r.random()


POLICY = """\
hostname: mta1.example
source: {{ {sources} }}
pool: {{ bulk: {{ sources: [{names}] }} }}
limits:
  default:
    connections: {conns}
    messages_per_connection: {per_conn}
    backoff_min: {backoff_min}
    backoff_max: {backoff_max}
{rate}retry: {{ first: {retry}, max: {retry_max} }}
messages_max: 2000000
{more}"""


def policy(r, rate=None, more="", sources=None):
    backoff = r.choice([10, 30, 60])
    retry = r.choice([120, 300, 600])
    return POLICY.format(
        conns=r.choice([1, 2, 5, 10]), per_conn=r.choice([20, 100]),
        backoff_min=seconds(backoff),
        backoff_max=seconds(backoff * r.choice([4, 10, 30])),
        rate="    rate: %s\n    burst: %d\n" % (per_minutes(rate),
                                              r.choice([1, 10]))
        if rate else "",
        retry=seconds(retry), retry_max=seconds(retry * r.choice([4, 12])),
        more=more, names=", ".join(sources or ["a"]),
        sources=", ".join("%s: { %s }" % kv
                          for kv in (sources or {"a": ""}).items()))


class Incident:
    def __init__(self, r):
        self.r = r
        self.addresses = r.choice([1, 1, 2, 4])
        self.rate = None            # what mtad is told
        self.provider = {}
        self.guards = {}
        self.events = []
        self.workloads = []
        self.more = ""              # of the policy
        self.pool = ""              # of the scenario's pool
        self.sources = None

    def message(self, mean_ms):
        self.provider["setup"] = "lognormal %dms" % self.r.randint(80, 500)
        self.provider["per_message"] = "gamma mean %dms k=4" % mean_ms

    def burst(self, n, over, start=0, more=""):
        self.workloads.append(
            "arrival: campaign %d at %.6g/s, start: %s%s"
            % (max(n, 1), max(n, 1) / over, seconds(start), more))

    def steady(self, rate, length, start=0, more=""):
        self.workloads.append(
            "arrival: poisson %.6g/s for %s, start: %s%s"
            % (rate, seconds(length), seconds(start), more))

    def event(self, at, length, stage, reply):
        self.events.append("{ at: %s, for: %s, stage: %s, reply: \"%s\" }"
                           % (seconds(at), seconds(length), stage, reply))

    def text(self):
        lines = ["name: incident", "config: POLICY", "until: 48h", "dns: 20ms",
                 "workload:"]
        for i, w in enumerate(self.workloads):
            lines.append("  w%d: { %s, recipients: { p: 1 }, size: 20K, "
                         "pool: bulk }" % (i, w))
        if self.pool is not None:
            lines += ["pool:",
                      "  bulk: { addresses: %d%s }" % (self.addresses,
                                                       self.pool)]
        lines += ["provider:", "  p:"]
        self.provider.setdefault("domains", "p.example")
        lines += ["    %s: %s" % kv for kv in self.provider.items()]
        if self.guards:
            lines.append("    guards:")
            lines += ["      %s: %s" % kv for kv in self.guards.items()]
        if self.events:
            lines.append("    events:")
            lines += ["      - " + e for e in self.events]
        return "\n".join(lines) + "\n"


def outage(i):
    r = i.r
    i.message(r.randint(100, 600))
    length = log_uniform(r, 300, 7200)
    i.steady(log_uniform(r, 0.5, 5), 900 + length * r.uniform(0.5, 1.5))
    i.event(r.uniform(60, 900), length, "mail",
            r.choice(["421 4.7.0 try again later",
                      "421 4.3.2 system not accepting messages"]))


def dead_host(i):
    r = i.r
    i.message(r.randint(100, 600))
    length = log_uniform(r, 300, 7200)
    i.steady(log_uniform(r, 0.5, 5), 900 + length * r.uniform(0.5, 1.5))
    i.event(r.uniform(60, 900), length, "connect",
            r.choice(["silent", "close", "421 4.3.2 not now"]))


def throttle(i):
    r = i.r
    i.message(r.randint(100, 400))
    rate = log_uniform(r, 0.5, 8)
    burst = r.choice([1, 5, 20])
    over = r.choice(["421 4.7.28 slow down", "450 4.7.1 rate exceeded",
                     "451 4.7.1 too many messages"])
    if r.random() < 0.6:
        i.rate = rate * r.uniform(0.5, 0.95)
    i.provider["per_source"] = ("{ rate: %s, burst: %d, over: \"%s\" }"
                                % (per_minutes(rate), burst, over))
    i.burst(int(rate * i.addresses * log_uniform(r, 600, 7200)),
            r.uniform(1, 600))


def greylist(i):
    r = i.r
    i.message(r.randint(100, 400))
    i.provider["replies"] = "[\"rcpt:%d%%:%s\"]" % (
        r.choice([5, 10, 30, 60]),
        r.choice(["450 4.2.0 greylisted, try again in 300 seconds",
                  "451 4.7.1 greylisting in action, please come back later"]))
    i.burst(int(log_uniform(r, 100, 5000)), r.uniform(60, 1200))


def rate_step(i):
    r = i.r
    i.message(r.randint(100, 400))
    i.rate = log_uniform(r, 0.5, 8)
    rate = i.rate * i.addresses
    n = int(rate * log_uniform(r, 900, 7200))
    at = n / rate * r.uniform(0, 0.8)
    i.event(at, log_uniform(r, 60, 900), "rcpt",
            "451 4.3.0 temporary failure")
    i.burst(n, r.uniform(1, 300))


def load_step(i):
    r = i.r
    i.message(r.randint(100, 400))
    i.rate = log_uniform(r, 0.5, 8)
    rate = i.rate * i.addresses
    i.steady(rate * r.uniform(0.2, 0.8), log_uniform(r, 3600, 14400))
    i.steady(rate * r.uniform(0.5, 3), log_uniform(r, 300, 3600),
             r.uniform(300, 1800))


def burst(i):
    r = i.r
    i.message(r.randint(100, 2000))
    i.burst(int(log_uniform(r, 200, 20000)), r.uniform(1, 900))
    if r.random() < 0.5:
        i.provider["replies"] = "[\"rcpt:%d%%:550 5.1.1 no such user\"]" % (
            r.choice([1, 5]))


def flapping(i):
    """Outages, one after the other."""
    r = i.r
    i.message(r.randint(100, 600))
    at = r.uniform(60, 900)
    for _ in range(r.randint(2, 6)):
        length = log_uniform(r, 60, 1800)
        i.event(at, length, r.choice(["mail", "connect"]),
                "421 4.3.2 not now")
        at += length + log_uniform(r, 60, 1800)
    i.steady(log_uniform(r, 0.5, 5), at)


def hidden_steps(i):
    """A limit that nobody tells, and that moves."""
    r = i.r
    i.message(r.randint(50, 300))
    rate, at, steps = log_uniform(r, 0.5, 10), 0, []
    for _ in range(r.randint(1, 4)):
        at += log_uniform(r, 600, 7200)
        steps.append("{ at: %s, rate: %s }" % (
            seconds(at), per_minutes(rate * r.choice([0.5, 1, 2]))))
    i.guards["pace"] = (
        "{ bucket: %s, burst: %d, over: \"%s\", steps: [%s] }" % (
            per_minutes(rate), r.choice([1, 5, 20]),
            r.choice(["421 4.7.0 too fast, slow down",
                      "450 4.7.1 rate exceeded"]), ", ".join(steps)))
    load = rate * i.addresses * r.uniform(0.6, 1.3)
    i.steady(load, log_uniform(r, 1800, 10800))
    if r.random() < 0.5:
        i.burst(int(load * log_uniform(r, 300, 3600)), 60,
                r.uniform(0, 3600))


def penalty(i):
    """Who goes over stays out for a while."""
    r = i.r
    i.message(r.randint(50, 300))
    rate = log_uniform(r, 0.5, 10)
    i.guards["volume"] = (
        "{ bucket: %s, burst: %d, penalty: %s, over: \"%s\" }" % (
            per_minutes(rate), r.choice([5, 20, 100]),
            seconds(log_uniform(r, 60, 1800)),
            r.choice(["421 4.7.28 unusual rate of mail", "421 4.7.0 [TSS04] "
                      "messages temporarily deferred"])))
    i.burst(int(rate * i.addresses * log_uniform(r, 600, 7200)),
            r.uniform(1, 1800))


def window(i):
    """So many in each minute or hour of the receiver's clock."""
    r = i.r
    i.message(r.randint(50, 300))
    n, per = r.choice([(r.randint(20, 600), "m"), (r.randint(200, 20000), "h")])
    i.guards["volume"] = "{ %s: %d/%s, over: \"452 4.3.1 too many\" }" % (
        r.choice(["window", "sliding"]), n, per)
    span = {"m": 60, "h": 3600}[per]
    i.burst(int(n / span * i.addresses * log_uniform(r, 1200, 7200)),
            r.uniform(1, 1800))


def few_connections(i):
    """More of them are refused than stand."""
    r = i.r
    i.message(r.randint(300, 3000))
    i.provider["per_source"] = "{ connections: %d }" % r.choice([1, 2, 4])
    i.provider["messages_per_connection"] = r.choice([5, 20, 1000])
    i.burst(int(log_uniform(r, 500, 10000)), r.uniform(1, 900))


def shared_cap(i):
    """Several destinations and tenants share one limit."""
    r = i.r
    i.message(r.randint(50, 300))
    rate, n = log_uniform(r, 1, 20), r.randint(2, 6)
    i.provider["domains"] = '"d{1..%d}.p.example"' % n
    if r.random() < 0.5:
        i.provider["mx"] = "own"
    i.provider["zipf"] = r.choice([0, 1])
    i.more = ("provider:\n  big: { domains: p.example }\n"
              "limit:\n  cap: { %swhere: { provider: big }, %s }\n" % (
                  r.choice(["", "per: source, "]),
                  r.choice(["rate: %s, burst: 5" % per_minutes(rate),
                            "connections: %d" % r.randint(1, 4)])))
    tenants = r.choice(["", ", tenants: { x: 1 }", ", tenants: { x: 3, y: 1 }"])
    i.burst(int(rate * log_uniform(r, 600, 5400)), r.uniform(1, 900), 0,
            tenants)
    if r.random() < 0.5:
        i.steady(rate * r.uniform(0.1, 0.5), 7200, 0, ", tenants: { z: 1 }")


def quota(i):
    """So many an hour or day, told."""
    r = i.r
    i.message(r.randint(50, 300))
    per, span = r.choice([("hour", 3600), ("hour", 3600), ("day", 86400),
                          ("10m", 600)])
    n = int(log_uniform(r, 100, 4000))
    i.more = ("limit:\n  q: { %squota: %d/%s }\n" % (
        r.choice(["", "per: site, "]), n, per))
    i.burst(int(n * log_uniform(r, 1.2, 8 if span < 86400 else 3)),
            r.uniform(1, 1800))


def tenants(i):
    """Tenants of other weights share a path that is slow."""
    r = i.r
    i.message(r.randint(100, 400))
    i.rate = log_uniform(r, 0.5, 8)
    rate = i.rate * i.addresses
    names = ["t%d" % k for k in range(r.randint(2, 5))]
    i.more = "tenant:\n" + "".join(
        "  %s: { weight: %d }\n" % (t, r.choice([1, 1, 2, 5])) for t in names)
    for t in names:
        i.burst(int(rate * log_uniform(r, 100, 3000)), r.uniform(1, 900),
                r.uniform(0, 1800), ", tenants: { %s: 1 }" % t)


def young(i):
    """Sources with a day's share each."""
    r = i.r
    i.message(r.randint(50, 300))
    i.pool = None
    day = [int(log_uniform(r, 200, 3000))]
    for _ in range(5):
        day.append(int(day[-1] * r.uniform(1.2, 2)))
    i.more = ("warmup:\n  w: { days: [%s]%s }\n" % (
        ", ".join(map(str, day)), r.choice(["", ", hour: 20%"])))
    i.sources = {"n%d" % k: "address: 192.0.2.%d, warmup: w" % (10 + k)
                 for k in range(r.randint(1, 3))}
    i.burst(int(len(i.sources) * day[0] * log_uniform(r, 1.1, 3)),
            r.uniform(1, 3600))


def quiet(i):
    """A tenant's hours of rest lie in the way."""
    r = i.r
    i.message(r.randint(100, 400))
    i.rate = log_uniform(r, 0.5, 8)
    start = r.randint(0, 4)
    i.more = ("tenant:\n  x: { quiet_hours: [%s] }\n" % ", ".join(
        "%02d:00-%02d:00" % (h % 24, (h + r.randint(1, 3)) % 24)
        for h in range(start, start + 24, 6)))
    i.burst(int(i.rate * i.addresses * log_uniform(r, 900, 10000)),
            r.uniform(1, 900), 0, ", tenants: { x: 1 }")


def graylist(i):
    """As receivers do it: the same again after a time."""
    r = i.r
    i.message(r.randint(100, 400))
    i.guards["grey"] = (
        "{ at: rcpt, greylist: %s, trusts_after: %d, "
        "over: \"450 4.2.0 greylisted, see http://postgrey.example\" }" % (
            seconds(r.choice([60, 300, 900])), r.choice([0, 0, 5])))
    i.burst(int(log_uniform(r, 100, 5000)), r.uniform(1, 1800))


def random_refusals(i):
    """A share of connections or transactions is refused, whatever the rate."""
    r = i.r
    i.message(r.randint(100, 600))
    i.provider["replies"] = "[\"%s:%d%%:%s\"]" % (
        r.choice(["connect", "mail", "rcpt", "eom"]), r.choice([1, 5, 20]),
        r.choice(["421 4.3.2 try later", "451 4.3.0 try again later",
                  "452 4.2.2 mailbox full"]))
    i.burst(int(log_uniform(r, 200, 8000)), r.uniform(1, 1800))


def overload(i):
    """More comes than can leave, for hours."""
    r = i.r
    i.message(r.randint(100, 400))
    i.rate = log_uniform(r, 0.5, 8)
    i.steady(i.rate * i.addresses * r.uniform(1.05, 2),
             log_uniform(r, 3600, 14400))


def slow(i):
    """A receiver that takes its time, and few at once."""
    r = i.r
    i.message(r.randint(2000, 20000))
    i.burst(int(log_uniform(r, 100, 3000)), r.uniform(1, 900))
    if r.random() < 0.5:
        i.steady(log_uniform(r, 0.02, 0.2), 7200)


MODELS = ["gmail", "yahoo", "outlook", "comcast", "orange", "laposte", "gmx",
          "mailru", "qq", "docomo", "apple", "att", "t-online", "sfr"]


def receiver(i):
    """Providers as they are modelled, with the shipped rules."""
    r = i.r
    name = r.choice(MODELS)
    i.provider = {"model": name}
    i.message(r.randint(50, 400))
    i.provider["domains"] = {"gmail": "gmail.com", "yahoo": "yahoo.com",
                             "outlook": "outlook.com"}.get(
                                 name, "%s.example" % name)
    i.burst(int(log_uniform(r, 500, 20000)), r.uniform(1, 3600),
            0, ", sender: shop.example")


def mixed(i):
    """An outage of a receiver that also has a limit, or greylists."""
    r = i.r
    r.choice([throttle, greylist, few_connections, load_step, tenants])(i)
    i.event(log_uniform(r, 30, 3600), log_uniform(r, 60, 3600),
            r.choice(["mail", "connect", "rcpt"]),
            r.choice(["421 4.3.2 not now", "451 4.3.0 try later"]))


KINDS = [outage, dead_host, throttle, greylist, rate_step, load_step, burst]
WIDE = KINDS + [flapping, hidden_steps, penalty, window, few_connections,
                shared_cap, quota, tenants, young, quiet, graylist,
                random_refusals, overload, slow, receiver, mixed]


def write(directory, seed, n, kinds=None):
    """n scenarios in a directory; their paths."""
    kinds = kinds or WIDE
    paths = []
    for k in range(n):
        r = random.Random("%d.%d" % (seed, k))
        kind = kinds[k % len(kinds)]
        i = Incident(r)
        kind(i)
        base = os.path.join(directory, "%s-%03d" % (kind.__name__, k))
        with open(base + ".mtad.yml", "w") as f:
            f.write(policy(r, i.rate, i.more, i.sources))
        with open(base + ".yml", "w") as f:
            f.write(i.text().replace(
                "POLICY", os.path.basename(base) + ".mtad.yml"))
        paths.append(base + ".yml")
    return paths


if __name__ == "__main__":
    import sys
    os.makedirs(sys.argv[1], exist_ok=True)
    print("\n".join(write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
