#!/usr/bin/env python3
"""Messages that are posted: raw, as JSON, in batches; who may, how much, how slow;
and what is taken once is taken once, whatever is killed in between."""
# parallel: measures no time
# timeout: 90 180

import base64
import email
import email.policy
import http.client
import json
import os
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import (Mtad, Sink, Tap, free_port, path, smart, wait_for,
                    write_config)

tap = Tap()
MTAD = os.path.join(os.environ["BUILD"], "mtad")
cert, key = path("cert.pem"), path("key.pem")
subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                "-days", "2", "-subj", "/CN=localhost", "-keyout", key,
                "-out", cert], check=True, stdin=subprocess.DEVNULL,
               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
RAW = b"From: a@b.example\r\nSubject: raw\r\n\r\nhello\r\n.\r\nend\r\n"


def token():
    r = subprocess.run([MTAD, "account", "--token", "x"], capture_output=True,
                       text=True)
    lines = r.stdout.split("\n")
    tap.ok(r.returncode == 0 and len(lines) > 1, "mtad account --token")
    return lines[0].strip("# "), lines[1].split('"')[3]


def at(name="http"):
    return daemon.conf["listen"][name]["bind"].rsplit(":", 1)


def connect(name="http"):
    host, port = at(name)
    if name == "https":
        return http.client.HTTPSConnection(host, int(port), timeout=20,
                                           context=context)
    return http.client.HTTPConnection(host, int(port), timeout=20)


def ask(body, type_="application/json", query="", c=None, who=None, **more):
    """Status, and what the answer says."""
    own = c or connect()
    head = {"Content-Type": type_, "Authorization": "Bearer " + (who or GOOD)}
    head.update({k.replace("_", "-"): v for k, v in more.items()})
    own.request("POST", "/v1/messages" + query, body, head)
    r = own.getresponse()
    text = r.read()
    if not c:
        own.close()
    ask.head = r.headers
    return r.status, json.loads(text) if text else None


def post(said, **more):
    return ask(json.dumps(said), **more)


def letter(**over):
    said = {"from": "Ann <ann@b.example>", "to": "bob@to.example",
            "subject": "hi", "text": "hello\n"}
    said.update(over)
    return said


def bytes_on(data, name="http", wait=10):
    """What is answered to bytes, up to the end."""
    s = socket.create_connection((at(name)[0], int(at(name)[1])), wait)
    s.sendall(data)
    got = b""
    while True:
        try:
            b = s.recv(65536)
        except OSError:
            break
        got += b
        if not b:
            break
    s.close()
    return got


def arrived(rcpt, n=1):
    wait_for(lambda: len(sink.to(rcpt)) >= n)
    return [m.data for m in sink.to(rcpt)]


# ---- raw ---------------------------------------------------------------------------

