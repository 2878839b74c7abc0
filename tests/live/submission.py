#!/usr/bin/env python3
"""Submission (RFC 6409): what is added and taken out, what is left alone, who may
send as whom and how much; accounts in a file and in SQLite."""
# parallel: measures no time
# timeout: 60 120

import base64
import email
import json
import os
import smtplib
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import (Mtad, Sink, Tap, free_port, path, smart, wait_for,
                    write_config)

tap = Tap()
MTAD = os.path.join(os.environ["BUILD"], "mtad")
cert, key = path("cert.pem"), path("key.pem")
subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                "-days", "2", "-subj", "/CN=localhost", "-keyout", key,
                "-out", cert], check=True, stdin=subprocess.DEVNULL,
               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
DB = path("accounts.db")
ALL = ("From: a@b.example\r\nDate: Sat, 28 Nov 2026 11:00:00 +0000\r\n"
       "Message-ID: <x@y>\r\n")


def account(*args, password="pw"):
    return subprocess.run([MTAD, "account", *args], input=password + "\n",
                          capture_output=True, text=True)


def secret(*args):
    r = account(*args)
    return r.stdout.split('secret: "')[1].split('"')[0]


def connect(listener="sub", login=None, password="pw"):
    port = int(daemon.conf["listen"][listener]["bind"].rsplit(":", 1)[1])
    c = smtplib.SMTP("127.0.0.1", port, timeout=15)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    c.ehlo("client.example")
    if login:
        c.starttls(context=context)
        c.ehlo("client.example")
        code, _ = c.docmd("AUTH PLAIN", base64.b64encode(
            ("\0%s\0%s" % (login, password)).encode()).decode())
        if code != 235:
            return code
        c.ehlo("client.example")
    return c


def send(c, text, to, sender="a@b.example"):
    """The reply's code and text, wherever it came from."""
    c.rset()
    reply = c.mail(sender)
    if reply[0] == 250:
        reply = c.rcpt(to)
    if reply[0] == 250:
        reply = c.data(text.encode())
    return reply[0], reply[1].decode()


def got(to):
    wait_for(lambda: sink.to(to))
    return sink.to(to)[0]


# ---- repairs -----------------------------------------------------------------------

def repairs():
    with connect() as c:
        tap.same(send(c, "From: a@b.example\r\nBcc: x@y.example\r\n"
                      "User-Agent: secret\r\n agent\r\nX-Keep: 1\r\n\r\nx\r\n",
                      "added@to.example")[0], 250, "repairs: taken")
        raw = got("added@to.example").data
        m = email.message_from_bytes(raw)
        tap.ok(m["Date"] and m["Message-ID"].endswith("@mta1.example>") and
               not m["Bcc"] and not m["User-Agent"] and m["X-Keep"] == "1" and
               raw.endswith(b"\r\nFrom: a@b.example\r\nX-Keep: 1\r\n\r\nx\r\n"),
               "repairs: added and taken out", raw)
        # Octet for octet, whatever the body is like.
        for i, body in enumerate(("", "\r\n", ".\r\n..\r\n", "Bcc: no\r\n",
                                  "x" * 70000 + "\r\n", "a\r\n" * 300000)):
            if len(body) == 70002:
                body = "x" * 60000 + "\r\n"
            text = ALL + "X-Folded: a\r\n\tb\r\n  c\r\nDate2 : x\r\n\r\n" + body
            to = "same%d@to.example" % i
            tap.same(send(c, text, to)[0], 250, "left alone: taken %d" % i)
            tap.same(got(to).below_received(), text.encode(),
                     "left alone: octet for octet %d" % i)
        for text, want in (("Subject: x\r\n\r\nx\r\n", "one From"),
                           ("\r\nx\r\n", "one From"), ("x\r\n", "one From"),
                           (ALL + "From: b@c.example\r\n\r\n", "one From")):
            code, said = send(c, text, "no@to.example")
            tap.ok(code == 550 and want in said, "refused: %.20r" % text, said)
    with connect("in") as c:
        text = "Subject: x\r\nBcc: stays@to.example\r\n\r\nx\r\n"
        send(c, text, "relay@to.example")
        tap.same(got("relay@to.example").below_received(), text.encode(),
                 "no submission: nothing is repaired")


def signed():
    """A signature covers what was added."""
    with connect(login="signer") as c:
        tap.same(send(c, "From: a@signed.example\r\nBcc: x@y.example\r\n"
                      "Subject: s\r\n\r\nx\r\n", "signed@to.example",
                      "a@signed.example")[0], 250, "signed: taken")
    raw = got("signed@to.example").data
    with open(path("signed.eml"), "wb") as f:
        f.write(raw)
    records = {"s1._domainkey.signed.example.": record,
               "s1._domainkey.signed.example": record}
    with open(path("records.json"), "w") as f:
        json.dump(records, f)
    r = subprocess.run(["/usr/bin/python3", os.path.join(
        os.environ["TOP"], "tests", "lib", "dkim_verify.py"),
        path("records.json"), path("signed.eml")], capture_output=True,
        text=True)
    tap.ok("=pass" in r.stdout and "=fail" not in r.stdout and
           b"Message-ID" in raw, "signed: behind the repairs",
           r.stdout + r.stderr)


