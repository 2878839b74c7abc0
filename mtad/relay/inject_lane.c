/*
 * relay/inject_lane.c - a lane: one message after the other into an intake, in
 * the words of SMTP, and the intake's answers read.
 *
 * What is written here was checked before: an address holds nothing that ends a
 * command (mailbox_is_valid).
 */
#include "relay/inject_i.h"
#include "relay/relay.h"

#define COMMAND_MAX (MAILBOX_MAX + 128u)

static const struct lane_said no_lane = { 452, IDEM_TAKEN,
	"452 4.3.1 Busy, try again later" };

/* The last line of what the intake said, without its CRLF. */
void
lane_hear(struct lane *l, struct lane_said *s)
{
	struct buf *out = &l->in->srv.out;
	struct slice all = buf_slice(out), line;
	uint64_t code = 0;

	s->code = 0;
	s->key = l->in->key_said;
	s->text[0] = '\0';
	while (all.n > 0) {
		line = slice_cut(&all, '\n');
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (slice_u64(slice_of(line.p, MIN((size_t)3, line.n)), 999,
			&code) == 0)
			s->code = (int)code;
		slice_copy(line, s->text, sizeof(s->text));
	}
	buf_reset(out);
}

static void
feed(struct inject *j, struct lane *l, struct slice data)
{
	size_t n = intake_feed(l->in, data, j->now_us, j->wall_us);

	/* It stops at nothing that is said here but the end of a message. */
	ASSERT(n == data.n);
}

static void
say(struct inject *j, struct lane *l, struct buf *command, struct lane_said *s)
{
	ASSERT(!command->failed);
	feed(j, l, buf_slice(command));
	buf_free(command);
	lane_hear(l, s);
	if (l->in->is_closing) /* 421 */
		lane_close(j, l);
}

void
lane_mail(struct inject *j, struct lane *l, struct slice sender, uint64_t size,
    bool is_utf8, struct lane_said *s)
{
	struct buf b;

	if (l->in == NULL && (l->in = j->ops->lane_open(j->ctx)) == NULL) {
		*s = no_lane;
		return;
	}
	buf_init(&b, COMMAND_MAX);
	buf_adds(&b, SL("MAIL FROM:<"));
	buf_adds(&b, sender);
	buf_addc(&b, '>');
	if (size > 0)
		buf_addf(&b, " SIZE=%llu", (unsigned long long)size);
	if (is_utf8)
		buf_adds(&b, SL(" SMTPUTF8"));
	buf_adds(&b, SL("\r\n"));
	say(j, l, &b, s);
}

void
lane_rcpt(struct inject *j, struct lane *l, struct slice to,
    struct lane_said *s)
{
	struct buf b;

	if (l->in == NULL) { /* it was closed meanwhile */
		*s = no_lane;
		return;
	}
	buf_init(&b, COMMAND_MAX);
	buf_adds(&b, SL("RCPT TO:<"));
	buf_adds(&b, to);
	buf_adds(&b, SL(">\r\n"));
	say(j, l, &b, s);
}

void
lane_piece(struct inject *j, struct lane *l, struct slice piece,
    struct lane_said *s)
{
	struct buf b;

	buf_init(&b, COMMAND_MAX);
	buf_addf(&b, "BDAT %zu\r\n", piece.n);
	feed(j, l, buf_slice(&b));
	buf_free(&b);
	feed(j, l, piece);
	lane_hear(l, s);
	if (l->in->is_closing)
		lane_close(j, l);
}

void
lane_end(struct inject *j, struct lane *l, struct lane_said *s)
{
	struct buf b;

	buf_init(&b, COMMAND_MAX);
	buf_adds(&b, SL("BDAT 0 LAST\r\n"));
	say(j, l, &b, s);
}

void
lane_close(struct inject *j, struct lane *l)
{
	letter_out_free(l->out);
	l->out = NULL;
	l->state = LANE_IDLE;
	if (l->in != NULL)
		j->ops->lane_close(j->ctx, l->in);
	l->in = NULL;
}
