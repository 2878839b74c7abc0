"""Records what real clients and real servers say to each other, for
tests/wire/recorded; not a test, and no test needs it. As root, with what
`make deps-test` brings:

    TMP=$(mktemp -d) BUILD=build python3 tests/lib/mtarecord.py DIR

door-SERVER.tsv   clients' sessions with Postfix or Exim, for our server machine:
                  a name, then pairs of what was sent and the codes that came
hosts-SERVER.tsv  sessions of a server, for our client machine: a name, "lock" or
                  "pipe", the sender and the recipients, then each reply whole

A field has \\r \\n \\t \\0 \\xHH and \\\\ for bytes. The servers answer by local
part: "no..." 550, "later..." 451; by that of the sender "nodata" 452 at DATA,
"noeom" 554 and "latereom" 451 at the end.
"""

import itertools
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

import mtaclients
import mtaexim
import mtapostfix
from mtalib import path
from ports import free_port

ESCAPES = {13: "\\r", 10: "\\n", 9: "\\t", 0: "\\0", 92: "\\\\"}


def escape(data):
    return "".join(ESCAPES.get(c) or (chr(c) if 32 <= c < 127 else
                                      "\\x%02x" % c) for c in data)


# ---- servers ------------------------------------------------------------------

def postfix(name, **more):
    def ask(kind, file):
        return "check_%s_access regexp:{dir}/etc/%s" % (kind, file)

    home = path(name)
    p = mtapostfix.Postfix(home, free_port(), {
        "myhostname": "mx.example", "default_transport": "discard",
        "smtpd_delay_reject": "no", "smtpd_error_sleep_time": 0,
        "smtpd_hard_error_limit": 1000, "smtpd_soft_error_limit": 1000,
        "smtpd_helo_required": "yes", "strict_rfc821_envelopes": "yes",
        "smtpd_relay_restrictions": "permit_mynetworks, reject",
        "smtpd_forbid_bare_newline": "reject",
        "smtpd_sender_restrictions": ask("sender", "path"),
        "smtpd_recipient_restrictions": ask("recipient", "path"),
        "smtpd_data_restrictions": ask("sender", "data"),
        "smtpd_end_of_data_restrictions": ask("sender", "eom"),
        **more})
    for file, rows in (("path", ("/^no[^deb]/ 550 5.7.1 no",
                                 "/^later[^e]/ 451 4.3.0 later")),
                       ("data", ("/^nodata/ 452 4.3.1 no room",)),
                       ("eom", ("/^noeom/ 554 5.6.0 not this one",
                                "/^latereom/ 451 4.3.0 not now"))):
        with open(os.path.join(home, "etc", file), "w") as f:
            f.write("\n".join(rows) + "\n")
    if not p.start():
        raise SystemExit("Postfix does not start: " + p.said())
    return p


EXIM_MAIN = """acl_smtp_rcpt = paths_rcpt
acl_smtp_mail = paths_mail
acl_smtp_predata = predata
acl_smtp_data = content
acl_smtp_vrfy = no
acl_smtp_expn = no
tls_advertise_hosts =
dsn_advertise_hosts = *
smtp_max_synprot_errors = 1000
smtp_max_unknown_commands = 1000
smtp_enforce_sync = false
helo_accept_junk_hosts =
queue_only = true
"""
EXIM_ACLS = """
no:
  deny
paths_mail:
  deny    message = 5.7.1 no
          condition = ${if match{$sender_address}{^no[^deb]}}
  defer   message = 4.3.0 later
          condition = ${if match{$sender_address}{^later[^e]}}
  deny    message = 5.5.1 EHLO first
          condition = ${if eq{$sender_helo_name}{}}
  accept
paths_rcpt:
  deny    message = 5.7.1 no
          condition = ${if match{$local_part}{^no}}
  defer   message = 4.3.0 later
          condition = ${if match{$local_part}{^later}}
  accept
predata:
  defer   message = 4.3.1 no room
          condition = ${if match{$sender_address}{^nodata}}
  accept
content:
  deny    message = 5.6.0 not this one
          condition = ${if match{$sender_address}{^noeom}}
  defer   message = 4.3.0 not now
          condition = ${if match{$sender_address}{^latereom}}
  accept
"""


