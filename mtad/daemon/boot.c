/*
 * daemon/boot.c - what is looked at before the first byte of mail: limits,
 * directories, addresses, clocks; privileges; word to the service manager.
 * Each check names what will not do and what to do about it.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "daemon/daemon_i.h"
#include "daemon/keys.h"

#define FDS_SPARE 256

int64_t
clock_mono_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * US_PER_S + t.tv_nsec / 1000;
}

int64_t
clock_wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * US_PER_S + t.tv_nsec / 1000;
}

static const char *
errno_text(char *dst, size_t cap)
{
	return strerror_r(errno, dst, cap);
}

/* Raises the descriptor limit to what is allowed and compares it with what the
 * configuration may need. The clock must be past the year this was written. */
int
boot_limits(const struct conf *c)
{
	uint64_t need = FDS_SPARE + c->sessions_out_max;
	char have[32], want[32];
	struct rlimit r;

	/* One to a proxy in TLS has a pair of sockets beside it. */
	for (uint32_t i = 0; i < c->nproxies; i++)
		if (c->proxies[i].tls_ca.n > 0) {
			need += 2 * (uint64_t)c->sessions_out_max;
			break;
		}
	/* Look-ups, and those that have become slow. */
	need += MIN(5 * (uint64_t)c->dns.inflight_max, 4096);
	for (uint32_t i = 0; i < c->nlisten; i++)
		need += c->listen[i].connections_max;
	if (clock_wall_us() < INT64_C(1767225600) * US_PER_S) {
		log_event(LOG_ERROR, "boot", "what",
		    "the clock says a time before 2026", "do",
		    "set the clock, then start again", NULL);
		return E_RANGE;
	}
	if (getrlimit(RLIMIT_NOFILE, &r))
		return E_IO;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	if (r.rlim_cur < need) {
		snprintf(have, sizeof(have), "%llu",
		    (unsigned long long)r.rlim_cur);
		snprintf(want, sizeof(want), "%llu", (unsigned long long)need);
		log_event(LOG_WARN, "boot", "what",
		    "fewer file descriptors than the limits may use", "have",
		    have, "want", want, "do",
		    "raise LimitNOFILE, or lower connections_max or "
		    "sessions_max",
		    NULL);
	}
	return r.rlim_cur < 64 ? E_RANGE : 0;
}

/* A directory that is there, or can be made (one level), and can be used. */
static int
check_dir(const char *path, const char *option)
{
	char text[128];
	struct stat st;

	if (mkdir(path, 0750) && errno != EEXIST) {
		log_event(LOG_ERROR, "boot", "what", "cannot make directory",
		    "option", option, "path", path, "error",
		    errno_text(text, sizeof(text)), NULL);
		return err_from_errno(errno);
	}
	if (stat(path, &st) || !S_ISDIR(st.st_mode)) {
		log_event(LOG_ERROR, "boot", "what", "not a directory",
		    "option", option, "path", path, NULL);
		return E_IO;
	}
	return 0;
}

/* Makes the parents of a path, quietly: what fails is met right after. */
static void
make_parents(const char *path)
{
	char part[4096];

	slice_copy(slice_str(path), part, sizeof(part));
	for (char *p = strchr(part + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(part, 0755) && errno != EEXIST)
			return;
		*p = '/';
	}
}

static int
check_writable(const char *path, const char *option)
{
	char text[128];

	if (access(path, R_OK | W_OK | X_OK) == 0)
		return 0;
	log_event(LOG_ERROR, "boot", "what", "directory cannot be written",
	    "option", option, "path", path, "error",
	    errno_text(text, sizeof(text)), NULL);
	return E_DENIED;
}

/* As root: directories belong to the user that we are about to become. */
static void
give_to_user(const struct conf *c, const char *path)
{
	struct passwd *pw = c->user.n ? getpwnam(c->user.p) : NULL;

	if (pw && geteuid() == 0 && chown(path, pw->pw_uid, pw->pw_gid))
		log_event(LOG_WARN, "boot", "what", "cannot change the owner",
		    "path", path, NULL);
}

