/*
 * plan/trial.c - the clock and the core of a trial.
 */
#include "plan/trial_i.h"

#define TELL_EVERY 4096 /* events */
#define TTL_US (3600 * US_PER_S)
#define HAPPEN_MAX (1u << 30)
#define ADDRESSES_BYTES (SCEN_EACH_MAX * MAILBOX_MAX)

/* ---- what the core asks for ------------------------------------------------------ */

static void
op_resolve(void *ctx, uint32_t domain, struct slice name, bool is_host)
{
	struct trial *t = ctx;
	struct handle h;
	struct answer *a = pool_take(&t->answers, &h);

	ASSERT(a != NULL);
	a->happen.kind = HAPPEN_ANSWER;
	a->index = h.index;
	a->domain = domain;
	a->is_host = is_host;
	slice_copy(name, a->name, sizeof(a->name));
	happen_at(t, &a->happen, t->now + dist_draw(&t->s->dns, &t->dns));
}

static void
op_open(void *ctx, const struct core_open *o)
{
	peer_open(ctx, o);
}

static void
op_assign(void *ctx, struct job *j)
{
	peer_assign(ctx, j);
}

static void
op_close(void *ctx, struct handle session)
{
	peer_close(ctx, session);
}

static void
op_outcome(void *ctx, struct handle slot, uint16_t rcpt,
    const struct spool_rcpt *r)
{
	mail_outcome(ctx, slot, rcpt, r);
}

static void
op_drop(void *ctx, struct handle slot)
{
	mail_drop(ctx, slot);
}

static void
op_slot_ignored(void *ctx, struct handle slot)
{
	(void)ctx;
	(void)slot;
}

static void
op_commit(void *ctx, struct parcel *p)
{
	(void)ctx;
	(void)p;
	ASSERT(!"a notice to the null sender");
}

static struct parcel *
op_parcel_take(void *ctx)
{
	(void)ctx;
	return NULL;
}

static void
op_parcel_give(void *ctx, struct parcel *p)
{
	(void)ctx;
	(void)p;
}

/* Nobody keeps books. */
static struct buf *
op_book(void *ctx)
{
	(void)ctx;
	return NULL;
}

static uint64_t
op_sequence(void *ctx)
{
	return ++((struct trial *)ctx)->sequence;
}

static void
warm_add(struct trial *t, struct slice source, struct slice provider,
    const struct eng_warm_day *d, bool is_open)
{
	const struct conf *c = t->s->conf;
	struct outlook *o = t->out;
	struct warm_entry e = { .provider = UINT16_MAX,
		.is_open = is_open,
		.day = *d };

	while (e.source < c->nsources &&
	    !slice_eq(c->sources[e.source].name, source))
		e.source++;
	for (uint32_t i = 0; provider.n != 0 && i < c->nproviders; i++)
		if (slice_eq(c->providers[i].name, provider))
			e.provider = (uint16_t)i;
	if (o->nwarm == o->warm_cap) {
		o->warm_cap = o->warm_cap ? 2 * o->warm_cap : 64;
		o->warm = mem_grow(o->warm, o->warm_cap * sizeof(*o->warm));
		ASSERT(o->warm != NULL);
	}
	o->warm[o->nwarm++] = e;
}

static void
op_warm_day(void *ctx, struct slice source, struct slice provider,
    const struct eng_warm_day *d)
{
	warm_add(ctx, source, provider, d, false);
}

static void
warm_open(void *ctx, struct slice source, struct slice provider,
    const struct eng_warm_row *r)
{
	if (r->today.sent != 0)
		warm_add(ctx, source, provider, &r->today, true);
}

static int
warm_cmp(const void *va, const void *vb)
{
	const struct warm_entry *a = va, *b = vb;

	if (a->source != b->source)
		return a->source < b->source ? -1 : 1;
	if (a->provider != b->provider)
		return a->provider < b->provider ? -1 : 1;
	return a->day.day < b->day.day ? -1 : a->day.day > b->day.day;
}

