/*
 * engine/react_i.h - what the engine makes of refusals: what is learnt of a path's
 * rate, and whom a refusal is about; private to the room.
 */
#ifndef ENGINE_REACT_I_H
#define ENGINE_REACT_I_H

#include "engine/eta_i.h"

/* What is known of the rate that a receiver bears; only for paths that one has
 * slowed down. Rates: transactions in 10^6 s. */
struct adapt {
	uint64_t rate;
	uint64_t proven;      /* went well before `rate` was tried */
	uint64_t wall, wall2; /* refused last, and before that; 0 = none */
	uint64_t n;           /* transactions since it was set */
	uint64_t bucket;      /* that it takes at once, at most */
	int64_t since_us;
	int64_t tat_us;   /* when the next one should start */
	int64_t evid_us;  /* the last refusal that counted */
	int64_t fail0_us; /* first of the refusals in a row */
	/* To stay away so long was too short, was long enough; 0 = not known. */
	int64_t lo_us, hi_us;
	int64_t cost_us;    /* no mail for so long after a refusal */
	uint32_t nrefused;  /* since the last that counted */
	uint32_t per_event; /* of them, x 16, on average */
	uint8_t step, ncostly;
	uint8_t bye_same; /* refusals in a row after bye_n messages each */
	uint32_t bye_n;
	bool is_kept;    /* in the books, */
	int64_t kept_us; /* since then as it is there */
};
/* One that the books had: it waits for its path. */
struct rate {
	uint32_t source, host; /* names; the best host of a site */
	struct link link;      /* of e->recalled */
	struct adapt adapt;
};
#define ADAPT_STEPS 6
#define ADAPT_RATE_MAX (UINT64_C(4000) * 1000000)
#define ADAPT_KEEP_US (1800 * US_PER_S) /* that it is kept without mail */

/* ---- adapt.c ---- */
/* The path (its count of fails is up to date) was refused: how long to stay away.
 * 0: that is no matter of its rate. */
int64_t eng_adapt_refused(struct eng *e, struct path *p, int64_t began_us);
/* The others are for a path with an adapt. One more refusal. */
void eng_adapt_count(struct eng *e, struct path *p);
/* The first success after a refusal. */
void eng_adapt_works(struct eng *e, struct path *p, int64_t began_us);
enum eng_why eng_adapt_gate(const struct eng *e, const struct path *p,
    int64_t *until_us);
void eng_adapt_spend(struct eng *e, struct path *p);
void eng_adapt_unspend(struct eng *e, struct path *p);
/* Sessions without work that it may have. */
uint32_t eng_adapt_spare(const struct eng *e, const struct path *p);
/* May a refusal after n messages of a connection be its end alone? Here that is
 * believed of the same number again and again. */
bool eng_adapt_is_bye(struct eng *e, struct path *p, uint32_t n);
bool eng_adapt_remembers(const struct eng *e, const struct path *p);
/* For an ETA: the rate now, in transactions in 10^6 s; is it below what the
 * receiver is thought to bear, and on its way there; how long the path will need
 * for n transactions. */
uint64_t eng_adapt_rate(const struct eng *e, const struct path *p);
bool eng_adapt_climbs(const struct eng *e, const struct path *p);
int64_t eng_adapt_needs(const struct eng *e, const struct path *p, uint64_t n,
    enum bound b);
void eng_adapt_end(struct eng *e, struct path *p); /* may have none */

/* One that was learnt before: within what the path may have now. */
void eng_adapt_fit(struct eng *e, struct path *p);

/* ---- adapt_keep.c ---- */
/* The path's rate is another now: it is given to the books, if that is not too
 * often. */
void eng_adapt_keep(struct eng *e, const struct path *p, bool has_fallen);
/* It is to be forgotten there. */
void eng_adapt_forget(struct eng *e, const struct path *p);
void eng_adapt_recall(struct eng *e, const struct eng_entry *en);
/* A new path goes on where the one before the start was. */
void eng_adapt_resume(struct eng *e, struct path *p);
/* Those whose path does not come are forgotten. */
void eng_rates_run(struct eng *e);
#define K_RATE(e) IKIND((e)->rates, rate, link)

/* ---- react.c ---- */
/* Whom a refusal is about. Of the path: its recipients wait in their line, and no
 * attempt of theirs is burned. */
enum level {
	LEVEL_RCPT,
	LEVEL_GREY, /* the recipient, seen from that source */
	LEVEL_PATH,
	LEVEL_BLOCK, /* the path, and not only its pace */
	LEVEL_AGAIN, /* nobody: it was not tried */
	LEVEL_LOCAL  /* a fault of ours */
};
enum level eng_level_of(const struct ev_result *ev, const struct outcome *o);
enum hint eng_hint_of(const struct outcome *o);
/* The receiver will not have the path for a while. */
void eng_path_blocked(struct eng *e, uint32_t path, int64_t began_us);
/* Something went well: it may get one more session. */
void eng_path_ramp_up(struct eng *e, struct path *p);

#endif