def raw():
    code, said = ask(RAW, "message/rfc822",
                     "?from=a%40b.example&to=r1@to.example&to=r2@to.example")
    tap.ok(code == 202 and said["accepted"] == 2 and said["rejected"] == [],
           "raw: 202", said)
    got = arrived("r1@to.example")[0]
    tap.ok(RAW in got and b"with HTTP id " + said["id"].encode() in got,
           "raw: what was posted arrives, with a trace field", got)
    r = subprocess.run(
        ["curl", "-s", "-H", "Authorization: Bearer " + GOOD, "-H",
         "Content-Type: message/rfc822", "-H", "X-Envelope-From: a@b.example",
         "-H", "X-Envelope-To: c1@to.example, c2@to.example", "-H",
         "Transfer-Encoding: chunked", "--data-binary", "@" + path("big"),
         "http://%s:%s/v1/messages" % tuple(at())],
        capture_output=True, text=True)
    tap.ok('"accepted":2' in r.stdout, "raw: curl, chunks, fields, large",
           r.stdout + r.stderr)
    got = arrived("c1@to.example")[0]
    tap.ok(BIG.replace(b"\n", b"\r\n") in got,
           "raw: LF became CRLF, nothing else changed", len(got))
    code, said = ask(RAW, "message/rfc822", "?from=&to=b@to.example")
    tap.same(code, 202, "raw: the null sender")
    for query, field in (("?from=a@b.example", "to"), ("?to=a@b.example",
                                                       "from"),
                         ("?from=x&to=a@b.example", "from")):
        code, said = ask(RAW, "message/rfc822", query)
        tap.ok(code == 422 and said["error"]["field"] == field,
               "raw: " + query, said)
    code, said = ask(RAW, "message/rfc822",
                     "?from=a@b.example&to=x@y.example%3E%0d%0aRSET")
    tap.ok(code == 422 and said["rejected"], "raw: no command in an address",
           said)
    code, said = ask(b"Subject: x\r\n\r\nnul \0\r\n", "message/rfc822",
                     "?from=a@b.example&to=b@to.example")
    tap.ok(code == 422 and said["error"]["code"] == "refused",
           "raw: NUL is refused", said)
    code, said = ask(b"X-Pool: nowhere\r\nSubject: x\r\n\r\nx\r\n",
                     "message/rfc822", "?from=a@b.example&to=b@to.example")
    tap.ok(code == 422 and "5.3.5 X-Pool names" in
           said["error"]["message"],
           "raw: the header steers by the configured name", said)
    code, said = ask(b"X-MTA-Pool: nowhere\r\nSubject: x\r\n\r\nx\r\n",
                     "message/rfc822", "?from=a@b.example&to=old@to.example")
    tap.ok(code == 202 and b"X-MTA-Pool" in arrived("old@to.example")[0],
           "raw: and not by another", said)


# ---- JSON ----------------------------------------------------------------------------

def parsed(data):
    return email.message_from_bytes(data, policy=email.policy.default)


def as_json():
    png = bytes(range(256)) * 40
    html = "<p>Gr\u00fc\u00dfe</p>" * 30
    text = "caf\u00e9 = 100%\n" + "x" * 2000 + "\n.\nFrom me \n"
    code, said = post(letter(
        to=["J\u00fcrgen <j@to.example>", {"email": "k@to.example",
                                           "name": "K, \"the\" One"}],
        cc="cc@to.example", bcc=["hidden@to.example"],
        reply_to="re@b.example", subject="Gr\u00fc\u00dfe " * 20, text=text,
        html=html, headers={"X-Thing": "a" * 60 + " " + "b" * 60,
                            "List-Unsubscribe": "<https://x.example/u>"},
        attachments=[
            {"name": "\u00e4.png", "type": "image/png", "cid": "pic@x",
             "content": base64.b64encode(png).decode()},
            {"name": "a.bin", "content": base64.encodebytes(png).decode()}],
        envelope_from="bounce+1@b.example"))
    tap.ok(code == 202 and said["accepted"] == 4, "JSON: 202", said)
    data = arrived("hidden@to.example")[0]
    m = parsed(data)
    tap.same([a.addr_spec for a in m["To"].addresses],
             ["j@to.example", "k@to.example"], "JSON: To")
    tap.same([a.display_name for a in m["To"].addresses],
             ["J\u00fcrgen", "K, \"the\" One"], "JSON: names")
    tap.same((m["Cc"], m["Bcc"], m["Reply-To"], m["Subject"]),
             ("cc@to.example", None, "re@b.example",
              ("Gr\u00fc\u00dfe " * 20).strip()), "JSON: fields")
    tap.ok(m["Date"] and m["Message-ID"], "JSON: Date and Message-ID")
    tap.same(m["X-Thing"], "a" * 60 + " " + "b" * 60, "JSON: a field, folded")
    tap.same([p.get_content_type() for p in m.walk()],
             ["multipart/mixed", "multipart/alternative", "text/plain",
              "multipart/related", "text/html", "image/png",
              "application/octet-stream"], "JSON: parts")
    parts = list(m.walk())
    tap.same(parts[2].get_content(), text.replace("\n", "\r\n"),
             "JSON: text")
    tap.same(parts[4].get_content().strip(), html, "JSON: html")
    tap.ok(parts[5].get_payload(decode=True) == png and
           parts[6].get_payload(decode=True) == png, "JSON: attachments")
    tap.same((parts[5]["Content-ID"], parts[5].get_filename(),
              parts[6].get_filename()),
             ("<pic@x>", "\u00e4.png", "a.bin"), "JSON: their names")
    tap.ok(max(len(x) for x in data.split(b"\r\n")) <= 998, "JSON: lines")
    head = data[:data.index(b"\r\n\r\n")]
    head = head[head.index(b"\r\nFrom:") + 2:]
    tap.ok(max(len(x) for x in head.split(b"\r\n")) <= 78 and
           all(b < 128 for b in head), "JSON: header lines", head)
    post(letter(to="\u00dcn\u00ef <named@to.example>"))
    head = arrived("named@to.example")[0].split(b"\r\n\r\n")[0]
    tap.ok(all(x.strip() for x in head.split(b"\r\n")) and
           str(parsed(head)["To"]).startswith("\u00dcn\u00ef <"),
           "JSON: no line of blanks alone", head)
    code, said = post(letter(to="\u00fc@to.example"))
    tap.same(code, 202, "JSON: SMTPUTF8")
    code, said = post(letter(to="idn@b\u00fccher.example"))
    arrived("idn@xn--bcher-kva.example")
    tap.ok(code == 202 and sink.to("idn@xn--bcher-kva.example"),
           "JSON: a domain in its ASCII form")
    big = base64.b64encode(os.urandom(3 << 20)).decode()
    code, said = post(letter(to="big@to.example", attachments=[
        {"name": "big", "content": big}]))
    tap.same(code, 202, "JSON: larger than its share of memory")
    tap.same(base64.b64encode(list(parsed(arrived("big@to.example")[0]).walk())
                              [-1].get_payload(decode=True)).decode() == big,
             True, "JSON: and arrives whole")
    code, said = post(letter(tenant="acme", campaign="c1", to="st@to.example"))
    arrived("st@to.example")
    tap.ok(b"X-MTA" not in sink.to("st@to.example")[0].data and
           wait_for(lambda: any(
               e.get("tenant") == "acme" and e.get("campaign") == "c1"
               for e in daemon.events("Reception"))), "JSON: steering")


