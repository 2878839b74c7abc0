/*
 * conf/options.c - with options_*.c, every option of the configuration, one row each: name,
 * type, field, default, range, help. The reader, the JSON Schema and the
 * reference page are made from these rows and know no option by name.
 *
 * The rows of a group are read in their order here, whatever the order of the
 * file: what others refer to or inherit comes first (sources before pools,
 * pools and the limits of receiving before listeners).
 *
 * Defaults of time-outs and of path limits repeat those of proto/ and
 * engine/; tests/unit/test_conf_example.c compares them.
 */
#include "conf/options_i.h"

#define LISTEN_AT(fld) .at = offsetof(struct conf_listen, fld)
#define SRV_AT(field) .at = offsetof(struct smtp_srv_conf, field)

/* ---- receiving: at the top level for all listeners, or in one ------------- */

static const struct opt timeouts[] = {
	{ "command", OPT_MS, SRV_AT(command_ms), "5m", RANGE(S / 100, DAY_US),
	    .help = "A client that sends no command for so long is answered "
		    "421 4.4.2 and closed." },
	{ "body", OPT_MS, SRV_AT(body_ms), "3m", RANGE(S / 100, DAY_US),
	    .help = "The longest pause inside a message." },
	{ "eom", OPT_MS, SRV_AT(eom_ms), "10m", RANGE(S / 100, DAY_US),
	    .help = "The longest that a command or a whole message waits for "
		    "its answer, the disk included." },
	{ "tls", OPT_MS, SRV_AT(tls_ms), "1m", RANGE(S / 100, DAY_US),
	    .help = "A TLS handshake takes at most so long." },
};
static const struct opt_group timeouts_group = ROWS(timeouts);

/*
 * For all listeners: T is struct conf, prefix leads to its struct conf_listen
 * and ends in a dot, D gives the default. For one: T is struct conf_listen
 * itself, prefix is empty, and D takes the default away, for the entry begins
 * as a copy of the former.
 */
#define DOOR(T, prefix, D)                                                         \
	{ "message_size_max", OPT_SIZE,                                            \
		.at = offsetof(T, prefix smtp.size_max), .dflt = D("50M"),         \
		RANGE(KB, 2 * GB),                                                 \
		.help =                                                            \
		    "The largest message, said in EHLO (SIZE, RFC 1870); a "       \
		    "larger one is answered 552 5.3.4. It must fit into a "        \
		    "segment of the spool." },                                     \
	    { "recipients_max", OPT_U32,                                           \
		    .at = offsetof(T, prefix smtp.rcpts_max),                      \
		    .dflt = D("1000"), RANGE(1, RCPTS_MAX),                        \
		    .help =                                                        \
			"Recipients of one message; 452 4.5.3 to those beyond. "   \
			"RFC 5321 asks for at least 100." },                       \
	    { "errors_max", OPT_U32,                                               \
		    .at = offsetof(T, prefix smtp.errors_max),                     \
		    .dflt = D("20"), RANGE(1, 10000),                              \
		    .help =                                                        \
			"After so many refused commands the client is answered "   \
			"421 and closed." },                                       \
	    { "line_length_max", OPT_SIZE32,                                       \
		    .at = offsetof(T, prefix smtp.body_line_max),                  \
		    .dflt = D("64K"), RANGE(998, GB),                              \
		    .help =                                                        \
			"Bytes of a line of a message, CRLF not counted; a "       \
			"message with a longer one is refused. RFC 5321 asks for " \
			"998." },                                                  \
	    { "hops_max", OPT_U32, .at = offsetof(T, prefix hops_max),             \
		    .dflt = D("100"), RANGE(1, 10000),                             \
		    .help =                                                        \
			"A message with more `Received` fields is taken for a "    \
			"loop and refused with 554 5.4.6." },                      \
	    { "bare_newlines", OPT_CHOICE,                                         \
		    .at = offsetof(T, prefix smtp.normalises_bare),                \
		    .dflt = D("refuse"), .words = { "refuse", "normalise" },       \
		    .help =                                                        \
			"What to do with a CR or LF that stands alone in a "       \
			"message: refuse the message (550 5.6.0), or make it "     \
			"CRLF. Neither ends a message." },                         \
	    { "connections_max", OPT_U32,                                          \
		    .at = offsetof(T, prefix connections_max),                     \
		    .dflt = D("2000"), RANGE(1, 1000000),                          \
		    .help =                                                        \
			"Connections of one listener at once; 421 4.3.2 to "       \
			"those beyond." },                                         \
	    { "connections_per_client_max", OPT_U32,                               \
		    .at = offsetof(T, prefix connections_per_client_max),          \
		    .dflt = D("500"), RANGE(1, 1000000),                           \
		    .help =                                                        \
			"The same for the connections of one client address "      \
			"(421 4.7.0)." },                                          \
	    { "messages_per_connection_max", OPT_U32,                              \
		    .at = offsetof(T, prefix smtp.messages_max),                   \
		    .dflt = D("0"), RANGE(0, 1000000000),                          \
		    .help =                                                        \
			"Messages of one connection, then 421; 0 = no limit." },   \
	    { "banner", OPT_TEXT, .at = offsetof(T, prefix smtp.banner),           \
		    .absent = "`ESMTP`",                                           \
		    .help = "What follows the host name in the greeting." },       \
	{                                                                          \
		"timeouts", OPT_GROUP,                                             \
		    .at = offsetof(T, prefix smtp), .group = &timeouts_group,      \
		    .help = "How long a client may take (RFC 5321 4.5.3.2)."       \
	}