def exim(name, more=""):
    e = mtaexim.Exim(path(name), free_port(), "hole:\n  driver = redirect\n"
                     "  data = :blackhole:\n", main=EXIM_MAIN + more)
    with open(e.conf) as f:
        conf = f.read()
    for own in ("acl_smtp_rcpt = all\n", "acl_smtp_data = all\n"):
        conf = conf.replace(own, "")
    with open(e.conf, "w") as f:
        f.write(conf.replace("begin acl\n", "begin acl\n" + EXIM_ACLS))
    e.start()
    while not Line(e.port).reply():
        time.sleep(.05)
    return e


class Line:
    """A client's end of a session; only waits for what it is owed."""

    def __init__(self, port):
        for _ in range(100):
            try:
                self.s = socket.create_connection(("127.0.0.1", port), 1)
                break
            except OSError:
                time.sleep(.05)
        self.f = self.s.makefile("rb")

    def reply(self):
        """One reply, whole; empty once the server has gone."""
        whole = b""
        while True:
            try:
                line = self.f.readline()
            except OSError:      # closed, or says nothing
                line = b""
            whole += line
            if not line or line[3:4] != b"-":
                return whole

    def close(self):
        self.f.close()
        self.s.close()


def replies_to(data, in_data):
    """How many replies are owed to what is sent."""
    if in_data:
        return 1
    n = at = 0
    while at < len(data):
        end = data.find(b"\n", at)
        if end < 0:
            break
        m = re.match(rb"(?i)BDAT (\d+)", data[at:end])
        at = end + 1 + (int(m[1]) if m else 0)
        n += 1
    return n


def record(port, sends):
    """A session that sends these, each when the replies to the one before are
    there; [(sent, codes)]."""
    t = Line(port)
    banner = t.reply()
    steps, in_data = [("", banner[:3].decode())], False
    for data in sends:
        t.s.sendall(data)
        codes = []
        for _ in range(replies_to(data, in_data)):
            codes.append(t.reply()[:3].decode())
            if not codes[-1]:
                break
        in_data = codes[-1:] == ["354"]
        steps.append((escape(data), " ".join(codes)))
        if "" in codes or codes[-1:] == ["221"]:
            break
    t.close()
    return steps


# ---- systematic sessions ---------------------------------------------------------

