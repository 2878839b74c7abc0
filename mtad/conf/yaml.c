/*
 * conf/yaml.c - YAML text to a tree whose every node knows its place.
 *
 * libyaml gives events; the tree is built with a stack of open collections,
 * so nothing here recurses, and every bound is checked as the text is read:
 * bytes, nodes, depth, anchors. An alias shares its node, but counts with the
 * whole size and height of what it stands for, so a walk over the tree is
 * bounded by the same numbers as the text would be if it were written out.
 * An anchor is known only behind the end of its node: no cycles.
 *
 * Scalars stay text. Tags are refused: types come from the option table.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <yaml.h>

#include "conf/conf_i.h"

#define ARENA_MAX ((size_t)512 << 20)

struct yaml_doc {
	struct arena arena;
	struct slice name;
	const struct yaml_node *root;
};

/* A child of a collection that is still open. */
struct child {
	struct yaml_node *node; /* NULL: the value of the key is to come */
	struct slice key;
	struct place key_at;
};

struct frame {
	struct yaml_node *node;
	size_t first; /* its first child in builder.children */
	struct slice anchor;
	uint32_t weight, height; /* of what is in it, aliases expanded */
};

struct anchor {
	struct slice name;
	struct yaml_node *node;
	uint32_t weight, height;
};

struct builder {
	yaml_parser_t parser;
	yaml_event_t event;
	struct yaml_doc *doc;
	struct complaints *c;
	struct slice text;
	uint32_t depth, nanchors, ndocs, nodes;
	bool is_broken; /* a complaint that ends the reading was made */
	size_t nchildren, cap;
	struct child *children;
	struct frame frames[YAML_DEPTH_MAX];
	struct anchor anchors[YAML_ANCHORS_MAX];
};

static struct place
mark_place(const yaml_mark_t *m)
{
	return (struct place){ (uint32_t)m->line + 1, (uint32_t)m->column + 1 };
}

static struct place
event_place(const struct builder *b)
{
	return mark_place(&b->event.start_mark);
}

/* Says why the text cannot be read further. */
static bool
give_up(struct builder *b, struct place at, const char *expected,
    const char *got)
{
	complain(b->c, at, "YAML", expected, slice_str(got));
	b->is_broken = true;
	return false;
}

static bool
no_memory(struct builder *b)
{
	return give_up(b, event_place(b), "less of it", "out of memory");
}

/* ---- the tree ------------------------------------------------------------ */

static int
by_key(const void *va, const void *vb)
{
	const struct child *a = *(const struct child *const *)va;
	const struct child *b = *(const struct child *const *)vb;
	int order = slice_cmp(a->key, b->key);

	if (order != 0)
		return order;
	return a < b ? -1 : a > b;
}

static void
complain_duplicate(struct builder *b, const struct child *first,
    const struct child *again)
{
	char expected[64];

	snprintf(expected, sizeof(expected),
	    "each key once (the first is on line %u)", first->key_at.line);
	complain(b->c, again->key_at, "duplicate key", expected, again->key);
}

/* Finds equal keys by sorting: a map may have a million. */
static bool
check_duplicates(struct builder *b, struct child *v, size_t n)
{
	struct child **sorted = mem_try((n + 1) * sizeof(*sorted));
	size_t first = 0;

	if (sorted == NULL)
		return no_memory(b);
	for (size_t i = 0; i < n; i++)
		sorted[i] = &v[i];
	qsort(sorted, n, sizeof(*sorted), by_key);
	for (size_t i = 1; i < n; i++)
		if (slice_eq(sorted[first]->key, sorted[i]->key))
			complain_duplicate(b, sorted[first], sorted[i]);
		else
			first = i;
	mem_free(sorted);
	return true;
}

/* Moves the children of a closed collection into their node. */
static bool
fill_node(struct builder *b, struct yaml_node *node, const struct child *v,
    size_t n)
{
	struct arena *a = &b->doc->arena;

	node->n = (uint32_t)n;
	node->items = arena_get(a, n * sizeof(*node->items));
	if (node->kind == YAML_MAP) {
		node->keys = arena_get(a, n * sizeof(*node->keys));
		node->key_lines = arena_get(a, n * sizeof(uint32_t));
		node->key_columns = arena_get(a, n * sizeof(uint32_t));
	}
	if (node->items == NULL ||
	    (node->kind == YAML_MAP &&
		(node->keys == NULL || node->key_lines == NULL ||
		    node->key_columns == NULL)))
		return no_memory(b);
	for (size_t i = 0; i < n; i++) {
		node->items[i] = v[i].node;
		if (node->kind != YAML_MAP)
			continue;
		node->keys[i] = v[i].key;
		node->key_lines[i] = v[i].key_at.line;
		node->key_columns[i] = v[i].key_at.column;
	}
	return true;
}

