/*
 * conf/conf.h - configuration: YAML text to an immutable, checked value.
 *
 * Every option is one row of a table (conf/options.c): name, type, default,
 * range, help. The reader, `mtad check`, the JSON Schema and the manual are
 * made from that table. All errors of a file are reported, each as
 *   file:line:column: what, expected, got
 * Unknown and duplicate keys are errors; `~` unsets a key to its default.
 *
 * Fields that other rooms need are typed here as plain values; texts are
 * slices into the configuration's own arena (NUL-terminated behind).
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "engine/engine.h"
#include "mail/mail.h"
#include "mail/zone.h"
#include "proto/proto.h"

#define CONF_LISTEN_MAX 64
#define CONF_CIDRS_MAX 64
#define CONF_DNS_MAX 8
#define CONF_ROUTES_MAX 4096
#define CONF_HOSTS_MAX 16
#define CONF_RULES_MAX 16
#define CONF_TENANT_CAMPAIGNS_MAX 256
#define CONF_ZONES_MAX ENG_ZONES_MAX
#define CONF_SHAPING_MAX 16
#define CONF_AUTOMATION_WORDS 32
#define CONF_AUTOMATION_LIST 16
#define CONF_SUFFIXES_MAX 32
#define CONF_POOL_SOURCES_MAX ENG_POOL_SOURCES_MAX
#define CONF_INBOUND_MAX 256
#define CONF_INBOUND_NAMES 16
#define CONF_RETURN_KEYS_MAX 8
#define CONF_RETURN_PREFIX_MAX 8
#define CONF_DKIM_KEYS_MAX 20000
#define CONF_DKIM_LIST 8
#define CONF_DKIM_HEADERS 48
#define CONF_DKIM_GENERAL 64
#define CONF_DKIM_FOUND 32

struct conf_tls {
	struct slice cert, key; /* files, PEM; both or neither */
	bool is_implicit;       /* from the first byte on (RFC 8314 3.3) */
};

#define CONF_ACCOUNTS_MAX 10000
#define CONF_FROM_MAX 32  /* senders of an account */
#define CONF_STRIP_MAX 32 /* fields that a listener takes out */
#define CONF_SALT_MAX 64

/* How mail is treated whose message says nothing of it. */
struct conf_given {
	struct slice class_name;        /* "bulk", "transactional" or empty */
	uint8_t klass;                  /* of it: 0 = not said, 1, 2 */
	int64_t expire_us, schedule_us; /* from its coming on; 0 = not said */
};

/* Who may authenticate (RFC 5802: what a server keeps of a password). */
struct conf_account {
	struct slice name;
	struct slice secret; /* "SCRAM-SHA-256$ITERATIONS:SALT$STORED:SERVER" */
	struct slice tenant, campaign, pool; /* empty: the listener's */
	/* What it may do; 0 or none: as the listener says. */
	uint32_t nfrom;
	struct slice
	    from[CONF_FROM_MAX]; /* addresses, or patterns of domains */
	uint64_t size_max;
	uint32_t rcpts_max;
	uint32_t rate; /* messages within rate_period_us */
	int64_t rate_period_us;
	struct conf_given given;
	/* Of secret. */
	uint32_t iterations, salt_n;
	uint8_t salt[CONF_SALT_MAX], stored_key[32], server_key[32];
};

/* Header fields that steer a message, and are removed: how an option calls each,
 * and its name unless that says another. Those of proto/letter.h come first, in
 * its order. */
