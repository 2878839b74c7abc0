#!/usr/bin/env python3
"""The life of the daemon: service manager, signals, reload, user, stop."""
# parallel: measures no time
# timeout: 60 120
# takes: 20

import ctypes
import json
import os
import pwd
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import (LONG, MTAD, Mtad, Sink, Tap, path, smart, wait_for,
                    write_config)

tap = Tap()
sink = Sink()


def certificate(name):
    cert, key = path(name + ".cert"), path(name + ".key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "9",
                    "-subj", "/CN=" + name, "-keyout", key, "-out", cert],
                   check=True, stderr=subprocess.DEVNULL)
    return {"cert": cert, "key": key}


def send(d, rcpt="a@to.example"):
    with smtplib.SMTP("127.0.0.1", d.port, timeout=10) as c:
        c.sendmail("s@from.example", [rcpt], b"Subject: x\r\n\r\nx\r\n")


def dialogue(d, *commands):
    """A connection that has said these; each is answered by one reply."""
    s = socket.create_connection(("127.0.0.1", d.port), 10)
    f = s.makefile("rwb", buffering=0)
    f.readline()
    for c in commands:
        f.write(c.encode() + b"\r\n")
        while f.readline()[3:4] == b"-":
            pass
    return f


def rewrite(conf, **over):
    """The same file with other options."""
    with open(conf["file"]) as f:
        old = json.load(f)
    old.update(over)
    with open(conf["file"], "w") as f:
        json.dump({k: v for k, v in old.items() if v is not None}, f)


def reload(d, expect, label):
    """SIGHUP; what the log says then."""
    before = len(d.said())
    d.signal(signal.SIGHUP)
    tap.ok(wait_for(lambda: expect in d.said()[before:]), label,
           d.said()[before:])


def watchdogs(s, seconds):
    """How often the watchdog was spoken to in a time."""
    n, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        s.settimeout(max(end - time.monotonic(), .001))
        try:
            n += s.recv(999) == b"WATCHDOG=1"
        except TimeoutError:
            break
    return n


def test_watchdog():
    """It hears of us while all workers turn, and only then."""
    attach, detach = 16, 17     # of ptrace(2): stops one thread alone
    libc = ctypes.CDLL(None, use_errno=True)
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(path("watchdog"))
    os.environ.update(NOTIFY_SOCKET=path("watchdog"), WATCHDOG_USEC="200000")
    d = Mtad(write_config("watchdog", route=smart(sink), workers=2)).start()
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC"):
        del os.environ[name]
    got = watchdogs(s, 1)
    tap.ok(5 <= got <= 11, "watchdog: twice in its time", got)
    silent = []
    for tid in map(int, os.listdir("/proc/%d/task" % d.p.pid)):
        if tid == d.p.pid:
            continue
        if libc.ptrace(attach, tid, 0, 0):
            print("# no thread can be stopped here:", ctypes.get_errno())
            break
        os.waitpid(tid, 0x40000000)     # __WALL
        watchdogs(s, .15)       # what was under way
        if watchdogs(s, .3) == 0:
            silent.append(tid)
        libc.ptrace(detach, tid, 0, 0)
    else:
        tap.same(len(silent), 2, "watchdog: silent when a worker stands still")
    tap.ok(watchdogs(s, 1) >= 5, "watchdog: and again when it goes on")
    tap.same(d.stop(), 0, "watchdog: exit 0")


def test_notify():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(path("notify"))
    s.settimeout(10)
    conf = write_config("notify", route=smart(sink))
    os.environ["NOTIFY_SOCKET"] = path("notify")
    d = Mtad(conf).start()
    del os.environ["NOTIFY_SOCKET"]
    tap.same(s.recv(999), b"READY=1", "notify: READY")
    d.signal(signal.SIGHUP)
    got = s.recv(999)
    tap.ok(got.startswith(b"RELOADING=1\nMONOTONIC_USEC="),
           "notify: RELOADING", got)
    tap.same(s.recv(999), b"READY=1", "notify: READY again")
    d.signal(signal.SIGTERM)
    tap.same(s.recv(999), b"STOPPING=1", "notify: STOPPING")
    tap.same(d.stop(), 0, "notify: exit 0")
    tap.ok(not os.path.exists(conf["control"]), "the socket is gone")


