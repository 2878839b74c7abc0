#!/usr/bin/env python3
"""BDAT on the way out (RFC 3030): to a host that offers it, to another mtad, and
octet for octet; not where it is switched off or not offered, nor again to a host
that offers it and does not know it. 8-bit mail where 8BITMIME is not offered."""
# parallel: measures no time
# timeout: 60

import os
import random
import smtplib
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import Mtad, Sink, Tap, path, smart, wait_for, write_config
from mtapeer import Peer, PeerSession
from ports import free_port

tap = Tap()


class Liar(Peer):
    """Offers CHUNKING, and reads BDAT as what it does not know."""

    def __init__(self):
        super().__init__(["CHUNKING", "8BITMIME"])

    def serve(self, s):
        class Session(PeerSession):
            def chunk(self, m, line):
                self.say("502 5.5.1 what?")
        p = Session(self, s.sock)
        with self.lock:
            self.sessions = [x for x in self.sessions if x is not s] + [p]
        Sink.serve(self, p)


def rule(stage, text, s):
    if stage == "RCPT" and "<no" in text:
        return "550 5.1.1 no such user"
    if stage == "body" and b"refuse me" in text:
        return "552 5.2.2 full"


peers = {"bdat": Peer(["CHUNKING", "8BITMIME"], rule=rule),
         "off": Peer(["CHUNKING", "8BITMIME"]),
         "old": Peer(["8BITMIME"]),
         "seven": Peer(), "bounce": Peer(),
         "liar": Liar()}
end = Sink()
second = Mtad(write_config("second", route=smart(end))).start()
route = {d + ".example": {"hosts": ["127.0.0.1:%d" % p.port]}
         for d, p in peers.items()}
route["off.example"]["chunking"] = False
route["bounce.example"]["eight_bit"] = "bounce"
route["second.example"] = {"hosts": ["127.0.0.1:%d" % second.port]}
daemon = Mtad(write_config(route=route)).start()


def send(domain, body, *locals_, eight=False):
    rcpts = ["%s@%s.example" % (x, domain) for x in locals_ or ["u"]]
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
        c.ehlo("x")
        c.mail("s@x.example", ["BODY=8BITMIME"] if eight else [])
        for r in rcpts:
            c.rcpt(r)
        c.data(body)


def over(domain, n=1):
    """The events that end it, for n recipients."""
    def ended():
        v = [e for e in daemon.events() if e["type"] in ("Delivery", "Bounce")
             and e.get("recipient", "").endswith("@%s.example" % domain)]
        return v if len(v) >= n else None
    return wait_for(ended, 10) or []


HEAD = b"Subject: x\r\n\r\n"
DOTS = HEAD + b".\r\n..\r\n.x\r\n" + bytes(range(32, 127)) + b"\r\n"
send("bdat", DOTS)
over("bdat")
m = peers["bdat"].got()[0]
tap.ok(m.below_received().endswith(DOTS) and m.chunks == [len(m.data)],
       "BDAT, octet for octet, and dots as they are", (m.chunks, m.data))
lines = m.session.lines
tap.ok(not any(x.startswith(b"DATA") for x in lines), "and no DATA", lines)
send("bdat", HEAD + b"refuse me\r\n", "a", "b", "no")
v = over("bdat", 4)
tap.same(sorted((e["type"], e.get("code")) for e in v[1:]),
         [("Bounce", 550), ("Bounce", 552), ("Bounce", 552)],
         "a chunk that is refused, and recipients that are")
send("bdat", HEAD + b"x" * 900 + b"\r\n" * 40000)
over("bdat", 5)
tap.same(len(peers["bdat"].got()[-1].chunks), 0, "a large one goes by DATA")
for domain, words in (("off", "switched off"), ("old", "not offered")):
    send(domain, DOTS)
    over(domain)
    m = peers[domain].got()[0]
    tap.ok(not m.chunks and m.below_received().endswith(DOTS),
           "DATA, where BDAT is " + words)
send("liar", DOTS)
v = over("liar")
tap.ok(v and v[0]["type"] == "Delivery" and not peers["liar"].got()[0].chunks,
       "a host that offers BDAT and does not know it is had by DATA", v)

# ---- to another mtad ------------------------------------------------------------------

dice = random.Random(7)
bodies = []
for i in range(40):
    body = HEAD + b"".join(bytes(dice.choice(b".ab\xe4 ") for _ in range(
        dice.randrange(80))) + b"\r\n" for _ in range(dice.randrange(60)))
    bodies.append(body)
    send("second", body, "u%d" % i, eight=True)
wait_for(lambda: len(end.got()) == 40, 20)
got = {m.rcpts[0].split("@")[0]: m for m in end.got()}
tap.same([i for i in range(40) if not got["u%d" % i].data.endswith(
    bodies[i])], [], "40 messages through another mtad, octet for octet")

# ---- 8 bits -----------------------------------------------------------------------------

EIGHT = HEAD + "gr\u00fc\u00dfe\r\n".encode()
send("seven", EIGHT, eight=True)
over("seven")
m = peers["seven"].got()[0]
tap.ok(m.data.endswith(EIGHT) and "BODY" not in m.mail,
       "8-bit mail goes as it is to a host without 8BITMIME", m.mail)
send("bounce", EIGHT, eight=True)
e = (over("bounce") or [{}])[0]
tap.same([e.get("type"), e.get("code"), e.get("enhanced"),
          peers["bounce"].got()], ["Bounce", 554, "5.6.3", []],
         "or is bounced, by option")
send("old", EIGHT, eight=True)
over("old", 2)
tap.ok("BODY=8BITMIME" in peers["old"].got()[1].mail, "8BITMIME is said")
tap.same([daemon.stop(), second.stop()], [0, 0], "both stop")
tap.done()
