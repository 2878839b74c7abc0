/*
 * relay/view_i.h - what the files of the view share: ceilings on the work of
 * one question.
 */
#ifndef RELAY_VIEW_I_H
#define RELAY_VIEW_I_H

#include "relay/core_i.h"

/* Rows of one answer, whatever was asked for. */
#define VIEW_ROWS_MAX 1000u
/* A list looks at so many recipients a call of the engine, and makes so many
 * calls: 16 x 4,096 at 200-300 ns each are at most 20 ms of the core. */
#define VIEW_LIST_BUDGET 4096u
#define VIEW_LIST_SLICES 16

/* Sources that are looked at for the ETAs of one answer: a millisecond. */
#define VIEW_ETA_LOOKS 4096u

/* Queues and sources that have metrics of their own. */
#define VIEW_METRIC_QUEUES 100u
#define VIEW_METRIC_SOURCES 100u

/* HELP and TYPE of a metric: a counter where its name ends like one. */
void view_metric_head(struct buf *out, const char *name, const char *help);
/* A label behind `before`; the value is escaped. */
void view_label(struct buf *out, char before, const char *name,
    struct slice value);
/* Limits on tuples; view_limits.c. */
void view_metrics_limits(const struct core *c, struct buf *out);

/* "time": the moment of the answer. */
void view_now(const struct core *c, struct jsonw *w);
/* A moment twice: key is its wall-clock text, key_s the seconds until then
 * (is_ahead) or since then. Null when it is none. */
void view_moment(const struct core *c, struct jsonw *w, const char *key,
    const char *key_s, int64_t mono_us, bool is_ahead);
/* Pool, tenant and campaign of a recipient: members of the object that is open.
 */
void view_steer(const struct core *c, struct jsonw *w,
    const struct eng_rcpt_row *r);
/* "reaction": why something is suspended. */
void view_reaction(const struct core *c, struct jsonw *w,
    const struct eng_standing_row *r);
void view_eta(const struct core *c, struct jsonw *w, const struct eng_eta *e);
/* Members: the stage of a reply, and its codes. */
void view_said(struct jsonw *w, const struct outcome *o);
void view_outcome(struct jsonw *w, const struct outcome *o);
/* What a recipient waits for: members of the object that is open. */
void view_waiting(const struct core *c, struct jsonw *w,
    const struct eng_rcpt_row *r);
void view_name(const struct core *c, struct jsonw *w, const char *key,
    uint32_t id);
/* Members of the object that is open. */
void view_queue_members(const struct core *c, struct jsonw *w,
    const struct eng_queue_row *q);
void view_source_members(const struct core *c, struct jsonw *w,
    const struct eng_source_row *s, uint32_t at);

#endif
