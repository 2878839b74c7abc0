#!/usr/bin/env python3
"""DKIM: what a daemon signs verifies elsewhere, by Python's dkim and Perl's
Mail::DKIM, over a corpus of messages of every shape; which key signs; a reload
swaps keys, and one that cannot be used changes nothing."""
# parallel: measures no time
# timeout: 90 180

import json
import os
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from dkim_rspamd import Rspamd, reads
from mailcorpus import corpus
from mtalib import (LONG, MTAD, Mtad, Sink, Tap, path, smart, wait_for,
                    write_config)
from mtatalk import Talk, is_reply
from simlib import Server

LIB = os.path.join(os.environ["TOP"], "tests", "lib")
tap = Tap()
records = {}


def openssl(*args):
    return subprocess.run(["openssl", *args], check=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout


def key(selector, domain, *args):
    """A key that `mtad dkim generate` makes; its record is published."""
    file = path("%s.%s.pem" % (selector, domain))
    out = subprocess.run([MTAD, "dkim", "generate", "--domain", domain,
                          "--selector", selector, "--file", file, *args],
                         text=True, stdout=subprocess.PIPE, check=True).stdout
    name, text = record_of(out)
    tap.same(name, "%s._domainkey.%s" % (selector, domain),
             "generate prints the record's name")
    records[name] = text
    return {"domain": domain, "selector": selector, "file": file}


def record_of(zone_line):
    """NAME IN TXT ( "..." "..." ) as a name and one text."""
    name, rest = zone_line.split(None, 1)
    return name.rstrip("."), "".join(rest.split('"')[1::2])


def verify(program, files):
    with open(path("records.json"), "w") as f:
        json.dump(records, f)
    r = subprocess.run([os.path.join(LIB, program), path("records.json"),
                        *files], text=True, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE)
    tap.same(r.returncode, 0, program + " ran")
    if r.stderr:
        print("#", r.stderr[:2000].replace("\n", "\n# "))
    return {x.split()[0]: x.split()[1:] for x in r.stdout.splitlines()}


def stuffed(message):
    """As DATA carries it (RFC 5321 4.5.2); what ends without a CRLF gets one."""
    lines = message.removesuffix(b"\r\n").split(b"\r\n")
    return b"\r\n".join(b"." + x if x[:1] == b"." else x
                         for x in lines) + b"\r\n"


def at_once(t, message, rcpt):
    """A transaction in two writes."""
    t.send(b"MAIL FROM:<s@from.example>\r\nRCPT TO:<%s>\r\nDATA\r\n" %
           rcpt.encode())
    replies = [t.reply() for _ in range(3)]
    if not replies[2].startswith("354"):
        return replies[2]
    t.send(stuffed(message) + b".\r\n")
    return t.reply()


def send(messages, port):
    t = Talk(port)
    for i, m in enumerate(messages):
        got = at_once(t, m, "r%d@to.example" % i)
        if not is_reply(got, "250 2.0.0"):
            tap.ok(False, "message %d is taken" % i, got)
    t.close()


def received(n, kind):
    """What the sink has, as files in the order of sending."""
    wait_for(lambda: len(sink.got()) >= n)
    by_rcpt = {m.rcpts[0]: m.data for m in sink.got()}
    files = []
    for i in range(n):
        files.append(path("%s.%04d.eml" % (kind, i)))
        with open(files[-1], "wb") as f:
            f.write(by_rcpt.get("r%d@to.example" % i, b""))
    sink.clear()
    return files


RSA = ["signed.example/r1/rsa-sha256=pass",
       "provider.example/p1/rsa-sha256=pass"]
ED = ["signed.example/e1/ed25519-sha256=pass"]


def verified(program, files, want):
    said = verify(program, files)
    bad = [(f, said.get(f)) for f in files
           if sorted(said.get(f, [])) != sorted(want)]
    tap.same(bad[:5], [], "%s verifies %d messages, %d signatures each" %
             (program, len(files), len(want)))


def is_obsolete(file):
    """A blank before a colon, which one of them does not read."""
    with open(file, "rb") as f:
        return re.match(rb"(.*\r\n)*?[!-9;-~]+[ \t]+:",
                        f.read().split(b"\r\n\r\n")[0])


def ours(file):
    """What `mtad dkim check` says of a message."""
    with open(path("zone"), "w") as f:
        for name, text in records.items():
            f.write('%s. 3600 IN TXT ( "%s" )\n' % (name, text))
    return subprocess.run([MTAD, "dkim", "check", "--message", file, "--txt",
                           path("zone")], text=True, stdout=subprocess.PIPE)


def zone_server():
    """Its names are the records."""
    with open(path("names.yml"), "w") as f:
        f.write("ttl: 300\nnames:\n")
        for name, text in records.items():
            f.write('  %s: "TXT %s"\n' % (name, text))
    return Server("dns", "--listen", "127.0.0.1:0", path("names.yml"),
                  name="dns")


def by_rspamd(files):
    if not shutil.which("rspamd"):
        tap.skip("rspamd", "it is not here")
        return
    names = zone_server()
    rspamd = Rspamd(names.ready)
    messages = []
    for name in files:
        with open(name, "rb") as f:
            messages.append((name, f.read()))
    messages = [x for x in messages if reads(x[1])]
    want = sorted(x.split("/rsa")[0].split("/ed2")[0] for x in RSA + ED)
    bad = [(name, got) for name, m in messages
           if (got := sorted(rspamd.verified(m))) != want]
    tap.ok(len(messages) > 200 and not bad, "rspamd verifies %d messages" %
           len(messages), bad[:5])
    rspamd.stop()
    names.stop()


def the_corpus():
    """Two of three signatures are by RSA, which Python's dkim reckons without
    help: it gets a part of the messages, but in a long run."""
    n = 500 if LONG else 220
    send(corpus(4242, n), d.port)
    files = received(n, "all")
    verified("dkim_verify.pl", files, RSA)
    read = [f for f in files if not is_obsolete(f)]
    verified("dkim_verify.py", read[:200] if LONG else read[::9], RSA + ED)
    if LONG:
        by_rspamd(files)
    got = [ours(f) for f in files[:200 if LONG else 15]]
    tap.same([x for x in got if x.returncode or
              x.stdout.count("pass ") != 3], [], "mtad dkim check does, too")


def one(text, rcpt="r0@to.example"):
    """A message as it arrives, and its signatures as "d/s"."""
    sink.clear()
    t = Talk(d.port)
    got = at_once(t, text, rcpt)
    tap.ok(is_reply(got, "250 2.0.0"), "taken", got)
    t.close()
    wait_for(lambda: sink.got())
    m = sink.got()[0].data
    top = m.split(b"\r\nReceived:")[0]
    return m, ["%s/%s" % x for x in re.findall(
        r"d=([^;]+);\s+s=([^;]+);", top.decode())]


def large_messages():
    """What does not stay in memory is signed as it was."""
    text = b"From: s@signed.example\r\nSubject: large\r\n\r\n" + \
        b"".join(b"line %d \t of many  \r\n" % i for i in range(60000))
    m, keys = one(text)
    out = subprocess.run(["curl", "-s", "--unix-socket", conf["control"],
                          "http://mtad/metrics"], text=True,
                         stdout=subprocess.PIPE).stdout
    n = re.search(r"^mtad_messages_signed_total (\d+)", out, re.M)
    tap.ok(n and int(n.group(1)) > 200, "signed messages are counted", n)
    tap.same(len(m), len(m[:m.index(b"From: s@")]) + len(text),
             "a large one comes whole")
    with open(path("large.eml"), "wb") as f:
        f.write(m)
    verified("dkim_verify.pl", [path("large.eml")], RSA)


def whose_keys():
    """By author and tenant; steering fields are gone, and not signed."""
    m, keys = one(b"X-MTA-Tenant: acme\r\nFrom: s@signed.example\r\n\r\nx\r\n")
    tap.same(keys, ["signed.example/r1", "signed.example/e1",
                    "provider.example/p1", "acme.example/t1"],
             "a tenant has a key of his own")
    tap.ok(b"X-MTA" not in m, "... and the field that steers is gone")
    limits = d.json("limits")
    tap.ok({"signing_domain": "signed.example"} in [
        x["tuple"] for x in limits["tuples"] if x["limit"] == "signer"],
           "a limit counts by the first that signs", json.dumps(limits))
    tap.same(one(b"From: s@sub.signed.example\r\n\r\nx\r\n")[1],
             ["provider.example/p1"], "no key for a domain below")
    tap.same(one(b"From: s@a.up.example\r\n\r\nx\r\n")[1],
             ["provider.example/p1", "up.example/u1"],
             "... unless it says so")
    tap.same(one(b"Subject: nobody\r\n\r\nx\r\n")[1], [],
             "what has no author is not signed")
    m, keys = one(b"From: s@signed.example\r\n\r\nx\r\n")
    head = m.split(b"Received:")[0]
    tap.ok(b"x=" in head and b"i=@provider.example" in head.replace(
        b"\r\n\t", b" ") and b"c=simple/simple" in head,
        "what the configuration asks for is said", head)


def rewrite(**keys):
    with open(conf["file"]) as f:
        written = json.load(f)
    written["dkim"] = {"key": keys}
    with open(conf["file"], "w") as f:
        json.dump(written, f, indent=1)


def reload(word):
    before = len(d.said())
    d.signal(signal.SIGHUP)
    wait_for(lambda: word in d.said()[before:])
    return d.said()[before:]


def reloads():
    """New keys sign from then on; one that cannot be used changes nothing."""
    mail = b"From: s@signed.example\r\n\r\nx\r\n"
    other = key("r2", "signed.example", "--ed25519")
    t = Talk(d.port)                # in the midst of a message
    t.begin(rcpt="r0@to.example")
    t.send(b"From: s@signed.example\r\nSubject: midst\r\n\r\none\r\n")
    t2 = Talk(d.port)
    t2.close()                      # the first bytes have been read
    rewrite(new=other)
    reload("configuration taken over")
    tap.same(one(mail)[1], ["signed.example/r2"], "a reload swaps keys")
    sink.clear()
    t.send(b"two\r\n")
    tap.ok(is_reply(t.say("."), "250 2.0.0"), "a message in its midst goes on")
    wait_for(lambda: sink.got())
    with open(path("midst.eml"), "wb") as f:
        f.write(sink.got()[0].data)
    tap.same(ours(path("midst.eml")).stdout.count("pass "), 4 - 1,
             "... signed by the keys that it began with")
    t.close()
    with open(path("weak.pem"), "wb") as f:
        f.write(openssl("genrsa", "768"))
    os.chmod(path("weak.pem"), 0o600)
    with open(path("open.pem"), "wb") as f:
        f.write(openssl("genpkey", "-algorithm", "ed25519"))
    os.chmod(path("open.pem"), 0o644)
    for name, word in (("weak.pem", "less than 1024 bits"),
                       ("open.pem", "mode 644"),
                       ("none.pem", "No such file")):
        rewrite(bad={**other, "file": path(name)})
        said = reload("nothing changed")
        where = re.search(re.escape(conf["file"]) + r":\d+:\d+: "
                          r"dkim\.key\.bad\.file, expected .*" + word, said)
        tap.ok(where, "%s is refused, with file and line" % name, said)
        check = d.verb_alone("check", "-c", conf["file"])
        tap.ok(check.returncode == 1 and word in check.stderr,
               "... and by mtad check", check.stderr)
        tap.same(one(mail)[1], ["signed.example/r2"], "... the old ones stay")
    secret = open(other["file"]).read().split("\n")[1]
    tap.ok(secret not in d.said(), "the log has nothing of a key")
    rewrite()
    reload("configuration taken over")
    tap.same(one(mail)[1], [], "without keys nothing is signed")


def verbs():
    r = subprocess.run([MTAD, "dkim", "generate", "--domain", "signed.example",
                        "--selector", "r1", "--file",
                        keys["rsa"]["file"]], text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    tap.ok(r.returncode == 1 and "kept" in r.stderr and r.stdout == "",
           "generate overwrites nothing", r.stderr)
    tap.same(os.stat(keys["rsa"]["file"]).st_mode & 0o777, 0o600,
             "only the owner reads a key")
    show = d.verb_alone("dkim", "show", "-c", conf["file"])
    rows = [x.split()[:6] for x in show.stdout.splitlines() if x]
    tap.ok(["rsa", "signed.example", "r1", "rsa", "2048", "signs"] in rows and
           ["old", "signed.example", "r0", "ed25519", "no", "more"] in rows,
           "show says which sign", show.stdout)
    shown = dict(record_of(x) for x in show.stdout.splitlines()
                 if " IN TXT " in x)
    tap.same({k: shown.get(k) for k in records}, records,
             "... and what is to be published")
    with open(path("shown"), "w") as f:
        f.write(show.stdout)
    check = d.verb_alone("dkim", "check", "-c", conf["file"], "--txt",
                         path("shown"))
    tap.ok(check.returncode == 0 and check.stdout.count(": ok") == len(keys),
           "check finds them published", check.stdout)
    with open(path("shown"), "w") as f:
        f.write(show.stdout.replace("e1._domainkey", "ex._domainkey").replace(
            "; k=rsa; p=MII", "; k=rsa; p=MIJ", 1))
    check = d.verb_alone("dkim", "check", "-c", conf["file"], "--txt",
                         path("shown"))
    tap.ok(check.returncode == 1 and "has no record" in check.stdout and
           "another key" in check.stdout, "... or not, or another",
           check.stdout)
    with open(path("r0.eml"), "wb") as f:
        f.write(one(b"From: s@signed.example\r\n\r\nx\r\n")[0])
    tap.same(ours(path("r0.eml")).stdout.count("pass "), 3,
             "check verifies a message")
    with open(path("r0.eml"), "ab") as f:
        f.write(b"more\r\n")
    said = ours(path("r0.eml"))
    tap.ok(said.returncode == 1 and said.stdout.count("fail ") == 3 and
           "body has been changed" in said.stdout, "... and one that was "
           "changed not", said.stdout)


def published():
    """Keys and a message's signatures by what DNS says."""
    with open(path("names.yml"), "w") as f:
        f.write("ttl: 300\nnames:\n")
        for name, text in records.items():
            if "p1" not in name and "e1" not in name:
                f.write('  %s: "TXT %s"\n' % (name, text))
        f.write('  e1._domainkey.signed.example: SERVFAIL\n')
    names = Server("dns", "--listen", "127.0.0.1:0", path("names.yml"),
                   name="dns")
    written = dict(conf, dns={"servers": [names.ready]})
    with open(path("dns.yml"), "w") as f:
        json.dump({k: v for k, v in written.items()
                   if k not in ("port", "file")}, f)
    check = d.verb_alone("dkim", "check", "-c", path("dns.yml"), "rsa", "acme",
                         "provider")
    tap.same(check.stdout.splitlines(),
             ["r1._domainkey.signed.example: ok",
              "p1._domainkey.provider.example: there is no such name",
              "t1._domainkey.acme.example: ok"],
             "check asks the resolvers of the configuration")
    check = d.verb_alone("dkim", "check", "-c", path("dns.yml"), "ed")
    tap.ok(check.returncode == 1 and ": ok" not in check.stdout and
           "there is no such name" not in check.stdout,
           "... and what they cannot tell is no answer", check.stdout)
    with open(path("dns.eml"), "wb") as f:
        f.write(one(b"From: s@signed.example\r\n\r\nx\r\n")[0])
    check = d.verb_alone("dkim", "check", "-c", path("dns.yml"), "--message",
                         path("dns.eml"))
    tap.ok("pass d=signed.example s=r1" in check.stdout and
           check.stdout.count("pass ") == 1, "... for a message, too",
           check.stdout)
    names.stop()


class Daemon(Mtad):
    @staticmethod
    def verb_alone(*args):
        return subprocess.run([MTAD, *args], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)


sink = Sink()
keys = {"rsa": key("r1", "signed.example"),
        "ed": key("e1", "signed.example", "--ed25519"),
        "old": {**key("r0", "signed.example", "--ed25519"),
                "not_after": "2026-01-01"},
        "provider": {**key("p1", "provider.example"), "from": "*",
                     "header_canonicalization": "simple", "expire": "30d",
                     "identity": "@provider.example",
                     "body_canonicalization": "simple"},
        "acme": {**key("t1", "acme.example", "--ed25519"), "from": "*",
                 "tenant": "acme"},
        "up": {**key("u1", "up.example", "--ed25519"), "subdomains": True}}
conf = write_config(route=smart(sink), workers=2, dkim={"key": keys},
                    limit={"signer": {"per": "signing_domain",
                                      "quota": "100000/day"}})
d = Daemon(conf).start()
the_corpus()
large_messages()
whose_keys()
verbs()
published()
reloads()
tap.same(d.stop(), 0, "exit 0")
tap.done()
