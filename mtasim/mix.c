/*
 * mix.c - composes the load's messages.
 *
 * Bodies are runs of 64-byte lines out of a pool made once; some lines begin
 * with one dot or two, so that dot-stuffing is always under test. A filler in
 * the Subject field makes the size exact. Everything behind the X-Sim-Hash
 * line is summed, octet by octet, before the first byte is sent.
 */
#include <math.h>

#include "mix.h"

#define LINE_BYTES 64
#define POOL_LINES 16384
#define POOL_BYTES ((size_t)LINE_BYTES * POOL_LINES)
#define DOT_LINES 50 /* one line in so many begins with a dot */
#define WEIGHT_MAX 1000000
#define P99_SIGMAS 2.3263478740408408 /* of the normal distribution */

void
mix_init(struct mix *m)
{
	*m = (struct mix){
		.sender = SL("sender@load.example"),
		.recipients = 1,
		.seed = 1,
		.size_lo = 4096,
	};
	buf_init(&m->rest, 64u << 10);
	buf_init(&m->name, DOMAIN_MAX);
}

void
mix_free(struct mix *m)
{
	mem_free(m->pool);
	buf_free(&m->rest);
	buf_free(&m->name);
}

/* ---- options ------------------------------------------------------------------- */

static int
add_domain(struct mix *m, struct slice item, char *why, size_t why_cap)
{
	struct slice name = slice_cut(&item, '=');
	uint64_t weight = 1;
	struct expand *e = &m->domains[m->ndomains].names;

	if (m->ndomains == MIX_DOMAINS_MAX) {
		snprintf(why, why_cap, "more than %d", MIX_DOMAINS_MAX);
		return E_FULL;
	}
	if (name.n == 0 || name.n > DOMAIN_MAX - 16 ||
	    expand_parse(name, e) != 0) {
		snprintf(why, why_cap,
		    "expected a domain or a range such as d{1..100}.example");
		return E_SYNTAX;
	}
	if (item.p != NULL &&
	    (slice_u64(item, WEIGHT_MAX, &weight) != 0 || weight == 0)) {
		snprintf(why, why_cap, "expected a weight such as a.example=3");
		return E_SYNTAX;
	}
	m->weights += weight;
	m->domains[m->ndomains++].up_to = m->weights;
	return 0;
}

int
mix_add_domains(struct mix *m, struct slice list, char *why, size_t why_cap)
{
	while (list.p != NULL) {
		int rc = add_domain(m, slice_trim(slice_cut(&list, ',')), why,
		    why_cap);

		if (rc != 0)
			return rc;
	}
	return 0;
}

int
mix_add_names(struct mix_names *names, struct slice list, char *why,
    size_t why_cap)
{
	while (list.p != NULL) {
		struct slice name = slice_trim(slice_cut(&list, ','));

		if (name.n == 0 || name.n > NAME_MAX_BYTES ||
		    names->n == MIX_NAMES_MAX) {
			snprintf(why, why_cap, "expected up to %d names",
			    MIX_NAMES_MAX);
			return E_SYNTAX;
		}
		names->name[names->n++] = name;
	}
	return 0;
}

/* Splits "A<sep>B" into two sizes. */
static int
two_sizes(struct slice s, struct slice sep, uint64_t *a, uint64_t *b)
{
	const char *at = memmem(s.p, s.n, sep.p, sep.n);
	size_t n;

	if (at == NULL)
		return E_SYNTAX;
	n = (size_t)(at - s.p);
	if (parse_size(slice_of(s.p, n), a) != 0)
		return E_SYNTAX;
	return parse_size(slice_skip(s, n + sep.n), b);
}

int
mix_set_size(struct mix *m, struct slice text, char *why, size_t why_cap)
{
	int rc;

	m->size_kind = MIX_FIXED;
	if (slice_has_prefix(text, SL("lognormal:"))) {
		m->size_kind = MIX_LOGNORMAL;
		rc = two_sizes(slice_skip(text, SL("lognormal:").n), SL(":"),
		    &m->size_lo, &m->size_hi);
	} else if (two_sizes(text, SL(".."), &m->size_lo, &m->size_hi) == 0) {
		m->size_kind = MIX_UNIFORM;
		rc = 0;
	} else {
		rc = parse_size(text, &m->size_lo);
		m->size_hi = m->size_lo;
	}
	if (rc == 0 && m->size_lo > 0 && m->size_lo <= m->size_hi &&
	    m->size_hi <= MIX_SIZE_MAX) {
		m->sigma =
		    log((double)m->size_hi / (double)m->size_lo) / P99_SIGMAS;
		return 0;
	}
	snprintf(why, why_cap,
	    "expected 4K, 1K..64K or lognormal:MEDIAN:P99, up to 64M");
	return E_SYNTAX;
}

