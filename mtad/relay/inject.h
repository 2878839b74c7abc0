/*
 * relay/inject.h - one session of the HTTP door: requests that post messages.
 *
 * There is one road into the spool, and it is the intake's. So a message that is
 * posted is handed to an intake in the words of SMTP (MAIL, RCPT, BDAT) by a
 * lane, which reads the answers: what is refused, vetoed, steered, signed,
 * staged and made durable, and how, is decided there and nowhere else.
 *
 * A raw message goes through one lane as it comes. A JSON request is staged as a
 * message's bytes are (in memory up to a share, then in a file), read when it is
 * whole (proto/letter.h), and its messages are made piece by piece: a batch in
 * several lanes at once, so that its messages share the disk's syncs.
 */
#ifndef RELAY_INJECT_H
#define RELAY_INJECT_H

#include "proto/letter.h"
#include "relay/intake.h"

#define INJECT_LANES_MAX 32u
#define INJECT_REJECTED_MAX (1u << 20) /* bytes of JSON about recipients */

struct inject_ops {
	/* Of the session's own ctx: staging. */
	const struct intake_ops *staging;
	void (*spill_free)(struct spill *sp);
	/* An intake of its own, its client vouched for; NULL: none is to be had.
	 * And back, in whatever state it is. */
	struct intake *(*lane_open)(void *ctx);
	void (*lane_close)(void *ctx, struct intake *in);
	/* Is so much on its way to files that no more should be added? */
	bool (*is_choked)(void *ctx);
	/* What is known of an idempotency key; as idem_find. */
	enum idem_answer (*key_find)(void *ctx, const struct env_key *key,
	    int64_t wall_us, struct msgid *first);
	/* A domain's ASCII form, as struct letter_conf says; may be NULL. */
	bool (*ascii)(struct slice domain, char *dst);
	/* May the token's client have n messages more? 0, or when (us). */
	int64_t (*wait_us)(void *ctx, const struct conf_token *t, uint32_t n);
};

/* What an intake said. */
struct lane_said {
	int code;             /* 0: nothing yet */
	enum idem_answer key; /* of the message's idempotency key */
	char text[SMTP_REPLY_MAX];
};

enum lane_state {
	LANE_IDLE,
	LANE_BODY, /* its message's bytes go in */
	LANE_END,  /* it waits for the message's answer */
};

struct lane {
	struct intake *in; /* NULL: none yet */
	enum lane_state state;
	uint32_t at;            /* of a batch */
	struct letter_out *out; /* what is being made; owned */
};

/* What became of a message. */
struct inject_result {
	int code; /* of SMTP's answer */
	enum idem_answer key;
	struct msgid id;  /* of one that is queued */
	char *text;       /* of one that is not; owned */
	const char *what; /* a fault of the request's: its code, or NULL */
	char field[LETTER_FIELD_MAX];
};

enum inject_kind { INJECT_NONE, INJECT_RAW, INJECT_JSON };

struct inject {
	struct http_srv http;
	struct http_srv_conf http_conf;
	const struct conf *conf;
	const struct conf_listen *door;
	const struct inject_ops *ops;
	void *ctx;
	struct gate *gate;
	struct endpoint peer;
	bool is_closing; /* for the driver: close once all has left */
	int64_t now_us, wall_us;

	/* The open request. */
	enum inject_kind kind;
	bool is_ending; /* all has come, and is not yet spilled */
	bool is_repeat; /* raw: its key is known; is it the same message? */
	const struct conf_token *token;
	char key[IDEM_TEXT_MAX + 1]; /* idempotency key; or empty */
	struct crypt_hash *hash;     /* of what a key stands for, or NULL */
	uint32_t digest;
	/* JSON: its bytes, in one of these. */
	struct buf body;
	struct spill *spill;
	uint64_t staged; /* bytes accounted in the gate */
	struct letter_conf letter_conf;
	struct letter *letter;
	uint32_t n, next, done; /* messages; taken by lanes; answered */
	struct letter_at at;    /* of the next */
	struct inject_result *results;
	struct lane lane[INJECT_LANES_MAX];
	struct buf rejected; /* recipients of a single message, as JSON */
	uint32_t naccepted, nrejected;
	bool all_later; /* these are refused for now */
};

void inject_init(struct inject *j, const struct conf *conf,
    const struct conf_listen *door, const struct inject_ops *ops, void *ctx,
    struct gate *gate, const struct endpoint *peer, int64_t now_us);
/* As intake_free; lanes are closed. */
void inject_free(struct inject *j);
/* What intake_feed is: then send j->http.out, and see is_closing. */
size_t inject_feed(struct inject *j, struct slice data, int64_t now_us,
    int64_t wall_us);
/* As intake_room. */
size_t inject_room(const struct inject *j, size_t n);
/* The intake of a lane may have said something: it was told intake_committed or
 * intake_spilled. Then as inject_feed. */
void inject_heard(struct inject *j, struct intake *in, int64_t now_us,
    int64_t wall_us);
/* The session's own spill has got on, or there is room for more on the way to
 * files. Then as inject_feed. */
void inject_go_on(struct inject *j, int64_t now_us, int64_t wall_us);
/* Tells an intake, just begun, who the present token's client is. */
void inject_vouch(const struct inject *j, struct intake *in);

#endif