#define CONF_STEER_TABLE(X)                                                    \
	X(STEER_TENANT, tenant, "X-MTA-Tenant", "Tenant of the message.")      \
	X(STEER_CAMPAIGN, campaign, "X-MTA-Campaign",                          \
	    "Campaign of the message.")                                        \
	X(STEER_POOL, pool, "X-MTA-Pool", "Pool that it leaves by.")           \
	X(STEER_ZONE, zone, "X-MTA-Zone", "Time zone of its recipients.")      \
	X(STEER_ENGAGED, engaged, "X-MTA-Engaged",                             \
	    "Whether its recipients are engaged: `yes` or `no`.")              \
	X(STEER_CLASS, class, "X-MTA-Class", "`bulk` or `transactional`.")     \
	X(STEER_EXPIRES, expires, "X-MTA-Expires",                             \
	    "When to give up: a time or a duration.")                          \
	X(STEER_SCHEDULE, schedule, "X-MTA-Schedule",                          \
	    "Not to be sent before: a time or a duration.")                    \
	X(STEER_KEY, idempotency_key, "X-MTA-Idempotency-Key",                 \
	    "By which a message that comes again is known (see "               \
	    "injection.md).")
#define X(id, option, name, help) id,
enum conf_steer { CONF_STEER_TABLE(X) STEER_N };
#undef X

#define CONF_TOKENS_MAX 10000

/* Who may inject over HTTP: what is kept of a token, and whose mail it is. */
struct conf_token {
	struct slice name;
	struct slice hash;                   /* "SHA-256$DIGEST" */
	struct slice account;                /* its name, or empty */
	struct slice tenant, campaign, pool; /* empty: the account's */
	uint32_t rate_count;                 /* 0: no limit */
	int64_t rate_period_us;
	uint8_t digest[32]; /* of hash */
};

struct conf_listen {
	struct slice name;
	struct endpoint bind;
	uint32_t nrelay_from;
	struct cidr relay_from[CONF_CIDRS_MAX];
	/* Proxies whose PROXY header, and clients whose XCLIENT is believed. */
	uint32_t nproxy_from, nxclient_from;
	struct cidr proxy_from[CONF_CIDRS_MAX], xclient_from[CONF_CIDRS_MAX];
	struct slice tenant, campaign, pool; /* empty = none given */
	struct conf_given given;
	struct slice return_path; /* one of inbound; empty: senders stay */
	struct conf_tls tls;
	bool has_auth, needs_auth;
	bool is_submission; /* mail is its author's: repaired (RFC 6409) */
	uint32_t nstrip;
	struct slice strip[CONF_STRIP_MAX]; /* fields that are taken out */
	bool is_local; /* no door of the network: drop files come in by it */
	bool is_http;  /* messages are posted here; no SMTP is spoken */
	/* Limits of this door; from the top level where not set here. */
	uint32_t connections_max, connections_per_client_max;
	struct smtp_srv_conf smtp; /* hostname, sizes, time-outs */
	uint32_t hops_max;         /* Received: fields; 5.4.6 beyond */
};

/* Who is not written to; share/doc/suppression.md. */
struct conf_suppression {
	bool is_on; /* the file says something of it */
	struct slice file;
	uint64_t mmap_bytes;
	bool discards; /* takes mail for them and lets it go; else refuses */
	/* Refusals of these kinds (bits 1 << enum kind) put an address in, after
	 * so many within a period. */
	uint32_t nkinds, kinds;
	struct slice kind[KIND_N];
	uint32_t count;
	int64_t period_us;
	bool bounce_for_all; /* else for the tenant */
	int64_t bounce_us;   /* how long it holds, 0 = for ever */
	bool takes_complaints, complaint_for_all;
	int64_t complaint_us;
};

/* A domain whose mail is for us: what comes back; share/doc/returns.md. */
struct conf_inbound {
	struct slice domain;
	uint32_t nkeys, nbounces, ncomplaints;
	struct slice keys[CONF_RETURN_KEYS_MAX];  /* files; the first signs */
	struct slice prefix;                      /* of signed local parts */
	struct slice bounces[CONF_INBOUND_NAMES]; /* local parts */
	struct slice complaints[CONF_INBOUND_NAMES];
	int64_t valid_us;
	bool takes_verp, trusts_unsigned;
	struct slice forward; /* empty: nowhere */
	uint64_t size_max;
};

