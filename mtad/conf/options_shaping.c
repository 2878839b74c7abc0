/*
 * conf/options_shaping.c - the limits of paths, by layer, provider, site,
 * domain and source; see options.c.
 */
#include "conf/options_i.h"

/*
 * The limits of a path: T holds a struct conf_shape at `prefix`; D gives the
 * default or takes it away.
 */
#define SHAPE_AT(T, prefix, field) .at = offsetof(T, prefix shape.field)
#define LIMITS(T, prefix, D, A)                                                \
	{ "connections", OPT_U32, SHAPE_AT(T, prefix, conns_max),              \
		.dflt = D("20"), .absent = A, RANGE(0, 100000),                \
		.help = "Connections at once; 0 = no limit." },                \
	    { "messages_per_connection", OPT_U32,                              \
		    SHAPE_AT(T, prefix, msgs_per_conn), .dflt = D("100"),      \
		    .absent = A, RANGE(0, 1000000),                            \
		    .help =                                                    \
			"Transactions of one connection; 0 = no limit. A "     \
			"host that closes sooner, with 421 to the next, is "   \
			"remembered for an hour and given no more than it "    \
			"took." },                                             \
	    { "recipients_per_transaction", OPT_U32,                           \
		    SHAPE_AT(T, prefix, rcpts_per_txn), .dflt = D("100"),      \
		    .absent = A, RANGE(1, ENG_TXN_RCPTS_MAX),                  \
		    .help = "Recipients of one message that share a "          \
			    "transaction." },                                  \
	    { "rate", OPT_RATE, SHAPE_AT(T, prefix, rate_count),               \
		    .also = offsetof(T, prefix shape.rate_period_us),          \
		    .dflt = D("none"), .absent = A, RANGE(1, 1000000000),      \
		    .help = "Transactions in a period of time. At a start on " \
			    "a spool that was in use, all that it allows "     \
			    "counts as spent." },                              \
	    { "burst", OPT_U32, SHAPE_AT(T, prefix, rate_burst),               \
		    .dflt = D("1"), .absent = A, RANGE(1, 1000000),            \
		    .help = "Transactions that may go at once when the rate "  \
			    "was not used before." },                          \
	    { "assign_ahead", OPT_U32, SHAPE_AT(T, prefix, assign_ahead),      \
		    .dflt = D("2"), .absent = A, RANGE(1, 64),                 \
		    .help = "Transactions handed to a connection before the "  \
			    "first of them is done, four at most. What has "   \
			    "been handed over goes before whoever comes "      \
			    "then: with more than 2, mail of a tenant that "   \
			    "has had none waits longer behind the backlog "    \
			    "of others." },                                    \
	    { "backoff_min", OPT_DURATION,                                     \
		    SHAPE_AT(T, prefix, backoff_min_us), .dflt = D("1m"),      \
		    .absent = A, RANGE(S / 100, DAY_US),                       \
		    .help = "Pause of the path after its first refusal; it "   \
			    "doubles with each one in a row. When only one "   \
			    "connection more is refused, those that stand go " \
			    "on, and the next is tried after that pause." },   \
	    { "backoff_max", OPT_DURATION,                                     \
		    SHAPE_AT(T, prefix, backoff_max_us), .dflt = D("1h"),      \
		    .absent = A, RANGE(S / 100, 7 * DAY_US),                   \
		    .help = "Ceiling of that pause." },                        \
	    { "block_pause", OPT_DURATION, SHAPE_AT(T, prefix, block_us),      \
		    .dflt = D("10m"), .absent = A, RANGE(S / 100, 7 * DAY_US), \
		    .help = "Pause of the path after it was blocked for its "  \
			    "reputation, or for what its address has sent. "   \
			    "Then one connection is tried, and as long as "    \
			    "that goes well there is one more each minute." }, \
	    { "rate_floor", OPT_RATE, SHAPE_AT(T, prefix, floor_count),        \
		    .also = offsetof(T, prefix shape.floor_period_us),         \
		    .dflt = D("1/m"), .absent = A, RANGE(1, 1000000000),       \
		    .help = "A path that is slowed down finds the rate that "  \
			    "its receiver bears, between this and `rate`; "    \
			    "with `none` it only pauses." },                   \
	{                                                                      \
		"rollup", OPT_BOOL,                                            \
		    .at = offsetof(T, prefix rollup), .dflt = D("true"),       \
		    .absent = A,                                               \
		    .help = "Domains with the same mail hosts are one site, "  \
			    "which the limits are for; those with an entry "   \
			    "of their own, or a provider by their name, are "  \
			    "a site apart. `false`: each of the domains is "   \
			    "one."                                             \
	}

/* How its connections are protected: of the recipient's domain, so not of a
 * source. */
