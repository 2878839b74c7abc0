/*
 * check/warm.c - see warm.h. Days and hours are those of UTC, and never go back.
 */
#include "check/warm.h"

#define DAY_US (86400 * US_PER_S)
#define HOUR_US (3600 * US_PER_S)
#define PPM 1000000u
#define HELD_MAX 8 /* transactions of a session; the engine has 4 at most */

/* A day or an hour: its first transaction, by number, and what is counted. */
struct span {
	int64_t no;
	uint64_t from, sent;
};

struct young {
	struct span day, hour;
	/* Those that the clock was put back from, before anything was sent in
	 * them: they may have begun, and then go on. from 0: none. */
	struct span day_back, hour_back;
	uint64_t ok;
	uint64_t late; /* delivered since the day was over, or may be */
	uint32_t stage;
};

/* The transactions that a session holds, by number, and their recipients; n 0: an
 * empty place. */
struct held {
	struct {
		uint64_t nth;
		uint32_t txn, n;
	} v[HELD_MAX];
};

struct warms {
	struct warm_plan plan;
	struct marks *marks;
	struct young source[WRM_SOURCES];
	struct held *held;
	uint32_t cap;
	uint64_t nth; /* transactions so far */
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
hour_begin(struct young *y, struct span hour)
{
	y->hour = hour;
	if (y->hour_back.no <= hour.no)
		y->hour_back.from = 0;
}

static void
day_begin(struct warms *w, uint32_t source, struct span day)
{
	struct young *y = &w->source[source];

	if (wrm_is_young(w, source) &&
	    y->ok * PPM >
		(uint64_t)w->plan.most[y->stage] * w->plan.advance_ppm) {
		y->stage++;
		w->marks->n[MARK_warm_stage]++;
	}
	y->day = day;
	if (y->day_back.no <= day.no)
		y->day_back.from = 0;
	y->hour.from = day.from;
	y->hour.sent = day.sent;
	y->ok = y->late;
	y->late = 0;
}

static void
turn(struct warms *w, uint32_t source, int64_t wall_us)
{
	struct young *y = &w->source[source];
	struct span day = { wall_us / DAY_US, w->nth, 0 };
	struct span hour = { wall_us / HOUR_US, w->nth, 0 };

	if (hour.no > y->hour.no)
		hour_begin(y, hour);
	if (day.no > y->day.no)
		day_begin(w, source, day);
}

/* Something does not fit into the hour or day of before the clock was put back: so
 * the next had begun. */
static bool
had_begun(struct warms *w, uint32_t source, bool is_day)
{
	struct young *y = &w->source[source];

	if (!is_day && y->hour_back.from != 0) {
		hour_begin(y, y->hour_back);
		return true;
	}
	if (y->day_back.from == 0)
		return false;
	day_begin(w, source, y->day_back);
	y->hour.no = MAX(y->hour.no, y->day.no * (DAY_US / HOUR_US));
	return true;
}

static void
check_share(struct warms *w, uint32_t source)
{
	const struct young *y = &w->source[source];
	uint64_t most, hour;

	do {
		if (!wrm_is_young(w, source))
			return;
		most = w->plan.most[y->stage];
		hour = MAX(most * w->plan.hour_ppm / PPM, 1);
	} while ((y->day.sent > most || y->hour.sent > hour) &&
	    had_begun(w, source, y->day.sent > most));
	if (y->day.sent > most)
		check_fail("no young source exceeds its day's share", 0,
		    "source %u sends its recipient %llu of the day|at stage %u "
		    "it may have %llu",
		    source, (unsigned long long)y->day.sent, y->stage,
		    (unsigned long long)most);
	if (y->hour.sent > hour)
		check_fail("no young source exceeds its hour's share", 0,
		    "source %u sends its recipient %llu of the hour|at stage "
		    "%u it may have %llu",
		    source, (unsigned long long)y->hour.sent, y->stage,
		    (unsigned long long)hour);
	w->marks->n[MARK_warm_full] += y->day.sent == most;
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
	w->nth++;
	if (!wrm_is_young(w, source))
		return;
	turn(w, source, wall_us);
	if (!wrm_is_young(w, source))
		return;
	h = held_of(w, session.index);
	while (h->v[i].n != 0)
		ASSERT(++i < HELD_MAX);
	h->v[i].nth = w->nth;
	h->v[i].txn = txn.index;
	h->v[i].n = n;
	y->day.sent += n;
	y->hour.sent += n;
	y->day_back.sent += n;
	y->hour_back.sent += n;
	check_share(w, source);
}

static void
take_off(struct span *s, uint64_t nth, uint32_t n)
{
	if (nth >= s->from)
		s->sent -= MIN(s->sent, n);
}

/* So many of a transaction's were not sent after all. */
static void
give_back(struct warms *w, uint32_t source, const struct held *h, uint32_t i,
    uint32_t n)
{
	struct young *y = &w->source[source];

	take_off(&y->day, h->v[i].nth, n);
	take_off(&y->hour, h->v[i].nth, n);
	take_off(&y->day_back, h->v[i].nth, n);
	take_off(&y->hour_back, h->v[i].nth, n);
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
	if (wall_us / DAY_US > y->day.no || y->day_back.from != 0)
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
wrm_clock_back(struct warms *w, int64_t wall_us)
{
	struct span day = { wall_us / DAY_US, w->nth + 1, 0 };
	struct span hour = { wall_us / HOUR_US, w->nth + 1, 0 };

	for (uint32_t i = 0; i < WRM_SOURCES; i++) {
		struct young *y = &w->source[i];

		if (hour.no > y->hour.no)
			y->hour_back = hour;
		if (day.no > y->day.no)
			y->day_back = day;
	}
}

void
wrm_crash(struct warms *w)
{
	if (w->cap)
		memset(w->held, 0, w->cap * sizeof(*w->held));
}
