#!/usr/bin/env python3
"""A simulated world does what its file says: caps, rates, replies, delays,
silence, TLS, dead hosts; and the same again for the same seed."""
# parallel: measures no time

import os
import re
import socket
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from simlib import Server, Talk, Tap, path, run, run_json

WORLD = """
seed: 7
provider:
  capped:
    domains: capped.example
    mx: 5 mx.capped.example 127.81.0.1
    per_source: { connections: 2 }
    busy: "421 4.7.0 {host}: too many connections from {ip}"
  rated:
    domains: rated.example
    mx: 5 mx.rated.example 127.81.0.2
    per_source: { rate: 1/m, burst: 3, over: "421 4.7.28 slow down {ip}" }
  picky:
    domains: picky.example
    mx: 5 mx.picky.example 127.81.0.3
    replies: [ "rcpt:100%:550 5.1.1 <{rcpt}> unknown" ]
  mute:
    domains: mute.example
    mx: 5 mx.mute.example 127.81.0.4
    silent: yes
  rude:
    domains: rude.example
    mx: 5 mx.rude.example 127.81.0.5
    replies: [ "mail:100%:close" ]
  slow:
    domains: slow.example
    mx: 5 mx.slow.example 127.81.0.6
    delay: [ "connect:300ms", "eom:300ms" ]
    pipelining: no
  safe:
    domains: safe.example
    mx: 5 mx.safe.example 127.81.0.7
    tls: { cert: CERT, key: KEY }
    messages_per_connection: 2
    recipients: 2
    size: 1M
  lone:
    domains: lone.example
    mx: 5 mx.lone.example 127.81.0.10
    per_source: { connections: 1 }
    refusal: 1s
  mixed:
    domains: [mixed.example, "*.mixed.example"]
    mx: [ 5 mx1.mixed.example 127.81.0.8, 10 mx2.mixed.example 127.81.0.9 dead ]
    replies: [ "eom:20%:451 4.2.1 later", "eom:10%:550 5.7.1 no" ]
"""

NASTY = (b"Subject: dots and bytes\r\n\r\n.\r\n..\r\n.x\r\n\r\n"
         b"\xc3\xa4 8-bit \xff\r\n" + b"y" * 3000 + b"\r\n" +
         b"last line\r\n")

tap = Tap()
cert, key = path("cert.pem"), path("key.pem")
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                "/CN=mx.safe.example", "-out", cert, "-keyout", key],
               check=True, stderr=subprocess.DEVNULL)
with open(path("w.yml"), "w") as f:
    f.write(WORLD.replace("CERT", cert).replace("KEY", key))


def start(name):
    w = Server("world", path("w.yml"), "--port", 0, "--dns", "127.0.0.1:0",
               "--journal", path(name), "--dump", path(name + ".dump"),
               name=name)
    w.port = int(re.search(r"port=(\d+)", w.ready).group(1))
    return w


w = start("one")
tap.ok("providers=9 addresses=9" in w.ready, "all listen", w.ready)


def mx(n):
    return "127.81.0.%d" % n


def hello(n, source=None):
    """A session up to the answer to EHLO."""
    t = Talk(mx(n), w.port, source)
    t.banner = t.reply()
    t.ehlo = t.say("EHLO client.example")
    return t


def caps():
    one, two = hello(1), hello(1)
    three = Talk(mx(1), w.port)
    tap.same(three.reply(),
             "421 4.7.0 capped: too many connections from 127.0.0.1",
             "a third connection of one address is refused")
    tap.same(three.f.readline(), b"", "and closed")
    four = hello(1, "127.0.0.77")
    tap.ok(four.banner.startswith("220 "), "another address is not")
    one.close()
    # The server notices when it reads the end of the connection.
    for _ in range(100):
        five = Talk(mx(1), w.port)
        reply = five.reply()
        if reply.startswith("220"):
            break
        five.close()
    tap.ok(reply.startswith("220"), "room that is freed can be used", reply)
    for t in (two, four, five):
        t.close()


def rates():
    t = hello(2)
    for n in range(3):
        tap.same(t.say("MAIL FROM:<a@b.example>")[:3], "250",
                 "message %d is within the burst" % (n + 1))
        t.say("RSET")
    tap.same(t.say("MAIL FROM:<a@b.example>"),
             "421 4.7.28 slow down 127.0.0.1", "the fourth is not")
    tap.same(t.f.readline(), b"", "421 closes")
    t.close()
    t = hello(2, "127.0.0.77")
    tap.same(t.say("MAIL FROM:<a@b.example>")[:3], "250",
             "another address has a rate of its own")
    t.close()


def replies():
    t = hello(3)
    t.say("MAIL FROM:<a@b.example>")
    tap.same(t.say("RCPT TO:<who@picky.example>"),
             "550 5.1.1 <who@picky.example> unknown", "a stated reply")
    tap.same(t.say("RCPT TO:<who@capped.example>"),
             "550 5.7.1 That domain is not here",
             "a domain of another provider is refused")
    t.close()
    t = hello(5)
    t.s.sendall(b"MAIL FROM:<a@b.example>\r\n")
    tap.same(t.f.readline(), b"", "closing without a word")
    t.close()
    t = Talk(mx(4), w.port, timeout=0.4)
    try:
        said = t.f.readline()
    except (socket.timeout, TimeoutError):
        said = None
    tap.same(said, None, "silence")
    t.close()
    try:
        Talk(mx(9), w.port)
        refused = False
    except ConnectionRefusedError:
        refused = True
    tap.ok(refused, "nobody listens at a dead host")