static const struct opt tls[] = {
	{ "cert", OPT_PATH, LISTEN_AT(tls.cert), .is_required = true,
	    .help = "File with the certificate and its chain, PEM." },
	{ "key", OPT_PATH, LISTEN_AT(tls.key), .is_required = true,
	    .help = "File with the private key, PEM." },
	{ "implicit", OPT_BOOL, LISTEN_AT(tls.is_implicit), "false",
	    .help = "TLS from the first byte on, as on port 465 (RFC 8314), "
		    "instead of STARTTLS." },
};
static const struct opt_group tls_group = ROWS(tls);

/* T: struct conf_listen or conf_account; what it is where it is not said. */
#define GIVEN(T, otherwise_class, otherwise_expire, otherwise)                 \
	{ "class", OPT_NAME, .at = offsetof(T, given.class_name),              \
		.absent = otherwise_class,                                     \
		.help =                                                        \
		    "Class of its mail, `bulk` or `transactional`, unless "    \
		    "the header `X-MTA-Class` says one." },                    \
	    { "expire", OPT_DURATION, .at = offsetof(T, given.expire_us),      \
		    .absent = otherwise_expire, RANGE(S, 365 * DAY_US),        \
		    .help = "Lifetime of its mail, unless the header "         \
			    "`X-MTA-Expires` says one." },                     \
	{                                                                      \
		"schedule", OPT_DURATION,                                      \
		    .at = offsetof(T, given.schedule_us), .absent = otherwise, \
		    RANGE(S, 365 * DAY_US),                                    \
		    .help =                                                    \
			"Its mail waits so long before it is sent, unless "    \
			"the client (FUTURERELEASE) or the header "            \
			"`X-MTA-Schedule` says when."                          \
	}

#define ACCOUNT_AT(fld) .at = offsetof(struct conf_account, fld)
static const struct opt account[] = {
	{ "secret", OPT_TEXT, ACCOUNT_AT(secret), .is_required = true,
	    .help = "What is kept of the password: "
		    "`SCRAM-SHA-256$ITERATIONS:SALT$STORED:SERVER`, as `mtad "
		    "account NAME` prints it." },
	{ "tenant", OPT_NAME, ACCOUNT_AT(tenant), .absent = "the listener's",
	    .help = "Tenant of the account's mail, unless the header "
		    "`X-MTA-Tenant` names one." },
	{ "campaign", OPT_NAME, ACCOUNT_AT(campaign),
	    .absent = "the listener's", .help = "The same for the campaign." },
	{ "pool", OPT_POOL, ACCOUNT_AT(pool), .absent = "the listener's",
	    .help = "The same for the pool." },
	{ "from", OPT_TEXT, ACCOUNT_AT(from),
	    COUNT(struct conf_account, nfrom, CONF_FROM_MAX),
	    .absent = "anybody",
	    .help = "As whom it may send: addresses, and domains or patterns "
		    "of them such as `*.x.example`. Another envelope sender "
		    "or another address in `From` is answered 550 5.7.1; the "
		    "null sender is everybody's." },
	{ "message_size_max", OPT_SIZE, ACCOUNT_AT(size_max), RANGE(KB, 2 * GB),
	    .absent = "the listener's",
	    .help = "Its largest message, if that is less than the "
		    "listener's." },
	{ "recipients_max", OPT_U32, ACCOUNT_AT(rcpts_max), RANGE(1, RCPTS_MAX),
	    .absent = "the listener's",
	    .help = "The same for the recipients of one message." },
	{ "rate", OPT_RATE, ACCOUNT_AT(rate),
	    .also = offsetof(struct conf_account, rate_period_us),
	    RANGE(1, 1000000000), .absent = "none",
	    .help = "Messages (MAIL commands) within a period, of all its "
		    "connections together, such as 100/1h: so many at once, "
		    "and then as they come free. Those beyond are answered "
		    "450 4.7.1." },
	GIVEN(struct conf_account, "the listener's", "the listener's",
	    "the listener's"),
};
static const struct opt_group account_group = ROWS(account);