E = b"EHLO client.example\r\n"
M = b"MAIL FROM:<a@b.example>\r\n"
R = b"RCPT TO:<c@d.example>\r\n"
BODY = b"Subject: x\r\n\r\nx\r\n.\r\n"
STATES = {
    "at first": [], "after HELO": [b"HELO client.example\r\n"],
    "after EHLO": [E], "after MAIL": [E, M], "after RCPT": [E, M, R],
    "after a refused RCPT": [E, M, b"RCPT TO:<no@d.example>\r\n"],
    "after a message": [E, M, R, b"DATA\r\n", BODY],
    "after RSET": [E, M, R, b"RSET\r\n"],
    "after a chunk": [E, M, R, b"BDAT 3\r\nx\r\n"],
}
COMMANDS = [
    "HELO c.example", "EHLO c.example", "HELO", "EHLO", "EHLO [192.0.2.1]",
    "EHLO [IPv6:::1]", "ehlo c.example", "MAIL FROM:<a@b.example>", "MAIL",
    "MAIL FROM:", "MAIL FROM:<>", "mail from:<a@b.example>",
    "MAIL TO:<a@b.example>", "RCPT TO:<c@d.example>", "RCPT", "RCPT TO:",
    "RCPT TO:<>", "RCPT FROM:<c@d.example>", "rcpt to:<c@d.example>",
    "RCPT TO:<no@d.example>", "RCPT TO:<later@d.example>", "DATA",
    "DATA x", "RSET", "RSET x", "NOOP", "NOOP x y", "QUIT", "QUIT x",
    "VRFY x@d.example", "VRFY", "EXPN x", "HELP", "STARTTLS", "STARTTLS x",
    "AUTH PLAIN AGEAYg==", "AUTH", "TURN", "SEND FROM:<a@b.example>", "XYZZY",
    "BDAT 0 LAST", "BDAT", "BDAT x", "BDAT -1", "BDAT 1 LAST x", "", " ",
    "MAIL FROM:<a@b.example> SIZE=100", "MAIL  FROM:<a@b.example>",
    "NOOP " + "x" * 400, "NOOP " + "x" * 3000, "\t", "GET / HTTP/1.0",
    "DATA\0", "NO\0OP", "EHLO c.example\0", "quit", "QUIT ",
]
LONG_LOCAL, LONG_DOMAIN = "l" * 65, ".".join(["d" * 63] * 5)
PATHS = [
    "<a@b.example>", "a@b.example", "<a@b.example", "a@b.example>", "< a@b.e>",
    "<a@b.example >", "<a b@c.example>", "<\"a b\"@c.example>",
    "<\"a\\\"b\"@c.example>", "<a\"b@c.example>", "<a@b@c.example>",
    "<@x.example:a@b.example>", "<@x.example,@y.example:a@b.example>",
    "<a@[192.0.2.1]>", "<a@[IPv6:2001:db8::1]>", "<a@[300.1.1.1]>", "<a@[]>",
    "<a@b..example>", "<a@.b.example>", "<a@b.example.>", "<.a@b.example>",
    "<a.@b.example>", "<a..b@c.example>", "<a@-b.example>", "<a@b_c.example>",
    "<a@b>", "<a>", "<@b.example>", "<a@>", "<@>", "<postmaster>",
    "<Postmaster>", "<%s@b.example>" % ("l" * 64), "<%s@b.example>" %
    LONG_LOCAL, "<a@%s>" % LONG_DOMAIN, "<a@%s.example>" % ("d" * 64),
    "<a+b@c.example>", "<a%b@c.example>", "<a!b@c.example>", "<a/b@c.example>",
    "<a@xn--mnchen-3ya.example>", "<gr\xfc@b.example>", "<a\0@b.example>",
    "<a\x01@b.example>", "<a\x7f@b.example>", "<a,b@c.example>",
    "<a;b@c.example>", "<(x)a@b.example>", "<a@b.example>x", "<<a@b.example>>",
    "Name <a@b.example>", "<>", "<> ", " <a@b.example>",
]
MAIL_PARAMS = [
    "SIZE=1", "SIZE=0", "SIZE=", "SIZE", "SIZE=-1", "SIZE=1x", "size=1",
    "SIZE=1 SIZE=2", "SIZE=99999999999999999999", "SIZE=52428801",
    "SIZE=4000000000", "BODY=7BIT", "BODY=8BITMIME", "BODY=8bitmime",
    "BODY=BINARYMIME", "BODY=", "BODY", "BODY=x", "BODY=7BIT BODY=8BITMIME",
    "SMTPUTF8", "SMTPUTF8=1", "SMTPUTF8 SMTPUTF8", "RET=FULL", "RET=HDRS",
    "RET=x", "RET=", "RET", "RET=FULL RET=HDRS", "ENVID=a", "ENVID=a+2Bb",
    "ENVID=+", "ENVID=+2b", "ENVID=", "ENVID", "ENVID=" + "a" * 100,
    "ENVID=" + "a" * 101, "ENVID=a ENVID=b", "AUTH=<>", "AUTH=a", "FOO",
    "FOO=1", "=1", "SIZE==1", "SIZE=1  BODY=7BIT", " SIZE=1", "SIZE=1 ",
    "SIZE=1\tBODY=7BIT", "BODY=8BITMIME SIZE=1 SMTPUTF8 RET=FULL ENVID=x",
    "FOO=" + "x" * 300, "FOO=" + "x" * 3000, "NOTIFY=NEVER", "X-Y=1", "-",
]
RCPT_PARAMS = [
    "NOTIFY=NEVER", "NOTIFY=SUCCESS", "NOTIFY=FAILURE,DELAY",
    "NOTIFY=SUCCESS,FAILURE,DELAY", "NOTIFY=never", "NOTIFY=",
    "NOTIFY", "NOTIFY=NEVER,DELAY", "NOTIFY=x", "NOTIFY=SUCCESS,SUCCESS",
    "NOTIFY=NEVER NOTIFY=NEVER", "NOTIFY=,DELAY", "NOTIFY=DELAY,",
    "ORCPT=rfc822;a@b.example", "ORCPT=rfc822;a+2Bb@c.example",
    "ORCPT=rfc822;a+b@c.example", "ORCPT=", "ORCPT", "ORCPT=x",
    "ORCPT=rfc822;", "ORCPT=;x", "ORCPT=utf-8;gr\\x{FC}@b.example",
    "ORCPT=rfc822;a@b.example ORCPT=rfc822;a@b.example",
    "ORCPT=rfc822;" + "a" * 480, "ORCPT=rfc822;" + "a" * 600,
    "NOTIFY=NEVER ORCPT=rfc822;x@y.example", "SIZE=1", "FOO", "FOO=1",
    "RET=FULL", "=1", " NOTIFY=NEVER", "NOTIFY=NEVER ", "BODY=8BITMIME",
]
MESSAGES = {
    "empty": b".\r\n", "a blank line": b"\r\n.\r\n", "dots": b"..\r\n...\r\n"
    b".x\r\n.\r\n", "8 bits": b"Subject: \xe4\r\n\r\n\xff\r\n.\r\n",
    "no header": b"just text\r\n.\r\n", "a long line": b"x" * 998 +
    b"\r\n.\r\n", "a longer line": b"x" * 2000 + b"\r\n.\r\n",
    "bare LF": b"a\nb\r\n.\r\n", "bare CR": b"a\rb\r\n.\r\n",
    "NUL": b"a\0b\r\n.\r\n", "LF . LF": b"a\n.\nb\r\n.\r\n",
    "LF . CRLF": b"a\n.\r\nb\r\n.\r\n", "CRLF . LF": b"a\r\n.\nb\r\n.\r\n",
    "CR . CR": b"a\r.\rb\r\n.\r\n", "CRLF . CR": b"a\r\n.\rb\r\n.\r\n",
    "CR CRLF . CR CRLF": b"a\r\r\n.\r\r\nb\r\n.\r\n",
    "only fields": b"A: b\r\nC: d\r\n.\r\n", "a lone fold": b" x\r\n.\r\n",
}
CHUNKS = {
    "one": [b"BDAT 4 LAST\r\nab\r\n"], "two": [b"BDAT 2\r\nab",
                                             b"BDAT 2 LAST\r\n\r\n"],
    "empty last": [b"BDAT 4\r\nab\r\n", b"BDAT 0 LAST\r\n"],
    "a dot": [b"BDAT 3 LAST\r\n.\r\n"], "dots": [b"BDAT 9 LAST\r\n.\r\n..\r\n\r\n"],
    "no line end": [b"BDAT 2 LAST\r\nab"],
    "then DATA": [b"BDAT 4\r\nab\r\n", b"DATA\r\n"],
    "then RSET": [b"BDAT 4\r\nab\r\n", b"RSET\r\n", b"DATA\r\n"],
    "then MAIL": [b"BDAT 4\r\nab\r\n", M], "then RCPT": [b"BDAT 4\r\nab\r\n", R],
    "then NOOP": [b"BDAT 4\r\nab\r\n", b"NOOP\r\n", b"BDAT 0 LAST\r\n"],
    "last twice": [b"BDAT 4 LAST\r\nab\r\n", b"BDAT 0 LAST\r\n"],
    "split CRLF": [b"BDAT 3\r\nab\r", b"BDAT 1 LAST\r\n\n"],
    "pipelined": [b"BDAT 2\r\nabBDAT 2 LAST\r\n\r\nNOOP\r\n"],
    "bare LF": [b"BDAT 4 LAST\r\na\nb\n"], "NUL": [b"BDAT 3 LAST\r\na\0b"],
}


