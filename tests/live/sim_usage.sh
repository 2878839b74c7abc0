#!/bin/sh
# Help fits a screen, and wrong usage is told and exits 2.
# parallel: measures no time
sim=$BUILD/mtasim
n=0
bad=0

result() {
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		bad=1
	fi
}

for command in '' sink dns world load verify fuzz; do
	# Words, one of which may be empty.
	# shellcheck disable=SC2086
	"$sim" $command --help >"$TMP/help" 2>&1
	result $? "mtasim $command --help"
	wide=$(awk 'length > 80' "$TMP/help")
	[ -z "$wide" ]
	result $? "mtasim $command --help is 80 columns wide at most"
	[ "$(wc -l <"$TMP/help")" -le 45 ]
	result $? "mtasim $command --help fits a screen"
done

fails() {
	"$sim" "$@" >"$TMP/out" 2>"$TMP/err"
	[ $? = 2 ] && [ -s "$TMP/err" ]
	result $? "wrong usage: $*"
}
fails
fails nonsense
fails sink
fails sink --listen nowhere
fails sink --listen 127.0.0.1:0 --reply eom:5:451
fails sink --listen 127.0.0.1:0 --reply
fails sink --listen 127.0.0.1:0 --silent=yes
fails sink --listen 192.0.2.1:2500
fails sink --listen 127.0.0.1:0 --journal /nowhere/at/all
fails dns --zone 'x.example A somewhere'
fails dns /nowhere/at/all
fails world
fails load --target 127.0.0.1:2500
fails load --count 5
fails load --target 127.0.0.1:2500 --count 5 --recipients 101
fails load --target 127.0.0.1:2500 --count 5 --size big
fails verify
fails verify --load /nowhere/at/all
fails verify --unheard-of

"$sim" version | grep -q '^mtasim [0-9]'
result $? "mtasim version"
grep -q 'mtasim' "$TOP/share/man/man1/mtasim.1"
result $? "there is a manual"
for option in $("$sim" sink --help; "$sim" dns --help; "$sim" world --help
	"$sim" load --help; "$sim" verify --help); do
	case $option in
	--[a-z]*)
		grep -q -e "${option#--}" "$TOP/share/man/man1/mtasim.1" ||
		    { echo "# $option is not in the manual"; missing=yes; } ;;
	esac
done
[ -z "${missing:-}" ]
result $? "every option is in the manual"
echo "1..$n"
exit $bad
