/*
 * Signing on the way in: which keys of a configuration sign, that it makes no
 * difference how a message is cut into pieces, spilled or not, and that what is
 * committed is what was signed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "relay/relay.h"
#include "test_conf.h"

#define DAY (INT64_C(86400) * US_PER_S)
#define NOW (INT64_C(1800000000) * US_PER_S)

static const char base[] =
    "hostname: mta.example\n"
    "listen: { in: { bind: 127.0.0.1:2525, relay_from: [127.0.0.0/8] } }\n";

static struct told told;
static struct crypt_key *ed25519, *rsa;

static struct conf *
read_conf(const char *dkim)
{
	char text[8192];

	snprintf(text, sizeof(text), "%s%s", base, dkim);
	return told_parse(&told, text);
}

/* A key whose name begins with r is RSA. */
static struct keyring *
ring_of(const struct conf *c)
{
	struct keyring *r = keyring_new(c);

	assert_non_null(r);
	for (uint32_t i = 0; i < r->n; i++)
		r->key[i] = crypt_key_take(
		    c->dkim.keys[i].name.p[0] == 'r' ? rsa : ed25519);
	return r;
}

/* ---- which keys -------------------------------------------------------------------- */

static void
check_pick(const struct keyring *r, const char *author, const char *tenant,
    int64_t wall_us, const char *want)
{
	uint32_t pick[SIGNATURES_MAX], n;
	char got[256] = "";

	n = keyring_pick(r, slice_str(author), slice_str(tenant), wall_us,
	    pick);
	for (uint32_t i = 0; i < n; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), " %s",
		    r->conf->dkim.keys[pick[i]].name.p);
	assert_string_equal(got, want);
}

static void
which_keys_sign(void **state)
{
	struct conf *c =
	    read_conf("dkim:\n  key:\n"
		      "    r1: { domain: a.example, selector: r1, file: k }\n"
		      "    e1: { domain: A.example, selector: e1, file: k }\n"
		      "    r2: { domain: a.example, selector: r2, file: k,\n"
		      "          not_before: 2027-02-01 }\n"
		      "    e0: { domain: b.example, selector: e0, file: k,\n"
		      "          subdomains: true, not_after: 2027-02-01 }\n"
		      "    e3: { domain: x.b.example, selector: e3, file: k }\n"
		      "    et: { domain: a.example, selector: et, file: k,\n"
		      "          tenant: [acme, other] }\n"
		      "    ra: { domain: acme.example, selector: ra, file: k,\n"
		      "          tenant: acme, from: \"*\" }\n"
		      "    eg: { domain: esp.example, selector: eg, file: k,\n"
		      "          from: [\"*.list.example\", b.example] }\n");
	struct keyring *r;

	(void)state;
	assert_string_equal(told.text, "");
	assert_non_null(c);
	r = ring_of(c);
	/* One of each kind, of the domain in any case of letters. */
	check_pick(r, "a.example", "", NOW, " r1 e1");
	check_pick(r, "A.EXAMPLE", "", NOW, " r1 e1");
	/* The key that came into force last. */
	check_pick(r, "a.example", "", NOW + 60 * DAY, " e1 r2");
	/* The tenant's key, and one for all that is his. */
	check_pick(r, "a.example", "acme", NOW, " r1 et ra");
	check_pick(r, "a.example", "other", NOW, " r1 et");
	check_pick(r, "", "acme", NOW, " ra");
	/* The nearest domain, and those above only when they say so. */
	check_pick(r, "b.example", "", NOW, " e0 eg");
	check_pick(r, "y.b.example", "", NOW, " e0");
	check_pick(r, "x.b.example", "", NOW, " e3");
	check_pick(r, "y.x.b.example", "", NOW, " e0");
	check_pick(r, "x.a.example", "", NOW, "");
	check_pick(r, "xb.example", "", NOW, "");
	check_pick(r, "q.list.example", "", NOW, " eg");
	/* Not after its time. */
	check_pick(r, "b.example", "", NOW + 60 * DAY, " eg");
	check_pick(r, "example", "", NOW, "");
	check_pick(r, "", "", NOW, "");
	keyring_give(r);
	conf_free(c);
}

