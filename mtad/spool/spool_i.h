/*
 * spool/spool_i.h - the inside of the spool. Format: share/doc/spool-format.md.
 *
 * Segments are used in the order of their sequence numbers and recycled in the
 * same order, oldest first. So an outcome, which stands behind the message
 * that it is about, is never recycled before that message, and nothing that
 * was finished can come back.
 */
#ifndef SPOOL_SPOOL_I_H
#define SPOOL_SPOOL_I_H

#include <stdatomic.h>

#include "spool/spool.h"

#define SPOOL_FORMAT 1u
#define SPOOL_BLOCK 4096u
#ifdef MTA_FUZZ /* opens a spool thrice in each run */
#define SPOOL_SEGMENTS 1024u
#else
#define SPOOL_SEGMENTS 65536u
#endif
#define SEGMENT_MAGIC 0x31474553u /* "SEG1" */
#define RECORD_MAGIC 0x31434552u  /* "REC1" */
#define FOOTER_MAGIC 0x31544f46u  /* "FOT1" */
#define RECORD_HEADER 64u
#define GROUP_BYTES_MAX (8u << 20)
#define SLOTS_MAX (1u << 30) /* a scan may find more than max_messages */

enum record_type {
	REC_MESSAGE = 1, /* payload: envelope, body, states, payments */
	REC_OUTCOMES,    /* payload: entries */
	REC_WIPED,       /* a group whose sync failed; its payload is nothing */
	REC_FOOTER,      /* payload: what is live in a sealed segment */
};

/* A record's header, decoded. Payload parts stand in this order. */
struct record {
	uint8_t type;
	uint16_t nrcpt;
	uint32_t env_bytes, body_bytes, extra_bytes;
	struct msgid id;
	uint64_t stamp; /* of the segment, so that nobody can forge one */
	uint32_t group; /* number of the group in the segment, from 1 */
	/* Of the first record of a group: bytes of all its records; else 0. */
	uint32_t group_bytes;
	uint32_t crc; /* CRC32C of the payload */
};

uint32_t record_bytes(const struct record *r); /* with header, 8-aligned */
void record_encode(char dst[RECORD_HEADER], const struct record *r);
/* 0, E_CORRUPT (header's own checksum, magic, or lengths). */
int record_decode(const char src[RECORD_HEADER], struct record *r);
/* The same where one bit is wrong: the checksum says which. */
int record_repair(const char src[RECORD_HEADER], struct record *r);

/* The state of a recipient in memory and, 28 bytes long, on disk. */
struct rcpt_state {
	struct outcome outcome;
	uint16_t attempts;
	bool is_final, is_owed, is_told;
	int64_t due_us;
};
#define STATE_BYTES 24u

/* One entry of REC_OUTCOMES. */
struct entry {
	struct msgid id;
	uint16_t rcpt;
	bool is_payment; /* the debt of id/rcpt is paid (or waived) */
	struct rcpt_state state;
	struct slice text, mta;
};
int entry_encode(struct buf *out, const struct entry *e) MUST_CHECK;
bool entry_next(struct cursor *c, struct entry *e); /* false: end or bad */
void state_encode(struct buf *out, const struct rcpt_state *s);
void state_decode(struct cursor *c, struct rcpt_state *s);

struct slot {
	struct msgid id;
	uint32_t segment; /* file number */
	uint32_t offset, env_bytes, body_bytes;
	uint16_t nrcpt;
	/* Its end is told, or it is set aside: it is not worth a move. The states
	 * need not say so. */
	bool is_over : 1;
	bool has_states : 1;   /* something has happened */
	uint8_t read_failures; /* of compaction */
	uint32_t moving_from;  /* file that readers may still use, 0 = none */
	union {
		struct rcpt_state one; /* of the only recipient */
		struct rcpt_state *many;
	} states; /* by slot_states */
};

/* What is known of each recipient, nrcpt of them; NULL: nothing. */
struct rcpt_state *slot_states(struct slot *slot);
/* The same, zeroed if there was nothing; NULL: no memory. */
struct rcpt_state *slot_states_need(struct slot *slot);
void slot_states_free(struct slot *slot);

enum segment_state { SEG_NONE, SEG_FREE, SEG_CURRENT, SEG_SEALED };

struct segment {
	uint64_t seq;
	uint64_t stamp;      /* random: what the records of this use carry */
	uint32_t bytes;      /* size when it was begun */
	uint64_t file_bytes; /* what the file has; a crash may leave it short */
	uint8_t state;
	bool must_empty; /* a sync of it failed: its records must move */
	uint32_t live;   /* slots that lie here or are still read here */
	uint64_t live_bytes;
	struct list link; /* sealed ones, oldest first */
};