def systematic():
    """(name, what is sent)."""
    for (state, before), command in itertools.product(STATES.items(),
                                                      COMMANDS):
        line = command.encode("latin-1") + b"\r\n"
        probe = [b"." + b"\r\n"] if command.upper() == "DATA" and \
            state == "after RCPT" else [b"NOOP\r\n"]
        yield "%s: %s" % (state, command[:40]), [*before, line, *probe]
    for p in PATHS:
        p = p.encode("latin-1")
        yield "MAIL path", [E, b"MAIL FROM:" + p + b"\r\n", R, b"RSET\r\n"]
        yield "RCPT path", [E, M, b"RCPT TO:" + p + b"\r\n", b"RSET\r\n"]
    for p in MAIL_PARAMS:
        yield "MAIL parameter", [E, b"MAIL FROM:<a@b.example> " + p.encode() +
                                 b"\r\n", R, b"RSET\r\n"]
        yield "MAIL parameter after HELO", [
            b"HELO x\r\n", b"MAIL FROM:<a@b.example> " + p.encode() + b"\r\n"]
    for p in RCPT_PARAMS:
        yield "RCPT parameter", [E, M, b"RCPT TO:<a@b.example> " + p.encode() +
                                 b"\r\n", b"RSET\r\n"]
    for name, body in MESSAGES.items():
        yield "message: " + name, [E, M, R, b"DATA\r\n", body, b"NOOP\r\n"]
        yield "messages, pipelined: " + name, [
            E, M + R + R + b"DATA\r\n", body, M + R + b"DATA\r\n", body,
            b"QUIT\r\n"]
    for name, chunks in CHUNKS.items():
        yield "chunks: " + name, [E, M, R, *chunks, b"NOOP\r\n"]
    for sender in ("no", "later", "nodata", "noeom"):
        for rcpts in (["c"], ["no"], ["later"], ["c", "no"], ["no", "later"],
                      ["no", "c", "later", "e"]):
            lines = [b"MAIL FROM:<%s@b.example>\r\n" % sender.encode(),
                     *(b"RCPT TO:<%s@d.example>\r\n" % r.encode()
                       for r in rcpts)]
            yield "refusals: %s, %s" % (sender, ",".join(rcpts)), [
                E, *lines, b"RSET\r\n"]
            yield "refusals, pipelined: %s, %s" % (sender, ",".join(rcpts)), [
                E, b"".join(lines) + b"RSET\r\nNOOP\r\n", b"QUIT\r\n"]


