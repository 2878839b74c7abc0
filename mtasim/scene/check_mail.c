/*
 * scene/check_mail.c - checks about messages from coming to leaving, and about
 * what the sender does after a reply.
 */
#include <stdio.h>

#include "scene/check_i.h"

/* ---- from coming to leaving ---------------------------------------------------------- */

struct stay {
	int64_t came_us, left_us; /* left_us -1: it is still there */
	uint16_t provider, source;
	uint8_t klass, feed;
	uint32_t tries;
};

/* By recipient, in order of their coming. */
struct stays {
	struct map at;
	uint32_t n;
	struct stay *v;
};

static struct stay *
stay_of(struct stays *t, uint64_t rcpt)
{
	uint32_t at = map_get(&t->at, rcpt + 1);

	return at ? &t->v[at - 1] : NULL;
}

static void
stays_make(const struct checking *k, struct stays *t)
{
	const struct scene_log *l = &k->s->log;

	*t = (struct stays){ .n = 0 };
	map_init(&t->at, 1, SCENE_EVENTS_MAX);
	t->v = mem_get((l->n + 1) * sizeof(*t->v));
	for (uint32_t i = 0; i < l->n; i++) {
		const struct trial_event *ev = &l->v[i];
		struct stay *s;

		if (ev->what == DEED_ARRIVE) {
			t->v[t->n] = (struct stay){ .came_us = ev->at_us,
				.left_us = -1,
				.provider = ev->provider,
				.source = UINT16_MAX,
				.feed = ev->feed };
			ASSERT(map_put(&t->at, ev->rcpt + 1, ++t->n) == 0);
		} else if (ev->what == DEED_FINAL) {
			s = stay_of(t, ev->rcpt);
			s->left_us = ev->at_us;
			s->klass = ev->klass;
		}
	}
}

static void
stays_free(struct stays *t)
{
	map_free(&t->at);
	mem_free(t->v);
}

/* A workload of a scene has one tenant, or none. */
static bool
is_meant(const struct checking *k, const struct stay *s)
{
	const struct scen_workload *w = &k->s->scen->workloads[s->feed];

	if (k->tenant.n > 0 &&
	    (w->tenant.n == 0 || !slice_eq(w->tenants[0], k->tenant)))
		return false;
	return (k->provider < 0 || s->provider == k->provider) &&
	    s->came_us >= k->from_us && s->came_us < k->to_us;
}

/* How many of a provider's were delivered within a time, of how many; and the
 * first that was not. */
static uint32_t
delivered(const struct checking *k, const struct stays *t, int64_t within,
    uint32_t *of, const struct stay **first)
{
	uint32_t n = 0;

	*of = 0;
	*first = NULL;
	for (uint32_t i = 0; i < t->n; i++) {
		const struct stay *s = &t->v[i];
		bool is = s->left_us >= 0 && s->klass == OUTCOME_DELIVERED &&
		    s->left_us - s->came_us <= within;

		if (!is_meant(k, s))
			continue;
		++*of;
		n += is;
		if (!is && *first == NULL)
			*first = s;
	}
	return n;
}

static int
all_or_part(struct checking *k, int64_t within, int64_t ppm)
{
	struct stays t;
	const struct stay *first;
	uint32_t n, of;
	char came[32], left[32];
	int ok = 1;

	stays_make(k, &t);
	n = delivered(k, &t, within, &of, &first);
	if (of == 0)
		ok = scene_fail(k, "no message came");
	else if ((int64_t)((uint64_t)n * 1000000 / of) < ppm && first)
		ok = scene_fail(k, "got %u of %u; one that came at %s %s%s", n,
		    of, scene_when(came, first->came_us),
		    first->left_us < 0 ? "is still there" :
			first->klass == OUTCOME_DELIVERED ?
					 "was delivered at " :
					 "was given up at ",
		    first->left_us < 0 ? "" : scene_when(left, first->left_us));
	stays_free(&t);
	return ok;
}

