/*
 * Fuzz target: the door as a whole, behind the SMTP machine that fuzz_smtp_srv
 * has alone: who logs in and how (SCRAM, PLAIN, LOGIN), XCLIENT, the header with
 * its fields that steer, the trace field, spilling, and what the spool is given.
 * Whatever comes, what is committed is a message with our trace field, an
 * envelope that can be read and no field that steers; replies are whole lines;
 * and in the end nothing is kept.
 *
 * Input: a byte of options, a byte for the size of pieces, then the client's.
 */
#include <stdint.h>
#include <stdio.h>

#include "crypt/crypt.h"
#include "relay/intake.h"
#include "relay/relay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define RCPTS 50
#define STAGING (1 << 20)
#define NOW ((int64_t)1796000000 * US_PER_S)

/* The password is "pw". */
static const char conf_text[] =
    "hostname: mx.example\npostmaster: ops@mx.example\n"
    "source: { a: { address: 192.0.2.1 } }\n"
    "pool: { default: { sources: [a] } }\n"
    "account: { x: { tenant: acme, secret: \"SCRAM-SHA-256$4096:"
    "iWJmN1V7MKoAP6MLueFhJQ==$PizxvWsfkcU+mwDwPVynKInb+ZGHEMOzpdOFtHqGN4Y="
    ":SjnDBi9uNWCNaiYhuV0fIAZDkd3PKFc32NFcj1W+ViU=\" } }\n"
    "listen:\n"
    "  a: { bind: 127.0.0.1:2525, relay_from: [192.0.2.0/24],\n"
    "       xclient_from: [192.0.2.0/24], bare_newlines: normalise }\n"
    "  b: { bind: 127.0.0.1:2526, auth: true, message_size_max: 1M,\n"
    /* Files are looked for and not read. */
    "       tls: { cert: /proc/self/exe, key: /proc/self/exe },\n"
    "       xclient_from: [192.0.2.0/24] }\n";

struct rig {
	struct intake in;
	struct gate gate;
	struct parcel *committed;
	struct buf spill;
	uint8_t options;
	uint32_t live; /* parcels */
	uint64_t sequence;
};

/* ---- the spool's side ------------------------------------------------------------ */

static void
check_message(const struct rig *r, struct slice s)
{
	struct slice rest = s;
	struct hdr h;
	uint32_t fields = 0;

	ASSERT(slice_has_prefix(s, SL("Received: from ")));
	for (size_t i = 0; i < s.n; i++) {
		ASSERT(s.p[i] != '\0');
		ASSERT(s.p[i] != '\n' || (i > 0 && s.p[i - 1] == '\r'));
		ASSERT(s.p[i] != '\r' || (i + 1 < s.n && s.p[i + 1] == '\n'));
	}
	while (hdr_next(&rest, &h)) {
		ASSERT(fields > 0 || slice_eq(h.name, SL("Received")));
		ASSERT(
		    !r->in.may_relay || !slice_ieq(h.name, SL("X-MTA-Pool")));
		fields++;
	}
	ASSERT(fields > 0);
}

static void
op_commit(void *ctx, struct parcel *p)
{
	struct rig *r = ctx;
	struct envelope e;
	struct cursor rcpts;
	struct buf whole;

	ASSERT(r->committed == NULL);
	ASSERT(env_decode(p->commit.envelope, &e, &rcpts) == 0);
	ASSERT(e.nrcpt > 0 && e.nrcpt <= RCPTS);
	buf_init(&whole, 64u << 20);
	for (uint32_t i = 0; i < p->commit.nbody; i++)
		buf_adds(&whole, p->commit.body[i]);
	ASSERT(whole.n == parcel_bytes(p) && whole.n == e.body_bytes);
	check_message(r, buf_slice(&whole));
	buf_free(&whole);
	r->committed = p;
}

static bool
op_spill_add(void *ctx, struct spill **sp, struct slice data)
{
	struct rig *r = ctx;

	*sp = (struct spill *)r;
	return (r->options & 2) == 0 && buf_adds(&r->spill, data) == 0;
}

static bool
op_spill_is_done(void *ctx, const struct spill *sp)
{
	(void)ctx;
	(void)sp;
	return true;
}

static struct slice
op_spill_map(void *ctx, struct spill *sp)
{
	(void)sp;
	return buf_slice(&((struct rig *)ctx)->spill);
}

static struct parcel *
op_parcel_take(void *ctx)
{
	struct rig *r = ctx;
	struct parcel *p;

	if ((r->options & 4) != 0 && r->sequence % 3 == 2)
		return NULL;
	p = mem_get(sizeof(*p));
	r->live++;
	buf_init(&p->env, 1u << 20);
	buf_init(&p->body, 1u << 20);
	return p;
}

