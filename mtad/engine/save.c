/*
 * engine/save.c - writing and reading an image of the engine.
 *
 * The image: layout, policy (its length, then as in wire.c), struct eng with
 * its pointers blank, the pools, the maps, what the sites own, the pages of
 * the messages' table, jobs. The heap of timers is not in it: a timer knows its
 * place. save_check.c decides whether what was read can be trusted.
 */
#include "engine/notice_i.h"
#include "engine/react_i.h"
#include "engine/save_i.h"
#include "engine/standing_i.h"
#include "engine/warm_i.h"

#define VERSION 1

/* ---- the tables: what struct eng consists of --------------------------------- */

#define POOL(member, type)                                                     \
	{                                                                      \
		offsetof(struct eng, member), sizeof(struct type), #member     \
	}
const struct save_pool save_pools[] = { POOL(studies, study), POOL(rcpts, rcpt),
	POOL(doms, dom), POOL(sites, site), POOL(hosts, host),
	POOL(flows, flow), POOL(queues, queue), POOL(lanes, lane),
	POOL(paths, path), POOL(sessions, sess), POOL(txns, txn),
	POOL(marks, mark), POOL(forms, form), POOL(tolls, toll),
	POOL(parks, park), POOL(turns, turn), POOL(meters, meter),
	POOL(windows, window), POOL(charges, charge), POOL(waiters, waiter),
	POOL(shares, share), POOL(warms, warm), POOL(adapts, adapt),
	POOL(standings, standing), POOL(tallies, tally), POOL(claims, claim),
	POOL(prizes, prize), POOL(rates, rate), POOL(delays, delay) };
const size_t save_npools = ARRAY_LEN(save_pools);

#define MAP(member, values)                                                    \
	{                                                                      \
		offsetof(struct eng, member), offsetof(struct eng, values)     \
	}
static const struct {
	size_t map, pool;
} maps[] = { MAP(dom_map, doms), MAP(site_map, sites), MAP(host_map, hosts),
	MAP(flow_map, flows), MAP(queue_map, queues), MAP(lane_map, lanes),
	MAP(path_map, paths), MAP(mark_map, marks), MAP(form_map, forms),
	MAP(turn_map, turns), MAP(meter_map, meters), MAP(share_map, shares),
	MAP(warm_map, warms), MAP(stand_map, standings),
	MAP(tally_map, tallies), MAP(prize_map, prizes), MAP(rate_map, rates),
	MAP(delay_map, delays) };

/* Pointers in struct eng, in order: blank in an image. */
#define HOLE(member)                                                           \
	{                                                                      \
		offsetof(struct eng, member),                                  \
		    sizeof(((struct eng *)NULL)->member)                       \
	}
#define POOL_HOLES(member) HOLE(member.chunks), HOLE(member.gens)
/* The pointers of a map stand together, too. */
#define MAP_HOLES(member)                                                      \
	{                                                                      \
		offsetof(struct eng, member.slots), 2 * sizeof(void *)         \
	}
_Static_assert(offsetof(struct map, old) ==
	offsetof(struct map, slots) + sizeof(void *),
    "the two pointers of a map are one hole");
static const struct hole {
	size_t at, n;
} holes[] = { HOLE(policy), HOLE(cmds), HOLE(msgs), POOL_HOLES(studies),
	POOL_HOLES(rcpts), POOL_HOLES(doms), POOL_HOLES(sites),
	POOL_HOLES(hosts), POOL_HOLES(flows), POOL_HOLES(queues),
	POOL_HOLES(lanes), POOL_HOLES(paths), POOL_HOLES(sessions),
	POOL_HOLES(txns), POOL_HOLES(marks), POOL_HOLES(forms),
	POOL_HOLES(tolls), POOL_HOLES(parks), POOL_HOLES(warms),
	POOL_HOLES(turns), POOL_HOLES(adapts), POOL_HOLES(standings),
	POOL_HOLES(tallies), POOL_HOLES(claims), POOL_HOLES(prizes),
	POOL_HOLES(rates), POOL_HOLES(delays), POOL_HOLES(meters),
	POOL_HOLES(windows), POOL_HOLES(charges), POOL_HOLES(waiters),
	POOL_HOLES(shares), MAP_HOLES(dom_map), MAP_HOLES(site_map),
	MAP_HOLES(host_map), MAP_HOLES(flow_map), MAP_HOLES(queue_map),
	MAP_HOLES(lane_map), MAP_HOLES(path_map), MAP_HOLES(mark_map),
	MAP_HOLES(form_map), MAP_HOLES(warm_map), MAP_HOLES(turn_map),
	MAP_HOLES(stand_map), MAP_HOLES(tally_map), MAP_HOLES(prize_map),
	MAP_HOLES(rate_map), MAP_HOLES(delay_map), MAP_HOLES(meter_map),
	MAP_HOLES(share_map), HOLE(wheel.link), HOLE(wheel.ctx), HOLE(timers.v),
	HOLE(jobs), HOLE(notices) };

