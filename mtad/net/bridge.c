/*
 * net/bridge.c - two connections that are one: what comes on each leaves by the
 * other.
 *
 * In a direction at most one read is on its way out; one more may be kept by the
 * connection that it came on, which is then not read from. So a bridge holds at
 * most four reads, whatever its ends do.
 */
#include <stdio.h>

#include "net/net_i.h"

struct side {
	struct bridge *b;
	struct conn *c;
	struct buf out; /* to it */
	uint64_t bytes; /* from it */
	bool has_ended; /* no more comes from it */
};

struct bridge {
	struct loop *loop;
	struct bridge_conf conf;
	struct side side[2];
};

static struct side *
other(struct side *s)
{
	return s == &s->b->side[0] ? &s->b->side[1] : &s->b->side[0];
}

static void
bridge_free(struct bridge *b, int64_t linger_us)
{
	for (int i = 0; i < 2; i++) {
		struct side *s = &b->side[i];

		if (linger_us > 0)
			conn_close_gently(s->c, linger_us);
		else
			conn_close(s->c);
		buf_free(&s->out);
	}
	mem_free(b);
}

static void
end(struct bridge *b, const char *why)
{
	struct bridge_conf conf = b->conf;
	struct bridge_result r = { .bytes = { b->side[0].bytes,
				       b->side[1].bytes },
		.why = why };

	bridge_free(b, US_PER_S);
	if (conf.on_end != NULL)
		conf.on_end(conf.user, &r);
}

/* Something has moved, or a side has ended. */
static void
watch(struct bridge *b)
{
	bool is_ending = b->side[0].has_ended || b->side[1].has_ended;
	int64_t us = is_ending ? b->conf.linger_us : b->conf.idle_us;

	conn_set_deadline(b->side[0].c,
	    us == TIME_NEVER ? TIME_NEVER : loop_now(b->loop) + us);
}

/* All that came from the other side has left, and no more will come. */
static void
pass_end(struct side *to)
{
	if (!other(to)->has_ended || to->out.n > 0)
		return;
	conn_shut(to->c);
	if (to->has_ended && other(to)->out.n == 0)
		end(to->b, "closed");
}

static size_t
on_data(void *user, struct conn *c, struct slice data)
{
	struct side *s = user, *to = other(s);

	(void)c;
	if (conn_is_sending(to->c) || to->out.n > 0)
		return 0;
	s->bytes += data.n;
	if (buf_adds(&to->out, data) != 0) {
		end(s->b, "out of memory");
		return data.n;
	}
	conn_send(to->c, &to->out);
	watch(s->b);
	return data.n;
}

static void
on_drained(void *user, struct conn *c)
{
	struct side *s = user;

	(void)c;
	watch(s->b);
	conn_resume(other(s)->c);
	pass_end(s);
}

static void
on_gone(void *user, struct conn *c, int err)
{
	struct side *s = user;
	char text[128];

	(void)c;
	if (err != 0) {
		end(s->b, strerror_r(err, text, sizeof(text)));
		return;
	}
	s->has_ended = true;
	watch(s->b);
	pass_end(other(s));
}

static void
on_deadline(void *user, struct conn *c)
{
	struct side *s = user;

	(void)c;
	end(s->b, "idle for too long");
}

static const struct conn_ops side_ops = {
	.on_data = on_data,
	.on_drained = on_drained,
	.on_gone = on_gone,
	.on_deadline = on_deadline,
};

struct bridge *
bridge_new(struct loop *l, struct conn *x, struct conn *y,
    const struct bridge_conf *conf)
{
	struct bridge *b = mem_try(sizeof(*b));

	if (b == NULL)
		return NULL;
	b->loop = l;
	b->conf = *conf;
	b->side[0].c = x;
	b->side[1].c = y;
	for (int i = 0; i < 2; i++) {
		b->side[i].b = b;
		buf_init(&b->side[i].out, 2 * LOOP_READ_BYTES);
		conn_give(b->side[i].c, &side_ops, &b->side[i]);
		conn_resume(b->side[i].c);
	}
	watch(b);
	return b;
}

void
bridge_close(struct bridge *b)
{
	bridge_free(b, 0);
}
