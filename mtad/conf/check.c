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

#include "conf/check_i.h"

#define CONTROL_PATH_MAX 107 /* sun_path of unix(7), with its NUL 108 */
#define SEGMENTS_MIN 4       /* two in reserve, one to fill, one to compact */

/* ---- places -------------------------------------------------------------- */

struct spot
check_spot_of(const struct check *k, const struct slice *keys, size_t n)
{
	const struct yaml_node *node = k->root;
	struct spot s = { .at = yaml_place(node) };
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t found = node != NULL ? yaml_find(node, keys[i]) : 0;

		len = option_path_add(s.what, len, keys[i]);
		if (node == NULL || node->kind != YAML_MAP ||
		    found == node->n) {
			node = NULL;
			continue;
		}
		s.at.line = node->key_lines[found];
		s.at.column = node->key_columns[found];
		node = node->items[found];
	}
	if (node != NULL)
		s.at = yaml_place(node);
	return s;
}

void
check_wrong(const struct check *k, struct spot s, const char *expected,
    struct slice got)
{
	complain(k->c, s.at, s.what, expected, got);
}

void
check_odd(const struct check *k, struct spot s, const char *expected,
    struct slice got)
{
	complain_warn(k->c, s.at, s.what, expected, got);
}

bool
check_is_given(const struct check *k, const char *key)
{
	const struct yaml_node *node = yaml_get(k->root, key);

	return node != NULL && !node->is_null;
}

/* ---- who we are ---------------------------------------------------------- */

static void
check_hostname(const struct check *k)
{
	struct slice name = k->conf->hostname;

	if (!domain_is_valid(name, false))
		check_wrong(k, SPOT(k, SL("hostname")),
		    "to be set, as the system's name is no host name", name);
	else if (slice_index(name, '.') == name.n)
		check_odd(k, SPOT(k, SL("hostname")),
		    "a full name such as mx.example", name);
}

static void
check_postmaster(const struct check *k)
{
	struct conf *conf = k->conf;
	char text[DOMAIN_MAX + 16];
	int n;

	if (conf->postmaster.n > 0)
		return;
	n = snprintf(text, sizeof(text), "postmaster@%.*s",
	    (int)MIN(conf->hostname.n, (size_t)DOMAIN_MAX), conf->hostname.p);
	conf->postmaster.p = arena_str(&conf->arena, text, (size_t)n);
	conf->postmaster.n = conf->postmaster.p != NULL ? (size_t)n : 0;
}

static void
check_books(const struct check *k)
{
	struct conf *conf = k->conf;
	char text[4096];
	int n;

	if (conf->books.n > 0)
		return;
	n = snprintf(text, sizeof(text), "%.*s/books.db",
	    (int)MIN(conf->spool.n, sizeof(text) - 16), conf->spool.p);
	conf->books.p = arena_str(&conf->arena, text, (size_t)n);
	conf->books.n = conf->books.p != NULL ? (size_t)n : 0;
}

static void
check_suppression(const struct check *k)
{
	struct conf_suppression *s = &k->conf->suppression;
	struct slice in = SL("suppression");
	char text[4096];
	enum kind kind;
	int n;

	s->is_on = check_is_given(k, "suppression");
	if (!s->is_on)
		return;
	if (s->file.n == 0) {
		n = snprintf(text, sizeof(text), "%.*s/suppression.db",
		    (int)MIN(k->conf->spool.n, sizeof(text) - 24),
		    k->conf->spool.p);
		s->file.p = arena_str(&k->conf->arena, text, (size_t)n);
		s->file.n = s->file.p != NULL ? (size_t)n : 0;
	}
	for (uint32_t i = 0; i < s->nkinds; i++) {
		kind = kind_find(s->kind[i]);
		if (kind == KIND_N)
			check_wrong(k, SPOT(k, in, SL("bounces"), SL("kinds")),
			    "kinds of refusals such as unknown_user",
			    s->kind[i]);
		else
			s->kinds |= 1u << kind;
	}
}

