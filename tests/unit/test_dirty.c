/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The leases that are to be told of, against a plain list of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/dirty.h"

#define KEYS 3000

static struct dirty_key key_of(unsigned int i)
{
	return (struct dirty_key){.ext_port = (uint16_t)(1000 + i), .protocol = 17};
}

/* Each key is there once at most, keeps how it came, and is taken once. */
static void what_is_added_is_taken_once(void **state)
{
	static bool there[KEYS], born[KEYS];
	struct dirty d;
	size_t n = 0;
	uint32_t x = 1;

	(void)state;
	dirty_init(&d, KEYS, 7);
	for (unsigned int step = 0; step < 400000; step++) {
		struct dirty_key key;
		unsigned int i;
		bool was;

		x = x * 1664525 + 1013904223;
		/* By turns more come than go, and the other way round. */
		if ((x >> 8) % 16 < (step / 20000 % 2 ? 5U : 11U)) {
			i = (x >> 12) % KEYS;
			key = key_of(i);
			assert_true(dirty_add(&d, &key, x >> 31));
			if (!there[i]) {
				born[i] = x >> 31;
				n++;
			}
			there[i] = true;
		} else if (dirty_take(&d, &key, &was)) {
			i = key.ext_port - 1000U;
			assert_true(there[i]);
			assert_int_equal(was, born[i]);
			there[i] = false;
			n--;
		} else {
			assert_int_equal(n, 0);
		}
		assert_int_equal(d.n, n);
	}
	dirty_fini(&d);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_added_is_taken_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
