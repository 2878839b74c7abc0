/*
 * relay/core.c - drives the engine and carries out its commands.
 *
 * Every call that brings news makes an event, steps the engine once, and walks
 * the commands in the order in which they were given. Commands of one step are
 * about the job, session or look-up that the call was about; core->job and its
 * neighbours hold that context while the commands run.
 */
#include "conf/shaping.h"
#include "relay/core_i.h"

/* The engine's wall clock may be off by so much. */
#define CLOCK_SLACK_US (100 * US_PER_MS)

/* The engine counts on from what it was told; clocks drift, and are set. */
static void
tell_clock(struct core *c)
{
	struct eng_event ev;
	int64_t off = c->wall_us - c->now_us, by = off - c->told_off_us;

	if (by > -CLOCK_SLACK_US && by < CLOCK_SLACK_US)
		return;
	c->told_off_us = off;
	ev.kind = EV_CLOCK;
	ev.wall_us = c->wall_us;
	core_step(c, &ev);
}

struct core *
core_new(const struct conf *conf, struct disk *disk, struct gate *gate,
    uint64_t seed, const struct core_ops *ops, void *ctx, int64_t now_us,
    int64_t wall_us)
{
	struct core *c = mem_get(sizeof(*c));
	struct eng_limits limits = {
		.messages_max = conf->messages_max,
		.rcpts_max = conf->rcpts_max,
		.domains_max = conf->domains_max,
		.sites_max = conf->domains_max,
		.sessions_max = conf->sessions_out_max,
	};

	c->started_us = now_us;
	c->is_starting = true;
	c->conf = conf;
	c->disk = disk;
	c->gate = gate;
	c->ops = ops;
	c->ctx = ctx;
	c->dice = seed;
	c->now_us = now_us;
	c->wall_us = wall_us;
	names_init(&c->names, hash_u64(seed + 1), 8u << 20);
	c->clusters = clusters_new();
	c->refusals = refusals_new();
	core_msgs_init(c, hash_u64(seed + 2));
	core_routes_init(c, hash_u64(seed + 3));
	core_tls_init(c, hash_u64(seed + 4));
	core_moving_init(c, hash_u64(seed + 4));
	c->policy = core_policy_compile(c, conf);
	c->eng = c->policy ?
	    eng_new(c->policy, &limits, hash_u64(seed), now_us) :
	    NULL;
	if (!c->eng) {
		core_free(c);
		return NULL;
	}
	tell_clock(c);
	core_proxies_set(c);
	return c;
}

void
core_rates_spent(struct core *c)
{
	eng_rates_spent(c->eng);
}

void
core_free(struct core *c)
{
	if (c->eng)
		eng_free(c->eng);
	core_notices_free(c);
	clusters_free(c->clusters);
	refusals_free(c->refusals);
	eng_cmds_free(&c->cmds);
	mem_free(c->shapes.v);
	core_msgs_free(c);
	core_routes_free(c);
	core_tls_free(c);
	core_moving_free(c);
	core_proxies_free(c);
	names_free(&c->names);
	mem_free(c->kinds);
	mem_free(c->policy);
	mem_free(c->old_policy);
	mem_free(c);
}

void
core_watch(struct core *c, const struct core_watch *w)
{
	c->watch = w;
}

const struct eng *
core_engine(const struct core *c)
{
	return c->eng;
}

void
core_engine_swap(struct core *c, struct eng *e)
{
	ASSERT(c->cmds.n == 0);
	eng_free(c->eng);
	c->eng = e;
}

void
core_clock(struct core *c, int64_t now_us, int64_t wall_us)
{
	c->now_us = now_us;
	c->wall_us = wall_us;
	c->is_starting = false;
	tell_clock(c);
}

int64_t
core_wall(const struct core *c, int64_t mono_us)
{
	if (mono_us == TIME_NEVER || mono_us == 0)
		return mono_us;
	return mono_us - c->now_us + c->wall_us;
}