void
check_file(const struct check *k, struct spot s, struct slice path)
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
		check_wrong(k, s, "a file that can be read", slice_str(why));
}

/* ---- sources and pools --------------------------------------------------- */

/* An address is a source's own: limits and reputation belong to it. */
static void
check_source(const struct check *k, uint32_t i)
{
	const struct conf_source *v = k->conf->sources;
	char expected[64], text[IP_TEXT_MAX];
	uint32_t j = 0;

	while (j < i && !ip_eq(&v[j].address, &v[i].address))
		j++;
	if (j == i || v[i].address.family == 0)
		return;
	snprintf(expected, sizeof(expected),
	    "an address of its own (the first is on line %u)",
	    SPOT(k, SL("source"), v[j].name, SL("address")).at.line);
	ip_format(text, &v[i].address);
	check_wrong(k, SPOT(k, SL("source"), v[i].name, SL("address")),
	    expected, slice_str(text));
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
add_pool(const struct check *k)
{
	struct conf *conf = k->conf;
	struct conf_pool *p;

	if (conf->nsources > CONF_POOL_SOURCES_MAX)
		check_wrong(k, SPOT(k, SL("pool")),
		    "to be set when there are more than 256 sources",
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
check_pool(const struct check *k, const struct conf_pool *p)
{
	for (uint32_t i = 0; i < p->nsources; i++) {
		uint32_t j = 0;

		while (p->sources[j] != p->sources[i])
			j++;
		if (j < i)
			check_wrong(k,
			    SPOT(k, SL("pool"), p->name, SL("sources")),
			    "each source once",
			    k->conf->sources[p->sources[i]].name);
	}
}

static void
check_default_pool(const struct check *k)
{
	struct conf *conf = k->conf;
	struct spot s = SPOT(k, SL("default_pool"));

	if (check_is_given(k, "default_pool"))
		return;
	conf->default_pool = conf->pools[0].name;
	for (uint32_t i = 0; i < conf->npools; i++)
		if (slice_eq(conf->pools[i].name, SL("default")))
			conf->default_pool = conf->pools[i].name;
	if (conf->npools == 1 || slice_eq(conf->default_pool, SL("default")))
		return;
	s.at = SPOT(k, SL("pool")).at;
	check_wrong(k, s, "the name of a pool, as none is called \"default\"",
	    slice_str(NULL));
}

/* ---- proxies ---------------------------------------------------------------- */

static void
check_proxy(const struct check *k, const struct conf_proxy *p)
{
	const struct slice in = SL("proxy");
	const struct slice tls = SL("tls");

	if (p->is_haproxy && p->user.n > 0)
		check_wrong(k, SPOT(k, in, p->name, SL("user")),
		    "nothing, as the PROXY protocol has no users", p->user);
	if (p->is_haproxy && (p->tls_ca.n > 0 || p->tls.cert.n > 0))
		check_wrong(k, SPOT(k, in, p->name, tls),
		    "nothing, as its header goes before any TLS",
		    slice_str(NULL));
	if (p->user.n > CONF_PROXY_WORD_MAX - IP_TEXT_MAX)
		check_wrong(k, SPOT(k, in, p->name, SL("user")),
		    "at most 200 characters", p->user);
	if ((p->user.n > 0) != (p->password_file.n > 0))
		check_wrong(k, SPOT(k, in, p->name, SL("password_file")),
		    "to be given with user, and only then", p->password_file);
	if ((p->tls.cert.n > 0) != (p->tls.key.n > 0))
		check_wrong(k, SPOT(k, in, p->name, tls, SL("key")),
		    "to be given with cert, and only then", p->tls.key);
	check_file(k, SPOT(k, in, p->name, SL("password_file")),
	    p->password_file);
	check_file(k, SPOT(k, in, p->name, tls, SL("ca")), p->tls_ca);
	check_file(k, SPOT(k, in, p->name, tls, SL("cert")), p->tls.cert);
	check_file(k, SPOT(k, in, p->name, tls, SL("key")), p->tls.key);
}

static void
check_source_proxies(const struct check *k, struct conf_source *s)
{
	const struct conf *c = k->conf;
	const struct slice in = SL("source"), key = SL("proxies");

	for (uint32_t i = 0; i < s->nproxies; i++) {
		uint32_t at = 0;

		while (at < c->nproxies &&
		    !slice_eq(c->proxies[at].name, s->proxies[i]))
			at++;
		s->proxy[i] = (uint16_t)at;
		if (at == c->nproxies && s->proxies[i].n > 0)
			check_wrong(k, SPOT(k, in, s->name, key),
			    "the name of a proxy", s->proxies[i]);
		for (uint32_t j = 0; j < i; j++)
			if (s->proxy[j] == s->proxy[i] && at < c->nproxies)
				check_wrong(k, SPOT(k, in, s->name, key),
				    "each proxy once", s->proxies[i]);
		if (at < c->nproxies && s->address.family == 0 &&
		    (c->proxies[at].is_haproxy || c->proxies[at].names_source ||
			c->proxies[at].checks_source))
			check_wrong(k, SPOT(k, in, s->name, SL("address")),
			    "the address that the proxy is to use",
			    slice_str(NULL));
	}
}

static void
check_pools(const struct check *k)
{
	struct conf *conf = k->conf;

	for (uint32_t i = 0; i < conf->nproxies; i++)
		check_proxy(k, &conf->proxies[i]);
	for (uint32_t i = 0; i < conf->nsources; i++) {
		check_source(k, i);
		check_source_proxies(k, &conf->sources[i]);
	}
	if (conf->nsources == 0)
		add_source(conf);
	for (uint32_t i = 0; i < conf->npools; i++)
		check_pool(k, &conf->pools[i]);
	if (conf->npools == 0)
		add_pool(k);
	check_default_pool(k);
}

/* ---- sending ------------------------------------------------------------- */

static void
check_drain(const struct check *k)
{
	const struct conf_drain *d = &k->conf->drain;
	struct slice drain = SL("drain");

	check_file(k, SPOT(k, drain, SL("secret")), d->secret);
	check_file(k, SPOT(k, drain, SL("tls"), SL("cert")), d->tls.cert);
	check_file(k, SPOT(k, drain, SL("tls"), SL("key")), d->tls.key);
	if (d->bind.port && !d->secret.n)
		check_wrong(k, SPOT(k, drain, SL("bind")),
		    "a secret beside it (drain.secret)", SL("none"));
}

static void
check_order(const struct check *k, struct spot s, int64_t lo, int64_t hi)
{
	char least[32], got[32], expected[64];

	if (lo <= hi)
		return;
	fmt_duration_exact(least, lo);
	fmt_duration_exact(got, hi);
	snprintf(expected, sizeof(expected), "at least the minimum (%s)",
	    least);
	check_wrong(k, s, expected, slice_str(got));
}

static void
check_retry(const struct check *k)
{
	static const char *const others[] = { "first", "max", "factor" };
	const struct yaml_node *map = yaml_get(k->root, "retry");
	const struct conf *conf = k->conf;

	if (conf->retry.nlist == 0)
		check_order(k, SPOT(k, SL("retry"), SL("max")),
		    conf->retry.first_us, conf->retry.max_us);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		const struct yaml_node *node = yaml_get(map, others[i]);

		if (conf->retry.nlist > 0 && node != NULL && !node->is_null)
			check_wrong(k,
			    SPOT(k, SL("retry"), slice_str(others[i])),
			    "either schedule, or first, max and factor",
			    SL("both"));
	}
	check_order(k, SPOT(k, SL("dns"), SL("retry_max")),
	    conf->dns_retry_min_us, conf->dns_retry_max_us);
	check_order(k, SPOT(k, SL("client"), SL("host_retry_max")),
	    conf->host_retry_min_us, conf->host_retry_max_us);
}

static void
check_limits(const struct check *k)
{
	struct conf *conf = k->conf;
	const struct eng_shape *dflt = &conf->shapes[0].shape;
	bool is_all = false;

	for (uint32_t i = 0; i < conf->nshapes; i++) {
		const struct eng_shape *s = &conf->shapes[i].shape;
		struct slice key =
		    i == 0 ? SL("default") : conf->shapes[i].pattern;

		if (i == 0 || s->backoff_min_us != dflt->backoff_min_us ||
		    s->backoff_max_us != dflt->backoff_max_us)
			check_order(k,
			    SPOT(k, SL("limits"), key, SL("backoff_max")),
			    s->backoff_min_us, s->backoff_max_us);
		if (is_all)
			check_odd(k, SPOT(k, SL("limits"), key),
			    "nothing behind \"*\", which matches first", key);
		is_all |= slice_eq(key, SL("*"));
	}
	conf->shapes[0].pattern = SL("*");
}

static bool
is_local(const struct ip *ip)
{
	static const struct ip six = { .b = { [15] = 1 }, .family = 6 };

	return ip->family == 4 ? ip->b[0] == 127 : ip_eq(ip, &six);
}

/* A socket is had from any source; with an address that suits them. */
static void
place_sockets(const struct conf *c, struct conf_route *r)
{
	static const struct ip six = { .b = { [15] = 1 }, .family = 6 };
	bool has_v4 = false;

	for (uint32_t i = 0; i < c->nsources; i++)
		has_v4 |= c->sources[i].address.family != 6;
	for (uint32_t i = 0; i < r->nhosts && !has_v4; i++)
		if (slice_has_prefix(r->host[i], SL(CONF_UNIX)))
			r->addr[i].ip = six;
}

/* What a route says of its hosts needs hosts. */
static void
check_smart_hosts(const struct check *k, const struct conf_route *r)
{
	const struct conf_auth *a = &r->auth;

	if (r->is_lmtp && r->nhosts == 0)
		check_wrong(k, SPOT(k, SL("route"), r->pattern, SL("protocol")),
		    "hosts beside it, for no MX is an LMTP server", SL("lmtp"));
	for (uint32_t i = 0; i < r->nhosts && !r->is_lmtp; i++)
		if (slice_has_prefix(r->host[i], SL(CONF_UNIX)))
			check_wrong(k,
			    SPOT(k, SL("route"), r->pattern, SL("hosts")),
			    "protocol: lmtp beside a socket", r->host[i]);
	if (a->user.n > 0 && r->nhosts == 0)
		check_wrong(k, SPOT(k, SL("route"), r->pattern, SL("auth")),
		    "hosts beside it, to log in at", a->user);
	for (uint32_t i = 0; i < r->nhosts; i++)
		if (a->in_clear && !is_local(&r->addr[i].ip))
			check_wrong(k,
			    SPOT(k, SL("route"), r->pattern, SL("auth"),
				SL("clear")),
			    "false, for a host is not of this machine itself",
			    r->host[i]);
	if (a->user.n > 0 && !a->in_clear &&
	    r->says.sets & (1u << CONF_TLS_BIT) &&
	    r->says.tls.mode == CONF_TLS_NONE)
		check_wrong(k, SPOT(k, SL("route"), r->pattern, SL("tls")),
		    "TLS, for a password goes there", SL("none"));
}

static void
check_reports(struct conf *c)
{
	struct conf_tls_report *r = &c->tls_report;

	if (r->from.n > 0 && r->org.n == 0)
		r->org = mailbox_domain(r->from);
	if (r->contact.n == 0)
		r->contact = r->from;
}

static void
check_routes(const struct check *k)
{
	struct conf *conf = k->conf;
	bool is_all = false;

	for (uint32_t i = 0; i < conf->nroutes; i++) {
		const struct conf_route *r = &conf->routes[i];
		struct slice key = r->pattern;

		conf->routes_steer |= r->tenant.n || r->campaign.n || r->pool.n;
		check_smart_hosts(k, r);
		place_sockets(conf, &conf->routes[i]);
		if (is_all)
			check_odd(k, SPOT(k, SL("route"), key),
			    "nothing behind \"*\", which matches first", key);
		is_all |= slice_eq(key, SL("*"));
	}
}

/* ---- limits on tuples ---- */

static bool
has_source(const struct conf *c, struct slice name)
{
	for (uint32_t i = 0; i < c->nsources; i++)
		if (slice_eq(c->sources[i].name, name))
			return true;
	return false;
}

static bool
has_provider(const struct conf *c, struct slice name)
{
	for (uint32_t i = 1; i < c->nproviders; i++)
		if (slice_eq(c->providers[i].name, name))
			return true;
	return false;
}

/* Credit is counted in microseconds x count, in 62 bits. */
static void
check_byte_burst(const struct check *k, const struct conf_limit *l)
{
	uint64_t a = l->byte_rate, b = (uint64_t)l->byte_period_us;
	unsigned __int128 most;

	while (b != 0) {
		uint64_t r = a % b;

		a = b;
		b = r;
	}
	most = (unsigned __int128)((uint64_t)l->byte_period_us / MAX(a, 1u)) *
	    MAX(l->byte_burst, l->byte_rate);
	if (l->byte_rate != 0 && most >> 61 != 0)
		check_wrong(k, SPOT(k, SL("limit"), l->name, SL("byte_rate")),
		    "a shorter period, or a rounder number", SL("this"));
}

static void
check_cap(const struct check *k, const struct conf_limit *l)
{
	const struct slice *w = l->where;
	struct slice in = SL("limit"), where = SL("where");
	uint32_t dims = 0;

	for (uint32_t i = 0; i < l->nper; i++) {
		if (dims >> l->per[i] & 1)
			check_wrong(k, SPOT(k, in, l->name, SL("per")),
			    "each of them once",
			    slice_str(eng_dim_name(l->per[i])));
		dims |= 1u << l->per[i];
	}
	if (w[DIM_SOURCE].n && !has_source(k->conf, w[DIM_SOURCE]))
		check_wrong(k, SPOT(k, in, l->name, where, SL("source")),
		    "the name of a source", w[DIM_SOURCE]);
	if (l->quota && l->nper > KEPT_KEYS_MAX - 1)
		check_wrong(k, SPOT(k, in, l->name, SL("per")),
		    "at most five of them with a quota", slice_str(NULL));
	if (!l->conns_max && !l->conn_rate && !l->ramp && !l->rate &&
	    !l->rcpt_rate && !l->byte_rate && !l->quota)
		check_odd(k, SPOT(k, in, l->name), "something that it limits",
		    slice_str(NULL));
	check_byte_burst(k, l);
}

void
conf_check_providers(struct conf *conf, const struct yaml_node *root,
    struct complaints *c)
{
	struct check k = { .conf = conf, .root = root, .c = c };

	for (uint32_t i = 0; i < conf->ncaps; i++) {
		const struct conf_limit *l = &conf->caps[i];
		struct slice name = l->where[DIM_PROVIDER];

		if (name.n != 0 && !has_provider(conf, name))
			check_wrong(&k,
			    SPOT(&k, SL("limit"), l->name, SL("where"),
				SL("provider")),
			    "the name of a provider", name);
	}
}

static void
check_caps(const struct check *k)
{
	for (uint32_t i = 0; i < k->conf->ncaps; i++)
		check_cap(k, &k->conf->caps[i]);
}

static void
check_spool_max(const struct check *k)
{
	uint64_t most = k->conf->spool_max_bytes;
	uint64_t segment = k->conf->spool_segment_bytes;
	char least[32], got[32], expected[64];

	if (most == 0 || most / SEGMENTS_MIN >= segment)
		return;
	fmt_size_exact(least, segment * SEGMENTS_MIN);
	fmt_size_exact(got, most);
	snprintf(expected, sizeof(expected), "0 or at least %u segments (%s)",
	    SEGMENTS_MIN, least);
	check_wrong(k, SPOT(k, SL("spool_max")), expected, slice_str(got));
}

static void
check_source_tls(const struct check *k)
{
	for (uint32_t i = 0; i < k->conf->nsources; i++) {
		const struct conf_source *s = &k->conf->sources[i];

		check_file(k,
		    SPOT(k, SL("source"), s->name, SL("tls"), SL("cert")),
		    s->tls.cert);
		check_file(k,
		    SPOT(k, SL("source"), s->name, SL("tls"), SL("key")),
		    s->tls.key);
	}
}

/* ---- what comes back ------------------------------------------------------ */

static bool
is_prefix(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]) &&
		    memchr("+-_=", s.p[i], 4) == NULL)
			return false;
	return s.n > 0 && s.n <= CONF_RETURN_PREFIX_MAX;
}

