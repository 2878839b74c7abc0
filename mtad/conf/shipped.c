/*
 * conf/shipped.c - where the files of rules lie that come with the programs.
 */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "conf/conf.h"

const char *
conf_shipped(const char *name, char *dst, size_t cap)
{
	static const char *const above[] = { "..", "../..", "../../..",
		"../../../.." };
	char exe[PATH_MAX], path[PATH_MAX], real[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	exe[MAX(n, (ssize_t)0)] = '\0';
	slash = strrchr(exe, '/');
	if (slash != NULL)
		*slash = '\0';
	for (size_t i = 0; i < ARRAY_LEN(above) && slash != NULL; i++) {
		snprintf(path, sizeof(path), "%.3000s/%s/share/rules/%.200s",
		    exe, above[i], name);
		if (realpath(path, real) && access(real, R_OK) == 0) {
			snprintf(dst, cap, "%s", real);
			return dst;
		}
	}
	snprintf(dst, cap, "%s/rules/%.200s", mta_datadir(), name);
	return dst;
}
