#!/usr/bin/env python3
"""`mtad decode` as its user meets it: what reports of many systems say, each in
their shape with words and addresses of our own; complaints; what is neither; and
that no message, however cut or broken, makes it fail or name a recipient that is
not in it."""
# sanitized: later

import base64
import json
import os
import random
import subprocess

TOP = os.environ["TOP"]
TMP = os.environ["TMP"]
MTAD = os.path.join(os.environ["BUILD"], "mtad")
RULES = os.path.join(TOP, "share", "rules", "bounces.yml")
SHIPPED = ["--bare", "--rules", RULES]

done = []


def ok(holds, name, what=""):
    done.append(holds)
    print("%sok %d - %s" % ("" if holds else "not ", len(done), name))
    if not holds:
        print("# %r" % (what,))


def run(text, *argv):
    r = subprocess.run([MTAD, "decode", *argv], input=text,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=60)
    return r.returncode, r.stdout.decode(), r.stderr.decode()


def decode(text, *argv):
    if isinstance(text, str):
        text = text.encode()
    status, out, err = run(text, *SHIPPED, *argv, "-")
    assert status == 0 and err == "", err
    return [json.loads(x) for x in out.splitlines()]


ORIGINAL = """Received: from app.sender.example by out.sender.example with ESMTP
\tid 0036A; Mon, 2 Nov 2026 10:00:00 +0000
Message-ID: <42.news@sender.example>
From: News <news@sender.example>
To: %s
Subject: What is new

Hello
"""


def notice(body, original="ann@there.example", sender="MAILER-DAEMON@mx.example",
           subject="Returned mail", head=""):
    return ("Return-Path: <>\nFrom: %s\nTo: news@sender.example\nSubject: %s\n"
            "%s\n%s" % (sender, subject, head, body)) + \
        (ORIGINAL % original if original else "")


def dsn(fields, text="Your message could not be delivered.\n", status_type=
        "message/delivery-status", original="ann@there.example", head=""):
    return notice("""--b
Content-Type: text/plain

%s
--b
Content-Type: %s
%s
Reporting-MTA: dns; mx.example

%s
--b
Content-Type: message/rfc822

%s
--b--
""" % (text, status_type, head, fields, ORIGINAL % original), original=None,
        head="MIME-Version: 1.0\nContent-Type: multipart/report; "
        "report-type=delivery-status;\n boundary=\"b\"\n")


FIELDS = """Final-Recipient: rfc822; ann@there.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.there.example
Diagnostic-Code: smtp; 550 5.1.1 <ann@there.example>... User
 unknown
"""

# ---- RFC 3464 ---------------------------------------------------------------

a = decode(dsn(FIELDS))
ok(len(a) == 1 and list(a[0]) == [
    "type", "recipient", "action", "status", "code", "diagnostic", "category",
    "kind", "hard", "original_message_id"], "the keys, in order", a)
ok(a[0] == {
    "type": "bounce", "recipient": "ann@there.example", "action": "failed",
    "status": "5.1.1", "code": 550,
    "diagnostic": "550 5.1.1 <ann@there.example>... User unknown",
    "category": "InvalidRecipient", "kind": "unknown_user", "hard": True,
    "original_message_id": "42.news@sender.example"}, "and what they say", a)
ok(decode(dsn(FIELDS).replace("\n", "\r\n")) == a, "lines may end in CRLF")
ok(decode(dsn(FIELDS).replace("\n", "\r")) == a, "or in CR alone")
ok(decode("From MAILER-DAEMON Mon Nov  2\n" + dsn(FIELDS)) == a,
   "the first line of a mailbox file is passed over")

a = decode(dsn(FIELDS + """
Final-Recipient: rfc822; bob@there.example
Action: delayed
Status: 4.2.2
Diagnostic-Code: smtp; 452 4.2.2 Mailbox full

Final-Recipient: rfc822; cid@there.example
Action: delivered
Status: 2.0.0

Final-Recipient: rfc822; dan@there.example
Action: relayed (to a system without reports)
Status: 2.0.0
"""))
ok([(x["recipient"][:3], x["action"], x["status"]) for x in a] ==
   [("ann", "failed", "5.1.1"), ("bob", "delayed", "4.2.2"),
    ("cid", "delivered", "2.0.0"), ("dan", "relayed", "2.0.0")],
   "several recipients, each with its action", a)
ok("category" not in a[2] and a[1]["hard"] is False and
   a[1]["category"] == "QuotaIssues", "only what failed or waits is judged", a)