static void
check_inbound(const struct check *k)
{
	struct slice in = SL("inbound");

	for (uint32_t i = 0; i < k->conf->ninbound; i++) {
		const struct conf_inbound *b = &k->conf->inbound[i];
		struct slice to = mailbox_domain(b->forward);

		if (b->prefix.n > 0 && !is_prefix(b->prefix))
			check_wrong(k, SPOT(k, in, b->domain, SL("prefix")),
			    "1 to 8 letters, digits, +, -, _ or =", b->prefix);
		for (uint32_t j = 0; j < b->nkeys; j++)
			check_file(k, SPOT(k, in, b->domain, SL("keys")),
			    b->keys[j]);
		if (to.n > 0 && conf_inbound_find(k->conf, to) != NULL)
			check_wrong(k, SPOT(k, in, b->domain, SL("forward")),
			    "an address elsewhere: this domain is one of "
			    "`inbound`",
			    b->forward);
	}
}

static void
check_return_path(const struct check *k, struct spot s, struct slice domain)
{
	const struct conf_inbound *b;

	if (domain.n == 0)
		return;
	k->conf->has_return_paths = true;
	b = conf_inbound_find(k->conf, domain);
	if (b == NULL || b->nkeys == 0)
		check_wrong(k, s, "a domain of `inbound` that has `keys`",
		    domain);
}

