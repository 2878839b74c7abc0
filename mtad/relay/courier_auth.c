/*
 * relay/courier_auth.c - logging in at a smart host: SCRAM-SHA-256 (RFC 5802,
 * 7677), PLAIN (RFC 4616) and LOGIN, in this order as far as it offers them.
 *
 * What a host answers is a stranger's: bounded, and with SCRAM it has to prove
 * that it knows the password too. Nothing of the password is kept here beyond
 * the line that it goes out with.
 */
#include "base/base64.h"
#include "crypt/crypt.h"
#include "relay/courier_i.h"
#include "relay/relay.h"

#define NONCE_BYTES 18
#define SAID_MAX 512 /* bytes of a challenge, decoded */
/* The work of a login is the host's to ask for: 70 ms at most. */
#define ITERATIONS_MAX 200000
#define LINE_MAX_BYTES 4096

enum step {
	STEP_OFFER,
	STEP_LOGIN_NAME,
	STEP_LOGIN_PASSWORD,
	STEP_PLAIN,
	STEP_SCRAM_FIRST,
	STEP_SCRAM_FINAL,
	STEP_PROVED
};

struct sasl_out {
	enum step step;
	bool is_scram;
	char nonce[BASE64_BYTES(NONCE_BYTES) + 1];
	struct buf both;                    /* what both sides sign */
	uint8_t server[CRYPT_SHA256_BYTES]; /* the proof that is expected */
};

void
courier_auth_free(struct sasl_out *s)
{
	if (s == NULL)
		return;
	buf_free(&s->both);
	mem_free(s);
}

static struct slice
bytes(const uint8_t *p, size_t n)
{
	return slice_of((const char *)p, n);
}

/* prefix and, behind it, text in base64. An empty text is "=" where it stands
 * behind a command. */
static void
say(struct smtp_cli *cli, const char *prefix, struct slice text, int64_t now_us)
{
	char digits[BASE64_BYTES(LINE_MAX_BYTES)];
	struct buf line;

	ASSERT(text.n <= LINE_MAX_BYTES);
	buf_init(&line, 2 * LINE_MAX_BYTES);
	buf_addz(&line, prefix);
	buf_add(&line, digits, base64_encode(digits, text.p, text.n));
	smtp_cli_auth_say(cli, buf_slice(&line), now_us);
	if (line.p != NULL)
		explicit_bzero(line.p, line.cap);
	explicit_bzero(digits, sizeof(digits));
	buf_free(&line);
}

static bool
offers(struct slice mechanisms, const char *name)
{
	while (mechanisms.n > 0)
		if (slice_ieq(slice_cut(&mechanisms, ' '), slice_str(name)))
			return true;
	return false;
}

/* ---- PLAIN and LOGIN -------------------------------------------------------- */

static void
plain(struct smtp_cli *cli, const struct smtp_cli_conf *conf, int64_t now_us)
{
	struct buf b;

	buf_init(&b, LINE_MAX_BYTES);
	buf_addc(&b, '\0');
	buf_adds(&b, conf->user);
	buf_addc(&b, '\0');
	buf_adds(&b, conf->password);
	say(cli, "AUTH PLAIN ", buf_slice(&b), now_us);
	if (b.p != NULL)
		explicit_bzero(b.p, b.cap);
	buf_free(&b);
}

/* ---- SCRAM-SHA-256 ------------------------------------------------------------ */

/* "=2C" and "=3D" are a comma and "=" (RFC 5802 5.1). */
static void
add_name(struct buf *out, struct slice name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] == ',')
			buf_addz(out, "=2C");
		else if (name.p[i] == '=')
			buf_addz(out, "=3D");
		else
			buf_addc(out, name.p[i]);
}

