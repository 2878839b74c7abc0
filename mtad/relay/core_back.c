/*
 * relay/core_back.c - messages for ourselves: bounces and complaints that came by
 * mail.
 *
 * The engine does not see them. They stand in the table of messages, as read by
 * one reader, from their commit until the driver says that their events are
 * durable; then the first recipient is final in the spool. A crash before that
 * gives them to the driver again, so each event comes at least once, with the same
 * event_id. What is forwarded becomes an ordinary message of its second recipient.
 */
#include "relay/core_i.h"

static struct core_back *
back_new(struct handle slot, const struct spool_ref *ref, struct slice envelope)
{
	struct core_back *b = mem_try(sizeof(*b) + envelope.n);
	struct cursor rcpts;
	struct env_rcpt r;

	if (b == NULL)
		return NULL;
	b->slot = slot;
	b->ref = *ref;
	b->blob_n = (uint32_t)envelope.n;
	memcpy(b->blob, envelope.p, envelope.n);
	if (env_decode(slice_of(b->blob, b->blob_n), &b->env, &rcpts))
		ASSERT(!"an envelope that was decoded");
	if (env_rcpt_next(&rcpts, &r))
		b->to = r.address;
	return b;
}

bool
core_back(struct core *c, struct handle slot, const struct spool_ref *ref,
    struct slice envelope, const struct envelope *env)
{
	struct core_back *b;
	struct core_msg *m;

	if (c->ops->back == NULL)
		return false;
	b = back_new(slot, ref, envelope);
	m = b != NULL ? core_msg_new(c, slot) : NULL;
	if (m == NULL) {
		log_event(LOG_ERROR, "core", "what",
		    "no room for a message that came back", "effect",
		    "it stays spooled until a restart", NULL);
		mem_free(b);
		return true;
	}
	m->id = env->id;
	m->ref = *ref;
	m->nrcpt = (uint16_t)env->nrcpt;
	m->is_null_sender = true;
	m->reading = 1;
	core_find_message(c, env, slot.index);
	c->ops->back(c->ctx, b);
	return true;
}

/* The events of its first recipient are durable. */
static void
finish(struct core *c, const struct core_back *b, struct core_msg *m)
{
	static const struct spool_rcpt read = {
		.outcome = { .klass = OUTCOME_DELIVERED,
		    .stage = STAGE_LOCAL,
		    .code = 250 },
		.is_final = true,
	};
	struct spool_ref ref = m->ref;
	struct cursor rcpts;
	struct envelope env;

	c->ops->outcome(c->ctx, b->slot, 0, &read);
	if (m->nrcpt == 1 || m->is_aside) {
		core_msg_end(c, b->slot.index, m);
		return;
	}
	core_msg_free(c, b->slot.index);
	if (env_decode(slice_of(b->blob, b->blob_n), &env, &rcpts) == 0)
		core_submit_rest(c, b->slot, &ref, &env, rcpts);
}

void
core_back_done(struct core *c, struct core_back *b, enum core_back_end end)
{
	struct core_msg *m = core_msg_of(c, b->slot);

	ASSERT(m != NULL && m->reading == 1 && !m->is_dropped);
	atomic_fetch_add(&c->gate->backs_free, 1);
	(void)core_read_end(c, b->slot.index); /* a move that waited */
	if (end == CORE_BACK_DAMAGED && !m->is_aside)
		core_set_aside(c, b->slot.index,
		    SL("record in the spool is damaged; set aside"));
	if (m->is_aside)
		core_msg_end(c, b->slot.index, m);
	else
		finish(c, b, m);
	mem_free(b);
}
