/*
 * spool/disk_memory.c - a disk in memory for tests and for the simulator: its
 * faults come from a seed, and power can be lost at any moment.
 *
 * Every file has two images: `now`, what a reader sees, and `kept`, what has
 * reached the medium. A write changes `now` and makes its sectors DIRTY; a
 * sync copies them to `kept`. A failed sync does what kernels do: some sectors
 * arrive, the others are LOST: still readable, clean, and gone with the power
 * however often they are synced later. A failed write has written a part.
 * Power loss keeps or drops each DIRTY sector by the dice, drops each LOST
 * one, and does the same to directory entries that were not synced.
 *
 * Requests complete inside submit, as with the real driver, so take has
 * nothing to give. One thread only.
 */
#include "spool/disk.h"

#define SECTOR 512u
#define FILES_MAX 4096u
#define FREE_DEFAULT (UINT64_C(1) << 40)

enum sector_state { CLEAN, DIRTY, LOST };

struct mem_file {
	char *now, *kept;
	uint8_t *state; /* of each sector */
	uint64_t bytes; /* multiple of SECTOR */
	bool is_linked; /* as a reader of the directory sees it */
	bool is_linked_kept;
};

struct mem_disk {
	struct disk disk;
	struct disk_fault_plan plan;
	struct rng rng;
	struct mem_file file[FILES_MAX];
	uint32_t nfiles; /* none at or behind it was ever made */
	uint64_t free_bytes;
	int64_t clock_us;
	bool is_locked;
};

static struct mem_disk *
mem_of(struct disk *d)
{
	return container_of(d, struct mem_disk, disk);
}

static bool
chance(struct mem_disk *d, uint32_t ppm)
{
	return ppm > 0 && rng_below(&d->rng, 1000000) < ppm;
}

static struct mem_file *
file_of(struct mem_disk *d, uint32_t file)
{
	struct mem_file *f = &d->file[file < FILES_MAX ? file : 0];

	return file > 0 && f->is_linked ? f : NULL;
}

static void
file_clear(struct mem_file *f)
{
	mem_free(f->now);
	mem_free(f->kept);
	mem_free(f->state);
	*f = (struct mem_file){ 0 };
}

/* Makes a file at least `bytes` long; what is new is zero, and durable. */
static int
file_grow(struct mem_disk *d, struct mem_file *f, uint64_t bytes)
{
	uint64_t want = (bytes + SECTOR - 1) / SECTOR * SECTOR, more;
	char *p;

	if (want <= f->bytes)
		return 0;
	more = want - f->bytes;
	if (more > d->free_bytes)
		return E_NOSPC;
	if ((p = mem_grow(f->now, want)) == NULL)
		return E_NOMEM;
	f->now = p;
	if ((p = mem_grow(f->kept, want)) == NULL)
		return E_NOMEM;
	f->kept = p;
	if ((p = mem_grow(f->state, want / SECTOR)) == NULL)
		return E_NOMEM;
	f->state = (uint8_t *)p;
	memset(f->now + f->bytes, 0, more);
	memset(f->kept + f->bytes, 0, more);
	memset(f->state + f->bytes / SECTOR, CLEAN, more / SECTOR);
	f->bytes = want;
	d->free_bytes -= more;
	return 0;
}

/* ---- requests ---------------------------------------------------------------- */

static void
put_bytes(struct mem_file *f, uint64_t off, const char *p, size_t n)
{
	if (n == 0)
		return;
	memcpy(f->now + off, p, n);
	memset(f->state + off / SECTOR, DIRTY,
	    (off + n - 1) / SECTOR - off / SECTOR + 1);
}

static uint64_t
iov_bytes(const struct disk_req *r)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < r->niov; i++)
		n += r->iov[i].n;
	return n;
}