static bool
push_child(struct builder *b, struct child child)
{
	if (b->nchildren == b->cap) {
		size_t cap = b->cap > 0 ? b->cap * 2 : 64;
		struct child *p = mem_grow(b->children, cap * sizeof(*p));

		if (p == NULL)
			return no_memory(b);
		b->children = p;
		b->cap = cap;
	}
	b->children[b->nchildren++] = child;
	return true;
}

/* Is the next node a key of the innermost collection? */
static bool
wants_key(const struct builder *b)
{
	const struct frame *f;

	if (b->depth == 0)
		return false;
	f = &b->frames[b->depth - 1];
	if (f->node->kind != YAML_MAP)
		return false;
	return b->nchildren == f->first ||
	    b->children[b->nchildren - 1].node != NULL;
}

/* Counts a node with all that it stands for into the open collection. */
static bool
weigh(struct builder *b, uint32_t weight, uint32_t height)
{
	struct frame *f;

	if (b->depth + height > YAML_DEPTH_MAX)
		return give_up(b, event_place(b),
		    "at most 64 levels of nesting", "more");
	if (b->depth == 0)
		return true;
	f = &b->frames[b->depth - 1];
	if (weight > YAML_NODES_MAX - f->weight)
		return give_up(b, event_place(b),
		    "at most 1000000 nodes, aliases written out", "more");
	f->weight += weight;
	f->height = MAX(f->height, height);
	return true;
}

/* Puts a finished node where it belongs. */
static bool
attach(struct builder *b, struct yaml_node *node, uint32_t weight,
    uint32_t height)
{
	if (!weigh(b, weight, height))
		return false;
	if (b->depth == 0) {
		b->doc->root = node;
		return true;
	}
	if (b->frames[b->depth - 1].node->kind == YAML_MAP) {
		b->children[b->nchildren - 1].node = node;
		return true;
	}
	return push_child(b, (struct child){ .node = node });
}

static bool
remember(struct builder *b, struct slice name, struct yaml_node *node,
    uint32_t weight, uint32_t height)
{
	if (name.n == 0)
		return true;
	if (b->nanchors == YAML_ANCHORS_MAX)
		return give_up(b, event_place(b), "at most 256 anchors",
		    "more");
	b->anchors[b->nanchors++] =
	    (struct anchor){ name, node, weight, height };
	return true;
}

/* ---- events -------------------------------------------------------------- */

static bool
keep(struct builder *b, const void *p, size_t n, struct slice *out)
{
	out->p = arena_str(&b->doc->arena, p, n);
	out->n = n;
	return out->p != NULL || no_memory(b);
}

static bool
keep_anchor(struct builder *b, const yaml_char_t *name, struct slice *out)
{
	*out = slice_of(NULL, 0);
	return name == NULL || keep(b, name, strlen((const char *)name), out);
}

static struct yaml_node *
node_new(struct builder *b, enum yaml_kind kind, const yaml_char_t *tag)
{
	struct yaml_node *node;
	struct place at = event_place(b);

	if (tag != NULL) {
		give_up(b, at, "no tag", (const char *)tag);
		return NULL;
	}
	if (++b->nodes > YAML_NODES_MAX) {
		give_up(b, at, "at most 1000000 nodes", "more");
		return NULL;
	}
	node = arena_get(&b->doc->arena, sizeof(*node));
	if (node == NULL) {
		no_memory(b);
		return NULL;
	}
	node->kind = kind;
	node->line = at.line;
	node->column = at.column;
	return node;
}

static bool
text_is_null(struct slice s)
{
	return s.n == 0 || slice_eq(s, SL("~")) || slice_eq(s, SL("null")) ||
	    slice_eq(s, SL("Null")) || slice_eq(s, SL("NULL"));
}

static bool
on_key(struct builder *b)
{
	struct child child = { .key_at = event_place(b) };

	if (b->event.type != YAML_SCALAR_EVENT)
		return give_up(b, child.key_at, "a word as the key of a map",
		    "something else");
	if (!keep(b, b->event.data.scalar.value, b->event.data.scalar.length,
		&child.key))
		return false;
	return push_child(b, child);
}

static bool
on_scalar(struct builder *b)
{
	struct yaml_node *node;
	struct slice anchor;

	node = node_new(b, YAML_SCALAR, b->event.data.scalar.tag);
	if (node == NULL ||
	    !keep(b, b->event.data.scalar.value, b->event.data.scalar.length,
		&node->text) ||
	    !keep_anchor(b, b->event.data.scalar.anchor, &anchor))
		return false;
	node->is_plain = b->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	node->is_null = node->is_plain && text_is_null(node->text);
	return attach(b, node, 1, 1) && remember(b, anchor, node, 1, 1);
}

