/*
 * engine/notice_i.h - what the sender of a message is told.
 */
#ifndef ENGINE_NOTICE_I_H
#define ENGINE_NOTICE_I_H

#include "engine/engine_i.h"

/* A message whose sender is told when it is late: of those of its recipients
 * that want it, all at once. */
struct delay {
	uint32_t msg;
	struct timer timer;
};

/* Is the sender to be told of the end of a recipient? */
bool eng_notice_is_due(const struct msg *m, const struct rcpt *r,
    enum eng_log_kind what);
/* NOTICE follows at the end of the step. */
void eng_notice_owe(struct eng *e, uint32_t msg, uint16_t rcpt);
void eng_notices_flush(struct eng *e);
void eng_on_paid(struct eng *e, uint32_t msg);
/* msg.c: when nothing of it is left, DROP. */
void eng_msg_drop_if_done(struct eng *e, uint32_t msg, struct msg *m);

/* It is late from then on; called again, nothing changes. */
void eng_delay_watch(struct eng *e, uint32_t msg, struct msg *m,
    int64_t late_us);
/* Nothing is left of it. */
void eng_delay_end(struct eng *e, uint32_t msg, struct msg *m);
void eng_delay_timer(struct eng *e, uint32_t i);

#endif
