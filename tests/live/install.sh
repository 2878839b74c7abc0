#!/bin/sh
# What make install puts there, make uninstall takes away, but for configuration
# that was changed.
# parallel: measures no time
case $BUILD in "$TOP/build") ;; *) exit 77 ;; esac
root=$TMP/root
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

# Nothing is built here, whatever flags the tests were built with.
mk() {
	make -C "$TOP" -o all O=build DESTDIR="$root" PREFIX=/usr "$@"
}

mk install >"$TMP/log" 2>&1
result $? "install"
"$root/usr/sbin/mtad" check -c "$root/etc/mtad/mtad.yml" >>"$TMP/log" 2>&1
result $? "the installed daemon takes the installed configuration"
! grep -rn "@[A-Z]*@" "$root/etc" "$root/usr/share/man" "$root/usr/lib"
result $? "every place is filled in"
echo "# mine" >>"$root/etc/mtad/mtad.yml"
mk install >>"$TMP/log" 2>&1
grep -q "# mine" "$root/etc/mtad/mtad.yml"
result $? "a second install keeps what was changed"
mk install-sendmail >>"$TMP/log" 2>&1
"$root/usr/sbin/sendmail" --help | grep -q "drop directory"
result $? "as sendmail, by a link"
rm "$root/usr/sbin/sendmail"
echo other >"$root/usr/sbin/sendmail"
! mk install-sendmail >>"$TMP/log" 2>&1 && grep -q other "$root/usr/sbin/sendmail"
result $? "another's sendmail stays"
rm "$root/usr/sbin/sendmail"
mk install-sendmail >>"$TMP/log" 2>&1
mk uninstall >>"$TMP/log" 2>&1
[ "$(cd "$root" && find . -type f)" = ./etc/mtad/mtad.yml ]
result $? "uninstall leaves that alone"
rm "$root/etc/mtad/mtad.yml"
mkdir -p "$root/var/others"
mk install >>"$TMP/log" 2>&1
mk uninstall >>"$TMP/log" 2>&1
[ "$(cd "$root" && find . -mindepth 1 | sort | tr '\n' ' ')" = "./var ./var/others " ]
result $? "else nothing, and takes nothing of others away"
[ $bad = 0 ] || sed 's/^/# /' "$TMP/log"
echo "1..$n"
exit $bad
