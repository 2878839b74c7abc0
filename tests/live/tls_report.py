#!/usr/bin/env python3
"""Reports about TLS (RFC 8460): what they count of real sessions, kept through a
crash; gzipped JSON, posted by HTTPS and mailed, signed, without TLS being asked
for; to domains that ask for it and to no others; tried again where it fails."""
# parallel: measures no time
# timeout: 60

import email
import email.policy
import gzip
import http.server
import json
import os
import re
import smtplib
import sqlite3
import ssl
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
import tlsworld as world
from mtalib import MTAD, SKIP, Mtad, Tap, path, wait_for, write_config
from mtasink import Sink
from ports import free_port

if not world.has_tools():
    print("named, dnssec-signzone or openssl is not installed")
    sys.exit(SKIP)

tap = Tap()
zones = world.Zones()
port, web_port = free_port(), free_port()
ca = world.authority()
GOOD = world.certificate("good", ["mx.good.p.example"])
WRONG = world.certificate("wrong", ["somebody.else.example"])
LATE = world.certificate("late", ["mx.late.p.example"], expired=True)
SELF = world.certificate("self", ["mx.self.p.example"], ca=None)
WEB = world.certificate("web", ["web.p.example", "mta-sts.sts.p.example",
                                "mta-sts.bad.p.example"])
sinks = [Sink(tls=GOOD, host="127.0.1.1", port=port),
         Sink(host="127.0.1.2", port=port),
         Sink(tls=WRONG, host="127.0.1.3", port=port),
         Sink(tls=LATE, host="127.0.1.4", port=port),
         Sink(tls=SELF, host="127.0.1.5", port=port)]
GOODS, CLEAR, WRONGS, LATES, SELFS = ["127.0.1.%d" % n for n in range(1, 6)]
HTTPS = "rua=https://web.p.example:%d/report?x=1" % web_port
MAILTO = "rua=mailto:tls%2Dreports@reports.p.example"

# domain; host; policy of the configuration; record; TLSA; what is counted:
# policy type, successes, failures, result type.
TABLE = [
    ("good.p", GOODS, "verify", HTTPS, None,
     ("no-policy-found", 1, 0, None)),
    ("clear.p", CLEAR, None, HTTPS, None,
     ("no-policy-found", 0, 1, "starttls-not-supported")),
    ("need.p", CLEAR, "required", None, None,
     ("no-policy-found", 0, 1, "starttls-not-supported")),
    ("wrong.p", WRONGS, "verify", None, None,
     ("no-policy-found", 0, 1, "certificate-host-mismatch")),
    ("late.p", LATES, "verify", None, None,
     ("no-policy-found", 0, 1, "certificate-expired")),
    ("self.p", SELFS, "verify", None, None,
     ("no-policy-found", 0, 1, "certificate-not-trusted")),
    ("dane", GOODS, None, MAILTO + "," + HTTPS[4:], "good",
     ("tlsa", 1, 0, None)),
    ("eebad", GOODS, None, None, "none",
     ("tlsa", 0, 1, "validation-failure")),
    ("must.p", GOODS, "dane", None, None,
     ("tlsa", 0, 1, "dane-required")),
    ("odd", GOODS, "dane", None, "unusable",
     ("tlsa", 0, 1, "tlsa-invalid")),
    ("sts.p", WRONGS, None, None, None,
     ("sts", 0, 1, "certificate-host-mismatch")),
    ("bad.p", GOODS, None, None, None,
     ("sts", 0, 1, "sts-policy-invalid")),
    ("away.p", GOODS, None, None, None,
     ("sts", 0, 1, "sts-policy-fetch-error")),
    ("ssl.p", GOODS, None, None, None,
     ("sts", 0, 1, "sts-webpki-invalid")),
]
for name, host, _, record, tlsa, _ in TABLE:
    zone = "p.example" if name.endswith(".p") else "example"
    zones.add(zone, "{0}.example. MX 10 mx.{0}.example.\n"
              "mx.{0}.example. A {1}\n".format(name, host),
              signed=zone == "example")
    if record:
        zones.add(zone, '_smtp._tls.%s.example. TXT "v=TLSRPTv1; %s"\n'
                  % (name, record))
    if tlsa:
        zones.add("example", "_%d._tcp.mx.%s TLSA %s 1 1 %s\n" % (
            port, name, "1" if tlsa == "unusable" else "3",
            world.key_hash(GOOD[0]) if tlsa == "good" else "00" * 32))
    if name in ("sts.p", "bad.p", "away.p", "ssl.p"):
        zones.add(zone, '_mta-sts.%s.example. TXT "v=STSv1; id=1;"\n'
                  "mta-sts.%s.example. A 127.0.2.%d\n"
                  % (name, name, 2 if name == "away.p" else 1))