static void
what_makes_no_sense(void **state)
{
	static const char *const v[][2] = {
		{ "{ key: { a: { domain: d.example, selector: s } } }",
		    "dkim.key.a.file" },
		{ "{ key: { a: { domain: d.example, selector: s, file: k, "
		  "not_before: soon } } }",
		    "dkim.key.a.not_before, expected a date" },
		{ "{ key: { a: { domain: d.example, selector: s, file: k, "
		  "not_before: 2027-01-02, not_after: 2027-01-01 } } }",
		    "dkim.key.a.not_after, expected a time behind" },
		{ "{ key: { a: { domain: d.example, selector: s, file: k, "
		  "identity: \"@e.example\" } } }",
		    "dkim.key.a.identity" },
		{ "{ key: { a: { domain: d.example, selector: s, file: k, "
		  "identity: \"a;b@d.example\" } } }",
		    "dkim.key.a.identity" },
		{ "{ key: { a: { domain: d.example, selector: s, file: k }, "
		  "b: { domain: D.example, selector: S, file: k } } }",
		    "dkim.key.b.selector, expected one of its own" },
		{ "{ key: { a: { domain: d.example, selector: s..t, "
		  "file: k } } }",
		    "dkim.key.a.selector" },
		{ "{ key: { a: { domain: d.example, selector: s, file: k, "
		  "subdomains: true, from: x.example } } }",
		    "dkim.key.a.subdomains" },
		{ "{ headers: [Subject], oversign: [] }",
		    "dkim.headers, expected From" },
		{ "{ headers: [From, from] }", "each name once" },
		{ "{ headers: [From, \"a b\"] }", "dkim.headers, expected" },
		{ "{ oversign: [From, DKIM-Signature] }", "dkim.oversign" },
		{ "{ body_canonicalization: loose }",
		    "dkim.body_canonicalization" },
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		snprintf(text, sizeof(text), "dkim: %s\n", v[i][0]);
		assert_null(read_conf(text));
		assert_non_null(strstr(told.text, v[i][1]));
		assert_non_null(strstr(told.text, "f.yml:3:"));
		assert_int_equal(told.nerrors, 1);
	}
}

static void
an_expiry_that_mail_may_outlive(void **state)
{
	struct conf *c = read_conf("dkim: { expire: 4d, key: { a: { domain: "
				   "d.example, selector: s, file: k } } }\n");

	(void)state;
	assert_non_null(c);
	assert_int_equal(told.nwarnings, 1);
	assert_non_null(strstr(told.text, "f.yml:3:"));
	conf_free(c);
}

/* ---- a whole intake --------------------------------------------------------------------- */

struct rig {
	struct intake in;
	struct gate gate;
	struct keyring *keys;
	struct parcel *committed;
	bool has_room;
	struct buf out;   /* what was committed */
	struct buf spill; /* there is one at a time */
	uint64_t env_bytes;
	uint32_t live; /* parcels */
};

static void
op_commit(void *ctx, struct parcel *p)
{
	struct rig *r = ctx;
	struct envelope e;
	struct cursor rcpts;

	if (p->signing)
		assert_int_equal(signing_seal(p->signing), 0);
	for (uint32_t i = 0; i < p->commit.nbody; i++)
		buf_adds(&r->out, p->commit.body[i]);
	assert_int_equal(parcel_bytes(p), r->out.n);
	assert_int_equal(env_decode(p->commit.envelope, &e, &rcpts), 0);
	r->env_bytes = e.body_bytes;
	r->committed = p;
}

static bool
op_spill_add(void *ctx, struct spill **sp, struct slice data)
{
	struct rig *r = ctx;

	*sp = (struct spill *)r;
	return buf_adds(&r->spill, data) == 0;
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
	struct parcel *p = mem_get(sizeof(*p));

	((struct rig *)ctx)->live++;
	buf_init(&p->env, 1u << 20);
	buf_init(&p->body, 1u << 20);
	return p;
}

static void
op_parcel_give(void *ctx, struct parcel *p)
{
	struct rig *r = ctx;

	gate_give(&r->gate.staging_free, (int64_t)p->staged);
	signing_free(p->signing);
	buf_free(&p->env);
	buf_free(&p->body);
	mem_free(p);
	r->live--;
}

static bool
op_has_room(void *ctx, uint64_t bytes)
{
	(void)bytes;
	return ((struct rig *)ctx)->has_room;
}

static uint64_t
op_sequence(void *ctx)
{
	(void)ctx;
	return 7;
}

static struct buf *
op_book(void *ctx)
{
	(void)ctx;
	return NULL;
}

static const struct keyring *
op_keys(void *ctx)
{
	return ((struct rig *)ctx)->keys;
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
	.keys = op_keys,
};

static void
rig_open(struct rig *r, struct conf *c, struct keyring *keys)
{
	struct endpoint peer = { .port = 1 };

	memset(r, 0, sizeof(*r));
	assert_int_equal(ip_parse(SL("127.0.0.1"), &peer.ip), 0);
	atomic_store(&r->gate.rcpts_free, 1000);
	atomic_store(&r->gate.staging_free, 64 << 20);
	r->keys = keys;
	r->has_room = true;
	buf_init(&r->out, 8u << 20);
	buf_init(&r->spill, 8u << 20);
	intake_init(&r->in, c, &c->listen[0], &ops, r, &r->gate,
	    (struct handle){ 1, 1 }, &peer, 1);
}

