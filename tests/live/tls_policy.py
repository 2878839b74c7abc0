#!/usr/bin/env python3
"""What protects mail on its way, cell by cell: the policy of the configuration,
DANE (RFC 7672) from a signed zone, against hosts whose TLS is good, wrong, not
there, broken, or stalls. Each row says what the RFC asks for: "tls" (delivered
over TLS), "clear" (delivered without), "waits" (deferred), and why; what waits
has reached no host."""
# parallel: measures no time
# timeout: 60

import os
import json
import signal
import smtplib
import ssl
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
import tlsworld as world
from mtalib import SKIP, Mtad, Tap, wait_for, write_config
from mtasink import Sink
from ports import free_port

if not world.has_tools():
    print("named, dnssec-signzone or openssl is not installed")
    sys.exit(SKIP)

tap = Tap()
zones = world.Zones()
port = free_port()

# ---- hosts: each an address, all with one port -------------------------------

ca = world.authority()
world.authority("other")
GOOD = world.certificate("good", ["mx.ok.example", "mx.ta.example",
                                  "pinned.example"])
WRONG = world.certificate("wrong", ["somebody.else.example"])
LATE = world.certificate("late", ["mx.tlslate.example"], expired=True)
OUR = world.certificate("sender", ["mta1.example"])
OTHER = world.certificate("stranger", ["mx.strange.example"], ca="other")


class Bad(Sink):
    """Says yes to STARTTLS, and then nonsense, or nothing."""

    def __init__(self, stalls, **more):
        super().__init__(tls=GOOD, **more)
        self.stalls = stalls
        self.tls = self

    def wrap_socket(self, sock, server_side):
        sock.recv(1)
        if self.stalls:
            self.over.wait()
        sock.sendall(b"500 what?\r\n")
        raise EOFError


def at(n):
    return {"host": "127.0.1.%d" % n, "port": port}


class Asks(Sink):
    """Asks for a certificate, and writes down whose it was."""

    def __init__(self, **more):
        super().__init__(tls=GOOD, **more)
        self.tls.load_verify_locations(ca)
        self.tls.verify_mode = ssl.CERT_OPTIONAL
        self.names = []
        self.tls, self.real = self, self.tls

    def wrap_socket(self, sock, server_side):
        s = self.real.wrap_socket(sock, server_side=True)
        self.names.append(dict(x[0] for x in (s.getpeercert() or {}).get(
            "subject", ())).get("commonName"))
        return s


sinks = {
    "good": Sink(tls=GOOD, **at(1)),
    "clear": Sink(**at(2)),
    "wrong": Sink(tls=WRONG, **at(3)),
    "late": Sink(tls=LATE, **at(4)),
    "other": Sink(tls=OTHER, **at(5)),
    "breaks": Bad(False, **at(6)),
    "stalls": Bad(True, **at(7)),
    "asks": Asks(**at(8)),
}
ADDRESS = {name: "127.0.1.%d" % (i + 1) for i, name in enumerate(sinks)}
HASH = {"good": world.key_hash(GOOD[0]), "wrong": world.key_hash(WRONG[0]),
        "late": world.key_hash(LATE[0]), "ca": world.key_hash(ca),
        "none": "00" * 32}

# ---- the table ---------------------------------------------------------------

