#!/usr/bin/env python3
"""Clients that nobody here wrote send through mtad, plain and with TLS, and
Postfix's smtp-sink receives from it. What arrives is compared octet for octet
below our Received field. (smtp-source cannot speak TLS.)
"""
# timeout: 120 300

import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
import mtaclients
from mtaclients import FROM, by_smtplib, has
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
    "100 recipients": (head("many") + b"to all\r\n",
                       ["u%d@to.example" % i for i in range(100)]),
}
TOO_LARGE = head("too large") + large(SIZE_MAX + (1 << 20))


def compare(label, sink, data, to):
    """Every recipient once, each with these octets."""
    def rcpts():
        return sorted(r for m in sink.got() for r in m.rcpts)
    wait_for(lambda: len(rcpts()) >= len(to))
    got = sink.got()
    want = to
    data += b"\r\n" if "smtp_source" in label else b""
    if "smtp_source" in label and len(to) > 1:
        want = [r for r in rcpts() if r.endswith("u@to.example")]
        want = want if len(set(want)) == len(to) else to
    tap.same(rcpts(), sorted(want), label + ": recipients, each once")
    bad = [m for m in got if m.below_received() != data]
    tap.ok(got and not bad, label + ": octets", bad and
           "%r\nwant %r" % (bad[0].below_received()[-300:], data[-300:]))
    tap.ok(all(m.sender == FROM for m in got), label + ": sender")
    return got


def one_client(name, send, tls, daemon, sink):
    for what, (data, to) in MESSAGES.items():
        label = "%s%s %s" % (name, " TLS" if tls else "", what)
        sink.clear()
        file = path("message")
        with open(file, "wb") as f:
            f.write(data)
        good, said = send(daemon.port, tls, file, to)
        if not tap.ok(good, label + ": sent", said):
            continue
        got = compare(label, sink, data, to)
        if tls:
            tap.ok(all(m.session.tls and b"with ESMTPS" in m.data[:400]
                       for m in got), label + ": TLS on both legs")
    with open(file, "wb") as f:
        f.write(TOO_LARGE)
    sink.clear()
    good, said = send(daemon.port, tls, file, ["x@to.example"])
    label = "%s%s" % (name, " TLS" if tls else "")
    tap.ok(not good and "552" in said, label + ": too large, 552", said)
    tap.ok(not sink.got(), label + ": and it goes nowhere")


def postfix_sink():
    """smtp-sink receives; its dump is a mbox of what it got."""
    where = tempfile.mkdtemp()
    shutil.chown(where, "postfix") if os.getuid() == 0 else None
    port = free_port()
    user = ["-u", "postfix"] if os.getuid() == 0 else []
    p = subprocess.Popen(["smtp-sink", *user, "-d", where + "/%M.",
                          "127.0.0.1:%d" % port, "100"])
    try:
        d = Mtad(write_config("sink", message_size_max=SIZE_MAX, route={
            "*": {"hosts": ["127.0.0.1:%d" % port]}})).start()
        for what, (data, to) in MESSAGES.items():
            with open(path("message"), "wb") as f:
                f.write(data)
            by_smtplib(d.port, False, path("message"), to)
            wait_for(lambda: len(d.events("Delivery")) >= len(to))
            wait_for(lambda: found(where, data))
            tap.ok(found(where, data), "smtp-sink: %s: octets" % what,
                   os.listdir(where))
            tap.same(len(d.events("Delivery")), len(to),
                     "smtp-sink: %s: deliveries" % what)
            d.stop()
            shutil.rmtree(d.conf["log"])
            d.start()
        d.kill9()
    finally:
        p.terminate()
        p.wait()
        shutil.rmtree(where)


def found(where, data):
    want = data.replace(b"\r\n", b"\n").rstrip(b"\n")
    for name in os.listdir(where):
        with open(os.path.join(where, name), "rb") as f:
            if f.read().replace(b"\r\n", b"\n").rstrip(b"\n").endswith(want):
                return True
    return False


for tls in (False, True):
    sink = Sink(tls=(cert, key) if tls else None)
    conf = write_config("tls" if tls else "plain", route=smart(sink),
                        message_size_max=SIZE_MAX)
    if tls:
        conf["listen"]["in"]["tls"] = {"cert": cert, "key": key}
        port = conf["port"]
        conf = write_config("tls", route=smart(sink), listen=conf["listen"],
                            message_size_max=SIZE_MAX)
    daemon = Mtad(conf).start()
    for client in ("smtplib", "swaks", "curl", "nodemailer", "smtp_source"):
        if tls and client == "smtp_source":
            continue
        if not has(client):
            tap.skip(client, "not installed")
            continue
        one_client(client, getattr(mtaclients, "by_" + client), tls, daemon,
                   sink)
    daemon.kill9()
    sink.close()
postfix_sink() if shutil.which("smtp-sink") else tap.skip("smtp-sink", "none")
tap.done()
