/*
 * relay/core_log.c - the books: what the engine decided, in one line.
 *
 * A decision that follows an attempt finds the addresses and the peer's words
 * in the job; any other (expiry, DNS, an operator) reads the envelope back
 * from the spool, which is rare.
 */
#include <stdio.h>

#include "relay/core_i.h"

#define RULE_TEXT 256 /* bytes of a rule's file and line */

static const enum book_kind kind_of[ENG_LOG_N] = {
	[ENG_LOG_DELIVERY] = BOOK_DELIVERY,
	[ENG_LOG_TRANSIENT] = BOOK_TRANSIENT,
	[ENG_LOG_BOUNCE] = BOOK_BOUNCE,
	[ENG_LOG_EXPIRATION] = BOOK_EXPIRATION,
	[ENG_LOG_ADMIN_BOUNCE] = BOOK_ADMIN_BOUNCE,
	[ENG_LOG_ADMIN_DELETE] = BOOK_ADMIN_DELETE,
	[ENG_LOG_ADMIN_HOLD] = BOOK_ADMIN_HOLD,
	[ENG_LOG_ADMIN_RELEASE] = BOOK_ADMIN_RELEASE,
	[ENG_LOG_ADMIN_RETRY] = BOOK_ADMIN_RETRY,
};

/* Place of a recipient in the present job, or -1. */
static int
job_place(const struct core *c, uint32_t msg, uint16_t rcpt)
{
	if (!c->job || c->job->msg != msg)
		return -1;
	for (int i = 0; i < c->job->n; i++)
		if (c->job->rcpt[i].number == rcpt)
			return i;
	return -1;
}

void
core_because(struct core *c, const struct eng_cmd *log)
{
	struct eng_standing_row row;
	struct slice rule, reply;

	c->because[0] = '\0';
	if (log->kind != CMD_LOG || !(log->log.job & ENG_JOB_STANDING) ||
	    !eng_standing_row(c->eng, log->log.job & ~ENG_JOB_STANDING, &row))
		return;
	rule = names_text(&c->names, row.rule);
	reply = names_text(&c->names, row.reply);
	snprintf(c->because, sizeof(c->because),
	    "Bounced by rule %.*s after the reply: %u %.*s", SLF(rule),
	    row.outcome.code, SLF(reply));
}

/* Our own words, where no peer said any. */
static struct slice
own_words(const struct core *c, const struct outcome *o)
{
	if (o->klass == OUTCOME_EXPIRED)
		return SL("Message expired before it could be delivered");
	if (c->because[0] != '\0' && o->stage == STAGE_LOCAL)
		return slice_str(c->because);
	if (o->klass == OUTCOME_ADMIN)
		return SL("Bounced by the operator");
	if (o->klass == OUTCOME_DELETED)
		return SL("Deleted by the operator");
	if (o->stage != STAGE_DNS)
		return c->down_text;
	switch (o->code) {
	case 556:
		return SL("Domain accepts no mail (null MX)");
	case 550:
		if (o->enh.subject == 7)
			return SL("REQUIRETLS support required, and nothing "
				  "(DNSSEC, MTA-STS) vouches for the hosts");
		return o->enh.subject == 1 ? SL("Domain not found") :
					     SL("No mail host has an address");
	default:
		return c->dns_why ? slice_str(c->dns_why) :
				    SL("DNS look-up failed");
	}
}

struct slice
core_words(const struct core *c, uint16_t rcpt, const struct outcome *o)
{
	if (c->job && c->because[0] == '\0')
		for (int i = 0; i < c->job->n; i++)
			if (c->job->rcpt[i].number == rcpt &&
			    c->job->rcpt[i].text.n)
				return c->job->rcpt[i].text;
	return own_words(c, o);
}

struct slice
core_mta(const struct core *c)
{
	return c->facts ? slice_str(c->facts->host) : slice_of("", 0);
}

static void
fill_from_job(const struct core *c, int place, struct book_entry *e)
{
	const struct job *j = c->job;

	e->sender = j->env.sender;
	e->recipient = j->to[place].address;
	e->size = j->env.body_bytes;
	e->is_dsn = j->env.flags & ENV_DSN;
	e->queued_us = MAX(c->wall_us - j->env.arrival_us, 0);
	if (j->ended_us)
		e->session_us = MAX(j->ended_us - j->began_us, 0);
	e->text = j->rcpt[place].text;
}

/* Reads sender and recipient back; what cannot be read is left out. */
static void
fill_from_spool(struct core *c, const struct core_msg *m, uint16_t rcpt,
    struct book_entry *e, char **record)
{
	struct envelope env;
	struct cursor cur;
	struct env_rcpt r;
	uint16_t i = 0;

