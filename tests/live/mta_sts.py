#!/usr/bin/env python3
"""MTA-STS (RFC 8461), cell by cell: records and policies that are good, wrong,
expired, elsewhere or not there, on a real web server, before hosts whose TLS is
good, wrong or not there. A policy that cannot be had is none; one that is known
is kept through a restart and holds while its server is away; a new id brings a
new policy; DANE stands above all of it."""
# parallel: measures no time
# timeout: 60

import http.server
import os
import signal
import smtplib
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
import tlsworld as world
from mtalib import SKIP, Mtad, Tap, path, wait_for, write_config
from mtasink import Sink
from ports import free_port

if not world.has_tools():
    print("named, dnssec-signzone or openssl is not installed")
    sys.exit(SKIP)

tap = Tap()
zones = world.Zones()
port, web_port = free_port(), free_port()
ca = world.authority()
HOSTS = {"good": "127.0.1.1", "clear": "127.0.1.2", "wrong": "127.0.1.3"}

# ---- the table ---------------------------------------------------------------

ENFORCE = "version: STSv1\nmode: enforce\nmx: mx.%s.example\nmax_age: 86400\n"
TESTING = ENFORCE.replace("enforce", "testing")
RECORD = "v=STSv1; id=1;"

# domain (those in p.example are not signed); record; web server; policy; host;
# TLSA; what follows; words of the event.
TABLE = [
    ("tls.p", RECORD, "good", ENFORCE, "good", None, "tls", "MTA-STS: pkix"),
    ("wrong.p", RECORD, "good", ENFORCE, "wrong", None, "waits",
     "hostname mismatch"),
    ("clear.p", RECORD, "good", ENFORCE, "clear", None, "waits",
     "does not offer STARTTLS"),
    ("other.p", RECORD, "good", ENFORCE.replace("mx.%s", "no.%s"), "good",
     None, "waits", "does not name the mail host mx.other.p.example"),
    ("star.p", RECORD, "good", ENFORCE.replace("mx.%s", "*.%s"), "good", None,
     "tls", "MTA-STS: pkix"),
    ("stars.p", RECORD, "good", ENFORCE.replace("mx.%s.example", "*.example"),
     "clear", None, "waits", "does not name"),
    ("test1.p", RECORD, "good", TESTING, "good", None, "tls",
     "MTA-STS testing: pkix"),
    ("test2.p", RECORD, "good", TESTING, "wrong", None, "tls",
     "MTA-STS testing: would fail, hostname mismatch"),
    ("test3.p", RECORD, "good", TESTING, "clear", None, "clear",
     "MTA-STS testing"),
    ("none.p", RECORD, "good", "version: STSv1\nmode: none\nmax_age: 86400\n",
     "clear", None, "clear", None),
    # 3.3: what is no policy of theirs; 5: then there is none.
    ("late.p", RECORD, "late", ENFORCE, "clear", None, "clear", None),
    ("name.p", RECORD, "name", ENFORCE, "clear", None, "clear", None),
    ("self.p", RECORD, "self", ENFORCE, "clear", None, "clear", None),
    ("away.p", RECORD, "away", ENFORCE, "clear", None, "clear", None),
    ("lost.p", RECORD, 404, ENFORCE, "clear", None, "clear", None),
    ("moved.p", RECORD, 302, ENFORCE, "clear", None, "clear", None),
    ("html.p", RECORD, "html", ENFORCE, "clear", None, "clear", None),
    ("long.p", RECORD, "good", ENFORCE + "x: %s\n" % ("y" * 70000), "clear",
     None, "clear", None),
    ("old.p", RECORD, "good", ENFORCE.replace("STSv1", "STSv2"), "clear",
     None, "clear", None),
    ("noage.p", RECORD, "good", ENFORCE.split("max_age")[0], "clear", None,
     "clear", None),
    # 3.1: the record.
    ("norec.p", None, "good", ENFORCE, "clear", None, "clear", None),
    ("noid.p", "v=STSv1;", "good", ENFORCE, "clear", None, "clear", None),
    ("two.p", 'v=STS" "v1; id=1;', "good", ENFORCE, "clear", None,
     "waits", "does not offer"),
    ("twice.p", [RECORD, "v=STSv1; id=2;"], "good", ENFORCE, "clear", None,
     "clear", None),
    ("more.p", [RECORD, "v=spf1 -all"], "good", ENFORCE, "clear", None,
     "waits", "does not offer STARTTLS"),
    # 2: DANE stands above it, and is not overridden where it fails.
    ("dane1", RECORD, "good", ENFORCE.replace("mx.%s", "no.%s"), "wrong",
     "wrong", "tls", "DANE: dane-ee"),
    ("dane2", RECORD, "good", ENFORCE, "good", "bad", "waits", "TLSA"),
    ("dane3", RECORD, "good", ENFORCE, "clear", None, "waits",
     "does not offer STARTTLS"),
]
# Domains of one host: two with one policy, one with another, one with none.
ONE_HOST = ["same1.p", "same2.p", "other1.p", "plain.p"]
good_names = ["mx.%s.example" % row[0] for row in TABLE]
GOOD = world.certificate("good", good_names)
WRONG = world.certificate("wrong", ["somebody.else.example"])
sinks = {"good": Sink(tls=GOOD, host=HOSTS["good"], port=port),
         "clear": Sink(host=HOSTS["clear"], port=port),
         "wrong": Sink(tls=WRONG, host=HOSTS["wrong"], port=port)}
