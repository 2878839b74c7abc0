/*
 * daemon/returner.c - the thread that reads bounces and complaints that came by
 * mail, one after the other: a message may be large and broken, and nothing else
 * waits for it.
 *
 * A message is in the spool until its lines are in the event log; whatever goes
 * wrong before that, it is tried again, and a start begins again with those that
 * are there. Not more than BACKS_MAX of them wait, for the door lets no more in.
 */
#include "daemon/bounce_judge.h"
#include "daemon/returned.h"
#include "daemon/rules.h"

#define AGAIN_US US_PER_S
#define EARLY_US (200 * US_PER_MS)
#define READS_MAX 120u /* so often the disk is asked */

struct returner_desk {
	struct rules *rules;
	struct class_desk *desk;
};

/* ---- reading --------------------------------------------------------------------- */

static int
read_message(struct returner *t, const struct core_back *b, char **body)
{
	uint32_t bytes = b->ref.env_bytes + b->ref.body_bytes;
	struct spool_check *check = mem_try(sizeof(*check));
	char *all = mem_try(bytes + 1);
	int err = check && all ? 0 : E_NOMEM;

	if (!err)
		err = spool_check_begin(t->d->disk, &b->ref, &b->env.id, check);
	if (!err)
		err = spool_read(t->d->disk, &b->ref, 0, all, bytes);
	if (!err) {
		spool_check_feed(check, slice_of(all, bytes));
		if (!spool_check_end(check))
			err = E_CORRUPT;
	}
	mem_free(check);
	if (err) {
		mem_free(all);
		return err;
	}
	*body = all;
	return 0;
}

/* Desks are of one classifier, which a reload replaces. */
static struct class_desk *
desk_of(struct returner *t, struct rules *r)
{
	struct returner_desk *d = t->desk;

	if (d->rules == r && d->desk != NULL)
		return d->desk;
	class_desk_free(d->desk);
	rules_give(d->rules);
	d->rules = rules_take(r);
	d->desk = class_desk_new(rules_classifier(r));
	return d->desk;
}

/* ---- what it says ------------------------------------------------------------------ */

static struct told *
tell(struct returned *r, enum book_kind kind)
{
	struct report *p = r->report;
	struct told *v = &p->v[p->n];

	book_entry_init(&v->e, kind);
	v->e.report = r->back->env.id;
	v->e.has_report = true;
	v->e.nth = p->n++;
	v->e.message_id = p->b.message_id;
	v->e.envid = p->b.envelope_id;
	return v;
}

/* The words without the codes that stand beside them. */
static struct slice
words_of(const struct bounce_rcpt *x)
{
	struct slice s = x->diagnostic, rest = s, word = slice_cut(&rest, ' ');
	struct enh enh;
	uint64_t code;

	if (slice_u64(word, 999, &code) == 0 && code == x->code) {
		s = rest;
		word = slice_cut(&rest, ' ');
	}
	if (enh_parse(&word, &enh) == 0 && word.n == 0 &&
	    enh.klass == x->enh.klass && enh.subject == x->enh.subject &&
	    enh.detail == x->enh.detail)
		s = rest;
	return s.n > 0 ? s : x->diagnostic;
}

static void
tell_delivery(struct returner *t, struct returned *r,
    const struct bounce_rcpt *x)
{
	bool is_failed = x->action == BOUNCE_FAILED;
	struct class_desk *desk = desk_of(t, r->rules);
	struct told *v =
	    tell(r, is_failed ? BOOK_REMOTE_BOUNCE : BOOK_REMOTE_STATUS);
	struct outcome *o = &v->e.outcome;

	v->e.reported = x->address;
	v->original = x->original;
	v->e.action = bounce_action_name((enum bounce_action)x->action);
	v->e.text = words_of(x);
	v->e.remote_mta = x->remote_mta;
	v->counts = is_failed;
	o->code = x->code;
	o->enh = bounce_status(x);
	if ((!is_failed && x->action != BOUNCE_DELAYED) || desk == NULL)
		return;
	bounce_judge(rules_classifier(r->rules), desk, x, &o->judged);
	o->is_judged = true;
	v->e.has_hard = is_failed;
	v->e.is_hard = bounce_is_hard(x, &o->judged);
}

static void
tell_complaint(struct returned *r)
{
	const struct arf *a = &r->report->b.arf;

	for (uint32_t i = 0; i < MAX(a->nrcpts, 1u); i++) {
		struct told *v = tell(r, BOOK_FEEDBACK);

		if (i < a->nrcpts)
			v->e.reported = a->rcpt[i];
		v->e.feedback = a->type;
		v->counts = arf_complains(a);
	}
}

