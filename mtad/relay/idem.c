/*
 * relay/idem.c - the index of idempotency keys.
 *
 * It is in shards, by the key, so that one which grows is copied in a moment.
 * Each is a ring of entries in the order they came, which is nearly that of
 * their times, and a table of places in the ring (open addressing, linear
 * probing, deletion by shifting back). What is over leaves at the ring's head,
 * a few with each key that comes.
 */
#include "relay/idem.h"

#define SHARDS 256u
#define KEPT_BYTES 12u
#define PENDING UINT32_C(0x80000000)
#define RING_MIN 16u

struct entry {
	uint8_t key[KEPT_BYTES];
	uint32_t digest; /* 31 bits, and PENDING */
	struct msgid id; /* all zero: it is dead */
};
_Static_assert(sizeof(struct entry) == 32, "two in a cache line");

struct shard {
	struct entry *ring;
	uint32_t *table; /* places in ring + 1; 0 = none */
	uint32_t cap, head, n, mask;
};

struct idem {
	uint64_t count, max; /* of entries that live */
	size_t bytes;
	struct shard shard[SHARDS];
};

static const struct msgid nobody;

struct idem *
idem_new(uint32_t max)
{
	struct idem *x = mem_try(sizeof(*x));

	if (x != NULL)
		x->max = max;
	return x;
}

void
idem_free(struct idem *x)
{
	for (uint32_t i = 0; x != NULL && i < SHARDS; i++) {
		mem_free(x->shard[i].ring);
		mem_free(x->shard[i].table);
	}
	mem_free(x);
}

uint64_t
idem_count(const struct idem *x)
{
	return x->count;
}

size_t
idem_bytes(const struct idem *x)
{
	return sizeof(*x) + x->bytes;
}

static bool
is_dead(const struct entry *e)
{
	return msgid_eq(&e->id, &nobody);
}

static bool
is_over(const struct entry *e, int64_t wall_us)
{
	return (e->digest & PENDING) == 0 &&
	    msgid_time_us(&e->id) + IDEM_LIFE_US <= wall_us;
}

static uint32_t
hash_of(const uint8_t *key)
{
	uint32_t h;

	memcpy(&h, key + 4, sizeof(h)); /* byte 0 chose the shard */
	return h;
}

/* The table's place of a key, or of the hole where it would stand. */
static uint32_t
place(const struct shard *s, const uint8_t *key)
{
	uint32_t i = hash_of(key) & s->mask;

	while (s->table[i] != 0 &&
	    memcmp(s->ring[s->table[i] - 1].key, key, KEPT_BYTES) != 0)
		i = (i + 1) & s->mask;
	return i;
}

static struct entry *
find(const struct shard *s, const uint8_t *key)
{
	uint32_t i;

	if (s->table == NULL)
		return NULL;
	i = place(s, key);
	return s->table[i] != 0 ? &s->ring[s->table[i] - 1] : NULL;
}

/* Takes an entry out of the table, and moves back what its hole would hide. */
static void
kill(struct idem *x, struct shard *s, struct entry *e)
{
	uint32_t hole = place(s, e->key), i = hole, home;

	ASSERT(s->table[hole] != 0);
	for (;;) {
		i = (i + 1) & s->mask;
		if (s->table[i] == 0)
			break;
		home = hash_of(s->ring[s->table[i] - 1].key) & s->mask;
		if (((i - home) & s->mask) < ((i - hole) & s->mask))
			continue;
		s->table[hole] = s->table[i];
		hole = i;
	}
	s->table[hole] = 0;
	e->id = nobody;
	x->count--;
}

static void
expire(struct idem *x, struct shard *s, int64_t wall_us)
{
	while (s->n > 0) {
		struct entry *e = &s->ring[s->head];

		if (!is_dead(e) && !is_over(e, wall_us))
			return;
		if (!is_dead(e))
			kill(x, s, e);
		s->head = (s->head + 1) % s->cap;
		s->n--;
	}
}

