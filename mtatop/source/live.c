/*
 * source/live.c - a daemon, asked over and over. One question at a time, three
 * to a snapshot; nothing here waits, so the keys are always answered.
 *
 * A question that fails, or takes longer than ANSWER_US, makes what is on the
 * screen stale; it stays there, and the next round is tried after a pause. So
 * a daemon that is started anew comes back by itself.
 */
#include <poll.h>

#include "control/control.h"
#include "source/source.h"

#define ANSWER_US (5 * US_PER_S)
#define PAUSE_US (500 * US_PER_MS) /* after a failure */
#define ANSWER_MAX (8u * 1024 * 1024)
#define TARGET_MAX 1200

enum question { ASK_STATUS, ASK_QUEUES, ASK_SOURCES, ASK_REASONS, ASK_N };

struct live {
	const char *socket;
	int64_t delay_us;
	char sort[32];
	char subject[256];        /* domain; empty: no reasons are asked for */
	bool is_paused, is_eager; /* ask at once */
	enum live_state state;
	int error;
	const char *what; /* words instead of error's */
	struct snap *snap;
	int64_t snap_us;
	struct trend trend;
	/* The round under way. */
	struct control_ask *ask; /* NULL: between rounds */
	enum question question;
	int64_t round_us;    /* when it began */
	int64_t deadline_us; /* of the question, or of the next round */
	struct buf answer[ASK_N];
};

struct live *
live_new(const char *socket, int64_t delay_us)
{
	struct live *l = mem_get(sizeof(*l));

	l->socket = socket;
	l->delay_us = delay_us;
	slice_copy(SL("depth"), l->sort, sizeof(l->sort));
	for (int i = 0; i < ASK_N; i++)
		buf_init(&l->answer[i], ANSWER_MAX);
	return l;
}

void
live_free(struct live *l)
{
	control_ask_free(l->ask);
	snap_free(l->snap);
	for (int i = 0; i < ASK_N; i++)
		buf_free(&l->answer[i]);
	mem_free(l);
}

static void
round_stop(struct live *l)
{
	control_ask_free(l->ask);
	l->ask = NULL;
}

void
live_sort(struct live *l, const char *key)
{
	slice_copy(slice_str(key), l->sort, sizeof(l->sort));
	l->is_eager = true;
}

void
live_subject(struct live *l, struct slice domain)
{
	char was[sizeof(l->subject)];

	memcpy(was, l->subject, sizeof(was));
	slice_copy(domain, l->subject, sizeof(l->subject));
	if (strcmp(was, l->subject) != 0 && l->subject[0] != '\0')
		l->is_eager = true;
}

void
live_delay(struct live *l, int64_t delay_us)
{
	l->delay_us = delay_us;
	l->is_eager = true;
}

void
live_pause(struct live *l, bool is_paused)
{
	l->is_paused = is_paused;
	l->is_eager = !is_paused;
	if (is_paused)
		round_stop(l);
}

int
live_fd(const struct live *l)
{
	return l->ask ? control_ask_fd(l->ask) : -1;
}

short
live_events(const struct live *l)
{
	return l->ask ? control_ask_events(l->ask) : 0;
}

int64_t
live_deadline(const struct live *l)
{
	if (l->is_paused)
		return TIME_NEVER;
	return l->is_eager && l->ask == NULL ? 0 : l->deadline_us;
}

static void
reasons_target(const struct live *l, char *target, size_t cap)
{
	struct buf path;

	buf_init(&path, cap);
	(void)buf_addz(&path, "/v1/explain?what=domain&n=20");
	control_query_add(&path, "name", slice_str(l->subject));
	slice_copy(path.failed ? SL("/v1/explain") : buf_slice(&path), target,
	    cap);
	buf_free(&path);
}

/* Asks the next question; false: not even that. */
static bool
question_begin(struct live *l, int64_t now_us)
{
	char target[TARGET_MAX];
	struct buf *answer = &l->answer[l->question];
	int error;

	if (l->question == ASK_STATUS)
		snprintf(target, sizeof(target), "/v1/status");
	else if (l->question == ASK_QUEUES)
		snprintf(target, sizeof(target), "/v1/queues?sort=%s&n=%d",
		    l->sort, SNAP_ROWS);
	else if (l->question == ASK_SOURCES)
		snprintf(target, sizeof(target), "/v1/sources?n=%d", SNAP_ROWS);
	else
		reasons_target(l, target, sizeof(target));
	buf_reset(answer);
	l->deadline_us = now_us + ANSWER_US;
	l->ask =
	    control_ask_new(l->socket, target, slice_of("", 0), answer, &error);
	/* A question that could be asked has not been answered yet: what went
	 * wrong before it stands until then. */
	if (l->ask == NULL)
		l->error = error;
	return l->ask != NULL;
}