static const struct opt listen[] = {
	{ "bind", OPT_ENDPOINT, LISTEN_AT(bind), .is_required = true,
	    .help = "Where to accept connections. `0.0.0.0:25` is every IPv4 "
		    "address, `\"[::]:25\"` every IPv6 address." },
	{ "protocol", OPT_CHOICE, LISTEN_AT(is_http), "smtp",
	    .words = { "smtp", "http" },
	    .help = "With `http` messages are posted here (`POST "
		    "/v1/messages`, see injection.md), each client known by "
		    "its `token`." },
	{ "relay_from", OPT_CIDR, LISTEN_AT(relay_from),
	    COUNT(struct conf_listen, nrelay_from, CONF_CIDRS_MAX),
	    .absent = "nobody",
	    .help = "Who may send mail to anywhere. Others reach only "
		    "`<postmaster>`." },
	{ "proxy_from", OPT_CIDR, LISTEN_AT(proxy_from),
	    COUNT(struct conf_listen, nproxy_from, CONF_CIDRS_MAX),
	    .absent = "nobody",
	    .help =
		"Proxies in front of this listener: what they connect for "
		"begins with a PROXY header (version 1 or 2), and its "
		"client is the one that counts. Others must not send one." },
	{ "xclient_from", OPT_CIDR, LISTEN_AT(xclient_from),
	    COUNT(struct conf_listen, nxclient_from, CONF_CIDRS_MAX),
	    .absent = "nobody",
	    .help = "Who may say with XCLIENT, as Postfix has it, for which "
		    "client it speaks." },
	{ "auth", OPT_BOOL, LISTEN_AT(has_auth), "false",
	    .help = "Clients may log in, under TLS (RFC 4954: SCRAM-SHA-256, "
		    "PLAIN, LOGIN), as one of `account`. Who has may send mail "
		    "to anywhere." },
	{ "auth_required", OPT_BOOL, LISTEN_AT(needs_auth), "false",
	    .help = "Nobody else sends any, as on port 587 (RFC 6409 4.3)." },
	{ "submission", OPT_BOOL, LISTEN_AT(is_submission), "false",
	    .help = "Mail comes here from its authors' programs (RFC 6409): "
		    "`Date` and `Message-ID` are added where they are "
		    "missing, `Bcc` is taken out, and a message without one "
		    "`From` is refused with 550 5.6.0 (see submission.md)." },
	{ "strip_headers", OPT_TEXT, LISTEN_AT(strip),
	    COUNT(struct conf_listen, nstrip, CONF_STRIP_MAX), .absent = "none",
	    .help = "With `submission`: header fields that are taken out, "
		    "such as `User-Agent` or `X-Originating-IP`." },
	{ "hostname", OPT_DOMAIN, LISTEN_AT(smtp.hostname),
	    .absent = "the top level's",
	    .help = "Name in the greeting and in `Received`." },
	{ "tenant", OPT_NAME, LISTEN_AT(tenant),
	    .help = "Tenant of the mail that comes in here, unless the header "
		    "`X-MTA-Tenant` names one." },
	{ "campaign", OPT_NAME, LISTEN_AT(campaign),
	    .help = "The same for the campaign (`X-MTA-Campaign`)." },
	{ "pool", OPT_POOL, LISTEN_AT(pool),
	    .help = "The same for the pool (`X-MTA-Pool`). A message whose "
		    "field names no pool is refused with 554 5.3.5." },
	GIVEN(struct conf_listen, "the tenant's", "the top level's",
	    "it is sent at once"),
	{ "return_path", OPT_DOMAIN, LISTEN_AT(return_path),
	    .absent = "senders stay as they are",
	    .help = "Mail from here leaves with a signed return path at this "
		    "domain, one of `inbound` with `keys`, in place of its "
		    "sender; unless its tenant or pool says another." },
	{ "tls", OPT_GROUP, .group = &tls_group, .absent = "no STARTTLS",
	    .help = "Certificate; with one, STARTTLS is offered, or TLS is "
		    "spoken at once." },
	DOOR(struct conf_listen, , INHERITS),
};
static const struct opt_group listen_group = ROWS(listen);

#define LOCAL_AT(fld) AT(sendmail.fld)
static const struct opt sendmail[] = {
	{ "drop", OPT_PATH, LOCAL_AT(drop), .is_required = true,
	    .help = "Directory in which `mtad sendmail` leaves messages. It is "
		    "made if it is not there, open to everybody, and of no use "
		    "to others: they cannot list it, nor read or remove what "
		    "is not theirs. `mtad sendmail` looks in "
		    "`/var/spool/mtad-drop` unless told otherwise." },
	{ "group", OPT_TEXT, LOCAL_AT(group), .absent = "that of `user`",
	    .help = "Group of the directory, in which `user` is and nobody "
		    "else needs to be: files in it are for this group to "
		    "read." },
	{ "tenant", OPT_NAME, LOCAL_AT(door.tenant),
	    .help = "Tenant of this mail, unless the header `X-MTA-Tenant` "
		    "names one." },
	{ "campaign", OPT_NAME, LOCAL_AT(door.campaign),
	    .help = "The same for the campaign." },
	{ "pool", OPT_POOL, LOCAL_AT(door.pool),
	    .help = "The same for the pool." },
};
static const struct opt_group sendmail_group = ROWS(sendmail);

static void
listen_begin(const struct conf *c, void *entry)
{
	struct conf_listen *l = entry;

	*l = c->listen_default;
	l->smtp.hostname = c->hostname;
}

/* ---- sending ------------------------------------------------------------- */

