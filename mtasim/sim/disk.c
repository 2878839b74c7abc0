/*
 * sim/disk.c - the daemon's disk: the memory disk behind a switch that cuts
 * the power between any two operations, and that may take its time.
 *
 * A slow request completes later: the spooler's fiber is parked in `take`
 * until then, as its thread would be, and the world goes on meanwhile. Nothing
 * of the request has reached the medium before.
 *
 * A dead disk takes requests, does nothing and fails them: the process that
 * made them is dead as well, and nothing it does from then on is seen by
 * anyone (host.c discards it).
 *
 * A block that cannot be read stays so until it is written or all heals. Reads
 * that fail for a while do so by the dice, but never while a start reads: what
 * it cannot read it sets aside, and that is told only by the blocks.
 */
#include "sim/sim_i.h"

/* After a trouble the spool waits a second before it asks again. */
#define ILL_US (3 * US_PER_S)

static struct sim_disk *
disk_of(struct disk *d)
{
	return container_of(d, struct sim_disk, disk);
}

static void
die(struct sim_disk *d, enum disk_op op)
{
	d->is_dead = true;
	d->s->marks
	    ->n[op == DISK_SYNC ? MARK_crash_in_sync : MARK_crash_in_write]++;
	sim_fault(d->s, d->is_kill ? "kill" : "power-loss",
	    op == DISK_SYNC ? SL("before a sync") : SL("before a write"));
}

/* The process may be killed before it has undone what it wrote in vain. */
static void
lie(struct sim_disk *d)
{
	d->has_lied = true;
	if (!sim_has(d->s, SIM_F_stop) || d->ops_left >= 0 ||
	    !sim_chance(d->s, DICE_DISK, 250))
		return;
	d->ops_left = (int64_t)rng_below(dice(d->s, DICE_DISK), 4);
	d->is_kill = true;
}

/* For so long, and a little more, it is an excuse. */
static void
ail(struct sim_disk *d, int64_t us)
{
	d->ill_until_us = MAX(d->ill_until_us, d->s->now_us + us + ILL_US);
}

/* Written anew, a block can be read again. */
static void
mend(struct sim_disk *d, const struct disk_req *r)
{
	uint64_t end = r->off;

	for (uint32_t i = 0; i < r->niov; i++)
		end += r->iov[i].n;
	for (uint32_t i = 0; i < d->nbad;)
		if (r->op == DISK_WRITE && d->bad[i].file == r->file &&
		    d->bad[i].off < end && d->bad[i].off + SIM_BLOCK > r->off)
			d->bad[i] = d->bad[--d->nbad];
		else
			i++;
}

/* The request is carried out now. */
static void
carry_out(struct sim_disk *d, struct disk_req *r)
{
	if (!d->is_dead && d->ops_left >= 0 && d->ops_left-- == 0)
		die(d, r->op);
	if (d->is_dead) {
		r->err = E_IO;
		r->done = true;
		return;
	}
	mend(d, r);
	d->under->ops->submit(d->under, r);
	sim_trace_u64(d->s, ((uint64_t)r->op << 32) ^ r->off);
	if (r->err == 0)
		return;
	ail(d, 0);
	d->s->report->faults++;
	if (r->op == DISK_WRITE)
		d->s->marks->n[MARK_write_failed]++;
	if (r->op == DISK_SYNC) {
		d->s->marks->n[MARK_sync_failed]++;
		lie(d);
	}
	story_add(d->s->story, "disk-error", 0, -1,
	    slice_str(err_name(r->err)));
}

/* How long it takes; 0 = no time. Only who can wait is made to. */
static int64_t
delay(struct sim_disk *d, enum disk_op op)
{
	struct sim *s = d->s;
	struct rng *r = dice(s, DICE_DISK);
	uint64_t kind;

	if (!d->waits || !d->waits->is_running || d->is_dead ||
	    !sim_has(s, SIM_F_disk_slow) ||
	    !sim_chance(s, DICE_DISK, op == DISK_SYNC ? 60 : 10))
		return 0;
	kind = rng_below(r, 60);
	if (kind == 0) {
		s->marks->n[MARK_disk_hung]++;
		sim_fault(s, "disk-hangs", SL(""));
		return rng_range(r, 20 * US_PER_S, 120 * US_PER_S);
	}
	return rng_range(r, US_PER_MS,
	    kind < 4 ? 20 * US_PER_S : 300 * US_PER_MS);
}

static void
on_submit(struct disk *disk, struct disk_req *r)
{
	struct sim_disk *d = disk_of(disk);
	int64_t us = delay(d, r->op);

	if (us == 0) {
		carry_out(d, r);
		return;
	}
	ASSERT(!d->slow);
	d->slow = r;
	ail(d, us);
	d->s->marks->n[MARK_disk_slow]++;
	sim_timer_set(d->s, &d->done, d->s->now_us + us);
}

