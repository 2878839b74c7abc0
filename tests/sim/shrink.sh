#!/bin/sh
# What a failure says: with a fault planted, the rule and its two facts, the
# story, the command that repeats it, and a shorter run that still fails.
# timeout: 120
case $BUILD in *asan*) exit 77 ;; esac
n=0
bad=0

check() {
	n=$((n + 1))
	what=$1
	shift
	if "$@" >"$TMP/log" 2>&1; then
		echo "ok $n - $what"
	else
		echo "not ok $n - $what"
		head -5 "$TMP/log" | sed 's/^/# /'
		bad=1
	fi
}

says() {
	grep -Eq "$1" "$TMP/out"
}

is_shorter() {
	sed -n 's/.*fails: \([0-9]*\) events of \([0-9]*\),.*/\1 \2/p' \
	    "$TMP/out" | { read -r a b && [ "$a" -lt "$b" ]; }
}

# The command below a line of the report, run again: its exit code and rule.
again() {
	command=$(grep -A1 "$1" "$TMP/out" | sed -n 's/^  mtasim //p')
	# The command is words.
	# shellcheck disable=SC2086
	"$TMP/mtasim" $command --no-shrink --quiet >"$TMP/again" 2>&1
	[ $? = 5 ] && grep -qF "BROKEN: $RULE" "$TMP/again"
}

KEEP=$TMP/mtasim TOP=$TOP BUILD=$BUILD TMP=$TMP/bug \
    tests/sim/bugs.sh --build-only engine-connection-cap >"$TMP/log" 2>&1
check "a fault is planted" [ -x "$TMP/mtasim" ]
RULE="no limit is exceeded: connections"
"$TMP/mtasim" fuzz --seeds 1..100 --quiet >"$TMP/out" 2>&1
code=$?
check "a broken promise is exit 5" [ "$code" = 5 ]
check "the seed and the rule are named" says "^seed [0-9]+ BROKEN: $RULE"
check "two facts contradict each other" says "^  but at most [0-9]+ are allowed"
check "the story is told" says "^ *[0-9.]+ +[0-9]+ +(m[0-9]+)? .*(started|assigned)"
check "the command repeats it" again "^again:"
check "a shorter run is found" is_shorter
check "it fails in the same way" again "^the shortest run"
echo "1..$n"
exit $bad
