"""A small SMTP receiver for tests; mtasession.py says what a rule is."""

import socket
import ssl
import threading

from mtasession import DROP, SILENT, Session  # noqa: F401


class Sink:
    """Listens at once; .messages is what it took."""

    def __init__(self, rule=None, tls=None, pipelining=True, delay=0,
                 host="127.0.0.1", port=0, exts=()):
        self.rule = rule
        self.delay = delay
        self.pipelining = pipelining
        self.exts = list(exts)    # more lines of the answer to EHLO
        self.messages = []
        self.sessions = []
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.tls = None
        if tls:                   # (certificate, key)
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*tls)
        self.sock = socket.socket(socket.AF_INET6 if ":" in host
                                  else socket.AF_INET)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((host, port))
        self.sock.listen(500)
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.over.is_set():
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s = Session(self, sock)
            with self.lock:
                self.sessions.append(s)
            threading.Thread(target=self.serve, args=(s,),
                             daemon=True).start()

    def serve(self, s):
        try:
            s.run()
        except (OSError, EOFError, ValueError):
            pass
        finally:
            try:
                s.sock.close()
            except OSError:
                pass

    def got(self):
        with self.lock:
            return list(self.messages)

    def to(self, rcpt):
        return [m for m in self.got() if rcpt in m.rcpts]

    def clear(self):
        with self.lock:
            self.messages.clear()

    def close(self):
        self.over.set()
        self.sock.close()