zones.add("p.example", "web.p.example. A 127.0.2.1\n"
          "reports.p.example. MX 10 mx.reports.p.example.\n"
          "mx.reports.p.example. A %s\n" % WRONGS)

# ---- the web server ------------------------------------------------------------

posted, refused = [], []


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        host = self.headers["Host"].split(":")[0]
        body = b"version: STSv1\nmode: enforce\nmx: mx.sts.p.example\n"
        body += b"max_age: 86400\n" if "bad" not in host else b""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        got = (self.path, self.headers["Content-Type"], data)
        ok = len(refused) > 0
        (posted if ok else refused).append(got)
        self.send_response(201 if ok else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


web_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
web_tls.load_cert_chain(*WEB)


class Web(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def finish_request(self, request, address):
        try:
            super().finish_request(web_tls.wrap_socket(
                request, server_side=True), address)
        except OSError:
            pass


threading.Thread(target=Web(("127.0.2.1", web_port), Pages).serve_forever,
                 daemon=True).start()

# ---- what is counted -----------------------------------------------------------


def send(*domains):
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=10) as c:
        c.sendmail("", ["u@%s.example" % d for d in domains],
                   b"Subject: x\r\n\r\nx\r\n")


def shown(domain):
    code, out = daemon.verb("tlsreport", domain + ".example")
    return json.loads(out) if code == 0 else None


def totals(report):
    """By policy type: successes, failures, and kinds of failure."""
    v = {}
    for p in (report or {}).get("policies", []):
        s = p["summary"]
        v[p["policy"]["policy-type"]] = (
            s["total-successful-session-count"],
            s["total-failure-session-count"],
            {d["result-type"] for d in p.get("failure-details", [])})
    return v


def judge(name, kind, good, bad, result):
    def is_there():
        t = totals(shown(name)).get(kind)
        return t and (t[0] >= good and t[1] >= bad and
                      t[2] == ({result} if result else set()))
    tap.ok(wait_for(is_there, 10), "%s: %s, %s" % (
        name, kind, result or "success"), shown(name))


def well_formed(r, domain):
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"
    ok = (r["organization-name"] == "mta1.example" and
          r["contact-info"] == "tls@mta1.example" and
          re.match(stamp, r["date-range"]["start-datetime"]) and
          re.match(stamp, r["date-range"]["end-datetime"]) and
          isinstance(r["report-id"], str) and r["report-id"])
    for p in r["policies"]:
        ok = ok and (p["policy"]["policy-domain"] == domain and
                     p["policy"]["policy-type"] in (
                         "tlsa", "sts", "no-policy-found"))
        n = sum(d["failed-session-count"]
                for d in p.get("failure-details", []))
        ok = ok and n == p["summary"]["total-failure-session-count"]
    return bool(ok)


# ---- what is sent -----------------------------------------------------------------

def signed_key():
    r = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519",
                        "-out", path("dkim.key")], capture_output=True)
    os.chmod(path("dkim.key"), 0o600)
    return r.returncode == 0


def kept():
    with sqlite3.connect("file:%s?mode=ro" % path("books"), uri=True) as db:
        return db.execute("SELECT COUNT(*) FROM kept WHERE book = 6"
                          ).fetchone()[0]


def mailed():
    return [m for s in sinks for m in s.got()
            if "tls-reports@reports.p.example" in m.rcpts]


def check_mail(m):
    e = email.message_from_bytes(m.data, policy=email.policy.default)
    tap.same([e["TLS-Report-Domain"], e["TLS-Report-Submitter"],
              e.get_content_type(), e.get_param("report-type"),
              e["TLS-Required"]],
             ["dane.example", "mta1.example", "multipart/report", "tlsrpt",
              "No"], "mail: its head")
    tap.ok(e["Subject"].startswith("Report Domain: dane.example Submitter: "
                                   "mta1.example Report-ID: <"),
           "mail: its subject", e["Subject"])
    part = list(e.iter_parts())[1]
    r = json.loads(gzip.decompress(part.get_content()))
    tap.same([part.get_content_type(), well_formed(r, "dane.example"),
              totals(r)["tlsa"][0]], ["application/tlsrpt+gzip", True, 1],
             "mail: the report")
    tap.ok(re.match(r"mta1\.example!dane\.example!\d+!\d+\.json\.gz$",
                    part.get_filename()), "mail: the name of its file")
    sig = e["DKIM-Signature"] or ""
    tap.ok("d=mta1.example" in sig, "mail: signed", sig)
    strings = r["policies"][0]["policy"]["policy-string"]
    tap.same(strings, ["3 1 1 " + world.key_hash(GOOD[0])],
             "mail: the policy's words")