def test_stop():
    conf = write_config("stop", route=smart(sink), stop_timeout="20s")
    d = Mtad(conf).start()
    busy = dialogue(d, "EHLO x", "MAIL FROM:<s@from.example>",
                    "RCPT TO:<mid@to.example>", "DATA")
    idle = dialogue(d, "EHLO x")
    d.signal(signal.SIGTERM)
    tap.ok(idle.readline().startswith(b"421 4.3.2"), "stop: 421 to the idle")
    with socket.create_connection(("127.0.0.1", d.port), 10) as s:
        tap.ok(s.recv(99).startswith(b"421 4.3.2"), "stop: 421 to the new")
    status = d.json("status")
    tap.ok(status["is_stopping"] and status["uptime_s"] > 0,
           "stop: the control socket answers", status)
    busy.write(b"Subject: x\r\n\r\nx\r\n.\r\n")
    tap.ok(busy.readline().startswith(b"250"), "stop: the busy one may end")
    tap.ok(busy.readline().startswith(b"421"), "stop: ... and then has to go")
    tap.same(d.stop(), 0, "stop: exit 0")
    d.start()
    tap.ok(wait_for(lambda: sink.to("mid@to.example")),
           "stop: what was taken last is delivered after a restart")
    busy = dialogue(d, "EHLO x", "MAIL FROM:<s@from.example>")
    body = dialogue(d, "EHLO x", "MAIL FROM:<s@from.example>",
                    "RCPT TO:<mid@to.example>", "DATA")
    body.write(b"Subject: half\r\n")
    d.signal(signal.SIGTERM)
    wait_for(lambda: "msg=stopping" in d.said())
    time.sleep(0.2)
    tap.ok(d.p.poll() is None, "stop: waits for a transaction")
    since = time.monotonic()
    tap.same(d.stop(), 0, "stop: the second SIGTERM, exit 0")
    tap.ok(time.monotonic() - since < 5, "stop: ... at once")
    for f, who in ((busy, "a transaction"), (body, "a message")):
        got = f.readline()
        tap.ok(got.startswith(b"421 4.3.2") and f.readline() == b"",
               "stop: 421 in the midst of " + who, got)
        f.close()


def common_name(d):
    """The subject that the listener shows; None: no STARTTLS."""
    with smtplib.SMTP("127.0.0.1", d.port, timeout=10) as c:
        c.ehlo()
        if not c.has_extn("starttls"):
            return None
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            c.starttls(context=context)
        except OSError:         # a reload came between offer and handshake
            return ""
        der = c.sock.getpeercert(True)
    p = subprocess.run(["openssl", "x509", "-inform", "der", "-noout",
                        "-subject"], input=der, stdout=subprocess.PIPE)
    return p.stdout.decode().split("=")[-1].strip()


def test_reload():
    one, two = certificate("one"), certificate("two")
    conf = write_config("reload", route=smart(sink), log_level="debug",
                        books=path("reload.db"))
    door = json.load(open(conf["file"]))["listen"]["in"]
    rewrite(conf, listen={"in": dict(door, tls=one)})
    d = Mtad(conf).start()
    tap.same(common_name(d), "one", "reload: a certificate")
    bad = dialogue(d, "EHLO x", "STARTTLS")
    bad.write(b"this is no TLS\r\n")
    bad.read()
    tap.ok(wait_for(lambda: "debug tls" in d.said()), "log_level: debug",
           d.said())
    rewrite(conf, listen={"in": dict(door, tls=two)})
    reload(d, "taken over", "reload: another")
    tap.ok(wait_for(lambda: common_name(d) == "two"), "... is shown")
    with open(path("bad.key"), "w") as f:
        f.write("no key\n")
    bad = {"cert": two["cert"], "key": path("bad.key")}
    rewrite(conf, listen={"in": dict(door, tls=bad)})
    reload(d, "certificate cannot be used, nothing changed",
           "reload: one that is bad changes nothing")
    tap.same(common_name(d), "two", "... indeed")
    other = write_config("bad")
    rewrite(other, listen={"in": {"bind": "127.0.0.1:%d" % other["port"],
                                  "tls": bad}})
    broken = Mtad(other).start(wait=0)
    tap.same(broken.p.wait(20), 1, "a start with it fails")
    tap.ok("error tls listener=in" in broken.said(), "... and says why",
           broken.said())
    old = dialogue(d, "EHLO x")
    rewrite(conf, listen={"in": door})
    reload(d, "taken over", "reload: without TLS")
    tap.ok(wait_for(lambda: common_name(d) is None), "... none is offered")
    old.write(b"STARTTLS\r\n")
    old.readline()
    tap.same(old.readline(), b"", "... nor given to who was told before")
    for key, value in (("workers", 7), ("messages_max", 12345),
                       ("user", "nobody"), ("spool", path("other")),
                       ("books", path("other.db"))):
        with open(conf["file"]) as f:
            was = json.load(f).get(key)
        rewrite(conf, **{key: value})
        reload(d, "options=" + key, "reload: %s wants a restart" % key)
        rewrite(conf, **{key: was})
    under_load(d, conf)
    tap.same(d.stop(), 0, "reload: exit 0")


