/*
 * daemon/suppressor.c - the thread that owns the file of the suppressed: it
 * carries out orders, learns from bounces and complaints, and builds the filter
 * that workers ask.
 *
 * All that has come is written in one transaction and synced once. Then a bulletin
 * goes to every worker that takes mail; the last of them to have read it sends the
 * answers on their way: who is told that an entry is there finds it at the door.
 *
 * A filter is built by slices of a walk over the file, between which orders are
 * carried out; what comes after the walk began is told again with the filter. Until
 * the first one is there the file is asked for each recipient.
 */
#include <stdio.h>
#include <sys/random.h>

#include "daemon/daemon_i.h"

#define SLICE 20000u /* entries of a walk between two looks at the mailbox */
#define BUILD_EVERY_US (12 * 3600 * US_PER_S)
#define BUILD_AGAIN_US (60 * US_PER_S) /* one that failed */
/* Fresh entries of which the desks' tables become large enough for a new filter. */
#define FRESH_MANY (SUPPRESS_FRESH_MAX / 4)
#define EXPIRED_MAX 10000u /* taken out behind one walk */
#define COMPLAIN_US (60 * US_PER_S)
#define STRIKES_KEEP_US (400 * 86400 * US_PER_S)
#define WRITER_CACHE (2u << 20)
/* Of all workers together. The inner pages of ten million entries are 12 MB: with
 * these at hand an entry costs one read of a page. */
#define CACHE_ALL (24u << 20)

/* One, shared by the posts of it. */
struct bulletin {
	_Atomic uint32_t left;    /* workers that have not read it */
	struct suppress_set *set; /* or NULL */
	uint32_t n, cap;
	struct suppress_news *v;
	struct posts asks; /* to be answered then */
};

struct post_bulletin {
	struct post post;
	struct bulletin *b;
};

struct suppress_build {
	struct suppress_db *db; /* its own connection: a view that stays */
	struct suppress_walk *walk;
	struct suppress_set *set;
	struct bulletin *later; /* what came meanwhile */
	uint64_t wanted;
	int64_t now_s;
	struct buf expired; /* struct dead, each with its texts behind */
	uint32_t nexpired;
};

struct dead {
	uint16_t tenant_n, name_n;
	bool is_domain;
};

static void
complain(struct suppressor *s, const char *what, const char *why)
{
	int64_t now = clock_mono_us();

	if (s->complained_us && now - s->complained_us < COMPLAIN_US)
		return;
	s->complained_us = now;
	log_event(LOG_ERROR, "suppression", "what", what, "path",
	    s->d->conf->suppression.file.p, "error", why, NULL);
}

/* ---- bulletins ------------------------------------------------------------------- */

static struct bulletin *
bulletin_new(void)
{
	return mem_get(sizeof(struct bulletin));
}

static void
bulletin_free(struct bulletin *b)
{
	suppress_set_give(b->set);
	mem_free(b->v);
	mem_free(b);
}

/* Without memory the next filter is told of it alone. */
static void
bulletin_add(struct bulletin *b, const struct suppress_news *n)
{
	struct suppress_news *v;
	uint32_t cap = b->cap ? 2 * b->cap : 16;

	if (b->n > SUPPRESS_FRESH_MAX)
		return; /* with so many, the file is asked each time */
	if (b->n == b->cap) {
		v = mem_grow(b->v, cap * sizeof(*v));
		ASSERT(v != NULL);
		b->v = v;
		b->cap = cap;
	}
	b->v[b->n++] = *n;
}

/* To every worker that takes mail. */
static void
bulletin_send(struct suppressor *s, struct bulletin *b)
{
	struct daemon *d = s->d;
	uint32_t n = 0;

	for (uint32_t i = 0; i < d->nworkers; i++)
		n += d->worker[i].suppress != NULL;
	atomic_store(&b->left, n);
	for (uint32_t i = 0; i < d->nworkers; i++) {
		struct post_bulletin *p;

		if (d->worker[i].suppress == NULL)
			continue;
		p = mem_get(sizeof(*p));
		p->post.kind = POST_BULLETIN;
		p->b = b;
		worker_post(&d->worker[i], &p->post);
	}
}

