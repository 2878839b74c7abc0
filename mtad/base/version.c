/*
 * base/version.c - the version of the three programs and the place of their
 * data, given by the build.
 */
#include "base/base.h"

#ifndef MTA_VERSION
#define MTA_VERSION "0.1.0"
#endif
#ifndef MTA_DATADIR
#define MTA_DATADIR "/usr/local/share/mtad"
#endif

const char *
mta_version(void)
{
	return MTA_VERSION;
}

const char *
mta_datadir(void)
{
	return MTA_DATADIR;
}
