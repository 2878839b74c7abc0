#!/usr/bin/env python3
"""REQUIRETLS (RFC 8689): asked for at the door under TLS alone, kept through a
crash, said to the next host, and never sent to one that nothing vouches for,
whose certificate is not its own, or that does not offer it; its notices go
likewise. "TLS-Required: No" goes where a policy would have it wait."""
# parallel: measures no time
# timeout: 60

import os
import smtplib
import ssl
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
import tlsworld as world
from mtalib import SKIP, Mtad, Sink, Tap, wait_for, write_config
from mtapeer import Peer
from ports import free_port

if not world.has_tools():
    print("named, dnssec-signzone or openssl is not installed")
    sys.exit(SKIP)

tap = Tap()
zones = world.Zones()
port = free_port()
ca = world.authority()
NAMES = ["mx.%s.example" % x for x in (
    "good", "bare", "back", "unsafe.p", "late")] + ["second.example"]
GOOD = world.certificate("good", NAMES)
SELF = world.certificate("self", ["somebody.example"], ca=None)
WRONG = world.certificate("wrong", ["somebody.else.example"])
YES = ["REQUIRETLS", "8BITMIME"]

peers = {"good": Peer(YES, tls=GOOD, host="127.0.1.1", port=port),
         "bare": Peer(["8BITMIME"], tls=GOOD, host="127.0.1.2", port=port),
         "clear": Peer(YES, host="127.0.1.3", port=port),
         "wrong": Peer(YES, tls=WRONG, host="127.0.1.4", port=port),
         "self": Peer(YES, tls=SELF, host="127.0.1.5", port=port)}
HOST = {name: "127.0.1.%d" % (i + 1) for i, name in enumerate(peers)}
for name, host, zone in (
        ("good", "good", "example"), ("back", "good", "example"),
        ("bare", "bare", "example"), ("clear", "clear", "example"),
        ("wrong", "wrong", "example"), ("self", "self", "example"),
        ("bad", "good", "example"), ("unsafe.p", "good", "p.example")):
    zones.add(zone, "%s.example. MX 10 mx.%s.example.\nmx.%s.example. A %s\n"
              % (name, name, name, HOST[host]), signed=zone == "example")
for name, key in (("self", world.key_hash(SELF[0])), ("bad", "00" * 32)):
    zones.add("example", "_%d._tcp.mx.%s TLSA 3 1 1 %s\n" % (port, name, key))


def tls(p):
    c = smtplib.SMTP("127.0.0.1", p, timeout=10)
    c.ehlo("client.example")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    c.starttls(context=context)
    c.ehlo("client.example")
    return c


def send(domain, head=b"", require=True, sender="s@back.example"):
    with tls(daemon.port) as c:
        c.mail(sender, ["REQUIRETLS"] if require else [])
        c.rcpt("u@%s.example" % domain)
        code, said = c.data(head + b"Subject: x\r\n\r\nbody\r\n")
    tap.same(code, 250, "%s: taken" % domain)


def told(domain, *kinds):
    for e in daemon.events():
        if (e.get("recipient") == "u@%s.example" % domain and
                e["type"] in kinds):
            return e
    return None


def took(domain):
    return [m for p in peers.values() for m in p.to("u@%s.example" % domain)]


def goes(domain, words):
    send(domain)
    e = wait_for(lambda: told(domain, "Delivery", "Bounce"), 10) or {}
    m = (took(domain) or [None])[0]
    tap.ok(e.get("type") == "Delivery" and e.get("tls_policy") == words and
           m and m.session.tls and m.mail.endswith(" REQUIRETLS"),
           "%s: goes, %s" % (domain, words), (e, m and m.mail))


def bounces(domain, stage, words):
    send(domain)
    e = wait_for(lambda: told(domain, "Delivery", "Bounce"), 10) or {}
    tap.ok([e.get("type"), e.get("code"), e.get("enhanced"), e.get("stage")]
           == ["Bounce", 550, "5.7.30", stage] and not took(domain) and
           words in e.get("text", ""), "%s: bounced, %s" % (domain, words), e)


def at_the_door():
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
        c.ehlo("x")
        tap.ok(not c.has_extn("requiretls"), "clear text: not offered")
        tap.same(c.mail("a@b.example", ["REQUIRETLS"])[0] // 100, 5,
                 "clear text: refused")
    with tls(daemon.port) as c:
        tap.ok(c.has_extn("requiretls"), "TLS: offered")
        tap.same(c.mail("a@b.example", ["REQUIRETLS=1"])[0], 501,
                 "TLS: it has no value")


