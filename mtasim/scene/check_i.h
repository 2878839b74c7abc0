/*
 * scene/check_i.h - what the files of checks share.
 */
#ifndef SCENE_CHECK_I_H
#define SCENE_CHECK_I_H

#include "scene/scene.h"

/* As the patterns list them. */
enum noun {
	NOUN_ATTEMPTED,
	NOUN_DELIVERED,
	NOUN_DEFERRED,
	NOUN_BOUNCED,
	NOUN_EXPIRED,
	NOUN_OPENED,
	NOUN_REFUSED,
};
enum group {
	GROUP_ALL,
	GROUP_SOURCE,
	GROUP_NETBLOCK,
	GROUP_MAILBOX,
	GROUP_SENDER,
	GROUP_CONNECTION,
};
enum how { HOW_MOST, HOW_LEAST, HOW_EXACTLY };

struct checking {
	const struct scene *s;
	char *why;
	size_t why_cap;
	/* What is looked at: from, until before; each time of each_us apart,
	 * 0: all as one. -1: any provider, any source. */
	int64_t from_us, to_us, each_us;
	int32_t provider, source;
	struct slice tenant; /* empty: any */
};

/* Says why; returns 0. */
int scene_fail(struct checking *k, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* "1:02:03" */
const char *scene_when(char dst[32], int64_t us);
bool scene_provider(struct checking *k, struct slice name, int32_t *provider);
bool scene_says(const struct verdict *v, struct slice words);
/* A refusal whose reply has every one of these words in it. */
bool scene_is_refusal(const struct trial_event *ev, struct slice words);
uint64_t scene_group(const struct checking *k, const struct trial_event *ev,
    int64_t group);
uint64_t scene_netblock(const struct checking *k, uint16_t source);

/* ---- check_mail.c: about messages and what follows a reply ------------------------- */

int then_every(struct checking *k, const struct args *a);
int then_part(struct checking *k, const struct args *a);
int then_left(struct checking *k, const struct args *a);
int then_silence(struct checking *k, const struct args *a);
int then_next(struct checking *k, const struct args *a);
int then_back(struct checking *k, const struct args *a);
int then_met(struct checking *k, const struct args *a);
int then_never(struct checking *k, const struct args *a);
int then_once(struct checking *k, const struct args *a);
int then_tries(struct checking *k, const struct args *a);
int then_pinned(struct checking *k, const struct args *a);
int then_waits(struct checking *k, const struct args *a);

#endif
