/*
 * proto/socks_srv.c - the server's half of SOCKS5: hostile bytes in, at most
 * one short message at a time in memory.
 */
#include "proto/socks_i.h"

#define OUT_MAX 1024

static void
enter(struct socks_srv *s, enum socks_srv_state state)
{
	ASSERT(s->state != SOCKS_SRV_OVER);
	s->state = state;
	s->in_n = 0;
}

static void
over(struct socks_srv *s, const char *why)
{
	s->why = why;
	enter(s, SOCKS_SRV_OVER);
}

void
socks_srv_init(struct socks_srv *s, bool needs_login)
{
	memset(s, 0, sizeof(*s));
	s->needs_login = needs_login;
	buf_init(&s->out, OUT_MAX);
}

void
socks_srv_free(struct socks_srv *s)
{
	buf_free(&s->out);
}

/* ---- messages --------------------------------------------------------------------- */

static void
on_methods(struct socks_srv *s)
{
	bool has_none = false, has_login = false;

	if (s->in[0] != SOCKS_VERSION) {
		over(s, "not SOCKS5");
		return;
	}
	for (uint32_t i = 0; i < s->in[1]; i++) {
		has_none |= s->in[2 + i] == METHOD_NONE;
		has_login |= s->in[2 + i] == METHOD_LOGIN;
	}
	buf_addc(&s->out, SOCKS_VERSION);
	if (has_login) {
		buf_addc(&s->out, METHOD_LOGIN);
		enter(s, SOCKS_SRV_LOGIN);
	} else if (has_none && !s->needs_login) {
		buf_addc(&s->out, METHOD_NONE);
		enter(s, SOCKS_SRV_REQUEST);
	} else {
		buf_addc(&s->out, (char)METHOD_NO);
		over(s, "no login offered");
	}
}

static void
on_login(struct socks_srv *s)
{
	const char *in = (const char *)s->in;
	size_t user_n = s->in[1];

	if (s->in[0] != SOCKS_LOGIN_VERSION) {
		over(s, "a login that is none");
		return;
	}
	s->user = slice_of(in + 2, user_n);
	s->password = slice_of(in + 3 + user_n, s->in[2 + user_n]);
	enter(s, SOCKS_SRV_CHECK);
}

void
socks_srv_login(struct socks_srv *s, bool is_good)
{
	ASSERT(s->state == SOCKS_SRV_CHECK);
	memset(s->in, 0, sizeof(s->in));
	s->user = s->password = slice_of("", 0);
	buf_addc(&s->out, SOCKS_LOGIN_VERSION);
	buf_addc(&s->out, is_good ? 0 : 1);
	if (is_good)
		enter(s, SOCKS_SRV_REQUEST);
	else
		over(s, "login refused");
}

static void
on_request(struct socks_srv *s)
{
	if (s->in[0] != SOCKS_VERSION) {
		over(s, "a request that is none");
		return;
	}
	socks_address(s->in, &s->to);
	enter(s, SOCKS_SRV_CONNECT);
	if (s->in[1] != 1)
		socks_srv_reply(s, SOCKS_COMMAND, &s->to);
	else if (s->to.ip.family == 0) /* names are the client's to look up */
		socks_srv_reply(s, SOCKS_FAMILY, &s->to);
}

void
socks_srv_reply(struct socks_srv *s, enum socks_reply reply,
    const struct endpoint *from)
{
	static const struct endpoint none;

	ASSERT(s->state == SOCKS_SRV_CONNECT);
	buf_addc(&s->out, SOCKS_VERSION);
	buf_addc(&s->out, (char)reply);
	buf_addc(&s->out, 0);
	socks_put_address(&s->out, reply == SOCKS_OK ? from : &none);
	if (reply == SOCKS_OK)
		enter(s, SOCKS_SRV_OPEN);
	else
		over(s, socks_reply_text((uint8_t)reply));
}

/* ---- bytes ------------------------------------------------------------------------ */

/* How many bytes the present message has at least, as far as it is known. */
static size_t
needed(const struct socks_srv *s)
{
	size_t n = 2;

	switch (s->state) {
	case SOCKS_SRV_METHODS:
		return s->in_n < n ? n : n + s->in[1];
	case SOCKS_SRV_LOGIN:
		if (s->in_n < n)
			return n;
		n += s->in[1] + 1u;
		return s->in_n < n ? n : n + s->in[n - 1];
	case SOCKS_SRV_REQUEST:
		n = socks_need(s->in, s->in_n);
		return n != 0            ? n :
		    s->in_n < SOCKS_HEAD ? SOCKS_HEAD :
					   SOCKS_HEAD + 1;
	default:
		return 0;
	}
}

static void
take(struct socks_srv *s)
{
	if (s->state == SOCKS_SRV_METHODS)
		on_methods(s);
	else if (s->state == SOCKS_SRV_LOGIN)
		on_login(s);
	else
		on_request(s);
}

size_t
socks_srv_feed(struct socks_srv *s, struct slice data)
{
	size_t eaten = 0, need, n;

	while ((need = needed(s)) != 0) {
		if (need == SIZE_MAX) {
			enter(s, SOCKS_SRV_CONNECT);
			socks_srv_reply(s, SOCKS_FAMILY, &s->to);
			break;
		}
		/* What is no SOCKS5 is not waited for. */
		if (s->in_n > 0 &&
		    s->in[0] !=
			(s->state == SOCKS_SRV_LOGIN ? SOCKS_LOGIN_VERSION :
						       SOCKS_VERSION)) {
			over(s, "not SOCKS5");
			break;
		}
		if (s->in_n == need) {
			take(s);
			continue;
		}
		n = MIN(need - s->in_n, data.n - eaten);
		n = s->in_n == 0 ? MIN(n, (size_t)1) :
				   n; /* it is judged first */
		if (n == 0)
			break;
		memcpy(s->in + s->in_n, data.p + eaten, n);
		s->in_n += (uint32_t)n;
		eaten += n;
	}
	return eaten;
}