def waits_through_a_crash():
    send("wrong")
    e = wait_for(lambda: told("wrong", "TransientFailure"), 10) or {}
    tap.ok("REQUIRETLS: hostname mismatch" in e.get("text", ""),
           "wrong: waits, by its certificate", e)
    daemon.kill9()
    peers["wrong"].sessions.clear()
    daemon.start()
    wait_for(lambda: peers["wrong"].sessions, 10)
    tap.ok(wait_for(lambda: len([x for x in daemon.events("TransientFailure")
                                 if x["recipient"] == "u@wrong.example"]) > 1,
                    10) and not took("wrong"), "and behind a crash, too")


def not_shared():
    """Mail that asks for nothing does not pay for mail that does."""
    send("wrong", require=False)
    e = wait_for(lambda: told("wrong", "Delivery"), 10) or {}
    m = took("wrong")
    tap.ok(e and len(m) == 1 and "REQUIRETLS" not in m[0].mail,
           "other mail to that host goes", e)
    send("good", require=False)
    wait_for(lambda: len(took("good")) == 2, 10)
    a, b = took("good")
    tap.ok(a.session is not b.session and "REQUIRETLS" not in b.mail,
           "and shares no session with it")


def optional():
    send("bad", require=False)
    e = wait_for(lambda: told("bad", "TransientFailure"), 10) or {}
    tap.ok("TLSA" in e.get("text", ""), "bad: waits, by DANE", e)
    send("bad", b"TLS-Required: No\r\n", require=False)
    e = wait_for(lambda: told("bad", "Delivery"), 10) or {}
    tap.ok(e and b"TLS-Required: No" in took("bad")[0].data,
           "TLS-Required: No: goes, and says so on", e)
    send("clear", b"TLS-Required: No\r\n")
    wait_for(lambda: len([x for x in daemon.events("Bounce")
                          if x["recipient"] == "u@clear.example"]) == 2, 10)
    tap.same(took("clear"), [], "REQUIRETLS stands above it")


def notices():
    n = wait_for(lambda: [m for m in took_notices()], 10)
    tap.ok(n and all(m.mail.endswith(" REQUIRETLS") and m.session.tls and
                     b"body" not in m.data.split(b"message/rfc822")[-1]
                     for m in n), "notices: under REQUIRETLS, no body",
           [m.mail for m in n])


def took_notices():
    return [m for m in peers["good"].got() if m.sender == ""]


zones.serve()
try:
    pair = {"cert": GOOD[0], "key": GOOD[1]}
    end = Sink()
    hop = free_port()
    second = Mtad(write_config("second", route={
        "*": {"hosts": ["127.0.0.1:%d" % end.port]}}, listen={
        "in": {"bind": "127.0.0.1:%d" % hop, "tls": pair,
               "relay_from": ["127.0.0.0/8"]}})).start()
    daemon = Mtad(write_config(
        smtp_port=port, ipv6=False,
        limits={"default": {"backoff_min": "300ms", "backoff_max": "300ms"}},
        route={"second.example": {"hosts": ["127.0.0.1:%d" % hop],
                                  "tls_name": "second.example"}},
        listen={"in": {"bind": "127.0.0.1:%d" % free_port(),
                       "relay_from": ["127.0.0.0/8"], "tls": pair}},
        dns={"servers": ["127.0.0.1:%d" % zones.port],
             "trust_anchor": world.path("anchor")},
        client={"tls_ca": ca})).start()
    at_the_door()
    goes("good", "REQUIRETLS: pkix")
    goes("self", "DANE: dane-ee")
    bounces("bare", "local", "REQUIRETLS support required")
    bounces("clear", "local", "REQUIRETLS support required")
    bounces("unsafe.p", "dns", "vouches for the hosts")
    tap.ok(not any(b"unsafe" in x for p in peers.values()
                   for s in p.sessions for x in s.lines),
           "unsafe: nobody heard of it")
    notices()
    waits_through_a_crash()
    not_shared()
    optional()
    # Another mtad takes it, and has nowhere to send it on.
    send("second")
    e = wait_for(lambda: told("second", "Delivery"), 10) or {}
    tap.same(e.get("tls_policy"), "REQUIRETLS: pkix", "another mtad takes it")
    e = wait_for(lambda: [x for x in second.events("Bounce")], 10) or [{}]
    tap.same([e[0].get("enhanced"), end.to("u@second.example")],
             ["5.7.30", []],
             "which does not send it to a host without")
    tap.same([daemon.stop(), second.stop()], [0, 0], "both stop")
finally:
    zones.stop()
tap.done()
