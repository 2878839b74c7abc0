#!/usr/bin/env python3
"""What comes back: mail leaves with a signed return path, and bounces and
complaints that come to it, made of what a receiver saw, become events of the
message and recipient, count for warm-up and suppress; what is forged or expired
is refused; auto-replies are told apart; kill -9 behind the 250 loses none."""
# parallel: it waits more than it works
# timeout: 60 120

import base64
import hashlib
import hmac
import os
import re
import signal
import smtplib
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import Mtad, Sink, Tap, path, wait_for, write_config
from ports import free_port

tap = Tap()
sink = Sink()
refuser = Sink(lambda step, arg, s: "550 5.1.1 <x> user unknown"
               if step == "RCPT" and "dead" in arg else None)
for name, text in (("new", "0123456789abcdefghij\n"),
                   ("old", "an older secret of ours")):
    with open(path(name + ".key"), "w") as f:
        f.write(text)
    os.chmod(path(name + ".key"), 0o600)

mx, remote_port = free_port(), free_port()
here = {"hostname": "mta1.example", "workers": 2}


def config(keys, limits=None):
    return write_config(
        **here, limits=limits,
        route={"dead.example": {"hosts": ["127.0.0.1:%d" % remote_port]},
               "*": {"hosts": ["127.0.0.1:%d" % sink.port]}},
        listen={"in": {"bind": "127.0.0.1:%d" % in_port,
                       "relay_from": ["127.0.0.0/8"]},
                "mx": {"bind": "127.0.0.1:%d" % mx}},
        source={"a": {"address": "127.0.0.1", "warmup": "w"}},
        warmup={"w": {"days": [1000000, 2000000]}},
        provider={"p": {"domains": ["p.example"]}},
        tenant={"ann": {"return_path": "bounce.example"}, "bob": {}},
        inbound={"bounce.example": {
            "keys": [path(k + ".key") for k in keys],
            "bounces": ["returns"], "complaints": ["fbl"], "verp": True,
            "size_max": "256K"},
            "fwd.example": {"bounces": ["b"], "forward": "ops@p.example"}},
        suppression={"bounces": {"kinds": ["unknown_user"]},
                     "complaints": {"suppress": True}})


in_port = free_port()
conf = config(["old"])
d = Mtad(conf).start()
remote = Mtad(write_config(
    "remote", hostname="remote.example", workers=1,
    listen={"in": {"bind": "127.0.0.1:%d" % remote_port,
                   "relay_from": ["127.0.0.0/8"]}},
    source={"r": {"address": "127.0.0.1"}},
    pool={"default": {"sources": ["r"]}},
    route={"bounce.example": {"hosts": ["127.0.0.1:%d" % mx]},
           "*": {"hosts": ["127.0.0.1:%d" % refuser.port]}})).start()


def send(*rcpts, tenant="ann", sender="news@from.example"):
    with smtplib.SMTP("127.0.0.1", in_port, timeout=10) as c:
        c.sendmail(sender, rcpts, (
            "X-MTA-Tenant: %s\r\nX-MTA-Campaign: c1\r\nMessage-ID: <%s>\r\n"
            "Subject: x\r\n\r\nx\r\n" % (tenant, rcpts[0])).encode())


def left(rcpt):
    """What the receiver saw of it."""
    wait_for(lambda: sink.to(rcpt))
    return sink.to(rcpt)[-1]


