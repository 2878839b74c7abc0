#!/usr/bin/env python3
"""The event log: every kind of record, every field that share/doc/events.md
names and no other, ids of their own, hostile words, rotation, a full disk."""
# parallel: measures no time
# timeout: 60 120

import glob
import json
import os
import re
import smtplib
import subprocess
import socket
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import Mtad, Sink, Tap, path, wait_for, write_config

tap = Tap()
DOC = os.path.join(os.environ["TOP"], "share", "doc", "events.md")


def rule(stage, text, session):
    if stage != "RCPT":
        return None
    rcpt = text[text.index("<") + 1:text.index(">")]
    if rcpt.startswith("hostile"):
        session.sock.sendall(b'550 5.1.1 "q\\ \xff\x01\x1b[31m \xe2\x82 end'
                             b'\r\n')
        session.sink.over.wait(1)
        raise EOFError
    if rcpt.startswith("no"):
        return "550 5.1.1 no such user"
    if rcpt.startswith("later"):
        return "451 4.7.1 later"
    return None


def documented():
    """{field: its text}, [types] of the table in events.md."""
    fields, types = {}, []
    for line in open(DOC):
        m = re.match(r"\| (`[^|]*) \| (.*) \|", line)
        if not m:
            continue
        for name in re.findall(r"`(\w+)`", m.group(1)):
            fields[name] = m.group(2)
        if "`type`" in m.group(1):
            types = [t.strip() for t in m.group(2).split(",")]
    return fields, types


def send(d, rcpts, sender="s@from.example", head=b""):
    with smtplib.SMTP("127.0.0.1", d.port, timeout=10) as c:
        c.sendmail(sender, rcpts, head + b"Subject: x\r\n\r\nx\r\n")


def refused_at_once(d, n):
    """n refusals in one packet, so in one turn of the daemon."""
    with socket.create_connection(("127.0.0.1", d.port), 10) as s:
        f = s.makefile("rb")
        f.readline()
        s.sendall(b"EHLO client.example\r\n")
        while f.readline()[3:4] == b"-":
            pass
        s.sendall(b"MAIL FROM:<a@b.example>\r\n" + b"".join(
            b"RCPT TO:<x%d@elsewhere.example>\r\n" % (i % 2)
            for i in range(n)))
        return [f.readline() for _ in range(n + 1)]


def refused_by_the_machine(d):
    """A size that is declared too large, a malformed recipient, a bare LF."""
    with socket.create_connection(("127.0.0.1", d.port), 10) as s:
        s.sendall(b"EHLO client.example\r\n"
                  b"MAIL FROM:<a@b.example> SIZE=99999999999\r\n"
                  b"MAIL FROM:<a@b.example>\r\n"
                  b"RCPT TO:<not an address>\r\n"
                  b"RCPT TO:<yes@x.example>\r\nDATA\r\n"
                  b"Subject: x\r\n\r\na\nb\r\n.\r\nQUIT\r\n")
        while s.recv(65536):
            pass


def kinds():
    cert, key = path("cert"), path("key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "9",
                    "-subj", "/CN=sink", "-keyout", key, "-out", cert],
                   check=True, stderr=subprocess.DEVNULL)
    sink = Sink(rule, pipelining=False, tls=(cert, key))
    port = "127.0.0.1:%d" % sink.port
    conf = write_config(
        route={"shut.example": {"hosts": ["127.0.0.1:1"]},
               "*": {"hosts": [port]}},
        retry={"first": "1h"}, expire="6s",
        client={"host_retry_min": "1s", "host_retry_max": "1s",
                "timeouts": {"connect": "2s"}})
    with open(conf["file"]) as f:
        text = json.load(f)
    text["listen"]["out"] = {"bind": "127.0.0.1:%d" % (
        wait_for(lambda: free())), "tenant": "t1", "campaign": "c1",
        "relay_from": []}
    with open(conf["file"], "w") as f:
        json.dump(text, f)
    d = Mtad(conf).start()
    head = b"X-MTA-Tenant: acme\r\nX-MTA-Campaign: spring\r\n"
    send(d, ["hostile@h.example"])
    send(d, ["no@x.example", "yes@x.example"], head=head)
    send(d, ["later@y.example"], head=head)
    send(d, ["one@shut.example", "two@shut.example"])
    send(d, ["later@hold.example"])
    for verb in ("hold", "release", "hold", "release", "retry", "hold"):
        if verb in ("hold", "retry"):   # what is in flight is not retried
            wait_for(lambda: d.json("status")["totals"]["deferred"] >= 2)
        d.verb(verb, "--domain", "hold.example", "--reason",
               'w"h\\y\n\x1b[0m')
    d.verb("bounce", "--domain", "hold.example", "--reason", "old list")
    send(d, ["later@gone.example"])
    d.verb("delete", "--domain", "gone.example", "--older-than", "1us")
    d.port, was = text["listen"]["out"]["bind"].rsplit(":")[1], d.port
    replies = refused_at_once(d, 8)
    tap.ok(all(r.startswith(b"550 5.7.1") for r in replies[1:]),
           "no relay for strangers", replies)
    d.port = was
    refused_by_the_machine(d)
    tap.ok(wait_for(lambda: len(d.events("Expiration")) >= 3, 15),
           "Expiration", d.verb("list"))
    wait_for(lambda: d.json("status")["totals"]["recipients"] == 0)
    tap.same(d.stop(), 0, "exit 0")
    return d


