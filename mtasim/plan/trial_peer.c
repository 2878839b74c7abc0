/*
 * plan/trial_peer.c - a session as its provider sees it: set up, one message
 * after the other, gone; without bytes.
 *
 * What is asked of the provider (a connection, a message) is answered by what
 * holds when it is asked, and the answer arrives after the time that it takes.
 */
#include "plan/trial_i.h"
#include "world/judge.h"

#define QUIT_US US_PER_MS /* a peer that is near */

/* The engine's stage of a receiver's stage. */
static const uint8_t stage_of[AT_N] = {
	[AT_CONNECT] = STAGE_BANNER,
	[AT_MAIL] = STAGE_MAIL,
	[AT_RCPT] = STAGE_RCPT,
	[AT_DATA] = STAGE_DATA,
	[AT_EOM] = STAGE_EOM,
};

static struct provider_state *
provider_of(struct trial *t, const struct peer *p)
{
	return &t->providers[p->provider];
}

static bool
is_silent(const struct verdict *v)
{
	return v != NULL && v->kind == VERDICT_SILENT;
}

/* Most refusals are the same as the last one. */
static void
judge(struct trial *t, const struct peer *p, const struct verdict *v,
    struct outcome *o)
{
	struct slice enh = slice_str(v->enh);

	if (t->judged_verdict != v || t->judged.stage != o->stage ||
	    strcmp(t->judged_by, p->named) != 0) {
		if (enh_parse(&enh, &o->enh))
			o->enh = (struct enh){ 0 };
		judge_outcome(o, slice_str(p->named), slice_str(v->text));
		t->judged_verdict = v;
		slice_copy(slice_str(p->named), t->judged_by,
		    sizeof(t->judged_by));
		t->judged = *o;
	}
	*o = t->judged;
}

static struct outcome
outcome_of(struct trial *t, const struct peer *p, const struct verdict *v,
    uint8_t stage)
{
	struct outcome o = { .klass = OUTCOME_TRANSIENT };

	if (v == NULL) /* no stage refused it: it is past the last one */
		return (struct outcome){ .klass = OUTCOME_DELIVERED,
			.stage = STAGE_EOM,
			.code = 250 };
	o.stage = stage_of[stage];
	if (v->kind == VERDICT_REPLY) {
		o.code = v->code;
		if (v->code >= 500)
			o.klass = OUTCOME_BOUNCED;
		judge(t, p, v, &o);
	}
	return o;
}

/* ---- what the provider thinks of it -------------------------------------------- */

static const struct verdict *
event_now(const struct trial *t, const struct scen_provider *p, uint8_t stage)
{
	return behave_spell(&p->behave, stage, t->now - START_US);
}

/* An address for each source: its own, or one of a range for tests. */
static struct ip
address_of(const struct trial *t, uint16_t source)
{
	struct ip ip = t->s->conf->sources[source].address;

	if (ip.family == 0)
		ip = (struct ip){ .b = { 198, 18, (uint8_t)(source / 200),
				      (uint8_t)(source % 200 + 1) },
			.family = 4 };
	return ip;
}

static struct guard_ask
asking(const struct trial *t, const struct peer *p)
{
	return (struct guard_ask){ .now_us = t->now - START_US,
		.ip = address_of(t, p->source),
		.source = t->s->conf->sources[p->source].name,
		.connection = p->number };
}

static const struct verdict *
judge_connection(struct trial *t, struct peer *p)
{
	struct provider_state *ps = provider_of(t, p);
	const struct behave *b = &ps->p->behave;
	const struct verdict *v = event_now(t, ps->p, AT_CONNECT);
	struct guard_ask a = asking(t, p);

	if (v != NULL)
		return v;
	if (b->source_conns_max &&
	    ps->sources[p->source].conns >= b->source_conns_max)
		return &b->busy;
	v = behave_pick(b, AT_CONNECT, &ps->dice);
	return v != NULL ? v : guards_ask(b, &ps->memory, AT_CONNECT, &a);
}

