/*
 * plan/trial_mail.c - messages: when they come, what they are, how they leave.
 *
 * Their sender is null, so that no notice is owed; one that a workload names
 * never gets its notice, for nothing is read back.
 */
#include <math.h>

#include "plan/trial_i.h"

#define RECORD_BYTES 64 /* a record's header */

/* ---- when ---------------------------------------------------------------------- */

/* All but one of a hundred know where they go: the first look-ups, which hold up
 * what comes at once, are over. */
static bool
is_settled(const struct trial *t)
{
	struct eng_totals e;

	core_totals(t->core, &e);
	return e.resolving <= tally_all(t)->depth / 100;
}

/* Sets the time of message f->i, which may be that of another one's end; false
 * when there is none. */
static bool
feed_next(struct trial *t, struct feed *f)
{
	const struct scen_workload *w = f->w;

	if (f->demand) {
		if (f->i < f->n)
			happen_at(t, &f->happen,
			    START_US + f->demand->v[f->i].at_us);
		return f->i < f->n;
	}
	if (w->arrival == ARRIVAL_CLOSED) {
		if (f->i == f->n)
			trial_part(t, PART_DRAIN);
		else if (t->part == PART_FILL && f->live == w->held &&
		    is_settled(t))
			trial_part(t, PART_FULL);
		if (f->i < f->n && f->live < w->held)
			happen_at(t, &f->happen,
			    MAX(t->now, START_US + w->start_us));
		return f->i < f->n;
	}
	if (w->arrival == ARRIVAL_POISSON) {
		f->at -=
		    (double)US_PER_S / w->rate * log(dist_unit_draw(&f->rng));
		if (f->at >= (double)w->for_us)
			return false;
	} else {
		if (f->i >= f->n)
			return false;
		f->at =
		    w->rate > 0 ? (double)f->i * (double)US_PER_S / w->rate : 0;
	}
	happen_at(t, &f->happen, START_US + w->start_us + (int64_t)f->at);
	return true;
}

void
feeds_make(struct trial *t, uint64_t seed, const struct demand *demand)
{
	const struct scen *s = t->s;

	t->feeds = mem_get(s->nworkloads * sizeof(*t->feeds));
	for (uint32_t i = 0; i < s->nworkloads; i++) {
		struct feed *f = &t->feeds[i];

		f->happen.kind = HAPPEN_ARRIVAL;
		f->w = &s->workloads[i];
		rng_seed(&f->rng, hash_u64(seed ^ (0x100 + i)));
		f->n = f->w->count;
		if (f->w->arrival == ARRIVAL_CONSTANT)
			f->n = (uint64_t)(f->w->rate *
				((double)f->w->for_us / (double)US_PER_S) +
			    1e-6);
		if (demand) {
			f->demand = &demand[i];
			f->n = demand[i].n;
		}
		if (feed_next(t, f))
			t->nfeeds_left++;
	}
}

/* ---- what ---------------------------------------------------------------------- */

static uint32_t
provider_draw(struct trial *t, struct feed *f)
{
	uint64_t at;
	uint32_t p = 0;

	if (f->demand)
		return f->demand->v[f->i - 1].provider;
	at = rng_below(&f->rng, f->w->weights);
	while (p + 1 < t->s->nproviders && at >= f->w->up_to[p])
		p++;
	return p;
}

static struct slice
tenant_draw(struct feed *f)
{
	const struct scen_workload *w = f->w;

	return w->tenant.n ? w->tenants[choice_draw(&w->tenant, &f->rng)] :
			     SL("");
}

/* The mailboxes of a message are those behind its first, in a circle. */
void
mail_address(const struct trial *t, const struct mail *m, uint32_t i,
    struct buf *out)
{
	uint64_t all = t->feeds[m->feed].w->mailboxes, box = m->box + i;
	char local[24] = "u";
	size_t n = 1 + fmt_u64(local + 1, all ? box % all : box);

