/*
 * sim/host_book.c - the event log: a book of each worker, the clerk who writes
 * them, and the log, which outlives the process. A kill takes the lines that
 * the clerk has not written; a loss of power also the last that he has.
 */
#include "sim/host_i.h"

#define BOOK_FLUSH_US (30 * US_PER_MS)
#define BOOK_FLUSH_BYTES (64u * 1024)
#define LOG_KEPT (256u << 10) /* more is never read back */
/* What the clocks did so long ago is of no account at a start. */
#define JUMP_US (2 * TAIL_WINDOW_US)

static void
log_write(struct host *h, struct buf *lines)
{
	struct buf *log = &h->log;
	const char *end;

	led_booked(h->s->ledger, buf_slice(lines), true);
	buf_adds(log, buf_slice(lines));
	ASSERT(!log->failed);
	buf_reset(lines);
	if (log->n <= LOG_KEPT)
		return;
	end = memchr(buf_slice(log).p + LOG_KEPT / 2, '\n', LOG_KEPT / 2);
	buf_consume(log, (size_t)(end + 1 - buf_slice(log).p));
}

static void
on_clerk(void *arg)
{
	struct sim_book *b = arg;

	log_write(b->h, &b->way);
	b->written = b->sent;
	actor_wake(&b->h->out);
}

void
books_make(struct host *h)
{
	for (uint32_t i = 0; i < BOOKS; i++) {
		struct sim_book *b = &h->book[i];

		b->h = h;
		buf_init(&b->lines, 4u << 20);
		buf_init(&b->way, 8u << 20);
		sim_timer_init(&b->clerk, on_clerk, b, "clerk");
	}
	buf_init(&h->log, 16u << 20);
	h->jumped_us = -JUMP_US;
}

void
books_free(struct host *h)
{
	for (uint32_t i = 0; i < BOOKS; i++) {
		sim_timer_cancel(h->s, &h->book[i].clerk);
		buf_free(&h->book[i].lines);
		buf_free(&h->book[i].way);
	}
	buf_free(&h->log);
}

struct buf *
host_book(struct host *h, enum book which)
{
	struct sim_book *b = &h->book[which];

	if (b->since_us == 0) {
		b->since_us = h->s->now_us;
		b->begun = b->sent + 1;
	}
	return &b->lines;
}

void
book_flush(struct host *h, enum book which)
{
	struct sim_book *b = &h->book[which];
	struct sim *s = h->s;

	if (b->lines.n == 0 ||
	    (!h->is_stopping && b->lines.n < BOOK_FLUSH_BYTES &&
		s->now_us - b->since_us < BOOK_FLUSH_US))
		return;
	b->since_us = 0;
	b->sent++;
	buf_adds(&b->way, buf_slice(&b->lines));
	ASSERT(!b->way.failed);
	buf_reset(&b->lines);
	sim_timer_set(s, &b->clerk,
	    s->now_us +
		rng_range(dice(s, DICE_HOST), 50,
		    sim_has(s, SIM_F_lazy) ? 200 * US_PER_MS : 2000));
}

int64_t
book_deadline(const struct host *h, enum book which)
{
	const struct sim_book *b = &h->book[which];

	return b->lines.n ? b->since_us + BOOK_FLUSH_US : TIME_NEVER;
}

/* All there is, as before the clerk is started, or when he ends. */
void
books_write(struct host *h)
{
	for (uint32_t i = 0; i < BOOKS; i++) {
		struct sim_book *b = &h->book[i];

		log_write(h, &b->way);
		log_write(h, &b->lines);
		b->since_us = 0;
	}
}

void
books_tail(struct host *h, struct book_tail *t)
{
	tail_init(t);
	tail_read(t, buf_slice(&h->log));
	/* A log that is there and has no line. */
	if (t->last_us == 0)
		t->since_us = 0;
}

/* The log's last lines had not reached the medium. If the clock was set back
 * meanwhile, the last that is left may be from after them. */
static void
log_cut(struct host *h)
{
	struct slice all = buf_slice(&h->log);
	size_t keep = (size_t)rng_below(dice(h->s, DICE_HOST), all.n + 1);
	const char *end = memrchr(all.p, '\n', keep);

	keep = end ? (size_t)(end + 1 - all.p) : 0;
	led_booked(h->s->ledger, slice_skip(all, keep), false);
	buf_cut(&h->log, keep);
	led_excuse_lines(h->s->ledger,
	    h->jumped_us < 0 ? LED_OVER_ONES : LED_ALL);
}

void
books_crash(struct host *h, bool is_power)
{
	struct sim *s = h->s;

	for (uint32_t i = 0; i < BOOKS; i++) {
		struct sim_book *b = &h->book[i];

		sim_timer_cancel(s, &b->clerk);
		s->marks->n[MARK_crash_lost_lines] += b->lines.n || b->way.n;
		buf_reset(&b->lines);
		buf_reset(&b->way);
		b->since_us = 0;
		b->sent = b->begun = b->written = 0;
	}
	led_excuse_lines(s->ledger,
	    s->now_us - h->jumped_us < JUMP_US ? LED_ALL :
		h->is_ahead                    ? LED_OVER_ONES :
						 LED_SLOW_ONES);
	if (is_power && h->log.n && rng_below(dice(s, DICE_HOST), 2))
		log_cut(h);
	h->is_ahead = false;
}

void
host_jumped(struct sim *s)
{
	s->host->jumped_us = s->now_us;
}
