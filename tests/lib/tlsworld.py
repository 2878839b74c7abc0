"""A world for tests of TLS: a certificate authority, certificates, and DNS with a
signed root, served by BIND. Names that are to be looked up end in ".example".
"""

import hashlib
import os
import shutil
import socket
import subprocess

from mtalib import path, wait_for
from ports import free_port

SOA = "$TTL 300\n@ SOA ns.example. x.example. 1 3600 600 86400 60\n" \
      "@ NS ns.example.\n"
PAST = ["-P", "-s", "20200101000000", "-e", "20200201000000"]


def has_tools():
    return all(shutil.which(x) for x in ("named", "dnssec-signzone",
                                         "dnssec-keygen", "openssl"))


def run(*argv, **more):
    return subprocess.run(argv, check=True, cwd=path(""),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, **more).stdout


# ---- certificates ----------------------------------------------------------

def new_key(name, rsa=False):
    key = path(name + ".key")
    kind = ["rsa"] if rsa else ["ec", "-pkeyopt",
                                "ec_paramgen_curve:prime256v1"]
    run("openssl", "genpkey", "-algorithm", *kind, "-out", key)
    return key


def authority(name="ca"):
    """Makes a CA; the file of its certificate."""
    cert = path(name + ".pem")
    run("openssl", "req", "-x509", "-key", new_key(name), "-out", cert,
        "-days", "30", "-subj", "/CN=" + name, "-addext",
        "basicConstraints=critical,CA:TRUE")
    return cert


def certificate(name, hosts, ca="ca", expired=False, rsa=False):
    """(certificate, key) for some host names; ca None: signed by itself."""
    key, cert, csr = new_key(name, rsa), path(name + ".pem"), \
        path(name + ".csr")
    ext = path(name + ".ext")
    with open(ext, "w") as f:
        f.write("subjectAltName=" + ",".join("DNS:" + h for h in hosts))
    run("openssl", "req", "-new", "-key", key, "-out", csr, "-subj",
        "/CN=" + name)
    by = ["-signkey", key] if ca is None else [
        "-CA", path(ca + ".pem"), "-CAkey", path(ca + ".key"),
        "-CAcreateserial"]
    run("openssl", "x509", "-req", "-in", csr, "-out", cert, "-extfile", ext,
        "-days", "-1" if expired else "30", *by)
    if ca is not None:
        with open(cert, "a") as f, open(path(ca + ".pem")) as c:
            f.write(c.read())
    return cert, key


def key_hash(cert):
    """SHA-256 of a certificate's public key, as in TLSA x 1 1."""
    pub = run("openssl", "x509", "-in", cert, "-noout", "-pubkey")
    der = run("openssl", "pkey", "-pubin", "-outform", "DER",
              "-in", write("pub", pub))
    return hashlib.sha256(der).hexdigest()


def write(name, data):
    with open(path(name), "wb") as f:
        f.write(data)
    return path(name)


# ---- names -----------------------------------------------------------------

class Zones:
    """Zones below example., as text; some signed, some of these long ago. A
    parent has delegations to its children, signed ones with their DS."""

    def __init__(self):
        self.text = {"": "", "example": "ns A 127.0.0.1\n"}
        self.unsigned = set()
        self.late = set()
        self.port = free_port()
        self.named = None

    def add(self, zone, text, signed=True, late=False):
        self.text[zone] = self.text.get(zone, "") + text
        if not signed:
            self.unsigned.add(zone)
        if late:
            self.late.add(zone)

    def parent(self, zone):
        while "." in zone:
            zone = zone.split(".", 1)[1]
            if zone in self.text:
                return zone
        return ""

    def sign(self, zone):
        """Writes a zone below all that it delegates."""
        text = SOA + self.text[zone]
        for child in self.text:
            if child and self.parent(child) == zone:
                text += "%s. NS ns.example.\n" % child + self.sign(child)
        if not zone:
            text += "ns.example. A 127.0.0.1\n"
        file = path("zone" + (zone or "root"))
        with open(file, "w") as f:
            f.write(text)
        if zone in self.unsigned:
            return ""
        key = run("dnssec-keygen", "-K", path(""), "-a", "ECDSAP256SHA256",
                  "-f", "KSK", zone + ".", text=True).strip()
        with open(file, "a") as f:
            f.write("$INCLUDE %s\n" % path(key + ".key"))
        run("dnssec-signzone", "-z", "-K", path(""), "-o", zone + ".", "-f",
            file + ".s", *(PAST if zone in self.late else []), file)
        os.rename(file + ".s", file)
        if not zone:
            shutil.copy(path(key + ".key"), path("anchor"))
        return run("dnssec-dsfromkey", path(key + ".key"), text=True)

    def serve(self):
        self.sign("")
        with open(path("named.conf"), "w") as f:
            f.write("""options { directory "%s"; listen-on port %d { 127.0.0.1; };
listen-on-v6 { none; }; recursion no; pid-file none; session-keyfile none;
dnssec-validation no; };
controls {};\n""" % (path(""), self.port))
            for zone in self.text:
                f.write('zone "%s." { type primary; file "%s"; };\n'
                        % (zone, path("zone" + (zone or "root"))))
        self.named = subprocess.Popen(
            ["named", "-g", "-n", "1", "-c", path("named.conf")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=open(path("named.log"), "w"))
        if not wait_for(self.answers, 15):
            raise SystemExit(open(path("named.log")).read()[-2000:])
        return self

    def serial(self, zone):
        """Of the zone as it is served; 0 if it is not."""
        labels = b"".join(bytes([len(x)]) + x.encode()
                          for x in zone.split("."))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(.2)
            s.connect(("127.0.0.1", self.port))
            try:
                s.send(b"\0\1\0\0\0\1\0\0\0\0\0\0" + labels +
                       b"\0\0\6\0\1")
                got = s.recv(4096)
            except OSError:
                return 0
        # Behind two names that end in a pointer: the first of five numbers.
        at = got.find((3600).to_bytes(4, "big"))
        return int.from_bytes(got[at - 4:at], "big") if at > 0 else 0

    def answers(self):
        return self.serial("example") > 0

    def stop(self):
        if self.named:
            self.named.terminate()
            self.named.wait(10)
