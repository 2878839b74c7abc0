#!/bin/sh
# Sees every rule of the lint fail for a planted violation, and pass without.
# A small house of its own is built in TMP; the tree itself is not touched.
here=$(cd "$(dirname "$0")" && pwd)
tmp=${TMP:-$(mktemp -d)}
tree=$tmp/house
export LINT_ROOT="$tree" O=build
unset BUILD
CC=${CC:-gcc}
n=0
status=0

# A house that keeps every rule.
build_house() {
	rm -rf "$tree"
	mkdir -p "$tree"/mtad/base "$tree"/mtad/mail "$tree"/mtad/proto \
	    "$tree"/mtad/engine "$tree"/mtad/spool "$tree"/mtad/relay \
	    "$tree"/mtad/net "$tree"/mtad/daemon "$tree"/mtatop/view \
	    "$tree"/mtasim/world "$tree"/tests/unit || exit 1
	cp "$here/../../.clang-format" "$tree/"
	echo '/* Bans. */' >"$tree/mtad/base/banned.h"
	for room in base mail proto engine spool relay net daemon; do
		{
			echo "/* The door of $room. */"
			echo "#ifndef $room""_H"
			echo "#define $room""_H"
			[ $room != base ] || echo '#include "base/banned.h"'
			echo "int $room""_one(void);"
			echo "#endif"
		} >"$tree/mtad/$room/$room.h"
		cat >"$tree/mtad/$room/one.c" <<-EOF
			/* A room that says one. */
			#include "$room/$room.h"

			int
			${room}_one(void)
			{
			 return 1;
			}
		EOF
		# The document's tabs were eaten with the indentation.
		sed 's/^ /	/' "$tree/mtad/$room/one.c" >"$tree/new"
		mv "$tree/new" "$tree/mtad/$room/one.c"
		cp "$tree/mtad/$room/$room.h" "$tree/mtad/$room/own_i.h"
	done
	echo '#include "relay/relay.h"' >"$tree/mtasim/world/world.h"
	echo '#include "mail/mail.h"' >"$tree/mtatop/view/view.h"
	printf '#include <stddef.h>\n#include "base/own_i.h"\n' \
	    >"$tree/tests/unit/test_one.c"
}

compile() {
	(cd "$tree" && find mtad -name '*.c' | while read -r c; do
		mkdir -p "build/obj/${c%/*}" &&
		    $CC -D_GNU_SOURCE -O1 -Imtad -c -w -o \
		    "build/obj/${c%.c}.o" "$c" || exit 1
	done)
}

# verdict RULE ok|fails WHAT [FILE]: run a rule and compare; one that fails
# must name the file.
verdict() {
	n=$((n + 1))
	if said=$("$here/run" "$1" 2>&1); then
		got=ok
	else
		got="fails without a word on $4"
		case $said in *"# $4:"*) got=fails ;; esac
	fi
	case $said in *SKIP*) echo "ok $n - $1: $3 # SKIP"; return ;; esac
	if [ "$got" = "$2" ]; then
		echo "ok $n - $1 $2: $3"
	else
		echo "not ok $n - $1 $2: $3"
		echo "$said" | sed 's/^/# /'
		status=1
	fi
}

# plant RULE FILE WHAT TEXT: add the text to a file and expect a failure; the
# file is as before when the next one is planted.
plant() {
	rm -f "$tmp/kept"
	[ ! -e "$tree/$2" ] || cp "$tree/$2" "$tmp/kept"
	printf '%b\n' "$4" >>"$tree/$2"
	[ "$1" != symbols ] || compile
	verdict "$1" fails "$3" "$2"
	rm -f "$tree/$2"
	[ ! -e "$tmp/kept" ] || cp "$tmp/kept" "$tree/$2"
}

# include FILE HEADER: plant an include that breaks the law of arrows.
include() {
	plant arrows "$1" "$1 includes $2" "#include \"$2\""
}

# call ROOM DECLARATION CALL: plant a call of something impure.
call() {
	plant symbols "mtad/$1/one.c" "$1 calls ${3%%(*}" \
	    "$2\nint planted(void);\nint\nplanted(void)\n{
		return (int)(long)$3;\n}"
}

