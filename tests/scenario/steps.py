#!/usr/bin/env python3
"""Each step with Then can hold and can fail: said rightly and wrongly about a
run that is known, and steps and scenes that make no sense.
"""

import os
import re
import subprocess

TMP = os.environ["TMP"]
MTASIM = os.path.join(os.environ["BUILD"], "mtasim")
results = []

# Three messages a second for 100 s; from 20 s on for 40 s each is refused: the
# paths then wait 10 s each time; or, where it is the mailbox that is full, its
# recipient 5 minutes.
SCENE = """Scenario: known
  Given the provider p:
      per_source: { connections: 3 }
      guards: { pace: { at: eom, bucket: 300/m, burst: 100 } }
      setup: 100ms
      per_message: 50ms
    And source a at 192.0.2.1, b at 192.0.2.2, c at 192.0.3.1
    And the settings:
      limits:
        default: { connections: 2, messages_per_connection: 5,
          backoff_min: 10s, backoff_max: 10s, assign_ahead: 1 }
      retry: { first: 5m, jitter: 0% }
  When 300 messages for p arrive in 100 seconds, from shop.example, of tenant acme
    And p answers REFUSAL after 20 seconds for 40 seconds
    And all is over after 3 hours
"""

PATH = 'mail with "451 4.7.1 come back"'
FULL = 'rcpt with "452 4.2.2 mailbox full, come back"'

# (what holds, what does not)
OF_PATHS = [
    ("each connection carries at most 5 messages",
     "each connection carries at most 4 messages"),
    ("at most 2 connections are open at once from each source",
     "at most 0 connections are open at once"),
    ("exactly 300 messages are delivered",
     "exactly 299 messages are delivered"),
    ("at least 3 messages are deferred from each source",
     "at least 300 messages are deferred from each source"),
    ("at most 300 messages are delivered to p",
     "at most 299 messages are delivered to p"),
    ("in minute 1, at least 60 messages are delivered",
     "in minute 1, at least 300 messages are delivered"),
    ("in minutes 3 to 4, no messages are attempted",
     "in minutes 1 to 2, no messages are attempted"),
    ("between 21 seconds and 59 seconds no messages are delivered",
     "between 1 second and 59 seconds no messages are delivered"),
    ("after 1 hour no messages are attempted",
     "in the first 10 minutes no messages are attempted"),
    ("in each minute at most 250 messages are attempted",
     "in each minute at most 50 messages are attempted"),
    ("in any 10 seconds at most 200 messages are attempted",
     "in any 10 seconds at most 20 messages are attempted"),
    ("in any 1 hour at most 300 messages are delivered from each sender",
     "in any 1 hour at most 299 messages are delivered from each sender"),
    ("in the first 100 seconds at least 20% of what pace allows is delivered",
     "in the first 100 seconds at least 40% of what pace allows is delivered"),
    (None, "at least 1% of what nothing allows is delivered"),
    ("no messages are bounced", None),
    ("no messages are expired", None),
    ("no connections are refused", "no connections are opened"),
    ("at most 50% of attempts are deferred",
     "at most 1% of attempts are deferred"),
    ("at least 50% of attempts are delivered",
     "at least 99% of attempts are delivered"),
    ("every message is delivered", None),
    ('after the first "451 come" nothing leaves that source for 5 seconds',
     'after the first "451 come" nothing leaves that source for 1 minute'),
    (None,
     'after the first "451 come" nothing leaves any source for 20 minutes'),
    (None,
     'after the first "451 come" nothing leaves its netblock for 20 minutes'),
    (None, 'after the first "552" nothing leaves that source for 1 minute'),
    ('after the first "451 come" the next connection or message of that source '
     'comes after at least 5 seconds',
     'after the first "451 come" the next connection or message of that source '
     'comes after at least 50 minutes'),
    ('after the first "451 come" that source comes back with 2 connections and '
     'at most 1 more each 1 minute',
     'after the first "451 come" that source comes back with 0 connections and '
     'at most 1 more each 1 day'),
    ('"451 come back" is met', '"452 come back" is met'),
    ('"550" is never met', '"4.7.1" is never met'),
    ('"451" is met at most 100 times', '"451" is met at least 100 times'),
    ('"451" is met at least 3 times from each source', None),
    (None, "each recipient is retried from its source"),
    (None, "each recipient is retried from its netblock"),
    ('in minute 1, mail waits for "backoff"',
     'in minute 1, mail waits for "dns"'),
    (None, "every message is blue"),
    (None, "at most 3 messages are delivered to nobody"),
    (None, "at most 3 messages are delivered from source z"),
]

