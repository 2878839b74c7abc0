/*
 * store/suppress_desk.c - the question at the door: may this address be written
 * to?
 *
 * Invariants: a set does not change once it is shared. Whatever the file has is
 * in the set or among what is fresh, or there is no set, or the fresh are too
 * many: then the file is asked each time. So "no" from memory is right, and "maybe"
 * is settled by the file alone, which also knows what was removed or has expired.
 * Up to four keys are asked for, and a domain's parents only where some entry is
 * about what is below one.
 */
#include <stdatomic.h>
#include <stdio.h>

#include "store/store_i.h"
#include "store/suppress_i.h"

#define PARENTS_MAX 127 /* labels of the longest domain */
#define KEYS_MAX (2 * (2 + PARENTS_MAX))

struct suppress_set {
	_Atomic uint32_t holds;
	bool has_below; /* some entry is "*.DOMAIN" */
	uint64_t seed, n;
	struct filter *filter;
};

struct suppress_desk {
	uint64_t seed;
	struct suppress_db *db;
	struct suppress_set *set; /* NULL: none yet */
	struct map fresh;         /* hashes */
	bool has_below;           /* among the fresh */
	bool is_over;             /* they were too many */
	bool is_reading;          /* in a transaction */
	uint64_t asked, vain;
};

/* One key of a question. */
struct key {
	struct slice tenant, name;
	bool is_domain;
	bool is_below; /* "*." is to be thought before the name */
	uint64_t hash;
};

struct keys {
	uint32_t n;
	struct key v[KEYS_MAX];
	char name[SUPPRESS_NAME_MAX + 1];
};

/* ---- sets ---------------------------------------------------------------------- */

struct suppress_set *
suppress_set_new(uint64_t seed, uint64_t n)
{
	struct suppress_set *s = mem_try(sizeof(*s));

	if (s == NULL)
		return NULL;
	s->seed = seed;
	s->filter = filter_new(n);
	if (s->filter == NULL) {
		mem_free(s);
		return NULL;
	}
	atomic_store(&s->holds, 1);
	return s;
}

static bool
is_below(const struct suppress_entry *e)
{
	return e->is_domain && slice_has_prefix(e->name, SL("*."));
}

void
suppress_set_add(struct suppress_set *s, const struct suppress_entry *e)
{
	filter_add(s->filter,
	    suppress_hash(s->seed, e->tenant, e->is_domain, e->name));
	s->has_below |= is_below(e);
	s->n++;
}

struct suppress_set *
suppress_set_take(struct suppress_set *s)
{
	atomic_fetch_add(&s->holds, 1);
	return s;
}

void
suppress_set_give(struct suppress_set *s)
{
	if (s == NULL || atomic_fetch_sub(&s->holds, 1) > 1)
		return;
	filter_free(s->filter);
	mem_free(s);
}

uint64_t
suppress_set_count(const struct suppress_set *s)
{
	return s->n;
}

size_t
suppress_set_bytes(const struct suppress_set *s)
{
	return sizeof(*s) + filter_bytes(s->filter);
}

struct suppress_news
suppress_news(uint64_t seed, const struct suppress_entry *e)
{
	return (struct suppress_news){
		.hash = suppress_hash(seed, e->tenant, e->is_domain, e->name),
		.is_below = is_below(e),
	};
}

/* ---- desks --------------------------------------------------------------------- */

int
suppress_desk_open(struct suppress_desk **out, const char *path, uint64_t seed,
    size_t cache_bytes, size_t mmap_bytes, char *why, size_t why_cap)
{
	struct suppress_desk *k = mem_get(sizeof(*k));
	int err = suppress_open(&k->db, path, SUPPRESS_READ, cache_bytes,
	    mmap_bytes, why, why_cap);

	if (err) {
		mem_free(k);
		*out = NULL;
		return err;
	}
	k->seed = seed;
	map_init(&k->fresh, seed, SUPPRESS_FRESH_MAX);
	*out = k;
	return 0;
}

void
suppress_desk_close(struct suppress_desk *k)
{
	suppress_desk_rest(k);
	suppress_close(k->db);
	suppress_set_give(k->set);
	map_free(&k->fresh);
	mem_free(k);
}

void
suppress_desk_swap(struct suppress_desk *k, struct suppress_set *s)
{
	suppress_set_give(k->set);
	k->set = s;
	map_free(&k->fresh);
	map_init(&k->fresh, k->seed, SUPPRESS_FRESH_MAX);
	k->has_below = k->is_over = false;
}

void
suppress_desk_add(struct suppress_desk *k, const struct suppress_news *v,
    uint32_t n)
{
	suppress_desk_rest(k);
	for (uint32_t i = 0; i < n; i++) {
		k->is_over |= map_put(&k->fresh, v[i].hash, 1) != 0;
		k->has_below |= v[i].is_below;
	}
}