static bool
on_alias(struct builder *b)
{
	const char *name = (const char *)b->event.data.alias.anchor;

	/* Backwards: the last of several anchors of one name is meant. */
	for (uint32_t i = b->nanchors; i-- > 0;) {
		const struct anchor *a = &b->anchors[i];

		if (slice_eq(a->name, slice_str(name)))
			return attach(b, a->node, a->weight, a->height);
	}
	return give_up(b, event_place(b),
	    "the name of an anchor that ended before", name);
}

static bool
on_open(struct builder *b, enum yaml_kind kind, const yaml_char_t *tag,
    const yaml_char_t *anchor)
{
	struct frame *f;
	struct yaml_node *node = node_new(b, kind, tag);

	if (node == NULL)
		return false;
	if (b->depth == YAML_DEPTH_MAX)
		return give_up(b, event_place(b),
		    "at most 64 levels of nesting", "more");
	f = &b->frames[b->depth];
	*f = (struct frame){ .node = node, .first = b->nchildren };
	f->weight = 1;
	if (!keep_anchor(b, anchor, &f->anchor))
		return false;
	b->depth++;
	return true;
}

static bool
on_close(struct builder *b)
{
	struct frame *f = &b->frames[--b->depth];
	size_t n = b->nchildren - f->first;
	struct child *v = n > 0 ? b->children + f->first : NULL;
	uint32_t height = f->height + 1;

	if (f->node->kind == YAML_MAP && n > 1 && !check_duplicates(b, v, n))
		return false;
	if (n > 0 && !fill_node(b, f->node, v, n))
		return false;
	b->nchildren = f->first;
	return attach(b, f->node, f->weight, height) &&
	    remember(b, f->anchor, f->node, f->weight, height);
}

static bool
on_document(struct builder *b)
{
	if (++b->ndocs == 1)
		return true;
	return give_up(b, event_place(b), "one document", "another");
}

static bool
on_event(struct builder *b)
{
	const yaml_event_t *e = &b->event;

	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		return on_document(b);
	case YAML_SCALAR_EVENT:
		return wants_key(b) ? on_key(b) : on_scalar(b);
	case YAML_ALIAS_EVENT:
		return wants_key(b) ? on_key(b) : on_alias(b);
	case YAML_SEQUENCE_START_EVENT:
		if (wants_key(b))
			return on_key(b);
		return on_open(b, YAML_LIST, e->data.sequence_start.tag,
		    e->data.sequence_start.anchor);
	case YAML_MAPPING_START_EVENT:
		if (wants_key(b))
			return on_key(b);
		return on_open(b, YAML_MAP, e->data.mapping_start.tag,
		    e->data.mapping_start.anchor);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_close(b);
	default:
		return true;
	}
}

/* ---- the whole text ------------------------------------------------------ */

/* Where a byte lies; the reader's own errors come without line and column. */
static struct place
offset_place(struct slice text, size_t offset)
{
	struct place at = { 1, 1 };

	for (size_t i = 0; i < MIN(offset, text.n); i++)
		if (text.p[i] == '\n') {
			at.line++;
			at.column = 1;
		} else if ((text.p[i] & 0xc0) != 0x80) {
			at.column++;
		}
	return at;
}

static void
complain_syntax(struct builder *b)
{
	const yaml_parser_t *p = &b->parser;
	struct place at = mark_place(&p->problem_mark);
	char got[160];

	if (p->error == YAML_MEMORY_ERROR) {
		no_memory(b);
		return;
	}
	if (p->error == YAML_READER_ERROR)
		at = offset_place(b->text, p->problem_offset);
	snprintf(got, sizeof(got), "%s%s%s",
	    p->problem ? p->problem : "an error", p->context ? " " : "",
	    p->context ? p->context : "");
	give_up(b, at, "well-formed text", got);
}

static void
build(struct builder *b)
{
	bool is_end = false;

	while (!is_end && !b->is_broken) {
		if (!yaml_parser_parse(&b->parser, &b->event)) {
			complain_syntax(b);
			return;
		}
		is_end = b->event.type == YAML_STREAM_END_EVENT;
		on_event(b);
		yaml_event_delete(&b->event);
	}
}

/* An empty file is an empty document: a null. */
static bool
give_root(struct builder *b)
{
	static const struct yaml_node nothing = { .kind = YAML_SCALAR,
		.line = 1,
		.column = 1,
		.is_plain = true,
		.is_null = true,
		.text = { "", 0 } };

	if (b->doc->root == NULL)
		b->doc->root = &nothing;
	return !b->is_broken;
}