OF_RECIPIENTS = [
    ("at least 1 message is deferred", None),
    ("in any 1 hour at most 1 message is delivered to each mailbox", None),
    ('after each "452 come" nothing goes to that mailbox for 4 minutes',
     'after each "452 come" nothing goes to that mailbox for 6 minutes'),
    ('after each "452 come" the next attempt of that recipient comes after at '
     'least 4 minutes and at most 6 minutes',
     'after each "452 come" the next attempt of that recipient comes after at '
     'least 10 minutes'),
    (None,
     'after each "452 come" the next attempt of that recipient comes after at '
     'least 1 second and at most 1 minute'),
    ("each recipient is attempted at most 2 times",
     "each recipient is attempted at most 1 times"),
    ("each recipient is deferred at most 1 times",
     "each recipient is deferred at most 0 times"),
    ("every message of tenant acme is delivered within 10 minutes",
     "every message of tenant nobody is delivered within 10 minutes"),
    ("50% of messages of tenant acme are delivered within 1 minute to p",
     "99% of messages of tenant acme are delivered within 1 minute"),
    ("every message is delivered within 10 minutes",
     "every message is delivered within 1 minute"),
    ("50% of messages are delivered within 1 minute",
     "99% of messages are delivered within 1 minute"),
    ("all mail has left within 10 minutes",
     "all mail has left within 2 minutes"),
]

OF_ONE = [
    ("each recipient is retried from its source", None),
    ("each recipient is retried from its netblock", None),
]

BROKEN = [
    ("", "expected a scenario"),
    ("Then no messages are bounced\n", "before the first step"),
    ("Scenario: x\n  Perhaps not\n", "expected Scenario:"),
    ("Scenario: x\n  Given the moon\n", "nobody knows this step"),
    ("Scenario: x\n  Given the provider nonsense as modelled\n",
     "nonsense.yml"),
    ("Scenario: x\n  Given the provider p\n", "block"),
    ("Scenario: x\n  When 5 messages for p arrive\n", "is given"),
    ("Scenario: x\n  Given the provider p:\n      moon: 1\n", "moon"),
    ("Scenario: x\n  Given the provider yahoo as modelled\n"
     "    And the source a:\n        moon: 3\n"
     "  When 5 messages for yahoo arrive\n", "option of source.a"),
    ("# five\n# lines\n# that\n# say\n# nothing\n"
     "Scenario: x\n  Given the provider yahoo as modelled\n    And 2 sources\n"
     "    And the settings:\n\n      limits: { default: { moon: 3 } }\n"
     "  When 5 messages for yahoo arrive\n", ":11:"),
]


def check(name, ok, detail=""):
    results.append(ok)
    print("%s %d - %s" % ("ok" if ok else "not ok", len(results), name))
    if not ok:
        print("\n".join("# " + line for line in detail.splitlines()))


def run(text):
    path = os.path.join(TMP, "s.scn")
    with open(path, "w") as f:
        f.write(text)
    p = subprocess.run([MTASIM, "scenario", path], capture_output=True,
                       text=True)
    return p.returncode, p.stdout + p.stderr


def main():
    for refusal, pairs, wants in ((PATH, OF_PATHS, True),
                                  (PATH, OF_PATHS, False),
                                  (FULL, OF_RECIPIENTS, True),
                                  (FULL, OF_RECIPIENTS, False),
                                  (FULL, OF_ONE, True)):
        scene = SCENE.replace("REFUSAL", refusal)
        if pairs is OF_ONE:
            scene = re.sub(r", b at .*", "", scene)
        said = [p[not wants] for p in pairs if p[not wants]]
        code, out = run(scene + "".join("  Then %s\n" % s for s in said))
        lines = [one for one in out.splitlines()
                 if one.startswith(("ok", "not ok"))]
        check("as many results as steps", len(lines) == len(said), out)
        for text, line in zip(said, lines):
            check("%s: %s" % ("holds" if wants else "fails", text),
                  line.startswith("ok" if wants else "not ok"),
                  line + "\n" + out[-6000:])
        check("exit code", code == (0 if wants else 1), str(code))
    for text, word in BROKEN:
        code, out = run(text)
        check("told: " + word, code in (1, 2) and word in out, out)
    one, two = run(scene), run(scene)
    check("twice the same", one == two)
    print("1..%d" % len(results))
    raise SystemExit(not all(results))


main()
