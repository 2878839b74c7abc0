/*
 * engine/keep.c - what survives a crash: entries that are given to the relay,
 * word that they are durable, and those that come back at a start.
 *
 * Each book has one owner, which knows what its numbers mean. An owner that
 * waits for its entry to be durable looks at eng_is_kept when the word comes.
 */
#include "engine/react_i.h"
#include "engine/standing_i.h"
#include "engine/warm_i.h"

uint64_t
eng_keep(struct eng *e, const struct eng_entry *en, bool is_gone)
{
	struct eng_cmd *c = eng_emit(e, CMD_KEEP);

	ASSERT(en->nkeys <= KEPT_KEYS_MAX);
	c->keep.book = en->book;
	c->keep.nkeys = en->nkeys;
	c->keep.is_gone = is_gone;
	memcpy(c->keep.key, en->key, en->nkeys * sizeof(en->key[0]));
	c->keep.sub = en->sub;
	c->keep.host = en->host;
	c->keep.port = en->port;
	c->keep.serial = ++e->keep_serial;
	c = eng_emit(e, CMD_KEEP_VALUES);
	memcpy(c->keep_values.v, en->v, sizeof(en->v));
	return e->keep_serial;
}

void
eng_on_kept(struct eng *e, uint64_t serial)
{
	ASSERT(serial <= e->keep_serial);
	e->kept_serial = MAX(e->kept_serial, serial);
	eng_meters_kept(e);
	eng_warm_kept(e);
}

void
eng_on_recall(struct eng *e, const struct eng_entry *en)
{
	switch ((enum kept_book)en->book) {
	case BOOK_QUOTA:
		eng_meter_recall(e, en);
		return;
	case BOOK_TALLY:
		eng_tally_recall(e, en);
		return;
	case BOOK_STANDING:
		eng_standing_recall(e, en);
		return;
	case BOOK_ADAPT:
		eng_adapt_recall(e, en);
		return;
	case BOOK_TLS_REPORT:
	case KEPT_BOOKS_END:
		return; /* a book whose owner this program has not */
	case BOOK_WARMUP:
		eng_warm_recall(e, en);
		return;
	}
}