int64_t
core_mono(const struct core *c, int64_t wall_us)
{
	if (wall_us == TIME_NEVER || wall_us == 0)
		return wall_us;
	return wall_us - c->wall_us + c->now_us;
}

void
core_blocked(const struct core *c, struct slice domain,
    struct eng_blocked out[ENG_WHY_N])
{
	struct conf_place place;

	conf_place(c->conf, domain, NULL, 0, &place);
	eng_blocked(c->eng, (uint16_t)place.domain, c->now_us, out);
}

int
core_read_envelope(struct core *c, const struct core_msg *m,
    struct envelope *env, struct cursor *rcpts, char **record)
{
	int err;

	*record = mem_try(m->ref.env_bytes + 1);
	if (!*record)
		return E_NOMEM;
	err = spool_read(c->disk, &m->ref, 0, *record, m->ref.env_bytes);
	if (!err)
		err =
		    env_decode(slice_of(*record, m->ref.env_bytes), env, rcpts);
	if (!err && !msgid_eq(&env->id, &m->id))
		err = E_CORRUPT;
	return err;
}

/* ---- commands -------------------------------------------------------------------- */

static void
do_open(struct core *c, const struct eng_cmd *cmd)
{
	const struct eng_target *t = &cmd->open.target;
	struct core_open o = {
		.session = cmd->open.session,
		.source = cmd->open.source,
		.to = { .ip = t->ip, .port = t->port },
		.host = names_text(&c->names, t->host),
		.domain = core_domain_text(c, cmd->open.domain, NULL),
		.source_name = c->conf->sources[cmd->open.source].name,
		.provider = core_provider(c, cmd->open.domain),
		.is_clear = cmd->open.is_clear,
		.place = cmd->open.site,
	};
	struct core_tls tls;

	o.proxy = core_proxy_pick(c, cmd->open.source, &o.is_tried);
	o.tls = core_tls_open(c, cmd->open.domain, cmd->open.site, &tls);
	o.site = o.host.n ? o.host : o.domain;
	c->ops->open(c->ctx, &o);
}

static void
do_assign(struct core *c, uint32_t *i)
{
	const struct eng_cmd *cmd = &c->cmds.v[*i];
	struct core_msg *m = core_msg(c, cmd->assign.msg);
	struct job *j = job_new(cmd->assign.n);

	ASSERT(m);
	if (j) {
		j->session = cmd->assign.session;
		j->txn = cmd->assign.txn;
		j->msg = cmd->assign.msg;
		j->attempt = cmd->assign.attempt;
		j->id = m->id;
		j->ref = m->ref;
		j->wall_off_us = c->wall_us - c->now_us;
		j->rcpt[0].number = cmd->assign.rcpt;
	}
	for (uint16_t k = 1; k < cmd->assign.n; k++) {
		ASSERT(*i + 1 < c->cmds.n);
		ASSERT(c->cmds.v[*i + 1].kind == CMD_ASSIGN_RCPT);
		++*i;
		if (j)
			j->rcpt[k].number = c->cmds.v[*i].assign_rcpt.rcpt;
	}
	if (!j)
		return; /* no memory: the spool remembers it */
	m->reading++;
	m->is_offered = 0;
	c->ops->assign(c->ctx, j);
}

static void
do_persist(struct core *c, const struct eng_cmd *cmd,
    const struct eng_cmd *next)
{
	struct core_msg *m = core_msg(c, cmd->persist.msg);
	struct spool_rcpt r = {
		.outcome = cmd->persist.outcome,
		.attempts = cmd->persist.attempts,
		.is_final = cmd->persist.is_final,
		.is_owed = cmd->persist.is_owed,
		.due_us = core_wall(c, cmd->persist.due_us),
	};

	ASSERT(m);
	m->is_offered = 0;
	if (r.is_owed) {
		core_because(c, next);
		r.text =
		    core_words(c, cmd->persist.rcpt, &cmd->persist.outcome);
		r.mta = core_mta(c);
	}
	c->ops->outcome(c->ctx, core_slot(cmd->persist.msg, m),
	    cmd->persist.rcpt, &r);
}

