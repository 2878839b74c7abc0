#!/usr/bin/env python3
"""Clients that log in and verify, each over STARTTLS and over implicit TLS:
msmtp with every mechanism, git send-email, a session by openssl s_client. Then
what strangers think of the listener's TLS: sslscan, and testssl.sh in the long
check, without a serious finding."""
# parallel: measures no time
# timeout: 60 500

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
import xml.etree.ElementTree as xml

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
import tlsworld as world
from mtalib import (LONG, MTAD, Mtad, Sink, Tap, free_port, path, smart,
                    wait_for, write_config)

tap = Tap()
FROM = "sender@from.example"
NAME, PASSWORD = "user@x.example", "open, sesame \"=\\"
MESSAGE = b"From: <sender@from.example>\nTo: <x@to.example>\n" \
    b"Subject: by a stranger\n\n.\n..\n" + "Grüße\n".encode()
WAYS = ("STARTTLS", "implicit TLS")
CA = world.authority()
EC = world.certificate("ec", ["localhost", "mta1.example"])
RSA = world.certificate("rsa", ["localhost", "mta1.example"], rsa=True)
os.environ["PATH"] += ":/usr/sbin:/usr/lib/git-core"


def has(name):
    if shutil.which(name):
        return True
    tap.skip(name, "is not installed")
    return False


def run(argv, text=b"", **more):
    p = subprocess.run(argv, input=text, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=450, **more)
    return p.returncode, p.stdout.decode(errors="replace")


def arrives(rcpt, label):
    wait_for(lambda: sink.to(rcpt))
    got = sink.to(rcpt)
    if tap.same(len(got), 1, label + ": arrives"):
        tap.ok(b"with ESMTPSA" in got[0].data[:500] and
               b"(TLSv1.3" in got[0].data[:500],
               label + ": under TLS, logged in", got[0].data[:500])
        return got[0]
    return None


# ---- clients that log in -----------------------------------------------------

def msmtp():
    """It ends lines in CRLF by itself."""
    for mech in ("scram-sha-256", "plain", "login", "on"):
        for way in WAYS:
            rcpt = "msmtp.%s.%s@to.example" % (mech, way.split()[0].lower())
            code, said = run(
                ["msmtp", "-C", "/dev/null", "--host=localhost",
                 "--port=%d" % PORT[way], "--tls=on",
                 "--tls-starttls=" + ("on" if way == "STARTTLS" else "off"),
                 "--tls-trust-file=" + CA, "--auth=" + mech,
                 "--user=" + NAME, "--passwordeval=cat " + path("password"),
                 "--from=" + FROM, "--", rcpt], MESSAGE)
            tap.same((code, said), (0, ""), "msmtp, %s, %s" % (mech, way))
            m = arrives(rcpt, "msmtp, %s, %s" % (mech, way))
            if m:
                tap.ok(m.below_received().endswith(
                    MESSAGE.replace(b"\n", b"\r\n")),
                    "msmtp, %s, %s: octets" % (mech, way), m.data)
    code, said = run(
        ["msmtp", "-C", "/dev/null", "--host=localhost", "--tls=on",
         "--port=%d" % PORT["STARTTLS"], "--tls-trust-file=" + CA,
         "--auth=scram-sha-256", "--user=" + NAME,
         "--passwordeval=echo wrong", "--from=" + FROM, "--",
         "wrong@to.example"], MESSAGE)
    tap.ok(code == 77 and "535 5.7.8" in said,
           "msmtp: a wrong password", (code, said))