static const struct core_ops ops = {
	.resolve = op_resolve,
	.open = op_open,
	.assign = op_assign,
	.close = op_close,
	.outcome = op_outcome,
	.drop = op_drop,
	.moved_ack = op_slot_ignored,
	.damaged = op_slot_ignored,
	.commit = op_commit,
	.parcel_take = op_parcel_take,
	.parcel_give = op_parcel_give,
	.book = op_book,
	.sequence = op_sequence,
	.warm_day = op_warm_day,
};

/* There is no disk: what asks for it is told so. */
static int64_t
disk_read_none(struct disk *d, uint32_t file, uint64_t off, void *dst, size_t n)
{
	(void)d;
	(void)file;
	(void)off;
	(void)dst;
	(void)n;
	return E_IO;
}

static const struct disk_ops no_disk = { .read = disk_read_none };

/* ---- names --------------------------------------------------------------------- */

/* Every name of the scenario has one mail host with one address, the
 * provider's or its own. */
static void
answer(struct trial *t, struct answer *a)
{
	uint32_t p = nameset_find(&t->s->domains, slice_str(a->name), NULL);
	struct core_answer out = { .status = ENG_DNS_OK, .ttl_us = TTL_US };
	char host[DOMAIN_MAX + 8] = "";
	uint64_t h;

	if (p == 0 && a->name[0] && !a->is_host)
		out.status = ENG_DNS_NXDOMAIN;
	else if (p != 0 && t->s->providers[p - 1].host.n &&
	    !t->s->providers[p - 1].has_own_mx)
		slice_copy(t->s->providers[p - 1].host, host, sizeof(host));
	else if (p != 0 && !t->s->providers[p - 1].has_own_mx)
		snprintf(host, sizeof(host), "mx.%.*s",
		    SLF(t->s->providers[p - 1].name));
	else
		snprintf(host, sizeof(host), "mx.%s", a->name);
	h = hash_bytes(p, host, strlen(host));
	out.n = out.status == ENG_DNS_OK;
	out.target[0].host = slice_str(host);
	out.target[0].pref = 10;
	out.target[0].ip.family = 4;
	memcpy(out.target[0].ip.b, &h, 4);
	core_resolved(t->core, a->domain, &out);
	pool_give(&t->answers, a->index);
}

/* ---- the clock ----------------------------------------------------------------- */

bool
happen_is_set(const struct happen *h)
{
	return h->line.next != NULL || heap_has(&h->node);
}

static void
leave_line(struct happen *h)
{
	if (h->line.next == NULL)
		return;
	list_remove(&h->line);
	h->line.next = NULL;
}

/* What is set for now comes after all that was set before for this instant,
 * and so needs no place in the order of times. */
void
happen_at(struct trial *t, struct happen *h, int64_t when_us)
{
	leave_line(h);
	if (heap_has(&h->node))
		heap_rekey(&t->heap, &h->node, when_us);
	else if (when_us <= t->now)
		list_push_tail(&t->line, &h->line);
	else
		ASSERT(heap_push(&t->heap, &h->node, when_us) == 0);
}

static void
count_one(struct tally *a, int64_t now)
{
	uint64_t passed = (uint64_t)(now - a->counted_us);

	a->depth_us += passed * a->depth;
	a->conn_us += passed * a->conns;
	a->counted_us = now;
}

void
trial_count(struct trial *t, uint32_t provider)
{
	count_one(tally_of(t, provider), t->now);
	count_one(tally_all(t), t->now);
}

/* Twice as wide, half as many. */
static void
buckets_fold(struct outlook *o)
{
	for (uint32_t i = 0; i < TRIAL_BUCKETS / 2; i++) {
		struct bucket a = o->buckets[2 * i], b = o->buckets[2 * i + 1];

		a.depth = b.depth;
		a.depth_max = MAX(a.depth_max, b.depth_max);
		a.arrived += b.arrived;
		a.delivered += b.delivered;
		a.deferred += b.deferred;
		o->buckets[i] = a;
	}
	o->nbuckets = TRIAL_BUCKETS / 2;
	o->bucket_us *= 2;
}