void
suppressor_bulletin(struct worker *w, struct post *post)
{
	struct post_bulletin *p =
	    container_of(post, struct post_bulletin, post);
	struct bulletin *b = p->b;
	struct post *ask;

	if (b->set)
		suppress_desk_swap(w->suppress, suppress_set_take(b->set));
	suppress_desk_add(w->suppress, b->v, b->n);
	mem_free(p);
	if (atomic_fetch_sub(&b->left, 1) > 1)
		return;
	while ((ask = posts_shift(&b->asks)))
		worker_post(w->d->core_worker, ask);
	bulletin_free(b);
}

/* ---- building -------------------------------------------------------------------- */

static void
build_end(struct suppressor *s)
{
	struct suppress_build *b = s->build;

	if (b->walk)
		suppress_walk_end(b->walk);
	if (b->db)
		suppress_close(b->db);
	suppress_set_give(b->set);
	bulletin_free(b->later);
	buf_free(&b->expired);
	mem_free(b);
	s->build = NULL;
}

static void
build_failed(struct suppressor *s, const char *why)
{
	complain(s, "cannot build the filter, the file is asked instead", why);
	build_end(s);
	s->again_us = s->build_at_us = clock_mono_us() + BUILD_AGAIN_US;
}

static void
build_begin(struct suppressor *s)
{
	struct suppress_build *b = mem_get(sizeof(*b));
	char why[256];
	uint64_t n = 0;

	s->build = b;
	b->later = bulletin_new();
	b->wanted = s->wanted;
	b->now_s = clock_wall_us() / US_PER_S;
	buf_init(&b->expired, 8u << 20);
	if (suppress_open(&b->db, s->d->conf->suppression.file.p, SUPPRESS_READ,
		WRITER_CACHE, 0, why, sizeof(why)) ||
	    suppress_count(b->db, &n) ||
	    !(b->walk = suppress_walk(b->db, NULL))) {
		build_failed(s, b->db ? suppress_why(b->db) : why);
		return;
	}
	b->set = suppress_set_new(s->seed, n + n / 64);
	if (b->set == NULL)
		build_failed(s, err_text(E_NOMEM));
}

static void
bury(struct suppress_build *b, const struct suppress_entry *e)
{
	struct dead d = { (uint16_t)e->tenant.n, (uint16_t)e->name.n,
		e->is_domain };

	if (b->nexpired == EXPIRED_MAX || e->tenant.n > NAME_MAX_BYTES ||
	    e->name.n > SUPPRESS_NAME_MAX)
		return;
	buf_add(&b->expired, &d, sizeof(d));
	buf_adds(&b->expired, e->tenant);
	buf_adds(&b->expired, e->name);
	b->nexpired++;
}

/* Takes the expired out of the file. */
static void
clean(struct suppressor *s, struct suppress_build *b)
{
	struct cursor c = cursor_of(buf_slice(&b->expired));
	int64_t now_us = clock_wall_us();
	struct suppress_place at;
	struct dead d;
	int err;

	if (b->expired.failed || suppress_begin(s->db))
		return;
	err = suppress_strikes_forget(s->db, now_us - STRIKES_KEEP_US);
	while (c.s.n > 0 && !err) {
		memcpy(&d, cursor_next(&c, sizeof(d)), sizeof(d));
		at.is_domain = d.is_domain;
		at.tenant = cursor_take(&c, d.tenant_n);
		at.name = cursor_take(&c, d.name_n);
		err = suppress_expire(s->db, &at, now_us / US_PER_S);
	}
	if (err || suppress_commit(s->db))
		suppress_rollback(s->db);
}

