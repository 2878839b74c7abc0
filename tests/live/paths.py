#!/usr/bin/env python3
"""Sessions as receivers see them: source addresses in turn, limits of a path
to the letter, reuse and QUIT, preference and failover of hosts, clear text
where the handshake fails, few connections to a host that says nothing."""
# parallel: its bounds leave room for others
# timeout: 90
# takes: 30

import collections
import os
import signal
import ssl
import subprocess
import smtplib
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
import hostile
from mtalib import (Mtad, Tap, free_port, path, smart, wait_for,
                    write_config)
from mtasink import Sink
from simlib import Server

tap = Tap()
SOURCES = {"a": {"address": "127.0.0.10"}, "b": {"address": "127.0.0.11"}}
BOTH = {"source": SOURCES, "pool": {"default": {"sources": ["a", "b"]}}}


class Watch:
    """A rule that writes down who comes, how many at once, and when."""

    def __init__(self, hold=0):
        self.hold = hold
        self.now = collections.Counter()
        self.most = collections.Counter()
        self.froms = []
        self.mails = []

    def __call__(self, stage, text, session):
        if stage == "connect":
            session.peer = session.sock.getpeername()[0]
            self.froms.append(session.peer)
            self.now[session.peer] += 1
            self.most[session.peer] = max(self.most[session.peer],
                                          self.now[session.peer])
            session.mails = 0
        if stage == "MAIL":
            session.mails += 1
            self.mails.append(time.monotonic())
        if stage == "body":
            time.sleep(self.hold)
        return None


class Counted(Sink):
    def serve(self, s):
        super().serve(s)
        if hasattr(s, "peer"):
            self.rule.now[s.peer] -= 1


def send(daemon, count=1, domain="to.example"):
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
        for _ in range(count):
            c.sendmail("", ["u@" + domain], b"Subject: x\r\n\r\nx\r\n")


def arrived(sink, n):
    return wait_for(lambda: len(sink.got()) >= n)


def start(sink, name, limits=None, **more):
    return Mtad(write_config(name, **{
        "route": smart(sink), "limits": {"default": limits or {}},
        **more})).start()


def in_turn():
    sink = Counted(Watch())
    daemon = start(sink, "turn", {"messages_per_connection": 1}, **BOTH)
    for n in range(6):
        send(daemon)
        arrived(sink, n + 1)
    seen = sink.rule.froms
    tap.ok(len(seen) == 6 and set(seen) == {"127.0.0.10", "127.0.0.11"} and
           all(x != y for x, y in zip(seen, seen[1:])),
           "sources take turns, each from its address", seen)
    tap.ok(wait_for(lambda: all(s.lines[-1:] == [b"QUIT"]
                                for s in sink.sessions)),
           "each session ends with QUIT",
           [s.lines[-1:] for s in sink.sessions])
    tap.same({e["source"] for e in daemon.events("Delivery")}, {"a", "b"},
             "the event log says from where")
    daemon.kill9()


def reuse():
    sink = Counted(Watch())
    daemon = start(sink, "reuse")
    for n in range(5):
        send(daemon)
        arrived(sink, n + 1)
    tap.same(sink.rule.froms, ["127.0.0.10"], "a connection is used again")
    daemon.kill9()


def apart():
    """Domains of one host: what is said about one meets no other."""
    sink = Counted(Watch())
    port = free_port()

    def conf(slow):
        return write_config("apart", route=smart(sink), limits={
            "default": {}, slow: {"rate": "1/h"}}, listen={"in": {
                "bind": "127.0.0.1:%d" % port, "relay_from": ["127.0.0.1"]}})

    daemon = Mtad(conf("slow.example")).start()
    for _ in range(3):
        send(daemon, 1, "slow.example")
        send(daemon, 4, "quick.example")
        send(daemon, 1, "SLOW.example")
    got = lambda name: [e for e in daemon.events("Delivery")
                        if e["recipient"].lower() == "u@" + name]
    tap.ok(wait_for(lambda: len(got("quick.example")) == 12),
           "apart: an entry for one domain does not slow another",
           len(got("quick.example")))
    tap.same(len(got("slow.example")), 1, "apart: ... and slows its own")
    conf("quick.example")
    daemon.signal(signal.SIGHUP)
    tap.ok(wait_for(lambda: len(got("slow.example")) == 6),
           "apart: a reload takes the entry away", len(got("slow.example")))
    for _ in range(5):
        send(daemon, 1, "quick.example")
        send(daemon, 1, "slow.example")
    tap.ok(wait_for(lambda: len(got("slow.example")) == 11),
           "apart: ... and gives another domain one",
           len(got("slow.example")))
    # One by the new limit, and one or two before its look-up is over.
    tap.ok(len(got("quick.example")) <= 15, "apart: ... which holds",
           len(got("quick.example")))
    daemon.kill9()