HASH = {"wrong": world.key_hash(WRONG[0]), "bad": "00" * 32}
policy_names = ["mta-sts.%s.example" % d
                for d in [row[0] for row in TABLE] + ONE_HOST]
WEB = {"good": world.certificate("web", policy_names),
       "late": world.certificate("weblate", policy_names, expired=True),
       "name": world.certificate("webname", ["mta-sts.else.example"]),
       "self": world.certificate("webself", policy_names, ca=None)}

# ---- the web server ------------------------------------------------------------

text = {row[0]: row[3].replace("%s", row[0]) for row in TABLE}
how = {row[0]: row[2] for row in TABLE}
for name in ONE_HOST[:3]:
    text[name] = ENFORCE % "tls.p" + (
        "mx: another.example\n" if name == "other1.p" else "")
    how[name] = "good"
asked = []


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        host = self.headers["Host"].split(":")[0]
        domain = host[len("mta-sts."):-len(".example")]
        asked.append(domain)
        body = text[domain].encode()
        status = how[domain] if isinstance(how[domain], int) else 200
        if self.path != "/.well-known/mta-sts.txt":
            status = 200            # where a redirect would lead
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "https://%s:%d/policy.txt" % (
                host, web_port))
        self.send_header("Content-Type", "text/html" if how[domain] == "html"
                         else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def choose(sock, name, _):
    kind = how.get((name or "")[len("mta-sts."):-len(".example")])
    sock.context = contexts.get(kind, contexts["good"])


contexts = {}
for kind, pair in WEB.items():
    contexts[kind] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    contexts[kind].load_cert_chain(*pair)
contexts["good"].sni_callback = choose


class Web(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def finish_request(self, request, address):
        try:
            s = contexts["good"].wrap_socket(request, server_side=True)
            super().finish_request(s, address)
        except OSError:
            pass


def serve_pages():
    web = Web(("127.0.2.1", web_port), Pages)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    return web


# ---- names ----------------------------------------------------------------------

for name, record, web, policy, host, tlsa, *_ in TABLE:
    zone = "p.example" if name.endswith(".p") else "example"
    lines = "%s.example. MX 10 mx.%s.example.\nmx.%s.example. A %s\n" % (
        name, name, name, HOSTS[host])
    for r in [record] if isinstance(record, str) else record or []:
        lines += '_mta-sts.%s.example. TXT "%s"\n' % (name, r)
    lines += "mta-sts.%s.example. A 127.0.2.%d\n" % (
        name, 9 if web == "away" else 1)
    if tlsa:
        lines += "_%d._tcp.mx.%s.example. TLSA 3 1 1 %s\n" % (
            port, name, HASH[tlsa])
    zones.add(zone, lines, signed=zone == "example")


for name in ONE_HOST:
    zones.add("p.example", "%s.example. MX 10 mx.tls.p.example.\n" % name)
    if name in text:
        zones.add("p.example", '_mta-sts.%s.example. TXT "%s"\n'
                  "mta-sts.%s.example. A 127.0.2.1\n" % (name, RECORD, name))

# ---- the test --------------------------------------------------------------------

def start():
    return Mtad(conf).start()


def send(*domains):
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
        c.sendmail("", ["u@%s.example" % d for d in domains],
                   b"Subject: x\r\n\r\nx\r\n")


def told(domain, kind, n=1):
    v = [e for e in daemon.events(kind)
         if e.get("recipient") == "u@%s.example" % domain]
    return v[n - 1] if len(v) >= n else None


def received(domain):
    return [m.session for s in sinks.values()
            for m in s.to("u@%s.example" % domain)]


def judge(name, record, web, policy, host, tlsa, expected, words):
    what = "%s: %s (record %s, web %s, host %s)" % (
        name, expected, record, web, host)
    if expected == "waits":
        e = wait_for(lambda: told(name, "TransientFailure"), 5) or {}
        tap.ok(e.get("stage") == "tls" and words in e.get("text", "") and
               not received(name), what, e)
        return
    e = wait_for(lambda: told(name, "Delivery"), 5) or {}
    got = received(name)
    tap.ok(len(got) == 1 and got[0].tls == (expected == "tls") and
           e.get("tls_policy") == words, what, e)


def sharing():
    """A session is used again where the policy is the same."""
    s = {}
    for name in ONE_HOST:
        send(name)
        if not wait_for(lambda: received(name), 5):
            raise SystemExit("%s: %s" % (name, daemon.events()[-3:]))
        s[name] = received(name)[0]
    tap.ok(s["same1.p"] is s["same2.p"], "domains of one policy share a "
           "session")
    tap.same(len({id(x) for x in s.values()}), 3, "others do not")


def resolving():
    sts = {d: daemon.resolve(d + ".example")[1]["mta_sts"]
           for d in ("tls.p", "late.p", "norec.p")}
    tap.same({k: sts["tls.p"][k] for k in ("id", "mode", "max_age", "mx")},
             {"id": "1", "mode": "enforce", "max_age": 86400,
              "mx": ["mx.tls.p.example"]}, "resolve: a policy")
    tap.ok("expired" in sts["late.p"]["error"] and sts["norec.p"] is None,
           "resolve: one that cannot be had, and none", sts)


def memory():
    """Without its server a policy is known from the books."""
    global daemon
    daemon.kill9()
    web.shutdown()
    web.server_close()
    daemon = start()
    n = len(list(filter(None, (told("clear.p", "TransientFailure", i)
                               for i in range(1, 50)))))
    send("clear.p")
    e = wait_for(lambda: told("clear.p", "TransientFailure", n + 1), 5) or {}
    tap.ok("MTA-STS: the host does not offer STARTTLS" in e.get("text", "")
           and not received("clear.p"),
           "a policy is kept through a restart, its server away", e)


def new_id():
    """The domain says that its policy is another now."""
    global web
    text["clear.p"] = TESTING.replace("%s", "clear.p")
    web = serve_pages()
    asked.clear()
    file = path("zonep.example")
    with open(file) as f:
        zone = f.read()
    new = zone.replace('_mta-sts.clear.p.example. TXT "v=STSv1; id=1;"',
                       '_mta-sts.clear.p.example. TXT "v=STSv1; id=2;"')
    assert new != zone
    with open(file, "w") as f:
        f.write(new.replace("x.example. 1 3600", "x.example. 2 3600"))
    zones.named.send_signal(signal.SIGHUP)
    # A new daemon has no old answers of DNS.
    global daemon
    daemon.kill9()
    if not wait_for(lambda: zones.serial("p.example") == 2, 5):
        raise SystemExit("named has not read the zone again")
    daemon = start()
    tap.ok(wait_for(lambda: received("clear.p"), 8) and
           "clear.p" in asked, "a new id brings the new policy", asked)


zones.serve()
web = serve_pages()
conf = write_config(
    "sts", smtp_port=port, ipv6=False,
    limits={"default": {"backoff_min": "300ms", "backoff_max": "300ms"}},
    dns={"servers": ["127.0.0.1:%d" % zones.port],
         "trust_anchor": path("anchor")},
    client={"tls_ca": ca, "mta_sts": True, "mta_sts_port": web_port})
try:
    daemon = start()
    send(*[row[0] for row in TABLE])
    for row in TABLE:
        judge(*row)
    sharing()
    resolving()
    memory()
    new_id()
    tap.same(daemon.stop(), 0, "it ends well")
finally:
    zones.stop()
tap.done()
