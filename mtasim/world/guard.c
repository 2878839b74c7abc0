/*
 * world/guard.c - the memory of a receiver.
 */
#include "world/guard.h"

#define DAY_US (86400 * US_PER_S)
#define TRUST_EVERY_US (3600 * US_PER_S) /* [PGY]; see share/receivers */

void
guard_memory_init(struct guard_memory *m, uint64_t seed)
{
	*m = (struct guard_memory){ .seed = seed };
	map_init(&m->at, seed, GUARD_CELLS_MAX);
}

void
guard_memory_free(struct guard_memory *m)
{
	map_free(&m->at);
	mem_free(m->cells);
	mem_free(m->slots);
	*m = (struct guard_memory){ .seed = 0 };
}

/* ---- cells --------------------------------------------------------------------- */

static uint64_t
mix(uint64_t h, struct slice s)
{
	return hash_bytes(h, s.p, s.n);
}

static struct ip
netblock_of(const struct ip *ip, uint8_t bits)
{
	struct ip out = *ip;

	if (out.family != 4)
		bits = 64;
	for (uint32_t i = 0; i < sizeof(out.b); i++) {
		uint32_t left = bits > i * 8 ? bits - i * 8 : 0;

		if (left < 8)
			out.b[i] &= (uint8_t)(0xff00 >> left);
	}
	return out;
}

static uint64_t
key_of(const struct behave *b, const struct guard_memory *m,
    const struct guard *g, uint16_t by, const struct guard_ask *a)
{
	uint64_t h =
	    hash_u64(m->seed + ((uint64_t)(g - b->guards) << 16) + by + 1);
	struct ip net;

	if (by & BY_SOURCE)
		h = hash_u64(h ^ ip_hash(&a->ip));
	if (by & BY_NETBLOCK) {
		net = netblock_of(&a->ip, g->mask);
		h = hash_u64(h ^ ip_hash(&net));
	}
	if (by & BY_SENDER)
		h = mix(h ^ BY_SENDER, a->sender);
	if (by & BY_RECIPIENT)
		h = mix(h ^ BY_RECIPIENT, a->rcpt);
	if (by & BY_DOMAIN)
		h = mix(h ^ BY_DOMAIN, a->domain);
	if (by & BY_CONNECTION)
		h = hash_u64(h ^ a->connection);
	if (by & BY_TRANSACTION)
		h = hash_u64(h ^ BY_TRANSACTION ^ a->transaction << 8);
	return h;
}

/* The cell of a key; NULL when there are too many. */
static struct guard_cell *
cell_by(const struct behave *b, struct guard_memory *m, const struct guard *g,
    uint16_t by, const struct guard_ask *a)
{
	uint64_t key = key_of(b, m, g, by, a);
	uint32_t at = map_get(&m->at, key);
	struct guard_cell *grown;

	if (at != 0)
		return &m->cells[at - 1];
	if (m->ncells == m->cap) {
		grown =
		    mem_grow(m->cells, MAX(m->cap * 2, 64u) * sizeof(*grown));
		if (grown == NULL)
			return NULL;
		m->cells = grown;
		m->cap = MAX(m->cap * 2, 64u);
	}
	if (map_put(&m->at, key, m->ncells + 1) != 0)
		return NULL;
	m->cells[m->ncells] = (struct guard_cell){ .n = 0 };
	return &m->cells[m->ncells++];
}

static struct guard_cell *
cell_of(const struct behave *b, struct guard_memory *m, const struct guard *g,
    const struct guard_ask *a)
{
	return cell_by(b, m, g, g->by, a);
}

static uint32_t *
slots_of(struct guard_memory *m, struct guard_cell *c)
{
	uint32_t(*grown)[GUARD_SLOTS];

	if (c->slots != 0)
		return m->slots[c->slots - 1];
	if (m->nslots == m->slots_cap) {
		grown = mem_grow(m->slots,
		    MAX(m->slots_cap * 2, 16u) * sizeof(*grown));
		ASSERT(grown != NULL);
		m->slots = grown;
		m->slots_cap = MAX(m->slots_cap * 2, 16u);
	}
	memset(m->slots[m->nslots], 0, sizeof(m->slots[0]));
	c->slots = ++m->nslots;
	return m->slots[c->slots - 1];
}

/* ---- how much is allowed --------------------------------------------------------- */

struct guard_step
guard_rate(const struct guard *g, int64_t now)
{
	struct guard_step r = { 0, g->count, g->period_us };

	for (uint32_t i = 0; i < g->nsteps && g->steps[i].at_us <= now; i++)
		r = g->steps[i];
	return r;
}

static bool
bucket_has(const struct guard *g, struct guard_cell *c, int64_t now, bool takes)
{
	struct guard_step r = guard_rate(g, now);
	int64_t now_ns = now * 1000, full = MAX(c->full_ns, now_ns);
	int64_t step_ns = r.period_us * 1000 / (int64_t)MAX(r.count, 1u);
	bool has = full - now_ns <= step_ns * ((int64_t)MAX(g->burst, 1u) - 1);

	if (takes)
		c->full_ns = full + step_ns;
	return has;
}

