/*
 * conf/dkim.c - the keys that sign: what is said of them is judged, and those
 * for an author and a tenant are found.
 *
 * Keys are found by name: in a table sorted by the domain of the author, in one
 * sorted by tenant, and those for patterns of authors of any tenant in a list
 * with a ceiling. So ten thousand customers' keys cost a message no more than
 * ten.
 */
#include <stdio.h>
#include <stdlib.h>

#include "conf/conf_i.h"
#include "proto/dkim.h"

_Static_assert(CONF_DKIM_HEADERS <= DKIM_NAMES_MAX, "lists of names");

/* RFC 6376 5.4.1, and what came later: fields that lists, feedback and
 * unsubscribing need. */
static const char *const usual_headers[] = { "From", "Sender", "Reply-To",
	"Subject", "Date", "Message-ID", "To", "Cc", "In-Reply-To",
	"References", "MIME-Version", "Content-Type",
	"Content-Transfer-Encoding", "List-Id", "List-Help", "List-Unsubscribe",
	"List-Unsubscribe-Post", "List-Subscribe", "List-Post", "List-Owner",
	"List-Archive", "Feedback-ID" };
static const char *const usual_oversigned[] = { "From", "Reply-To", "Subject",
	"Date", "Message-ID", "To", "Cc", "MIME-Version", "Content-Type",
	"Content-Transfer-Encoding" };

struct judge {
	struct conf *conf;
	const struct yaml_node *dkim; /* NULL: there is none */
	struct complaints *c;
};

/* ---- places and words ------------------------------------------------------------ */

/* An option of a key, or of all when name is empty. */
static struct place
place_of(const struct judge *j, struct slice name, const char *option)
{
	const struct yaml_node *node = j->dkim, *found;
	uint32_t at;

	if (name.n > 0) {
		node = yaml_get(node, "key");
		at = yaml_find(node, name);
		if (at == node->n)
			return yaml_place(node);
		node = node->items[at];
	}
	found = node->kind == YAML_MAP ? yaml_get(node, option) : NULL;
	return yaml_place(found != NULL ? found : node);
}

static size_t
name_option(char what[CONF_WHAT_MAX], struct slice name, const char *option)
{
	size_t n = option_path_add(what, 0, SL("dkim"));

	if (name.n > 0) {
		n = option_path_add(what, n, SL("key"));
		n = option_path_add(what, n, name);
	}
	return option_path_add(what, n, slice_str(option));
}

static void
wrong(const struct judge *j, const struct conf_dkim_key *k, const char *option,
    const char *expected, struct slice got)
{
	struct slice name = k != NULL ? k->name : SL("");
	char what[CONF_WHAT_MAX] = "";

	name_option(what, name, option);
	complain(j->c, place_of(j, name, option), what, expected, got);
}

static void
tell(const struct conf *c, const struct conf_dkim_key *k, const char *kind,
    const char *expected, const char *got, struct conf_errors *errs)
{
	void (*to)(void *ctx, const char *line) =
	    *kind != '\0' ? errs->warn : errs->report;
	char what[CONF_WHAT_MAX] = "", line[4096 + 512];

	name_option(what, k->name, "file");
	if (to == NULL)
		return;
	snprintf(line, sizeof(line), "%s:%u:%u: %s%s, expected %s, got %s",
	    c->file.p, k->line, k->column, kind, what, expected, got);
	to(errs->ctx, line);
}

void
conf_dkim_complain(const struct conf *c, const struct conf_dkim_key *k,
    const char *expected, const char *got, struct conf_errors *errs)
{
	errs->n++;
	tell(c, k, "", expected, got, errs);
}

void
conf_dkim_warn(const struct conf *c, const struct conf_dkim_key *k,
    const char *expected, const char *got, struct conf_errors *errs)
{
	tell(c, k, "warning: ", expected, got, errs);
}

/* ---- one key ------------------------------------------------------------------------ */

static void
read_time(const struct judge *j, const struct conf_dkim_key *k,
    const char *option, struct slice text, int64_t *us)
{
	char iso[40];

	if (text.n == 0)
		return;
	if (text.n == 10)
		snprintf(iso, sizeof(iso), "%.*sT00:00:00Z", SLF(text));
	else
		slice_copy(text, iso, sizeof(iso));
	if (text.n >= sizeof(iso) || parse_date_iso(slice_str(iso), us) != 0)
		wrong(j, k, option,
		    "a date such as 2026-12-24, or a time (RFC 3339)", text);
}

