#!/usr/bin/env python3
"""Complaints: `mtad feedback` counts them for the source and the provider that
the message left by, from a line with all that, from a message id or an address,
and from a report of abuse; what says too little, and what is no complaint, is
told apart."""
# parallel: measures no time

import os
import smtplib
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import Mtad, Sink, Tap, wait_for, write_config

tap = Tap()
MTAD = os.path.join(os.environ["BUILD"], "mtad")
sink = Sink()
conf = write_config(
    route={"*": {"hosts": ["127.0.0.1:%d" % sink.port]}},
    source={"a": {"address": "127.0.0.1", "warmup": "w"}},
    warmup={"w": {"days": [100, 200]}},
    provider={"p": {"domains": ["p.example"]}}, workers=2)
d = Mtad(conf).start()


def send(rcpt):
    with smtplib.SMTP("127.0.0.1", d.port, timeout=10) as c:
        c.sendmail("s@from.example", [rcpt], b"Subject: x\r\n\r\nx\r\n")
    wait_for(lambda: delivered(rcpt))
    return delivered(rcpt)[0]["id"]


def delivered(rcpt):
    return [e for e in d.events()
            if e["type"] == "Delivery" and e.get("recipient") == rcpt]


def feedback(text, *args):
    p = subprocess.run([MTAD, "feedback", *args, "-H", conf["control"]],
                       input=text, text=True, timeout=30,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return p.returncode, p.stdout


def complained(provider):
    return sum(r["complained"] for r in d.json("warmup")["warmup"]
               if (r["provider"] or "") == provider)


def report(kind, ident="", rcpt="", ip=""):
    return ("Content-Type: multipart/report; boundary=b\n\n--b\n"
            "Content-Type: message/feedback-report\n\nFeedback-Type: %s\n"
            "%s%s\n--b\nContent-Type: message/rfc822\n\n%sSubject: x\n\nx\n"
            "--b--\n" % (
                kind, "Original-Rcpt-To: <%s>\n" % rcpt if rcpt else "",
                "Source-IP: %s\n" % ip if ip else "",
                "Received: by us with ESMTP id %s; today\n" % ident
                if ident else ""))


mid = send("one@p.example")
oid = send("two@other.example")
for i in (mid, oid): # the index may be a second behind
    wait_for(lambda: "Delivery" in d.verb("explain", "message", i)[1])
code, out = feedback("one@p.example\ta\tp\n# a word\n\n")
tap.same((code, out), (0, "1 counted, 0 not, 0 passed over\n"),
         "a line with all that is counted")
tap.same(complained("p"), 1, "... for its source and provider")
code, out = feedback("%s\n%s\none@p.example\n" % (mid, oid), "--json")
tap.same((code, [l.replace(" ", "") for l in out.splitlines()]),
         (0, ['{"source":"a","provider":"p"}', '{"source":"a","provider":""}',
              '{"source":"a","provider":"p"}']),
         "an id or an address alone is looked up")
tap.same((complained("p"), complained("")), (3, 1), "... and counted")
tap.same(feedback(report("abuse", mid))[0], 0, "a report with our id")
tap.same(feedback(report("abuse", "1234", "one@p.example"))[0], 0,
         "... or with an address")
tap.same(feedback(report("abuse", "", "any@p.example", "127.0.0.1"))[0], 0,
         "... or with the address of the source")
tap.same(complained("p"), 6, "are all counted")
code, out = feedback(report("not-spam", mid))
tap.same((code, complained("p")), (0, 6), "a report of other things is not")
code, out = feedback("nobody@p.example\nx@p.example\tzzz\nx@p.example\ta\tq\n"
                     "a\tb\tc\td\n\t\t\n%s\n" % mid)
tap.same(code, 1, "what says too little, or what is wrong, is refused")
tap.ok("1 counted, 5 not" in out and "line 1: no delivery" in out and
       "line 2: no source" in out and "line 3: no provider" in out and
       "line 4: expected" in out, "... line by line", out)
tap.ok(wait_for(lambda: [e for e in d.events() if e["type"] == "AdminAction"
                         and "complaint source=a provider=p" in e["text"]]),
       "the event log has them")
tap.ok(d.stop() == 0, "stops")
tap.done()