# domain; policy or None; host; TLSA records; what follows; words of the event.
TABLE = [
    # The configuration's policies, RFC 3207 and 7435.
    ("plain1.p", None, "good", [], "tls", ""),
    ("plain2.p", None, "clear", [], "clear", ""),
    ("plain3.p", None, "wrong", [], "tls", None),
    ("none.p", "none", "good", [], "clear", "TLS policy none"),
    ("req1.p", "required", "wrong", [], "tls", "TLS policy required"),
    ("req2.p", "required", "clear", [], "waits", "does not offer STARTTLS"),
    ("req3.p", "required", "breaks", [], "waits", "wrong version number"),
    ("req4.p", "required", "stalls", [], "waits", "timed out"),
    ("ver1.p", "verify", "good", [], "waits", "hostname mismatch"),
    ("ok", "verify", "good", [], "tls", "TLS policy verify: pkix"),
    ("ver2", "verify", "clear", [], "waits", "does not offer STARTTLS"),
    ("ver3", "verify", "wrong", [], "waits", "hostname mismatch"),
    ("tlslate", "verify", "late", [], "waits", "expired"),
    ("strange", "verify", "other", [], "waits", "self-signed"),
    ("pin", {"tls": "verify", "tls_name": "pinned.example"}, "good", [],
     "tls", "TLS policy verify: pkix"),
    ("old", {"tls": "required", "tls_min": "1.3",
             "tls_ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256"}, "good", [],
     "tls", "TLS policy required"),
    # A handshake that fails or stalls: again in clear text.
    ("fail", None, "breaks", [], "clear", "opportunistic: in clear text, for "
     "TLS with this host has failed"),
    ("stall", None, "stalls", [], "clear", "opportunistic: in clear text, "
     "for TLS with this host has failed"),
    ("asks.p", None, "asks", [], "tls", None),
    ("later.p", None, "clear", [], "clear", None),
    ("storm.p", "required", "clear", [], "waits", None),
    # The first of two hosts has no TLS.
    ("second.p", "required", "clear", [], "tls", "TLS policy required"),
    # A route's host has a name that needs no MX record to be true.
    ("routed.p", None, "clear", [], "tls", "DANE: dane-ee"),
    # DANE, RFC 7672 2.2 and 3.1: usages 3 and 2, names and dates.
    ("ee", None, "good", ["3 1 1 good"], "tls", "DANE: dane-ee"),
    ("eename", None, "wrong", ["3 1 1 wrong"], "tls", "DANE: dane-ee"),
    ("eelate", None, "late", ["3 1 1 late"], "tls", "DANE: dane-ee"),
    ("eebad", None, "good", ["3 1 1 none"], "waits", "TLSA"),
    ("eeroll", None, "good", ["3 1 1 none", "3 1 1 good"], "tls",
     "DANE: dane-ee"),
    ("ta", None, "good", ["2 1 1 ca"], "tls", "DANE: dane-ta"),
    ("tabad", None, "wrong", ["2 1 1 ca"], "waits", "hostname mismatch"),
    ("eeclear", None, "clear", ["3 1 1 good"], "waits",
     "does not offer STARTTLS"),
    ("eebreak", None, "breaks", ["3 1 1 good"], "waits",
     "wrong version number"),
    # 3.1.3, 2.2: what cannot be used asks for TLS and for no more.
    ("pkix", None, "wrong", ["1 1 1 none"], "tls", "DANE"),
    ("pkixclr", None, "clear", ["0 1 1 none"], "waits",
     "does not offer STARTTLS"),
    ("odd", None, "good", ["3 1 7 none"], "tls", "DANE"),
    # 2.1: none, or insecure: opportunistic.
    ("absent", None, "clear", [], "clear", ""),
    ("insec", None, "clear", ["3 1 1 none"], "clear", ""),
    # The policy of the configuration stands above it.
    ("must1", "dane", "good", ["3 1 1 good"], "tls", "DANE: dane-ee"),
    ("must2", "dane", "good", [], "waits", "no secure TLSA records"),
    ("must3.p", "dane", "good", [], "waits", "not secure (DNSSEC)"),
    ("must4", "dane", "good", ["1 1 1 good"], "waits", "can be used"),
    ("req5", "required", "good", ["3 1 1 none"], "tls",
     "TLS policy required"),
    # 2.1.1: bogus, or nobody answers: nothing is sent.
    ("bogus", None, "clear", [], "waits", "TLSA records of mx.bogus.example "
     "cannot be had: DNSSEC validation failed"),
    ("badaddr", None, "clear", [], "waits", None),
]
SECURE_MX_TO = {"insec": "mx.insec.p"}  # a secure MX to an insecure host

for name, policy, host, tlsa, *_ in TABLE:
    mx = SECURE_MX_TO.get(name, "mx." + name)
    zone = "p.example" if name.endswith(".p") else "example"
    zones.add(zone, "%s.example. MX 10 %s.example.\n" % (name, mx),
              signed=zone == "example")
    where = "p.example" if mx.endswith(".p") else "example"
    if name != "badaddr":
        zones.add(where, "%s.example. A %s\n" % (mx, ADDRESS[host]))
    for rec in tlsa:
        *numbers, of = rec.split()
        zones.add(where, "_%d._tcp.%s.example. TLSA %s %s\n" % (
            port, mx, " ".join(numbers), HASH[of]))
# A CNAME, all secure: RFC 7672 2.2.2, the name behind it has the records.
zones.add("example", "cname MX 10 mx.cname\nmx.cname CNAME mx.real\n"
          "mx.real A %s\n_%d._tcp.mx.real TLSA 3 1 1 %s\n" % (
              ADDRESS["good"], port, HASH["good"]))