def free():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


WANT = {
    "Reception": "id sender recipient rcpt nrcpt listener size peer helo code "
                 "enhanced text stage session",
    "Delivery": "id sender recipient rcpt pool size source site mx peer code "
                "enhanced text stage attempt queued session tls",
    "TransientFailure": "id sender recipient rcpt pool size source site mx "
                        "peer text stage queued",
    "Bounce": "id sender recipient pool source site mx peer code enhanced "
              "text stage attempt queued session",
    "Expiration": "id sender recipient pool size text queued",
    "AdminBounce": "id sender recipient pool text queued user reason",
    "AdminHold": "id sender recipient queued user reason",
    "AdminRelease": "id sender recipient queued user reason",
    "AdminRetry": "id sender recipient queued user reason",
    "AdminDelete": "id sender recipient queued user",
    "AdminAction": "text user",
    "Rejection": "sender listener peer helo code enhanced text "
                 "stage",
}


def check(d):
    fields, types = documented()
    lines = []
    for name in glob.glob(os.path.join(d.conf["log"], "*.jsonl")):
        with open(name, "rb") as f:
            lines += f.read().splitlines(keepends=True)
    events = [json.loads(line.decode("utf-8", "strict")) for line in lines]
    tap.ok(all(line.endswith(b"\n") and not re.search(rb"[\0-\x09\x0b-\x1f"
                                                      rb"\x7f]", line)
               for line in lines), "lines are clean, one record each")
    for e in events:
        strange = set(e) - set(fields)
        if strange or e["type"] not in types:
            tap.ok(False, "a record as documented", (strange, e))
    tap.same(sorted(set(WANT) - {e["type"] for e in events}), [],
             "every kind is there")
    for e in events:
        missing = [k for k in ("time event_id " + WANT[e["type"]]).split()
                   if k not in e]
        if missing:
            tap.ok(False, e["type"] + " is complete", (missing, e))
    ids = [e["event_id"] for e in events]
    tap.same(len(set(ids)), len(ids), "event ids differ")
    words = [e["text"] for e in events if e["type"] == "Bounce" and
             e["recipient"].startswith("hostile")]
    tap.ok(words and words[0].startswith('"q\\ ') and
           words[0].endswith(" end"), "hostile words are kept", words)
    said = [(e["stage"], e["code"], e["enhanced"]) for e in events
            if e["type"] == "Rejection"]
    tap.ok({("mail", 552, "5.3.4"), ("rcpt", 501, "5.1.3"),
            ("eom", 550, "5.6.0")} <= set(said),
           "what the machine refuses by itself is told", said)
    acts = [e["text"] for e in events if e["type"] == "AdminAction"]
    tap.ok("hold domain=hold.example" in acts and
           "delete domain=gone.example older_than=0s" in acts,
           "actions are told in words", acts)
    tagged = [e for e in events if e["type"] == "Delivery" and
              e["recipient"] == "yes@x.example"]
    tap.ok(tagged and tagged[0]["tenant"] == "acme" and
           tagged[0]["campaign"] == "spring", "tenant and campaign", tagged)
    shut = [e for e in events if e["type"] == "TransientFailure" and
            e["recipient"].endswith("@shut.example")]
    tap.ok(len(shut) >= 2 and not any("attempt" in e for e in shut),
           "a host that is down is no attempt of a recipient", shut)


def full_disk():
    """Mail goes on when the log's disk is full, and so does the log when
    there is room again, with whole lines only."""
    sink = Sink()
    log = path("small")
    os.mkdir(log)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs",
                       log], stderr=subprocess.DEVNULL).returncode:
        tap.skip("a full disk", "cannot mount")
        return
    try:
        d = Mtad(write_config("full", log=log, route={
            "*": {"hosts": ["127.0.0.1:%d" % sink.port]}})).start()
        for i in range(6):
            send(d, ["r%d.%d@to.example" % (i, k) for k in range(60)])
        tap.ok(wait_for(lambda: sum(len(m.rcpts) for m in sink.got()) == 360),
               "log full: mail goes on", len(sink.got()))
        tap.ok(wait_for(lambda: "cannot write the event log" in d.said()),
               "... and the daemon says so", d.said())
        with open(os.path.join(log, "events.jsonl"), "rb") as f:
            lines = f.read().splitlines(keepends=True)
        tap.ok(lines and lines[-1].endswith(b"\n"), "... no torn line",
               lines[-1:])
        subprocess.run(["mount", "-o", "remount,size=1m", log], check=True)
        send(d, ["after@to.example"])
        tap.ok(wait_for(lambda: any(e["recipient"] == "after@to.example"
                                    for e in d.events("Delivery"))),
               "log with room again: it goes on")
        with open(os.path.join(log, "events.jsonl"), "rb") as f:
            tap.ok(all(json.loads(line) for line in f), "... line by line")
        tap.same(d.stop(), 0, "log full: exit 0")
    finally:
        subprocess.run(["umount", "-l", log])


check(kinds())
full_disk()
tap.done()
