/*
 * world/zone.c - names, patterns and answers.
 *
 * A node is a set of facts; names and patterns point to nodes, and the names
 * of one range share one. Everything lives in one arena until the zone goes.
 */
#include "world/nameset.h"
#include "world/zone.h"

#define CNAME_HOPS 8
#define TTL_DEFAULT 300

struct zone_rr {
	struct zone_rr *next;
	uint16_t type, pref;
	struct slice text; /* target name or text */
	struct ip ip;
};

struct zone_node {
	struct slice pattern; /* what it was made for, in lower case */
	uint8_t fault;
	bool is_cut; /* TRUNCATE */
	bool has_ttl;
	uint32_t ttl, nrrs;
	int64_t delay_us;
	struct zone_rr *first, **last;
};

struct zone {
	struct arena arena;
	struct nameset names; /* to indices in nodes */
	struct zone_node **nodes;
	uint32_t nnodes; /* index 0 is never given */
	uint32_t ttl;
};

struct zone *
zone_new(void)
{
	struct zone *z = mem_get(sizeof(*z));

	arena_init(&z->arena, 64u << 10, (size_t)1 << 30);
	nameset_init(&z->names);
	z->ttl = TTL_DEFAULT;
	z->nnodes = 1;
	return z;
}

void
zone_free(struct zone *z)
{
	if (z == NULL)
		return;
	nameset_free(&z->names);
	arena_free(&z->arena);
	mem_free(z->nodes);
	mem_free(z);
}

void
zone_set_ttl(struct zone *z, uint32_t ttl_s)
{
	z->ttl = ttl_s;
}

/* ---- names to nodes ------------------------------------------------------------ */

static struct zone_node *
node_new(struct zone *z, struct slice pattern)
{
	struct zone_node *n = arena_get(&z->arena, sizeof(*n)), **grown;
	char *text = arena_str(&z->arena, pattern.p, pattern.n);

	if (n == NULL || text == NULL)
		return NULL;
	/* Doubles at every power of two. */
	if ((z->nnodes & (z->nnodes - 1)) == 0) {
		grown = mem_grow(z->nodes, z->nnodes * 2 * sizeof(*grown));
		if (grown == NULL)
			return NULL;
		z->nodes = grown;
	}
	n->pattern = slice_of(text, pattern.n);
	n->last = &n->first;
	z->nodes[z->nnodes++] = n;
	return n;
}

/* The node that gathers the facts about a pattern. A name inside an earlier
 * range gets a node of its own, which replaces what the range said of it. */
static struct zone_node *
node_of(struct zone *z, struct slice pattern, char *why, size_t why_cap)
{
	char lower[NAMESET_NAME_MAX + 1];
	uint32_t at = nameset_get(&z->names, pattern);
	struct zone_node *n;

	pattern = nameset_fold(pattern, lower);
	if (at != 0 && slice_eq(z->nodes[at]->pattern, pattern))
		return z->nodes[at];
	n = node_new(z, pattern);
	if (n == NULL) {
		snprintf(why, why_cap, "too many names");
		return NULL;
	}
	if (nameset_add(&z->names, pattern, z->nnodes - 1, why, why_cap) != 0)
		return NULL;
	return n;
}

/* ---- facts --------------------------------------------------------------------- */

static struct zone_rr *
rr_new(struct zone *z, struct zone_node *n, enum dns_type type)
{
	struct zone_rr *rr;

	if (n->nrrs == ZONE_RRS_MAX)
		return NULL;
	rr = arena_get(&z->arena, sizeof(*rr));
	if (rr == NULL)
		return NULL;
	rr->type = (uint16_t)type;
	*n->last = rr;
	n->last = &rr->next;
	n->nrrs++;
	return rr;
}

static int
rr_text(struct zone *z, struct zone_rr *rr, struct slice text)
{
	char *p;

	if (rr == NULL)
		return E_FULL;
	if (rr->type != DNS_TXT && text.n > 0 && text.p[text.n - 1] == '.')
		text.n--;
	p = arena_str(&z->arena, text.p, text.n);
	if (p == NULL)
		return E_NOMEM;
	rr->text = slice_of(p, text.n);
	return 0;
}