static struct disk_req *
on_take(struct disk *disk)
{
	struct sim_disk *d = disk_of(disk);
	struct disk_req *r = d->slow;

	ASSERT(r); /* the others have completed inside submit */
	while (!r->done)
		fiber_park(d->waits);
	d->slow = NULL;
	return r;
}

/* The slow one's time has come: on with who waits for it. */
static void
on_done(void *arg)
{
	struct sim_disk *d = arg;

	carry_out(d, d->slow);
	fiber_resume(d->waits);
}

void
sim_disk_die(struct sim_disk *d)
{
	d->is_dead = true;
	if (!d->slow || d->slow->done)
		return;
	d->s->marks->n[MARK_crash_in_slow_disk]++;
	sim_timer_cancel(d->s, &d->done);
	on_done(d);
}

static bool
is_bad(const struct sim_disk *d, uint32_t file, uint64_t off, size_t n)
{
	for (uint32_t i = 0; i < d->nbad; i++)
		if (d->bad[i].file == file && d->bad[i].off < off + n &&
		    d->bad[i].off + SIM_BLOCK > off)
			return true;
	return false;
}

static int64_t
on_read(struct disk *disk, uint32_t file, uint64_t off, void *dst, size_t n)
{
	struct sim_disk *d = disk_of(disk);
	struct disk *u = d->under;

	if (is_bad(d, file, off, n)) {
		d->s->marks->n[MARK_bad_block_read]++;
		return E_IO;
	}
	if (d->is_settled && d->read_per_mille &&
	    sim_chance(d->s, DICE_DISK, d->read_per_mille)) {
		d->s->marks->n[MARK_read_failed]++;
		d->s->report->faults++;
		return E_IO;
	}
	return u->ops->read(u, file, off, dst, n);
}

void
sim_disk_rot(struct sim_disk *d, uint32_t file, uint64_t off, int bit)
{
	disk_memory_flip(d->under, file, off, bit);
}

bool
sim_disk_block_bad(struct sim_disk *d, uint32_t file, uint64_t off)
{
	if (d->nbad == ARRAY_LEN(d->bad))
		return false;
	d->bad[d->nbad].file = file;
	d->bad[d->nbad++].off = off / SIM_BLOCK * SIM_BLOCK;
	return true;
}

void
sim_disk_fill(struct sim_disk *d, bool is_full, uint64_t bytes)
{
	d->is_full = is_full;
	ail(d, 0);
	disk_memory_set_free(d->under, is_full ? bytes : UINT64_C(1) << 40);
}

bool
sim_disk_is_ill(const struct sim_disk *d)
{
	return d->is_full || d->ill_until_us > d->s->now_us;
}

void
sim_disk_heal(struct sim_disk *d)
{
	sim_disk_fill(d, false, 0);
	d->nbad = 0;
	d->read_per_mille = 0;
	d->ops_left = -1;
	d->has_lied = d->is_kill = false;
}

static uint32_t
on_next_file(struct disk *disk, uint32_t after, uint64_t *bytes)
{
	struct disk *u = disk_of(disk)->under;

	return u->ops->next_file(u, after, bytes);
}

static uint64_t
on_free_bytes(struct disk *disk)
{
	struct disk *u = disk_of(disk)->under;

	return u->ops->free_bytes(u);
}

static int
on_lock(struct disk *disk)
{
	(void)disk; /* the host opens one spool at a time */
	return 0;
}

static int64_t
on_now(struct disk *disk)
{
	return disk_of(disk)->s->now_us;
}

static const struct disk_ops ops = {
	.submit = on_submit,
	.take = on_take,
	.read = on_read,
	.next_file = on_next_file,
	.free_bytes = on_free_bytes,
	.lock = on_lock,
	.now_us = on_now,
};

void
sim_disk_open(struct sim_disk *d, struct sim *s)
{
	struct disk_fault_plan plan = { .seed = rng_u64(dice(s, DICE_DISK)) };

	d->disk.ops = &ops;
	d->s = s;
	d->ops_left = -1;
	sim_timer_init(&d->done, on_done, d, "disk");
	ASSERT(disk_memory_open(&d->under, &plan) == 0);
}

void
sim_disk_close(struct sim_disk *d)
{
	sim_timer_cancel(d->s, &d->done);
	d->under->ops->close(d->under);
}

void
sim_disk_power(struct sim_disk *d)
{
	disk_memory_power_loss(d->under);
	d->has_lied = false;
	sim_disk_restart(d);
}

void
sim_disk_restart(struct sim_disk *d)
{
	d->is_dead = d->is_settled = d->is_kill = false;
	d->ops_left = -1;
}

bool
sim_disk_keeps(struct sim_disk *d, const struct spool_ref *ref)
{
	return disk_memory_keeps(d->under, ref->file, ref->offset,
	    spool_record_bytes(ref));
}