def git_send_email():
    home = path("repo")
    env = dict(os.environ, HOME=home, GIT_CONFIG_NOSYSTEM="1",
               EMAIL=FROM, GIT_AUTHOR_NAME="A Ü Thor",
               GIT_COMMITTER_NAME="A Ü Thor")
    os.mkdir(home)
    run(["git", "init", "-q"], cwd=home, env=env)
    with open(os.path.join(home, "file"), "w") as f:
        f.write("..\n.\nGrüße\n")
    run(["git", "add", "file"], cwd=home, env=env)
    run(["git", "commit", "-qm", "room: say hello, ünd more"], cwd=home,
        env=env)
    for way in WAYS:
        rcpt = "git.%s@to.example" % way.split()[0].lower()
        code, said = run(
            ["git", "send-email", "--smtp-server=localhost",
             "--smtp-server-port=%d" % PORT[way], "--smtp-encryption=" +
             ("tls" if way == "STARTTLS" else "ssl"),
             "--smtp-ssl-cert-path=" + CA, "--smtp-user=" + NAME,
             "--smtp-pass=" + PASSWORD, "--from=A Ü Thor <%s>" % FROM,
             "--to=" + rcpt, "--suppress-cc=all", "--confirm=never",
             "--no-signed-off-by-cc", "-1"], cwd=home, env=env)
        tap.same(code, 0, "git send-email, " + way)
        if code:
            print("# " + said.replace("\n", "\n# "))
        m = arrives(rcpt, "git send-email, " + way)
        if m:
            tap.ok(b"\r\n+..\r\n+.\r\n+" + "Grüße\r\n".encode() in m.data,
                   "git send-email, %s: the patch" % way, m.data)


def s_client():
    for way in WAYS:
        rcpt = "openssl.%s@to.example" % way.split()[0].lower()
        words = ["EHLO c.example", "AUTH PLAIN " + PLAIN,
                 "MAIL FROM:<%s>" % FROM, "RCPT TO:<%s>" % rcpt, "DATA",
                 "Subject: x", "", "x", ".", "QUIT", ""]
        code, said = run(
            ["openssl", "s_client", "-connect", "localhost:%d" % PORT[way],
             "-CAfile", CA, "-verify_return_error", "-verify_hostname",
             "localhost", "-quiet", *(["-starttls", "smtp"]
                                      if way == "STARTTLS" else [])],
            "\r\n".join(words).encode())
        tap.ok(code == 0 and "\n250 2.0.0" in said and
               re.search("(?m)^221 2", said),
               "openssl s_client, " + way, (code, said))
        arrives(rcpt, "openssl s_client, " + way)
        for version, want in (("-tls1", 1), ("-tls1_1", 1), ("-tls1_2", 0),
                              ("-tls1_3", 0)):
            code, said = run(
                ["openssl", "s_client", "-connect", "localhost:%d" % PORT[way],
                 version, "-cipher", "ALL:@SECLEVEL=0", "-brief",
                 *(["-starttls", "smtp"] if way == "STARTTLS" else [])],
                b"")
            tap.same(code, want, "openssl s_client, %s, %s: %s" % (
                way, version, "refused" if want else "made"))


# ---- judges of TLS --------------------------------------------------------------

# Forward secret, and no cipher of old.
STRONG = re.compile("^(TLS|ECDHE-(ECDSA|RSA))[-_](AES_?(128|256)|CHACHA20)[-_]")


def sslscan(way):
    code, said = run(
        ["sslscan", "--xml=-", "--no-colour", *(
            ["--starttls-smtp"] if way == "STARTTLS" else []),
         "localhost:%d" % PORT[way]])
    label = "sslscan, %s: " % way
    at = said.find("<?xml")
    if not tap.ok(code == 0 and at >= 0, label + "ran", said):
        return
    test = xml.fromstring(said[at:]).find("ssltest")
    on = {p.get("type") + p.get("version") for p in test.iter("protocol")
          if p.get("enabled") == "1"}
    tap.same(on, {"tls1.2", "tls1.3"}, label + "protocols")
    r = test.find("renegotiation")
    tap.same((r.get("supported"), r.get("secure")), ("0", "0"),
             label + "no renegotiation")
    tap.ok(all(c.get("supported") == "0" for c in test.iter("compression")),
           label + "no compression")
    tap.ok(all(h.get("vulnerable") == "0" for h in test.iter("heartbleed")),
           label + "no Heartbleed")
    ciphers = list(test.iter("cipher"))
    tap.ok(ciphers, label + "ciphers were seen")
    weak = [c.get("cipher") for c in ciphers if int(c.get("bits")) < 128 or
            not STRONG.match(c.get("cipher"))]
    tap.same(weak, [], label + "no weak cipher")
    first = [c.get("cipher") for c in ciphers
             if c.get("status") == "preferred"]
    tap.ok(first and all(re.search("GCM|POLY1305", c) for c in first),
           label + "an authenticated cipher is preferred", first)
    groups = [(g.get("name"), int(g.get("bits"))) for g in test.iter("group")]
    tap.ok(groups and all(bits >= 112 for _, bits in groups),
           label + "groups", groups)


