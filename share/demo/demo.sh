#!/bin/sh
# The guided tour, run by `make demo`: real mail through mtad to a simulated
# world, watched in mtatop, and the ledger at its end.
#
#	O=DIR		output tree with the programs (build); all files that the
#			demo makes go to DIR/demo
#	DEMO_S=30	seconds of mail
#	DEMO_RATE=80	messages a second
#	DEMO_DRAIN_S=8	seconds to wait for the queue to empty
#
# Ends by itself, with q in mtatop, or with Ctrl-C; leaves no process. Exits 0
# only if every message that mtad acknowledged was delivered once, bounced, or
# is still queued.
set -u
cd "$(dirname "$0")/../.." || exit 2
top=$(pwd)
O=${O:-build}
case $O in /*) ;; *) O=$top/$O ;; esac
DEMO_S=${DEMO_S:-30}
DEMO_RATE=${DEMO_RATE:-80}
DEMO_DRAIN_S=${DEMO_DRAIN_S:-8}
dir=$O/demo
world=
mtad=
load=
view=

alive() {
	[ -n "$1" ] && kill -0 "$1" 2>/dev/null
}

# stop NAME PID SECONDS: ends a process and waits; at last with SIGKILL.
stop() {
	alive "$2" || return 0
	kill -TERM "$2" 2>/dev/null
	tries=$(($3 * 10))
	while alive "$2" && [ "$tries" -gt 0 ]; do
		sleep 0.1
		tries=$((tries - 1))
	done
	if alive "$2"; then
		echo "demo: $1 does not end; killing it" >&2
		kill -KILL "$2" 2>/dev/null
	fi
	wait "$2" 2>/dev/null
}

clean_up() {
	trap - EXIT INT TERM HUP
	stop mtatop "$view" 2
	stop load "$load" 4
	stop mtad "$mtad" 10
	stop world "$world" 4
}
trap 'clean_up' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail() {
	echo "demo: $1" >&2
	for log in "$dir/world.err" "$dir/mtad.err" "$dir/load.out"; do
		[ ! -s "$log" ] || { echo "--- $log" >&2; tail -5 "$log" >&2; }
	done
	exit 1
}

# until WHAT COMMAND ...: asks for 10 seconds, and fails.
until_true() {
	what=$1
	shift
	tries=100
	until "$@"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || fail "$what"
		sleep 0.1
	done
}

world_is_ready() {
	alive "$world" || fail "the world did not start"
	grep -q '^ready' "$dir/world.out"
}

mtad_is_ready() {
	alive "$mtad" || fail "mtad did not start"
	"$O/mtad" status -H "$socket" >/dev/null 2>&1
}

queued() {
	"$O/mtad" list --json --limit "${1:-1}" -H "$socket" 2>/dev/null
}

is_drained() {
	! queued 1 | grep -q '"id"'
}

for program in mtad mtatop mtasim; do
	[ -x "$O/$program" ] || fail "$O/$program is missing; run make"
done
rm -rf "$dir"
mkdir -p "$dir" || exit 2

# The configuration speaks of build/; another output tree gets a copy.
conf=share/etc/demo.yml
socket=build/demo/control.sock
if [ "$O" != "$top/build" ]; then
	sed "s,build/demo,$dir,g" "$conf" >"$dir/demo.yml" || exit 2
	conf=$dir/demo.yml
	socket=$dir/control.sock
fi

echo "Starting a world of seven providers, mtad, and $DEMO_RATE messages a" \
    "second for $DEMO_S seconds."
"$O/mtasim" world share/demo/world.yml --journal "$dir" --quiet \
    >"$dir/world.out" 2>"$dir/world.err" </dev/null &
world=$!
until_true "the world is not ready" world_is_ready

"$O/mtad" run -c "$conf" >"$dir/mtad.out" 2>"$dir/mtad.err" </dev/null &
mtad=$!
until_true "mtad is not ready" mtad_is_ready

# Shares of the mail by provider, as invented as the world's numbers.
"$O/mtasim" load --target 127.0.0.1:2525 --rate "$DEMO_RATE" \
    --seconds "$DEMO_S" --connections 8 --size lognormal:12K:80K \
    --domains gmail-like.example=40,s1.workspace.example=4 \
    --domains microsoft-like.example=14,hotmail-like.example=6 \
    --domains yahoo-like.example=10,aol-like.example=4 \
    --domains apple-like.example=5,orange-like.example=3 \
    --domains 'g{1..200}.greylist-like.example=4' \
    --domains 'd{1..2000}.tail.example=9,gone.example=1' \
    --tenant acme,zeta --campaign news,receipts \
    --journal "$dir/load.journal" >"$dir/load.out" 2>&1 </dev/null &
load=$!

if [ -t 0 ] && [ -t 1 ]; then
	# In the background, and so without the terminal, but for this.
	exec 3<&0
	"$O/mtatop" -H "$socket" <&3 &
	view=$!
	while alive "$view" && alive "$load" && alive "$mtad"; do
		sleep 0.2
	done
	stop mtatop "$view" 2
	view=
	exec 3<&-
else
	ticks=0
	while alive "$load" && alive "$mtad"; do
		sleep 0.5
		ticks=$(((ticks + 1) % 10))
		[ "$ticks" != 8 ] || "$O/mtatop" --once -H "$socket" || :
	done
fi
alive "$mtad" || fail "mtad ended by itself"
stop load "$load" 4
load=

echo
echo "Injection is over; giving the queue $DEMO_DRAIN_S seconds."
tries=$((DEMO_DRAIN_S * 5))
while ! is_drained && [ "$tries" -gt 0 ]; do
	sleep 0.2
	tries=$((tries - 1))
done
queued 10000000 >"$dir/queue.json" || fail "the queue cannot be listed"
stop mtad "$mtad" 30
mtad=
stop world "$world" 4
world=

set --
for log in "$dir"/log/*.jsonl; do
	[ ! -e "$log" ] || set -- "$@" --events "$log"
done
echo
cat "$dir/load.out"
echo
"$O/mtasim" verify --load "$dir/load.journal" --sink "$dir/world.journal" \
    --queued-from "$dir/queue.json" --world share/demo/world.yml "$@"
