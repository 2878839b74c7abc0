#!/bin/sh
# make bench: how many cache lines an event of the engine finds cold, by kind
# (tests/bench/lines.c says how they are counted). It takes some minutes.
exec "$BUILD/tests/sim/bench_engine_lines" "$@"
