/*
 * conf/check.c - what only the whole configuration can tell: values that
 * follow from others are filled in, and what does not fit together is
 * complained about where it was written.
 *
 * The whole may be wrong in parts already: names and addresses that could not
 * be read are empty here, and nothing is said about them twice.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf_i.h"

#define CONTROL_PATH_MAX 107 /* sun_path of unix(7), with its NUL 108 */
#define SEGMENTS_MIN 4       /* two in reserve, one to fill, one to compact */
/* What a message brings to the spool beside its own bytes: the record's head
 * and the fields of the envelope; and per recipient the address (320), ORCPT
 * (RFC 3461: 500) and their lengths. */
#define OVERHEAD_BYTES (64u << 10)
#define OVERHEAD_RCPT_BYTES 1024u

struct check {
	struct conf *conf;
	const struct yaml_node *root;
	struct complaints *c;
};

/* ---- places -------------------------------------------------------------- */

/* Where a path of n keys stands in the file, or as much of it as does. */
static struct place
locate(const struct check *k, const struct slice *keys, size_t n)
{
	const struct yaml_node *node = k->root;
	struct place at = yaml_place(node);

	for (size_t i = 0; i < n; i++) {
		uint32_t found = yaml_find(node, keys[i]);

		if (node->kind != YAML_MAP || found == node->n)
			return at;
		at.line = node->key_lines[found];
		at.column = node->key_columns[found];
		node = node->items[found];
	}
	return yaml_place(node);
}

#define LOCATE(k, ...)                                                         \
	locate(k, (struct slice[]){ __VA_ARGS__ },                             \
	    ARRAY_LEN(((struct slice[]){ __VA_ARGS__ })))

static bool
is_given(const struct check *k, const char *key)
{
	const struct yaml_node *node = yaml_get(k->root, key);

	return node != NULL && !node->is_null;
}

/* ---- who we are ---------------------------------------------------------- */

static void
check_hostname(struct check *k)
{
	struct slice name = k->conf->hostname;
	struct place at = LOCATE(k, SL("hostname"));

	if (!domain_is_valid(name, false))
		complain(k->c, at, "hostname",
		    "to be set, as the system's name is no host name", name);
	else if (slice_index(name, '.') == name.n)
		complain_warn(k->c, at, "hostname",
		    "a full name such as mx.example", name);
}

static void
check_postmaster(struct check *k)
{
	struct conf *conf = k->conf;
	char text[DOMAIN_MAX + 16];
	int n;

	if (conf->postmaster.n > 0 || conf->hostname.n > DOMAIN_MAX)
		return;
	n = snprintf(text, sizeof(text), "postmaster@%.*s",
	    SLF(conf->hostname));
	conf->postmaster.p = arena_str(&conf->arena, text, (size_t)n);
	conf->postmaster.n = conf->postmaster.p != NULL ? (size_t)n : 0;
}

static void
check_file(struct check *k, struct place at, const char *what,
    struct slice path)
{
	struct stat st;
	const char *why = NULL;

	if (path.n == 0)
		return;
	if (stat(path.p, &st) != 0 || access(path.p, R_OK) != 0)
		why = strerrordesc_np(errno);
	else if (!S_ISREG(st.st_mode))
		why = "not a file";
	if (why != NULL)
		complain(k->c, at, what, "a file that can be read",
		    slice_str(why));
}

/* ---- sources and pools --------------------------------------------------- */

static void
check_sources(struct check *k)
{
	struct conf *conf = k->conf;
	char expected[64];

	for (uint32_t i = 0; i < conf->nsources; i++) {
		const struct conf_source *s = &conf->sources[i];

		for (uint32_t j = 0; j < i && s->address.family != 0; j++) {
			const struct conf_source *before = &conf->sources[j];

			if (!ip_eq(&before->address, &s->address))
				continue;
			snprintf(expected, sizeof(expected),
			    "an address of its own (the first is on line %u)",
			    LOCATE(k, SL("source"), before->name, SL("address"))
				.line);
			complain(k->c,
			    LOCATE(k, SL("source"), s->name, SL("address")),
			    "duplicate address", expected, s->name);
			break;
		}
	}
}

/* Mail can leave without a word about it: from whatever address the system
 * chooses, and from all sources in turn. */
static void
add_source(struct conf *conf)
{
	conf->sources = arena_get(&conf->arena, sizeof(*conf->sources));
	ASSERT(conf->sources != NULL);
	conf->sources[0].name = SL("system");
	conf->nsources = 1;
}

static void
add_pool(struct check *k)
{
	struct conf *conf = k->conf;
	struct conf_pool *p;

	if (conf->nsources > CONF_POOL_SOURCES_MAX)
		complain(k->c, LOCATE(k, SL("source")), "pool",
		    "to be set when there are more than 64 sources",
		    slice_str(NULL));
	p = arena_get(&conf->arena, sizeof(*p));
	ASSERT(p != NULL);
	p->name = SL("default");
	p->nsources = MIN(conf->nsources, (uint32_t)CONF_POOL_SOURCES_MAX);
	for (uint32_t i = 0; i < p->nsources; i++)
		p->sources[i] = (uint16_t)i;
	conf->pools = p;
	conf->npools = 1;
}

