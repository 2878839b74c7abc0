/*
 * relay/intake_auth.c - logging in: SCRAM-SHA-256 (RFC 5802, 7677), PLAIN (RFC
 * 4616) and LOGIN.
 *
 * A name that is not known is answered as a wrong password is, and after as much
 * work: SCRAM gives it a salt of its own, always the same, that only this host
 * can make. What a client says about its password is wiped as soon as it has
 * been looked at, and is written nowhere.
 */
#include "base/base64.h"
#include "crypt/crypt.h"
#include "relay/intake_i.h"
#include "relay/relay.h"

#define SAID_MAX LOGIN_SAID_MAX
#define LOGIN_MAX LOGIN_WHO_MAX
#define NONCE_BYTES 18

enum step { STEP_FIRST, STEP_PASSWORD, STEP_PROOF, STEP_END };

struct sasl {
	enum step step;
	char name[LOGIN_WHO_MAX + 1];
	/* SCRAM: what both sides sign, as far as it has come; the nonce. */
	struct buf signed_by_both;
	struct login *login; /* the answer, or NULL */
	char nonce[128];
	uint8_t answer[CRYPT_SHA256_BYTES];
};

void
intake_auth_free(struct intake *in)
{
	if (in->sasl == NULL)
		return;
	buf_free(&in->sasl->signed_by_both);
	login_free(in->sasl->login);
	mem_free(in->sasl);
	in->sasl = NULL;
}

static void
done(struct intake *in, int code, const char *enh, struct slice text)
{
	intake_auth_free(in);
	smtp_srv_auth_done(&in->srv, code, enh, text);
}

static void
malformed(struct intake *in)
{
	done(in, 501, "5.5.2", SL("Cannot be understood"));
}

/* The name is somebody's, and it is him; or not. */
static void
judge(struct intake *in, bool is_right)
{
	struct login *l = in->sasl->login;

	if (!is_right || l->account == NULL) {
		done(in, 535, "5.7.8", SL("Wrong name or password"));
		return;
	}
	if (l->account->pool.n > 0 &&
	    !conf_has_pool(in->conf, l->account->pool)) {
		/* Of a file, which nobody has checked. */
		done(in, 454, "4.7.0",
		    SL("Your account names no pool of this host"));
		return;
	}
	mem_free(in->owned);
	in->owned = l->owned;
	l->owned = NULL;
	intake_account_begin(in, l->account);
	done(in, 235, "2.7.0", SL("Welcome"));
}

/* ---- the secret of a name ------------------------------------------------ */

static struct slice
bytes(const uint8_t *p, size_t n)
{
	return slice_of((const char *)p, n);
}

static void
busy(struct intake *in)
{
	done(in, 454, "4.7.0", SL("Too many log in just now, try again later"));
}

/* Asks who that is, and if a password is given whether it is his; the answer
 * comes to intake_login. */
static void
ask_who(struct intake *in, const struct slice *password)
{
	struct login *l = mem_try(sizeof(*l));

	if (l == NULL) {
		busy(in);
		return;
	}
	slice_copy(slice_str(in->sasl->name), l->name, sizeof(l->name));
	l->tries = password != NULL;
	if (password)
		l->password_n =
		    slice_copy(*password, l->password, sizeof(l->password));
	if (in->ops->login == NULL) {
		login_by_conf(l, in->conf);
		intake_login(in, l);
	} else if (!in->ops->login(in->ctx, l)) {
		login_free(l);
		busy(in);
	}
}

static void
try_password(struct intake *in, struct slice password)
{
	ask_who(in, &password);
}

static bool
take_name(struct intake *in, struct slice name)
{
	if (name.n == 0 || name.n > LOGIN_MAX ||
	    memchr(name.p, '\0', name.n) != NULL)
		return false;
	slice_copy(name, in->sasl->name, sizeof(in->sasl->name));
	return true;
}

static void
ask(struct intake *in, struct slice text)
{
	char digits[BASE64_BYTES(512)];

	ASSERT(text.n <= 512);
	smtp_srv_auth_more(&in->srv,
	    slice_of(digits, base64_encode(digits, text.p, text.n)));
}

/* ---- PLAIN and LOGIN -------------------------------------------------------- */

