#!/usr/bin/env python3
"""Exim both ways, under TLS: a local program gives mail to Exim, which sends it
to mtad in chunks (BDAT), that sends it to Exim again, that to a sink. Octets
are compared; Exim's refusals are told apart. Postfix sends no chunks, so
this is where BDAT meets somebody else's client."""
# parallel: measures no time
# timeout: 60

import os
import re
import shutil
import smtplib
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
import mailcorpus
import mtaexim
import tlsworld as world
from mtalib import (SKIP, Mtad, Sink, Tap, free_port, path, wait_for,
                    write_config)

if not mtaexim.is_there():
    print("needs make deps-test, and root")
    sys.exit(SKIP)

tap = Tap()
FROM = "sender@from.example"
# Exim takes long lines apart unless it is told; it says what it did in its log.
MAIN = """tls_advertise_hosts = *
tls_certificate = {dir}/cert.pem
tls_privatekey = {dir}/key.pem
acl_smtp_rcpt = answers
received_headers_max = 50
"""
ROUTERS = """back:
  driver = manualroute
  condition = ${if match{$h_received:}{by mta1.example}}
  transport = plain
  route_list = * 127.0.0.1::%d
  self = send
out:
  driver = manualroute
  transport = secure
  route_list = * 127.0.0.1::%d
  self = send
"""
TRANSPORTS = """plain:
  driver = smtp
  hosts_avoid_tls = *
  message_linelength_limit = 1000000
secure:
  driver = smtp
  hosts_require_tls = *
  hosts_try_chunking = *
  tls_verify_certificates =
  message_linelength_limit = 1000000
"""
ANSWERS = """
answers:
  deny    message = 5.1.1 nobody here
          local_parts = no
  defer   message = 4.2.1 come again
          local_parts = later
  drop    message = 5.7.1 and do not come back
          local_parts = drop
  accept
"""


def event(kind, rcpt):
    def found():
        return [e for e in daemon.events(kind) if e["recipient"] == rcpt]
    return (wait_for(found) or [{}])[0]


def goes_round(n):
    for i, text in enumerate(mailcorpus.corpus(23, n, FROM.encode())):
        # A local program's lines end in LF, and in one at the end.
        text = text.replace(b"\r\n", b"\n")
        if b"\n\n" not in text:
            text += b"\n"
        if not text.endswith(b"\n"):
            text += b"\n"
        rcpt = "r%d@to.example" % i
        p = exim.submit("-bm", "-oi", "-odi", "-f", FROM, rcpt, text=text)
        if p.returncode:
            tap.ok(False, "round: Exim takes message %d" % i, p.stdout)
            continue
        wait_for(lambda: sink.to(rcpt))
        got = sink.to(rcpt)
        body = text.partition(b"\n\n")[2].replace(b"\n", b"\r\n")
        tap.ok(len(got) == 1 and
               got[0].data.partition(b"\r\n\r\n")[2] == body,
               "round: message %d: octets of the body" % i,
               (got and got[0].data[-200:], body[-200:], exim.said()[-500:]))
    log = exim.said()
    tap.ok(re.search(r"=> r0@to.example .* X=TLS1\.3\S* .*K C=", log),
           "Exim sent in chunks (K) over TLS", log[-1500:])
    tap.ok(re.search(r"<= sender@from.example H=\S* ?\S*.* X=TLS1\.3", log),
           "Exim took it over TLS", log[-1500:])


def refusals():
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=20) as c:
        c.sendmail(FROM, ["yes@to.example", "no@to.example",
                          "later@to.example"], b"Subject: x\r\n\r\nx\r\n")
        c.sendmail(FROM, ["drop@to.example"], b"Subject: x\r\n\r\nx\r\n")
    for rcpt, kind, code in (("yes", "Delivery", 250), ("no", "Bounce", 550),
                             ("later", "TransientFailure", 451),
                             ("drop", "Bounce", 550)):
        e = event(kind, rcpt + "@to.example")
        tap.same(e.get("code"), code, "%s: %s %d" % (rcpt, kind, code))
    wait_for(lambda: sink.to("yes@to.example"))
    tap.same(len(sink.to("yes@to.example")), 1, "partial: one arrives")


world.authority()
cert, key = world.certificate("localhost", ["mta1.example"])
sink = Sink()
door, theirs = free_port(), free_port()
exim = mtaexim.Exim(path("exim"), theirs, ROUTERS % (sink.port, door),
                    TRANSPORTS,
                    MAIN.replace("{dir}", path("exim")))
with open(exim.conf) as f:
    conf = f.read()
with open(exim.conf, "w") as f:
    f.write(conf.replace("acl_smtp_rcpt = all\n", "").replace(
        "begin routers", ANSWERS + "begin routers"))
for name, file in (("cert.pem", cert), ("key.pem", key)):
    shutil.copy(file, os.path.join(exim.dir, name))
    shutil.chown(os.path.join(exim.dir, name), "Debian-exim")
exim.start()
try:
    daemon = Mtad(write_config(
        route={"*": {"hosts": ["127.0.0.1:%d" % theirs]}},
        listen={"in": {"bind": "127.0.0.1:%d" % door,
                       "relay_from": ["127.0.0.0/8"],
                       "tls": {"cert": cert, "key": key}}})).start()
    goes_round(12)
    refusals()
    daemon.kill9()
finally:
    exim.stop()
tap.done()
