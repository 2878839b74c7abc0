/*
 * conf/class_scan.c - an automaton (Aho and Corasick) that finds all literals
 * of all rules in one pass over a text, one table look-up a byte.
 *
 * Bytes that no literal has share a column of the table. The hits of a state
 * are its own and then those of its longest proper suffix that has some, so
 * lists share their tails. What a look-up costs is the way to memory: states
 * are numbered breadth first, since those near the root are visited most, and
 * an entry says itself whether its state has hits.
 */
#include "conf/classify_i.h"

/* Gives each byte that a literal has a column; column 0 is for all others. */
static void
columns_make(struct class_scan *s, const struct class_key *keys, uint32_t n)
{
	memset(s->column, 0, sizeof(s->column));
	s->ncolumns = 1;
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t j = 0; j < keys[i].literal.n; j++) {
			uint8_t c = (uint8_t)keys[i].literal.text[j];

			if (s->column[c] == 0)
				s->column[c] = (uint8_t)s->ncolumns++;
		}
	/* A byte of text is never NUL (folding), so 255 columns are enough. */
	ASSERT(s->ncolumns <= 256);
}

/* Adds a literal to the tree of states; returns its last state. */
static uint32_t
tree_add(struct class_scan *s, const struct class_literal *l)
{
	uint32_t at = 0;

	for (uint32_t j = 0; j < l->n; j++) {
		uint32_t *next =
		    &s->next[at * s->ncolumns + s->column[(uint8_t)l->text[j]]];

		if (*next == 0)
			*next = s->nstates++;
		at = *next;
	}
	return at;
}

/* Turns the tree into an automaton, breadth first: what a state has no edge
 * for, it takes from its suffix, which is nearer to the root and so done. */
static void
tree_close(struct class_scan *s, uint32_t *suffix, uint32_t *queue)
{
	uint32_t head = 0, tail = 0, w = s->ncolumns;

	for (uint32_t c = 0; c < w; c++)
		if (s->next[c] != 0)
			queue[tail++] = s->next[c]; /* suffix: the root */
	while (head < tail) {
		uint32_t at = queue[head++], of = suffix[at];
		uint32_t *hit = &s->out[at];

		while (*hit != 0)
			hit = &s->hits[*hit - 1].next;
		*hit = s->out[of];
		for (uint32_t c = 0; c < w; c++) {
			uint32_t *next = &s->next[at * w + c];
			uint32_t there = s->next[of * w + c];

			if (*next == 0) {
				*next = there;
				continue;
			}
			suffix[*next] = there;
			queue[tail++] = *next;
		}
	}
}

/* The table in its last form, states in the order of the queue behind the root;
 * NULL when there is no memory. */
static uint32_t *
table_make(const struct class_scan *s, const uint32_t *queue, uint32_t *number)
{
	uint32_t w = s->ncolumns;
	uint32_t *table = mem_try((size_t)s->nstates * w * sizeof(*table));

	if (table == NULL)
		return NULL;
	number[0] = 0;
	for (uint32_t i = 1; i < s->nstates; i++)
		number[queue[i - 1]] = i;
	for (uint32_t at = 0; at < s->nstates; at++)
		for (uint32_t c = 0; c < w; c++) {
			uint32_t to = s->next[at * w + c];

			table[number[at] * w + c] =
			    number[to] * w << 1 | (s->out[to] != 0);
		}
	return table;
}

/* The same in half the memory, when there are few states; else as it is. */
static void
table_narrow(struct class_scan *s)
{
	size_t n = (size_t)s->nstates * s->ncolumns;

	if (s->nstates > UINT16_MAX / 2)
		return;
	s->narrow = mem_try(n * sizeof(*s->narrow));
	if (s->narrow == NULL)
		return;
	for (size_t i = 0; i < n; i++)
		s->narrow[i] = (uint16_t)((s->next[i] >> 1) / s->ncolumns << 1 |
		    (s->next[i] & 1));
	mem_free(s->next);
	s->next = NULL;
}

/* Moves the lists of hits to the states' new numbers; `was` is room for them
 * as they are. */
static void
hits_move(struct class_scan *s, const uint32_t *number, uint32_t *was)
{
	memcpy(was, s->out, s->nstates * sizeof(*was));
	for (uint32_t at = 0; at < s->nstates; at++)
		s->out[number[at]] = was[at];
}

static int
scan_make(struct class_scan *s, const struct class_key *keys, uint32_t n,
    uint32_t *work, size_t states)
{
	uint32_t *suffix = work, *queue = work + states, *table;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = tree_add(s, &keys[i].literal);

		s->hits[i] = (struct class_hit){ keys[i].atom, s->out[at] };
		s->out[at] = i + 1;
	}
	tree_close(s, suffix, queue);
	table = table_make(s, queue, suffix);
	if (table == NULL)
		return E_NOMEM;
	hits_move(s, suffix, queue);
	mem_free(s->next);
	s->next = table;
	table_narrow(s);
	return 0;
}

int
class_scan_init(struct class_scan *s, const struct class_key *keys, uint32_t n)
{
	size_t states = 1;
	uint32_t *work;
	int err = E_NOMEM;

	for (uint32_t i = 0; i < n; i++)
		states += keys[i].literal.n;
	if (states > CLASS_STATES_MAX)
		return E_TOOBIG;
	columns_make(s, keys, n);
	s->nstates = 1;
	s->next = mem_try(states * s->ncolumns * sizeof(*s->next));
	s->out = mem_try(states * sizeof(*s->out));
	s->hits = mem_try((n + 1) * sizeof(*s->hits));
	work = mem_try(2 * states * sizeof(*work));
	if (s->next && s->out && s->hits && work)
		err = scan_make(s, keys, n, work, states);
	mem_free(work);
	return err;
}

void
class_scan_free(struct class_scan *s)
{
	mem_free(s->next);
	mem_free(s->narrow);
	mem_free(s->out);
	mem_free(s->hits);
}