TABLE.append(("cname", None, "good", [], "tls", "DANE: dane-ee"))
zones.add("_tcp.mx.bogus.example", "_%d TLSA 3 1 1 %s\n" % (
    port, HASH["none"]), late=True)
zones.add("mx.badaddr.example", "@ A %s\n" % ADDRESS["clear"], late=True)


zones.add("p.example", "second.p.example. MX 20 mx2.second.p.example.\n"
          "mx2.second.p.example. A %s\n" % ADDRESS["wrong"])
# Domains of one host, in a signed zone and in one that is not.
for zone in ("example", "p.example"):
    zones.add(zone, "".join("%s.%s. MX 10 mx.shared.example.\n" % (n, zone)
                            for n in ("one", "two", "strict", "again",
                                      "sure")))
zones.add("example", "mx.shared A %s\n_%d._tcp.mx.shared TLSA 3 1 1 %s\n" % (
    ADDRESS["good"], port, HASH["good"]))


def limits():
    entry = {"default": {"backoff_min": "300ms", "backoff_max": "300ms"},
             "strict.p.example": {"tls": "required"},
             "sure.p.example": {"tls": "verify"},
             "again.*": {"messages_per_connection": 1}}
    for name, policy, *_ in TABLE:
        if policy:
            entry[name + ".example"] = (
                policy if isinstance(policy, dict) else {"tls": policy})
    return entry


def told(domain, kinds):
    for e in daemon.events():
        if (e.get("recipient") == "u@%s.example" % domain and
                e["type"] in kinds):
            return e
    return None


def received(domain):
    """Sessions, of all hosts, that took mail for a domain."""
    return [m.session for s in sinks.values()
            for m in s.to("u@%s.example" % domain)]


def judge(name, policy, host, tlsa, expected, words):
    if expected == "waits":
        e = wait_for(lambda: told(name, {"TransientFailure", "Bounce"}), 10)
        said = e or {}
        ok = (said.get("type") == "TransientFailure" and not received(name) and
              (words is None or words in said.get("text", "")))
        if words and "had" not in words:
            ok = ok and said.get("stage") == "tls"
    else:
        e = wait_for(lambda: told(name, {"Delivery"}), 10)
        said = e or {}
        got = received(name)
        ok = (len(got) == 1 and got[0].tls == (expected == "tls") and
              bool(said.get("tls")) == (expected == "tls") and
              (words is None or said.get("tls_policy", "") == words))
    tap.ok(ok, "%s: %s (%s, %s)" % (name, expected, policy or "opportunistic",
                                    host + (": " + ", ".join(tlsa)
                                            if tlsa else "")),
           said)


def send(*domains):
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
        c.sendmail("", ["u@%s.example" % d for d in domains],
                   b"Subject: x\r\n\r\nx\r\n")


def session_of(domain, n=1):
    """The session that took the n-th message for a domain."""
    send(domain)
    if not wait_for(lambda: len(received(domain)) >= n, 5):
        raise SystemExit("%s: %s" % (domain, daemon.events()[-3:]))
    return received(domain)[n - 1]


def sharing():
    """A session is used again where the policy is the same, and nowhere else:
    all of these have one host."""
    s = {d: session_of(d) for d in ("one.p", "two.p", "one", "two",
                                    "strict.p")}
    tap.ok(s["one.p"] is s["two.p"], "two plain domains share a session")
    tap.ok(s["one"] is s["two"], "and so do two with secure MX records")
    tap.same(len({id(x) for x in s.values()}), 3,
             "one with a policy of its own, or other findings, does not")


def resumption():
    session_of("again.p")
    session_of("again.p", 2)

    def told_both():
        v = [e["tls"] for e in daemon.events("Delivery")
             if e["recipient"] == "u@again.p.example"]
        return v if len(v) == 2 else None
    tls = wait_for(told_both, 5) or [""]
    tap.ok(tls[-1].endswith(" resumed"), "a TLS session is resumed", tls)
    send("sure.p")
    e = wait_for(lambda: told("sure.p", {"TransientFailure", "Delivery"}),
                 5) or {}
    tap.ok("hostname mismatch" in e.get("text", ""), "but not where more is "
           "asked for than when it was made", e)