static int
do_write(struct mem_disk *d, const struct disk_req *r)
{
	struct mem_file *f = file_of(d, r->file);
	uint64_t total = iov_bytes(r), left, off = r->off;
	bool fails = chance(d, d->plan.fail_write_ppm);
	int err;

	ASSERT(r->niov <= DISK_IOV_MAX);
	if (f == NULL)
		return E_NOTFOUND;
	if ((err = file_grow(d, f, off + total)) != 0)
		return err;
	left = fails ? rng_below(&d->rng, total + 1) : total;
	for (uint32_t i = 0; i < r->niov && left > 0; i++) {
		size_t n = MIN(left, r->iov[i].n);

		put_bytes(f, off, r->iov[i].p, n);
		off += n;
		left -= n;
	}
	return fails ? d->plan.fail_err : 0;
}

static void
keep_sector(struct mem_file *f, uint64_t i)
{
	memcpy(f->kept + i * SECTOR, f->now + i * SECTOR, SECTOR);
}

static int
do_sync(struct mem_disk *d, const struct disk_req *r)
{
	struct mem_file *f = file_of(d, r->file);
	bool fails = chance(d, d->plan.fail_sync_ppm);

	if (f == NULL)
		return E_NOTFOUND;
	d->clock_us += 100;
	for (uint64_t i = 0; i < f->bytes / SECTOR; i++) {
		if (f->state[i] != DIRTY)
			continue;
		f->state[i] = fails && rng_below(&d->rng, 2) ? LOST : CLEAN;
		if (f->state[i] == CLEAN)
			keep_sector(f, i);
	}
	return fails ? d->plan.fail_err : 0;
}

static int
do_create(struct mem_disk *d, const struct disk_req *r)
{
	struct mem_file *f;
	int err;

	if (r->file == 0 || r->file >= FILES_MAX)
		return E_RANGE;
	f = &d->file[r->file];
	if (f->is_linked)
		return E_EXISTS;
	file_clear(f);
	if ((err = file_grow(d, f, r->bytes)) != 0) {
		file_clear(f);
		return err;
	}
	f->is_linked = true;
	d->nfiles = MAX(d->nfiles, r->file + 1);
	return 0;
}

static int
do_remove(struct mem_disk *d, const struct disk_req *r)
{
	struct mem_file *f = file_of(d, r->file);

	if (f == NULL)
		return E_NOTFOUND;
	f->is_linked = false;
	d->free_bytes += f->bytes;
	return 0;
}

static int
do_sync_dir(struct mem_disk *d)
{
	if (chance(d, d->plan.fail_sync_ppm))
		return d->plan.fail_err;
	for (uint32_t i = 1; i < d->nfiles; i++)
		d->file[i].is_linked_kept = d->file[i].is_linked;
	return 0;
}

static int
carry_out(struct mem_disk *d, const struct disk_req *r)
{
	switch (r->op) {
	case DISK_WRITE:
		return do_write(d, r);
	case DISK_SYNC:
		return do_sync(d, r);
	case DISK_CREATE:
		return do_create(d, r);
	case DISK_REMOVE:
		return do_remove(d, r);
	case DISK_SYNC_DIR:
		return do_sync_dir(d);
	case DISK_SAVE:
		return r->name[0] == '\0' ? E_RANGE : 0;
	}
	return E_UNSUPPORTED;
}

static void
mem_submit(struct disk *disk, struct disk_req *r)
{
	r->err = carry_out(mem_of(disk), r);
	r->done = true;
}

static struct disk_req *
mem_take(struct disk *disk)
{
	(void)disk;
	return NULL;
}

/* ---- at once ----------------------------------------------------------------- */

static int64_t
mem_read(struct disk *disk, uint32_t file, uint64_t off, void *dst, size_t n)
{
	struct mem_file *f = file_of(mem_of(disk), file);

	if (f == NULL)
		return E_NOTFOUND;
	if (off >= f->bytes)
		return 0;
	n = MIN(n, f->bytes - off);
	if (n > 0)
		memcpy(dst, f->now + off, n);
	return (int64_t)n;
}