static bool
parse_into(struct yaml_doc *doc, struct slice text, struct complaints *c)
{
	struct builder *b = mem_try(sizeof(*b));
	bool ok = false;

	if (b == NULL)
		return false;
	b->doc = doc;
	b->c = c;
	b->text = text;
	if (text.n > YAML_BYTES_MAX) {
		give_up(b, (struct place){ 1, 1 }, "at most 16M", "more");
	} else if (yaml_parser_initialize(&b->parser)) {
		yaml_parser_set_encoding(&b->parser, YAML_UTF8_ENCODING);
		yaml_parser_set_input_string(&b->parser,
		    (const unsigned char *)(text.n > 0 ? text.p : ""), text.n);
		build(b);
		ok = give_root(b);
		yaml_parser_delete(&b->parser);
	}
	mem_free(b->children);
	mem_free(b);
	return ok;
}

struct yaml_doc *
yaml_read(const char *name, struct slice text, struct complaints *c)
{
	struct yaml_doc *d = mem_get(sizeof(*d));

	arena_init(&d->arena, 16384, ARENA_MAX);
	d->name.p = arena_str(&d->arena, name, strlen(name));
	d->name.n = d->name.p != NULL ? strlen(name) : 0;
	if (d->name.p != NULL && parse_into(d, text, c))
		return d;
	yaml_doc_free(d);
	return NULL;
}

/* ---- the front door ------------------------------------------------------ */

/* The tree, or NULL with errors in c. */
static struct yaml_doc *
parse(const char *name, struct slice text, struct complaints *c)
{
	struct yaml_doc *d = yaml_read(name, text, c);

	if (c->nerrors == 0)
		return d;
	yaml_doc_free(d);
	return NULL;
}

struct yaml_doc *
yaml_parse(const char *name, struct slice text, struct conf_errors *errs)
{
	struct complaints c;
	struct yaml_doc *d;

	complaints_init(&c, name);
	d = parse(name, text, &c);
	complaints_flush(&c, errs);
	return d;
}

struct yaml_doc *
yaml_load(const char *path, struct conf_errors *errs)
{
	struct complaints c;
	struct yaml_doc *d = NULL;
	struct buf text;

	buf_init(&text, YAML_BYTES_MAX + 1);
	complaints_init(&c, path);
	if (file_read(path, &text, &c))
		d = parse(path, buf_slice(&text), &c);
	complaints_flush(&c, errs);
	buf_free(&text);
	return d;
}

void
yaml_doc_free(struct yaml_doc *d)
{
	if (d == NULL)
		return;
	arena_free(&d->arena);
	mem_free(d);
}

const struct yaml_node *
yaml_root(const struct yaml_doc *d)
{
	return d->root;
}

uint32_t
yaml_find(const struct yaml_node *map, struct slice key)
{
	uint32_t i = 0;

	if (map->kind != YAML_MAP)
		return map->n;
	while (i < map->n && !slice_eq(map->keys[i], key))
		i++;
	return i;
}

const struct yaml_node *
yaml_get(const struct yaml_node *map, const char *key)
{
	uint32_t i;

	if (map == NULL)
		return NULL;
	i = yaml_find(map, slice_str(key));
	return i < map->n ? map->items[i] : NULL;
}

void
yaml_error(const struct yaml_doc *d, const struct yaml_node *at,
    struct conf_errors *errs, const char *fmt, ...)
{
	char text[1024], shown[1024], line[1400];
	va_list ap;

	if (errs->n++ >= CONF_ERRORS_MAX || errs->report == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* Complaints repeat what the file says: that stays on one line. */
	text_one_line(slice_str(text), shown, sizeof(shown));
	snprintf(line, sizeof(line), "%.*s:%u:%u: %s", SLF(d->name), at->line,
	    at->column, shown);
	errs->report(errs->ctx, line);
}

/* ---- files --------------------------------------------------------------- */

static int
read_all(int fd, struct buf *out)
{
	ssize_t n;

	do {
		char *to = buf_room(out, MIN((size_t)65536, out->max - out->n));

		if (to == NULL)
			return ENOMEM;
		n = read(fd, to, MIN((size_t)65536, out->max - out->n));
		if (n < 0 && errno != EINTR)
			return errno;
		if (n > 0)
			buf_grew(out, (size_t)n);
	} while (n != 0 && out->n < out->max);
	return 0;
}

bool
file_read(const char *path, struct buf *out, struct complaints *c)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = fd < 0 ? errno : read_all(fd, out);

	if (fd >= 0)
		close(fd);
	if (err != 0)
		complain(c, (struct place){ 1, 1 }, "file", "it to be readable",
		    slice_str(strerrordesc_np(err)));
	return err == 0;
}
