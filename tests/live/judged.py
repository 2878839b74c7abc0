#!/usr/bin/env python3
"""What refusals mean, in the event log: of a recipient, of a session that is
refused at its banner; by rules of the operator's own first; and rules that
change by a reload, unless they have mistakes."""
# parallel: measures no time
# tsan: workers share the rules

import os
import signal
import smtplib
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import Mtad, Sink, Tap, path, wait_for, write_config

tap = Tap()
MINE = path("mine.yml")
RULE = ("rules:\n- {text: 'words of mine', category: PolicyRelated, "
        "kind: %s}\n- {text: 'words of theirs', provider: corp, "
        "category: QuotaIssues, kind: size}\n")


def rule(stage, text, session):
    if stage != "RCPT":
        return None
    return {"no": "550 5.1.1 no such user here",
            "busy": "421 4.7.0 too many connections from your host",
            "mine": "550 5.9.9 words of mine",
            "theirs": "550 5.9.9 words of theirs"}.get(
                text[text.index("<") + 1:text.index("@")].rstrip("0123456789"))


def write_rules(text):
    with open(MINE, "w") as f:
        f.write(text)


def send(d, rcpt):
    with smtplib.SMTP("127.0.0.1", d.port, timeout=10) as c:
        c.sendmail("s@from.example", [rcpt], b"Subject: x\r\n\r\nx\r\n")


def meaning(d, rcpt):
    """(type, category, kind) of the first refusal of a recipient."""
    def found():
        return [e for e in d.events() if e.get("recipient") == rcpt and
                e["type"] in ("TransientFailure", "Bounce", "Delivery")]
    wait_for(found)
    e = (found() or [{}])[0]
    return e.get("type"), e.get("category"), e.get("kind")


def reload(d, expect):
    before = len(d.said())
    d.signal(signal.SIGHUP)
    return wait_for(lambda: expect in d.said()[before:])


def refuse_all(s):
    """A host that knows us, and says so before anything else."""
    while True:
        c, _ = s.accept()
        c.sendall(b"554 5.7.1 your IP is listed at zen.spamhaus.org\r\n")
        c.close()


sink = Sink(rule)
shut = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=refuse_all, args=[shut], daemon=True).start()
write_rules(RULE % "policy")
conf = write_config(
    route={"shut.example": {"hosts": ["127.0.0.1:%d" % shut.getsockname()[1]]},
           "*": {"hosts": ["127.0.0.1:%d" % sink.port]}},
    bounce_rules=[MINE], workers=2,
    provider={"corp": {"domains": ["corp.example"]}},
    # A path that is told to be slower shall not hold up what comes next.
    limits={"default": {"backoff_min": "10ms", "backoff_max": "10ms",
                        "rate_floor": "none"}})
d = Mtad(conf).start()
for name, want in [
        ("no", ("Bounce", "InvalidRecipient", "unknown_user")),
        ("busy", ("TransientFailure", "TransientFailure", "throttle")),
        ("mine", ("Bounce", "PolicyRelated", "policy")),
        ("yes", ("Delivery", None, None))]:
    send(d, name + "@to.example")
    tap.same(meaning(d, name + "@to.example"), want, name)

# Both go to one host, where sessions of either are open.
for name, at, want in [
        ("theirs", "corp.example", "QuotaIssues"),
        ("theirs", "to.example", "Uncategorized"),
        ("theirs2", "corp.example", "QuotaIssues"),
        ("theirs2", "to.example", "Uncategorized")]:
    send(d, name + "@" + at)
    tap.same(meaning(d, name + "@" + at)[1], want,
             "a rule of a provider, %s at %s" % (name, at))

send(d, "x@shut.example")
tap.same(meaning(d, "x@shut.example")[1:], ("SpamBlock", "reputation_block"),
         "a session that is refused at its banner")

write_rules("rules:\n- {text: '(', category: SpamBlock, kind: policy}\n")
tap.ok(reload(d, "bounce_rules have errors, nothing changed"),
       "a reload refuses rules with mistakes", d.said())
tap.ok("mine.yml:2:10: rules[1].text" in d.said(), "... and tells their place",
       d.said())
send(d, "mine2@to.example")
tap.same(meaning(d, "mine2@to.example")[2], "policy", "... and keeps the old")
write_rules(RULE % "throttle")
tap.ok(reload(d, "configuration taken over"), "a reload takes good ones")
send(d, "mine3@to.example")
tap.same(meaning(d, "mine3@to.example")[2], "throttle", "... and judges by them")
for _ in range(5):
    reload(d, "configuration taken over")
tap.same(d.stop(), 0, "exit 0")

write_rules("rules: 1\n")
try:
    Mtad(conf).start()
    tap.ok(False, "a start refuses rules with mistakes")
except SystemExit as e:
    tap.ok("a list of rules" in str(e), "a start refuses rules with mistakes",
           str(e))
tap.done()
