/*
 * net/idn.c - domains with letters beyond ASCII (RFC 6531 3.2), as DNS has
 * them: A-labels, by IDNA 2008 (libidn2).
 */
#include <idn2.h>

#include "net/dns_i.h"

bool
domain_to_ascii(struct slice domain, char dst[DOMAIN_TEXT_MAX])
{
	char text[DOMAIN_TEXT_MAX], *ascii = NULL;
	bool is_ascii = true, fits;

	for (size_t i = 0; i < domain.n; i++)
		is_ascii &= (unsigned char)domain.p[i] < 0x80;
	if (is_ascii) {
		slice_copy(domain, dst, DOMAIN_TEXT_MAX);
		return true;
	}
	slice_copy(domain, text, sizeof(text));
	if (domain.n >= sizeof(text) ||
	    idn2_to_ascii_8z(text, &ascii, IDN2_NONTRANSITIONAL) != IDN2_OK)
		return false;
	fits = strlen(ascii) < DOMAIN_TEXT_MAX;
	if (fits)
		slice_copy(slice_str(ascii), dst, DOMAIN_TEXT_MAX);
	idn2_free(ascii);
	return fits;
}