void
core_msg_end(struct core *c, uint32_t index, struct core_msg *m)
{
	struct handle slot = core_slot(index, m);

	gate_give(&c->gate->rcpts_free, m->nrcpt);
	core_msg_free(c, index);
	c->ops->drop(c->ctx, slot);
}

/* A session that went down may have a job still on its way, while another one
 * delivers: then the message stays until that job is back. */
static void
do_drop(struct core *c, uint32_t index)
{
	struct core_msg *m = core_msg(c, index);

	ASSERT(m && !m->is_dropped);
	if (core_is_handed(c, m))
		return; /* the engine's part of it is over */
	if (m->reading > 0)
		m->is_dropped = true;
	else
		core_msg_end(c, index, m);
}

static void
do_admin_done(struct core *c, const struct eng_cmd *cmd)
{
	struct core_job *j = &c->jobs[cmd->admin_done.job - 1];

	ASSERT(cmd->admin_done.job >= 1 &&
	    cmd->admin_done.job <= CORE_JOBS_MAX && j->is_used);
	j->is_used = false;
	if (j->done)
		j->done(j->ctx, j->arg, cmd->admin_done.n);
}

/* Without memory the domain's next look-up brings it. */
static void
do_shape(struct core *c, uint32_t domain)
{
	if (c->shapes.n == c->shapes.cap) {
		uint32_t cap = c->shapes.cap ? 2 * c->shapes.cap : 64;
		uint32_t *v = mem_grow(c->shapes.v, cap * sizeof(*v));

		if (!v)
			return;
		c->shapes.v = v;
		c->shapes.cap = cap;
	}
	c->shapes.v[c->shapes.n++] = domain;
}

/* Carries out one command; *i moves over those that belong together. */
static void
carry_out(struct core *c, uint32_t *i)
{
	const struct eng_cmd *cmd = &c->cmds.v[*i];

	switch (cmd->kind) {
	case CMD_RESOLVE:
		core_resolve(c, cmd->domain);
		return;
	case CMD_OPEN:
		do_open(c, cmd);
		return;
	case CMD_ASSIGN:
		do_assign(c, i);
		return;
	case CMD_CLOSE:
		c->ops->close(c->ctx, cmd->close);
		return;
	case CMD_TAKE_BACK:
		if (c->ops->take_back != NULL)
			c->ops->take_back(c->ctx, cmd->close);
		return;
	case CMD_PERSIST:
		do_persist(c, cmd, *i + 1 < c->cmds.n ? cmd + 1 : cmd);
		return;
	case CMD_LOG:
		core_log(c, cmd);
		return;
	case CMD_NOTICE:
	case CMD_DELAYED:
		core_notice_collect(c, *i);
		return;
	case CMD_DROP:
		do_drop(c, cmd->drop);
		return;
	case CMD_FORGET:
		if (cmd->domain) {
			core_tls_forget(c, cmd->domain);
			core_domain_forget(c, cmd->domain);
		}
		return;
	case CMD_FORGET_HOST:
		core_host_forget(c, cmd->domain);
		return;
	case CMD_ADMIN_DONE:
		do_admin_done(c, cmd);
		return;
	case CMD_SHAPE:
		do_shape(c, cmd->domain);
		return;
	case CMD_KEEP:
		core_do_keep(c, i);
		return;
	case CMD_WARM_DAY:
		core_warm_day(c, cmd);
		return;
	case CMD_ASSIGN_RCPT:
	case CMD_KEEP_VALUES:
	case ENG_CMD_N:
		break;
	}
	ASSERT(!"a command of the engine");
}