/* The day's count of a young source; NULL: it is not young any more. */
static struct young_state *
young_now(struct trial *t, uint16_t source, uint32_t *most)
{
	const struct scen_warm *w = &t->s->warm[source];
	struct young_state *y = &t->young[source];
	int64_t day = (t->now - START_US) / (86400 * US_PER_S) + w->day - 1;

	if (w->ndays == 0 || day >= w->ndays)
		return NULL;
	if (y->day != day)
		*y = (struct young_state){ .day = day };
	*most = w->most[day];
	return y;
}

/* One recipient of a message is not taken. */
static void
refuse_rcpt(struct trial *t, struct peer *p, uint16_t i,
    const struct verdict *v)
{
	struct job_rcpt *r = &p->job->rcpt[i];
	struct trial_event ev = mail_event(t, trial_mail(t, p->job), r->number);

	r->outcome = outcome_of(t, p, v, AT_RCPT);
	ev.klass = r->outcome.klass;
	p->verdict = v;
	trial_tell(t, DEED_ANSWER, p, &ev);
	p->verdict = NULL;
}

/* What its memory says of a message at a stage; of each recipient at RCPT, where
 * those it does not take have their outcome then. */
static const struct verdict *
judge_guards(struct trial *t, struct peer *p, struct guard_ask *a)
{
	struct provider_state *ps = provider_of(t, p);
	const struct behave *b = &ps->p->behave;
	const struct mail *m = trial_mail(t, p->job);
	const struct verdict *v = NULL, *last = NULL;
	uint16_t taken = 0;

	if (p->stage != AT_RCPT)
		return guards_ask(b, &ps->memory, p->stage, a);
	for (uint16_t i = 0; i < p->job->n; i++) {
		buf_reset(&t->address);
		mail_address(t, m, p->job->rcpt[i].number, &t->address);
		a->rcpt = buf_slice(&t->address);
		v = guards_ask(b, &ps->memory, AT_RCPT, a);
		if (v != NULL && (v->kind != VERDICT_REPLY || v->code == 421))
			return v;
		if (v != NULL)
			refuse_rcpt(t, p, i, v);
		taken += v == NULL;
		last = v ? v : last;
	}
	return taken ? NULL : last;
}

/* The first stage that does not like the message; NULL: taken. */
static const struct verdict *
judge_stages(struct trial *t, struct peer *p)
{
	struct provider_state *ps = provider_of(t, p);
	const struct behave *b = &ps->p->behave;
	struct guard_ask a;

	if (b->nguards) {
		a = asking(t, p);
		a.sender = t->feeds[trial_mail(t, p->job)->feed].w->sender;
		a.domain = names_text(&t->s->domains.names,
		    trial_mail(t, p->job)->domain);
		a.transaction = ++t->transactions;
	}
	if (b->messages_max && p->nmsgs >= b->messages_max) {
		p->stage = AT_MAIL;
		return &b->full;
	}
	for (p->stage = AT_MAIL; p->stage < AT_N; p->stage++) {
		const struct verdict *v = event_now(t, ps->p, p->stage);

		if (v != NULL)
			return v;
		if (p->stage == b->over_stage && b->rate_count &&
		    !behave_take(b, &ps->sources[p->source].full_ns, t->now))
			return &b->over;
		if (b->nguards && (v = judge_guards(t, p, &a)) != NULL)
			return v;
		if (b->nrules &&
		    (v = behave_pick(b, p->stage, &ps->dice)) != NULL)
			return v;
	}
	return NULL;
}

static const struct verdict *
judge_message(struct trial *t, struct peer *p)
{
	uint32_t most;
	struct young_state *y =
	    t->young ? young_now(t, p->source, &most) : NULL;
	const struct verdict *v;

	if (y != NULL && y->used >= most) {
		p->stage = AT_MAIL;
		return &t->cold;
	}
	v = judge_stages(t, p);
	if (y != NULL)
		y->used += v == NULL;
	return v;
}

