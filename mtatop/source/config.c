/*
 * source/config.c - the one thing a viewer wants from the daemon's
 * configuration: the value of `control` at its top level. Everything else in
 * the file is walked over and not judged; that is `mtad check`.
 */
#include <errno.h>
#include <yaml.h>

#include "source/source.h"

#define EVENTS_MAX 1000000 /* of a file that is not what it seems */

struct walk {
	yaml_parser_t parser;
	yaml_event_t event;
	int depth;
	bool is_value; /* what comes next at the top level belongs to a key */
	bool is_control;
};

static bool
is_text(const yaml_event_t *e, const char *text)
{
	return e->type == YAML_SCALAR_EVENT &&
	    strcmp((const char *)e->data.scalar.value, text) == 0;
}

/* One event: true when it is the value. */
static bool
walk_event(struct walk *w)
{
	yaml_event_type_t type = w->event.type;
	bool begins = type == YAML_MAPPING_START_EVENT ||
	    type == YAML_SEQUENCE_START_EVENT;
	bool ends =
	    type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT;
	bool is_node =
	    begins || type == YAML_SCALAR_EVENT || type == YAML_ALIAS_EVENT;

	w->depth -= ends;
	if (w->depth == 1 && is_node) {
		if (w->is_value && w->is_control && type == YAML_SCALAR_EVENT)
			return true;
		w->is_control = !w->is_value && is_text(&w->event, "control");
		w->is_value = !w->is_value;
	}
	w->depth += begins;
	return false;
}

/* true with the value in the walk's event, which is then the caller's. */
static bool
walk_file(struct walk *w)
{
	bool is_end, found;

	for (int i = 0; i < EVENTS_MAX; i++) {
		if (!yaml_parser_parse(&w->parser, &w->event))
			return false;
		found = walk_event(w);
		if (found)
			return true;
		is_end = w->event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&w->event);
		if (is_end)
			return false;
	}
	return false;
}

static bool
read_file(FILE *f, const char *file, char *path, size_t path_cap, char *why,
    size_t why_cap)
{
	struct walk w = { 0 };
	bool ok;
	size_t n;

	if (!yaml_parser_initialize(&w.parser)) {
		snprintf(why, why_cap, "out of memory");
		return false;
	}
	yaml_parser_set_input_file(&w.parser, f);
	if (walk_file(&w)) {
		n = w.event.data.scalar.length;
		slice_copy(slice_of((char *)w.event.data.scalar.value, n), path,
		    path_cap);
		yaml_event_delete(&w.event);
	} else {
		slice_copy(SL(CONFIG_SOCKET), path, path_cap);
	}
	ok = w.parser.error == YAML_NO_ERROR;
	if (!ok)
		snprintf(why, why_cap, "%s:%zu:%zu: %s", file,
		    w.parser.problem_mark.line + 1,
		    w.parser.problem_mark.column + 1,
		    w.parser.problem ? w.parser.problem : "not YAML");
	yaml_parser_delete(&w.parser);
	return ok;
}

bool
config_socket(const char *file, char *path, size_t path_cap, char *why,
    size_t why_cap)
{
	const char *name = file ? file : CONFIG_FILE;
	FILE *f = fopen(name, "re");
	bool ok;

	if (f == NULL && file == NULL) {
		slice_copy(SL(CONFIG_SOCKET), path, path_cap);
		return true;
	}
	if (f == NULL) {
		snprintf(why, why_cap, "%s: %s", file, strerrordesc_np(errno));
		return false;
	}
	ok = read_file(f, name, path, path_cap, why, why_cap);
	fclose(f);
	return ok;
}
