/*
 * conf/options_dkim.c - the options of signing; see options.c.
 *
 * What a key does not say is as `dkim` says it for all: its entry begins as a
 * copy of that, so that these rows stand twice, with and without defaults.
 */
#include "conf/conf_i.h"

#define AT(field) .at = offsetof(struct conf, dkim.field)
#define KEY_AT(field) .at = offsetof(struct conf_dkim_key, field)
#define COUNT(T, field, n)                                                     \
	.count_at = offsetof(T, field),                                        \
	.count_bytes = sizeof(((T *)0)->field), .list_max = (n)
#define RANGE(lo, hi) .min = (lo), .max = (hi)
#define HOUR_US (3600 * US_PER_S)

/* T, prefix and D as those of DOOR in options.c. */
#define TERMS(T, prefix, D)                                                    \
	{ "header_canonicalization", OPT_CHOICE,                               \
		.at = offsetof(T, prefix relaxes_header),                      \
		.dflt = D("relaxed"), .words = { "simple", "relaxed" },        \
		.help =                                                        \
		    "What of the header may change on the way (c=): nothing, " \
		    "or white space and the case of names." },                 \
	    { "body_canonicalization", OPT_CHOICE,                             \
		    .at = offsetof(T, prefix relaxes_body),                    \
		    .dflt = D("relaxed"), .words = { "simple", "relaxed" },    \
		    .help = "The same for the body, where relaxed is about "   \
			    "white space within and at the end of lines." },   \
	    { "expire", OPT_DURATION, .at = offsetof(T, prefix expire_us),     \
		    .dflt = D("0"), RANGE(0, 3650 * 24 * HOUR_US),             \
		    .help = "The signature holds so long (x=); 0 = nothing "   \
			    "is said. Mail may be under way for as long as "   \
			    "the queue's `expire`." },                         \
	{                                                                      \
		"timestamp", OPT_BOOL,                                         \
		    .at = offsetof(T, prefix says_time), .dflt = D("true"),    \
		    .help = "Say when the signature was made (t=)."            \
	}
#define TEXT(s) s
#define INHERITS(s) NULL

static const struct opt key[] = {
	{ "domain", OPT_DOMAIN, KEY_AT(domain), .is_required = true,
	    .help = "The domain that signs (d=)." },
	{ "selector", OPT_NAME, KEY_AT(selector), .is_required = true,
	    .help = "Name of the key there (s=): it is published at "
		    "`SELECTOR._domainkey.DOMAIN`." },
	{ "file", OPT_PATH, KEY_AT(file), .is_required = true,
	    .help = "Private key, PEM (PKCS#8 or PKCS#1): RSA of 1024 bits at "
		    "least (2048 and more are advised), or Ed25519. Nobody but "
		    "its owner may write it, and others may not read it." },
	{ "subdomains", OPT_BOOL, KEY_AT(takes_subdomains), "false",
	    .help = "Sign for authors below `domain`, too, for which no key "
		    "is nearer." },
	{ "from", OPT_GLOB, KEY_AT(from),
	    COUNT(struct conf_dkim_key, nfrom, CONF_DKIM_LIST),
	    .absent = "authors of `domain`",
	    .help = "Sign for these authors instead: patterns of the domain in "
		    "the From field. `*` is any, for the second signature of "
		    "the provider, or for all mail of a tenant." },
	{ "tenant", OPT_NAME, KEY_AT(tenants),
	    COUNT(struct conf_dkim_key, ntenants, CONF_DKIM_LIST),
	    .absent = "all", .help = "Sign mail of these tenants only." },
	{ "not_before", OPT_TEXT, KEY_AT(not_before),
	    .help = "Sign from then on: a date (`2026-12-24`, 00:00 UTC) or a "
		    "time (RFC 3339). Of keys of one domain and kind that "
		    "could sign, the one whose time is latest does." },
	{ "not_after", OPT_TEXT, KEY_AT(not_after),
	    .help = "Sign no more from then on." },
	{ "identity", OPT_TEXT, KEY_AT(identity),
	    .help = "On whose behalf (i=): `@sub.domain` or `user@domain`, in "
		    "`domain` or below it." },
	TERMS(struct conf_dkim_key, , INHERITS),
};
static const struct opt_group key_group = { .opts = key, .n = ARRAY_LEN(key) };

static void
key_begin(const struct conf *c, void *entry)
{
	*(struct conf_dkim_key *)entry = c->dkim.all;
}

static const struct opt dkim[] = {
	TERMS(struct conf, dkim.all., TEXT),
	{ "headers", OPT_TEXT, AT(headers),
	    COUNT(struct conf, dkim.nheaders, CONF_DKIM_HEADERS),
	    .absent = "as dkim.md says",
	    .help = "Header fields that are signed, as often as they are "
		    "there. `From` must be one of them." },
	{ "oversign", OPT_TEXT, AT(oversigned),
	    COUNT(struct conf, dkim.noversigned, CONF_DKIM_HEADERS),
	    .absent = "as dkim.md says",
	    .help = "Header fields that are signed once more than they are "
		    "there, so that none can be added." },
	{ "key", OPT_MAP, .group = &key_group, .key_type = OPT_NAME,
	    .at = offsetof(struct conf, dkim.keys),
	    .entry_bytes = sizeof(struct conf_dkim_key), .begin = key_begin,
	    COUNT(struct conf, dkim.nkeys, CONF_DKIM_KEYS_MAX),
	    .absent = "nothing is signed",
	    .help = "Keys, each under a name. A message is signed by each that "
		    "is for its author and tenant (8 at most), but of one "
		    "domain and kind by one alone: by one that names the "
		    "tenant rather than by another." },
};
const struct opt_group conf_dkim_options = { .opts = dkim,
	.n = ARRAY_LEN(dkim) };