/* Reports about TLS (RFC 8460). */
struct conf_tls_report {
	struct slice from; /* address; empty: there are none */
	struct slice org, contact;
};

/* Where other nodes may hand their mail over; and, of all of these, how nodes
 * know each other. */
struct conf_drain {
	struct endpoint bind; /* port 0: nowhere */
	uint32_t nfrom;
	struct cidr from[CONF_CIDRS_MAX];
	struct slice secret; /* file, or empty */
	struct conf_tls tls;
};

/* Mail that programs of this host leave in a directory (mtad sendmail). */
struct conf_sendmail {
	struct slice drop;       /* empty: nobody looks there */
	struct slice group;      /* whose it is; empty: the user's */
	struct conf_listen door; /* how it comes in */
};

/* What carries connections for sources whose addresses are not this machine's;
 * share/doc/egress.md. */
#define CONF_PROXIES_MAX 256
#define CONF_SOURCE_PROXIES_MAX 16
#define CONF_PROXY_WORD_MAX 255 /* a user's name, a password: RFC 1929 */
struct conf_proxy {
	struct slice name;
	struct endpoint address;
	bool is_haproxy; /* PROXY version 2; else SOCKS5 */
	struct slice user, password_file;
	bool names_source, checks_source;
	struct slice tls_ca, tls_name; /* empty: no TLS */
	struct conf_tls tls;           /* shown to it; empty: none */
	int64_t timeout_us, check_us;
};

struct conf_source {
	struct slice name;
	/* family 0: the system chooses. Behind proxies: the proxy's address. */
	struct ip address;
	uint32_t nproxies;
	struct slice proxies[CONF_SOURCE_PROXIES_MAX];
	uint16_t proxy[CONF_SOURCE_PROXIES_MAX]; /* the same, in conf.proxies */
	struct slice ehlo;                       /* empty: hostname */
	struct conf_tls tls;       /* shown to hosts; empty: none */
	struct slice warmup;       /* name of a plan; empty: it is not young */
	uint32_t warmup_stage;     /* that it begins with, from 1 */
	struct slice warmup_start; /* as written; empty: at once */
	int64_t warmup_from_us;    /* the same, wall clock */
};

/* How young sources come to carry more; conf/warmup.c. */
struct conf_warmup {
	struct slice name, like;
	uint32_t nmost;
	uint32_t
	    most[ENG_WARM_STAGES_MAX]; /* of the days, one after the other */
	uint32_t first, last;          /* or by growth, up to the last */
	uint32_t growth_pct;
	uint32_t hour_ppm, advance_ppm, defer_ppm, bounce_ppm, complaint_ppm;
	uint32_t attempts_min;
	int64_t idle_us;
	uint16_t zone;
	bool steps_back;
	bool prefers_engaged;
};

struct conf_pool {
	struct slice name;
	uint32_t nsources;
	uint16_t sources[CONF_POOL_SOURCES_MAX]; /* indices: conf.sources */
	uint16_t weights[CONF_POOL_SOURCES_MAX];
	struct slice overflow; /* name of a pool; empty: none */
	struct slice return_path;
	bool is_sticky;
};

struct conf_campaign {
	struct slice name;
	uint16_t weight;
};

struct conf_tenant {
	struct slice name;
	uint16_t weight;
	uint16_t zone; /* index: conf.zones */
	uint32_t nquiet;
	struct eng_quiet quiet[ENG_QUIET_MAX];
	bool is_hurry; /* its mail that says nothing else */
	struct slice return_path;
	uint32_t ncampaigns;
	struct conf_campaign *campaigns;
};

