/*
 * proto/syntax.h - paths, domains and parameters of SMTP commands
 * (RFC 5321 4.1.2).
 */
#ifndef PROTO_SYNTAX_H
#define PROTO_SYNTAX_H

#include "mail/mail.h"

struct smtp_path {
	struct slice address;       /* local@domain without <> and source route;
			       * empty for <> */
	struct slice local, domain; /* domain may be "[1.2.3.4]" */
};

/*
 * Parses a path at the front of *in ("<a@b>", "<>", "<@x,@y:a@b>", "<\"q\"@d>",
 * and, as RFC 5321 4.5.1 asks, "<postmaster>" in any case with no domain when
 * bare_postmaster is set); moves *in behind it. 8-bit bytes only when utf8.
 * 0 or E_SYNTAX, E_TOOBIG (local part over 64 or domain over 255).
 */
int smtp_path_parse(struct slice *in, bool bare_postmaster, bool utf8,
    struct smtp_path *out) MUST_CHECK;

/* Is it an address as it stands between < and >, with a domain? */
bool mailbox_is_valid(struct slice address, bool utf8);

/* Letters, digits, hyphens in labels of 1-63, whole 1-255; underscores are
 * let through (they are met in practice). No trailing dot. UTF-8 when utf8. */
bool domain_is_valid(struct slice domain, bool utf8);
/* "[127.0.0.1]" or "[IPv6:::1]": 0 and the address, or E_SYNTAX. */
int address_literal_parse(struct slice s, struct ip *out) MUST_CHECK;

/* Next "KEY=value" or "KEY" of a parameter list; false at the end. */
bool smtp_param_next(struct slice *params, struct slice *key,
    struct slice *value);

/* xtext, RFC 3461 4: decode appends to out; E_SYNTAX on malformed input. */
int xtext_decode(struct slice s, struct buf *out) MUST_CHECK;
int xtext_encode(struct slice s, struct buf *out) MUST_CHECK;

#endif
