/*
 * world/ident.c - ids, addresses and fingerprints of the load's messages.
 *
 * The checker reads header lines into a short buffer until it has seen
 * X-Sim-Hash, and from then on only sums: one pass, no allocation, whatever
 * the pieces are.
 */
#include "world/ident.h"

static const char digits[] = "0123456789abcdef";

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Exactly n lower-case digits. */
static int
hex_parse(struct slice s, size_t n, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n != n)
		return E_SYNTAX;
	for (size_t i = 0; i < n; i++) {
		int d = hex_value(s.p[i]);

		if (d < 0)
			return E_SYNTAX;
		v = v << 4 | (uint64_t)d;
	}
	*out = v;
	return 0;
}

static void
hex_format(char *dst, uint64_t v, size_t n)
{
	for (size_t i = n; i-- > 0; v >>= 4)
		dst[i] = digits[v & 15];
}

void
sim_id_format(char *dst, uint64_t id)
{
	hex_format(dst, id, SIM_ID_DIGITS);
	dst[SIM_ID_DIGITS] = '\0';
}

int
sim_id_parse(struct slice s, uint64_t *id)
{
	return hex_parse(s, SIM_ID_DIGITS, id);
}

size_t
sim_rcpt_format(char *dst, uint64_t id, uint32_t k)
{
	size_t n = 0;

	dst[n++] = 'r';
	n += fmt_u64(dst + n, k);
	dst[n++] = '.';
	hex_format(dst + n, id, SIM_ID_DIGITS);
	n += SIM_ID_DIGITS;
	dst[n++] = '@';
	return n;
}

int
sim_rcpt_parse(struct slice address, uint64_t *id, uint32_t *k)
{
	struct slice local, number;
	uint64_t n;

	if (address.n > 0 && address.p[0] == '<')
		address = slice_skip(address, 1);
	local = slice_cut(&address, '@');
	if (local.n < 2 || local.p[0] != 'r')
		return E_SYNTAX;
	local = slice_skip(local, 1);
	number = slice_cut(&local, '.');
	if (slice_u64(number, SIM_RCPTS_MAX - 1, &n) != 0)
		return E_SYNTAX;
	*k = (uint32_t)n;
	return sim_id_parse(local, id);
}

void
sim_hash_init(struct sim_hash *h, uint64_t id)
{
	char text[SIM_ID_DIGITS + 1];

	sim_id_format(text, id);
	h->crc = crc32c(0, text, SIM_ID_DIGITS);
	h->bytes = 0;
}

void
sim_hash_add(struct sim_hash *h, struct slice piece)
{
	h->crc = crc32c(h->crc, piece.p, piece.n);
	h->bytes += piece.n;
}

size_t
sim_hash_field(char *dst, const struct sim_hash *h)
{
	static const char name[] = "X-Sim-Hash: ";
	size_t n = sizeof(name) - 1;

	memcpy(dst, name, n);
	hex_format(dst + n, h->crc, 8);
	n += 8;
	dst[n++] = '/';
	n += fmt_u64(dst + n, h->bytes);
	dst[n++] = '\r';
	dst[n++] = '\n';
	return n;
}

const char *
sim_verdict_name(enum sim_verdict v)
{
	static const char *const names[] = { "none", "ok", "bad" };

	return names[v];
}

void
sim_check_init(struct sim_check *c)
{
	c->in_header = true;
	c->has_id = c->has_hash = false;
	c->line_n = 0;
}

/* The value of the field `name` in a header line, or an empty slice. */
static struct slice
field_value(struct slice line, struct slice name)
{
	if (!slice_has_iprefix(line, name))
		return slice_of("", 0);
	return slice_trim(slice_skip(line, name.n));
}

static void
check_line(struct sim_check *c, struct slice line)
{
	struct slice v;
	uint64_t crc;

	if (line.n == 0) {
		c->in_header = false;
		return;
	}
	v = field_value(line, SL("X-Sim-Id:"));
	if (v.n > 0 && !c->has_id)
		c->has_id = sim_id_parse(v, &c->id) == 0;
	v = field_value(line, SL("X-Sim-Hash:"));
	if (v.n == 0 || !c->has_id)
		return;
	if (hex_parse(slice_cut(&v, '/'), 8, &crc) != 0 ||
	    slice_u64(v, UINT64_MAX / 2, &c->want.bytes) != 0)
		return;
	c->want.crc = (uint32_t)crc;
	c->has_hash = true;
	c->in_header = false;
	sim_hash_init(&c->have, c->id);
}

/* Eats one header line, or the piece of one that is there. */
static void
check_header(struct sim_check *c, struct slice *in)
{
	const char *end = memchr(in->p, '\n', in->n);
	size_t n = end != NULL ? (size_t)(end - in->p) + 1 : in->n;
	size_t fits = MIN(n, sizeof(c->line) - c->line_n);

	memcpy(c->line + c->line_n, in->p, fits);
	c->line_n = (uint16_t)(c->line_n + fits);
	*in = slice_skip(*in, n);
	if (end == NULL)
		return;
	while (c->line_n > 0 &&
	    (c->line[c->line_n - 1] == '\n' || c->line[c->line_n - 1] == '\r'))
		c->line_n--;
	check_line(c, slice_of(c->line, c->line_n));
	c->line_n = 0;
}

void
sim_check_feed(struct sim_check *c, struct slice piece)
{
	while (piece.n > 0 && c->in_header)
		check_header(c, &piece);
	if (piece.n > 0 && c->has_hash)
		sim_hash_add(&c->have, piece);
}

enum sim_verdict
sim_check_end(const struct sim_check *c)
{
	if (!c->has_id)
		return SIM_HASH_NONE;
	if (!c->has_hash || c->have.crc != c->want.crc ||
	    c->have.bytes != c->want.bytes)
		return SIM_HASH_BAD;
	return SIM_HASH_OK;
}
