/*
 * check/standing.c - see standing.h.
 *
 * A rule that acts at the n-th reply in a period is counted by the times of its
 * replies: where the program may count or not (its period moves in sixteenths) it
 * is asked what it did.
 */
#include "check/standing.h"

#define STANDS_MAX 512u
#define TIMES_MAX 256u
#define TXNS 16u /* of a session, the last; they may end in any order */
#define PLACES 64u
#define SOURCES 8u
#define DOWN_US (600 * US_PER_S) /* that a host is down at most */

/* What a rule has seen, and done, for a target. */
struct stand {
	const struct conf_automation *rule;
	struct slice name;
	uint32_t val[STD_VALS];
	uint16_t dims;
	int64_t until_us; /* it stands so long; 0 = it does not */
	int64_t last_us;  /* when that was said */
	int64_t start_us; /* what was counted before may be forgotten */
	int64_t stood_us; /* it may have stood until then */
	bool is_doubtful; /* it may have acted just now, or not */
	int64_t may_until_us;
	/* Replies that match, and for a ratio all since the first of them. */
	int64_t times[TIMES_MAX], all[TIMES_MAX];
	uint32_t ntimes, nall;
	/* Those that it has acted on: a crash may bring them back. */
	int64_t past_times[TIMES_MAX], past_all[TIMES_MAX];
	uint32_t npast_times, npast_all;
	uint32_t paces; /* of those of stands, + 1 */
};

/* When a path that is slowed may have its next transaction. */
struct paces {
	int64_t next_us[SOURCES][PLACES];
};

struct opened {
	struct std_who who;
	bool is_open, is_heard;
	int64_t since_us;
	struct begun {
		uint32_t txn;
		int64_t at_us;
		bool is_pending;
		struct eng_shape shape;
	} txn[TXNS];
};

struct stands {
	struct marks *marks;
	const struct conf *conf;
	struct stand v[STANDS_MAX], was[STANDS_MAX];
	uint32_t n, nwas;
	bool is_asked; /* something was heard since std_told */
	struct opened *sessions;
	uint32_t cap;
	struct paces paces[STANDS_MAX];
	uint32_t npaces;
};

static const enum eng_dim dim_of[STD_VALS] = {
	[STD_SOURCE] = DIM_SOURCE,
	[STD_NETBLOCK] = DIM_NETBLOCK,
	[STD_SITE] = DIM_SITE,
	[STD_PROVIDER] = DIM_PROVIDER,
	[STD_HOST] = DIM_HOST,
	[STD_TENANT] = DIM_TENANT,
	[STD_CAMPAIGN] = DIM_CAMPAIGN,
	[STD_POOL] = DIM_POOL,
	[STD_SENDER] = DIM_SENDER_DOMAIN,
};

#define BIT(d) (1u << (d))
#define QUEUE                                                                  \
	(BIT(DIM_SITE) | BIT(DIM_POOL) | BIT(DIM_TENANT) | BIT(DIM_CAMPAIGN))
#define MAIL                                                                   \
	(BIT(DIM_POOL) | BIT(DIM_TENANT) | BIT(DIM_CAMPAIGN) |                 \
	    BIT(DIM_SENDER_DOMAIN))

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
	uint32_t dims = 0;

	for (uint32_t i = 0; i < a->non; i++)
		dims |= a->on[i];
	if (a->non == 0)
		dims = a->action == ACT_DEFER || a->action == ACT_BOUNCE ?
		    QUEUE :
		    BIT(DIM_SOURCE) | BIT(DIM_SITE);
	return (uint16_t)(a->action == ACT_SKIP ? dims | BIT(DIM_HOST) : dims);
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
		if (dims >> dim_of[k] & 1 && who->val[k] == STD_NONE &&
		    !(dims >> DIM_POOL & 1 && k > STD_HOST))
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
add(int64_t *times, uint32_t *n, int64_t now_us)
{
	if (*n == TIMES_MAX)
		memmove(times, times + 1, --*n * sizeof(*times));
	times[(*n)++] = now_us;
}