/* A limit on a tuple: struct eng_limit_conf as it is written. */
struct conf_limit {
	struct slice name;
	uint32_t nper;
	uint16_t per[DIM_N]; /* enum eng_dim */
	struct slice where[DIM_N];
	uint32_t conns_max;
	uint32_t conn_rate, conn_burst, ramp, ramp_start;
	uint32_t rate, burst, rcpt_rate, rcpt_burst;
	uint64_t byte_rate, byte_burst;
	int64_t conn_period_us, ramp_period_us, period_us, rcpt_period_us;
	int64_t byte_period_us;
	uint32_t quota;
	int64_t quota_us; /* 0: a calendar day of the zone */
	uint16_t zone;
};

/* Where something was written: a file of conf.files; line 0: nowhere. */
struct conf_origin {
	uint32_t line;
	uint16_t file;
};

/* A rule about refusals: what they must be, and what follows. */
struct conf_automation {
	struct slice name;
	uint32_t nproviders, ncategories, nkinds, nstages, ncodes, nenhs,
	    ntexts, non;
	struct slice providers[CONF_AUTOMATION_LIST];
	struct slice categories[CATEGORY_N], kinds[KIND_N], stages[STAGE_N];
	struct slice codes[CONF_AUTOMATION_LIST], enhs[CONF_AUTOMATION_LIST];
	struct slice texts[CONF_AUTOMATION_WORDS];
	uint16_t on[ENG_TARGET_DIMS_MAX]; /* bits 1 << enum eng_dim */
	uint8_t action;                   /* enum eng_action */
	bool goes_on, opens_at_once;
	uint32_t count, ratio_ppm, replies_min, conns_max, factor_ppm;
	int64_t period_us, window_us; /* of count, of ratio */
	int64_t for_us;
	struct conf_origin at;
};

/* What the reaction is about, bits 1 << enum eng_dim. */
uint16_t conf_automation_dims(const struct conf_automation *a);

/* Which of them the words of a reply match, of the configuration that has the
 * key; key 0: nobody has looked. */
struct conf_heard {
	struct eng_hits hits;
	uint64_t key; /* automation_key */
};

struct conf_zone {
	struct slice name;
	struct tzone zone;
};

/* How connections to others are protected. From TLS_REQUIRED on nothing goes in
 * clear text. */
#define CONF_TLS_TABLE(X)                                                      \
	X(CONF_TLS_NONE, "none")                                               \
	X(CONF_TLS_OPPORTUNISTIC, "opportunistic")                             \
	X(CONF_TLS_REQUIRED, "required")                                       \
	X(CONF_TLS_VERIFY, "verify") /* by a CA, for the host's name */        \
	X(CONF_TLS_DANE, "dane")     /* by secure TLSA records */
#define X(name, text) name,
enum conf_tls_mode { CONF_TLS_TABLE(X) CONF_TLS_MODES };
#undef X
const char *conf_tls_mode_name(enum conf_tls_mode m);

/* The policy of a recipient domain, as far as files tell: what protects its mail,
 * and how it is handed over. Domains that differ in any of it share no session. */
struct conf_tls_policy {
	uint8_t mode;         /* enum conf_tls_mode */
	uint8_t min;          /* 1 + n: TLS 1.n at least; 0: as OpenSSL says */
	bool is_implicit;     /* from the first byte on (RFC 8314) */
	bool chunks;          /* BDAT where it pays (RFC 3030) */
	bool bounces_8bit;    /* to a host without 8BITMIME; else as it is */
	struct slice ciphers; /* OpenSSL's list for TLS 1.2; empty: its own */
	struct slice name;    /* that the certificate shall have; empty: the
			       * host's */
	struct slice cert, key; /* files, shown to a host that asks; empty:
				 * the source's */
	/* Of a route alone. */
	bool is_lmtp;
	bool auth_in_clear;
	struct slice user, password_file; /* empty: nobody logs in */
};
/* Is nothing asked for beyond what is done for everybody? */
struct conf;
bool conf_tls_is_plain(const struct conf *c, const struct conf_tls_policy *t);