#define WARM_AT(field) .at = offsetof(struct conf_warmup, field)
static const struct opt warmup[] = {
	{ "like", OPT_NAME, WARM_AT(like),
	    .help = "A shipped plan (`rules/warmup.yml`) whose days and hours "
		    "this one has where it gives none." },
	{ "days", OPT_U32, WARM_AT(most),
	    COUNT(struct conf_warmup, nmost, ENG_WARM_STAGES_MAX),
	    RANGE(1, 1000000000),
	    .help = "Recipients that a source may have at one provider on its "
		    "first sending day, its second, and so on." },
	{ "first", OPT_U32, WARM_AT(first), "0", RANGE(0, 1000000000),
	    .help = "In place of `days`, or behind them: the first day, from "
		    "which the others grow." },
	{ "growth", OPT_FACTOR, WARM_AT(growth_pct), "1.4", RANGE(100, 1000),
	    .help = "Each further day has so many times the one before." },
	{ "last", OPT_U32, WARM_AT(last), "0", RANGE(0, 1000000000),
	    .help = "Growth ends with the day that has so much; behind the "
		    "last day there is no limit. 0: with `days`, or after 30 "
		    "days." },
	{ "hour", OPT_PART, WARM_AT(hour_ppm), "100%", RANGE(1, 1000000),
	    .help = "Share of a day that one hour may have." },
	{ "zone", OPT_ZONE, WARM_AT(zone), .absent = "UTC",
	    .help = "Where days and hours begin." },
	{ "advance", OPT_PART, WARM_AT(advance_ppm), "90%", RANGE(0, 1000000),
	    .help = "The next day of the plan begins behind one on which more "
		    "than this part of its share was delivered. A day without "
		    "mail changes nothing." },
	{ "deferrals", OPT_PART, WARM_AT(defer_ppm), "20%", RANGE(0, 1000000),
	    .help =
		"... and no more than this part of attempts was deferred," },
	{ "bounces", OPT_PART, WARM_AT(bounce_ppm), "3%", RANGE(0, 1000000),
	    .help = "... no more than this part was refused," },
	{ "complaints", OPT_PART, WARM_AT(complaint_ppm), "0.1%",
	    RANGE(0, 1000000),
	    .help = "... and no more than this part of what was delivered was "
		    "complained of." },
	{ "attempts_min", OPT_U32, WARM_AT(attempts_min), "50",
	    RANGE(1, 1000000),
	    .help = "With fewer attempts on a day these say nothing." },
	{ "otherwise", OPT_CHOICE, WARM_AT(steps_back), "hold",
	    .words = { "hold", "back" },
	    .help = "What follows a day on which one was more: the same day "
		    "of the plan again, or the one before." },
	{ "engaged", OPT_CHOICE, WARM_AT(prefers_engaged), "same",
	    .words = { "same", "prefer" },
	    .help = "With prefer a day's share goes first to mail for engaged "
		    "recipients, which says so by a header field "
		    "`X-MTA-Engaged: yes`. While such mail waits and goes, "
		    "all other leaves by warm sources or by the overflow of "
		    "the pool, or waits, for ten minutes behind the last that "
		    "went." },
	{ "idle", OPT_DURATION, WARM_AT(idle_us), "30d",
	    RANGE(0, 3650 * DAY_US),
	    .help = "After so long without mail the plan begins again; 0 = "
		    "never." },
};
static const struct opt_group warmup_group = ROWS(warmup);

static const struct opt warmup_file[] = {
	{ "warmup", OPT_MAP, .group = &warmup_group, .key_type = OPT_NAME,
	    .at = offsetof(struct conf_warmups, v),
	    .entry_bytes = sizeof(struct conf_warmup), .begin = warmup_begin,
	    COUNT(struct conf_warmups, n, ENG_WARMUPS_MAX) },
};
const struct opt_group warmup_file_options = ROWS(warmup_file);

static const struct opt source_tls[] = {
	{ "cert", OPT_PATH, .at = offsetof(struct conf_source, tls.cert),
	    .is_required = true,
	    .help = "File with the certificate and its chain, PEM." },
	{ "key", OPT_PATH, .at = offsetof(struct conf_source, tls.key),
	    .is_required = true, .help = "File with the private key, PEM." },
};
static const struct opt_group source_tls_group = ROWS(source_tls);

static const struct opt source[] = {
	{ "address", OPT_IP, .at = offsetof(struct conf_source, address),
	    .absent = "the system chooses",
	    .help = "Local address that mail leaves from; of a source that "
		    "has `proxies`, an address of theirs." },
	{ "proxies", OPT_NAME, .at = offsetof(struct conf_source, proxies),
	    COUNT(struct conf_source, nproxies, CONF_SOURCE_PROXIES_MAX),
	    .absent = "connections are made by this machine",
	    .help = "Entries of `proxy` that carry the connections of this "
		    "source, in turn (see egress.md). While none of them is "
		    "well the source opens no connections." },
	{ "ehlo", OPT_DOMAIN, .at = offsetof(struct conf_source, ehlo),
	    .absent = "`hostname`",
	    .help = "Name to say in EHLO; its address should be this one." },
	{ "tls", OPT_GROUP, .group = &source_tls_group, .absent = "none",
	    .help = "Certificate to show to a host that asks for one." },
	{ "warmup", OPT_NAME, .at = offsetof(struct conf_source, warmup),
	    .absent = "it is warm",
	    .help = "The plan by which this source, which is young, comes to "
		    "carry more: one of `warmup`, or a shipped one (see "
		    "warmup.md). What it may not carry leaves by the other "
		    "sources of its pool." },
	{ "warmup_stage", OPT_U32,
	    .at = offsetof(struct conf_source, warmup_stage), "1",
	    RANGE(1, ENG_WARM_STAGES_MAX),
	    .help = "Day of the plan to begin with, for a source that is not "
		    "quite new." },
	{ "warmup_start", OPT_NAME,
	    .at = offsetof(struct conf_source, warmup_start),
	    .absent = "at once",
	    .help = "Date (`2026-12-24`) before which nothing leaves by it." },
};
static const struct opt_group source_group = ROWS(source);