int
then_every(struct checking *k, const struct args *a)
{
	if (arg_is_set(a, 2) && !scene_provider(k, a->v[2].text, &k->provider))
		return scene_fail(k, "there is no such provider");
	if (arg_is_set(a, 0))
		k->tenant = a->v[0].text;
	return all_or_part(k, arg_is_set(a, 1) ? a->v[1].v : TIME_NEVER,
	    1000000);
}

int
then_part(struct checking *k, const struct args *a)
{
	if (arg_is_set(a, 3) && !scene_provider(k, a->v[3].text, &k->provider))
		return scene_fail(k, "there is no such provider");
	if (arg_is_set(a, 1))
		k->tenant = a->v[1].text;
	return all_or_part(k, a->v[2].v, a->v[0].v);
}

int
then_left(struct checking *k, const struct args *a)
{
	const struct scene_log *l = &k->s->log;
	char at[32];

	if (k->s->still)
		return scene_fail(k, "%llu are still there",
		    (unsigned long long)k->s->still);
	for (uint32_t i = l->n; i-- > 0;)
		if (l->v[i].what == DEED_FINAL)
			return l->v[i].at_us <= a->v[0].v ?
			    1 :
			    scene_fail(k, "the last left at %s",
				scene_when(at, l->v[i].at_us));
	return scene_fail(k, "no message came");
}

/* ---- after a reply ------------------------------------------------------------------- */

/* Is b something that leaves, decided after the refusal a? */
static bool
leaves_after(const struct trial_event *b, const struct trial_event *a)
{
	return (b->what == DEED_OPEN && b->at_us > a->at_us) ||
	    (b->what == DEED_ATTEMPT && b->assigned_us > a->at_us);
}

static bool
is_same(const struct checking *k, const struct trial_event *a,
    const struct trial_event *b, int64_t what)
{
	if (a->provider != b->provider)
		return false;
	switch (what) {
	case 0:
		return a->source == b->source;
	case 1:
		return true;
	case 2:
		return scene_netblock(k, a->source) ==
		    scene_netblock(k, b->source);
	default:
		return b->what == DEED_ATTEMPT && a->mailbox == b->mailbox;
	}
}

static int
breaks_silence(struct checking *k, uint32_t from, int64_t what, int64_t length)
{
	const struct scene_log *l = &k->s->log;
	const struct trial_event *a = &l->v[from];
	char at[32], then[32];

	for (uint32_t i = from + 1; i < l->n; i++) {
		const struct trial_event *b = &l->v[i];

		if (b->at_us >= a->at_us + length)
			break;
		if (is_same(k, a, b, what) && leaves_after(b, a))
			return scene_fail(k, "it was said at %s, %s at %s",
			    scene_when(at, a->at_us),
			    b->what == DEED_OPEN ?
				"a connection was asked for" :
				"a message left",
			    scene_when(then, b->at_us));
	}
	return 1;
}

int
then_silence(struct checking *k, const struct args *a)
{
	const struct scene_log *l = &k->s->log;
	bool found = false;
	int ok = 1;

	for (uint32_t i = 0; ok && i < l->n; i++) {
		if (!scene_is_refusal(&l->v[i], a->v[1].text))
			continue;
		found = true;
		ok = breaks_silence(k, i, a->v[2].v, a->v[3].v);
		if (a->v[0].v == 0)
			break;
	}
	return found ? ok : scene_fail(k, "nobody said so");
}

/* The next of the same source, or of the same recipient; NULL: none. */
static const struct trial_event *
next_after(const struct checking *k, uint32_t from, int64_t what)
{
	const struct scene_log *l = &k->s->log;
	const struct trial_event *a = &l->v[from];

	for (uint32_t i = from + 1; i < l->n; i++) {
		const struct trial_event *b = &l->v[i];

		if (what == 0 ? is_same(k, a, b, 0) && leaves_after(b, a) :
				b->what == DEED_ANSWER && b->rcpt == a->rcpt &&
			    b->klass != OUTCOME_UNSENT)
			return b;
	}
	return NULL;
}