#define TLS_AT(T, prefix, field) .at = offsetof(T, prefix tls.field)
#define TLS_POLICY(T, prefix, D, A)                                            \
	{ "tls", OPT_TLS, TLS_AT(T, prefix, mode), .absent = A,                \
		.help =                                                        \
		    "What protects the mail on its way: `none` (clear text), " \
		    "`opportunistic` (TLS where it works, else clear text), "  \
		    "`required` (TLS of any kind), `verify` (TLS, with a "     \
		    "certificate of a trusted CA for the host's name) or "     \
		    "`dane` (TLS, as secure TLSA records say). From "          \
		    "`required` on mail waits that cannot go so (see "         \
		    "tls.md)." },                                              \
	    { "tls_min", OPT_TLS_MIN, TLS_AT(T, prefix, min), .absent = A,     \
		    .help = "The oldest version of TLS that is spoken." },     \
	    { "tls_ciphers", OPT_TEXT, TLS_AT(T, prefix, ciphers),             \
		    .absent = A,                                               \
		    .help = "Ciphers for TLS up to 1.2, as OpenSSL's "         \
			    "ciphers(1) has them." },                          \
	    { "tls_name", OPT_DOMAIN, TLS_AT(T, prefix, name), .absent = A,    \
		    .help = "With `verify`: the name that the certificate "    \
			    "must have, instead of the mail host's." },        \
	    { "tls_implicit", OPT_BOOL, TLS_AT(T, prefix, is_implicit),        \
		    .absent = A,                                               \
		    .help = "TLS from the first byte on, as on port 465 (RFC " \
			    "8314), instead of STARTTLS. `tls` is at least "   \
			    "`required` then." },                              \
	    { "tls_cert", OPT_PATH, TLS_AT(T, prefix, cert), .absent = A,      \
		    .help = "File with a certificate and its chain, PEM, to "  \
			    "show to a host that asks for one, instead of "    \
			    "the source's." },                                 \
	    { "tls_key", OPT_PATH, TLS_AT(T, prefix, key), .absent = A,        \
		    .help = "File with its private key, PEM." },               \
	    { "chunking", OPT_BOOL, TLS_AT(T, prefix, chunks),                 \
		    .dflt = D("true"), .absent = A,                            \
		    .help = "A message of up to 64K goes together with its "   \
			    "envelope, in one write, by BDAT (RFC 3030), to "  \
			    "a host that offers CHUNKING and PIPELINING." },   \
	{                                                                      \
		"eight_bit", OPT_CHOICE, TLS_AT(T, prefix, bounces_8bit),      \
		    .dflt = D("send"), .words = { "send", "bounce" },          \
		    .absent = A,                                               \
		    .help = "What becomes of a message with 8-bit text for a " \
			    "host that does not offer 8BITMIME: it goes as "   \
			    "it is, or is bounced with 5.6.3."                 \
	}

#define SHAPE_GROUP(v, shape)                                                  \
	{                                                                      \
		.opts = v, .n = ARRAY_LEN(v), .has_shape = true,               \
		.shape_at = (shape)                                            \
	}
#define BELOW "what the layers below say (see shaping.md)"

#define TLS_ABSENT "as `client: tls` says, by OpenSSL's own rules"

static const struct opt limits[] = { LIMITS(struct conf_shape, , TEXT, NULL),
	TLS_POLICY(struct conf_shape, , TEXT, TLS_ABSENT) };
const struct opt_group conf_limits_options = SHAPE_GROUP(limits, 0);
static const struct opt layer[] = { LIMITS(struct conf_shape, , INHERITS,
					BELOW),
	TLS_POLICY(struct conf_shape, , INHERITS, BELOW) };
const struct opt_group layer_options = SHAPE_GROUP(layer, 0);
static const struct opt source_layer[] = { LIMITS(struct conf_shape, , INHERITS,
    BELOW) };
static const struct opt_group source_layer_options =
    SHAPE_GROUP(source_layer, 0);

/* Of a route; what a route does not say comes from the layers. */
#define AUTH_AT(field) .at = offsetof(struct conf_route, auth.field)
static const struct opt auth[] = {
	{ "user", OPT_TEXT, AUTH_AT(user), .is_required = true,
	    .help = "The name to log in with." },
	{ "password_file", OPT_PATH, AUTH_AT(password_file),
	    .is_required = true,
	    .help = "File with the password on its first line, which only its "
		    "owner can change and others cannot read. It is read at a "
		    "start and at a reload." },
	{ "clear", OPT_BOOL, AUTH_AT(in_clear), "false",
	    .help = "Without TLS too; only where all `hosts` are addresses of "
		    "this machine itself (loopback)." },
};
static const struct opt_group auth_group = ROWS(auth);