static const struct opt pool[] = {
	{ "sources", OPT_SHARE, .at = offsetof(struct conf_pool, sources),
	    .also = offsetof(struct conf_pool, weights),
	    COUNT(struct conf_pool, nsources, CONF_POOL_SOURCES_MAX),
	    .is_required = true,
	    .help = "Sources that take turns. One written as `{ NAME: "
		    "WEIGHT }` opens so many times the connections of one "
		    "that has none; shares are of those that may send just "
		    "then." },
	{ "overflow", OPT_NAME, .at = offsetof(struct conf_pool, overflow),
	    .help = "Pool whose sources carry what the young ones of this one "
		    "may not, when no other source of this one may." },
	{ "sticky", OPT_BOOL, .at = offsetof(struct conf_pool, is_sticky),
	    "false",
	    .help = "All mail to one recipient domain leaves by one of the "
		    "sources, which is drawn by the names of both and the "
		    "weights: it is the same after a restart, and a source "
		    "that is added or removed moves its own domains alone. "
		    "Mail waits for that source while others have room; so "
		    "there is no `overflow`." },
	{ "return_path", OPT_DOMAIN,
	    .at = offsetof(struct conf_pool, return_path),
	    .absent = "the listener's",
	    .help = "Signed return paths for mail of this pool, as in "
		    "`listen`." },
};
static const struct opt_group pool_group = ROWS(pool);

static const struct opt campaign[] = {
	{ "weight", OPT_U16, .at = offsetof(struct conf_campaign, weight),
	    .is_required = true, RANGE(1, ENG_TENANT_WEIGHT_MAX),
	    .help = "Its share of what the tenant gets at a destination, "
		    "beside the tenant's other campaigns that have mail "
		    "there; one without an entry weighs 1." },
};
static const struct opt_group campaign_group = ROWS(campaign);

#define TENANT_AT(field) .at = offsetof(struct conf_tenant, field)

static const struct opt tenant[] = {
	{ "weight", OPT_U16, TENANT_AT(weight), "1",
	    RANGE(1, ENG_TENANT_WEIGHT_MAX),
	    .help = "Its share of the transactions to a destination, beside "
		    "other tenants that have mail there: one of weight 3 has "
		    "three for each one of weight 1. Nothing is saved up while "
		    "a tenant has no mail." },
	{ "class", OPT_CHOICE, TENANT_AT(is_hurry), "bulk",
	    .words = { "bulk", "transactional" },
	    .help = "Class of its mail that says none by a header field "
		    "`X-MTA-Class`. Transactional mail goes first, but where "
		    "both wait for a destination a quarter of the transactions "
		    "is left to bulk." },
	{ "zone", OPT_ZONE, TENANT_AT(zone), .absent = "UTC",
	    .help = "Time zone of its quiet hours, from the zone files of this "
		    "system. A message may name its recipients' instead, by a "
		    "header field `X-MTA-Zone` (see `zones`)." },
	{ "quiet_hours", OPT_HOURS, TENANT_AT(quiet),
	    COUNT(struct conf_tenant, nquiet, ENG_QUIET_MAX), .absent = "none",
	    .help = "Its mail does not go in these hours of the day, or of the "
		    "days on which they begin: it waits, and what is not "
		    "delivered by the end of its lifetime is returned still. "
		    "Up to four." },
	{ "return_path", OPT_DOMAIN, TENANT_AT(return_path),
	    .absent = "the pool's",
	    .help = "Signed return paths for its mail, as in `listen`." },
	{ "campaign", OPT_MAP, TENANT_AT(campaigns), .group = &campaign_group,
	    .key_type = OPT_NAME, .entry_bytes = sizeof(struct conf_campaign),
	    COUNT(struct conf_tenant, ncampaigns, CONF_TENANT_CAMPAIGNS_MAX),
	    .absent = "all weigh the same",
	    .help = "Campaigns of the tenant, each under its name." },
};
static const struct opt_group tenant_group = ROWS(tenant);

static void
tenant_begin(const struct conf *c, void *entry)
{
	*(struct conf_tenant *)entry = c->tenants[0];
}

static void
limit_begin(const struct conf *c, void *entry)
{
	(void)c;
	*(struct conf_limit *)entry = (struct conf_limit){ .conn_burst = 1,
		.ramp_start = 1,
		.burst = 1,
		.rcpt_burst = ENG_TXN_RCPTS_MAX };
}

static const struct opt drain_tls[] = {
	{ "cert", OPT_PATH, AT(drain.tls.cert), .is_required = true,
	    .help = "File with a certificate, PEM. Who connects trusts it by "
		    "the secret." },
	{ "key", OPT_PATH, AT(drain.tls.key), .is_required = true,
	    .help = "File with its private key, PEM." },
};
static const struct opt_group drain_tls_group = ROWS(drain_tls);

