/*
 * relay/core_tls.c - what protects a domain's mail on its way, and that domains
 * which are told apart by it share no session.
 *
 * The policy is the configuration's together with what look-ups found. Where
 * it is more than what is done for everybody, it is a part of what tells the
 * domain's site from others (core_route.c), so that all domains of a site have
 * one policy and a session serves but one. It is kept for the domain and, since
 * the first in a line may belong to a domain that has moved on, for the site.
 * Plain domains, nearly all, are in neither table.
 *
 * After a reload the engine goes on with the sites that it has until domains are
 * looked up again. A policy that has become stricter holds from then on anyway:
 * a connection follows whichever of the two asks for more.
 */
#include <stdio.h>

#include "conf/shaping.h"
#include "relay/core_i.h"

#define POLICIES_MAX (1u << 21)

struct kept_tls {
	uint32_t nrefs;
	struct core_tls t; /* texts in words */
	char *words;
};

void
core_tls_init(struct core *c, uint64_t seed)
{
	pool_init(&c->tls, sizeof(struct kept_tls), POLICIES_MAX);
	map_init(&c->tls_of_domain, seed, POLICIES_MAX);
	map_init(&c->tls_of_site, seed + 1, POLICIES_MAX);
}

void
core_tls_free(struct core *c)
{
	for (uint32_t i = 1; i < c->tls.next_new; i++)
		if (pool_is_live(&c->tls, i))
			mem_free(
			    ((struct kept_tls *)pool_at(&c->tls, i))->words);
	pool_free(&c->tls);
	map_free(&c->tls_of_domain);
	map_free(&c->tls_of_site);
}

/* ---- what it is ---------------------------------------------------------------- */

static void
add(char *text, size_t *n, const char *what, const char *word)
{
	int put = snprintf(text + *n, CORE_TLS_TEXT - *n, "%s%s%s",
	    *n > 0 ? " " : "", what, word);

	*n = MIN(*n + (size_t)put, (size_t)CORE_TLS_TEXT - 1);
}

static void
add_hash(char *text, size_t *n, const char *what, struct slice s)
{
	char hash[20];

	snprintf(hash, sizeof(hash), "%08x",
	    (unsigned)hash_bytes(UINT64_C(0x746c73), s.p, s.n));
	add(text, n, what, hash);
}

/* Do look-ups count? */
static bool
is_open(const struct conf_tls_policy *p)
{
	return p->mode == CONF_TLS_OPPORTUNISTIC;
}

struct slice
core_tls_text(const struct core_tls *t, char text[CORE_TLS_TEXT])
{
	static const char *const sts[] = { NULL, "sts-testing:", "sts:" };
	const struct conf_tls_policy *p = &t->want;
	char word[8];
	size_t n = 0;

	if (t->wish == WISH_TLS)
		add(text, &n, "", "requiretls");
	if (!t->is_usual)
		add(text, &n, "tls-", conf_tls_mode_name(p->mode));
	if (p->min != 0) {
		snprintf(word, sizeof(word), "1.%u", p->min - 1u);
		add(text, &n, "tls", word);
	}
	if (p->ciphers.n > 0)
		add_hash(text, &n, "ciphers:", p->ciphers);
	if (p->name.n > 0)
		add_hash(text, &n, "name:", p->name);
	if (p->cert.n > 0)
		add_hash(text, &n, "cert:", p->cert);
	if (p->is_implicit)
		add(text, &n, "", "implicit");
	if (p->is_lmtp)
		add(text, &n, "", "lmtp");
	if (p->user.n > 0)
		add_hash(text, &n, "auth:", p->user);
	if (!t->is_usual && !p->chunks)
		add(text, &n, "", "data");
	if (!t->is_usual && p->bounces_8bit)
		add(text, &n, "", "7bit");
	if (t->is_secure && !t->is_route &&
	    (is_open(p) || p->mode == CONF_TLS_DANE || t->wish == WISH_TLS))
		add(text, &n, "", "dnssec");
	if (t->sts != CORE_STS_NONE && (is_open(p) || t->wish == WISH_TLS))
		add_hash(text, &n, sts[t->sts], t->sts_hosts);
	return slice_of(text, n);
}

