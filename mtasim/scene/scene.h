/*
 * scene/scene.h - scenarios in prose: what is given, what comes, and what the
 * sender does then, checked on the real engine in virtual time.
 *
 *	Scenario: Yahoo takes 20 messages on a connection
 *	  Given the provider yahoo as modelled
 *	    And 3 sources
 *	  When 1,000 messages for yahoo arrive in 10 minutes
 *	  Then each connection carries at most 20 messages
 *	    And every message is delivered within 20 minutes
 *
 * A file holds several. share/doc/scenarios.md has the steps.
 */
#ifndef SCENE_SCENE_H
#define SCENE_SCENE_H

#include "plan/trial.h"

#define SCENE_STEPS_MAX 64
#define SCENE_WORDS_MAX 80
#define SCENE_ARGS_MAX 12
#define SCENE_EVENTS_MAX (4u << 20)
#define SCENE_SOURCES_MAX 64
#define SCENE_WHY_MAX 240

/* ---- words.c: a step's words, and patterns of them --------------------------------- */

struct words {
	uint32_t n;
	struct {
		struct slice text;
		bool is_quoted;
	} v[SCENE_WORDS_MAX];
};

/* Cuts a line into words: blanks, commas and a full stop at the end part them,
 * a quoted text is one. False when there are too many. */
bool words_cut(struct slice line, struct words *w);

struct args {
	uint64_t set; /* bitmap */
	struct {
		struct slice text;
		int64_t v;
	} v[SCENE_ARGS_MAX];
};

static inline bool
arg_is_set(const struct args *a, uint32_t i)
{
	return (a->set >> i & 1) != 0;
}

/*
 * Do the words from `at` on fit the pattern to their end? Its tokens: a word as
 * it is; <n> a number, <d> a time, <p> a share in percent, <q> a quoted text,
 * <w> any word; (a|b_c) one of these, a blank written as _; [ ... ] may be
 * missing. Whatever can vary is an argument, numbered from the left.
 */
bool words_match(const struct words *w, uint32_t at, const char *pattern,
    struct args *a);

/* ---- scenes ------------------------------------------------------------------------ */

enum step_kind { STEP_GIVEN, STEP_WHEN, STEP_THEN };

struct step {
	uint8_t kind; /* enum step_kind */
	uint32_t line;
	struct slice text; /* without the word that it begins with */
	struct words words;
	struct slice block; /* lines below it that are further in */
	uint32_t block_line;
};

/* What has been seen; in order of time. */
struct scene_log {
	uint32_t n, cap;
	struct trial_event *v;
	bool is_full;
	/* At the end of each minute, by provider: depth, and which gate due
	 * mail has waited at longest in it (WHY_NONE: none). */
	uint32_t nminutes, minutes_cap;
	struct minute {
		uint64_t depth;
		uint8_t why; /* enum eng_why */
	} * minutes;         /* nproviders for each */
	struct eng_blocked (*before)[ENG_WHY_N];
};

struct scene {
	const char *path;
	struct slice title;
	uint32_t line, nsteps;
	struct step steps[SCENE_STEPS_MAX];
	struct scen *scen;
	struct scene_log log;
	int64_t end_us;
	uint64_t still; /* in the queue at the end */
};

struct scene_file {
	char *text;
	uint32_t n, cap;
	struct scene *v;
};

/* Reads a file. False with the error reported as file:line: what. */
bool scene_file_read(struct scene_file *f, const char *path,
    struct conf_errors *errs);
void scene_file_free(struct scene_file *f);

/* stage.c: what Given and When say, as a scenario of plan/, and its run.
 * receivers: the folder of the models. False with errors reported. */
bool scene_run(struct scene *s, const char *receivers, uint64_t seed,
    struct conf_errors *errs);
void scene_free(struct scene *s);

/* check.c: does what a step with Then says hold? 1; 0: it does not, and why; -1:
 * nobody knows what it says. */
int scene_check(const struct scene *s, const struct step *step, char *why,
    size_t why_cap);
/* The reply of a refusal in one line, "421 4.7.0 text" or "(closes)". */
void scene_reply(const struct verdict *v, char *dst, size_t cap);

/* table.c: minute by minute what the sender did, one line each, to `out`. */
void scene_table(const struct scene *s, struct buf *out);

#endif
