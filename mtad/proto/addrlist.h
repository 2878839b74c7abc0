/*
 * proto/addrlist.h - the addresses in a field or an argument (RFC 5322 3.4):
 * display names, comments, quoted strings, groups and, as old mail has them,
 * routes and names without a domain.
 */
#ifndef PROTO_ADDRLIST_H
#define PROTO_ADDRLIST_H

#include "mail/mail.h"

/*
 * The next address of a list, which may be folded, to dst of MAILBOX_MAX + 2
 * bytes, with a NUL, as it stands between < and >; *rest moves behind it. Its
 * length; 0: no more; E_SYNTAX: what comes next is no address; *rest is where
 * it was.
 */
int addrlist_next(struct slice *rest, char *dst) MUST_CHECK;

#endif
