/*
 * check/standing.c - see standing.h.
 *
 * A rule that acts at the n-th reply in a period is counted by the times of its
 * replies: where the program may count or not (its period moves in sixteenths) it
 * is asked what it did.
 */
#include "check/standing.h"

#define STANDS_MAX 512u
#define TIMES_MAX 64u

/* What a rule has seen, and done, for a target. */
struct stand {
	const struct conf_automation *rule;
	struct slice name;
	uint32_t val[STD_VALS];
	uint16_t dims;
	int64_t until_us; /* nothing starts before; 0 = it does not stand */
	bool is_doubtful; /* it may have acted just now, or not */
	int64_t may_until_us;
	int64_t times[TIMES_MAX];
	uint32_t ntimes;
};

struct opened {
	struct std_who who;
	bool is_open, is_heard;
};

struct stands {
	struct marks *marks;
	const struct conf *conf;
	struct stand v[STANDS_MAX], was[STANDS_MAX];
	uint32_t n, nwas;
	bool is_asked; /* something was heard since std_told */
	struct opened *sessions;
	uint32_t cap;
};

static const enum eng_dim dim_of[STD_VALS] = {
	[STD_SOURCE] = DIM_SOURCE,
	[STD_NETBLOCK] = DIM_NETBLOCK,
	[STD_SITE] = DIM_SITE,
	[STD_PROVIDER] = DIM_PROVIDER,
};

struct stands *
std_new(struct marks *marks)
{
	struct stands *t = mem_get(sizeof(*t));

	t->marks = marks;
	return t;
}

void
std_free(struct stands *t)
{
	mem_free(t->sessions);
	mem_free(t);
}

static struct opened *
session_of(struct stands *t, uint32_t session)
{
	uint32_t cap = MAX(t->cap, 64u);

	while (cap <= session)
		cap *= 2;
	if (cap > t->cap) {
		t->sessions = mem_grow(t->sessions, cap * sizeof(*t->sessions));
		ASSERT(t->sessions);
		memset(t->sessions + t->cap, 0,
		    (cap - t->cap) * sizeof(*t->sessions));
		t->cap = cap;
	}
	return &t->sessions[session];
}

/* ---- rules ------------------------------------------------------------------------ */

static uint16_t
dims_of(const struct conf_automation *a)
{
	uint16_t dims = 0;

	for (uint32_t i = 0; i < a->non; i++)
		dims |= a->on[i];
	return a->non ? dims : 1 << DIM_SOURCE | 1 << DIM_SITE;
}

static const struct conf_automation *
rule_find(const struct conf *c, struct slice name)
{
	for (uint32_t i = 0; i < c->nautomations; i++)
		if (slice_eq(c->automations[i].name, name))
			return &c->automations[i];
	return NULL;
}

void
std_conf(struct stands *t, const struct conf *c)
{
	t->conf = c;
	for (uint32_t i = t->n; i-- > 0;) {
		struct stand *s = &t->v[i];

		s->rule = rule_find(c, s->name);
		if (s->rule == NULL)
			t->v[i] = t->v[--t->n];
		else
			s->name = s->rule->name;
	}
}

/* The plain word is in it, in whatever case. */
static bool
has_word(struct slice text, struct slice word)
{
	for (; text.n >= word.n; text = slice_skip(text, 1))
		if (slice_ieq(slice_of(text.p, word.n), word))
			return true;
	return false;
}

static bool
matches(const struct conf_automation *a, uint16_t code, struct slice text)
{
	uint64_t n;

	if (a->ntexts && !has_word(text, a->texts[0]))
		return false;
	return !a->ncodes ||
	    (slice_u64(a->codes[0], 999, &n) == 0 && n == code);
}

/* ---- what stands -------------------------------------------------------------------- */

static bool
is_same(const struct stand *s, struct slice rule, uint16_t dims,
    const uint32_t val[STD_VALS])
{
	if (s->dims != dims || !slice_eq(s->name, rule))
		return false;
	for (int k = 0; k < STD_VALS; k++)
		if (dims >> dim_of[k] & 1 && s->val[k] != val[k])
			return false;
	return true;
}

