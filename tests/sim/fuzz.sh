#!/bin/sh
# The standard seeds, and those that ever failed: worlds that must hold their
# promises, give the same trace twice, and between them see all that must be
# seen sometimes. Sanitized, a world takes six times as long: fewer of them,
# which cannot have seen everything.
# timeout: 180 1800
LAST=150
TWICE=8
LARGE=1
SAVED=4
MARKS=--marks
[ "$CHECK" = long ] && LAST=400 TWICE=20 LARGE=10 SAVED=20
case $BUILD in *asan*) LAST=30 TWICE=4 LARGE=1 MARKS= ;; esac
n=0
bad=0

run() {
	n=$((n + 1))
	what=$1
	shift
	if "$BUILD/mtasim" fuzz --no-shrink --jobs 2 "$@" >"$TMP/out" 2>&1; then
		echo "ok $n - $what"
	else
		echo "not ok $n - $what"
		grep -A60 -E 'BROKEN|DIFFERS|NEVER|ERROR' "$TMP/out" | head -80 |
		    sed 's/^/# /'
		bad=1
	fi
}

# A mark that is empty is no argument.
# shellcheck disable=SC2086
run "seeds 1 to $LAST hold" --seeds "1..$LAST" --quiet $MARKS
run "the same seed gives the same trace" --seeds "1..$TWICE" --quiet --twice
run "large worlds hold" --size large --seeds "1..$LARGE" --quiet
run "fresh seeds for a second hold" --time 1s --seeds 5000..5000
# One line for each world, and worth the name.
n=$((n + 1))
median=$("$BUILD/mtasim" fuzz --seeds 1..21 --jobs 2 --json |
    sed -n 's/.*"attempts":\([0-9]*\).*/\1/p' | sort -n | sed -n 11p)
if [ "${median:-0}" -ge 1500 ]; then
	echo "ok $n - a small world sees about 2,000 attempts"
else
	echo "not ok $n - a small world sees about 2,000 attempts: $median"
	bad=1
fi
run "an engine that was saved and loaded goes on as it would have" \
	--seeds "1..$SAVED" --quiet --checkpoint 30
# Seeds that once found a fault.
for seed in $(sed 's/#.*//' tests/sim/seeds.txt); do
	run "seed $seed holds" --seed "$seed" --quiet
done
echo "1..$n"
exit $bad
