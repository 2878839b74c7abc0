/*
 * sim/disk.c - the daemon's disk: the memory disk behind a switch that cuts
 * the power between any two operations.
 *
 * A dead disk takes requests, does nothing and fails them: the process that
 * made them is dead as well, and nothing it does from then on is seen by
 * anyone (host.c discards it).
 */
#include "sim/sim_i.h"

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
	sim_fault(d->s, "power-loss",
	    op == DISK_SYNC ? SL("before a sync") : SL("before a write"));
}

static void
on_submit(struct disk *disk, struct disk_req *r)
{
	struct sim_disk *d = disk_of(disk);

	if (!d->is_dead && d->ops_left >= 0 && d->ops_left-- == 0)
		die(d, r->op);
	if (d->is_dead) {
		r->err = E_IO;
		r->done = true;
		return;
	}
	d->under->ops->submit(d->under, r);
	sim_trace_u64(d->s, ((uint64_t)r->op << 32) ^ r->off);
	if (r->err == 0)
		return;
	d->s->report->faults++;
	if (r->op == DISK_WRITE)
		d->s->marks->n[MARK_write_failed]++;
	if (r->op == DISK_SYNC)
		d->s->marks->n[MARK_sync_failed]++;
	story_add(d->s->story, "disk-error", 0, -1,
	    slice_str(err_name(r->err)));
}

static struct disk_req *
on_take(struct disk *disk)
{
	struct disk *u = disk_of(disk)->under;

	return u->ops->take(u);
}

static int64_t
on_read(struct disk *disk, uint32_t file, uint64_t off, void *dst, size_t n)
{
	struct disk *u = disk_of(disk)->under;

	return u->ops->read(u, file, off, dst, n);
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
	ASSERT(disk_memory_open(&d->under, &plan) == 0);
}

void
sim_disk_close(struct sim_disk *d)
{
	d->under->ops->close(d->under);
}

void
sim_disk_power(struct sim_disk *d)
{
	disk_memory_power_loss(d->under);
	d->is_dead = false;
	d->ops_left = -1;
}

bool
sim_disk_keeps(struct sim_disk *d, const struct spool_ref *ref)
{
	return disk_memory_keeps(d->under, ref->file, ref->offset,
	    spool_record_bytes(ref));
}