static void
check_pool(struct check *k, const struct conf_pool *p)
{
	for (uint32_t i = 0; i < p->nsources; i++)
		for (uint32_t j = 0; j < i; j++)
			if (p->sources[i] == p->sources[j])
				complain(k->c,
				    LOCATE(k, SL("pool"), p->name,
					SL("sources")),
				    "pool", "each source once",
				    k->conf->sources[p->sources[i]].name);
}

static void
check_default_pool(struct check *k)
{
	struct conf *conf = k->conf;

	if (is_given(k, "default_pool"))
		return;
	conf->default_pool = conf->pools[0].name;
	for (uint32_t i = 0; i < conf->npools; i++)
		if (slice_eq(conf->pools[i].name, SL("default")))
			conf->default_pool = conf->pools[i].name;
	if (conf->npools > 1 && !slice_eq(conf->default_pool, SL("default")))
		complain(k->c, LOCATE(k, SL("pool")), "default_pool",
		    "the name of a pool, as none is called \"default\"",
		    slice_str(NULL));
}

static void
check_pools(struct check *k)
{
	check_sources(k);
	if (k->conf->nsources == 0)
		add_source(k->conf);
	for (uint32_t i = 0; i < k->conf->npools; i++)
		check_pool(k, &k->conf->pools[i]);
	if (k->conf->npools == 0)
		add_pool(k);
	check_default_pool(k);
}

/* ---- listeners ----------------------------------------------------------- */

static void
check_bind(struct check *k, uint32_t i)
{
	const struct conf_listen *l = &k->conf->listen[i];
	char expected[80];

	for (uint32_t j = 0; j < i && l->bind.port != 0; j++) {
		const struct conf_listen *before = &k->conf->listen[j];

		if (before->bind.port != l->bind.port ||
		    !ip_eq(&before->bind.ip, &l->bind.ip))
			continue;
		snprintf(expected, sizeof(expected),
		    "an address and port of its own (the first is on line %u)",
		    LOCATE(k, SL("listen"), before->name, SL("bind")).line);
		complain(k->c, LOCATE(k, SL("listen"), l->name, SL("bind")),
		    "duplicate bind", expected, l->name);
		return;
	}
}

static void
check_relay(struct check *k, const struct conf_listen *l)
{
	struct place at = LOCATE(k, SL("listen"), l->name, SL("relay_from"));

	for (uint32_t i = 0; i < l->nrelay_from; i++)
		if (l->relay_from[i].bits == 0)
			complain_warn(k->c, at, "relay_from",
			    "your own networks, not an open relay", l->name);
	if (l->nrelay_from == 0)
		complain_warn(k->c, at, "relay_from",
		    "the networks that may send mail to anywhere",
		    slice_str(NULL));
}

/* A message must fit into a segment of the spool, with its envelope. */
static void
check_size(struct check *k, const struct conf_listen *l, struct place at)
{
	uint64_t segment = k->conf->spool_segment_bytes;
	uint64_t extra =
	    OVERHEAD_BYTES + (uint64_t)l->smtp.rcpts_max * OVERHEAD_RCPT_BYTES;
	char most[32], size[32], room[32], expected[192];

	if (l->smtp.size_max + extra <= segment)
		return;
	fmt_size_exact(most, segment > extra ? segment - extra : 0);
	fmt_size_exact(size, segment);
	fmt_size_exact(room, extra);
	snprintf(expected, sizeof(expected),
	    "at most %s (spool_segment is %s, and an envelope of %u "
	    "recipients takes up to %s)",
	    most, size, l->smtp.rcpts_max, room);
	fmt_size_exact(size, l->smtp.size_max);
	complain(k->c, at, "message_size_max", expected, slice_str(size));
}

static void
check_listen(struct check *k, uint32_t i)
{
	struct conf_listen *l = &k->conf->listen[i];
	const struct conf_listen *d = &k->conf->listen_default;

	l->smtp.offers_tls = l->tls.cert.n > 0;
	check_bind(k, i);
	check_relay(k, l);
	check_file(k, LOCATE(k, SL("listen"), l->name, SL("tls"), SL("cert")),
	    "tls.cert", l->tls.cert);
	check_file(k, LOCATE(k, SL("listen"), l->name, SL("tls"), SL("key")),
	    "tls.key", l->tls.key);
	/* What is inherited is judged at the top level. */
	if (l->smtp.size_max != d->smtp.size_max ||
	    l->smtp.rcpts_max != d->smtp.rcpts_max)
		check_size(k, l,
		    LOCATE(k, SL("listen"), l->name, SL("message_size_max")));
}

