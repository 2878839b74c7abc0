"""A relay that breaks its promise on purpose: of the messages that it takes
it loses some, sends some twice and changes some, and knows which.

    Proxy(sink_port, lose=N, double=N, change=N): one message in N each.
"""

import re
import smtplib
import socketserver
import threading

SIM_ID = re.compile(rb"^X-Sim-Id: ([0-9a-f]{16})\r$", re.M)


class Session(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def body(self):
        lines = []
        while True:
            line = self.rfile.readline()
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)

    def handle(self):
        self.say("220 proxy.example ESMTP")
        sender, rcpts = "", []
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"EHLO":
                self.say("250-proxy.example\r\n250 8BITMIME")
            elif verb == b"MAIL":
                sender = line.split(b"<")[1].split(b">")[0].decode()
                rcpts = []
                self.say("250 ok")
            elif verb == b"RCPT":
                rcpts.append(line.split(b"<")[1].split(b">")[0].decode())
                self.say("250 ok")
            elif verb == b"DATA":
                self.say("354 go on")
                self.server.proxy.take(sender, rcpts, self.body())
                self.say("250 taken")
            elif verb == b"QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100


class Proxy:
    def __init__(self, sink_port, lose=0, double=0, change=0):
        self.every = {"lose": lose, "double": double, "change": change}
        self.hurt = {"lose": set(), "double": set(), "change": set()}
        self.count = 0
        self.lock = threading.Lock()
        self.sink = smtplib.SMTP("127.0.0.1", sink_port,
                                 local_hostname="proxy.example")
        self.server = Server(("127.0.0.1", 0), Session)
        self.server.proxy = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()

    def fault(self, name, sim_id):
        """Is it this message's turn? Never two faults at once."""
        place = {"lose": 1, "double": 2, "change": 3}[name]
        n = self.every[name]
        if not n or self.count % n != place:
            return False
        self.hurt[name].add(sim_id)
        return True

    def send(self, sender, rcpts, body):
        # smtplib would take CRLF apart and dots away: do it by hand.
        self.sink.ehlo_or_helo_if_needed()
        self.sink.mail(sender)
        for rcpt in rcpts:
            self.sink.rcpt(rcpt)
        self.sink.docmd("DATA")
        self.sink.send(re.sub(rb"(?m)^\.", b"..", body) + b".\r\n")
        code, text = self.sink.getreply()
        assert code == 250, text

    def take(self, sender, rcpts, body):
        with self.lock:
            self.count += 1
            sim_id = SIM_ID.search(body).group(1).decode()
            body = b"Received: by proxy.example\r\n" + body
            if self.fault("lose", sim_id):
                return
            if self.fault("change", sim_id):
                body = body[:-10] + bytes([body[-10] ^ 1]) + body[-9:]
            elif self.fault("double", sim_id):
                self.send(sender, rcpts, body)
            self.send(sender, rcpts, body)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.sink.quit()