static void
act(struct stands *t, struct stand *s, int64_t now_us)
{
	if (s->until_us <= now_us && s->rule->action == ACT_SLOW) {
		if (s->paces == 0)
			s->paces = ++t->npaces;
		t->paces[s->paces - 1] = (struct paces){ { { 0 } } };
	}
	s->until_us = now_us + s->rule->for_us;
	s->last_us = now_us;
	s->stood_us = s->until_us;
	for (uint32_t i = 0; i < s->ntimes; i++)
		add(s->past_times, &s->npast_times, s->times[i]);
	for (uint32_t i = 0; i < s->nall; i++)
		add(s->past_all, &s->npast_all, s->all[i]);
	s->ntimes = s->nall = 0;
	t->marks->n[MARK_reaction]++;
}

/* So many of these came in the last us. */
static uint32_t
within(const int64_t *times, uint32_t n, int64_t now_us, int64_t us)
{
	uint32_t have = 0;

	for (uint32_t i = 0; i < n; i++)
		have += times[i] > now_us - us;
	return have;
}

/* So far back nothing is forgotten. */
static int64_t
since(const struct stand *s, int64_t now_us, int64_t us)
{
	return MIN(us, now_us - s->start_us);
}

/* The program counts what came within fifteen sixteenths of the period, and may
 * count what came within all of it. */
static void
tell_ratio(const struct stand *s, int64_t now_us, bool *must, bool *may)
{
	const struct conf_automation *a = s->rule;
	int64_t us = a->window_us, less = us / 16 * 15;
	uint64_t hits =
	    within(s->times, s->ntimes, now_us, since(s, now_us, less));
	uint64_t hits_most = within(s->times, s->ntimes, now_us, us + 1);
	uint64_t all = within(s->all, s->nall, now_us, since(s, now_us, less));
	uint64_t all_most = within(s->all, s->nall, now_us, us + 1);

	/* More than are remembered here: how many is not known. */
	bool over = s->nall == TIMES_MAX && s->all[0] >= now_us - us;
	bool hits_over = s->ntimes == TIMES_MAX && s->times[0] >= now_us - us;

	*must = !over && all >= a->replies_min &&
	    hits * ENG_PPM >= all_most * a->ratio_ppm;
	/* Of what came between the two some may be counted and some not. */
	*may = all_most >= a->replies_min &&
	    (hits_over || hits_most * ENG_PPM >= all * a->ratio_ppm);
}

static void
tell_count(const struct stand *s, int64_t now_us, bool *must, bool *may)
{
	const struct conf_automation *a = s->rule;

	*must = within(s->times, s->ntimes, now_us,
		    since(s, now_us, a->period_us / 16 * 15)) >= a->count;
	*may =
	    within(s->times, s->ntimes, now_us, a->period_us + 1) >= a->count;
}

static void
reply(struct stands *t, struct stand *s, int64_t began_us, int64_t now_us)
{
	const struct conf_automation *a = s->rule;
	bool must = true, may = true;

	if (s->until_us > now_us && began_us <= s->last_us)
		return; /* it was under way */
	if (s->is_doubtful && s->may_until_us > now_us) {
		/* It counts, too, unless the one before was enough. */
		if (a->count > 1 || a->ratio_ppm != 0)
			add(s->times, &s->ntimes, now_us);
		return;
	}
	if (a->count > 1 || a->ratio_ppm != 0) {
		/* When none came for a period it begins anew. */
		if (s->ntimes == 0 ||
		    s->times[s->ntimes - 1] <= now_us - a->window_us) {
			s->nall = 0;
			add(s->all, &s->nall, now_us);
		}
		/* Was all forgotten at the start, it begins here, with this
		 * one; if not, it may or may not count to all. */
		if (within(s->times, s->ntimes, s->start_us, 0) == 0) {
			s->start_us = now_us - 1;
			for (uint32_t i = 0; i < s->nall; i++)
				s->all[i] = MIN(s->all[i], s->start_us);
			add(s->all, &s->nall, s->start_us);
		}
		add(s->times, &s->ntimes, now_us);
		if (a->ratio_ppm != 0)
			tell_ratio(s, now_us, &must, &may);
		else
			tell_count(s, now_us, &must, &may);
		t->marks->n[MARK_reaction_counted] += must;
	}
	if (must) {
		act(t, s, now_us);
	} else if (may) {
		s->is_doubtful = true;
		s->may_until_us = now_us + a->for_us;
	}
}

