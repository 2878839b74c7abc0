/*
 * check/warm.c - see warm.h. Days and hours are those of UTC, and never go back.
 */
#include "check/warm.h"

#define DAY_US (86400 * US_PER_S)
#define HOUR_US (3600 * US_PER_S)
#define PPM 1000000u
#define HELD_MAX 8 /* transactions of a session; the engine has 4 at most */

struct young {
	int64_t day, hour;
	uint64_t sent, hour_sent, ok;
	uint64_t late; /* delivered since the day was over */
	uint32_t stage;
};

/* The transactions that a session holds, and when their recipients counted; n 0:
 * an empty place. */
struct held {
	struct {
		int64_t day, hour;
		uint32_t txn, n;
	} v[HELD_MAX];
};

struct warms {
	struct warm_plan plan;
	struct marks *marks;
	struct young source[WRM_SOURCES];
	struct held *held;
	uint32_t cap;
};

struct warms *
wrm_new(const struct warm_plan *plan, struct marks *marks)
{
	struct warms *w = mem_get(sizeof(*w));

	w->plan = *plan;
	w->marks = marks;
	return w;
}

void
wrm_free(struct warms *w)
{
	mem_free(w->held);
	mem_free(w);
}

static struct held *
held_of(struct warms *w, uint32_t session)
{
	uint32_t cap = MAX(w->cap, 64u);

	while (cap <= session)
		cap *= 2;
	if (cap > w->cap) {
		w->held = mem_grow(w->held, cap * sizeof(*w->held));
		ASSERT(w->held);
		memset(w->held + w->cap, 0, (cap - w->cap) * sizeof(*w->held));
		w->cap = cap;
	}
	return &w->held[session];
}

bool
wrm_is_young(const struct warms *w, uint32_t source)
{
	return (w->plan.young >> source & 1) &&
	    w->source[source].stage < w->plan.nstages;
}

static void
turn(struct warms *w, uint32_t source, int64_t wall_us)
{
	struct young *y = &w->source[source];
	int64_t day = wall_us / DAY_US, hour = wall_us / HOUR_US;

	if (hour > y->hour) {
		y->hour = hour;
		y->hour_sent = 0;
	}
	if (day <= y->day)
		return;
	if (wrm_is_young(w, source) &&
	    y->ok * PPM >
		(uint64_t)w->plan.most[y->stage] * w->plan.advance_ppm) {
		y->stage++;
		w->marks->n[MARK_warm_stage]++;
	}
	y->day = day;
	y->sent = y->hour_sent = 0;
	y->ok = y->late;
	y->late = 0;
}

static void
check_share(struct warms *w, uint32_t source)
{
	const struct young *y = &w->source[source];
	uint64_t most = w->plan.most[y->stage];
	uint64_t hour = MAX(most * w->plan.hour_ppm / PPM, 1);

	if (y->sent > most)
		check_fail("no young source exceeds its day's share", 0,
		    "source %u sends its recipient %llu of the day|at stage %u "
		    "it may have %llu",
		    source, (unsigned long long)y->sent, y->stage,
		    (unsigned long long)most);
	if (y->hour_sent > hour)
		check_fail("no young source exceeds its hour's share", 0,
		    "source %u sends its recipient %llu of the hour|at stage "
		    "%u it may have %llu",
		    source, (unsigned long long)y->hour_sent, y->stage,
		    (unsigned long long)hour);
	w->marks->n[MARK_warm_full] += y->sent == most;
}

void
wrm_assigned(struct warms *w, struct handle session, struct handle txn,
    uint32_t source, uint32_t pool, uint32_t n, int64_t wall_us)
{
	struct young *y = &w->source[source];
	uint32_t i = 0;
	struct held *h;

	if (!(w->plan.pools[pool] >> source & 1))
		check_fail("mail leaves by a source of its pool", 0,
		    "mail of pool %u leaves by source %u|neither that pool nor "
		    "its overflow has it",
		    pool, source);
	if (!wrm_is_young(w, source))
		return;
	turn(w, source, wall_us);
	if (!wrm_is_young(w, source))
		return;
	h = held_of(w, session.index);
	while (h->v[i].n != 0)
		ASSERT(++i < HELD_MAX);
	h->v[i].day = y->day;
	h->v[i].hour = y->hour;
	h->v[i].txn = txn.index;
	h->v[i].n = n;
	y->sent += n;
	y->hour_sent += n;
	check_share(w, source);
}

/* So many of a transaction's were not sent after all. */
static void
give_back(struct warms *w, uint32_t source, const struct held *h, uint32_t i,
    uint32_t n)
{
	struct young *y = &w->source[source];

	if (h->v[i].day != y->day)
		return;
	y->sent -= MIN(y->sent, n);
	if (h->v[i].hour == y->hour)
		y->hour_sent -= MIN(y->hour_sent, n);
}

void
wrm_result(struct warms *w, struct handle session, struct handle txn,
    uint32_t source, uint32_t delivered, uint32_t unsent, int64_t wall_us)
{
	struct young *y = &w->source[source];
	struct held *h = held_of(w, session.index);

	if (!(w->plan.young >> source & 1))
		return;
	y->ok += delivered;
	if (wall_us / DAY_US > y->day)
		y->late += delivered;
	for (uint32_t i = 0; i < HELD_MAX; i++) {
		if (h->v[i].n == 0 || h->v[i].txn != txn.index)
			continue;
		give_back(w, source, h, i, MIN(unsent, h->v[i].n));
		h->v[i].n = 0;
	}
}

void
wrm_closed(struct warms *w, struct handle session, uint32_t source)
{
	struct held *h = held_of(w, session.index);

	for (uint32_t i = 0; i < HELD_MAX; i++)
		if (w->plan.young >> source & 1)
			give_back(w, source, h, i, h->v[i].n);
	*h = (struct held){ 0 };
}

void
wrm_crash(struct warms *w)
{
	if (w->cap)
		memset(w->held, 0, w->cap * sizeof(*w->held));
}
