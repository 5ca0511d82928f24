/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answers of STUN servers: what is no whole one to the request is refused, and nothing is read
 * behind it. An input is the id and a datagram.
 */
#include <errno.h>

#include "cli/stun.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t zero[STUN_ID_LEN];
	struct stun_reply r, again;
	uint8_t *block;
	int err;

	memset(&r, 0xa5, sizeof(r));
	block = fuzz_alloc(size);
	if (size)
		memcpy(block, data, size);
	err = stun_parse(block, size, size >= 20 ? block + 8 : zero, &r);
	must(err == 0 || err == -EBADMSG);
	memset(&again, 0, sizeof(again));
	must(stun_parse(block, size, size >= 20 ? block + 8 : zero, &again) == err);
	if (!err) {
		must(size >= 20 && size % 4 == 0);
		must(r.mapped_known == again.mapped_known &&
		     r.other_known == again.other_known);
		must(!r.mapped_known || r.mapped.sin_family == AF_INET);
		must(!r.other_known || r.other.sin_family == AF_INET);
	}
	free(block);
	return 0;
}
