/*
 * Fuzz target: the HTTP server. Whatever a client sends, and however it is cut,
 * the requests that are seen and the answers are the same; every request that is
 * gone ahead with is answered or aborted exactly once; nothing is read behind an
 * error; the ceilings are kept.
 *
 * Input: a byte that chooses what is answered, a byte that cuts, then what the
 * client sends.
 */
#include <stdint.h>

#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct http_srv_conf conf = { .body_max = 300000,
	.head_ms = 1000,
	.body_ms = 1000,
	.answer_ms = 1000 };

struct seen {
	struct http_srv s;
	struct buf text; /* what was seen, in words */
	uint8_t choice;
	uint32_t nrequests;
	bool is_open, is_closed;
};

static void
request(struct seen *x)
{
	struct slice v = http_srv_field(&x->s, SL("content-type"));

	ASSERT(!x->is_open && x->s.method.n > 0 && *x->s.path.p == '/');
	ASSERT(!x->s.has_length || !x->s.is_chunked);
	ASSERT(x->s.length <= conf.body_max);
	buf_addf(&x->text, "[%.*s %.*s %.*s %.*s]", SLF(x->s.method),
	    SLF(x->s.path), SLF(x->s.query), (int)v.n, v.p ? v.p : "");
	x->nrequests++;
	if ((x->choice >> (x->nrequests & 3) & 1) != 0) {
		http_srv_error(&x->s, 401, "no", SL("no"), SL(""), SL(""));
		return;
	}
	x->is_open = true;
	http_srv_go_ahead(&x->s);
}

static void
feed(struct seen *x, struct slice in)
{
	for (;;) {
		switch (http_srv_step(&x->s, &in, 0)) {
		case HTTP_NEED_INPUT:
			ASSERT(in.n == 0);
			return;
		case HTTP_HEAD:
			request(x);
			break;
		case HTTP_BODY:
			ASSERT(x->is_open && x->s.body.n > 0);
			ASSERT(x->s.body_bytes <= conf.body_max);
			buf_adds(&x->text, x->s.body);
			break;
		case HTTP_END:
			ASSERT(x->is_open);
			x->is_open = false;
			http_srv_reply(&x->s, 202, SL(""), SL("{}\n"));
			break;
		case HTTP_ABORT:
			ASSERT(x->is_open);
			x->is_open = false;
			buf_adds(&x->text, SL("[abort]"));
			break;
		case HTTP_CLOSE:
			ASSERT(!x->is_open && in.n == 0);
			x->is_closed = true;
			return;
		case HTTP_WAIT:
			ASSERT(!"nothing is left to be answered");
		}
	}
}

static void
run(struct seen *x, struct slice in, uint8_t cut)
{
	struct rng rng;

	rng_seed(&rng, cut);
	buf_init(&x->text, 1u << 20);
	http_srv_init(&x->s, &conf, 0);
	while (in.n > 0 && !x->is_closed) {
		size_t n = cut == 0 ? in.n :
		    cut == 1        ? 1 :
				      1 + rng_below(&rng, MIN(in.n, (size_t)99));

		feed(x, slice_of(in.p, n));
		in = slice_skip(in, n);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct seen whole, cut;
	struct slice in;

	if (n < 2)
		return 0;
	memset(&whole, 0, sizeof(whole));
	memset(&cut, 0, sizeof(cut));
	in = slice_of((const char *)data + 2, n - 2);
	whole.choice = cut.choice = data[0];
	run(&whole, in, 0);
	run(&cut, in, data[1] ? data[1] : 1);
	ASSERT(whole.is_closed == cut.is_closed);
	ASSERT(whole.nrequests == cut.nrequests);
	ASSERT(slice_eq(buf_slice(&whole.text), buf_slice(&cut.text)));
	ASSERT(slice_eq(buf_slice(&whole.s.out), buf_slice(&cut.s.out)));
	http_srv_timeout(&cut.s);
	in = SL("");
	while (http_srv_step(&cut.s, &in, 0) != HTTP_CLOSE)
		continue;
	http_srv_free(&whole.s);
	http_srv_free(&cut.s);
	buf_free(&whole.text);
	buf_free(&cut.text);
	return 0;
}
