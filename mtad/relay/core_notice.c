/*
 * relay/core_notice.c - delivery status notifications: one for each that is
 * owed, and never one for a notice. Recipients of one message that meet the same
 * in one step share one.
 *
 * The notice is an ordinary message with the null sender, committed together
 * with the payment of its debt, so that a crash finds either the debt or the
 * notice. What cannot be committed now (no memory, no space) is remembered and
 * tried again every second; the debt itself is in the spool all the while. The
 * original's record is checked before anything of it is believed; one that is
 * damaged is set aside, as when it is to be sent, and so is one that cannot be
 * read for minutes.
 */
#include "relay/core_i.h"

#define DSN_HEADER_MAX (64u * 1024) /* of the original, quoted */
/* RET=FULL of a message up to this; of a larger one the header comes back, as
 * RFC 3461 6.2 has it. */
#define DSN_WHOLE_MAX (256u * 1024)
#define OWED_MAX 100000u /* remembered in memory; else at restart */
#define OWED_EVERY_US US_PER_S
#define READS_MAX 120u /* so often the disk is asked */
#define UNREAD_MAX 16u /* reads that fail in one tick */
#define WINDOW (64u * 1024)

/* A notice that waits to be tried again. */
struct core_owed {
	struct core_owed *next;
	uint32_t msg;
	struct msgid id;
	uint32_t n, unread; /* times that the disk would not read */
	struct core_notice v[];
};

/* What is needed of the original, read back. */
struct original {
	struct envelope env;
	struct env_rcpt *rcpt; /* each recipient in the notice */
	struct slice text;     /* its header, or all of it */
	bool whole;
	char *record;
};

static void
original_free(struct original *o)
{
	mem_free(o->record);
	mem_free(o->rcpt);
}

/* Is the record what it was? 0, E_CORRUPT, or what the disk says. */
static int
original_check(struct core *c, const struct core_msg *m)
{
	uint32_t bytes = m->ref.env_bytes + m->ref.body_bytes, n;
	struct spool_check *check = mem_try(sizeof(*check) + WINDOW);
	char *window = (char *)(check + 1);
	int err;

	if (!check)
		return E_NOMEM;
	err = spool_check_begin(c->disk, &m->ref, &m->id, check);
	for (uint32_t at = 0; !err && at < bytes; at += n) {
		n = MIN(bytes - at, WINDOW);
		err = spool_read(c->disk, &m->ref, at, window, n);
		if (!err)
			spool_check_feed(check, slice_of(window, n));
	}
	if (!err && !spool_check_end(check))
		err = E_CORRUPT;
	mem_free(check);
	return err;
}

/* RFC 3461 4.3: only who is told of a failure gets all of it, if he wants; RFC 8689
 * 5: never of mail that asks for TLS all the way. */
static bool
is_whole(const struct core_msg *m, const struct envelope *env,
    const struct core_notice *v)
{
	return v->action == DSN_FAILED && (env->flags & ENV_RET_FULL) &&
	    !(env->flags & ENV_REQUIRETLS) &&
	    m->ref.body_bytes <= DSN_WHOLE_MAX;
}

/* The envelope, and so many bytes of the body. */
static int
original_load(struct core *c, const struct core_msg *m, uint32_t body_bytes,
    struct original *o, struct cursor *rcpts)
{
	uint32_t bytes = m->ref.env_bytes + body_bytes;
	int err;

	mem_free(o->record);
	o->record = mem_try(bytes + 1);
	if (!o->record)
		return E_NOMEM;
	err = spool_read(c->disk, &m->ref, 0, o->record, bytes);
	if (!err)
		err = env_decode(slice_of(o->record, m->ref.env_bytes), &o->env,
		    rcpts);
	o->text = slice_of(o->record + m->ref.env_bytes, body_bytes);
	return err;
}

