/*
 * Fuzz target: from JSON to messages. What is no JSON is refused; and whatever
 * a request says, each message that comes of it is one: lines of at most 998
 * bytes that end in CRLF, no NUL, a header of fields alone, each of ours once,
 * and its parts are the parts that were asked for, however they are cut.
 */
#include <stdint.h>
#include <string.h>

#include "proto/letter.h"
#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct slice steer[LETTER_N - LETTER_STEER] = { { "X-T", 3 },
	{ "X-C", 3 }, { "X-P", 3 }, { "X-Z", 3 }, { "X-E", 3 }, { "X-L", 3 },
	{ "X-X", 3 }, { "X-S", 3 } };
static const struct letter_conf conf = { .size_max = 1 << 20,
	.rcpts_max = 100,
	.hostname = { "mta.example", 11 },
	.steer = steer };

static void
check_lines(struct slice m)
{
	size_t column = 0;

	for (size_t i = 0; i < m.n; i++) {
		ASSERT(m.p[i] != '\0');
		if (m.p[i] == '\r') {
			ASSERT(i + 1 < m.n && m.p[i + 1] == '\n');
			column = 0;
			i++;
			continue;
		}
		ASSERT(m.p[i] != '\n');
		ASSERT(++column <= 998);
	}
	ASSERT(column == 0);
}

static void
check_head(const struct letter *l, struct slice m)
{
	static const struct slice ours[] = { { "From", 4 }, { "Date", 4 },
		{ "MIME-Version", 12 }, { "Content-Type", 12 } };
	uint32_t seen[ARRAY_LEN(ours)] = { 0 };
	struct slice rest = m;
	bool is_none, is_blank = true;
	struct hdr h;
	size_t n = hdr_section(m, &is_none);

	ASSERT(n > 0 && !is_none && m.p[n - 2] == '\r');
	rest.n = n - 2;
	/* RFC 5322 3.2.2: no line of a folded field is white space alone. */
	for (size_t i = 0; i < rest.n; i++) {
		ASSERT(rest.p[i] != '\n' || !is_blank);
		is_blank = rest.p[i] == '\n' ||
		    (is_blank && strchr(" \t\r", rest.p[i]) != NULL);
	}
	while (hdr_next(&rest, &h)) {
		ASSERT(!slice_ieq(h.name, SL("Bcc")));
		for (size_t i = 0; i < ARRAY_LEN(ours); i++)
			seen[i] += slice_ieq(h.name, ours[i]);
	}
	ASSERT(rest.n == 0);
	ASSERT(seen[0] == 1 && seen[1] >= 1 && seen[2] == 1 && seen[3] == 1);
	(void)l;
}

static void
check_parts(const struct letter *l, struct slice m)
{
	uint32_t leaves = 0, want = l->nattached + l->ninline;
	static struct mime mime;

	want += (l->v[LETTER_TEXT].p != NULL) + (l->v[LETTER_HTML].p != NULL);
	mime_read(m, &mime);
	for (uint32_t i = 0; i < mime.nparts; i++)
		leaves += !mime.part[i].is_multipart;
	ASSERT(leaves == want || mime.nparts == MIME_PARTS_MAX);
}

static void
make(const struct letter *l, const struct letter_at *at,
    const struct letter_addr *to)
{
	struct msgid id = msgid_make(1, 2, 3);
	struct letter_fault f;
	struct letter_out *o =
	    letter_out_new(l, at, to, &id, 1700000000000000, &f);
	struct buf all, piece;
	bool more = true;

	if (o == NULL) {
		ASSERT(f.message[0] != '\0');
		return;
	}
	buf_init(&all, 16u << 20);
	buf_init(&piece, LETTER_HEAD_MAX + 4 * LETTER_PIECE);
	while (more) {
		buf_reset(&piece);
		more = letter_out_next(o, &piece);
		ASSERT(!piece.failed);
		buf_adds(&all, buf_slice(&piece));
	}
	ASSERT(!all.failed);
	check_lines(buf_slice(&all));
	check_head(l, buf_slice(&all));
	check_parts(l, buf_slice(&all));
	buf_free(&all);
	buf_free(&piece);
	letter_out_free(o);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct letter_fault f;
	struct letter *l =
	    letter_read(slice_of((const char *)data, n), &conf, &f);
	struct letter_at at;
	struct letter_addr to = { .email_n = 0 };
	uint32_t k = 0;

	if (l == NULL) {
		ASSERT(f.message[0] != '\0');
		return 0;
	}
	for (at = letter_first(l); letter_next(l, &at, &to); k++) {
		ASSERT(mailbox_is_valid(slice_of(to.email, to.email_n), true));
		if (l->is_batch && k < 8)
			make(l, &at, &to);
	}
	ASSERT(k == l->nrcpt && k > 0);
	if (!l->is_batch)
		make(l, &at, &to);
	letter_free(l);
	return 0;
}
