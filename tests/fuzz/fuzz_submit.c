/*
 * Fuzz target: what a local program writes. Its lines are the same however they
 * come, and each ends in CRLF; what is found as an address is one, and what is
 * added to a header can be read again as fields.
 */
#include <stdint.h>

#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
lines(struct slice in, size_t cut, bool dot_ends, struct buf *out,
    bool *is_over)
{
	struct submit_lines l = { .dot_ends = dot_ends };

	ASSERT(submit_lines_feed(&l, slice_of(in.p, MIN(cut, in.n)), out) == 0);
	ASSERT(submit_lines_feed(&l, slice_skip(in, cut), out) == 0);
	ASSERT(submit_lines_end(&l, out) == 0);
	*is_over = l.is_over;
}

static void
are_lines(struct slice s)
{
	ASSERT(s.n == 0 || (s.n >= 2 && s.p[s.n - 1] == '\n'));
	for (size_t i = 0; i < s.n; i++)
		ASSERT(s.p[i] != '\n' || (i > 0 && s.p[i - 1] == '\r'));
}

static void
addresses(struct slice list)
{
	char text[MAILBOX_MAX + 4];
	struct slice before = list;
	int n;

	while ((n = addrlist_next(&list, text)) > 0) {
		ASSERT((size_t)n <= MAILBOX_MAX && strlen(text) == (size_t)n);
		ASSERT(list.n < before.n);
		before = list;
		if (!mailbox_is_valid(slice_of(text, (size_t)n), true)) {
			text[n++] = '@';
			text[n++] = 'x';
			ASSERT(
			    mailbox_is_valid(slice_of(text, (size_t)n), true));
		}
	}
}

static void
fields(struct slice header)
{
	struct submit_look look = { 0 }, again = { 0 };
	struct submit_fill f = { .hostname = SL("h.example"),
		.from = SL("a@b.example"),
		.from_name = slice_of(header.p, MIN(header.n, 200)) };
	struct slice rest = header;
	struct buf out;
	struct hdr h;

	while (hdr_next(&rest, &h))
		submit_see(&look, h.name, h.value);
	buf_init(&out, 4096);
	ASSERT(submit_add(&out, &look, &f) == 0);
	rest = buf_slice(&out);
	while (hdr_next(&rest, &h))
		submit_see(&again, h.name, h.value);
	ASSERT(rest.n == 0);
	ASSERT(look.has_date != again.has_date &&
	    look.has_message_id != again.has_message_id &&
	    (look.nfrom == 0) == (again.nfrom == 1));
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_of((const char *)data, n);
	struct submit_rcpts r = { 0 };
	struct buf whole, cut, list;
	bool a, b;

	buf_init(&whole, 2 * n + 16);
	buf_init(&cut, 2 * n + 16);
	buf_init(&list, 1u << 20);
	r.to = &list;
	lines(in, n, n & 1, &whole, &a);
	lines(in, n / 2, n & 1, &cut, &b);
	ASSERT(a == b && slice_eq(buf_slice(&whole), buf_slice(&cut)));
	are_lines(buf_slice(&whole));
	addresses(in);
	fields(buf_slice(&whole));
	if (submit_find_rcpts(buf_slice(&whole), &r) == 0)
		ASSERT(r.n == 0 || list.n > 0);
	buf_free(&whole);
	buf_free(&cut);
	buf_free(&list);
	return 0;
}
