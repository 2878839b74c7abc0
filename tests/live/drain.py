#!/usr/bin/env python3
"""mtad drain between two daemons: what is handed over keeps what it was, and
whoever is killed whenever, each message is at one of the two, once."""
# timeout: 100 900
# takes: 90
# parallel: it waits for kills and starts

import json
import os
import random
import smtplib
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import LONG, Mtad, Sink, Tap, path, smart, wait_for, write_config
from ports import free_port
from power import build_shim, lose

MANY = 2000 if LONG else 300
KILLS = 24 if LONG else 6
CUTS = 16 if LONG else 4
STEPS = range(1, 7) if LONG else (1, 2)
tap = Tap()
random.seed(os.environ.get("SEED", 1))
good = Sink()


def defer(stage, text, session):
    """Those who are to be tried once and wait then."""
    if stage == "RCPT" and "defer" in text:
        return "451 4.2.1 later"
    return None


tried = Sink(rule=defer)
with open(path("secret"), "w") as f:
    f.write("a secret of both nodes\n")
with open(path("other"), "w") as f:
    f.write("a secret of only one of them\n")


class Node(Mtad):
    """A daemon with a drain listener."""

    def __init__(self, name, number, sink=tried, **over):
        self.drain_port = free_port()
        drain = {"bind": "127.0.0.1:%d" % self.drain_port,
                 "from": ["127.0.0.0/8"], "secret": path("secret")}
        drain.update(over.pop("drain", {}))
        self.to = "127.0.0.1:%d" % self.drain_port
        super().__init__(write_config(
            name, node=number, route=smart(sink), drain=drain,
            retry={"first": "1h", "max": "2h"}, log_keep=1000,
            spool_segment="4M", message_size_max="2M", **over))

    def start(self, wait=20, env=None):
        """A node that is drained greets nobody: its socket must do."""
        old = dict(os.environ)
        os.environ.update(env or {})
        try:
            super().start(wait=0)
        finally:
            os.environ.clear()
            os.environ.update(old)
        if wait and not wait_for(self.answers, wait):
            raise SystemExit("mtad does not answer: " + self.said()[-2000:])
        return self

    def answers(self):
        if self.p.poll() is not None:
            raise SystemExit("mtad ended with %d:\n%s" % (
                self.p.returncode, self.said()[-2000:]))
        return self.listens()

    def listens(self):
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(self.conf["control"])
        except OSError:
            return False
        return True

    def is_up(self):
        return self.p is not None and self.p.poll() is None

    def drain(self, other, *more):
        return self.verb("drain", "--to", other, "--no-wait", *more)

    def how(self):
        return self.json("drain")

    def is_drained(self):
        """It may die while it is asked."""
        try:
            return self.how()["state"] == "drained"
        except SystemExit:
            return False

    def drained(self, seconds=30):
        return wait_for(lambda: self.how()["state"] == "drained", seconds)

    def idle(self, seconds=30):
        return wait_for(lambda: self.how()["state"] == "idle", seconds)

    def rows(self):
        """{(id, recipient's number, its domain): (tries, why)}"""
        found, twice = {}, []
        for r in self.json("list", "--limit", "100000")["recipients"]:
            key = r["id"], r["rcpt"]
            if key in found:
                twice.append(key)
            found[key] = (r["attempts"], r["why"], r["tenant"],
                          r["campaign"], r["pool"], r["domain"])
        if twice:
            raise SystemExit("listed twice: %s" % twice[:5])
        return found


def header(i):
    return "Subject: n%d\r\nX-MTA-Tenant: t%d\r\nX-MTA-Campaign: c%d\r\n" % (
        i, i % 3, i % 2)


