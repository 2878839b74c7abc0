/*
 * spool/read.c - reading messages back; any thread, nothing shared.
 */
#include "spool/spool_i.h"

int
spool_read(struct disk *disk, const struct spool_ref *ref, uint32_t at,
    void *dst, uint32_t n)
{
	if ((uint64_t)at + n > (uint64_t)ref->env_bytes + ref->body_bytes)
		return E_RANGE;
	return disk_read_full(disk, ref->file,
	    (uint64_t)ref->offset + RECORD_HEADER + at, dst, n);
}

/* Is this the header of the record that ref and id say? */
static bool
is_ours(const struct record *r, const struct spool_ref *ref,
    const struct msgid *id)
{
	return r->type == REC_MESSAGE && msgid_eq(&r->id, id) &&
	    r->env_bytes == ref->env_bytes && r->body_bytes == ref->body_bytes;
}

/* The checksum also covers what stands behind the body: read here, folded in
 * at the end. */
int
spool_check_begin(struct disk *disk, const struct spool_ref *ref,
    const struct msgid *id, struct spool_check *c)
{
	char raw[RECORD_HEADER];
	struct record r;
	int err =
	    disk_read_full(disk, ref->file, ref->offset, raw, sizeof(raw));

	if (err)
		return err;
	if (record_decode(raw, &r) || !is_ours(&r, ref, id))
		return E_CORRUPT;
	c->crc = 0;
	c->want = r.crc;
	c->extra_n = r.extra_bytes;
	if (c->extra_n > sizeof(c->extra))
		c->extra_n = 0; /* only a scan checks so much */
	c->is_partial = c->extra_n != r.extra_bytes;
	return c->extra_n ? disk_read_full(disk, ref->file,
				(uint64_t)ref->offset + RECORD_HEADER +
				    ref->env_bytes + ref->body_bytes,
				c->extra, c->extra_n) :
			    0;
}

void
spool_check_feed(struct spool_check *c, struct slice data)
{
	c->crc = crc32c(c->crc, data.p, data.n);
}

bool
spool_check_end(const struct spool_check *c)
{
	return c->is_partial || crc32c(c->crc, c->extra, c->extra_n) == c->want;
}

uint32_t
spool_record_bytes(const struct spool_ref *ref)
{
	return RECORD_HEADER + ref->env_bytes + ref->body_bytes;
}

int
spool_read_whole(struct disk *disk, const struct spool_ref *ref,
    const struct msgid *id, void *dst, struct slice *env, struct slice *body)
{
	char *p = dst;
	uint32_t n = spool_record_bytes(ref);
	struct record r;
	struct spool_check c;
	int err = disk_read_full(disk, ref->file, ref->offset, p, n);

	if (err)
		return err;
	if (record_decode(p, &r) || !is_ours(&r, ref, id))
		return E_CORRUPT;
	*env = slice_of(p + RECORD_HEADER, ref->env_bytes);
	*body = slice_of(p + RECORD_HEADER + ref->env_bytes, ref->body_bytes);
	if (r.extra_bytes == 0)
		return crc32c(0, env->p, n - RECORD_HEADER) == r.crc ?
		    0 :
		    E_CORRUPT;
	err = spool_check_begin(disk, ref, id, &c);
	if (err)
		return err;
	spool_check_feed(&c, slice_of(env->p, n - RECORD_HEADER));
	return spool_check_end(&c) ? 0 : E_CORRUPT;
}
