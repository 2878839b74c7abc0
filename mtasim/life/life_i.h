/*
 * life/life_i.h - the parts of a life: files for the children, the children,
 * and what they wrote down.
 */
#ifndef LIFE_I_H
#define LIFE_I_H

#include <sys/types.h>

#include "life/life.h"

/* ---- life_files.c ---- */

/* The world of the scenario's providers, for mtasim world; port and address of
 * the name server are picked when it starts. */
void life_world(const struct scen *s, struct buf *out);
/* The scenario's configuration with what a life of its own needs: addresses in
 * 127/8, places below dir, the world's ports. False: it cannot be read. */
bool life_conf(const struct life *l, uint16_t in_port, struct slice dns,
    uint16_t smtp_port, struct buf *out);

/* ---- life_child.c ---- */

struct child {
	pid_t pid; /* 0: none */
	int status;
};
/* Starts argv[0]; standard output and error go to DIR/name.out. 0 or E_IO. */
int child_start(struct child *c, const char *dir, const char *name,
    const char *const *argv) MUST_CHECK;
/* Looks without waiting; false once it has ended. */
bool child_lives(struct child *c);
/* SIGTERM, and SIGKILL after a while. */
void child_stop(struct child *c, int64_t patience_us);
void life_sleep(int64_t us);
int64_t life_clock(void);

/* ---- life_read.c ---- */

#define LIFE_MESSAGES_MAX (1u << 24)

/* When each message of the loads was acknowledged. */
struct arrivals {
	struct map map; /* id to index + 1 */
	int64_t *acked_us;
	uint32_t n, cap;
};
void arrivals_init(struct arrivals *a);
void arrivals_free(struct arrivals *a);
/* Add what a journal says up to until_us of the wall clock; those of the loads
 * first, workload by workload. 0 or E_*. */
int life_read_load(struct life *l, uint32_t workload, struct arrivals *a,
    const char *path, int64_t until_us) MUST_CHECK;
int life_read_world(struct life *l, struct arrivals *a, const char *path,
    int64_t until_us) MUST_CHECK;

#endif