static void
step(struct core *c, const struct eng_event *ev)
{
	ASSERT(c->cmds.n == 0); /* no step inside a step */
	eng_step(c->eng, ev, c->now_us, &c->cmds);
	if (c->watch)
		c->watch->step(c->watch->ctx, c->eng, ev, c->now_us, &c->cmds);
	for (uint32_t i = 0; i < c->cmds.n; i++)
		if (c->cmds.v[i].kind == CMD_ASSIGN)
			core_msg_ask(c, c->cmds.v[i].assign.msg);
	for (uint32_t i = 0; i < c->cmds.n; i++)
		carry_out(c, &i);
	c->cmds.n = 0;
}

/* What the commands of a step asked for and is known here: one event each. */
static bool
more(struct core *c, struct eng_event *ev)
{
	if (c->shapes.n) {
		core_where(c, c->shapes.v[--c->shapes.n], ev);
		return true;
	}
	if (c->kept_at_once) {
		ev->kind = EV_KEPT;
		ev->kept = c->kept_at_once;
		c->kept_at_once = 0;
		return true;
	}
	return false;
}

void
core_step(struct core *c, const struct eng_event *ev)
{
	struct eng_event next;

	step(c, ev);
	while (more(c, &next))
		step(c, &next);
}

/* ---- news ------------------------------------------------------------------------------ */

static uint32_t
domain_id(struct core *c, struct slice domain, uint32_t flags)
{
	char lower[DOMAIN_MAX + WISH_SUFFIX_MAX];

	domain.n = MIN(domain.n, (size_t)DOMAIN_MAX);
	for (size_t i = 0; i < domain.n; i++)
		lower[i] = ascii_lower(domain.p[i]);
	domain.p = lower;
	if (flags & ENV_REQUIRETLS)
		domain.n += slice_copy(SL(WISH_TLS_SUFFIX), lower + domain.n,
		    WISH_SUFFIX_MAX);
	else if (flags & ENV_TLS_OPTIONAL)
		domain.n += slice_copy(SL(WISH_NO_POLICY_SUFFIX),
		    lower + domain.n, WISH_SUFFIX_MAX);
	return core_name(c, domain, NAME_DOMAIN);
}

/* Most mail goes by the default pool, whose id the policy has. */
static uint32_t
pool_tag(struct core *c, struct slice pool)
{
	if (pool.n == 0 || slice_eq(pool, c->conf->default_pool))
		return c->policy->default_pool;
	return core_tag(c, pool);
}

/* A message's place in the table and its event; false: there is no room. */
static bool
msg_add(struct core *c, struct handle slot, const struct spool_ref *ref,
    const struct envelope *env, uint32_t nopen)
{
	struct core_msg *m = core_msg_new(c, slot);
	struct eng_event ev; /* large: only what is said is written */

	if (!m)
		return false;
	m->id = env->id;
	m->ref = *ref;
	m->nrcpt = (uint16_t)env->nrcpt;
	m->is_null_sender = env->sender.n == 0;
	core_find_message(c, env, slot.index);
	ev.kind = EV_MESSAGE;
	ev.message = (struct ev_message){
		.msg = slot.index,
		.nrcpt = nopen,
		.tenant = core_tag(c, env->tenant),
		.campaign = core_tag(c, env->campaign),
		.pool = pool_tag(c, env->pool),
		.arrival_us = core_mono(c, env->arrival_us),
		.expires_us = core_mono(c, env->expires_us),
		.size = env->body_bytes,
		.is_null_sender = m->is_null_sender,
		.klass = env->klass,
		.zone = core_tag(c, env->zone),
		.is_engaged = (env->flags & ENV_ENGAGED) != 0,
	};
	/* The names of senders' domains are kept only where they count. */
	if (c->cap_dims >> DIM_SENDER_DOMAIN & 1)
		ev.message.sender_domain =
		    core_tag_lower(c, mailbox_domain(env->sender));
	if (c->cap_dims >> DIM_SIGNING_DOMAIN & 1)
		ev.message.signing_domain = core_tag_lower(c, env->signer);
	core_step(c, &ev);
	return true;
}

