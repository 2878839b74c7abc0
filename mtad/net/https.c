/*
 * net/https.c - short texts by HTTPS, through a libcurl multi on the loop.
 *
 * libcurl says which sockets it waits for and when it wants to be called; each
 * socket has an event while it does. Addresses are given, so it never looks a
 * name up; redirects, proxies and every other protocol are off. The CAs are
 * parsed once and kept by the multi.
 */
#include <curl/curl.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdio.h>

#include "net/net_i.h"

struct https {
	struct loop *loop;
	CURLM *multi;
	struct event *timer;
	struct list fetches;
};

struct fetch {
	struct list link;
	struct https *h;
	CURL *easy;
	struct curl_slist *to, *head;
	void (*on_reply)(void *, const struct https_reply *);
	void *user;
	struct buf body;
	bool is_too_long;
	bool is_broken; /* it could not be prepared: ends by the timer */
	char error[CURL_ERROR_SIZE];
};

static void
fetch_free(struct fetch *f)
{
	list_remove(&f->link);
	if (f->easy != NULL) {
		curl_multi_remove_handle(f->h->multi, f->easy);
		curl_easy_cleanup(f->easy);
	}
	curl_slist_free_all(f->to);
	curl_slist_free_all(f->head);
	buf_free(&f->body);
	mem_free(f);
}

static void
fetch_end(struct fetch *f, const char *why)
{
	struct https_reply r = { .why = why, .type = "" };
	char *type = NULL;

	if (f->easy != NULL) {
		curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &r.status);
		curl_easy_getinfo(f->easy, CURLINFO_CONTENT_TYPE, &type);
	}
	if (type != NULL)
		r.type = type;
	r.body = buf_slice(&f->body);
	f->on_reply(f->user, &r);
	fetch_free(f);
}

/* Those that are done. */
static void
reap(struct https *h)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
		CURLcode code = m->data.result;
		struct fetch *f = NULL;
		const char *why = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &f);
		if (f->is_too_long)
			why = "the answer is too long";
		else if (code != CURLE_OK)
			why = f->error[0] ? f->error : curl_easy_strerror(code);
		fetch_end(f, why);
	}
}

static void
end_broken(struct https *h)
{
	for (struct list *n = h->fetches.next, *next; n != &h->fetches;
	     n = next) {
		struct fetch *f = container_of(n, struct fetch, link);

		next = n->next;
		if (f->is_broken)
			fetch_end(f, "it cannot be asked for");
	}
}

static void
on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct https *h = arg;
	int running, mask = 0;

	loop_awake(h->loop);
	if (what & EV_READ)
		mask |= CURL_CSELECT_IN;
	if (what & EV_WRITE)
		mask |= CURL_CSELECT_OUT;
	curl_multi_socket_action(h->multi, fd, mask, &running);
	reap(h);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct https *h = arg;
	int running;

	(void)fd, (void)what;
	loop_awake(h->loop);
	curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	reap(h);
	end_broken(h);
}

/* libcurl tells what it waits for at a socket; socketp is our event there. */
static int
wait_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socketp)
{
	struct https *h = arg;
	struct event *ev = socketp;
	short mask = EV_PERSIST;

	(void)easy;
	if (ev != NULL)
		event_free(ev);
	if (what == CURL_POLL_REMOVE) {
		curl_multi_assign(h->multi, fd, NULL);
		return 0;
	}
	if (what != CURL_POLL_OUT)
		mask |= EV_READ;
	if (what != CURL_POLL_IN)
		mask |= EV_WRITE;
	ev = event_new(loop_base(h->loop), fd, mask, on_socket, h);
	if (ev != NULL)
		event_add(ev, NULL);
	curl_multi_assign(h->multi, fd, ev);
	return 0;
}

static int
wait_timer(CURLM *multi, long ms, void *arg)
{
	struct https *h = arg;
	struct timeval at = { .tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000 };

	(void)multi;
	if (ms < 0)
		event_del(h->timer);
	else
		event_add(h->timer, &at);
	return 0;
}