/* A key that signs, and what its signatures say; conf/dkim.c. */
struct conf_dkim_key {
	struct slice name;
	struct slice domain, selector, file, identity;
	uint32_t nfrom, ntenants;
	struct slice from[CONF_DKIM_LIST], tenants[CONF_DKIM_LIST];
	struct slice not_before, not_after;  /* as written */
	int64_t not_before_us, not_after_us; /* wall clock; 0: always */
	int64_t expire_us;
	bool takes_subdomains, relaxes_header, relaxes_body, says_time;
	uint32_t line, column; /* where its file is named */
};
struct conf_dkim_tenant {
	struct slice tenant;
	uint32_t key;
};
struct conf_dkim {
	struct conf_dkim_key all; /* what a key begins with */
	uint32_t nheaders, noversigned;
	struct slice headers[CONF_DKIM_HEADERS], oversigned[CONF_DKIM_HEADERS];
	uint32_t nkeys; /* 0: nothing is signed */
	struct conf_dkim_key *keys;
	/* Places in keys: those without patterns, sorted by domain; with
	 * patterns, sorted by tenant; with patterns, of all tenants. */
	uint32_t nby_domain, nby_tenant, ngeneral;
	uint32_t *by_domain;
	struct conf_dkim_tenant *by_tenant;
	uint32_t general[CONF_DKIM_GENERAL];
};

/* What one place says about the limits of paths (a layer; conf/shaping.h): bits
 * 1 << ENG_SHAPE_BIT(x), then those that the engine does not know. */
enum conf_shape_bit {
	CONF_ROLLUP_BIT = ENG_SHAPE_BITS,
	CONF_TLS_BIT,
	CONF_TLS_MIN_BIT,
	CONF_TLS_CIPHERS_BIT,
	CONF_TLS_NAME_BIT,
	CONF_TLS_IMPLICIT_BIT,
	CONF_TLS_CERT_BIT,
	CONF_TLS_KEY_BIT,
	CONF_CHUNKING_BIT,
	CONF_8BIT_BIT,
	CONF_SHAPE_BITS
};
struct conf_shape {
	struct slice pattern; /* glob over domains or hosts, or a name */
	/* Of one that was split, the pattern of the whole; else empty. */
	struct slice whole;
	struct eng_shape shape;
	bool rollup; /* domains with the same hosts are one site */
	struct conf_tls_policy tls; /* never of a source */
	uint32_t sets, unsets;      /* said; set back to the default, by ~ */
	struct conf_origin at[CONF_SHAPE_BITS];
};

/* A host that is a socket of the file system; for the engine it has an address
 * of its own on loopback. */
#define CONF_UNIX "unix:"
#define CONF_UNIX_MAX 107
/* Who we are to a smart host. */
struct conf_auth {
	struct slice user, password_file;
	bool in_clear; /* may be said without TLS: loopback alone */
	/* What the file has, once it was read (the daemon does that); it is
	 * written nowhere. */
	struct slice password;
};
struct conf_route {
	struct slice pattern; /* glob over the recipient's domain */
	uint32_t nhosts;
	struct slice host[CONF_HOSTS_MAX];    /* name or address text */
	struct endpoint addr[CONF_HOSTS_MAX]; /* ip.family 0: resolve name */
	struct slice tenant, campaign, pool;
	bool is_lmtp; /* RFC 2033 */
	struct conf_auth auth;
	struct conf_shape says; /* of TLS, above all layers */
};

/* All that goes to a provider together, or from one source. 0 = no limit. */
struct conf_cap {
	uint32_t conns_max, rate_count;
	int64_t rate_period_us;
	struct conf_origin conns_at, rate_at;
};