/* Every reply counts for ratios of its targets. */
static void
count(struct stands *t, const struct std_who *who, int64_t now_us)
{
	for (uint32_t i = 0; i < t->n; i++) {
		struct stand *s = &t->v[i];

		if (s->rule->ratio_ppm != 0 && s->ntimes != 0 &&
		    is_same(s, s->name, s->dims, who->val))
			add(s->all, &s->nall, now_us);
	}
}

static struct begun *
begun(struct opened *o, uint32_t txn)
{
	uint32_t k = 0;

	while (k + 1 < TXNS && o->txn[k].txn != txn)
		k++;
	return &o->txn[k];
}

void
std_heard(struct stands *t, uint32_t session, const struct std_txn *x,
    uint16_t code, struct slice text, int64_t now_us)
{
	struct opened *o = session_of(t, session);
	bool is_heard = o->is_heard;
	struct std_who who = o->who;
	int64_t began_us = o->since_us;

	if (!t->is_asked) {
		memcpy(t->was, t->v, t->n * sizeof(t->v[0]));
		t->nwas = t->n;
	}
	t->is_asked = true;
	if (!o->is_open)
		return;
	if (x != NULL) {
		memcpy(who.val + STD_TENANT, x->mail->val + STD_TENANT,
		    (STD_VALS - STD_TENANT) * sizeof(who.val[0]));
		began_us = begun(o, x->txn)->at_us;
		count(t, &who, now_us);
	}
	if (code < 400 || (x == NULL && is_heard))
		return;
	for (uint32_t i = 0; i < t->conf->nautomations; i++) {
		const struct conf_automation *a = &t->conf->automations[i];
		struct stand *s;

		if (!matches(a, code, text))
			continue;
		o->is_heard = true;
		/* What is about mail has no target where it is nobody's. */
		if (a->action != ACT_NONE &&
		    (x != NULL || (dims_of(a) & MAIL) == 0)) {
			s = stand_get(t, a, &who);
			if (s != NULL)
				reply(t, s, began_us, now_us);
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

		if (s->is_doubtful && r != NULL &&
		    r->until_us == s->may_until_us)
			act(t, s, s->may_until_us - s->rule->for_us);
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

/* Of the mail alone: where it goes is not known, or no more. */
static bool
is_for(const struct stand *s, const struct std_who *mail)
{
	for (int k = STD_TENANT; k < STD_VALS; k++)
		if (s->dims >> dim_of[k] & 1 && s->val[k] != mail->val[k])
			return false;
	return true;
}

void
std_bounced(struct stands *t, const struct std_who *mail, uint32_t msg,
    int64_t now_us)
{
	for (uint32_t i = 0; i < t->n; i++) {
		const struct stand *s = &t->v[i];

		if (s->rule->action != ACT_BOUNCE || s->until_us < now_us ||
		    !is_for(s, mail))
			continue;
		t->marks->n[MARK_reaction_bounce]++;
		return;
	}
	check_fail("what a rule returns has a rule", msg,
	    "m%u is returned by a rule|none that stands is about its mail",
	    msg);
}

bool
std_bounces(const struct stands *t, const struct std_who *mail, int64_t now_us)
{
	for (uint32_t i = 0; i < t->n; i++) {
		const struct stand *s = &t->v[i];

		if (s->rule->action == ACT_BOUNCE && s->last_us != 0 &&
		    s->last_us + US_PER_S < now_us && s->until_us > now_us &&
		    (s->dims & ~MAIL) == 0 && is_for(s, mail))
			return true;
	}
	return false;
}

/* Has it stood since, or may it, as far as is known now? */
static bool
has_stood(const struct stand *s, int64_t since_us)
{
	return s->stood_us >= since_us ||
	    (s->is_doubtful && s->may_until_us >= since_us);
}

bool
std_let_go(const struct stands *t, uint32_t source, uint32_t netblock,
    int64_t since_us)
{
	for (uint32_t i = 0; i < t->n; i++) {
		const struct stand *s = &t->v[i];

		if (s->rule->action == ACT_OTHER && has_stood(s, since_us) &&
		    (s->dims >> DIM_SOURCE & 1 ?
			    s->val[STD_SOURCE] == source :
			    s->val[STD_NETBLOCK] == netblock))
			return true;
	}
	return false;
}

bool
std_moves(const struct stands *t, int64_t now_us)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (t->v[i].rule->action == ACT_OTHER &&
		    t->v[i].until_us + US_PER_S > now_us)
			return true;
	return false;
}

bool
std_has_moved(const struct stands *t, int64_t since_us)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (t->v[i].rule->action == ACT_OTHER &&
		    has_stood(&t->v[i], since_us))
			return true;
	return false;
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

/* Only what the mail says, and only a path or a host. */
static bool
is_of_mail(const struct stand *s)
{
	return s->rule->action == ACT_DEFER || s->rule->action == ACT_BOUNCE ||
	    (s->dims & MAIL) != 0;
}

static void
check_start(const struct stands *t, const struct std_who *who, bool has_mail,
    const char *what, int64_t now_us)
{
	for (uint32_t i = 0; i < t->n; i++) {
		const struct stand *s = &t->v[i];
		uint8_t action = s->rule->action;

		if (s->until_us <= now_us || (is_of_mail(s) && !has_mail) ||
		    (action != ACT_SUSPEND && action != ACT_SKIP &&
			action != ACT_OTHER && action != ACT_DEFER &&
			action != ACT_BOUNCE) ||
		    !is_same(s, s->name, s->dims, who->val))
			continue;
		check_fail("nothing starts on what is suspended", 0,
		    "%s by source %u to site %u, host %u|rule %.*s (%s) stands "
		    "for another %.3f s",
		    what, who->val[STD_SOURCE], who->val[STD_SITE],
		    who->val[STD_HOST], SLF(s->name), eng_action_name(action),
		    (double)(s->until_us - now_us) / US_PER_S);
	}
}

/* How many there are of its path. */
static uint32_t
alike(const struct stands *t, const struct std_who *who)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->cap; i++) {
		const struct opened *o = &t->sessions[i];

		n += o->is_open &&
		    o->who.val[STD_SOURCE] == who->val[STD_SOURCE] &&
		    o->who.place == who->place;
	}
	return n;
}

