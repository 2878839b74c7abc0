/*
 * sim/host_core.c - the core on the outbound worker's turn, as in the daemon's
 * corehost and worker.
 */
#include "sim/host_i.h"

#define OUTCOME_WAKE_US (80 * US_PER_MS)

static void
to_out(struct host *h, struct post *p)
{
	posts_push(&h->inbox, p);
}

void
core_push(struct host *h, struct post *p)
{
	posts_push(&h->core_inbox, p);
	actor_wake(&h->out);
}

/* ---- what the core asks for ------------------------------------------------------- */

static void
op_resolve(void *ctx, uint32_t domain, struct slice name, bool is_host)
{
	struct host *h = ctx;

	(void)is_host;
	sim_trace(h->s, name.p, name.n);
	led_domain(h->s->ledger, name, false);
	sim_zone_ask(h->s, domain, name);
}

static uint32_t
number_of(struct slice source)
{
	return (uint32_t)(source.p[1] - '0');
}

/* By the configurations that there have been. */
static struct lim_pause
tls_pause(const struct sim *s)
{
	struct lim_pause p = { sim_conf(s)->host_retry_min_us, 0 };

	for (uint32_t i = 0; i < s->plan.nconfs; i++)
		p.max_us = MAX(p.max_us, s->plan.conf[i]->host_retry_max_us);
	return p;
}

static void
op_open(void *ctx, const struct core_open *o)
{
	struct host *h = ctx;
	const struct conf_source *src = &h->conf->sources[o->source];
	struct post_open *p = mem_get(sizeof(*p));
	struct eng_shape shape;
	struct lim_pause pause = tls_pause(h->s);
	uint32_t site, number;

	if (!peer_of_ip(&o->to.ip, &site, &number))
		check_fail("mail goes where its MX points", 0,
		    "a session is opened to %.*s|no answer named its address",
		    SLF(o->host));
	shape = plan_shape(h->s, site, number_of(o->source_name));
	lim_opened(h->s->limits, o->session, number_of(o->source_name), site,
	    plan_place(h->s, site, o->domain), &shape);
	lim_tls_open(h->s->limits, o->session, number, o->is_clear,
	    !sim_has(h->s, SIM_F_dns_move) && !sim_has(h->s, SIM_F_reload),
	    &pause, h->s->now_us);
	host_meters_opened(h->s, o, site, number);
	react_opened(h, o, number_of(o->source_name), site, number);
	h->s->marks->n[MARK_node_cap_reached] +=
	    lim_sessions(h->s->limits) == h->conf->sessions_out_max;
	p->post.kind = POST_OPEN;
	p->session = o->session;
	p->to = o->to;
	p->is_clear = o->is_clear;
	p->needs_tls = o->tls && o->tls->want.mode >= CONF_TLS_REQUIRED;
	p->never_tls = o->tls && o->tls->want.mode == CONF_TLS_NONE;
	slice_copy(src->ehlo, p->ehlo, sizeof(p->ehlo));
	slice_copy(o->host, p->host, sizeof(p->host));
	slice_copy(o->source_name, p->source, sizeof(p->source));
	slice_copy(o->site, p->site, sizeof(p->site));
	slice_copy(o->provider, p->provider, sizeof(p->provider));
	to_out(h, &p->post);
}

/* Where its pool is sticky. */
static void
host_stuck(const struct host *h, const struct job *j)
{
	const struct plan *p = &h->s->plan;
	uint32_t pool = led_pool(h->s->ledger, &j->id), conf = 0;
	struct led_dest d = led_dest(h->s->ledger, &j->id, j->rcpt[0].number);

	while (p->conf[conf] != h->conf)
		conf++;
	pool = pool < p->npools ? pool : 0; /* it names none */
	if (p->sticky[conf] >> pool & 1 &&
	    !std_moves(h->s->stands, h->s->now_us))
		stk_assigned(h->s->sticks, pool, d.domain, p->without[conf],
		    lim_source(h->s->limits, j->session), d.msg);
}

/* By a young source of its own pool, where nothing that the referee does not see
 * may keep engaged mail from going. */
static void
host_engaged(const struct host *h, const struct job *j)
{
	const struct sim *s = h->s;
	uint32_t source = lim_source(s->limits, j->session);
	uint32_t pool = led_pool(s->ledger, &j->id);

	if (sim_has(s, SIM_F_engaged) && !sim_has(s, SIM_F_dns_move) &&
	    !sim_has(s, SIM_F_reactions) && !s->plan.apart &&
	    pool < s->plan.npools && plan_in_pool(&s->plan, pool, source) &&
	    (s->plan.warm.young >> source & 1) &&
	    wrm_is_young(s->warms, source))
		led_engaged(s->ledger, j, source);
}

