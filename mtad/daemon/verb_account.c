/*
 * daemon/verb_account.c - `mtad account NAME`: what the configuration keeps of
 * a password.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <termios.h>
#include <unistd.h>

#include "base/base64.h"
#include "conf/conf.h"
#include "crypt/crypt.h"
#include "daemon/verb_account_i.h"
#include "daemon/verb_i.h"
#include "daemon/verbs.h"

#define PASSWORD_MAX ACCOUNT_PASSWORD_MAX
#define SALT_BYTES 16
#define TOKEN_BYTES 32

static const char usage[] =
    "usage: mtad account [--iterations N] NAME\n"
    "       mtad account --token NAME\n"
    "       mtad account add|list|remove ... (see mtad account add --help)\n"
    "\n"
    "Reads a password from standard input (from a terminal: twice, without\n"
    "showing it) and prints an entry for `account` in the configuration, with\n"
    "which clients log in at a listener with `auth`. The password cannot be\n"
    "told from it.\n"
    "\n"
    "  --iterations N   rounds that make guessing dear (4096 to 1000000)\n"
    "  --token          make a token for the HTTP door (injection.md): prints\n"
    "                   an entry for `token`, and the token itself once, as a\n"
    "                   comment\n"
    "\n"
    "exit status: 0 done, 1 no password or no randomness, 2 wrong usage\n";

/* One line without its end; false: there is none, or it is too long. */
static bool
read_line(const char *prompt, char line[PASSWORD_MAX + 2])
{
	struct termios shown, hidden;
	bool is_terminal = tcgetattr(STDIN_FILENO, &shown) == 0, is_read;
	size_t n;

	if (is_terminal) {
		fputs(prompt, stderr);
		hidden = shown;
		hidden.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	}
	is_read = fgets(line, PASSWORD_MAX + 2, stdin) != NULL;
	if (is_terminal) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
		fputc('\n', stderr);
	}
	n = is_read ? strlen(line) : 0;
	if (n > 0 && line[n - 1] == '\n')
		line[--n] = '\0';
	return n > 0 && n <= PASSWORD_MAX;
}

static int
read_password(char line[PASSWORD_MAX + 2])
{
	char again[PASSWORD_MAX + 2];
	int status = VERB_OK;

	if (!read_line("password: ", line)) {
		fprintf(stderr, "mtad account: no password of 1 to %d bytes\n",
		    PASSWORD_MAX);
		return VERB_FAILED;
	}
	if (isatty(STDIN_FILENO) &&
	    (!read_line("again: ", again) || strcmp(line, again) != 0)) {
		fputs("mtad account: they differ\n", stderr);
		status = VERB_FAILED;
	}
	explicit_bzero(again, sizeof(again));
	return status;
}

static void
add_digits(struct buf *out, const void *p, size_t n)
{
	char digits[BASE64_BYTES(64)];

	buf_add(out, digits, base64_encode(digits, p, n));
}

/* RFC 5802 3. */
static int
make_secret(struct slice password, uint32_t iterations,
    char dst[ACCOUNT_SECRET_MAX])
{
	uint8_t salt[SALT_BYTES], salted[CRYPT_SHA256_BYTES];
	uint8_t key[CRYPT_SHA256_BYTES], stored[CRYPT_SHA256_BYTES];
	uint8_t server[CRYPT_SHA256_BYTES];
	struct slice of = slice_of((const char *)salted, sizeof(salted));
	struct buf out;

	if (getrandom(salt, sizeof(salt), 0) != sizeof(salt) ||
	    crypt_pbkdf2(password, slice_of((char *)salt, sizeof(salt)),
		iterations, salted) != 0) {
		fputs("mtad account: no randomness, or no memory\n", stderr);
		return VERB_FAILED;
	}
	crypt_hmac(of, SL("Client Key"), key);
	crypt_digest(slice_of((char *)key, sizeof(key)), stored);
	crypt_hmac(of, SL("Server Key"), server);
	buf_init(&out, ACCOUNT_SECRET_MAX - 1);
	buf_addf(&out, "SCRAM-SHA-256$%u:", iterations);
	add_digits(&out, salt, sizeof(salt));
	buf_addc(&out, '$');
	add_digits(&out, stored, sizeof(stored));
	buf_addc(&out, ':');
	add_digits(&out, server, sizeof(server));
	slice_copy(buf_slice(&out), dst, ACCOUNT_SECRET_MAX);
	buf_free(&out);
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(key, sizeof(key));
	return VERB_OK;
}

