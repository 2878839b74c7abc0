/*
 * sum.c - adds a ledger up: each recipient in exactly one column of its
 * provider's row, duplicates and corruption beside them. A second pass fills
 * the histograms, when it is known which rows are printed.
 */
#include "mail/mail.h"
#include "verify.h"

struct summer {
	struct sum *s;
	const struct ledger *g;
	uint64_t queued_left; /* of --queued */
};

static void
list_add(struct sum_list *l, uint32_t entry)
{
	if (l->n < SUM_LIST_MAX)
		l->v[l->n] = entry;
	l->n++;
}

/* Deliveries beyond the one that is owed. */
static uint64_t
extra(const struct entry *e)
{
	uint64_t owed = 1;

	/* Refused, or reported as failed: it should not have arrived. */
	if (e->claim == CLAIM_REFUSED || e->claim == CLAIM_UNSENT ||
	    (e->fate & (FATE_BOUNCED | FATE_EXPIRED)))
		owed = 0;
	return e->delivered > owed ? e->delivered - owed : 0;
}

static void
place(struct summer *m, struct sum_row *row, const struct entry *e, uint32_t at)
{
	row->acked++;
	if (e->delivered > 0) {
		row->delivered++;
	} else if (e->fate & FATE_BOUNCED) {
		row->bounced++;
	} else if (e->fate & FATE_EXPIRED) {
		row->expired++;
	} else if (e->fate & FATE_REMOVED) {
		row->removed++;
	} else if (e->fate & FATE_QUEUED) {
		row->queued++;
	} else if (m->queued_left > 0) {
		m->queued_left--;
		row->queued++;
	} else {
		row->lost++;
		list_add(&m->s->lost, at);
	}
}

static void
add_entry(struct summer *m, struct sum_row *row, uint32_t at)
{
	const struct entry *e = &m->g->v[at];
	struct sum *s = m->s;

	if (e->claim == CLAIM_NONE) {
		s->strangers++;
		return;
	}
	if (e->claim == CLAIM_ACKED)
		place(m, row, e, at);
	s->refused += e->claim == CLAIM_REFUSED;
	s->unsent += e->claim == CLAIM_UNSENT;
	s->doubt += e->claim == CLAIM_DOUBT;
	s->doubt_delivered += e->claim == CLAIM_DOUBT && e->delivered > 0;
	s->unbooked += e->delivered > 0 && !(e->fate & FATE_BOOKED);
	if (extra(e) > 0) {
		row->duplicates += extra(e);
		list_add(&s->duplicates, at);
	}
	if (e->fate & FATE_BAD) {
		row->corrupt++;
		list_add(&s->corrupt, at);
	}
}

/* ---- rows ---------------------------------------------------------------------- */

static void
row_add(struct sum_row *into, const struct sum_row *r)
{
#define X(column, title, always) into->column += r->column;
	SUM_COLUMNS(X)
#undef X
}

static int
by_size(const void *a, const void *b)
{
	const struct sum_row *x = a, *y = b;

	if (x->acked != y->acked)
		return x->acked < y->acked ? 1 : -1;
	return slice_cmp(x->name, y->name);
}

/* The row of each domain: its provider's, or its own. */
static uint32_t *
rows_make(struct sum *s, const struct ledger *g, const struct world *w)
{
	uint32_t n = g->domains.n + 1;
	uint32_t nproviders = w != NULL ? w->nproviders : 0;
	uint32_t *row_of = mem_get((n + 1) * sizeof(*row_of));

	/* Row 0 is for what has no domain; then providers, then domains. */
	s->rows = mem_get((1 + nproviders + n) * sizeof(*s->rows));
	s->rows[0].name = SL("(unknown)");
	for (uint32_t i = 0; i < nproviders; i++)
		s->rows[1 + i].name = w->providers[i].name;
	s->nrows = 1 + nproviders;
	for (uint32_t id = 1; id < n; id++) {
		struct slice name = names_text(&g->domains, id);
		const struct provider *p =
		    w != NULL ? world_provider(w, name) : NULL;

		if (p != NULL) {
			row_of[id] = 1 + (uint32_t)(p - w->providers);
		} else {
			s->rows[s->nrows].name = name;
			row_of[id] = s->nrows++;
		}
	}
	return row_of;
}

/* Rows without mail go; all but the largest become one. Returns the place of
 * each former row, UINT32_MAX for those that went. */
static uint32_t *
rows_trim(struct sum *s)
{
	uint32_t *place_of = mem_get(s->nrows * sizeof(*place_of));
	uint32_t kept = 0;

	qsort(s->rows, s->nrows, sizeof(*s->rows), by_size);
	for (uint32_t i = 0; i < s->nrows; i++) {
		struct sum_row r = s->rows[i];

		place_of[r.number] = UINT32_MAX;
		if (r.acked + r.duplicates + r.corrupt == 0)
			continue;
		if (kept <= SUM_ROWS_MAX) {
			s->rows[kept++] = r;
			if (kept > SUM_ROWS_MAX)
				s->rows[SUM_ROWS_MAX].name = SL("(all others)");
		} else {
			row_add(&s->rows[SUM_ROWS_MAX], &r);
		}
		place_of[r.number] = kept - 1;
	}
	s->nrows = kept;
	return place_of;
}

static void
time_rows(struct sum *s, const struct ledger *g, const uint32_t *row_of,
    const uint32_t *place_of)
{
	s->total.late = mem_get(sizeof(struct hist));
	for (uint32_t i = 0; i < s->nrows; i++)
		s->rows[i].late = mem_get(sizeof(struct hist));
	for (uint32_t i = 0; i < g->n; i++) {
		const struct entry *e = &g->v[i];
		uint32_t at = place_of[row_of[e->domain]];

		if (e->delivered > 0 && e->intended_us > 0 && at != UINT32_MAX)
			hist_add(s->rows[at].late, (int64_t)e->late * 10);
	}
	for (uint32_t i = 0; i < s->nrows; i++)
		hist_merge(s->total.late, s->rows[i].late);
}

void
sum_make(struct sum *s, const struct ledger *g, const struct world *w,
    uint64_t queued_max)
{
	struct summer m = { s, g, queued_max };
	uint32_t *row_of, *place_of;

	memset(s, 0, sizeof(*s));
	row_of = rows_make(s, g, w);
	s->total.name = SL("total");
	for (uint32_t i = 0; i < s->nrows; i++)
		s->rows[i].number = i;
	for (uint32_t i = 0; i < g->n; i++)
		add_entry(&m, &s->rows[row_of[g->v[i].domain]], i);
	for (uint32_t i = 0; i < s->nrows; i++)
		row_add(&s->total, &s->rows[i]);
	place_of = rows_trim(s);
	time_rows(s, g, row_of, place_of);
	mem_free(row_of);
	mem_free(place_of);
}

void
sum_free(struct sum *s)
{
	for (uint32_t i = 0; i < s->nrows; i++)
		mem_free(s->rows[i].late);
	mem_free(s->total.late);
	mem_free(s->rows);
}
