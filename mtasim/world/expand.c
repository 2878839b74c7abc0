/*
 * world/expand.c - numeric ranges in names.
 */
#include "world/expand.h"

int
expand_parse(struct slice pattern, struct expand *e)
{
	size_t open = slice_index(pattern, '{');
	struct slice range, lo;
	size_t close;

	*e = (struct expand){ .before = slice_of(pattern.p, open) };
	if (open == pattern.n)
		return 0;
	range = slice_skip(pattern, open + 1);
	close = slice_index(range, '}');
	if (close == range.n)
		return E_SYNTAX;
	e->after = slice_skip(range, close + 1);
	range.n = close;
	lo = slice_cut(&range, '.');
	if (range.n < 2 || range.p[0] != '.' ||
	    slice_index(e->after, '{') != e->after.n)
		return E_SYNTAX;
	if (slice_u64(lo, UINT32_MAX, &e->lo) != 0 ||
	    slice_u64(slice_skip(range, 1), UINT32_MAX, &e->hi) != 0)
		return E_SYNTAX;
	if (e->hi < e->lo || e->hi - e->lo >= EXPAND_MAX)
		return E_RANGE;
	if (lo.n > 1 && lo.p[0] == '0')
		e->width = (uint32_t)lo.n;
	e->has_range = true;
	return 0;
}

uint64_t
expand_count(const struct expand *e)
{
	return e->hi - e->lo + 1;
}

int
expand_name(const struct expand *e, uint64_t i, struct buf *out)
{
	if (!e->has_range)
		return buf_adds(out, e->before);
	return buf_addf(out, "%.*s%0*llu%.*s", SLF(e->before), (int)e->width,
	    (unsigned long long)(e->lo + i), SLF(e->after));
}