def connections():
    sink = Counted(Watch(hold=0.2))
    daemon = start(sink, "conns", {"connections": 7}, **BOTH)
    send(daemon, 150)
    tap.ok(arrived(sink, 150), "connections: all arrive")
    tap.same(dict(sink.rule.most), {"127.0.0.10": 7, "127.0.0.11": 7},
             "connections: as many as configured, for each source")
    daemon.kill9()


def messages():
    sink = Counted(Watch())
    daemon = start(sink, "msgs", {"messages_per_connection": 5,
                                  "connections": 1})
    send(daemon, 40)
    tap.ok(arrived(sink, 40), "messages per connection: all arrive")
    per = [s.mails for s in sink.sessions]
    tap.ok(max(per) <= 5 and per.count(5) >= 7,
           "messages per connection: as configured", per)
    daemon.kill9()


def rate():
    sink = Counted(Watch())
    daemon = start(sink, "rate", {"rate": "20/s", "burst": 5})
    send(daemon, 45)
    tap.ok(arrived(sink, 45), "rate: all arrive")
    t = sink.rule.mails
    # In any window W at most burst + rate * W; what the receiver's clock
    # adds is allowed for.
    over = [(i, k) for i in range(45) for k in range(i, 45)
            if k - i + 1 > 5 + 20 * (t[k] - t[i] + 0.05)]
    tap.same(over, [], "rate: never more than configured")
    tap.ok(t[-1] - t[0] < 3, "rate: nor much less", t[-1] - t[0])
    daemon.kill9()


def preference():
    world = Server("dns", "--listen", "127.0.0.1:0",
                   "--zone", "p.example MX 5 one.p.example",
                   "--zone", "p.example MX 10 two.p.example",
                   "--zone", "f.example MX 5 none.p.example",
                   "--zone", "f.example MX 10 two.p.example",
                   "--zone", "e.example MX 5 one.p.example",
                   "--zone", "e.example MX 5 two.p.example",
                   "--zone", "one.p.example A 127.71.0.1",
                   "--zone", "two.p.example A 127.71.0.2",
                   "--zone", "none.p.example A 127.71.0.3", name="dns")
    one = Counted(Watch(), host="127.71.0.1")
    two = Counted(Watch(), host="127.71.0.2", port=one.port)
    daemon = start(one, "mx", {"messages_per_connection": 1}, route={},
                   client={"host_retry_min": "1m"},
                   dns={"servers": [world.ready]}, smtp_port=one.port)
    send(daemon, 10, "p.example")
    arrived(one, 10)
    tap.same((len(one.got()), len(two.got())), (10, 0),
             "the preferred host gets it")
    for n in range(5):
        send(daemon, 1, "f.example")
        arrived(two, n + 1)
    tap.same(len(two.got()), 5, "the next one when it does not answer")
    tap.same(len(daemon.events("TransientFailure")), 1,
             "which is tried once, then remembered")
    send(daemon, 30, "e.example")
    wait_for(lambda: len(one.got()) + len(two.got()) == 45)
    tap.ok(len(one.got()) > 10 and len(two.got()) > 5,
           "hosts of one preference share", (len(one.got()), len(two.got())))
    daemon.kill9()


