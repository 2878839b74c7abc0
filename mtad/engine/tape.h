/*
 * engine/tape.h - the format of a recording: files that each open with a
 * checkpoint of the engine and go on with events and the commands that they
 * led to. share/doc/recording.md has it byte by byte.
 *
 * Writing: the core encodes steps into blocks (tape_step), whoever writes
 * closes them (tape_seal). Reading: over the whole file in memory; its bytes
 * are hostile.
 */
#ifndef ENGINE_TAPE_H
#define ENGINE_TAPE_H

#include "engine/save.h"
#include "engine/wire.h"

#define TAPE_HEADER 128u    /* bytes at the start of a file */
#define TAPE_FRAME_HEAD 48u /* before every frame */
#define TAPE_FRAME_MAX (64u << 20)
#define TAPE_PART (1u << 20) /* a checkpoint's frames hold so much */

struct tape_header {
	uint64_t layout; /* eng_layout of the writer */
	uint64_t run;    /* the same in all files of one life of a daemon */
	uint64_t number; /* of the file */
	uint64_t step;   /* steps of that life before the checkpoint */
	uint64_t hash;   /* of the commands of these steps */
	int64_t now_us, wall_us;
	uint64_t events_at; /* offset of the first frame of events */
	char version[32];   /* of the program */
};

enum tape_kind { TAPE_CHECKPOINT = 1, TAPE_EVENTS };

/* Of a frame, and in what follows it, sealed or being filled. */
struct tape_frame {
	enum tape_kind kind;
	bool is_last;   /* of the file; for a checkpoint: of that */
	uint64_t step;  /* events: steps before; checkpoint: offset in it */
	uint64_t hash;  /* after it */
	int64_t now_us; /* before it */
};

/* out has TAPE_HEADER bytes. */
void tape_header_put(unsigned char *out, const struct tape_header *h);
/* Fills in the TAPE_FRAME_HEAD bytes before the n bytes of a frame's content;
 * frame points to the head. */
void tape_seal(unsigned char *frame, const struct tape_frame *f, uint32_t n);

/* The hash of commands: after a step that gave these bytes of commands. */
uint64_t tape_hash(uint64_t hash, const void *commands, size_t n);
/* Room that a step may need. */
size_t tape_step_max(const struct eng_event *ev, const struct eng_cmds *cmds);
/* Appends one step; returns the place behind it. before_us is the time of the
 * step before. */
unsigned char *tape_step_put(unsigned char *at, const struct eng_event *ev,
    int64_t before_us, int64_t now_us, const struct eng_cmds *cmds,
    uint64_t *hash);

/* ---- writing a checkpoint ------------------------------------------------------ */

/* Where the events of a file begin whose engine has a checkpoint of so many
 * bytes. */
uint64_t tape_events_at(uint64_t save_bytes);
/*
 * Writes header and checkpoint through write(ctx, offset, bytes, n), which says
 * false when it failed; the header comes last, so that a file without it was
 * never whole. part has TAPE_FRAME_HEAD + TAPE_PART bytes. Allocates nothing.
 */
bool tape_checkpoint(const struct eng *e, const struct tape_header *h,
    unsigned char *part,
    bool (*write)(void *ctx, uint64_t at, const void *p, size_t n), void *ctx);

/* ---- reading --------------------------------------------------------------------- */

struct tape {
	struct slice file;
	struct tape_header header;
	size_t at;           /* of the next frame */
	struct slice frame;  /* what is left of the present one */
	struct tape_frame f; /* the present one */
	int64_t now_us;      /* of the last step */
	uint64_t step;       /* of that life, so far */
	uint64_t hash;
	bool is_unborn; /* its checkpoint was never finished */
	bool is_cut;    /* the file ends within a frame, as after a kill */
	char why[200];
};

struct tape_step {
	int64_t now_us;
	struct eng_event ev;
	struct slice commands; /* as bytes */
};

/* Header alone. 0, or E_CORRUPT or E_VERSION with t->why. */
int tape_open(struct tape *t, struct slice file) MUST_CHECK;
/* The engine of its checkpoint; the policy as in eng_load. */
int tape_load(struct tape *t, struct eng_policy *policy,
    struct eng **out) MUST_CHECK;
/* The next step: 1, 0 at the end, or E_CORRUPT with t->why. */
int tape_next(struct tape *t, struct eng_policy *policy,
    struct tape_step *out) MUST_CHECK;

#endif
