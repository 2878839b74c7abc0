#!/usr/bin/env python3
"""Clients that nobody here wrote send through mtad, plain and with TLS, and
Postfix's smtp-sink receives from it. What arrives is compared octet for octet
below our Received field. smtp-source and smtp-sink have no TLS; stunnel, which
speaks STARTTLS, stands before them then. A matrix of what each client did ends
the test; a cell that is not "ok" fails it.
"""
# parallel: measures no time
# timeout: 150 400

import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtaclients import FROM, NAMES, TUNNELLED, Tunnel, by, by_smtplib, has
from mtalib import (Mtad, Sink, Tap, free_port, path, smart, wait_for,
                    write_config)

SIZE_MAX = 12 << 20
tap = Tap()
cert, key = path("cert.pem"), path("key.pem")
subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                "-days", "2", "-subj", "/CN=localhost", "-keyout", key,
                "-out", cert], check=True, stdin=subprocess.DEVNULL,
               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def head(name):
    return ("From: <%s>\r\nTo: <x@to.example>\r\nSubject: %s\r\n"
            "MIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: 8bit\r\n\r\n"
            % (FROM, name)).encode()


def large(size):
    line = b"".join(b"%02x" % i for i in range(35)) + b" \xc3\xa4\xe2\x82\xac"
    return (b"." + line + b"\r\n") * (size // (len(line) + 3) + 1)


octets = bytes(i for i in range(1, 256) if i not in (10, 13))
MESSAGES = {
    "8-bit": (head("eight") + "Grüße, 世界\r\n".encode() + octets + b"\r\n",
              ["x@to.example"]),
    "dots": (head("dots") +
             b".\r\n..\r\n...\r\n.x\r\n\r\n. \r\nx.\r\n.\r\nx\r\n",
             ["x@to.example"]),
    "10 MB": (head("large") + large(10 << 20), ["x@to.example"]),
    "100 rcpt": (head("many") + b"to all\r\n",
                 ["u%d@to.example" % i for i in range(100)]),
}
TOO_LARGE = head("too large") + large(SIZE_MAX + (1 << 20))
KINDS = [*MESSAGES, "too large"]
matrix = {}               # (client, kind, tls): what the cell says


def spool_file(data):
    with open(path("message"), "wb") as f:
        f.write(data)
    return path("message")


def numbered(to, client):
    """smtp-source puts a number before the address, but for the last."""
    if client == "smtp-source" and len(to) > 1:
        return ["%su@to.example" % (i or "") for i in
                (0, *range(2, len(to) + 1))]
    return to


def compare(label, client, sink, data, to):
    """Every recipient once, each with these octets."""
    def rcpts():
        return sorted(r for m in sink.got() for r in m.rcpts)
    wait_for(lambda: len(rcpts()) >= len(to))
    got = sink.got()
    # smtp-source ends every message with an empty line of its own.
    data += b"\r\n" if client == "smtp-source" else b""
    good = tap.same(rcpts(), sorted(numbered(to, client)),
                    label + ": recipients, each once")
    bad = [m for m in got if m.below_received() != data]
    good &= tap.ok(got and not bad, label + ": octets", bad and
                   "%r\nwant %r" % (bad[0].below_received()[-300:],
                                    data[-300:]))
    return good & tap.ok(all(m.sender == FROM for m in got),
                         label + ": sender")


def one_client(name, tls, port, sink):
    send = by(name)
    for kind, (data, to) in MESSAGES.items():
        label = "%s%s %s" % (name, " TLS" if tls else "", kind)
        sink.clear()
        good, said = send(port, tls, spool_file(data), to)
        good = tap.ok(good, label + ": sent", said) and \
            compare(label, name, sink, data, to)
        if tls and good:
            good = tap.ok(all(m.session.tls and b" (TLSv1." in m.data[:400]
                              for m in sink.got()),
                          label + ": TLS on both legs")
        matrix[name, kind, tls] = "ok" if good else "FAILED"
    sink.clear()
    good, said = send(port, tls, spool_file(TOO_LARGE), ["x@to.example"])
    label = "%s%s" % (name, " TLS" if tls else "")
    good = tap.ok(not good and "552" in said, label + ": too large, 552", said)
    good &= tap.ok(not sink.got(), label + ": and it goes nowhere")
    matrix[name, "too large", tls] = "ok" if good else "FAILED"


def every_client(tls):
    sink = Sink(tls=(cert, key) if tls else None)
    listen = {"in": {"bind": "127.0.0.1:%d" % free_port(),
                     "relay_from": ["127.0.0.0/8"]}}
    if tls:
        listen["in"]["tls"] = {"cert": cert, "key": key}
    daemon = Mtad(write_config("tls" if tls else "plain", route=smart(sink),
                               listen=listen, message_size_max=SIZE_MAX))
    daemon.start()
    for name in NAMES:
        needs = [name, *(["stunnel"] if tls and name in TUNNELLED else [])]
        lacks = [n for n in needs if not has(n)]
        if lacks:
            tap.skip(name, "%s is not installed" % lacks)
            for kind in KINDS:
                matrix[name, kind, tls] = "no " + lacks[0]
            continue
        tunnel = Tunnel(daemon.port, path("stunnel")) if len(needs) > 1 \
            else None
        one_client(name, tls, tunnel.port if tunnel else daemon.port, sink)
        if tunnel:
            tunnel.close()
    daemon.kill9()
    sink.close()


def dumped(where):
    """smtp-sink's dumps: (recipients, octets below our Received field), with
    the LF that it writes for CRLF made CRLF again."""
    found = []
    for name in os.listdir(where):
        with open(os.path.join(where, name), "rb") as f:
            data = f.read()
        own, _, rest = data.partition(b"\nReceived: from a.mta.example")
        rcpts = [line[line.index(b"<") + 1:line.index(b">")].decode()
                 for line in own.split(b"\n")
                 if line.startswith(b"X-Rcpt-Args:")]
        # Behind smtp-sink's field stands ours; then the message, and at the
        # end the empty line of a mbox.
        at = rest.find(b"\nReceived: ")
        at = rest.find(b"\n", at + 1) + 1 if at >= 0 else len(rest)
        while rest[at:at + 1] in (b" ", b"\t"):
            at = rest.index(b"\n", at) + 1
        found.append((rcpts, rest[at:].removesuffix(b"\n")
                      .replace(b"\n", b"\r\n")))
    return found


def into_smtp_sink(tls):
    where = tempfile.mkdtemp()
    port = free_port()
    # It wants a name when it is root, and another user may not reach us.
    user = ["-u", "root"] if os.getuid() == 0 else []
    p = subprocess.Popen(["smtp-sink", *user, "-d", where + "/%M.",
                          "127.0.0.1:%d" % port, "100"])
    tunnel = Tunnel(port, path("stunnel"), cert, key) if tls else None
    hop = tunnel.port if tunnel else port
    d = Mtad(write_config("sink%d" % tls, message_size_max=SIZE_MAX, route={
        "*": {"hosts": ["127.0.0.1:%d" % hop]}})).start()
    try:
        for kind, (data, to) in MESSAGES.items():
            one_for_smtp_sink(d, where, tls, kind, data, to)
        matrix["smtp-sink", "too large", tls] = "receives"
        d.kill9()
    finally:
        if tunnel:
            tunnel.close()
        p.terminate()
        p.wait()
        shutil.rmtree(where)


def one_for_smtp_sink(d, where, tls, kind, data, to):
    label = "smtp-sink%s %s" % (" TLS" if tls else "", kind)
    before = len(d.events("Delivery"))
    by_smtplib(d.port, False, spool_file(data), to)
    wait_for(lambda: len(d.events("Delivery")) >= before + len(to))
    done = d.events("Delivery")[before:]
    good = tap.same(sorted(e["recipient"] for e in done), sorted(to),
                    label + ": deliveries")
    good &= tap.ok(all(bool(e.get("tls")) == tls for e in done),
                   label + ": TLS as wanted", done[:1])
    got = dumped(where)
    good &= tap.same(sorted(r for rcpts, _ in got for r in rcpts),
                     sorted(to), label + ": recipients, each once")
    bad = [octets for _, octets in got if octets != data]
    good &= tap.ok(got and not bad, label + ": octets", bad and
                   "%r\nwant %r" % (bad[0][:300], data[:300]))
    matrix["smtp-sink", kind, tls] = "ok" if good else "FAILED"
    for name in os.listdir(where):
        os.unlink(os.path.join(where, name))


def smtp_sink():
    for tls in (False, True):
        lacks = [n for n in ("smtp-sink", *(["stunnel"] if tls else []))
                 if not has(n)]
        if lacks:
            tap.skip("smtp-sink", "%s is not installed" % lacks)
        else:
            into_smtp_sink(tls)


def show():
    for tls in (False, True):
        print("# %-12s" % ("TLS" if tls else "plain") +
              "".join("%-11s" % k for k in KINDS))
        for name in (*NAMES, "smtp-sink"):
            print("# %-12s" % name + "".join(
                "%-11s" % matrix.get((name, k, tls), "-") for k in KINDS))
    print("# with TLS, smtp-source and smtp-sink stand behind stunnel")


for tls in (False, True):
    every_client(tls)
smtp_sink()
show()
tap.done()