def memory():
    """A host whose handshake failed is had in clear text at once."""
    before = len(sinks["stalls"].sessions)
    send("stall")
    wait_for(lambda: len(received("stall")) == 2, 5)
    e = [e for e in daemon.events("Delivery")
         if e["recipient"] == "u@stall.example"][-1]
    tap.ok(len(received("stall")) == 2 and
           len(sinks["stalls"].sessions) <= before + 1 and
           "in clear text" in e.get("tls_policy", ""),
           "a host whose TLS failed is remembered", e)


def resolving():
    """mtad resolve says what the table says, and needs no daemon."""
    code, got, text = daemon.resolve("cname.example")
    host = got["hosts"][0]
    tap.same([code, got["secure"], host["secure"], host["tlsa"],
              host["tlsa_base"], host["tlsa_records"]],
             [0, True, True, "usable", "mx.real.example",
              ["3 1 1 " + HASH["good"]]],
             "resolve: a host with TLSA records behind its CNAME")
    tap.ok("3 1 1 " + HASH["good"] in text and "secure" in text and
           "[dnssec]" in text, "and as text", text)
    for domain, tlsa, error in (("absent", "none", None),
                                ("pkix", "unusable", None),
                                ("bogus", "failed",
                                 "DNSSEC validation failed")):
        host = daemon.resolve(domain + ".example")[1]["hosts"][0]
        tap.same([host["tlsa"], host.get("tlsa_error")], [tlsa, error],
                 "resolve: %s: %s" % (domain, tlsa))
    code, got, _ = daemon.resolve("req1.p.example")
    tap.same([code, got["secure"], got["tls"], got["apart"],
              got["hosts"][0]["addresses"], got["mta_sts"]],
             [0, False, "required", True, [ADDRESS["wrong"]], None],
             "resolve: a policy of the configuration")
    code, got, _ = daemon.resolve("gone.example")
    tap.same([code, got["status"], got["hosts"]],
             [1, "no such domain", []], "resolve: none")


def patience():
    """A host that cannot be had as the policy wants is tried again by one
    connection after a pause, whatever waits."""
    def tries():
        return [e for e in daemon.events("TransientFailure")
                if e["recipient"] == "u@storm.p.example"]

    before, had = len(sinks["clear"].sessions), len(tries())
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
        for _ in range(100):
            c.sendmail("", ["u@storm.p.example"], b"Subject: x\r\n\r\nx\r\n")
    if not wait_for(lambda: len(tries()) > had + 3, 8):
        raise SystemExit("it was not tried again: %s" % tries())
    n = len(sinks["clear"].sessions) - before
    tap.ok(0 < n <= 20, "a policy that cannot be met makes no storm", n)


def explained():
    code, out = daemon.verb("explain", "domain", "req2.p.example")
    tap.ok(code == 0 and "TLS policy required: the host does not offer "
           "STARTTLS" in out, "mtad explain says why it waits", out)


def reloading():
    """What a reload asks for holds at once, although a session in clear text
    is open."""
    conf = json.load(open(daemon.conf["file"]))
    conf["limits"]["later.p.example"] = {"tls": "required"}
    session_of("later.p", 2)
    with open(daemon.conf["file"], "w") as f:
        json.dump(conf, f)
    daemon.signal(signal.SIGHUP)
    wait_for(lambda: "taken over" in daemon.said(), 5)
    send("later.p")
    e = wait_for(lambda: told("later.p", {"TransientFailure"}), 5) or {}
    tap.ok("does not offer STARTTLS" in e.get("text", "") and
           len(received("later.p")) == 2, "a reload that asks for TLS", e)


zones.serve()
try:
    daemon = Mtad(write_config(
        "tls", smtp_port=port, limits=limits(), ipv6=False,
        source={"a": {"address": "127.0.0.10",
                      "tls": dict(zip(("cert", "key"), OUR))}},
        route={"routed.p.example": {"hosts": ["mx.ee.example"]}},
        dns={"servers": ["127.0.0.1:%d" % zones.port],
             "trust_anchor": world.path("anchor")},
        client={"tls_ca": ca, "timeouts": {"tls": "2s"},
                "host_retry_min": "1m", "host_retry_max": "1m"})).start()
    send(*[row[0] for row in TABLE])
    for row in TABLE:
        judge(*row)
    sharing()
    resumption()
    memory()
    tap.same(sinks["asks"].names, ["sender"],
             "a source shows its certificate to who asks for one")
    patience()
    explained()
    reloading()
    tap.same(daemon.stop(), 0, "it ends well")
    resolving()
finally:
    zones.stop()
tap.done()
