/*
 * daemon/corehost.c - hosts the core on a worker's loop: clocks, posts in,
 * commands out, DNS.
 *
 * The core never speaks from inside a call of ours into another: what its
 * commands ask for becomes posts, and what these lead to comes back as posts.
 * Outcomes for the spooler gather in batches, wait for their lines in the event
 * log, and ride with the next group; if none comes the spooler is woken for them
 * within OUTCOME_WAKE_US, well inside the 200 ms in which an outcome may be
 * unsynced.
 */
#include "daemon/returned.h"
#include "daemon/rules.h"
#include "daemon/sts.h"
#include "daemon/tlsrpt.h"

#define OUTCOME_WAKE_US (80 * US_PER_MS)
#define KEEP_WAIT_US (20 * US_PER_MS) /* for more of its kind */

/* The worker that carries a session. */
static struct worker *
worker_of(struct worker *w, struct handle session)
{
	struct daemon *d = w->d;
	uint32_t n = 0, at[WORKERS_MAX];

	if (w->roles & ROLE_OUT && d->nworkers <= 2)
		return w;
	for (uint32_t i = 0; i < d->nworkers; i++)
		if (d->worker[i].roles & ROLE_OUT)
			at[n++] = i;
	ASSERT(n);
	return &d->worker[at[session.index % n]];
}

static void
post_to(struct worker *w, struct worker *to, struct post *p)
{
	if (to == w)
		posts_push(&w->inbox, p);
	else
		worker_post(to, p);
}

void
corehost_post(struct worker *w, struct post *p)
{
	posts_push(&w->core_inbox, p);
}

/* ---- what the core asks for ---------------------------------------------------------- */

/* A domain whose MTA-STS policy, if any, is known when its hosts are. */
struct resolving {
	struct worker *w;
	uint32_t domain;
	uint8_t sts; /* enum core_sts */
	size_t hosts_n;
	char *hosts; /* owned */
	char name[DOMAIN_MAX + 1];
};

static void
give_core(struct worker *w, uint32_t domain, const struct dns_answer *a,
    const struct resolving *sts)
{
	static const enum eng_dns status[] = {
		[DNS_OK] = ENG_DNS_OK,
		[DNS_NXDOMAIN] = ENG_DNS_NXDOMAIN,
		[DNS_NULL_MX] = ENG_DNS_NULL_MX,
		[DNS_NO_ADDRESS] = ENG_DNS_NO_ADDRESS,
		[DNS_TEMP] = ENG_DNS_TEMP,
	};
	struct core_answer r = { .status = status[a->status],
		.why = a->why,
		.ttl_us = (int64_t)a->ttl_s * US_PER_S,
		.is_secure = a->is_secure };

	for (uint32_t i = 0; i < MIN(a->naddrs, ENG_TARGETS_MAX); i++) {
		uint32_t h = a->addrs[i].host;

		r.target[r.n].host = slice_str(a->hosts[h].name);
		r.target[r.n].pref = a->hosts[h].pref;
		r.target[r.n].ip = a->addrs[i].ip;
		r.n++;
	}
	core_clock(w->core, loop_now(w->loop), loop_wall(w->loop));
	if (sts) {
		r.sts = sts->sts;
		r.sts_hosts = slice_of(sts->hosts, sts->hosts_n);
	}
	core_resolved(w->core, domain, &r);
}

static void
answer_core(void *user, uint64_t cookie, const struct dns_answer *a)
{
	give_core(user, (uint32_t)cookie, a, NULL);
}

static void
answer_sts(void *user, uint64_t cookie, const struct dns_answer *a)
{
	struct resolving *x = user;

	(void)cookie;
	give_core(x->w, x->domain, a, x);
	mem_free(x->hosts);
	mem_free(x);
}

static void
on_sts(void *user, uint64_t cookie, enum sts_mode mode, struct slice hosts)
{
	static const uint8_t modes[] = { [STS_NONE] = CORE_STS_NONE,
		[STS_TESTING] = CORE_STS_TESTING,
		[STS_ENFORCE] = CORE_STS_ENFORCE };
	struct resolving *x = user;

	(void)cookie;
	x->sts = modes[mode];
	if (x->sts != CORE_STS_NONE && hosts.n > 0) {
		x->hosts = mem_get(hosts.n);
		memcpy(x->hosts, hosts.p, hosts.n);
		x->hosts_n = hosts.n;
	}
	dns_lookup(x->w->dns, slice_str(x->name), false, answer_sts, x, 0);
}