static void
check_doors(struct check *k)
{
	struct conf *conf = k->conf;
	struct place at = LOCATE(k, SL("message_size_max"));

	conf->listen_default.smtp.hostname = conf->hostname;
	if (!is_given(k, "message_size_max"))
		at = LOCATE(k, SL("spool_segment"));
	check_size(k, &conf->listen_default, at);
	for (uint32_t i = 0; i < conf->nlisten; i++)
		check_listen(k, i);
	if (conf->nlisten == 0)
		complain_warn(k->c, LOCATE(k, SL("listen")), "listen",
		    "a place where mail comes in", slice_str(NULL));
}

/* ---- sending ------------------------------------------------------------- */

static void
check_order(struct check *k, struct place at, const char *what, int64_t lo,
    int64_t hi)
{
	char least[32], got[32], expected[64];

	if (lo <= hi)
		return;
	fmt_duration_exact(least, lo);
	fmt_duration_exact(got, hi);
	snprintf(expected, sizeof(expected), "at least the minimum (%s)",
	    least);
	complain(k->c, at, what, expected, slice_str(got));
}

static void
check_retry(struct check *k)
{
	static const char *const others[] = { "first", "max", "factor" };
	const struct yaml_node *map = yaml_get(k->root, "retry");
	const struct conf *conf = k->conf;

	if (conf->retry.nlist == 0)
		check_order(k, LOCATE(k, SL("retry"), SL("max")), "retry.max",
		    conf->retry.first_us, conf->retry.max_us);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		const struct yaml_node *node =
		    map != NULL ? yaml_get(map, others[i]) : NULL;

		if (conf->retry.nlist > 0 && node != NULL && !node->is_null)
			complain(k->c, yaml_place(node), "retry",
			    "either a schedule or first, max and factor",
			    slice_str(others[i]));
	}
	check_order(k, LOCATE(k, SL("dns"), SL("retry_max")), "dns.retry_max",
	    conf->dns_retry_min_us, conf->dns_retry_max_us);
	check_order(k, LOCATE(k, SL("client"), SL("host_retry_max")),
	    "client.host_retry_max", conf->host_retry_min_us,
	    conf->host_retry_max_us);
}

static void
check_limits(struct check *k)
{
	struct conf *conf = k->conf;
	bool is_all = false;

	for (uint32_t i = 0; i < conf->nshapes; i++) {
		struct conf_shape *s = &conf->shapes[i];
		struct slice key = i == 0 ? SL("default") : s->pattern;

		check_order(k, LOCATE(k, SL("limits"), key, SL("backoff_max")),
		    "backoff_max", s->shape.backoff_min_us,
		    s->shape.backoff_max_us);
		if (is_all)
			complain_warn(k->c, LOCATE(k, SL("limits"), key),
			    "limits", "no pattern behind \"*\"", key);
		is_all |= i > 0 && slice_eq(key, SL("*"));
	}
	conf->shapes[0].pattern = SL("*");
}

static void
check_routes(struct check *k)
{
	const struct conf *conf = k->conf;
	bool is_all = false;

	for (uint32_t i = 0; i < conf->nroutes; i++) {
		struct slice key = conf->routes[i].pattern;

		if (is_all)
			complain_warn(k->c, LOCATE(k, SL("route"), key),
			    "route", "no pattern behind \"*\"", key);
		is_all |= slice_eq(key, SL("*"));
	}
}

static void
check_rest(struct check *k)
{
	struct conf *conf = k->conf;
	char least[32], got[32], expected[64];

	conf->client.wants_tls = conf->tls_out;
	if (!conf->is_ipv4 && !conf->is_ipv6)
		complain(k->c, LOCATE(k, SL("ipv6")), "ipv6",
		    "true, as ipv4 is false", SL("false"));
	if (conf->control.n > CONTROL_PATH_MAX)
		complain(k->c, LOCATE(k, SL("control")), "control",
		    "a path of at most 107 bytes", conf->control);
	if (conf->spool_max_bytes > 0 &&
	    conf->spool_max_bytes / SEGMENTS_MIN < conf->spool_segment_bytes) {
		fmt_size_exact(least, conf->spool_segment_bytes * SEGMENTS_MIN);
		fmt_size_exact(got, conf->spool_max_bytes);
		snprintf(expected, sizeof(expected),
		    "0 or at least four segments (%s)", least);
		complain(k->c, LOCATE(k, SL("spool_max")), "spool_max",
		    expected, slice_str(got));
	}
	check_file(k, LOCATE(k, SL("dns"), SL("trust_anchor")),
	    "dns.trust_anchor", conf->dns.trust_anchor);
}

void
conf_check(struct conf *conf, const struct yaml_node *root,
    struct complaints *c)
{
	struct check k = { .conf = conf, .root = root, .c = c };

	check_hostname(&k);
	check_postmaster(&k);
	check_pools(&k);
	check_doors(&k);
	check_retry(&k);
	check_limits(&k);
	check_routes(&k);
	check_rest(&k);
}
