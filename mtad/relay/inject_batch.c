/*
 * relay/inject_batch.c - what a JSON request asks for: its messages, made and
 * handed to lanes, each as far as it goes before it must wait: for the disk,
 * or for room on the way to files.
 */
#include "relay/inject_i.h"
#include "relay/relay.h"

_Static_assert(LETTER_N - LETTER_STEER == STEER_KEY,
    "fields that steer are the same in a letter");
#define PIECE_MAX (LETTER_HEAD_MAX + 4 * LETTER_PIECE)

static void
answer(struct inject *j)
{
	if (j->letter->is_batch)
		inject_answer_batch(j);
	inject_drop(j);
}

void
inject_begin_json(struct inject *j)
{
	struct slice json = buf_slice(&j->body);
	struct letter_fault f;

	if (j->spill != NULL)
		json = j->ops->staging->spill_map(j->ctx, j->spill);
	if (json.p == NULL) {
		inject_refuse(j, 503, "unavailable",
		    SL("The request could not be kept, try again later"),
		    SL(""));
		inject_drop(j);
		return;
	}
	j->letter_conf = (struct letter_conf){
		.size_max = j->door->smtp.size_max > 0 ?
		    j->door->smtp.size_max :
		    UINT64_MAX,
		.rcpts_max = j->door->smtp.rcpts_max,
		.hostname = j->door->smtp.hostname,
		.steer = j->conf->steering,
		.ascii = j->ops->ascii,
	};
	j->letter = letter_read(json, &j->letter_conf, &f);
	if (j->letter == NULL) {
		inject_refuse(j, f.is_syntax ? 400 : 422,
		    f.is_syntax ? "malformed_json" : "invalid",
		    slice_str(f.message), slice_str(f.field));
		inject_drop(j);
		return;
	}
	j->n = j->letter->is_batch ? j->letter->nrcpt : 1;
	j->at = letter_first(j->letter);
	j->results = mem_try(j->n * sizeof(*j->results));
	if (j->results == NULL)
		inject_refuse(j, 503, "unavailable",
		    SL("Busy, try again later"), SL(""));
	if (j->results == NULL || !inject_may_send(j, j->n)) {
		inject_drop(j);
		return;
	}
	inject_run(j);
}

/* ---- one message ------------------------------------------------------------------ */

/* A message is over, one way or the other. */
void
inject_lane_done(struct inject *j, struct lane *l, const struct lane_said *s)
{
	letter_out_free(l->out);
	l->out = NULL;
	l->state = LANE_IDLE;
	if (s->code != 250)
		lane_close(j, l); /* whatever it stood in */
	if (!j->letter->is_batch)
		inject_answer_one(j, s->code ? s : NULL);
	if (j->letter->is_batch)
		inject_note(j, l->at, s);
	else
		j->done++;
}

static void
fault(struct inject *j, struct lane *l, const struct letter_fault *f)
{
	if (j->letter->is_batch) {
		inject_note_fault(j, l->at, f);
		return;
	}
	j->done++;
	inject_refuse(j, 422, "invalid", slice_str(f->message),
	    slice_str(f->field));
}

/* All recipients of a single message; its own of a batch's. False: none is
 * left, and the message is answered. */
static bool
say_rcpts(struct inject *j, struct lane *l, const struct letter_addr *to)
{
	struct letter_at at = letter_first(j->letter);
	struct letter_addr a;
	struct lane_said s;

	if (j->letter->is_batch) {
		lane_rcpt(j, l, slice_of(to->email, to->email_n), &s);
		if (s.code / 100 != 2)
			inject_lane_done(j, l, &s);
		return s.code / 100 == 2;
	}
	while (letter_next(j->letter, &at, &a)) {
		lane_rcpt(j, l, slice_of(a.email, a.email_n), &s);
		if (s.code / 100 == 2)
			j->naccepted++;
		else
			inject_reject(j, slice_of(a.email, a.email_n), &s);
	}
	s.code = 0;
	if (j->naccepted == 0)
		inject_lane_done(j, l, &s);
	return j->naccepted > 0;
}

/* Takes the next message on. */
static void
begin(struct inject *j, struct lane *l)
{
	struct letter_fault f;
	struct letter_addr to = { .email_n = 0 };
	struct lane_said s;
	struct msgid id = msgid_make(j->wall_us, j->conf->node,
	    j->ops->staging->sequence(j->ctx));
	const struct letter *x = j->letter;

	l->at = j->next++;
	if (x->is_batch && !letter_next(x, &j->at, &to))
		ASSERT(!"it was counted");
	l->out = letter_out_new(x, &j->at, &to, &id, j->wall_us, &f);
	if (l->out == NULL) {
		fault(j, l, &f);
		return;
	}
	lane_mail(j, l, slice_of(x->sender.email, x->sender.email_n), 0,
	    x->is_utf8, &s);
	if (s.code == 250 && inject_key_give(j, l, l->at, false, &s)) {
		j->naccepted = x->nrcpt;
		inject_lane_done(j, l, &s);
		lane_close(j, l); /* in the midst of it */
	} else if (s.code != 250)
		inject_lane_done(j, l, &s);
	else if (say_rcpts(j, l, &to))
		l->state = LANE_BODY;
}

/* A piece of its message; false: it waits. */
static bool
go_on(struct inject *j, struct lane *l)
{
	struct lane_said s = { .code = 250 };
	struct buf piece;
	bool more;

	if (j->ops->is_choked(j->ctx))
		return false;
	buf_init(&piece, PIECE_MAX);
	more = letter_out_next(l->out, &piece);
	if (piece.failed) {
		s.code = 452;
		slice_copy(SL("452 4.3.1 Busy, try again later"), s.text,
		    sizeof(s.text));
	} else if (piece.n > 0) {
		lane_piece(j, l, buf_slice(&piece), &s);
	}
	buf_free(&piece);
	if (s.code != 250) {
		inject_lane_done(j, l, &s);
		return true;
	}
	if (more)
		return true;
	l->state = LANE_END;
	lane_end(j, l, &s);
	if (s.code == 0)
		return false;
	inject_lane_done(j, l, &s);
	return true;
}

/* False: it waits, or there is nothing left for it. */
static bool
step(struct inject *j, struct lane *l)
{
	switch (l->state) {
	case LANE_IDLE:
		if (j->next == j->n)
			return false;
		begin(j, l);
		return true;
	case LANE_BODY:
		return go_on(j, l);
	default:
		return false;
	}
}

void
inject_run(struct inject *j)
{
	for (uint32_t i = 0; i < INJECT_LANES_MAX; i++)
		while (step(j, &j->lane[i]))
			continue;
	if (j->done == j->n)
		answer(j);
}