/* NULL: the target has no such value. */
static struct stand *
stand_get(struct stands *t, const struct conf_automation *a,
    const struct std_who *who)
{
	uint16_t dims = dims_of(a);
	struct stand *s;

	for (int k = 0; k < STD_VALS; k++)
		if (dims >> dim_of[k] & 1 && who->val[k] == STD_NONE)
			return NULL;
	for (uint32_t i = 0; i < t->n; i++)
		if (is_same(&t->v[i], a->name, dims, who->val))
			return &t->v[i];
	ASSERT(t->n < STANDS_MAX);
	s = &t->v[t->n++];
	*s = (struct stand){ .rule = a, .name = a->name, .dims = dims };
	memcpy(s->val, who->val, sizeof(s->val));
	return s;
}

static void
act(struct stands *t, struct stand *s, int64_t now_us)
{
	s->until_us = now_us + s->rule->for_us;
	s->ntimes = 0;
	t->marks->n[MARK_reaction]++;
}

/* So many came in the last us. */
static uint32_t
within(const struct stand *s, int64_t now_us, int64_t us)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->ntimes; i++)
		n += s->times[i] > now_us - us;
	return n;
}

static void
reply(struct stands *t, struct stand *s, int64_t now_us)
{
	int64_t period = s->rule->period_us;

	if (s->until_us > now_us)
		return; /* it was under way */
	if (s->is_doubtful && s->may_until_us > now_us)
		return;
	s->until_us = 0;
	if (s->rule->count <= 1) {
		act(t, s, now_us);
		return;
	}
	if (s->ntimes == TIMES_MAX)
		memmove(s->times, s->times + 1,
		    --s->ntimes * sizeof(s->times[0]));
	s->times[s->ntimes++] = now_us;
	if (within(s, now_us, period / 16 * 15) >= s->rule->count) {
		t->marks->n[MARK_reaction_counted]++;
		act(t, s, now_us);
	} else if (within(s, now_us, period + 1) >= s->rule->count) {
		s->is_doubtful = true;
		s->may_until_us = now_us + s->rule->for_us;
	}
}

void
std_heard(struct stands *t, uint32_t session, bool is_down, uint16_t code,
    struct slice text, int64_t now_us)
{
	struct opened *o = session_of(t, session);
	bool is_heard = o->is_heard;

	if (!t->is_asked) {
		memcpy(t->was, t->v, t->n * sizeof(t->v[0]));
		t->nwas = t->n;
	}
	t->is_asked = true;
	if (code < 400 || !o->is_open || (is_down && is_heard))
		return;
	for (uint32_t i = 0; i < t->conf->nautomations; i++) {
		const struct conf_automation *a = &t->conf->automations[i];
		struct stand *s;

		if (!matches(a, code, text))
			continue;
		o->is_heard = true;
		if (a->action != ACT_NONE) {
			s = stand_get(t, a, &o->who);
			if (s != NULL)
				reply(t, s, now_us);
		}
		if (!a->goes_on)
			return;
	}
}

/* ---- what the program says ------------------------------------------------------------- */

static const struct std_row *
row_of(const struct stand *s, const struct std_row *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (is_same(s, v[i].rule, v[i].dims, v[i].who.val))
			return &v[i];
	return NULL;
}

static struct stand *
stand_of(struct stands *t, const struct std_row *r)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (is_same(&t->v[i], r->rule, r->dims, r->who.val))
			return &t->v[i];
	return NULL;
}

static void
check_row(struct stands *t, const struct std_row *r, int64_t now_us)
{
	const struct stand *s = stand_of(t, r);

	if (s == NULL || s->until_us == 0)
		check_fail("a reaction has a reply", 0,
		    "rule %.*s stands for another %.3f s|nothing that it "
		    "matches was said",
		    SLF(r->rule), (double)(r->until_us - now_us) / US_PER_S);
	if (r->until_us != s->until_us)
		check_fail("a reaction ends when its rule says", 0,
		    "rule %.*s stands for another %.6f s|it should for %.6f s",
		    SLF(r->rule), (double)(r->until_us - now_us) / US_PER_S,
		    (double)(s->until_us - now_us) / US_PER_S);
}

void
std_told(struct stands *t, bool has_heard, const struct std_row *v, uint32_t n,
    int64_t now_us)
{
	if (t->is_asked && !has_heard) {
		memcpy(t->v, t->was, t->nwas * sizeof(t->v[0]));
		t->n = t->nwas;
	}
	t->is_asked = false;
	for (uint32_t i = 0; i < t->n; i++) {
		struct stand *s = &t->v[i];
		const struct std_row *r = row_of(s, v, n);

		if (s->is_doubtful && r != NULL) {
			s->until_us = s->may_until_us;
			s->ntimes = 0;
			t->marks->n[MARK_reaction]++;
		}
		s->is_doubtful = false;
		if (r == NULL && s->until_us > now_us)
			check_fail("a reply that a rule knows has its reaction",
			    0,
			    "rule %.*s should stand for another %.3f s|it does "
			    "not",
			    SLF(s->name),
			    (double)(s->until_us - now_us) / US_PER_S);
	}
	for (uint32_t i = 0; i < n; i++)
		check_row(t, &v[i], now_us);
}