a = decode(dsn(FIELDS + FIELDS.replace("ann", "bob")))
ok([x["recipient"][:3] for x in a] == ["ann", "bob"],
   "recipients without a blank line between them", a)
a = decode(dsn(FIELDS.replace("5.1.1\n", "5.0.0\n", 1).replace(
    "550 5.1.1", "version 5.0.1 says 550 5.1.1")))
ok((a[0]["status"], a[0]["code"]) == ("5.1.1", 550),
   "a status is the one behind the code", a)

a = decode(dsn("""Original-Recipient: rfc822; ann@there.example
Final-Recipient: rfc822; a1000@store7
Action: failed
Status: 5.2.2
Diagnostic-Code: x-unix; over quota
"""))
ok(a[0]["recipient"] == "ann@there.example",
   "a name that leads nowhere gives way to the original recipient", a)
a = decode(dsn("""Original-Recipient: rfc822; ann@there.example
Final-Recipient: rfc822; ann@elsewhere.example
Action: failed
Status: 5.0.0
Diagnostic-Code: smtp; 550 5.7.1 no
"""))
ok((a[0]["recipient"], a[0]["original_recipient"]) ==
   ("ann@elsewhere.example", "ann@there.example"),
   "of two that do, the final one failed, and the original one is told", a)
ok(a[0]["status"] == "5.7.1",
   "a status that says nothing gives way to the reply's", a)

a = decode(dsn("""Final-Recipient: utf-8; j\\x{F6}rg@b\\x{FC}cher.example
Action: failed
Status: 5.1.1
"""))
ok(a[0]["recipient"] == "j\u00f6rg@b\u00fccher.example",
   "an address of RFC 6533 is told in its own letters", a)
a = decode(dsn("Final-Recipient: utf-8; j\u00f6rg@there.example\n"
               "Action: failed\nStatus: 5.1.1\n",
               status_type="message/global-delivery-status"))
ok(a[0]["recipient"] == "j\u00f6rg@there.example", "and so it may stand", a)
coded = base64.encodebytes(("Reporting-MTA: dns; x\n\n" + FIELDS).encode())
a = decode(dsn(FIELDS).replace(
    "\nReporting-MTA: dns; mx.example\n\n" + FIELDS,
    "Content-Transfer-Encoding: base64\n\n" + coded.decode()))
ok(a[0]["code"] == 550, "fields may be encoded", a)
a = decode(dsn("Final-Recipient: rfc822; ann@there.example\nAction: failed\n"
               "Status: 5.0.0\n",
               text="ann@there.example: 550 5.7.26 no policy\n"))
ok((a[0]["status"], a[0]["code"]) == ("5.7.26", 550),
   "what the fields leave out the text may say", a)

# ---- texts ---------------------------------------------------------------------

