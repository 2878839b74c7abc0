/*
 * scene/check.c - what steps with Then say, looked up in the log of a run.
 *
 * Every function says 1 (it holds) or 0, with the first or the worst that does
 * not fit in `why`.
 */
#include <stdarg.h>
#include <stdio.h>

#include "scene/check_i.h"
#include "world/guard.h"

/* ---- words about events ------------------------------------------------------------ */

int
scene_fail(struct checking *k, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(k->why, k->why_cap, fmt, ap);
	va_end(ap);
	return 0;
}

const char *
scene_when(char dst[32], int64_t us)
{
	long long s = us / US_PER_S;

	snprintf(dst, 32, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
	return dst;
}

static struct slice
source_name(const struct checking *k, uint16_t source)
{
	return source < k->s->scen->conf->nsources ?
	    k->s->scen->conf->sources[source].name :
	    SL("?");
}

bool
scene_provider(struct checking *k, struct slice name, int32_t *provider)
{
	const struct scen *s = k->s->scen;

	for (uint32_t i = 0; i < s->nproviders; i++)
		if (slice_eq(s->providers[i].name, name)) {
			*provider = (int32_t)i;
			return true;
		}
	return false;
}

/* Every word of the text is in the reply. */
bool
scene_says(const struct verdict *v, struct slice words)
{
	char reply[REPLY_BYTES_MAX + 32];

	if (v == NULL)
		return false;
	scene_reply(v, reply, sizeof(reply));
	while (words.p != NULL) {
		struct slice word = slice_cut(&words, ' ');

		if (word.n > 0 &&
		    memmem(reply, strlen(reply), word.p, word.n) == NULL)
			return false;
	}
	return true;
}

bool
scene_is_refusal(const struct trial_event *ev, struct slice words)
{
	return (ev->what == DEED_REFUSED || ev->what == DEED_ANSWER) &&
	    scene_says(ev->verdict, words);
}

/* ---- nouns, groups, times ------------------------------------------------------------- */

static bool
is_noun(const struct trial_event *ev, int64_t noun)
{
	switch (noun) {
	case NOUN_ATTEMPTED:
		return ev->what == DEED_ATTEMPT;
	case NOUN_DELIVERED:
		return ev->what == DEED_ANSWER &&
		    ev->klass == OUTCOME_DELIVERED;
	case NOUN_DEFERRED:
		return ev->what == DEED_ANSWER &&
		    ev->klass == OUTCOME_TRANSIENT;
	case NOUN_BOUNCED:
		return ev->what == DEED_FINAL && ev->klass == OUTCOME_BOUNCED;
	case NOUN_EXPIRED:
		return ev->what == DEED_FINAL && ev->klass == OUTCOME_EXPIRED;
	case NOUN_OPENED:
		return ev->what == DEED_OPEN;
	default:
		return ev->what == DEED_REFUSED;
	}
}

uint64_t
scene_group(const struct checking *k, const struct trial_event *ev,
    int64_t group)
{
	const struct scen_workload *w = &k->s->scen->workloads[ev->feed];

	switch (group) {
	case GROUP_SOURCE:
		return (uint64_t)ev->source + 1;
	case GROUP_NETBLOCK:
		return scene_netblock(k, ev->source);
	case GROUP_MAILBOX:
		return (uint64_t)(ev->provider + 1u) << 32 | ev->mailbox;
	case GROUP_SENDER:
		return hash_bytes(1, w->sender.p, w->sender.n) | 1;
	case GROUP_CONNECTION:
		return ev->connection + 1;
	default:
		return 1;
	}
}

/* Those whose addresses share 24 bits; by their order where they have none. */
uint64_t
scene_netblock(const struct checking *k, uint16_t source)
{
	const struct conf *c = k->s->scen->conf;

	if (source >= c->nsources || c->sources[source].address.family == 0)
		return 1;
	return 2 + (hash_bytes(1, c->sources[source].address.b, 3) >> 8);
}

static const char *
group_words(const struct checking *k, const struct trial_event *ev,
    int64_t group, char dst[64])
{
	dst[0] = '\0';
	if (group == GROUP_SOURCE || group == GROUP_NETBLOCK)
		snprintf(dst, 64, " from %.*s%s",
		    SLF(source_name(k, ev->source)),
		    group == GROUP_NETBLOCK ? " and its neighbours" : "");
	else if (group == GROUP_MAILBOX)
		snprintf(dst, 64, " to mailbox %u", ev->mailbox);
	else if (group == GROUP_CONNECTION)
		snprintf(dst, 64, " on connection %llu",
		    (unsigned long long)ev->connection);
	return dst;
}

/* "in minutes 1 to 5", "after 2 hours": the words before what is said. Where
 * the rest begins. */
static uint32_t
take_scope(struct checking *k, const struct words *w)
{
	static const char *const patterns[] = {
		"in minute <n>",
		"in minutes <n> to <n>",
		"in hour <n>",
		"in hours <n> to <n>",
		"in the first <d>",
		"after <d>",
		"between <d> and <d>",
		"in each (minute|hour)",
	};
	struct words head = *w;
	struct args a;

	k->from_us = 0;
	k->to_us = TIME_NEVER;
	k->each_us = 0;
	for (uint32_t n = MIN(w->n, 8u); n > 2; n--)
		for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
			int64_t unit = i < 2 ? 60 * US_PER_S : 3600 * US_PER_S;
			int64_t last;

			head.n = n;
			if (!words_match(&head, 0, patterns[i], &a))
				continue;
			last = arg_is_set(&a, 1) ? a.v[1].v : a.v[0].v;
			if (i < 4) {
				k->from_us = (a.v[0].v - 1) * unit;
				k->to_us = last * unit;
			} else if (i == 4)
				k->to_us = a.v[0].v;
			else if (i == 5)
				k->from_us = a.v[0].v;
			else if (i == 6) {
				k->from_us = a.v[0].v;
				k->to_us = a.v[1].v;
			} else
				k->each_us =
				    a.v[0].v ? 3600 * US_PER_S : 60 * US_PER_S;
			return n;
		}
	return 0;
}