static void
rig_close(struct rig *r)
{
	if (r->committed) {
		intake_committed(&r->in, r->committed, 1, NOW);
		op_parcel_give(r, r->committed);
	}
	intake_free(&r->in);
	assert_int_equal(r->live, 0);
	assert_int_equal(atomic_load(&r->gate.staging_free), 64 << 20);
	buf_free(&r->out);
	buf_free(&r->spill);
}

static void
feed(struct rig *r, struct slice s)
{
	while (s.n > 0) {
		size_t n = intake_feed(&r->in, s, 1, NOW);

		s = slice_skip(s, n);
		if (n == 0)
			break;
	}
	assert_int_equal(s.n, 0);
}

/* A message in pieces: cut once, then by steps. */
static void
run(struct rig *r, struct slice dialogue, size_t cut, size_t step)
{
	feed(r, slice_of(dialogue.p, cut));
	for (size_t at = cut; at < dialogue.n; at += step)
		feed(r, slice_of(dialogue.p + at, MIN(step, dialogue.n - at)));
	assert_non_null(r->committed);
	assert_int_equal(r->env_bytes, r->out.n);
}

#define BEGIN                                                                  \
	"EHLO c.example\r\nMAIL FROM:<s@a.example>\r\n"                        \
	"RCPT TO:<r@b.example>\r\nDATA\r\n"

static const char keys_yml[] =
    "dkim:\n  key:\n"
    "    e1: { domain: a.example, selector: e1, file: k }\n"
    "    e2: { domain: b.example, selector: e2, file: k, from: \"*\",\n"
    "          header_canonicalization: simple, expire: 10d,\n"
    "          body_canonicalization: simple, identity: \"@x.b.example\" }\n"
    "    et: { domain: t.example, selector: et, file: k, from: \"*\",\n"
    "          tenant: acme }\n";

static void
emit(void *ctx, const char *p, size_t n)
{
	crypt_hash_add(ctx, p, n);
}

/* Verifies the signatures of what was committed; how many there are. */
static uint32_t
verify(struct slice message)
{
	struct slice rest = message, header = message, body;
	struct crypt_hash *hash = crypt_hash_new();
	uint8_t digest[CRYPT_SHA256_BYTES];
	uint32_t n = 0;
	struct hdr h;

	while (hdr_next(&rest, &h))
		assert_false(slice_has_iprefix(h.name, SL("X-MTA-")));
	header.n -= rest.n;
	body = slice_has_prefix(rest, SL("\r\n")) ? slice_skip(rest, 2) : rest;
	for (rest = header; hdr_next(&rest, &h); n++) {
		struct dkim_signature s;
		struct dkim_body b;
		const char *why;

		if (!slice_eq(h.name, SL("DKIM-Signature")))
			break;
		assert_int_equal(dkim_signature_read(h.value, &s, &why), 0);
		dkim_body_init(&b, s.body, emit, hash);
		dkim_body_add(&b, body);
		dkim_body_end(&b);
		crypt_hash_end(hash, digest);
		assert_memory_equal(digest, s.body_hash, sizeof(digest));
		assert_true(
		    dkim_signature_hash(&s, h.whole, header, emit, hash));
		crypt_hash_end(hash, digest);
		assert_true(crypt_verify(ed25519, digest, s.sig, s.nsig));
	}
	assert_true(n == 0 || slice_eq(h.name, SL("Received")));
	crypt_hash_free(hash);
	return n;
}

static void
check_splits(const char *text, uint32_t nsignatures)
{
	struct conf *c = read_conf(keys_yml);
	struct slice s = slice_str(text);
	struct keyring *keys;
	struct buf whole;
	struct rig r;

	assert_non_null(c);
	keys = ring_of(c);
	rig_open(&r, c, keys);
	run(&r, s, s.n, 1);
	assert_int_equal(verify(buf_slice(&r.out)), nsignatures);
	buf_init(&whole, 1u << 20);
	buf_adds(&whole, buf_slice(&r.out));
	rig_close(&r);
	for (size_t cut = 0; cut < s.n; cut++) {
		rig_open(&r, c, keys);
		run(&r, s, cut, s.n);
		assert_true(slice_eq(buf_slice(&r.out), buf_slice(&whole)));
		rig_close(&r);
	}
	rig_open(&r, c, keys);
	run(&r, s, 0, 1);
	assert_true(slice_eq(buf_slice(&r.out), buf_slice(&whole)));
	rig_close(&r);
	buf_free(&whole);
	keyring_give(keys);
	conf_free(c);
}