void
std_ended(struct stands *t, const struct std_row *r)
{
	struct stand *s = stand_of(t, r);

	if (s != NULL)
		s->until_us = 0;
	t->marks->n[MARK_reaction_ended]++;
}

/* ---- sessions ---------------------------------------------------------------------------- */

static void
check_start(const struct stands *t, const struct std_who *who, const char *what,
    int64_t now_us)
{
	for (uint32_t i = 0; i < t->n; i++) {
		const struct stand *s = &t->v[i];

		if (s->until_us > now_us &&
		    is_same(s, s->name, s->dims, who->val))
			check_fail("nothing starts on what is suspended", 0,
			    "%s by source %u to site %u|rule %.*s stands for "
			    "another %.3f s",
			    what, who->val[STD_SOURCE], who->val[STD_SITE],
			    SLF(s->name),
			    (double)(s->until_us - now_us) / US_PER_S);
	}
}

void
std_opened(struct stands *t, uint32_t session, const struct std_who *who,
    int64_t now_us)
{
	*session_of(t, session) =
	    (struct opened){ .who = *who, .is_open = true };
	check_start(t, who, "a session is opened", now_us);
}

void
std_assigned(struct stands *t, uint32_t session, int64_t now_us)
{
	const struct opened *o = session_of(t, session);

	if (o->is_open)
		check_start(t, &o->who, "a transaction begins", now_us);
}

void
std_closed(struct stands *t, uint32_t session)
{
	session_of(t, session)->is_open = false;
}

void
std_crash(struct stands *t)
{
	if (t->cap)
		memset(t->sessions, 0, t->cap * sizeof(*t->sessions));
	t->is_asked = false;
}

/* What stands now is what stood; nothing is known of what was counted. */
static void
adopt(struct stands *t, const struct std_row *v, uint32_t n)
{
	t->n = 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct conf_automation *a = rule_find(t->conf, v[i].rule);
		struct stand *s = a ? stand_get(t, a, &v[i].who) : NULL;

		if (s != NULL)
			s->until_us = v[i].until_us;
	}
}

/* The last end that rows of a target speak of; 0: there is none. */
static int64_t
last_of(const struct stand *s, const struct std_row *v, uint32_t n)
{
	int64_t last = 0;

	for (uint32_t i = 0; i < n; i++)
		if (is_same(s, v[i].rule, v[i].dims, v[i].who.val))
			last = MAX(last, v[i].until_us);
	return last;
}

void
std_started(struct stands *t, const struct std_row *kept, uint32_t nkept,
    const struct std_row *v, uint32_t n, int64_t now_us)
{
	for (uint32_t i = 0; i < nkept; i++) {
		const struct std_row *k = &kept[i];
		const struct conf_automation *a = rule_find(t->conf, k->rule);
		struct stand probe = { .name = k->rule, .dims = k->dims };
		const struct std_row *r;

		if (a == NULL || k->until_us <= now_us)
			continue;
		memcpy(probe.val, k->who.val, sizeof(probe.val));
		r = row_of(&probe, v, n);
		if (r == NULL || r->until_us < k->until_us)
			check_fail(
			    "a reaction that is durable outlives a crash", 0,
			    "rule %.*s stood for another %.3f s|it %s",
			    SLF(k->rule),
			    (double)(k->until_us - now_us) / US_PER_S,
			    r ? "ends sooner" : "is gone");
		t->marks->n[MARK_reaction_recalled]++;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct stand probe = { .name = v[i].rule, .dims = v[i].dims };

		memcpy(probe.val, v[i].who.val, sizeof(probe.val));
		if (last_of(&probe, kept, nkept) != v[i].until_us)
			check_fail("a start has no reaction of its own", 0,
			    "rule %.*s stands for another %.3f s|nothing of it "
			    "was durable",
			    SLF(v[i].rule),
			    (double)(v[i].until_us - now_us) / US_PER_S);
	}
	adopt(t, v, n);
}
