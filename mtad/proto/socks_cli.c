/*
 * proto/socks_cli.c - the client's half of SOCKS5.
 *
 * Each reply is taken to its last byte and no further: what follows belongs to
 * the host, whose greeting may come with it.
 */
#include "proto/socks_i.h"

#define OUT_MAX 1024

#define X(id, text) [id] = text,
static const char *const reply_texts[] = { SOCKS_REPLY_TABLE(X) };
#undef X

const char *
socks_reply_text(uint8_t reply)
{
	return reply < SOCKS_REPLIES ? reply_texts[reply] : "unknown reply";
}

static void
enter(struct socks_cli *s, enum socks_cli_state state)
{
	ASSERT(!socks_cli_is_over(s));
	s->state = state;
	s->in_n = 0;
}

static void
broken(struct socks_cli *s, const char *why)
{
	s->why = why;
	enter(s, SOCKS_CLI_BROKEN);
}

int
socks_cli_init(struct socks_cli *s, struct slice user, struct slice password)
{
	memset(s, 0, sizeof(*s));
	buf_init(&s->out, OUT_MAX);
	if (user.n > SOCKS_WORD_MAX || password.n > SOCKS_WORD_MAX)
		return E_TOOBIG;
	s->user_n = (uint8_t)user.n;
	s->password_n = (uint8_t)password.n;
	if (user.n > 0)
		memcpy(s->user, user.p, user.n);
	if (password.n > 0)
		memcpy(s->password, password.p, password.n);
	buf_addc(&s->out, SOCKS_VERSION);
	buf_addc(&s->out, 1);
	buf_addc(&s->out, user.n > 0 ? METHOD_LOGIN : METHOD_NONE);
	return 0;
}

void
socks_cli_free(struct socks_cli *s)
{
	buf_free(&s->out);
}

void
socks_cli_connect(struct socks_cli *s, const struct endpoint *to)
{
	static const char head[] = { SOCKS_VERSION, 1, 0 };

	ASSERT(s->state == SOCKS_CLI_READY && to->ip.family != 0);
	buf_add(&s->out, head, sizeof(head));
	socks_put_address(&s->out, to);
	enter(s, SOCKS_CLI_CONNECT);
}

/* ---- replies -------------------------------------------------------------------- */

static void
on_method(struct socks_cli *s)
{
	if (s->in[0] != SOCKS_VERSION) {
		broken(s, "it does not speak SOCKS5");
	} else if (s->in[1] == METHOD_NONE && s->user_n == 0) {
		enter(s, SOCKS_CLI_READY);
	} else if (s->in[1] == METHOD_LOGIN && s->user_n > 0) {
		buf_addc(&s->out, SOCKS_LOGIN_VERSION);
		buf_addc(&s->out, (char)s->user_n);
		buf_add(&s->out, s->user, s->user_n);
		buf_addc(&s->out, (char)s->password_n);
		buf_add(&s->out, s->password, s->password_n);
		enter(s, SOCKS_CLI_LOGIN);
	} else {
		broken(s,
		    s->user_n > 0 ? "it takes no user and password" :
				    "it wants a login");
	}
}

/* RFC 1929 2: 0 is success. Some say version 5 here, too. */
static void
on_login(struct socks_cli *s)
{
	s->has_refused = s->in[1] != 0;
	if (!s->has_refused)
		enter(s, SOCKS_CLI_READY);
	else
		broken(s, "it refuses the user and password");
}

static void
on_connect(struct socks_cli *s)
{
	if (s->in[0] != SOCKS_VERSION) {
		broken(s, "its reply is not SOCKS5");
		return;
	}
	s->reply = s->in[1];
	socks_address(s->in, &s->bound);
	enter(s, s->reply == SOCKS_OK ? SOCKS_CLI_OPEN : SOCKS_CLI_REFUSED);
}

/* How many bytes of the present reply are needed at least. */
static size_t
needed(struct socks_cli *s)
{
	size_t n;

	if (s->state != SOCKS_CLI_CONNECT)
		return 2;
	n = socks_need(s->in, s->in_n);
	return n != 0 ? n : s->in_n < SOCKS_HEAD ? SOCKS_HEAD : SOCKS_HEAD + 1;
}

static void
take(struct socks_cli *s)
{
	switch (s->state) {
	case SOCKS_CLI_METHOD:
		on_method(s);
		return;
	case SOCKS_CLI_LOGIN:
		on_login(s);
		return;
	case SOCKS_CLI_CONNECT:
		on_connect(s);
		return;
	case SOCKS_CLI_READY:
	case SOCKS_CLI_OPEN:
	case SOCKS_CLI_REFUSED:
	case SOCKS_CLI_BROKEN:
		break;
	}
	ASSERT(!"a state that waits for a reply");
}

size_t
socks_cli_feed(struct socks_cli *s, struct slice data)
{
	size_t eaten = 0;

	while (s->state != SOCKS_CLI_READY && !socks_cli_is_over(s)) {
		size_t need = needed(s), n;

		if (need == SIZE_MAX) {
			broken(s, "its reply has no such address");
			break;
		}
		if (s->in_n == need) {
			take(s);
			continue;
		}
		n = MIN(need - s->in_n, data.n - eaten);
		if (n == 0)
			break;
		memcpy(s->in + s->in_n, data.p + eaten, n);
		s->in_n = (uint16_t)(s->in_n + n);
		eaten += n;
	}
	return eaten;
}