/* The bucket of the present; those that nothing happened in are filled. */
struct bucket *
trial_bucket(struct trial *t)
{
	struct outlook *o = t->out;
	int64_t at = t->now - START_US;

	while (at >= o->bucket_us * o->nbuckets) {
		struct bucket b = { .depth = tally_all(t)->depth };

		b.depth_max = b.depth;
		if (o->nbuckets)
			o->buckets[o->nbuckets - 1].depth = b.depth;
		if (o->nbuckets == TRIAL_BUCKETS)
			buckets_fold(o);
		else
			o->buckets[o->nbuckets++] = b;
	}
	return &o->buckets[o->nbuckets - 1];
}

/* ---- what it costs ------------------------------------------------------------- */

static struct work
work_now(const struct trial *t)
{
	const struct tally *all = &t->out->tallies[t->out->n];
	struct eng_totals e;

	core_totals(t->core, &e);
	return (struct work){
		.messages = t->part == PART_FILL ?
		    all->arrived :
		    all->delivered + all->bounced + all->expired,
		.decisions = e.decisions_total,
		.comparisons = e.comparisons_total + t->heap.compares,
		.moves = e.moves_total + t->heap.moves,
		.steps = e.steps_total,
		.commands = e.commands_total,
	};
}

static void
part_end(struct trial *t, enum trial_part next)
{
	struct work now = work_now(t), *w = &t->out->work[t->part];

#define X(name) w->name = now.name - t->work.name;
	TRIAL_WORK(X)
#undef X
	if (t->watch && t->watch->part)
		t->watch->part(t->watch->ctx, (enum trial_part)t->part,
		    tally_all(t)->depth);
	t->part = (uint8_t)next;
	t->work = work_now(t);
}

void
trial_part(struct trial *t, enum trial_part part)
{
	if (part > t->part)
		part_end(t, part);
}

/* ---- who watches --------------------------------------------------------------- */

void
trial_tell(struct trial *t, enum trial_deed what, const struct peer *p,
    const struct trial_event *of)
{
	struct trial_event ev = { .source = UINT16_MAX };

	if (!trial_is_watched(t))
		return;
	if (of != NULL)
		ev = *of;
	ev.what = (uint8_t)what;
	ev.at_us = t->now - START_US;
	if (p != NULL) {
		ev.provider = p->provider;
		ev.source = p->source;
		ev.connection = p->number;
		ev.nth = p->ndone + 1;
		ev.verdict = p->verdict;
		ev.stage = p->stage;
	}
	t->watch->event(t->watch->ctx, &ev);
}

static void provider_blocked(struct trial *t, uint32_t provider,
    struct eng_blocked sum[ENG_WHY_N]);

/* The ends of times that lie before `at`. */
static void
tell_samples(struct trial *t, int64_t at)
{
	if (t->watch == NULL || t->watch->sample == NULL)
		return;
	for (; t->sample_us <= at; t->sample_us += t->watch->every_us) {
		t->now = t->sample_us;
		core_clock(t->core, t->now, t->now - START_US + WALL_US);
		for (uint32_t i = 0; i < t->out->n; i++) {
			struct eng_blocked b[ENG_WHY_N] = { 0 };

			provider_blocked(t, i, b);
			t->watch->sample(t->watch->ctx, t->now - START_US, i,
			    tally_of(t, i)->depth, b);
		}
	}
}

static void
happens(struct trial *t, struct happen *h)
{
	switch ((enum happen_kind)h->kind) {
	case HAPPEN_ARRIVAL:
		feed_arrive(t, container_of(h, struct feed, happen));
		return;
	case HAPPEN_ANSWER:
		answer(t, container_of(h, struct answer, happen));
		return;
	case HAPPEN_PEER:
		peer_happen(t, container_of(h, struct peer, happen));
	}
}

static bool
is_over(const struct trial *t)
{
	return (t->nfeeds_left == 0 && t->out->tallies[t->out->n].depth == 0) ||
	    asks_are_over(t);
}