struct conf_provider {
	struct slice name;
	uint32_t nmx, ndomains, nhosts;
	struct slice mx[CONF_SUFFIXES_MAX];
	struct slice domains[CONF_SUFFIXES_MAX];
	struct slice hosts[CONF_SUFFIXES_MAX];
	struct conf_cap total, source; /* of all sources; of each */
	struct conf_shape limits;
	uint32_t nsources;
	struct conf_shape *sources; /* for one source; pattern: its name */
	struct conf_origin at;
};

/* What a shaping file says. */
struct conf_shaping {
	struct conf_shape dflt;
	uint32_t nproviders, nsites, ndomains, nsources;
	struct conf_provider *providers;
	struct conf_shape *sites, *domains, *sources;
};

/* Finds the entry for a name; conf/shaping.c. */
struct conf_index {
	uint32_t nkeys, nglobs, mask;
	struct conf_key *keys;
	uint32_t *table; /* places of keys + 1, by hash */
	struct conf_glob *globs;
};

/* What a provider was known by. */
enum conf_by { CONF_BY_HOST, CONF_BY_MX, CONF_BY_DOMAIN, CONF_BY_N };

struct conf {
	struct slice file;
	struct slice hostname, postmaster; /* postmaster mailbox address */
	struct slice spool, books, control, log; /* paths */
	struct slice user;                       /* empty: do not change */
	uint16_t node;                           /* number in message ids */
	uint32_t workers; /* 0 = by the number of cores */

	uint32_t nlisten;
	struct conf_listen *listen;
	struct conf_listen listen_default; /* limits where none are given */
	uint32_t nproxies;
	struct conf_proxy *proxies;
	uint32_t nsources; /* at least 1 */
	struct conf_source *sources;
	uint32_t npools; /* at least 1 */
	struct conf_pool *pools;
	struct slice default_pool; /* names one of pools */
	uint32_t nwarmups;
	struct conf_warmup *warmups; /* and shipped ones that sources name */
	uint32_t nroutes;
	struct conf_route *routes; /* first match wins, in file order */
	bool routes_steer;         /* one gives a tenant, campaign or pool */
	bool routes_speak;         /* one says how mail is handed over */
	uint32_t nshapes;
	/* [0] is the default ("*"), for domains that match no other; of the
	 * others the first match wins. At least 1. What an entry does not say
	 * is in .shape as in the default. */
	struct conf_shape *shapes;
	/* Shaping files merged: what is said about providers ([0] is none),
	 * sites (over the best host's name; [0] is none) and sources. */
	uint32_t nproviders, nsites;
	struct conf_provider *providers;
	struct conf_shape *sites, *source_shapes; /* those: one a source */
	struct conf_index by_domain, by_site, provider_by[CONF_BY_N];
	struct conf_shaping own; /* as in this file */
	bool shaping_shipped;
	uint32_t nshaping;
	struct slice shaping[CONF_SHAPING_MAX];
	uint16_t nfiles;
	struct slice files[CONF_SHAPING_MAX + 3]; /* [0] is this one */

	struct {
		uint32_t nservers;
		struct endpoint servers[CONF_DNS_MAX]; /* 0: the system's */
		struct slice trust_anchor;
		int64_t timeout_us; /* of one look-up: 6 s at most */
		uint32_t inflight_max, per_parent_max, queue_max;
		uint64_t cache_bytes;
		uint32_t queries_per_second_max;
		int64_t stale_us;
	} dns;

	uint32_t ncaps;
	struct conf_limit *caps;
	/* Reactions to refusals, first match first: this file's own, then the
	 * shipped ones. What they match hangs on this number. */
	uint32_t nautomations;
	struct conf_automation *automations;
	bool automation_shipped;
	uint64_t automation_key;
	uint32_t naccounts;
	struct conf_account *accounts;
	struct slice accounts_file;     /* SQLite, or empty */
	struct slice steering[STEER_N]; /* names of header fields */
	uint32_t ntokens;
	struct conf_token *tokens; /* by their digests */
	uint32_t ntenants;
	/* [0] is the default, for tenants without an entry. At least 1. */
	struct conf_tenant *tenants;
	uint32_t nzones; /* that are named anywhere; 0 is UTC */
	struct conf_zone *zones[CONF_ZONES_MAX];
	uint32_t nmail_zones; /* of these, those that are for messages */
	uint16_t mail_zones[CONF_ZONES_MAX];