/* [authorization id] NUL name NUL password. Nobody speaks for another. */
static void
plain(struct intake *in, struct slice said)
{
	struct slice rest = said, as, name;

	if (said.p == NULL) {
		ask(in, SL(""));
		return;
	}
	as = slice_cut(&rest, '\0');
	name = slice_cut(&rest, '\0');
	if (rest.p == NULL || (as.n > 0 && !slice_eq(as, name)) ||
	    !take_name(in, name))
		malformed(in);
	else
		try_password(in, rest);
}

static void
login(struct intake *in, struct slice said)
{
	if (in->sasl->step == STEP_PASSWORD) {
		try_password(in, said);
	} else if (said.p == NULL) {
		ask(in, SL("Username:"));
	} else if (!take_name(in, said)) {
		malformed(in);
	} else {
		in->sasl->step = STEP_PASSWORD;
		ask(in, SL("Password:"));
	}
}

/* ---- SCRAM-SHA-256 ------------------------------------------------------------ */

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

/* "=2C" and "=3D" are a comma and "=" (RFC 5802 5.1). */
static bool
scram_name(struct intake *in, struct slice value)
{
	char name[LOGIN_MAX + 1];
	size_t n = 0;

	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];

		if (n == LOGIN_MAX)
			return false;
		if (c == '=') {
			struct slice hex = slice_skip(value, i + 1);

			if (slice_has_prefix(hex, SL("2C")))
				c = ',';
			else if (!slice_has_prefix(hex, SL("3D")))
				return false;
			i += 2;
		}
		name[n++] = c;
	}
	return take_name(in, slice_of(name, n));
}

/* gs2-header: no channel binding, and nobody else's name. */
static bool
gs2_skip(struct slice *said)
{
	struct slice flag = slice_cut(said, ','), as = slice_cut(said, ',');

	return said->p != NULL && as.n == 0 &&
	    (slice_eq(flag, SL("n")) || slice_eq(flag, SL("y")));
}

/* The client's nonce and ours. */
static bool
make_nonce(struct intake *in, struct slice theirs)
{
	struct sasl *s = in->sasl;
	uint8_t random[NONCE_BYTES];
	size_t n;

	if (theirs.n == 0 ||
	    theirs.n + BASE64_BYTES(NONCE_BYTES) >= sizeof(s->nonce) ||
	    !in->ops->random(in->ctx, random, sizeof(random)))
		return false;
	n = slice_copy(theirs, s->nonce, sizeof(s->nonce));
	n += base64_encode(s->nonce + n, random, sizeof(random));
	s->nonce[n] = '\0';
	return true;
}

static void
scram_first(struct intake *in, struct slice said)
{
	struct buf *both = &in->sasl->signed_by_both;
	struct slice bare, name, nonce;

	if (!gs2_skip(&said)) {
		malformed(in);
		return;
	}
	bare = said;
	if (!attribute(&said, 'n', &name) || !attribute(&said, 'r', &nonce) ||
	    !scram_name(in, name) || !make_nonce(in, nonce) ||
	    buf_adds(both, bare) || buf_addc(both, ','))
		malformed(in);
	else
		ask_who(in, NULL);
}

/* The name's salt and rounds are known. */
static void
scram_challenge(struct intake *in)
{
	struct sasl *s = in->sasl;
	const struct conf_account *a = &s->login->kept;
	struct buf *both = &s->signed_by_both;
	char salt[BASE64_BYTES(CONF_SALT_MAX)];
	size_t first = both->n;

	if (buf_addf(both, "r=%s,s=%.*s,i=%u", s->nonce,
		(int)base64_encode(salt, a->salt, a->salt_n), salt,
		a->iterations)) {
		malformed(in);
		return;
	}
	s->step = STEP_PROOF;
	ask(in, slice_skip(buf_slice(both), first));
}

/* Is it the proof of one who knows the password (RFC 5802 3)? Our own goes to
 * s->answer. */