static void
build_done(struct suppressor *s)
{
	struct suppress_build *b = s->build;
	struct bulletin *all = b->later;

	clean(s, b);
	all->set = suppress_set_take(b->set);
	atomic_store(&s->entries, suppress_set_count(b->set) + all->n);
	atomic_store(&s->filter_bytes, suppress_set_bytes(b->set));
	atomic_store(&s->fresh, all->n);
	atomic_fetch_add(&s->builds, 1);
	atomic_store(&s->built, b->wanted);
	b->later = bulletin_new();
	build_end(s);
	bulletin_send(s, all);
	s->build_at_us = clock_mono_us() + BUILD_EVERY_US;
}

static void
build_on(struct suppressor *s)
{
	struct suppress_build *b = s->build;
	struct suppress_entry e;
	int more = 1;

	for (uint32_t i = 0; i < SLICE && more > 0; i++) {
		more = suppress_next(b->walk, &e);
		if (more <= 0)
			break;
		if (e.expires_s != 0 && e.expires_s <= b->now_s)
			bury(b, &e);
		else
			suppress_set_add(b->set, &e);
	}
	if (more < 0)
		build_failed(s, suppress_why(b->db));
	else if (more == 0)
		build_done(s);
}

/* ---- orders and offences --------------------------------------------------------- */

/* What one turn has gathered. */
struct gathered {
	struct suppressor *s;
	struct bulletin *news;
	struct posts orders; /* asks that were carried out */
	uint64_t came, went, bounced, complained;
};

static void
ear_came(void *ctx, const struct suppress_entry *e)
{
	struct gathered *g = ctx;
	struct suppress_news n = suppress_news(g->s->seed, e);

	bulletin_add(g->news, &n);
	if (g->s->build)
		bulletin_add(g->s->build->later, &n);
	g->came++;
}

static void
ear_went(void *ctx, uint64_t n)
{
	((struct gathered *)ctx)->went += n;
}

/* The answer of a question, or of an order that went wrong. */
static void
answer(struct suppressor *s, struct ask *a)
{
	a->post.kind = POST_ANSWER;
	clerk_post(&s->d->clerk, &a->post);
}

static void
refuse(struct ask *a, int status, const char *why)
{
	struct jsonw j;

	buf_reset(&a->out);
	jw_init(&j, &a->out);
	jw_open(&j, '{');
	jw_kstr(&j, "error", slice_str(why));
	jw_close(&j, '}');
	a->status = status;
}

static void
stats(struct suppressor *s, struct jsonw *w)
{
	jw_ku64(w, "wanted", s->wanted);
	jw_ku64(w, "built", atomic_load(&s->built));
	jw_kbool(w, "building", s->build != NULL);
#define X(name, metric, help) jw_ku64(w, metric, atomic_load(&s->name));
	SUPPRESS_GAUGES(X)
#undef X
}

static void
carry_out(struct gathered *g, struct ask *a)
{
	struct suppress_ear ear = { ear_came, ear_went, g };
	struct suppressor *s = g->s;
	const char *why = NULL;
	struct jsonw w;
	int status = 0;

	jw_init(&w, &a->out);
	jw_open(&w, '{');
	s->wanted += a->q->verb == SUPPRESS_REFRESH;
	if (a->q->verb == SUPPRESS_STATS || a->q->verb == SUPPRESS_REFRESH)
		stats(s, &w);
	else
		status = suppress_do(s->db, a->q, &ear, &w, &why);
	jw_close(&w, '}');
	if (status)
		refuse(a, status, why);
}

/* One more refusal: is it enough? */
static int
count(struct suppressor *s, const struct post_offence *o, struct slice name,
    bool *is_enough)
{
	struct slice tenant = slice_str(o->tenant);
	uint64_t n = 0;
	int err;

	*is_enough = o->count <= 1;
	if (*is_enough)
		return 0;
	err = suppress_strike(s->db, tenant, name, o->wall_us,
	    o->wall_us - o->period_us, &n);
	if (err || n < o->count)
		return err;
	*is_enough = true;
	return suppress_unstrike(s->db, tenant, name);
}