/* The pointers of a site stand together. */
#define SITE_HOLE offsetof(struct site, ids)
#define SITE_HOLE_BYTES (2 * sizeof(void *))
_Static_assert(offsetof(struct site, targets) ==
	offsetof(struct site, ids) + sizeof(void *),
    "the two pointers of a site are one hole");

static struct pool *
pool_of(const struct eng *e, size_t off)
{
	return (struct pool *)(void *)((char *)(uintptr_t)e + off);
}

static struct map *
map_of(const struct eng *e, size_t off)
{
	return (struct map *)(void *)((char *)(uintptr_t)e + off);
}

uint64_t
eng_layout(void)
{
	static const uint32_t sizes[] = { VERSION, sizeof(struct eng),
		sizeof(struct msg), sizeof(struct target), sizeof(struct job),
		sizeof(void *), PAGE_SHIFT, ENG_DESTS_MAX, ENG_WHY_N,
		__BYTE_ORDER__, ENG_EVENT_N, ENG_CMD_N, ENG_LOG_N, ENG_VERB_N,
		R_STATES, WHEEL_TICK_US };
	uint64_t h = hash_bytes(1, sizes, sizeof(sizes));

	for (size_t i = 0; i < save_npools; i++)
		h = hash_u64(h ^ save_pools[i].at) + save_pools[i].slot_bytes;
	for (size_t i = 0; i < ARRAY_LEN(holes); i++)
		h = hash_u64(h ^ holes[i].at);
	return save_check_layout(h);
}

/* ---- saving ------------------------------------------------------------------- */

static void
put(const struct image_out *out, const void *p, size_t n)
{
	if (n)
		out->put(out->ctx, p, n);
}

static void
put_u32(const struct image_out *out, uint32_t v)
{
	put(out, &v, sizeof(v));
}

/* As bytes; text has ENG_POLICY_WIRE_MAX of them. */
static uint32_t
policy_text(const struct eng *e, unsigned char *text)
{
	size_t n = (size_t)(eng_policy_put(text, e->policy) - text);

	ASSERT(n <= ENG_POLICY_WIRE_MAX);
	return (uint32_t)n;
}

static void
put_policy(const struct eng *e, const struct image_out *out)
{
	unsigned char *text = mem_get(ENG_POLICY_WIRE_MAX);
	uint32_t n = policy_text(e, text);

	put_u32(out, n);
	put(out, text, n);
	mem_free(text);
}

static void
put_machine(const struct eng *e, const struct image_out *out)
{
	static const char zero[64];
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_LEN(holes); i++) {
		ASSERT(holes[i].at >= at && holes[i].n <= sizeof(zero));
		put(out, (const char *)e + at, holes[i].at - at);
		put(out, zero, holes[i].n);
		at = holes[i].at + holes[i].n;
	}
	put(out, (const char *)e + at, sizeof(*e) - at);
}

static void
put_sites(const struct eng *e, const struct image_out *out)
{
	for (uint32_t i = 1; i < e->sites.next_new; i++) {
		const struct site *s = pool_at(&e->sites, i);

		if (!pool_is_live(&e->sites, i))
			continue;
		put(out, s->ids, s->nids * sizeof(*s->ids));
		put(out, s->targets, s->ntargets * sizeof(*s->targets));
	}
}

static void
put_msgs(const struct eng *e, const struct image_out *out)
{
	for (uint32_t i = 0; i < e->msgs.n; i++) {
		if (e->msgs.v[i] == NULL)
			continue;
		put_u32(out, i);
		put(out, e->msgs.v[i], PAGE_SLOTS * sizeof(struct msg));
	}
	put_u32(out, UINT32_MAX);
}