/* Makes room for one more: the living are copied in their order. */
static bool
grow(struct idem *x, struct shard *s)
{
	uint32_t cap = MAX(s->n + s->n / 4, RING_MIN), size = RING_MIN, n = 0;
	struct entry *ring;
	uint32_t *table;

	while (size < cap + cap / 4)
		size *= 2;
	ring = mem_try(cap * sizeof(*ring));
	table = mem_try(size * sizeof(*table));
	if (ring == NULL || table == NULL) {
		mem_free(ring);
		mem_free(table);
		return false;
	}
	for (uint32_t i = 0; i < s->n; i++) {
		const struct entry *e = &s->ring[(s->head + i) % s->cap];

		if (!is_dead(e))
			ring[n++] = *e;
	}
	x->bytes -= s->cap * sizeof(*ring) +
	    (s->table ? s->mask + 1u : 0) * sizeof(*table);
	x->bytes += cap * sizeof(*ring) + size * sizeof(*table);
	mem_free(s->ring);
	mem_free(s->table);
	*s = (struct shard){ ring, table, cap, 0, n, size - 1 };
	for (uint32_t i = 0; i < n; i++)
		s->table[place(s, ring[i].key)] = i + 1;
	return true;
}

static bool
add(struct idem *x, struct shard *s, const struct env_key *key,
    const struct msgid *id, uint32_t flags)
{
	struct entry *e;
	uint32_t at;

	if (s->n == s->cap && !grow(x, s))
		return false;
	at = (s->head + s->n) % s->cap;
	e = &s->ring[at];
	memcpy(e->key, key->b, KEPT_BYTES);
	e->digest = (key->digest & ~PENDING) | flags;
	e->id = *id;
	s->table[place(s, e->key)] = at + 1;
	s->n++;
	x->count++;
	return true;
}

static struct shard *
shard_of(struct idem *x, const struct env_key *key)
{
	return &x->shard[key->b[0]];
}

/* What an entry that is there means for a message with the same key. */
static enum idem_answer
answer(const struct entry *e, const struct env_key *key, struct msgid *first)
{
	uint32_t have = e->digest & ~PENDING, want = key->digest & ~PENDING;

	if (have != 0 && want != 0 && have != want)
		return IDEM_OTHER;
	if (e->digest & PENDING)
		return IDEM_BUSY;
	*first = e->id;
	return IDEM_DONE;
}

enum idem_answer
idem_find(struct idem *x, const struct env_key *key, int64_t wall_us,
    struct msgid *first)
{
	const struct entry *e = find(shard_of(x, key), key->b);

	if (e == NULL || is_over(e, wall_us))
		return IDEM_TAKEN;
	return answer(e, key, first);
}

enum idem_answer
idem_claim(struct idem *x, const struct env_key *key, const struct msgid *id,
    int64_t wall_us, struct msgid *first)
{
	struct shard *s = shard_of(x, key);
	struct entry *e;

	expire(x, s, wall_us);
	e = find(s, key->b);
	if (e != NULL && !is_over(e, wall_us))
		return answer(e, key, first);
	if (e != NULL)
		kill(x, s, e);
	for (uint32_t i = 0; x->count >= x->max && i < SHARDS; i++)
		expire(x, &x->shard[i], wall_us);
	if (x->count >= x->max || !add(x, s, key, id, PENDING))
		return IDEM_FULL;
	return IDEM_TAKEN;
}

void
idem_settle(struct idem *x, const struct env_key *key, const struct msgid *id,
    bool is_kept)
{
	struct shard *s = shard_of(x, key);
	struct entry *e = find(s, key->b);

	ASSERT(e != NULL && msgid_eq(&e->id, id));
	if (is_kept)
		e->digest &= ~PENDING;
	else
		kill(x, s, e);
}

int
idem_restore(struct idem *x, const struct env_key *key, const struct msgid *id,
    int64_t wall_us)
{
	struct shard *s = shard_of(x, key);

	if (msgid_time_us(id) + IDEM_LIFE_US <= wall_us ||
	    find(s, key->b) != NULL)
		return 0;
	return add(x, s, key, id, 0) ? 1 : E_NOMEM;
}
