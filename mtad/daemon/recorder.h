/*
 * daemon/recorder.h - `mtad run --record DIR`: a ring of files from which
 * `mtasim replay --engine DIR` lives the engine's past again.
 *
 * The core encodes every step into blocks and gives full or old ones to a
 * thread that writes them. It never waits: where no block is free, or a file
 * is not ready, steps are left out and a new file begins as soon as it can. A
 * file opens with a checkpoint, written by a forked child. Any error of the
 * disk ends the recording with a line in the log, and mail goes on.
 */
#ifndef DAEMON_RECORDER_H
#define DAEMON_RECORDER_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "daemon/mailbox.h"
#include "engine/tape.h"
#include "relay/relay.h"

#define RECORDER_SIZE (UINT64_C(512) << 20) /* of the ring, by default */
#define RECORDER_FILES 8u
#define RECORDER_BLOCK (256u * 1024)
#define RECORDER_BLOCKS 64u               /* between core and disk, at most */
#define RECORDER_AGE_US (100 * US_PER_MS) /* of a step that is not written */

struct recorder_conf {
	const char *dir;
	uint64_t size_bytes; /* of all files */
	uint64_t files;      /* at least 2 */
};

enum rec_post { REC_BEGIN = 1, REC_BLOCK, REC_END };

/* A file: born as a spare of the disk's thread, begun by the core, and back. */
struct rec_file {
	struct post begin, end;
	int fd;
	uint64_t number, at; /* where the next frame goes */
	uint64_t budget;     /* bytes that it may get */
	pid_t child;         /* writes its checkpoint; 0: it is there */
	bool is_gap;         /* it ended because the disk was too slow */
	bool is_ended;
};

struct rec_block {
	struct post post;
	struct rec_file *file;
	struct tape_frame frame;
	uint32_t n, cap; /* of content, behind the frame's head */
	unsigned char bytes[];
};

struct recorder {
	struct recorder_conf conf;
	/* The core's. */
	struct core *core;
	struct core_watch watch;
	struct rec_file *file; /* that is being recorded to, or NULL */
	struct rec_block *block;
	struct posts free; /* blocks, taken from `back` */
	uint32_t nblocks;  /* made, wherever they are */
	uint32_t nout;     /* of them, sent and not back */
	uint64_t run, step, hash, file_bytes;
	int64_t last_us;               /* of the last step */
	int64_t retry_us, complain_us; /* while the ring is too small */
	int64_t block_since_us;        /* of the oldest step in block */
	unsigned char *part;           /* for the child */
	/* Between the two. */
	struct mailbox box, back;
	int wake_fd;
	/* Until the disk's thread has heard that it has begun, and so has
	 * named it: then another may be made. */
	_Atomic(struct rec_file *) spare;
	_Atomic bool is_busy; /* a child writes a checkpoint */
	_Atomic bool failed;  /* no more of it */
	_Atomic bool is_stopping;
	/* The disk's thread's. */
	pthread_t thread;
	bool has_thread;
	int dir_fd;
	uint64_t next_number;
	struct rec_file *open; /* the last that began, till it is closed */
};

/* Makes the directory and the first file. 0, or E_* after a line in the log. */
int recorder_open(struct recorder *r, const struct recorder_conf *c) MUST_CHECK;
/* From now on, every step of a core that is new. On its thread. */
void recorder_start(struct recorder *r, struct core *core, int64_t now_us);
/* At the end of a turn of the core: what has waited long goes to the disk. */
void recorder_turn(struct recorder *r, const struct core *core, int64_t now_us);
int64_t recorder_deadline(const struct recorder *r);
/* Everything is written; no core runs any more. */
void recorder_close(struct recorder *r);

/* recorder_disk.c */
int rec_disk_open(struct recorder *r) MUST_CHECK;
void rec_disk_wake(struct recorder *r);
void rec_disk_close(struct recorder *r);
/* The recording is over: says why, once. */
void rec_fail(struct recorder *r, const char *what, int err_no);

#endif