static void
op_assign(void *ctx, struct job *j)
{
	struct host *h = ctx;
	struct eng_shape shape =
	    plan_shape(h->s, lim_site(h->s->limits, j->session),
		lim_source(h->s->limits, j->session));

	sim_trace(h->s, &j->id, sizeof(j->id));
	react_let_go(h, j);
	led_assigned(h->s->ledger, j, lim_source(h->s->limits, j->session));
	lim_assigned(h->s->limits, j->session, j->n, &shape, h->s->now_us);
	host_meters_assigned(h->s, j);
	react_assigned(h, j);
	wrm_assigned(h->s->warms, j->session, j->txn,
	    lim_source(h->s->limits, j->session),
	    led_pool(h->s->ledger, &j->id), j->n, sim_wall(h->s));
	host_stuck(h, j);
	host_engaged(h, j);
	j->post.kind = POST_ASSIGN;
	to_out(h, &j->post);
}

static void
post_session(struct host *h, enum post_kind kind, struct handle session)
{
	struct post_session *p = mem_get(sizeof(*p));

	p->post.kind = (uint8_t)kind;
	p->session = session;
	to_out(h, &p->post);
}

static void
op_close(void *ctx, struct handle session)
{
	post_session(ctx, POST_CLOSE, session);
}

static void
op_take_back(void *ctx, struct handle session)
{
	post_session(ctx, POST_TAKE_BACK, session);
}

static struct item *
item(struct host *h, enum item_kind kind, struct handle slot)
{
	struct item *it;

	if (h->outcomes && h->outcomes->n == ITEMS_PER_POST) {
		posts_push(&h->to_spool, &h->outcomes->post);
		h->outcomes = NULL;
	}
	if (!h->outcomes) {
		h->outcomes = mem_get(sizeof(*h->outcomes));
		h->outcomes->post.kind = POST_OUTCOMES;
	}
	if (!h->fresh_since_us)
		h->fresh_since_us = h->s->now_us;
	it = &h->outcomes->v[h->outcomes->n++];
	it->kind = (uint8_t)kind;
	it->slot = slot;
	return it;
}

static void
op_outcome(void *ctx, struct handle slot, uint16_t rcpt,
    const struct spool_rcpt *r)
{
	struct host *h = ctx;
	struct item *it = item(h, ITEM_OUTCOME, slot);

	h->given++;
	react_outcome(h, slot, r);
	led_outcome(h->s->ledger, slot, rcpt, r);
	sim_trace_u64(h->s,
	    ((uint64_t)slot.index << 32) ^ ((uint64_t)r->outcome.code << 8) ^
		rcpt);
	it->rcpt = rcpt;
	it->state = *r;
	it->state.text = host_owned(r->text);
	it->state.mta = host_owned(r->mta);
}

static void
op_drop(void *ctx, struct handle slot)
{
	struct host *h = ctx;

	led_dropped(h->s->ledger, slot);
	item(h, ITEM_DROP, slot);
}

static void
op_moved_ack(void *ctx, struct handle slot)
{
	item(ctx, ITEM_MOVED_ACK, slot);
}

/* A line in the books names it, and was written before. */
static void
op_damaged(void *ctx, struct handle slot)
{
	struct host *h = ctx;

	led_damaged(h->s->ledger, slot, buf_slice(&h->book[BOOK_CORE].lines));
	item(ctx, ITEM_DAMAGED, slot);
}

static void
op_commit(void *ctx, struct parcel *p)
{
	struct host *h = ctx;

	led_commit(h->s->ledger, p);
	if (h->outcomes) {
		posts_push(&h->to_spool, &h->outcomes->post);
		h->outcomes = NULL;
	}
	p->origin = NULL;
	p->post.kind = POST_COMMIT;
	posts_push(&h->to_spool, &p->post);
	if (!h->fresh_since_us)
		h->fresh_since_us = h->s->now_us;
}

static struct parcel *
op_parcel_take(void *ctx)
{
	return parcel_take(ctx);
}

static void
op_parcel_give(void *ctx, struct parcel *p)
{
	parcel_give(ctx, p);
}

static struct buf *
op_book(void *ctx)
{
	return host_book(ctx, BOOK_CORE);
}

static uint64_t
op_sequence(void *ctx)
{
	return host_sequence(ctx, 1);
}

static void
op_keep(void *ctx, const struct kept *k, uint64_t serial)
{
	struct host *h = ctx;

	sim_trace_u64(h->s, serial);
	keep_entry(h, k, serial);
}

