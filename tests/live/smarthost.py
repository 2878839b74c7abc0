#!/usr/bin/env python3
"""Smart hosts: logging in at another mtad and at hosts that offer but one way,
by STARTTLS and by TLS at once; what a wrong password, a host without TLS and one
that cannot prove itself come to: mail waits, with that reason; certificates by
destination. The password is written nowhere."""
# parallel: measures no time
# timeout: 60

import glob
import os
import signal
import smtplib
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
import tlsworld as world
from mtalib import MTAD, Mtad, Sink, Tap, path, smart, wait_for, write_config
from mtapeer import Peer
from ports import free_port

tap = Tap()
ca = world.authority()
CERT = world.certificate("relay", ["relay.example"])
OURS = world.certificate("client", ["mta1.example"])
OTHER = world.certificate("client2", ["mta2.example"])
NAME, WORD = "me,too=1@x.example", "open sesame-\u00fc"
WRONG = "close sesame-\u00fc"


def secret(name, text, mode=0o600):
    with open(path(name), "w") as f:
        f.write(text + "\n")
    os.chmod(path(name), mode)
    return path(name)


good = secret("good", WORD)
changed = secret("changed", WRONG)

# ---- who is logged in at ----------------------------------------------------------

kept = subprocess.run([MTAD, "account", "x"], input=WORD + "\n", text=True,
                      capture_output=True).stdout.split('secret: "')[1]
end = Sink()
door = {"auth": True, "auth_required": True}
ports = {"starttls": free_port(), "implicit": free_port()}
relay = Mtad(write_config("relay", route=smart(end), listen={
    "in": {"bind": "127.0.0.1:%d" % free_port()},
    "starttls": {"bind": "127.0.0.1:%d" % ports["starttls"], **door,
                 "tls": {"cert": CERT[0], "key": CERT[1]}},
    "implicit": {"bind": "127.0.0.1:%d" % ports["implicit"], **door,
                 "tls": {"cert": CERT[0], "key": CERT[1],
                         "implicit": True}}},
    account={NAME: {"secret": kept.split('"')[0]}})).start()
USERS = {NAME: WORD}
peers = {
    "plain": Peer(["AUTH PLAIN LOGIN"], USERS, tls=CERT),
    "login": Peer(["AUTH XOAUTH2 LOGIN"], USERS, tls=CERT, implicit=True),
    "scram": Peer(["AUTH SCRAM-SHA-256"], USERS, "good", tls=CERT),
    "clear": Peer(["AUTH PLAIN"], USERS),
    "lies": Peer(["AUTH SCRAM-SHA-256"], USERS, "lies", tls=CERT),
    "odd": Peer(["AUTH XOAUTH2"], USERS, tls=CERT),
    "asks": Peer(tls=CERT, clients_ca=ca),
}
AUTH = {"user": NAME, "password_file": good}
VERIFY = {"tls": "verify", "tls_name": "relay.example"}


def to(port, auth=AUTH, **more):
    d = {"hosts": ["127.0.0.1:%d" % port], **more}
    return {**d, "auth": auth} if auth else d


ROUTES = {
    "starttls.example": to(ports["starttls"], **VERIFY),
    "implicit.example": to(ports["implicit"], tls_implicit=True, **VERIFY),
    "plain.example": to(peers["plain"].port),
    "login.example": to(peers["login"].port, tls_implicit=True),
    "scram.example": to(peers["scram"].port),
    "clear.example": to(peers["clear"].port, {**AUTH, "clear": True}),
    "bare.example": to(peers["clear"].port),
    "free.example": to(peers["plain"].port, None),
    "lies.example": to(peers["lies"].port),
    "odd.example": to(peers["odd"].port),
    "wrong.example": to(ports["starttls"],
                        {"user": NAME, "password_file": changed}),
    "name.example": to(ports["starttls"], tls="verify"),
    "asks.example": to(peers["asks"].port, None, tls_cert=OURS[0],
                       tls_key=OURS[1]),
    "source.example": to(peers["asks"].port, None),
    "*": to(peers["clear"].port, None),
}
conf = write_config(
    route=ROUTES, client={"tls_ca": ca, "host_retry_min": "300ms",
                          "host_retry_max": "300ms"},
    source={"a": {"address": "127.0.0.10",
                  "tls": {"cert": OTHER[0], "key": OTHER[1]}}},
    limits={"default": {"backoff_min": "300ms", "backoff_max": "300ms"}})
daemon = Mtad(conf).start()


def send(domain):
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
        c.sendmail("", ["u@%s.example" % domain], b"Subject: x\r\n\r\nx\r\n")


def told(domain, kind):
    for e in daemon.events(kind):
        if e["recipient"] == "u@%s.example" % domain:
            return e
    return None


