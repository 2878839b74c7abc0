/*
 * daemon/inbound_http.c - sessions of a worker that speak HTTP, and the lanes by
 * which their messages go.
 *
 * A session begins, is read and ends as one of SMTP does (inbound.c); what is
 * different is here. Its lanes may wait for commits when it ends: they are then
 * nobody's, and end with the answer.
 */
#include "daemon/inbound_i.h"
#include "daemon/keybook.h"

static struct intake *
op_lane_open(void *ctx)
{
	struct in_session *lead = ctx, *s;
	struct worker *w = lead->w;
	const struct inject *j = lead->http;
	struct handle h;

	s = pool_take(&w->in_sessions, &h);
	if (s == NULL)
		return NULL;
	s->w = w;
	s->door = lead->door;
	s->self = h;
	s->lead = lead;
	s->is_lane = s->is_begun = true;
	buf_init(&s->header, PROXY_BYTES_MAX);
	list_init(&s->waits);
	list_push_tail(&w->lanes, &s->link);
	intake_init(&s->intake, j->conf, j->door, &inbound_intake_ops, s,
	    &w->d->gate, h, &j->peer, loop_now(w->loop));
	slice_copy(slice_str(lead->tls), s->intake.tls, sizeof(s->intake.tls));
	s->intake.srv.is_tls = lead->tls[0] != '\0';
	inject_vouch(j, &s->intake);
	return &s->intake;
}

static void
op_lane_close(void *ctx, struct intake *in)
{
	struct in_session *s = container_of(in, struct in_session, intake);

	(void)ctx;
	s->lead = NULL;
	inbound_session_end(s);
}

static bool
op_is_choked(void *ctx)
{
	struct in_session *s = ctx;

	if (s->w->spilling < SPILL_WAY_MAX)
		return false;
	if (list_is_empty(&s->waits))
		list_push_tail(&s->w->unread, &s->waits);
	return true;
}

static int64_t
op_wait_us(void *ctx, const struct conf_token *t, uint32_t n)
{
	struct worker *w = ((struct in_session *)ctx)->w;

	return rates_wait_us(&w->d->rates, t, n, loop_now(w->loop));
}

static enum idem_answer
op_key_find(void *ctx, const struct env_key *key, int64_t wall_us,
    struct msgid *first)
{
	struct worker *w = ((struct in_session *)ctx)->w;
	enum idem_answer a = keybook_find(w->d->keybook, key, wall_us, first);

	COUNT(w, messages_repeated, a == IDEM_DONE);
	return a;
}

static const struct inject_ops inject_ops = {
	.staging = &inbound_intake_ops,
	.spill_free = spill_free,
	.lane_open = op_lane_open,
	.lane_close = op_lane_close,
	.is_choked = op_is_choked,
	.wait_us = op_wait_us,
	.key_find = op_key_find,
	.ascii = domain_to_ascii,
};

bool
http_begin(struct in_session *s, const struct endpoint *peer)
{
	struct worker *w = s->w;

	s->http = mem_try(sizeof(*s->http));
	if (s->http == NULL)
		return false;
	inject_init(s->http, w->conf, &w->conf->listen[s->door->at],
	    &inject_ops, s, &w->d->gate, peer, loop_now(w->loop));
	return true;
}

void
http_flush(struct in_session *s)
{
	struct buf *out = &s->http->http.out;

	if (s->is_dead)
		return;
	if (out->n > 0)
		(void)conn_post(s->conn, out);
	if (s->http->is_closing || (s->is_last && !http_owes(s))) {
		conn_close_gently(s->conn, LINGER_US);
		s->conn = NULL;
		guests_leave(&s->w->d->guests, s->door->number, s->client_key);
		inbound_session_end(s);
		return;
	}
	conn_set_deadline(s->conn, http_srv_deadline(&s->http->http));
}

size_t
http_data(struct in_session *s, struct slice data)
{
	struct loop *l = s->w->loop;
	size_t n = inject_feed(s->http, data, loop_now(l), loop_wall(l));

	http_flush(s);
	return n;
}

size_t
http_read_max(struct in_session *s, size_t n)
{
	return inject_room(s->http, n);
}

bool
http_owes(const struct in_session *s)
{
	return s->http->http.waits_for != 0;
}

void
http_timeout(struct in_session *s)
{
	http_srv_timeout(&s->http->http);
	http_data(s, slice_of("", 0));
}

void
http_stop(struct in_session *s)
{
	http_data(s, slice_of("", 0));
}

/* What has been held back is offered again, and so is what comes next: an answer
 * may have made room for another request. */
static void
resume(struct worker *w, struct handle self)
{
	struct in_session *s = pool_get(&w->in_sessions, self);

	if (s == NULL || s->is_dead)
		return;
	http_data(s, slice_of("", 0));
	s = pool_get(&w->in_sessions, self);
	if (s != NULL && s->conn != NULL)
		conn_resume(s->conn);
}

void
http_drained(struct in_session *s)
{
	resume(s->w, s->self);
}

void
http_go_on(struct in_session *s)
{
	struct loop *l = s->w->loop;

	inject_go_on(s->http, loop_now(l), loop_wall(l));
	resume(s->w, s->self);
}

void
http_lane_heard(struct in_session *lane)
{
	struct in_session *lead = lane->lead;
	struct loop *l = lane->w->loop;

	if (lead == NULL) {
		if (lane->is_dead)
			inbound_session_end(lane);
		return;
	}
	inject_heard(lead->http, &lane->intake, loop_now(l), loop_wall(l));
	resume(lead->w, lead->self);
}

void
http_end(struct in_session *s)
{
	if (s->http != NULL)
		inject_free(s->http);
}