def back(to, text, sender="", port=mx):
    """The answers to RCPT and to the end of data."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as c:
        c.ehlo("remote.example")
        c.mail(sender)
        code, why = c.rcpt(to)
        if code != 250:
            return code, why.decode()
        code, why = c.data(text)
        return code, why.decode()


def ident(answer):
    return answer[1].split()[-1]


def told(answer, kind=None):
    """The events of the report, once they are there."""
    if answer[0] != 250:
        return []
    return wait_for(lambda: [
        e for e in d.events(kind) if e.get("report") == ident(answer)])


def postfix(rcpt, m, text="550 5.1.1 user unknown", action="failed",
            status="5.1.1", shown=None):
    """A bounce as Postfix writes it, of what the receiver saw."""
    return ("From: MAILER-DAEMON@mx.p.example (Mail Delivery System)\r\n"
            "To: %s\r\nSubject: Undelivered Mail Returned to Sender\r\n"
            "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
            "Content-Type: multipart/report; report-type=delivery-status;\r\n"
            "\tboundary=\"b/1\"\r\n\r\n--b/1\r\nContent-Type: text/plain\r\n"
            "\r\nThis is the mail system at host mx.p.example.\r\n\r\n"
            "<%s>: host said: %s\r\n\r\n--b/1\r\n"
            "Content-Type: message/delivery-status\r\n\r\n"
            "Reporting-MTA: dns; mx.p.example\r\n\r\n"
            "Final-Recipient: rfc822; %s\r\nAction: %s\r\nStatus: %s\r\n"
            "Diagnostic-Code: smtp; %s\r\n\r\n--b/1\r\n"
            "Content-Type: message/rfc822\r\n\r\n%s\r\n--b/1--\r\n" % (
                m.sender, shown or rcpt, text, shown or rcpt, action, status,
                text, m.data.decode("latin-1")))


def arf(m, rcpt=None, kind="abuse", mail_from=None):
    lines = ["Feedback-Type: " + kind, "User-Agent: x/1", "Version: 1"]
    lines += ["Original-Rcpt-To: <%s>" % rcpt] if rcpt else []
    lines += ["Original-Mail-From: <%s>" % mail_from] if mail_from else []
    return ("From: fbl@p.example\r\nMIME-Version: 1.0\r\nContent-Type: "
            "multipart/report; report-type=feedback-report; boundary=b\r\n\r\n"
            "--b\r\nContent-Type: text/plain\r\n\r\nA complaint.\r\n--b\r\n"
            "Content-Type: message/feedback-report\r\n\r\n%s\r\n\r\n--b\r\n"
            "Content-Type: message/rfc822\r\n\r\n%s\r\n--b--\r\n" % (
                "\r\n".join(lines), m))


def row(provider="p"):
    return [r for r in d.json("warmup")["warmup"]
            if (r["provider"] or "") == provider][0]


def metric(name):
    """Of the control socket."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(conf["control"])
        s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = b"".join(iter(lambda: s.recv(65536), b"")).decode()
    return int(re.search("^mtad_%s (\\d+)$" % name, text, re.M).group(1))


def suppressed(rcpt):
    return d.verb("suppress", "show", rcpt, "--tenant", "ann")[0] == 0


def signed(age_s, serial, days=1, key="0123456789abcdefghij"):
    """A return path of a message of that age that nobody has sent: its lines
    are waited for while it is young."""
    data = struct.pack(">QHHIHHI", int((time.time() - age_s) * 1e6), 0, 0,
                       serial, 0, int(time.time() / 86400) + days, 77)
    mac = hmac.new(key.encode(), b"bounce.example\0" + data, hashlib.sha256)
    text = base64.b32hexencode(data + mac.digest()[:11]).decode().lower()
    return "b+%s@bounce.example" % text


# ---- what leaves ----------------------------------------------------------------

send("u1@p.example")
m = left("u1@p.example")
local, domain = m.sender.split("@")
tap.ok(domain == "bounce.example" and local.startswith("b+") and
       len(local) == 58, "mail leaves with a signed return path", m.sender)
send("u2@p.example", tenant="bob")
tap.same(left("u2@p.example").sender, "news@from.example",
         "... of the tenant that wants it alone")
wait_for(lambda: [e for e in d.events("Delivery")
                  if e["recipient"] == "u1@p.example"])
e = [e for e in d.events("Delivery") if e["recipient"] == "u1@p.example"][0]
tap.same(e["sender"], "news@from.example", "events have its own sender")
mid = e["id"]

# ---- a bounce ------------------------------------------------------------------------