int
boot_directories(const struct conf *c)
{
	const struct {
		const char *path, *option;
	} v[] = { { c->spool.p, "spool" }, { c->log.p, "log" } };
	char dir[4096], *slash;
	int err = 0, e;

	make_parents(c->control.p);
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		make_parents(v[i].path);
		e = check_dir(v[i].path, v[i].option);
		give_to_user(c, v[i].path);
		if (!e)
			e = check_writable(v[i].path, v[i].option);
		err = e ? e : err;
	}
	slice_copy(c->control, dir, sizeof(dir));
	slash = strrchr(dir, '/');
	if (slash && slash != dir) {
		*slash = '\0';
		e = check_writable(dir, "control");
		err = e ? e : err;
	}
	return err;
}

/* Can every source address be bound? All that cannot are named; it is an error
 * only when none can. */
int
boot_sources(const struct conf *c)
{
	uint32_t good = 0;
	char ip[IP_TEXT_MAX], text[128];

	for (uint32_t i = 0; i < c->nsources; i++) {
		const struct conf_source *s = &c->sources[i];
		bool is_ours = s->address.family != 0 && s->nproxies == 0;
		int e = is_ours ? net_try_bind(&s->address) : 0;

		if (e == 0) {
			good++;
			continue;
		}
		errno = e;
		ip_format(ip, &s->address);
		log_event(LOG_ERROR, "boot", "what",
		    "source address cannot be bound", "source", s->name.p,
		    "address", ip, "error", errno_text(text, sizeof(text)),
		    "do", "add the address to an interface", NULL);
	}
	return c->nsources && !good ? E_NOTFOUND : 0;
}

/* Can it be shown to others? None can. */
static bool
cert_is_good(struct slice cert, struct slice key, const char *what,
    const char *name)
{
	struct tls_client_conf tc = { .cert = cert.p, .key = key.p };
	char why[256];
	struct tls_ctx *t;

	if (cert.n == 0)
		return true;
	t = tls_client_new(&tc, why, sizeof(why));
	if (t == NULL)
		log_event(LOG_ERROR, "tls", what, name, "what", why, NULL);
	tls_ctx_free(t);
	return t != NULL;
}

/* Sources' certificates. */
static int
boot_tls_out(const struct conf *c)
{
	int err = 0;

	for (uint32_t i = 0; i < c->nsources; i++) {
		const struct conf_source *s = &c->sources[i];

		if (!cert_is_good(s->tls.cert, s->tls.key, "source", s->name.p))
			err = E_IO;
	}
	return err;
}

/* What one place says of TLS; false: it cannot be done. */
static bool
is_possible(const struct conf *c, const struct conf_shape *s, const char *where)
{
	if (s->sets & 1u << CONF_TLS_BIT && s->tls.mode == CONF_TLS_DANE &&
	    c->dns.trust_anchor.n == 0)
		log_event(LOG_WARN, "tls", "where", where, "what",
		    "tls: dane, but nothing is validated", "effect",
		    "such mail waits", "do", "set dns: trust_anchor", NULL);
	if ((s->tls.cert.n == 0) != (s->tls.key.n == 0)) {
		log_event(LOG_ERROR, "tls", "where", where, "what",
		    "tls_cert and tls_key go together", NULL);
		return false;
	}
	if (!cert_is_good(s->tls.cert, s->tls.key, "where", where))
		return false;
	if (s->tls.ciphers.n == 0 || tls_ciphers_known(s->tls.ciphers.p))
		return true;
	log_event(LOG_ERROR, "tls", "where", where, "what",
	    "no cipher of tls_ciphers is known", "ciphers", s->tls.ciphers.p,
	    NULL);
	return false;
}

static int
boot_policies(const struct conf *c)
{
	const struct conf_shape *s;
	const char *where;
	bool ok = true;

	for (uint32_t i = 0; (s = conf_tls_place(c, i, &where)) != NULL; i++)
		ok &= is_possible(c, s, where);
	return ok ? 0 : E_RANGE;
}