static bool
is_in(const struct checking *k, const struct trial_event *ev)
{
	return ev->at_us >= k->from_us && ev->at_us < k->to_us &&
	    (k->provider < 0 || ev->provider == k->provider) &&
	    (k->source < 0 || ev->source == k->source);
}

/* "from each source", "from source b", "to gmail": arguments from `arg` on, as
 * the patterns below end. False for a name that is not given. */
static bool
take_filter(struct checking *k, const struct args *a, uint32_t arg,
    int64_t *group)
{
	const struct conf *c = k->s->scen->conf;

	*group = arg_is_set(a, arg) ? a->v[arg].v + 1 : GROUP_ALL;
	k->source = k->provider = -1;
	for (uint32_t i = 0; arg_is_set(a, arg + 1) && i < c->nsources; i++)
		if (slice_eq(c->sources[i].name, a->v[arg + 1].text))
			k->source = (int32_t)i;
	if (arg_is_set(a, arg + 1) && k->source < 0)
		return scene_fail(k, "there is no source %.*s",
		    SLF(a->v[arg + 1].text));
	if (arg_is_set(a, arg + 2) &&
	    !scene_provider(k, a->v[arg + 2].text, &k->provider))
		return scene_fail(k, "there is no provider %.*s",
		    SLF(a->v[arg + 2].text));
	return true;
}

/* ---- how many ------------------------------------------------------------------------ */

struct group_count {
	uint64_t n;
	const struct trial_event *ev; /* its last */
};

/* Groups of events by key; count 0 for sources that did nothing. */
struct groups {
	struct map at;
	uint32_t n, cap;
	struct group_count *v;
};

static struct group_count *
group_at(struct groups *g, uint64_t key)
{
	uint32_t at = map_get(&g->at, key);

	if (at != 0)
		return &g->v[at - 1];
	if (g->n == g->cap) {
		g->cap = MAX(g->cap * 2, 64u);
		g->v = mem_grow(g->v, g->cap * sizeof(*g->v));
		ASSERT(g->v != NULL);
	}
	ASSERT(map_put(&g->at, key, g->n + 1) == 0);
	g->v[g->n] = (struct group_count){ .n = 0 };
	return &g->v[g->n++];
}

static void
groups_free(struct groups *g)
{
	map_free(&g->at);
	mem_free(g->v);
}

