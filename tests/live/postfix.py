#!/usr/bin/env python3
"""Postfix both ways, with TLS on every leg: a client sends to Postfix, that to
mtad, that to a second door of Postfix, and that to a sink which keeps what
arrives. Postfix's refusals of all kinds, and what mtad makes of them. Then
posttls-finger, Postfix's own look at a server's TLS, and XCLIENT as Postfix
has it, by swaks."""
# parallel: measures no time
# takes: 8
# timeout: 60

import os
import re
import smtplib
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
import mailcorpus
import mtapostfix
import tlsworld as world
from mtalib import (SKIP, Mtad, Sink, Tap, free_port, path, wait_for,
                    write_config)

if not mtapostfix.is_there():
    print("needs Debian's postfix, and root")
    sys.exit(SKIP)

tap = Tap()
world.authority()
cert, key = world.certificate("localhost", ["localhost", "mta1.example"])
OFFERS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "STARTTLS")
FROM = "sender@from.example"


def rule(stage, text, session):
    """The sink offers what Postfix has to pass on."""
    if stage != "EHLO":
        return None
    lines = [o for o in OFFERS if o != "STARTTLS" or not session.tls]
    return "250-sink.example\r\n" + "".join(
        "250-%s\r\n" % x for x in lines[1:]) + "250 " + lines[0]


ANSWERS = {
    "no@to.example": "550 5.1.1 not known here",
    "later@to.example": "450 4.2.0 come again",
    "full@to.example": "452 4.2.2 the mailbox is full",
    "odd@to.example": "554 5.7.1 you, and you alone, are not welcome",
    "bye@to.example": "421 4.7.0 I have had enough",
}


def start_postfix():
    """Port one relays to mtad; port two answers as above, takes two
    recipients at a time and 200 KB, and hands on to the sink."""
    answers = "inline:{ %s }" % ", ".join(
        "{ %s = %s }" % x for x in ANSWERS.items())
    second = ["127.0.0.1:%d inet n - n - - smtpd" % after,
              "  -o content_filter=smtp:[127.0.0.1]:%d" % sink.port,
              "  -o smtpd_recipient_restrictions=$second_restrictions",
              "  -o smtpd_recipient_limit=2",
              "  -o smtpd_tls_security_level=encrypt",
              "  -o message_size_limit=200000"]
    p = mtapostfix.Postfix(path("postfix"), free_port(), {
        "myhostname": "postfix.example",
        "relayhost": "[127.0.0.1]:%d" % door,
        "second_restrictions":
            "check_recipient_access %s, permit_mynetworks, reject" % answers,
        "smtp_tls_security_level": "encrypt",
        "smtpd_tls_security_level": "may",
        "smtpd_tls_chain_files": "%s, %s" % (key, cert),
        "smtpd_tls_received_header": "yes",
        "smtpd_error_sleep_time": 0,
        "smtp_line_length_limit": 0,
        "smtpd_authorized_xclient_hosts": "127.0.0.0/8",
        "hopcount_limit": 20}, second)
    if not p.start():
        raise SystemExit("Postfix does not start:\n" + p.said())
    return p


def client(port):
    c = smtplib.SMTP("127.0.0.1", port, timeout=20)
    c.starttls(context=ssl._create_unverified_context())
    c.ehlo("client.example")
    return c


def events(kind, rcpt, n=1):
    def found():
        return [e for e in daemon.events(kind) if e["recipient"] == rcpt]
    wait_for(lambda: len(found()) >= n)
    return found()


def below_traces(m, n):
    """What is left of a message below n Received fields."""
    data = m.data
    for _ in range(n):
        if not data.lower().startswith(b"received:"):
            return data
        data = re.sub(rb"\A.*?\r\n(?![ \t])", b"", data, count=1, flags=re.S)
    return data


# ---- mail goes round --------------------------------------------------------

def arrives(rcpt, data, label):
    wait_for(lambda: sink.to(rcpt))
    got = sink.to(rcpt)
    if not tap.same(len(got), 1, label + ": arrives once"):
        return None
    tap.same(below_traces(got[0], 3), data, label + ": octet for octet")
    return got[0]


