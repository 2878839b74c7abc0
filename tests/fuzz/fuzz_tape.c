/*
 * Fuzz target: the loader of recordings. Whatever a file holds, it is read to
 * its end or to an error with words, and an engine that comes out of it can be
 * walked over, saved and freed.
 *
 * The input is put over a real recording of a small world, as a list of edits
 * {offset (3), length (1), bytes}; then all checksums are made right, so that
 * what is tested is the reading and not the checksum. An edit of length 0
 * leaves them as they are.
 */
#include <stdint.h>

#include "engine/tape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define FILE_MAX (4u << 20)
#define FRAMES_MAX 16
#define MESSAGES 40u

static unsigned char good[FILE_MAX], bad[FILE_MAX];
static size_t good_n;
static struct {
	size_t at;
	uint32_t n;
} frames[FRAMES_MAX];
static uint32_t nframes;

/* ---- the world ------------------------------------------------------------- */

static struct eng *eng;
static struct eng_policy policy[3];
static int64_t now = 1000000, before = 1000000;
static unsigned char *tape_at; /* of the next step; NULL: not recorded */
static uint64_t hash;

static void step(struct eng_event *ev);

/* The world's answer to a command: names are found, sessions come up, every
 * third transaction is told to come again, and every fifth hears nothing. */
static void
answer(const struct eng_cmd *c)
{
	struct eng_event ev = { .kind = EV_RESOLVED };

	if (c->kind == CMD_RESOLVE) {
		ev.resolved.domain = c->domain;
		ev.resolved.ttl_us = 100 * US_PER_S;
		ev.resolved.ntargets = 1;
		ev.resolved.target[0].host = 300 + c->domain % 3;
		ev.resolved.target[0].ip.family = 4;
		ev.resolved.target[0].ip.b[3] = (uint8_t)(c->domain % 3);
		ev.resolved.target[0].port = 25;
		step(&ev);
	} else if (c->kind == CMD_OPEN) {
		ev = (struct eng_event){ .kind = EV_SESSION_UP };
		ev.up.session = c->open.session;
		step(&ev);
	} else if (c->kind == CMD_ASSIGN && c->assign.msg % 5 != 0) {
		ev = (struct eng_event){ .kind = EV_RESULT };
		ev.result.session = c->assign.session;
		ev.result.txn = c->assign.txn;
		ev.result.is_sent = true;
		ev.result.n = c->assign.n;
		for (uint32_t i = 0; i < c->assign.n; i++) {
			bool later = c->assign.msg % 3 == 0;
			struct outcome *o = &ev.result.rcpt[i];

			o->klass =
			    later ? OUTCOME_TRANSIENT : OUTCOME_DELIVERED;
			o->code = later ? 451 : 250;
			o->stage = later ? STAGE_RCPT : STAGE_EOM;
		}
		step(&ev);
	}
}

static void
step(struct eng_event *ev)
{
	struct eng_cmds cmds = { 0 };

	now += 1000;
	eng_step(eng, ev, now, &cmds);
	if (tape_at != NULL)
		tape_at = tape_step_put(tape_at, ev, before, now, &cmds, &hash);
	before = now;
	for (uint32_t i = 0; i < cmds.n; i++)
		answer(&cmds.v[i]);
	eng_cmds_free(&cmds);
}

static void
submit(uint32_t first, uint32_t n)
{
	for (uint32_t m = first; m < first + n; m++) {
		struct eng_event ev = { .kind = EV_MESSAGE };

		ev.message.msg = m;
		ev.message.nrcpt = 2;
		ev.message.tenant = 1 + m % 3;
		ev.message.arrival_us = now;
		ev.message.expires_us = now + 3600 * US_PER_S;
		step(&ev);
		for (uint16_t k = 0; k < 2; k++) {
			ev = (struct eng_event){ .kind = EV_RECIPIENT };
			ev.recipient.msg = m;
			ev.recipient.rcpt = k;
			ev.recipient.domain = 100 + (m + k) % 7;
			step(&ev);
		}
	}
}

static void
operate(void)
{
	struct eng_event ev = { .kind = EV_ADMIN };

	ev.admin.job = 1;
	ev.admin.verb = VERB_HOLD;
	ev.admin.sel.tenant = 2;
	step(&ev);
	ev = (struct eng_event){ .kind = EV_CONF, .conf = &policy[0] };
	step(&ev);
	ev = (struct eng_event){ .kind = EV_TICK };
	step(&ev);
}

