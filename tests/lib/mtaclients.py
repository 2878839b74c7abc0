"""Mail clients that nobody here wrote, each as by_NAME(port, tls, file,
recipients): (was all accepted, what it said)."""

import os
import shutil
import smtplib
import socket
import ssl
import subprocess
import time

FROM = "sender@from.example"
NAMES = ("smtplib", "swaks", "curl", "nodemailer", "msmtp",
         "smtp-source")
# What has no TLS of its own speaks it through stunnel, which knows STARTTLS.
TUNNELLED = {"smtp-source"}
MAIL_JS = """
const nm = require('nodemailer'), fs = require('fs');
const [, file, port, tls, from, ...to] = process.argv;
nm.createTransport({host: '127.0.0.1', port: +port, secure: false,
    ignoreTLS: tls == '0', requireTLS: tls == '1',
    tls: {rejectUnauthorized: false}})
  .sendMail({envelope: {from, to}, raw: fs.readFileSync(file)})
  .then(r => console.log(r.response),
        e => {console.log(e.message); process.exit(1)});
"""
# Where Debian keeps modules; a node from elsewhere does not look there.
os.environ.setdefault("NODE_PATH", "/usr/share/nodejs")
os.environ["PATH"] += ":/usr/sbin:/sbin"


def command(*args):
    p = subprocess.run([str(a) for a in args], timeout=60,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT)
    return p.returncode == 0, p.stdout.decode(errors="replace")[-2000:]


class Tunnel:
    """stunnel between a plain client and a server that has STARTTLS, or, with
    a certificate, between a client that wants STARTTLS and a plain server."""

    def __init__(self, to, file, cert=None, key=None):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        lines = ["foreground = yes", "pid =", "syslog = no", "[t]",
                 "protocol = smtp", "accept = 127.0.0.1:%d" % self.port,
                 "connect = 127.0.0.1:%d" % to]
        lines += ["cert = " + cert, "key = " + key] if cert else \
                 ["client = yes"]
        with open(file, "w") as f:
            f.write("\n".join(lines) + "\n")
        with open(file + ".log", "w") as log:
            self.p = subprocess.Popen(["stunnel", file], stdout=log,
                                      stderr=log, stdin=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while not self.listens():
            if self.p.poll() is not None or time.monotonic() > until:
                raise SystemExit("stunnel: " + open(file + ".log").read())
            time.sleep(0.02)

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def close(self):
        self.p.terminate()
        self.p.wait()


def by_smtplib(port, tls, file, to):
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=60) as c:
            if tls:
                c.starttls(context=ssl._create_unverified_context())
            with open(file, "rb") as f:
                return not c.sendmail(FROM, to, f.read(),
                                      ["BODY=8BITMIME"]), ""
    except smtplib.SMTPException as e:
        return False, repr(e)


def by_swaks(port, tls, file, to):
    # Adds an empty line to a file without a final dot.
    with open(file, "rb") as f, open(file + ".dot", "wb") as g:
        g.write(f.read() + b".\r\n")
    return command("swaks", "--server", "127.0.0.1:%d" % port, "--from", FROM,
                   "--to", ",".join(to), "--data", "@" + file + ".dot",
                   "--hide-send",
                   *(["--tls"] if tls else []))


def by_curl(port, tls, file, to):
    return command("curl", "-sv", "--url", "smtp://127.0.0.1:%d/me" % port,
                   "--mail-from", FROM, "--upload-file", file, "--expect100-"
                   "timeout", 1, *(["--ssl-reqd", "-k"] if tls else []),
                   *[a for t in to for a in ("--mail-rcpt", t)])


def by_nodemailer(port, tls, file, to):
    return command("node", "-e", MAIL_JS, file, port, int(tls), FROM, *to)


def by_msmtp(port, tls, file, to):
    # Ends lines in CRLF by itself; adds fields unless told not to.
    with open(file, "rb") as f:
        p = subprocess.run(
            ["msmtp", "-C", "/dev/null", "--host=127.0.0.1", "--port=%d" %
             port, "--set-date-header=off", "--set-msgid-header=off", *(
                 ["--tls=on", "--tls-certcheck=off"] if tls else []),
             "--from=" + FROM, "--", *to], stdin=f, timeout=60,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return p.returncode == 0, p.stdout.decode(errors="replace")


def by_smtp_source(port, tls, file, to):
    # Numbers the recipients by itself; wants lines that end in LF, and
    # adds an empty one. `port` is a tunnel's when tls is set.
    with open(file, "rb") as f, open(file + ".lf", "wb") as g:
        g.write(f.read().replace(b"\r\n", b"\n"))
    many = ["-r", len(to)] if len(to) > 1 else []
    return command("smtp-source", "-F", file + ".lf", "-f", FROM, "-t",
                   "u@to.example" if many else to[0], *many,
                   "127.0.0.1:%d" % port)


def by(name):
    return globals()["by_" + name.replace("-", "_")]


def has(name):
    if name == "nodemailer":
        return shutil.which("node") and command(
            "node", "-e", "require('nodemailer')")[0]
    return name == "smtplib" or shutil.which(name)
