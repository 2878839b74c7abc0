/*
 * Keys and signatures: the vectors of RFC 8463 appendix A, made and verified
 * again, and keys that are refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base64.h"
#include "crypt/crypt.h"
#include "proto/proto.h"

/* RFC 8463 A.1 and A.2; the seed of Ed25519 is that of RFC 8032 7.1, test 1, here
 * as PKCS#8 (RFC 8410 7). */
static const char ed25519_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n";
static const char rsa_pem[] =
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIICXQIBAAKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi\n"
    "Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqM\n"
    "KrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB\n"
    "AoGAH0cxOhFZDgzXWhDhnAJDw5s4roOXN4OhjiXa8W7Y3rhX3FJqmJSPuC8N9vQm\n"
    "6SVbaLAE4SG5mLMueHlh4KXffEpuLEiNp9Ss3O4YfLiQpbRqE7Tm5SxKjvvQoZZe\n"
    "zHorimOaChRL2it47iuWxzxSiRMv4c+j70GiWdxXnxe4UoECQQDzJB/0U58W7RZy\n"
    "6enGVj2kWF732CoWFZWzi1FicudrBFoy63QwcowpoCazKtvZGMNlPWnC7x/6o8Gc\n"
    "uSe0ga2xAkEA8C7PipPm1/1fTRQvj1o/dDmZp243044ZNyxjg+/OPN0oWCbXIGxy\n"
    "WvmZbXriOWoSALJTjExEgraHEgnXssuk7QJBALl5ICsYMu6hMxO73gnfNayNgPxd\n"
    "WFV6Z7ULnKyV7HSVYF0hgYOHjeYe9gaMtiJYoo0zGN+L3AAtNP9huqkWlzECQE1a\n"
    "licIeVlo1e+qJ6Mgqr0Q7Aa7falZ448ccbSFYEPD6oFxiOl9Y9se9iYHZKKfIcst\n"
    "o7DUw1/hz2Ck4N5JrgUCQQCyKveNvjzkkd8HjYs0SwM0fPjK16//5qDZ2UiDGnOe\n"
    "uEzxBDAr518Z8VFbR41in3W4Y3yCDgQlLlcETrS+zYcL\n"
    "-----END RSA PRIVATE KEY-----\n";
static const char ed25519_record[] =
    "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
static const char rsa_record[] =
    "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6N"
    "pP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8u"
    "BsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4"
    "w3QIDAQAB";

/* RFC 8463 A.3. */
#define FIELD_ED25519                                                          \
	"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"        \
	" d=football.example.com; i=@football.example.com;\r\n"                \
	" q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"              \
	" subject : date : message-id : from : subject : date;\r\n"            \
	" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"                \
	" b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n"      \
	" Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
#define FIELD_RSA                                                              \
	"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"            \
	" d=football.example.com; i=@football.example.com;\r\n"                \
	" q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"        \
	" date : message-id : from : subject : date;\r\n"                      \
	" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"                \
	" b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n"      \
	" DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n"      \
	" dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n"
static const char header[] =
    "From: Joe SixPack <joe@football.example.com>\r\n"
    "To: Suzie Q <suzie@shopping.example.net>\r\n"
    "Subject: Is dinner ready?\r\n"
    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n";
static const char body[] = "Hi.\r\n\r\nWe lost the game.  Are you hungry "
			   "yet?\r\n\r\nJoe.\r\n";

static void
emit(void *ctx, const char *p, size_t n)
{
	crypt_hash_add(ctx, p, n);
}

static struct crypt_key *
published(const char *record)
{
	struct dkim_record r;
	struct crypt_key *k;
	const char *why;
	struct buf key;

	buf_init(&key, 4096);
	assert_int_equal(dkim_record_read(slice_str(record), &r, &why), 0);
	assert_int_equal(base64_decode(r.key, &key), 0);
	k = crypt_key_public(r.algorithm == DKIM_RSA_SHA256 ? CRYPT_RSA :
							      CRYPT_ED25519,
	    buf_slice(&key), &why);
	assert_non_null(k);
	buf_free(&key);
	return k;
}

/* The vector's signature is ours, byte for byte, and its key verifies it. */
static void
check_vector(const char *field, const char *pem, const char *record)
{
	uint8_t digest[CRYPT_SHA256_BYTES], sig[CRYPT_SIGNATURE_MAX];
	struct crypt_hash *hash = crypt_hash_new();
	struct slice rest = slice_str(field);
	struct crypt_key *secret, *open;
	struct dkim_signature s;
	struct dkim_body b;
	const char *why;
	struct hdr h;

	assert_non_null(hash);
	assert_true(hdr_next(&rest, &h));
	assert_int_equal(dkim_signature_read(h.value, &s, &why), 0);
	dkim_body_init(&b, s.body, emit, hash);
	dkim_body_add(&b, slice_str(body));
	dkim_body_end(&b);
	crypt_hash_end(hash, digest);
	assert_memory_equal(digest, s.body_hash, sizeof(digest));
	assert_true(
	    dkim_signature_hash(&s, h.whole, slice_str(header), emit, hash));
	crypt_hash_end(hash, digest);
	secret = crypt_key_read(slice_str(pem), &why);
	assert_non_null(secret);
	assert_int_equal(crypt_sign(secret, digest, sig), 0);
	assert_int_equal(crypt_key_signature_bytes(secret), s.nsig);
	assert_memory_equal(sig, s.sig, s.nsig);
	open = published(record);
	assert_true(crypt_verify(open, digest, sig, s.nsig));
	sig[7] ^= 1;
	assert_false(crypt_verify(open, digest, sig, s.nsig));
	sig[7] ^= 1;
	digest[7] ^= 1;
	assert_false(crypt_verify(open, digest, sig, s.nsig));
	crypt_key_give(open);
	crypt_key_give(secret);
	crypt_hash_free(hash);
}

