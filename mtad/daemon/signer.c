/*
 * daemon/signer.c - threads that make signatures, on the way of a signed message
 * from its worker to the spooler.
 *
 * A signature by RSA takes some 250 us, several times all else that is done for a
 * message: on the worker's loop it would hold up every other client, and on a
 * machine where one worker takes mail it would use one processor. There are as
 * many threads as processors, as soon as a configuration has keys and not before.
 *
 * The lock guards the queue and nothing else; it is held for a few instructions,
 * and who waits for work sleeps on the condition beside it. The queue needs no
 * ceiling of its own: each session has one message in it at most.
 */
#include <sched.h>

#include "daemon/daemon_i.h"

/* The message goes on: to the spooler, or back, refused. */
static void
pass_on(struct signers *s, struct parcel *p)
{
	struct spooler *sp = &s->d->spooler;
	struct worker *w = p->origin;
	struct posts one = { NULL, NULL };

	if (signing_seal(p->signing) == 0) {
		posts_push(&one, &p->post);
		spooler_post(sp, &one, true);
		return;
	}
	log_event(LOG_ERROR, "dkim", "what", "a signature could not be made",
	    NULL);
	mem_free(p->commit.user);
	p->commit.user = NULL;
	p->commit.err = E_IO;
	atomic_fetch_add(&sp->answers[w->number], 1);
	p->post.kind = POST_COMMITTED;
	worker_post(w, &p->post);
}

static void *
run(void *arg)
{
	struct signers *s = arg;
	struct post *p;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		while (!(p = posts_shift(&s->queue)) && !s->is_stopping)
			pthread_cond_wait(&s->more, &s->lock);
		if (!p)
			break;
		pthread_mutex_unlock(&s->lock);
		pass_on(s, container_of(p, struct parcel, post));
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

void
signers_init(struct signers *s, struct daemon *d)
{
	s->d = d;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->more, NULL);
}

int
signers_start(struct signers *s)
{
	cpu_set_t set;
	uint32_t n = 2;

	if (s->n > 0)
		return 0;
	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = (uint32_t)CPU_COUNT(&set);
	n = MIN(MAX(n, 1), WORKERS_MAX);
	for (; s->n < n; s->n++)
		if (pthread_create(&s->thread[s->n], NULL, run, s))
			break;
	return s->n > 0 ? 0 : E_NOMEM;
}

void
signers_post(struct signers *s, struct posts *l)
{
	struct post *p;
	uint32_t n = 0;

	pthread_mutex_lock(&s->lock);
	for (; (p = posts_shift(l)); n++)
		posts_push(&s->queue, p);
	pthread_mutex_unlock(&s->lock);
	if (n > 1)
		pthread_cond_broadcast(&s->more);
	else
		pthread_cond_signal(&s->more);
}

void
signers_stop(struct signers *s)
{
	pthread_mutex_lock(&s->lock);
	s->is_stopping = true;
	pthread_mutex_unlock(&s->lock);
	pthread_cond_broadcast(&s->more);
	for (uint32_t i = 0; i < s->n; i++)
		pthread_join(s->thread[i], NULL);
}
