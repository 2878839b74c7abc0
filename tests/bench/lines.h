/*
 * bench/lines.h - cold cache lines so far, as a model counts them; only
 * bench_engine_lines is linked with it.
 */
#ifndef BENCH_LINES_H
#define BENCH_LINES_H

#include <stdint.h>

uint64_t lines_cold(void) __attribute__((weak));

#endif