static int
original_read(struct core *c, const struct core_msg *m,
    const struct core_notice *v, uint32_t n, struct original *o)
{
	struct cursor cur;
	struct env_rcpt r;
	bool is_none;
	size_t h;
	int err;

	memset(o, 0, sizeof(*o));
	o->rcpt = mem_try(n * sizeof(*o->rcpt));
	if (!o->rcpt)
		return E_NOMEM;
	err = original_check(c, m);
	if (!err)
		err = original_load(c, m,
		    MIN(m->ref.body_bytes, DSN_HEADER_MAX), o, &cur);
	o->whole = !err && is_whole(m, &o->env, v);
	if (o->whole)
		err = original_load(c, m, m->ref.body_bytes, o, &cur);
	if (err)
		return err;
	for (uint32_t i = 0; env_rcpt_next(&cur, &r); i++)
		for (uint32_t k = 0; k < n; k++)
			if (v[k].rcpt == i)
				o->rcpt[k] = r;
	if (o->whole)
		return 0;
	h = hdr_section(o->text, &is_none);
	o->text.n = h ? h : is_none ? 0 : o->text.n;
	return 0;
}

/* Is it the sender's own time that is over? */
static bool
is_by(const struct envelope *env, const struct core_notice *v)
{
	if (v->action == DSN_DELAYED)
		return env->by_us != 0;
	return env->by_us != 0 && (env->flags & ENV_BY_RETURN) &&
	    env->expires_us == env->by_us;
}

static int
build(struct core *c, struct parcel *p, const struct core_msg *m,
    const struct core_notice *v, uint32_t n, const struct original *o)
{
	struct dsn_rcpt *r = mem_try(n * sizeof(*r));
	struct dsn_in in = {
		.action = (enum dsn_action)v->action,
		.hostname = c->conf->hostname,
		.postmaster = c->conf->postmaster,
		.to = o->env.sender,
		.envid = o->env.envid,
		.id = p->id,
		.original_id = m->id,
		.arrival_us = o->env.arrival_us,
		.now_us = c->wall_us,
		.original = o->text,
		.whole = o->whole,
		.is_by = is_by(&o->env, v),
		.is_utf8 = (o->env.flags & ENV_SMTPUTF8) != 0,
		.rcpts = r,
		.nrcpt = n,
	};
	int err;

	if (!r)
		return E_NOMEM;
	for (uint32_t i = 0; i < n; i++)
		r[i] = (struct dsn_rcpt){
			.address = o->rcpt[i].address,
			.orcpt = o->rcpt[i].orcpt,
			.outcome = v[i].outcome,
			.text = slice_of(v[i].text, v[i].text_n),
			.remote_mta = slice_str(v[i].mta),
			.last_attempt_us =
			    v->action == DSN_DELAYED ? 0 : c->wall_us,
			.retry_until_us =
			    v->action == DSN_DELAYED ? o->env.expires_us : 0,
		};
	err = dsn_build(&p->body, &in);
	mem_free(r);
	return err;
}

static int
seal(struct core *c, struct parcel *p, const struct original *o)
{
	struct envelope e = {
		.id = p->id,
		.arrival_us = c->wall_us,
		.expires_us = c->wall_us + c->conf->expire_us,
		/* Dots are not looked for: assume. RFC 8689 5: a notice needs what
		 * its original did, and has none of its body. */
		.flags = ENV_DSN | ENV_HAS_DOTS |
		    (o->env.flags & (ENV_REQUIRETLS | ENV_TLS_OPTIONAL)),
		.sender = slice_of("", 0),
		.tenant = o->env.tenant,
		.campaign = o->env.campaign,
		.pool = o->env.pool,
		.body_bytes = p->body.n,
		.nrcpt = 1,
	};
	struct env_rcpt r = { .address = o->env.sender };

	/* An address beyond ASCII goes no other way (RFC 6531 3.2). */
	for (size_t i = 0; i < r.address.n; i++)
		if (r.address.p[i] & 0x80)
			e.flags |= ENV_SMTPUTF8;
	return env_encode(&p->env, &e, &r);
}