answer = back(m.sender.upper(), postfix("u1@p.example", m))
got = told(answer)
tap.same(len(got), 1, "a bounce to it is one event")
g = (got or [{}])[0]
want = {"type": "RemoteBounce", "id": mid, "recipient": "u1@p.example",
        "rcpt": 0, "sender": "news@from.example", "tenant": "ann",
        "campaign": "c1", "source": "a", "code": 550, "enhanced": "5.1.1",
        "kind": "unknown_user", "hard": True, "action": "failed",
        "known_by": "token", "message_id": "u1@p.example", "listener": "mx"}
tap.same({k: g.get(k) for k in want}, want,
         "... of that message, recipient, tenant, campaign and source")
tap.ok(wait_for(lambda: row()["bounced"] == 1), "... it counts for warm-up",
       row())
tap.ok(wait_for(lambda: suppressed("u1@p.example")), "... and suppresses")
code, out = d.verb("explain", "message", mid)
tap.ok("RemoteBounce" in out, "... and explain shows it", out)
got = told(back(m.sender, postfix("u1@p.example", m)))
tap.same([e.get("repeat") for e in got], [True], "a second one is a repeat")
tap.same(row()["bounced"], 1, "... and does not count")
tap.ok(wait_for(lambda: d.json("status")["totals"]["messages"] == 0),
       "they are let go")
tap.same(sink.to(m.sender), [], "... and nothing was sent for them")

send("u3@p.example")
m3 = left("u3@p.example")
got = told(back(m3.sender, postfix(
    "u3@p.example", m3, shown="elsewhere@else.example",
    text="452 4.2.2 mailbox full", action="delayed", status="4.2.2")))
tap.same([(e["type"], e["recipient"], e.get("reported"), e.get("action"))
          for e in got],
         [("RemoteStatus", "u3@p.example", "elsewhere@else.example",
           "delayed")],
         "a delay is none; the recipient is the token's, whoever is named")
got = told(back(m3.sender, "Subject: failure notice\r\nFrom: "
                "MAILER-DAEMON@x.example\r\n\r\nHi. This is the qmail-send "
                "program at x.example.\r\nI'm afraid I wasn't able to deliver "
                "your message.\r\nThis is a permanent error; I've given up.\r\n"
                "\r\n550 5.1.1 user unknown\r\n"))
tap.same([(e["type"], e["recipient"]) for e in got],
         [("RemoteBounce", "u3@p.example")],
         "one that names nobody is about the token's recipient")
got = told(back(m3.sender, "Subject: Out of office\r\nAuto-Submitted: "
                "auto-replied\r\nFrom: u3@p.example\r\n\r\nI am away.\r\n"))
tap.same([(e["type"], e.get("reason"), e.get("id") is not None) for e in got],
         [("Reply", "auto-reply", True)], "an auto-reply is no bounce")

# ---- several recipients in one transaction -------------------------------------------

send("m1@p.example", "m2@p.example")
mm = left("m2@p.example")
tap.same(sorted(mm.rcpts), ["m1@p.example", "m2@p.example"],
         "several recipients share a transaction, and its return path")
got = told(back(mm.sender, postfix("m2@p.example", mm)))
tap.same([(e["type"], e["recipient"], e.get("rcpt")) for e in got],
         [("RemoteBounce", "m2@p.example", 1)], "... the bounce says who")
got = told(back(mm.sender, postfix("x@other.example", mm)))
tap.same([(e["type"], e.get("recipient"), e.get("reported"),
           e.get("known_by")) for e in got],
         [("RemoteBounce", None, "x@other.example", "token")],
         "... and somebody else is not taken for one of them")

# ---- by another mtad -------------------------------------------------------------------

send("dead@dead.example")
got = wait_for(lambda: [e for e in d.events("RemoteBounce")
                        if e.get("recipient") == "dead@dead.example"])
tap.same([(e["known_by"], e["code"], e["kind"]) for e in got],
         [("token", 550, "unknown_user")], "our own notice is understood")

