/*
 * conf/options_client.c - the options of delivery by SMTP, of its retries and
 * of look-ups; see options.c.
 */
#include "conf/options_i.h"

static const struct opt retry[] = {
	{ "first", OPT_DURATION, AT(retry.first_us), "10m",
	    RANGE(S / 100, 7 * DAY_US),
	    .help = "Delay after a recipient's first failure." },
	{ "max", OPT_DURATION, AT(retry.max_us), "4h",
	    RANGE(S / 100, 30 * DAY_US), .help = "Ceiling of a delay." },
	{ "factor", OPT_FACTOR, AT(retry.factor_pct), "2", RANGE(100, 10000),
	    .help = "Each delay is so many times the one before." },
	{ "jitter", OPT_PERCENT, AT(retry.jitter_pct), "10%", RANGE(0, 90),
	    .help = "Each delay is longer or shorter by up to this share, so "
		    "that what failed together does not return together." },
	{ "schedule", OPT_DURATION, AT(retry.list_us),
	    COUNT(struct conf, retry.nlist, 32), RANGE(S / 100, 30 * DAY_US),
	    .help = "The delays one by one, instead of `first`, `max` and "
		    "`factor`; the last one repeats." },
};
const struct opt_group conf_retry_options = ROWS(retry);

#define CLI_ROW(name, field, dflt, text)                                       \
	{                                                                      \
		name, OPT_MS, AT(client.field), dflt, RANGE(S / 100, DAY_US),  \
		    .help = text                                               \
	}

static const struct opt client_timeouts[] = {
	{ "connect", OPT_DURATION, AT(connect_timeout_us), "30s",
	    RANGE(S / 100, DAY_US), .help = "The connection to be made." },
	CLI_ROW("banner", banner_ms, "5m", "The greeting."),
	CLI_ROW("ehlo", ehlo_ms, "5m", "The reply to EHLO or HELO."),
	CLI_ROW("tls", tls_ms, "1m", "The TLS handshake."),
	CLI_ROW("mail", mail_ms, "5m", "The reply to MAIL."),
	CLI_ROW("rcpt", rcpt_ms, "5m", "The reply to RCPT."),
	CLI_ROW("data", data_ms, "2m", "The reply to DATA."),
	CLI_ROW("body", body_ms, "3m", "A block of the message to be taken."),
	CLI_ROW("eom", eom_ms, "10m", "The reply to the final dot."),
	CLI_ROW("rset", rset_ms, "20s", "The reply to RSET."),
	CLI_ROW("quit", quit_ms, "5s", "The reply to QUIT."),
	CLI_ROW("idle", idle_ms, "5s",
	    "A connection with nothing to send is kept open so long."),
};
static const struct opt_group client_timeouts_group = ROWS(client_timeouts);

static const struct opt client[] = {
	{ "tls", OPT_CHOICE, AT(tls_out), "opportunistic",
	    .words = { "none", "opportunistic" },
	    .help = "STARTTLS: when the peer offers it, or never. When the "
		    "handshake fails, mail goes in clear. What `tls` says in "
		    "`limits` or a shaping file stands above it." },
	{ "tls_ca", OPT_PATH, AT(tls_ca), .absent = "the system's",
	    .help = "File with the certificates, PEM, of the CAs that are "
		    "trusted where a certificate is verified." },
	{ "tls_session", OPT_DURATION, AT(tls_session_us), "1h",
	    RANGE(0, DAY_US),
	    .help = "A TLS session is resumed, with the same host and by the "
		    "same policy, for so long; 0 = never." },
	{ "dane", OPT_BOOL, AT(uses_dane), "true",
	    .help = "Where `tls` is `opportunistic` and a domain's MX, the "
		    "host's addresses and its TLSA records are all secure, "
		    "do as these say (DANE, RFC 7672). Needs `dns: "
		    "trust_anchor`." },
	{ "mta_sts", OPT_BOOL, AT(uses_sts), "false",
	    .help = "Look for a domain's MTA-STS policy (RFC 8461) and do as "
		    "it says, where `tls` is `opportunistic` and DANE says "
		    "nothing." },
	{ "mta_sts_port", OPT_U16, AT(sts_port), "443", RANGE(1, 65535),
	    .help = "Port where these policies are fetched; another one is "
		    "for tests." },
	{ "pipelining", OPT_BOOL, AT(client.pipelines), "true",
	    .help = "Send MAIL, RCPT and DATA in one write to a peer that "
		    "offers PIPELINING (RFC 2920)." },
	{ "chaining", OPT_BOOL, AT(client.chains), "true",
	    .help = "With pipelining: send the next message's commands right "
		    "behind a final dot." },
	{ "host_retry_min", OPT_DURATION, AT(host_retry_min_us), "1m",
	    RANGE(S / 100, DAY_US),
	    .help = "A host that does not answer is left alone so long; "
		    "longer each time in a row." },
	{ "host_retry_max", OPT_DURATION, AT(host_retry_max_us), "30m",
	    RANGE(S / 100, 7 * DAY_US), .help = "Ceiling of that." },
	{ "timeouts", OPT_GROUP, .group = &client_timeouts_group,
	    .help = "How long a peer may take (RFC 5321 4.5.3.2)." },
};
const struct opt_group conf_client_options = ROWS(client);