/* Makes the parcel of a notice and sends it off. 0 or E_*. */
static int
notice_make(struct core *c, uint32_t msg, struct core_msg *m,
    const struct core_notice *v, uint32_t n)
{
	struct parcel *p = c->ops->parcel_take(c->ctx);
	struct original o;
	int err;

	if (!p)
		return E_NOMEM;
	p->id = msgid_make(c->wall_us, c->conf->node, c->ops->sequence(c->ctx));
	err = original_read(c, m, v, n, &o);
	if (!err)
		err = build(c, p, m, v, n, &o);
	if (!err)
		err = seal(c, p, &o);
	if (!err &&
	    (!(p->pays = mem_try(n * sizeof(*p->pays))) ||
		!(p->notes = mem_try(n * sizeof(*v)))))
		err = E_NOMEM;
	original_free(&o);
	if (err) {
		c->ops->parcel_give(c->ctx, p);
		return err;
	}
	memcpy(p->notes, v, n * sizeof(*v));
	for (uint32_t i = 0; i < n; i++)
		p->pays[i] = v[i].rcpt;
	p->pays_msg = msg;
	p->session = HANDLE_NONE;
	p->pieces[0] = buf_slice(&p->body);
	p->commit = (struct spool_commit){
		.id = p->id,
		.nrcpt = 1,
		.envelope = buf_slice(&p->env),
		.body = p->pieces,
		.nbody = 1,
		.pays_slot = core_slot(msg, m),
		.pays_rcpts = p->pays,
		.npays = n,
		.pays_delay = v->action == DSN_DELAYED,
		.uses_reserve = true,
	};
	atomic_fetch_sub(&c->gate->rcpts_free, 1);
	c->notices_total++;
	c->ops->commit(c->ctx, p);
	return 0;
}

static void
owed_push(struct core *c, struct core_owed *o)
{
	if (c->nowed == 0)
		c->owed_at_us = c->now_us + OWED_EVERY_US;
	o->next = NULL;
	if (c->owed_tail)
		c->owed_tail->next = o;
	else
		c->owed_head = o;
	c->owed_tail = o;
	c->nowed++;
}

static struct core_owed *
owed_shift(struct core *c)
{
	struct core_owed *o = c->owed_head;

	c->owed_head = o->next;
	if (!c->owed_head)
		c->owed_tail = NULL;
	c->nowed--;
	return o;
}

static void
remember(struct core *c, uint32_t msg, const struct core_msg *m,
    const struct core_notice *v, uint32_t n)
{
	struct core_owed *o = NULL;

	if (c->nowed < OWED_MAX)
		o = mem_try(sizeof(*o) + n * sizeof(*v));
	if (!o) {
		log_event(LOG_ERROR, "core", "what", "a notice has to wait",
		    "until", "restart", NULL);
		return;
	}
	o->msg = msg;
	o->id = m->id;
	o->n = n;
	memcpy(o->v, v, n * sizeof(*v));
	owed_push(c, o);
}

static void
notices(struct core *c, uint32_t msg, const struct core_notice *v, uint32_t n)
{
	struct core_msg *m = core_msg(c, msg);

	ASSERT(m && !m->is_null_sender);
	if (n && (c->nowed || notice_make(c, msg, m, v, n)))
		remember(c, msg, m, v, n);
}

/* The outcome that this step gave to a recipient: it stands in the PERSIST
 * that came before its NOTICE, or in what a scan found. */
static void
outcome_find(struct core *c, uint32_t msg, uint32_t upto, struct core_notice *n)
{
	for (uint32_t i = 0; i < upto; i++) {
		const struct eng_cmd *cmd = &c->cmds.v[i];

		if (cmd->kind == CMD_PERSIST && cmd->persist.msg == msg &&
		    cmd->persist.rcpt == n->rcpt) {
			core_because(c, cmd + 1);
			n->outcome = cmd->persist.outcome;
		}
	}
}

/* What the command at `at` says, and why. */
static void
notice_fill(struct core *c, uint32_t at, struct core_notice *n)
{
	const struct eng_cmd *cmd = &c->cmds.v[at];
	const struct spool_rcpt *found = NULL;
	struct slice words, mta;

	memset(n, 0, offsetof(struct core_notice, mta));
	if (cmd->kind == CMD_DELAYED) {
		c->because[0] = '\0';
		n->rcpt = cmd->persist.rcpt;
		n->outcome = cmd->persist.outcome;
	} else {
		n->rcpt = cmd->notice.rcpt;
		outcome_find(c, cmd->notice.msg, at, n);
		if (c->found && n->rcpt < c->found->nrcpt)
			found = &c->found->rcpts[n->rcpt];
	}
	words = found ? found->text : core_words(c, n->rcpt, &n->outcome);
	mta = found ? found->mta : core_mta(c);
	if (found)
		n->outcome = found->outcome;
	n->text_n = (uint16_t)slice_copy(words, n->text, sizeof(n->text));
	slice_copy(mta, n->mta, sizeof(n->mta));
	if (cmd->kind == CMD_DELAYED)
		n->action = DSN_DELAYED;
	else
		n->action = n->outcome.klass == OUTCOME_DELIVERED ?
		    DSN_RELAYED :
		    DSN_FAILED;
}