/* A queued drop, outcome or payment lives in `entries` as encoded bytes. */
struct spool {
	struct spool_conf conf;
	struct disk *disk;
	bool is_read_only, is_scanned;

	struct segment *seg; /* by file number, SPOOL_SEGMENTS */
	uint32_t nfiles;     /* highest file number */
	uint32_t making;     /* file that is being made, 0 = none */
	uint64_t made_bytes; /* of it */
	uint32_t nfree;
	struct list sealed; /* struct segment.link */
	uint32_t current;   /* file, 0 = none */
	uint32_t at;        /* next free byte of it, block-aligned */
	uint32_t group;     /* number of the next group */
	uint64_t next_seq;

	struct pool slots;
	struct list waiting; /* commits for the next group */
	struct list done;
	struct buf entries; /* outcomes for the next group */
	int64_t entries_since_us;
	uint32_t failures;        /* of groups, in a row */
	int64_t entries_after_us; /* they could not be written: not before */
	struct buf draft; /* footer of the current segment: live messages */
	struct buf footer_entries; /* and its outcomes about older ones */
	bool no_footer;            /* one of the two is not whole */

	struct slice *iov; /* of the group */
	uint32_t iov_cap;
	struct buf headers; /* record headers and small payloads of a group */

	/* Compaction. */
	uint32_t emptying;        /* file, 0 = none */
	uint32_t emptying_next;   /* slot index to look at next */
	int64_t compact_after_us; /* budget */
	struct handle *moved;     /* ring of slots to tell of */
	uint32_t moved_n, moved_cap, moved_at;
	struct spool_damage *damage;
	uint32_t damage_n, damage_cap, damage_at;

	_Atomic uint64_t room; /* bytes that commits may still take */
	bool is_tight;         /* there was no segment more for them */
	_Atomic bool is_stuck; /* outcomes wait that could not be written */
	struct spool_stats stats;
	struct scan *scan;
	int64_t now_us;
	int64_t full_until_us; /* no new try to grow before */
};

/* Synchronous helpers over the disk. Submits and waits: 0 or what it says. */
int disk_ask(struct spool *s, struct disk_req *r);
int disk_write(struct spool *s, uint32_t file, uint64_t off,
    const struct slice *iov, uint32_t n) MUST_CHECK;
int disk_sync(struct spool *s, uint32_t file) MUST_CHECK;
int disk_simple(struct spool *s, enum disk_op op, uint32_t file,
    uint64_t bytes) MUST_CHECK;
int disk_read_full(struct disk *d, uint32_t file, uint64_t off, void *dst,
    size_t n) MUST_CHECK;

/* spool.c */
/* The next state of a recipient. */
static inline void
state_put(struct rcpt_state *st, const struct rcpt_state *next)
{
	bool was_told = st->is_told;

	*st = *next;
	st->is_told |= was_told;
}
/* As a scan gives it. */
struct spool_rcpt rcpt_of(const struct rcpt_state *st);
/* As it is kept in memory and on disk, but for its texts. */
void state_of(struct rcpt_state *st, const struct spool_rcpt *r);
/* The entry of a recipient's state, with what of its texts is kept. */
struct entry entry_of(const struct msgid *id, uint16_t rcpt,
    const struct spool_rcpt *r);
/* Outcomes that one group takes: a part of a segment, however many wait. */
uint32_t entries_max(const struct spool *s);

/* segment.c */
/* Begins a new current segment. reserve: the last ones may be used. */
int segment_begin(struct spool *s, bool reserve) MUST_CHECK;
void segment_seal(struct spool *s, bool with_footer);
/* Recycles what is empty, oldest first. */
void segment_recycle(struct spool *s);
bool segment_prepare(struct spool *s); /* one ahead of need */
void segment_room(struct spool *s);    /* recomputes s->room */
/* Fills seq, stamp and bytes of s->seg[file], which has so many bytes.
 * E_NOTFOUND: never begun; E_CORRUPT: it was, and nothing tells when. */
int segment_header_read(struct spool *s, uint32_t file,
    uint64_t file_bytes) MUST_CHECK;
/* Notes an outcome for the footer of the current segment. */
void footer_note(struct spool *s, const struct entry *e);

/* group.c */
void group_write(struct spool *s);

/* compact.c */
bool compact_step(struct spool *s);

/* scan.c */
void scan_free(struct spool *s);
int scan_begin(struct spool *s, char *why, size_t why_cap) MUST_CHECK;

/* Saves a message's record and reports it as damaged; its owner calls
 * spool_report_damage when that is in the books. */
void set_aside(struct spool *s, struct handle h);
void slot_leave(struct spool *s, uint32_t file, uint64_t bytes);
void damage_add(struct spool *s, const struct spool_damage *d,
    struct slice bytes);

#endif
