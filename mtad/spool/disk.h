/*
 * spool/disk.h - all disk access of the spool: submits and completes, so that
 * a simulator can tear writes, lose what was not synced, hang or fail any call.
 *
 * A disk is one directory of numbered files ("NNNNNNNN.seg"), a lock and a
 * quarantine folder. Requests are submitted; each completes exactly once, by
 * disk_req.done being set and the request being handed back by disk_take. The
 * real driver (disk_posix.c) completes inside submit.
 */
#ifndef SPOOL_DISK_H
#define SPOOL_DISK_H

#include "base/base.h"

struct disk;

#define DISK_IOV_MAX 1024

enum disk_op {
	DISK_WRITE,    /* iov at off of file */
	DISK_SYNC,     /* fdatasync of file */
	DISK_CREATE,   /* new file `file`, zero-filled to `bytes`, synced */
	DISK_REMOVE,   /* unlink */
	DISK_SYNC_DIR, /* fsync of the directory */
	DISK_SAVE,     /* copy iov into quarantine/`name` */
};

struct disk_req {
	struct list link;
	enum disk_op op;
	uint32_t file;
	uint64_t off;
	uint64_t bytes;
	const struct slice *iov;
	uint32_t niov;
	char name[64];
	int err; /* 0 or E_* */
	bool done;
};

struct disk_ops {
	void (*submit)(struct disk *d, struct disk_req *r);
	struct disk_req *(*take)(struct disk *d);
	/* Synchronous, any thread: bytes read (short only at the end of the
	 * file) or E_*. */
	int64_t (*read)(struct disk *d, uint32_t file, uint64_t off, void *dst,
	    size_t n);
	/* Next file number after `after` (0 to begin) and its size, or 0. */
	uint32_t (*next_file)(struct disk *d, uint32_t after, uint64_t *bytes);
	uint64_t (*free_bytes)(struct disk *d);
	/* Exclusive lock of the directory: 0, E_BUSY, E_IO. */
	int (*lock)(struct disk *d);
	int64_t (*now_us)(struct disk *d); /* for timing syncs only */
	void (*close)(struct disk *d);
};

struct disk {
	const struct disk_ops *ops;
};

/* The real one: a directory, made when it is not there (its parent is not).
 * 0 or E_*; *why gets a sentence. */
int disk_posix_open(struct disk **out, const char *dir, bool read_only,
    char *why, size_t why_cap) MUST_CHECK;
/* A fault layer over any disk, for tests: keeps unsynced writes apart so that
 * power loss can drop or tear them, and fails chosen calls. See disk_fault.c */
struct disk_fault_plan {
	uint64_t seed;
	uint32_t fail_write_ppm, fail_sync_ppm; /* chances in a million */
	int fail_err;
};
int disk_memory_open(struct disk **out, const struct disk_fault_plan *plan);
/* Power loss on a memory disk: what was not synced is dropped, kept or torn,
 * sector by sector, by the plan's dice. The disk may then be opened again. */
void disk_memory_power_loss(struct disk *d);
/* Flips a bit of stored data (bit rot). */
void disk_memory_flip(struct disk *d, uint32_t file, uint64_t off, int bit);
void disk_memory_set_free(struct disk *d, uint64_t bytes);
/* Other faults from here on; the dice go on as they were. */
void disk_memory_set_plan(struct disk *d, const struct disk_fault_plan *plan);
/* Would these bytes outlive a power loss, as they read now? */
bool disk_memory_keeps(struct disk *d, uint32_t file, uint64_t off,
    uint64_t bytes);

#endif
