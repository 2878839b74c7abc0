#!/bin/sh
# Debian packages for a build and for the tests: installs what is missing,
# and is done in a blink when nothing is. Called by `make deps`.
#
#	deps.sh [--list] build|test ...
#
# --list only prints what is missing. A row is a package and the way to see
# that it, or something as good, is there: a command, a pkg-config module,
# a file, or a test of its own. libunbound-dev does not bring what its own
# pkg-config module asks for, so nettle-dev has a row.
#
# Debian allows one mail server on a machine, and Postfix is it; a package that
# is "unpacked" goes below $peers without being installed, and what its programs
# need has rows of its own.

rows() {
	case $1 in
	build) cat <<-'EOF' ;;
		gcc			cmd gcc
		make			cmd make
		libc6-dev		file /usr/include/stdio.h
		pkg-config		cmd pkg-config
		libevent-dev		pc libevent libevent_pthreads
		libssl-dev		pc openssl
		libsqlite3-dev		pc sqlite3
		libpcre2-dev		pc libpcre2-8
		libncurses-dev		pc ncursesw
		nettle-dev		pc hogweed nettle
		libunbound-dev		pc libunbound
		libyaml-dev		pc yaml-0.1
		libjansson-dev		pc jansson
		libcurl4-openssl-dev	pc libcurl
		libzstd-dev		pc libzstd
		zlib1g-dev		pc zlib
		libidn2-dev		pc libidn2
		liburing-dev		pc liburing
	EOF
	test) cat <<-'EOF' ;;
		clang			cmd clang
		libclang-rt-dev		fuzzer
		clang-format		cmd clang-format
		libcmocka-dev		pc cmocka
		libvterm-dev		pc vterm
		swaks			cmd swaks
		bsd-mailx		cmd bsd-mailx
		git-email		file /usr/lib/git-core/git-send-email
		php-cli			cmd php
		postfix			cmd postfix
		haproxy			cmd haproxy
		dante-server		cmd danted
		microsocks		cmd microsocks
		curl			cmd curl
		python3			cmd python3
		tmux			cmd tmux
		bind9-dnsutils		cmd dig
		bind9			cmd named
		bind9-utils		cmd dnssec-signzone
		libnet-ssleay-perl	perl Net::SSLeay
		openssl			cmd openssl
		procps			cmd ps
		nodejs			cmd node
		node-nodemailer		node nodemailer
		stunnel4		cmd stunnel
		python3-yaml		python yaml
		python3-jsonschema	python jsonschema
		python3-dkim		file /usr/lib/python3/dist-packages/dkim
		python3-nacl		file /usr/lib/python3/dist-packages/nacl
		libmail-dkim-perl	perl Mail::DKIM
		rspamd			cmd rspamd
		msmtp			cmd msmtp
		git-email		file /usr/lib/git-core/git-send-email
		libauthen-sasl-perl	perl Authen::SASL
		libio-socket-ssl-perl	perl IO::Socket::SSL
		sslscan			cmd sslscan
		testssl.sh		cmd testssl
		libgnutls-dane0		so libgnutls-dane.so.0
		libidn12		so libidn.so.12
		libnsl2			so libnsl.so.2
		libdb5.3		so libdb-5.3.so
		exim4-daemon-light	unpacked usr/sbin/exim4
	EOF
	*) echo "deps.sh: no such list: $1" >&2; exit 2 ;;
	esac
}

# Is what the row asks for there?
there() {
	kind=$1
	shift
	case $kind in
	cmd) command -v "$1" >/dev/null ;;
	pc) pkg-config --exists "$@" 2>/dev/null ;;
	file) test -e "$1" ;;
	so) ldconfig -p | grep -q "$1" ;;
	unpacked) test -e "$peers/$1" ;;
	perl) perl "-M$1" -e 1 2>/dev/null ;;
	python) python3 -c "import $1" 2>/dev/null ;;
	node) NODE_PATH=/usr/share/nodejs node -e "require('$1')" 2>/dev/null ;;
	fuzzer)
		dir=$(clang -print-runtime-dir 2>/dev/null) &&
		    ls "$dir"/libclang_rt.fuzzer*.a >/dev/null 2>&1
		;;
	esac
}

PATH=$PATH:/usr/sbin:/sbin
peers=/usr/local/lib/mtad-peers
list=
missing=
unpack=
for arg; do
	if [ "$arg" = --list ]; then
		list=yes
		continue
	fi
	all=$(rows "$arg") || exit 2
	while read -r package probe; do
		# The probe is words; let the shell split it.
		# shellcheck disable=SC2086
		there $probe && continue
		case $probe in
		unpacked*) unpack="$unpack $package" ;;
		*) missing="$missing $package" ;;
		esac
	done <<-EOF
		$all
	EOF
done
missing=${missing# }

unpack=${unpack# }

[ -n "$missing$unpack" ] || exit 0
if [ -n "$list" ]; then
	echo "$missing${unpack:+ $unpack}"
	exit 0
fi
if ! command -v apt-get >/dev/null; then
	echo "No apt-get here. Please install what these Debian packages hold:"
	echo "  $missing $unpack"
	exit 1
fi
as_root=
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "Neither root nor sudo. Please run:"
		echo "  apt-get install $missing"
		exit 1
	fi
	as_root=sudo
fi

# Postfix, haproxy and stunnel come with services that would start at once. A
# test starts its own copies on its own ports, so nothing may be started here:
# policy-rc.d says no for the time of the installation.
echo "Installing: $missing${unpack:+ (unpacking: $unpack)}"
# shellcheck disable=SC2086
$as_root env unpack="$unpack" peers=$peers sh -s -- $missing <<'EOF'
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy
	trap 'rm -f $policy' EXIT
	trap 'exit 1' HUP INT TERM
fi
echo "postfix postfix/main_mailer_type select No configuration" |
    debconf-set-selections 2>/dev/null
get() {
	apt-get -y -q --no-install-recommends -o Dpkg::Use-Pty=0 \
	    install "$@" </dev/null
}
# Nothing of it runs with rights of its own, and it has its user.
put() {
	dir=$(mktemp -d) && chmod 755 "$dir" && cd "$dir" || return 1
	# shellcheck disable=SC2086
	apt-get -q download $unpack </dev/null || return 1
	mkdir -p "$peers"
	for deb in ./*.deb; do dpkg -x "$deb" "$peers" || return 1; done
	find "$peers" -type f -perm /6000 -exec chmod ug-s {} +
	id Debian-exim >/dev/null 2>&1 || useradd --system --user-group \
	    --no-create-home --shell /usr/sbin/nologin Debian-exim || return 1
	cd / && rm -r "$dir"
}
again() {
	"$@" || { apt-get -q update </dev/null && "$@"; }
}
[ $# = 0 ] || again get "$@" || exit 1
[ -z "$unpack" ] || again put
EOF
