/*
 * proto/drain.h - the conversation between a node that is drained (the source)
 * and the node that takes its mail (the target), without sockets. What it is
 * for, and why nothing is lost or doubled: share/doc/drain.md.
 *
 * Frames: length of the payload (4), type (1), payload; little-endian. The
 * source begins with HELLO, the target answers with its own, then each proves
 * that it knows the secret (PROOF), the target lists what it has in trust of
 * this source (HAVE, HAVE_END), and then messages are offered. An end that hears
 * what it should not says ERROR and is down.
 *
 * Both ends are one machine with a role: drain_feed takes bytes, drain_next
 * gives what they say, one at a time, drain_say_* writes into out.
 */
#ifndef PROTO_DRAIN_H
#define PROTO_DRAIN_H

#include "mail/mail.h"

#define DRAIN_VERSION 1u
#define DRAIN_ID_BYTES 16u /* identity of a spool */
#define DRAIN_NONCE_BYTES 32u
#define DRAIN_MAC_BYTES 32u
#define DRAIN_PAYLOAD_MAX (64u * 1024)
#define DRAIN_ENVELOPE_MAX (16u << 20)
#define DRAIN_TEXT_MAX 200u
#define DRAIN_STATE_BYTES 24u

struct drain_id {
	uint8_t b[DRAIN_ID_BYTES];
};

enum drain_role { DRAIN_SOURCE, DRAIN_TARGET };

struct drain_conf {
	enum drain_role role;
	struct drain_id self;
	uint8_t nonce[DRAIN_NONCE_BYTES];
	/* What only the two ends of this TLS channel know; empty in clear. */
	uint8_t binding[DRAIN_MAC_BYTES];
	bool has_binding;
	/* The keyed digest of a text, by the shared secret. */
	void (*mac)(void *ctx, struct slice text, uint8_t out[DRAIN_MAC_BYTES]);
	void *ctx;
};

/* clang-format off */
#define DRAIN_STATE_TABLE(X) \
	X(DRAIN_HELLO, "hello") \
	X(DRAIN_PROOF, "proof") \
	X(DRAIN_SYNC, "sync") /* the target lists what it has */ \
	X(DRAIN_OPEN, "open") \
	X(DRAIN_DOWN, "down")
/* clang-format on */
#define X(name, text) name,
enum drain_state { DRAIN_STATE_TABLE(X) DRAIN_STATES };
#undef X

/* Why a target does not take a message. */
enum drain_refusal {
	DRAIN_BUSY = 1, /* later */
	DRAIN_FULL,     /* no room for new mail */
	DRAIN_TOO_BIG,
	DRAIN_UNREADABLE, /* the envelope is of a form not known there */
};

enum drain_kind {
	DRAIN_EV_NONE,
	DRAIN_EV_UP,       /* both have proved themselves; id: the peer's */
	DRAIN_EV_DOWN,     /* text: why; nothing comes after it */
	DRAIN_EV_HAVE,     /* to the source: msg is in trust there */
	DRAIN_EV_HAVE_END, /* to the source: it may offer now */
	DRAIN_EV_OFFER,    /* to the target: a message begins */
	DRAIN_EV_DATA,     /* to the target: data of it, in order */
	DRAIN_EV_END,      /* to the target: it is whole if is_good */
	DRAIN_EV_TAKEN,    /* to the source, and so the next ones */
	DRAIN_EV_REFUSED,  /* refusal, text */
	DRAIN_EV_RELEASED,
	DRAIN_EV_DISCARDED,
	DRAIN_EV_RELEASE, /* to the target */
	DRAIN_EV_DISCARD, /* to the target */
};

struct drain_offer {
	uint32_t nrcpt;
	uint32_t env_bytes, body_bytes;
};
/* What an offer has to say in all: states, envelope, body. */
uint64_t drain_offer_bytes(const struct drain_offer *o);

struct drain_event {
	enum drain_kind kind;
	struct msgid msg;
	struct drain_offer offer;
	struct slice data; /* good until the next call */
	bool is_good;
	uint8_t refusal;
	char text[DRAIN_TEXT_MAX + 1];
};

struct drain {
	struct drain_conf conf;
	enum drain_state state;
	struct drain_id peer; /* from its HELLO on */
	uint8_t peer_nonce[DRAIN_NONCE_BYTES];
	struct buf in, out;
	size_t eaten; /* of in: a frame that was given out */
	int64_t now_us, heard_us, said_us, begun_us;
	/* The message on its way, in either direction. */
	bool is_offering;
	struct msgid msg;
	uint64_t left;
	uint32_t crc;
	bool is_told; /* DRAIN_EV_DOWN was given */
	char why[DRAIN_TEXT_MAX + 1];
};

/* The source speaks first: send out. */
void drain_init(struct drain *d, const struct drain_conf *conf, int64_t now_us);
void drain_free(struct drain *d);
/* Bytes of the peer; call drain_next until it gives nothing. */
void drain_feed(struct drain *d, struct slice data, int64_t now_us);
/* The next event; false: none. */
bool drain_next(struct drain *d, struct drain_event *e);
/* The connection is gone, or this end gives up: says so to the peer if it can. */
void drain_gone(struct drain *d, const char *why);
void drain_give_up(struct drain *d, const char *why);
/* Silence is broken by a PING, and ends the conversation when it lasts. */
int64_t drain_deadline(const struct drain *d);
void drain_tick(struct drain *d, int64_t now_us);

/* The source, once open. An offer: begin, all of its data in any pieces, end
 * (or, in its midst, abort). */
void drain_say_offer(struct drain *d, const struct msgid *msg,
    const struct drain_offer *o);
void drain_say_data(struct drain *d, struct slice data);
void drain_say_end(struct drain *d);
void drain_say_abort(struct drain *d);
void drain_say_release(struct drain *d, const struct msgid *msg);
void drain_say_discard(struct drain *d, const struct msgid *msg);
/* The target, once up. */
void drain_say_have(struct drain *d, const struct msgid *msg);
void drain_say_have_end(struct drain *d);
void drain_say_taken(struct drain *d, const struct msgid *msg);
void drain_say_refused(struct drain *d, const struct msgid *msg,
    enum drain_refusal why, const char *text);
void drain_say_released(struct drain *d, const struct msgid *msg);
void drain_say_discarded(struct drain *d, const struct msgid *msg);

/* What has become of a recipient, as an offer says it: 24 bytes. */
struct drain_rcpt {
	struct outcome outcome;
	uint16_t attempts;
	bool is_final;
	bool is_told;   /* that it is late; older nodes do not know it */
	int64_t due_us; /* wall clock; 0 = now, TIME_NEVER = held */
};
int drain_rcpt_encode(struct buf *out, const struct drain_rcpt *r) MUST_CHECK;
/* False: it is nothing of the kind. */
bool drain_rcpt_decode(struct cursor *c, struct drain_rcpt *r);

#endif