def send(node, n, tag, sizes=(100, 3000), rcpts=1):
    """n messages; their names."""
    names = []
    with smtplib.SMTP("127.0.0.1", node.port, timeout=30) as c:
        for i in range(n):
            name = "%s-%d" % (tag, i)
            to = ["%s.%d@%s%d.example" % (name, k, tag, i % 5)
                  for k in range(rcpts)]
            c.sendmail("from@x.example", to, header(i) + "\r\n" + (
                "%s %s\r\n" % (name, "x" * 60)) *
                (1 + random.choice(sizes) // 70))
            names += to
    return names


def settle(node, names, held=True):
    """Each was tried once and waits, or is held."""
    wait_for(lambda: node.json("status")["totals"]["deferred"] >= len(names))
    if held:
        node.verb("hold", "--all")
        wait_for(lambda: node.json("status")["totals"]["held"] >= len(names))


def came():
    count = {}
    for m in good.got():
        for r in m.rcpts:
            count[r] = count.get(r, 0) + 1
    return count


def whole(m):
    """Is the message that came the one that was sent?"""
    name = m.rcpts[0].split(".")[0].encode()
    body = m.data.split(b"\r\n\r\n", 1)[1]
    return body and all(x.startswith(name + b" ")
                        for x in body.split(b"\r\n") if x)


def both(nodes):
    """All that is queued, at whichever; SystemExit if at two."""
    found = {}
    for node in nodes:
        rows = node.rows()
        if set(found) & set(rows):
            raise SystemExit("at both: %s" %
                             sorted(set(found) & set(rows))[:5])
        found.update(rows)
    return found


def deliver(nodes, names, what):
    """Lets all of it go, to a sink that takes everything, and counts."""
    for node in nodes:
        if node.how()["state"] != "idle":
            node.verb("drain", "--stop")
    for node in nodes:
        tap.ok(node.idle(), "%s: nothing is in doubt at the end" % what,
               node.how())
    for node in nodes:
        node.stop()
        with open(node.conf["file"]) as f:
            conf = json.load(f)
        conf["route"] = smart(good)
        with open(node.conf["file"], "w") as f:
            json.dump(conf, f)
        node.start()
        node.verb("release", "--all")
        node.verb("retry", "--all")
    wait_for(lambda: sum(n.json("status")["totals"]["recipients"]
                         for n in nodes) == 0, 40)
    count = came()
    tap.same(sorted(n for n in names if not count.get(n)), [],
             what + ": none is lost")
    tap.same(sorted(n for n in names if count.get(n, 0) > 1), [],
             what + ": none is doubled")
    tap.ok(all(whole(m) for m in good.got()), what + ": each is whole")
    for node in nodes:
        node.stop()
        code, said = node.spool_check()
        tap.ok(code == 0 and "0 messages" in said and "0 damaged" in said,
               what + ": both spools are clean and empty", said)
    good.clear()


# ---- it keeps what it was ----------------------------------------------------

def plain():
    a, b = Node("a", 1).start(), Node("b", 2).start()
    names = send(a, 40, "defer") + send(a, 10, "deferm", rcpts=7) + \
        send(a, 3, "deferl", sizes=(1500000,))
    partly = "partly.ok@to.example", "partly.defer@to.example"
    with smtplib.SMTP("127.0.0.1", a.port) as c:
        c.sendmail("from@x.example", partly, "Subject: partly\r\n\r\npartly x\r\n")
    settle(a, names + ["partly.defer@to.example"], held=False)
    a.verb("hold", "--tenant", "t1")
    wait_for(lambda: a.json("status")["totals"]["held"] > 0)
    before = a.rows()
    shown = {i: a.json("show", i) for i, _ in list(before)[:10]}
    tap.same(sorted(set(v[0] for v in before.values())), [1], "tried once")
    code, said = a.verb("drain", "--to", b.to)
    tap.ok(code == 0 and "drained" in said, "it says when it is drained", said)
    tap.same(a.rows(), {}, "nothing stays")
    tap.same(b.rows(), before,
             "attempts, held ones, tenant, campaign, pool are kept")
    for i, was in shown.items():
        now = b.json("show", i)
        same = ("id", "sender", "arrival", "expires", "tenant", "campaign",
                "size_bytes", "client", "listener")
        if [was.get(k) for k in same] != [now.get(k) for k in same]:
            tap.same(now, was, "a message is what it was")
            break
    else:
        tap.ok(True, "age, expiry, sender, client, listener are kept")
    try:
        smtplib.SMTP("127.0.0.1", a.port)
        tap.ok(False, "a drained node takes no mail")
    except smtplib.SMTPConnectError as e:
        tap.ok(e.smtp_code == 421 and b"drained" in e.smtp_error,
               "a drained node says so at the door", e)
    handed = sorted((e["id"], e["rcpt"]) for e in a.events("HandedOver"))
    taken = sorted((e["id"], e["rcpt"]) for e in b.events("TakenOver"))
    tap.ok(handed == sorted(before) == taken, "each has its lines in the books",
           (len(handed), len(taken), len(before)))
    tap.same(b.events("Reception"), [], "and no second Reception")
    a.stop()
    b.stop()
    a.start()
    b.start()
    tap.same(a.how()["state"], "draining", "a start goes on with it")
    tap.same(b.rows(), before, "the other's start finds all of it")
    tap.same(b.events("Reception"), [], "and still none")
    a.verb("drain", "--stop")
    tap.ok(a.idle() and wait_for(a.greets), "stopped, it takes mail again")
    deliver([a, b], names + ["partly.defer@to.example"], "plain")


# ---- kills, at any moment and at every step -------------------------------------

def kills():
    nodes = [Node("ka", 1).start(), Node("kb", 2).start()]
    names = send(nodes[0], MANY, "defer") + \
        send(nodes[0], 20, "deferm", rcpts=5)
    settle(nodes[0], names)
    before = both(nodes)
    at, trips = 0, 0
    nodes[0].drain(nodes[1].to)
    for k in range(KILLS):
        time.sleep(random.random() * 0.25)
        if all(n.is_up() for n in nodes) and \
                nodes[at].how()["state"] == "drained":
            nodes[at].verb("drain", "--stop")
            if nodes[at].idle(10):
                at, trips = 1 - at, trips + 1
                nodes[at].drain(nodes[1 - at].to)
                time.sleep(random.random() * 0.15)
        victims = random.choice([[0], [1], [0, 1]])
        for v in victims:
            nodes[v].kill9()
        random.shuffle(victims)
        for v in victims:
            nodes[v].start()
    tap.ok(nodes[at].drained(60), "killed %d times, %d times there and back, "
           "all arrives" % (KILLS, trips), nodes[at].how())
    after = both(nodes)
    tap.same(sorted(set(before) - set(after)), [], "kills: none is lost")
    tap.same(sorted(set(after) - set(before)), [], "kills: none is new")
    tap.same({k: (before[k], v) for k, v in after.items()
              if before.get(k) != v}, {}, "kills: all are what they were")
    deliver(nodes, names, "kills")


def step(shim, phase, n, victim, power):
    """A drain whose source or target dies at the n-th group, at that phase."""
    tag = "s%s%d%s%d" % (phase[0], n, "ab"[victim], power)
    nodes = [Node(tag + "a", 1).start(), Node(tag + "b", 2).start()]
    names = send(nodes[0], 6, "defer") + send(nodes[0], 2, "deferm", rcpts=3)
    settle(nodes[0], names)
    before = both(nodes)
    nodes[victim].stop()
    env = {"LD_PRELOAD": shim, "CRASH_AT": "%s:%d" % (phase, n)}
    diary = path(tag + ".diary")
    if power:
        env["CRASH_UNDO"] = diary
    # It may die as it starts.
    nodes[victim].start(wait=0, env=env)
    wait_for(lambda: not nodes[victim].is_up() or nodes[victim].listens(), 20)
    nodes[0].drain(nodes[1].to)
    wait_for(lambda: not nodes[victim].is_up() or nodes[0].is_drained(), 10)
    died = not nodes[victim].is_up()
    if died and power:
        lose(nodes[victim].conf["spool"], diary, random)
    if died:
        nodes[victim].start()
    if nodes[0].how()["state"] == "idle":    # it died before the order
        nodes[0].drain(nodes[1].to)
    if not nodes[0].drained(20):
        raise SystemExit("%s: not drained: %s" % (tag, nodes[0].how()))
    after = both(nodes)
    if after != before:
        raise SystemExit("%s: got %s\nwant %s" % (tag, after, before))
    nodes[0].verb("drain", "--stop")
    if not nodes[0].idle(10):
        raise SystemExit("%s: in doubt: %s" % (tag, nodes[0].how()))
    for node in nodes:
        node.stop()
    return died


def steps():
    if "asan" in os.environ["BUILD"]:
        return                  # which cannot live behind a library of ours
    shim = build_shim(os.environ["TMP"])
    died = total = 0
    phases = ("write", "half", "sync", "done") if LONG else ("done",)
    for phase in phases:
        for n in STEPS:
            for victim in (0, 1):
                power = phase in ("half", "sync")
                died += step(shim, phase, n, victim, power)
                total += 1
    tap.ok(died * 3 > total, "killed at %d of %d steps of group commits: each "
           "message once, as it was" % (died, total))


# ---- the network ----------------------------------------------------------------

class Wire:
    """Carries bytes to a port; cut() cuts all, `mute` lets nothing back."""

    def __init__(self, port):
        self.to = port
        self.mute = None         # bytes that still come back
        self.pairs = []
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.name = "127.0.0.1:%d" % self.port
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            a, _ = self.sock.accept()
            try:
                b = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                a.close()
                continue
            self.pairs.append((a, b))
            for x, y, back in (a, b, False), (b, a, True):
                threading.Thread(target=self.carry, args=(x, y, back),
                                 daemon=True).start()

    def carry(self, x, y, back):
        try:
            while True:
                data = x.recv(65536)
                if not data:
                    break
                if back and self.mute is not None:
                    data, self.mute = data[:self.mute], \
                        max(self.mute - len(data), 0)
                y.sendall(data)
        except OSError:
            pass
        for s in x, y:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        for pair in self.pairs:
            for s in pair:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.pairs = []


def network():
    a, b = Node("na", 1).start(), Node("nb", 2).start()
    wire = Wire(b.drain_port)
    names = send(a, MANY, "defer") + send(a, 3, "deferl", sizes=(1500000,))
    settle(a, names)
    before = a.rows()
    a.drain(wire.name)
    for k in range(CUTS):
        time.sleep(random.random() * 0.08)
        wire.cut()
        wait_for(lambda: wire.pairs or a.how()["state"] == "drained", 10)
    tap.ok(a.drained(60), "the wire was cut %d times" % CUTS, a.how())
    tap.same(both([a, b]), before, "network: all is there, as it was")
    deliver([a, b], names, "network")


def orphans():
    """The source never hears that anything was taken, and does not come back."""
    a, b = Node("oa", 1).start(), Node("ob", 2).start()
    wire = Wire(b.drain_port)
    wire.mute = 56 + 5 + 32 + 5 + 5      # HELLO, PROOF, HAVE_END
    names = send(a, 30, "defer")
    settle(a, names)
    rows = a.rows()
    a.drain(wire.name)
    held = lambda: sum(x["messages"] for x in b.how()["in_trust"])
    tap.ok(wait_for(lambda: held() == 30, 10), "the target has it in trust",
           b.how())
    tap.same((a.rows(), b.rows()), (rows, {}), "the source still owns it")
    a.kill9()
    wire.cut()
    b.kill9()
    b.start()
    tap.ok(held() == 30 and b.rows() == {}, "as it has after a kill", b.how())
    tap.same(b.events("Reception"), [], "and no Reception")
    node = b.how()["in_trust"][0]["from"]
    code, said = b.verb("drain", "--adopt", "0" * 32)
    tap.ok(code == 1 and "nothing" in said, "a stranger has nothing there", said)
    code, said = b.verb("drain", "--adopt", node)
    tap.ok(code == 0 and wait_for(lambda: b.rows() == rows), "adopted", said)
    b.kill9()
    b.start()
    tap.same(b.rows(), rows, "for good")
    # In a test the source may come back all the same: both have it now, and
    # what it is told of its own it must not take for handed over.
    a.start()
    tap.same(len(a.rows()), 30, "the source knows nothing of that")
    a.kill9()
    deliver([b], names, "orphans")


def reclaims():
    """The target takes all, and is never heard of again."""
    a, b = Node("ca", 1).start(), Node("cb", 2).start()
    wire = Wire(b.drain_port)
    # HELLO, PROOF, HAVE_END, TAKEN of each; then not a word.
    wire.mute = 56 + 5 + 32 + 5 + 5 + 33 * (16 + 5)
    names = send(a, 30, "defer") + send(a, 3, "deferm", rcpts=3)
    settle(a, names)
    rows = a.rows()
    a.drain(wire.name)
    tap.ok(wait_for(lambda: a.how()["waiting"] == 33, 10),
           "all is handed over and nothing released", a.how())
    tap.ok(wait_for(lambda: b.how()["in_trust"] == []), "for all it knows",
           b.how())
    code, said = a.verb("drain", "--reclaim")
    tap.ok(code == 1 and "answers" in said, "not while the target answers", said)
    b.kill9()
    wire.cut()
    a.kill9()
    a.start()
    tap.ok(a.how()["waiting"] == 33 and a.rows() == {}, "as it is after a kill",
           a.how())
    a.verb("drain", "--stop")
    code, said = a.verb("drain", "--reclaim")
    tap.ok(code == 0 and wait_for(lambda: a.rows() == rows), "reclaimed",
           (said, a.rows(), rows))
    tap.same((a.how()["state"], a.how()["waiting"]), ("idle", 0),
             "nobody is owed anything")
    code, said = a.verb("drain", "--reclaim")
    tap.ok(code == 1 and "nothing" in said, "once", said)
    time.sleep(0.5)             # an outcome is synced after 0.2 s at the latest
    a.kill9()
    a.start()
    tap.same(a.rows(), rows, "for good")
    taken = [(e["id"], e["rcpt"]) for e in a.events("TakenOver")]
    tap.same(sorted(set(taken)), sorted(rows), "and the event log says so")
    c = Node("cc", 3).start()
    tap.same(a.drain(c.to)[0], 0, "it can be drained to another")
    tap.ok(a.drained(), "and is", a.how())
    deliver([a, c], names, "reclaims")


# ---- what a target refuses --------------------------------------------------------

def refusals():
    a = Node("ra", 1).start()
    b = Node("rb", 2, queue_recipients_max=100).start()
    other = Node("rc", 3, drain={"secret": path("other")}).start()
    shut = Node("rd", 4, drain={"from": ["10.0.0.0/8"]}).start()
    names = send(a, 150, "defer")
    settle(a, names)
    code, said = a.drain("127.0.0.1:%d" % other.port)
    tap.ok(wait_for(lambda: a.how().get("why")), "an SMTP port is no target",
           a.how())
    a.verb("drain", "--stop")
    # Who may not connect is hung up on, before or behind his HELLO.
    for target, word in (other, "secrets differ"), (shut, ""):
        a.verb("drain", "--stop")
        wait_for(lambda: a.drain(target.to)[0] == 0, 5)
        tap.ok(wait_for(lambda: word in a.how().get("why", " ") and
                        a.how().get("why"), 5),
               "why it is not drained: " + word, a.how())
        tap.ok(a.how()["left"] == 150, "all stays")
    a.verb("drain", "--stop")
    newer = socket.create_server(("127.0.0.1", 0))
    a.drain("127.0.0.1:%d" % newer.getsockname()[1])
    s, _ = newer.accept()
    hello = s.recv(61)
    s.sendall(hello[:9] + b"\7\0\x08\0" + b"n" * 48)
    tap.ok(wait_for(lambda: "7 to 8 there" in a.how().get("why", ""), 5),
           "another version is told of", a.how())
    newer.close()
    s.close()
    a.verb("drain", "--stop")
    tap.same(a.how()["state"], "idle", "nobody was offered anything")
    code, said = a.drain(b.to)
    tap.ok(wait_for(lambda: "full" in a.how().get("refusal", "")),
           "a target that is full is told of", a.how())
    wait_for(lambda: [a.how()[k] for k in ("waiting", "offering", "released")]
             == [0, 0, 100])
    tap.same((len(a.rows()), len(b.rows())), (50, 100), "what it has no room "
             "for stays")
    a.verb("drain", "--stop")
    tap.ok(a.idle(), "nothing is in doubt", a.how())
    code, said = a.drain("127.0.0.1")
    tap.same(code, 2, "--to wants a port")
    other.stop()
    shut.stop()
    deliver([a, b], names, "refusals")


# ---- mail that goes on meanwhile ---------------------------------------------------

def alive():
    """Both deliver while one is drained; TLS between them."""
    cert, key = path("cert.pem"), path("key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048",
                    "-nodes", "-days", "2", "-subj", "/CN=b", "-keyout", key,
                    "-out", cert], check=True, stdin=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    slow = Sink(delay=0.05)
    slow.messages = good.messages
    lone = {"default": {"connections": 1}}
    a = Node("la", 1, sink=slow, limits=lone).start()
    b = Node("lb", 2, sink=slow, limits=lone,
             drain={"tls": {"cert": cert, "key": key}}).start()
    names = send(a, 150, "live", sizes=(100, 3000, 400000))
    a.drain(b.to)
    tap.ok(wait_for(lambda: a.how().get("why"), 10),
           "a target with a certificate speaks TLS alone", a.how())
    a.verb("drain", "--stop")
    a.drain(b.to, "--tls")
    tap.ok(a.drained(40), "drained by TLS while it delivers", a.how())
    stats = a.how()
    tap.ok(stats["handed"] > 0, "some of it went over", stats)
    tap.ok(wait_for(lambda: sum(n.json("status")["totals"]["recipients"]
                                for n in (a, b)) == 0, 40), "all is delivered")
    print("# %d handed over, %d of them in the midst of something" % (
        stats["handed"], stats["kept"]))
    deliver([a, b], names, "live")


for part in sys.argv[1:] or ("plain", "kills", "steps", "network", "orphans",
                             "reclaims", "refusals", "alive"):
    since = time.monotonic()
    globals()[part]()
    print("# %s took %.1f s" % (part, time.monotonic() - since))
tap.done()
