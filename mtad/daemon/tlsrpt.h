/*
 * daemon/tlsrpt.h - reports about TLS (RFC 8460), on the core's worker: tlsrpt.c
 * counts sessions and knows what is due, tlsrpt_send.c sends a report.
 */
#ifndef DAEMON_TLSRPT_H
#define DAEMON_TLSRPT_H

#include "daemon/daemon_i.h"
#include "proto/tls_report.h"

struct tlsrpt;
struct tlsrpt *tlsrpt_new(struct worker *w);
void tlsrpt_free(struct tlsrpt *t);
/* What was kept, at a start. */
void tlsrpt_recall(struct tlsrpt *t, const struct kept *k);
/* A session is up, or will never be: why, in our words, which begin with the name
 * of the policy; empty: it is up, in TLS or not. */
void tlsrpt_session(struct tlsrpt *t, const struct session_facts *f,
    bool is_tls, struct slice why);
/* A domain's MTA-STS policy cannot be had. */
void tlsrpt_no_policy(struct tlsrpt *t, const char *domain, const char *result,
    const char *why);
void tlsrpt_turn(struct tlsrpt *t);
int64_t tlsrpt_deadline(const struct tlsrpt *t);
/* All that there is goes now, today's too; how many reports. */
uint32_t tlsrpt_send_all(struct tlsrpt *t);
/* The report of a domain's present day; false: nothing is counted. */
bool tlsrpt_show(struct tlsrpt *t, struct slice domain, struct buf *out);
/* Gives what is not yet kept to be kept: before the books are closed. */
void tlsrpt_flush(struct tlsrpt *t);

/* ---- tlsrpt_send.c ------------------------------------------------------------ */

/* One report on its way to where it is wanted. */
struct rpt_parcel {
	struct tls_report_to to;
	uint32_t sent; /* bits of to.uri */
	struct buf gzip;
};
/* By POST and back. */
struct post_report {
	struct post post;
	struct worker *from;
	char domain[DOMAIN_MAX + 1];
	uint32_t day, uri;
	struct tls_report_uri to;
	struct ip ip;
	char ca[512];
	struct buf gzip;
	char why[256]; /* empty: it was taken */
};
int rpt_gzip(struct buf *out, struct slice text) MUST_CHECK;
/* On the keeper's thread. */
void rpt_post(struct keeper *k, struct post_report *p);
/* Hands a message in as a client of our own; true: it was begun, and `done` is
 * called once, from the loop. Takes the message over. */
bool rpt_mail(struct worker *w, struct slice from, struct slice to,
    struct buf *message, void (*done)(void *ctx, uint64_t arg, bool ok),
    void *ctx, uint64_t arg);
/* The word that came back about a post. */
void tlsrpt_posted(struct tlsrpt *t, struct post_report *p);

#endif