static bool
window_has(const struct guard *g, struct guard_cell *c, int64_t now, bool takes)
{
	struct guard_step r = guard_rate(g, now);
	int64_t from = now - now % r.period_us;

	if (c->from_us != from || !c->is_seen) {
		c->from_us = from;
		c->n = 0;
		c->is_seen = true;
	}
	c->n += takes;
	return takes ? c->n <= r.count : c->n < r.count;
}

static bool
sliding_has(const struct guard *g, struct guard_memory *m, struct guard_cell *c,
    int64_t now, bool takes)
{
	struct guard_step r = guard_rate(g, now);
	uint32_t *slots = slots_of(m, c);
	int64_t width = r.period_us / GUARD_SLOTS, at = now / width;

	/* from_us holds the number of the newest slot. */
	for (int64_t i = MAX(c->from_us, at - GUARD_SLOTS) + 1; i <= at; i++) {
		c->n -= slots[i % GUARD_SLOTS];
		slots[i % GUARD_SLOTS] = 0;
	}
	c->from_us = MAX(c->from_us, at);
	if (takes) {
		slots[at % GUARD_SLOTS]++;
		c->n++;
	}
	return takes ? c->n <= r.count : c->n < r.count;
}

/* A source has an allowance for each day of its age, none is over the last. */
static bool
days_has(const struct guard *g, struct guard_cell *c, const struct guard_ask *a,
    bool takes)
{
	int64_t day = (a->now_us - a->born_us) / DAY_US;

	if (day >= g->ndays)
		return true;
	if (c->from_us != day || !c->is_seen) {
		c->from_us = day;
		c->n = 0;
		c->is_seen = true;
	}
	c->n += takes;
	return takes ? c->n <= g->days[day] : c->n < g->days[day];
}

/* The client as a whole, which has a cell of its own beside those of its
 * triplets; NULL where nobody keeps it. */
static struct guard_cell *
client_of(const struct behave *b, struct guard_memory *m, const struct guard *g,
    const struct guard_ask *a)
{
	if (g->trusts_after == 0)
		return NULL;
	return cell_by(b, m, g, g->by & (BY_SOURCE | BY_NETBLOCK), a);
}

/* One more that came back as it should; one an hour counts at most. */
static void
trust(struct guard_cell *client, int64_t now)
{
	if (client == NULL ||
	    (client->n > 0 && now - client->from_us < TRUST_EVERY_US))
		return;
	client->from_us = now;
	client->n++;
}

/* A triplet: first seen, then let in if it comes back neither too early nor too
 * late. */
static bool
greylist_has(const struct behave *b, struct guard_memory *m,
    const struct guard *g, uint32_t index, const struct guard_ask *a)
{
	struct guard_cell *client = client_of(b, m, g, a);
	struct guard_cell *c = &m->cells[index];
	int64_t passed = a->now_us - c->from_us;

	if (client && client->n >= g->trusts_after)
		return true;
	if (c->is_seen && c->n > 0 && passed <= g->known_us) {
		c->from_us = a->now_us;
		trust(client, a->now_us);
		return true;
	}
	if (!c->is_seen || c->n > 0 || passed > g->within_us) {
		*c = (struct guard_cell){ .from_us = a->now_us,
			.is_seen = true };
		return false;
	}
	if (passed < g->wait_us)
		return false;
	c->from_us = a->now_us;
	c->n = 1;
	trust(client, a->now_us);
	return true;
}

/* ---- penalties ------------------------------------------------------------------- */

static void
punish(const struct guard *g, struct guard_cell *c, int64_t now)
{
	if (g->is_penalty_day)
		c->shut_us = now - now % DAY_US + DAY_US;
	else if (g->penalty_us > 0)
		c->shut_us = now + g->penalty_us;
	else
		return;
	c->open_us = c->shut_us;
}

/* Is it shut? When its time is over it begins afresh. */
static bool
is_shut(const struct guard *g, struct guard_memory *m, struct guard_cell *c,
    int64_t now)
{
	if (c->shut_us == 0)
		return false;
	if (now < c->shut_us) {
		if (g->prolongs)
			punish(g, c, now);
		return true;
	}
	c->shut_us = 0;
	c->full_ns = 0;
	if (g->kind == GUARD_SLIDING)
		memset(slots_of(m, c), 0, sizeof(m->slots[0]));
	if (g->kind != GUARD_GREYLIST)
		c->n = 0;
	return false;
}

