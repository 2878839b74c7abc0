/*
 * proto/http_srv.h - the server's half of an HTTP/1.1 conversation (RFC 9110,
 * RFC 9112), as much of it as taking requests with bodies needs, sans I/O.
 *
 * Why our own: libevent's evhttp holds a body whole in memory before it shows
 * any of it, and messages are large.
 *
 * Use as smtp_srv: put bytes into http_srv_step(); it consumes what it can and
 * stops at an act. Answers gather in s->out. Acts marked (answer) wait: until
 * the answer is given every further step returns HTTP_WAIT and eats nothing, so
 * that pipelined requests are held back in order.
 *
 * Who sits in front of us must never see another request than we do: lines end
 * in CRLF only, a body's length is said once, Content-Length beside
 * Transfer-Encoding is refused, and after any error of this kind the connection
 * is closed.
 */
#ifndef PROTO_HTTP_SRV_H
#define PROTO_HTTP_SRV_H

#include "mail/mail.h"

#define HTTP_HEAD_MAX (32u << 10) /* bytes of a request's line and fields */
#define HTTP_FIELDS_MAX 100u
#define HTTP_CHUNK_LINE_MAX 256u     /* with its extensions */
#define HTTP_TRAILER_MAX (4u << 10)  /* of one body, thrown away */
#define HTTP_SWALLOW_MAX (64u << 10) /* rest of a body that is not wanted */
#define HTTP_OUT_MAX (2u << 20)

struct http_srv_conf {
	uint64_t body_max; /* bytes of a body; larger: 413 */
	int64_t head_ms;   /* for a request's head, and between requests */
	int64_t body_ms;   /* the longest pause within a body */
	int64_t answer_ms; /* whole life of an act without its answer */
};

enum http_act {
	HTTP_NEED_INPUT, /* feed more bytes */
	HTTP_WAIT,       /* an act is still unanswered */
	HTTP_HEAD,       /* (answer) a request: http_srv_go_ahead, or _reply */
	HTTP_BODY,       /* s->body: the next piece */
	HTTP_END,        /* (answer) the body is whole: http_srv_reply */
	HTTP_ABORT,      /* forget the request that was gone ahead with */
	HTTP_CLOSE,      /* flush, then close */
};

enum http_srv_state {
	HTTP_ST_HEAD,
	HTTP_ST_BODY,    /* of a known length, or in a chunk */
	HTTP_ST_SIZE,    /* in the line of a chunk's size */
	HTTP_ST_CRLF,    /* behind a chunk's bytes */
	HTTP_ST_TRAILER, /* behind the last chunk */
	HTTP_ST_OVER,    /* the body has been given whole */
	HTTP_ST_CLOSED,
};

struct http_srv {
	const struct http_srv_conf *conf;
	struct buf out; /* answers to send */
	enum http_srv_state state;
	uint8_t waits_for; /* an enum http_act, 0 = none */

	/* The request: from HTTP_HEAD to its answer, into `head`. */
	struct slice method, path, query; /* query: without its "?" */
	struct slice fields;              /* lines with their CRLF */
	bool is_chunked, has_length;
	uint64_t length;     /* if has_length */
	uint64_t body_bytes; /* so far */
	struct slice body;   /* into the caller's input, until the next step */

	/* Private. */
	struct buf head;
	struct buf line; /* of a chunk's size or trailer */
	bool is_head_method, keeps_alive, expects;
	bool swallows; /* it is answered; the rest of its body goes by */
	bool is_live;  /* the caller knows of the request */
	bool aborts, renews, shuts;
	uint64_t left;    /* bytes of the body, or chunk */
	uint64_t ignored; /* while it swallows; of the trailer */
	int64_t since_us;
};

void http_srv_init(struct http_srv *s, const struct http_srv_conf *conf,
    int64_t now_us);
void http_srv_free(struct http_srv *s);
enum http_act http_srv_step(struct http_srv *s, struct slice *in,
    int64_t now_us);

/* The value of a field, trimmed; .p is NULL where the request has none. Good
 * until the answer. */
struct slice http_srv_field(const struct http_srv *s, struct slice name);
/* The next parameter of a query (name=value&...), both still escaped. */
bool http_query_next(struct slice *query, struct slice *name,
    struct slice *value);
/* Appends the text without %XX and '+' (RFC 3986 2.1, HTML's forms). 0, or
 * E_SYNTAX, E_FULL, E_NOMEM. */
int http_unescape(struct slice text, struct buf *out) MUST_CHECK;

/* Answers HTTP_HEAD: the body is wanted. A client that waits for it is told
 * (100 Continue). */
void http_srv_go_ahead(struct http_srv *s);
/*
 * Answers the request: the act that waits, or before its end in the midst of
 * the body (no HTTP_END or HTTP_ABORT follows). What is left of a body goes by
 * where it is short, else the connection is closed behind the answer. more:
 * further fields, each with its CRLF; body: JSON.
 */
void http_srv_reply(struct http_srv *s, int status, struct slice more,
    struct slice body);
/* The same: {"error":{"code":..,"message":..,"field":..}}; field may be empty.
 * The code is a literal. */
void http_srv_error(struct http_srv *s, int status, const char *code,
    struct slice message, struct slice field, struct slice more);
/* Writes that object, without the outer braces' line end. */
struct jsonw;
void http_error_json(struct jsonw *w, const char *code, struct slice message,
    struct slice field);
/* No further request: closed once the present one is answered. */
void http_srv_shut(struct http_srv *s);
int64_t http_srv_deadline(const struct http_srv *s);
/* 408 where a request has begun, and closed. */
void http_srv_timeout(struct http_srv *s);
/* Has a request begun that is not answered? */
bool http_srv_is_busy(const struct http_srv *s);

#endif