static void
report_tls(void *ctx, const char *line)
{
	(void)ctx;
	log_event(LOG_ERROR, "auth", "what", line, NULL);
}

/* Nobody else has the configuration yet. */
static int
boot_passwords(const struct conf *c)
{
	struct conf_errors errs = { .report = report_tls };

	passwords_load((struct conf *)(uintptr_t)c, &errs);
	return errs.n > 0 ? E_DENIED : 0;
}

/* Can every listener's certificate and key be used, and every password? */
int
boot_tls(const struct conf *c)
{
	char why[256];
	int err = boot_tls_out(c);

	if (boot_passwords(c))
		err = E_DENIED;

	if (c->has_tls && boot_policies(c))
		err = E_RANGE;
	for (uint32_t i = 0; i < c->nlisten; i++) {
		const struct conf_listen *l = &c->listen[i];
		struct tls_ctx *t;

		if (!l->tls.cert.n)
			continue;
		t = tls_server_new(l->tls.cert.p, l->tls.key.p, why,
		    sizeof(why));
		if (t) {
			tls_ctx_free(t);
			continue;
		}
		log_event(LOG_ERROR, "tls", "listener", l->name.p, "what", why,
		    NULL);
		err = E_IO;
	}
	if (c->drain.tls.cert.n) {
		struct tls_ctx *t = tls_server_new(c->drain.tls.cert.p,
		    c->drain.tls.key.p, why, sizeof(why));

		if (t)
			tls_ctx_free(t);
		else {
			log_event(LOG_ERROR, "tls", "listener", "drain", "what",
			    why, NULL);
			err = E_IO;
		}
	}
	return err;
}

int
boot_become_user(const struct conf *c)
{
	struct passwd *pw;

	if (geteuid() != 0)
		return 0;
	if (c->user.n == 0) {
		log_event(LOG_WARN, "boot", "what", "running as root", "do",
		    "set the option user", NULL);
		return 0;
	}
	pw = getpwnam(c->user.p);
	if (!pw) {
		log_event(LOG_ERROR, "boot", "what", "no such user", "user",
		    c->user.p, NULL);
		return E_NOTFOUND;
	}
	if (lchown(c->control.p, pw->pw_uid, pw->pw_gid))
		log_event(LOG_WARN, "boot", "what", "cannot change the owner",
		    "path", c->control.p, NULL);
	if (initgroups(pw->pw_name, pw->pw_gid) || setgid(pw->pw_gid) ||
	    setuid(pw->pw_uid) || setuid(0) == 0) {
		log_event(LOG_ERROR, "boot", "what", "cannot become user",
		    "user", c->user.p, NULL);
		return E_DENIED;
	}
	return 0;
}

static void
log_sink(enum log_level level, const char *line, size_t n)
{
	static const char *const prefix[8] = { "<3>", "<3>", "<3>", "<3>",
		"<4>", "<6>", "<6>", "<7>" };
	char out[2300];
	size_t at = 0;
	ssize_t done;

	/* Under the journal a line says its level; people read it as it is. */
	if (getenv("JOURNAL_STREAM"))
		at = slice_copy(slice_str(prefix[level & 7]), out, sizeof(out));
	n = MIN(n, sizeof(out) - at - 1);
	memcpy(out + at, line, n);
	out[at + n] = '\n';
	done = write(STDERR_FILENO, out, at + n + 1);
	(void)done;
}

void
boot_log(enum log_level level)
{
	log_setup(log_sink, level);
}

/* sd_notify(3)'s protocol, three lines of it: a datagram to $NOTIFY_SOCKET. */
void
boot_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t n = path ? strlen(path) : 0;
	ssize_t sent;
	int fd;

	if (n == 0 || n >= sizeof(sa.sun_path))
		return;
	memcpy(sa.sun_path, path, n);
	if (sa.sun_path[0] == '@')
		sa.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL,
	    (struct sockaddr *)&sa,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	(void)sent; /* nobody to tell */
	close(fd);
}

static void
report(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}

const struct conf *
boot_conf(const char *path)
{
	struct conf_errors errs = { .report = report, .warn = report };

	return conf_load(path, &errs);
}