# ---- clients of others -------------------------------------------------------------

class Tap:
    """Between a client and a server: writes down who said what."""

    def __init__(self, to):
        self.to = to
        self.steps = []
        self.s = socket.socket()
        self.s.bind(("127.0.0.1", 0))
        self.s.listen(5)
        self.port = self.s.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        a, _ = self.s.accept()
        b = socket.create_connection(("127.0.0.1", self.to))
        t = threading.Thread(target=self.pump, args=(a, b, "C"), daemon=True)
        t.start()
        self.pump(b, a, "S")

    def pump(self, a, b, who):
        while True:
            try:
                data = a.recv(65536)
                if not data:
                    break
                if self.steps and self.steps[-1][0] == who:
                    self.steps[-1][1] += data
                else:
                    self.steps.append([who, bytearray(data)])
                b.sendall(data)
            except OSError:
                break
        try:
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def session(self):
        """As record() gives it."""
        steps, sent = [], ""
        for who, data in self.steps:
            if who == "C":
                sent += escape(bytes(data))
                continue
            codes = [x[:3].decode() for x in bytes(data).split(b"\r\n")
                     if x[3:4] == b" "]
            steps.append((sent, " ".join(codes)))
            sent = ""
        return steps


TEXTS = {"plain": b"Subject: x\r\n\r\nx\r\n", "dots": b"Subject: x\r\n\r\n.\r\n"
         b"..\r\n.x\r\n", "8 bits": "Subject: ü\r\n\r\nü\r\n".encode(),
         "header": b"Subject: x\r\n"}