static bool
compares(int64_t how, uint64_t n, int64_t bound)
{
	switch (how) {
	case HOW_MOST:
		return n <= (uint64_t)bound;
	case HOW_LEAST:
		return n >= (uint64_t)bound;
	default:
		return n == (uint64_t)bound;
	}
}

static const char *
how_words(int64_t how)
{
	static const char *const words[] = { "at most", "at least", "exactly" };

	return words[how];
}

/* One time and all its groups. */
static int
count_in(struct checking *k, int64_t noun, int64_t group, int64_t how,
    int64_t bound)
{
	const struct scene_log *l = &k->s->log;
	struct groups g = { .n = 0 };
	int ok = 1;
	char from[32], whose[64];

	map_init(&g.at, 1, SCENE_EVENTS_MAX);
	if (group == GROUP_ALL)
		(void)group_at(&g, 1);
	for (uint32_t i = 0;
	     group == GROUP_SOURCE && i < k->s->scen->conf->nsources; i++)
		(void)group_at(&g, i + 1);
	for (uint32_t i = 0; i < l->n; i++)
		if (is_noun(&l->v[i], noun) && is_in(k, &l->v[i])) {
			struct group_count *c =
			    group_at(&g, scene_group(k, &l->v[i], group));

			c->n++;
			c->ev = &l->v[i];
		}
	for (uint32_t i = 0; ok && i < g.n; i++)
		if (!compares(how, g.v[i].n, bound))
			ok = scene_fail(k, "expected %s %lld, got %llu%s%s%s",
			    how_words(how), (long long)bound,
			    (unsigned long long)g.v[i].n,
			    g.v[i].ev ?
				group_words(k, g.v[i].ev, group, whose) :
				group == GROUP_ALL ? "" :
						     " from one of them",
			    k->from_us ? " from " : "",
			    k->from_us ? scene_when(from, k->from_us) : "");
	groups_free(&g);
	return ok;
}

static int
count(struct checking *k, int64_t noun, int64_t group, int64_t how,
    int64_t bound)
{
	int64_t from = k->from_us, to = MIN(k->to_us, k->s->end_us + 1);
	int ok = 1;

	if (k->each_us == 0)
		return count_in(k, noun, group, how, bound);
	for (int64_t at = from; ok && at + k->each_us <= to; at += k->each_us) {
		k->from_us = at;
		k->to_us = at + k->each_us;
		ok = count_in(k, noun, group, how, bound);
	}
	return ok;
}

#define NOUNS "(attempted|delivered|deferred|bounced|expired|opened|refused)"
/* Arguments: group, source, provider. */
#define WHOSE                                                                  \
	"[ (from_each_source|from_each_netblock|to_each_mailbox|"              \
	"from_each_sender|on_each_connection) ] [ from source <w> ] "          \
	"[ to <w> ]"

static int
then_count(struct checking *k, const struct args *a)
{
	int64_t group;

	if (!take_filter(k, a, 5, &group))
		return 0;
	return count(k, a->v[4].v, group, a->v[0].v, a->v[1].v);
}

/* Arguments: what, noun, whose. */
static int
then_none(struct checking *k, const struct args *a)
{
	int64_t group;

	if (!take_filter(k, a, 3, &group))
		return 0;
	return count(k, a->v[2].v, group, HOW_MOST, 0);
}

/* In any time of a length: by two hands over the log, for each group. */
static int
then_any(struct checking *k, const struct args *a)
{
	const struct scene_log *l = &k->s->log;
	int64_t group, length = a->v[0].v, noun = a->v[4].v;
	struct groups g = { .n = 0 };
	uint32_t tail = 0;
	int ok = 1;

	if (!take_filter(k, a, 5, &group))
		return 0;
	map_init(&g.at, 1, SCENE_EVENTS_MAX);
	for (uint32_t i = 0; ok && i < l->n; i++) {
		struct group_count *c;
		char at[32], whose[64];

		if (!is_noun(&l->v[i], noun) || !is_in(k, &l->v[i]))
			continue;
		for (; l->v[tail].at_us <= l->v[i].at_us - length; tail++)
			if (is_noun(&l->v[tail], noun) && is_in(k, &l->v[tail]))
				group_at(&g, scene_group(k, &l->v[tail], group))
				    ->n--;
		c = group_at(&g, scene_group(k, &l->v[i], group));
		if (++c->n > (uint64_t)a->v[1].v)
			ok = scene_fail(k,
			    "expected at most %lld, got one more%s at %s",
			    (long long)a->v[1].v,
			    group_words(k, &l->v[i], group, whose),
			    scene_when(at, l->v[i].at_us));
	}
	groups_free(&g);
	return ok;
}

