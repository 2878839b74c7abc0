"""Power loss on a real spool: takes back, sector by sector and by the dice,
what mtad wrote and did not sync. The diary is that of crash_at.c."""

import os
import struct
import subprocess

SECTOR = 512
HEAD = struct.Struct("=4Q")


def build_shim(tmp):
    so = os.path.join(tmp, "crash_at.so")
    src = os.path.join(os.path.dirname(__file__), "crash_at.c")
    subprocess.run([os.environ.get("CC", "cc"), "-D_GNU_SOURCE", "-O2",
                    "-shared", "-fPIC", "-o", so, src, "-ldl"], check=True)
    return so


def unsynced(diary):
    """(file, offset, old bytes) of each write since the file's last sync."""
    pending = []
    with open(diary, "rb") as f:
        data = f.read()
    at = 0
    while at + HEAD.size <= len(data):
        file, off, n, _ = HEAD.unpack_from(data, at)
        at += HEAD.size
        if file >= 1 << 63:                       # a mark: it is synced
            file = (1 << 64) - file
            pending = [p for p in pending if p[0] != file]
            continue
        pending.append((file, off, data[at:at + n]))
        at += n
    return pending


def lose(spool, diary, dice):
    """Drops about half of the sectors that were not synced; all of them, or
    none, now and then. Returns how many were dropped and how many there were.
    """
    share = dice.choice([0.5, 0.5, 0.5, 0.9, 0.1, 1.0])
    dropped = total = 0
    kept = set()
    for file, off, old in reversed(unsynced(diary)):
        with open("%s/%08d.seg" % (spool, file), "r+b") as f:
            first, last = off // SECTOR, (off + max(len(old), 1) - 1) // SECTOR
            for s in range(first, last + 1):
                total += 1
                if (file, s) in kept or dice.random() >= share:
                    kept.add((file, s))
                    continue
                a = max(s * SECTOR, off)
                b = min((s + 1) * SECTOR, off + len(old))
                f.seek(a)
                f.write(old[a - off:b - off])
                dropped += 1
    open(diary, "w").close()
    return dropped, total