/* ---- the recording ------------------------------------------------------------ */

static bool
write_good(void *ctx, uint64_t at, const void *p, size_t n)
{
	(void)ctx;
	ASSERT(at + n <= FILE_MAX);
	memcpy(good + at, p, n);
	if (at != 0) {
		ASSERT(nframes < FRAMES_MAX);
		frames[nframes].at = at;
		frames[nframes++].n = (uint32_t)n;
	}
	return true;
}

static void
make_policy(void)
{
	struct eng_policy *p = &policy[0];

	eng_policy_default(p);
	p->nsources = 2;
	p->sources[0] = (struct eng_source_conf){ .name = 60, .has_v4 = true };
	p->sources[1] = (struct eng_source_conf){ .name = 61,
		.has_v4 = true,
		.has_v6 = true };
	p->npools = 1;
	p->pools[0].name = 50;
	p->pools[0].nsources = 2;
	p->pools[0].sources[1] = 1;
	p->default_pool = 50;
	p->shapes[0].conns_max = 2;
}

static void
make_good(void)
{
	static unsigned char part[TAPE_FRAME_HEAD + TAPE_PART];
	struct eng_limits limits = { 1000, 1000, 1000, 1000, 16 };
	struct tape_header h = { .layout = eng_layout(), .run = 1 };
	struct tape_frame f = { .kind = TAPE_EVENTS, .is_last = true };
	size_t at;

	make_policy();
	eng = eng_new(&policy[0], &limits, 1, now);
	ASSERT(eng != NULL);
	submit(1, MESSAGES);
	operate();
	h.now_us = f.now_us = now;
	h.events_at = tape_events_at(eng_save_bytes(eng));
	ASSERT(tape_checkpoint(eng, &h, part, write_good, NULL));
	at = (size_t)h.events_at;
	tape_at = good + at + TAPE_FRAME_HEAD;
	submit(1 + MESSAGES, MESSAGES);
	operate();
	good_n = (size_t)(tape_at - good);
	f.hash = hash;
	tape_seal(good + at, &f, (uint32_t)(good_n - at - TAPE_FRAME_HEAD));
	frames[nframes].at = at;
	frames[nframes++].n = (uint32_t)(good_n - at);
	eng_free(eng);
}

/* ---- the test -------------------------------------------------------------------- */

static void
set_u32(unsigned char *at, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		at[i] = (unsigned char)(v >> (8 * i));
}

static void
repair(void)
{
	set_u32(bad + 12, crc32c(0, bad + 16, TAPE_HEADER - 16));
	for (uint32_t i = 0; i < nframes; i++)
		set_u32(bad + frames[i].at + 4,
		    crc32c(0, bad + frames[i].at + 8, frames[i].n - 8));
}

static void
edit(const uint8_t *data, size_t n)
{
	bool repairs = true;

	memcpy(bad, good, good_n);
	while (n >= 4) {
		size_t at = data[0] | data[1] << 8 | data[2] << 16;
		size_t len = MIN(data[3], n - 4);

		data += 4;
		n -= 4;
		repairs &= len != 0;
		/* Half of them where the pools and the steps are: most of the
		 * rest is room for sources that there are none of. */
		at = at & 1 ? good_n - 1 - (at >> 1) % (good_n / 5) :
			      (at >> 1) % good_n;
		len = MIN(len, good_n - at);
		memcpy(bad + at, data, len);
		data += len;
		n -= len;
	}
	if (repairs)
		repair();
}

static void
swallow(void *ctx, const void *p, size_t n)
{
	*(uint32_t *)ctx = crc32c(*(uint32_t *)ctx, p, n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct tape t;
	struct tape_step s;
	struct eng *e;
	struct image_out out = { swallow, &(uint32_t){ 0 } };
	uint32_t steps = 0;
	int err;

	if (good_n == 0)
		make_good();
	edit(data, n);
	err = tape_open(&t, slice_of((const char *)bad, good_n));
	if (err == 0)
		err = tape_load(&t, &policy[1], &e);
	ASSERT(n != 0 || err == 0);
	ASSERT((err != 0) == (t.why[0] != '\0'));
	if (err != 0)
		return 0;
	eng_save(e, &out);
	while ((err = tape_next(&t, &policy[2], &s)) == 1)
		ASSERT(steps++ < good_n);
	ASSERT((err != 0) == (t.why[0] != '\0'));
	ASSERT(n != 0 || (err == 0 && steps > MESSAGES));
	eng_free(e);
	return 0;
}