/* How long a client waits for an answer that does not come. */
static int64_t
patience(const struct trial *t, uint8_t stage)
{
	const struct conf *c = t->s->conf;

	switch (stage) {
	case AT_CONNECT: /* it takes connections and says nothing */
		return c->client.banner_ms * US_PER_MS;
	case AT_MAIL:
		return c->client.mail_ms * US_PER_MS;
	case AT_RCPT:
		return c->client.rcpt_ms * US_PER_MS;
	case AT_DATA:
		return c->client.data_ms * US_PER_MS;
	default:
		return c->client.eom_ms * US_PER_MS;
	}
}

/* ---- messages ------------------------------------------------------------------ */

static struct job *
job_shift(struct posts *l)
{
	struct post *p = posts_shift(l);

	return p ? container_of(p, struct job, post) : NULL;
}

/* An attempt counts when its answer is said; silence is one from the start. */
static void
count_attempt(struct trial *t, const struct peer *p)
{
	struct tally *one = tally_of(t, p->provider), *all = tally_all(t);
	bool defers = p->verdict != NULL && p->verdict->code < 500;

	one->attempts++;
	all->attempts++;
	one->deferrals += defers;
	all->deferrals += defers;
	trial_bucket(t)->deferred += defers;
}

static void
tell_attempt(struct trial *t, const struct peer *p, const struct mail *m)
{
	struct trial_event ev = mail_event(t, m, p->job->rcpt[0].number);

	ev.n = p->job->n;
	ev.assigned_us = p->job->began_us - START_US;
	trial_tell(t, DEED_ATTEMPT, p, &ev);
}

/* What became of each recipient that was not told before. */
static void
tell_answers(struct trial *t, const struct peer *p, const struct job *j,
    const struct outcome *o)
{
	if (!trial_is_watched(t))
		return;
	for (uint16_t i = 0; i < j->n; i++) {
		struct trial_event ev =
		    mail_event(t, trial_mail(t, j), j->rcpt[i].number);

		ev.klass = o->klass;
		if (j->rcpt[i].outcome.klass == OUTCOME_NONE)
			trial_tell(t, DEED_ANSWER, p, &ev);
	}
}

static void
begin(struct trial *t, struct peer *p)
{
	struct provider_state *ps = provider_of(t, p);
	struct tally *one = tally_of(t, p->provider);
	struct mail *m;
	int64_t takes;

	p->job = job_shift(&p->waiting);
	p->state = PEER_BUSY;
	m = trial_mail(t, p->job);
	if (!m->is_begun) {
		m->is_begun = true;
		one->waited += m->arrival_us != t->now;
		tally_all(t)->waited += m->arrival_us != t->now;
	}
	p->verdict = NULL;
	if (trial_is_watched(t))
		tell_attempt(t, p, m);
	p->verdict = judge_message(t, p);
	if (is_silent(p->verdict)) {
		takes = patience(t, p->stage);
		count_attempt(t, p);
	} else if (p->verdict == NULL || p->stage == AT_EOM)
		takes = dist_draw(&ps->p->per_message, &ps->dice.delay[AT_EOM]);
	else
		takes = dist_draw(&ps->p->refusal, &ps->dice.refusal);
	happen_at(t, &p->happen, t->now + takes);
}

static void
rest(struct trial *t, struct peer *p)
{
	p->state = p->is_closing ? PEER_QUITTING : PEER_IDLE;
	happen_at(t, &p->happen,
	    t->now +
		(p->is_closing ? QUIT_US :
				 t->s->conf->client.idle_ms * US_PER_MS));
}

/* Gives a job back to the core, which frees it. */
static void
hear(const struct trial *t, const struct verdict *v, const struct outcome *o,
    struct conf_heard *h)
{
	*h = (struct conf_heard){ .key = 0 };
	if (v != NULL && v->kind == VERDICT_REPLY)
		judge_hear(t->s->conf, o, slice_str(v->text), h);
}