static uint32_t
mem_next_file(struct disk *disk, uint32_t after, uint64_t *bytes)
{
	struct mem_disk *d = mem_of(disk);

	for (uint32_t i = after + 1; i < d->nfiles; i++)
		if (d->file[i].is_linked) {
			*bytes = d->file[i].bytes;
			return i;
		}
	return 0;
}

static uint64_t
mem_free_bytes(struct disk *disk)
{
	return mem_of(disk)->free_bytes;
}

static int
mem_lock(struct disk *disk)
{
	struct mem_disk *d = mem_of(disk);

	if (d->is_locked)
		return E_BUSY;
	d->is_locked = true;
	return 0;
}

static int64_t
mem_now_us(struct disk *disk)
{
	return ++mem_of(disk)->clock_us;
}

static void
mem_close(struct disk *disk)
{
	struct mem_disk *d = mem_of(disk);

	for (uint32_t i = 1; i < d->nfiles; i++)
		file_clear(&d->file[i]);
	mem_free(d);
}

static const struct disk_ops mem_ops = {
	.submit = mem_submit,
	.take = mem_take,
	.read = mem_read,
	.next_file = mem_next_file,
	.free_bytes = mem_free_bytes,
	.lock = mem_lock,
	.now_us = mem_now_us,
	.close = mem_close,
};

int
disk_memory_open(struct disk **out, const struct disk_fault_plan *plan)
{
	struct mem_disk *d = mem_try(sizeof(*d));

	*out = NULL;
	if (d == NULL)
		return E_NOMEM;
	d->disk.ops = &mem_ops;
	if (plan != NULL)
		d->plan = *plan;
	if (d->plan.fail_err == 0)
		d->plan.fail_err = E_IO;
	rng_seed(&d->rng, d->plan.seed);
	d->free_bytes = FREE_DEFAULT;
	*out = &d->disk;
	return 0;
}

/* ---- what tests do to it ------------------------------------------------------ */

static void
file_lose_power(struct mem_disk *d, struct mem_file *f)
{
	for (uint64_t i = 0; i < f->bytes / SECTOR; i++) {
		if (f->state[i] == DIRTY && rng_below(&d->rng, 2))
			keep_sector(f, i);
		f->state[i] = CLEAN;
	}
	if (f->bytes > 0)
		memcpy(f->now, f->kept, f->bytes);
	if (f->is_linked != f->is_linked_kept) {
		bool is_there = rng_below(&d->rng, 2);

		if (is_there != f->is_linked)
			d->free_bytes += is_there ? -f->bytes : f->bytes;
		f->is_linked = f->is_linked_kept = is_there;
	}
	if (!f->is_linked)
		file_clear(f);
}

void
disk_memory_power_loss(struct disk *disk)
{
	struct mem_disk *d = mem_of(disk);

	for (uint32_t i = 1; i < d->nfiles; i++)
		file_lose_power(d, &d->file[i]);
	d->is_locked = false;
}

void
disk_memory_flip(struct disk *disk, uint32_t file, uint64_t off, int bit)
{
	struct mem_file *f = file_of(mem_of(disk), file);

	ASSERT(f != NULL && off < f->bytes && bit >= 0 && bit < 8);
	f->now[off] = (char)(f->now[off] ^ (1 << bit));
	f->kept[off] = (char)(f->kept[off] ^ (1 << bit));
}

void
disk_memory_set_free(struct disk *disk, uint64_t bytes)
{
	mem_of(disk)->free_bytes = bytes;
}

void
disk_memory_set_plan(struct disk *disk, const struct disk_fault_plan *plan)
{
	struct mem_disk *d = mem_of(disk);

	d->plan = *plan;
	if (d->plan.fail_err == 0)
		d->plan.fail_err = E_IO;
}

bool
disk_memory_keeps(struct disk *disk, uint32_t file, uint64_t off,
    uint64_t bytes)
{
	struct mem_file *f = file_of(mem_of(disk), file);

	return f != NULL && f->is_linked_kept && off + bytes <= f->bytes &&
	    memcmp(f->now + off, f->kept + off, bytes) == 0;
}
