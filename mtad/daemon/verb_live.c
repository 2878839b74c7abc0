/*
 * daemon/verb_live.c - mtad check --against-live: what a reload would do to the
 * mail that a running daemon has. The daemon says what its configuration gives the
 * paths of its largest queues; the same is asked of the edited one, and what is
 * not the same is told: the old value and the new one, and where each is written.
 */
#include "conf/shaping.h"
#include "daemon/verb_live.h"

#define QUEUES_MAX 1000u /* that are looked at, the deepest */
#define DIFFS_MAX 64u    /* of one kind of mail */

/* A limit that is another one for some sources. */
struct diff {
	char name[48], old[64], new[64];
	char old_at[300], new_at[300];
	uint32_t nsources;
	char sources[64]; /* the first of them */
};

/* Mail of a domain in a pool. */
struct mail {
	char domain[DOMAIN_MAX + 1], pool[DOMAIN_MAX + 1];
	uint64_t recipients;
	uint32_t queues, ndiffs;
	bool has_pool;
	uint32_t nlost, ngained; /* sources */
	char lost[64], gained[64];
	struct diff *diffs;
};

struct live {
	const struct conf *conf;
	struct verb_peer *peer;
	uint32_t n, list_max;
	struct mail *v;
	uint64_t queues_total, queues_seen;
	uint32_t nchanged, nlost, ngone;
	uint64_t changed_recipients, lost_recipients;
	char gone[256]; /* sources that are no more */
};

/* ---- asking ----------------------------------------------------------------- */

static struct mail *
mail_get(struct live *l, struct slice domain, struct slice pool)
{
	struct mail *m;

	for (uint32_t i = 0; i < l->n; i++)
		if (slice_eq(slice_str(l->v[i].domain), domain) &&
		    slice_eq(slice_str(l->v[i].pool), pool))
			return &l->v[i];
	if (l->n == QUEUES_MAX)
		return NULL;
	m = &l->v[l->n++];
	*m = (struct mail){ .recipients = 0 };
	slice_copy(domain, m->domain, sizeof(m->domain));
	slice_copy(pool, m->pool, sizeof(m->pool));
	return m;
}

static int
ask_queues(struct live *l)
{
	json_t *root = NULL, *row;
	struct buf out;
	size_t i;
	int status;

	buf_init(&out, 32u << 20);
	status = verb_ask_json(l->peer, "/v1/queues?sort=depth&n=1000",
	    slice_of("", 0), &out, &root);
	buf_free(&out);
	if (status != VERB_OK)
		return status;
	l->queues_total = verb_u64(root, "total");
	json_array_foreach(json_object_get(root, "queues"), i, row) {
		struct mail *m =
		    mail_get(l, verb_str(row, "domain"), verb_str(row, "pool"));

		if (m == NULL)
			break;
		m->recipients += verb_u64(row, "depth");
		m->queues++;
		l->queues_seen++;
	}
	json_decref(root);
	return VERB_OK;
}

static uint32_t
source_find(const struct conf *c, struct slice name)
{
	uint32_t i = 0;

	while (i < c->nsources && !slice_eq(c->sources[i].name, name))
		i++;
	return i;
}

static const struct conf_pool *
pool_find(const struct conf *c, struct slice name)
{
	if (name.n == 0)
		name = c->default_pool;
	for (uint32_t i = 0; i < c->npools; i++)
		if (slice_eq(c->pools[i].name, name))
			return &c->pools[i];
	return NULL;
}

static bool
pool_has(const struct conf_pool *p, uint32_t source)
{
	for (uint32_t i = 0; i < p->nsources; i++)
		if (p->sources[i] == source)
			return true;
	return false;
}

/* ---- comparing ---------------------------------------------------------------- */

/* Adds a name to a list that is cut where it is full. */
static void
list_add(char *list, size_t cap, struct slice name)
{
	size_t n = strlen(list);

	if (n + name.n + 3 < cap)
		snprintf(list + n, cap - n, "%s%.*s", n > 0 ? ", " : "",
		    SLF(name));
}

static void
diff_add(struct mail *m, const struct diff *d, struct slice source)
{
	uint32_t i = 0;

	while (i < m->ndiffs &&
	    (strcmp(m->diffs[i].name, d->name) != 0 ||
		strcmp(m->diffs[i].old, d->old) != 0 ||
		strcmp(m->diffs[i].new, d->new) != 0))
		i++;
	if (i == DIFFS_MAX)
		return;
	if (m->diffs == NULL)
		m->diffs = mem_get(DIFFS_MAX * sizeof(*m->diffs));
	if (i == m->ndiffs)
		m->diffs[m->ndiffs++] = *d;
	if (source.n == 0)
		return;
	m->diffs[i].nsources++;
	list_add(m->diffs[i].sources, sizeof(m->diffs[i].sources), source);
}