def testssl(way):
    """Protocols, ciphers, forward secrecy, vulnerabilities. Serious is what testssl.sh calls MEDIUM or worse; a certificate of a CA
    of the test's own is not known to it, and has no way to be revoked."""
    report = path("testssl.%d.json" % PORT[way])
    code, said = run(
        ["testssl", "--quiet", "--color", "0", "--warnings", "batch",
         "--jsonfile", report, "--ip", "one", "--add-ca", CA,
         "-p", "-s", "-f", "-S", "-U", *(["-t", "smtp"] if way == "STARTTLS" else
                                         []),
         "localhost:%d" % PORT[way]])
    label = "testssl.sh, %s: " % way
    try:
        with open(report) as f:
            found = json.load(f)
    except (OSError, ValueError) as e:
        tap.ok(False, label + "ran", "%s %s" % (e, said[-1500:]))
        return
    tap.ok(len(found) > 60, label + "ran", said[-1500:])
    ours = re.compile("^cert_(chain_of_trust|revocation|crl|ocsp|trust|"
                      "expiration|notAfter|subjectAltName)|^DNS_CAA|^OCSP")
    bad = ["%(id)s: %(severity)s: %(finding)s" % f for f in found
           if f["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL")
           and not ours.match(f["id"])]
    tap.same(bad, [], label + "nothing serious")
    for name in ("SSLv2", "SSLv3", "TLS1", "TLS1_1"):
        tap.ok([f for f in found if f["id"] == name and
                "not offered" in f["finding"]], label + name + " is off")
    print("# %s%d findings; %s" % (label, len(found), sorted(
        "%(id)s: %(severity)s" % f for f in found
        if f["severity"] not in ("OK", "INFO", "DEBUG"))))


with open(path("password"), "w") as f:
    f.write(PASSWORD + "\n")
kept = subprocess.run([MTAD, "account", NAME], input=PASSWORD + "\n",
                      capture_output=True, text=True).stdout
PLAIN = base64.b64encode(("\0%s\0%s" % (NAME, PASSWORD)).encode()).decode()
sink = Sink()
PORT = {way: free_port() for way in WAYS}
daemon = Mtad(write_config(
    route=smart(sink),
    account={NAME: {"secret": kept.split('secret: "')[1].split('"')[0]}},
    listen={"in": {"bind": "127.0.0.1:%d" % PORT["STARTTLS"], "auth": True,
                   "tls": {"cert": EC[0], "key": EC[1]}},
            "smtps": {"bind": "127.0.0.1:%d" % PORT["implicit TLS"],
                      "auth": True, "tls": {"cert": RSA[0], "key": RSA[1],
                                           "implicit": True}}}
)).start()
for name, proof in (("msmtp", msmtp), ("git-send-email", git_send_email),
                    ("openssl", s_client)):
    if has(name):
        proof()
if has("sslscan"):
    for way in WAYS:
        sslscan(way)
if LONG and has("testssl"):
    with ThreadPoolExecutor() as both:
        list(both.map(testssl, WAYS))
daemon.kill9()
tap.done()