def goes_round():
    # Postfix's cleanup mends header fields with blanks before the colon and
    # ends every message in CRLF; what it may keep must be kept.
    n = 12
    texts = [m if m.endswith(b"\r\n") else m + b"\r\n" for m in
             mailcorpus.corpus(11, n, FROM.encode())]
    texts = [re.sub(rb"(?m)^([!-9;-~]+) \t:", rb"\1:", t) for t in texts]
    with client(postfix.port) as c:
        for i, text in enumerate(texts):
            c.sendmail(FROM, ["r%d@to.example" % i], text, ["BODY=8BITMIME"])
    for i, text in enumerate(texts):
        wait_for(lambda: sink.to("r%d@to.example" % i))
        got = sink.to("r%d@to.example" % i)
        body = text.partition(b"\r\n\r\n")[2]
        tap.ok(len(got) == 1 and got[0].data.endswith(body),
               "round: message %d" % i, got and got[0].data[-300:])
    m = sink.to("r1@to.example")[0]
    traces = re.findall(rb"(?mi)^received: from[^;]*TLSv1\.[23]",
                        re.sub(rb"\r\n[ \t]+", b" ", m.data))
    tap.same(len(traces), 3, "round: TLS on each leg, says each trace field")
    tap.ok(m.session.tls, "round: and on the last")


def plain_text():
    data = (b"Received: from x by y with SMTP id z; Sat, 28 Nov 2026 10:00:00 "
            b"+0000\r\nFrom: <sender@from.example>\r\nTo: <x@to.example>\r\n"
            b"Date: Sat, 28 Nov 2026 10:00:00 +0000\r\nMessage-Id: <1@x>\r\n"
            b"Subject: =?utf-8?q?x?=\r\n\r\n..\r\n.x\r\n" + bytes(
                b for b in range(1, 256) if b not in (10, 13)) + b"\r\n" +
            b"long " * 2000 + b"\r\n")
    with client(postfix.port) as c:
        c.sendmail(FROM, ["x@to.example"], data, ["BODY=8BITMIME"])
    arrives("x@to.example", data, "8-bit, dots, a long line")


def utf8():
    name = "用户@to.example"
    data = "From: <grü@from.example>\r\nTo: <%s>\r\nDate: Sat, 28 Nov 2026 " \
        "10:00:00 +0000\r\nMessage-Id: <2@x>\r\nSubject: 世界\r\n\r\nx\r\n" \
        % name
    with client(postfix.port) as c:
        c.sendmail("grü@from.example", [name], data.encode(),
                   ["SMTPUTF8", "BODY=8BITMIME"])
    m = arrives(name, data.encode(), "SMTPUTF8")
    if m:
        tap.same(m.sender, "grü@from.example", "SMTPUTF8: the sender")


def dsn_wishes():
    """RFC 3461's parameters come out as they went in, if we offer DSN."""
    with client(door) as c:
        if not c.has_extn("dsn"):
            tap.skip("DSN", "is not offered")
            return
    data = b"Date: Sat, 28 Nov 2026 10:00:00 +0000\r\nMessage-Id: <3@x>\r\n" \
        b"From: <s@from.example>\r\nTo: <d@to.example>\r\n\r\nx\r\n"
    with client(postfix.port) as c:
        c.sendmail(FROM, ["d@to.example"], data,
                   ["RET=HDRS", "ENVID=a+2Bb"],
                   ["NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;first+2Bx@x.example"])
    m = arrives("d@to.example", data, "DSN")
    if m:
        lines = b" ".join(m.session.lines)
        for word in (b"RET=HDRS", b"ENVID=a+2Bb", b"ORCPT=rfc822;first+2Bx@x"):
            tap.ok(word in lines, "DSN: %s" % word.decode(), lines)
        tap.ok(re.search(rb"NOTIFY=(FAILURE,DELAY|DELAY,FAILURE)", lines),
               "DSN: NOTIFY", lines)


# ---- what Postfix says no to -------------------------------------------------