static void
give_back(struct trial *t, struct job *j, const struct verdict *v,
    const struct outcome *o, bool is_sent)
{
	struct conf_heard heard;

	struct mail *m = trial_mail(t, j);
	uint64_t flown = (uint64_t)(t->now - j->began_us);

	tally_of(t, m->provider)->flight_us += flown;
	tally_all(t)->flight_us += flown;
	j->is_sent = is_sent;
	hear(t, v, o, &heard);
	j->heard_key = heard.key;
	for (uint16_t i = 0; i < j->n; i++) {
		if (j->rcpt[i].outcome.klass != OUTCOME_NONE)
			continue;
		j->rcpt[i].outcome = *o;
		j->rcpt[i].hits = heard.hits;
		if (v != NULL)
			j->rcpt[i].text = slice_str(v->text);
	}
	core_result(t->core, j, NULL);
}

/* The session's end. What it still held goes back unsent; what the engine
 * hands it meanwhile it does not know to be for nobody. */
static void
end(struct trial *t, struct peer *p, const struct outcome *o)
{
	struct outcome unsent = { .klass = OUTCOME_UNSENT };
	struct provider_state *ps = provider_of(t, p);
	uint32_t provider = p->provider;
	struct conf_heard heard;
	/* The commands of the next message go with the final dot. */
	bool went = p->state == PEER_BUSY && p->stage == AT_EOM;
	struct job *j;

	p->is_over = true;
	if (p->is_counted)
		trial_tell(t, DEED_DOWN, p, NULL);
	while ((j = job_shift(&p->waiting)) != NULL) {
		give_back(t, j, NULL, &unsent, went);
		went = false;
	}
	trial_count(t, provider);
	if (p->is_counted) {
		struct guard_ask a = asking(t, p);

		guards_leave(&ps->p->behave, &ps->memory, &a);
		ps->sources[p->source].conns--;
		tally_of(t, provider)->conns--;
		tally_all(t)->conns--;
	}
	t->by_session[p->session.index] = NULL;
	hear(t, p->verdict, o, &heard);
	core_session_down(t->core, p->session, o, &heard,
	    p->verdict ? slice_str(p->verdict->text) : SL(""), NULL);
	while ((j = job_shift(&p->stale)) != NULL) {
		/* Its recipient may have gone on by another way. */
		j->is_sent = false;
		for (uint16_t i = 0; i < j->n; i++)
			j->rcpt[i].outcome = unsent;
		core_result(t->core, j, NULL);
	}
	pool_give(&t->peers, p->index);
}

static void
message_done(struct trial *t, struct peer *p)
{
	struct job *j = p->job;
	const struct verdict *v = p->verdict;
	struct outcome o = outcome_of(t, p, v, p->stage);
	bool ends = v != NULL && (v->kind != VERDICT_REPLY || v->code == 421);

	p->job = NULL;
	p->nmsgs += v == NULL || p->stage == AT_EOM;
	p->is_over = ends;
	/* A peer that goes without a word on the message, after others that
	 * it answered, has said nothing about it. */
	if (v != NULL && v->kind == VERDICT_CLOSE && p->stage == AT_MAIL &&
	    p->ndone > 0)
		o = (struct outcome){ .klass = OUTCOME_UNSENT };
	tell_answers(t, p, j, &o);
	p->ndone++;
	if (!is_silent(v))
		count_attempt(t, p);
	j->in_doubt =
	    v != NULL && v->kind != VERDICT_REPLY && p->stage == AT_EOM;
	if (!ends)
		p->state = PEER_IDLE;
	if (!ends && p->waiting.head)
		begin(t, p); /* the line moves before anyone joins it */
	give_back(t, j, v, &o, true);
	if (ends)
		end(t, p, &o);
	else if (p->state == PEER_IDLE)
		rest(t, p);
}

/* ---- the session --------------------------------------------------------------- */

static struct peer *
peer_of(struct trial *t, struct handle session)
{
	struct peer *p = session.index < t->nby_session ?
	    t->by_session[session.index] :
	    NULL;

	return p && handle_eq(p->session, session) ? p : NULL;
}

static void
remember(struct trial *t, struct peer *p)
{
	uint32_t had = t->nby_session, n = MAX(had, 256u);

	while (n <= p->session.index)
		n *= 2;
	if (n != had) {
		t->by_session =
		    mem_grow(t->by_session, n * sizeof(struct peer *));
		ASSERT(t->by_session != NULL);
		memset(&t->by_session[had], 0,
		    (n - had) * sizeof(struct peer *));
		t->nby_session = n;
	}
	t->by_session[p->session.index] = p;
}

