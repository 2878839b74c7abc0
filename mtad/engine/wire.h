/*
 * engine/wire.h - events and commands as bytes, for recordings, and as words,
 * for people who read what a replay says.
 *
 * Numbers are LEB128 varints; times stand as their distance from now; a field
 * is one line in wire.c, for writing, reading and showing alike. Reading takes
 * hostile bytes.
 */
#ifndef ENGINE_WIRE_H
#define ENGINE_WIRE_H

#include "engine/engine.h"

/* Ceilings of one event (but CONF), one command and one policy. */
#define ENG_EVENT_WIRE_MAX 8192u
#define ENG_CMD_WIRE_MAX 128u
#define ENG_POLICY_WIRE_MAX (1024u * 1024)

/* Each returns the place behind what it wrote; `at` has room for the ceiling.
 * now_us is that of the step, which stands elsewhere. */
unsigned char *eng_event_put(unsigned char *at, const struct eng_event *ev,
    int64_t now_us);
unsigned char *eng_cmd_put(unsigned char *at, const struct eng_cmd *cmd,
    int64_t now_us);
unsigned char *eng_policy_put(unsigned char *at, const struct eng_policy *p);
static inline unsigned char *
eng_varint_put(unsigned char *at, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*at++ = (unsigned char)(v | 0x80);
	*at++ = (unsigned char)v;
	return at;
}
/* Small numbers of either sign as small ones, and back. */
static inline uint64_t
eng_zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (v < 0 ? ~UINT64_C(0) : 0);
}
static inline int64_t
eng_zagzig(uint64_t v)
{
	return (int64_t)((v >> 1) ^ -(v & 1));
}

/* Take one from the front of *s. 0 or E_CORRUPT. The policy of a CONF goes
 * into *policy, to which the event then points. */
int eng_event_get(struct slice *s, int64_t now_us, struct eng_event *ev,
    struct eng_policy *policy) MUST_CHECK;
int eng_cmd_get(struct slice *s, int64_t now_us,
    struct eng_cmd *cmd) MUST_CHECK;
int eng_policy_get(struct slice *s, struct eng_policy *p) MUST_CHECK;
int eng_varint_get(struct slice *s, uint64_t *v) MUST_CHECK;

/* "result session=3.1 txn=4.7 ...": fields that are zero are left out. */
void eng_event_show(const struct eng_event *ev, int64_t now_us,
    struct buf *out);
void eng_cmd_show(const struct eng_cmd *cmd, int64_t now_us, struct buf *out);

#endif