static void
resolve_sts(struct worker *w, uint32_t domain, struct slice name)
{
	struct resolving *x = mem_get(sizeof(*x));

	x->w = w;
	x->domain = domain;
	slice_copy(name, x->name, sizeof(x->name));
	sts_find(w->sts, name, on_sts, x, 0);
}

static void
op_resolve(void *ctx, uint32_t domain, struct slice name, bool is_host)
{
	struct worker *w = ctx;
	struct post_routed *p;

	if (name.n && w->sts && w->conf->uses_sts && !is_host) {
		resolve_sts(w, domain, name);
		return;
	}
	if (name.n) {
		dns_lookup(w->dns, name, is_host, answer_core, w, domain);
		return;
	}
	p = mem_get(sizeof(*p));
	p->post.kind = POST_ROUTED;
	p->domain = domain;
	corehost_post(w, &p->post);
}

/* To hosts that the domain has named itself. */
static bool
is_reported(const struct conf *c, struct slice domain)
{
	const struct conf_route *r = conf_route_find(c, domain);

	return c->tls_report.from.n > 0 && (r == NULL || r->nhosts == 0);
}

static void
op_open(void *ctx, const struct core_open *o)
{
	struct worker *w = ctx;
	const struct conf_source *src = &w->conf->sources[o->source];
	struct post_open *p = mem_get(sizeof(*p));

	p->post.kind = POST_OPEN;
	p->session = o->session;
	p->from = src->address;
	p->to = o->to;
	p->is_clear = o->is_clear;
	slice_copy(src->ehlo.n ? src->ehlo : w->conf->hostname, p->ehlo,
	    sizeof(p->ehlo));
	slice_copy(o->host, p->host, sizeof(p->host));
	slice_copy(o->source_name, p->source, sizeof(p->source));
	slice_copy(o->site, p->site, sizeof(p->site));
	slice_copy(o->provider, p->provider, sizeof(p->provider));
	p->is_proxy_away = o->proxy == CORE_PROXIES_AWAY;
	p->is_proxy_tried = o->is_tried;
	if (o->proxy >= 0)
		slice_copy(w->conf->proxies[o->proxy].name, p->proxy,
		    sizeof(p->proxy));
	if (w->tlsrpt != NULL && is_reported(w->conf, o->domain))
		slice_copy(o->domain, p->domain, sizeof(p->domain));
	secure_open(w, worker_of(w, o->session), p, o->tls);
}

static void
op_assign(void *ctx, struct job *j)
{
	struct worker *w = ctx;

	j->post.kind = POST_ASSIGN;
	post_to(w, worker_of(w, j->session), &j->post);
}

static void
post_session(struct worker *w, enum post_kind kind, struct handle session)
{
	struct post_session *p = mem_get(sizeof(*p));

	p->post.kind = kind;
	p->session = session;
	post_to(w, worker_of(w, session), &p->post);
}

static void
op_close(void *ctx, struct handle session)
{
	if (!secure_close(ctx, session))
		post_session(ctx, POST_CLOSE, session);
}

static void
op_take_back(void *ctx, struct handle session)
{
	post_session(ctx, POST_TAKE_BACK, session);
}

/* Room for one more item to the spooler. */
static struct outcome_item *
item(struct worker *w, enum outcome_item_kind kind, struct handle slot)
{
	struct outcome_item *it;

	if (w->outcomes && w->outcomes->n == OUTCOMES_PER_POST) {
		posts_push(&w->to_spool, &w->outcomes->post);
		w->outcomes = NULL;
	}
	if (!w->outcomes) {
		w->outcomes = mem_get(sizeof(*w->outcomes));
		w->outcomes->post.kind = POST_OUTCOMES;
	}
	if (!w->fresh_since_us)
		w->fresh_since_us = loop_now(w->loop);
	it = &w->outcomes->v[w->outcomes->n++];
	it->kind = (uint8_t)kind;
	it->slot = slot;
	return it;
}

static struct slice
owned(struct slice s)
{
	char *p = s.n ? mem_try(s.n) : NULL;

	if (!p)
		return slice_of(NULL, 0);
	memcpy(p, s.p, s.n);
	return slice_of(p, s.n);
}

