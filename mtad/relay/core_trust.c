/*
 * relay/core_trust.c - messages in trust of another node: share/doc/drain.md.
 *
 * The state of the first open recipient says so: owed, and not final, with the
 * other's identity as its words. Release takes that mark away, and the message
 * is as any that a start finds; discarding makes all recipients final, that one
 * last.
 */
#include "relay/core_i.h"

struct core_trusted *
core_trusted(struct core *c, const struct msgid *id)
{
	uint32_t i = map_get(&c->moving.trusted_by_id, msgid_hash(id));
	struct core_trusted *t = i ? pool_at(&c->moving.trusted, i) : NULL;

	return t && msgid_eq(&t->id, id) ? t : NULL;
}

struct core_trusted *
core_trust_add(struct core *c, const struct msgid *id,
    const struct drain_id *from, uint32_t nrcpt)
{
	struct core_moves *v = &c->moving;
	uint64_t key = msgid_hash(id);
	struct core_trusted *t;
	struct handle h;

	if (map_get(&v->trusted_by_id, key))
		return NULL;
	t = pool_take(&v->trusted, &h);
	if (!t)
		return NULL;
	t->states = mem_try(nrcpt * sizeof(*t->states));
	if (!t->states || map_put(&v->trusted_by_id, key, h.index)) {
		mem_free(t->states);
		pool_give(&v->trusted, h.index);
		return NULL;
	}
	list_init(&t->link);
	t->id = *id;
	t->from = *from;
	t->nrcpt = nrcpt;
	return t;
}

void
core_trust_keep(struct core_trusted *t, struct handle slot,
    const struct spool_ref *ref)
{
	t->trust = TRUST_HELD;
	t->slot = slot;
	t->ref = *ref;
}

void
core_trust_forget(struct core *c, struct core_trusted *t)
{
	uint32_t i = map_del(&c->moving.trusted_by_id, msgid_hash(&t->id));

	list_remove(&t->link);
	mem_free(t->states);
	pool_give(&c->moving.trusted, i);
}

uint16_t
core_trust_place(const struct core_trusted *t)
{
	uint32_t i = 0;

	while (i + 1 < t->nrcpt && t->states[i].is_final)
		i++;
	return (uint16_t)i;
}

/* Its envelope, read back; the record is the caller's to free. */
static int
read_envelope(struct core *c, const struct core_trusted *t, char **record,
    struct envelope *env, struct cursor *rcpts)
{
	struct core_msg m = { .id = t->id, .ref = t->ref };
	int err = core_read_envelope(c, &m, env, rcpts, record);

	return !err && env->nrcpt != t->nrcpt ? E_CORRUPT : err;
}

static void
settle(struct core *c, struct core_trusted *t, enum trust how)
{
	t->trust = how;
	t->batch = c->moving.batch;
	list_push_tail(&c->moving.settling, &t->link);
}

bool
core_trust_release(struct core *c, struct core_trusted *t)
{
	uint16_t place = core_trust_place(t);
	struct envelope env;
	struct cursor rcpts;
	char *record = NULL;
	int err;

	if (t->trust != TRUST_HELD)
		return true;
	err = read_envelope(c, t, &record, &env, &rcpts);
	if (!err) {
		core_book_moving(c, BOOK_TAKEN_OVER, &env, rcpts, t->states,
		    NULL, &t->from);
		c->ops->outcome(c->ctx, t->slot, place, &t->states[place]);
		settle(c, t, TRUST_RELEASED);
	}
	mem_free(record);
	return !err;
}

void
core_trust_discard(struct core *c, struct core_trusted *t)
{
	struct spool_rcpt r = { .is_final = true };

	if (t->trust != TRUST_HELD)
		return;
	r.outcome.klass = OUTCOME_HANDED;
	r.outcome.stage = STAGE_LOCAL;
	for (uint16_t i = (uint16_t)t->nrcpt; i-- > 0;)
		c->ops->outcome(c->ctx, t->slot, i, &r);
	c->ops->drop(c->ctx, t->slot);
	settle(c, t, TRUST_DISCARDED);
}

static void
restore(struct core *c, const struct core_trusted *t)
{
	struct spool_found f = { .slot = t->slot,
		.ref = t->ref,
		.id = t->id,
		.rcpts = t->states,
		.nrcpt = t->nrcpt };
	struct envelope env;
	struct cursor rcpts;
	char *record = NULL;

	if (read_envelope(c, t, &record, &env, &rcpts))
		log_event(LOG_ERROR, "drain", "what",
		    "a message that was taken over cannot be read", "effect",
		    "it stays spooled until a restart", NULL);
	else {
		f.envelope = slice_of(record, t->ref.env_bytes);
		core_restore(c, &f);
	}
	mem_free(record);
}

void
core_trust_settled(struct core *c, struct core_trusted *t)
{
	bool is_ours = t->trust == TRUST_RELEASED;

	/* Who restores it takes its recipients' room again. */
	gate_give(&c->gate->rcpts_free, t->nrcpt);
	list_remove(&t->link);
	if (is_ours)
		restore(c, t);
	core_trust_forget(c, t);
}
