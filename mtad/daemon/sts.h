/*
 * daemon/sts.h - MTA-STS policies of recipient domains (RFC 8461): who has one,
 * and what it says. sts.c is of the core's worker, sts_fetch.c of the keeper.
 */
#ifndef DAEMON_STS_H
#define DAEMON_STS_H

#include "daemon/daemon_i.h"

/* A policy to be fetched, and back with what came. */
struct post_sts {
	struct post post;
	struct worker *from;
	char domain[DOMAIN_MAX + 1];
	char id[STS_ID_MAX + 1];
	char ca[512]; /* file of trusted CAs; empty: the system's */
	struct ip ip;
	uint16_t port;
	/* What came. */
	char why[256];      /* not empty: nothing that can be used */
	const char *result; /* the same for a report (RFC 8460 4.3.2.2) */
	int64_t fetched_us, expires_us; /* wall clock */
	struct sts_policy policy;
};

/* The path and the name's beginning of a policy, RFC 8461 3.3. */
#define STS_PATH "/.well-known/mta-sts.txt"
#define STS_HOST "mta-sts."
#define STS_RECORD "_mta-sts."
#define STS_FETCH_US (10 * US_PER_S)
/* What is wrong with an answer, as text in dst, or "": *out is the policy. */
void sts_reply_read(const struct https_reply *r, struct sts_policy *out,
    char *dst, size_t cap);

/* sts_fetch.c */
void sts_fetch(struct keeper *k, struct post_sts *p);

/* sts.c */
struct sts;
struct sts *sts_new(struct worker *w);
/* Before the resolver is freed: those that wait are answered, and whoever comes
 * from now on waits for nothing. */
void sts_stop(struct sts *s);
/* Behind it. */
void sts_free(struct sts *s);
/* What was kept, at a start. */
void sts_recall(struct sts *s, const struct store_policy *p);
/*
 * Finds the policy of a domain and then answers, from the loop and once. mode
 * STS_NONE: there is none, or it cannot be had now; hosts are good during the
 * call.
 */
void sts_find(struct sts *s, struct slice domain,
    void (*on_found)(void *user, uint64_t cookie, enum sts_mode mode,
	struct slice hosts),
    void *user, uint64_t cookie);
void sts_done(struct sts *s, struct post_sts *p);
void sts_turn(struct sts *s);
int64_t sts_deadline(const struct sts *s);

#endif