static bool
is_plain(const struct core_tls *t)
{
	return t->is_usual && !t->is_secure && t->sts == CORE_STS_NONE &&
	    t->wish != WISH_TLS;
}

/* What look-ups told. Mail that wants none of it is as if they had not. */
static void
found(const struct conf *c, const struct core_answer *a, bool is_dane,
    struct core_tls *out)
{
	if (out->want.is_lmtp)
		return; /* these are of SMTP */
	if (out->wish == WISH_NO_POLICY && out->want.mode != CONF_TLS_DANE)
		return;
	/* Hosts that the configuration names need no MX record to be true. */
	out->is_secure = is_dane && c->dns.trust_anchor.n > 0 &&
	    (out->is_route || a->is_secure);
	if (!out->is_route && c->uses_sts &&
	    (is_open(&out->want) || out->wish == WISH_TLS)) {
		out->sts = a->sts;
		out->sts_hosts = a->sts_hosts;
	}
}

void
core_tls_make(const struct conf *c, const struct conf_place *p,
    const struct core_answer *a, bool is_route, enum core_wish wish,
    struct core_tls *out)
{
	bool is_dane;

	*out = (struct core_tls){ .is_route = is_route, .wish = wish };
	conf_tls_of(c, p, &out->want);
	out->is_usual = conf_tls_is_plain(c, &out->want);
	is_dane = out->want.mode == CONF_TLS_DANE ||
	    (c->uses_dane && (is_open(&out->want) || wish == WISH_TLS));
	if (a != NULL)
		found(c, a, is_dane, out);
	/* RFC 8689 4.2.1: with a certificate for the host's name, or by DANE. */
	if (wish == WISH_TLS && out->want.mode < CONF_TLS_VERIFY) {
		out->want.mode = CONF_TLS_VERIFY;
		out->is_usual = false;
	}
}

bool
core_tls_is_vouched(const struct conf *c, const struct core_answer *a,
    const struct core_tls *t)
{
	return t->wish != WISH_TLS || t->is_route || t->sts != CORE_STS_NONE ||
	    (a->is_secure && c->dns.trust_anchor.n > 0);
}

/* ---- where it is kept ------------------------------------------------------------ */

static struct slice
keep(char **at, struct slice s)
{
	char *to = *at;

	if (s.n > 0)
		memcpy(to, s.p, s.n);
	to[s.n] = '\0';
	*at += s.n + 1;
	return slice_of(to, s.n);
}

/* 0: there is no memory. */
static uint32_t
kept_new(struct core *c, const struct core_tls *t)
{
	struct handle h;
	struct kept_tls *k = pool_take(&c->tls, &h);
	char *at;

	if (k == NULL)
		return 0;
	k->words = at = mem_try(t->want.ciphers.n + t->want.name.n +
	    t->want.cert.n + t->want.key.n + t->want.user.n +
	    t->want.password_file.n + t->sts_hosts.n + 7);
	if (at == NULL) {
		pool_give(&c->tls, h.index);
		return 0;
	}
	k->t = *t;
	k->t.want.ciphers = keep(&at, t->want.ciphers);
	k->t.want.name = keep(&at, t->want.name);
	k->t.want.cert = keep(&at, t->want.cert);
	k->t.want.key = keep(&at, t->want.key);
	k->t.want.user = keep(&at, t->want.user);
	k->t.want.password_file = keep(&at, t->want.password_file);
	k->t.sts_hosts = keep(&at, t->sts_hosts);
	return h.index;
}

static void
kept_drop(struct core *c, uint32_t i)
{
	struct kept_tls *k = i != 0 ? pool_at(&c->tls, i) : NULL;

	if (k == NULL || --k->nrefs > 0)
		return;
	mem_free(k->words);
	pool_give(&c->tls, i);
}

/* The map's entry becomes i, 0 = none. */
static bool
point(struct core *c, struct map *m, uint32_t key, uint32_t i)
{
	uint32_t was = map_get(m, key);

	if (was == i)
		return true;
	if (i != 0) {
		if (map_put(m, key, i) != 0)
			return false;
		((struct kept_tls *)pool_at(&c->tls, i))->nrefs++;
	} else
		map_del(m, key);
	kept_drop(c, was);
	return true;
}