/* A report that names nobody is one all the same where its address tells who. */
static void
tell_all(struct returner *t, struct returned *r)
{
	struct bounce *b = &r->report->b;
	bool is_ours = r->to.use == BACK_TOKEN || r->to.use == BACK_VERP;

	for (uint32_t i = 0; i < b->nrcpts && b->type == BOUNCE_DELIVERY; i++)
		tell_delivery(t, r, &b->rcpt[i]);
	if (b->type == BOUNCE_COMPLAINT)
		tell_complaint(r);
	if (b->type != BOUNCE_OTHER)
		return;
	if (b->reason == BOUNCE_NO_RECIPIENT && is_ours)
		tell_delivery(t, r, &b->rcpt[0]);
	else
		tell(r, BOOK_REPLY)->e.reason = slice_str(
		    bounce_reason_name((enum bounce_reason)b->reason));
}

/* Where it came to, by the keys of the day when it came. */
static void
find_address(struct returned *r)
{
	struct slice to = r->back->to, domain = mailbox_domain(to);

	r->in = conf_inbound_find(r->conf, domain);
	if (r->in != NULL)
		back_read(slice_of(to.p, to.n - domain.n - 1), r->in,
		    keyring_returns(r->keys, r->in), r->back->env.arrival_us,
		    &r->to);
}

static int
understand(struct returner *t, struct returned *r)
{
	char *all;
	int err = read_message(t, r->back, &all);

	if (err)
		return err;
	find_address(r);
	r->report = mem_try(sizeof(*r->report));
	err = r->report == NULL ? E_NOMEM : 0;
	if (!err)
		err = bounce_read(slice_of(all + r->back->ref.env_bytes,
				      r->back->ref.body_bytes),
		    &r->report->b);
	mem_free(all);
	if (!err) {
		tell_all(t, r);
		return returned_find(t, r);
	}
	mem_free(r->report);
	r->report = NULL;
	return err;
}

/* ---- its way ---------------------------------------------------------------------- */

static void
report_free(struct returned *r)
{
	if (r->report != NULL)
		bounce_free(&r->report->b);
	mem_free(r->report);
	r->report = NULL;
}

void
returned_forget(struct returned *r)
{
	report_free(r);
	rules_give(r->rules);
	keyring_give(r->keys);
	mem_free(r);
}

static void
give_back(struct returner *t, struct returned *r, enum core_back_end end)
{
	r->end = (uint8_t)end;
	r->post.kind = POST_BACK_DONE;
	worker_post(t->d->core_worker, &r->post);
}

/* What was made of it is not kept meanwhile. */
static void
again(struct returner *t, struct returned *r, int64_t in_us)
{
	report_free(r);
	r->again_us = clock_mono_us() + in_us;
	posts_push(&t->late, &r->post);
	atomic_fetch_add(&t->retried, 1);
}

static void
begin(struct returner *t, struct returned *r)
{
	int err = understand(t, r);

	if (err == E_AGAIN) {
		r->tries++;
		again(t, r, EARLY_US);
		return;
	}
	if (err == E_CORRUPT || (err == E_IO && ++r->tries >= READS_MAX)) {
		give_back(t, r, CORE_BACK_DAMAGED);
		return;
	}
	if (err) {
		again(t, r, AGAIN_US);
		return;
	}
	t->is_telling = true;
	r->post.kind = POST_BACK_TELL;
	clerk_post(&t->d->clerk, &r->post);
}

static void
count(struct returner *t, const struct returned *r)
{
	for (uint32_t i = 0; i < r->report->n; i++) {
		const struct told *v = &r->report->v[i];

		switch (v->e.kind) {
		case BOOK_REMOTE_BOUNCE:
			atomic_fetch_add(&t->bounces, 1);
			break;
		case BOOK_REMOTE_STATUS:
			atomic_fetch_add(&t->statuses, 1);
			break;
		case BOOK_FEEDBACK:
			atomic_fetch_add(&t->complaints, 1);
			break;
		default:
			atomic_fetch_add(&t->replies, 1);
		}
		if (v->e.kind != BOOK_REPLY && !v->e.has_id)
			atomic_fetch_add(&t->unknown, 1);
		if (v->e.is_repeat)
			atomic_fetch_add(&t->repeated, 1);
	}
	atomic_fetch_add(&t->messages, 1);
}

static void
told(struct returner *t, struct returned *r)
{
	t->is_telling = false;
	if (r->told == TOLD_DONE) {
		count(t, r);
		give_back(t, r, CORE_BACK_READ);
	} else {
		again(t, r, AGAIN_US);
	}
}

