/*
 * tests/lib/slow_spill.c - preloaded into mtad: while the file $SPILL_HANGS is
 * there, a write to a file without a name does not return.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static ssize_t (*real_write)(int, const void *, size_t);

__attribute__((constructor)) static void
set_up(void)
{
	real_write =
	    (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
}

ssize_t
write(int fd, const void *p, size_t n)
{
	const char *gate = getenv("SPILL_HANGS");
	struct stat st;

	if (gate && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_nlink == 0)
		while (access(gate, F_OK) == 0)
			usleep(5000);
	return real_write(fd, p, n);
}