int
then_next(struct checking *k, const struct args *a)
{
	const struct scene_log *l = &k->s->log;
	bool found = false;
	char at[32], then[32];

	for (uint32_t i = 0; i < l->n; i++) {
		const struct trial_event *b;
		int64_t passed;

		if (!scene_is_refusal(&l->v[i], a->v[1].text))
			continue;
		found = true;
		b = next_after(k, i, a->v[2].v);
		passed = b ? b->at_us - l->v[i].at_us : TIME_NEVER;
		if (passed < a->v[3].v ||
		    (arg_is_set(a, 4) && passed > a->v[4].v &&
			l->v[i].at_us + a->v[4].v < k->s->end_us))
			return scene_fail(k,
			    "it was said at %s, the next came %s",
			    scene_when(at, l->v[i].at_us),
			    b ? scene_when(then, b->at_us) : "never");
		if (a->v[0].v == 0)
			break;
	}
	return found ? 1 : scene_fail(k, "nobody said so");
}

/* From the reply on until it is said again: how many connections stand, against
 * the time since the source is back. */
static int
comes_back(struct checking *k, uint32_t from, const struct args *a,
    const uint32_t *open_at_start)
{
	const struct scene_log *l = &k->s->log;
	const struct trial_event *r = &l->v[from];
	int64_t back_us = -1, allowed;
	uint32_t open = *open_at_start;
	char at[32];

	for (uint32_t i = from + 1; i < l->n; i++) {
		const struct trial_event *b = &l->v[i];

		if (!is_same(k, r, b, 0))
			continue;
		if (back_us >= 0 && scene_is_refusal(b, a->v[1].text))
			return 1;
		open -= b->what == DEED_DOWN || b->what == DEED_REFUSED;
		if (b->what != DEED_OPEN)
			continue;
		open++;
		if (back_us < 0)
			back_us = b->at_us;
		allowed =
		    a->v[2].v + a->v[4].v * ((b->at_us - back_us) / a->v[5].v);
		if (open > (uint64_t)allowed)
			return scene_fail(k,
			    "it is back, with %u connections at %s", open,
			    scene_when(at, b->at_us));
	}
	return back_us >= 0 ? 1 :
			      scene_fail(k, "it does not come back after %s",
				  scene_when(at, r->at_us));
}

/* Connections of the same source and provider that stand when event i comes. */
static uint32_t
open_then(const struct checking *k, uint32_t i)
{
	const struct scene_log *l = &k->s->log;
	uint32_t open = 0;

	for (uint32_t j = 0; j <= i; j++)
		if (is_same(k, &l->v[i], &l->v[j], 0)) {
			open += l->v[j].what == DEED_OPEN;
			open -= l->v[j].what == DEED_DOWN ||
			    l->v[j].what == DEED_REFUSED;
		}
	return open;
}

int
then_back(struct checking *k, const struct args *a)
{
	const struct scene_log *l = &k->s->log;
	bool found = false;
	int ok = 1;

	for (uint32_t i = 0; ok && i < l->n; i++) {
		uint32_t open;

		if (!scene_is_refusal(&l->v[i], a->v[1].text))
			continue;
		found = true;
		open = open_then(k, i);
		ok = comes_back(k, i, a, &open);
		if (a->v[0].v == 0)
			break;
	}
	return found ? ok : scene_fail(k, "nobody said so");
}

/* ---- replies that are met ------------------------------------------------------------- */

/* How often, in all or by the source that met it most. */
static uint64_t
times_met(const struct checking *k, struct slice words, bool each)
{
	const struct scene_log *l = &k->s->log;
	uint64_t by[SCENE_SOURCES_MAX] = { 0 }, all = 0, most = 0;

	for (uint32_t i = 0; i < l->n; i++)
		if (scene_is_refusal(&l->v[i], words) &&
		    l->v[i].at_us >= k->from_us && l->v[i].at_us < k->to_us) {
			all++;
			if (l->v[i].source < SCENE_SOURCES_MAX)
				by[l->v[i].source]++;
		}
	for (uint32_t i = 0; i < SCENE_SOURCES_MAX; i++)
		most = MAX(most, by[i]);
	return each ? most : all;
}

