"""Rooms, their levels, and what follows from them."""

LEVEL = {
    "base": 0,
    "mail": 1,
    "proto": 2, "engine": 2, "stats": 2,
    "spool": 3, "conf": 3, "crypt": 3,
    "relay": 4, "net": 4, "store": 4, "cluster": 4, "control": 4,
    "daemon": 5,
}
# engine, proto and spool meet in relay/ alone, and stay ignorant of each
# other below it.
NEVER = {"spool": {"proto", "engine"}}
# The viewer looks through the snapshot and the counter.
TOP_MAY = {"base", "mail", "stats", "control"}
# The simulator is the other driver: all but the first driver's own room.
SIM_MAY = set(LEVEL) - {"daemon"}


def may(room):
    """Rooms of mtad/ that a room of mtad/ may include."""
    level = LEVEL[room]
    low = {r for r in LEVEL if LEVEL[r] < level}
    return (low | {room}) - NEVER.get(room, set())