static const struct opt drain[] = {
	{ "bind", OPT_ENDPOINT, AT(drain.bind), .absent = "nowhere",
	    .help = "Where nodes that are drained connect." },
	{ "from", OPT_CIDR, AT(drain.from),
	    COUNT(struct conf, drain.nfrom, CONF_CIDRS_MAX), .absent = "nobody",
	    .help = "Who may connect there." },
	{ "secret", OPT_PATH, AT(drain.secret), .absent = "none: no drain",
	    .help = "File with what both nodes must know, 16 bytes at least. "
		    "White space at its end does not count." },
	{ "tls", OPT_GROUP, .group = &drain_tls_group, .absent = "clear text",
	    .help = "Certificate; with one, only TLS is spoken there "
		    "(`mtad drain --tls`)." },
};
static const struct opt_group drain_group = ROWS(drain);

/* ---- the file ------------------------------------------------------------ */

static const struct opt top[] = {
	{ "hostname", OPT_DOMAIN, AT(hostname), .absent = "the system's name",
	    .help = "Name of this host in greetings, `Received` and notices." },
	{ "postmaster", OPT_MAILBOX, AT(postmaster),
	    .absent = "postmaster@hostname",
	    .help = "Where mail to `<postmaster>` goes." },
	{ "user", OPT_NAME, AT(user), .absent = "the user who started it",
	    .help = "Started as root, become this user after the ports are "
		    "bound." },
	{ "node", OPT_U16, AT(node), "0", RANGE(0, 65535),
	    .help = "Number of this host among yours; it is part of message "
		    "ids." },
	{ "workers", OPT_U32, AT(workers), "0", RANGE(0, 256),
	    .help = "Threads for connections; 0 = by the number of "
		    "processors." },

	{ "spool", OPT_PATH, AT(spool), "/var/spool/mtad",
	    .help = "Directory where mail is kept until it is delivered." },
	{ "spool_segment", OPT_SIZE, AT(spool_segment_bytes), "64M",
	    RANGE(MB, GB),
	    .help = "Size of a file of the spool; a message lies in one." },
	{ "spool_min_free", OPT_SIZE, AT(spool_min_free_bytes), "256M",
	    RANGE(0, 1024 * TB),
	    .help = "With less space on the disk new mail is answered 452 "
		    "4.3.1; delivery goes on." },
	{ "spool_max", OPT_SIZE, AT(spool_max_bytes), "0", RANGE(0, 1024 * TB),
	    .help = "The same when the spool itself is so large; 0 = no "
		    "limit." },
	{ "books", OPT_PATH, AT(books), .absent = "`books.db` in the spool",
	    .help = "SQLite file of what survives a restart beside mail: what "
		    "limits have spent, reactions that hold, rates that were "
		    "learnt, how far sources are warmed up." },
	{ "control", OPT_PATH, AT(control), "/run/mtad/control.sock",
	    .help = "Unix socket for mtatop, `mtad status` and the like." },
	{ "log", OPT_PATH, AT(log), "/var/log/mtad",
	    .help = "Directory of the event log." },
	{ "log_rotate", OPT_SIZE, AT(log_rotate_bytes), "100M",
	    RANGE(64 * KB, TB),
	    .help = "A file of the event log that is so large is closed and a "
		    "new one begun." },
	{ "log_keep", OPT_U32, AT(log_keep), "10", RANGE(1, 10000),
	    .help = "Closed files of the event log that are kept." },
	{ "find_size", OPT_SIZE, AT(find_size), "1G", RANGE(0, TB),
	    .help = "Largest size of the index, beside the event log, by which "
		    "`mtad explain` finds messages and addresses; 0: none is "
		    "kept." },
	{ "find_keep", OPT_DURATION, AT(find_keep_us), "7d",
	    RANGE(60 * US_PER_S, 3650 * DAY_US),
	    .help = "How long the index knows of what is delivered or "
		    "bounced." },
	{ "log_level", OPT_CHOICE, AT(log_level_debug), "info",
	    .words = { "info", "debug" },
	    .help = "How much the program says about itself." },

	{ "proxy", OPT_MAP, .group = &conf_proxy_options, .key_type = OPT_NAME,
	    .begin = conf_proxy_begin,
	    ENTRIES(struct conf_proxy, proxies, nproxies, CONF_PROXIES_MAX),
	    .help = "Proxies that sources may be behind, each under a name "
		    "(see egress.md)." },
	{ "source", OPT_MAP, .group = &source_group, .key_type = OPT_NAME,
	    ENTRIES(struct conf_source, sources, nsources, ENG_SOURCES_MAX),
	    .absent = "one, whose address the system chooses",
	    .help = "Addresses that mail leaves from, each under a name." },
	{ "pool", OPT_MAP, .group = &pool_group, .key_type = OPT_NAME,
	    ENTRIES(struct conf_pool, pools, npools, ENG_POOLS_MAX),
	    .absent = "`default`, with every source",
	    .help = "Groups of sources, each under a name." },
	{ "warmup", OPT_MAP, .group = &warmup_group, .key_type = OPT_NAME,
	    .begin = warmup_begin,
	    ENTRIES(struct conf_warmup, warmups, nwarmups, ENG_WARMUPS_MAX),
	    .help = "Plans by which young sources come to carry more, each "
		    "under a name that sources give. A source has a share of "
		    "the day at each provider, and all without a provider "
		    "together are one." },
	{ "default_pool", OPT_POOL, AT(default_pool),
	    .absent = "`default`, or the only pool",
	    .help = "Pool of mail that names none." },

	DOOR(struct conf, listen_default., TEXT),
	{ "listen", OPT_MAP, .group = &listen_group, .key_type = OPT_NAME,
	    ENTRIES(struct conf_listen, listen, nlisten, CONF_LISTEN_MAX),
	    .begin = listen_begin, .absent = "no mail comes in",
	    .help = "Where mail comes in, each door under a name. The limits "
		    "of receiving may be given here for one door." },

	{ "sendmail", OPT_GROUP, .group = &sendmail_group,
	    .absent = "the daemon takes none",
	    .help = "Mail of programs on this host, by `mtad sendmail` (see "
		    "submission.md)." },
	{ "suppression", OPT_GROUP, .group = &conf_suppression_options,
	    .absent = "nobody is",
	    .help = "Addresses and domains that are not written to (see "
		    "suppression.md). `suppression: {}` is enough to begin." },
	{ "inbound", OPT_MAP, .group = &conf_inbound_options,
	    .key_type = OPT_DOMAIN,
	    ENTRIES(struct conf_inbound, inbound, ninbound, CONF_INBOUND_MAX),
	    .begin = conf_inbound_begin,
	    .help = "Domains whose mail is for mtad itself: bounces and "
		    "complaints that come back (see returns.md). Anybody may "
		    "write to the addresses that an entry has." },
	{ "drain", OPT_GROUP, .group = &drain_group,
	    .help = "Handing all mail over to another node, and taking it "
		    "over (see drain.md)." },
	{ "dkim", OPT_GROUP, .group = &conf_dkim_options,
	    .absent = "nothing is signed",
	    .help = "Signing mail (DKIM, RFC 6376; see dkim.md)." },
	{ "smtp_port", OPT_U16, AT(smtp_port), "25", RANGE(1, 65535),
	    .help = "Port where other hosts are contacted." },
	{ "ipv4", OPT_BOOL, AT(is_ipv4), "true", .help = "Deliver over IPv4." },
	{ "ipv6", OPT_BOOL, AT(is_ipv6), "true", .help = "Deliver over IPv6." },
	{ "route", OPT_MAP, .group = &conf_route_options, .key_type = OPT_GLOB,
	    ENTRIES(struct conf_route, routes, nroutes, CONF_ROUTES_MAX),
	    .help = "Domains that are treated apart, each under a pattern: "
		    "`*.x.example` is every domain below x.example, `*` every "
		    "domain. The first that matches counts." },
	{ "tls_report", OPT_GROUP, .group = &conf_tls_report_options,
	    .absent = "none",
	    .help = "Daily reports about TLS to domains that ask for them "
		    "(RFC 8460; see tls.md)." },
	{ "account", OPT_MAP, .group = &account_group, .key_type = OPT_TEXT,
	    ENTRIES(struct conf_account, accounts, naccounts,
		CONF_ACCOUNTS_MAX),
	    .absent = "nobody can log in",
	    .help = "Who may log in at a listener with `auth`, each under the "
		    "name that is used for it." },
	{ "accounts", OPT_PATH, AT(accounts_file),
	    .absent = "only those of `account`",
	    .help = "SQLite file with more of them, which `mtad account add` "
		    "makes and changes while the daemon runs (see "
		    "submission.md)." },
	{ "steering", OPT_GROUP, .group = &conf_steering_options,
	    .help = "Names of the header fields by which a client that may "
		    "relay steers a message. They are removed before it is "
		    "sent." },
	{ "token", OPT_MAP, .group = &conf_token_options, .key_type = OPT_NAME,
	    ENTRIES(struct conf_token, tokens, ntokens, CONF_TOKENS_MAX),
	    .absent = "nobody can post messages",
	    .help = "Who may post messages at a listener whose protocol is "
		    "`http`, each under a name for the log." },
	{ "tenant", OPT_MAP, .group = &tenant_group, .key_type = OPT_NAME,
	    ENTRIES(struct conf_tenant, tenants, ntenants, ENG_TENANTS_MAX),
	    .begin = tenant_begin, .first = "default",
	    .help =
		"How tenants share what can be sent, each under its name. "
		"Those without an entry are as `default`, and so is what an "
		"entry does not say." },
	{ "limits", OPT_MAP, .group = &conf_limits_options,
	    .key_type = OPT_GLOB,
	    ENTRIES(struct conf_shape, shapes, nshapes, ENG_DESTS_MAX),
	    .begin = conf_limits_begin, .first = "default",
	    .help = "How mail is sent from one source to one destination, "
		    "each under a pattern of domains as in `route`. The first "
		    "that matches counts, else `default`; what an entry does "
		    "not say is as its provider's entry says, and then as in "
		    "`default`." },
	{ "limit", OPT_MAP, .group = &conf_limit_options, .key_type = OPT_NAME,
	    ENTRIES(struct conf_limit, caps, ncaps, ENG_CAPS_MAX),
	    .begin = limit_begin,
	    .help = "Limits beyond those of one path, each under a name: on "
		    "all mail that matches `where`, apart for each value, or "
		    "combination of values, of what `per` names. All that "
		    "apply must agree; mail without a value that `per` "
		    "names is not limited (see limits.md)." },
	{ "automation", OPT_MAP, .group = &automation_options,
	    .key_type = OPT_NAME, .begin = automation_begin,
	    ENTRIES(struct conf_automation, automations, nautomations,
		ENG_AUTOMATIONS_MAX),
	    .absent = "the shipped ones only",
	    .help = "Reactions to refusals, each a rule under its name. Of "
		    "those that match one the first counts it, and this "
		    "file's stand before the shipped ones, of which one is "
		    "left out by its name and `~` (see reactions.md)." },
	{ "automation_shipped", OPT_BOOL, AT(automation_shipped), "true",
	    .help = "Go on with the shipped reactions, "
		    "`rules/automation.yml`." },
	PROVIDERS(struct conf, own.),
	{ "shaping", OPT_PATH, AT(shaping),
	    COUNT(struct conf, nshaping, CONF_SHAPING_MAX),
	    .absent = "the shipped one only",
	    .help = "Files of limits by provider, site, domain and source (see "
		    "shaping.md). A later one wins, and this file over all; "
		    "`mtad explain path` shows what holds, and why." },
	{ "shaping_shipped", OPT_BOOL, AT(shaping_shipped), "true",
	    .help = "Begin with the shipped shaping file, "
		    "`rules/shaping.yml`." },
	{ "retry", OPT_GROUP, .group = &conf_retry_options,
	    .help = "When a recipient is tried again." },
	{ "zones", OPT_ZONE, AT(mail_zones),
	    COUNT(struct conf, nmail_zones, CONF_ZONES_MAX), .absent = "none",
	    .help =
		"Time zones, from the zone files of this system, that a "
		"message may name by a header field `X-MTA-Zone`, besides "
		"UTC and those that are named elsewhere in this file: quiet "
		"hours of its tenant are then those of that zone. Another "
		"name is refused with 554 5.3.5. The mail for each zone takes "
		"turns of its own, as that of another campaign does; what "
		"came while no tenant had quiet hours goes by its tenant's "
		"zone until the next start." },
	{ "expire", OPT_DURATION, AT(expire_us), "5d", RANGE(S, 365 * DAY_US),
	    .help =
		"Mail that is not delivered after so long is returned. A "
		"message may say when by a header field `X-MTA-Expires`, and "
		"by `X-MTA-Schedule` that it is not to be sent before a time, "
		"from which the lifetime then counts: each a time such as "
		"2027-01-31T08:00:00+01:00, or a duration from now such as 2h. "
		"What is neither is refused with 550 5.6.0." },
	{ "delay_notice", OPT_DURATION, AT(delay_notice_us), "4h",
	    RANGE(S, 365 * DAY_US),
	    .help =
		"A sender who has asked for it (`NOTIFY=DELAY`, RFC 3461) is "
		"told once that mail has not been delivered for so long and is "
		"still being tried. Where he gave a time of his own "
		"(DELIVERBY, RFC 2852), that counts." },
	{ "client", OPT_GROUP, .group = &conf_client_options,
	    .help = "How this host talks to others." },
	{ "dns", OPT_GROUP, .group = &conf_dns_options,
	    .help = "How names are looked up." },
	{ "bounce_rules", OPT_PATH, AT(bounce_rules),
	    COUNT(struct conf, nbounce_rules, CONF_RULES_MAX),
	    .absent = "the shipped ones only",
	    .help = "Files of rules that say what a refusal means, tried "
		    "before the shipped ones (see classification.md)." },

	{ "messages_max", OPT_U32, AT(messages_max), "5000000",
	    RANGE(100, 100000000),
	    .help = "Messages in the queue; beyond, new mail is answered 452 "
		    "4.3.1." },
	{ "queue_recipients_max", OPT_U32, AT(rcpts_max), "10000000",
	    RANGE(100, 200000000),
	    .help = "The same for recipients in the queue." },
	{ "idempotency_keys_max", OPT_U32, AT(keys_max), "10000000",
	    RANGE(0, 100000000),
	    .help = "Idempotency keys of the last 24 hours that are known; "
		    "beyond, a message with a new one is answered 452 4.3.1. "
		    "Each takes some 40 bytes of memory and of disk (see "
		    "injection.md)." },
	{ "domains_max", OPT_U32, AT(domains_max), "1000000",
	    RANGE(100, 100000000),
	    .help = "Recipient domains in the queue at once." },
	{ "sessions_max", OPT_U32, AT(sessions_out_max), "4000",
	    RANGE(1, 1000000), .help = "Connections to other hosts at once." },
	{ "staging_max", OPT_SIZE, AT(staging_bytes), "64M", RANGE(MB, 64 * GB),
	    .help = "Memory for messages that are coming in; a larger one "
		    "goes on in a file without a name." },
	{ "stop_timeout", OPT_DURATION, AT(stop_timeout_us), "30s",
	    RANGE(0, HOUR_US),
	    .help = "After SIGTERM, connections in the middle of a message "
		    "may go on so long." },
};

const struct opt_group conf_options = ROWS(top);