static void
check_conns(const struct stands *t, const struct std_who *who, int64_t now_us)
{
	for (uint32_t i = 0; i < t->n; i++) {
		const struct stand *s = &t->v[i];

		if (s->rule->action != ACT_CONNS || s->until_us <= now_us ||
		    !is_same(s, s->name, s->dims, who->val))
			continue;
		t->marks->n[MARK_reaction_conns]++;
		if (alike(t, who) > s->rule->conns_max)
			check_fail("a path has the connections that are left",
			    0,
			    "source %u has %u to site %u|rule %.*s leaves %u",
			    who->val[STD_SOURCE], alike(t, who),
			    who->val[STD_SITE], SLF(s->name),
			    s->rule->conns_max);
	}
}

void
std_opened(struct stands *t, uint32_t session, const struct std_who *who,
    int64_t now_us)
{
	*session_of(t, session) =
	    (struct opened){ .who = *who, .is_open = true, .since_us = now_us };
	check_start(t, who, false, "a session is opened", now_us);
	check_conns(t, who, now_us);
	for (uint32_t i = 0; i < t->n; i++)
		t->marks->n[MARK_reaction_other] +=
		    t->v[i].rule->action == ACT_OTHER &&
		    t->v[i].until_us > now_us;
	for (uint32_t i = 0; i < t->n; i++)
		t->marks->n[MARK_reaction_skip] +=
		    t->v[i].rule->action == ACT_SKIP &&
		    t->v[i].until_us > now_us &&
		    t->v[i].val[STD_SITE] == who->val[STD_SITE];
}

/* From one to the next; 0: nothing is known of its rate. */
static int64_t
gap_of(const struct stand *s, const struct eng_shape *shape)
{
	double us;

	if (shape->rate_count == 0)
		return 0;
	us = (double)shape->rate_period_us / shape->rate_count * ENG_PPM /
	    s->rule->factor_ppm;
	return (int64_t)us;
}