	if (core_read_envelope(c, m, &env, &cur, record))
		return;
	e->sender = env.sender;
	e->size = env.body_bytes;
	e->is_dsn = env.flags & ENV_DSN;
	e->queued_us = MAX(c->wall_us - env.arrival_us, 0);
	while (env_rcpt_next(&cur, &r))
		if (i++ == rcpt) {
			e->recipient = r.address;
			break;
		}
}

static void
fill_from_facts(const struct core *c, struct book_entry *e)
{
	const struct session_facts *f = c->facts;

	if (!f)
		return;
	e->source = slice_str(f->source);
	e->site = slice_str(f->site);
	e->mx = slice_str(f->host);
	e->tls = slice_str(f->tls);
	e->tls_policy = slice_str(f->tls_policy);
	e->peer = f->peer;
	e->has_peer = true;
}

/* Does it happen once, so that only a serial number tells it from its like? */
static bool
is_single(const struct book_entry *e)
{
	switch (e->kind) {
	case BOOK_ADMIN_HOLD:
	case BOOK_ADMIN_RELEASE:
	case BOOK_ADMIN_RETRY:
		return true;
	case BOOK_TRANSIENT:
		return e->attempt == 0;
	default:
		return false;
	}
}

/* ---- the index ----------------------------------------------------------------- */

void
core_find_since(struct core *c, int64_t wall_us)
{
	c->find_since_us = wall_us;
}

static struct buf *
find_of(struct core *c, int64_t arrival_us)
{
	if (c->ops->find == NULL ||
	    (c->is_starting && arrival_us < c->find_since_us))
		return NULL;
	return c->ops->find(c->ctx);
}

void
core_find_message(struct core *c, const struct envelope *env, uint32_t slot)
{
	struct buf *out = find_of(c, env->arrival_us);

	if (out)
		find_put(out, find_key_id(&env->id), &env->id, slot, 0,
		    FIND_MESSAGE);
}

void
core_find_rcpt(struct core *c, const struct envelope *env, uint32_t slot,
    uint16_t rcpt, struct slice address)
{
	struct buf *out = find_of(c, env->arrival_us);

	if (out)
		find_put(out, find_key_address(address), &env->id, slot, rcpt,
		    FIND_RCPT);
}

static void
find_event(struct core *c, const struct eng_cmd *cmd, const struct msgid *id)
{
	struct buf *out = c->ops->find ? c->ops->find(c->ctx) : NULL;
	bool is_over;

	if (out == NULL)
		return;
	switch (cmd->log.what) {
	case ENG_LOG_DELIVERY:
	case ENG_LOG_BOUNCE:
	case ENG_LOG_EXPIRATION:
	case ENG_LOG_ADMIN_BOUNCE:
	case ENG_LOG_ADMIN_DELETE:
		is_over = true;
		break;
	default:
		is_over = false;
	}
	find_put(out, find_key_id(id), id, (uint32_t)(c->wall_us / US_PER_S),
	    cmd->log.rcpt, is_over ? FIND_OVER : FIND_EVENT);
}

/* ---- clusters of replies --------------------------------------------------------- */

uint64_t
core_queue_key(uint32_t site, uint32_t pool, uint32_t tenant, uint32_t campaign)
{
	return hash_u64(hash_u64((uint64_t)site << 32 | pool) ^
	    ((uint64_t)tenant << 32 | campaign));
}

static void
add_reply(struct core *c, const struct eng_cmd *cmd, const struct book_entry *e)
{
	uint32_t source = 0;

	if (c->clusters == NULL || cmd->log.site == 0 ||
	    (cmd->log.what != ENG_LOG_TRANSIENT &&
		cmd->log.what != ENG_LOG_BOUNCE))
		return;
	if (e->source.n > 0)
		source = names_find(&c->names, e->source);
	clusters_add(c->clusters,
	    core_queue_key(cmd->log.site, cmd->log.pool, cmd->log.tenant,
		cmd->log.campaign),
	    &cmd->log.outcome, e->text, source, c->wall_us);
}

/* ---- which reply shut a path ------------------------------------------------------ */

void
core_refused(struct core *c, uint32_t path, const struct outcome *o,
    struct slice text)
{
	struct refusal one = { .at_us = c->now_us,
		.wall_us = c->wall_us,
		.path = path,
		.outcome = *o,
		.text = text };
	char rule[RULE_TEXT];

	if (c->refusals == NULL || path == 0 ||
	    eng_path_refused_us(c->eng, path) != c->now_us)
		return;
	if (o->is_judged && c->ops->rule != NULL && c->facts != NULL)
		one.rule = slice_of(rule,
		    c->ops->rule(c->ctx, o, slice_str(c->facts->provider), text,
			rule, sizeof(rule)));
	refusals_put(c->refusals, &one);
}