def route_by_names():
    """Names and addresses of a route, in the order of the list."""
    world = Server("dns", "--listen", "127.0.0.1:0",
                   "--zone", "one.r.example A 127.72.0.1",
                   "--zone", "two.r.example A 127.72.0.2",
                   "--zone", "dead.r.example SERVFAIL", name="dns")
    one = Counted(Watch(), host="127.72.0.1")
    two = Counted(Watch(), host="127.72.0.2", port=one.port)
    three = Counted(Watch(), host="127.72.0.3", port=one.port)
    hosts = {
        "a.example": ["one.r.example", "two.r.example"],
        "b.example": ["gone.r.example", "two.r.example", "one.r.example"],
        "c.example": ["dead.r.example", "127.72.0.3", "one.r.example"],
        "d.example": ["127.72.0.4", "two.r.example"],
        "e.example": ["gone.r.example", "gone.r.example"],
    }
    daemon = start(one, "route", {}, dns={"servers": [world.ready]},
                   route={d: {"hosts": h} for d, h in hosts.items()},
                   smtp_port=one.port)
    for domain in hosts:
        send(daemon, 1, domain)
    wait_for(lambda: len(one.got()) + len(two.got()) + len(three.got()) == 4,
             20)
    def to(sink):
        return sorted(m.rcpts[0].rsplit("@", 1)[1] for m in sink.got())

    tap.same(to(one), ["a.example"], "route: the first name of two")
    tap.same(to(two), ["b.example", "d.example"],
             "route: the next, without the first or when it does not answer")
    tap.same(to(three), ["c.example"], "route: an address behind a name that "
             "cannot be looked up")
    wait_for(lambda: daemon.events("Bounce"))
    tap.same(daemon.events("Bounce")[0]["recipient"].split("@")[1],
             "e.example", "route: none of its names exists")
    daemon.kill9()


class Handshake:
    """A TLS context that does something else."""

    def __init__(self, what):
        self.what = what

    def wrap_socket(self, sock, server_side):
        if self.what == "stall":
            while sock.recv(4096):
                pass
        if self.what == "garbage":
            sock.sendall(b"500 5.5.1 what was that?\r\n" * 20)
            sock.recv(4096)
        raise EOFError


def tls():
    cert, key = path("cert.pem"), path("key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-keyout", key,
                    "-out", cert], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    good = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    good.load_cert_chain(cert, key)
    # Such a server rejects us after our half of the handshake is over.
    picky = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    picky.load_cert_chain(cert, key)
    picky.verify_mode = ssl.CERT_REQUIRED
    picky.load_verify_locations(cert)
    for what in ("close", "garbage", "stall", "picky"):
        sink = Counted(Watch())
        sink.tls = picky if what == "picky" else Handshake(what)
        daemon = start(sink, "tls-" + what, {
            "messages_per_connection": 1}, client={
            "host_retry_min": "1s", "host_retry_max": "1s",
            "timeouts": {"tls": "1s"}})
        send(daemon)
        tap.ok(arrived(sink, 1), "TLS, %s: it arrives" % what,
               daemon.events("TransientFailure"))
        tap.same([m.session.tls for m in sink.got()], [False],
                 "TLS, %s: in clear text" % what)
        failed = wait_for(lambda: daemon.events("TransientFailure"), 5)
        tap.same([e["stage"] for e in failed], ["tls"],
                 "TLS, %s: the books say why" % what)
        sink.tls = good

        def with_tls():         # a second later
            send(daemon)
            return any(m.session.tls for m in sink.got())
        tap.ok(wait_for(with_tls, 10, 0.25),
               "TLS, %s: and with TLS when that works again" % what)
        daemon.kill9()
        sink.close()


def nothing_said():
    hosts, port = hostile.Hostile(), free_port()
    hosts.listen("127.0.0.1", port, hostile.silent)
    daemon = Mtad(write_config("silent", limits={"default": {}}, route={
        "*": {"hosts": ["127.0.0.1:%d" % port]}}, **BOTH)).start()
    send(daemon, 200)
    wait_for(lambda: hosts.taken.get("127.0.0.1", 0) >= 8)
    time.sleep(0.3)
    tap.same(hosts.taken["127.0.0.1"], 8, "a host that says nothing has four "
             "connections of each source")
    began = time.monotonic()
    tap.same(daemon.stop(), 0, "SIGTERM does not wait for it")
    tap.ok(time.monotonic() - began < 5, "... to speak")


def term_in_handshake():
    hosts, port = hostile.Hostile(), free_port()
    hosts.listen("127.0.0.1", port, hostile.stall_tls)
    daemon = Mtad(write_config("term", route={
        "*": {"hosts": ["127.0.0.1:%d" % port]}})).start()
    send(daemon)
    wait_for(lambda: hosts.taken)
    time.sleep(0.3)
    tap.same(daemon.stop(), 0, "SIGTERM during a handshake")


for part in (in_turn, reuse, apart, connections, messages, rate, preference,
             route_by_names, tls,
             nothing_said, term_in_handshake):
    part()
tap.done()
