/*
 * ledger_relay.c - what the relay says: its event log (JSON lines) and a
 * listing of its queue (JSON).
 *
 * Events name a recipient, whose address names the message. Those that name
 * only the relay's own id are understood when a Reception of that id was read
 * before, or that it was taken over: of nodes that hand mail over to each other
 * all logs are read. A record may stand twice after a crash; saying it twice changes
 * nothing here.
 */
#include <jansson.h>

#include "ledger.h"
#include "mail/mail.h"

static struct slice
text_of(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);

	return json_is_string(v) ?
	    slice_of(json_string_value(v), json_string_length(v)) :
	    SL("");
}

/* ---- the relay's ids ----------------------------------------------------------- */

static uint64_t
relay_key(struct slice id)
{
	return hash_bytes(3, id.p, id.n);
}

static void
relay_id_learn(struct ledger *g, struct slice relay_id, uint64_t sim)
{
	uint64_t key = relay_key(relay_id), *grown;

	if (relay_id.n == 0 || map_get(&g->relay_ids, key) != 0)
		return;
	if (g->nids == g->ids_cap) {
		g->ids_cap = MAX(g->ids_cap * 2, 1024u);
		grown = mem_grow(g->sim_ids, g->ids_cap * sizeof(*grown));
		if (grown == NULL)
			return;
		g->sim_ids = grown;
	}
	g->sim_ids[g->nids++] = sim;
	if (map_put(&g->relay_ids, key, g->nids) != 0)
		g->nids--;
}

/* Adds a fate to every recipient of a message that the relay calls `id`, or to
 * those in one domain. */
static void
fate_by_relay_id(struct ledger *g, struct slice id, struct slice domain,
    uint8_t fate)
{
	uint32_t at = id.n > 0 ? map_get(&g->relay_ids, relay_key(id)) : 0;
	uint32_t only = domain.n > 0 ? names_find(&g->domains, domain) : 0;

	if (at == 0)
		return;
	for (uint32_t k = 0; k < SIM_RCPTS_MAX; k++) {
		struct entry *e = ledger_find(g, g->sim_ids[at - 1], k);

		if (e != NULL && (only == 0 || e->domain == only))
			e->fate |= fate;
	}
}

/* ---- events -------------------------------------------------------------------- */

static uint8_t
fate_of(struct slice type)
{
	static const struct {
		const char *type;
		uint8_t fate;
	} known[] = {
		{ "Delivery", FATE_BOOKED },
		{ "Bounce", FATE_BOUNCED },
		{ "Expiration", FATE_EXPIRED },
		{ "AdminBounce", FATE_REMOVED },
		{ "AdminDelete", FATE_REMOVED },
		{ "Quarantine", FATE_REMOVED },
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (slice_eq(type, slice_str(known[i].type)))
			return known[i].fate;
	return 0;
}

static void
take_event(struct ledger *g, const json_t *event)
{
	struct slice type = text_of(event, "type");
	struct slice id = text_of(event, "id");
	uint8_t fate = fate_of(type);
	struct entry *e;
	uint64_t sim;
	uint32_t k;

	g->events++;
	if (sim_rcpt_parse(text_of(event, "recipient"), &sim, &k) != 0) {
		if (fate != 0 && fate != FATE_BOOKED)
			fate_by_relay_id(g, id, SL(""), fate);
		return;
	}
	if (slice_eq(type, SL("Reception")) || slice_eq(type, SL("TakenOver")))
		relay_id_learn(g, id, sim);
	e = fate != 0 ? ledger_find(g, sim, k) : NULL;
	if (e != NULL)
		e->fate |= fate;
}

int
ledger_read_events(struct ledger *g, const char *path)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	if (f == NULL) {
		perror(path);
		return E_IO;
	}
	while ((n = getline(&line, &cap, f)) > 0) {
		json_t *event;

		if (line[n - 1] != '\n') {
			g->torn++;
			break;
		}
		event = json_loadb(line, (size_t)n, 0, NULL);
		if (event != NULL)
			take_event(g, event);
		else
			g->odd++;
		json_decref(event);
	}
	free(line);
	fclose(f);
	return 0;
}

/* ---- the queue ----------------------------------------------------------------- */

static void
queued_address(struct ledger *g, const json_t *v)
{
	struct entry *e;
	uint64_t id;
	uint32_t k;

	if (!json_is_string(v) ||
	    sim_rcpt_parse(slice_of(json_string_value(v),
			       json_string_length(v)),
		&id, &k) != 0)
		return;
	e = ledger_find(g, id, k);
	if (e != NULL)
		e->fate |= FATE_QUEUED;
}

/* Walks a listing without knowing its form: whatever names a recipient by its
 * address, or a message by the relay's id, is queued. jansson bounds depth. */
static void
walk_queue(struct ledger *g, json_t *v)
{
	const char *key;
	json_t *item;
	size_t i;

	queued_address(g, v);
	json_array_foreach(v, i, item)
		walk_queue(g, item);
	if (!json_is_object(v))
		return;
	fate_by_relay_id(g, text_of(v, "id"), text_of(v, "domain"),
	    FATE_QUEUED);
	json_object_foreach(v, key, item)
		walk_queue(g, item);
}

int
ledger_read_queue(struct ledger *g, const char *path)
{
	json_error_t error;
	json_t *root = json_load_file(path, 0, &error);

	if (root == NULL) {
		fprintf(stderr, "mtasim verify: %s:%d: %s\n", path, error.line,
		    error.text);
		return E_SYNTAX;
	}
	walk_queue(g, root);
	json_decref(root);
	return 0;
}
