/*
 * ledger.c - the table of recipients, filled from journals of our own.
 */
#include "ledger.h"
#include "mail/mail.h"
#include "world/journal.h"

void
ledger_init(struct ledger *g)
{
	memset(g, 0, sizeof(*g));
	map_init(&g->map, 1, LEDGER_MAX);
	map_init(&g->relay_ids, 2, LEDGER_MAX);
	names_init(&g->domains, 1, LEDGER_DOMAINS_MAX);
}

void
ledger_free(struct ledger *g)
{
	map_free(&g->map);
	map_free(&g->relay_ids);
	names_free(&g->domains);
	mem_free(g->v);
	mem_free(g->sim_ids);
}

static void
no_memory(void)
{
	fprintf(stderr,
	    "mtasim verify: out of memory, or more than %u "
	    "recipients\n",
	    LEDGER_MAX);
	exit(2);
}

/* Two recipients may share a hash: then the later one takes the next key. */
static uint64_t
key_of(uint64_t id, uint32_t rcpt)
{
	return hash_u64(hash_u64(id) + rcpt);
}

struct entry *
ledger_find(const struct ledger *g, uint64_t id, uint32_t rcpt)
{
	uint64_t key = key_of(id, rcpt);
	uint32_t at;

	while ((at = map_get(&g->map, key)) != 0) {
		struct entry *e = &g->v[at - 1];

		if (e->id == id && e->rcpt == rcpt)
			return e;
		key++;
	}
	return NULL;
}

struct entry *
ledger_entry(struct ledger *g, uint64_t id, uint32_t rcpt)
{
	struct entry *e = ledger_find(g, id, rcpt), *grown;
	uint64_t key = key_of(id, rcpt);

	if (e != NULL)
		return e;
	if (g->n == g->cap) {
		g->cap = MAX(g->cap * 2, 1024u);
		grown = mem_grow(g->v, g->cap * sizeof(*grown));
		if (grown == NULL)
			no_memory();
		g->v = grown;
	}
	while (map_get(&g->map, key) != 0)
		key++;
	if (map_put(&g->map, key, g->n + 1) != 0)
		no_memory();
	e = &g->v[g->n++];
	*e = (struct entry){ .id = id, .rcpt = (uint8_t)rcpt };
	return e;
}

static uint32_t
domain_id(struct ledger *g, struct slice domain)
{
	char lower[DOMAIN_MAX + 1];
	uint32_t id;

	domain.n = MIN(domain.n, (size_t)DOMAIN_MAX);
	for (size_t i = 0; i < domain.n; i++)
		lower[i] = ascii_lower(domain.p[i]);
	domain.p = lower;
	id = names_find(&g->domains, domain);
	return id != 0 ? id : names_take(&g->domains, domain);
}

/* ---- the load's journal -------------------------------------------------------- */

static uint8_t
claim_parse(struct slice word)
{
	if (slice_eq(word, SL("acked")))
		return CLAIM_ACKED;
	if (slice_eq(word, SL("doubt")))
		return CLAIM_DOUBT;
	if (slice_eq(word, SL("refused")))
		return CLAIM_REFUSED;
	return slice_eq(word, SL("unsent")) ? CLAIM_UNSENT : CLAIM_NONE;
}

/* time STATE id intended bytes code k:domain,... */
static int
load_line(void *ctx, const struct slice *f, size_t n)
{
	struct ledger *g = ctx;
	struct slice list, item;
	uint64_t id, intended, k;
	uint8_t claim = n == 7 ? claim_parse(f[1]) : CLAIM_NONE;

	if (claim == CLAIM_NONE || sim_id_parse(f[2], &id) != 0 ||
	    slice_u64(f[3], INT64_MAX, &intended) != 0) {
		g->odd++;
		return 0;
	}
	list = f[6];
	while (list.p != NULL) {
		struct entry *e;

		item = slice_cut(&list, ',');
		if (slice_u64(slice_cut(&item, ':'), SIM_RCPTS_MAX - 1, &k) !=
		    0) {
			g->odd++;
			continue;
		}
		e = ledger_entry(g, id, (uint32_t)k);
		e->claim = MAX(e->claim, claim);
		e->intended_us = (int64_t)intended;
		e->domain = domain_id(g, item);
	}
	return 0;
}

/* ---- receivers' journals ------------------------------------------------------- */

static void
delivered(struct ledger *g, struct slice address, int64_t when_us, bool is_bad)
{
	uint64_t id;
	uint32_t k;
	struct entry *e;

	if (sim_rcpt_parse(address, &id, &k) != 0) {
		g->odd++;
		return;
	}
	e = ledger_entry(g, id, k);
	if (e->domain == 0)
		e->domain = domain_id(g, mailbox_domain(address));
	if (is_bad)
		e->fate |= FATE_BAD;
	if (e->delivered == 0 && e->intended_us > 0)
		e->late = (uint32_t)MIN(MAX(when_us - e->intended_us, 0) / 10,
		    (int64_t)UINT32_MAX);
	if (e->delivered < UINT8_MAX)
		e->delivered++;
}

/* time recv VERDICT id peer receiver tls bytes rcpt,... */
static int
sink_line(void *ctx, const struct slice *f, size_t n)
{
	struct ledger *g = ctx;
	struct slice list;
	uint64_t when;

	if (n >= 2 && slice_eq(f[1], SL("refuse")))
		return 0;
	if (n != 9 || !slice_eq(f[1], SL("recv")) ||
	    slice_u64(f[0], INT64_MAX, &when) != 0) {
		g->odd++;
		return 0;
	}
	if (slice_eq(f[2], SL("none"))) {
		g->foreign++;
		return 0;
	}
	g->receipts++;
	list = f[8];
	while (list.p != NULL)
		delivered(g, slice_cut(&list, ','), (int64_t)when,
		    slice_eq(f[2], SL("bad")));
	return 0;
}

static int
read_journal(struct ledger *g, const char *path, const char *kind,
    int (*line)(void *ctx, const struct slice *f, size_t n))
{
	bool torn;
	int rc;

	if (!journal_is_kind(path, kind)) {
		fprintf(stderr, "mtasim verify: %s is no journal of a %s\n",
		    path, kind);
		return E_SYNTAX;
	}
	rc = journal_read(path, line, g, &torn);
	g->torn += torn;
	if (rc != 0)
		fprintf(stderr, "mtasim verify: %s: %s\n", path, err_text(rc));
	return rc;
}

int
ledger_read_load(struct ledger *g, const char *path)
{
	return read_journal(g, path, "load", load_line);
}

int
ledger_read_sink(struct ledger *g, const char *path)
{
	return read_journal(g, path, "sink", sink_line);
}