	/* Once for each message: printf would be a tenth of its cost. */
	local[n++] = '@';
	(void)buf_adds(out, slice_of(local, n));
	(void)buf_adds(out, names_text(&t->s->domains.names, m->domain));
}

static void
make(struct trial *t, struct feed *f, const struct mail *m, struct slice tenant,
    uint64_t body, struct envelope *env)
{
	int64_t wall = t->now - START_US + WALL_US;
	size_t from[SCEN_EACH_MAX + 1];

	*env = (struct envelope){
		.id = msgid_make(wall, t->s->conf->node, ++t->sequence),
		.arrival_us = wall,
		.expires_us = wall + t->s->conf->expire_us,
		.tenant = tenant,
		.campaign = f->w->campaign,
		.pool = f->w->pool,
		.body_bytes = body,
		.nrcpt = f->w->each,
	};

	buf_reset(&t->address);
	for (uint32_t i = 0; i < env->nrcpt; i++) {
		from[i] = t->address.n;
		mail_address(t, m, i, &t->address);
	}
	from[env->nrcpt] = t->address.n;
	if (f->w->sender.n) {
		(void)buf_addz(&t->address, "news@");
		(void)buf_adds(&t->address, f->w->sender);
		env->sender =
		    slice_skip(buf_slice(&t->address), from[env->nrcpt]);
	}
	/* The buffer stays where it is from here on. */
	for (uint32_t i = 0; i < env->nrcpt; i++)
		t->rcpts[i] =
		    (struct env_rcpt){ .address =
					   slice_of(t->address.p + from[i],
					       from[i + 1] - from[i]) };
}

static void
tally_arrival(struct tally *a, int64_t at, uint32_t n, uint32_t bytes)
{
	if (a->arrived == 0)
		a->first_us = at;
	a->arrived += n;
	a->last_us = at;
	a->since_us += (uint64_t)at * n;
	a->bytes += bytes;
	a->bytes_peak = MAX(a->bytes_peak, a->bytes);
	a->depth += n;
	if (a->depth > a->peak) {
		a->peak = a->depth;
		a->peak_us = at;
	}
}

/* What is there to be counted of a message that comes. */
static void
count_arrival(struct trial *t, struct feed *f, const struct mail *m)
{
	uint32_t n = f->w->each;
	struct bucket *b = trial_bucket(t);

	f->live += n;
	trial_count(t, m->provider);
	tally_arrival(tally_of(t, m->provider), t->now - START_US, n, m->bytes);
	tally_arrival(tally_all(t), t->now - START_US, n, m->bytes);
	b->arrived += n;
	b->depth_max = MAX(b->depth_max, tally_all(t)->depth);
}

/* The recipients of a workload are numbered; no two share a number. */
struct trial_event
mail_event(const struct trial *t, const struct mail *m, uint32_t rcpt)
{
	uint64_t all = t->feeds[m->feed].w->mailboxes;
	uint32_t box = m->box + rcpt;

	return (struct trial_event){ .provider = m->provider,
		.source = UINT16_MAX,
		.feed = m->feed,
		.rcpt = (uint64_t)m->feed << 32 | box,
		.mailbox = all ? (uint32_t)(box % all) : box };
}

static void
tell_final(struct trial *t, const struct mail *m, uint16_t rcpt, uint8_t klass)
{
	struct trial_event ev = mail_event(t, m, rcpt);

	ev.klass = klass;
	trial_tell(t, DEED_FINAL, NULL, &ev);
}

static void
tell_arrival(struct trial *t, const struct mail *m, uint32_t n)
{
	for (uint32_t i = 0; trial_is_watched(t) && i < n; i++) {
		struct trial_event ev = mail_event(t, m, i);

		trial_tell(t, DEED_ARRIVE, NULL, &ev);
	}
}