/* An entry that is there and ends later, or never, stays as it is. */
static bool
holds_longer(struct suppressor *s, const struct suppress_entry *e)
{
	struct suppress_entry old;

	if (suppress_get(s->db, e->tenant, e->is_domain, e->name, &old))
		return false;
	return old.expires_s == 0 ||
	    (e->expires_s != 0 && old.expires_s >= e->expires_s);
}

static int
learn(struct gathered *g, const struct post_offence *o)
{
	struct suppressor *s = g->s;
	struct suppress_entry e = { .tenant = slice_str(o->tenant),
		.reason = slice_str(o->reason),
		.source = slice_str(o->source),
		.added_s = o->wall_us / US_PER_S };
	char name[SUPPRESS_NAME_MAX + 1];
	bool is_enough;
	int err;

	if (suppress_name(slice_str(o->name), name, &e.name, &e.is_domain) ||
	    e.is_domain)
		return 0;
	if (o->for_us)
		e.expires_s = (o->wall_us + o->for_us) / US_PER_S;
	err = count(s, o, e.name, &is_enough);
	if (err || !is_enough || holds_longer(s, &e))
		return err;
	err = suppress_put(s->db, &e);
	if (err)
		return err;
	ear_came(g, &e);
	g->bounced += slice_eq(e.source, SL("bounce"));
	g->complained += slice_eq(e.source, SL("complaint"));
	return 0;
}

/* ---- a turn ---------------------------------------------------------------------- */

static bool
is_question(const struct post *p)
{
	return p->kind == POST_ASK &&
	    !suppress_q_writes(container_of(p, struct ask, post)->q);
}

/* Carries out what writes; the questions are left in *in. False: nothing is
 * kept of it. */
static bool
write_all(struct gathered *g, struct posts *in)
{
	struct posts rest = { NULL, NULL };
	struct post *p;
	int err = suppress_begin(g->s->db);

	while ((p = posts_shift(in))) {
		if (is_question(p)) {
			posts_push(&rest, p);
		} else if (p->kind == POST_ASK) {
			posts_push(&g->orders, p);
			if (!err)
				carry_out(g, container_of(p, struct ask, post));
		} else {
			struct post_offence *o =
			    container_of(p, struct post_offence, post);

			atomic_fetch_sub(&g->s->noffences, 1);
			if (!err)
				err = learn(g, o);
			mem_free(o);
		}
	}
	*in = rest;
	if (!err)
		err = suppress_commit(g->s->db);
	if (err) {
		complain(g->s, "cannot be written", suppress_why(g->s->db));
		suppress_rollback(g->s->db);
	}
	return err == 0;
}

static void
count_all(struct gathered *g)
{
	struct suppressor *s = g->s;

	atomic_fetch_add(&s->added, g->came - g->bounced - g->complained);
	atomic_fetch_add(&s->removed, g->went);
	atomic_fetch_add(&s->bounced, g->bounced);
	atomic_fetch_add(&s->complained, g->complained);
	atomic_fetch_add(&s->fresh, g->news->n);
	atomic_fetch_add(&s->entries, g->came - g->went);
	s->complained_us = 0;
}

/* Those that were carried out are answered when all workers know. */
static void
tell(struct gathered *g, bool is_kept)
{
	struct post *p;

	while ((p = posts_shift(&g->orders))) {
		struct ask *a = container_of(p, struct ask, post);

		if (!is_kept)
			refuse(a, 503,
			    "the file cannot be written; see the log");
		if (a->status == 200)
			posts_push(&g->news->asks, p);
		else
			answer(g->s, a);
	}
	if (g->news->n > 0 || g->news->asks.head)
		bulletin_send(g->s, g->news);
	else
		bulletin_free(g->news);
}

static void
take_posts(struct suppressor *s)
{
	struct gathered g = { .s = s };
	struct posts in = { NULL, NULL };
	struct post *p;
	bool writes = false, is_kept;

	mailbox_take(&s->box, &in);
	for (p = in.head; p; p = p->next)
		writes |= !is_question(p);
	if (writes) {
		g.news = bulletin_new();
		is_kept = write_all(&g, &in);
		if (is_kept)
			count_all(&g);
		else
			g.news->n = 0;
		tell(&g, is_kept);
	}
	while ((p = posts_shift(&in))) {
		carry_out(&g, container_of(p, struct ask, post));
		answer(s, container_of(p, struct ask, post));
	}
}

