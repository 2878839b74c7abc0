/*
 * daemon/pickup.c - the drop directory: takes what `mtad sendmail` has left there.
 *
 * Everybody may write to the directory, so nothing in it is believed: a name is
 * looked at before it is opened, opened without following links or waiting for
 * anybody, and looked at again; the file must be whole (proto/drop.h). What is no
 * message goes to the subdirectory `bad` with a word in the log, and the next one
 * is looked at. What cannot be taken now stays and is tried again.
 *
 * A file is removed behind the 250 to its message. A crash in between gives the
 * message in a second time.
 *
 * One thread, asleep on inotify; every POLL_US it looks without being told.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/pickup_i.h"
#include "daemon/sendmail_i.h"

#define POLL_US (10 * US_PER_S)
#define AGAIN_US (2 * US_PER_S) /* something stays that could not be taken */
#define AGAIN_MAX_US (60 * US_PER_S)
#define TMP_AGE_S (24 * 3600) /* of what a killed program has left */
#define BAD_MAX 10000u        /* files kept there; beyond, they are removed */
#define LINES_PER_MINUTE 60u  /* of the log */
#define LATER_MAX 100u        /* put off in one go; then we rest */
#define STUCK_MAX 64u         /* taken, and cannot be removed */
#define BAD "bad"
#define TMP_ABOUT "tmp-about"
#define MODE 03773 /* made so; an administrator may give another one */

struct sweep {
	struct pickup *k;
	const struct conf *conf;
	struct talk talk;
	int dir;
	DIR *walk; /* how far we are, where the last go did not reach the end */
	bool reads_group; /* its files are for us to read */
	uint32_t nbad;    /* files in BAD */
	uint32_t later;   /* in this go */
	uint64_t serial;
	uint32_t lines; /* of this minute */
	int64_t minute_us;
	ino_t stuck[STUCK_MAX];
	uint32_t nstuck;
};

/* ---- words ------------------------------------------------------------------- */

/* Who writes files must not fill the log. */
static bool
may_say(struct sweep *s)
{
	int64_t now = clock_mono_us();

	if (now - s->minute_us >= 60 * US_PER_S) {
		s->minute_us = now;
		s->lines = 0;
	}
	return s->lines++ < LINES_PER_MINUTE;
}

static void
say(struct sweep *s, const char *what, const char *name, const char *why,
    const char *kept)
{
	if (may_say(s))
		log_event(LOG_WARN, "sendmail", "what", what, "file", name,
		    "why", why, "kept", kept, NULL);
}

static const char *
errno_text(char *dst, size_t cap)
{
	return strerror_r(errno, dst, cap);
}

/* ---- the directory ------------------------------------------------------------ */

