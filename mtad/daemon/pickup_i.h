/*
 * daemon/pickup_i.h - what the parts of the pickup share: pickup.c has the
 * directory, pickup_talk.c the session through which a message goes in.
 */
#ifndef DAEMON_PICKUP_I_H
#define DAEMON_PICKUP_I_H

#include "daemon/daemon_i.h"

/* A session with a worker, at its local door. */
struct talk {
	struct pickup *k;
	const struct conf *conf;
	int fd; /* -1: none */
	uint32_t uid;
	struct reply_parser reply;
	struct buf in; /* that has come and is not looked at */
};
void talk_init(struct talk *t, struct pickup *k);
void talk_close(struct talk *t);

/* A file that is whole. */
struct drop_file {
	const char *name;
	int fd;
	uint32_t uid;
	uint64_t inode;
	const struct drop_reader *r;
};

enum pickup_verdict {
	PICKUP_TAKEN, /* the message is durable, or its sender has a notice */
	PICKUP_LATER, /* nothing is: it stays */
	PICKUP_BAD    /* it will never be taken */
};
/* Gives a message in; t is opened, or used again, as it needs. why, when it is
 * not taken, is of cap bytes. */
enum pickup_verdict talk_give(struct talk *t, const struct conf *c,
    const struct drop_file *f, char *why, size_t cap);

#endif