def sending():
    code, out = daemon.verb("tlsreport", "--send")
    tap.ok(code == 0 and json.loads(out)["domains"] >= len(TABLE),
           "mtad tlsreport --send", out)
    m = wait_for(mailed, 10)
    check_mail(m[0])
    tap.ok(wait_for(lambda: len(posted) == 2 and refused, 10),
           "posted, but for the one that was refused", (posted, refused))
    for where, kind, data in posted:
        r = json.loads(gzip.decompress(data))
        tap.ok(where == "/report?x=1" and kind == "application/tlsrpt+gzip"
               and well_formed(r, r["policies"][0]["policy"]
                               ["policy-domain"]), "posted: a report", r)
    # Nobody asked for these, and no mail of theirs waits to be tried again:
    # they are gone; what was refused waits.
    tap.ok(wait_for(lambda: shown("bad.p") is None, 5),
           "who asks for none has his counts forgotten")
    daemon.verb("tlsreport", "--send")
    tap.ok(wait_for(lambda: len(posted) == 3, 10), "the refused one again")
    ids = [json.loads(gzip.decompress(p[2]))["report-id"] for p in posted]
    tap.same(len(set(ids)), 3, "no report has another's id")
    domains = sorted(json.loads(gzip.decompress(p[2]))["policies"][0]
                     ["policy"]["policy-domain"] for p in posted)
    tap.same(domains, ["clear.p.example", "dane.example", "good.p.example"],
             "each has come once")
    tap.same(len(mailed()), 1, "and what was mailed is not mailed again")


zones.serve()
try:
    tap.ok(signed_key(), "a key")
    limits = {"default": {"backoff_min": "5m", "backoff_max": "5m"}}
    for name, _, policy, *_ in TABLE:
        if policy:
            limits[name + ".example"] = {"tls": policy}
    conf = write_config(
        smtp_port=port, ipv6=False, limits=limits, books=path("books"),
        tls_report={"from": "tls@mta1.example"},
        dkim={"key": {"k": {"domain": "mta1.example", "selector": "s",
                            "file": path("dkim.key")}}},
        dns={"servers": ["127.0.0.1:%d" % zones.port],
             "trust_anchor": world.path("anchor")},
        client={"tls_ca": ca, "mta_sts": True, "mta_sts_port": web_port})
    daemon = Mtad(conf).start()
    send(*[row[0] for row in TABLE])
    for name, _, _, _, _, want in TABLE:
        judge(name, *want)
    r = shown("sts.p")
    tap.same([(p["policy"]["policy-string"], p["policy"]["mx-host"])
              for p in r["policies"]],
             [(["version: STSv1", "mode: enforce", "mx: mx.sts.p.example"],
               ["mx.sts.p.example"])], "the words of an MTA-STS policy")
    tap.ok(well_formed(r, "sts.p.example"), "a report is well formed", r)
    d = r["policies"][0]["failure-details"][0]
    tap.same([d["sending-mta-ip"], d["receiving-ip"],
              d["receiving-mx-hostname"]],
             ["127.0.0.10", WRONGS, "mx.sts.p.example"], "who and where")
    tap.same(daemon.verb("tlsreport", "nobody.example")[0], 1,
             "nothing is counted of others")
    tap.same(daemon.verb("tlsreport")[0], 2, "wrong usage")
    wait_for(lambda: kept() >= len(TABLE), 15)
    before = totals(shown("good.p"))
    daemon.kill9()
    daemon.start()
    tap.same(totals(shown("good.p")), before, "kept through a crash")
    sending()
    tap.same(daemon.stop(), 0, "it stops")
    off = Mtad(write_config("off")).start()
    code, out = off.verb("tlsreport", "--send")
    tap.ok(code == 1 and "not configured" in out, "off by default", out)
    off.stop()
finally:
    zones.stop()
tap.done()