void
eng_save(const struct eng *e, const struct image_out *out)
{
	uint64_t layout = eng_layout();

	ASSERT(e->cmds == NULL && e->nnotices == 0); /* between two steps */
	put(out, &layout, sizeof(layout));
	put_policy(e, out);
	put_machine(e, out);
	for (size_t i = 0; i < save_npools; i++) {
		const struct pool *p = pool_of(e, save_pools[i].at);
		bool is_site = p == &e->sites;

		pool_image_put(p, is_site ? SITE_HOLE : 0,
		    is_site ? SITE_HOLE_BYTES : 0, out);
	}
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		map_image_put(map_of(e, maps[i].map), out);
	put_sites(e, out);
	put_msgs(e, out);
	put(out, e->jobs, e->njobs * sizeof(*e->jobs));
}

uint64_t
eng_save_bytes(const struct eng *e)
{
	unsigned char text[ENG_POLICY_WIRE_MAX];
	uint64_t n = 64 + policy_text(e, text) + sizeof(*e) + e->msgs.bytes;

	for (size_t i = 0; i < save_npools; i++)
		n += pool_image_bytes(pool_of(e, save_pools[i].at));
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		n += map_image_bytes(map_of(e, maps[i].map));
	for (uint32_t i = 1; i < e->sites.next_new; i++) {
		const struct site *s = pool_at(&e->sites, i);

		if (pool_is_live(&e->sites, i))
			n += s->nids * sizeof(*s->ids) +
			    s->ntargets * sizeof(*s->targets);
	}
	return n + e->njobs * sizeof(*e->jobs);
}

/* ---- loading ------------------------------------------------------------------ */

struct load {
	const struct image_in *in;
	struct eng *e;
	struct eng_policy *policy;
	const char *what; /* is being read */
};

static int
get(struct load *l, void *p, size_t n)
{
	return n == 0 || l->in->get(l->in->ctx, p, n) ? 0 : E_CORRUPT;
}

static int
get_policy(struct load *l)
{
	char *text;
	struct slice s;
	uint32_t n = 0;
	int err;

	if (get(l, &n, sizeof(n)) != 0 || n > ENG_POLICY_WIRE_MAX)
		return E_CORRUPT;
	text = mem_try(n);
	if (text == NULL)
		return E_NOMEM;
	s = slice_of(text, n);
	err = get(l, text, n);
	if (err == 0)
		err = eng_policy_get(&s, l->policy);
	if (err == 0 && s.n != 0)
		err = E_CORRUPT;
	mem_free(text);
	return err;
}

/* The machine's plain fields; what its containers had is only their counts,
 * which are read again with them. */
static int
get_machine(struct load *l)
{
	static const struct eng none;
	struct eng *e = l->e;
	struct wheel_link *(*link)(void *ctx, uint32_t index) = e->wheel.link;
	int err;

	pool_free(&e->tolls);
	err = get(l, e, sizeof(*e));
	/* Whatever the bytes were: no pointer comes out of a file. */
	for (size_t i = 0; i < ARRAY_LEN(holes); i++)
		memcpy((char *)e + holes[i].at,
		    (const char *)&none + holes[i].at, holes[i].n);
	eng_pools_init(e);
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		map_init(map_of(e, maps[i].map), map_of(e, maps[i].map)->seed,
		    UINT32_C(1) << 31);
	e->wheel.link = link;
	e->wheel.ctx = &e->rcpts;
	e->policy = l->policy;
	e->nnotices = e->notices_cap = 0;
	e->jobs_cap = 0;
	e->timers.cap = 0;
	if (err != 0)
		e->njobs = 0;
	return err != 0 ? err : save_check_machine(e);
}

