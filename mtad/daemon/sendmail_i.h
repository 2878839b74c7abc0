/*
 * daemon/sendmail_i.h - what the parts of `mtad sendmail` share: its arguments,
 * and the file that it leaves for the daemon.
 *
 * It runs as whoever calls it, with no rights of its own: what it may write to
 * is the drop directory, which is open to them (share/doc/submission.md).
 */
#ifndef DAEMON_SENDMAIL_I_H
#define DAEMON_SENDMAIL_I_H

#include <sysexits.h>

#include "proto/proto.h"

#define SENDMAIL_DROP "/var/spool/mtad-drop"
/* Where the daemon has not said others. */
#define SENDMAIL_SIZE_MAX (UINT64_C(50) << 20)
#define SENDMAIL_RCPTS_MAX 1000u

enum sendmail_mode { SENDMAIL_MESSAGE, SENDMAIL_SMTP, SENDMAIL_NOTHING };

/* What the command line says. */
struct sendmail_args {
	enum sendmail_mode mode;
	const char *drop;    /* the directory */
	const char *sender;  /* -f, or NULL */
	const char *name;    /* -F, or NULL */
	struct slice envid;  /* xtext, in envid_text */
	uint8_t notify, ret; /* as in struct drop_head */
	bool reads_header;   /* -t */
	bool dot_is_text;    /* -i */
	bool wants_help;
	char envid_text[ENVID_MAX + 1];
	struct buf rcpts; /* records, by drop_rcpt_add; owned */
	uint32_t nrcpt;
	char why[256]; /* when it is refused */
};

/* Reads them. EX_OK, or an exit status and a->why. Free in any case. */
int sendmail_args_read(struct sendmail_args *a, int argc, char **argv);
void sendmail_args_free(struct sendmail_args *a);
/* The addresses of a list go to a->rcpts. EX_OK, or status (for one that is
 * none) and a->why. */
int sendmail_add_rcpts(struct sendmail_args *a, struct slice list, int status);
/* The one address that text names, to dst of MAILBOX_MAX + 2 bytes; "<>" and
 * "" are the null sender. */
int sendmail_sender(struct sendmail_args *a, const char *text, char *dst);

/* A file on its way into the drop directory. */
struct dropper {
	int dir, fd; /* -1: none */
	uint32_t crc;
	uint64_t body_bytes;
	char tmp[48], name[48]; /* without the directory */
	char why[256];          /* what went wrong */
};

/* What the daemon says of itself, in the directory. */
struct drop_about {
	char hostname[DOMAIN_MAX + 1]; /* or empty */
	uint64_t size_max;
	uint64_t rcpts_max;
};
#define DROP_ABOUT "about"
/* Reads it; what is not there, or another's, is as when the daemon has never
 * run. */
void drop_about_read(int dir, struct drop_about *about);

/* All return EX_OK, or an exit status and d->why. */
int dropper_enter(struct dropper *d, const char *dir);
void dropper_leave(struct dropper *d);
/* Begins a file, with its envelope. */
int dropper_begin(struct dropper *d, const struct drop_head *h);
int dropper_add(struct dropper *d, struct slice body);
/* The file is whole, durable, and the daemon's. */
int dropper_commit(struct dropper *d);
void dropper_abort(struct dropper *d);

/* -bs: SMTP on standard input and output. The exit status. */
int sendmail_smtp(const struct sendmail_args *a, struct dropper *d,
    const struct drop_about *about);

#endif
