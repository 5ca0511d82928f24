/* SPDX-License-Identifier: GPL-2.0-or-later */
/* C24, C25, P17: which epoch goes with which external address, also across restarts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/epoch.h"
#include "firewall/kernel.h"

static const struct in6_addr none = IN6ADDR_ANY_INIT;

static struct in6_addr v4(const char *text)
{
	struct in6_addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static struct firewall_epoch begun(uint64_t since_ms, const char *wan)
{
	return (struct firewall_epoch){.since_ms = since_ms,
				       .wan4 = wan ? v4(wan) : none};
}

/* To the kernel and back. */
static struct firewall_epoch restarted(const struct firewall_epoch *e)
{
	uint8_t userdata[ELEMENT_USERDATA_MAX];
	struct firewall_epoch back = begun(1, "9.9.9.9");

	assert_int_equal(
		about_epoch_read(userdata, about_epoch_userdata(e, userdata), &back), 0);
	return back;
}

static void it_comes_back_as_it_was(void **state)
{
	struct firewall_epoch e = begun(0x123456789abcdef0ULL, "11.0.0.1"), back;

	(void)state;
	back = restarted(&e);
	assert_memory_equal(&back, &e, sizeof(e));
	e.wan4 = none;
	back = restarted(&e);
	assert_memory_equal(&back, &e, sizeof(e));
}

/* From a block of just that size. */
static int read_of(const uint8_t *userdata, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct firewall_epoch e;
	int err;

	assert_non_null(copy);
	memcpy(copy, userdata, len);
	err = about_epoch_read(copy, len, &e);
	free(copy);
	return err;
}

static void any_truncation_is_refused(void **state)
{
	const size_t body = 2 + sizeof("epoch") + 2;
	struct firewall_epoch e = begun(5000, "11.0.0.1");
	uint8_t userdata[ELEMENT_USERDATA_MAX];
	size_t len = about_epoch_userdata(&e, userdata);

	(void)state;
	assert_int_equal(read_of(userdata, len), 0);
	for (size_t n = 0; n < len; n++)
		assert_int_equal(read_of(userdata, n), -EBADMSG);
	for (size_t n = 0; n < 1 + 8 + 4; n++) {
		userdata[body - 1] = (uint8_t)n;
		assert_int_equal(read_of(userdata, body + n), -EBADMSG);
	}
}

static void another_version_is_not_believed(void **state)
{
	struct firewall_epoch e = begun(5000, "11.0.0.1");
	uint8_t userdata[ELEMENT_USERDATA_MAX];
	size_t len = about_epoch_userdata(&e, userdata);

	(void)state;
	userdata[2 + sizeof("epoch") + 2]++;
	assert_int_equal(read_of(userdata, len), -EBADMSG);
}

static void the_first_address_begins_nothing(void **state)
{
	struct firewall_epoch e = begun(5000, NULL);
	struct in6_addr wan = v4("11.0.0.1");

	(void)state;
	assert_false(epoch_follow(&e, &none, 9000));
	assert_true(epoch_follow(&e, &wan, 9000));
	assert_int_equal(e.since_ms, 5000);
	assert_true(addr_equal(&e.wan4, &wan));
	assert_false(epoch_follow(&e, &wan, 9500));
}

static void another_address_begins_a_new_one(void **state)
{
	struct firewall_epoch e = begun(5000, "11.0.0.1");
	struct in6_addr wan = v4("11.0.0.9");

	(void)state;
	assert_true(epoch_follow(&e, &wan, 9000));
	assert_int_equal(e.since_ms, 9000);
	assert_false(epoch_follow(&e, &wan, 9500));
}

static void so_does_one_that_comes_after_a_gap(void **state)
{
	struct firewall_epoch e = begun(5000, "11.0.0.1");
	struct in6_addr wan = v4("11.0.0.9");

	(void)state;
	assert_false(epoch_follow(&e, &none, 8000));
	assert_true(epoch_follow(&e, &wan, 9000));
	assert_int_equal(e.since_ms, 9000);
}

static void a_restart_keeps_it_with_the_same_address_only(void **state)
{
	struct firewall_epoch e = begun(5000, NULL);
	struct in6_addr wan = v4("11.0.0.1"), other = v4("11.0.0.9");

	(void)state;
	assert_true(epoch_follow(&e, &wan, 6000));
	e = restarted(&e);
	assert_false(epoch_follow(&e, &none, 9000)); /* not there yet */
	e = restarted(&e);
	assert_false(epoch_follow(&e, &wan, 9000));
	assert_int_equal(e.since_ms, 5000);
	e = restarted(&e);
	assert_true(epoch_follow(&e, &other, 9500));
	assert_int_equal(e.since_ms, 9500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_comes_back_as_it_was),
		cmocka_unit_test(any_truncation_is_refused),
		cmocka_unit_test(another_version_is_not_believed),
		cmocka_unit_test(the_first_address_begins_nothing),
		cmocka_unit_test(another_address_begins_a_new_one),
		cmocka_unit_test(so_does_one_that_comes_after_a_gap),
		cmocka_unit_test(a_restart_keeps_it_with_the_same_address_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
