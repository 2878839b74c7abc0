"""Incidents for the ETA: scenarios of outages, throttles, greylists, rate
steps, load steps and dead hosts, drawn from a seed. Whoever tunes the engine
uses other seeds than who judges it."""

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
source: {{ a: {{}} }}
pool: {{ bulk: {{ sources: [a] }} }}
limits:
  default:
    connections: {conns}
    messages_per_connection: {per_conn}
    backoff_min: {backoff_min}
    backoff_max: {backoff_max}
{rate}retry: {{ first: {retry}, max: {retry_max} }}
messages_max: 2000000
"""


def policy(r, rate=None):
    backoff = r.choice([10, 30, 60])
    retry = r.choice([120, 300, 600])
    return POLICY.format(
        conns=r.choice([1, 2, 5, 10]), per_conn=r.choice([20, 100]),
        backoff_min=seconds(backoff),
        backoff_max=seconds(backoff * r.choice([4, 10, 30])),
        rate="    rate: %s\n    burst: %d\n" % (per_minutes(rate),
                                              r.choice([1, 10]))
        if rate else "",
        retry=seconds(retry), retry_max=seconds(retry * r.choice([4, 12])))


class Incident:
    def __init__(self, r):
        self.r = r
        self.addresses = r.choice([1, 1, 2, 4])
        self.rate = None            # what mtad is told
        self.provider = {}
        self.events = []
        self.workloads = []

    def message(self, mean_ms):
        self.provider["setup"] = "lognormal %dms" % self.r.randint(80, 500)
        self.provider["per_message"] = "gamma mean %dms k=4" % mean_ms

    def burst(self, n, over):
        self.workloads.append("arrival: campaign %d at %.6g/s" % (n, n / over))

    def steady(self, rate, length, start=0):
        self.workloads.append(
            "arrival: poisson %.6g/s for %s, start: %s"
            % (rate, seconds(length), seconds(start)))

    def event(self, at, length, stage, reply):
        self.events.append("{ at: %s, for: %s, stage: %s, reply: \"%s\" }"
                           % (seconds(at), seconds(length), stage, reply))

    def text(self):
        lines = ["name: incident", "config: POLICY", "until: 48h", "dns: 20ms",
                 "workload:"]
        for i, w in enumerate(self.workloads):
            lines.append("  w%d: { %s, recipients: { p: 1 }, size: 20K, "
                         "pool: bulk }" % (i, w))
        lines += ["pool:", "  bulk: { addresses: %d }" % self.addresses,
                  "provider:", "  p:", "    domains: p.example"]
        lines += ["    %s: %s" % kv for kv in self.provider.items()]
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


KINDS = [outage, dead_host, throttle, greylist, rate_step, load_step, burst]


def write(directory, seed, n):
    """n scenarios in a directory; their paths."""
    paths = []
    for k in range(n):
        r = random.Random("%d.%d" % (seed, k))
        kind = KINDS[k % len(KINDS)]
        i = Incident(r)
        kind(i)
        base = os.path.join(directory, "%s-%03d" % (kind.__name__, k))
        with open(base + ".mtad.yml", "w") as f:
            f.write(policy(r, i.rate))
        with open(base + ".yml", "w") as f:
            f.write(i.text().replace(
                "POLICY", os.path.basename(base) + ".mtad.yml"))
        paths.append(base + ".yml")
    return paths


if __name__ == "__main__":
    import sys
    os.makedirs(sys.argv[1], exist_ok=True)
    print("\n".join(write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
