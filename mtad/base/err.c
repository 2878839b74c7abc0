/*
 * base/err.c - texts and names of the operating errors, and how errno values
 * map to them. Everything is generated from ERR_TABLE.
 */
#include <errno.h>

#include "base/base.h"

const char *
err_text(int err)
{
#define ERR_CASE(name, num, text)                                              \
	case name:                                                             \
		return text;
	switch (err) {
	case E_OK:
		return "success";
		ERR_TABLE(ERR_CASE)
	default:
		return "unknown error";
	}
#undef ERR_CASE
}

const char *
err_name(int err)
{
#define ERR_CASE(name, num, text)                                              \
	case name:                                                             \
		return #name;
	switch (err) {
	case E_OK:
		return "E_OK";
		ERR_TABLE(ERR_CASE)
	default:
		return "E_UNKNOWN";
	}
#undef ERR_CASE
}

static const struct {
	int err_no;
	int err;
} err_map[] = {
	{ 0, E_OK },
	{ ENOMEM, E_NOMEM },
	{ EMFILE, E_FULL },
	{ ENFILE, E_FULL },
	{ EAGAIN, E_AGAIN },
	{ EINTR, E_AGAIN },
	{ EINPROGRESS, E_AGAIN },
	{ ENOSPC, E_NOSPC },
	{ EDQUOT, E_NOSPC },
	{ ERANGE, E_RANGE },
	{ EOVERFLOW, E_RANGE },
	{ ENOENT, E_NOTFOUND },
	{ ENOTDIR, E_NOTFOUND },
	{ EEXIST, E_EXISTS },
	{ ENOTEMPTY, E_EXISTS },
	{ EBUSY, E_BUSY },
	{ EADDRINUSE, E_BUSY },
	{ ETXTBSY, E_BUSY },
	{ EACCES, E_DENIED },
	{ EPERM, E_DENIED },
	{ EROFS, E_DENIED },
	{ ETIMEDOUT, E_TIMEOUT },
	{ EPIPE, E_CLOSED },
	{ ECONNRESET, E_CLOSED },
	{ ECONNABORTED, E_CLOSED },
	{ ENOTCONN, E_CLOSED },
	{ EFBIG, E_TOOBIG },
	{ EMSGSIZE, E_TOOBIG },
	{ ENAMETOOLONG, E_TOOBIG },
	{ ENOSYS, E_UNSUPPORTED },
	{ EOPNOTSUPP, E_UNSUPPORTED },
	{ EAFNOSUPPORT, E_UNSUPPORTED },
	{ EPROTONOSUPPORT, E_UNSUPPORTED },
	{ EPROTO, E_PROTO },
};

int
err_from_errno(int err_no)
{
	for (size_t i = 0; i < ARRAY_LEN(err_map); i++)
		if (err_map[i].err_no == err_no)
			return err_map[i].err;
	return E_IO;
}
