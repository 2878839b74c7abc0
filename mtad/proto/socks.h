/*
 * proto/socks.h - SOCKS5 (RFC 1928, RFC 1929) without sockets: the client's
 * half, for a source behind a proxy, and the server's, for `mtad proxy`.
 *
 * Of the protocol only what a mail server needs: CONNECT to an address, with a
 * user and password or without. Both halves say nothing that was not asked for,
 * so what comes behind the last reply is the connection's own.
 */
#ifndef PROTO_SOCKS_H
#define PROTO_SOCKS_H

#include "base/base.h"

#define SOCKS_WORD_MAX 255 /* of a user's name, of a password */

/* RFC 1928 6. */
#define SOCKS_REPLY_TABLE(X)                                                   \
	X(SOCKS_OK, "succeeded")                                               \
	X(SOCKS_FAILED, "general failure")                                     \
	X(SOCKS_DENIED, "not allowed by its rules")                            \
	X(SOCKS_NETWORK, "network unreachable")                                \
	X(SOCKS_HOST, "host unreachable")                                      \
	X(SOCKS_REFUSED, "connection refused")                                 \
	X(SOCKS_TTL, "connection timed out")                                   \
	X(SOCKS_COMMAND, "command not supported")                              \
	X(SOCKS_FAMILY, "address type not supported")
#define X(id, text) id,
enum socks_reply { SOCKS_REPLY_TABLE(X) SOCKS_REPLIES };
#undef X
const char *socks_reply_text(uint8_t reply);

/* ---- the client's half --------------------------------------------------------- */

enum socks_cli_state {
	SOCKS_CLI_METHOD, /* our methods are said */
	SOCKS_CLI_LOGIN,
	SOCKS_CLI_READY, /* the proxy is willing: socks_cli_connect */
	SOCKS_CLI_CONNECT,
	SOCKS_CLI_OPEN,    /* reply and bound are known */
	SOCKS_CLI_REFUSED, /* reply says why */
	SOCKS_CLI_BROKEN   /* why says how */
};

struct socks_cli {
	enum socks_cli_state state;
	const char *why;  /* literal */
	bool has_refused; /* BROKEN: the user and password */
	uint8_t reply;    /* enum socks_reply, or what else the proxy said */
	/* The address that the proxy says to have used; family 0: a name. */
	struct endpoint bound;
	uint8_t user_n, password_n;
	uint16_t in_n;
	char user[SOCKS_WORD_MAX], password[SOCKS_WORD_MAX];
	unsigned char in[4 + 1 + 255 + 2]; /* of the present reply */
	struct buf out;
};

/* Begins; what is to be sent gathers in out. An empty user: no login is
 * offered. 0, or E_TOOBIG where a word is too long. */
int socks_cli_init(struct socks_cli *s, struct slice user,
    struct slice password) MUST_CHECK;
void socks_cli_free(struct socks_cli *s);
/* In READY: asks for a connection. */
void socks_cli_connect(struct socks_cli *s, const struct endpoint *to);
/* Takes bytes, and returns how many: none in READY and when it is over. */
size_t socks_cli_feed(struct socks_cli *s, struct slice data);
static inline bool
socks_cli_is_over(const struct socks_cli *s)
{
	return s->state >= SOCKS_CLI_OPEN;
}

/* ---- the server's half ----------------------------------------------------------- */

enum socks_srv_state {
	SOCKS_SRV_METHODS,
	SOCKS_SRV_LOGIN,
	SOCKS_SRV_CHECK, /* user and password are known: socks_srv_login */
	SOCKS_SRV_REQUEST,
	SOCKS_SRV_CONNECT, /* to is known: socks_srv_reply */
	SOCKS_SRV_OPEN,
	SOCKS_SRV_OVER /* what stands in out is the last word; why */
};

struct socks_srv {
	enum socks_srv_state state;
	const char *why; /* literal */
	bool needs_login;
	uint32_t in_n;
	struct slice user, password; /* in `in`, in CHECK alone */
	struct endpoint to;
	unsigned char in[3 + 2 * 255];
	struct buf out;
};

/* needs_login: nobody comes in without a user and password. Else they are asked
 * for where the client offers them. */
void socks_srv_init(struct socks_srv *s, bool needs_login);
void socks_srv_free(struct socks_srv *s);
/* Takes bytes, and returns how many: none in CHECK, in CONNECT and from OPEN
 * on. */
size_t socks_srv_feed(struct socks_srv *s, struct slice data);
void socks_srv_login(struct socks_srv *s, bool is_good);
/* from: the address in use; any with another reply than SOCKS_OK. */
void socks_srv_reply(struct socks_srv *s, enum socks_reply reply,
    const struct endpoint *from);

#endif
