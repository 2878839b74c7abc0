/*
 * store/suppress.h - who must not be written to: addresses and domains, for one
 * tenant or for all, in an SQLite file, and what answers at once in front of it.
 *
 *	names	how an address or domain is written here
 *	line	one entry as a line of CSV or JSON, there and back
 *	file	the entries; one writer at a time, readers beside it
 *	set	a filter of all that the file had: immutable, shared by threads
 *	desk	one thread's: a set, what came since, and its own reader
 *
 * Nothing here has a thread or reads a clock. Times are of the wall clock, in
 * seconds.
 */
#ifndef STORE_SUPPRESS_H
#define STORE_SUPPRESS_H

#include "mail/mail.h"

#define SUPPRESS_NAME_MAX MAILBOX_MAX
#define SUPPRESS_TEXT_MAX 255u /* bytes of a reason, a source */

struct suppress_entry {
	struct slice tenant; /* empty: for all */
	bool is_domain;
	/* As suppress_name writes it: an address, a domain, or "*." and a
	 * domain, which is all domains below that one. */
	struct slice name;
	struct slice reason, source;
	int64_t added_s, expires_s; /* expires 0: never */
};

/* ---- names --------------------------------------------------------------------- */

/*
 * Writes an address, a domain or *.domain as it stands in the file: letters
 * small (those of ASCII; in the local part too), the domain in A-labels, quotes
 * around the local part taken off. dst of SUPPRESS_NAME_MAX + 1 bytes. E_SYNTAX:
 * it is neither.
 */
int suppress_name(struct slice text, char *dst, struct slice *out,
    bool *is_domain) MUST_CHECK;

/* ---- lines --------------------------------------------------------------------- */

enum suppress_format { SUPPRESS_CSV, SUPPRESS_JSON };

/* What a line does not say, and the time that durations count from. */
struct suppress_line_conf {
	struct slice tenant, reason, source;
	int64_t now_s, expires_s;
};
/* A line that was read; e points into it. */
struct suppress_line {
	struct suppress_entry e;
	char name[SUPPRESS_NAME_MAX + 1];
	char tenant[NAME_MAX_BYTES + 1];
	char reason[SUPPRESS_TEXT_MAX + 1], source[SUPPRESS_TEXT_MAX + 1];
};
/*
 * Reads ADDRESS[,TENANT[,REASON[,EXPIRES[,SOURCE[,ADDED]]]]] (RFC 4180, without
 * line breaks in fields), or a JSON object with these members. 0; E_NOTFOUND: it
 * is empty, a comment (#) or the heading; E_SYNTAX with *why, a literal.
 */
int suppress_line_read(enum suppress_format f, struct slice line,
    const struct suppress_line_conf *c, struct suppress_line *out,
    const char **why) MUST_CHECK;
/* Appends what is read back as the same. Fails only as out does. */
void suppress_line_write(enum suppress_format f, const struct suppress_entry *e,
    struct buf *out);
/* The same as members of a JSON object that is open. */
void suppress_json(struct jsonw *w, const struct suppress_entry *e);
/* When something ends: RFC 3339, a date, a duration from now, "never" or
 * nothing. 0 or E_SYNTAX. */
int suppress_time(struct slice text, int64_t now_s, int64_t *out_s) MUST_CHECK;

/* ---- the file ------------------------------------------------------------------ */

struct suppress_db;

enum suppress_mode { SUPPRESS_READ, SUPPRESS_WRITE };
/* Opens the file, for SUPPRESS_WRITE makes it where there is none. 0;
 * E_NOTFOUND, E_VERSION, E_CORRUPT, E_IO, E_NOSPC, E_DENIED, E_BUSY with words
 * in why. mmap_bytes of it are looked at in place. */
int suppress_open(struct suppress_db **out, const char *path,
    enum suppress_mode mode, size_t cache_bytes, size_t mmap_bytes, char *why,
    size_t why_cap) MUST_CHECK;
void suppress_close(struct suppress_db *d);

/* What is written between them is durable, all of it, when commit returns 0. */
int suppress_begin(struct suppress_db *d) MUST_CHECK;
int suppress_commit(struct suppress_db *d) MUST_CHECK;
void suppress_rollback(struct suppress_db *d);
/* Between two questions: texts that suppress_get and suppress_tenant gave are good
 * no more, and what is asked next sees all that is committed. */
void suppress_rest(struct suppress_db *d);
/* Words for what the last call gave. */
const char *suppress_why(struct suppress_db *d);
/* Replaces one of the same tenant and name. */
int suppress_put(struct suppress_db *d,
    const struct suppress_entry *e) MUST_CHECK;
/* E_NOTFOUND: there is none. */
int suppress_del(struct suppress_db *d, struct slice tenant, bool is_domain,
    struct slice name) MUST_CHECK;
/* Texts are good until the next call or suppress_rest. E_NOTFOUND: there is
 * none. */
int suppress_get(struct suppress_db *d, struct slice tenant, bool is_domain,
    struct slice name, struct suppress_entry *out) MUST_CHECK;