/* When its sender is to hear that it is late, by the wall clock; 0: never. A time
 * of his own that was over when it came, some host before us has told him of. */
static int64_t
late(const struct core *c, const struct envelope *env, uint8_t notify)
{
	bool is_by = env->by_us != 0 && !(env->flags & ENV_BY_RETURN);

	if (is_by)
		return (notify == 0 || (notify & NOTIFY_DELAY)) &&
			env->by_us > env->arrival_us ?
		    env->by_us :
		    0;
	return notify & NOTIFY_DELAY ?
	    MAX(env->arrival_us, env->not_before_us) +
		c->conf->delay_notice_us :
	    0;
}

/* What the engine is to tell the sender of a recipient: RFC 3461 4.1. */
static void
put_wishes(const struct core *c, const struct envelope *env, uint8_t notify,
    const struct spool_rcpt *state, struct ev_recipient *ev)
{
	int64_t late_us;

	if (state && state->is_final && state->is_owed)
		ev->dsn = ENG_DSN_OWED;
	if (notify != 0 && (notify & NOTIFY_FAILURE) == 0)
		ev->dsn |= ENG_DSN_MUTE;
	if (notify & NOTIFY_SUCCESS)
		ev->dsn |= ENG_DSN_SUCCESS;
	late_us = late(c, env, notify);
	if (late_us == 0 || (state && state->is_told))
		return;
	ev->dsn |= ENG_DSN_DELAY;
	ev->delay_us = core_mono(c, late_us);
}

static void
rcpt_add(struct core *c, uint32_t msg, uint16_t rcpt,
    const struct envelope *env, const struct env_rcpt *r,
    const struct spool_rcpt *state)
{
	struct slice address = r->address, domain = mailbox_domain(address);
	struct eng_event ev;
	struct steer s = { .tenant = env->tenant,
		.campaign = env->campaign,
		.pool = env->pool };

	core_find_rcpt(c, env, msg, rcpt, address);
	ev.kind = EV_RECIPIENT;
	ev.recipient = (struct ev_recipient){ .msg = msg, .rcpt = rcpt };
	if (c->conf->routes_steer) {
		steer_by_route(c->conf, domain, &s);
		ev.recipient.tenant = core_tag(c, s.tenant);
		ev.recipient.campaign = core_tag(c, s.campaign);
		ev.recipient.pool = core_tag(c, s.pool);
	}
	if (state) {
		ev.recipient.attempts = state->attempts;
		ev.recipient.due_us = core_mono(c, state->due_us);
	}
	put_wishes(c, env, r->notify, state, &ev.recipient);
	/* Scheduled for later: unless it is held, that is when it is due. */
	if (ev.recipient.due_us != TIME_NEVER && env->not_before_us > 0)
		ev.recipient.due_us =
		    MAX(ev.recipient.due_us, core_mono(c, env->not_before_us));
	if (!(ev.recipient.dsn & ENG_DSN_OWED)) /* that one goes nowhere */
		ev.recipient.domain = domain_id(c, domain, env->flags);
	core_step(c, &ev);
}

/* The gate admits less than the table holds, so when there is no room this is
 * the table's memory running out: the spool has the message. */
static bool
submit(struct core *c, struct handle slot, const struct spool_ref *ref,
    const struct envelope *env)
{
	if (msg_add(c, slot, ref, env, env->nrcpt))
		return true;
	log_event(LOG_ERROR, "core", "what", "no room for a message", "effect",
	    "it stays spooled until a restart", NULL);
	return false;
}

void
core_submit(struct core *c, struct handle slot, const struct spool_ref *ref,
    struct slice envelope)
{
	struct envelope env;
	struct cursor rcpts;
	struct env_rcpt r;
	uint16_t i = 0;