static bool
has_work(void *ctx)
{
	struct suppressor *s = ctx;

	return s->build || !mailbox_is_empty(&s->box);
}

static bool
must_build(const struct suppressor *s)
{
	int64_t now = clock_mono_us();

	return now >= s->again_us &&
	    (s->wanted != atomic_load(&s->built) ||
		atomic_load(&s->fresh) >= FRESH_MANY || now >= s->build_at_us);
}

static void *
run(void *arg)
{
	struct suppressor *s = arg;

	while (!atomic_load(&s->is_stopping)) {
		loop_turn(s->loop, s->build ? 0 : s->build_at_us);
		take_posts(s);
		if (s->build)
			build_on(s);
		else if (must_build(s))
			build_begin(s);
	}
	take_posts(s);
	return NULL;
}

/* ---- from other threads ---------------------------------------------------------- */

void
suppressor_post(struct suppressor *s, struct post *p)
{
	mailbox_push_one(&s->box, p);
	loop_wake(s->loop);
}

/* ---- its life -------------------------------------------------------------------- */

static int
open_desks(struct suppressor *s)
{
	const char *path = s->d->conf->suppression.file.p;
	uint32_t n = 0;
	char why[256];
	int err = 0;

	for (uint32_t i = 0; i < s->d->nworkers; i++)
		n += (s->d->worker[i].roles & ROLE_IN) != 0;
	for (uint32_t i = 0; i < s->d->nworkers && !err; i++)
		if (s->d->worker[i].roles & ROLE_IN)
			err = suppress_desk_open(&s->d->worker[i].suppress,
			    path, s->seed, CACHE_ALL / n,
			    s->d->conf->suppression.mmap_bytes, why,
			    sizeof(why));
	if (err)
		log_event(LOG_ERROR, "suppression", "what", "cannot be read",
		    "path", path, "error", why, NULL);
	return err;
}

int
suppressor_open(struct suppressor *s, struct daemon *d)
{
	const struct conf_suppression *c = &d->conf->suppression;
	char why[256];
	int err;

	s->d = d;
	if (!c->is_on)
		return 0;
	err = suppress_open(&s->db, c->file.p, SUPPRESS_WRITE, WRITER_CACHE, 0,
	    why, sizeof(why));
	if (err) {
		log_event(LOG_ERROR, "suppression", "what", "cannot be opened",
		    "option", "suppression.file", "path", c->file.p, "error",
		    why, NULL);
		return err;
	}
	/* Strangers choose the keys of the filter, and must not choose which of
	 * them collide. */
	if (getrandom(&s->seed, sizeof(s->seed), 0) != sizeof(s->seed))
		return E_IO;
	return open_desks(s);
}

int
suppressor_start(struct suppressor *s)
{
	if (s->db == NULL)
		return 0;
	s->loop = loop_new();
	if (!s->loop)
		return E_NOMEM;
	loop_set_idle_check(s->loop, has_work, s);
	return pthread_create(&s->thread, NULL, run, s) ? E_NOMEM : 0;
}

static void
close_desk(struct worker *w)
{
	if (w->suppress)
		suppress_desk_close(w->suppress);
	w->suppress = NULL;
}

void
suppressor_stop(struct suppressor *s)
{
	if (s->db == NULL)
		return;
	atomic_store(&s->is_stopping, true);
	loop_wake(s->loop);
	pthread_join(s->thread, NULL);
	if (s->build)
		build_end(s);
	/* The workers have ended. The writer is the last to close the file: it
	 * leaves it whole, without a log beside it. */
	for (uint32_t i = 0; i < s->d->nworkers; i++)
		close_desk(&s->d->worker[i]);
	loop_free(s->loop);
	suppress_close(s->db);
	s->db = NULL;
}