/* Tells programs what they may leave: host name and limits. */
void
pickup_reload(const struct conf *c)
{
	const struct smtp_srv_conf *l = &c->sendmail.door.smtp;
	char text[512];
	int n, fd, dir;

	if (c->sendmail.drop.n == 0)
		return;
	dir = open(c->sendmail.drop.p, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return;
	n = snprintf(text, sizeof(text),
	    "hostname %s\nmessage_size_max %llu\nrecipients_max %u\n",
	    c->hostname.p, (unsigned long long)l->size_max, l->rcpts_max);
	unlinkat(dir, TMP_ABOUT, 0);
	fd = openat(dir, TMP_ABOUT,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || fchmod(fd, 0644) || write(fd, text, (size_t)n) != n ||
	    renameat(dir, TMP_ABOUT, dir, DROP_ABOUT))
		log_event(LOG_WARN, "sendmail", "what",
		    "cannot write what programs are told", "file", DROP_ABOUT,
		    NULL);
	if (fd >= 0)
		close(fd);
	close(dir);
}

static int
cannot(const struct conf *c, const char *what)
{
	char text[128];

	log_event(LOG_ERROR, "boot", "what", what, "option", "sendmail.drop",
	    "path", c->sendmail.drop.p, "error", errno_text(text, sizeof(text)),
	    NULL);
	return E_IO;
}

/* The user and group that the directory is for; what stays -1 is ours. */
static int
find_owner(const struct conf *c, uid_t *uid, gid_t *gid)
{
	struct passwd *pw =
	    c->user.n > 0 && geteuid() == 0 ? getpwnam(c->user.p) : NULL;
	struct group *gr;

	*uid = pw ? pw->pw_uid : (uid_t)-1;
	*gid = pw ? pw->pw_gid : (gid_t)-1;
	if (c->sendmail.group.n == 0)
		return 0;
	gr = getgrnam(c->sendmail.group.p);
	if (gr == NULL) {
		log_event(LOG_ERROR, "boot", "what", "no such group", "option",
		    "sendmail.group", "group", c->sendmail.group.p, NULL);
		return E_NOTFOUND;
	}
	*gid = gr->gr_gid;
	return 0;
}

int
pickup_boot(const struct conf *c)
{
	const char *path = c->sendmail.drop.p;
	char bad[4096];
	struct stat st;
	uid_t uid;
	gid_t gid;

	if (c->sendmail.drop.n == 0)
		return 0;
	if (find_owner(c, &uid, &gid))
		return E_NOTFOUND;
	if (mkdir(path, 0700) == 0) {
		if (lchown(path, uid, gid) || chmod(path, MODE))
			return cannot(c, "cannot give the directory away");
	} else if (errno != EEXIST) {
		return cannot(c, "cannot make directory");
	}
	if (lstat(path, &st) || !S_ISDIR(st.st_mode))
		return cannot(c, "no directory");
	if (st.st_uid != (uid == (uid_t)-1 ? geteuid() : uid)) {
		errno = EPERM;
		return cannot(c, "the directory is another user's");
	}
	snprintf(bad, sizeof(bad), "%s/" BAD, path);
	if (mkdir(bad, 0700) == 0 && lchown(bad, uid, gid))
		return cannot(c, "cannot give its directory bad away");
	if (lstat(bad, &st) || !S_ISDIR(st.st_mode) ||
	    st.st_uid != (uid == (uid_t)-1 ? geteuid() : uid)) {
		errno = EPERM;
		return cannot(c, "its directory bad is another's");
	}
	return 0;
}

/* ---- what is no message --------------------------------------------------------- */

/* Out of the way, kept if there is room. */
static void
set_aside(struct sweep *s, const char *name, const char *why)
{
	char to[64], kept[80] = "removed";

	snprintf(to, sizeof(to), BAD "/%014llx-%llu",
	    (unsigned long long)clock_wall_us(),
	    (unsigned long long)++s->serial);
	if (s->nbad < BAD_MAX &&
	    renameat2(s->dir, name, s->dir, to, RENAME_NOREPLACE) == 0) {
		s->nbad++;
		slice_copy(slice_str(to), kept, sizeof(kept));
	} else if (unlinkat(s->dir, name, 0) &&
	    unlinkat(s->dir, name, AT_REMOVEDIR)) {
		/* Another's directory that is not empty. */
		slice_copy(SL("in its place"), kept, sizeof(kept));
	}
	atomic_fetch_add(&s->k->bad, 1);
	say(s, "no message, set aside", name, why, kept);
}

static void
put_off(struct sweep *s, const char *name, const char *why)
{
	s->later++;
	say(s, "put off", name, why, "in its place");
}

/* ---- one file ---------------------------------------------------------------------- */

static bool
is_stuck(const struct sweep *s, ino_t inode)
{
	for (uint32_t i = 0; i < s->nstuck; i++)
		if (s->stuck[i] == inode)
			return true;
	return false;
}

/* Its message is durable. */
static void
remove_taken(struct sweep *s, const char *name, ino_t inode)
{
	atomic_fetch_add(&s->k->taken, 1);
	if (unlinkat(s->dir, name, 0) == 0 || errno == ENOENT)
		return;
	/* Or it would be sent again and again. */
	s->stuck[s->nstuck++ % STUCK_MAX] = inode;
	s->nstuck = MIN(s->nstuck, STUCK_MAX);
	say(s, "taken, and cannot be removed", name, "see the file system",
	    "in its place");
}

/* What is wrong with it as a file, or NULL. */
static const char *
fault_of(const struct sweep *s, const struct stat *st)
{
	uint64_t most = s->conf->sendmail.door.smtp.size_max + DROP_HEAD_MAX;

	if (S_ISLNK(st->st_mode))
		return "a symbolic link";
	if (!S_ISREG(st->st_mode))
		return "no regular file";
	if (st->st_nlink != 1)
		return "it has another name, too";
	if ((uint64_t)st->st_size > most)
		return "too big";
	return NULL;
}

/* All of the file through the reader: 0 or E_*. */
static int
read_file(int fd, struct drop_reader *r)
{
	char piece[65536];
	ssize_t n;
	int err = 0;

	while (err == 0 && (n = read(fd, piece, sizeof(piece))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return E_IO;
		err = drop_reader_feed(r, slice_of(piece, (size_t)n));
	}
	return err ? err : drop_reader_end(r);
}

static void
give(struct sweep *s, const struct drop_file *f)
{
	char why[REPLY_TEXT_MAX + 32] = "";

	switch (talk_give(&s->talk, s->conf, f, why, sizeof(why))) {
	case PICKUP_TAKEN:
		remove_taken(s, f->name, (ino_t)f->inode);
		return;
	case PICKUP_LATER:
		if (!atomic_load(&s->k->is_stopping))
			put_off(s, f->name, why);
		return;
	case PICKUP_BAD:
		set_aside(s, f->name, why);
		return;
	}
}

/* It is open: is it what it was, and is it whole? */
static void
take_open(struct sweep *s, const char *name, int fd, const struct stat *seen)
{
	struct drop_reader r;
	struct stat st;
	const char *fault;
	int err;

	if (fstat(fd, &st)) {
		put_off(s, name, "it cannot be looked at");
		return;
	}
	if (st.st_ino != seen->st_ino || st.st_dev != seen->st_dev)
		return; /* another one: next time */
	if ((fault = fault_of(s, &st)) != NULL) {
		set_aside(s, name, fault);
		return;
	}
	drop_reader_init(&r, (uint64_t)st.st_size);
	err = read_file(fd, &r);
	if (err == E_NOMEM || err == E_IO)
		put_off(s, name, err_text(err));
	else if (err)
		set_aside(s, name, err_text(err));
	else if (r.head.nrcpt > s->conf->sendmail.door.smtp.rcpts_max)
		set_aside(s, name, "more recipients than recipients_max");
	else
		give(s,
		    &(struct drop_file){ .name = name,
			.fd = fd,
			.uid = st.st_uid,
			.inode = st.st_ino,
			.r = &r });
	drop_reader_free(&r);
}

/* It cannot be opened: whose fault is that? */
static void
not_open(struct sweep *s, const char *name)
{
	char text[128];
	int err = errno;

	errno_text(text, sizeof(text));
	if (err == ENOENT)
		return;
	if ((err == EACCES && s->reads_group) || err == ELOOP || err == ENXIO)
		set_aside(s, name, text);
	else
		put_off(s, name, text);
}

static bool
begins(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* What a program is writing, or was when it was killed. */
static void
look_at_tmp(struct sweep *s, const char *name, const struct stat *st)
{
	int64_t age_s = clock_wall_us() / US_PER_S - st->st_mtime;

	if (!S_ISREG(st->st_mode))
		set_aside(s, name, "no regular file");
	else if (age_s > TMP_AGE_S && unlinkat(s->dir, name, 0) == 0)
		say(s, "never finished", name, "older than a day", "removed");
}

static void
take(struct sweep *s, const char *name)
{
	const char *fault;
	struct stat st;
	int fd;

	if (fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return;
	if (begins(name, "tmp-")) {
		look_at_tmp(s, name, &st);
		return;
	}
	fault = begins(name, "new-") ? fault_of(s, &st) : "no name of ours";
	if (fault) {
		set_aside(s, name, fault);
		return;
	}
	if (is_stuck(s, st.st_ino))
		return;
	fd = openat(s->dir, name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0) {
		not_open(s, name);
		return;
	}
	take_open(s, name, fd, &st);
	close(fd);
}

/* ---- the thread ---------------------------------------------------------------------- */

static bool
is_ours(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    strcmp(name, BAD) == 0 || strcmp(name, DROP_ABOUT) == 0;
}

static DIR *
open_dir(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (d == NULL && fd >= 0)
		close(fd);
	return d;
}

/* Looks at everything once; but where much is put off only at a part, and goes on
 * there the next time, so that none stands behind others for ever. */
static void
look_around(struct sweep *s)
{
	struct dirent *e = NULL;

	s->later = 0;
	s->conf = s->k->d->conf;
	if (s->walk == NULL)
		s->walk = open_dir(s->dir, ".");
	if (s->walk == NULL) {
		put_off(s, ".", "the directory cannot be read");
		return;
	}
	while (!atomic_load(&s->k->is_stopping) && s->later < LATER_MAX &&
	    (e = readdir(s->walk)) != NULL)
		if (!is_ours(e->d_name))
			take(s, e->d_name);
	if (e == NULL) {
		closedir(s->walk);
		s->walk = NULL;
	}
	talk_close(&s->talk);
	atomic_store(&s->k->waiting, s->later);
}

static uint32_t
count_bad(int dir)
{
	DIR *d = open_dir(dir, BAD);
	uint32_t n = 0;

	if (d == NULL)
		return 0;
	while (n < BAD_MAX && readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* Are we root, or in the directory's group? Else what is left there is not for us
 * to read, and that is not the files' fault. */
static bool
may_read_group(int dir)
{
	gid_t v[256];
	struct stat st;
	int n;

	if (geteuid() == 0)
		return true;
	if (fstat(dir, &st))
		return false;
	n = getgroups((int)ARRAY_LEN(v), v);
	for (int i = 0; i < n; i++)
		if (v[i] == st.st_gid)
			return true;
	return getegid() == st.st_gid;
}

/* Until something happens; events are only a reason to look. */
static void
rest(struct pickup *k, int inotify, int64_t wait_us)
{
	struct pollfd p[2] = { { .fd = k->wake_fd, .events = POLLIN },
		{ .fd = inotify, .events = POLLIN } };
	char events[4096];

	if (poll(p, inotify >= 0 ? 2 : 1, (int)(wait_us / US_PER_MS)) <= 0)
		return;
	while (inotify >= 0 && read(inotify, events, sizeof(events)) > 0)
		continue;
}

static void *
run(void *arg)
{
	struct pickup *k = arg;
	struct sweep s = { .k = k, .conf = k->d->conf };
	const char *path = s.conf->sendmail.drop.p;
	int inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int64_t again_us = AGAIN_US;

	s.dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	s.reads_group = s.dir >= 0 && may_read_group(s.dir);
	s.nbad = s.dir >= 0 ? count_bad(s.dir) : 0;
	talk_init(&s.talk, k);
	if (inotify >= 0)
		inotify_add_watch(inotify, path, IN_MOVED_TO | IN_ONLYDIR);
	if (s.dir >= 0 && !s.reads_group)
		log_event(LOG_ERROR, "sendmail", "what",
		    "not in the group of the drop directory", "path", path,
		    "effect", "messages of other users wait there", "do",
		    "add the daemon's user to the group", NULL);
	pickup_reload(s.conf);
	while (!atomic_load(&k->is_stopping)) {
		look_around(&s);
		again_us = s.later ? MIN(2 * again_us, AGAIN_MAX_US) : AGAIN_US;
		rest(k, inotify, s.later ? again_us : POLL_US);
	}
	talk_close(&s.talk);
	if (s.walk)
		closedir(s.walk);
	if (inotify >= 0)
		close(inotify);
	if (s.dir >= 0)
		close(s.dir);
	return NULL;
}

int
pickup_start(struct pickup *k, struct daemon *d)
{
	k->d = d;
	if (d->conf->sendmail.drop.n == 0)
		return 0;
	k->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (k->wake_fd < 0)
		return E_IO;
	k->is_running = pthread_create(&k->thread, NULL, run, k) == 0;
	return k->is_running ? 0 : E_NOMEM;
}

void
pickup_stop(struct pickup *k)
{
	if (!k->is_running)
		return;
	atomic_store(&k->is_stopping, true);
	eventfd_write(k->wake_fd, 1);
	pthread_join(k->thread, NULL);
	close(k->wake_fd);
	k->is_running = false;
}