static void
old_of(struct diff *d, const json_t *limit)
{
	struct slice file = verb_str(limit, "file");

	slice_copy(verb_str(limit, "name"), d->name, sizeof(d->name));
	slice_copy(verb_str(limit, "value"), d->old, sizeof(d->old));
	if (file.n > 0)
		snprintf(d->old_at, sizeof(d->old_at), "%.*s:%llu", SLF(file),
		    (unsigned long long)verb_u64(limit, "line"));
	else
		snprintf(d->old_at, sizeof(d->old_at), "built in");
}

static void
new_at(const struct live *l, struct diff *d, const struct conf_origin *at)
{
	if (at->line != 0)
		snprintf(d->new_at, sizeof(d->new_at), "%.*s:%u",
		    SLF(l->conf->files[at->file]), at->line);
	else
		snprintf(d->new_at, sizeof(d->new_at), "built in");
}

static void
compare_limit(struct live *l, struct mail *m, const json_t *limit,
    const struct conf_limits *now, struct slice source)
{
	struct diff d = { .nsources = 0 };

	old_of(&d, limit);
	for (uint32_t k = 0; k < CONF_SHAPE_BITS; k++) {
		const char *name = conf_limit_name(k);

		if (name == NULL || strcmp(name, d.name) != 0)
			continue;
		conf_limit_text(now, k, d.new);
		new_at(l, &d, &now->from[k].at);
		if (strcmp(d.old, d.new) != 0)
			diff_add(m, &d, source);
	}
}

static void
compare_path(struct live *l, struct mail *m, const struct conf_place *place,
    const struct conf_pool *pool, const json_t *path)
{
	json_t *source, *limit;
	size_t i, k;

	json_array_foreach(json_object_get(path, "sources"), i, source) {
		struct slice name = slice_of(json_string_value(source),
		    json_string_length(source));
		uint32_t at = source_find(l->conf, name);
		struct conf_limits now;

		if (!pool_has(pool, at)) {
			m->nlost++;
			list_add(m->lost, sizeof(m->lost), name);
			continue;
		}
		conf_limits(l->conf, place, at, &now);
		json_array_foreach(json_object_get(path, "limits"), k, limit)
			compare_limit(l, m, limit, &now, name);
	}
}

static bool
was_there(const json_t *paths, struct slice name)
{
	json_t *path, *source;
	size_t i, k;

	json_array_foreach(paths, i, path)
		json_array_foreach(json_object_get(path, "sources"), k, source)
			if (slice_eq(name,
				slice_of(json_string_value(source),
				    json_string_length(source))))
				return true;
	return false;
}

static void
compare_sources(struct live *l, struct mail *m, const struct conf_pool *pool,
    const json_t *paths)
{
	for (uint32_t i = 0; i < pool->nsources; i++) {
		struct slice name = l->conf->sources[pool->sources[i]].name;

		if (was_there(paths, name))
			continue;
		m->ngained++;
		list_add(m->gained, sizeof(m->gained), name);
	}
}

/* What holds for all sites of the provider together: of the old one and the new
 * one, either of which may be none. */
static void
compare_caps(struct live *l, struct mail *m, const struct conf_place *place,
    const json_t *caps)
{
	for (uint32_t k = 0; k < CONF_CAP_KEYS; k++) {
		struct diff d = { .old = "none",
			.old_at = "built in",
			.new_at = "built in" };
		struct conf_cap_value v;
		json_t *cap;
		size_t i;
		bool has =
		    conf_cap_value(&l->conf->providers[place->provider], k, &v);

		json_array_foreach(caps, i, cap)
			if (slice_eq(verb_str(cap, "name"), slice_str(v.name)))
				old_of(&d, cap);
		snprintf(d.name, sizeof(d.name), "%s", v.name);
		snprintf(d.new, sizeof(d.new), "%s", has ? v.text : "none");
		if (has)
			new_at(l, &d, &v.at);
		if (strcmp(d.old, d.new) != 0)
			diff_add(m, &d, slice_of(NULL, 0));
	}
}