GROUPS = [["c@d.example"], ["c@d.example", "e@d.example", "f@d.example"],
          ["no@d.example"], ["later@d.example", "c@d.example"]]


def by_tools(server):
    """(name, steps) of clients that nobody here wrote."""
    for name in ("smtplib", "swaks", "curl", "nodemailer", "msmtp",
                 "smtp-source"):
        for (kind, text), to in itertools.product(TEXTS.items(), GROUPS):
            tap = Tap(server.port)
            with open(path("text"), "wb") as f:
                f.write(text)
            mtaclients.by(name)(tap.port, False, path("text"), to)
            time.sleep(.02)
            yield "%s, %s, to %d" % (name, kind, len(to)), tap.session()
    for args in (["--pipeline"], ["--protocol", "SMTP"], ["--helo", "x.y"],
                 ["--quit-after", "MAIL"], ["--quit-after", "RCPT"],
                 ["--quit-after", "EHLO"], ["--drop-after", "RCPT"],
                 ["--from", "no@b.example"], ["--from", "later@b.example"],
                 ["--from", "nodata@b.example"],
                 ["--from", "noeom@b.example"], ["--from", "<>"],
                 ["--pipeline", "--to", "a@x.example,no@x.example"],
                 ["--pipeline", "--from", "nodata@b.example"]):
        tap = Tap(server.port)
        mtaclients.command("swaks", "--server", "127.0.0.1:%d" % tap.port,
                           "--from", "a@b.example", "--to", "c@d.example",
                           *args)
        time.sleep(.02)
        yield "swaks " + " ".join(args), tap.session()


# ---- for the client machine ----------------------------------------------------------

def host_sessions():
    """(sender, recipients)."""
    kinds = ("ok", "no", "later")
    for n in (1, 2, 3):
        for rcpts in itertools.product(kinds, repeat=n):
            yield "a@b.example", ["%s%d@d.example" % (r, i)
                                  for i, r in enumerate(rcpts)]
    for sender in ("nox", "laterx", "nodata", "noeom", "latereom", ""):
        for rcpts in (["ok"], ["ok", "no"], ["later", "ok"],
                      ["no", "later"]):
            yield sender + "@b.example" if sender else "", [
                "%s%d@d.example" % (r, i) for i, r in enumerate(rcpts)]


def host(port, mode, sender, rcpts):
    """Each reply, in order, as a client gets it that sends what ours does."""
    t = Line(port)
    got = [t.reply()]
    if not got[0].startswith(b"220"):
        t.close()
        return got
    t.s.sendall(b"EHLO out.example\r\n")
    got.append(t.reply())
    lines = [b"MAIL FROM:<%s>\r\n" % sender.encode(),
             *(b"RCPT TO:<%s>\r\n" % r.encode() for r in rcpts)]
    if not got[1].startswith(b"250"):
        t.close()
        return got
    if mode == "pipe":
        t.s.sendall(b"".join(lines) + b"DATA\r\n")
        got += [t.reply() for _ in range(len(lines) + 1)]
        goes_on = got[-1].startswith(b"354")
    else:
        goes_on = True
        for i, line in enumerate(lines):
            t.s.sendall(line)
            got.append(t.reply())
            if i == 0 and not got[-1].startswith(b"250"):
                goes_on = False
                break
        goes_on &= any(g.startswith(b"250") for g in got[3:])
        if goes_on:
            t.s.sendall(b"DATA\r\n")
            got.append(t.reply())
            goes_on = got[-1].startswith(b"354")
    if goes_on:
        taken = any(g.startswith(b"25") for g in got[3:3 + len(rcpts)])
        t.s.sendall(b"Subject: x\r\n\r\nx\r\n.\r\n" if taken else b".\r\n")
        got.append(t.reply())
    t.close()
    return got


