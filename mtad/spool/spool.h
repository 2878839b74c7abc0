/*
 * spool/spool.h - durable memory: an append-only log of messages and of what
 * became of their recipients, as a state machine over spool/disk.h.
 *
 * One group of records is written with one write and made durable with one
 * sync; only then are its commits reported as done. Format, byte by byte:
 * share/doc/spool-format.md. One thread at a time drives a spool (the spooler;
 * or, under its lock, a worker with a lone message); spool_read alone may be
 * called from any thread.
 *
 * A message is known by msgid on disk and by a slot (a handle) in memory. The
 * spool keeps per message only where it lies and how many recipients are open
 * or owed a notice; envelopes are opaque to it.
 *
 * Segments are recycled whole. A segment is recycled only when no live record
 * lies in it: the owner promises not to read a ref after spool_drop or
 * spool_moved_ack. Records of outcomes outlive their message's record: a
 * segment's outcomes that still matter are carried forward before it goes.
 */
#ifndef SPOOL_SPOOL_H
#define SPOOL_SPOOL_H

#include "mail/mail.h"
#include "spool/disk.h"

struct spool;

struct spool_conf {
	uint32_t segment_bytes;    /* 64 MiB; also bounds a message */
	uint64_t min_free_bytes;   /* disk-space floor for commits */
	uint64_t max_bytes;        /* ceiling of the whole spool; 0 = none */
	uint32_t max_messages;     /* slots */
	uint32_t reserve_segments; /* kept for outcomes, notices, compaction */
	uint32_t compact_percent;  /* compact a segment less live than this */
	uint64_t compact_bytes_per_s; /* I/O budget of compaction */
	int64_t outcome_unsynced_us;  /* 200 ms: longest an outcome waits */
	uint64_t seed;
};
void spool_conf_default(struct spool_conf *c);

/* Where a message lies. Plain; good until drop or moved_ack. */
struct spool_ref {
	uint32_t file;   /* disk file number */
	uint32_t offset; /* of the record */
	uint32_t env_bytes;
	uint32_t body_bytes;
};

/* A message to make durable. The caller owns it and what it points to until
 * spool_take_done gives it back. */
struct spool_commit {
	struct list link; /* the spool's while it has the commit */
	struct msgid id;
	uint32_t nrcpt;
	struct slice envelope;    /* as env_encode wrote it */
	const struct slice *body; /* pieces, in order */
	uint32_t nbody;
	/* This message is a notice: the debts that it pays. Made durable in the
	 * same record. nrcpt 0 pays without a message (the notice was waived:
	 * nobody to tell). */
	struct handle pays_slot; /* message whose recipients are paid */
	const uint16_t *pays_rcpts;
	uint32_t npays;
	/* No debt: it tells that they are late, which nothing need tell again
	 * (spool_rcpt.is_told). */
	bool pays_delay;
	bool uses_reserve; /* may use the reserved segments */
	/* What its recipients begin with, nrcpt of them; NULL: nothing has
	 * happened yet. One that is owed and not final has something to wait
	 * for before it may be sent; its text says what. */
	const struct spool_rcpt *states;
	struct handle moves; /* the spool's own: an old message written again */
	/* Results. */
	int err; /* 0, E_NOSPC, E_IO, E_TOOBIG, E_FULL */
	struct handle slot;
	struct spool_ref ref;
	void *user;
};

/* The state of a recipient as the log keeps it. */
struct spool_rcpt {
	struct outcome outcome; /* class NONE: nothing has happened yet */
	uint16_t attempts;
	bool is_final;
	/* A notice must be sent and has not been; or, as long as it is not
	 * final, the message is in trust for another node (drain.md). */
	bool is_owed;
	bool is_told;      /* that it is late; the spool keeps it by itself */
	int64_t due_us;    /* wall clock of the next attempt; 0 = at once */
	struct slice text; /* kept when owed: the words for the notice */
	struct slice mta;  /* kept when owed: the host that said them */
};

/* Lifecycle. spool_open takes the directory through the disk, locks it, and
 * reads what is there; the machine is then in its scan: call spool_scan until
 * it says 0. Errors: E_BUSY (locked), E_VERSION, E_IO, E_NOMEM, E_DENIED;
 * *why gets a sentence with the path. read_only: no lock is kept, nothing is
 * written (for tools). */
int spool_open(struct spool **out, const struct spool_conf *conf,
    struct disk *disk, bool read_only, char *why, size_t why_cap) MUST_CHECK;
/* Syncs and seals. Commits still queued come back with E_CLOSED. */
void spool_close(struct spool *s);

/* A message found by the scan. */
struct spool_found {
	struct handle slot;
	struct spool_ref ref;
	struct msgid id;
	struct slice envelope;
	const struct spool_rcpt *rcpts; /* one for each recipient */
	uint32_t nrcpt;
};
/* A damaged record that was set aside. */
struct spool_damage {
	uint32_t file, offset, length;
	bool has_id;
	struct msgid id;
	struct handle slot; /* of the message, when it is still in its slot */
	const char *what;   /* a literal */
	char saved_as[64];  /* file in the quarantine folder, or "" */
};
/*
 * One bounded step of the scan. 1: *f is the next live message (its slices are
 * good until the next call); 2: *d is the next damage; 0: done, the spool now
 * takes commits. New commits may be made only after the scan; it reads footers
 * of sealed segments, not bodies.
 */
