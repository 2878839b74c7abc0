#!/usr/bin/env python3
"""Logging in: by clients of others, by hand where they cannot be wrong enough;
what it allows, and what it says of nobody."""
# parallel: measures no time
# timeout: 60 90

import base64
import hashlib
import hmac
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
NAME, PASSWORD = "a,b=c@x.example", "sesame \u00fc!"
cert, key = path("cert.pem"), path("key.pem")
subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                "-days", "2", "-subj", "/CN=localhost", "-keyout", key,
                "-out", cert], check=True, stdin=subprocess.DEVNULL,
               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def account(*args, password=PASSWORD):
    return subprocess.run([MTAD, "account", *args], input=password + "\n",
                          capture_output=True, text=True)


def secret(name):
    r = account(name)
    tap.same(r.returncode, 0, "mtad account: exit")
    return r.stdout.split('secret: "')[1].split('"')[0]


def session(name="in"):
    port = int(daemon.conf["listen"][name]["bind"].rsplit(":", 1)[1])
    c = smtplib.SMTP("127.0.0.1", port, timeout=10)
    c.ehlo("client.example")
    return c


def tls(name="in"):
    c = session(name)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    c.starttls(context=context)
    c.ehlo("client.example")
    return c


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes)
                            else text.encode()).decode()


def hi(key, text):
    return hmac.new(key, text, hashlib.sha256).digest()


# ---- the verb ------------------------------------------------------------------

def the_verb():
    kept = secret("someone")
    kind, numbers, keys = kept.split("$")
    rounds, salt = numbers.split(":")
    stored, server = keys.split(":")
    salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(),
                                 base64.b64decode(salt), int(rounds))
    tap.same((kind, base64.b64decode(stored), base64.b64decode(server)),
             ("SCRAM-SHA-256",
              hashlib.sha256(hi(salted, b"Client Key")).digest(),
              hi(salted, b"Server Key")), "mtad account: the keys (RFC 5802)")
    tap.ok(secret("someone") != kept, "mtad account: a salt of its own")
    tap.same([account(*a).returncode for a in (
        [], ["a", "b"], ["--iterations", "4095", "a"], ["a\"b"])], [2] * 4,
        "mtad account: wrong usage")
    tap.same(account("a", password="").returncode, 1,
             "mtad account: no password")


def refused_configs():
    for listen, accounts, want in (
            ({"auth": True}, {"x": {"secret": GOOD}}, "tls"),
            ({"auth_required": True, "tls": TLS}, {}, "auth"),
            ({"auth": True, "tls": TLS}, {"x": {"secret": "sesame"}},
             "mtad account")):
        conf = write_config("bad", account=accounts, listen={
            "in": {"bind": "127.0.0.1:%d" % free_port(), **listen}})
        r = subprocess.run([MTAD, "check", "-c", conf["file"]],
                           capture_output=True, text=True)
        said = r.stdout + r.stderr
        tap.ok(r.returncode == 1 and want in said and "sesame" not in said,
               "check: %s" % listen, said)


# ---- clients of others ------------------------------------------------------------

def clients():
    with session() as c:
        tap.ok(not c.has_extn("auth"), "clear text: AUTH is not offered")
        tap.same(c.docmd("AUTH PLAIN", b64("\0x\0y"))[0], 538,
                 "clear text: AUTH is refused")
    for how in ("PLAIN", "LOGIN"):
        with tls() as c:
            c.user, c.password = NAME, PASSWORD
            tap.same(c.esmtp_features["auth"].split(),
                     ["SCRAM-SHA-256", "PLAIN", "LOGIN"], how + ": offered")
            tap.same(c.docmd("RSET")[0], 250, how + ": RSET")
            c.mail("a@b.example")
            tap.same(c.rcpt("no@to.example")[0], 550, how + ": relaying")
            c.rset()
            if how == "PLAIN":
                code = c.docmd("AUTH PLAIN", b64("\0%s\0%s" % (
                    NAME, PASSWORD)))[0]
            else:
                c.docmd("AUTH LOGIN")
                c.docmd(b64(NAME))
                code = c.docmd(b64(PASSWORD))[0]
            tap.same(code, 235, how + ": in")
            c.sendmail("a@b.example", [how + "@to.example"],
                       "Subject: x\n\nx\n")
    wait_for(lambda: len(sink.got()) == 2)
    tap.ok(all(b"ESMTPSA" in m.data for m in sink.got()),
           "the trace field says ESMTPSA")
    e = wait_for(lambda: daemon.events("Reception"))
    tap.same({x.get("tenant") for x in e}, {"acme"}, "the account's tenant")
    r = subprocess.run(
        ["swaks", "--server", daemon_at("in"), "--tls", "--to",
         "swaks@to.example", "--from", "a@b.example", "--auth", "PLAIN",
         "--auth-user", "plain", "--auth-password", "pw"],
        capture_output=True, text=True)
    tap.same(r.returncode, 0, "swaks")
    r = subprocess.run(
        ["curl", "-sk", "--ssl-reqd", "smtp://" + daemon_at("in"), "-u",
         "plain:pw", "--mail-from", "a@b.example", "--mail-rcpt",
         "curl@to.example", "-T", path("message")],
        capture_output=True, text=True)
    tap.same(r.returncode, 0, "curl (SCRAM-SHA-256 or PLAIN)")