TEXTS = [
    ("qmail", """Hi. This is the qmail-send program at mx.example.
I'm afraid I wasn't able to deliver your message to the following addresses.

<ann@there.example>:
192.0.2.7 does not like recipient.
Remote host said: 550 no such mailbox (#5.1.1)
Giving up on 192.0.2.7.

--- Below this line is a copy of the message.

""", "ann@there.example", "5.1.1", 550, "InvalidRecipient", True),
    ("Exim", """This message was created automatically by mail delivery software.
The following address(es) failed:

  ann@there.example
    SMTP error from remote mail server after RCPT TO:<ann@there.example>:
    host mx.there.example [192.0.2.7]: 552 5.2.2 Mailbox is over quota

------ This is a copy of the message, including all the headers. ------

""", "ann@there.example", "5.2.2", 552, "QuotaIssues", False),
    ("Postfix without fields", """This is the mail system at host mx.example.

<ann@there.example>: host mx.there.example[192.0.2.7] said: 550 5.1.1
    <ann@there.example>: Recipient address rejected: User unknown (in reply
    to RCPT TO command)

""", "ann@there.example", "5.1.1", 550, "InvalidRecipient", True),
    ("old Sendmail", """   ----- The following addresses had permanent fatal errors -----
<a1@inner.example>
    (reason: 550 5.1.1 User unknown)
    (expanded from: <ann@there.example>)

   ----- Transcript of session follows -----
... while talking to inner.example.:
>>> RCPT To:<a1@inner.example>
<<< 550 5.1.1 User unknown

   ----- Original message follows -----

""", "ann@there.example", "5.1.1", 550, "InvalidRecipient", True),
    ("Exchange", """Your message

  To:      list@sender.example
  Subject: What is new
  Sent:    Mon, 2 Nov 2026 10:00:00 +0000

did not reach the following recipient(s):

ann@there.example on Mon, 2 Nov 2026 10:00:05 +0000
    The recipient name is not recognized

""", "ann@there.example", "5.0.0", None, "InvalidRecipient", True),
    ("X.400 within", """Your message

  To:      list@sender.example
  Subject: What is new

did not reach the following recipient(s):

c=US;a= ;p=There;o=Main;dda:SMTP=ANN@THERE.EXAMPLE; on Mon, 2 Nov 2026
    The recipient name is not recognized

""", "ANN@THERE.EXAMPLE", "5.0.0", None, "InvalidRecipient", True),
    ("Domino", """Your message

  Subject: What is new

was not delivered to:

  ann@there.example

because:

  User ann (ann@there.example) not listed in Domino Directory

""", "ann@there.example", "5.0.0", None, "InvalidRecipient", True),
    ("a gateway to phones", """Error: Invalid user address

Error message below:
550 - Requested action not taken: no such user here

Message details:
  Subject: What is new
  MAIL FROM: news@sender.example
  RCPT TO: 15550100@phone.example
""", "15550100@phone.example", "5.0.0", 550, "InvalidRecipient", True),
    ("MDaemon", """The following addresses did NOT receive a copy of your message:

> ann@there.example

--- Session Transcript ---
 RCPT To:<ann@there.example>
 552 Message for <ann@there.example> would exceed mailbox quota
 QUIT
--- End Transcript ---
""", "ann@there.example", "5.0.0", 552, "QuotaIssues", False),
    ("a spam filter", """Your message could not be delivered to the following recipient:

Recipient: ann@there.example
Reason: 554 5.7.1 Message rejected as spam by content filter

""", "ann@there.example", "5.7.1", 554, "SpamContent", False),
]
for name, text, rcpt, status, code, category, hard in TEXTS:
    a = decode(notice(text))
    ok(len(a) == 1 and a[0]["type"] == "bounce" and
       (a[0]["recipient"], a[0]["action"], a[0]["status"], a[0]["code"]) ==
       (rcpt, "failed", status, code), name + ": who, what and why", a)
    ok((a[0].get("category"), a[0].get("hard")) == (category, hard),
       name + ": what it means", a)

a = decode(notice("""The following address(es) failed:

  ann@there.example
    mailbox is full: retry timeout exceeded
  bob@there.example
    host mx.there.example [192.0.2.7]: 550 5.1.1 no such user

"""))
ok([(x["recipient"][:3], x["status"], x["category"]) for x in a] ==
   [("ann", "5.0.0", "QuotaIssues"), ("bob", "5.1.1", "InvalidRecipient")],
   "each recipient has its own words", a)
a = decode(notice(TEXTS[1][1].replace("ann@there.example", "ann"),
                  head="X-Failed-Recipients: ann@there.example,\n"
                  " bob@there.example\n"))
ok([x["recipient"] for x in a] == ["ann@there.example", "bob@there.example"] and
   a[0]["code"] == 552, "X-Failed-Recipients names them", a)
a = decode(notice("""A message that you sent has not yet been delivered:

  ann@there.example
    Delay reason: 450 4.7.1 come back later

Delivery attempts will continue for some time.
""", subject="Warning: message 1 delayed 24 hours"))
ok((a[0]["action"], a[0]["status"], a[0]["hard"]) ==
   ("delayed", "4.7.1", False), "a warning is a delay", a)
a = decode(notice("The mail could not be delivered. The mailbox is full.\n\n"
                  "--- Original message ---\n\n"))
ok((a[0]["recipient"], a[0]["category"]) ==
   ("ann@there.example", "QuotaIssues"),
   "where a text names nobody, the message's only recipient it was", a)
a = decode(notice("The mail could not be delivered. The mailbox is full.\n\n"
                  "--- Original message ---\n\n",
                  original="ann@there.example, bob@there.example"))
ok(a == [{"type": "other", "reason": "bounce without a recipient"}],
   "of two none is guessed", a)
html = notice("<html><style>p{}</style><p>Your message to <b>ann@there.example"
              "</b> could not be delivered.<br>550&nbsp;5.1.1 no such user"
              "</p></html>\n", original=None,
              head="Content-Type: text/html\n")
a = decode(html)
ok((a[0]["recipient"], a[0]["status"]) == ("ann@there.example", "5.1.1"),
   "a text of HTML", a)