	if (env_decode(envelope, &env, &rcpts)) {
		ASSERT(!"an envelope that we encoded");
		return;
	}
	if ((env.flags & ENV_BACK) != 0 &&
	    core_back(c, slot, ref, envelope, &env))
		return;
	if (!submit(c, slot, ref, &env))
		return;
	while (env_rcpt_next(&rcpts, &r))
		rcpt_add(c, slot.index, i++, &env, &r, NULL);
}

void
core_submit_known(struct core *c, struct handle slot,
    const struct spool_ref *ref, const struct envelope *env,
    const struct env_rcpt *rcpts)
{
	if (!submit(c, slot, ref, env))
		return;
	for (uint16_t i = 0; i < env->nrcpt; i++)
		rcpt_add(c, slot.index, i, env, &rcpts[i], NULL);
}

void
core_submit_rest(struct core *c, struct handle slot,
    const struct spool_ref *ref, const struct envelope *env,
    struct cursor rcpts)
{
	struct env_rcpt r;

	if (!msg_add(c, slot, ref, env, env->nrcpt - 1))
		return; /* as in submit */
	for (uint16_t i = 0; env_rcpt_next(&rcpts, &r); i++)
		if (i > 0)
			rcpt_add(c, slot.index, i, env, &r, NULL);
}

void
core_restore(struct core *c, const struct spool_found *f)
{
	struct envelope env;
	struct cursor rcpts;
	struct env_rcpt r;
	uint32_t open = 0;
	uint16_t i = 0;

	if (env_decode(f->envelope, &env, &rcpts) || env.nrcpt != f->nrcpt) {
		log_event(LOG_ERROR, "core", "what", "envelope not readable",
		    "effect", "left in the spool, see mtad spool check", NULL);
		return;
	}
	if (core_restore_moving(c, f))
		return;
	if ((env.flags & ENV_BACK) != 0 && !f->rcpts[0].is_final &&
	    core_back(c, f->slot, &f->ref, f->envelope, &env)) {
		atomic_fetch_sub(&c->gate->rcpts_free, (int64_t)env.nrcpt);
		atomic_fetch_sub(&c->gate->backs_free, 1);
		return;
	}
	for (uint32_t k = 0; k < f->nrcpt; k++)
		open += !f->rcpts[k].is_final || f->rcpts[k].is_owed;
	if (open == 0) {
		c->ops->drop(c->ctx, f->slot);
		return;
	}
	if (!msg_add(c, f->slot, &f->ref, &env, open))
		return;
	atomic_fetch_sub(&c->gate->rcpts_free, (int64_t)env.nrcpt);
	for (; env_rcpt_next(&rcpts, &r); i++) {
		const struct spool_rcpt *s = &f->rcpts[i];

		if (s->is_final && !s->is_owed)
			continue;
		c->found = f;
		rcpt_add(c, f->slot.index, i, &env, &r, s);
		c->found = NULL;
	}
}

void
core_session_up(struct core *c, struct handle session, uint32_t caps,
    bool is_tls)
{
	struct eng_event ev;

	ev.kind = EV_SESSION_UP;
	ev.up = (struct ev_session_up){ session, caps, is_tls };
	core_step(c, &ev);
}

void
core_session_down(struct core *c, struct handle session,
    const struct outcome *o, const struct conf_heard *heard, struct slice text,
    const struct session_facts *facts)
{
	uint32_t path = eng_session_path(c->eng, session);
	struct eng_event ev;

	ev.kind = EV_SESSION_DOWN;
	ev.down = (struct ev_session_down){ .session = session, .outcome = *o };
	/*
	 * A host whose TLS fails is to be had in clear text, thinks the engine.
	 * Where a policy forbids that, what fails is the path: so it hears of a
	 * refused greeting, and outcome_stage() tells the two apart again.
	 */
	if (o->stage == STAGE_TLS && o->code != 0)
		ev.down.outcome.stage = STAGE_EHLO;
	if (heard && core_hears(c, heard->key) && eng_hits_any(&heard->hits)) {
		ev.down.hits = heard->hits;
		ev.down.reply = core_reply(c, text);
	}
	c->down_text = text;
	c->facts = facts;
	core_step(c, &ev);
	core_refused(c, path, o, text);
	c->down_text = slice_of("", 0);
	c->facts = NULL;
}

