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
#include "daemon/verb_i.h"
#include "daemon/verbs.h"

#define PASSWORD_MAX 1000
#define SALT_BYTES 16
#define ITERATIONS 4096

static const char usage[] =
    "usage: mtad account [--iterations N] NAME\n"
    "\n"
    "Reads a password from standard input (from a terminal: twice, without\n"
    "showing it) and prints an entry for `account` in the configuration, with\n"
    "which clients log in at a listener with `auth`. The password cannot be\n"
    "told from it.\n"
    "\n"
    "  --iterations N   rounds that make guessing dear (4096 to 1000000)\n"
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
print_digits(const void *p, size_t n)
{
	char digits[BASE64_BYTES(64)];

	printf("%.*s", (int)base64_encode(digits, p, n), digits);
}

/* RFC 5802 3. */
static int
print_entry(const char *name, struct slice password, uint32_t iterations)
{
	uint8_t salt[SALT_BYTES], salted[CRYPT_SHA256_BYTES];
	uint8_t key[CRYPT_SHA256_BYTES], stored[CRYPT_SHA256_BYTES];
	uint8_t server[CRYPT_SHA256_BYTES];
	struct slice of = slice_of((const char *)salted, sizeof(salted));

	if (getrandom(salt, sizeof(salt), 0) != sizeof(salt) ||
	    crypt_pbkdf2(password, slice_of((char *)salt, sizeof(salt)),
		iterations, salted) != 0) {
		fputs("mtad account: no randomness, or no memory\n", stderr);
		return VERB_FAILED;
	}
	crypt_hmac(of, SL("Client Key"), key);
	crypt_digest(slice_of((char *)key, sizeof(key)), stored);
	crypt_hmac(of, SL("Server Key"), server);
	printf("  \"%s\": { secret: \"SCRAM-SHA-256$%u:", name, iterations);
	print_digits(salt, sizeof(salt));
	putchar('$');
	print_digits(stored, sizeof(stored));
	putchar(':');
	print_digits(server, sizeof(server));
	puts("\" }");
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(key, sizeof(key));
	return VERB_OK;
}

/* What may stand between quotes in YAML, and be given by a client. */
static bool
name_is_fine(struct slice name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] < ' ' || name.p[i] > '~' || name.p[i] == '"' ||
		    name.p[i] == '\\')
			return false;
	return name.n > 0 && name.n <= 255;
}

int
verb_account(int argc, char **argv)
{
	static const struct option options[] = {
		{ "iterations", required_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 }
	};
	char line[PASSWORD_MAX + 2];
	uint64_t iterations = ITERATIONS;
	int o, status;

	opterr = 0;
	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (o == 'h') {
			fputs(usage, stdout);
			return VERB_OK;
		}
		if (o != 'i')
			return verb_wrong_option("account", argv);
		if (slice_u64(slice_str(optarg), 1000000, &iterations) != 0 ||
		    iterations < 4096)
			return verb_usage("account",
			    "iterations, expected 4096 to 1000000, got",
			    optarg);
	}
	if (argc - optind != 1 || !name_is_fine(slice_str(argv[optind])))
		return verb_usage("account", "one name, in ASCII, is needed",
		    "");
	status = read_password(line);
	if (status == VERB_OK)
		status = print_entry(argv[optind], slice_str(line),
		    (uint32_t)iterations);
	explicit_bzero(line, sizeof(line));
	return status;
}