const struct core_ops host_core_ops = {
	.resolve = op_resolve,
	.open = op_open,
	.assign = op_assign,
	.close = op_close,
	.take_back = op_take_back,
	.outcome = op_outcome,
	.drop = op_drop,
	.moved_ack = op_moved_ack,
	.damaged = op_damaged,
	.commit = op_commit,
	.parcel_take = op_parcel_take,
	.parcel_give = op_parcel_give,
	.book = op_book,
	.sequence = op_sequence,
	.keep = op_keep,
};

/* ---- news for the core ------------------------------------------------------------ */

/* The word to forget the session goes first: the engine may use its number
 * again in this very step. */
static void
session_down(struct host *h, struct post_session *p)
{
	struct session_facts facts = *p->facts;
	struct post_session copy = *p;
	uint64_t steps = react_steps(h);

	react_down(h, &copy);
	std_closed(h->s->stands, copy.session.index, h->s->now_us);
	if (copy.outcome.stage == STAGE_TLS ||
	    copy.outcome.stage == STAGE_STARTTLS)
		lim_tls_told(h->s->limits, copy.session, false, h->s->now_us);
	wrm_closed(h->s->warms, copy.session,
	    lim_source(h->s->limits, copy.session));
	lim_closed(h->s->limits, copy.session);
	met_closed(h->s->meters, copy.session);
	led_session_down(h->s->ledger, copy.session);
	p->post.kind = POST_SESSION_FREE;
	to_out(h, &p->post);
	core_session_down(h->core, copy.session, &copy.outcome, &copy.heard,
	    slice_str(copy.text), &facts);
	react_told(h, steps);
}

/* One whose session the engine has given up already is only taken back. */
static void
result(struct host *h, struct job *j)
{
	struct sim *s = h->s;
	bool is_open = lim_is_open(s->limits, j->session), unsent = false;
	uint32_t delivered = 0, nunsent = 0;
	uint64_t steps = react_steps(h);
	struct eng_shape shape;

	for (uint32_t i = 0; i < j->n; i++) {
		const struct outcome *o = &j->rcpt[i].outcome;

		delivered += o->klass == OUTCOME_DELIVERED;
		nunsent += o->klass == OUTCOME_UNSENT && !j->is_sent;
		unsent |= o->klass == OUTCOME_UNSENT && o->stage != STAGE_LOCAL;
		s->report->attempts += o->klass != OUTCOME_UNSENT;
		sim_trace_u64(s,
		    ((uint64_t)o->klass << 16) ^ o->code ^
			((uint64_t)j->rcpt[i].number << 32));
	}
	/* What is known of a session goes with it. */
	led_result(s->ledger, j,
	    is_open && j->session_facts &&
		sim_wish_passes(s,
		    &((struct session_facts *)j->session_facts)->peer.ip));
	met_result(s->meters, j->session, j->txn, unsent && !j->is_sent);
	if (is_open) {
		shape = plan_shape(s, lim_site(s->limits, j->session),
		    lim_source(s->limits, j->session));
		wrm_result(s->warms, j->session, j->txn,
		    lim_source(s->limits, j->session), delivered, nunsent,
		    sim_wall(s));
		lim_result(s->limits, j->session, unsent && !j->is_sent,
		    &shape);
	}
	react_result(h, j, unsent && !j->is_sent);
	core_result(h->core, j, j->session_facts);
	react_told(h, steps);
}

static void
handle_core(struct host *h, struct post *p)
{
	struct post_session *ps = container_of(p, struct post_session, post);
	struct post_moved *pm = container_of(p, struct post_moved, post);
	struct post_damage *pd = container_of(p, struct post_damage, post);
	struct post_submit *sub = container_of(p, struct post_submit, post);
	struct parcel *parcel = container_of(p, struct parcel, post);

	switch (p->kind) {
	case POST_SUBMIT:
		led_submitted(h->s->ledger, &sub->id);
		core_submit(h->core, sub->slot, &sub->ref,
		    slice_of(sub->envelope, sub->n));
		mem_free(sub);
		return;
	case POST_RESULT:
		result(h, container_of(p, struct job, post));
		return;
	case POST_UP:
		if (ps->is_tls)
			lim_tls_told(h->s->limits, ps->session, true,
			    h->s->now_us);
		core_session_up(h->core, ps->session, ps->caps, ps->is_tls);
		mem_free(ps);
		return;
	case POST_DOWN:
		session_down(h, ps);
		return;
	case POST_NOTICE_DONE:
		if (!parcel->commit.err)
			led_submitted(h->s->ledger, &parcel->commit.id);
		core_notice_done(h->core, parcel);
		parcel_give(h, parcel);
		return;
	case POST_MOVED:
		core_moved(h->core, pm->slot, &pm->ref);
		mem_free(pm);
		return;
	case POST_DAMAGE:
		core_damage(h->core, &pd->damage);
		mem_free(pd);
		return;
	case POST_KEPT:
		core_kept(h->core,
		    container_of(p, struct post_kept, post)->serial);
		mem_free(container_of(p, struct post_kept, post));
		return;
	default:
		ASSERT(!"a post for the core");
	}
}