void
core_log(struct core *c, const struct eng_cmd *cmd)
{
	struct core_msg *m = core_msg(c, cmd->log.msg);
	struct buf *book = c->ops->book(c->ctx);
	int place = job_place(c, cmd->log.msg, cmd->log.rcpt);
	struct book_entry e;
	char *record = NULL;

	ASSERT(m);
	find_event(c, cmd, &m->id);
	if (!book) {
		c->books_dropped++;
		return;
	}
	book_entry_init(&e, kind_of[cmd->log.what]);
	e.at_start = c->is_starting;
	e.wall_us = c->wall_us;
	e.id = m->id;
	e.has_id = e.has_sender = true;
	e.rcpt = cmd->log.rcpt;
	e.attempt = cmd->log.attempts;
	if (is_single(&e))
		e.serial = c->ops->sequence(c->ctx);
	e.tenant = names_text(&c->names, cmd->log.tenant);
	e.campaign = names_text(&c->names, cmd->log.campaign);
	e.pool = names_text(&c->names, cmd->log.pool);
	e.outcome = cmd->log.outcome;
	e.next_us =
	    cmd->log.due_us == TIME_NEVER ? 0 : core_wall(c, cmd->log.due_us);
	fill_from_facts(c, &e);
	if (place >= 0)
		fill_from_job(c, place, &e);
	else
		fill_from_spool(c, m, cmd->log.rcpt, &e, &record);
	core_because(c, cmd);
	if (e.text.n == 0 || c->because[0] != '\0')
		e.text = own_words(c, &e.outcome);
	add_reply(c, cmd, &e);
	if (cmd->log.job && cmd->log.job <= CORE_JOBS_MAX) {
		e.user = slice_str(c->jobs[cmd->log.job - 1].user);
		e.reason = slice_str(c->jobs[cmd->log.job - 1].reason);
	}
	if (book_write(book, &e))
		c->books_dropped++;
	if (e.kind == BOOK_BOUNCE && c->ops->bounced != NULL)
		c->ops->bounced(c->ctx, &e);
	mem_free(record);
}

/* ---- Receptions whose lines were lost -------------------------------------------- */

/* What the spool knows of it; what only the session knew is left out. */
static void
fill_reception(const struct core *c, struct book_entry *e,
    const struct envelope *env, char *text)
{
	book_entry_init(e, BOOK_RECEPTION);
	e->at_start = c->is_starting;
	e->wall_us = env->arrival_us;
	e->id = env->id;
	e->has_id = e->has_sender = true;
	e->sender = env->sender;
	e->listener = env->listener;
	e->peer.ip = env->client;
	e->has_peer = true;
	e->size = env->body_bytes;
	e->nrcpt = env->nrcpt;
	e->outcome = (struct outcome){ .code = 250,
		.enh = { 2, 0, 0 },
		.stage = STAGE_EOM };
	msgid_format(text + slice_copy(SL("Queued as "), text, 11), &env->id);
	e->text = slice_str(text);
}

/* Was it another node that received it? */
static bool
is_another_s(const struct book_tail *t, const struct spool_found *f)
{
	struct book_entry taken;

	book_entry_init(&taken, BOOK_TAKEN_OVER);
	taken.id = f->id;
	taken.has_id = true;
	for (uint32_t i = 0; i < f->nrcpt; i++) {
		taken.rcpt = (int32_t)i;
		if ((f->rcpts[i].is_owed && !f->rcpts[i].is_final) ||
		    tail_has(t, book_event_id(&taken)))
			return true; /* or it is in trust still */
	}
	return false;
}

void
core_receive_again(struct core *c, const struct spool_found *f,
    const struct book_tail *t)
{
	struct buf *book = c->ops->book(c->ctx);
	char text[10 + MSGID_TEXT_MAX];
	struct envelope env;
	struct book_entry e;
	struct env_rcpt r;
	struct cursor cur;
	int64_t since = t->since_us;

	/* The clock may have been set back since the last line. */
	if (since != TIME_NEVER)
		since = MIN(since, c->wall_us - TAIL_WINDOW_US);
	if (!book || env_decode(f->envelope, &env, &cur) ||
	    env.arrival_us < since || env.flags & ENV_DSN || is_another_s(t, f))
		return;
	fill_reception(c, &e, &env, text);
	for (e.rcpt = 0; env_rcpt_next(&cur, &r); e.rcpt++) {
		struct steer s = { .tenant = env.tenant,
			.campaign = env.campaign,
			.pool = env.pool };

		if (tail_has(t, book_event_id(&e)))
			continue;
		steer_by_route(c->conf, mailbox_domain(r.address), &s);
		e.recipient = r.address;
		e.tenant = s.tenant;
		e.campaign = s.campaign;
		e.pool = s.pool;
		if (book_write(book, &e))
			c->books_dropped++;
	}
}
