#!/bin/sh
# The standard seeds, and those that ever failed: worlds that must hold their
# promises, give the same trace twice, and between them see all that must be
# seen sometimes.
# timeout: 180 1800
LAST=150
[ "$CHECK" = long ] && LAST=600
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
		grep -A60 -E 'BROKEN|DIFFERS|NEVER' "$TMP/out" | head -80 | sed 's/^/# /'
		bad=1
	fi
}

run "seeds 1 to $LAST hold" --seeds "1..$LAST" --quiet --marks
run "the same seed gives the same trace" --seeds 1..20 --quiet --twice
run "an engine that was saved and loaded goes on as it would have" \
	--seeds 1..10 --quiet --checkpoint 30
# Seeds that once found a fault.
for seed in $(sed 's/#.*//' tests/sim/seeds.txt); do
	run "seed $seed holds" --seed "$seed" --quiet
done
echo "1..$n"
exit $bad