def wrong_json():
    for said, code, field in (
            ("{", 400, None), ('{"from": "a@b.example"} x', 400, None),
            (letter(subjekt="x"), 422, "subjekt"),
            (letter(to="nobody"), 422, "to[0]"),
            (letter(to=["a@b.example", "c"]), 422, "to[1]"),
            (letter(to=[]), 422, "to"),
            (letter(subject="a\r\nBcc: x@y.example"), 422, "subject"),
            (letter(headers={"X-A": "a\nB: c"}), 422, "headers.X-A"),
            (letter(headers={"X A": "a"}), 422, "headers"),
            (letter(headers={"Bcc": "a"}), 422, "headers.Bcc"),
            (letter(headers={"content-type": "a"}), 422,
             "headers.content-type"),
            (letter(**{"from": "a@b.example>\r\nRSET"}), 422, "from"),
            (letter(attachments=[{"content": "a"}]), 422, "attachments[0]"),
            (letter(attachments=[{"content": "YQ==", "type": "multipart/x"}]),
             422, "attachments[0]"),
            (letter(attachments=[{"content": "YQ==", "type": "a/b\r\nX: y"}]),
             422, "attachments[0]"),
            (letter(text=None), 422, "text"),
            (letter(tenant="x\ny"), 422, "tenant"),
            (letter(recipients=["a@b.example"]), 422, "recipients"),
            ([1], 422, None), ("[" * 100, 400, None), (b'{"a":"\xff"}', 400,
                                                       None)):
        body = said if isinstance(said, (str, bytes)) else json.dumps(said)
        got, error = ask(body)
        tap.ok(got == code and error["error"].get("field") == field,
               "wrong: %.60s" % (body,), (got, error))


