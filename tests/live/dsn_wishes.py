#!/usr/bin/env python3
"""What a sender asks for by RFC 3461 is what he is told: passed on to a next host
that knows it, and else done here, across restarts."""
# parallel: measures no time
# timeout: 60 120

import email
import os
import smtplib
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import Mtad, Sink, Tap, wait_for, write_config

tap = Tap()
is_late = True                  # late@... is not taken yet


def rule(stage, text, session):
    if stage != "RCPT":
        return None
    rcpt = text[text.index("<") + 1:text.index(">")]
    if rcpt.startswith("no"):
        return "550 5.1.1 <%s> is not known here" % rcpt
    if rcpt.startswith("late") and is_late:
        return "451 4.7.1 come again"
    return None


def send(sender, rcpt, wish="", mail="", body="body line\r\n"):
    """Hands over one message; the reply to its RCPT."""
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
        c.ehlo("client.example")
        code, text = c.docmd("MAIL FROM:<%s> %s" % (sender, mail))
        if code == 250:
            code, text = c.docmd("RCPT TO:<%s> %s" % (rcpt, wish))
        if code == 250:
            c.data(("Subject: hello\r\n\r\n" + body).encode())
        return "%d %s" % (code, text.decode())


def drained():
    return wait_for(lambda: daemon.json("status")["totals"]["recipients"] == 0)


def at(sink, to):
    return [m for m in sink.got() if to in m.rcpts]


def report(to, label, action):
    """The notice to `to`, taken apart: its header, blocks and parts."""
    wait_for(lambda: at(plain, to))
    drained()
    got = at(plain, to)
    if not tap.same(len(got), 1, label + ": exactly one notice"):
        return None, None, None
    tap.same(got[0].sender, "", label + ": null sender")
    msg = email.message_from_bytes(got[0].data)
    parts = msg.get_payload()
    raw = parts[1].as_bytes().replace(b"\r\n", b"\n").split(b"\n\n")[1:]
    blocks = [email.message_from_bytes(b.strip()) for b in raw if b.strip()]
    tap.same([b["Action"] for b in blocks[1:]], [action],
             label + ": its action")
    return msg, blocks, parts


plain = Sink(rule)
knows = Sink(rule, exts=["DSN", "DELIVERBY"])
conf = write_config(
    retry={"first": "1s", "max": "1s"}, delay_notice="1s", route={
        "knows.example": {"hosts": ["127.0.0.1:%d" % knows.port]},
        "*": {"hosts": ["127.0.0.1:%d" % plain.port]}})
daemon = Mtad(conf).start()

with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
    c.ehlo("client.example")
    tap.ok(c.has_extn("dsn"), "the door offers DSN")
for wish, mail in (("NOTIFY=NEVER,DELAY", ""), ("NOTIFY=SOMETIMES", ""),
                   ("ORCPT=x", ""), ("ORCPT=rfc822;a+2", ""),
                   ("", "RET=SOME"), ("", "ENVID=a=b"),
                   ("", "ENVID=" + 101 * "x")):
    tap.ok(send("bad@from.example", "x@to.example", wish, mail)
           .startswith("501"), "refused: %s%s" % (wish, mail)[:30])

send("one@from.example", "yes@to.example", "NOTIFY=SUCCESS,FAILURE "
     "ORCPT=rfc822;Yes+2Bno@To.example", "RET=FULL ENVID=QQ+2B1")
msg, blocks, parts = report("one@from.example", "relayed", "relayed")
if msg:
    tap.same(blocks[0]["Original-Envelope-Id"], "QQ+1", "relayed: envelope id")
    tap.same(blocks[1]["Original-Recipient"], "rfc822; Yes+no@To.example",
             "relayed: original recipient")
    tap.same(blocks[1]["Final-Recipient"], "rfc822; yes@to.example",
             "relayed: final recipient")
    tap.same(blocks[1]["Status"], "2.0.0", "relayed: status")
    tap.ok("250" in blocks[1]["Diagnostic-Code"], "relayed: diagnostic",
           blocks[1]["Diagnostic-Code"])
    tap.same(parts[2].get_content_type(), "text/rfc822-headers",
             "relayed: its header alone comes back, whatever RET says")
    tap.same(msg["Auto-Submitted"], "auto-replied", "relayed: Auto-Submitted")
m = at(plain, "yes@to.example")[0]
tap.ok("NOTIFY" not in m.rcpt_lines[0] and "ENVID" not in m.mail and
       "RET" not in m.mail, "nothing is passed on to who does not know it",
       m.mail + m.rcpt_lines[0])

send("two@from.example", "yes@knows.example", "NOTIFY=SUCCESS,DELAY "
     "ORCPT=rfc822;Yes+2Bno@To.example", "RET=HDRS ENVID=QQ+2B2")
wait_for(lambda: at(knows, "yes@knows.example"))
m = at(knows, "yes@knows.example")[0]
tap.same(m.rcpt_lines[0], "RCPT TO:<yes@knows.example> NOTIFY=SUCCESS,DELAY "
         "ORCPT=rfc822;Yes+2Bno@To.example", "passed on: of the recipient")
tap.ok(" RET=HDRS" in m.mail and " ENVID=QQ+2B2" in m.mail,
       "passed on: of the message", m.mail)
drained()
tap.same(at(plain, "two@from.example"), [], "passed on: no notice of ours")

for rcpt, wish in (("no1@to.example", "NOTIFY=NEVER"),
                   ("no2@knows.example", "NOTIFY=SUCCESS,DELAY")):
    send("three@from.example", rcpt, wish)