static int
then_connection(struct checking *k, const struct args *a)
{
	const struct scene_log *l = &k->s->log;
	int64_t group;
	char at[32];

	if (!take_filter(k, a, 1, &group))
		return 0;
	for (uint32_t i = 0; i < l->n; i++)
		if (l->v[i].what == DEED_ATTEMPT && is_in(k, &l->v[i]) &&
		    l->v[i].nth > (uint64_t)a->v[0].v)
			return scene_fail(k,
			    "expected at most %lld, got message %u on one of "
			    "%.*s's at %s",
			    (long long)a->v[0].v, l->v[i].nth,
			    SLF(source_name(k, l->v[i].source)),
			    scene_when(at, l->v[i].at_us));
	return 1;
}

/* Connections that are asked for or stand, at once. */
static int
then_open(struct checking *k, const struct args *a)
{
	const struct scene_log *l = &k->s->log;
	struct groups g = { .n = 0 };
	int64_t group;
	int ok = 1;

	if (!take_filter(k, a, 3, &group))
		return 0;
	map_init(&g.at, 1, SCENE_EVENTS_MAX);
	for (uint32_t i = 0; ok && i < l->n; i++) {
		const struct trial_event *ev = &l->v[i];
		struct group_count *c;
		char at[32], whose[64];

		if ((k->provider >= 0 && ev->provider != k->provider) ||
		    (k->source >= 0 && ev->source != k->source))
			continue;
		if (ev->what == DEED_DOWN || ev->what == DEED_REFUSED)
			group_at(&g, scene_group(k, ev, group))->n--;
		if (ev->what != DEED_OPEN)
			continue;
		c = group_at(&g, scene_group(k, ev, group));
		if (++c->n > (uint64_t)a->v[0].v && is_in(k, ev))
			ok = scene_fail(k,
			    "expected at most %lld, got %llu%s at %s",
			    (long long)a->v[0].v, (unsigned long long)c->n,
			    group_words(k, ev, group, whose),
			    scene_when(at, ev->at_us));
	}
	groups_free(&g);
	return ok;
}

static int
then_share(struct checking *k, const struct args *a)
{
	const struct scene_log *l = &k->s->log;
	uint64_t all = 0, some = 0;
	int64_t group, ppm;

	if (!take_filter(k, a, 3, &group))
		return 0;
	for (uint32_t i = 0; i < l->n; i++) {
		bool is = l->v[i].what == DEED_ANSWER && is_in(k, &l->v[i]);

		all += is;
		some += is && is_noun(&l->v[i], a->v[2].v);
	}
	ppm = all ? (int64_t)(some * 1000000 / all) : 0;
	if (compares(a->v[0].v, (uint64_t)ppm, a->v[1].v))
		return 1;
	return scene_fail(k,
	    "expected %s %.*s, got %lld.%02lld%% (%llu of %llu)",
	    how_words(a->v[0].v), SLF(a->v[1].text), (long long)ppm / 10000,
	    (long long)ppm % 10000 / 100, (unsigned long long)some,
	    (unsigned long long)all);
}

/* What a bucket or window lets through in the time that is looked at, for all of
 * the sources; second by second, for its rate may step. */
static double
allowed(const struct checking *k, const struct guard *g, int64_t to_us)
{
	double sum = 0;

	for (int64_t at = k->from_us; at < to_us; at += US_PER_S) {
		struct guard_step r = guard_rate(g, at);

		sum += (double)r.count * (double)US_PER_S /
		    (double)MAX(r.period_us, 1);
	}
	return g->by & BY_SOURCE ? sum * k->s->scen->conf->nsources : sum;
}