def batch():
    people = [{"email": "p%d@to.example" % i,
               "substitutions": {"name": "P<%d>" % i, "n": i}}
              for i in range(100)]
    people[7]["email"] = "P7 <p7@to.example>"
    people[7] = people[7]["email"]   # gives no words
    code, said = post({
        "from": "ann@b.example", "recipients": people,
        "subject": "For {{name}}", "substitutions": {"all": "\u00fc"},
        "text": "{{ name }} {{n}} {{all}} {{ no word }}\n",
        "html": "<b>{{name}}</b>{{{name}}}"})
    tap.same((code, said["queued"], len(said["messages"])), (202, 99, 100),
             "batch: 202")
    one = said["messages"][7]
    tap.ok(one["status"] == "refused" and
           one["error"]["field"] == "subject" and
           "{{name}}" in one["error"]["message"],
           "batch: a word that is missing", one)
    tap.ok(len({x["id"] for x in said["messages"] if "id" in x}) == 99 and
           said["messages"][8]["recipient"] == "p8@to.example",
           "batch: each a message of its own")
    m = parsed(arrived("p3@to.example")[0])
    parts = list(m.walk())
    tap.same((m["To"], m["Subject"], parts[1].get_content(),
              parts[2].get_content().strip()),
             ("p3@to.example", "For P<3>",
              "P<3> 3 \u00fc {{ no word }}\r\n", "<b>P&lt;3&gt;</b>P<3>"),
             "batch: words are substituted")
    wait_for(lambda: all(sink.to("p%d@to.example" % i)
                         for i in range(100) if i != 7))
    code, said = post({
        "from": "a@b.example", "text": "x", "subject": "{{x}}",
        "recipients": [{"email": "inj@to.example",
                        "substitutions": {"x": "a\r\nBcc: b@c.example"}}]})
    tap.ok(code == 422 and said["messages"][0]["error"]["field"] == "subject",
           "batch: no field by a word", said)


# ---- the protocol ------------------------------------------------------------------

def head(*lines):
    return "\r\n".join(("POST /v1/messages HTTP/1.1", "Host: x",
                        "Authorization: Bearer " + GOOD,
                        "Content-Type: application/json", *lines,
                        "", "")).encode()


def flood(body):
    """Answers that nobody reads for a while; all come at last."""
    one = (b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 2"
           b"\r\n\r\n{}")
    s = socket.create_connection((at()[0], int(at()[1])), 10)
    sender = threading.Thread(target=lambda: s.sendall(one * 5000))
    sender.start()
    size = len(bytes_on(one.replace(b"Host: x", b"Host: x\r\nConnection: "
                                    b"close"))) - len("Connection: close\r\n")
    got, piece = b"", b"x"
    wait_for(lambda: not sender.is_alive(), 1)
    while piece and len(got) < size * 5000:
        piece = s.recv(1 << 20)
        got += piece
    sender.join()
    s.close()
    tap.same(got.count(b" 401 "), 5000,
             "five thousand refusals to one who reads slowly")