static void
the_vectors_of_rfc_8463(void **state)
{
	(void)state;
	check_vector(FIELD_ED25519, ed25519_pem, ed25519_record);
	check_vector(FIELD_RSA, rsa_pem, rsa_record);
}

static void
what_is_published(void **state)
{
	static const char *const v[][2] = { { ed25519_pem, ed25519_record },
		{ rsa_pem, rsa_record } };

	(void)state;
	for (int i = 0; i < 2; i++) {
		const char *why;
		struct crypt_key *k = crypt_key_read(slice_str(v[i][0]), &why);
		struct buf key, out;

		buf_init(&key, 4096);
		buf_init(&out, 4096);
		assert_int_equal(crypt_key_publish(k, &key), 0);
		assert_int_equal(dkim_record_write(&out,
				     i ? DKIM_RSA_SHA256 : DKIM_ED25519_SHA256,
				     buf_slice(&key).p, key.n),
		    0);
		assert_true(slice_eq(buf_slice(&out), slice_str(v[i][1])));
		buf_free(&key);
		buf_free(&out);
		crypt_key_give(k);
	}
}

/* A key that was made is written, read again, and signs the same. */
static void
keys_that_are_made(void **state)
{
	static const uint32_t bits[] = { 0, 2048 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct crypt_key *a, *b;
		uint8_t digest[CRYPT_SHA256_BYTES] = { 42 };
		uint8_t sa[CRYPT_SIGNATURE_MAX], sb[CRYPT_SIGNATURE_MAX];
		const char *why;
		struct buf pem;

		a = crypt_key_generate(i ? CRYPT_RSA : CRYPT_ED25519, bits[i]);
		assert_non_null(a);
		buf_init(&pem, CRYPT_KEY_BYTES_MAX);
		assert_int_equal(crypt_key_write(a, &pem), 0);
		b = crypt_key_read(buf_slice(&pem), &why);
		assert_non_null(b);
		assert_int_equal(crypt_key_kind(b),
		    i ? CRYPT_RSA : CRYPT_ED25519);
		assert_int_equal(crypt_key_bits(b), i ? 2048 : 256);
		assert_int_equal(crypt_sign(a, digest, sa), 0);
		assert_int_equal(crypt_sign(b, digest, sb), 0);
		assert_memory_equal(sa, sb, crypt_key_signature_bytes(a));
		crypt_key_give(a);
		crypt_key_give(b);
		buf_free(&pem);
	}
}

static void
keys_that_are_none(void **state)
{
	static char cut[sizeof(rsa_pem)];
	const char *why = NULL;
	struct crypt_key *small;

	(void)state;
	assert_null(crypt_key_read(SL(""), &why));
	assert_non_null(strstr(why, "PEM"));
	assert_null(crypt_key_read(SL("-----BEGIN CERTIFICATE-----\n"), &why));
	memcpy(cut, rsa_pem, sizeof(cut));
	cut[300] = '!';
	assert_null(crypt_key_read(slice_str(cut), &why));
	for (size_t n = 0; n < sizeof(rsa_pem) - 2; n += 7)
		assert_null(crypt_key_read(slice_of(rsa_pem, n), &why));
	/* RFC 8301 3.2. */
	small = crypt_key_generate(CRYPT_RSA, 768);
	assert_null(small);
	assert_null(crypt_key_public(CRYPT_ED25519, SL("short"), &why));
	assert_null(crypt_key_public(CRYPT_RSA, SL("\x30\x03\x01"), &why));
}

/* The empty digest, and that an end begins again (FIPS 180-4). */
static void
digests(void **state)
{
	static const uint8_t none[] = { 0xe3, 0xb0, 0xc4, 0x42 };
	static const uint8_t abc[] = { 0xba, 0x78, 0x16, 0xbf };
	struct crypt_hash *h = crypt_hash_new();
	uint8_t d[CRYPT_SHA256_BYTES];

	(void)state;
	crypt_hash_end(h, d);
	assert_memory_equal(d, none, 4);
	crypt_hash_add(h, "a", 1);
	crypt_hash_add(h, "bc", 2);
	crypt_hash_end(h, d);
	assert_memory_equal(d, abc, 4);
	crypt_hash_end(h, d);
	assert_memory_equal(d, none, 4);
	crypt_hash_free(h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_of_rfc_8463),
		cmocka_unit_test(what_is_published),
		cmocka_unit_test(keys_that_are_made),
		cmocka_unit_test(keys_that_are_none),
		cmocka_unit_test(digests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