static bool
has_room(const struct behave *b, struct guard_memory *m, const struct guard *g,
    uint32_t index, const struct guard_ask *a, bool takes)
{
	struct guard_cell *c = &m->cells[index];

	switch ((enum guard_kind)g->kind) {
	case GUARD_BUCKET:
		return bucket_has(g, c, a->now_us, takes);
	case GUARD_WINDOW:
		return window_has(g, c, a->now_us, takes);
	case GUARD_SLIDING:
		return sliding_has(g, m, c, a->now_us, takes);
	case GUARD_BATCH:
		c->n += takes;
		return takes ? c->n <= g->count : c->n < g->count;
	case GUARD_CONNS:
		return c->conns < g->count;
	case GUARD_DAYS:
		return days_has(g, c, a, takes);
	case GUARD_GREYLIST:
		return takes || greylist_has(b, m, g, index, a);
	case GUARD_DENY:
	case GUARD_NONE:
		break;
	}
	return false;
}

/* Ahead of its own stage it only says that it is shut. */
static const struct verdict *
ask_shut(const struct behave *b, struct guard_memory *m, const struct guard *g,
    const struct guard_ask *a)
{
	struct guard_cell *c = cell_of(b, m, g, a);

	if (c == NULL || !is_shut(g, m, c, a->now_us))
		return NULL;
	if (g->counts_refused)
		(void)has_room(b, m, g, (uint32_t)(c - m->cells), a, true);
	return &g->over;
}

static const struct verdict *
ask_one(const struct behave *b, struct guard_memory *m, const struct guard *g,
    const struct guard_ask *a)
{
	struct guard_cell *c = cell_of(b, m, g, a);
	uint32_t index;

	if (c == NULL)
		return NULL;
	index = (uint32_t)(c - m->cells);
	if (is_shut(g, m, c, a->now_us)) {
		if (g->counts_refused)
			(void)has_room(b, m, g, index, a, true);
		return &g->over;
	}
	if (!has_room(b, m, g, index, a, false)) {
		if (g->counts_refused)
			(void)has_room(b, m, g, index, a, true);
		punish(g, &m->cells[index], a->now_us);
		return &g->over;
	}
	(void)has_room(b, m, g, index, a, true);
	return NULL;
}

/* ---- connections ----------------------------------------------------------------- */

/* Counts connections where it matters: caps of them, and what reopens slowly. */
static bool
counts_conns(const struct guard *g)
{
	return g->kind == GUARD_CONNS || g->reopens_us > 0;
}

static bool
is_for(const struct guard *g, const struct guard_ask *a)
{
	return g->only.n == 0 || slice_glob(g->only, a->source);
}

/* After a penalty, more connections than have been earned again begin it
 * anew. */
static bool
is_early(const struct guard *g, struct guard_cell *c, int64_t now)
{
	if (g->reopens_us == 0 || c->open_us == 0 || now < c->open_us)
		return false;
	if ((int64_t)c->conns <= (now - c->open_us) / g->reopens_us)
		return false;
	punish(g, c, now);
	return true;
}

static const struct verdict *
ask_connect(const struct behave *b, struct guard_memory *m,
    const struct guard_ask *a)
{
	for (uint32_t i = 0; i < b->nguards; i++) {
		const struct guard *g = &b->guards[i];
		struct guard_cell *c;

		if (g->reopens_us == 0 || !is_for(g, a))
			continue;
		c = cell_of(b, m, g, a);
		if (c && is_early(g, c, a->now_us))
			return &g->early;
	}
	return NULL;
}

static void
enter(const struct behave *b, struct guard_memory *m, const struct guard_ask *a,
    int by)
{
	for (uint32_t i = 0; i < b->nguards; i++) {
		const struct guard *g = &b->guards[i];
		struct guard_cell *c;

		if (!counts_conns(g) || !is_for(g, a))
			continue;
		c = cell_of(b, m, g, a);
		if (c && (by > 0 || c->conns > 0))
			c->conns += (uint32_t)by;
	}
}

const struct verdict *
guards_ask(const struct behave *b, struct guard_memory *m, enum sim_stage stage,
    const struct guard_ask *a)
{
	const struct verdict *v = NULL;

	if (b->nguards == 0)
		return NULL;
	if (a->now_us < m->last_us) {
		uint64_t seed = m->seed;

		guard_memory_free(m);
		guard_memory_init(m, seed);
	}
	m->last_us = a->now_us;
	if (stage == AT_CONNECT)
		v = ask_connect(b, m, a);
	for (uint32_t i = 0; v == NULL && i < b->nguards; i++) {
		const struct guard *g = &b->guards[i];

		if (!is_for(g, a))
			continue;
		if (g->stage == stage)
			v = ask_one(b, m, g, a);
		else if (g->shut_stage == stage)
			v = ask_shut(b, m, g, a);
	}
	if (stage == AT_CONNECT && v == NULL)
		enter(b, m, a, 1);
	return v;
}

void
guards_leave(const struct behave *b, struct guard_memory *m,
    const struct guard_ask *a)
{
	if (b->nguards > 0)
		enter(b, m, a, -1);
}