/* Asks for what the first in the heap will touch, if nothing comes between. */
static void
ask_first(const struct trial *t)
{
	const struct heap_node *n = heap_peek(&t->heap);
	const struct happen *h;

	if (n == NULL)
		return;
	h = container_of(n, struct happen, node);
	if (h->kind == HAPPEN_PEER)
		peer_ask(t, container_of(h, struct peer, happen));
}

/* The first in the heap of this instant, else the first of the line. */
static struct happen *
happen_take(struct trial *t)
{
	struct heap_node *n = heap_peek(&t->heap);
	struct happen *h;

	if (list_is_empty(&t->line) || (n != NULL && n->key <= t->now)) {
		h = container_of(heap_pop(&t->heap), struct happen, node);
		ask_first(t);
		return h;
	}
	h = container_of(t->line.next, struct happen, line);
	leave_line(h);
	return h;
}

/* One instant's worth: what happens then, or the core's own timers. False when
 * nothing is left, or only beyond the horizon. */
static bool
turn(struct trial *t, int64_t until)
{
	struct heap_node *n = heap_peek(&t->heap);
	int64_t core_at = core_deadline(t->core), at;

	core_at = MAX(core_at, t->now);
	at = n ? MIN(n->key, core_at) : core_at;
	if (!list_is_empty(&t->line))
		at = t->now;
	if (t->watch && t->watch->nasks)
		asks_due(t, at);
	if (at >= until || is_over(t))
		return false;
	tell_samples(t, at - 1);
	/* Buckets end before what happens behind their end. */
	t->now = at;
	(void)trial_bucket(t);
	core_clock(t->core, at, at - START_US + WALL_US);
	if (core_at <= at)
		core_tick(t->core);
	else
		happens(t, happen_take(t));
	t->out->events++;
	return true;
}

/* ---- birth, life, death -------------------------------------------------------- */

/* So wide that all that comes fits into half of the buckets. */
static int64_t
bucket_width(const struct scen *s)
{
	static const int64_t nice_s[] = { 1, 2, 5, 10, 15, 30, 60, 120, 300,
		600, 900, 1800, 3600, 7200, 21600, 86400 };
	double span = 0;
	size_t i = 0;

	for (uint32_t k = 0; k < s->nworkloads; k++) {
		const struct scen_workload *w = &s->workloads[k];
		double us = (double)w->for_us;

		if (w->arrival == ARRIVAL_CAMPAIGN && w->rate > 0)
			us = (double)w->count / w->rate * (double)US_PER_S;
		span = MAX(span, us + (double)w->start_us);
	}
	while (i + 1 < ARRAY_LEN(nice_s) &&
	    (double)(nice_s[i] * US_PER_S) * (TRIAL_BUCKETS / 2) < span)
		i++;
	return nice_s[i] * US_PER_S;
}

static bool
trial_make(struct trial *t, uint64_t seed)
{
	const struct scen *s = t->s;
	struct outlook *o = t->out;

	o->seed = seed;
	o->bucket_us = bucket_width(s);
	o->n = s->nproviders;
	o->tallies = mem_get((o->n + 1) * sizeof(*o->tallies));
	for (uint32_t i = 0; i <= o->n; i++)
		o->tallies[i].counted_us = START_US;
	t->now = START_US;
	if (t->watch)
		t->sample_us = START_US + t->watch->every_us;
	t->disk.ops = &no_disk;
	atomic_store(&t->gate.rcpts_free, (int64_t)s->conf->rcpts_max);
	heap_init(&t->heap, HAPPEN_MAX);
	list_init(&t->line);
	pool_init(&t->mails, sizeof(struct mail), s->conf->messages_max);
	pool_init(&t->peers, sizeof(struct peer), HAPPEN_MAX);
	pool_init(&t->answers, sizeof(struct answer), HAPPEN_MAX);
	buf_init(&t->address, ADDRESSES_BYTES);
	t->rcpts = mem_get(SCEN_EACH_MAX * sizeof(*t->rcpts));
	t->cold = (struct verdict){ .kind = VERDICT_REPLY, .code = 421 };
	if (s->warm)
		t->young = mem_get(s->conf->nsources * sizeof(*t->young));
	rng_seed(&t->dns, hash_u64(seed ^ 1));
	t->providers = mem_get(o->n * sizeof(*t->providers));
	for (uint32_t i = 0; i < o->n; i++) {
		t->providers[i].p = &s->providers[i];
		dice_seed(&t->providers[i].dice, seed, s->providers[i].name);
		t->providers[i].sources = mem_get(
		    s->conf->nsources * sizeof(*t->providers[i].sources));
		guard_memory_init(&t->providers[i].memory, seed);
	}
	t->core = core_new(s->conf, &t->disk, &t->gate, hash_u64(seed), &ops, t,
	    t->now, WALL_US);
	return t->core != NULL;
}

