/*
 * daemon/porter.c - threads that look accounts up and try passwords.
 *
 * A password costs 2 ms at 4,096 rounds and a third of a second at a million, and
 * an account may be in a file: on a worker's loop one client would hold up all
 * others. There are a few threads, as soon as a listener has `auth`, and a
 * ceiling on those who wait; who comes then is told to try again.
 *
 * The lock guards the queue and nothing else, as the signers' does. Each thread
 * has the file open for itself, and opens it again when another one stands in its
 * place: what is changed in it counts from the next login on.
 */
#include <stdio.h>

#include "daemon/daemon_i.h"
#include "store/accounts.h"

#define WAITING_MAX 256u
#define COMPLAIN_US (60 * US_PER_S)

struct desk {
	struct porter *p;
	struct accounts *file; /* or NULL */
};

static void
complain(struct porter *p, const char *path, const char *why)
{
	int64_t now = clock_mono_us(), last = atomic_load(&p->complained_us);

	if (last != 0 && now - last < COMPLAIN_US)
		return;
	atomic_store(&p->complained_us, now);
	log_event(LOG_ERROR, "accounts", "what", "the file cannot be asked",
	    "path", path, "why", why, "effect",
	    "who is not in the configuration cannot log in", NULL);
}

/* The file is open, and is the one that is there. */
static int
open_file(struct desk *k, const char *path, char *why, size_t cap)
{
	if (k->file && accounts_is_stale(k->file, path)) {
		accounts_close(k->file);
		k->file = NULL;
	}
	return k->file ? 0 : accounts_open(&k->file, path, false, why, cap);
}

static void
answer(struct desk *k, const struct conf *c, struct login *l)
{
	const struct conf_account *found;
	struct slice name = slice_str(l->name);
	const char *path = c->accounts_file.p;
	struct conf_account like;
	char why[256] = "";
	int err;

	found = conf_account_find(c, name);
	if (found != NULL || c->accounts_file.n == 0) {
		login_by_conf(l, c);
		return;
	}
	err = open_file(k, path, why, sizeof(why));
	if (!err)
		err = accounts_get(k->file, name, &l->owned, why, sizeof(why));
	if (err == E_NOTFOUND && k->file)
		err = accounts_like(k->file, &like, why, sizeof(why));
	if (err) {
		complain(k->p, path, why);
		l->is_broken = true;
		return;
	}
	login_answer(l, l->owned, c->naccounts > 0 ? &c->accounts[0] : &like);
}

static void *
run(void *arg)
{
	struct porter *p = arg;
	struct desk desk = { .p = p };
	struct post *post;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct post_login *q;

		while (!(post = posts_shift(&p->queue)) && !p->is_stopping)
			pthread_cond_wait(&p->more, &p->lock);
		if (!post)
			break;
		pthread_mutex_unlock(&p->lock);
		q = container_of(post, struct post_login, post);
		answer(&desk, q->conf, q->login);
		post->kind = POST_LOGIN;
		atomic_fetch_sub(&p->waiting, 1);
		worker_post(q->from, post);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	accounts_close(desk.file);
	return NULL;
}

void
porter_init(struct porter *p)
{
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
}

int
porter_start(struct porter *p, const struct conf *c)
{
	bool is_wanted = false;

	for (uint32_t i = 0; i < c->nlisten; i++)
		is_wanted |= c->listen[i].has_auth;
	if (!is_wanted)
		return 0;
	for (; p->n < PORTER_THREADS; p->n++)
		if (pthread_create(&p->thread[p->n], NULL, run, p))
			break;
	return p->n > 0 ? 0 : E_NOMEM;
}

bool
porter_ask(struct worker *w, struct handle session, struct login *l)
{
	struct porter *p = &w->d->porter;
	struct post_login *q;

	if (atomic_load(&p->waiting) >= WAITING_MAX ||
	    !(q = mem_try(sizeof(*q))))
		return false;
	q->from = w;
	q->session = session;
	q->conf = w->conf;
	q->login = l;
	atomic_fetch_add(&p->waiting, 1);
	pthread_mutex_lock(&p->lock);
	posts_push(&p->queue, &q->post);
	pthread_mutex_unlock(&p->lock);
	pthread_cond_signal(&p->more);
	return true;
}

void
porter_stop(struct porter *p)
{
	pthread_mutex_lock(&p->lock);
	p->is_stopping = true;
	pthread_mutex_unlock(&p->lock);
	pthread_cond_broadcast(&p->more);
	for (uint32_t i = 0; i < p->n; i++)
		pthread_join(p->thread[i], NULL);
}
