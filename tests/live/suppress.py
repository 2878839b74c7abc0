#!/usr/bin/env python3
"""Suppression: an entry that was acknowledged refuses the next RCPT, and after
kill -9 and a restart; tenants apart, and again behind the header; discarding;
bounces and complaints suppress; an import while mail flows is seen when it is
told; verbs with and without a daemon do the same."""
# parallel: it waits more than it works

import json
import os
import signal
import smtplib
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import MTAD, Mtad, Sink, Tap, path, wait_for, write_config

tap = Tap()


def rule(step, arg, *more):
    if step == "RCPT" and "gone" in arg:
        return "550 5.1.1 <x>: user unknown"
    if step == "RCPT" and "full" in arg:
        return "552 5.2.2 mailbox full"
    return None


sink = Sink(rule)
PLACES = 200  # of recipients in the queue
listen = {"in": {"bind": None, "relay_from": ["127.0.0.0/8"],
                 "tenant": "ann"}}


def configure(**suppression):
    from ports import free_port
    listen["in"]["bind"] = "127.0.0.1:%d" % free_port()
    return write_config(
        route={"*": {"hosts": ["127.0.0.1:%d" % sink.port]}},
        listen=listen, workers=2, suppression=suppression,
        queue_recipients_max=PLACES, messages_max=PLACES,
        tenant={"ann": {}, "bob": {}})


conf = configure(
    bounces={"kinds": ["unknown_user"], "after": "2/1h", "for": "30d"},
    complaints={"suppress": True, "scope": "all"})
d = Mtad(conf).start()


def suppress(*args, stdin=None, conf_file=True, code=0):
    where = ["-c", conf["file"]] if conf_file else ["-H", conf["control"]]
    p = subprocess.run([MTAD, "suppress", *args, *where], text=True,
                       input=stdin, timeout=60, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT)
    if p.returncode != code:
        tap.ok(False, "suppress %s: exit %d" % (args, p.returncode), p.stdout)
    return p.stdout


def rcpt(*addresses, sender="s@from.example"):
    """The answers to RCPT, in one transaction that is given up."""
    with smtplib.SMTP("127.0.0.1", d.port, timeout=10) as c:
        c.ehlo("x.example")
        c.mail(sender)
        return [c.rcpt(a)[0] for a in addresses]


def send(*addresses, header=""):
    """Codes of RCPT, and the answer to the end of data."""
    with smtplib.SMTP("127.0.0.1", d.port, timeout=10) as c:
        c.ehlo("x.example")
        c.mail("s@from.example")
        codes = [c.rcpt(a)[0] for a in addresses]
        code, text = c.data(header + "Subject: x\r\n\r\nx\r\n")
        return codes, code, text.decode()


def events(to):
    return [e for e in d.events("Suppression") if e.get("recipient") == to]


# ---- entries ------------------------------------------------------------------

suppress("add", "Bob@One.Example", "--reason", "asked us", "--source", "form")
suppress("add", "two.example", "*.three.example", "--tenant", "ann")
suppress("add", "x@four.example", "--tenant", "bob")
suppress("add", "gone@five.example", "--expires", "1s", conf_file=False)
tap.same(rcpt("bob@one.example", '"BOB"@one.EXAMPLE', "any@two.example",
              "u@a.b.three.example", "u@three.example", "x@four.example",
              "bob+x@one.example", "a@sub.two.example"),
         [550, 550, 550, 550, 250, 250, 250, 250],
         "an entry refuses the very next RCPT: addresses, domains, all below")
with smtplib.SMTP("127.0.0.1", d.port) as c:
    c.ehlo("x.example")
    c.mail("s@from.example")
    tap.same(c.rcpt("bob@one.example"),
             (550, b"5.7.1 Recipient suppressed: asked us"),
             "... and says why")
tap.ok(wait_for(lambda: events("bob@one.example")), "the event log has it")
e = (events("bob@one.example") or [{}])[0]
tap.same((e.get("code"), e.get("stage"), e.get("reason"), e.get("tenant")),
         (550, "rcpt", "asked us", "ann"), "... with code, reason and tenant")
tap.ok(wait_for(lambda: [e for e in d.events("AdminAction") if
                         "suppress add name=two.example" in e["text"]]),
       "and who ordered it")
tap.ok(wait_for(lambda: rcpt("gone@five.example") == [250], 5),
       "an entry that has expired refuses nobody")

code, out = d.verb("suppress", "show", "bob@one.example")
tap.ok(code == 0 and "asked us" in out and "form" in out, "show tells why", out)
tap.same(suppress("show", "nobody@one.example", code=1), "not suppressed\n",
         "... or that it is not")