def refusals():
    text = b"Subject: x\r\n\r\nx\r\n"
    with client(door) as c:
        c.sendmail(FROM, ["yes1@to.example", "no@to.example",
                          "later@to.example", "full@to.example",
                          "odd@to.example", "yes2@to.example"], text)
    for rcpt in ("yes1@to.example", "yes2@to.example"):
        tap.same(len(events("Delivery", rcpt)), 1, "partial: " + rcpt)
        wait_for(lambda: sink.to(rcpt))
        tap.same(len(sink.to(rcpt)), 1, "partial: %s arrives once" % rcpt)
    for rcpt, kind, code, enh in (
            ("no@to.example", "Bounce", 550, "5.1.1"),
            ("odd@to.example", "Bounce", 554, "5.7.1"),
            ("later@to.example", "TransientFailure", 450, "4.2.0"),
            ("full@to.example", "TransientFailure", 452, "4.2.2")):
        e = events(kind, rcpt)
        tap.ok(e and e[0].get("code") == code and
               enh in str(e[0]),
               "partial: %s: %d %s" % (rcpt, code, enh), e)
        tap.same(sink.to(rcpt), [], "partial: and %s gets nothing" % rcpt)
    # Postfix takes two a transaction and says 452 4.5.3 to the third.
    many = ["m%d@to.example" % i for i in range(5)]
    with client(door) as c:
        c.sendmail(FROM, many, text)
    wait_for(lambda: all(sink.to(r) for r in many))
    tap.same([len(sink.to(r)) for r in many], [1] * 5,
             "too many recipients: all arrive, once")
    with client(door) as c:
        c.sendmail(FROM, ["big@to.example"], text + (b"y" * 70 + b"\r\n") *
                   3000)
    e = events("Bounce", "big@to.example")
    tap.ok(e and e[0].get("code") == 552, "too large: 552", e)
    with client(door) as c:
        c.sendmail(FROM, ["bye@to.example"], text)
    e = events("TransientFailure", "bye@to.example")
    tap.ok(e and e[0].get("code") == 421, "421: tried again", e)
    counts = re.findall(r"disconnect from \S+ (ehlo=.*)", postfix.said())
    tap.ok(any("starttls=1" in x and ("data=" in x or "bdat=" in x)
               for x in counts), "Postfix counted our commands", counts)
    print("# Postfix saw: " + "; ".join(sorted(set(counts))[:6]))


# ---- Postfix's tools -----------------------------------------------------------

def finger():
    for level, args in (("may", []), ("encrypt", []),
                        ("secure", ["-m", "1", "-F", path("ca.pem")])):
        p = subprocess.run(
            ["posttls-finger", "-c", "-l", level, *args, "-o",
             "smtp_tls_security_level=" + level, "[127.0.0.1]:%d" % door,
             "mta1.example"],
            env=dict(os.environ, MAIL_CONFIG=postfix.etc, PATH=os.environ[
                "PATH"] + ":/usr/sbin"),
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        want = "Verified" if level == "secure" else "TLSv1.3"
        tap.ok(p.returncode == 0 and want in p.stdout and
               "TLSv1.3 with cipher" in p.stdout,
               "posttls-finger, level " + level, p.stdout[-1500:])


def xclient():
    """The same words to both give the same: a relay for whom we may."""
    for port, who in ((postfix.port, "Postfix"), (door, "mtad")):
        for addr, relays in (("127.0.0.9", True), ("192.0.2.1", False)):
            p = subprocess.run(
                ["swaks", "--server", "127.0.0.1:%d" % port, "--xclient",
                 "ADDR=%s NAME=[UNAVAILABLE]" % addr, "--from", FROM, "--to",
                 "x@else.example", "--quit-after", "RCPT"],
                text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            tap.ok(("<** 5" not in p.stdout) == relays and
                   "XCLIENT" in p.stdout,
                   "XCLIENT %s to %s: %s" % (addr, who, "may relay" if relays
                                             else "may not"), p.stdout)


sink = Sink(rule, tls=(cert, key))
door, after = free_port(), free_port()
postfix = start_postfix()
try:
    daemon = Mtad(write_config(
        route={"*": {"hosts": ["127.0.0.1:%d" % after]}},
        retry={"first": "200ms", "max": "200ms"},
        listen={"in": {"bind": "127.0.0.1:%d" % door,
                       "relay_from": ["127.0.0.0/8"],
                       "xclient_from": ["127.0.0.0/8"],
                       "tls": {"cert": cert, "key": key}}})).start()
    goes_round()
    plain_text()
    utf8()
    dsn_wishes()
    refusals()
    finger()
    xclient()
    daemon.kill9()
finally:
    postfix.stop()
tap.done()
