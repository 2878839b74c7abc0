#!/bin/sh
# The standard worlds of mtasim fuzz: nothing that the daemon promises breaks,
# and the same seed is the same run.
# timeout: 60 300
n=40
[ "$CHECK" = long ] && n=400
"$BUILD/mtasim" fuzz --seeds "1..$n" --quiet --no-shrink || exit 1
exec "$BUILD/mtasim" fuzz --seeds 1..5 --twice --quiet
