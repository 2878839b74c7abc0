/*
 * daemon/counter_find.c - what the index on disk adds to an explanation: which
 * messages an address has, and the events of the log behind what the engine
 * knows. On the clerk's thread.
 */
#include "daemon/daemon_i.h"

#define HITS_MAX 100u
#define RECORDS_MAX FIND_RECORDS_MAX
#define EVENTS_MAX 100u
#define EVENTS_OF_ONE 10u /* of a message of an address */
#define TOLD_MAX 20u      /* messages of an address whose events are told */

/* ---- before the core is asked ---------------------------------------------------- */

/* Adds a hit that is not there yet. */
static void
add_hit(struct ask *a, const struct find_rec *r)
{
	for (uint32_t i = 0; i < a->nhits; i++)
		if (msgid_eq(&a->hits[i].id, &r->id) &&
		    a->hits[i].rcpt == r->rcpt)
			return;
	a->hits[a->nhits++] =
	    (struct core_hit){ .id = r->id, .msg = r->slot, .rcpt = r->rcpt };
}

/* Is a hit over? Its records by id say so. */
static void
look_over(struct finder *f, struct core_hit *h, struct find_rec *v)
{
	uint32_t n = finder_get(f, find_key_id(&h->id), 0, v, RECORDS_MAX);

	for (uint32_t i = 0; i < n; i++)
		h->is_over |= v[i].kind == FIND_OVER && v[i].rcpt == h->rcpt &&
		    msgid_eq(&v[i].id, &h->id);
}

static void
find_recipient(struct finder *f, struct ask *a, struct find_rec *v)
{
	uint64_t key = find_key_address(slice_str(a->name));
	uint32_t n = finder_get(f, key, (uint32_t)a->cursor, v, HITS_MAX + 1);

	for (uint32_t i = 0; i < MIN(n, HITS_MAX); i++)
		add_hit(a, &v[i]);
	if (n > HITS_MAX)
		a->next = a->cursor + HITS_MAX;
	for (uint32_t i = 0; i < a->nhits; i++)
		look_over(f, &a->hits[i], v);
}

static void
find_message(struct finder *f, struct ask *a, struct find_rec *v)
{
	struct core_hit *h = &a->hits[0];
	uint32_t n;

	a->nhits = 1;
	n = f ? finder_get(f, find_key_id(&h->id), 0, v, RECORDS_MAX) : 0;
	for (uint32_t i = n; i-- > 0;)
		if (v[i].kind == FIND_MESSAGE && msgid_eq(&v[i].id, &h->id))
			h->msg = v[i].slot;
}

const char *
counter_find(struct daemon *d, struct ask *a)
{
	bool is_message = slice_eq(slice_str(a->what), SL("message"));
	struct finder *f = d->clerk.finder;
	struct find_rec *v;

	if (!is_message && !slice_eq(slice_str(a->what), SL("recipient")))
		return NULL;
	if (!is_message && f == NULL)
		return "no index of addresses is kept: the option find_size "
		       "is 0, or its disk failed";
	a->hits = mem_try(HITS_MAX * sizeof(*a->hits));
	v = mem_try(RECORDS_MAX * sizeof(*v));
	if (a->hits == NULL || v == NULL) {
		mem_free(v);
		return "out of memory";
	}
	if (!is_message)
		find_recipient(f, a, v);
	else if (msgid_parse(slice_str(a->name), &a->hits[0].id) == 0)
		find_message(f, a, v);
	mem_free(v);
	return NULL;
}

/* ---- behind its answer ----------------------------------------------------------- */

uint32_t
counter_lines(struct clerk *c, const struct msgid *id, struct find_rec *v,
    uint32_t max, struct buf *out)
{
	uint32_t n = finder_get(c->finder, find_key_id(id), 0, v, RECORDS_MAX);

	return finder_lines(c->conf->log.p, id, v, n, max, out);
}

/* The core knows nothing of it: perhaps it is over. */
static void
begin_without(struct ask *a)
{
	struct jsonw w;

	buf_reset(&a->out);
	jw_init(&w, &a->out);
	jw_open(&w, '{');
	jw_kstr(&w, "what", slice_str(a->what));
	jw_kstr(&w, "id", slice_str(a->name));
	jw_key(&w, "recipients");
	jw_open(&w, '[');
	jw_close(&w, ']');
	jw_close(&w, '}');
}

void
counter_events(struct daemon *d, struct ask *a)
{
	uint32_t most = MIN(a->nhits, TOLD_MAX), n = 0;
	struct clerk *c = &d->clerk;
	struct find_rec *v;
	struct buf events;

	if (a->hits == NULL || c->finder == NULL ||
	    (a->status != 200 && a->status != 404))
		return;
	v = mem_try(RECORDS_MAX * sizeof(*v));
	if (v == NULL)
		return;
	buf_init(&events, 1u << 20);
	for (uint32_t i = 0; i < most && n < EVENTS_MAX; i++) {
		uint32_t max = a->nhits == 1 ? EVENTS_MAX : EVENTS_OF_ONE;
		size_t had = events.n;

		if (had != 0)
			(void)buf_addc(&events, ',');
		n += counter_lines(c, &a->hits[i].id, v, max, &events);
		if (had != 0 && events.n == had + 1)
			buf_cut(&events, had);
	}
	mem_free(v);
	if (n != 0 && a->status == 404) {
		begin_without(a);
		a->status = 200;
	}
	if (a->status == 200 && a->out.n > 0 && !events.failed) {
		buf_cut(&a->out, a->out.n - 1); /* the brace */
		(void)buf_addz(&a->out, ",\"events\":[");
		(void)buf_adds(&a->out, buf_slice(&events));
		(void)buf_addz(&a->out, "]}");
	}
	buf_free(&events);
}