# tidy RULE FILE WHAT TEXT: what looks like a violation and is none.
tidy() {
	cp "$tree/$2" "$tmp/kept"
	printf '%b\n' "$4" >>"$tree/$2"
	verdict "$1" ok "$3"
	cp "$tmp/kept" "$tree/$2"
}

build_house
compile || { echo "Bail out! the house does not compile"; exit 1; }
for rule in arrows headers symbols banned format size outside; do
	verdict $rule ok "a tidy house"
done

include mtad/base/one.c mail/mail.h
include mtad/engine/one.c proto/proto.h
include mtad/proto/one.c engine/engine.h
include mtad/spool/one.c engine/engine.h
include mtad/spool/one.c proto/proto.h
include mtad/engine/engine.h spool/spool.h
include mtad/net/one.c relay/relay.h
include mtad/relay/one.c net/net.h
include mtad/net/one.c daemon/daemon.h
include mtatop/view/view.h engine/engine.h
include mtatop/view/view.h relay/relay.h
include mtasim/world/world.h daemon/daemon.h
include mtad/daemon/one.c engine/own_i.h
include mtasim/world/world.h relay/own_i.h
include mtad/mail/one.c mail.h
include mtad/mail/one.c ../base/base.h
plant arrows mtad/mail/one.c "our header in angle brackets" \
    '#include <base/base.h>'
mkdir "$tree/mtad/cellar"
plant arrows mtad/cellar/x.c "a room without a level" \
    'int x;'
rmdir "$tree/mtad/cellar"

plant headers mtad/mail/mail.h "a type that nobody included" \
    'struct buf *b(size_t n);'
plant headers mtad/mail/noguard.h "no guard" \
    'struct s {\n\tint a;\n};\n'

call engine '#include <time.h>' 'time(NULL)'
call engine '#include <time.h>' 'clock_gettime(0, NULL)'
call proto '#include <stdlib.h>' 'random()'
call mail '#include <stdlib.h>' 'malloc(7)'
call spool '#include <unistd.h>' 'fsync(1)'
call relay '#include <stdio.h>' 'puts("x")'
call base '#include <pthread.h>' 'pthread_self()'
call engine 'int net_one(void);' 'net_one()'
call engine 'int proto_one(void);' 'proto_one()'

for f in strcpy strcat sprintf vsprintf strncpy strncat strtok gets atoi \
    atol alloca localtime gmtime rand random srand strerror; do
	plant banned mtad/net/one.c "$f()" \
	    "void *p = $f (x);"
done
plant banned tests/unit/test_one.c "in a test" \
    'x = strcpy(a, b);'
echo '/* empty */' >"$tree/mtad/base/base.h"
verdict banned fails "base.h without banned.h" mtad/base/base.h
build_house

plant format mtad/mail/one.c "stray blanks" \
    'int   planted ;'
plant format mtad/mail/one.c "another style" \
    'int\nplanted(int a) {\n    return a;\n}\n'
plant format tests/unit/x.py "blanks at a line's end" \
    'x = 1 \n'

plant size mtad/mail/one.c "a file of 1,001 lines" \
    "$(awk 'BEGIN { for (i = 0; i < 1001; i++) print "/* . */" }')"

up=..
plant outside README.md "a sibling folder" \
    "see $up/shared/notes.md"
slash=/
plant outside share.txt "a machine's folder" \
    "cd ${slash}work/main"

tidy banned mtad/mail/one.c "in a comment" \
    '/* strcpy(a, b) */'
tidy banned mtad/mail/one.c "in a string" \
    'char s[] = "rand()";'
tidy banned mtad/mail/one.c "a member" \
    'int x = e->random(1);'
tidy banned mtad/mail/one.c "strerror_r" \
    'int x = strerror_r(1);'
tidy banned mtad/mail/one.c "an excuse" \
    'x = atoi(a); /* lint: banned: to show why */'
tidy arrows mtad/net/one.c "its own privates" \
    '#include "net/own_i.h"'
tidy arrows mtad/relay/one.c "relay" \
    '#include "engine/engine.h"'
tidy outside mtad/mail/one.c "a URL" \
    'https://example.com/work/x'

echo "1..$n"
[ -n "${TMP:-}" ] || rm -rf "$tmp"
exit $status
