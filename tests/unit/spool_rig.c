/*
 * The spool's test rig: see spool_rig.h.
 */
#include "spool_rig.h"

#define BODY_MAX (1u << 20)

static char bytes[BODY_MAX];

/* ---- the switch ---------------------------------------------------------------- */

static struct rig *
rig_of(struct disk *d)
{
	return container_of(d, struct rig, disk);
}

static bool
fails_now(int *in)
{
	return *in >= 0 && (*in)-- == 0;
}

static void
rig_submit(struct disk *d, struct disk_req *q)
{
	struct rig *r = rig_of(d);

	if (r->ops_left == 0) {
		q->err = E_IO;
		q->done = true;
		return;
	}
	if (r->ops_left > 0)
		r->ops_left--;
	r->under->ops->submit(r->under, q);
	if ((q->op == DISK_WRITE && fails_now(&r->fail_write_in)) ||
	    (q->op == DISK_SYNC && fails_now(&r->fail_sync_in)))
		q->err = E_IO;
}

static struct disk_req *
rig_take(struct disk *d)
{
	return rig_of(d)->under->ops->take(rig_of(d)->under);
}

static int64_t
rig_read(struct disk *d, uint32_t file, uint64_t off, void *dst, size_t n)
{
	struct rig *r = rig_of(d);

	if (r->bad_file == file && off < r->bad_to && off + n > r->bad_from)
		return E_IO;
	return r->under->ops->read(r->under, file, off, dst, n);
}

static uint32_t
rig_next_file(struct disk *d, uint32_t after, uint64_t *n)
{
	struct disk *u = rig_of(d)->under;

	return u->ops->next_file(u, after, n);
}

static uint64_t
rig_free_bytes(struct disk *d)
{
	return rig_of(d)->under->ops->free_bytes(rig_of(d)->under);
}

static int
rig_lock(struct disk *d)
{
	(void)d;
	return 0; /* the rig opens one spool at a time */
}

static int64_t
rig_now(struct disk *d)
{
	return rig_of(d)->now_us;
}

static const struct disk_ops rig_ops = {
	.submit = rig_submit,
	.take = rig_take,
	.read = rig_read,
	.next_file = rig_next_file,
	.free_bytes = rig_free_bytes,
	.lock = rig_lock,
	.now_us = rig_now,
};

/* ---- life ------------------------------------------------------------------------ */

void
rig_init(struct rig *r, uint64_t seed)
{
	struct disk_fault_plan plan = { .seed = seed };

	memset(r, 0, sizeof(*r));
	ASSERT(disk_memory_open(&r->under, &plan) == 0);
	r->disk.ops = &rig_ops;
	r->ops_left = r->fail_write_in = r->fail_sync_in = -1;
	r->now_us = US_PER_S;
	spool_conf_default(&r->conf);
	r->conf.segment_bytes = 64 << 10;
	r->conf.min_free_bytes = 0;
	r->conf.max_messages = RIG_FOUND_MAX;
	r->conf.compact_bytes_per_s = 1u << 30;
	r->conf.seed = seed;
}

void
rig_free(struct rig *r)
{
	if (r->s != NULL)
		spool_close(r->s);
	r->s = NULL;
	r->under->ops->close(r->under);
}

static void
note_found(struct rig *r, const struct spool_found *f)
{
	struct rig_found *x = &r->found[r->nfound++];

	ASSERT(r->nfound < RIG_FOUND_MAX);
	*x = (struct rig_found){ .id = f->id,
		.slot = f->slot,
		.ref = f->ref,
		.nrcpt = f->nrcpt,
		.attempts = f->rcpts[0].attempts };
	for (uint32_t i = 0; i < f->nrcpt; i++) {
		x->nfinal += f->rcpts[i].is_final;
		x->ntold += f->rcpts[i].is_told;
		if (f->rcpts[i].is_owed && x->nowed++ == 0)
			slice_copy(f->rcpts[i].text, x->text, RIG_TEXT_MAX);
	}
}

static int
open_as(struct rig *r, bool read_only)
{
	struct spool_found f;
	char why[200];
	int k, err;

	r->nfound = r->ndamaged = 0;
	err =
	    spool_open(&r->s, &r->conf, &r->disk, read_only, why, sizeof(why));
	if (err)
		return err;
	while ((k = spool_scan(r->s, &f, &r->damage)) > 0) {
		if (k == 1)
			note_found(r, &f);
		else
			r->ndamaged++;
	}
	if (k < 0)
		rig_close(r);
	return k;
}