def protocol():
    c = connect()
    tap.same([post(letter(to="ka%d@to.example" % i), c=c)[0]
              for i in range(5)], [202] * 5, "one connection, five requests")
    c.close()
    body = json.dumps(letter(to="pipe@to.example")).encode()
    one = head("Content-Length: %d" % len(body)) + body
    last = head("Connection: close", "Content-Length: %d" % len(body)) + body
    tap.same(bytes_on(one * 9 + last).count(b" 202 "), 10, "pipelined")
    flood(body)
    c = connect("https")
    tap.same(post(letter(to="tls@to.example"), c=c)[0], 202, "TLS")
    tap.ok(b"with HTTPS (TLSv1.3" in arrived("tls@to.example")[0],
           "TLS: the trace field")
    for lines, code in (
            (("Content-Length: 2", "Transfer-Encoding: chunked"), 400),
            (("Content-Length: 2", "Content-Length: 2"), 400),
            (("Content-Length: +2",), 400), (("Content-Length: 2 ,2",), 400),
            (("Transfer-Encoding: gzip, chunked",), 501),
            (("Transfer-Encoding : chunked",), 400), ((" folded: x",), 400),
            (("X: a\rb",), 400), (("X: " + "a" * 40000,), 431),
            (("X: a",) * 120, 431), (("Connection: close",), 411),
            (("Content-Length: 99999999999",), 413),
            (("Expect: magic", "Content-Length: 2"), 417)):
        got = bytes_on(head(*lines) + b"{}")
        tap.ok(got.startswith(b"HTTP/1.1 %d " % code) and
               got.count(b"HTTP/1.1") == 1, "refused: %.40s" % (lines,), got)
    for data, code in (
            (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
            (b"GET /v1/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
             b"\r\n", 405),
            (b"POST /v1/messages HTTP/2.0\r\nHost: x\r\n\r\n", 505),
            (b"EHLO x\r\n\r\n", 400), (b"\0\0\0\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400)):
        got = bytes_on(data)
        tap.ok(got.startswith(b"HTTP/1.1 %d " % code), "refused: %r" % data,
               got)
    chunks = head("Transfer-Encoding: chunked", "Connection: close")
    for data, code in ((b"zz\r\n", 400), (b"2\n{}\r\n0\r\n\r\n", 400),
                       (b"2\r\n{}x\r\n0\r\n\r\n", 400),
                       (b"2;x=y\r\n{}\r\n0\r\nT: v\r\n\r\n", 422)):
        got = bytes_on(chunks + data)
        tap.ok(got.startswith(b"HTTP/1.1 %d " % code), "chunks: %r" % data,
               got)
    s = socket.create_connection((at()[0], int(at()[1])), 10)
    s.sendall(head("Content-Length: %d" % len(body), "Expect: 100-continue",
                   "Connection: close"))
    tap.ok(s.recv(100).startswith(b"HTTP/1.1 100 "), "100 Continue")
    s.sendall(body)
    tap.ok(s.recv(1000).startswith(b"HTTP/1.1 202 "), "and behind it 202")
    s.close()


def who():
    for bearer in ("x", "", GOOD + "x", GOOD[:-1]):
        c = connect()
        c.request("POST", "/v1/messages", "{}", {
            "Content-Type": "application/json",
            "Authorization": "Bearer " + bearer})
        r = c.getresponse()
        tap.ok(r.status == 401 and r.headers["WWW-Authenticate"] == "Bearer",
               "token %.8r" % bearer, r.status)
        c.close()
    tap.same(ask("{}", "text/plain")[0], 415, "another type")
    tap.same(ask("{}", Content_Encoding="gzip")[0], 415, "compressed")
    codes = [post(letter(to="limit@to.example"), who=SLOW)[0]
             for _ in range(5)]
    tap.same(codes, [202, 202, 202, 429, 429], "a token's rate")
    tap.ok(0 < int(ask.head["Retry-After"]) <= 1200, "Retry-After",
           ask.head["Retry-After"])
    tap.ok(GOOD not in daemon.said(), "no token in the log")


def limits():
    raw_query = "?from=a@b.example&to=large@to.example"
    large = b"Subject: x\r\n\r\n" + b"x" * 70 * 1000 * 1000
    code, said = None, None
    try:
        code, said = ask(large[:9 << 20], "message/rfc822", raw_query)
    except OSError:
        pass                    # the answer may be lost behind a full pipe
    tap.ok(code in (413, None), "a message that is too large", (code, said))
    code, said = post(letter(text="x", attachments=[{
        "content": base64.b64encode(b"x" * (6 << 20)).decode()}] * 1))
    tap.ok(code == 413, "a JSON message that is too large", (code, said))
    stalls = {"a head that stalls": head("Content-Length: 50")[:60],
              "a body that stalls": head("Content-Length: 50") + b"{",
              "nothing at all": b""}
    got = {}
    crowd = [threading.Thread(target=lambda k=k, v=v: got.update(
        {k: bytes_on(v, "slow")})) for k, v in stalls.items()]
    for t in crowd:
        t.start()
    for t in crowd:
        t.join()
    for k, v in stalls.items():
        tap.ok(got[k].startswith(b"HTTP/1.1 408 ") if v else got[k] == b"", k,
               got[k])


# ---- once ------------------------------------------------------------------------------

def once():
    one = letter(to="once@to.example")
    code, first = post(one, Idempotency_Key="k1")
    again = post(one, Idempotency_Key="k1")
    tap.same((code, again), (202, (202, first)), "once: the same answer")
    tap.same(ask.head["Idempotent-Replayed"], "true", "once: and says so")
    tap.same(post(letter(to="other@to.example"), Idempotency_Key="k1")[0], 422,
             "once: another message with that key")
    tap.ok(post(one, Idempotency_Key="k1", who=OTHER)[1]["id"] != first["id"],
           "once: another client's key is another")
    tap.same(post(one, Idempotency_Key="")[0], 400, "once: an empty key")
    query = "?from=a@b.example&to=rawonce@to.example"
    both = [ask(RAW, "message/rfc822", query, Idempotency_Key='"k2"')
            for _ in range(2)]
    tap.ok(both[0] == both[1] and both[0][0] == 202, "once: raw", both)
    tap.same(ask(RAW + b"x\r\n", "message/rfc822", query,
                 Idempotency_Key="k2")[0], 422, "once: raw, another message")
    many = {"from": "a@b.example", "text": "x", "subject": "x",
            "recipients": ["m%d@to.example" % i for i in range(40)]}
    both = [post(many, Idempotency_Key="k3") for _ in range(2)]
    tap.ok(both[0] == both[1] and both[0][1]["queued"] == 40, "once: batch")
    answers = []
    crowd = [threading.Thread(target=lambda: answers.append(
        post(letter(to="crowd@to.example"), Idempotency_Key="k4")))
        for _ in range(12)]
    for t in crowd:
        t.start()
    for t in crowd:
        t.join()
    ids = {a[1]["id"] for a in answers if a[0] == 202}
    tap.ok(len(ids) == 1 and {a[0] for a in answers} <= {202, 409},
           "once: a dozen at the same time", answers)
    arrived("once@to.example")
    return first


def smtp(rcpts, k, field="X-Once", name="in"):
    host, port = at(name)
    with smtplib.SMTP(host, int(port), timeout=10) as c:
        c.ehlo("x")
        c.mail("a@b.example")
        for r in rcpts:
            c.rcpt(r)
        code, text = c.data(("%s: %s\r\nSubject: %s\r\n\r\nx\r\n" % (
            field, k, time.time())).encode())
        return code, text.decode()


def once_by_smtp():
    first = smtp(["s1@to.example", "s2@to.example"], "s")
    tap.same(smtp(["s2@to.example", "s1@to.example"], "s"), first,
             "SMTP: the same answer, in another order, with another date")
    tap.same(smtp(["s1@to.example"], "s")[0], 554,
             "SMTP: other recipients with that key")
    tap.same(smtp(["s1@to.example"], "x" * 300)[0], 550,
             "SMTP: a key that is too long")
    tap.ok(b"X-Once" not in arrived("s1@to.example")[0],
           "SMTP: the field is removed")
    return first


def kill():
    """What was answered 202 is delivered once, and known, whether its message is
    still in the spool or gone from it."""
    gone_first = once()
    gone_smtp = once_by_smtp()
    wait_for(lambda: daemon.json("status")["totals"]["recipients"] == 0)
    closed.append(1)            # from here on the sink takes nothing
    acks, stop = [], []

    def load(n):
        i = 0
        while not stop:
            rcpt = "kill%d-%d@to.example" % (n, i)
            try:
                code, said = post(letter(to=rcpt), Idempotency_Key=rcpt)
            except OSError:
                return
            if code == 202:
                acks.append((rcpt, said))
            i += 1

    crowd = [threading.Thread(target=load, args=(n,)) for n in range(4)]
    for t in crowd:
        t.start()
    wait_for(lambda: len(acks) >= 100)
    daemon.kill9()
    stop.append(1)
    for t in crowd:
        t.join()
    before = len(sink.to("once@to.example"))
    daemon.start()
    tap.ok(len(acks) >= 100, "kill -9 under load", len(acks))
    tap.same(post(letter(to="once@to.example"), Idempotency_Key="k1"),
             (202, gone_first), "kill -9: a key whose message is gone")
    tap.same(smtp(["s1@to.example", "s2@to.example"], "s"), gone_smtp,
             "kill -9: the same by SMTP")
    tap.same([post(letter(to=r), Idempotency_Key=r) for r, _ in acks[:40]],
             [(202, said) for _, said in acks[:40]],
             "kill -9: keys whose messages are not")
    closed.clear()
    wait_for(lambda: all(sink.to(r) for r, _ in acks), 40)
    tap.same([r for r, _ in acks if len(sink.to(r)) != 1], [],
             "kill -9: all that was answered 202 arrives, once")
    tap.same(len(sink.to("once@to.example")), before,
             "kill -9: what is repeated does not")
    wait_for(lambda: daemon.json("status")["totals"]["recipients"] == 0)
    daemon.kill9()              # again, with all of them gone
    daemon.start()
    tap.same([post(letter(to=r), Idempotency_Key=r) for r, _ in acks[:40]],
             [(202, said) for _, said in acks[:40]],
             "kill -9: and when they are gone")


def seen(answer):
    """What is kept of a message, by whichever answer."""
    id_ = answer[1].split()[-1] if isinstance(answer[1], str) else \
        answer[1]["id"]
    wait_for(lambda: daemon.verb("show", id_)[0] == 0)
    return daemon.json("show", id_)


def given():
    """What a listener or an account says of mail that says nothing."""
    m = seen(smtp(["late@to.example"], "late", name="late"))
    tap.ok(3 * 3600 - 60 <= m["expires_s"] <= 3 * 3600,
           "a listener's wait and lifetime", m)
    tap.same(sink.to("late@to.example"), [], "it waits")
    m = seen(post(letter(to="acc@to.example", text="x"), who=ACCOUNT))
    tap.ok(6 * 3600 - 60 <= m["expires_s"] <= 6 * 3600 and
           m["tenant"] == "of-account", "an account's, by its token", m)
    m = seen(post(letter(to="acc@to.example", expires="8h"), who=ACCOUNT))
    tap.ok(9 * 3600 - 3660 <= m["expires_s"] <= 8 * 3600,
           "a message says more", m)
    code, said = post(letter(to="acc@to.example", **{"from": "x@y.example"}),
                      who=ACCOUNT)
    tap.ok(code == 422 and "5.7.1" in said["error"]["message"],
           "an account's senders", said)
    codes = [post(letter(to="acc@to.example"), who=ACCOUNT)[0]
             for _ in range(2)]
    tap.same(codes, [202, 429], "an account's rate")


GOOD, good_hash = token()
ACCOUNT, account_hash = token()
OTHER, other_hash = token()
SLOW, slow_hash = token()
BIG = b"Subject: big\n\n" + b"0123456789 abcdefghij\n" * 60000
with open(path("big"), "wb") as f:
    f.write(BIG)
closed = []
sink = Sink(rule=lambda stage, text, session: "451 4.0.0 not now"
            if closed and stage == "RCPT" else None)
daemon = Mtad(write_config(
    route=smart(sink), message_size_max="8M", spool_segment="16M",
    token={"good": {"hash": good_hash, "tenant": "t"},
           "other": {"hash": other_hash},
           "acc": {"hash": account_hash, "account": "acc"},
           "slow": {"hash": slow_hash, "rate": "3/1h"}},
    account={"acc": {"secret": "SCRAM-SHA-256$4096:%s$%s:%s" % (
        base64.b64encode(b"s" * 16).decode(),
        *[base64.b64encode(b"k" * 32).decode()] * 2),
        "tenant": "of-account", "from": ["b.example"], "rate": "3/1h", "expire": "5h", "schedule": "1h"}},
    steering={"pool": "X-Pool", "idempotency_key": "X-Once"},
    listen={"in": {"bind": "127.0.0.1:%d" % free_port(),
                   "relay_from": ["127.0.0.0/8"]},
            "late": {"bind": "127.0.0.1:%d" % free_port(),
                     "relay_from": ["127.0.0.0/8"], "class": "transactional",
                     "expire": "2h", "schedule": "1h"},
            "http": {"bind": "127.0.0.1:%d" % free_port(),
                     "protocol": "http"},
            "slow": {"bind": "127.0.0.1:%d" % free_port(), "protocol": "http",
                     "timeouts": {"command": "700ms", "body": "700ms"}},
            "https": {"bind": "127.0.0.1:%d" % free_port(),
                      "protocol": "http",
                      "tls": {"cert": cert, "key": key}}})).start()
raw()
as_json()
wrong_json()
batch()
protocol()
who()
limits()
kill()
given()
tap.same(daemon.stop(), 0, "it ends well")
tap.same(daemon.spool_check()[0], 0, "its spool is well")
tap.done()