static int
fact_mx(struct zone *z, struct zone_node *n, struct slice rest)
{
	struct slice pref = slice_cut(&rest, ' ');
	struct zone_rr *rr;
	uint64_t v;

	rest = slice_trim(rest);
	if (slice_u64(pref, UINT16_MAX, &v) != 0 || rest.n == 0 ||
	    rest.n > DNS_NAME_MAX)
		return E_SYNTAX;
	rr = rr_new(z, n, DNS_MX);
	if (rr != NULL)
		rr->pref = (uint16_t)v;
	return rr_text(z, rr, rest);
}

static int
fact_address(struct zone *z, struct zone_node *n, uint8_t family,
    struct slice rest)
{
	struct zone_rr *rr;
	struct ip ip;

	if (ip_parse(rest, &ip) != 0 || ip.family != family)
		return E_SYNTAX;
	rr = rr_new(z, n, family == 4 ? DNS_A : DNS_AAAA);
	if (rr == NULL)
		return E_FULL;
	rr->ip = ip;
	return 0;
}

static int
fact_number(struct zone_node *n, struct slice word, struct slice rest)
{
	uint64_t v;

	if (slice_ieq(word, SL("DELAY")))
		return parse_duration(rest, &n->delay_us);
	if (!slice_ieq(word, SL("TTL")) ||
	    slice_u64(rest, UINT32_MAX / 2, &v) != 0)
		return E_SYNTAX;
	n->ttl = (uint32_t)v;
	n->has_ttl = true;
	return 0;
}

