#!/usr/bin/env python3
"""Who is at the door: TLS from the first byte on, PROXY headers by haproxy and
by hand, XCLIENT; and messages that come in chunks or with UTF-8 addresses."""
# parallel: measures no time
# timeout: 60 90

import atexit
import os
import smtplib
import socket
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import (Mtad, Sink, Tap, free_port, path, smart, wait_for,
                    write_config)
from mtatalk import Talk, is_reply

tap = Tap()
cert, key = path("cert.pem"), path("key.pem")
subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                "-days", "2", "-subj", "/CN=localhost", "-keyout", key,
                "-out", cert], check=True, stdin=subprocess.DEVNULL,
               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
TLS = {"cert": cert, "key": key, "implicit": True}
HERE, THERE = ["127.0.0.0/8"], ["192.0.2.0/24", "2001:db8::/32"]


def door(**of):
    return {"bind": "127.0.0.1:%d" % free_port(), **of}


def port_of(name):
    return int(daemon.conf["listen"][name]["bind"].rsplit(":", 1)[1])


def unverified():
    c = ssl.create_default_context()
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    return c


def arrived(rcpt):
    wait_for(lambda: sink.to(rcpt))
    return (sink.to(rcpt) or [None])[0]


def trace(rcpt):
    """The trace field of ours."""
    m = arrived(rcpt)
    return m.data.decode("utf-8", "replace").split("\r\n\tfor")[0] if m else ""


# ---- TLS from the first byte on -----------------------------------------------

def implicit():
    with smtplib.SMTP_SSL("127.0.0.1", port_of("tls"), timeout=10,
                          context=unverified()) as c:
        c.ehlo("client.example")
        tap.ok(not c.has_extn("starttls"), "implicit TLS: no STARTTLS")
        c.sendmail("a@b.example", ["tls@to.example"], "Subject: x\n\nx\n")
    tap.ok("ESMTPS" in trace("tls@to.example"), "implicit TLS: ESMTPS",
           trace("tls@to.example"))
    # Who speaks clear text gets no reply in it, and does no harm.
    with socket.create_connection(("127.0.0.1", port_of("tls")), 10) as c:
        c.settimeout(10)
        c.sendall(b"EHLO x\r\n")
        got = c.recv(1000)
        tap.ok(not got.startswith(b"220"), "implicit TLS: no banner", got)


# ---- PROXY -----------------------------------------------------------------------

def by_hand(header, want=b"220", name="proxied"):
    c = socket.create_connection(("127.0.0.1", port_of(name)), 10)
    c.settimeout(10)
    try:
        for i in range(len(header)):
            c.sendall(header[i:i + 1])
        got = c.recv(1000)
    except (ConnectionResetError, BrokenPipeError):
        got = b""
    tap.ok(got.startswith(want) if want else got == b"",
           "%.40r: %r" % (header, want), got)
    return c


V2 = b"\r\n\r\n\0\r\nQUIT\n"


def proxied():
    by_hand(b"PROXY TCP4 192.0.2.7 192.0.2.1 1 25\r\n").close()
    by_hand(V2 + b"\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\0\1\0\x19").close()
    by_hand(V2 + b"\x20\0\0\0").close()
    by_hand(b"EHLO client.example\r\n", None).close()
    by_hand(b"PROXY TCP4 192.0.2.7 nowhere 1 25\r\n", None).close()
    # One that sends nothing keeps nobody out.
    silent = socket.create_connection(("127.0.0.1", port_of("proxied")), 10)
    # The limit is the client's, not the proxy's.
    one = by_hand(b"PROXY TCP4 192.0.2.8 192.0.2.1 1 25\r\n")
    by_hand(b"PROXY TCP4 192.0.2.8 192.0.2.1 2 25\r\n", b"421 4.7.0").close()
    by_hand(b"PROXY TCP4 192.0.2.9 192.0.2.1 2 25\r\n").close()
    one.close()
    silent.close()
    # Nobody else is believed.
    t = Talk(daemon.port, hello=False)
    t.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 1 25\r\n")
    tap.ok(is_reply(t.reply(), "500 5.5.1"), "PROXY from nobody's proxy")
    t.close()