# ---- complaints -------------------------------------------------------------------------

send("u4@p.example")
m4 = left("u4@p.example")
answer = back("fbl@bounce.example", arf(m4.data.decode(), "u4@p.example"),
              sender="fbl@p.example")
got = told(answer)
tap.same([(e["type"], e.get("recipient"), e.get("known_by"), e["feedback"],
           e.get("source")) for e in got],
         [("Feedback", "u4@p.example", "trace", "abuse", "a")],
         "a complaint is tied to the message by our trace field in it")
tap.ok(wait_for(lambda: row()["complained"] == 1), "... counts")
tap.ok(wait_for(lambda: suppressed("u4@p.example")), "... and suppresses")
send("u5@p.example")
m5 = left("u5@p.example")
got = told(back("fbl@bounce.example", arf("Subject: x\r\n\r\nx\r\n",
                                          "redacted@redacted",
                                          mail_from=m5.sender)))
tap.same([(e["type"], e.get("recipient"), e.get("known_by")) for e in got],
         [("Feedback", "u5@p.example", "token")],
         "with the recipient blotted out, by the return path")
got = told(back("fbl@bounce.example", arf(m5.data.decode(), "u5@p.example",
                                          kind="not-spam")))
tap.same([(e["type"], e["feedback"]) for e in got],
         [("Feedback", "not-spam")], "what is no complaint is told")
tap.same(row()["complained"], 2, "... and not counted")

# ---- what nobody has signed ----------------------------------------------------------------

before = row()["bounced"]
got = told(back("news+u2=p.example@bounce.example", "From: x@y.example\r\n"
                "Subject: Undeliverable mail\r\n\r\nu2@p.example: 550 5.1.1 "
                "user unknown\r\n", sender="x@y.example"))
tap.same([(e["type"], e.get("recipient"), e.get("known_by")) for e in got],
         [("RemoteBounce", "u2@p.example", "verp")], "a VERP address is read")
fake = type("M", (), {"sender": "returns@bounce.example",
                      "data": b"Subject: x\r\n\r\nx\r\n"})
got = told(back(fake.sender, postfix("u2@p.example", fake)))
tap.same([(e.get("recipient"), e.get("known_by")) for e in got],
         [("u2@p.example", "address")], "... a recipient is looked up")
tap.ok(row()["bounced"] == before and
       d.verb("suppress", "show", "u2@p.example")[0] != 0,
       "but what anybody can write neither counts nor suppresses")

bad = []
for i in range(len(local)):
    c = "1" if local[i] != "1" else "2"
    if i >= 2:
        bad.append(back(local[:i] + c + local[i + 1:] + "@" + domain, "")[0])
tap.same(set(bad), {550}, "a return path with any digit changed is refused")
tap.same([back(a + "@bounce.example", "")[0]
          for a in ("nobody", local + "0", local[:-1], "b+", "x+y", "+a=b.c")],
         [550] * 6, "... and so is what we do not have")
tap.same(back("u@elsewhere.example", "")[0], 550, "nobody may relay by it")
tap.same(back("%s@fwd.example" % local, "")[0], 550,
         "a return path is good at its own domain alone")
with smtplib.SMTP("127.0.0.1", in_port, timeout=10) as c:
    c.ehlo("x.example")
    c.mail("s@x.example")
    tap.same([c.rcpt(a)[0] for a in (m.sender, "u9@p.example", m3.sender)],
             [250, 452, 452], "mail for us goes alone")
tap.same(back(m.sender, "Subject: x\r\n\r\n" + ("x" * 70 + "\r\n") * 5000)[0],
         552, "a message that is too large is refused")

tap.same(back(signed(0, 1, -1, "an older secret of ours"), ""),
         (550, "5.7.1 Return path has expired"), "an expired one is refused")

# ---- keys change; and forwarding --------------------------------------------------------