void
peer_open(struct trial *t, const struct core_open *o)
{
	struct handle h;
	struct peer *p = pool_take(&t->peers, &h);
	struct provider_state *ps;
	int64_t takes;

	ASSERT(p != NULL);
	p->happen.kind = HAPPEN_PEER;
	p->index = h.index;
	p->session = o->session;
	p->source = o->source;
	p->number = ++t->connections;
	slice_copy(o->provider, p->named, sizeof(p->named));
	p->provider =
	    (uint16_t)(nameset_find(&t->s->domains, o->domain, NULL) - 1);
	ps = provider_of(t, p);
	remember(t, p);
	trial_tell(t, DEED_OPEN, p, NULL);
	p->verdict = judge_connection(t, p);
	if (p->verdict == NULL) {
		p->is_counted = true;
		ps->sources[p->source].conns++;
		trial_count(t, p->provider);
		tally_of(t, p->provider)->conns++;
		tally_all(t)->conns++;
		takes = dist_draw(&ps->p->setup, &ps->dice.delay[AT_CONNECT]);
	} else if (is_silent(p->verdict))
		takes = patience(t, AT_CONNECT);
	else
		takes = dist_draw(&ps->p->refusal, &ps->dice.refusal);
	happen_at(t, &p->happen, t->now + takes);
}

void
peer_assign(struct trial *t, struct job *j)
{
	struct peer *p = peer_of(t, j->session);

	ASSERT(p != NULL);
	if (p->is_over) {
		posts_push(&p->stale, &j->post);
		return;
	}
	j->began_us = t->now;
	posts_push(&p->waiting, &j->post);
	if (p->state == PEER_IDLE)
		begin(t, p);
}

void
peer_close(struct trial *t, struct handle session)
{
	struct peer *p = peer_of(t, session);

	if (p == NULL || p->is_over)
		return;
	p->is_closing = true;
	if (p->state == PEER_IDLE)
		rest(t, p);
}

static void
opened(struct trial *t, struct peer *p)
{
	struct tally *one = tally_of(t, p->provider);
	struct outcome o;

	if (p->verdict != NULL) {
		one->refused++;
		tally_all(t)->refused++;
		trial_tell(t, DEED_REFUSED, p, NULL);
		o = outcome_of(t, p, p->verdict, AT_CONNECT);
		end(t, p, &o);
		return;
	}
	one->sessions++;
	tally_all(t)->sessions++;
	p->state = PEER_IDLE;
	trial_tell(t, DEED_UP, p, NULL);
	core_session_up(t->core, p->session, CAP_ESMTP | CAP_PIPELINING, false);
	if (p->state == PEER_IDLE)
		rest(t, p);
}

void
peer_ask(const struct trial *t, const struct peer *p)
{
	if (p->state != PEER_BUSY)
		return;
	core_result_ask(t->core, p->job);
	if (p->waiting.head)
		mem_ask(container_of(p->waiting.head, struct job, post), 64);
	pool_ask(&t->mails, (uint32_t)p->job->ref.offset, sizeof(struct mail));
}

void
peer_happen(struct trial *t, struct peer *p)
{
	struct outcome orderly = { .klass = OUTCOME_DELIVERED };

	switch ((enum peer_state)p->state) {
	case PEER_OPENING:
		opened(t, p);
		return;
	case PEER_BUSY:
		message_done(t, p);
		return;
	case PEER_IDLE: /* its time is up */
		p->is_closing = true;
		rest(t, p);
		return;
	case PEER_QUITTING:
		end(t, p, &orderly);
	}
}

void
trial_peers_free(struct trial *t)
{
	struct job *j;

	for (uint32_t i = 0; i < t->nby_session; i++) {
		struct peer *p = t->by_session[i];

		if (p == NULL)
			continue;
		if (p->job)
			job_free(p->job);
		while ((j = job_shift(&p->waiting)) != NULL)
			job_free(j);
	}
	mem_free(t->by_session);
	pool_free(&t->peers);
}
