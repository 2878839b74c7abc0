#!/usr/bin/env python3
"""The control socket: metrics to the letter, with 10,000 domains; answers of
bounded size; requests that are wrong, huge, slow or never read."""
# parallel: measures no time
# timeout: 60 120

import json
import os
import re
import smtplib
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import Mtad, Sink, Tap, smart, wait_for, write_config

tap = Tap()
DOMAINS = 10000
sink = Sink(lambda stage, text, session:
            "451 4.3.0 later" if stage == "RCPT" and "slow" in text else None)
conf = write_config(route=smart(sink), retry={"first": "1h"})
d = Mtad(conf).start()


def send(rcpts):
    since = time.monotonic()
    with smtplib.SMTP("127.0.0.1", d.port, timeout=10) as c:
        c.sendmail("s@from.example", rcpts, b"Subject: x\r\n\r\nx\r\n")
    return time.monotonic() - since


def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(conf["control"])
    return s


def ask(method, target, body=None, head=b""):
    """(status, text) of a request."""
    body = b"" if body is None else json.dumps(body).encode()
    with connect() as s:
        s.sendall(b"%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s"
                  b"Content-Length: %d\r\n\r\n%s" % (
                      method.encode(), target.encode(), head, len(body),
                      body))
        got = b""
        while True:
            more = s.recv(1 << 16)
            if not more:
                break
            got += more
    top, _, text = got.partition(b"\r\n\r\n")
    return int(top.split()[1]), text.decode()


LABEL = r'[a-z_]+="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(r"(mtad_[a-z0-9_]+)(\{%s(?:,%s)*\})? (\d+(?:\.\d+)?)$"
                    % (LABEL, LABEL))


def scrape():
    """{series: value}, {name: type}; what breaks the format is an error."""
    status, text = ask("GET", "/metrics")
    tap.same(status, 200, "metrics: 200")
    values, types, helped, family, wrong = {}, {}, set(), None, []
    for line in text.split("\n")[:-1]:
        m = re.match(r"# (HELP|TYPE) (mtad_[a-z0-9_]+) (.+)$", line)
        if m and m.group(1) == "HELP" and m.group(2) not in helped:
            helped.add(m.group(2))
            continue
        if m and m.group(1) == "TYPE" and m.group(2) in helped and \
                m.group(2) not in types and \
                m.group(3) in ("counter", "gauge"):
            family = m.group(2)
            types[family] = m.group(3)
            continue
        m = SAMPLE.match(line)
        if not m or m.group(1) != family or m.group(0) in values:
            wrong.append(line)
            continue
        values[m.group(1) + (m.group(2) or "")] = float(m.group(3))
    tap.same(wrong, [], "metrics: to the letter")
    tap.same(helped - set(types), set(), "metrics: HELP and TYPE for each")
    tap.same([n for n, t in types.items()
              if (t == "counter") != n.endswith("_total")], [],
             "metrics: counters end in _total, and they alone")
    tap.ok(text.endswith("\n") and len(values) <= 2000,
           "metrics: at most 2000 series", len(values))
    return values, types


def metrics():
    before, types = scrape()
    for i in range(0, DOMAINS, 500):
        send(["r@slow%d.example" % k for k in range(i, i + 500)])
    send(["one@to.example"])
    tap.ok(wait_for(lambda: d.json("status")["totals"]["domains"] >= DOMAINS),
           "10,000 domains", d.verb("status"))
    after, _ = scrape()
    tap.same([k for k, v in before.items() if v > after.get(k, 0) and
              types[k.split("{")[0]] == "counter"], [],
             "metrics: counters never fall")
    tap.ok(after["mtad_messages_in_total"] == DOMAINS / 500 + 1,
           "metrics: messages counted")


def answers():
    status, text = ask("GET", "/v1/queues?n=1000")
    tap.ok(status == 200 and len(json.loads(text)["queues"]) <= 1000,
           "queues: a page")
    for key in ("order", "rate", "defer", "conns", "paths", "refused"):
        status, text = ask("GET", "/v1/sources?n=1&sort=" + key)
        tap.ok(status == 200 and len(json.loads(text)["sources"]) == 1,
               "sources by " + key, text)
    for method, target, want in (
            ("PUT", "/v1/status", 405), ("HEAD", "/v1/status", 405),
            ("GET", "/v1/admin", 404), ("POST", "/v1/status", 404),
            ("GET", "/", 404), ("GET", "/v1/../v1/status", 404),
            ("GET", "/v1/queues?sort=colour", 400),
            ("GET", "/v1/sources?sort=colour", 400),
            ("GET", "/v1/queues?n=-1", 400),
            ("GET", "/v1/queues?n=1&n=2", 400),
            ("GET", "/v1/queues?colour=red", 400),
            ("GET", "/v1/message?id=nobody", 404)):
        status, text = ask(method, target)
        tap.same(status, want, "%s %s: %d" % (method, target, want))
    for body, words in (
            ({"verb": "delete"}, "nothing selected"),
            ({"verb": "delete", "all": "yes"}, "true or false"),
            ({"verb": "delete", "all": True, "dry_run": "yes"},
             "true or false"),
            ({"verb": "delete", "all": True, "domian": "to.example"},
             "no such parameter"),
            ({"verb": "eat", "all": True}, "verb"),
            ({"verb": "delete", "domain": ["a"]}, "neither text"),
            ({"verb": "delete", "domain": "a", "reason": "x" * 70000},
             "too big")):
        status, text = ask("POST", "/v1/admin", body)
        tap.ok(status in (400, 413) and words in text,
               "refused: " + words, (status, text[:200]))
    status, text = ask("POST", "/v1/admin", {
        "verb": "hold", "domain": "SLOW7.example", "dry_run": True})
    tap.same((status, json.loads(text)["recipients"]), (200, 1),
             "a domain in capitals is the same")


def bad_clients():
    """None of them delays mail, nor for long the operator."""
    crowd = []
    while len(crowd) < 200:
        s = socket.socket(socket.AF_UNIX)
        s.setblocking(False)
        try:
            s.connect(conf["control"])
        except BlockingIOError:
            time.sleep(0.05)
            s.close()
            continue
        crowd.append(s)
    tap.ok(send(["two@to.example"]) < 2, "200 idle clients: mail goes on")
    since = time.monotonic()
    code, out = d.verb("status")
    tap.ok(code == 0 and time.monotonic() - since < 10,
           "200 idle clients: the operator is served", (code, out))
    for s in crowd:
        s.close()
    deaf = connect()
    deaf.setblocking(False)
    try:
        for _ in range(5000):
            deaf.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    except BlockingIOError:
        pass
    slow = connect()
    slow.sendall(b"GET /v1/sta")
    huge = connect()
    try:
        huge.sendall(b"GET /" + b"a" * (1 << 20))
    except OSError:
        pass
    tap.ok(send(["three@to.example"]) < 2, "deaf, slow and huge: mail goes on")
    tap.same(d.verb("status")[0], 0, "... and the operator is served")
    slow.sendall(b"tus HTTP/1.1\r\nHost: x\r\n\r\n")
    tap.ok(slow.recv(99).startswith(b"HTTP/1.1 200"), "... the slow one too")
    tap.ok(wait_for(lambda: sink.to("three@to.example")), "mail arrives")


metrics()
answers()
bad_clients()
tap.same(d.stop(), 0, "exit 0")
tap.done()
