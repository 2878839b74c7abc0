"""lone.py HOST PORT N FILE - how long a lone message waits from its final dot to
the 250, beside an overwrite of 4 KB with fdatasync in a pre-written file on the
same disk, measured in turn: message, write, message, write. Prints both medians
in microseconds and their ratio.
"""
import os
import socket
import sys
import time

host, port, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
BLOCKS = 1024
block = b"x" * 4096
fd = os.open(sys.argv[4], os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
for i in range(BLOCKS):
    os.pwrite(fd, block, i * 4096)
os.fsync(fd)
s = socket.create_connection((host, port))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def reply(count=1):
    """Reads `count` whole replies."""
    data = b""
    while True:
        data += s.recv(65536)
        lines = data.split(b"\r\n")
        if len([x for x in lines[:-1] if x[3:4] == b" "]) >= count:
            return data


body = (b"Subject: bench\r\n\r\n" + (b"x" * 76 + b"\r\n") * 52)
reply()
s.sendall(b"EHLO bench.example\r\n")
reply()
took = []
bare = []
for i in range(n):
    s.sendall(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
    reply(3)
    s.sendall(body)
    began = time.perf_counter_ns()
    s.sendall(b".\r\n")
    answer = reply()
    took.append(time.perf_counter_ns() - began)
    if not answer.startswith(b"250"):
        sys.exit("refused: %r" % answer)
    began = time.perf_counter_ns()
    os.pwrite(fd, block, i % BLOCKS * 4096)
    os.fdatasync(fd)
    bare.append(time.perf_counter_ns() - began)
os.unlink(sys.argv[4])
took.sort()
bare.sort()
m, b = took[n // 2] / 1000, bare[n // 2] / 1000
print("lone: message %.1f us, bare write %.1f us, ratio %.2f" % (m, b, m / b))