def daemon_at(name):
    return daemon.conf["listen"][name]["bind"]


# ---- SCRAM-SHA-256, by hand ----------------------------------------------------------

def scram(c, name, password, tamper=None):
    first = "n=%s,r=clientnonce" % name.replace("=", "=3D").replace(",", "=2C")
    code, got = c.docmd("AUTH SCRAM-SHA-256", b64("n,," + first))
    if code != 334:
        return code, None
    server = base64.b64decode(got).decode()
    part = dict(x.split("=", 1) for x in server.split(","))
    salt = base64.b64decode(part["s"])
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt,
                                 int(part["i"]))
    client = hi(salted, b"Client Key")
    bare = "c=biws,r=" + part["r"] + (tamper or "")
    both = ",".join((first, server, bare)).encode()
    proof = bytes(a ^ b for a, b in zip(
        client, hi(hashlib.sha256(client).digest(), both)))
    code, got = c.docmd(b64(bare + ",p=" + b64(proof)))
    if code != 334:
        return code, salt
    tap.same(base64.b64decode(got),
             b"v=" + base64.b64encode(hi(hi(salted, b"Server Key"), both)),
             "SCRAM: the server knows the password, too")
    c.putcmd("")
    return c.getreply()[0], salt


def by_hand():
    with tls() as c:
        tap.same(scram(c, NAME, PASSWORD)[0], 235, "SCRAM: in")
        tap.same(c.docmd("AUTH PLAIN", b64("\0x\0y"))[0], 503, "twice")
    with tls() as c:
        tap.same(scram(c, NAME, "wrong")[0], 535, "SCRAM: wrong password")
        tap.same(scram(c, NAME, PASSWORD, tamper="x")[0], 535,
                 "SCRAM: wrong nonce")
    salts = []
    for _ in range(2):
        with tls() as c:
            code, salt = scram(c, "stranger", "x")
            salts.append(salt)
            tap.same(code, 535, "SCRAM: a stranger is asked for a proof")
    tap.ok(salts[0] == salts[1] and len(salts[0]) == 16,
           "SCRAM: a stranger's salt is always the same", salts)
    for words in ("p=tls-unique,,n=x,r=y", "n,a=other,n=x,r=y", "n,,n=x",
                  "n,,r=x,n=y", "n,,n=,r=y", "n,,n=x=zz,r=y", "", "n",
                  "n,,n=%s,r=y" % ("x" * 300), "n,,n=x,r=" + "y" * 200):
        with tls() as c:
            tap.same(c.docmd("AUTH SCRAM-SHA-256", b64(words) or "=")[0], 501,
                     "SCRAM: %.30r" % words)
    for words in ("x", "\0x", "\0\0y", "other\0%s\0%s" % (NAME, PASSWORD)):
        with tls() as c:
            tap.same(c.docmd("AUTH PLAIN", b64(words))[0], 501,
                     "PLAIN: %.30r" % words)
    with tls() as c:
        tap.same(c.docmd("AUTH PLAIN", "****")[0], 501, "PLAIN: no base64")
        tap.same(c.docmd("AUTH PLAIN", b64("\0%s\0" % NAME))[0], 535,
                 "PLAIN: an empty password")
        tap.same(c.docmd("AUTH PLAIN", b64("\0nobody\0x"))[0], 535,
                 "PLAIN: a stranger")
        tap.ok(c.getreply()[0] == 421, "who tries thrice is sent away")


def required():
    with tls("submission") as c:
        tap.same(c.mail("a@b.example")[0], 530, "required: MAIL before AUTH")
        c.docmd("AUTH PLAIN", b64("\0plain\0pw"))
        tap.same(c.mail("a@b.example")[0], 250, "required: behind it")


the_verb()
TLS = {"cert": cert, "key": key}
GOOD = secret("x")
refused_configs()
with open(path("message"), "w") as f:
    f.write("Subject: x\r\n\r\nx\r\n")
sink = Sink()
pw = account("plain", password="pw").stdout.split('secret: "')[1].split('"')[0]
daemon = Mtad(write_config(
    route=smart(sink),
    account={NAME: {"secret": GOOD, "tenant": "acme"},
             "plain": {"secret": pw}},
    listen={"in": {"bind": "127.0.0.1:%d" % free_port(), "auth": True,
                   "tls": TLS},
            "submission": {"bind": "127.0.0.1:%d" % free_port(), "auth": True,
                           "auth_required": True, "tls": TLS}})).start()
clients()
by_hand()
required()
tap.ok(PASSWORD not in daemon.said() and b64(PASSWORD) not in daemon.said(),
       "no password in the log")
daemon.kill9()
tap.done()