static const char *
scram_begin(struct sasl_out *s, struct smtp_cli *cli,
    const struct smtp_cli_conf *conf, const struct courier_ops *ops, void *ctx,
    int64_t now_us)
{
	uint8_t random[NONCE_BYTES];
	struct buf first;

	if (!ops->random(ctx, random, sizeof(random)))
		return "there is no randomness";
	s->nonce[base64_encode(s->nonce, random, sizeof(random))] = '\0';
	buf_adds(&s->both, SL("n="));
	add_name(&s->both, conf->user);
	buf_addf(&s->both, ",r=%s", s->nonce);
	buf_init(&first, LINE_MAX_BYTES);
	buf_adds(&first, SL("n,,"));
	buf_adds(&first, buf_slice(&s->both));
	say(cli, "AUTH SCRAM-SHA-256 ", buf_slice(&first), now_us);
	buf_free(&first);
	s->is_scram = true;
	s->step = STEP_SCRAM_FIRST;
	return NULL;
}

/* The value of the attribute that *rest begins with, up to the comma. */
static bool
attribute(struct slice *rest, char name, struct slice *value)
{
	struct slice part = slice_cut(rest, ',');

	if (part.n < 2 || part.p[0] != name || part.p[1] != '=')
		return false;
	*value = slice_skip(part, 2);
	return true;
}

/* Both proofs: ours in base64, and the server's that has to come. */
static bool
prove(struct sasl_out *s, struct slice password, struct slice salt,
    uint32_t iterations, char digits[BASE64_BYTES(CRYPT_SHA256_BYTES) + 1])
{
	struct slice text = buf_slice(&s->both);
	uint8_t salted[CRYPT_SHA256_BYTES], key[CRYPT_SHA256_BYTES];
	uint8_t stored[CRYPT_SHA256_BYTES], sign[CRYPT_SHA256_BYTES];

	if (crypt_pbkdf2(password, salt, iterations, salted) != 0)
		return false;
	crypt_hmac(bytes(salted, sizeof(salted)), SL("Client Key"), key);
	crypt_digest(bytes(key, sizeof(key)), stored);
	crypt_hmac(bytes(stored, sizeof(stored)), text, sign);
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] ^= sign[i];
	digits[base64_encode(digits, key, sizeof(key))] = '\0';
	crypt_hmac(bytes(salted, sizeof(salted)), SL("Server Key"), key);
	crypt_hmac(bytes(key, sizeof(key)), text, s->server);
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(key, sizeof(key));
	return true;
}

static const char *
scram_proof(struct sasl_out *s, struct smtp_cli *cli,
    const struct smtp_cli_conf *conf, struct slice said, int64_t now_us)
{
	struct slice rest = said, nonce, digits, count, ours;
	char proof[BASE64_BYTES(CRYPT_SHA256_BYTES) + 1];
	uint64_t iterations;
	struct buf salt;
	size_t at;
	bool ok;

	if (!attribute(&rest, 'r', &nonce) || !attribute(&rest, 's', &digits) ||
	    !attribute(&rest, 'i', &count) ||
	    slice_u64(count, UINT32_MAX, &iterations) != 0 || iterations == 0)
		return "the host's challenge cannot be understood";
	if (nonce.n <= strlen(s->nonce) ||
	    !slice_has_prefix(nonce, slice_str(s->nonce)))
		return "the host's challenge is not for us";
	if (iterations > ITERATIONS_MAX)
		return "the host asks for more work than a login is worth";
	buf_addc(&s->both, ',');
	buf_adds(&s->both, said);
	buf_addc(&s->both, ',');
	at = s->both.n;
	buf_addf(&s->both, "c=biws,r=%.*s", SLF(nonce));
	buf_init(&salt, SAID_MAX);
	ok = base64_decode(digits, &salt) == 0 && salt.n > 0 &&
	    prove(s, conf->password, buf_slice(&salt), (uint32_t)iterations,
		proof);
	buf_free(&salt);
	if (!ok)
		return "the host's challenge cannot be understood";
	ours = slice_skip(buf_slice(&s->both), at);
	buf_init(&salt, LINE_MAX_BYTES);
	buf_addf(&salt, "%.*s,p=%s", SLF(ours), proof);
	say(cli, "", buf_slice(&salt), now_us);
	buf_free(&salt);
	s->step = STEP_SCRAM_FINAL;
	return NULL;
}