/* The hosts that the new configuration sends it to. */
static uint32_t
hosts_of(const struct live *l, const struct mail *m, const json_t *answer,
    struct slice hosts[ENG_TARGETS_MAX])
{
	const struct conf_route *r =
	    conf_route_find(l->conf, slice_str(m->domain));
	uint32_t n = 0;
	json_t *host;
	size_t i;

	if (r != NULL && r->nhosts > 0) {
		hosts[0] = r->host[0];
		return 1;
	}
	json_array_foreach(json_object_get(answer, "hosts"), i, host)
		if (n < ENG_TARGETS_MAX)
			hosts[n++] = slice_of(json_string_value(host),
			    json_string_length(host));
	return n;
}

static void
compare(struct live *l, struct mail *m, const json_t *answer)
{
	const struct conf_pool *pool = pool_find(l->conf, slice_str(m->pool));
	const json_t *paths = json_object_get(answer, "paths"), *path;
	struct slice hosts[ENG_TARGETS_MAX];
	struct conf_place place;
	size_t i;

	m->has_pool = pool != NULL;
	if (pool == NULL)
		return;
	conf_place(l->conf, slice_str(m->domain), hosts,
	    hosts_of(l, m, answer, hosts), &place);
	json_array_foreach(paths, i, path)
		compare_path(l, m, &place, pool, path);
	compare_sources(l, m, pool, paths);
	compare_caps(l, m, &place, json_object_get(answer, "provider_limits"));
}

static int
look_at(struct live *l, struct mail *m)
{
	json_t *root = NULL;
	struct buf path, out;
	int status;

	buf_init(&path, 4096);
	buf_init(&out, 4u << 20);
	buf_addz(&path, "/v1/path");
	control_query_add(&path, "domain", slice_str(m->domain));
	if (m->pool[0] != '\0')
		control_query_add(&path, "pool", slice_str(m->pool));
	buf_addc(&path, '\0');
	status = verb_ask_json(l->peer, path.p + path.off, slice_of("", 0),
	    &out, &root);
	if (status == VERB_OK)
		compare(l, m, root);
	json_decref(root);
	buf_free(&path);
	buf_free(&out);
	return status;
}

/* Sources that the daemon has connections from, and that are no more. */
static int
ask_sources(struct live *l)
{
	json_t *root = NULL, *row;
	struct buf out;
	size_t i;
	int status;

	buf_init(&out, 8u << 20);
	status = verb_ask_json(l->peer, "/v1/sources?n=1000", slice_of("", 0),
	    &out, &root);
	buf_free(&out);
	if (status != VERB_OK)
		return status;
	json_array_foreach(json_object_get(root, "sources"), i, row) {
		struct slice name = verb_str(row, "source");

		if (source_find(l->conf, name) < l->conf->nsources)
			continue;
		l->ngone++;
		list_add(l->gone, sizeof(l->gone), name);
	}
	json_decref(root);
	return VERB_OK;
}

/* ---- telling ------------------------------------------------------------------ */

static bool
is_changed(const struct mail *m)
{
	return m->has_pool && (m->ndiffs | m->nlost | m->ngained) != 0;
}

static void
tell_sources(uint32_t n, const char *names, const char *what)
{
	if (n > 0)
		printf("  %s %s%s\n", what, names,
		    strlen(names) + 3 >= 60 ? ", ..." : "");
}

static void
tell_change(const struct mail *m)
{
	printf("%s, pool %s: %llu recipients in %u queue%s\n", m->domain,
	    m->pool[0] != '\0' ? m->pool : "(default)",
	    (unsigned long long)m->recipients, m->queues,
	    m->queues == 1 ? "" : "s");
	for (uint32_t i = 0; i < m->ndiffs; i++) {
		const struct diff *d = &m->diffs[i];

		printf("  %s %s (%s) -> %s (%s)", d->name, d->old, d->old_at,
		    d->new, d->new_at);
		if (d->nsources > 0)
			printf(", %u source%s: %s", d->nsources,
			    d->nsources == 1 ? "" : "s", d->sources);
		putchar('\n');
	}
	tell_sources(m->nlost, m->lost, "no more from");
	tell_sources(m->ngained, m->gained, "from now on from");
}

