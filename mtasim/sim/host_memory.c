/*
 * sim/host_memory.c - the engine's memory is put to the proof: it is saved, and
 * another engine that was loaded from that goes on in its place. Nobody may
 * notice.
 */
#include "engine/save.h"
#include "sim/host_i.h"

#define IMAGE_MAX (UINT32_C(1) << 30)

static void
swap(struct host *h)
{
	struct eng_policy *policy = mem_get(sizeof(*policy));
	struct buf image;
	struct image_out out = image_to_buf(&image);
	struct cursor c;
	struct image_in in = image_from_cursor(&c);
	struct eng *e;
	char why[128];

	buf_init(&image, IMAGE_MAX);
	eng_save(core_engine(h->core), &out);
	ASSERT(!image.failed);
	c = cursor_of(buf_slice(&image));
	if (eng_load(&in, policy, &e, why, sizeof(why)) != 0)
		check_fail("a checkpoint can be loaded", 0,
		    "the engine was saved|it cannot be loaded: %s", why);
	core_engine_swap(h->core, e);
	mem_free(h->policy);
	h->policy = policy;
	buf_free(&image);
}

void
host_memory(struct host *h)
{
	struct sim *s = h->s;

	if (s->opts->checkpoint != 0 &&
	    rng_below(&s->checkpoint, s->opts->checkpoint) == 0)
		swap(h);
}
