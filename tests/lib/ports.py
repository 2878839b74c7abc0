"""A port that is free, of a range below those that the kernel gives away: what
runs beside the test takes none of them."""

import os
import socket

RANGE = 2000
asked = [os.getpid()]       # begins somewhere: what just ended may linger


def free_port(host="127.0.0.1"):
    first = int(os.environ.get("PORTS", "0"))
    for _ in range(RANGE):
        asked[0] += 1
        with socket.socket() as s:
            try:
                s.bind((host, first and first + asked[0] % RANGE))
            except OSError:
                continue
            return s.getsockname()[1]
    raise SystemExit("no port of %d is free" % RANGE)
