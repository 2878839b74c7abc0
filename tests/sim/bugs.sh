#!/bin/sh
# A check that cannot fail is a defect: every patch of tests/sim/bugs plants a
# fault in the shipped sources, and `mtasim fuzz` must find it, by the rule
# that the patch names ("# rule:", a pattern), run with the arguments that it
# names ("# args:"). A patch that no longer applies is a failure.
#
# Quick runs a share of them, picked by the commit; long and `make bugs` all.
# The seed that found a fault the last time is tried first (tests/sim/bugs/seeds);
# only when that does not find it are all tried, from 1 on.
# timeout: 240 3600
# takes: 200
#
# Run by hand: BUILD=build tests/sim/bugs.sh [NAME ...]
# --note [NAME ...] searches from 1 on, and writes that file anew.
# --build-only NAME leaves a simulator with that fault at $KEEP.
TOP=${TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
BUILD=${BUILD:-$TOP/build}
TMP=${TMP:-$(mktemp -d)}
SHARE=2        # of the quick check
SEEDS=tests/sim/bugs/seeds
SECONDS_MAX=${SECONDS_MAX:-120} # for one fault, as the issue of it says
cd "$TOP" || exit 1
# The faults are in the same code there; it would only take longer.
case $BUILD in *asan*) exit 77 ;; esac

flags=$(cat "$BUILD/.flags")
libs="-levent${flags#*-levent}"
flags=${flags%%-levent*}

patches() {
	if [ $# -gt 0 ]; then
		for name in "$@"; do echo "tests/sim/bugs/$name.patch"; done
		return
	fi
	[ "$CHECK" = quick ] || { ls tests/sim/bugs/*.patch; return; }
	seed=$(git rev-parse HEAD 2>/dev/null || date +%j)
	for p in tests/sim/bugs/*.patch; do
		echo "$(echo "$seed $p" | cksum | cut -d' ' -f1) $p"
	done | sort -n | head -n "$SHARE" | cut -d' ' -f2
}

# The patched file alone is compiled; linked by name it takes the place of the
# archive's member.
build() {
	file=$(sed -n 's,^+++ b/,,p' "$1")
	mkdir -p "$2/$(dirname "$file")" && cp "$file" "$2/$file" &&
	    patch -s -p1 -d "$2" <"$1" >"$2/log" 2>&1 || return 1
	# Flags are words.
	# shellcheck disable=SC2086
	$flags -o "$2/mtasim" "$2/$file" "$BUILD/obj/mtasim/mtasim.o" \
	    "$BUILD/libmtasim.a" "$BUILD/libmta.a" $libs >"$2/log" 2>&1
}

# The patched simulator of a directory runs on seeds, and says what broke.
hunt() {
	# Arguments are words.
	# shellcheck disable=SC2086
	timeout "$SECONDS_MAX" "$1/mtasim" fuzz --seeds "$2" --quiet \
	    --no-shrink $args >"$1/out" 2>&1
	code=$?
	# Two traces of one seed are a rule broken as well.
	[ "$code" = 6 ] && code=5
	sed -i 's/^\(seed [0-9]*\) DIFFERS: .*/\1 BROKEN: one seed, one trace/' \
	    "$1/out"
	found=$(sed -n 's/^seed [0-9]* BROKEN: //p' "$1/out")
	seed=$(sed -n 's/^seed \([0-9]*\) BROKEN: .*/\1/p' "$1/out")
	[ "$code" = 5 ] && echo "$found" | grep -Exq "$rule"
}

if [ "$1" = --build-only ]; then
	mkdir -p "$TMP" && build "tests/sim/bugs/$2.patch" "$TMP" &&
	    mv "$TMP/mtasim" "$KEEP"
	exit
fi

noted() {
	{ grep -v "^${1% *} " "$SEEDS"; echo "$1"; } 2>/dev/null |
	    sort >"$TMP/seeds"
	cp "$TMP/seeds" "$SEEDS"
}

note=
if [ "$1" = --note ]; then
	note=1
	shift
fi

n=0
bad=0
for patch in $(patches "$@"); do
	n=$((n + 1))
	name=$(basename "$patch" .patch)
	rule=$(sed -n 's/^# rule: //p' "$patch")
	args=$(sed -n 's/^# args: //p' "$patch")
	dir=$TMP/$name
	mkdir -p "$dir"
	began=$(date +%s)
	if ! build "$patch" "$dir"; then
		echo "not ok $n - $name: does not apply or build"
		sed 's/^/# /' "$dir/log"
		bad=1
		continue
	fi
	known=$([ "$note" ] || sed -n "s/^$name //p" "$SEEDS" 2>/dev/null)
	if { [ "$known" ] && hunt "$dir" "$known..$known"; } ||
	    hunt "$dir" 1..100000; then
		took=$(($(date +%s) - began))
		echo "ok $n - $name: seed $seed, $took s: $found"
		[ "$note" ] && noted "$name $seed"
	else
		took=$(($(date +%s) - began))
		echo "not ok $n - $name: exit $code after $took s: ${found:-no rule broken}"
		sed -n '1,12s/^/# /p' "$dir/out"
		bad=1
	fi
	rm -f "$dir/mtasim"
done
echo "1..$n"
exit $bad