int spool_scan(struct spool *s, struct spool_found *f,
    struct spool_damage *d) MUST_CHECK;

/* Queue for the next group. */
void spool_commit(struct spool *s, struct spool_commit *c);
/* Queues a recipient's outcome: an appended record, made durable with the next
 * group or after outcome_unsynced_us. The texts are copied. */
void spool_outcome(struct spool *s, struct handle slot, uint16_t rcpt,
    const struct spool_rcpt *r);
/* The message is over: every recipient final, no notice owed. Frees its slot.
 * Needs no record of its own. */
void spool_drop(struct spool *s, struct handle slot);

/* Forms a group of what is queued, writes and syncs it (through the disk: with
 * the real disk, before this returns). Returns true when more is queued. */
bool spool_turn(struct spool *s, int64_t now_us);
/* What can wait until the answers of a turn are out, a step at a time: recycles
 * segments, makes the next one ready, compacts within its budget, and counts
 * what room is left. Returns true when there is more to do at once. */
bool spool_tidy(struct spool *s, int64_t now_us);
/* Nothing that was given so far waits for a sync. */
bool spool_is_synced(const struct spool *s);
/* Commits that are done, oldest first, or NULL. */
struct spool_commit *spool_take_done(struct spool *s);
/* When the next turn must happen though nothing is queued; TIME_NEVER. */
int64_t spool_deadline(const struct spool *s);

/* Compaction moved a message: 1 and its slot and new place, or 0. The owner
 * uses the new place from now on and acknowledges when nobody reads the old. */
int spool_take_moved(struct spool *s, struct handle *slot,
    struct spool_ref *ref) MUST_CHECK;
void spool_moved_ack(struct spool *s, struct handle slot);
/* Damage met after the scan (by spool_report_damage or compaction). */
int spool_take_damage(struct spool *s, struct spool_damage *d) MUST_CHECK;
/* A reader found the record's checksum wrong, or the spool did and told: sets
 * it aside, if it is not yet, and ends it; the owner has it in its accounts
 * and drops it. */
void spool_report_damage(struct spool *s, struct handle slot);

/* May a commit of this many bytes be taken now? (452 at the door otherwise.)
 * Cheap; may be called by any thread. */
bool spool_has_room(const struct spool *s, uint64_t bytes);
/* Outcomes wait that could not be written, twice in a row: the reserve is used
 * up, or the disk is broken. Whoever goes on delivering then would deliver again
 * after a crash. Cheap; may be called by any thread. */
bool spool_is_stuck(const struct spool *s);

/*
 * Reads n bytes of a message's record data (envelope, then body) from `at`;
 * any thread. 0, E_IO. spool_ref_bytes is the whole. The checksum of the
 * record covers envelope and body: spool_check_begin / _feed / _end let a
 * streaming reader verify before its last byte leaves.
 */
int spool_read(struct disk *disk, const struct spool_ref *ref, uint32_t at,
    void *dst, uint32_t n) MUST_CHECK;
struct spool_check {
	uint32_t crc, want;
	uint32_t extra_n; /* what stands behind the body, also covered */
	bool is_partial;  /* it is too long to be checked here */
	char extra[8192];
};
/* Reads the record header (32 bytes or so) and starts a check. 0, E_IO,
 * E_CORRUPT (not a record of this message). */
int spool_check_begin(struct disk *disk, const struct spool_ref *ref,
    const struct msgid *id, struct spool_check *c) MUST_CHECK;
void spool_check_feed(struct spool_check *c, struct slice data);
bool spool_check_end(const struct spool_check *c);
/*
 * For small messages: header, envelope and body in one read and checked.
 * dst needs spool_record_bytes(ref); *env and *body point into it.
 * 0, E_IO, E_CORRUPT.
 */
uint32_t spool_record_bytes(const struct spool_ref *ref);
int spool_read_whole(struct disk *disk, const struct spool_ref *ref,
    const struct msgid *id, void *dst, struct slice *env,
    struct slice *body) MUST_CHECK;

#define SPOOL_COUNTERS(X)                                                      \
	X(messages) /* live now */                                             \
	X(bytes)    /* live now */                                             \
	X(segments)                                                            \
	X(segments_free)                                                       \
	X(commits)                                                             \
	X(outcomes)                                                            \
	X(syncs)                                                               \
	X(sync_us) /* sum */                                                   \
	X(sync_us_max)                                                         \
	X(written_bytes)                                                       \
	X(recycled)                                                            \
	X(compacted)                                                           \
	X(compacted_bytes)                                                     \
	X(quarantined)                                                         \
	X(sync_failures)                                                       \
	X(disk_free_bytes)
struct spool_stats {
#define X(name) uint64_t name;
	SPOOL_COUNTERS(X)
#undef X
};
void spool_stats_get(const struct spool *s, struct spool_stats *out);

#endif
