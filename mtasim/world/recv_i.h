/*
 * world/recv_i.h - what the two files of the receiver share: the receiver
 * itself (recv.c) and its sessions (recv_sess.c).
 */
#ifndef WORLD_RECV_I_H
#define WORLD_RECV_I_H

#include "proto/proto.h"
#include "world/guard.h"
#include "world/ident.h"
#include "world/recv.h"

#define RECV_LISTENERS_MAX 64
#define SOURCES_MAX 65536 /* client addresses told apart */

/* A client address. */
struct recv_source {
	struct ip ip;
	uint32_t conns;  /* that were let in */
	int64_t full_ns; /* see behave_take */
};

struct receiver {
	struct loop *loop;
	struct timers *timers;
	struct journal *journal;
	struct recv_conf conf;
	struct smtp_srv_conf smtp;
	struct dice dice;
	struct guard_memory memory;
	uint64_t transactions;
	struct recv_counts n;
	struct list sessions;
	uint32_t nlisteners;
	struct listener *listeners[RECV_LISTENERS_MAX];
	struct map source_of; /* ip_hash to index + 1 */
	uint32_t nsources;
	struct recv_source *sources;
	uint64_t dumped;
};

/* A session; recv_sess.c owns it, recv_take.c sees to the message in it. */
struct sess {
	struct list node;
	struct receiver *r;
	struct conn *c;
	uint32_t source; /* index + 1, 0 = none */
	bool is_counted; /* among the connections of its source */
	uint8_t asked;   /* enum sim_stage */
	bool has_begun;  /* srv is alive */
	bool is_silent;
	const struct verdict *answer; /* to `asked`; NULL accepts */
	struct timer timer;
	struct buf rcpts; /* as the journal writes them */
	uint32_t nrcpts;
	uint64_t rcpt_id; /* that the recipients' addresses name */
	bool rcpt_has_id, rcpt_is_mixed;
	FILE *dump;
	uint64_t dump_no;
	struct sim_check check;
	struct smtp_srv srv;
	/* As its receiver's guards know it. */
	struct ip ip;
	uint64_t connection, transaction;
	bool is_inside; /* let in at connect */
	char sender[DOMAIN_MAX + 1];
	char peer[IP_TEXT_MAX];
};

/* The record of a client address; NULL when there are too many. */
struct recv_source *recv_source(struct receiver *r, const struct ip *ip);
/* Takes over an accepted descriptor. */
void sess_open(struct receiver *r, int fd, const struct endpoint *peer);
/* Closes every session at once. */
void sess_close_all(struct receiver *r);

/* ---- recv_take.c --------------------------------------------------------------- */

void take_init(struct sess *s);
void take_free(struct sess *s);
/* Forgets the message so far. */
void take_reset(struct sess *s);
/* The recipient in srv.path was accepted. */
void take_rcpt(struct sess *s);
/* The body begins; a piece of it (srv.body); it is whole and accepted. */
void take_begin(struct sess *s);
void take_body(struct sess *s);
void take_message(struct sess *s);
/* Behaviour refused something. */
void take_refusal(struct sess *s, enum sim_stage stage,
    const struct verdict *v);

#endif