/* Facts of one word. */
static int
fact_word(struct zone *z, struct zone_node *n, struct slice word)
{
	static const struct {
		const char *name;
		enum zone_fault fault;
	} faults[] = {
		{ "NXDOMAIN", ZONE_NXDOMAIN },
		{ "SERVFAIL", ZONE_SERVFAIL },
		{ "REFUSED", ZONE_REFUSED },
		{ "SILENT", ZONE_SILENT },
	};

	/* RFC 7505: preference 0, the root as the host. */
	if (slice_ieq(word, SL("NULL-MX")))
		return rr_text(z, rr_new(z, n, DNS_MX), SL(""));
	if (slice_ieq(word, SL("TRUNCATE"))) {
		n->is_cut = true;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		if (slice_ieq(word, slice_str(faults[i].name))) {
			n->fault = (uint8_t)faults[i].fault;
			return 0;
		}
	return E_SYNTAX;
}

static int
fact_parse(struct zone *z, struct zone_node *n, struct slice fact)
{
	struct slice word = slice_cut(&fact, ' ');
	struct slice rest = slice_trim(fact);

	if (rest.n == 0)
		return fact_word(z, n, word);
	if (slice_ieq(word, SL("MX")))
		return fact_mx(z, n, rest);
	if (slice_ieq(word, SL("A")))
		return fact_address(z, n, 4, rest);
	if (slice_ieq(word, SL("AAAA")))
		return fact_address(z, n, 6, rest);
	if (slice_ieq(word, SL("TXT")))
		return rr_text(z, rr_new(z, n, DNS_TXT), rest);
	if (slice_ieq(word, SL("CNAME")) && rest.n <= DNS_NAME_MAX)
		return rr_text(z, rr_new(z, n, DNS_CNAME), rest);
	return fact_number(n, word, rest);
}

int
zone_add(struct zone *z, struct slice name, struct slice fact, char *why,
    size_t why_cap)
{
	struct zone_node *n = node_of(z, slice_trim(name), why, why_cap);
	int rc;

	if (n == NULL)
		return E_SYNTAX;
	rc = fact_parse(z, n, slice_trim(fact));
	if (rc == E_FULL)
		snprintf(why, why_cap, "more than %d records of one name",
		    ZONE_RRS_MAX);
	else if (rc != 0)
		snprintf(why, why_cap,
		    "expected MX 10 HOST, A, AAAA, CNAME, TXT, NULL-MX, "
		    "NXDOMAIN, SERVFAIL, REFUSED, SILENT, TRUNCATE, "
		    "DELAY TIME or TTL SECONDS");
	return rc;
}

/* ---- answers ------------------------------------------------------------------- */

/* *exists: the name is there, perhaps without data (then NULL). */
static const struct zone_node *
zone_find(const struct zone *z, struct slice name, bool *exists)
{
	uint32_t at = nameset_find(&z->names, name, exists);

	*exists |= at != 0;
	return at != 0 ? z->nodes[at] : NULL;
}

static void
answer_rr(struct dns_answer_w *w, struct slice owner, uint32_t ttl,
    const struct zone_rr *rr)
{
	switch (rr->type) {
	case DNS_MX:
		dns_answer_mx(w, owner, ttl, rr->pref, rr->text);
		break;
	case DNS_TXT:
		dns_answer_txt(w, owner, ttl, rr->text);
		break;
	case DNS_CNAME:
		dns_answer_name(w, owner, DNS_CNAME, ttl, rr->text);
		break;
	default:
		dns_answer_addr(w, owner, ttl, &rr->ip);
	}
}

/* Records of a node that answer a type; *alias is its CNAME's target. */
static void
answer_node(const struct zone *z, struct dns_answer_w *w, struct slice owner,
    const struct zone_node *n, uint16_t type, struct slice *alias)
{
	uint32_t ttl = n->has_ttl ? n->ttl : z->ttl;

	for (const struct zone_rr *rr = n->first; rr != NULL; rr = rr->next) {
		if (rr->type == type || type == DNS_ANY) {
			answer_rr(w, owner, ttl, rr);
		} else if (rr->type == DNS_CNAME) {
			answer_rr(w, owner, ttl, rr);
			*alias = rr->text;
		}
	}
}

/* Follows aliases inside the zone, a bounded number of them. */
static enum dns_rcode
answer_chain(const struct zone *z, struct dns_answer_w *w,
    const struct dns_query *q)
{
	struct slice name = slice_of(q->name, q->name_n), owner = SL("");
	char lower[DNS_NAME_MAX + 1];
	bool exists;

	for (int hop = 0; hop < CNAME_HOPS; hop++) {
		const struct zone_node *n = zone_find(z, name, &exists);
		struct slice alias = SL("");

		if (!exists || (n != NULL && n->fault == ZONE_NXDOMAIN))
			return DNS_RC_NXDOMAIN;
		if (n == NULL || n->fault != ZONE_FINE)
			return n == NULL ? DNS_RC_OK : DNS_RC_SERVFAIL;
		answer_node(z, w, owner, n, q->type, &alias);
		if (alias.n == 0)
			return DNS_RC_OK;
		owner = alias;
		for (size_t i = 0; i < alias.n; i++)
			lower[i] = ascii_lower(alias.p[i]);
		name = slice_of(lower, alias.n);
	}
	return DNS_RC_SERVFAIL;
}

/* The zone of a negative answer: the last label, as if each top-level domain
 * were one. */
static struct slice
soa_owner(const struct dns_query *q)
{
	struct slice name = slice_of(q->name, q->name_n);

	for (size_t i = name.n; i-- > 0;)
		if (name.p[i] == '.')
			return slice_skip(name, i + 1);
	return name.n > 0 ? name : SL(".");
}

void
zone_answer(const struct zone *z, const struct dns_query *q, bool is_udp,
    struct buf *out, struct zone_reply *reply)
{
	const struct zone_node *n;
	struct dns_answer_w w;
	enum dns_rcode rc;
	bool exists;

	n = zone_find(z, slice_of(q->name, q->name_n), &exists);
	*reply = (struct zone_reply){ .is_silent = false };
	if (n != NULL) {
		reply->is_silent = n->fault == ZONE_SILENT;
		reply->delay_us = n->delay_us;
	}
	if (reply->is_silent)
		return;
	dns_answer_begin(&w, out, q, is_udp ? q->udp_max : DNS_TCP_MAX);
	if (q->klass != 1 || (n != NULL && n->fault == ZONE_REFUSED))
		rc = DNS_RC_REFUSED;
	else if (n != NULL && n->fault == ZONE_SERVFAIL)
		rc = DNS_RC_SERVFAIL;
	else
		rc = answer_chain(z, &w, q);
	if (rc == DNS_RC_NXDOMAIN || (rc == DNS_RC_OK && w.answers == 0))
		dns_answer_soa(&w, soa_owner(q), z->ttl);
	if (n != NULL && n->is_cut && is_udp)
		w.is_cut = true;
	dns_answer_end(&w, q, rc);
}