static bool
is_of(const struct eng_cmd *cmd, uint32_t msg)
{
	if (cmd->kind == CMD_DELAYED)
		return cmd->persist.msg == msg;
	return cmd->kind == CMD_NOTICE && cmd->notice.msg == msg;
}

void
core_notice_collect(struct core *c, uint32_t first)
{
	const struct eng_cmd *cmd = &c->cmds.v[first];
	uint32_t n = 0, msg;
	struct core_notice *v = mem_try(CORE_NOTICES_MAX * sizeof(*v));

	if (!v) {
		log_event(LOG_ERROR, "core", "what", "no memory for a notice",
		    "effect", "it is owed and made after a restart", NULL);
		return;
	}
	msg = cmd->kind == CMD_DELAYED ? cmd->persist.msg : cmd->notice.msg;
	for (uint32_t i = first; i < c->cmds.n && n < CORE_NOTICES_MAX; i++) {
		if (!is_of(&c->cmds.v[i], msg))
			continue;
		notice_fill(c, i, &v[n]);
		if (v[n].action != v[0].action)
			continue;
		n++;
		/* Carried out here: the walk shall not meet it again. */
		if (i != first) {
			c->cmds.v[i].kind = CMD_FORGET;
			c->cmds.v[i].domain = 0;
		}
	}
	notices(c, msg, v, n);
	mem_free(v);
}

/* The first is out of the row. 0, or why it still cannot be made. */
static int
owed_try(struct core *c, struct core_owed *o)
{
	struct core_msg *m = core_msg(c, o->msg);
	int err;

	if (!m || !msgid_eq(&m->id, &o->id) || m->is_aside)
		return 0;
	err = notice_make(c, o->msg, m, o->v, o->n);
	if (err == E_CORRUPT || (err == E_IO && ++o->unread >= READS_MAX)) {
		core_set_aside(c, o->msg,
		    err == E_IO ?
			SL("record in the spool cannot be read, and a "
			   "notice of it is owed; set aside") :
			SL("record in the spool is damaged, and a "
			   "notice of it is owed; set aside"));
		err = 0;
	}
	return err;
}

/* One whose original cannot be read must not stand in the way of the others:
 * it goes to the end of the row. */
void
core_notices_retry(struct core *c)
{
	uint32_t nunread = 0;
	struct core_owed *o;
	int err;

	c->owed_at_us = c->now_us + OWED_EVERY_US;
	for (uint32_t left = c->nowed; left > 0 && c->nowed > 0; left--) {
		o = owed_shift(c);
		err = owed_try(c, o);
		if (!err) {
			mem_free(o);
			continue;
		}
		owed_push(c, o);
		if (err != E_IO || ++nunread == UNREAD_MAX)
			return; /* still not: next time */
	}
}

void
core_notices_free(struct core *c)
{
	struct core_owed *o;

	while ((o = c->owed_head)) {
		c->owed_head = o->next;
		mem_free(o);
	}
}

void
core_notice_done(struct core *c, struct parcel *p)
{
	struct eng_event ev = { .kind = EV_NOTICE_PAID };
	struct core_msg *m;

	if (p->done) {
		p->done(p->done_ctx, p);
		return;
	}
	if (p->commit.err) {
		atomic_fetch_add(&c->gate->rcpts_free, 1);
		m = core_msg(c, p->pays_msg);
		if (m)
			remember(c, p->pays_msg, m, p->notes, p->commit.npays);
		return;
	}
	for (uint32_t i = 0; i < p->commit.npays; i++) {
		ev.paid.msg = p->pays_msg;
		ev.paid.rcpt = p->pays[i];
		core_step(c, &ev);
	}
	core_submit(c, p->commit.slot, &p->commit.ref, buf_slice(&p->env));
}