def places():
    one = hello(10)
    others = [Talk(mx(10), w.port) for _ in range(3)]
    time.sleep(0.05)       # they are let in by the kernel meanwhile
    tap.same(one.say("QUIT")[:3], "221", "one is gone")
    two = hello(10)
    tap.ok(two.banner.startswith("220 "),
           "who is being turned away holds no place", two.banner)
    tap.same([t.reply()[:3] for t in others], ["421"] * 3, "but is")
    for t in others + [one, two]:
        t.close()


def delays():
    start_s = time.monotonic()
    t = hello(6)
    took = time.monotonic() - start_s
    tap.ok(0.3 <= took < 2, "the banner waits", took)
    tap.ok("PIPELINING" not in t.ehlo.replace("XIPELINING", ""),
           "PIPELINING is not offered", t.ehlo)
    t.say("MAIL FROM:<a@b.example>")
    t.say("RCPT TO:<u@slow.example>")
    t.say("DATA")
    start_s = time.monotonic()
    reply = t.say("x\r\n.\r\nNOOP")
    took = time.monotonic() - start_s
    tap.ok(reply.startswith("250") and 0.3 <= took < 2,
           "so does the answer to the final dot", took)
    tap.same(t.reply()[:3], "250", "what was pipelined behind it comes after")
    t.close()


def deliver(t, rcpts, body):
    t.say("MAIL FROM:<a@b.example>")
    last = [t.say("RCPT TO:<%s>" % r) for r in rcpts][-1]
    t.say("DATA")
    t.s.sendall(re.sub(rb"(?m)^\.", b"..", body) + b".\r\n")
    return last, t.reply()


def tls():
    t = hello(7)
    tap.ok("STARTTLS" in t.ehlo, "STARTTLS is offered", t.ehlo)
    tap.same(t.say("STARTTLS")[:3], "220", "and taken")
    context = ssl.create_default_context(cafile=cert)
    t.s = context.wrap_socket(t.s, server_hostname="mx.safe.example")
    t.f = t.s.makefile("rb")
    tap.ok("STARTTLS" not in t.say("EHLO client.example"), "once")
    last, reply = deliver(t, ["u%d@safe.example" % i for i in range(3)],
                          NASTY)
    tap.same((last[:9], reply[:3]), ("452 4.5.3", "250"),
             "a third recipient is too many")
    deliver(t, ["u@safe.example"], b"two\r\n")
    tap.same(t.say("MAIL FROM:<a@b.example>")[:3], "421",
             "a third message of one connection too")
    t.close()
    t = hello(7)
    tap.same(t.say("MAIL FROM:<a@b.example> SIZE=2000000")[:9], "552 5.3.4",
             "what is too large is refused")
    t.close()


def load(port, name):
    """20 % and 10 % of 2,000 messages, one after the other."""
    code, report = run_json("load", "--target", "%s:%d" % (mx(8), port),
                            "--count", 2000, "--connections", 1, "--run", 5,
                            "--domains", "mixed.example,x.mixed.example",
                            "--journal", path(name))
    with open(path(name)) as f:
        fate = [line.split()[1:6:4] for line in f if line[0] != "#"]
    return code, report, fate


caps()
places()
rates()
replies()
delays()
tls()
code, report, fate = load(w.port, "one.load")
tap.same(code, 0, "a load to a moody provider")
# Six standard deviations of 2,000 draws at 30 % are 123.
tap.ok(600 - 123 <= report["refused"] <= 600 + 123,
       "is refused as often as stated", report["refused"])
w.stop()
tap.same(w.code, 0, "the world ends well")
safe, mixed = w.counts("safe"), w.counts("mixed")
tap.same((safe["messages"], safe["recipients"], safe["foreign"]), (2, 3, 2),
         "counters of one provider")
tap.same(mixed["messages"], report["acked"], "and of another")
tap.same(w.counts("picky")["misrouted"], 1, "misrouted mail is counted")

with open(path("one") + "/world.journal") as f:
    lines = [line.split() for line in f]
took = [x for x in lines if len(x) > 6 and x[5] == "safe"]
tap.same([(x[1], x[2], x[6], x[8]) for x in took[:1]],
         [("recv", "none", "tls", "u0@safe.example,u1@safe.example")],
         "the journal has receiver, TLS and recipients")
with open(path("one.dump") + "/safe/00000001.eml", "rb") as f:
    tap.same(f.read(), NASTY, "a message is kept octet for octet")
code, sums = run_json("verify", "--load", path("one.load"), "--sink",
                      path("one") + "/world.journal", "--world",
                      path("w.yml"))
tap.same((code, [p["name"] for p in sums["providers"]]), (0, ["mixed"]),
         "the ledger names providers by the world's file")

w = start("two")
_, _, again = load(w.port, "two.load")
w.stop()
tap.ok(again == fate, "the same seed refuses the same messages")

with open(path("bad.yml"), "w") as f:
    f.write("provider:\n  a:\n    domain: x\n    mx: 1 m 127.0.0.1\n"
            "seed: many\n")
p = subprocess.run([os.path.join(os.environ["BUILD"], "mtasim"), "world",
                    "--check", path("bad.yml")], text=True,
                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
tap.ok(p.returncode == 2 and "bad.yml:3:5: domain: unknown key" in p.stderr
       and "bad.yml:5:7: expected a number" in p.stderr,
       "mistakes are told with their places", p.stderr)
tap.done()
