/*
 * relay/drain.h - a node that is drained, and the node that takes its mail: the
 * conversation of proto/drain.h, tied to the core. What is promised, and why it
 * holds: share/doc/drain.md.
 *
 * Both belong to the core's thread. Of each there is one; the source has one
 * conversation at a time, the target one with each source. Bytes are the driver's
 * to move: it feeds, then sends what is in the buffer.
 */
#ifndef RELAY_DRAIN_H
#define RELAY_DRAIN_H

#include "conf/conf.h"
#include "proto/drain.h"
#include "relay/intake.h"

struct core;

struct drain_ops {
	void (*mac)(void *ctx, struct slice text, uint8_t out[DRAIN_MAC_BYTES]);
	/* Room in the spool for so many bytes? */
	bool (*has_room)(void *ctx, uint64_t bytes);
};

/* What the core tells when a commit is through. */
struct drain_hooks {
	void (*handed)(void *ctx, const struct msgid *id,
	    const struct drain_id *to);
	void (*settled)(void *ctx, const struct msgid *id,
	    const struct drain_id *from, bool is_release);
	void *out_ctx, *in_ctx;
};

/* What a conversation needs beside the ops. */
struct drain_talk {
	uint8_t nonce[DRAIN_NONCE_BYTES];
	uint8_t binding[DRAIN_MAC_BYTES]; /* of the TLS channel */
	bool has_binding;
	struct endpoint peer;
};

/* ---- the source -------------------------------------------------------------- */

struct drain_out;

#define DRAIN_COUNTERS(X)                                                      \
	X(offered)                                                             \
	X(handed)   /* written here as the other's */                          \
	X(released) /* the other goes on with them */                          \
	X(kept)     /* something happened to them: offered again */            \
	X(refused)  /* by the other */                                         \
	X(bytes)    /* of what was offered */
struct drain_stats {
#define X(name) uint64_t name;
	DRAIN_COUNTERS(X)
#undef X
	uint32_t waiting;  /* handed over and not released */
	uint32_t offering; /* offered and not answered */
	char refusal[DRAIN_TEXT_MAX + 1];
	bool has_passed; /* a look at all messages found none to offer */
};

struct drain_out *drain_out_new(struct core *c, struct disk *disk,
    const struct drain_id *self, const struct drain_ops *ops, void *ctx);
void drain_out_free(struct drain_out *o);
/* Who this end is, where it was not known when it was made. */
void drain_out_identify(struct drain_out *o, const struct drain_id *self);
/* Does it offer, or only settle what it has begun? */
void drain_out_set(struct drain_out *o, bool does_offer);
/* Connected. */
void drain_out_begin(struct drain_out *o, const struct drain_talk *t,
    int64_t now_us);
void drain_out_feed(struct drain_out *o, struct slice data, int64_t now_us);
/* Says what there is to say, as far as the windows go; call when time has
 * passed or what was said has left. */
void drain_out_pump(struct drain_out *o, int64_t now_us);
struct buf *drain_out_buf(struct drain_out *o);
/* The connection is gone. */
void drain_out_gone(struct drain_out *o, const char *why);
/* NULL, or why the conversation has ended. */
const char *drain_out_down(const struct drain_out *o);
/* Both know of each other's messages. */
bool drain_out_is_open(const struct drain_out *o);
/* Open, and neither end has anything of the other's in doubt. */
bool drain_out_is_settled(const struct drain_out *o);
/* An operator's word: what is handed over and not released is delivered from
 * here, whatever the target may do. How many messages. */
uint32_t drain_out_reclaim(struct drain_out *o);
int64_t drain_out_deadline(const struct drain_out *o);
void drain_out_stats(const struct drain_out *o, struct drain_stats *s);

/* ---- the target -------------------------------------------------------------- */

struct drain_in;

struct drain_in *drain_in_new(struct core *c, struct gate *gate,
    const struct drain_id *self, const struct drain_ops *ops, void *ctx);
void drain_in_free(struct drain_in *in);
/* A source has connected; HANDLE_NONE: too many have. */
struct handle drain_in_begin(struct drain_in *in, const struct drain_talk *t,
    int64_t now_us);
void drain_in_feed(struct drain_in *in, struct handle session,
    struct slice data, int64_t now_us);
struct buf *drain_in_buf(struct drain_in *in, struct handle session);
/* NULL, or why the conversation has ended. */
const char *drain_in_down(const struct drain_in *in, struct handle session);
void drain_in_gone(struct drain_in *in, struct handle session);
/* Time-outs; and there may be something to send though nothing came. */
int64_t drain_in_deadline(const struct drain_in *in);
void drain_in_tick(struct drain_in *in, int64_t now_us);
/* Sources whose mail is in trust here, as JSON members into w. */
struct jsonw;
void drain_in_view(const struct drain_in *in, struct jsonw *w);
/* An operator's word: what is in trust of that source (its identity in hex) is
 * ours, whatever the source may say. Returns how many messages. */
uint32_t drain_in_adopt(struct drain_in *in, struct slice source);

#define DRAIN_ID_TEXT_MAX (2 * DRAIN_ID_BYTES + 1)
void drain_id_format(char dst[DRAIN_ID_TEXT_MAX], const struct drain_id *id);
int drain_id_parse(struct slice text, struct drain_id *out) MUST_CHECK;

#endif