def goes(domain, by=None):
    send(domain)
    e = wait_for(lambda: told(domain, "Delivery"), 10) or {}
    took = [m for p in peers.values() for m in p.to("u@%s.example" % domain)]
    who = took[0].session.login if took else None
    tap.ok(e.get("type") == "Delivery" and who == (by and (NAME, by)),
           "%s: delivered, logged in by %s" % (domain, by), (e, who))
    return took[0].session if took else None


def waits(domain, code, words):
    send(domain)
    e = wait_for(lambda: told(domain, "TransientFailure"), 10) or {}
    tap.ok(e.get("code") == code and words in e.get("text", "") and
           not told(domain, "Bounce") and not told(domain, "Delivery"),
           "%s: waits, %s" % (domain, words), e)
    return e


# ---- what goes, and how --------------------------------------------------------------

for name in ("starttls", "implicit"):
    send(name)
    e = wait_for(lambda: told(name, "Delivery"), 10) or {}
    tap.same(e.get("tls_policy"), "TLS policy verify: pkix",
             name + ": to another mtad, verified by name")
wait_for(lambda: len(end.got()) == 2)
tap.ok(all(b"ESMTPSA" in m.data for m in end.got()), "which says ESMTPSA")
goes("plain", "PLAIN")
goes("login", "LOGIN")
goes("scram", "SCRAM-SHA-256")
tap.ok(not goes("clear", "PLAIN").tls, "clear: to loopback, for it was said")
shared = goes("free")
tap.ok(shared is not peers["plain"].to("u@plain.example")[0].session,
       "who logs in shares no session with who does not")

# ---- what waits, and why ----------------------------------------------------------------

waits("bare", 454, "does not offer STARTTLS")
tap.ok(not any(s.login for s in peers["clear"].sessions
               if any(b"bare" in x for x in s.lines)),
       "bare: nothing of a password")
e = waits("wrong", 535, "logging in: ")
tap.same(e.get("stage"), "auth", "wrong: the stage")
waits("name", 454, "no name that the certificate could have")
waits("lies", 454, "has not proved")
waits("odd", 454, "offers no way that we know")
code, out = daemon.verb("explain", "domain", "wrong.example")
tap.ok("logging in" in out, "mtad explain says so", out)
code, got, text = daemon.resolve("wrong.example")
tap.ok("auth" in got.get("site", "") and NAME not in text, "mtad resolve: a "
       "site apart", got)
for r in range(3):          # attempts are not used up: nothing is returned
    send("wrong")
tap.ok(wait_for(lambda: len([e for e in daemon.events("TransientFailure")
                             if "wrong" in e["recipient"]]) > 3, 10) and
       not told("wrong", "Bounce"), "it is tried again, and not bounced")
secret("changed", WORD)
daemon.signal(signal.SIGHUP)
tap.ok(wait_for(lambda: told("wrong", "Delivery"), 10),
       "a new password, and a reload: it goes")

# ---- certificates --------------------------------------------------------------------------

tap.same(goes("asks").peer_name, "client", "the destination's certificate")
tap.same(goes("source").peer_name, "client2", "the source's, else")

# ---- configurations ---------------------------------------------------------------------------

for route, words in (
        (to(25, {"user": "x", "password_file": secret("open", WORD, 0o644)}),
         "got mode 644"),
        (to(25, {"user": "x", "password_file": path("none")}), "No such file"),
        (to(25, {"user": "x", "password_file": secret("empty", "")}),
         "no password on its first line"),
        ({"hosts": ["10.1.2.3:25"], "auth": {**AUTH, "clear": True}},
         "expected false, for a host is not of this machine"),
        ({"auth": AUTH}, "hosts beside it"),
        (to(25, tls="none"), "a password goes there"),
        (to(25, {"user": "x"}), "password_file")):
    bad = write_config("bad", route={"*": route})
    r = subprocess.run([MTAD, "check", "-c", bad["file"]], text=True,
                       capture_output=True)
    said = r.stdout + r.stderr
    tap.ok(r.returncode == 1 and words in said and "sesame" not in said,
           "check: " + words, said)
bad = write_config("bad", route={"*": to(25, None, tls_cert=OURS[0])})
r = subprocess.run([MTAD, "run", "-c", bad["file"]], text=True, timeout=20,
                   capture_output=True)
tap.ok(r.returncode != 0 and "go together" in r.stdout + r.stderr,
       "run: a certificate without its key", r.stderr)

# ---- and nowhere is it written --------------------------------------------------------------------

tap.same(daemon.stop(), 0, "it stops")
relay.stop()
files = [f for f in glob.glob(path("mtad*") + "/**", recursive=True) +
         glob.glob(path("mtad*")) if os.path.isfile(f)]
found = [f for f in files for word in (WORD, WRONG)
         if word.encode() in open(f, "rb").read()]
tap.same(found, [], "the password is in none of %d files" % len(files))
tap.done()