static const struct opt route[] = {
	{ "hosts", OPT_HOST, .at = offsetof(struct conf_route, host),
	    .also = offsetof(struct conf_route, addr),
	    COUNT(struct conf_route, nhosts, CONF_HOSTS_MAX),
	    .absent = "the domain's MX",
	    .help = "Smart hosts to use instead of the domain's MX, tried in "
		    "this order. Without a port: `smtp_port`. With `protocol: "
		    "lmtp` also `unix:/PATH`, a socket of the file system." },
	{ "protocol", OPT_CHOICE, .at = offsetof(struct conf_route, is_lmtp),
	    "smtp", .words = { "smtp", "lmtp" },
	    .help = "What `hosts` speak: LMTP (RFC 2033) is for a mail store, "
		    "and answers for each recipient." },
	{ "tenant", OPT_NAME, .at = offsetof(struct conf_route, tenant),
	    .help =
		"Tenant of mail to these domains that has none yet, neither "
		"by a header field nor by the listener. Each recipient of a "
		"message is steered by the route of its own domain; where "
		"their routes differ, by that of the last start." },
	{ "campaign", OPT_NAME, .at = offsetof(struct conf_route, campaign),
	    .help = "The same for the campaign." },
	{ "pool", OPT_POOL, .at = offsetof(struct conf_route, pool),
	    .help = "The same for the pool." },
	{ "auth", OPT_GROUP, .group = &auth_group, .absent = "nobody logs in",
	    .help =
		"Log in at `hosts` (RFC 4954), under TLS: by SCRAM-SHA-256, "
		"PLAIN or LOGIN, the first of them that the host offers. "
		"Without `hosts` it is an error. Mail waits while that "
		"fails." },
	TLS_POLICY(struct conf_route, says., INHERITS, BELOW),
};
const struct opt_group conf_route_options =
    SHAPE_GROUP(route, offsetof(struct conf_route, says));

void
conf_limits_begin(const struct conf *c, void *entry)
{
	*(struct conf_shape *)entry = (struct conf_shape){
		.shape = c->shapes[0].shape,
		.rollup = c->shapes[0].rollup,
		.tls = c->shapes[0].tls,
	};
}

#define PROVIDER_AT(field) .at = offsetof(struct conf_provider, field)
#define SUFFIXES(field, count)                                                 \
	OPT_GLOB, .at = offsetof(struct conf_provider, field),                 \
		  COUNT(struct conf_provider, count, CONF_SUFFIXES_MAX)

static const struct opt provider[] = {
	{ "mx", SUFFIXES(mx, nmx),
	    .help = "The mail hosts it has: `google.com` is that name and all "
		    "below it, `*.google.com` only those. A site belongs to it "
		    "by its hosts of the best preference; the longest name "
		    "counts." },
	{ "domains", SUFFIXES(domains, ndomains),
	    .help = "The same of recipient domains, for sites whose hosts say "
		    "nothing." },
	{ "hosts", SUFFIXES(hosts, nhosts),
	    .help = "Single mail hosts; they count before `mx`." },
	{ "source_connections", OPT_U32, PROVIDER_AT(source.conns_max),
	    .absent = "no limit", RANGE(0, 1000000),
	    .help = "Connections at once from one source to all sites of the "
		    "provider; 0 = no limit." },
	{ "source_rate", OPT_RATE, PROVIDER_AT(source.rate_count),
	    .also = offsetof(struct conf_provider, source.rate_period_us),
	    .absent = "no limit", RANGE(1, 1000000000),
	    .help = "The same of transactions in a period of time." },
	{ "total_connections", OPT_U32, PROVIDER_AT(total.conns_max),
	    .absent = "no limit", RANGE(0, 1000000),
	    .help = "Connections at once from all sources to all sites of the "
		    "provider; 0 = no limit." },
	{ "total_rate", OPT_RATE, PROVIDER_AT(total.rate_count),
	    .also = offsetof(struct conf_provider, total.rate_period_us),
	    .absent = "no limit", RANGE(1, 1000000000),
	    .help = "The same of transactions in a period of time." },
	LIMITS(struct conf_provider, limits., INHERITS, BELOW),
	TLS_POLICY(struct conf_provider, limits., INHERITS, BELOW),
	{ "source", OPT_MAP, .group = &source_layer_options,
	    .key_type = OPT_NAME,
	    ENTRIES_OF(struct conf_provider, sources, nsources,
		ENG_SOURCES_MAX),
	    .help = "The same for one source, under its name." },
};
const struct opt_group conf_provider_options =
    SHAPE_GROUP(provider, offsetof(struct conf_provider, limits));

static const struct opt shaping[] = {
	{ "default", OPT_GROUP, .at = offsetof(struct conf_shaping, dflt),
	    .group = &layer_options, .help = "For every path." },
	PROVIDERS(struct conf_shaping, ),
	{ "site", OPT_MAP, .group = &layer_options, .key_type = OPT_GLOB,
	    ENTRIES_OF(struct conf_shaping, sites, nsites, ENG_DESTS_MAX - 1),
	    .help = "For sites, each under a pattern of the names of their "
		    "best hosts; the first that matches counts." },
	{ "domain", OPT_MAP, .group = &layer_options, .key_type = OPT_GLOB,
	    ENTRIES_OF(struct conf_shaping, domains, ndomains,
		ENG_DESTS_MAX - 1),
	    .help = "For recipient domains, each under a pattern; the first "
		    "that matches counts." },
	{ "source", OPT_MAP, .group = &source_layer_options,
	    .key_type = OPT_NAME,
	    ENTRIES_OF(struct conf_shaping, sources, nsources, ENG_SOURCES_MAX),
	    .help = "For sources, each under its name." },
};
const struct opt_group shaping_options = ROWS(shaping);