static const struct opt dns[] = {
	{ "servers", OPT_SERVER, AT(dns.servers),
	    COUNT(struct conf, dns.nservers, CONF_DNS_MAX),
	    .absent = "those of the system",
	    .help = "Recursive resolvers; the port is 53 unless given." },
	{ "trust_anchor", OPT_PATH, AT(dns.trust_anchor),
	    .absent = "no validation",
	    .help = "File with the root's trust anchor; with one, answers are "
		    "validated by DNSSEC." },
	{ "timeout", OPT_DURATION, AT(dns.timeout_us), "5s",
	    RANGE(S / 10, 6 * S),
	    .help = "One look-up takes at most so long, then its domain "
		    "waits." },
	{ "inflight_max", OPT_U32, AT(dns.inflight_max), "256", RANGE(1, 4096),
	    .help = "Look-ups at once. One that has had no answer for 0.1 s "
		    "counts no more; there are 4096 at most with these." },
	{ "per_parent_max", OPT_U32, AT(dns.per_parent_max), "32",
	    RANGE(1, 4096),
	    .help = "Look-ups at once below one parent domain, so that one "
		    "dead zone cannot take them all." },
	{ "queries_per_second_max", OPT_U32, AT(dns.queries_per_second_max),
	    "0", RANGE(0, 1000000),
	    .help = "Questions a second to each of `servers`, for resolvers "
		    "that drop what is over a limit; 0 = no limit. Those "
		    "that `cache` answers count too." },
	{ "serve_stale", OPT_DURATION, AT(dns.stale_us), "1d",
	    RANGE(0, 7 * DAY_US),
	    .help = "An answer in `cache` that has expired still serves so "
		    "long, when there is no new one within 1.8 s (RFC 8767); "
		    "0 = never. That of a domain that has mail serves in any "
		    "case." },
	{ "queue_max", OPT_U32, AT(dns.queue_max), "100000", RANGE(1, 10000000),
	    .help = "Look-ups that wait." },
	{ "cache", OPT_SIZE, AT(dns.cache_bytes), "2M", RANGE(MB, 64 * GB),
	    .help = "Memory for answers: about 500 bytes a name. It serves "
		    "what many domains share; what domains with mail have "
		    "been answered is kept beside it. Without a caching "
		    "resolver near by, more is better." },
	{ "retry_min", OPT_DURATION, AT(dns_retry_min_us), "1m",
	    RANGE(S / 100, DAY_US),
	    .help = "A domain whose look-up failed is asked for again after "
		    "so long; longer each time in a row." },
	{ "retry_max", OPT_DURATION, AT(dns_retry_max_us), "30m",
	    RANGE(S / 100, 7 * DAY_US), .help = "Ceiling of that." },
};
const struct opt_group conf_dns_options = ROWS(dns);

static const struct opt tls_report[] = {
	{ "from", OPT_MAILBOX, AT(tls_report.from), .is_required = true,
	    .help = "Address that they come from; its domain is who reports, "
		    "and should have a key of `dkim`." },
	{ "org", OPT_TEXT, AT(tls_report.org), .absent = "the domain of `from`",
	    .help = "Name of the organisation." },
	{ "contact", OPT_TEXT, AT(tls_report.contact), .absent = "`from`",
	    .help = "How to reach somebody." },
};
const struct opt_group conf_tls_report_options = ROWS(tls_report);