/* A number in (0, 1]. */
static double
draw_unit(struct rng *r)
{
	return ((double)(rng_u64(r) >> 11) + 1.0) / 9007199254740992.0;
}

static uint64_t
draw_size(const struct mix *m, struct rng *r)
{
	double z, size;

	if (m->size_kind == MIX_UNIFORM)
		return m->size_lo + rng_below(r, m->size_hi - m->size_lo + 1);
	if (m->size_kind == MIX_FIXED)
		return m->size_lo;
	/* Box and Muller's transform of two even numbers to a normal one. */
	z = sqrt(-2.0 * log(draw_unit(r))) * cos(2.0 * M_PI * draw_unit(r));
	size = (double)m->size_lo * exp(m->sigma * z);
	return (uint64_t)MIN(size, (double)MIX_SIZE_MAX);
}

static struct slice
draw_domain(struct mix *m, struct rng *r)
{
	uint64_t w = rng_below(r, m->weights);
	uint32_t i = 0;

	while (m->domains[i].up_to <= w)
		i++;
	buf_reset(&m->name);
	/* Names were measured when they were added. */
	ASSERT(expand_name(&m->domains[i].names,
		   rng_below(r, expand_count(&m->domains[i].names)),
		   &m->name) == 0);
	return buf_slice(&m->name);
}

/* ---- text ---------------------------------------------------------------------- */

void
mix_ready(struct mix *m)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz "
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ .,0123456789";
	struct rng r;

	rng_seed(&r, m->seed);
	m->pool = mem_get(POOL_BYTES);
	for (size_t i = 0; i < POOL_BYTES; i++)
		m->pool[i] = letters[rng_below(&r, sizeof(letters) - 1)];
	for (size_t i = 0; i < POOL_LINES; i++) {
		char *line = m->pool + i * LINE_BYTES;

		line[0] = 'L';
		if (rng_below(&r, DOT_LINES) == 0)
			line[0] = line[1] = '.';
		if (line[0] == '.' && rng_below(&r, 2) == 0)
			line[1] = 'o';
		line[LINE_BYTES - 2] = '\r';
		line[LINE_BYTES - 1] = '\n';
	}
	if (m->ndomains == 0)
		(void)add_domain(m, SL("sink.example"), (char[64]){ 0 }, 64);
}

struct message *
message_new(void)
{
	struct message *msg = mem_get(sizeof(*msg));

	buf_init(&msg->addresses,
	    SIM_RCPTS_MAX * (DOMAIN_MAX + (size_t)SIM_ID_DIGITS + 8));
	buf_init(&msg->head, 64u << 10);
	list_init(&msg->node);
	return msg;
}

void
message_free(struct message *msg)
{
	list_remove(&msg->node);
	buf_free(&msg->addresses);
	buf_free(&msg->head);
	mem_free(msg);
}

static void
compose_rcpts(struct mix *m, struct message *msg, struct rng *r)
{
	size_t start[SIM_RCPTS_MAX + 1];
	char local[32];

	msg->nrcpt = m->recipients;
	buf_reset(&msg->addresses);
	for (uint32_t k = 0; k < msg->nrcpt; k++) {
		start[k] = msg->addresses.n;
		(void)buf_add(&msg->addresses, local,
		    sim_rcpt_format(local, msg->id, k));
		(void)buf_adds(&msg->addresses, draw_domain(m, r));
		msg->state[k] = MSG_OPEN;
		msg->code[k] = 0;
	}
	start[msg->nrcpt] = msg->addresses.n;
	for (uint32_t k = 0; k < msg->nrcpt; k++)
		msg->address[k] =
		    slice_of(buf_slice(&msg->addresses).p + start[k],
			start[k + 1] - start[k]);
}