def under_load(d, conf):
    """Sources, pools, routes and limits come and go while mail flows."""
    sink.clear()
    rounds = 60 if LONG else 15
    before = d.said().count("taken over")
    for i in range(rounds):
        names = ["a", "b", "c"][:1 + i % 3]
        rewrite(conf, source={n: {"address": "127.0.0.1%d" % k}
                              for k, n in enumerate(names)},
                pool={"default": {"sources": names},
                      "p%d" % i: {"sources": names[-1:]}},
                limits={"default": {"connections": 1 + i % 4},
                        "x%d.example" % i: {"rate": "%d/s" % (i + 1)}})
        d.signal(signal.SIGHUP)
        for k in range(10):
            send(d, "r%d.%d@x%d.example" % (i, k, k))
        wait_for(lambda: d.said().count("taken over") > before + i)
    tap.ok(wait_for(lambda: len(sink.got()) == 10 * rounds),
           "reload under load: %d arrive" % (10 * rounds),
           (len(sink.got()), d.verb("list")[1]))
    tap.same(len({m.rcpts[0] for m in sink.got()}), len(sink.got()),
             "... once each")
    tap.same(d.json("status")["generation"], d.said().count("taken over") + 1,
             "... and each is a generation")


def test_user():
    if os.geteuid() != 0:
        tap.ok(True, "user: needs root # SKIP")
        return
    plain = Mtad(write_config("root", route=smart(sink))).start()
    tap.ok("running as root" in plain.said(), "user: root says so")
    tap.same(plain.stop(), 0, "user: root, exit 0")
    home = tempfile.mkdtemp(prefix="mtad-user-", dir="/tmp")
    os.chmod(home, 0o755)
    try:
        drop_root(home)
    finally:
        shutil.rmtree(home)


def drop_root(home):
    conf = write_config("user", route=smart(sink), user="nobody",
                        spool=home + "/spool", log=home + "/log",
                        control=home + "/c.sock", log_rotate="64K")
    d = Mtad(conf).start()
    uid = pwd.getpwnam("nobody").pw_uid
    tap.same(os.stat("/proc/%d" % d.p.pid).st_uid, uid, "user: it changes")
    owners = {n: os.stat(os.path.join(home, n)).st_uid
              for n in ("spool", "log", "log/events.jsonl", "c.sock")}
    tap.same(set(owners.values()), {uid}, "user: files are its own")
    send(d)
    d.signal(signal.SIGHUP)
    tap.ok(wait_for(lambda: "taken over" in d.said()), "user: reload")
    send(d, "later@to.example")
    tap.ok(wait_for(lambda: [e for e in d.events("Reception")
                             if e["recipient"] == "later@to.example"]),
           "user: the log goes on after it", d.said())
    tap.same(d.stop(), 0, "user: exit 0")
    rewrite(conf, user="no-such-user-here")
    d.start(wait=0)
    tap.same(d.p.wait(20), 1, "user: one that is not there")
    tap.ok("no such user" in d.said(), "... is named")


def test_start():
    """What will not do is named before the first byte of mail."""
    conf = write_config("start", source={"lost": {"address": "192.0.2.1"}},
                        pool={"default": {"sources": ["lost"]}})
    for over, words in (
            ({}, "source address cannot be bound"),
            ({"source": {"lost": {"address": "127.0.0.10"}},
              "spool": "/proc/nowhere"}, "option=spool"),
            ({"spool": path("s"), "log": conf["file"]}, "option=log"),
            ({"log": path("l"), "listen": {"in": {
                "bind": "192.0.2.1:2525"}}}, "listener=in")):
        rewrite(conf, **over)
        p = subprocess.run([MTAD, "run", "-c", conf["file"]], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=20)
        tap.ok(p.returncode == 1 and words in p.stdout,
               "start: " + words, p.stdout)


def start_fails(conf):
    p = subprocess.run([MTAD, "run", "-c", conf["file"]], text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=20)
    return p.stdout if p.returncode == 1 else ""


def test_books():
    """What survives a crash: a damaged file is set aside, a newer refused."""
    books = path("some.db")
    conf = write_config("books", books=books)
    with open(books, "w") as f:
        f.write("this is no database " * 400)
    d = Mtad(conf).start()
    d.stop()
    log = d.said()
    tap.ok("books" in log and "set aside" in log and ".bad-1" in log,
           "books: damaged ones are set aside, and that is said", log)
    with open(books, "r+b") as f:
        f.seek(60)
        f.write(b"\0\0\0\7")
    tap.ok("option=books" in start_fails(conf),
           "books: those of a newer program are refused")
    rewrite(conf, books=path("nowhere") + "/books.db")
    tap.ok("option=books" in start_fails(conf),
           "books: a directory that is not there")


test_notify()
test_watchdog()
test_stop()
test_reload()
test_user()
test_start()
test_books()
tap.done()
