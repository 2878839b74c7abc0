/*
 * fuzz_dns - hostile DNS answers: bounded, no read outside the packet, names
 * end in a NUL and hold only printable bytes.
 */
#include "net/dns_i.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dns_rrs r;
	static const uint16_t types[] = { DNS_TYPE_A, DNS_TYPE_MX,
		DNS_TYPE_AAAA, DNS_TYPE_TLSA, DNS_TYPE_TXT };
	static struct dns_records records;

	r.records = &records;
	for (size_t k = 0; k < ARRAY_LEN(types); k++) {
		if (dns_packet_read(slice_of((const char *)data, size),
			types[k], &r))
			continue;
		ASSERT(r.nmx <= DNS_RRS_MAX && r.nip <= DNS_RRS_MAX);
		for (uint32_t i = 0; i < r.nmx; i++)
			for (const char *p = r.mx[i].name; *p; p++)
				ASSERT(*p > 32 && *p < 127);
		ASSERT(records.tlsa.n <= TLSA_MAX);
		for (uint32_t i = 0; i < records.tlsa.n; i++)
			ASSERT(records.tlsa.rec[i].at +
				records.tlsa.rec[i].bytes <=
			    TLSA_BYTES_MAX);
		ASSERT(records.txt_n <= sizeof(records.txt));
		for (size_t i = 0; i < records.txt_n; i++)
			ASSERT((records.txt[i] >= 32 && records.txt[i] < 127) ||
			    records.txt[i] == '\n');
	}
	return 0;
}