static void
check_return_paths(const struct check *k)
{
	const struct conf *c = k->conf;
	struct slice what = SL("return_path");

	for (uint32_t i = 0; i < c->nlisten; i++)
		check_return_path(k,
		    SPOT(k, SL("listen"), c->listen[i].name, what),
		    c->listen[i].return_path);
	for (uint32_t i = 0; i < c->npools; i++)
		check_return_path(k,
		    SPOT(k, SL("pool"), c->pools[i].name, what),
		    c->pools[i].return_path);
	for (uint32_t i = 0; i < c->ntenants; i++)
		check_return_path(k,
		    SPOT(k, SL("tenant"), c->tenants[i].name, what),
		    c->tenants[i].return_path);
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
	check_reports(conf);
	check_caps(&k);
	check_books(&k);
	check_suppression(&k);
	check_inbound(&k);
	check_return_paths(&k);
	check_spool_max(&k);
	check_drain(&k);
	conf->client.wants_tls = conf->tls_out;
	if (!conf->is_ipv4 && !conf->is_ipv6)
		check_wrong(&k, SPOT(&k, SL("ipv6")), "true, as ipv4 is false",
		    SL("false"));
	if (conf->control.n > CONTROL_PATH_MAX)
		check_wrong(&k, SPOT(&k, SL("control")),
		    "a path of at most 107 bytes", conf->control);
	check_file(&k, SPOT(&k, SL("dns"), SL("trust_anchor")),
	    conf->dns.trust_anchor);
	check_file(&k, SPOT(&k, SL("client"), SL("tls_ca")), conf->tls_ca);
	check_source_tls(&k);
}
