/*
 * engine/react.c - what a refusal is about, and what follows for whom.
 *
 * A refusal that somebody has judged is taken at its word where that says whom
 * it is about; any other by its code and stage alone. That a transaction is
 * refused for what its path is (its source as that receiver sees it, how fast,
 * how good) is no attempt of its recipients: they wait in their line until the
 * path is open again. A block is told from a slow-down: after one the path
 * rests longer, comes back with one session, and gets one more at a time; and
 * what was refused keeps its address.
 */
#include "engine/react_i.h"

/* A sixth rest in a row is twice as long, and so on. */
#define BLOCKS_ALIKE 6
/* One more session each time that so long has gone well. */
#define RAMP_US (60 * US_PER_S)

/* ---- whom it is about -------------------------------------------------------------- */

/* By code and stage. */
static enum level
level_plain(const struct ev_result *ev, const struct outcome *o)
{
	if (o->code == 421 || (o->code != 0 && o->stage <= STAGE_MAIL))
		return LEVEL_PATH;
	if (o->code == 0 && !ev->in_doubt &&
	    (!ev->is_sent || o->stage < STAGE_DATA))
		return LEVEL_PATH;
	return LEVEL_RCPT;
}

/* It is about the path, one way or the other. */
static bool
is_of_path(enum scope s)
{
	return s == SCOPE_PATH || s == SCOPE_SOURCE || s == SCOPE_NETBLOCK;
}

static enum level
level_judged(const struct ev_result *ev, const struct outcome *o)
{
	enum scope scope = (enum scope)o->judged.scope;

	switch ((enum kind)o->judged.kind) {
	case KIND_OTHER:
	case KIND_SYSFAIL:
	case KIND_RELAY:
	case KIND_TLS:
		return level_plain(ev, o);
	case KIND_GREYLIST:
		return LEVEL_GREY;
	case KIND_THROTTLE:
		if (scope == SCOPE_PATH || scope == SCOPE_HOST)
			return LEVEL_PATH;
		break;
	default:
		break;
	}
	if (is_of_path(scope))
		return LEVEL_BLOCK;
	return scope == SCOPE_HOST ? level_plain(ev, o) : LEVEL_RCPT;
}

enum level
eng_level_of(const struct ev_result *ev, const struct outcome *o)
{
	if (o->klass == OUTCOME_UNSENT)
		return o->stage == STAGE_LOCAL ? LEVEL_LOCAL : LEVEL_AGAIN;
	if (o->klass != OUTCOME_TRANSIENT)
		return LEVEL_RCPT;
	if (o->stage == STAGE_LOCAL)
		return LEVEL_LOCAL;
	return o->is_judged ? level_judged(ev, o) : level_plain(ev, o);
}

struct outcome
eng_outcome_meant(const struct outcome *o)
{
	struct outcome is = *o;

	if (o->klass == OUTCOME_BOUNCED && o->is_judged && !o->judged.is_hard)
		is.klass = OUTCOME_TRANSIENT;
	return is;
}

enum hint
eng_hint_of(const struct outcome *o)
{
	if (o->klass != OUTCOME_TRANSIENT || o->code == 0)
		return HINT_NONE;
	return o->is_judged && o->judged.kind == KIND_THROTTLE ? HINT_RATE :
								 HINT_VAGUE;
}

/* ---- blocks ------------------------------------------------------------------------ */

void
eng_path_blocked(struct eng *e, uint32_t path, int64_t began_us)
{
	struct path *p = pool_at(&e->paths, path);
	const struct eng_shape *s = eng_path_shape(e, p);
	int64_t pause;

	if (p->fails != 0 && began_us < p->fail_us &&
	    p->backoff_until_us - p->fail_us >= s->block_us)
		return; /* began before the block that is known */
	p->fails = began_us < p->fail_us ? MAX(p->fails, 1) : p->fails + 1;
	p->fail_us = e->now;
	p->ramp = 1;
	pause = eng_doubled(s->block_us, MAX(s->block_us, s->backoff_max_us),
	    (p->fails + BLOCKS_ALIKE - 1) / BLOCKS_ALIKE);
	p->backoff_until_us = p->ramp_us = e->now + pause;
	eng_path_park(e, path, WHY_BACKOFF, p->backoff_until_us);
	eng_path_take_back(e, path);
}

void
eng_path_ramp_up(struct eng *e, struct path *p)
{
	const struct eng_shape *s = eng_path_shape(e, p);

	if (p->ramp == 0 || e->now < p->ramp_us + RAMP_US)
		return;
	p->ramp++;
	p->ramp_us = e->now;
	if (p->ramp >= (s->conns_max ? s->conns_max : RAMP_MAX))
		p->ramp = 0;
}