int
rig_open(struct rig *r)
{
	return open_as(r, false);
}

int
rig_open_read_only(struct rig *r)
{
	return open_as(r, true);
}

void
rig_close(struct rig *r)
{
	spool_close(r->s);
	r->s = NULL;
}

void
rig_kill(struct rig *r)
{
	r->ops_left = 0; /* closing frees memory, and reaches no disk */
	rig_close(r);
	r->ops_left = r->fail_write_in = r->fail_sync_in = -1;
}

void
rig_power_loss(struct rig *r)
{
	rig_kill(r);
	disk_memory_power_loss(r->under);
}

void
rig_turn(struct rig *r)
{
	int n = 0;

	r->now_us += US_PER_MS;
	while (spool_turn(r->s, r->now_us) && n++ < 1000)
		;
	while (spool_tidy(r->s, r->now_us) && n++ < 1000)
		;
}

void
rig_settle(struct rig *r)
{
	r->now_us += r->conf.outcome_unsynced_us;
	rig_turn(r);
}

/* ---- what an owner does ------------------------------------------------------------ */

void
rig_body(char *dst, uint32_t n, const struct msgid *id)
{
	uint64_t x = msgid_hash(id);

	for (uint32_t i = 0; i < n; i++)
		dst[i] = (char)(x >> (8 * (i & 7)) ^ i >> 3);
}

static void
next_msgid(struct rig *r, struct spool_commit *c)
{
	c->id = msgid_make(r->now_us, 7, ++r->next_id);
}

static int
commit_now(struct rig *r, struct spool_commit *c)
{
	struct spool_commit *done;

	spool_commit(r->s, c);
	rig_turn(r);
	done = spool_take_done(r->s);
	ASSERT(done == c && spool_take_done(r->s) == NULL);
	return c->err;
}

int
rig_commit(struct rig *r, struct spool_commit *c, uint32_t nrcpt, uint32_t body)
{
	struct slice piece = slice_of(bytes, body);

	ASSERT(body <= BODY_MAX);
	*c = (struct spool_commit){ .nrcpt = nrcpt,
		.envelope = SL("envelope"),
		.body = &piece,
		.nbody = 1 };
	next_msgid(r, c);
	rig_body(bytes, body, &c->id);
	return commit_now(r, c);
}

int
rig_pay(struct rig *r, struct spool_commit *c, struct handle to,
    const uint16_t *rcpts, uint32_t n, uint32_t nrcpt)
{
	struct slice piece = slice_of(bytes, 300);

	*c = (struct spool_commit){ .nrcpt = nrcpt,
		.pays_slot = to,
		.pays_rcpts = rcpts,
		.npays = n,
		.uses_reserve = true };
	next_msgid(r, c);
	if (nrcpt > 0) {
		c->envelope = SL("envelope");
		c->body = &piece;
		c->nbody = 1;
		rig_body(bytes, 300, &c->id);
	}
	return commit_now(r, c);
}

void
rig_outcome(struct rig *r, struct handle slot, uint16_t rcpt, bool final,
    bool owed, uint16_t attempts)
{
	struct spool_rcpt x = { .attempts = attempts,
		.is_final = final,
		.is_owed = owed,
		.due_us = final ? 0 : r->now_us };

	x.outcome.klass = !final ? OUTCOME_TRANSIENT :
	    owed                 ? OUTCOME_BOUNCED :
				   OUTCOME_DELIVERED;
	if (owed) {
		x.text = SL("550 5.1.1 no such user");
		x.mta = SL("mx.example");
	}
	spool_outcome(r->s, slot, rcpt, &x);
}

const struct rig_found *
rig_find(const struct rig *r, const struct msgid *id)
{
	for (uint32_t i = 0; i < r->nfound; i++)
		if (msgid_eq(&r->found[i].id, id))
			return &r->found[i];
	return NULL;
}

bool
rig_is_intact(struct rig *r, const struct spool_ref *ref,
    const struct msgid *id)
{
	static char raw[BODY_MAX + 4096], want[BODY_MAX];
	struct slice env, body;

	ASSERT(spool_record_bytes(ref) <= sizeof(raw));
	if (spool_read_whole(&r->disk, ref, id, raw, &env, &body))
		return false;
	rig_body(want, (uint32_t)body.n, id);
	return slice_eq(env, SL("envelope")) &&
	    slice_eq(body, slice_of(want, body.n));
}
