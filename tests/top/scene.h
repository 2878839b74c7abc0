/*
 * tests/top/scene.h - scenes out of files, for the tests that draw.
 */
#ifndef TESTS_TOP_SCENE_H
#define TESTS_TOP_SCENE_H

#include "view/view.h"

/* A file of tests/top/, whole; fails the test when it is not there. */
void file_read(const char *name, struct buf *out);
/* A snapshot of tests/top/data/STATUS.json, QUEUES.json, SOURCES.json. */
struct snap *snap_of(const char *status, const char *queues,
    const char *sources);
/* All lines of a grid. */
void grid_text(const struct grid *g, struct buf *out);
/* The styles of a grid, a letter a cell. */
void grid_styles(const struct grid *g, struct buf *out);
/* Compares with tests/top/golden/NAME.txt; UPDATE_GOLDEN=1 writes it. */
void golden(const char *name, struct slice text);

#endif