static void
tell(const struct live *l)
{
	uint32_t told = 0, left = 0;

	for (uint32_t i = 0; i < l->n; i++) {
		const struct mail *m = &l->v[i];

		if (m->has_pool && !is_changed(m))
			continue;
		if (told++ >= l->list_max) {
			left++;
			continue;
		}
		if (m->has_pool)
			tell_change(m);
		else
			printf("%s: %llu recipients would have no source: "
			       "there is no pool \"%s\"\n",
			    m->domain, (unsigned long long)m->recipients,
			    m->pool);
	}
	if (left > 0)
		printf("and %u more\n", left);
	if (l->ngone > 0)
		printf("%u source%s would be no more: %s\n", l->ngone,
		    l->ngone == 1 ? "" : "s", l->gone);
	printf("%llu of %llu queues looked at: %u of %u kinds of mail would "
	       "change (%llu recipients), %u would have no source (%llu)\n",
	    (unsigned long long)l->queues_seen,
	    (unsigned long long)l->queues_total, l->nchanged, l->n,
	    (unsigned long long)l->changed_recipients, l->nlost,
	    (unsigned long long)l->lost_recipients);
}

static void
json_diff(struct jsonw *w, const struct diff *d)
{
	jw_open(w, '{');
	jw_kstr(w, "name", slice_str(d->name));
	jw_kstr(w, "old", slice_str(d->old));
	jw_kstr(w, "old_at", slice_str(d->old_at));
	jw_kstr(w, "new", slice_str(d->new));
	jw_kstr(w, "new_at", slice_str(d->new_at));
	jw_ku64(w, "sources", d->nsources);
	jw_close(w, '}');
}

static void
json_mail(struct jsonw *w, const struct mail *m)
{
	jw_open(w, '{');
	jw_kstr(w, "domain", slice_str(m->domain));
	jw_kstr(w, "pool", slice_str(m->pool));
	jw_ku64(w, "recipients", m->recipients);
	jw_ku64(w, "queues", m->queues);
	jw_kbool(w, "has_source", m->has_pool);
	jw_ku64(w, "sources_lost", m->nlost);
	jw_ku64(w, "sources_gained", m->ngained);
	jw_key(w, "limits");
	jw_open(w, '[');
	for (uint32_t i = 0; i < m->ndiffs; i++)
		json_diff(w, &m->diffs[i]);
	jw_close(w, ']');
	jw_close(w, '}');
}

static void
tell_json(const struct live *l)
{
	uint32_t told = 0;
	struct jsonw w;
	struct buf out;

	buf_init(&out, 32u << 20);
	jw_init(&w, &out);
	jw_open(&w, '{');
	jw_ku64(&w, "queues", l->queues_total);
	jw_ku64(&w, "queues_seen", l->queues_seen);
	jw_ku64(&w, "changed", l->nchanged);
	jw_ku64(&w, "changed_recipients", l->changed_recipients);
	jw_ku64(&w, "without_source", l->nlost);
	jw_ku64(&w, "without_source_recipients", l->lost_recipients);
	jw_ku64(&w, "sources_gone", l->ngone);
	jw_key(&w, "mail");
	jw_open(&w, '[');
	for (uint32_t i = 0; i < l->n && told < l->list_max; i++) {
		if (l->v[i].has_pool && !is_changed(&l->v[i]))
			continue;
		json_mail(&w, &l->v[i]);
		told++;
	}
	jw_close(&w, ']');
	jw_close(&w, '}');
	verb_print(&out);
	buf_free(&out);
}

static int
look(struct live *l)
{
	int status = ask_queues(l);

	for (uint32_t i = 0; i < l->n && status == VERB_OK; i++)
		status = look_at(l, &l->v[i]);
	if (status == VERB_OK)
		status = ask_sources(l);
	for (uint32_t i = 0; i < l->n; i++) {
		const struct mail *m = &l->v[i];

		l->nchanged += is_changed(m);
		l->nlost += !m->has_pool;
		if (is_changed(m))
			l->changed_recipients += m->recipients;
		if (!m->has_pool)
			l->lost_recipients += m->recipients;
	}
	return status;
}

int
verb_check_live(const struct conf *conf, struct verb_peer *peer,
    uint32_t list_max, bool json)
{
	struct live l = { .conf = conf, .peer = peer, .list_max = list_max };
	int status;

	l.v = mem_get(QUEUES_MAX * sizeof(*l.v));
	status = look(&l);
	if (status == VERB_OK && json)
		tell_json(&l);
	else if (status == VERB_OK)
		tell(&l);
	if (status == VERB_OK)
		status = l.nlost > 0              ? LIVE_LOST :
		    l.nchanged > 0 || l.ngone > 0 ? LIVE_CHANGED :
						    VERB_OK;
	for (uint32_t i = 0; i < l.n; i++)
		mem_free(l.v[i].diffs);
	mem_free(l.v);
	return status;
}