static bool
is_below(struct slice name, struct slice domain)
{
	return name.n > domain.n && name.p[name.n - domain.n - 1] == '.' &&
	    slice_has_isuffix(name, domain);
}

/* A ; would end the tag, a = or blank is not worth quoting. */
static bool
identity_fits(const struct conf_dkim_key *k)
{
	struct slice at = mailbox_domain(k->identity);

	for (size_t i = 0; i < k->identity.n; i++)
		if (strchr(" ;=\"\\", k->identity.p[i]) != NULL)
			return false;
	return at.n > 0 && at.n < k->identity.n &&
	    (slice_ieq(at, k->domain) || is_below(at, k->domain));
}

static void
judge_key(const struct judge *j, struct conf_dkim_key *k)
{
	const struct place at = place_of(j, k->name, "file");

	k->line = at.line;
	k->column = at.column;
	read_time(j, k, "not_before", k->not_before, &k->not_before_us);
	read_time(j, k, "not_after", k->not_after, &k->not_after_us);
	if (k->not_after_us != 0 && k->not_after_us <= k->not_before_us)
		wrong(j, k, "not_after", "a time behind `not_before`",
		    k->not_after);
	if (k->identity.n > 0 && k->domain.n > 0 && !identity_fits(k))
		wrong(j, k, "identity",
		    "an address, or @ and a domain, in `domain` or below it",
		    k->identity);
	if (k->selector.n > 0 && !domain_is_valid(k->selector, false))
		wrong(j, k, "selector", "labels as of a host name",
		    k->selector);
	if (k->expire_us != 0 && k->expire_us < j->conf->expire_us)
		complain_warn(j->c, place_of(j, k->name, "expire"),
		    "dkim: expire of a signature",
		    "longer than mail may wait (`expire`)", k->name);
	if (k->nfrom > 0 && k->takes_subdomains)
		wrong(j, k, "subdomains", "patterns in `from` instead",
		    SL("true"));
}

/* ---- lists of fields ------------------------------------------------------------------ */

/* A list that is not said is the usual one; an empty one stays empty. */
static uint32_t
fill_usual(const struct judge *j, const char *option, struct slice *v,
    uint32_t n, const char *const *usual, uint32_t nusual)
{
	if (j->dkim != NULL && yaml_get(j->dkim, option) != NULL)
		return n;
	for (uint32_t i = 0; i < nusual; i++)
		v[i] = slice_str(usual[i]);
	return nusual;
}

static bool
names(const struct slice *v, uint32_t n, struct slice name)
{
	for (uint32_t i = 0; i < n; i++)
		if (slice_ieq(v[i], name))
			return true;
	return false;
}

/* RFC 6376 3.5: what the list may not hold, and (RFC 5322 3.6.8) what is no name
 * of a field. */
static void
judge_names(const struct judge *j, const char *option, const struct slice *v,
    uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		bool ok = v[i].n <= NAME_MAX_BYTES &&
		    !slice_ieq(v[i], SL("DKIM-Signature")) &&
		    !slice_ieq(v[i], SL("Return-Path"));

		for (size_t b = 0; b < v[i].n; b++)
			ok &= strchr(" :;", v[i].p[b]) == NULL;
		if (!ok)
			wrong(j, NULL, option,
			    "names of header fields that do not change on the "
			    "way",
			    v[i]);
		else if (names(v, i, v[i]))
			wrong(j, NULL, option, "each name once", v[i]);
	}
}