static int
get_sites(struct load *l)
{
	const struct pool *p = &l->e->sites;
	int err = 0;

	/* First no site has anything, so that all can be freed. */
	for (uint32_t i = 1; i < p->next_new; i++)
		if (pool_is_live(p, i)) {
			struct site *s = pool_at(p, i);

			s->ids = NULL;
			s->targets = NULL;
		}
	for (uint32_t i = 1; i < p->next_new && err == 0; i++) {
		struct site *s = pool_at(p, i);

		if (!pool_is_live(p, i))
			continue;
		if (s->nids > ENG_TARGETS_MAX + 1 ||
		    s->ntargets > ENG_TARGETS_MAX)
			return E_CORRUPT;
		s->ids = mem_try(s->nids * sizeof(*s->ids));
		s->targets = mem_try(s->ntargets * sizeof(*s->targets));
		if (s->ids == NULL || s->targets == NULL)
			return E_NOMEM;
		err = get(l, s->ids, s->nids * sizeof(*s->ids));
		if (err == 0)
			err = get(l, s->targets,
			    s->ntargets * sizeof(*s->targets));
	}
	return err;
}

static int
get_pools(struct load *l)
{
	struct eng *e = l->e;
	int err = 0;

	for (size_t i = 0; i < save_npools && err == 0; i++) {
		l->what = save_pools[i].name;
		err = pool_image_get(pool_of(e, save_pools[i].at), l->in);
		if (err != 0)
			pool_free(pool_of(e, save_pools[i].at));
	}
	for (size_t i = 0; i < ARRAY_LEN(maps) && err == 0; i++) {
		l->what = "a map";
		err = map_image_get(map_of(e, maps[i].map),
		    pool_of(e, maps[i].pool), l->in);
	}
	return err;
}

static int
get_msgs(struct load *l)
{
	uint32_t i, next = 0;
	void *page;

	for (;; next = i + 1) {
		if (get(l, &i, sizeof(i)) != 0)
			return E_CORRUPT;
		if (i == UINT32_MAX)
			return 0;
		/* A gap of pages never used is bounded, or a few bytes could
		 * ask for all memory. */
		if (i < next || i - next > (1u << 16) ||
		    i >= UINT32_MAX >> PAGE_SHIFT)
			return E_CORRUPT;
		page = pages_make(&l->e->msgs, i);
		if (page == NULL)
			return E_NOMEM;
		if (get(l, page, PAGE_SLOTS * sizeof(struct msg)) != 0)
			return E_CORRUPT;
	}
}

static int
get_jobs(struct load *l)
{
	struct eng *e = l->e;
	uint32_t n = e->njobs;

	e->njobs = 0;
	if (n > JOBS_MAX)
		return E_CORRUPT;
	e->jobs = mem_try(n * sizeof(*e->jobs));
	if (e->jobs == NULL)
		return E_NOMEM;
	e->jobs_cap = n;
	if (get(l, e->jobs, n * sizeof(*e->jobs)) != 0)
		return E_CORRUPT;
	e->njobs = n;
	return 0;
}

static int
load(struct load *l)
{
	uint64_t layout = 0;
	int err;

	l->what = "layout";
	if (get(l, &layout, sizeof(layout)) != 0)
		return E_CORRUPT;
	if (layout != eng_layout())
		return E_VERSION;
	l->what = "policy";
	err = get_policy(l);
	if (err == 0) {
		l->what = "machine";
		err = get_machine(l);
	}
	if (err == 0)
		err = get_pools(l);
	if (err == 0) {
		l->what = "sites";
		err = get_sites(l);
	} else {
		pool_free(&l->e->sites); /* its pointers are not ours */
	}
	if (err == 0) {
		l->what = "messages";
		err = get_msgs(l);
	}
	if (err == 0) {
		l->what = "jobs";
		err = get_jobs(l);
	}
	return err != 0 ? err : save_check(l->e, &l->what);
}

int
eng_load(const struct image_in *in, struct eng_policy *policy, struct eng **out,
    char *why, size_t why_cap)
{
	struct eng_limits none = { 0 };
	struct load l = { .in = in, .policy = policy };
	char text[128];
	int err;

	*out = NULL;
	memset(policy, 0, sizeof(*policy));
	eng_policy_default(policy);
	l.e = eng_new(policy, &none, 0, 0);
	if (l.e == NULL)
		return E_NOMEM;
	err = load(&l);
	if (err == 0) {
		*out = l.e;
		return 0;
	}
	snprintf(text, sizeof(text), "%s: %s", l.what,
	    err == E_VERSION ? "made by a program with another layout" :
			       err_text(err));
	slice_copy(slice_str(text), why, why_cap);
	eng_free(l.e);
	return err;
}