static void
paced(struct stands *t, const struct std_who *who,
    const struct eng_shape *shape, bool is_sent, int64_t now_us)
{
	for (uint32_t i = 0; i < t->n; i++) {
		const struct stand *s = &t->v[i];
		int64_t *next, gap = gap_of(s, shape);

		if (s->rule->action != ACT_SLOW || s->until_us <= now_us ||
		    s->paces == 0 || who->place >= PLACES || gap == 0 ||
		    !is_same(s, s->name, s->dims, who->val))
			continue;
		next =
		    &t->paces[s->paces - 1]
			 .next_us[who->val[STD_SOURCE] % SOURCES][who->place];
		if (!is_sent) {
			*next -= gap;
			continue;
		}
		t->marks->n[MARK_reaction_slow]++;
		if (*next > now_us)
			check_fail("a slowed path has a part of its rate", 0,
			    "source %u sends to site %u|rule %.*s lets it in "
			    "%.6f s",
			    who->val[STD_SOURCE], who->val[STD_SITE],
			    SLF(s->name), (double)(*next - now_us) / US_PER_S);
		*next = MAX(*next, now_us) + gap;
	}
}

void
std_assigned(struct stands *t, const struct std_txn *x, int64_t now_us)
{
	struct opened *o = session_of(t, x->session);
	struct std_who who = o->who;

	memmove(o->txn + 1, o->txn, (TXNS - 1) * sizeof(o->txn[0]));
	o->txn[0] = (struct begun){ x->txn, now_us, o->is_open, x->shape };
	if (!o->is_open)
		return;
	memcpy(who.val + STD_TENANT, x->mail->val + STD_TENANT,
	    (STD_VALS - STD_TENANT) * sizeof(who.val[0]));
	check_start(t, &who, true, "a transaction begins", now_us);
	paced(t, &who, &x->shape, true, now_us);
}

void
std_answered(struct stands *t, const struct std_txn *x, bool is_unsent,
    int64_t now_us)
{
	struct opened *o = session_of(t, x->session);
	struct begun *b = begun(o, x->txn);

	if (is_unsent && b->is_pending)
		paced(t, &o->who, &b->shape, false, now_us);
	b->is_pending = false;
}

void
std_closed(struct stands *t, uint32_t session, int64_t now_us)
{
	struct opened *o = session_of(t, session);

	for (uint32_t k = 0; k < TXNS && o->is_open; k++)
		if (o->txn[k].is_pending)
			paced(t, &o->who, &o->txn[k].shape, false, now_us);
	o->is_open = false;
}

void
std_crash(struct stands *t)
{
	if (t->cap)
		memset(t->sessions, 0, t->cap * sizeof(*t->sessions));
	t->is_asked = false;
}

/* Of late times those that it may count from a start on, as long as if they were
 * of that moment: the clock may have been put back since they were kept. */
static void
revive(int64_t *times, uint32_t *n, const int64_t *past, uint32_t npast,
    int64_t late_us, int64_t now_us)
{
	uint32_t have =
	    within(times, *n, late_us, 0) + within(past, npast, late_us, 0);

	for (*n = 0; *n < MIN(have, TIMES_MAX);)
		times[(*n)++] = now_us;
}

/* What stands now is what stood; what was counted of late may be known, and what
 * was acted on, too, if the books had not heard of that. */
static void
adopt(struct stands *t, const struct std_row *v, uint32_t n, int64_t now_us)
{
	t->npaces = 0;
	for (uint32_t i = t->n; i-- > 0;) {
		struct stand *s = &t->v[i];

		s->until_us = s->last_us = 0;
		s->is_doubtful = false;
		s->start_us = now_us;
		s->paces = 0;
		revive(s->times, &s->ntimes, s->past_times, s->npast_times,
		    now_us - 2 * s->rule->window_us - DOWN_US, now_us);
		revive(s->all, &s->nall, s->past_all, s->npast_all,
		    now_us - 2 * s->rule->window_us - DOWN_US, now_us);
		s->npast_times = s->npast_all = 0;
		if (s->ntimes == 0)
			*s = t->v[--t->n];
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct conf_automation *a = rule_find(t->conf, v[i].rule);
		struct stand *s = a ? stand_get(t, a, &v[i].who) : NULL;

		if (s == NULL)
			continue;
		s->until_us = s->stood_us = v[i].until_us;
		if (a->action == ACT_SLOW)
			s->paces = ++t->npaces;
		if (s->paces != 0)
			t->paces[s->paces - 1] = (struct paces){ { { 0 } } };
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
	adopt(t, v, n, now_us);
}