/* error: E_*, or 0 with words in what. */
static void
round_fail(struct live *l, int64_t now_us, int error, const char *what)
{
	round_stop(l);
	l->error = error;
	l->what = what;
	l->state = l->snap ? LIVE_STALE : LIVE_WAITING;
	l->deadline_us = now_us + PAUSE_US;
}

static void
round_begin(struct live *l, int64_t now_us)
{
	l->is_eager = false;
	l->question = ASK_STATUS;
	l->round_us = now_us;
	if (!question_begin(l, now_us))
		round_fail(l, now_us, l->error, NULL);
}

static void
trend_add(struct trend *t, const struct snap *s)
{
	if (t->n == TREND_MAX) {
		t->n--;
		memmove(t->in, t->in + 1, t->n * sizeof(*t->in));
		memmove(t->out, t->out + 1, t->n * sizeof(*t->out));
		memmove(t->defer, t->defer + 1, t->n * sizeof(*t->defer));
	}
	t->in[t->n] = s->in_milli;
	t->out[t->n] = s->out_milli;
	t->defer[t->n] = s->defer_milli;
	t->n++;
}

/* All answers are there. */
static void
round_end(struct live *l, int64_t now_us)
{
	const char *why;
	struct snap *s = snap_parse(buf_slice(&l->answer[ASK_STATUS]),
	    buf_slice(&l->answer[ASK_QUEUES]),
	    buf_slice(&l->answer[ASK_SOURCES]), &why);

	if (s == NULL) {
		round_fail(l, now_us, 0, why);
		return;
	}
	if (l->question > ASK_REASONS)
		snap_reasons(s, buf_slice(&l->answer[ASK_REASONS]));
	if (l->snap != NULL) {
		snap_compare(s, l->snap);
		trend_add(&l->trend, s);
	}
	snap_free(l->snap);
	l->snap = s;
	l->snap_us = now_us;
	l->state = LIVE_OK;
	l->error = 0;
	l->what = NULL;
	l->deadline_us = MAX(l->round_us + l->delay_us, now_us);
}

/* The question under way may have moved on; true: something to draw. */
static bool
question_step(struct live *l, int64_t now_us)
{
	int status = control_ask_step(l->ask);

	if (status == E_AGAIN)
		return false;
	round_stop(l);
	/* A domain that has no mail any more has no reasons. */
	if (l->question == ASK_REASONS && status > 0) {
		l->question = ASK_N;
		round_end(l, now_us);
		return true;
	}
	if (status == 200 &&
	    ++l->question < (l->subject[0] ? ASK_N : ASK_REASONS)) {
		if (question_begin(l, now_us))
			return false;
		round_fail(l, now_us, l->error, NULL);
	} else if (status == 200) {
		round_end(l, now_us);
	} else {
		round_fail(l, now_us, MIN(status, 0),
		    status > 0 ? "the daemon refuses to answer" : NULL);
	}
	return true;
}

bool
live_step(struct live *l, int64_t now_us, bool is_ready)
{
	if (l->is_paused)
		return false;
	if (l->ask != NULL && is_ready)
		return question_step(l, now_us);
	if (now_us < live_deadline(l))
		return false;
	if (l->ask != NULL) {
		round_fail(l, now_us, E_TIMEOUT, NULL);
		return true;
	}
	round_begin(l, now_us);
	return l->ask == NULL;
}

enum live_state
live_state(const struct live *l)
{
	return l->state;
}

const struct snap *
live_snap(const struct live *l)
{
	return l->snap;
}

int64_t
live_snap_us(const struct live *l)
{
	return l->snap_us;
}

const char *
live_error(const struct live *l)
{
	if (l->what != NULL)
		return l->what;
	if (l->error == E_CLOSED)
		return "mtad is not running there";
	return err_text(l->error);
}

bool
live_is_away(const struct live *l)
{
	return l->state != LIVE_OK && l->error == E_CLOSED;
}

const struct trend *
live_trend(const struct live *l)
{
	return &l->trend;
}