static const struct guard *
find_guard(const struct checking *k, struct slice name)
{
	const struct scen *s = k->s->scen;

	for (uint32_t p = 0; p < s->nproviders; p++) {
		const struct behave *b = &s->providers[p].behave;

		if (k->provider >= 0 && p != (uint32_t)k->provider)
			continue;
		for (uint32_t i = 0; i < b->nguards; i++)
			if (slice_eq(b->guards[i].name, name))
				return &b->guards[i];
	}
	return NULL;
}

static int
then_allowed(struct checking *k, const struct args *a)
{
	const struct scene_log *l = &k->s->log;
	const struct guard *g;
	uint64_t n = 0;
	int64_t ppm;
	double most;

	if (arg_is_set(a, 2) && !scene_provider(k, a->v[2].text, &k->provider))
		return scene_fail(k, "there is no such provider");
	g = find_guard(k, a->v[1].text);
	most = g ? allowed(k, g, MIN(k->to_us, k->s->end_us)) : 0;
	if (most <= 0)
		return scene_fail(k, "there is no such rate");
	for (uint32_t i = 0; i < l->n; i++)
		n += is_noun(&l->v[i], NOUN_DELIVERED) && is_in(k, &l->v[i]);
	ppm = (int64_t)((double)n * 1e6 / most);
	if (ppm >= a->v[0].v)
		return 1;
	return scene_fail(k, "%llu were, of %.0f: %lld.%lld%%",
	    (unsigned long long)n, most, (long long)ppm / 10000,
	    (long long)ppm % 10000 / 1000);
}

/* ---- all of the steps ------------------------------------------------------------------ */

static const struct {
	const char *pattern;
	int (*check)(struct checking *k, const struct args *a);
} table[] = {
	{ "(at_most|at_least|exactly) <n> (message|messages|connection|"
	  "connections) (is|are) " NOUNS " " WHOSE,
	    then_count },
	{ "no (message|messages|connection|connections) (is|are) " NOUNS
	  " " WHOSE,
	    then_none },
	{ "in any <d> at most <n> (message|messages|connection|connections) "
	  "(is|are) " NOUNS " " WHOSE,
	    then_any },
	{ "each connection carries at most <n> messages " WHOSE,
	    then_connection },
	{ "at most <n> (connection|connections) (is|are) open at once " WHOSE,
	    then_open },
	{ "(at_most|at_least) <p> of attempts are " NOUNS " " WHOSE,
	    then_share },
	{ "at least <p> of what <w> allows is delivered [ to <w> ]",
	    then_allowed },
	{ "every message [ of tenant <w> ] is delivered [ within <d> ] "
	  "[ to <w> ]",
	    then_every },
	{ "<p> of messages [ of tenant <w> ] are delivered within <d> "
	  "[ to <w> ]",
	    then_part },
	{ "all mail has left within <d>", then_left },
	{ "after (the_first|each) <q> nothing (leaves_that_source|"
	  "leaves_any_source|leaves_its_netblock|goes_to_that_mailbox) for <d>",
	    then_silence },
	{ "after (the_first|each) <q> the next (connection_or_message_of_that_"
	  "source|attempt_of_that_recipient) comes after at least <d> "
	  "[ and at most <d> ]",
	    then_next },
	{ "after (the_first|each) <q> that source comes back with <n> "
	  "(connection|connections) and at most <n> more each <d>",
	    then_back },
	{ "<q> is met (at_most|at_least|exactly) <n> times "
	  "[ (from_each_source) ]",
	    then_met },
	{ "<q> is never met", then_never },
	{ "<q> is met", then_once },
	{ "each recipient is (attempted|deferred) at most <n> times",
	    then_tries },
	{ "each recipient is retried from (its_source|its_netblock)",
	    then_pinned },
	{ "mail waits for <q> [ to <w> ]", then_waits },
};

int
scene_check(const struct scene *s, const struct step *step, char *why,
    size_t why_cap)
{
	struct checking k = { .s = s,
		.why = why,
		.why_cap = why_cap,
		.provider = -1,
		.source = -1 };
	uint32_t at = take_scope(&k, &step->words);
	struct args a;

	why[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (words_match(&step->words, at, table[i].pattern, &a))
			return table[i].check(&k, &a);
	return -1;
}