static void
blocked_add(struct eng_blocked *to, const struct eng_blocked *from)
{
	for (int w = 0; w < ENG_WHY_N; w++) {
		to[w].refusals += from[w].refusals;
		to[w].path_us += from[w].path_us;
		to[w].rcpt_us += from[w].rcpt_us;
	}
}

/* Each range of a provider's domains has a limit of its own. */
static void
provider_blocked(struct trial *t, uint32_t provider,
    struct eng_blocked sum[ENG_WHY_N])
{
	const struct scen_provider *p = &t->s->providers[provider];

	for (uint32_t k = 0; k < p->nspecs; k++) {
		struct eng_blocked b[ENG_WHY_N];

		buf_reset(&t->address);
		scen_domain(p, k ? p->specs[k - 1].up_to : 0, &t->address);
		core_blocked(t->core, buf_slice(&t->address), b);
		blocked_add(sum, b);
	}
}

static void
blocked_take(struct trial *t)
{
	for (uint32_t i = 0; i < t->out->n; i++) {
		provider_blocked(t, i, tally_of(t, i)->blocked);
		blocked_add(tally_all(t)->blocked, tally_of(t, i)->blocked);
	}
}

static void
trial_free(struct trial *t)
{
	trial_peers_free(t);
	if (t->core)
		core_free(t->core);
	for (uint32_t i = 0; t->providers && i < t->out->n; i++) {
		mem_free(t->providers[i].sources);
		guard_memory_free(&t->providers[i].memory);
	}
	mem_free(t->providers);
	mem_free(t->young);
	mem_free(t->feeds);
	mem_free(t->rcpts);
	pool_free(&t->mails);
	pool_free(&t->answers);
	buf_free(&t->address);
	heap_free(&t->heap);
}

struct outlook *
trial_run(const struct scen *s, uint64_t seed, const struct demand *demand,
    const struct trial_watch *watch)
{
	int64_t until = s->until_us ? START_US + s->until_us : TIME_NEVER;
	struct trial t = { .s = s,
		.out = mem_get(sizeof(struct outlook)),
		.watch = watch };

	ASSERT(trial_make(&t, seed));
	feeds_make(&t, seed, demand);
	while (turn(&t, until))
		if (watch && watch->tell && t.out->events % TELL_EVERY == 0)
			watch->tell(watch->ctx, t.now - START_US,
			    tally_all(&t)->arrived, tally_all(&t)->depth);
	part_end(&t, PART_N);
	if (s->until_us && !is_over(&t))
		t.now = until;
	core_clock(t.core, t.now, t.now - START_US + WALL_US);
	for (uint32_t i = 0; i < t.out->n; i++)
		trial_count(&t, i);
	blocked_take(&t);
	t.out->end_us = t.now - START_US;
	core_warm_rows(t.core, warm_open, &t);
	if (t.out->nwarm)
		qsort(t.out->warm, t.out->nwarm, sizeof(*t.out->warm),
		    warm_cmp);
	trial_free(&t);
	return t.out;
}

bool
tally_keeps_little(const struct outlook *o, const struct tally *a)
{
	uint64_t still = a->depth * (uint64_t)o->end_us - a->since_us;

	return a->depth_us == a->stay_us + still;
}

void
outlook_free(struct outlook *o)
{
	mem_free(o->tallies);
	mem_free(o->warm);
	mem_free(o);
}
