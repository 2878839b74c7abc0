/*
 * base/version.c - the version of the three programs, given by the build.
 */
#include "base/base.h"

#ifndef MTA_VERSION
#define MTA_VERSION "0.1.0"
#endif

const char *
mta_version(void)
{
	return MTA_VERSION;
}