send("", "yes3@to.example", "NOTIFY=SUCCESS")
wait_for(lambda: len(daemon.events("Bounce")) == 2 and
         at(plain, "yes3@to.example"))
drained()
tap.same([m.rcpts for m in plain.got() if not m.sender and
          "yes3@to.example" not in m.rcpts],
         [["one@from.example"]], "who does not want it is not told")

body = "".join("line %d\r\n" % i for i in range(9000))
for to, mail, kind in (("full", "RET=FULL", "message/rfc822"),
                       ("hdrs", "RET=HDRS", "text/rfc822-headers"),
                       ("ret", "", "text/rfc822-headers")):
    send(to + "@from.example", "no4@to.example", "NOTIFY=FAILURE", mail, body)
    msg, blocks, parts = report(to + "@from.example", to, "failed")
    if msg:
        tap.same(parts[2].get_content_type(), kind, to + ": what comes back")
        tap.same("line 8999" in parts[2].as_string(), to == "full",
                 to + ": all of it?")
send("big@from.example", "no5@to.example", "", "RET=FULL", 5 * body)
msg, blocks, parts = report("big@from.example", "big", "failed")
if msg:
    tap.same(parts[2].get_content_type(), "text/rfc822-headers",
             "big: only the header comes back")

with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
    c.ehlo("client.example")
    c.docmd("MAIL FROM:<utf8@from.example> SMTPUTF8 BODY=8BITMIME")
    c.send("RCPT TO:<no\u00e9@to.example> ORCPT=utf-8;n\u00f6@to.example\r\n"
           .encode())
    c.getreply()
    c.data("Subject: gr\u00fc\u00dfe\r\n\r\nx\r\n".encode())
wait_for(lambda: [e for e in daemon.events("Bounce")
                  if "\u00e9" in e["recipient"]])
msg, blocks, parts = report("utf8@from.example", "utf-8", "failed")
if msg:
    tap.same([p.get_content_type() for p in parts[1:]],
             ["message/global-delivery-status", "message/global-headers"],
             "utf-8: its parts")
    raw = at(plain, "utf8@from.example")[0].data
    for part in ("Final-Recipient: utf-8; no\u00e9@to.example",
                 "Original-Recipient: utf-8; n\u00f6@to.example",
                 "Subject: gr\u00fc\u00dfe"):
        tap.ok(part.encode() in raw, "utf-8: " + part)

send("four@from.example", "late@to.example", "NOTIFY=DELAY,SUCCESS,FAILURE",
     "ENVID=late4")
send("five@from.example", "late@to.example", "NOTIFY=SUCCESS")
wait_for(lambda: at(plain, "four@from.example"))
daemon.kill9()
daemon = Mtad(conf).start()
send("six@from.example", "late@to.example", "NOTIFY=DELAY")
wait_for(lambda: at(plain, "six@from.example"))
told = at(plain, "four@from.example")
# The notice itself, as any mail, may arrive twice after a kill.
tap.same(len({email.message_from_bytes(m.data)["Message-ID"] for m in told}),
         1, "late: one notice, though killed and started again")
msg = email.message_from_bytes(told[0].data)
block = msg.get_payload()[1].get_payload()[1]
tap.same((block["Action"], block["Status"]), ("delayed", "4.7.1"),
         "late: what it says")
tap.ok(block["Will-Retry-Until"], "late: until when")
tap.same(at(plain, "five@from.example"), [], "late: who did not ask is not told")
plain.clear()
is_late = False
for to in ("four", "five"):
    report(to + "@from.example", "late, then there: " + to, "relayed")
drained()
tap.same(at(plain, "six@from.example"), [], "late, then there: nothing more")

# DELIVERBY, RFC 2852
is_late = True
plain.clear()
for mail in ("BY=0;R", "BY=-1;R", "BY=5", "BY=5;X", "BY=1234567890;N"):
    tap.ok(send("bad@from.example", "x@to.example", "", mail)
           .startswith("501"), "refused: " + mail)
send("by-r@from.example", "late@to.example", "", "BY=1;R")
send("by-n@from.example", "late@to.example", "NOTIFY=DELAY,FAILURE",
     "BY=1;N")
send("by-n2@from.example", "late@to.example", "NOTIFY=FAILURE", "BY=1;NT")
send("by-0@from.example", "late@to.example", "", "BY=-5;N")
send("pass@from.example", "yes@knows.example", "", "BY=1000;RT")
send("pass@from.example", "yes@knows.example", "", "BY=-1000;N")
wait_for(lambda: at(plain, "by-r@from.example") and
         at(plain, "by-n@from.example"))
is_late = False
for to, action, status in (("by-r", "failed", "5.4.7"),
                           ("by-n", "delayed", "4.4.7")):
    msg, blocks, parts = report(to + "@from.example", to, action)
    if msg:
        tap.same(blocks[1]["Status"], status, to + ": its status")
tap.same(len(at(plain, "late@to.example")), 3, "what may be late arrives")
tap.same(at(plain, "by-n2@from.example") + at(plain, "by-0@from.example"), [],
         "nobody else is told")
left = sorted(m.mail.split(" BY=")[1] for m in knows.got()
              if m.sender == "pass@from.example")
tap.ok(len(left) == 2 and left[0].endswith(";N") and
       -1010 < int(left[0][:-2]) <= -1000 and left[1].endswith(";RT") and
       990 < int(left[1][:-3]) <= 1000, "passed on: the time that is left", left)
daemon.kill9()
tap.done()
