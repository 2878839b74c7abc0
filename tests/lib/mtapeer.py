"""A next hop for tests that can do more than mtasink.py: AUTH, BDAT, LMTP, TLS
at once, REQUIRETLS, and certificates of clients.

What it offers is `offers`, a list of lines of EHLO; those of SASL that it takes
are in `auth` (name to password), by PLAIN and LOGIN, and SCRAM-SHA-256 when
`scram` is "good"; "lies" says 235 to whoever asks for it. A message that came by
BDAT has `.chunks`, the numbers of bytes.
"""

import base64
import hashlib
import hmac
import os
import socket
import ssl
import threading

from mtasession import DROP, Message, Session  # noqa: F401
from mtasink import Sink


def b64(data):
    return base64.b64encode(data).decode()


def mac(key, text):
    return hmac.new(key, text, hashlib.sha256).digest()


class PeerSession(Session):
    login = None                 # who logged in, by what
    peer_name = None             # of the client's certificate

    def secure(self):
        self.sock = self.sink.tls.wrap_socket(self.sock, server_side=True)
        self.tls = True
        cert = self.sock.getpeercert() or {}
        self.peer_name = dict(x[0] for x in cert.get("subject", ())).get(
            "commonName")

    def exactly(self, n):
        while len(self.buf) < n:
            self.more()
        data = bytes(self.buf[:n])
        del self.buf[:n]
        return data

    def ehlo(self, verb, line):
        more = ["peer.example"]
        if verb != "HELO":
            more += self.sink.offers
            more += ["PIPELINING"] if self.sink.pipelining else []
            more += ["STARTTLS"] if self.sink.tls and not self.tls else []
        lines = ["250-" + m for m in more[:-1]] + ["250 " + more[-1]]
        self.ask("EHLO", line, "\r\n".join(lines))

    def challenge(self, text=b""):
        self.say("334 " + b64(text))
        return base64.b64decode(self.line())

    def authenticate(self, line):
        how, _, first = line.partition(" ")[2].partition(" ")
        if how == "PLAIN":
            _, name, word = base64.b64decode(first).split(b"\0")
        elif how == "LOGIN":
            name = self.challenge(b"Username:")
            word = self.challenge(b"Password:")
        elif self.sink.scram == "lies":
            self.say("235 2.7.0 of course")
            return
        else:
            name, ok = self.scram(base64.b64decode(first).decode())
            word = self.sink.auth.get(name, "").encode() if ok else b"\0"
            name = name.encode()
        if self.sink.auth.get(name.decode()) != word.decode():
            self.say("535 5.7.8 wrong")
            return
        self.login = (name.decode(), how)
        self.say("235 2.7.0 welcome")

    def scram(self, first):
        bare = first[3:]
        said = dict(x.split("=", 1) for x in bare.split(","))
        name = said["n"].replace("=2C", ",").replace("=3D", "=")
        salt, rounds = os.urandom(12), 4096
        server = "r=%s%s,s=%s,i=%d" % (said["r"], b64(os.urandom(9)),
                                       b64(salt), rounds)
        last = self.challenge(server.encode()).decode()
        without, proof = last.rsplit(",p=", 1)
        word = self.sink.auth.get(name, "").encode()
        salted = hashlib.pbkdf2_hmac("sha256", word, salt, rounds)
        both = ",".join((bare, server, without)).encode()
        client = mac(salted, b"Client Key")
        want = bytes(a ^ b for a, b in zip(
            client, mac(hashlib.sha256(client).digest(), both)))
        if base64.b64decode(proof) != want:
            return name, False
        self.challenge(b"v=" + b64(mac(mac(salted, b"Server Key"),
                                       both)).encode())
        return name, True

    def chunk(self, m, line):
        n, _, last = line[5:].partition(" ")
        m.data += self.exactly(int(n))
        m.chunks.append(int(n))
        if not m.rcpts:
            self.say("503 5.5.1 no recipient")
        elif last:
            self.taken(m)
        else:
            self.say("250 2.0.0 more")

    def taken(self, m):
        """Written down first: what is accepted is seen."""
        with self.sink.lock:
            self.sink.messages.append(m)
        for rcpt in m.rcpts if self.sink.lmtp else m.rcpts[:1]:
            self.ask("body", rcpt if self.sink.lmtp else m.data,
                     "250 2.0.0 taken")

    def run(self):
        m = self.fresh()
        if self.sink.implicit:
            self.secure()
        if not self.ask("connect", "", "220 peer.example ESMTP"):
            return
        while True:
            line = self.line()
            verb = line.split(" ")[0].upper()
            if verb in (("LHLO",) if self.sink.lmtp else ("EHLO", "HELO")):
                self.ehlo(verb, line)
            elif verb == "STARTTLS" and self.sink.tls:
                self.say("220 2.0.0 go ahead")
                self.secure()
            elif verb == "AUTH" and self.sink.auth is not None:
                self.authenticate(line)
            elif verb == "MAIL":
                m = self.fresh()
                if self.ask("MAIL", line, "250 2.1.0 ok"):
                    m.mail = line
                    m.sender = line[line.index("<") + 1:line.index(">")]
            elif verb == "RCPT":
                if self.ask("RCPT", line, "250 2.1.5 ok"):
                    m.rcpts.append(line[line.index("<") + 1:
                                        line.index(">")])
            elif verb == "BDAT" and "CHUNKING" in self.sink.offers:
                self.chunk(m, line)
            elif verb == "DATA":
                if not m.rcpts:
                    self.say("503 5.5.1 no recipient")
                elif self.ask("DATA", line, "354 go on"):
                    m.data = self.body()
                    self.taken(m)
            elif verb == "RSET":
                m = self.fresh()
                self.say("250 2.0.0 ok")
            elif verb == "QUIT":
                self.say("221 2.0.0 bye")
                return
            else:
                self.say("500 5.5.2 what?")

    def fresh(self):
        m = Message(self)
        m.chunks = []
        return m


class Peer(Sink):
    def __init__(self, offers=(), auth=None, scram=None, lmtp=False,
                 implicit=False, clients_ca=None, unix=None, **more):
        self.offers = list(offers)
        self.auth, self.scram, self.lmtp = auth, scram, lmtp
        self.implicit = implicit
        super().__init__(**more)
        if clients_ca:
            self.tls.load_verify_locations(clients_ca)
            self.tls.verify_mode = ssl.CERT_OPTIONAL
        if unix:
            self.sock.close()
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.bind(unix)
            self.sock.listen(50)
            threading.Thread(target=self.accept_unix, daemon=True).start()

    def accept_unix(self):
        while not self.over.is_set():
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(Session(self, sock),),
                             daemon=True).start()

    def serve(self, s):
        p = PeerSession(self, s.sock)
        with self.lock:
            self.sessions = [x for x in self.sessions if x is not s] + [p]
        super().serve(p)