static void
book_damage(struct core *c, const struct msgid *id, struct slice text)
{
	struct buf *book = c->ops->book(c->ctx);
	struct book_entry e;

	book_entry_init(&e, BOOK_QUARANTINE);
	e.at_start = c->is_starting;
	e.wall_us = c->wall_us;
	e.has_id = id != NULL;
	if (id)
		e.id = *id;
	e.text = text;
	if (!book || book_write(book, &e))
		c->books_dropped++;
}

/* Tells the spool, which sets the record aside, and the engine. */
void
core_set_aside(struct core *c, uint32_t msg, struct slice text)
{
	struct core_msg *m = core_msg(c, msg);
	struct eng_event ev = { .kind = EV_DAMAGED };

	if (m->is_aside) /* two sessions may stumble over it */
		return;
	m->is_aside = true;
	m->is_offered = 0;
	book_damage(c, &m->id, text);
	c->ops->damaged(c->ctx, core_slot(msg, m));
	ev.damaged.msg = msg;
	core_step(c, &ev);
}

void
core_result_ask(const struct core *c, const struct job *j)
{
	core_msg_ask(c, j->msg);
	eng_result_ask(c->eng, j->session, j->txn);
}

bool
core_read_end(struct core *c, uint32_t index)
{
	struct core_msg *m = core_msg(c, index);

	ASSERT(m && m->reading > 0);
	m->reading--;
	if (m->is_dropped) {
		if (m->reading == 0)
			core_msg_end(c, index, m);
		return false;
	}
	if (m->reading == 0 && core_move_now(c, index))
		c->ops->moved_ack(c->ctx, core_slot(index, m));
	return true;
}

/* Of several refusals, that of the path, if it was one. */
static void
job_refused(struct core *c, uint32_t path, const struct job *j)
{
	const struct job_rcpt *which = NULL;

	if (eng_path_refused_us(c->eng, path) != c->now_us)
		return;
	for (uint32_t i = 0; i < j->n; i++) {
		const struct job_rcpt *r = &j->rcpt[i];

		if (eng_outcome_meant(&r->outcome).klass != OUTCOME_TRANSIENT)
			continue;
		if (which == NULL ||
		    which->outcome.judged.scope < r->outcome.judged.scope)
			which = r;
	}
	if (which != NULL)
		core_refused(c, path, &which->outcome, which->text);
}

void
core_result(struct core *c, struct job *j, const struct session_facts *facts)
{
	uint32_t path = eng_session_path(c->eng, j->session);
	struct core_msg *m = core_msg(c, j->msg);
	struct eng_event ev;

	if (!core_read_end(c, j->msg)) { /* forgotten by the engine, too */
		job_free(j);
		return;
	}
	ev.kind = EV_RESULT;
	ev.result.session = j->session;
	ev.result.txn = j->txn;
	ev.result.is_sent = j->is_sent;
	ev.result.in_doubt = j->in_doubt;
	ev.result.n = j->n;
	ev.result.reply = 0;
	for (uint32_t i = 0; i < j->n; i++) {
		const struct job_rcpt *r = &j->rcpt[i];

		ev.result.rcpt[i] = r->outcome;
		ev.result.hits[i] = core_hears(c, j->heard_key) ?
		    r->hits :
		    (struct eng_hits){ { 0 } };
		if (ev.result.reply == 0 && eng_hits_any(&ev.result.hits[i]))
			ev.result.reply = core_reply(c, r->text);
	}
	c->job = j;
	c->facts = facts;
	core_step(c, &ev);
	job_refused(c, path, j);
	c->job = NULL;
	c->facts = NULL;
	if (j->is_damaged && (m = core_msg(c, j->msg)) != NULL &&
	    msgid_eq(&m->id, &j->id))
		core_set_aside(c, j->msg,
		    SL("record in the spool is damaged; set aside"));
	job_free(j);
}