static void
submit(struct trial *t, struct feed *f)
{
	uint32_t provider = provider_draw(t, f), n = f->w->each;
	uint64_t body = (uint64_t)dist_draw(&f->w->size, &f->rng);
	struct slice tenant = tenant_draw(f);
	struct mail made = { .arrival_us = t->now,
		.provider = (uint8_t)provider,
		.feed = (uint8_t)(f - t->feeds),
		.domain = scen_domain_draw(&t->s->providers[provider], &f->rng),
		.box = f->nboxes };
	struct handle slot;
	struct mail *m;
	struct spool_ref ref;
	struct envelope env;

	f->nboxes += n;
	make(t, f, &made, tenant, body, &env);
	if (t->mails.live >= t->s->conf->messages_max ||
	    !gate_take(&t->gate.rcpts_free, n)) {
		t->out->refused_at_door++;
		return;
	}
	m = pool_take(&t->mails, &slot);
	ASSERT(m != NULL);
	ref = (struct spool_ref){ .file = 1,
		.offset = slot.index,
		.env_bytes = (uint32_t)env_length(&env, t->rcpts),
		.body_bytes = (uint32_t)MIN(body, UINT32_MAX) };
	made.bytes = RECORD_BYTES + ref.env_bytes + ref.body_bytes;
	*m = made;
	count_arrival(t, f, m);
	tell_arrival(t, m, n);
	core_submit_known(t->core, slot, &ref, &env, t->rcpts);
}

void
feed_arrive(struct trial *t, struct feed *f)
{
	f->i++;
	submit(t, f);
	if (!feed_next(t, f))
		t->nfeeds_left--;
}

/* ---- how it ends --------------------------------------------------------------- */

struct mail *
trial_mail(struct trial *t, const struct job *j)
{
	/* Where a message lies says which it is: slots and refs go together
	 * in the core, and only one of them is in a job. */
	return pool_at(&t->mails, j->ref.offset);
}

static void
tally_final(struct trial *t, struct tally *a, const struct mail *m,
    const struct outcome *o)
{
	uint64_t stay = (uint64_t)(t->now - m->arrival_us);

	a->delivered += o->klass == OUTCOME_DELIVERED;
	a->bounced += o->klass == OUTCOME_BOUNCED;
	a->expired += o->klass == OUTCOME_EXPIRED;
	a->final_us = t->now - START_US;
	a->stay_us += stay;
	a->since_us -= (uint64_t)(m->arrival_us - START_US);
	if (o->klass == OUTCOME_DELIVERED)
		hist_add(&a->stay, (int64_t)stay);
	ASSERT(a->depth > 0);
	if (--a->depth == 0)
		a->drained_us = t->now - START_US;
}

/* One of its messages is over: another may come. */
static void
feed_left(struct trial *t, struct feed *f)
{
	f->live--;
	if (f->w->arrival == ARRIVAL_CLOSED && !happen_is_set(&f->happen))
		(void)feed_next(t, f);
}

void
mail_outcome(struct trial *t, struct handle slot, uint16_t rcpt,
    const struct spool_rcpt *r)
{
	struct mail *m = pool_at(&t->mails, slot.index);
	uint64_t wait;

	if (r->is_final) {
		if (trial_is_watched(t))
			tell_final(t, m, rcpt, r->outcome.klass);
		trial_count(t, m->provider);
		tally_final(t, tally_of(t, m->provider), m, &r->outcome);
		tally_final(t, tally_all(t), m, &r->outcome);
		trial_bucket(t)->delivered +=
		    r->outcome.klass == OUTCOME_DELIVERED;
		feed_left(t, &t->feeds[m->feed]);
		return;
	}
	if (r->due_us == TIME_NEVER)
		return;
	wait = (uint64_t)MAX(r->due_us - (t->now - START_US + WALL_US), 0);
	tally_of(t, m->provider)->retry_us += wait;
	tally_all(t)->retry_us += wait;
}

void
mail_drop(struct trial *t, struct handle slot)
{
	struct mail *m = pool_at(&t->mails, slot.index);

	ask_left(t, m);
	tally_of(t, m->provider)->bytes -= m->bytes;
	tally_all(t)->bytes -= m->bytes;
	pool_give(&t->mails, slot.index);
}