def by_haproxy():
    ports = {how: (free_port(), free_port())
             for how in ("send-proxy", "send-proxy-v2")}
    text = "defaults\n mode tcp\n timeout connect 5s\n timeout client 9s\n" \
        " timeout server 9s\n"
    for how, at in ports.items():
        for port, to in zip(at, ("proxied", "proxied_tls")):
            text += "listen %s-%s\n bind 127.0.0.1:%d\n server s " \
                "127.0.0.1:%d %s\n" % (how, to, port, port_of(to), how)
    with open(path("haproxy.cfg"), "w") as f:
        f.write(text)
    p = subprocess.Popen(["haproxy", "-db", "-f", path("haproxy.cfg")],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    atexit.register(p.kill)

    def listens(port):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    for how, (port, tls_port) in ports.items():
        wait_for(lambda: listens(port) and listens(tls_port))
        # Its client is not one that may relay.
        with smtplib.SMTP("127.0.0.1", port, timeout=10,
                          source_address=("127.0.0.77", 0)) as c:
            c.ehlo("x")
            c.mail("a@b.example")
            tap.same(c.rcpt("x@to.example")[0], 550, how + ": relaying")
            c.rset()
            c.sendmail("a@b.example", ["postmaster"], "Subject: x\n\nx\n")
        wait_for(lambda: any(b"127.0.0.77" in m.data
                             for m in sink.to("ops@mta1.example")))
        tap.ok(any(b"127.0.0.77" in m.data
                   for m in sink.to("ops@mta1.example")),
               how + ": its client is in the trace field")
        with smtplib.SMTP_SSL("127.0.0.1", tls_port, timeout=10,
                              context=unverified()) as c:
            tap.same(c.noop()[0], 250, how + ": TLS behind the header")
        sink.clear()
    p.kill()
    p.wait()


# ---- XCLIENT -----------------------------------------------------------------------

def xclient():
    t = Talk(port_of("xclient"))
    for line, want in (
            ("MAIL FROM:<a@b.example> HOLDFOR=60", "550 5.7.1"),
            ("MAIL FROM:<a@b.example>", "250"),
            ("RCPT TO:<no@to.example>", "550 5.7.1"),
            ("RSET", "250"), ("XCLIENT ADDR=nowhere", "501 5.5.4"),
            ("XCLIENT COLOUR=red", "501 5.5.4"),
            ("XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::7 PORT=1",
             "220"), ("MAIL FROM:<a@b.example>", "503 5.5.1"),
            ("EHLO other.example", "250"), ("MAIL FROM:<a@b.example>", "250"),
            ("RCPT TO:<v6@to.example>", "250")):
        got = t.say(line)
        tap.ok(got.startswith(want), "%s: %s" % (line, want), got)
    t.say("RSET")
    t.say("XCLIENT ADDR=192.0.2.77 LOGIN=some+40one.example")
    t.say("EHLO other.example")
    got = t.mail("Subject: x\r\n\r\nx\r\n", rcpt="xclient@to.example")
    tap.ok(is_reply(got, "250 2.0.0"), "XCLIENT: taken", got)
    t.close()
    tap.ok("192.0.2.77" in trace("xclient@to.example") and
           "other.example" in trace("xclient@to.example"),
           "XCLIENT: in the trace field", trace("xclient@to.example"))
    t = Talk(daemon.port)
    tap.ok(is_reply(t.say("XCLIENT ADDR=192.0.2.7"), "550 5.7.0"),
           "XCLIENT: from nobody")
    t.close()


# ---- extensions -------------------------------------------------------------------------

def chunks():
    body = b"Subject: x\r\n\r\n.\r\nQUIT\r\n..\r\n"
    for at in (1, 14, 15, len(body) - 1, len(body)):
        rcpt = "bdat%d@to.example" % at
        t = Talk(daemon.port)
        t.say("MAIL FROM:<a@b.example>")
        t.say("RCPT TO:<%s>" % rcpt)
        t.send(b"BDAT %d\r\n" % at + body[:at] +
                       b"BDAT %d LAST\r\n" % (len(body) - at) + body[at:])
        t.reply()
        tap.ok(is_reply(t.reply(), "250 2.0.0"), "BDAT at %d" % at)
        t.close()
        m = arrived(rcpt)
        tap.ok(m and m.data.endswith(body), "BDAT at %d: as it came" % at,
               m and m.data)
    # The session outlives a chunk that was swallowed.
    t = Talk(daemon.port)
    t.send(b"BDAT 12 LAST\r\nQUIT\r\nQUIT\r\nNOOP\r\n")
    tap.ok(t.reply().startswith("503") and t.reply().startswith("250"),
           "BDAT without a transaction")
    t.close()


def held():
    t = Talk(daemon.port)
    t.say("MAIL FROM:<a@b.example> HOLDFOR=3600 MT-PRIORITY=3")
    t.say("RCPT TO:<held@to.example>")
    t.say("DATA")
    got = t.say("Subject: x\r\n\r\nx\r\n.")
    tap.ok(is_reply(got, "250 2.0.0"), "HOLDFOR: taken", got)
    t.close()
    listed = daemon.verb("list", "--domain", "to.example")
    tap.ok("59m" in str(listed), "HOLDFOR: waits", listed)


sink = Sink()
daemon = Mtad(write_config(route=smart(sink), listen={
    "in": door(relay_from=HERE),
    "tls": door(relay_from=HERE, tls=TLS),
    "proxied": door(relay_from=THERE, proxy_from=HERE,
                    connections_per_client_max=1),
    "proxied_tls": door(relay_from=THERE, proxy_from=HERE, tls=TLS),
    "xclient": door(relay_from=THERE, xclient_from=HERE)})).start()
implicit()
proxied()
by_haproxy()
xclient()
chunks()
held()
daemon.kill9()
tap.done()