/* 256 bits, in digits that need no quotes anywhere. */
static int
print_token(const char *name)
{
	uint8_t random[TOKEN_BYTES], digest[CRYPT_SHA256_BYTES];
	char token[BASE64_BYTES(TOKEN_BYTES)];
	char digits[BASE64_BYTES(CRYPT_SHA256_BYTES)];
	size_t n;

	if (getrandom(random, sizeof(random), 0) != sizeof(random)) {
		fputs("mtad account: no randomness\n", stderr);
		return VERB_FAILED;
	}
	n = base64_encode(token, random, sizeof(random));
	while (n > 0 && token[n - 1] == '=')
		n--;
	for (size_t i = 0; i < n; i++)
		token[i] = token[i] == '+' ? '-' :
		    token[i] == '/'        ? '_' :
					     token[i];
	crypt_digest(slice_of(token, n), digest);
	printf("  # %.*s\n  \"%s\": { hash: \"SHA-256$", (int)n, token, name);
	n = base64_encode(digits, digest, sizeof(digest));
	printf("%.*s\" }\n", (int)n, digits);
	explicit_bzero(random, sizeof(random));
	explicit_bzero(token, sizeof(token));
	return VERB_OK;
}

int
account_read_secret(uint32_t iterations, char dst[ACCOUNT_SECRET_MAX])
{
	char line[PASSWORD_MAX + 2];
	int status = read_password(line);

	if (status == VERB_OK)
		status = make_secret(slice_str(line), iterations, dst);
	explicit_bzero(line, sizeof(line));
	return status;
}

bool
account_name_is_fine(struct slice name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] < ' ' || name.p[i] > '~' || name.p[i] == '"' ||
		    name.p[i] == '\\')
			return false;
	return name.n > 0 && name.n <= 255;
}

int
account_iterations(const char *text, uint32_t *out)
{
	uint64_t n;

	if (slice_u64(slice_str(text), 1000000, &n) != 0 || n < 4096)
		return verb_usage("account",
		    "iterations, expected 4096 to 1000000, got", text);
	*out = (uint32_t)n;
	return VERB_OK;
}

static bool
is_about_a_file(const char *word)
{
	return strcmp(word, "add") == 0 || strcmp(word, "list") == 0 ||
	    strcmp(word, "remove") == 0;
}

int
verb_account(int argc, char **argv)
{
	static const struct option options[] = {
		{ "iterations", required_argument, NULL, 'i' },
		{ "token", no_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 }
	};
	char secret[ACCOUNT_SECRET_MAX];
	uint32_t iterations = ACCOUNT_ITERATIONS;
	bool is_token = false;
	int o, status;

	if (argc > 1 && is_about_a_file(argv[1]))
		return verb_account_file(argc - 1, argv + 1);
	opterr = 0;
	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (o == 'h') {
			fputs(usage, stdout);
			return VERB_OK;
		}
		if (o == 't') {
			is_token = true;
			continue;
		}
		if (o != 'i')
			return verb_wrong_option("account", argv);
		status = account_iterations(optarg, &iterations);
		if (status != VERB_OK)
			return status;
	}
	if (argc - optind != 1 ||
	    !account_name_is_fine(slice_str(argv[optind])))
		return verb_usage("account", "one name, in ASCII, is needed",
		    "");
	if (is_token)
		return print_token(argv[optind]);
	status = account_read_secret(iterations, secret);
	if (status == VERB_OK)
		printf("  \"%s\": { secret: \"%s\" }\n", argv[optind], secret);
	return status;
}
