#!/usr/bin/env python3
"""Names validated by DNSSEC, against BIND with a signed root: what is signed
is delivered to and what is not too, for no signature is asked of it; what is
signed wrongly or no longer waits, as if its name servers had failed. Without a
trust anchor nobody asks."""
# parallel: measures no time
# timeout: 60

import os
import re
import shutil
import smtplib
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import SKIP, Mtad, Tap, free_port, path, wait_for, write_config
from mtasink import Sink

if not shutil.which("named") or not shutil.which("dnssec-signzone"):
    print("named or dnssec-signzone is not installed")
    sys.exit(SKIP)

tap = Tap()
SOA = "$TTL 300\n@ SOA ns.example. x.example. 1 3600 600 86400 60\n" \
      "@ NS ns.example.\n"
MX = "@ MX 10 mx.plain.example.\n"
ZONES = {"good.example": MX, "forged.example": MX, "late.example": MX,
         "plain.example": MX + "mx A 127.0.0.1\n"}
UNSIGNED = {"plain.example"}
PAST = ["-P", "-s", "20200101000000", "-e", "20200201000000"]


def zone_file(zone):
    return path("zone" + (zone or "root"))


def run(*argv):
    subprocess.run(argv, check=True, cwd=path(""), stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def sign(zone, text):
    """Writes a zone, signed if it is to be; gives its DS records."""
    name, origin = zone_file(zone), zone + "."
    with open(name, "w") as f:
        f.write(SOA + text)
    if zone in UNSIGNED:
        return ""
    keys = []
    for flags in ([], ["-f", "KSK"]):
        keys.append(subprocess.run(
            ["dnssec-keygen", "-K", path(""), "-a", "ECDSAP256SHA256",
             *flags, origin], check=True, text=True, cwd=path(""),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.strip())
    with open(name, "a") as f:
        for k in keys:
            f.write("$INCLUDE %s\n" % path(k + ".key"))
    run("dnssec-signzone", "-K", path(""), "-o", origin, "-f", name + ".s",
        *(PAST if zone == "late.example" else []), name)
    os.rename(name + ".s", name)
    if not zone:
        shutil.copy(path(keys[1] + ".key"), path("anchor"))
    return subprocess.run(["dnssec-dsfromkey", path(keys[1] + ".key")],
                          check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def make_world():
    example = "ns A 127.0.0.1\n"
    for zone, text in ZONES.items():
        example += "%s. NS ns.example.\n" % zone + sign(zone, text)
    root = "example. NS ns.example.\nns.example. A 127.0.0.1\n"
    sign("", root + sign("example", example))
    # An MX that was not what was signed.
    with open(zone_file("forged.example")) as f:
        text = f.read()
    forged = re.sub(r"MX\s+10 ", "MX 20 ", text)
    assert forged != text
    with open(zone_file("forged.example"), "w") as f:
        f.write(forged)
    with open(path("named.conf"), "w") as f:
        f.write("""options { directory "%s"; listen-on port %d { 127.0.0.1; };
listen-on-v6 { none; }; recursion no; pid-file none; session-keyfile none;
dnssec-validation no; };
controls {};\n""" % (path(""), port))
        for zone in ("", "example", *ZONES):
            f.write('zone "%s." { type primary; file "%s"; };\n'
                    % (zone, zone_file(zone)))


def answers():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(.2)
        s.connect(("127.0.0.1", port))
        try:
            s.send(b"\0\1\0\0\0\1\0\0\0\0\0\0\7example\0\0\6\0\1")
            return s.recv(512)[3] & 15 == 0
        except OSError:
            return False


def send(daemon, *domains):
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
        c.sendmail("", ["u@" + d for d in domains],
                   b"Subject: x\r\n\r\nx\r\n")


def first(daemon, kind, domain):
    def found():
        return [e for e in daemon.events(kind)
                if e["recipient"] == "u@" + domain]
    return (wait_for(found, 8) or [{}])[0]


def start(name, **dns):
    return Mtad(write_config(name, smtp_port=sink.port, dns={
        "servers": ["127.0.0.1:%d" % port], **dns})).start()


port = free_port()
make_world()
named = subprocess.Popen(["named", "-g", "-n", "1", "-c", path("named.conf")],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=open(path("named.log"), "w"))
try:
    if not wait_for(answers, 15):
        raise SystemExit(open(path("named.log")).read()[-2000:])
    sink = Sink()
    daemon = start("validates", trust_anchor=path("anchor"))
    send(daemon, *ZONES, "gone.good.example", "gone.plain.example")
    for d in ("good.example", "plain.example"):
        e = first(daemon, "Delivery", d)
        tap.same(e.get("attempt"), 1, d + ": delivered")
    for d in ("gone.good.example", "gone.plain.example"):
        e = first(daemon, "Bounce", d)
        tap.same([e.get("code"), e.get("enhanced")], [550, "5.1.2"],
                 d + ": bounces")
    for d in ("forged.example", "late.example"):
        e = first(daemon, "TransientFailure", d)
        tap.same([e.get(k) for k in ("stage", "code", "enhanced", "text")],
                 ["dns", 451, "4.4.3", "DNSSEC validation failed"],
                 d + ": waits and says why")
    hurt = {e["recipient"] for e in daemon.events("TransientFailure")}
    tap.same(hurt, {"u@forged.example", "u@late.example"}, "and no other does")
    tap.same([m.rcpts for m in sink.got() if "u@forged.example" in m.rcpts],
             [], "nothing went to the forged host")
    daemon.kill9()
    daemon = start("trusts")
    send(daemon, "forged.example", "late.example")
    for d in ("forged.example", "late.example"):
        tap.ok(first(daemon, "Delivery", d),
               d + ": without a trust anchor delivered")
    daemon.kill9()
finally:
    named.terminate()
    named.wait(10)
tap.done()