static bool
same(const struct core_tls *a, const struct core_tls *b)
{
	const struct conf_tls_policy *x = &a->want, *y = &b->want;

	return a->is_usual == b->is_usual && a->wish == b->wish &&
	    x->mode == y->mode && x->min == y->min &&
	    x->is_implicit == y->is_implicit && x->chunks == y->chunks &&
	    x->bounces_8bit == y->bounces_8bit && x->is_lmtp == y->is_lmtp &&
	    x->auth_in_clear == y->auth_in_clear &&
	    slice_eq(x->ciphers, y->ciphers) && slice_eq(x->name, y->name) &&
	    slice_eq(x->cert, y->cert) && slice_eq(x->key, y->key) &&
	    slice_eq(x->user, y->user) &&
	    slice_eq(x->password_file, y->password_file) &&
	    a->is_secure == b->is_secure && a->is_route == b->is_route &&
	    a->sts == b->sts && slice_eq(a->sts_hosts, b->sts_hosts);
}

static const struct core_tls *
get(const struct core *c, const struct map *m, uint32_t key)
{
	uint32_t i = m->n > 0 ? map_get(m, key) : 0;

	return i != 0 ? &((struct kept_tls *)pool_at(&c->tls, i))->t : NULL;
}

bool
core_tls_learn(struct core *c, uint32_t domain, const struct core_tls *t)
{
	const struct core_tls *was = get(c, &c->tls_of_domain, domain);
	uint32_t i;

	if (was != NULL && same(was, t))
		return true;
	if (is_plain(t)) {
		if (was != NULL)
			(void)point(c, &c->tls_of_domain, domain, 0);
		return true;
	}
	i = kept_new(c, t);
	if (i == 0)
		return false;
	if (point(c, &c->tls_of_domain, domain, i))
		return true;
	((struct kept_tls *)pool_at(&c->tls, i))->nrefs = 1;
	kept_drop(c, i);
	return false;
}

/* The number of the site that a domain's mail goes to now; 0 = none. */
static uint32_t
site_of(const struct core *c, uint32_t domain)
{
	struct eng_domain_view v;

	return eng_explain_domain(c->eng, domain, c->now_us, &v) ? v.site : 0;
}

void
core_tls_settle(struct core *c, uint32_t domain)
{
	uint32_t site;

	if (c->tls_of_domain.n == 0 && c->tls_of_site.n == 0)
		return;
	site = site_of(c, domain);
	if (site != 0)
		/* Without memory a session is opened by its domain. */
		(void)point(c, &c->tls_of_site, site,
		    map_get(&c->tls_of_domain, domain));
}

void
core_tls_forget(struct core *c, uint32_t domain)
{
	if (c->tls_of_domain.n > 0)
		(void)point(c, &c->tls_of_domain, domain, 0);
}

const struct core_tls *
core_tls_of(const struct core *c, uint32_t domain)
{
	return get(c, &c->tls_of_domain, domain);
}

/* How mail is handed over is the configuration's word alone: the present one's. */
static void
hand_over_as(struct core_tls *t, const struct conf_tls_policy *now)
{
	struct conf_tls_policy *w = &t->want;

	w->is_implicit = now->is_implicit;
	w->chunks = now->chunks;
	w->bounces_8bit = now->bounces_8bit;
	w->cert = now->cert;
	w->key = now->key;
	w->is_lmtp = now->is_lmtp;
	w->auth_in_clear = now->auth_in_clear;
	w->user = now->user;
	w->password_file = now->password_file;
	t->is_usual &=
	    w->user.n == 0 && !w->is_lmtp && !w->is_implicit && w->cert.n == 0;
}

const struct core_tls *
core_tls_open(const struct core *c, uint32_t domain, uint32_t site,
    struct core_tls *out)
{
	const struct core_tls *t = get(c, &c->tls_of_domain, domain);
	struct core_tls now;

	if (c->tls.live == 0 && !c->conf->has_tls)
		return NULL;
	if (site_of(c, domain) != site)
		t = get(c, &c->tls_of_site, site);
	core_tls_now(c, domain, &now);
	*out = t != NULL ? *t : now;
	if (now.want.mode > CONF_TLS_OPPORTUNISTIC &&
	    now.want.mode > out->want.mode)
		*out = now;
	hand_over_as(out, &now.want);
	return is_plain(out) ? NULL : out;
}