a = decode(notice('{"notificationType":"Bounce","bounce":{"bouncedRecipients":'
                  '[{"emailAddress":"ann@there.example","action":"failed",'
                  '"status":"5.1.1","diagnosticCode":"smtp; 550 5.1.1 \\"no\\" '
                  'such user"}]},"mail":{"messageId":"42"}}\n',
                  sender="no-reply@sns.example", original=None))
ok((a[0]["recipient"], a[0]["code"], a[0]["original_message_id"]) ==
   ("ann@there.example", 550, "42"), "a notification in JSON", a)

# ---- complaints -----------------------------------------------------------------

REPORT = """From: feedback@provider.example
Subject: FW: What is new
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary=b

--b
Content-Type: text/plain

This is a report of abuse.
--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Loop/1.0
Version: 1
Original-Mail-From: <news@sender.example>
Original-Rcpt-To: <ann@provider.example>
Original-Rcpt-To: <bob@provider.example>
Arrival-Date: Mon, 2 Nov 2026 10:00:09 +0000
Source-IP: 192.0.2.9
Reported-Domain: sender.example
--b
Content-Type: message/rfc822

""" + ORIGINAL % "ann@provider.example" + "--b--\n"
a = decode(REPORT)
ok(a[0] == {
    "type": "report", "feedback_type": "abuse", "user_agent": "Loop/1.0",
    "source_ip": "192.0.2.9", "original_mail_from": "news@sender.example",
    "original_rcpt_to": "ann@provider.example",
    "reported_domain": "sender.example",
    "arrival_date": "Mon, 2 Nov 2026 10:00:09 +0000",
    "message_id": "42.news@sender.example"}, "a complaint", a)
ok([x["original_rcpt_to"] for x in a] ==
   ["ann@provider.example", "bob@provider.example"], "a line a recipient", a)
bare = "\n".join(x for x in REPORT.split("\n") if not x.startswith("Orig"))
a = decode(bare)
ok((a[0]["original_rcpt_to"], a[0]["original_mail_from"]) ==
   ("ann@provider.example", "news@sender.example"),
   "what a complaint leaves out its message may say", a)
a = decode(REPORT.replace("abuse\n", "auth-failure\n"))
ok(a[0]["feedback_type"] == "auth-failure", "reports of other things", a)
a = decode("From: staff@provider.example\n"
           "Subject: complaint about message from 192.0.2.9\n"
           "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
           "Content-Type: message/rfc822\n\n"
           "X-HmXmrOriginalRecipient: ann@provider.example\n" +
           ORIGINAL % "x" + "--b--\n")
ok((a[0]["type"], a[0]["source_ip"], a[0]["original_rcpt_to"]) ==
   ("report", "192.0.2.9", "ann@provider.example"),
   "a complaint of the kind that Hotmail sent", a)

# ---- neither ----------------------------------------------------------------------

OTHERS = [
    ("auto-reply", "Auto-Submitted: auto-replied\nSubject: Re: News\n\nAway.\n"),
    ("auto-reply", "Subject: Automatic reply: News\n\nann@a.example is away.\n"),
    ("auto-reply", "Subject: =?utf-8?q?R=C3=A9ponse_automatique?= : News\n\n.\n"),
    ("auto-reply", "Subject: =?utf-8?b?6Ieq5YuV5b+c562U?=\n\n.\n"),
    ("auto-reply", "X-Autoreply: yes\nSubject: Abwesenheitsnotiz\n\n.\n"),
    ("challenge", "Subject: Please confirm your message\n\nClick here.\n"),
    ("list mail", "List-Id: <l.example>\nSubject: Digest\n\nuser unknown\n"),
    ("no report of a delivery", "Subject: Hello\n\nDear ann@a.example\n"),
    ("no report of a delivery", "Subject: Re: Undelivered Mail\n\n"
     "My mail to ann@a.example said 550 5.1.1 user unknown.\n"),
    ("empty", ""),
    ("empty", "\r\n\r\n"),
]
a = decode("From: postmaster@a.example\nSubject: Re: Hello\n\n"
           "ann@a.example has a new address, bob@a.example\n")
ok(a == [{"type": "other", "reason": "no report of a delivery"}],
   "a postmaster may answer as others do", a)
for reason, text in OTHERS:
    a = decode((("From: ann@a.example\nTo: news@sender.example\n" if text.strip()
                 else "") + text))
    ok(a == [{"type": "other", "reason": reason}], reason, (text, a))