static void
judge_lists(const struct judge *j)
{
	struct conf_dkim *d = &j->conf->dkim;
	uint32_t all;

	d->nheaders = fill_usual(j, "headers", d->headers, d->nheaders,
	    usual_headers, ARRAY_LEN(usual_headers));
	d->noversigned = fill_usual(j, "oversign", d->oversigned,
	    d->noversigned, usual_oversigned, ARRAY_LEN(usual_oversigned));
	judge_names(j, "headers", d->headers, d->nheaders);
	judge_names(j, "oversign", d->oversigned, d->noversigned);
	all = d->nheaders;
	for (uint32_t i = 0; i < d->noversigned; i++)
		all += !names(d->headers, d->nheaders, d->oversigned[i]);
	if (all > DKIM_NAMES_MAX)
		wrong(j, NULL, "oversign", "at most 64 names with `headers`",
		    slice_str(NULL));
	/* RFC 6376 5.4. */
	if (!names(d->headers, d->nheaders, SL("From")) &&
	    !names(d->oversigned, d->noversigned, SL("From")))
		wrong(j, NULL, "headers", "From among them", slice_str(NULL));
}

/* ---- tables ------------------------------------------------------------------------------ */

static int
text_order(struct slice a, struct slice b)
{
	size_t n = MIN(a.n, b.n);
	int order = n > 0 ? strncasecmp(a.p, b.p, n) : 0;

	return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static int
by_domain(const void *va, const void *vb, void *ctx)
{
	const struct conf_dkim_key *keys = ctx;
	const struct conf_dkim_key *a = &keys[*(const uint32_t *)va];
	const struct conf_dkim_key *b = &keys[*(const uint32_t *)vb];
	int order = text_order(a->domain, b->domain);

	return order != 0 ? order : (a > b) - (a < b);
}

static int
by_selector(const void *va, const void *vb, void *ctx)
{
	const struct conf_dkim_key *keys = ctx;
	const struct conf_dkim_key *a = &keys[*(const uint32_t *)va];
	const struct conf_dkim_key *b = &keys[*(const uint32_t *)vb];
	int order = text_order(a->selector, b->selector);

	return order != 0 ? order : by_domain(va, vb, ctx);
}

static int
by_tenant(const void *va, const void *vb)
{
	const struct conf_dkim_tenant *a = va, *b = vb;
	int order = slice_cmp(a->tenant, b->tenant);

	return order != 0 ? order : (a->key > b->key) - (a->key < b->key);
}

/* A selector names one key of its domain. */
static void
judge_selectors(const struct judge *j, uint32_t *order)
{
	struct conf_dkim *d = &j->conf->dkim;
	char expected[80];

	for (uint32_t i = 0; i < d->nkeys; i++)
		order[i] = i;
	qsort_r(order, d->nkeys, sizeof(*order), by_selector, d->keys);
	for (uint32_t i = 1; i < d->nkeys; i++) {
		const struct conf_dkim_key *a = &d->keys[order[i - 1]];
		const struct conf_dkim_key *b = &d->keys[order[i]];

		if (!slice_ieq(a->domain, b->domain) ||
		    !slice_ieq(a->selector, b->selector))
			continue;
		snprintf(expected, sizeof(expected),
		    "one of its own in the domain (the first is on line %u)",
		    place_of(j, a->name, "selector").line);
		wrong(j, b, "selector", expected, b->selector);
	}
}

/* False: no memory. */
static bool
make_tables(const struct judge *j)
{
	struct conf_dkim *d = &j->conf->dkim;
	uint32_t ntenants = 0;

	for (uint32_t i = 0; i < d->nkeys; i++)
		ntenants += d->keys[i].nfrom > 0 ? d->keys[i].ntenants : 0;
	d->by_domain =
	    arena_get(&j->conf->arena, d->nkeys * sizeof(*d->by_domain));
	d->by_tenant = arena_get(&j->conf->arena,
	    MAX(ntenants, 1) * sizeof(*d->by_tenant));
	if (d->by_domain == NULL || d->by_tenant == NULL)
		return false;
	judge_selectors(j, d->by_domain);
	for (uint32_t i = 0; i < d->nkeys; i++) {
		const struct conf_dkim_key *k = &d->keys[i];

		if (k->nfrom == 0)
			d->by_domain[d->nby_domain++] = i;
		else if (k->ntenants == 0 && d->ngeneral < CONF_DKIM_GENERAL)
			d->general[d->ngeneral++] = i;
		else if (k->ntenants == 0)
			wrong(j, k, "from",
			    "at most 64 keys with patterns and no tenant",
			    slice_str(NULL));
		for (uint32_t t = 0; k->nfrom > 0 && t < k->ntenants; t++)
			d->by_tenant[d->nby_tenant++] =
			    (struct conf_dkim_tenant){ k->tenants[t], i };
	}
	qsort_r(d->by_domain, d->nby_domain, sizeof(*d->by_domain), by_domain,
	    d->keys);
	qsort(d->by_tenant, d->nby_tenant, sizeof(*d->by_tenant), by_tenant);
	return true;
}

void
dkim_read(struct conf *conf, const struct yaml_node *root, struct complaints *c)
{
	const struct yaml_node *node = yaml_get(root, "dkim");
	struct judge j = { .conf = conf, .c = c };

	if (node == NULL || node->kind != YAML_MAP)
		return;
	j.dkim = node;
	judge_lists(&j);
	for (uint32_t i = 0; i < conf->dkim.nkeys; i++)
		judge_key(&j, &conf->dkim.keys[i]);
	if (conf->dkim.nkeys > 0 && !make_tables(&j))
		complain(c, yaml_place(node), "dkim", "less of it",
		    SL("out of memory"));
}

/* ---- finding -------------------------------------------------------------------------------- */

struct search {
	const struct conf_dkim *d;
	struct slice author, tenant;
	int64_t wall_us;
	uint32_t n;
	uint32_t *found;
};

bool
conf_dkim_is_valid(const struct conf_dkim_key *k, int64_t wall_us)
{
	return wall_us >= k->not_before_us &&
	    (k->not_after_us == 0 || wall_us < k->not_after_us);
}

/* Takes a key whose author fits, if the rest does. */
static void
take(struct search *s, uint32_t key)
{
	const struct conf_dkim_key *k = &s->d->keys[key];
	bool fits = k->ntenants == 0;

	for (uint32_t i = 0; i < k->ntenants && !fits; i++)
		fits = slice_eq(k->tenants[i], s->tenant);
	if (fits && conf_dkim_is_valid(k, s->wall_us) && s->n < CONF_DKIM_FOUND)
		s->found[s->n++] = key;
}

static void
take_if_from(struct search *s, uint32_t key)
{
	const struct conf_dkim_key *k = &s->d->keys[key];

	for (uint32_t i = 0; i < k->nfrom; i++)
		if (slice_eq(k->from[i], SL("*")) ||
		    slice_glob(k->from[i], s->author)) {
			take(s, key);
			return;
		}
}

/* The keys of one domain. */
static void
take_domain(struct search *s, struct slice domain, bool is_parent)
{
	const struct conf_dkim *d = s->d;
	uint32_t lo = 0, hi = d->nby_domain;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (text_order(d->keys[d->by_domain[mid]].domain, domain) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < d->nby_domain &&
	     slice_ieq(d->keys[d->by_domain[lo]].domain, domain);
	     lo++)
		if (!is_parent || d->keys[d->by_domain[lo]].takes_subdomains)
			take(s, d->by_domain[lo]);
}

/* The author's own domain, or the nearest one above it that has a key. */
static void
take_author(struct search *s)
{
	struct slice domain = s->author;
	uint32_t before = s->n;

	while (domain.n > 0 && s->n == before) {
		take_domain(s, domain, domain.n < s->author.n);
		slice_cut(&domain, '.');
	}
}

static void
take_tenant(struct search *s)
{
	const struct conf_dkim *d = s->d;
	uint32_t lo = 0, hi = d->nby_tenant;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (slice_cmp(d->by_tenant[mid].tenant, s->tenant) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (;
	     lo < d->nby_tenant && slice_eq(d->by_tenant[lo].tenant, s->tenant);
	     lo++)
		take_if_from(s, d->by_tenant[lo].key);
}

uint32_t
conf_dkim_find(const struct conf *c, struct slice author, struct slice tenant,
    int64_t wall_us, uint32_t found[CONF_DKIM_FOUND])
{
	struct search s = { .d = &c->dkim,
		.author = author,
		.tenant = tenant,
		.wall_us = wall_us,
		.found = found };

	take_author(&s);
	take_tenant(&s);
	for (uint32_t i = 0; i < c->dkim.ngeneral; i++)
		take_if_from(&s, c->dkim.general[i]);
	return s.n;
}
