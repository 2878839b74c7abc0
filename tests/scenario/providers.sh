#!/bin/sh
# Every scenario of this folder, on the real engine in virtual time.
exec "$BUILD/mtasim" scenario "$TOP"/tests/scenario/*.scn