void
suppress_desk_rest(struct suppress_desk *k)
{
	if (!k->is_reading)
		return;
	k->is_reading = false;
	if (suppress_commit(k->db))
		suppress_rollback(k->db);
}

void
suppress_desk_counts(const struct suppress_desk *k, uint64_t *asked,
    uint64_t *vain)
{
	*asked = k->asked;
	*vain = k->vain;
}

/* ---- the question -------------------------------------------------------------- */

static void
add_key(struct keys *q, struct slice tenant, bool is_domain, struct slice name)
{
	struct key *k = &q->v[q->n++];

	*k = (struct key){ tenant, name, is_domain, false, 0 };
}

/* A key for the tenant, if there is one, and one for all. */
static void
add_both(struct keys *q, struct slice tenant, bool is_domain, struct slice name)
{
	if (q->n + 2 > KEYS_MAX)
		return;
	if (tenant.n > 0)
		add_key(q, tenant, is_domain, name);
	add_key(q, SL(""), is_domain, name);
}

/* What is said of all below each of the parents. */
static void
add_below(struct keys *q, struct slice tenant, struct slice domain)
{
	struct slice parent = domain;
	uint32_t first;

	if (domain.n > 0 && domain.p[0] == '[')
		return;
	while (slice_cut(&parent, '.').n > 0 && parent.n > 0) {
		first = q->n;
		add_both(q, tenant, true, parent);
		while (first < q->n)
			q->v[first++].is_below = true;
	}
}

static bool
may_have(const struct suppress_desk *k, const struct key *key)
{
	if (k->set == NULL || k->is_over)
		return true;
	return filter_has(k->set->filter, key->hash) ||
	    (k->fresh.n > 0 && map_get(&k->fresh, key->hash) != 0);
}

static int
look(struct suppress_desk *k, const struct key *key, int64_t now_s,
    struct suppress_hit *hit)
{
	char text[SUPPRESS_NAME_MAX + 3] = "*.";
	struct slice name = key->name;
	struct suppress_entry e;
	sqlite3_stmt *q;
	int err;

	if (key->is_below)
		name = slice_of(text,
		    2 + slice_copy(key->name, text + 2, sizeof(text) - 2));
	k->asked++;
	if (!k->is_reading) {
		q = suppress_stmt(k->db, SQL_BEGIN_READ);
		k->is_reading = q != NULL && sqlite3_step(q) == SQLITE_DONE;
		sqlite3_reset(q);
	}
	err = suppress_get(k->db, key->tenant, key->is_domain, name, &e);
	if (err == 0 && e.expires_s != 0 && e.expires_s <= now_s)
		err = E_NOTFOUND;
	if (err) {
		k->vain += err == E_NOTFOUND;
		return err;
	}
	hit->tenant = key->tenant;
	hit->expires_s = e.expires_s;
	slice_copy(e.name, hit->name, sizeof(hit->name));
	slice_copy(e.reason, hit->reason, sizeof(hit->reason));
	slice_copy(e.source, hit->source, sizeof(hit->source));
	return 0;
}

static void
make_keys(const struct suppress_desk *k, struct slice tenant,
    struct slice address, struct keys *q)
{
	struct slice name, domain;
	size_t at;

	q->n = 0;
	name = slice_of(q->name, suppress_fold(address, q->name, &at));
	domain = slice_skip(name, at);
	add_both(q, tenant, false, name);
	add_both(q, tenant, true, domain);
	if (k->has_below || (k->set != NULL && k->set->has_below) ||
	    k->set == NULL)
		add_below(q, tenant, domain);
	for (uint32_t i = 0; i < q->n; i++) {
		struct key *key = &q->v[i];

		key->hash = suppress_hash_of(k->seed, key->tenant,
		    key->is_below      ? 'b' :
			key->is_domain ? 'd' :
					 'a',
		    key->name);
		if (k->set != NULL)
			filter_ask(k->set->filter, key->hash);
	}
}

int
suppress_ask(struct suppress_desk *k, struct slice tenant, struct slice address,
    int64_t now_s, struct suppress_hit *hit)
{
	struct keys q;
	int err = 0;

	if (address.n == 0 || address.n > MAILBOX_MAX)
		return 0;
	make_keys(k, tenant, address, &q);
	for (uint32_t i = 0; i < q.n; i++) {
		if (!may_have(k, &q.v[i]))
			continue;
		err = look(k, &q.v[i], now_s, hit);
		if (err == 0)
			return 1;
		if (err != E_NOTFOUND)
			return err;
	}
	return 0;
}