static size_t
take_body(char *p, size_t size, size_t n, void *arg)
{
	struct fetch *f = arg;

	if (buf_add(&f->body, p, size * n) == 0)
		return size * n;
	f->is_too_long = true;
	return 0; /* ends it */
}

static bool
is_set_up(struct fetch *f, const struct https_ask *a)
{
	char url[512], to[DOMAIN_TEXT_MAX + 80], ip[IP_TEXT_MAX];
	CURL *e = f->easy = curl_easy_init();
	bool ok = e != NULL;

	ip_format(ip, &a->ip);
	snprintf(to, sizeof(to), "%s:%u:%s%s%s:%u", a->host, a->port,
	    a->ip.family == 6 ? "[" : "", ip, a->ip.family == 6 ? "]" : "",
	    a->port);
	if (a->port == 443)
		snprintf(url, sizeof(url), "https://%s%s", a->host, a->path);
	else
		snprintf(url, sizeof(url), "https://%s:%u%s", a->host, a->port,
		    a->path);
	f->to = curl_slist_append(NULL, to);
#define SET(opt, value) ok = ok && curl_easy_setopt(e, opt, value) == CURLE_OK
	SET(CURLOPT_URL, url);
	SET(CURLOPT_CONNECT_TO, f->to);
	SET(CURLOPT_PROTOCOLS_STR, "https");
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_FORBID_REUSE, 1L);
	SET(CURLOPT_TIMEOUT_MS, (long)(a->timeout_us / US_PER_MS));
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_ERRORBUFFER, f->error);
	SET(CURLOPT_PRIVATE, (void *)f);
	SET(CURLOPT_WRITEFUNCTION, take_body);
	SET(CURLOPT_WRITEDATA, (void *)f);
	if (a->ca != NULL) {
		SET(CURLOPT_CAINFO, a->ca);
		SET(CURLOPT_CAPATH, NULL);
	}
#undef SET
	return ok;
}

static bool
posts(struct fetch *f, const struct https_ask *a)
{
	char line[128];
	CURL *e = f->easy;

	snprintf(line, sizeof(line), "Content-Type: %s", a->post_type);
	f->head = curl_slist_append(NULL, line);
	return f->head != NULL &&
	    curl_easy_setopt(e, CURLOPT_HTTPHEADER, f->head) == CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, (long)a->post.n) ==
	    CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, a->post.p) == CURLE_OK;
}

void
https_post(struct https *h, const struct https_ask *a,
    void (*on_reply)(void *user, const struct https_reply *r), void *user)
{
	ASSERT(a->post_type != NULL);
	https_get(h, a, on_reply, user);
}

void
https_get(struct https *h, const struct https_ask *a,
    void (*on_reply)(void *user, const struct https_reply *r), void *user)
{
	struct fetch *f = mem_get(sizeof(*f));

	f->h = h;
	f->on_reply = on_reply;
	f->user = user;
	buf_init(&f->body, a->body_max);
	list_push_tail(&h->fetches, &f->link);
	if (is_set_up(f, a) && (a->post_type == NULL || posts(f, a)) &&
	    curl_multi_add_handle(h->multi, f->easy) == CURLM_OK)
		return;
	f->is_broken = true;
	event_active(h->timer, EV_TIMEOUT, 0);
}

static void
global_init(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct https *
https_new(struct loop *l)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct https *h = mem_get(sizeof(*h));

	pthread_once(&once, global_init);
	h->loop = l;
	list_init(&h->fetches);
	h->timer = event_new(loop_base(l), -1, 0, on_timer, h);
	h->multi = curl_multi_init();
	if (h->multi == NULL || h->timer == NULL) {
		https_free(h);
		return NULL;
	}
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, wait_socket);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, wait_timer);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	return h;
}

void
https_free(struct https *h)
{
	while (!list_is_empty(&h->fetches))
		fetch_end(container_of(h->fetches.next, struct fetch, link),
		    "it was given up");
	if (h->multi != NULL)
		curl_multi_cleanup(h->multi);
	if (h->timer != NULL)
		event_free(h->timer);
	mem_free(h);
}
