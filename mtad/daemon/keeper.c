/*
 * daemon/keeper.c - the thread that writes the books. The core sends it one
 * shelf of entries at a time and hears when all are durable; a disk that is
 * slow, full or broken delays that word and nothing else. A shelf that could
 * not be written is tried again until it is.
 */
#include <unistd.h>

#include "daemon/sts.h"
#include "daemon/tlsrpt.h"

#define AGAIN_US US_PER_S
#define COMPLAIN_US (60 * US_PER_S)

static bool
has_work(void *ctx)
{
	return !mailbox_is_empty(&((struct keeper *)ctx)->box);
}

static void
complain(struct keeper *k, const char *why)
{
	int64_t now = clock_mono_us();

	if (k->complained_us && now - k->complained_us < COMPLAIN_US)
		return;
	k->complained_us = now;
	log_event(LOG_ERROR, "books", "what", "cannot be written", "path",
	    k->d->conf->books.p, "error", why, "effect",
	    "what needs them kept waits; other mail goes on", NULL);
}

/* False: it must end, and could not. */
static bool
write_shelf(struct keeper *k, const struct shelf *shelf)
{
	char why[256];

	while (store_write(k->store, shelf, why, sizeof(why))) {
		complain(k, why);
		if (atomic_load(&k->is_stopping))
			return false;
		usleep(AGAIN_US);
	}
	k->complained_us = 0;
	return true;
}

static void
take_posts(struct keeper *k)
{
	struct posts in = { NULL, NULL };
	struct post *post;

	mailbox_take(&k->box, &in);
	while ((post = posts_shift(&in))) {
		struct post_keep *p =
		    container_of(post, struct post_keep, post);

		if (post->kind == POST_STS) {
			sts_fetch(k, container_of(post, struct post_sts, post));
			continue;
		}
		if (post->kind == POST_REPORT) {
			rpt_post(k,
			    container_of(post, struct post_report, post));
			continue;
		}
		if (!write_shelf(k, &p->shelf)) {
			shelf_free(&p->shelf);
			mem_free(p);
			continue;
		}
		post->kind = POST_KEPT;
		worker_post(p->from, post);
	}
}

static void *
run(void *arg)
{
	struct keeper *k = arg;

	while (!atomic_load(&k->is_stopping)) {
		loop_turn(k->loop, clock_mono_us() + 3600 * US_PER_S);
		take_posts(k);
	}
	take_posts(k);
	return NULL;
}

int
keeper_open(struct keeper *k, struct daemon *d)
{
	const char *path = d->conf->books.p;
	char why[512];
	bool is_rebuilt;
	int err;

	k->d = d;
	err = store_open(&k->store, path, &is_rebuilt, why, sizeof(why));
	if (err) {
		log_event(LOG_ERROR, "books", "what", "cannot be opened",
		    "option", "books", "path", path, "error", why, NULL);
		return err;
	}
	if (is_rebuilt)
		log_event(LOG_WARN, "books", "what",
		    "damaged and set aside; new ones begin", "path", path,
		    "error", why, "effect",
		    "quotas, reactions and warm-up begin anew", NULL);
	return 0;
}

static void
recall(void *ctx, const struct kept *k)
{
	struct worker *w = ctx;

	if (k->book != BOOK_TLS_REPORT)
		core_recall(w->core, k);
	else if (w->tlsrpt)
		tlsrpt_recall(w->tlsrpt, k);
}

static void
recall_policy(void *ctx, const struct store_policy *p)
{
	sts_recall(((struct worker *)ctx)->sts, p);
}

int
keeper_recall(struct keeper *k, struct worker *core)
{
	char why[256];
	int err = store_read(k->store, recall, core, why, sizeof(why));

	if (!err && core->sts)
		err = store_policy_read(k->store, clock_wall_us(), UINT32_MAX,
		    recall_policy, core, why, sizeof(why));

	if (err)
		log_event(LOG_ERROR, "books", "what", "cannot be read",
		    "option", "books", "path", k->d->conf->books.p, "error",
		    why, "do", "move the file away to begin anew", NULL);
	return err;
}

int
keeper_start(struct keeper *k)
{
	k->loop = loop_new();
	if (!k->loop)
		return E_NOMEM;
	loop_set_idle_check(k->loop, has_work, k);
	return pthread_create(&k->thread, NULL, run, k) ? E_NOMEM : 0;
}

void
keeper_post(struct keeper *k, struct post *p)
{
	mailbox_push_one(&k->box, p);
	loop_wake(k->loop);
}

void
keeper_stop(struct keeper *k, struct worker *core)
{
	atomic_store(&k->is_stopping, true);
	loop_wake(k->loop);
	pthread_join(k->thread, NULL);
	if (core->tlsrpt)
		tlsrpt_flush(core->tlsrpt);
	if (core->keeping) {
		write_shelf(k, &core->keeping->shelf);
		shelf_free(&core->keeping->shelf);
		mem_free(core->keeping);
		core->keeping = NULL;
	}
	if (k->https)
		https_free(k->https);
	loop_free(k->loop);
	store_close(k->store);
}
