/*
 * conf/options_limit.c - the options of a limit on a tuple; see options.c.
 *
 * Defaults repeat those of limit_begin in options.c.
 */
#include "conf/conf_i.h"

#define AT(field) .at = offsetof(struct conf_limit, field)
#define ALSO(field) .also = offsetof(struct conf_limit, field)
#define RANGE(lo, hi) .min = (lo), .max = (hi)
#define WHERE(d) .at = offsetof(struct conf_limit, where[d])
#define MOST 1000000000

static const struct opt where[] = {
	{ "tenant", OPT_NAME, WHERE(DIM_TENANT),
	    .help = "Only this tenant's." },
	{ "campaign", OPT_NAME, WHERE(DIM_CAMPAIGN),
	    .help = "Only this campaign's." },
	{ "sender_domain", OPT_DOMAIN, WHERE(DIM_SENDER_DOMAIN),
	    .help = "Only mail whose envelope's sender is there." },
	{ "signing_domain", OPT_DOMAIN, WHERE(DIM_SIGNING_DOMAIN),
	    .help = "Only mail that this domain's key signed first (see "
		    "dkim.md)." },
	{ "source", OPT_NAME, WHERE(DIM_SOURCE),
	    .help = "Only by this source." },
	{ "netblock", OPT_TEXT, WHERE(DIM_NETBLOCK),
	    .help = "Only by sources in this /24 (of IPv6: /64), such as "
		    "192.0.2.0/24." },
	{ "pool", OPT_POOL, WHERE(DIM_POOL), .help = "Only of this pool." },
	{ "site", OPT_DOMAIN, WHERE(DIM_SITE),
	    .help = "Only to the domains that have this MX host." },
	{ "provider", OPT_NAME, WHERE(DIM_PROVIDER),
	    .help = "Only to sites of this provider." },
	{ "host", OPT_DOMAIN, WHERE(DIM_HOST),
	    .help = "Only to this MX host." },
};
static const struct opt_group where_group = { .opts = where,
	.n = ARRAY_LEN(where) };

static const struct opt limit[] = {
	{ "per", OPT_DIM, AT(per),
	    .count_at = offsetof(struct conf_limit, nper),
	    .count_bytes = sizeof(((struct conf_limit *)0)->nper),
	    .list_max = DIM_N, .absent = "all mail counts together",
	    .help = "What is counted apart: with `[source, provider]` each "
		    "source has, at each provider, the whole limit. A netblock "
		    "is the /24 (of IPv6: /64) of a source's address; a site "
		    "all domains with the same MX hosts; a host one address of "
		    "an MX host." },
	{ "where", OPT_GROUP, .group = &where_group,
	    .help = "Which mail counts; without, all." },
	{ "connections", OPT_U32, AT(conns_max), .absent = "no limit",
	    RANGE(1, 1000000),
	    .help = "Connections at once. Of a tenant, campaign, domain of "
		    "senders or pool, whose mail shares connections with "
		    "others': its transactions under way." },
	{ "connection_rate", OPT_RATE, AT(conn_rate), ALSO(conn_period_us),
	    .absent = "none", RANGE(1, MOST),
	    .help = "Connections that are opened in a period of time." },
	{ "connection_burst", OPT_U32, AT(conn_burst), .absent = "`1`",
	    RANGE(1, 1000000),
	    .help = "Connections that may be opened at once when the rate was "
		    "not used before." },
	{ "ramp", OPT_RATE, AT(ramp), ALSO(ramp_period_us), .absent = "none",
	    RANGE(1, MOST),
	    .help = "Connections at once begin with `ramp_start` and may be so "
		    "many more in each period, as long as there are any, up to "
		    "`connections`." },
	{ "ramp_start", OPT_U32, AT(ramp_start), .absent = "`1`",
	    RANGE(1, 1000000), .help = "Where `ramp` begins." },
	{ "rate", OPT_RATE, AT(rate), ALSO(period_us), .absent = "none",
	    RANGE(1, MOST),
	    .help = "Transactions (messages to one domain) in a period of "
		    "time: in any window of W there are at most burst + rate x "
		    "W." },
	{ "burst", OPT_U32, AT(burst), .absent = "`1`", RANGE(1, 1000000),
	    .help = "Transactions that may go at once when the rate was not "
		    "used before." },
	{ "recipient_rate", OPT_RATE, AT(rcpt_rate), ALSO(rcpt_period_us),
	    .absent = "none", RANGE(1, MOST),
	    .help = "Recipients in a period of time." },
	{ "recipient_burst", OPT_U32, AT(rcpt_burst), .absent = "`100`",
	    RANGE(1, 1000000), .help = "Recipients that may go at once." },
	{ "byte_rate", OPT_BYTES, AT(byte_rate), ALSO(byte_period_us),
	    .absent = "none", RANGE(1, INT64_C(1) << 40),
	    .help = "Bytes of messages in a period of time, each message "
		    "rounded up to KiB." },
	{ "byte_burst", OPT_SIZE, AT(byte_burst),
	    .absent = "the largest message that is taken",
	    RANGE(1024, INT64_C(1) << 40),
	    .help = "Bytes that may go at once. A message that is larger goes "
		    "when nothing of it is used." },
	{ "quota", OPT_QUOTA, AT(quota), ALSO(quota_us), .absent = "none",
	    RANGE(1, MOST),
	    .help = "Transactions in a calendar day of `zone` (`/day`), or in "
		    "any window of that length (`/hour`, `/24h`, `/7d`), which "
		    "moves in steps of a sixtieth. It is kept in the books "
		    "through restarts and crashes." },
	{ "zone", OPT_ZONE, AT(zone), .absent = "UTC",
	    .help = "Time zone of the quota's days." },
};
const struct opt_group conf_limit_options = { .opts = limit,
	.n = ARRAY_LEN(limit) };