static const char *
scram_final(struct sasl_out *s, struct smtp_cli *cli, struct slice said,
    int64_t now_us)
{
	struct slice rest = said, digits;
	struct buf proof;
	bool ok;

	buf_init(&proof, SAID_MAX);
	ok = attribute(&rest, 'v', &digits) &&
	    base64_decode(digits, &proof) == 0 &&
	    proof.n == CRYPT_SHA256_BYTES &&
	    crypt_is_same((const uint8_t *)buf_slice(&proof).p, s->server);
	buf_free(&proof);
	if (!ok)
		return "the host cannot prove that it knows the password";
	s->step = STEP_PROVED;
	say(cli, "", slice_of("", 0), now_us);
	return NULL;
}

/* ---- turns ------------------------------------------------------------------------ */

static const char *
begin(struct sasl_out *s, struct smtp_cli *cli,
    const struct smtp_cli_conf *conf, struct slice mechanisms,
    const struct courier_ops *ops, void *ctx, int64_t now_us)
{
	if (ops->random != NULL && offers(mechanisms, "SCRAM-SHA-256"))
		return scram_begin(s, cli, conf, ops, ctx, now_us);
	if (offers(mechanisms, "PLAIN")) {
		s->step = STEP_PLAIN;
		plain(cli, conf, now_us);
		return NULL;
	}
	if (!offers(mechanisms, "LOGIN"))
		return "the host offers no way that we know";
	s->step = STEP_LOGIN_NAME;
	smtp_cli_auth_say(cli, SL("AUTH LOGIN"), now_us);
	return NULL;
}

static const char *
challenged(struct sasl_out *s, struct smtp_cli *cli,
    const struct smtp_cli_conf *conf, struct slice said, int64_t now_us)
{
	switch (s->step) {
	case STEP_LOGIN_NAME:
		s->step = STEP_LOGIN_PASSWORD;
		say(cli, "", conf->user, now_us);
		return NULL;
	case STEP_LOGIN_PASSWORD:
		s->step = STEP_PLAIN;
		say(cli, "", conf->password, now_us);
		return NULL;
	case STEP_SCRAM_FIRST:
		return scram_proof(s, cli, conf, said, now_us);
	case STEP_SCRAM_FINAL:
		return scram_final(s, cli, said, now_us);
	default:
		return "the host asks for more than we have to say";
	}
}

void
courier_auth(struct sasl_out **sasl, struct smtp_cli *cli,
    const struct smtp_cli_conf *conf, const struct courier_ops *ops, void *ctx,
    int64_t now_us)
{
	struct slice text;
	uint16_t code = smtp_cli_auth_asks(cli, &text);
	const char *why = NULL;
	struct buf said;

	if (*sasl == NULL && (*sasl = mem_try(sizeof(**sasl))) != NULL)
		buf_init(&(*sasl)->both, LINE_MAX_BYTES);
	if (*sasl == NULL) {
		smtp_cli_auth_end(cli, SL("out of memory"), now_us);
		return;
	}
	if (code == 235) {
		if ((*sasl)->is_scram && (*sasl)->step != STEP_PROVED)
			why = "the host has not proved that it knows the "
			      "password";
		smtp_cli_auth_end(cli, slice_str(why), now_us);
		return;
	}
	if (code == 0) {
		why = begin(*sasl, cli, conf, text, ops, ctx, now_us);
	} else {
		buf_init(&said, SAID_MAX);
		if (base64_decode(text, &said) != 0)
			why = "the host's challenge cannot be understood";
		else
			why = challenged(*sasl, cli, conf, buf_slice(&said),
			    now_us);
		buf_free(&said);
	}
	if (why != NULL)
		smtp_cli_auth_end(cli, slice_str(why), now_us);
}
