/*
 * relay/clusters.c - replies in clusters.
 */
#include "relay/clusters.h"

struct said {
	uint64_t queue;
	struct list link; /* by when something was heard, oldest first */
	struct cluster *v[CLUSTERS]; /* NULL behind the last */
};

struct clusters {
	struct map by_queue; /* to place in said + 1 */
	struct said *said[CLUSTER_QUEUES];
	uint32_t n;
	struct list old;
};

struct clusters *
clusters_new(void)
{
	struct clusters *c = mem_try(sizeof(*c));

	if (c == NULL)
		return NULL;
	map_init(&c->by_queue, 0, 2 * CLUSTER_QUEUES);
	list_init(&c->old);
	return c;
}

static void
forget(struct said *s)
{
	for (uint32_t i = 0; i < CLUSTERS; i++)
		mem_free(s->v[i]);
}

void
clusters_free(struct clusters *c)
{
	if (c == NULL)
		return;
	for (uint32_t i = 0; i < c->n; i++) {
		forget(c->said[i]);
		mem_free(c->said[i]);
	}
	map_free(&c->by_queue);
	mem_free(c);
}

/* ---- texts ---------------------------------------------------------------------- */

static bool
is_word(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '.' || c == '-' ||
	    c == '_' || c == '@' || c == ':' || c == '+' || c == '=' ||
	    c == '/' || c == '%' || (unsigned char)c >= 0x80;
}

struct shape {
	uint32_t digits, letters, dots, colons, dashes;
	bool has_at, has_slashes;
};

static struct shape
shape_of(struct slice w)
{
	struct shape s = { 0 };

	for (size_t i = 0; i < w.n; i++) {
		s.digits += ascii_is_digit(w.p[i]);
		s.letters += ascii_is_alpha(w.p[i]);
		s.dots += w.p[i] == '.';
		s.colons += w.p[i] == ':';
		s.dashes += w.p[i] == '-';
		s.has_at |= w.p[i] == '@';
		s.has_slashes |=
		    w.p[i] == '/' && i + 1 < w.n && w.p[i + 1] == '/';
	}
	return s;
}

/* What stands for a word that differs from message to message; NULL: it does
 * not. */
static const char *
stands_for(struct slice w)
{
	struct shape s = shape_of(w);

	if (s.has_slashes)
		return "<url>";
	if (s.has_at)
		return "<address>";
	if (s.letters == 0 && s.dots == 3 && s.digits >= 4)
		return "<ip>";
	if (s.colons >= 2 && s.digits > 0)
		return "<ip>";
	if (s.letters == 0 && s.digits > 0) /* 4.7.1 says what it is */
		return s.dots == 2 && s.digits <= 5 ? NULL : "<n>";
	if (s.dots >= 1 && s.letters >= 4)
		return "<host>";
	if (s.digits >= 2 && w.n >= 8)
		return "<id>";
	return s.digits > 0 && s.letters > 0 && s.digits >= s.letters ? "<id>" :
									NULL;
}

static size_t
put(char *dst, size_t at, size_t cap, struct slice s)
{
	size_t n = MIN(s.n, cap - at);

	memcpy(dst + at, s.p, n);
	return at + n;
}

size_t
cluster_strip(struct slice text, char *dst, size_t cap)
{
	size_t n = 0;

	while (text.n > 0 && n < cap) {
		size_t len = 0, tail = 0;
		const char *other;

		while (len < text.n && is_word(text.p[len]))
			len++;
		if (len == 0) {
			n = put(dst, n, cap, slice_of(text.p, 1));
			text = slice_skip(text, 1);
			continue;
		}
		while (tail < len &&
		    (text.p[len - tail - 1] == '.' ||
			text.p[len - tail - 1] == ':'))
			tail++;
		other = stands_for(slice_of(text.p, len - tail));
		n = put(dst, n, cap,
		    other ? slice_str(other) : slice_of(text.p, len - tail));
		n = put(dst, n, cap, slice_of(text.p + len - tail, tail));
		text = slice_skip(text, len);
	}
	return n;
}

/* ---- counting --------------------------------------------------------------------- */

static struct said *
said_of(struct clusters *c, uint64_t queue)
{
	uint32_t at = map_get(&c->by_queue, queue);
	struct said *s;

	if (at != 0) {
		s = c->said[at - 1];
		list_remove(&s->link);
		list_push_tail(&c->old, &s->link);
		return s;
	}
	if (c->n < CLUSTER_QUEUES) {
		s = mem_try(sizeof(*s));
		if (s == NULL || map_put(&c->by_queue, queue, c->n + 1) != 0) {
			mem_free(s);
			return NULL;
		}
		c->said[c->n++] = s;
	} else {
		s = container_of(c->old.next, struct said, link);
		at = map_del(&c->by_queue, s->queue);
		list_remove(&s->link);
		forget(s);
		memset(s, 0, sizeof(*s));
		if (map_put(&c->by_queue, queue, at) != 0) {
			list_push_head(&c->old, &s->link);
			return NULL;
		}
	}
	s->queue = queue;
	list_push_tail(&c->old, &s->link);
	return s;
}

/* The place of the cluster with that hash; else one that is free, or that of the
 * one which was heard last the longest ago. */
static struct cluster **
place_of(struct said *s, uint64_t hash)
{
	struct cluster **old = &s->v[0];

	for (uint32_t i = 0; i < CLUSTERS; i++) {
		if (s->v[i] == NULL || s->v[i]->hash == hash)
			return &s->v[i];
		if (s->v[i]->last_us < (*old)->last_us)
			old = &s->v[i];
	}
	return old;
}

static void
add_source(struct cluster *k, uint32_t source)
{
	if (source == 0)
		return;
	for (uint32_t i = 0; i < MIN(k->nsources, CLUSTER_SOURCES); i++)
		if (k->sources[i] == source)
			return;
	if (k->nsources < CLUSTER_SOURCES)
		k->sources[k->nsources] = source;
	if (k->nsources <= CLUSTER_SOURCES)
		k->nsources++;
}

void
clusters_add(struct clusters *c, uint64_t queue, const struct outcome *o,
    struct slice text, uint32_t source, int64_t wall_us)
{
	char plain[CLUSTER_TEXT];
	size_t n = cluster_strip(text, plain, sizeof(plain));
	uint64_t hash = hash_bytes((uint64_t)o->code << 8 | o->stage, plain, n);
	struct said *s = said_of(c, queue);
	struct cluster **at, *k;

	if (s == NULL)
		return;
	at = place_of(s, hash);
	k = *at;
	if (k == NULL || k->hash != hash) {
		k = mem_try(sizeof(*k) + n);
		if (k == NULL)
			return;
		mem_free(*at);
		*at = k;
		k->hash = hash;
		k->first_us = wall_us;
		k->outcome = *o;
		k->text_n = (uint8_t)n;
		memcpy(k->text, plain, n);
	}
	k->count++;
	k->last_us = wall_us;
	add_source(k, source);
}

uint32_t
clusters_get(const struct clusters *c, uint64_t queue,
    const struct cluster *v[CLUSTERS])
{
	uint32_t at = map_get(&c->by_queue, queue), n = 0;

	for (uint32_t i = 0; at != 0 && i < CLUSTERS; i++) {
		const struct cluster *k = c->said[at - 1]->v[i];
		uint32_t to = n;

		if (k == NULL)
			break;
		for (; to > 0 && v[to - 1]->count < k->count; to--)
			v[to] = v[to - 1];
		v[to] = k;
		n++;
	}
	return n;
}
