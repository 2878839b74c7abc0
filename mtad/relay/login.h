/*
 * relay/login.h - one question about an account: who is that, and is this his
 * password?
 *
 * To look a name up may wait for a file, and to try a password is dear by intent
 * (PBKDF2: milliseconds to a third of a second), so the question may travel to
 * another thread. Nothing of the asker is in it.
 */
#ifndef RELAY_LOGIN_H
#define RELAY_LOGIN_H

#include "conf/conf.h"

#define LOGIN_WHO_MAX 255
#define LOGIN_SAID_MAX 1536 /* bytes of one message of a client, decoded */

struct login {
	char name[LOGIN_WHO_MAX + 1];
	char password[LOGIN_SAID_MAX + 1];
	size_t password_n;
	bool tries; /* a password is given; else only the keys are wanted */

	/* The answer. */
	bool is_broken; /* accounts cannot be read just now */
	bool is_right;  /* the password */
	/* NULL: nobody has that name. One of a file is owned. */
	const struct conf_account *account;
	struct conf_account *owned;
	struct conf_account kept; /* the keys: his, or a stranger's */
};

/* Answers from the account that was found, or NULL. A stranger is asked and
 * tried as whoever `like` is (NULL: as is usual), with a salt that is always
 * the same and only this host can make. Wipes the password. */
void login_answer(struct login *l, const struct conf_account *found,
    const struct conf_account *like);
/* The same from the accounts of the configuration alone. */
void login_by_conf(struct login *l, const struct conf *c);
/* Is that the password of which the account keeps its secret? It takes as long
 * as the account's iterations do. */
bool login_is_password(const struct conf_account *a, struct slice password);
/* Wipes and frees; l may be NULL. */
void login_free(struct login *l);

#endif