config(["new", "old"], {"default": {"recipients_per_transaction": 1}})
reloads = d.said().count("configuration taken over")
d.signal(signal.SIGHUP)
wait_for(lambda: d.said().count("configuration taken over") > reloads)
send("u6@p.example")
m6 = left("u6@p.example")
tap.ok(told(back(m6.sender, postfix("u6@p.example", m6))) and
       told(back(m.sender, postfix("u1@p.example", m))),
       "with a new key, paths of both are good")
send("v1@p.example", "v2@p.example")
paths = {left(a).sender for a in ("v1@p.example", "v2@p.example")}
tap.same(len(paths), 2, "a recipient a transaction: each has its own path")
got = told(back(left("v2@p.example").sender, "Subject: failure notice\r\nFrom:"
                " MAILER-DAEMON@x.example\r\n\r\nHi. This is the qmail-send "
                "program at x.example.\r\n550 5.1.1 user unknown\r\n"))
tap.same([e.get("recipient") for e in got], ["v2@p.example"], "... by itself")
text = postfix("x@y.example", fake).replace("\r\n\r\n", "\r\nX-A: b\r\n\r\n", 1)
got = told(back("b@fwd.example", text))
tap.same([e["type"] for e in got], ["RemoteBounce"], "what is forwarded is told")
wait_for(lambda: sink.to("ops@p.example"))
tap.same([(x.sender, b"X-A: b" in x.data) for x in sink.to("ops@p.example")],
         [("", True)], "... and goes on with the null sender")
os.chmod(path("new.key"), 0o644)
d.signal(signal.SIGHUP)
tap.ok(wait_for(lambda: "inbound.bounce.example.keys" in d.said()),
       "a key that others can read is refused")
os.chmod(path("new.key"), 0o600)

tap.ok(wait_for(lambda: metric("spool_messages") == 0), "all is let go")
tap.same({n: metric(n) for n in ("return_paths_forged_total",
                                 "return_paths_expired_total",
                                 "returned_complaints_total",
                                 "returned_repeated_total",
                                 "returned_waiting")},
         {"return_paths_forged_total": len(bad),
          "return_paths_expired_total": 1,
          "returned_complaints_total": 3, "returned_repeated_total": 3,
          "returned_waiting": 0}, "metrics count it")

tap.ok("failed" in d.verb("status")[1].partition("came back")[2],
       "status tells", d.verb("status")[1])
# A message that waits to be read: its lines may come yet.
ask = ident(back(signed(0, 99), postfix("u6@p.example", m6)))
tap.same([d.verb(*args)[0] for args in (
    ("explain", "message", ask), ("show", ask), ("delete", "--all"))]
         + [d.greets()], [0, 0, 0, True],
         "one that waits to be read can be asked for")

# ---- kill -9 -----------------------------------------------------------------------------


mk = m6
answers = [back(signed(57.5, i), postfix("k%d@p.example" % i, mk))
           for i in range(5)]
# Tried twice each: what the spool was told meanwhile, it has.
tried = metric("returned_retried_total")
wait_for(lambda: metric("returned_retried_total") >= tried + 10)
d.kill9()
ids = [ident(a) for a in answers if a[0] == 250]
had = [e for e in d.events("RemoteBounce") if e["report"] in ids]
d.start()
tap.ok(len(ids) == 5 and not had,
       "killed behind the 250 and before the events", (len(ids), had))
tap.ok(wait_for(lambda: {e["report"] for e in d.events("RemoteBounce")}
                >= set(ids)), "none is lost")
tap.same({(e["report"], e.get("recipient"), e.get("reported"),
           e["known_by"]) for e in d.events("RemoteBounce")
          if e["report"] in ids},
         {(ids[i], None, "k%d@p.example" % i, "token") for i in range(5)},
         "... and nobody is guessed")
tap.ok(wait_for(lambda: d.json("status")["totals"]["messages"] == 0),
       "they are let go")
tap.same(remote.stop(), 0, "stops")
tap.same(d.stop(), 0, "stops")
tap.same(d.spool_check()[0], 0, "the spool is sound")
tap.done()