	struct conf_suppression suppression;
	struct conf_sendmail sendmail;
	uint32_t ninbound;
	struct conf_inbound *inbound;
	bool has_return_paths; /* somebody has one */
	struct conf_drain drain;
	struct conf_tls_report tls_report;
	struct conf_dkim dkim;
	uint16_t smtp_port;
	bool is_ipv4, is_ipv6;   /* which families delivery uses */
	int64_t expire_us;       /* lifetime of a message: 5 days */
	int64_t delay_notice_us; /* a sender who wants it hears of it: 4 h */
	struct eng_retry retry;
	int64_t dns_retry_min_us, dns_retry_max_us;
	int64_t host_retry_min_us, host_retry_max_us;
	struct smtp_cli_conf client; /* ehlo_name not set; wants_tls is */
	int64_t connect_timeout_us;
	bool tls_out;           /* opportunistic STARTTLS */
	bool has_tls;           /* a shape's policy is not plain */
	bool uses_dane;         /* where all records are secure */
	bool uses_sts;          /* MTA-STS policies are looked for */
	uint16_t sts_port;      /* of the hosts that have them */
	struct slice tls_ca;    /* file; empty: the system's */
	int64_t tls_session_us; /* sessions are resumed so long; 0: never */

	uint32_t messages_max, rcpts_max, sessions_out_max, domains_max;
	uint32_t keys_max;      /* idempotency keys */
	uint64_t staging_bytes; /* message bytes in memory before commit */
	uint64_t spool_segment_bytes, spool_min_free_bytes, spool_max_bytes;
	uint64_t log_rotate_bytes;
	uint32_t log_keep;
	uint64_t find_size; /* of the index; 0 = none */
	int64_t find_keep_us;
	int64_t stop_timeout_us;
	bool log_level_debug;

	uint32_t nbounce_rules;
	struct slice bounce_rules[CONF_RULES_MAX]; /* before the shipped ones */

	struct arena arena; /* private: where it all lives */
};

/* Where errors go: one call an error, text without newline. Either function
 * may be NULL. */
struct conf_errors {
	void (*report)(void *ctx, const char *line);
	void *ctx;
	uint32_t n; /* errors so far */
	/* What is allowed but looks wrong; not counted in n. */
	void (*warn)(void *ctx, const char *line);
};

/* The account of a name, or NULL. */
const struct conf_account *conf_account_find(const struct conf *c,
    struct slice name);
/* May the account send as that address, or is nothing said? */
bool conf_account_may_be(const struct conf_account *a, struct slice address);
/* The token that has this digest (SHA-256), or NULL. */
const struct conf_token *conf_token_find(const struct conf *c,
    const uint8_t digest[32]);
/* Takes a->secret apart; false: it is none. */
bool conf_account_read(struct conf_account *a);
/* Reads a file. NULL with at least one error reported. Free with conf_free. */
struct conf *conf_load(const char *path, struct conf_errors *errs);
/* The same from memory; `name` stands for the file in errors. It reads no other
 * file, and knows none of the shipped limits. */
struct conf *conf_parse(const char *name, struct slice text,
    struct conf_errors *errs);
/* Beside it the texts of shaping files; those that it names are not read. */
struct conf_shaping_in {
	bool reads_files; /* those that it names, and the shipped one */
	uint32_t n;
	const char *const *names;
	const struct slice *texts;
};
struct conf *conf_parse_with(const char *name, struct slice text,
    const struct conf_shaping_in *in, struct conf_errors *errs);
