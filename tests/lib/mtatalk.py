"""A client that says octets and reads replies, for tests of the door."""

import re
import socket
import ssl


class Talk:
    """One session; a reply is its lines joined by LF, "" once the other side
    has closed."""

    def __init__(self, port, hello=True, bind=None, timeout=10):
        self.s = socket.create_connection(
            ("127.0.0.1", port), timeout, (bind, 0) if bind else None)
        self.f = self.s.makefile("rb")
        self.banner = self.reply()
        if hello:
            self.ehlo = self.say("EHLO client.example")

    def reply(self):
        lines = []
        while True:
            try:
                line = self.f.readline().decode()
            except ConnectionError:
                line = ""
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    def send(self, octets):
        self.s.sendall(octets)

    def say(self, line):
        if isinstance(line, str):
            line = line.encode()
        self.s.sendall(line + b"\r\n")
        return self.reply()

    def begin(self, rcpt="a@to.example", sender="s@from.example"):
        return [self.say(x) for x in ("MAIL FROM:<%s>" % sender,
                                      "RCPT TO:<%s>" % rcpt, "DATA")]

    def mail(self, text="Subject: x\r\n\r\nx\r\n", **of):
        """A whole transaction; the last reply."""
        for got in self.begin(**of):
            if got[:1] not in ("2", "3"):
                return got
        self.s.sendall(text.encode() if isinstance(text, str) else text)
        return self.say(".")

    def starttls(self):
        """STARTTLS and the handshake; what was said to STARTTLS."""
        got = self.say("STARTTLS")
        if got.startswith("220"):
            self.handshake()
        return got

    def handshake(self):
        self.s = ssl._create_unverified_context().wrap_socket(self.s)
        self.f = self.s.makefile("rb")

    def is_closed(self):
        """Nothing more comes, and the other side has closed."""
        try:
            return self.f.read() == b""
        except (ConnectionError, TimeoutError):
            return False

    def close(self):
        self.f.close()
        self.s.close()


def is_reply(got, want):
    """Is it like "550 5.7.1"; "550 5" is any enhanced code of class 5, and
    every line of it carries one."""
    code, _, more = want.partition(" ")
    if "." in more:
        enh = re.escape(more)
    else:
        enh = more + r"\.\d+\.\d+"
    return all(re.match(code + "[ -]" + enh + "( |$)", line)
               for line in got.split("\n"))