static bool
is_proof(struct sasl *s, const struct conf_account *a, struct slice digits)
{
	struct slice text = buf_slice(&s->signed_by_both);
	uint8_t key[CRYPT_SHA256_BYTES], stored[CRYPT_SHA256_BYTES];
	struct buf proof;
	bool is_whole;

	buf_init(&proof, CRYPT_SHA256_BYTES);
	is_whole =
	    base64_decode(digits, &proof) == 0 && proof.n == CRYPT_SHA256_BYTES;
	crypt_hmac(bytes(a->stored_key, sizeof(a->stored_key)), text, key);
	for (size_t i = 0; is_whole && i < sizeof(key); i++)
		key[i] ^= (uint8_t)proof.p[proof.off + i];
	buf_free(&proof);
	crypt_digest(bytes(key, sizeof(key)), stored);
	crypt_hmac(bytes(a->server_key, sizeof(a->server_key)), text,
	    s->answer);
	return is_whole && crypt_is_same(stored, a->stored_key);
}

static void
scram_proof(struct intake *in, struct slice said)
{
	struct sasl *s = in->sasl;
	struct slice rest = said, binding, nonce, proof;
	char text[2 + BASE64_BYTES(CRYPT_SHA256_BYTES)] = "v=";
	size_t n;

	/* The binding is "n,," or "y,,", in base64. */
	if (!attribute(&rest, 'c', &binding) ||
	    !attribute(&rest, 'r', &nonce) || !attribute(&rest, 'p', &proof) ||
	    (!slice_eq(binding, SL("biws")) &&
		!slice_eq(binding, SL("eSws")))) {
		malformed(in);
		return;
	}
	n = (size_t)(proof.p - said.p) - strlen(",p=");
	if (!slice_eq(nonce, slice_str(s->nonce)) ||
	    buf_addc(&s->signed_by_both, ',') ||
	    buf_adds(&s->signed_by_both, slice_of(said.p, n)) ||
	    !is_proof(s, &s->login->kept, proof)) {
		judge(in, false);
		return;
	}
	s->step = STEP_END;
	n = 2 + base64_encode(text + 2, s->answer, sizeof(s->answer));
	ask(in, slice_of(text, n));
}

static void
scram(struct intake *in, struct slice said)
{
	switch (in->sasl->step) {
	case STEP_FIRST:
		if (said.p == NULL)
			ask(in, SL(""));
		else
			scram_first(in, said);
		return;
	case STEP_PROOF:
		scram_proof(in, said);
		return;
	default: /* our answer has been seen */
		judge(in, true);
	}
}

/* ---- one line ------------------------------------------------------------------- */

void
intake_login(struct intake *in, struct login *l)
{
	struct sasl *s = in->sasl;

	if (s == NULL || s->login != NULL) { /* it was given up */
		login_free(l);
		return;
	}
	s->login = l;
	if (l->is_broken)
		done(in, 454, "4.7.0",
		    SL("Accounts cannot be read, try again later"));
	else if (l->tries)
		judge(in, l->is_right);
	else
		scram_challenge(in);
}

static void
hear(struct intake *in, struct slice said)
{
	if (slice_ieq(in->srv.mechanism, SL("PLAIN")))
		plain(in, said);
	else if (slice_ieq(in->srv.mechanism, SL("LOGIN")))
		login(in, said);
	else
		scram(in, said);
}

static bool
begin(struct intake *in)
{
	intake_auth_free(in); /* one that was given up */
	in->sasl = mem_try(sizeof(*in->sasl));
	if (in->sasl != NULL)
		buf_init(&in->sasl->signed_by_both, 3 * SAID_MAX);
	return in->sasl != NULL;
}

void
intake_auth(struct intake *in)
{
	uint8_t said[SAID_MAX + 1];
	struct slice none = { NULL, 0 };
	struct buf b;

	if (in->srv.auth_begins && !begin(in)) {
		done(in, 454, "4.7.0", SL("Try again later"));
		return;
	}
	if (in->srv.auth.p == NULL) {
		hear(in, none);
		return;
	}
	buf_init(&b, SAID_MAX);
	if (base64_decode(in->srv.auth, &b) != 0) {
		malformed(in);
	} else {
		memcpy(said, b.p ? b.p + b.off : "", b.n);
		hear(in, slice_of((char *)said, b.n));
		explicit_bzero(said, b.n);
	}
	if (b.cap > 0)
		explicit_bzero(b.p, b.cap);
	buf_free(&b);
}