# ---- accounts -----------------------------------------------------------------------

def policy():
    with connect(login="narrow") as c:
        for sender, header, want in (
                ("me@mine.example", "me@mine.example", 250),
                ("you@own.example", "X <ME@mine.example>", 250),
                ("a@sub.wild.example", "me@mine.example", 250),
                ("", "me@mine.example", 250),
                ("you@mine.example", "me@mine.example", 550),
                ("a@wild.example", "me@mine.example", 550),
                ("me@mine.example", "you@mine.example", 550),
                ("me@mine.example", "me@mine.example, x@other.example", 550),
                ("me@mine.example", "\"me@mine.example\" <x@other.example>",
                 550), ("me@mine.example", "nonsense <", 550)):
            code, said = send(c, "From: %s\r\n\r\nx\r\n" % header,
                              "policy@to.example", sender)
            tap.same(code, want, "from: %s, %s" % (sender, header))
        tap.same(c.esmtp_features["size"], "2048", "EHLO says its size")
        c.rset()
        tap.same(c.docmd("MAIL FROM:<me@mine.example> SIZE=3000")[0], 552,
                 "size: said beforehand")
        code, _ = send(c, "From: me@mine.example\r\n\r\n" + "x\r\n" * 1000,
                       "big@to.example", "me@mine.example")
        tap.same(code, 552, "size: found out")
        c.rset()
        c.mail("me@mine.example")
        tap.same([c.rcpt("r%d@to.example" % i)[0] for i in range(4)],
                 [250, 250, 452, 452], "recipients")


def rate():
    a, b = connect(login="slow"), connect(login="slow")
    codes = [send(x, ALL + "\r\nx\r\n", "rate@to.example")[0]
             for x in (a, b, a, b, a)]
    tap.same(codes, [250, 250, 250, 450, 450], "rate, over connections")
    tap.ok("4.7.1" in send(a, ALL + "\r\n", "rate@to.example")[1],
           "rate: 4.7.1")
    tap.ok(wait_for(lambda: [x for x in daemon.events("Rejection")
                             if "Too many messages of yours" in str(x)]),
           "rate: in the books")
    a.quit(), b.quit()


def refused_configs():
    for listen, want in (({"submission": True, "strip_headers": ["From"]},
                          "strip_headers"),
                         ({"submission": True, "strip_headers": ["a b"]},
                          "strip_headers")):
        conf = write_config("bad", listen={
            "in": {"bind": "127.0.0.1:%d" % free_port(), **listen}})
        r = subprocess.run([MTAD, "check", "-c", conf["file"]],
                           capture_output=True, text=True)
        tap.ok(r.returncode == 1 and want in r.stdout + r.stderr,
               "check: %s" % listen, r.stdout + r.stderr)


refused_configs()
subprocess.run(["openssl", "genrsa", "-out", path("dkim.pem"), "2048"],
               check=True, stderr=subprocess.DEVNULL)
os.chmod(path("dkim.pem"), 0o600)
pub = subprocess.run(["openssl", "rsa", "-in", path("dkim.pem"), "-pubout",
                      "-outform", "DER"], check=True, capture_output=True)
record = "v=DKIM1; k=rsa; p=" + base64.b64encode(pub.stdout).decode()
sink = Sink()
TLS = {"cert": cert, "key": key}
daemon = Mtad(write_config(
    route=smart(sink),
    dkim={"key": {"s": {"domain": "signed.example", "selector": "s1",
                        "file": path("dkim.pem")}}},
    account={
        "signer": {"secret": secret("signer")},
        "narrow": {"secret": secret("narrow"), "message_size_max": "2K",
                   "recipients_max": 2, "from": [
                       "me@mine.example", "own.example", "*.wild.example"]},
        "slow": {"secret": secret("slow"), "rate": "3/1h"}},
    listen={"in": {"bind": "127.0.0.1:%d" % free_port(),
                   "relay_from": ["127.0.0.0/8"]},
            "sub": {"bind": "127.0.0.1:%d" % free_port(), "auth": True,
                    "submission": True, "tls": TLS,
                    "strip_headers": ["User-Agent", "X-Originating-IP"],
                    "relay_from": ["127.0.0.0/8"]}})).start()
repairs()
signed()
policy()
rate()
daemon.kill9()
tap.done()
