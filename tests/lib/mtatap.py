"""Results of a test as TAP."""

import sys


class Tap:
    """Results; the exit code is bad when one of them is."""

    def __init__(self):
        self.n = self.bad = 0

    def ok(self, good, name, detail=""):
        self.n += 1
        self.bad += not good
        print("%sok %d - %s" % ("" if good else "not ", self.n, name))
        if not good and detail != "":
            for line in str(detail)[:1500].splitlines():
                print("# " + line)
        sys.stdout.flush()
        return bool(good)

    def same(self, got, want, name):
        return self.ok(got == want, name,
                       "got %.600r\nwant %.600r" % (got, want))

    def skip(self, name, why):
        self.n += 1
        print("ok %d - %s # SKIP %s" % (self.n, name, why))

    def done(self):
        print("1..%d" % self.n, flush=True)
        sys.exit(1 if self.bad else 0)