rows = json.loads(suppress("list", "--json", "--tenant", "ann"))["entries"]
tap.same([r.get("domain") for r in rows], ["*.three.example", "two.example"],
         "list keeps tenants apart")
suppress("remove", "two.example", "--tenant", "ann")
tap.same(rcpt("any@two.example"), [250], "what is removed is let through")
tap.ok("no such entry" in suppress("remove", "two.example", code=1),
       "what is not there cannot be removed")
tap.ok("expected an address" in suppress("add", "a b@c", code=1),
       "what is no address is refused")

# ---- the tenant that only the header names --------------------------------------

sink.clear()
codes, code, text = send("x@four.example", "ok@four.example",
                         header="X-MTA-Tenant: bob\r\n")
tap.same((codes, code), ([250, 250], 250),
         "another tenant in the header: the message goes")
tap.ok(wait_for(lambda: sink.to("ok@four.example")), "... to those that may")
tap.same(sink.to("x@four.example"), [], "... and not to who is suppressed")
tap.ok(wait_for(lambda: [e for e in events("x@four.example")
                         if e["stage"] == "eom" and e["tenant"] == "bob"
                         and "id" in e]), "... which the log has")
codes, code, text = send("x@four.example", header="X-MTA-Tenant: bob\r\n")
tap.same((codes, code), ([250], 550), "with nobody left it is refused")
tap.same(send("x@four.example")[1], 250, "... and not for another tenant")

# ---- bounces and complaints -------------------------------------------------------


def bounced(to):
    return len([e for e in d.events("Bounce") if e.get("recipient") == to])


for n in (1, 2):
    tap.same(send("gone1@six.example", "full@six.example")[1], 250,
             "mail that will bounce, %d" % n)
    wait_for(lambda: bounced("gone1@six.example") == n and
             bounced("full@six.example") == n)
tap.ok(wait_for(lambda: rcpt("gone1@six.example") == [550]),
       "the second bounce of that kind suppresses")
tap.same(rcpt("full@six.example"), [250], "... and one of another does not")
row = json.loads(suppress("show", "gone1@six.example",
                          "--json"))["entries"][0]
tap.ok(row["tenant"] == "ann" and row["source"] == "bounce" and
       "unknown_user: 550" in row["reason"] and "expires" in row,
       "... for the tenant, with the reply, for a time", row)
