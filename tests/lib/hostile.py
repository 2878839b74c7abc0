"""Hosts that misbehave, each kind on an address of its own, one thread for
all of them. A kind is a coroutine that is given the two ends of a connection;
it ends when the peer goes."""

import asyncio
import socket
import struct
import threading


async def silent(r, w):
    """Accepts, and says nothing."""
    await r.read()


async def reset(r, w):
    """Accepts, and resets."""
    sock = w.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 0))
    w.transport.abort()


async def drip(r, w):
    """A greeting without an end, an octet a second."""
    while True:
        w.write(b"2" if r.at_eof() else b"220-slow\r\n"[:1])
        await w.drain()
        await asyncio.sleep(1)


async def greet(r, w, *offers):
    """Up to the answer to EHLO."""
    w.write(b"220 mx.hostile.example\r\n")
    await r.readline()
    lines = ("mx.hostile.example",) + offers
    for i, line in enumerate(lines):
        sep = " " if i + 1 == len(lines) else "-"
        w.write(("250%s%s\r\n" % (sep, line)).encode())


async def stall_tls(r, w):
    """Agrees to STARTTLS and never answers the handshake."""
    await greet(r, w, "STARTTLS")
    if (await r.readline()).upper().startswith(b"STARTTLS"):
        w.write(b"220 go ahead\r\n")
    await r.read()


async def stall_mail(r, w):
    """Greets, and never answers MAIL."""
    await greet(r, w, "PIPELINING")
    await r.read()


class Hostile:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.taken = {}         # address: connections accepted
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def listen(self, host, port, kind):
        async def serve(r, w):
            self.taken[host] = self.taken.get(host, 0) + 1
            try:
                await kind(r, w)
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                w.close()

        return asyncio.run_coroutine_threadsafe(
            asyncio.start_server(serve, host, port, backlog=1000),
            self.loop).result()