static void
op_parcel_give(void *ctx, struct parcel *p)
{
	struct rig *r = ctx;

	if (p->spill != NULL)
		buf_reset(&r->spill);
	gate_give(&r->gate.staging_free, (int64_t)p->staged);
	buf_free(&p->env);
	buf_free(&p->body);
	mem_free(p);
	r->live--;
}

static bool
op_has_room(void *ctx, uint64_t bytes)
{
	const struct rig *r = ctx;

	return (r->options & 8) == 0 || bytes < 1000;
}

static uint64_t
op_sequence(void *ctx)
{
	return ++((struct rig *)ctx)->sequence;
}

static struct buf *
op_book(void *ctx)
{
	(void)ctx;
	return NULL;
}

static bool
op_random(void *ctx, void *p, size_t n)
{
	memset(p, 'r', n);
	return (((struct rig *)ctx)->options & 16) == 0;
}

static enum veto
op_veto(void *ctx, struct slice tenant, struct slice to, char *dst, size_t cap)
{
	(void)ctx;
	(void)tenant;
	snprintf(dst, cap, "because");
	return slice_has_prefix(to, SL("veto")) ? VETO_REJECT :
	    slice_has_prefix(to, SL("late"))    ? VETO_LATER :
	    slice_has_prefix(to, SL("away"))    ? VETO_DISCARD :
						  VETO_NONE;
}

static const struct intake_ops ops = {
	.commit = op_commit,
	.spill_add = op_spill_add,
	.spill_is_done = op_spill_is_done,
	.spill_map = op_spill_map,
	.parcel_take = op_parcel_take,
	.parcel_give = op_parcel_give,
	.has_room = op_has_room,
	.sequence = op_sequence,
	.book = op_book,
	.random = op_random,
	.veto = op_veto,
};

/* ---- the client's --------------------------------------------------------------- */

static void
flush(struct rig *r)
{
	struct slice out = buf_slice(&r->in.srv.out);

	while (out.n > 0) {
		size_t n = slice_index(out, '\n');

		ASSERT(n < out.n && n >= 4 && out.p[n - 1] == '\r');
		ASSERT(out.p[0] >= '2' && out.p[0] <= '5');
		ASSERT(out.p[3] == ' ' || out.p[3] == '-');
		out = slice_skip(out, n + 1);
	}
	buf_reset(&r->in.srv.out);
}

/* The spool has answered, TLS is up: what held the client back is over. */
static bool
goes_on(struct rig *r)
{
	if (r->committed != NULL) {
		struct parcel *p = r->committed;

		r->committed = NULL;
		p->commit.err = (r->options & 32) != 0 ? E_IO : 0;
		intake_committed(&r->in, p, 1, NOW);
		op_parcel_give(r, p);
		return true;
	}
	if (r->in.wants_tls) {
		r->in.wants_tls = false;
		smtp_srv_tls_done(&r->in.srv, true, 1);
		return true;
	}
	return false;
}

static void
feed(struct rig *r, struct slice piece)
{
	do {
		size_t n = intake_feed(&r->in, piece, 1, NOW);

		piece = slice_skip(piece, n);
		flush(r);
	} while (goes_on(r) ||
	    (piece.n > 0 && !r->in.is_closing && r->in.srv.waits_for == 0));
}

static void
told(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}

static struct conf *
read_conf(void)
{
	struct conf_errors errs = { .report = told, .warn = told };
	struct conf *c = conf_parse("fuzz.yml", slice_str(conf_text), &errs);

	ASSERT(c != NULL);
	return c;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct conf *conf;
	struct slice in = slice_of((const char *)data, n);
	struct endpoint peer = { .port = 1 };
	struct rig r = { 0 };
	size_t step;

	if (n < 2)
		return 0;
	if (conf == NULL)
		conf = read_conf();
	r.options = data[0];
	step = data[1] == 0 ? n : data[1];
	ASSERT(ip_parse(SL("192.0.2.7"), &peer.ip) == 0);
	atomic_store(&r.gate.rcpts_free, RCPTS);
	atomic_store(&r.gate.staging_free, STAGING);
	buf_init(&r.spill, 64u << 20);
	intake_init(&r.in, conf, &conf->listen[r.options & 1], &ops, &r,
	    &r.gate, (struct handle){ 1, 1 }, &peer, 1);
	r.in.srv.is_tls = (r.options & 1) != 0;
	for (in = slice_skip(in, 2); in.n > 0 && !r.in.is_closing;
	     in = slice_skip(in, MIN(step, in.n)))
		feed(&r, slice_of(in.p, MIN(step, in.n)));
	intake_free(&r.in);
	if (r.committed != NULL)
		op_parcel_give(&r, r.committed);
	ASSERT(r.live == 0);
	ASSERT(atomic_load(&r.gate.staging_free) == STAGING);
	buf_free(&r.spill);
	return 0;
}
