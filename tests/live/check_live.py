#!/usr/bin/env python3
"""`mtad check --against-live`: what an edited configuration would do to the mail
that waits, before any reload: which limits would change, from where to where, and
which mail would have no source."""
# parallel: measures no time

import json
import os
import smtplib
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import Mtad, Sink, Tap, path, smart, wait_for, write_config

tap = Tap()
MTAD = os.path.join(os.environ["BUILD"], "mtad")


def write(name, text):
    with open(path(name), "w") as f:
        f.write(text)
    return path(name)


def check(conf, *argv):
    r = subprocess.run([MTAD, "check", "--against-live", "-c", conf, *argv],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=60)
    return r.returncode, r.stdout.decode(), r.stderr.decode()


# All is put off, so that it waits.
sink = Sink(lambda stage, text, session:
            "451 4.2.0 later" if stage == "RCPT" else None)
base = dict(
    source={"a": {"address": "127.0.0.10"}, "b": {"address": "127.0.0.11"}},
    pool={"default": {"sources": ["a", "b"]}, "other": {"sources": ["a"]}},
    route={"other.example": {"hosts": ["127.0.0.1:%d" % sink.port],
                             "pool": "other"}, **smart(sink)},
    retry={"first": "1h"}, workers=1, shaping_shipped=False)
conf = write_config(**base)
d = Mtad(conf).start()
with smtplib.SMTP("127.0.0.1", d.port, timeout=10) as c:
    for to in ["1@to.example", "2@to.example", "3@other.example"]:
        c.sendmail("s@from.example", [to], b"Subject: x\r\n\r\nx\r\n")
wait_for(lambda: len([e for e in d.events()
                      if e["type"] == "TransientFailure"]) == 3)


def edited(name, **over):
    """The same daemon's, but for what is given."""
    text = {k: v for k, v in conf.items() if k not in ("port", "file")}
    text.update(over)
    return write(name, json.dumps(text, indent=1))


status, out, err = check(conf["file"])
tap.ok(status == 0 and "0 of 2 kinds of mail would change" in out,
       "the same: nothing would change, exit 0", (status, out, err))

more = write("more.yml", "domain: { to.example: { connections: 3 } }\n"
                         "source: { b: { rate: 10/m } }\n")
status, out, err = check(edited("one.yml", shaping=[more]))
tap.ok(status == 4, "limits would change: exit 4", (status, out, err))
tap.ok("to.example, pool default: 2 recipients" in out
       and "connections 20 (built in) -> 3 (%s:1), 2 sources: a, b" % more
       in out and "rate none (built in) -> 10/1m (%s:2), 1 source: b" % more
       in out, "... from where to where, for which sources", out)
tap.ok("other.example" not in out and "1 of 2 kinds of mail would change "
       "(2 recipients)" in out, "... and of nothing else", out)
status, out, err = check(edited("one.yml", shaping=[more]), "--json")
a = json.loads(out)
tap.ok(status == 4 and a["changed"] == 1 and a["changed_recipients"] == 2
       and [x["domain"] for x in a["mail"]] == ["to.example"]
       and {x["name"] for x in a["mail"][0]["limits"]} ==
       {"connections", "rate"}, "... as JSON", a)

status, out, err = check(edited(
    "two.yml", pool={"default": {"sources": ["b"]}},
    source={"b": {"address": "127.0.0.11"}},
    route={"*": {"hosts": ["127.0.0.1:%d" % sink.port]}}))
tap.ok(status == 5 and 'other.example: 1 recipients would have no source: '
       'there is no pool "other"' in out, "a pool that is gone: exit 5",
       (status, out, err))
tap.ok("no more from a" in out and "1 source would be no more: a" in out,
       "... and a source that is gone", out)

status, out, err = check(edited("three.yml", limits={"default": {
    "connections": "many"}}))
tap.ok(status == 1 and "three.yml" in err and not out,
       "errors come first: exit 1", (status, out, err))
status, out, err = check(edited("one.yml", shaping=[more]), "-n", "0")
tap.ok(status == 4 and "and 1 more" in out and "rate" not in out,
       "what is not told is counted", out)
tap.same(d.stop(), 0, "the daemon ends well")
status, out, err = check(conf["file"])
tap.same(status, 3, "no daemon: exit 3")
tap.done()
