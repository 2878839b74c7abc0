#!/usr/bin/env python3
"""Submission (RFC 6409): what is added and taken out, what is left alone, who may
send as whom and how much; accounts in a file and in SQLite."""
# parallel: measures no time
# timeout: 60 120

import base64
import email
import json
import os
import select
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


def in_a_file():
    """Changes count at the next login, without a reload."""
    def add(*args, password="pw"):
        return account("add", "--file", DB, *args, password=password)

    tap.same(connect(login="db"), 454, "file: it is not there yet")
    tap.same(account("list", "--file", DB).returncode, 3, "list: no file")
    tap.same(account("remove", "--file", DB, "x").returncode, 3,
             "remove: no file")
    tap.same(add("db", "--tenant", "acme", "--from",
                 "db@mine.example,own.example", "--rate", "2/1h", "--size",
                 "2K", "--recipients", "5").returncode, 0, "add")
    with connect(login="db") as c:
        text = "From: db@mine.example\r\n\r\nx\r\n"
        tap.same([send(c, text, "file@to.example", "x@own.example")[0],
                  send(c, text, "file@to.example", "x@foreign.example")[0],
                  send(c, text, "file@to.example", "x@own.example")[0],
                  send(c, text, "file@to.example", "x@own.example")[0],
                  c.esmtp_features["size"]], [250, 550, 250, 450, "2048"],
                 "file: its limits hold")
    e = wait_for(lambda: [x for x in daemon.events("Reception")
                          if x.get("recipient") == "file@to.example"])
    tap.same(e[0].get("tenant"), "acme", "file: its tenant")
    tap.same([connect(login="db", password="no"), connect(login="nobody"),
              connect(login="narrow", password="no")], [535] * 3,
             "file: wrong ones")
    tap.same(add("db").returncode, 1, "add: there is one")
    tap.same(add("db", "--replace", password="other").returncode, 0, "replace")
    tap.same(connect(login="db"), 535, "file: the old password is gone")
    connect(login="db", password="other").quit()
    listed = [json.loads(x) for x in account(
        "list", "--file", DB, "--json").stdout.splitlines()]
    tap.same(listed, [{"name": "db"}], "list")
    tap.ok("NAME" in account("list", "-c", daemon.conf["file"]).stdout,
           "list: a table, by the configuration")
    tap.same([add(*a).returncode for a in (
        ["x", "--rate", "many"], ["x", "--from", " ".join(["a"] * 40)],
        ["x", "--tenant", "a b"])], [1] * 3, "add: what makes no sense")
    tap.same([add(*a).returncode for a in (
        [], ["a", "b"], ["x", "--size", "-1"], ["x", "--iterations", "1"],
        ["x", "--nonsense"])], [2] * 5, "add: wrong usage")
    tap.same(add("lost", "--pool", "nowhere").returncode, 0, "add: a pool")
    tap.same(connect(login="lost"), 454, "file: a pool that is none")
    os.rename(DB, DB + ".old")
    add("new")
    tap.same(connect(login="db", password="other"), 535,
             "file: another one in its place")
    connect(login="new").quit()
    tap.same(account("remove", "--file", DB, "new").returncode, 0, "remove")
    tap.same(account("remove", "--file", DB, "new").returncode, 1,
             "remove: nobody there")
    tap.same(connect(login="new"), 535, "file: removed")
    with open(DB, "w") as f:
        f.write("this is no database" * 1000)
    tap.same(connect(login="new"), 454, "file: damaged")
    connect(login="narrow").quit()
    tap.ok("cannot be asked" in daemon.said(), "file: the log says so")


def dear():
    """Passwords of a million rounds hold nobody else up."""
    os.unlink(DB)
    account("add", "--file", DB, "--iterations", "1000000", "dear")
    slow = []
    port = int(daemon.conf["listen"]["sub"]["bind"].rsplit(":", 1)[1])
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    line = base64.b64encode(b"\0dear\0wrong").decode()
    for _ in range(4):
        c = smtplib.SMTP("127.0.0.1", port, timeout=30)
        c.ehlo("x")
        c.starttls(context=context)
        c.ehlo("x")
        c.putcmd("AUTH PLAIN " + line)
        slow.append(c)
    with connect() as c:        # while these are tried
        code = send(c, ALL + "\r\nx\r\n", "meanwhile@to.example")[0]
    waiting = [c for c in slow if not select.select([c.sock], [], [], 0)[0]]
    tap.ok(code == 250 and waiting,
           "a million rounds: mail goes on meanwhile", len(waiting))
    tap.same({c.getreply()[0] for c in slow}, {535},
             "a million rounds: all are answered")
    for c in slow:
        c.close()


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
    route=smart(sink), accounts=DB,
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
in_a_file()
dear()
tap.same(daemon.stop(), 0, "stops")
tap.done()
