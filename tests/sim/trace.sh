#!/bin/sh
# One seed gives one trace, whatever compiled it: gcc and clang, optimised and
# not, with sanitizers and without.
# timeout: 10 300
# takes: 110
[ "$CHECK" = long ] || exit 77
case $BUILD in *asan* | *tsan*) exit 77 ;; esac
SEEDS=1..12
n=0
bad=0

# The traces that a build gives, by seed.
traces() {
	"$1" fuzz --seeds "$SEEDS" --jobs 2 --json |
	    sed -n 's/{"seed":\([0-9]*\),.*"hash":"\([0-9a-f]*\)".*/\1 \2/p' |
	    sort -n
}

compare() {
	n=$((n + 1))
	traces "$2" >"$TMP/$n" 2>"$TMP/$n.err"
	if [ -s "$TMP/$n" ] && cmp -s "$TMP/0" "$TMP/$n"; then
		echo "ok $n - the same traces: $1"
	else
		echo "not ok $n - the same traces: $1"
		diff "$TMP/0" "$TMP/$n" | head -10 | sed 's/^/# /'
		bad=1
	fi
}

# Another build of mtasim alone.
build() {
	out=$TMP/$1
	shift
	make -C "$TOP" -j2 O="$out" WERROR= "$@" "$out/mtasim" >"$out.log" 2>&1 ||
	    tail -5 "$out.log" | sed 's/^/# /'
}

traces "$BUILD/mtasim" >"$TMP/0"
build gcc-O0 CC=gcc DEBUG=1
compare "gcc, not optimised" "$TMP/gcc-O0/mtasim"
build clang-O2 CC=clang
compare "clang, optimised" "$TMP/clang-O2/mtasim"
# The fuzzers are built of the same objects already, by clang and sanitized.
fuzzing=${BUILD#"$TOP"/}/fuzz
if [ -d "$BUILD/fuzz" ]; then
	make -C "$TOP" -j2 SAN=fuzz O="$fuzzing" "$fuzzing/mtasim" \
	    >"$TMP/fuzz.log" 2>&1 || tail -5 "$TMP/fuzz.log" | sed 's/^/# /'
	compare "clang, with sanitizers" "$BUILD/fuzz/mtasim"
fi
asan=$TOP/build/asan/mtasim
[ -x "$asan" ] && compare "with the address sanitizer" "$asan"
echo "1..$n"
exit $bad