void conf_free(struct conf *c);
/* The route of a domain: the first whose pattern matches, or NULL. */
const struct conf_route *conf_route_find(const struct conf *c,
    struct slice domain);
/* What all places say that speak of TLS, one by one: from 0 on, NULL at the end;
 * *where (may be NULL) is its pattern or name. */
const struct conf_shape *conf_tls_place(const struct conf *c, uint32_t i,
    const char **where);
/* The password of those words, or empty. */
struct slice conf_password(const struct conf *c, struct slice user,
    struct slice file);
/* The index of a zone that is named in it, or c->nzones. */
uint32_t conf_zone_find(const struct conf *c, struct slice name);
/* What is said about a tenant; never NULL. */
const struct conf_tenant *conf_tenant_find(const struct conf *c,
    struct slice name);
/*
 * The keys that may sign for an author's domain (empty: none that is known) and
 * a tenant at that time, in no order; how many. Those of the author's own domain
 * or else of the nearest above that has some, and those with patterns. Of one
 * domain and kind of key only one is to sign, which who knows the keys decides.
 */
uint32_t conf_dkim_find(const struct conf *c, struct slice author,
    struct slice tenant, int64_t wall_us, uint32_t found[CONF_DKIM_FOUND]);
bool conf_dkim_is_valid(const struct conf_dkim_key *k, int64_t wall_us);
/* Reports that a key's file is not what it should be; warns of what it is. */
void conf_dkim_complain(const struct conf *c, const struct conf_dkim_key *k,
    const char *expected, const char *got, struct conf_errors *errs);
void conf_dkim_warn(const struct conf *c, const struct conf_dkim_key *k,
    const char *expected, const char *got, struct conf_errors *errs);
/* What is said of a domain in `inbound`, or NULL. */
const struct conf_inbound *conf_inbound_find(const struct conf *c,
    struct slice domain);
/* Whose signed return paths mail has, or NULL; empty names are those that mail
 * without one is given. */
const struct conf_inbound *conf_return_path(const struct conf *c,
    struct slice tenant, struct slice pool, struct slice listener);
/* Does a pool have that name? */
bool conf_has_pool(const struct conf *c, struct slice name);
/* Where a file of rules that comes with the programs lies: above a program that
 * was built and not installed, else where it is installed. Returns dst. */
const char *conf_shipped(const char *name, char *dst, size_t cap);
/* JSON Schema (draft 2020-12) of a file: configuration, shaping, automation,
 * warmup, bounces or words; E_NOTFOUND: of none of these. */
int conf_schema(struct slice what, struct buf *out) MUST_CHECK;
/* The options as a reference page (Markdown), made from the table. */
int conf_reference(struct buf *out) MUST_CHECK;

/*
 * A reader for our other YAML files (scenarios, worlds): documents as trees
 * with line and column. Bounded in nodes, depth and size; duplicate keys are
 * errors.
 */
enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };
struct yaml_node {
	enum yaml_kind kind;
	uint32_t line, column;  /* from 1 */
	bool is_plain, is_null; /* scalar: unquoted; ~ or null or empty */
	struct slice text;      /* scalar */
	uint32_t n;             /* list: items; map: pairs */
	struct yaml_node **items;
	struct slice *keys; /* map */
	uint32_t *key_lines, *key_columns;
};
struct yaml_doc;
/* NULL with errors reported. */
struct yaml_doc *yaml_parse(const char *name, struct slice text,
    struct conf_errors *errs);
struct yaml_doc *yaml_load(const char *path, struct conf_errors *errs);
/* (yaml_free is a symbol of libyaml itself.) */
void yaml_doc_free(struct yaml_doc *d);
const struct yaml_node *yaml_root(const struct yaml_doc *d);
/* Value of a map's key, or NULL. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);
/* Reports "file:line:column: message" at a node. */
void yaml_error(const struct yaml_doc *d, const struct yaml_node *at,
    struct conf_errors *errs, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