send("angry@seven.example")
wait_for(lambda: sink.to("angry@seven.example"))
p = subprocess.run([MTAD, "feedback", "-H", conf["control"]], text=True,
                   input="angry@seven.example\ta\t-\n",
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
tap.ok(p.returncode == 0, "a complaint is counted", p.stdout)
tap.ok(wait_for(lambda: rcpt("angry@seven.example") == [550]),
       "... and suppresses")

# ---- import while mail flows ------------------------------------------------------

over, seen = threading.Event(), []


def flow():
    while not over.is_set():
        seen.append(send("flow%d@eight.example" % len(seen))[1])


t = threading.Thread(target=flow)
t.start()
with open(path("many.csv"), "w") as f:
    f.write("address,tenant,reason\n")
    for i in range(30000):
        f.write("u%d@nine%d.example,,\"left, for good\"\n" % (i * 7919 % 30000, i % 50))
    f.write("broken line\n@\na@b.example,ann,x,tomorrow\n")
out = suppress("import", path("many.csv"), "--source", "file", code=1)
tap.same(rcpt("u17@nine%d.example" % next(
    i % 50 for i in range(30000) if i * 7919 % 30000 == 17),
    "flow1@eight.example"), [550, 250], "what is imported is seen at once")
over.set()
t.join()
tap.ok(len(seen) > 0 and set(seen) == {250}, "mail went on meanwhile",
       "%d %s" % (len(seen), set(seen)))
tap.ok("30004 lines, 30000 imported, 3 refused" in out and
       "many.csv:30002: expected" in out and "many.csv:30003: " in out and
       "many.csv:30004: expires" in out, "each line that is wrong is named",
       out)
stats = json.loads(suppress("stats", "--json"))
tap.ok(stats["entries"] >= 30000 and stats["fresh"] < 100,
       "the filter has them", stats)
tap.same(suppress("import", "--all-or-none", stdin="ok@ten.example\n?\n",
                  code=1).splitlines()[-1], "2 lines, 0 imported, 1 refused",
         "all or none: none")
tap.same(rcpt("ok@ten.example"), [250], "... is let through")
metrics = subprocess.run(
    ["curl", "-s", "--unix-socket", conf["control"], "http://x/metrics"],
    text=True, stdout=subprocess.PIPE).stdout
tap.ok("\nmtad_recipients_suppressed_total " in metrics and
       "\nmtad_suppression_entries " in metrics, "there are metrics")



suppress("add", "five.example", "--tenant", "bob")
for n in range(PLACES // 20 + 1):
    codes, code, text = send(*["u%d@five.example" % i for i in range(20)],
                             header="X-MTA-Tenant: bob\r\n")
tap.same((set(codes), code), ({250}, 550),
         "recipients that are left out give their places back")

# ---- many by the control socket: the filter is built anew ---------------------------


def post(body):
    r = subprocess.run(["curl", "-s", "--unix-socket", conf["control"],
                        "--data-binary", "@-", "http://x/v1/suppression"],
                       text=True, input=json.dumps(body), timeout=30,
                       stdout=subprocess.PIPE)
    return json.loads(r.stdout)


answer = post({"verb": "import", "tenant": "ann", "reason": "r",
               "lines": "a@twelve.example\n?\nb@twelve.example,bob\n"})
tap.same((answer["added"], answer["refused"], answer["errors"][0]["line"]),
         (2, 1, 2), "lines come by the control socket, too")
tap.same(rcpt("a@twelve.example", "b@twelve.example"), [550, 250],
         "... and are seen at once")
tap.ok("no such parameter" in post({"verb": "add", "nmae": "x@y.example"})
       ["error"] and "verb: expected" in post({"verb": "ad"})["error"],
       "an order that is misspelt is none")
stats = json.loads(suppress("stats", "--json"))
for n in range(9):
    post({"verb": "import", "lines": "\n".join(
        "u%d@a.example" % i for i in range(n * 2000, n * 2000 + 2000))})
tap.ok(wait_for(lambda: json.loads(suppress("stats", "--json"))
                ["builds_total"] > stats["builds_total"]),
       "with many that are new there is a new filter")
tap.same(rcpt("u0@a.example", "u17999@a.example", "u18000@a.example"),
         [550, 550, 250], "... that knows them")

# ---- an acknowledged entry is durable ----------------------------------------------

suppress("add", "last@eleven.example")
suppress("remove", "Bob@One.Example")
d.kill9()
tap.same(suppress("show", "last@eleven.example", code=0).splitlines()[1]
         .split()[0], "last@eleven.example",
         "what was acknowledged is in the file after kill -9")
suppress("add", "off@eleven.example")
before = suppress("export", "--format", "json")
for f in (os.path.join(conf["spool"], "suppression.db" + x)
          for x in ("", "-wal", "-shm")):
    if os.path.exists(f):
        os.unlink(f)
suppress("import", stdin=before)
tap.same(sorted(suppress("export", "--format", "json").splitlines()),
         sorted(before.splitlines()), "an export is imported as it was")
d.start()
tap.same(rcpt("last@eleven.example", "off@eleven.example", "bob@one.example",
              "u@a.three.example", "angry@seven.example"),
         [550, 550, 250, 550, 550], "... and refuses after a restart")
tap.ok(wait_for(lambda: json.loads(suppress("stats", "--json"))
                ["builds_total"] >= 1), "a filter is built")
tap.same(rcpt("last@eleven.example", "new@eleven.example"), [550, 250],
         "... and says the same")

# ---- discard, by a reload -----------------------------------------------------------

with open(conf["file"]) as f:
    c = json.load(f)
c["suppression"] = {"action": "discard"}
with open(conf["file"], "w") as f:
    json.dump(c, f)
d.signal(signal.SIGHUP)
tap.ok(wait_for(lambda: rcpt("last@eleven.example") == [250]),
       "a reload makes it discard")
sink.clear()
tap.same(send("last@eleven.example")[:2], ([250], 250),
         "mail for nobody but those is taken and let go")
tap.same(send("last@eleven.example", "fine@eleven.example")[:2],
         ([250, 250], 250), "mail for others, too, goes to them")
tap.ok(wait_for(lambda: sink.to("fine@eleven.example")) and
       not sink.to("last@eleven.example"), "... alone")
tap.ok(wait_for(lambda: [e for e in events("last@eleven.example")
                         if e["code"] == 250]), "the event log has it")
tap.ok(wait_for(lambda: d.json("status")["totals"]["recipients"] == 0),
       "nothing of it is left in the queue")
tap.ok(d.stop() == 0, "stops")
tap.same([f for f in os.listdir(conf["spool"]) if "suppression" in f],
         ["suppression.db"], "... and leaves one file")
tap.done()