receipt = dsn("Final-Recipient: rfc822; ann@there.example\nDisposition: "
              "manual-action/MDN-sent-manually; displayed\n",
              status_type="message/disposition-notification").replace(
    "delivery-status", "disposition-notification")
ok(decode(receipt) == [{"type": "other", "reason": "read receipt"}],
   "read receipt", decode(receipt))

# ---- broken -----------------------------------------------------------------------

rnd = random.Random(5)
samples = [dsn(FIELDS), REPORT, html] + [notice(t[1]) for t in TEXTS]
files, texts = [], []
for n in range(400):
    s = bytearray(rnd.choice(samples).encode())
    for _ in range(rnd.randrange(4)):
        at = rnd.randrange(len(s))
        what = rnd.randrange(4)
        if what == 0:
            del s[at:at + rnd.randrange(80)]
        elif what == 1:
            s[at:at] = bytes(rnd.randrange(256) for _ in range(4))
        elif what == 2:
            s[at:at] = s[rnd.randrange(len(s)):][:rnd.randrange(200)]
        else:
            del s[at:]
        s = s or bytearray(b"x")
    path = os.path.join(TMP, "m%d" % n)
    with open(path, "wb") as f:
        f.write(s)
    files.append(path)
    texts.append(bytes(s))
status, out, err = run(b"", *SHIPPED, *files)
lines = [json.loads(x) for x in out.splitlines()]
ok(status == 0 and err == "" and len(lines) >= 400,
   "no broken message makes it fail", (status, err[:200], len(lines)))
everything = b"\n".join(texts).decode("utf-8", "replace").lower()
named = [x["recipient"] for x in lines if x["type"] == "bounce"]
ok(len(named) > 200 and all(x.lower() in everything or "&" in everything
                            and x.lower() in html for x in named),
   "or name what is not in it",
   [x for x in named if x.lower() not in everything][:3])

# As large as it takes for what is slow to show; sanitizers are slow anyway.
LESS = 10 if "asan" in os.environ["BUILD"] else 1
HOSTILE = [
    notice("", original=None) + "a@b.example " * (100000 // LESS),
    notice("", original=None) + "".join("<a%d@b.example>: no\n" % n
                                        for n in range(2500 // LESS)),
    "Subject: x" + "\n a" * (500000 // LESS) + "\n\n",
    notice("<" * (1000000 // LESS), original=None,
           head="Content-Type: text/html\n"),
    dsn("".join("Final-Recipient: rfc822; a%d\nAction: failed\n\n" % n
                for n in range(2000 // LESS)),
        text="x@y.example no\n" * (2000 // LESS)),
]
for n, text in enumerate(HOSTILE):
    with open(os.path.join(TMP, "h%d" % n), "w") as f:
        f.write(text)
before = os.times()
status, out, err = run(b"", *SHIPPED, *[os.path.join(TMP, "h%d" % n)
                                        for n in range(len(HOSTILE))])
after = os.times()
spent = after.children_user - before.children_user
ok(status == 0 and spent < 20, "nor takes long over it", (status, spent))
lines = out.splitlines()
ok(len(lines) < 1000, "or names them without an end", len(lines))

# ---- the verb ---------------------------------------------------------------------

path = os.path.join(TMP, "one.eml")
with open(path, "w") as f:
    f.write(dsn(FIELDS))
status, out, err = run(dsn(FIELDS).encode(), *SHIPPED, path, "-")
ok(status == 0 and len(out.splitlines()) == 2, "several files", out)
status, out, err = run(b"", *SHIPPED, path + ".none", path)
ok(status == 1 and len(out.splitlines()) == 1 and "one.eml.none" in err,
   "one that is not there is told, and the others are read", (status, err))
mine = os.path.join(TMP, "mine.yml")
with open(mine, "w") as f:
    f.write("rules:\n- {text: user unknown, category: RoutingErrors, "
            "kind: other}\n")
a = [json.loads(x) for x in run(b"", "--rules", mine, path)[1].splitlines()]
ok(a[0]["category"] == "RoutingErrors" and a[0]["hard"] is False,
   "rules of one's own judge", a)
ok(run(b"", "--rules", mine + ".none", path)[0] == 1,
   "rules that cannot be read: exit 1")
ok(run(b"")[0] == 2 and run(b"", "--no-such", path)[0] == 2,
   "wrong usage: exit 2")
status, out, err = run(b"x" * ((32 << 20) + 1), *SHIPPED, "-")
ok(status == 1 and "more than 32 MB" in err, "a message has a ceiling", err)
print("1..%d" % len(done))