void
core_moved(struct core *c, struct handle slot, const struct spool_ref *ref)
{
	struct core_msg *m = core_msg_of(c, slot);

	if (!m)
		return; /* dropped meanwhile: the spool knows */
	if (m->reading) {
		core_move_later(c, slot.index, ref);
		return;
	}
	m->ref = *ref;
	c->ops->moved_ack(c->ctx, slot);
}

/* Found by the scan, or by compaction, whose owner does not know yet; or what
 * core_set_aside asked for comes back, and stands in the book already. */
void
core_damage(struct core *c, const struct spool_damage *d)
{
	char text[160];

	snprintf(text, sizeof(text),
	    "%s: file %u offset %u length %u, saved as %s", d->what, d->file,
	    d->offset, d->length, d->saved_as[0] ? d->saved_as : "nothing");
	log_event(LOG_ERROR, "spool", "what", "damaged record set aside",
	    "detail", text, NULL);
	if (handle_is_none(d->slot))
		book_damage(c, d->has_id ? &d->id : NULL, slice_str(text));
	else if (core_msg_of(c, d->slot))
		core_set_aside(c, d->slot.index, slice_str(text));
}

void
core_tick(struct core *c)
{
	struct eng_event ev;

	if (c->is_stopping)
		return;
	ev.kind = EV_TICK;
	if (c->nowed && c->owed_at_us <= c->now_us)
		core_notices_retry(c);
	core_proxies_tick(c);
	core_step(c, &ev);
}

int64_t
core_deadline(const struct core *c)
{
	int64_t at;

	if (c->is_stopping)
		return TIME_NEVER;
	at = MIN(eng_deadline(c->eng), core_proxies_deadline(c));
	if (c->nowed)
		at = MIN(at, c->owed_at_us);
	return at;
}

/* The engine sends while outcomes can be kept and the daemon goes on. */
static void
sending_set(struct core *c, bool was_off)
{
	struct eng_event ev = { .kind = EV_DISK };

	ev.is_disk_full = c->is_disk_full || c->is_stopping;
	if (ev.is_disk_full != was_off)
		core_step(c, &ev);
}

void
core_disk(struct core *c, bool is_full)
{
	bool was_off = c->is_disk_full || c->is_stopping;

	if (is_full == c->is_disk_full)
		return;
	c->is_disk_full = is_full;
	if (is_full)
		log_event(LOG_ERROR, "spool", "what",
		    "outcomes cannot be written: delivery stops", "do",
		    "make room on the spool's disk, or mend it", NULL);
	else
		log_event(LOG_WARN, "spool", "what",
		    "outcomes are written again: delivery goes on", NULL);
	sending_set(c, was_off);
}

void
core_stop(struct core *c)
{
	bool was_off = c->is_disk_full || c->is_stopping;

	c->is_stopping = true;
	sending_set(c, was_off);
}

void
core_totals(const struct core *c, struct eng_totals *out)
{
	eng_totals(c->eng, out);
}

void
core_check(const struct core *c)
{
	struct eng_totals t;

	eng_check(c->eng);
	eng_totals(c->eng, &t);
	if (t.domains == 0 && t.sites == 0 && c->walks.live == 0)
		ASSERT(c->names.n == c->ntags);
}

void
core_reload(struct core *c, const struct conf *conf, int64_t now_us)
{
	struct eng_event ev = { .kind = EV_CONF };
	struct eng_policy *p;

	c->now_us = now_us;
	p = core_policy_compile(c, conf);
	if (!p) {
		log_event(LOG_ERROR, "core", "what",
		    "no memory for the new policy", NULL);
		return;
	}
	mem_free(c->old_policy);
	c->old_policy = c->policy;
	c->policy = p;
	c->conf = conf;
	ev.conf = p;
	core_step(c, &ev);
	core_proxies_set(c);
}