def hosts(port):
    for mode in ("lock", "pipe"):
        for sender, rcpts in host_sessions():
            yield mode, sender, rcpts, host(port, mode, sender, rcpts)


# ---- writing -----------------------------------------------------------------------------

def write(where, name, rows):
    # Clients say where they run.
    here = re.compile(r"(?<=[ @])%s\b" % re.escape(socket.gethostname()))
    with open(os.path.join(where, name + ".tsv"), "w") as f:
        for row in rows:
            f.write(here.sub("client.example", "\t".join(row)) + "\n")
    print(name, len(rows))


def door_rows(server, tools):
    rows, seen = [], set()
    for name, sends in systematic():
        steps = record(server.port, sends)
        row = [name, *(x for step in steps for x in step)]
        if tuple(row[1:]) not in seen:
            seen.add(tuple(row[1:]))
            rows.append(row)
    if tools:
        for name, steps in by_tools(server):
            rows.append([name, *(x for step in steps for x in step)])
    return [[escape(r[0].encode("latin-1", "replace"))] + r[1:] for r in rows]


def host_rows(name, port):
    return [["%s %d" % (name, i), mode, sender, ",".join(rcpts),
             *map(escape, got)]
            for i, (mode, sender, rcpts, got) in enumerate(hosts(port))]


def smtp_sink(*args):
    port = free_port()
    p = subprocess.Popen(["smtp-sink", "-u", "root", *args,
                          "127.0.0.1:%d" % port, "100"])
    return p, port


def main(where):
    os.makedirs(where, exist_ok=True)
    p = postfix("door")
    write(where, "door-postfix", door_rows(p, True))
    p.stop()
    e = exim("exim")
    write(where, "door-exim", door_rows(e, True))
    e.stop()
    # Without CHUNKING, so that what our client sends is what was answered.
    p = postfix("hosts", smtpd_discard_ehlo_keywords="chunking")
    write(where, "hosts-postfix", host_rows("postfix", p.port))
    p.stop()
    e = exim("exims", "chunking_advertise_hosts =\npipelining_connect_"
             "advertise_hosts =\n")
    write(where, "hosts-exim", host_rows("exim", e.port))
    e.stop()
    rows = []
    for args in (["-r", "MAIL"], ["-r", "RCPT"], ["-r", "DATA"], ["-r", "."],
                 ["-f", "MAIL"], ["-f", "RCPT"], ["-f", "DATA"],
                 ["-f", "."], ["-r", "CONNECT"], ["-f", "CONNECT"],
                 ["-q", "MAIL"], ["-q", "RCPT"], ["-q", "DATA"],
                 ["-q", "."], ["-Q", "MAIL"], ["-Q", "RCPT"],
                 ["-Q", "DATA"], ["-Q", "."], ["-e"], ["-p"]):
        proc, port = smtp_sink(*args)
        for mode in ("lock", "pipe"):
            if args == ["-p"] and mode == "pipe":
                continue
            for rcpts in (["a@d.example"], ["a@d.example", "b@d.example"]):
                got = host(port, mode, "a@b.example", rcpts)
                rows.append(["smtp-sink %s, %s, %d" % (
                    " ".join(args), mode, len(rcpts)), mode, "a@b.example",
                    ",".join(rcpts), *map(escape, got)])
        proc.terminate()
        proc.wait()
    write(where, "hosts-smtp-sink", rows)


if __name__ == "__main__":
    os.environ["PATH"] += ":/usr/sbin"
    main(sys.argv[1])