/* Fields that the relay reads, and may remove; they are not summed. */
static void
compose_tags(struct mix *m, struct message *msg, struct rng *r)
{
	const struct {
		const char *field;
		const struct mix_names *names;
	} tags[] = {
		{ "X-MTA-Tenant: ", &m->tenants },
		{ "X-MTA-Campaign: ", &m->campaigns },
	};

	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		const struct mix_names *names = tags[i].names;

		if (names->n == 0)
			continue;
		(void)buf_addz(&msg->head, tags[i].field);
		(void)buf_adds(&msg->head, names->name[rng_below(r, names->n)]);
		(void)buf_addz(&msg->head, "\r\n");
	}
}

/* The summed part of the header, with `fill` bytes in its Subject. */
static void
compose_rest(struct mix *m, const struct message *msg, const char *id,
    const char *date, size_t fill)
{
	struct buf *b = &m->rest;

	buf_reset(b);
	(void)buf_addz(b, "From: <");
	(void)buf_adds(b, m->sender);
	(void)buf_addz(b, ">\r\nTo: <");
	(void)buf_adds(b, msg->address[0]);
	(void)buf_addz(b, ">\r\nDate: ");
	(void)buf_addz(b, date);
	(void)buf_addz(b, "\r\nMessage-ID: <");
	(void)buf_addz(b, id);
	(void)buf_addz(b, "@load.example>\r\nSubject: load");
	if (fill > 0) {
		char *p = buf_room(b, fill);

		memset(p, '-', fill);
		buf_grew(b, fill);
	}
	(void)buf_addz(b, "\r\n\r\n");
}

static void
sum_body(const struct mix *m, const struct message *msg, struct sim_hash *h)
{
	size_t at = msg->body_at, left = msg->body_n;

	while (left > 0) {
		size_t n = MIN(left, POOL_BYTES - at);

		sim_hash_add(h, slice_of(m->pool + at, n));
		left -= n;
		at = 0;
	}
}

void
mix_compose(struct mix *m, struct message *msg, uint32_t seq, int64_t wall_us)
{
	char id[SIM_ID_DIGITS + 1], date[40], field[SIM_HASH_FIELD];
	uint64_t size, fixed;
	struct sim_hash h;
	struct rng r;

	rng_seed(&r, m->seed + hash_u64(seq));
	msg->seq = seq;
	msg->id = sim_id(m->run, seq);
	msg->tries = 0;
	sim_id_format(id, msg->id);
	date_rfc5322(date, wall_us);
	compose_rcpts(m, msg, &r);
	buf_reset(&msg->head);
	compose_tags(m, msg, &r);
	(void)buf_addf(&msg->head, "X-Sim-Id: %s\r\n", id);

	size = MAX(draw_size(m, &r), (uint64_t)MIX_SIZE_MIN);
	compose_rest(m, msg, id, date, 0);
	/* The hash field: 23 bytes and the digits of the number of summed
	 * bytes (off by one where that number nears a power of ten). */
	fixed = msg->head.n + 23;
	fixed += fmt_u64(field, size - MIN(size, fixed)) + m->rest.n;
	msg->body_n = size > fixed + LINE_BYTES ?
	    (size - fixed) / LINE_BYTES * LINE_BYTES :
	    LINE_BYTES;
	msg->body_at = (size_t)rng_below(&r, POOL_LINES) * LINE_BYTES;
	if (size > fixed + msg->body_n)
		compose_rest(m, msg, id, date,
		    (size_t)(size - fixed - msg->body_n));
	sim_hash_init(&h, msg->id);
	sim_hash_add(&h, buf_slice(&m->rest));
	sum_body(m, msg, &h);
	(void)buf_add(&msg->head, field, sim_hash_field(field, &h));
	(void)buf_adds(&msg->head, buf_slice(&m->rest));
	msg->bytes = msg->head.n + msg->body_n;
}

struct slice
mix_piece(const struct mix *m, struct message *msg, size_t want)
{
	struct slice piece;

	if (msg->given < msg->head.n) {
		piece = slice_skip(buf_slice(&msg->head), (size_t)msg->given);
	} else {
		size_t done = (size_t)msg->given - msg->head.n;
		size_t at = (msg->body_at + done) % POOL_BYTES;

		piece = slice_of(m->pool + at,
		    MIN(msg->body_n - done, POOL_BYTES - at));
	}
	piece.n = MIN(piece.n, want);
	msg->given += piece.n;
	return piece;
}
