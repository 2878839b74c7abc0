#!/usr/bin/env python3
"""Refused and expired mail comes back as one notice (RFC 3464); a notice that
is refused itself is not answered; a 4xx is tried again."""
# parallel: measures no time
# timeout: 60 120

import email
import os
import smtplib
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import Mtad, Sink, Tap, smart, wait_for, write_config

tap = Tap()
tried = {}                      # recipient: times


def rule(stage, text, session):
    if stage != "RCPT":
        return None
    rcpt = text[text.index("<") + 1:text.index(">")]
    tried[rcpt] = tried.get(rcpt, 0) + 1
    if rcpt.startswith("no"):
        return "550 5.1.1 <%s> is not known here" % rcpt
    if rcpt.startswith("later") and tried[rcpt] == 1:
        return "451 4.7.1 come again"
    if rcpt.startswith("never"):
        return "451 4.3.0 not today"
    return None


def send(sender, rcpts, text=b"Subject: hello\r\n\r\nbody line\r\n"):
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
        c.sendmail(sender, rcpts, text)


def drained():
    return wait_for(lambda: daemon.json("status")["totals"]["recipients"] == 0)


def notice(to, failed, label):
    """The one notice to `to`, taken apart."""
    wait_for(lambda: sink.to(to))
    drained()
    got = sink.to(to)
    if not tap.same(len(got), 1, label + ": exactly one notice"):
        return None
    m = got[0]
    tap.same(m.sender, "", label + ": null sender")
    msg = email.message_from_bytes(m.data)
    tap.same((msg.get_content_type(), msg.get_param("report-type")),
             ("multipart/report", "delivery-status"), label + ": its type")
    parts = msg.get_payload()
    types = [p.get_content_type() for p in parts]
    tap.same(types[:2], ["text/plain", "message/delivery-status"],
             label + ": its parts")
    tap.ok(len(types) == 3 and types[2] in (
        "message/rfc822", "text/rfc822-headers", "message/global"),
        label + ": the message comes back", types)
    tap.ok(len(parts) > 2 and "hello" in parts[2].as_string(),
           label + ": with its subject")
    tap.same(msg["To"].strip().strip("<>"), to, label + ": To")
    tap.ok(msg["From"] and msg["Date"] and msg["Message-ID"] and
           msg["MIME-Version"], label + ": From, Date, Message-ID")
    tap.ok((msg["Auto-Submitted"] or "").startswith("auto-"),
           label + ": Auto-Submitted", msg["Auto-Submitted"])
    blocks = parts[1].get_payload()
    tap.ok("dns;" in (blocks[0]["Reporting-MTA"] or ""),
           label + ": Reporting-MTA", blocks[0])
    about = {}
    for b in blocks[1:]:
        r = (b["Final-Recipient"] or ";").split(";")
        tap.same(r[0].lower(), "rfc822", label + ": Final-Recipient")
        about[r[1].strip()] = b
    tap.same(sorted(about), sorted(failed), label + ": recipients told")
    tap.ok(all(b["Action"].strip() == "failed" for b in about.values()),
           label + ": Action: failed")
    return about


sink = Sink(rule)
daemon = Mtad(write_config(route=smart(sink), retry={
    "first": "1s", "max": "1s"})).start()

send("one@from.example", ["no1@to.example"])
about = notice("one@from.example", ["no1@to.example"], "refused")
if about:
    b = about["no1@to.example"]
    tap.same(b["Status"].strip(), "5.1.1", "refused: Status")
    tap.ok("550 5.1.1" in (b["Diagnostic-Code"] or ""),
           "refused: Diagnostic-Code", b["Diagnostic-Code"])
    tap.same(b["Remote-MTA"], "dns; [127.0.0.1]", "refused: Remote-MTA")

send("two@from.example", ["no2@to.example", "yes2@to.example",
                          "no3@to.example"])
notice("two@from.example", ["no2@to.example", "no3@to.example"], "one of two")
tap.same(len(sink.to("yes2@to.example")), 1, "one of two: the other arrives")
wait_for(lambda: len(daemon.events("Bounce")) >= 3, 5)
bounced = [e.get("recipient") for e in daemon.events("Bounce")]
tap.same(sorted(bounced), ["no%d@to.example" % i for i in (1, 2, 3)],
         "a Bounce each")

sink.clear()
send("", ["no4@to.example"])
tap.ok(wait_for(lambda: [e for e in daemon.events("Bounce") if
                         e["recipient"] == "no4@to.example"]),
       "null sender: bounced")
drained()
tap.same(sink.got(), [], "null sender: and nobody is told")
send("no-sender@from.example", ["no5@to.example"])
tap.ok(wait_for(lambda: tried.get("no-sender@from.example")),
       "a notice that is refused: it was tried")
drained()
tap.same(tried["no-sender@from.example"], 1, "... once")
tap.same(sink.got(), [], "... and is not answered")

send("three@from.example", ["later@to.example"])
tap.ok(wait_for(lambda: sink.to("later@to.example")), "451: tried again")
tap.same(tried["later@to.example"], 2, "451: arrives at the second attempt")
drained()
tap.same(sink.to("three@from.example"), [], "451: no notice")
wait_for(lambda: daemon.events("TransientFailure"), 5)
tap.same(len([e for e in daemon.events("TransientFailure")
              if e["recipient"] == "later@to.example"]), 1,
         "451: a TransientFailure")
tap.same(len(sink.to("later@to.example")), 1, "451: arrives once")
daemon.kill9()

daemon = Mtad(write_config("expire", route=smart(sink), expire="3s", retry={
    "first": "1s", "max": "1s"})).start()
sink.clear()
send("four@from.example", ["never@to.example"])
about = notice("four@from.example", ["never@to.example"], "expired")
if about:
    b = about["never@to.example"]
    tap.ok(b["Status"].strip().startswith(("4.4.7", "5.4.7", "4.3.0")),
           "expired: Status", b["Status"])
    tap.ok("451 4.3.0" in (b["Diagnostic-Code"] or ""),
           "expired: the last reply", b["Diagnostic-Code"])
tap.ok(tried["never@to.example"] >= 2, "expired: after several attempts")
wait_for(lambda: daemon.events("Expiration"), 5)
tap.same(len(daemon.events("Expiration")), 1, "expired: an Expiration")
daemon.kill9()
tap.done()