static void
handle_out(struct host *h, struct post *p)
{
	struct post_session *ps = container_of(p, struct post_session, post);

	switch (p->kind) {
	case POST_OPEN:
		outbound_open(h, container_of(p, struct post_open, post));
		return;
	case POST_ASSIGN:
		outbound_assign(h, container_of(p, struct job, post));
		return;
	case POST_CLOSE:
		outbound_close(h, ps->session);
		mem_free(ps);
		return;
	case POST_TAKE_BACK:
		outbound_take_back(h, ps->session);
		mem_free(ps);
		return;
	case POST_SESSION_FREE:
		outbound_session_free(h, ps->session);
		mem_free(ps);
		return;
	default:
		posts_push(&h->core_inbox, p);
	}
}

/* ---- the turn ------------------------------------------------------------------------ */

static bool
is_late(const struct host *h, int64_t since_us)
{
	return since_us &&
	    (h->is_stopping || h->s->now_us - since_us >= OUTCOME_WAKE_US);
}

static void
hold(struct host *h)
{
	if (h->held.head || !h->to_spool.head || h->book[BOOK_CORE].lines.n)
		return;
	h->held = h->to_spool;
	h->held_since_us = h->fresh_since_us;
	h->held_answers = h->answers;
	h->has_seen = false;
	h->held_for[BOOK_CORE] = h->book[BOOK_CORE].sent;
	h->to_spool = (struct posts){ NULL, NULL };
	h->fresh_since_us = 0;
}

static bool
lines_are_written(struct host *h)
{
	if (!h->has_seen && h->answers_seen < h->held_answers)
		return false;
	if (!h->has_seen)
		h->held_for[BOOK_IN] = h->book[BOOK_IN].begun;
	h->has_seen = true;
	for (uint32_t i = 0; i < BOOKS; i++)
		if (h->book[i].written < h->held_for[i])
			return false;
	return true;
}

static void
give(struct host *h)
{
	if (!h->given_since_us)
		h->given_since_us = h->held_since_us;
	spooler_post(h, &h->held, false);
	h->held_since_us = 0;
}

/* As corehost_flush: an outcome goes to the spool behind its lines. */
static void
flush(struct host *h)
{
	struct posts none = { NULL, NULL };
	bool is_written;

	book_flush(h, BOOK_CORE);
	keep_flush(h);
	if (h->outcomes) {
		posts_push(&h->to_spool, &h->outcomes->post);
		h->outcomes = NULL;
	}
	is_written = lines_are_written(h);
	if (is_written)
		h->is_ahead = false;
	if (h->held.head && (is_written || is_late(h, h->held_since_us))) {
		h->is_ahead |= !is_written;
		give(h);
	}
	hold(h);
	if (h->held.head && h->is_stopping) {
		h->is_ahead = true;
		give(h);
	}
	if (is_late(h, h->given_since_us)) {
		spooler_post(h, &none, true);
		h->given_since_us = 0;
	}
}

static int64_t
deadline(const struct host *h)
{
	int64_t at = core_deadline(h->core);

	if (h->given_since_us)
		at = MIN(at, h->given_since_us + OUTCOME_WAKE_US);
	if (h->held_since_us)
		at = MIN(at, h->held_since_us + OUTCOME_WAKE_US);
	return MIN(at, book_deadline(h, BOOK_CORE));
}

void
core_turn(void *arg)
{
	struct host *h = arg;
	struct post *p;

	host_memory(h);
	do {
		while ((p = posts_shift(&h->out.box)))
			posts_push(&h->inbox, p);
		while ((p = posts_shift(&h->inbox)))
			handle_out(h, p);
		core_clock(h->core, h->s->now_us, sim_wall(h->s));
		core_disk(h->core, spool_is_stuck(h->spool));
		while ((p = posts_shift(&h->core_inbox)))
			handle_core(h, p);
		if (core_deadline(h->core) <= h->s->now_us)
			core_tick(h->core);
	} while (h->out.box.head || h->inbox.head || h->core_inbox.head);
	flush(h);
	actor_at(&h->out, MAX(deadline(h), h->s->now_us + 1));
}