static void
take_posts(struct returner *t)
{
	struct posts in = { NULL, NULL };
	struct post *p;

	mailbox_take(&t->box, &in);
	while ((p = posts_shift(&in))) {
		if (p->kind == POST_BACK)
			posts_push(&t->queue, p);
		else
			told(t, container_of(p, struct returned, post));
	}
}

/* Those whose time has come, to the queue; when the next one is due. */
static int64_t
wake_late(struct returner *t)
{
	struct posts all = t->late;
	int64_t now = clock_mono_us(), next = TIME_NEVER;
	struct post *p;

	t->late = (struct posts){ NULL, NULL };
	while ((p = posts_shift(&all))) {
		struct returned *r = container_of(p, struct returned, post);

		if (r->again_us <= now) {
			posts_push(&t->queue, p);
			continue;
		}
		posts_push(&t->late, p);
		next = MIN(next, r->again_us);
	}
	return next;
}

static bool
has_work(void *ctx)
{
	struct returner *t = ctx;

	return !mailbox_is_empty(&t->box) ||
	    (t->queue.head != NULL && !t->is_telling);
}

static void *
run(void *arg)
{
	struct returner *t = arg;
	struct post *p;

	while (!atomic_load(&t->is_stopping)) {
		loop_turn(t->loop, wake_late(t));
		take_posts(t);
		if (!t->is_telling && (p = posts_shift(&t->queue)))
			begin(t, container_of(p, struct returned, post));
	}
	return NULL;
}

/* ---- from other threads ------------------------------------------------------------ */

void
returner_post(struct returner *t, struct post *p)
{
	mailbox_push_one(&t->box, p);
	loop_wake(t->loop);
}

void
returner_take(struct worker *w, struct core_back *b)
{
	struct returned *r = mem_get(sizeof(*r));

	r->post.kind = POST_BACK;
	r->back = b;
	r->conf = w->conf;
	r->rules = rules_take(w->rules);
	r->keys = keyring_take(w->keys);
	returner_post(&w->d->returner, &r->post);
}

static void
act(struct worker *w, const struct told *v)
{
	struct core_complaint x = { .source = v->e.source, .host = v->e.mx };
	char domain[DOMAIN_MAX + 1];
	struct slice at = mailbox_domain(v->e.recipient);
	bool is_bounce = v->e.kind == BOOK_REMOTE_BOUNCE;

	at.n = MIN(at.n, (size_t)DOMAIN_MAX);
	for (size_t i = 0; i < at.n; i++) /* as queues */
		domain[i] = ascii_lower(at.p[i]);
	x.domain = slice_of(domain, at.n);
	/* A source that is no more has nothing to be warmed up. */
	(void)!core_feedback(w->core, &x,
	    is_bounce ? FEEDBACK_BOUNCE : FEEDBACK_COMPLAINT);
	if (is_bounce)
		suppressor_bounced(w, &v->e);
	else
		suppressor_complained(w, v->e.tenant, v->e.recipient, SL(""));
}

void
returner_done(struct worker *w, struct returned *r)
{
	for (uint32_t i = 0; r->report != NULL && i < r->report->n; i++)
		if (r->report->v[i].acts)
			act(w, &r->report->v[i]);
	core_back_done(w->core, r->back, (enum core_back_end)r->end);
	returned_forget(r);
}

/* ---- its life ----------------------------------------------------------------------- */

int
returner_open(struct returner *t, struct daemon *d)
{
	t->d = d;
	t->loop = loop_new();
	t->desk = mem_try(sizeof(*t->desk));
	if (t->loop == NULL || t->desk == NULL)
		return E_NOMEM;
	loop_set_idle_check(t->loop, has_work, t);
	return 0;
}

int
returner_start(struct returner *t)
{
	return pthread_create(&t->thread, NULL, run, t) ? E_NOMEM : 0;
}

static void
forget_all(struct posts *l)
{
	struct post *p;

	while ((p = posts_shift(l))) {
		struct returned *r = container_of(p, struct returned, post);

		mem_free(r->back);
		returned_forget(r);
	}
}

void
returner_stop(struct returner *t)
{
	struct posts in = { NULL, NULL };

	atomic_store(&t->is_stopping, true);
	loop_wake(t->loop);
	pthread_join(t->thread, NULL);
	class_desk_free(t->desk->desk);
	rules_give(t->desk->rules);
	mem_free(t->desk);
	mailbox_take(&t->box, &in);
	forget_all(&in);
	forget_all(&t->queue);
	forget_all(&t->late);
}

void
returner_close(struct returner *t)
{
	struct posts in = { NULL, NULL };

	mailbox_take(&t->box, &in); /* what the clerk still gave */
	forget_all(&in);
	loop_free(t->loop);
}