/* A refusal at at_us, of which those since since_us count; *n: how many. */
int suppress_strike(struct suppress_db *d, struct slice tenant,
    struct slice name, int64_t at_us, int64_t since_us, uint64_t *n) MUST_CHECK;
int suppress_unstrike(struct suppress_db *d, struct slice tenant,
    struct slice name) MUST_CHECK;
int suppress_count(struct suppress_db *d, uint64_t *n) MUST_CHECK;

/* The next tenant that has entries, behind that one in the order of bytes; good
 * until the next call. E_NOTFOUND: there is none. "" may be one. */
int suppress_tenant(struct suppress_db *d, struct slice behind,
    struct slice *out) MUST_CHECK;

/* Entries by tenant, kind and name, behind a place, or from the first on. */
struct suppress_walk;
struct suppress_place {
	struct slice tenant, name;
	bool is_domain;
};
/* NULL: see suppress_why. Begins a read transaction of its own connection if
 * nobody reads there. */
struct suppress_walk *suppress_walk(struct suppress_db *d,
    const struct suppress_place *behind);
/* 1: an entry, good until the next call; 0: no more; or E_*. */
int suppress_next(struct suppress_walk *w, struct suppress_entry *e) MUST_CHECK;
void suppress_walk_end(struct suppress_walk *w);
/* Takes one out, if it has expired by then. */
int suppress_expire(struct suppress_db *d, const struct suppress_place *at,
    int64_t now_s) MUST_CHECK;
/* Refusals that count no more. */
int suppress_strikes_forget(struct suppress_db *d,
    int64_t before_us) MUST_CHECK;

/* ---- many at once -------------------------------------------------------------- */

/*
 * Entries are gathered in a file without a name beside the other, sorted, and
 * put in by transactions of LOAD_BATCH, so that who else writes waits briefly.
 * Of equal names the last one counts. What is committed stays when it is ended
 * half-way; the same import again does no harm.
 */
struct suppress_load;
/* told is called now and then with the number of entries that are in; once it
 * returns false the call that is under way gives E_CLOSED. */
struct suppress_load *suppress_load_new(struct suppress_db *d,
    bool (*told)(void *ctx, uint64_t done), void *ctx);
int suppress_load_add(struct suppress_load *l,
    const struct suppress_entry *e) MUST_CHECK;
int suppress_load_end(struct suppress_load *l, uint64_t *done) MUST_CHECK;
/* Words for what the last call gave. */
const char *suppress_load_why(struct suppress_load *l);
void suppress_load_free(struct suppress_load *l);

/* ---- sets and desks ------------------------------------------------------------ */

/* Of an entry, for filters; keyed. */
uint64_t suppress_hash(uint64_t seed, struct slice tenant, bool is_domain,
    struct slice name);

struct suppress_set;
/* An empty one, for n entries, held once. NULL without memory. */
struct suppress_set *suppress_set_new(uint64_t seed, uint64_t n);
void suppress_set_add(struct suppress_set *s, const struct suppress_entry *e);
struct suppress_set *suppress_set_take(struct suppress_set *s);
void suppress_set_give(struct suppress_set *s); /* NULL will do */
uint64_t suppress_set_count(const struct suppress_set *s);
size_t suppress_set_bytes(const struct suppress_set *s);

/* Entries that came behind the set; beyond that the file is always asked. */
#define SUPPRESS_FRESH_MAX 65536u

/* How an entry that has just come is told to desks. */
struct suppress_news {
	uint64_t hash;
	bool is_below; /* "*.": parents of domains are to be asked for */
};
struct suppress_news suppress_news(uint64_t seed,
    const struct suppress_entry *e);

struct suppress_desk;
/* Until it has a set the file is asked each time. 0, or E_* with words. */
int suppress_desk_open(struct suppress_desk **out, const char *path,
    uint64_t seed, size_t cache_bytes, size_t mmap_bytes, char *why,
    size_t why_cap) MUST_CHECK;
void suppress_desk_close(struct suppress_desk *k);
/* Another set, which is taken over; what is fresh is forgotten. */
void suppress_desk_swap(struct suppress_desk *k, struct suppress_set *s);
void suppress_desk_add(struct suppress_desk *k, const struct suppress_news *v,
    uint32_t n);

struct suppress_hit {
	struct slice tenant; /* the one asked for, or empty: for all */
	char name[SUPPRESS_NAME_MAX + 1];
	char reason[SUPPRESS_TEXT_MAX + 1], source[SUPPRESS_TEXT_MAX + 1];
	int64_t expires_s;
};
/*
 * May this address be written to for that tenant (empty: none is known)? 0: yes.
 * 1: no, and why: the tenant's own entry before that for all, the address before
 * its domain. E_*: the file could not be asked.
 */
int suppress_ask(struct suppress_desk *k, struct slice tenant,
    struct slice address, int64_t now_s, struct suppress_hit *hit) MUST_CHECK;
/* Between two turns: what is asked next sees all that is committed. */
void suppress_desk_rest(struct suppress_desk *k);
/* How often the file was asked, and in vain. */
void suppress_desk_counts(const struct suppress_desk *k, uint64_t *asked,
    uint64_t *vain);

#endif
