#!/usr/bin/env python3
"""Sources behind proxies: microsocks, dante, haproxy and `mtad proxy`. Mail
leaves by the right address; what a proxy does wrong suspends its source, and
costs no domain, no host and no recipient anything."""
# parallel: measures no time
# timeout: 90 150

import atexit
import collections
import json
import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import (MTAD, Mtad, Tap, free_port, path, smart, wait_for,
                    write_config)
from mtasink import DROP, Sink

tap = Tap()
with open(path("password"), "w") as f:
    f.write("pass word\n")
os.chmod(path("password"), 0o600)


class Where:
    """A rule that writes down from where each message comes."""

    def __init__(self):
        self.froms = collections.Counter()

    def __call__(self, stage, text, session):
        if stage == "body":
            self.froms[session.sock.getpeername()[0]] += 1
        return None


def spawn(*args):
    p = subprocess.Popen(args, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    atexit.register(p.kill)
    return p


def stop(p):
    p.kill()
    p.wait()


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def microsocks(port, out, user=None, password=None):
    login = ["-u", user, "-P", password] if user else []
    p = spawn("microsocks", "-i", "127.0.0.1", "-p", str(port), "-b",
              out, *login)
    wait_for(lambda: listens(port))
    return p


def haproxy(port):
    """The header says by which address, and where to."""
    with open(path("haproxy.cfg"), "w") as f:
        f.write("defaults\n mode tcp\n timeout connect 5s\n timeout client 9s\n"
                " timeout server 9s\nlisten out\n bind 127.0.0.1:%d "
                "accept-proxy\n option transparent\n"
                " source 0.0.0.0 usesrc clientip\n" % port)
    p = spawn("haproxy", "-db", "-f", path("haproxy.cfg"))
    wait_for(lambda: listens(port))
    return p


def dante(port, out):
    with open(path("danted.conf"), "w") as f:
        f.write("logoutput: %s\ninternal: 127.0.0.1 port = %d\n"
                "external: %s\nclientmethod: none\nsocksmethod: none\n"
                "user.privileged: root\nuser.unprivileged: nobody\n"
                "client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }\n"
                "socks pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }\n"
                % (path("danted.log"), port, out))
    p = spawn("danted", "-f", path("danted.conf"), "-p", path("danted.pid"))
    wait_for(lambda: listens(port))
    return p


def send(daemon, count=1, domain="to.example"):
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
        for _ in range(count):
            c.sendmail("", ["u@" + domain], b"Subject: x\r\n\r\nx\r\n")


def arrived(sink, n):
    return wait_for(lambda: len(sink.got()) >= n)


def source(daemon, name):
    rows = daemon.json("sources")["sources"]
    return [r for r in rows if r["source"] == name][0]


def by_each():
    ports = {k: free_port() for k in ("micro", "dante", "haproxy")}
    procs = [microsocks(ports["micro"], "127.0.0.41", "me", "pass word"),
             dante(ports["dante"], "127.0.0.1"), haproxy(ports["haproxy"])]
    at = {k: "127.0.0.1:%d" % p for k, p in ports.items()}
    sink = Sink(Where())
    daemon = Mtad(write_config(
        "each", route=smart(sink),
        proxy={"micro": {"address": at["micro"], "user": "me",
                         "password_file": path("password"),
                         "checks_source": False},
               "dante": {"address": at["dante"]},
               "haproxy": {"address": at["haproxy"],
                           "protocol": "haproxy"}},
        source={"m": {"address": "127.0.0.41", "proxies": ["micro"]},
                "d": {"address": "127.0.0.1", "proxies": ["dante"]},
                "h": {"address": "127.0.0.43", "proxies": ["haproxy"]}},
        pool={"default": {"sources": ["m", "d", "h"]}},
        limits={"default": {"messages_per_connection": 1}})).start()
    send(daemon, 9)
    tap.ok(arrived(sink, 9), "all of it arrives")
    tap.same(dict(sink.rule.froms),
             {"127.0.0.41": 3, "127.0.0.1": 3, "127.0.0.43": 3},
             "each by its address, in turn")
    daemon.kill9()
    for p in procs:
        stop(p)
    sink.close()


# ---- mtad proxy ------------------------------------------------------------------

def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def certificates():
    """A CA, and what it has signed for both ends."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=ca", "-keyout", path("ca.key"), "-out",
            path("ca.pem"))
    for name in ("proxy.example", "mta.example"):
        openssl("req", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-subj",
                "/CN=" + name, "-addext", "subjectAltName=DNS:" + name,
                "-keyout", path(name + ".key"), "-out", path(name + ".csr"))
        openssl("x509", "-req", "-in", path(name + ".csr"), "-CA",
                path("ca.pem"), "-CAkey", path("ca.key"), "-days", "2",
                "-CAcreateserial", "-copy_extensions", "copy", "-out",
                path(name + ".pem"))


class Proxy:
    """`mtad proxy` for 127.0.0.51 and 52."""

    def __init__(self, name, **more):
        self.port = free_port()
        self.at = "127.0.0.1:%d" % self.port
        self.control = path(name + ".psock")
        self.err = path(name + ".proxy.err")
        conf = {"listen": [self.at], "sources": ["127.0.0.51", "127.0.0.52"],
                "clients": ["127.0.0.0/8"], "private": "allow",
                "ports": [sink.port], "control": self.control, **more}
        self.conf = path(name + ".proxy.yml")
        with open(self.conf, "w") as f:
            json.dump({k: v for k, v in conf.items() if v is not None}, f)
        self.start()

    def start(self):
        with open(self.err, "a") as err:
            self.p = subprocess.Popen([MTAD, "proxy", "-c", self.conf],
                                      stdin=subprocess.DEVNULL, stderr=err)
        atexit.register(self.p.kill)
        tap.ok(wait_for(lambda: listens(self.port)), "mtad proxy listens")

    def kill(self):
        self.p.kill()
        self.p.wait()

    def metric(self, name):
        got = subprocess.run(["curl", "-s", "--unix-socket", self.control,
                              "http://x/metrics"], capture_output=True,
                             text=True).stdout
        return int([line.split()[1] for line in got.splitlines()
                    if line.startswith("mtad_proxy_%s " % name)][0])

    def said(self):
        with open(self.err) as f:
            return f.read()


def secret(password):
    got = subprocess.run([MTAD, "account", "me"], input=password + "\n",
                         capture_output=True, text=True).stdout
    return re.search("SCRAM-SHA-256[^ \\n\"]*", got).group(0)


def tls_host():
    return Sink(Where(), tls=(path("proxy.example.pem"),
                              path("proxy.example.key")))


def secure():
    """Mutual TLS, a login with the source's name, STARTTLS inside of it; and a
    message larger than all that is held on its way."""
    certificates()
    tls = {"ca": path("ca.pem"), "name": "proxy.example",
           "cert": path("mta.example.pem"), "key": path("mta.example.key")}
    host = tls_host()
    p = Proxy("secure", ports=[host.port], account={"me": {"secret": secret("pass word")}},
              tls={"cert": path("proxy.example.pem"),
                   "key": path("proxy.example.key"),
                   "client_ca": path("ca.pem")})
    entry = {"address": p.at, "user": "me", "names_source": True,
             "password_file": path("password"), "tls": tls}
    daemon = Mtad(write_config(
        "secure", route=smart(host), proxy={"p": entry},
        source={"a": {"address": "127.0.0.51", "proxies": ["p"]},
                "b": {"address": "127.0.0.52", "proxies": ["p"]}},
        pool={"default": {"sources": ["a", "b"]}},
        limits={"default": {"messages_per_connection": 1}})).start()
    send(daemon, 6)
    tap.ok(arrived(host, 6), "mtad proxy, mutual TLS: all of it arrives")
    tap.same(dict(host.rule.froms), {"127.0.0.51": 3, "127.0.0.52": 3},
             "mtad proxy: by the address that the login names")
    tap.ok(all(e.get("tls_cipher") or "TLSv1" in str(e)
               for e in daemon.events("Delivery")),
           "STARTTLS inside of TLS", daemon.events("Delivery")[:1])
    big = b"Subject: big\r\n\r\n" + b"0123456789abcdef\r\n" * 200000
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=20) as c:
        c.sendmail("", ["big@to.example"], big)
    tap.ok(wait_for(lambda: host.to("big@to.example")) and
           host.to("big@to.example")[0].data.endswith(big[-1000:]),
           "a large message passes whole")
    tap.ok(p.metric("connected_total") == 7, "metrics",
           p.metric("connected_total"))
    daemon.stop()
    tap.ok(wait_for(lambda: p.metric("clients") == 0 and
                    p.metric("bytes_out_total") > len(big)),
           "all has ended, and is counted")
    tap.ok("source=127.0.0.52" in p.said() and "why=closed" in p.said(),
           "a line for each connection", p.said()[-500:])
    # Without a certificate, a login, or with a source that it has not.
    wrong_ones = {
        "nocert": ({"tls": {k: tls[k] for k in ("ca", "name")}}, "TLS"),
        "wrongname": ({"tls": {**tls, "name": "other.example"}}, "TLS"),
        "wrongca": ({"tls": {**tls, "ca": path("mta.example.pem")}}, "TLS"),
        "nologin": ({"user": None, "password_file": None,
                     "names_source": False}, "login"),
        "notmine": ({}, "refuses the user")}
    proxies = {n: {k: v for k, v in {**entry, **over}.items() if v}
               for n, (over, _) in wrong_ones.items()}
    daemon = Mtad(write_config(
        "unsure", route=smart(host), proxy=proxies,
        source={n: {"address": "127.0.0.%d" % (61 + i), "proxies": [n]}
                for i, n in enumerate(proxies)},
        pool={"default": {"sources": list(proxies)}})).start()
    send(daemon)
    for name, (_, want) in wrong_ones.items():
        tap.ok(wait_for(lambda: source(daemon, name).get("reason")),
               name + ": suspended", source(daemon, name))
        why = source(daemon, name)["reason"]
        tap.ok(want in why or "closed" in why or "rotocol" in why,
               name + ": the reason", why)
    tap.same(daemon.events("TransientFailure"), [], "nobody was put off")
    daemon.kill9()
    p.p.send_signal(signal.SIGTERM)
    tap.same(p.p.wait(10), 0, "mtad proxy stops in order")
    host.close()


def again(rule):
    """The host of most tests, as new."""
    sink.rule = rule
    sink.clear()
    with sink.lock:
        sink.sessions.clear()
    return sink


# ---- what goes wrong ----------------------------------------------------------------

def failover():
    """A proxy dies and comes back: the source is suspended with its reason, the
    other one carries on, and with two proxies nothing stops at all."""
    p, q = Proxy("one"), Proxy("two")
    host = again(Where())
    entry = {"names_source": True, "check": "200ms"}
    daemon = Mtad(write_config(
        "over", route=smart(host),
        proxy={"p": {"address": p.at, **entry},
               "q": {"address": q.at, **entry}},
        source={"a": {"address": "127.0.0.51", "proxies": ["p"]},
                "b": {"address": "127.0.0.52", "proxies": ["p", "q"]},
                "c": {"address": "127.0.0.10"}},
        pool={"default": {"sources": ["a", "c"]}, "two": {"sources": ["b"]},
              "one": {"sources": ["a"]}},
        default_pool="default",
        limits={"default": {"messages_per_connection": 1,
                            "backoff_min": "1h", "backoff_max": "1h"}},
        client={"host_retry_min": "1h", "host_retry_max": "1h"},
        retry={"first": "1h"})).start()

    def mail(pool, n, rcpt):
        with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
            for _ in range(n):
                c.sendmail("", [rcpt], b"X-MTA-Pool: " + pool.encode() +
                           b"\r\nSubject: x\r\n\r\nx\r\n")

    p.kill()
    tap.ok(wait_for(lambda: source(daemon, "a")["why"] == "proxy"),
           "killed: its source is suspended", source(daemon, "a"))
    tap.ok("proxy p: Connection re" in source(daemon, "a")["reason"],
           "with the reason", source(daemon, "a"))
    tap.ok("proxy" in str(daemon.verb("sources")), "mtad sources says so")
    mail("default", 4, "any@to.example")
    tap.ok(arrived(host, 4), "the other source carries on")
    tap.same(set(host.rule.froms), {"127.0.0.10"}, "by its own address")
    host.clear()
    mail("two", 4, "two@to.example")
    tap.ok(arrived(host, 4), "with another proxy nothing stops")
    tap.ok(host.rule.froms["127.0.0.52"] == 4, "by the same address",
           host.rule.froms)
    host.clear()
    mail("one", 3, "one@to.example")
    said = str(daemon.verb("explain", "domain", "to.example"))
    tap.ok("proxy" in said, "explain says why", said)
    queues = [x for x in daemon.json("queues")["queues"] if x["depth"]]
    tap.ok(queues and queues[0]["why"] == "proxy", "the queue waits for it",
           queues)
    p.start()
    tap.ok(arrived(host, 3), "back by itself")
    tap.same(source(daemon, "a")["why"], "none", "not suspended any more")
    tap.same(daemon.events("TransientFailure"), [], "nobody was put off")
    wait_for(lambda: len(daemon.events("Delivery")) == 11)
    tap.same([e["attempt"] for e in daemon.events("Delivery")], [1] * 11,
             "no attempt was used up")
    daemon.kill9()
    p.kill()
    q.kill()


def in_the_middle():
    """The proxy dies, or falls silent, with a message on its way, and comes
    back; and a host that falls silent is another thing."""
    p = Proxy("middle")
    reached, hold = threading.Event(), threading.Event()

    def rule(stage, text, session):
        if stage == "DATA":
            reached.set()
            hold.wait(10)
        return None

    host = again(rule)
    daemon = Mtad(write_config(
        "middle", route=smart(host),
        proxy={"p": {"address": p.at, "names_source": True,
                     "timeout": "300ms"}},
        source={"a": {"address": "127.0.0.51", "proxies": ["p"]}},
        limits={"default": {"backoff_min": "1h", "backoff_max": "1h"}},
        client={"host_retry_min": "1h", "host_retry_max": "1h",
                "timeouts": {"data": "500ms"}},
        retry={"first": "1h"})).start()
    for how, number, back in (("killed", signal.SIGKILL, p.start),
                              ("stopped", signal.SIGSTOP,
                               lambda: p.p.send_signal(signal.SIGCONT))):
        host.clear()
        reached.clear()
        hold.clear()
        send(daemon)
        tap.ok(reached.wait(20), how + ": mail is on its way")
        p.p.send_signal(number)
        tap.ok(wait_for(lambda: source(daemon, "a")["why"] == "proxy"),
               how + " with mail on its way: suspended", source(daemon, "a"))
        hold.set()
        back()
        tap.ok(arrived(host, 1), how + ": it arrives when the proxy is back")
        tap.same(daemon.events("TransientFailure"), [],
                 how + ": and was not put off")
    reached.clear()
    hold.clear()
    send(daemon)
    tap.ok(wait_for(lambda: daemon.events("TransientFailure")),
           "the host is silent, and the proxy well: it is put off")
    tap.same(source(daemon, "a").get("reason"), None, "and the proxy is well")
    hold.set()
    daemon.kill9()
    p.kill()


def hosts_faults():
    """What is the host's fault stays the host's."""
    p = Proxy("hosts", ports=[free_port(), sink.port])
    with open(p.conf) as f:
        nobody = json.load(f)["ports"][0]
    daemon = Mtad(write_config(
        "hosts", route={"gone.example": {"hosts": ["127.0.0.1:%d" % nobody]},
                        "denied.example": {"hosts": ["127.0.0.1:1"]},
                        "*": {"hosts": ["127.0.0.1:%d" % sink.port]}},
        proxy={"p": {"address": p.at, "names_source": True}},
        source={"a": {"address": "127.0.0.51", "proxies": ["p"]}})).start()
    host = again(lambda stage, text, session:
                 DROP if stage == "connect" else None)
    for domain, want in (("gone.example", "connection refused"),
                         ("denied.example", "not allowed"),
                         ("drop.example", "closed")):
        send(daemon, 1, domain)
        tap.ok(wait_for(lambda: any(
            domain in str(e) and want in str(e)
            for e in daemon.events("TransientFailure"))),
            domain + ": " + want, daemon.events("TransientFailure")[-1:])
    tap.ok(source(daemon, "a")["why"] != "proxy",
           "the proxy is well, and so is the source", source(daemon, "a"))
    daemon.kill9()
    p.kill()


def wrong():
    """A password that is wrong, an address that is, and a proxy that says
    nothing; all of them recover with a reload or by themselves."""
    port = free_port()
    procs = [microsocks(port, "127.0.0.41", "me", "other")]
    stalled = socket.socket()
    stalled.bind(("127.0.0.1", 0))
    stalled.listen(50)
    dport = free_port()
    procs.append(dante(dport, "127.0.0.1"))
    host = again(Where())
    conf = write_config(
        "wrong", route=smart(host),
        proxy={"password": {"address": "127.0.0.1:%d" % port, "user": "me",
                            "password_file": path("password"),
                            "checks_source": False},
               "address": {"address": "127.0.0.1:%d" % dport},
               "silent": {"address": "127.0.0.1:%d"
                          % stalled.getsockname()[1], "timeout": "300ms"}},
        source={"w": {"address": "127.0.0.41", "proxies": ["password"]},
                "x": {"address": "127.0.0.42", "proxies": ["address"]},
                "y": {"address": "127.0.0.1", "proxies": ["address"]},
                "s": {"address": "127.0.0.44", "proxies": ["silent"]}},
        pool={"default": {"sources": ["w", "x", "s"]},
              "y": {"sources": ["y"]}}, default_pool="default")
    daemon = Mtad(conf).start()
    send(daemon, 2)
    daemon.signal(signal.SIGHUP)   # with connections half made
    for name, want in (("w", "refuses the user and password"),
                       ("x", "it went out by 127.0.0.1, not by 127.0.0.42"),
                       ("s", "did not answer in time")):
        tap.ok(wait_for(lambda: want in source(daemon, name).get(
            "reason", "")), name + ": " + want, source(daemon, name))
    tap.same(source(daemon, "y")["why"], "none",
             "an address that is wrong is no other source's affair")
    tap.same(len(host.got()), 0, "nothing has left by a wrong address")
    tap.same(daemon.events("TransientFailure"), [], "and nothing was put off")
    stop(procs[0])
    procs[0] = microsocks(port, "127.0.0.41", "me", "pass word")
    tap.ok(arrived(host, 2), "the right password: mail goes")
    tap.same(set(host.rule.froms), {"127.0.0.41"}, "by its address")
    daemon.kill9()
    for p in procs:
        stop(p)
    stalled.close()


def talked(c):
    try:
        return c.recv(100)
    except ConnectionResetError:
        return b""


def clients():
    """Strangers, plain SOCKS5 clients, garbage."""
    p = Proxy("clients", clients=["127.0.0.2/32"], private="allow",
              handshake_timeout="200ms", connections_max=3)

    def talk(data, frm="127.0.0.2", then=b""):
        c = socket.create_connection(("127.0.0.1", p.port), 10,
                                     (frm, 0))
        c.settimeout(10)
        try:
            for i in range(len(data)):
                c.sendall(data[i:i + 1])
            return c.recv(100) if not then else (c.recv(100), c.sendall(
                then), c.recv(100))[2]
        except (ConnectionResetError, BrokenPipeError):
            return b""
        finally:
            c.close()

    tap.same(talk(b"\5\1\0", "127.0.0.3"), b"", "nobody from elsewhere")
    tap.same(talk(b"\5\1\0"), b"\5\0", "no login where there is no account")
    tap.same(talk(b"\5\1\1"), b"\5\xff", "no method that is known")
    tap.same(talk(b"EHLO x\r\n"), b"", "not SOCKS5")
    tap.same(talk(b"\5"), b"", "silence has its deadline")
    for text, want in ((b"\5\2\0\1\x7f\0\0\1\0\x19", 7),
                       (b"\5\1\0\3\1x\0\x19", 8),
                       (b"\5\1\0\7", 8),
                       (b"\5\1\0\1\x7f\0\0\1\0\1", 2)):
        got = talk(b"\5\1\0", then=text)
        tap.ok(got[:2] == bytes([5, want]), "request %r: %d" % (text, want),
               got)
    # A plain client: curl, by the first of its addresses.
    host = again(Where())
    with open(path("mail.txt"), "w") as f:
        f.write("Subject: x\r\n\r\nx\r\n")
    subprocess.run(["curl", "-s", "--interface", "127.0.0.2", "--socks5",
                    p.at, "--mail-from", "a@b.example", "--mail-rcpt",
                    "c@d.example", "-T", path("mail.txt"),
                    "smtp://127.0.0.1:%d/x" % sink.port], timeout=20)
    tap.ok(arrived(host, 1) and host.rule.froms["127.0.0.51"] == 1,
           "curl by mtad proxy", host.rule.froms)
    # Halves end by themselves, and a side that reads nothing stops the other.
    def raw(port, frm="127.0.0.2"):
        c = socket.create_connection(("127.0.0.1", p.port), 10, (frm, 0))
        c.settimeout(10)
        c.sendall(b"\5\1\0\5\1\0\1\x7f\0\0\1" + port.to_bytes(2, "big"))
        got = b""
        while len(got) < 12:
            got += c.recv(12 - len(got))
        tap.same(got[2:4], b"\5\0", "a plain client is served")
        return c

    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    door.listen(5)
    port = door.getsockname()[1]
    p.kill()
    p = Proxy("halves", clients=["127.0.0.2/32"], ports=[port],
              connections_max=2, idle_timeout="2s")
    c = raw(port)
    far, peer = door.accept()
    tap.same(peer[0], "127.0.0.51", "by the first of its addresses")
    c.sendall(b"question")
    c.shutdown(socket.SHUT_WR)
    got = b""
    while True:
        piece = far.recv(100)
        if not piece:
            break
        got += piece
    tap.same(got, b"question", "a half that ends is the other's end")
    far.sendall(b"answer")
    far.close()
    tap.same(c.recv(100) + c.recv(100), b"answer",
             "and the other half goes on")
    c.close()
    c = raw(port)
    far, _ = door.accept()
    c.settimeout(0.5)
    sent = 0
    try:
        while sent < 1 << 26:
            sent += c.send(b"x" * 65536)
    except socket.timeout:
        pass
    tap.ok(sent < 1 << 26, "who does not read stops who writes", sent)
    with open("/proc/%d/status" % p.p.pid) as f:
        rss = int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1))
    tap.ok(rss < 64 * 1024, "and memory is bounded", rss)
    second = raw(port)
    third = socket.create_connection(("127.0.0.1", p.port), 10,
                                     ("127.0.0.2", 0))
    third.settimeout(10)
    tap.same(talked(third), b"", "one more than there may be is closed")
    tap.ok(wait_for(lambda: p.metric("clients") == 0),
           "where nothing moves all ends")
    tap.ok("idle for too long" in p.said(), "and says why", p.said()[-300:])
    for s in (c, far, second, third, door):
        s.close()
    p.kill()
    # Private destinations are refused unless they are allowed.
    p = Proxy("public", private=None, handshake_timeout="5s")
    got = talk(b"\5\1\0", then=b"\5\1\0\1\x7f\0\0\1" +
               sink.port.to_bytes(2, "big"))
    tap.same(got[:2], b"\5\2", "no loopback unless it is allowed")
    p.kill()
    bad = path("bad.yml")
    with open(bad, "w") as f:
        f.write("listen: [here]\nsources: [127.0.0.1]\nclients: [x]\n"
                "account:\n  me: { secret: plain }\n")
    got = subprocess.run([MTAD, "proxy", "--check", "-c", bad],
                         capture_output=True, text=True)
    tap.same(got.returncode, 1, "a bad configuration is refused")
    tap.ok(all("%s:%d" % (bad, n) in got.stderr for n in (1, 3, 5)),
           "with file and line", got.stderr)


sink = Sink()
for part in (by_each, secure, failover, in_the_middle, hosts_faults, wrong,
             clients):
    part()
tap.done()