static void
op_outcome(void *ctx, struct handle slot, uint16_t rcpt,
    const struct spool_rcpt *r)
{
	struct outcome_item *it = item(ctx, ITEM_OUTCOME, slot);

	it->rcpt = rcpt;
	it->state = *r;
	it->state.text = owned(r->text);
	it->state.mta = owned(r->mta);
}

static void
op_drop(void *ctx, struct handle slot)
{
	item(ctx, ITEM_DROP, slot);
}

static void
op_moved_ack(void *ctx, struct handle slot)
{
	item(ctx, ITEM_MOVED_ACK, slot);
}

static void
op_damaged(void *ctx, struct handle slot)
{
	item(ctx, ITEM_DAMAGED, slot);
}

/* A notice. Outcomes given before it must reach the spool first: the payment
 * refers to the debt. */
static void
op_commit(void *ctx, struct parcel *p)
{
	struct worker *w = ctx;

	if (w->outcomes) {
		posts_push(&w->to_spool, &w->outcomes->post);
		w->outcomes = NULL;
	}
	p->origin = NULL;
	p->post.kind = POST_COMMIT;
	posts_push(&w->to_spool, &p->post);
	if (!w->fresh_since_us)
		w->fresh_since_us = loop_now(w->loop);
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
op_find(void *ctx)
{
	return worker_find(ctx);
}

static struct buf *
op_book(void *ctx)
{
	return worker_book(ctx);
}

static uint64_t
op_sequence(void *ctx)
{
	struct worker *w = ctx;

	return ((uint64_t)w->number << 40) | (++w->sequence & 0xffffffffff);
}

/* Entries gather for a moment, and while others are being written. */
static void
op_keep(void *ctx, const struct kept *k, uint64_t serial)
{
	struct worker *w = ctx;

	if (!w->keeping) {
		w->keeping = mem_get(sizeof(*w->keeping));
		w->keeping->post.kind = POST_KEEP;
		w->keeping->from = w;
		w->keep_since_us = loop_now(w->loop);
	}
	shelf_put(&w->keeping->shelf, k);
	w->keeping->serial = serial;
}

void
corehost_keep(struct worker *w, const struct kept *k)
{
	op_keep(w, k, w->keeping ? w->keeping->serial : 0);
}

uint64_t
corehost_sequence(struct worker *w)
{
	return op_sequence(w);
}

static size_t
op_rule(void *ctx, const struct outcome *o, struct slice provider,
    struct slice text, char *dst, size_t cap)
{
	return rules_name(ctx, o, provider, text, dst, cap);
}

static void
op_check_proxy(void *ctx, uint32_t proxy)
{
	struct worker *w = ctx;
	struct post_proxy *p = mem_get(sizeof(*p));

	p->post.kind = POST_LOOK;
	slice_copy(w->conf->proxies[proxy].name, p->name, sizeof(p->name));
	post_to(w, worker_of(w, (struct handle){ proxy, 1 }), &p->post);
}

static void
op_bounced(void *ctx, const struct book_entry *e)
{
	suppressor_bounced(ctx, e);
}

static void
op_back(void *ctx, struct core_back *b)
{
	returner_take(ctx, b);
}

static const struct core_ops core_ops = {
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
	.find = op_find,
	.sequence = op_sequence,
	.keep = op_keep,
	.rule = op_rule,
	.bounced = op_bounced,
	.check_proxy = op_check_proxy,
	.back = op_back,
};

/* ---- the core's turn --------------------------------------------------------------------- */

static const char *
word_copy(char **at, const char *word)
{
	size_t n = strlen(word) + 1;
	char *to = *at;

	memcpy(to, word, n);
	*at += n;
	return to;
}

/* The engine may use the session's number again in this very step, and the
 * worker must have forgotten the old one before it hears of the new: so the
 * word to forget goes first, and copies serve here. */
static void
session_down(struct worker *w, struct post_session *p)
{
	struct session_facts facts = *p->facts;
	struct post_session copy = *p;
	char words[SESSION_WORDS_MAX], *at = words;

	if (w->tlsrpt != NULL && p->outcome.klass == OUTCOME_TRANSIENT &&
	    (p->outcome.stage == STAGE_TLS ||
		p->outcome.stage == STAGE_STARTTLS))
		tlsrpt_session(w->tlsrpt, &facts, false, slice_str(p->text));
	facts.domain = facts.policy_type = facts.policy_strings = NULL;
	facts.host = word_copy(&at, facts.host);
	facts.source = word_copy(&at, facts.source);
	facts.site = word_copy(&at, facts.site);
	facts.tls = word_copy(&at, facts.tls);
	facts.tls_policy = word_copy(&at, facts.tls_policy);
	facts.provider = word_copy(&at, facts.provider);
	p->post.kind = POST_SESSION_FREE;
	post_to(w, p->from, &p->post);
	core_session_down(w->core, copy.session, &copy.outcome, &copy.heard,
	    slice_str(copy.text), &facts);
}

static void
submit(struct worker *w, struct post_submit *p)
{
	core_submit(w->core, p->slot, &p->ref, slice_of(p->envelope, p->n));
	mem_free(p);
}

static void
routed(struct worker *w, struct post_routed *p)
{
	struct core_answer none = { .status = ENG_DNS_TEMP };

	core_resolved(w->core, p->domain, &none);
	mem_free(p);
}

static void
kept(struct worker *w, struct post_keep *p)
{
	uint64_t serial = p->serial;

	w->is_keeping = false;
	shelf_free(&p->shelf);
	mem_free(p);
	if (serial != 0) /* none of it was the engine's */
		core_kept(w->core, serial);
}

static void
seen(struct worker *w, struct post_proxy *p)
{
	const struct core_seen s = { .proxy = slice_str(p->name),
		.source = slice_str(p->source),
		.is_well = p->is_well,
		.is_look = p->is_look,
		.why = slice_str(p->why),
		.began_us = p->began_us };

	core_proxy_seen(w->core, &s);
	mem_free(p);
}

static void
handle(struct worker *w, struct post *p)
{
	struct post_session *ps = container_of(p, struct post_session, post);
	struct post_moved *pm = container_of(p, struct post_moved, post);
	struct post_damage *pd = container_of(p, struct post_damage, post);
	struct parcel *parcel = container_of(p, struct parcel, post);
	struct job *job = container_of(p, struct job, post);

	switch (p->kind) {
	case POST_SUBMIT:
		submit(w, container_of(p, struct post_submit, post));
		return;
	case POST_RESULT:
		core_result(w->core, job, job->session_facts);
		return;
	case POST_UP:
		if (w->tlsrpt != NULL)
			tlsrpt_session(w->tlsrpt, ps->facts, ps->is_tls,
			    SL(""));
		core_session_up(w->core, ps->session, ps->caps, ps->is_tls);
		mem_free(ps);
		return;
	case POST_DOWN:
		session_down(w, ps);
		return;
	case POST_NOTICE_DONE:
		core_notice_done(w->core, parcel);
		parcel_give(w, parcel);
		return;
	case POST_MOVED:
		core_moved(w->core, pm->slot, &pm->ref);
		mem_free(pm);
		return;
	case POST_DAMAGE:
		core_damage(w->core, &pd->damage);
		mem_free(pd);
		return;
	case POST_ROUTED:
		routed(w, container_of(p, struct post_routed, post));
		return;
	case POST_KEPT:
		kept(w, container_of(p, struct post_keep, post));
		return;
	case POST_SEEN:
		seen(w, container_of(p, struct post_proxy, post));
		return;
	case POST_REPORT_DONE:
		if (w->tlsrpt != NULL)
			tlsrpt_posted(w->tlsrpt,
			    container_of(p, struct post_report, post));
		return;
	case POST_STS_DONE:
		sts_done(w->sts, container_of(p, struct post_sts, post));
		return;
	case POST_BACK_DONE:
		returner_done(w, container_of(p, struct returned, post));
		return;
	case POST_ASK:
		counter_ask(w, container_of(p, struct ask, post));
		return;
	default:
		ASSERT(!"a post for the core");
	}
}

void
corehost_turn(struct worker *w)
{
	struct post *p, *next;

	core_clock(w->core, loop_now(w->loop), loop_wall(w->loop));
	core_disk(w->core, spool_is_stuck(w->d->spooler.spool));
	while ((p = posts_shift(&w->core_inbox))) {
		next = w->core_inbox.head;
		if (next && next->kind == POST_RESULT)
			core_result_ask(w->core,
			    container_of(next, struct job, post));
		handle(w, p);
	}
	if (core_deadline(w->core) <= loop_now(w->loop))
		core_tick(w->core);
	if (w->sts)
		sts_turn(w->sts);
	if (w->tlsrpt && !w->is_stopping)
		tlsrpt_turn(w->tlsrpt);
	drain_turn(w);
	if (w->d->recorder)
		recorder_turn(w->d->recorder, w->core, loop_now(w->loop));
}

int64_t
corehost_deadline(const struct worker *w)
{
	int64_t at = MIN(core_deadline(w->core), drain_host_deadline(w));

	if (w->given_since_us)
		at = MIN(at, w->given_since_us + OUTCOME_WAKE_US);
	if (w->held_since_us)
		at = MIN(at, w->held_since_us + OUTCOME_WAKE_US);
	if (w->keeping && !w->is_keeping)
		at = MIN(at, w->keep_since_us + KEEP_WAIT_US);
	if (w->sts)
		at = MIN(at, sts_deadline(w->sts));
	if (w->tlsrpt && !w->is_stopping)
		at = MIN(at, tlsrpt_deadline(w->tlsrpt));
	if (w->d->recorder)
		at = MIN(at, recorder_deadline(w->d->recorder));
	return at;
}

static bool
is_late(const struct worker *w, int64_t since_us)
{
	return since_us &&
	    (w->is_stopping || loop_now(w->loop) - since_us >= OUTCOME_WAKE_US);
}

/* Fresh ones are held from when the clerk has got all the lines there are. The
 * Receptions are another worker's: it has them in its books when it has seen the
 * answers that were there when the core heard of the messages. */
static void
hold(struct worker *w)
{
	struct daemon *d = w->d;

	if (w->held.head || !w->to_spool.head || w->book.n)
		return;
	w->held = w->to_spool;
	w->held_since_us = w->fresh_since_us;
	for (uint32_t i = 0; i < d->nworkers; i++) {
		w->held_for[i].answers = atomic_load(&d->spooler.answers[i]);
		w->held_for[i].has_seen = false;
	}
	w->held_for[w->number].has_seen = true;
	w->held_for[w->number].book = w->books_sent;
	w->to_spool = (struct posts){ NULL, NULL };
	w->fresh_since_us = 0;
}

static bool
is_written(struct worker *w, uint32_t i)
{
	const struct worker *other = &w->d->worker[i];

	if (!w->held_for[i].has_seen) {
		if (atomic_load(&other->answers_seen) < w->held_for[i].answers)
			return false;
		w->held_for[i].has_seen = true;
		w->held_for[i].book = atomic_load(&other->books_begun);
	}
	return atomic_load(&other->books_written) >= w->held_for[i].book;
}

static bool
all_is_written(struct worker *w)
{
	for (uint32_t i = 0; i < w->d->nworkers; i++)
		if (!is_written(w, i))
			return false;
	return true;
}

static void
give(struct worker *w)
{
	if (!w->given_since_us)
		w->given_since_us = w->held_since_us;
	spooler_post(&w->d->spooler, &w->held, false);
	w->held_since_us = 0;
}

static void
keep_flush(struct worker *w)
{
	if (!w->keeping || w->is_keeping ||
	    loop_now(w->loop) - w->keep_since_us < KEEP_WAIT_US)
		return;
	keeper_post(&w->d->keeper, &w->keeping->post);
	w->keeping = NULL;
	w->is_keeping = true;
}

/*
 * An outcome goes to the spool behind its line and behind the Reception of its
 * message: a crash between the two makes the line appear twice, with the same
 * event_id, and never not at all. What is not over after a crash the spool has,
 * and a start looks whether its Reception stands in the log. Where the clerk
 * does not come to it in time the outcome goes alone.
 */
void
corehost_flush(struct worker *w)
{
	struct posts none = { NULL, NULL };
	bool all;

	keep_flush(w);
	if (w->outcomes) {
		posts_push(&w->to_spool, &w->outcomes->post);
		w->outcomes = NULL;
	}
	all = w->held.head && all_is_written(w);
	if (w->held.head && (all || is_late(w, w->held_since_us))) {
		COUNT(w, outcomes_ahead, !all);
		give(w);
	}
	hold(w);
	if (w->held.head && w->is_stopping)
		give(w);
	if (is_late(w, w->given_since_us)) {
		spooler_post(&w->d->spooler, &none, true);
		w->given_since_us = 0;
	}
}

/* ---- its life ------------------------------------------------------------------------------ */

/* AAAA is asked for only when some source could use the answer. */
static bool
some_source_is_v6(const struct conf *c)
{
	for (uint32_t i = 0; i < c->nsources; i++)
		if (c->sources[i].address.family != 4)
			return c->is_ipv6;
	return c->is_ipv6 && c->nsources == 0;
}

struct dns *
corehost_dns(const struct conf *c, struct loop *l)
{
	struct dns_conf dc = {
		.nservers = c->dns.nservers,
		.trust_anchor =
		    c->dns.trust_anchor.n ? c->dns.trust_anchor.p : NULL,
		.timeout_us = c->dns.timeout_us,
		.inflight_max = c->dns.inflight_max,
		.per_parent_max = c->dns.per_parent_max,
		.queue_max = c->dns.queue_max,
		.cache_bytes = c->dns.cache_bytes,
		.queries_per_second_max =
		    c->dns.queries_per_second_max * MAX(c->dns.nservers, 1u),
		.stale_us = c->dns.stale_us,
		.is_ipv4 = c->is_ipv4,
		.is_ipv6 = some_source_is_v6(c),
		.port = c->smtp_port,
	};
	char why[256];
	struct dns *d;

	for (uint32_t i = 0; i < dc.nservers; i++)
		dc.servers[i] = c->dns.servers[i];
	d = dns_new(l, &dc, why, sizeof(why));
	if (!d)
		log_event(LOG_ERROR, "dns", "what", why, NULL);
	return d;
}

int
corehost_open(struct worker *w)
{
	struct spool_stats spool;
	int64_t now = clock_mono_us(), wall = clock_wall_us();

	w->dns = corehost_dns(w->conf, w->loop);
	if (!w->dns)
		return E_IO;
	if (w->conf->uses_sts)
		w->sts = sts_new(w);
	if (w->conf->tls_report.from.n > 0)
		w->tlsrpt = tlsrpt_new(w);
	w->core = core_new(w->conf, w->d->disk, &w->d->gate, (uint64_t)wall,
	    &core_ops, w, now, wall);
	if (!w->core)
		return E_NOMEM;
	spool_stats_get(w->d->spooler.spool, &spool);
	if (spool.segments > 0) /* not the first start of all */
		core_rates_spent(w->core);
	if (w->d->recorder)
		recorder_start(w->d->recorder, w->core, now);
	return drain_open(w);
}

/* Would the two make the same look-ups? */
static bool
same_dns(const struct conf *a, const struct conf *b)
{
	for (uint32_t i = 0; i < a->dns.nservers; i++)
		if (!ip_eq(&a->dns.servers[i].ip, &b->dns.servers[i].ip) ||
		    a->dns.servers[i].port != b->dns.servers[i].port)
			return false;
	return a->dns.nservers == b->dns.nservers &&
	    slice_eq(a->dns.trust_anchor, b->dns.trust_anchor) &&
	    a->dns.timeout_us == b->dns.timeout_us &&
	    a->dns.inflight_max == b->dns.inflight_max &&
	    a->dns.per_parent_max == b->dns.per_parent_max &&
	    a->dns.queue_max == b->dns.queue_max &&
	    a->dns.cache_bytes == b->dns.cache_bytes &&
	    a->dns.queries_per_second_max == b->dns.queries_per_second_max &&
	    a->dns.stale_us == b->dns.stale_us && a->is_ipv4 == b->is_ipv4 &&
	    some_source_is_v6(a) == some_source_is_v6(b) &&
	    a->smtp_port == b->smtp_port;
}

/* After a reload that changes DNS what is under way goes on with the new
 * servers; any other leaves look-ups and cache alone. */
void
corehost_reload(struct worker *w, const struct conf *old)
{
	struct dns *fresh =
	    same_dns(old, w->conf) ? NULL : corehost_dns(w->conf, w->loop);
	struct dns *stale = w->dns;

	if (w->conf->uses_sts && !w->sts)
		w->sts = sts_new(w);
	if (w->conf->tls_report.from.n > 0 && !w->tlsrpt)
		w->tlsrpt = tlsrpt_new(w);

	if (fresh) {
		w->dns = fresh; /* answers lead to new questions */
		dns_move(stale, fresh);
		dns_free(stale);
	}
	core_reload(w->core, w->conf, loop_now(w->loop));
}

void
corehost_close(struct worker *w)
{
	if (w->sts)
		sts_stop(w->sts);
	if (w->dns)
		dns_free(w->dns);
	if (w->sts)
		sts_free(w->sts);
	w->sts = NULL;
	if (w->tlsrpt)
		tlsrpt_free(w->tlsrpt);
	w->tlsrpt = NULL;
	drain_close(w);
	if (w->core)
		core_free(w->core);
	w->core = NULL;
}
