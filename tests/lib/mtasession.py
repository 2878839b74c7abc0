"""The sessions of mtasink.py, an SMTP receiver that writes down what it is
told.

`rule(stage, text, session)` decides: stage is "connect", "EHLO", "MAIL",
"RCPT", "DATA" or "body", text the command's line or the message's octets.
It gives None (accept), a reply line ("550 5.1.1 no"), SILENT (say nothing
ever again) or DROP (close). Only CRLF.CRLF ends a message here.
"""

import time

SILENT = object()
DROP = object()


class Message:
    def __init__(self, session):
        self.session = session
        self.sender = None
        self.mail = ""           # the MAIL command
        self.rcpts = []
        self.rcpt_lines = []     # the RCPT commands
        self.data = b""
        self.time = 0.0

    def below_received(self):
        """The octets below the topmost header field, ours."""
        end = 0
        while True:
            end = self.data.index(b"\r\n", end) + 2
            if self.data[end:end + 1] not in (b" ", b"\t"):
                return self.data[end:]


class Session:
    def __init__(self, sink, sock):
        self.sink = sink
        self.sock = sock
        self.buf = bytearray()
        self.tls = False
        self.lines = []

    def more(self):
        got = self.sock.recv(1 << 18)
        if not got:
            raise EOFError
        self.buf += got

    def line(self):
        at = 0
        while True:
            end = self.buf.find(b"\r\n", max(at - 1, 0))
            if end >= 0:
                line = bytes(self.buf[:end])
                del self.buf[:end + 2]
                self.lines.append(line)
                return line.decode("utf-8", "surrogateescape")
            at = len(self.buf)
            self.more()

    def body(self):
        """A message's octets as sent before dot-stuffing."""
        if self.buf.startswith(b".\r\n"):
            del self.buf[:3]
            return b""
        at = 0
        while True:
            end = self.buf.find(b"\r\n.\r\n", max(at - 4, 0))
            if end >= 0:
                break
            at = len(self.buf)
            self.more()
        data = bytes(self.buf[:end + 2])
        del self.buf[:end + 5]
        if data.startswith(b"."):
            data = data[1:]
        return data.replace(b"\r\n.", b"\r\n")

    def say(self, text):
        self.sock.sendall(text.encode() + b"\r\n")

    def ask(self, stage, text, good):
        """Apply the rule, answer; was it good?"""
        answer = self.sink.rule(stage, text, self) if self.sink.rule else None
        if answer is SILENT:
            self.sink.over.wait()
            raise EOFError
        if answer is DROP:
            raise EOFError
        self.say(answer or good)
        if answer and answer.startswith("421"):
            raise EOFError
        return not answer or answer.startswith("2")

    def ehlo(self, verb, line):
        more = ["sink.example"]
        if verb == "EHLO":
            more += ["8BITMIME", "SIZE 104857600", "ENHANCEDSTATUSCODES"]
            more += ["PIPELINING"] if self.sink.pipelining else []
            more += self.sink.exts
            more += ["STARTTLS"] if self.sink.tls and not self.tls else []
        lines = ["250-" + m for m in more[:-1]] + ["250 " + more[-1]]
        self.ask("EHLO", line, "\r\n".join(lines))

    def run(self):
        m = Message(self)
        if not self.ask("connect", "", "220 sink.example ESMTP"):
            return
        while True:
            line = self.line()
            verb = line.split(" ")[0].upper()
            if verb in ("EHLO", "HELO"):
                self.ehlo(verb, line)
            elif verb == "STARTTLS" and self.sink.tls:
                self.say("220 2.0.0 go ahead")
                self.sock = self.sink.tls.wrap_socket(self.sock,
                                                      server_side=True)
                self.tls = True
            elif verb == "MAIL":
                m = Message(self)
                if self.ask("MAIL", line, "250 2.1.0 ok"):
                    m.mail = line
                    m.sender = line[line.index("<") + 1:line.index(">")]
            elif verb == "RCPT":
                if m.sender is None:
                    self.say("503 5.5.1 MAIL first")
                elif self.ask("RCPT", line, "250 2.1.5 ok"):
                    m.rcpt_lines.append(line)
                    m.rcpts.append(line[line.index("<") + 1:
                                        line.index(">")])
            elif verb == "DATA":
                if not m.rcpts:
                    self.say("503 5.5.1 no recipient")
                elif self.ask("DATA", line, "354 go on"):
                    self.data(m)
                    m = Message(self)
            elif verb == "RSET":
                m = Message(self)
                self.say("250 2.0.0 ok")
            elif verb == "QUIT":
                self.say("221 2.0.0 bye")
                return
            else:
                self.say("500 5.5.2 what?")

    def data(self, m):
        m.data = self.body()
        m.time = time.time()
        if self.sink.delay:
            time.sleep(self.sink.delay)
        # Written down first: what is accepted is seen.
        with self.sink.lock:
            self.sink.messages.append(m)
        try:
            good = self.ask("body", m.data, "250 2.0.0 taken")
        except OSError:
            return
        if not good:
            with self.sink.lock:
                self.sink.messages.remove(m)