int
then_met(struct checking *k, const struct args *a)
{
	uint64_t n = times_met(k, a->v[0].text, arg_is_set(a, 3));
	uint64_t bound = (uint64_t)a->v[2].v;

	if (a->v[1].v == HOW_MOST      ? n <= bound :
		a->v[1].v == HOW_LEAST ? n >= bound :
					 n == bound)
		return 1;
	return scene_fail(k, "it is met %llu times", (unsigned long long)n);
}

int
then_never(struct checking *k, const struct args *a)
{
	uint64_t n = times_met(k, a->v[0].text, false);

	return n == 0 ?
	    1 :
	    scene_fail(k, "it is met %llu times", (unsigned long long)n);
}

int
then_once(struct checking *k, const struct args *a)
{
	return times_met(k, a->v[0].text, false) > 0 ?
	    1 :
	    scene_fail(k, "nobody said so");
}

/* ---- recipients ------------------------------------------------------------------------ */

int
then_tries(struct checking *k, const struct args *a)
{
	const struct scene_log *l = &k->s->log;
	struct stays t;
	char at[32];
	int ok = 1;

	stays_make(k, &t);
	for (uint32_t i = 0; ok && i < l->n; i++) {
		const struct trial_event *ev = &l->v[i];

		if (ev->what != DEED_ANSWER || ev->klass == OUTCOME_UNSENT ||
		    (a->v[0].v == 1 && ev->klass != OUTCOME_TRANSIENT))
			continue;
		if (++stay_of(&t, ev->rcpt)->tries > (uint64_t)a->v[1].v)
			ok = scene_fail(k, "one is once more at %s",
			    scene_when(at, ev->at_us));
	}
	stays_free(&t);
	return ok;
}

int
then_pinned(struct checking *k, const struct args *a)
{
	const struct scene_log *l = &k->s->log;
	struct stays t;
	uint32_t retries = 0;
	char at[32];
	int ok = 1;

	stays_make(k, &t);
	for (uint32_t i = 0; ok && i < l->n; i++) {
		const struct trial_event *ev = &l->v[i];
		struct stay *s;

		if (ev->what != DEED_ANSWER || ev->klass == OUTCOME_UNSENT)
			continue;
		s = stay_of(&t, ev->rcpt);
		if (s->tries++ == 0)
			s->source = ev->source;
		else
			retries++;
		if (a->v[0].v == 0 ? s->source != ev->source :
				     scene_netblock(k, s->source) !=
			    scene_netblock(k, ev->source))
			ok = scene_fail(k, "one is not, at %s",
			    scene_when(at, ev->at_us));
	}
	if (ok && retries == 0)
		ok = scene_fail(k, "none is retried");
	stays_free(&t);
	return ok;
}

/* ---- why mail waits -------------------------------------------------------------------- */

int
then_waits(struct checking *k, const struct args *a)
{
	const struct scene_log *l = &k->s->log;
	uint32_t n = k->s->scen->nproviders, seen = 0;
	char at[32];

	if (arg_is_set(a, 1) && !scene_provider(k, a->v[1].text, &k->provider))
		return scene_fail(k, "there is no such provider");
	for (uint32_t i = 0; i < l->nminutes; i++) {
		int64_t from = (int64_t)i * 60 * US_PER_S;
		const struct minute *m =
		    &l->minutes[(size_t)i * n + (uint32_t)MAX(k->provider, 0)];

		if (from < k->from_us || from >= k->to_us)
			continue;
		seen++;
		if (!slice_eq(slice_str(eng_why_name((enum eng_why)m->why)),
			a->v[0].text))
			return scene_fail(k, "in the minute from %s it is %s",
			    scene_when(at, from),
			    eng_why_name((enum eng_why)m->why));
	}
	return seen ? 1 : scene_fail(k, "that minute never came");
}
