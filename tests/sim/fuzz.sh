#!/bin/sh
# The standard seeds, and those that ever failed: worlds that must hold their
# promises, give the same trace twice, and between them see all that must be
# seen sometimes. Sanitized, a world takes six times as long: fewer of them,
# which cannot have seen everything.
# timeout: 180 1800
# takes: 110
LAST=120
TWICE=8
LARGE=1
SAVED=4
MARKS=--marks
[ "$CHECK" = long ] && LAST=400 TWICE=20 LARGE=10 SAVED=20
case $BUILD in *asan*) LAST=20 TWICE=2 SAVED=2 MARKS= ;; esac
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
run "seeds 1 to $LAST hold" --seeds "1..$LAST" --json $MARKS
n=$((n + 1))
median=$(sed -n 's/.*"attempts":\([0-9]*\).*/\1/p' "$TMP/out" | sort -n |
    awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }')
if [ "${median:-0}" -ge 2000 ] || [ -z "$MARKS" ]; then
	echo "ok $n - a small world sees at least 2,000 attempts"
else
	echo "not ok $n - a small world sees at least 2,000 attempts: $median"
	bad=1
fi
run "the same seed gives the same trace" --seeds "1..$TWICE" --quiet --twice
run "large worlds hold" --size large --seeds "1..$LARGE" --quiet
run "fresh seeds for a second hold" --time 1s --seeds 5000..5000
# A mark that nothing hits is a failure: a world without faults has most.
n=$((n + 1))
"$BUILD/mtasim" fuzz --seed 1 --messages 1 --without crash --marks --quiet --no-shrink \
    >"$TMP/out" 2>&1
if [ $? = 5 ] && grep -q 'crash_in_sync .*NEVER' "$TMP/out" &&
    grep -q 'worlds are too tame' "$TMP/out"; then
	echo "ok $n - a mark that is never hit fails the check"
else
	echo "not ok $n - a mark that is never hit fails the check"
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