static void
every_split_is_signed_the_same(void **state)
{
	(void)state;
	check_splits(BEGIN "Subject: \t a \r\n b\r\nFrom: <x@a.example>\r\n"
			   "X-MTA-Tenant: acme\r\nReceived: x; y\r\nTo :z\r\n"
			   "\r\n..\r\n  a \t b \r\n...x\r\n\r\n \r\n\r\n.\r\n",
	    3);
	check_splits(BEGIN "From: x@c.example\r\n\r\n.\r\n", 1);
	check_splits(BEGIN "From: x@a.example\r\nSubject: no body\r\n.\r\n", 2);
	check_splits(BEGIN "From: x@a.example\r\nno field\r\n\r\ntext\r\n"
			   ".\r\n",
	    2);
	/* In chunks, the last one of which ends in the midst of a line. */
	check_splits("EHLO c.example\r\nMAIL FROM:<s@a.example>\r\n"
		     "RCPT TO:<r@b.example>\r\nBDAT 21\r\n"
		     "From: x@a.example\r\n\r\nBDAT 15 LAST\r\n"
		     "one  \r\n. no end",
	    2);
	check_splits(BEGIN "\r\nFrom: x@a.example\r\n.\r\n", 0);
	check_splits(BEGIN "Subject: no author\r\n\r\nx\r\n.\r\n", 0);
}

/* What has no room in memory is hashed all the same. */
static void
spilled_messages(void **state)
{
	static const size_t steps[] = { 1000, 65536, 262144, 300000, 900000 };
	struct conf *c = read_conf(keys_yml);
	struct keyring *keys = ring_of(c);
	struct buf text, first;

	(void)state;
	buf_init(&text, 2u << 20);
	buf_init(&first, 2u << 20);
	buf_addz(&text, BEGIN "From: x@a.example\r\n\r\n");
	while (text.n < 700000)
		buf_addf(&text, "line %zu \t of  many \r\n", text.n);
	buf_addz(&text, "\r\n\r\n.\r\n");
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct rig r;

		rig_open(&r, c, keys);
		run(&r, buf_slice(&text), 0, steps[i]);
		assert_true(r.spill.n > 0);
		assert_int_equal(r.committed->commit.nbody, 3);
		assert_int_equal(verify(buf_slice(&r.out)), 2);
		if (i == 0)
			buf_adds(&first, buf_slice(&r.out));
		assert_true(slice_eq(buf_slice(&r.out), buf_slice(&first)));
		rig_close(&r);
	}
	buf_free(&text);
	buf_free(&first);
	keyring_give(keys);
	conf_free(c);
}

/* A reload in the midst of a message: it is signed by what it began with. */
static void
a_reload_in_the_midst(void **state)
{
	struct conf *c = read_conf(keys_yml), *none = read_conf("");
	struct keyring *keys = ring_of(c), *empty = ring_of(none);
	const char *text = BEGIN "From: x@a.example\r\n\r\none\r\n";
	struct rig r;

	(void)state;
	rig_open(&r, c, keys);
	feed(&r, slice_str(text));
	r.keys = empty;
	intake_reload(&r.in, none);
	keyring_give(keys);
	feed(&r, SL("two\r\n.\r\n"));
	assert_non_null(r.committed);
	assert_int_equal(verify(buf_slice(&r.out)), 2);
	rig_close(&r);
	keyring_give(empty);
	conf_free(none);
	conf_free(c);
}

/* A message that is given up gives its keys back. */
static void
what_is_not_committed(void **state)
{
	struct conf *c = read_conf(keys_yml);
	struct keyring *keys = ring_of(c);
	int64_t before;
	struct rig r;

	(void)state;
	before = mem_live();
	rig_open(&r, c, keys);
	feed(&r, SL(BEGIN "From: x@a.example\r\n\r\none\r\n"));
	rig_close(&r);
	rig_open(&r, c, keys);
	feed(&r, SL(BEGIN "From: x@a.example\r\n\r\none\r\n"));
	r.has_room = false;
	feed(&r, SL(".\r\n"));
	assert_null(r.committed);
	assert_non_null(
	    memmem(buf_slice(&r.in.srv.out).p, r.in.srv.out.n, "452 4.3.1", 9));
	rig_close(&r);
	assert_int_equal(mem_live(), before);
	keyring_give(keys);
	conf_free(c);
}

static int
make_keys(void **state)
{
	(void)state;
	ed25519 = crypt_key_generate(CRYPT_ED25519, 0);
	rsa = crypt_key_generate(CRYPT_RSA, 1024);
	return ed25519 && rsa ? 0 : -1;
}

static int
drop_keys(void **state)
{
	(void)state;
	crypt_key_give(ed25519);
	crypt_key_give(rsa);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(which_keys_sign),
		cmocka_unit_test(what_makes_no_sense),
		cmocka_unit_test(an_expiry_that_mail_may_outlive),
		cmocka_unit_test(every_split_is_signed_the_same),
		cmocka_unit_test(spilled_messages),
		cmocka_unit_test(a_reload_in_the_midst),
		cmocka_unit_test(what_is_not_committed),
	};

	return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
