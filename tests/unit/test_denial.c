/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the admin denies (issue 7, row 1: deny): its words, its file, and what it means for each
 * way to ask. */
#include "registry_rig.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/denials.h"

static struct lease_denial denial(const char *text)
{
	struct lease_denial d = {0};

	assert_int_equal(denial_parse(text, &d), 0);
	return d;
}

static void is_written_as_it_is_read(void **state)
{
	static const char *const good[] = {"192.168.1.20",
					   "udp/3074",
					   "3074",
					   "tcp/27000-27100",
					   "fd00::/8",
					   "192.168.1.20 udp/3074",
					   "192.168.2.0/24 80",
					   "a4:c0:e1:00:00:01",
					   "a4:c0:e1:00:00:01 udp/3074",
					   "2001:db8::2 tcp/1-65535"};
	static const char *const bad[] = {"",
					  "x",
					  "0",
					  "udp/0",
					  "::/0",
					  "192.168.1.20 ",
					  "3074 3075",
					  "udp/3074 192.168.1.20",
					  "192.168.1.20  80",
					  "1.2.3.4 5.6.7.8"};
	struct lease_denial a, b;
	char text[DENIAL_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		a = denial(good[i]);
		assert_string_equal(denial_text(&a, text), good[i]);
		for (size_t k = 0; k < sizeof(good) / sizeof(good[0]); k++) {
			b = denial(good[k]);
			assert_int_equal(denial_same(&a, &b), i == k);
		}
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(denial_parse(bad[i], &a), -EINVAL);
	a = denial("192.168.1.20/24");
	assert_string_equal(denial_text(&a, text), "192.168.1.0/24");
}

/* The denial of that rule's policy, one at a time. */
static void deny(struct rig *g, struct lease_denial *d, const char *text)
{
	*d = denial(text);
	g->policy.denials = d;
	g->policy.n_denials = 1;
}

static void concerns_its_ports_and_hosts_only(void **state)
{
	struct rig *g = *state;
	struct lease_denial d;
	struct in6_addr a = host(20), b = host(21);

	deny(g, &d, "192.168.1.20 udp/3074-3075");
	assert_true(policy_denies(&g->policy, IPPROTO_UDP, 3074, &a));
	assert_true(policy_denies(&g->policy, IPPROTO_UDP, 3075, &a));
	assert_false(policy_denies(&g->policy, IPPROTO_UDP, 3076, &a));
	assert_false(policy_denies(&g->policy, IPPROTO_TCP, 3074, &a));
	assert_false(policy_denies(&g->policy, IPPROTO_UDP, 3074, &b));
	deny(g, &d, "192.168.1.20");
	assert_true(policy_denies(&g->policy, IPPROTO_TCP, 1, &a));
	assert_false(policy_denies(&g->policy, IPPROTO_TCP, 1, &b));
	assert_false(policy_unasked(&g->policy, &a));
	assert_true(policy_unasked(&g->policy, &b));
	deny(g, &d, "3074");
	assert_true(policy_denies(&g->policy, IPPROTO_TCP, 3074, &b));
	assert_true(policy_unasked(&g->policy, &a));
}

static enum access_mac mac_of(void *arg, const struct in6_addr *internal,
			      uint8_t mac[MAC_LEN])
{
	struct in6_addr silent = host(22);

	(void)arg;
	memcpy(mac, (uint8_t[]){0xa4, 0xc0, 0xe1, 0, 0, internal->s6_addr[15]}, MAC_LEN);
	return addr_equal(internal, &silent) ? ACCESS_MAC_UNKNOWN : ACCESS_MAC_KNOWN;
}

/* All addresses of the host; of one whose MAC address is not known it has to be waited for. */
static void knows_a_host_by_its_mac_address(void **state)
{
	struct in6_addr a = host(20), b = host(21), six = host6(20), silent = host(22);
	struct rig *g = *state;
	struct lease_denial d;

	g->policy.mac = mac_of;
	deny(g, &d, "A4-C0-E1-00-00-14 3074"); /* 20 */
	assert_true(policy_denies(&g->policy, IPPROTO_UDP, 3074, &a));
	assert_true(policy_denies(&g->policy, IPPROTO_TCP, 3074, &six));
	assert_false(policy_denies(&g->policy, IPPROTO_UDP, 3075, &a));
	assert_false(policy_denies(&g->policy, IPPROTO_UDP, 3074, &b));
	assert_false(policy_denies(&g->policy, IPPROTO_UDP, 3074, &silent));
	assert_true(policy_undecided(&g->policy, &silent));
	assert_false(policy_undecided(&g->policy, &a));
	deny(g, &d, "192.168.1.20");
	assert_false(policy_undecided(&g->policy, &silent));
}

static void refuses_each_way_to_ask(void **state)
{
	struct lease_request trigger = map(LEASE_BY_TRIGGER, 20, IPPROTO_UDP, 3074, 3074,
					   60);
	struct lease_request add = map(LEASE_BY_ADMIN, 21, IPPROTO_UDP, 3074, 3074, 60);
	struct lease_request open = map(LEASE_BY_OPEN_NAT, 20, IPPROTO_UDP, 3074, 3074,
					60);
	struct rig *g = *state;
	struct lease_denial d;

	deny(g, &d, "udp/3074");
	assert_int_equal(ask(g, pcp(20, 3074, 3074)), LEASE_DENIED);
	assert_int_equal(ask(g, pmp(20, 3074, 4000)), LEASE_DENIED); /* inside */
	assert_int_equal(ask(g, upnp(20, 3074, 3074)), LEASE_DENIED);
	assert_int_equal(ask(g, upnp(20, 4000, 3074)), LEASE_DENIED); /* outside */
	assert_int_equal(ask(g, pin(20, 3074)), LEASE_DENIED);
	assert_int_equal(ask(g, trigger), LEASE_DENIED);
	assert_int_equal(ask(g, open), LEASE_DENIED);
	assert_int_equal(registry_count(g->book), 0);
	/* Who merely suggests it gets another one. */
	assert_int_equal(ask(g, pcp(20, 4000, 3074)), LEASE_OK);
	assert_int_not_equal(g->reply.ext_port, 3074);
	/* The admin may all the same; nobody holds on to what he opened. */
	add.flags = LEASE_EXACT;
	assert_int_equal(ask_lan(g, -1, add), LEASE_OK);
	assert_int_equal(ask(g, pmp(21, 3074, 3074)), LEASE_DENIED);
	assert_int_equal(at(g, 3074)->claims, 1 << LEASE_BY_ADMIN);
}

static void note_refusal(void *arg, const struct lease *l, enum lease_reason reason)
{
	(void)l;
	*(enum lease_reason *)arg = reason;
}

static void ends_the_leases_that_it_forbids(void **state)
{
	enum lease_reason reason = LEASE_OK;
	struct rig *g = *state;
	struct lease_denial d;

	assert_int_equal(ask(g, pcp(20, 4000, 3074)), LEASE_OK);
	assert_int_equal(ask(g, pcp(21, 5000, 5000)), LEASE_OK);
	assert_int_equal(ask(g, pin(21, 3074)), LEASE_OK);
	deny(g, &d, "udp/3074");
	g->out.n = 0;
	assert_int_equal(
		registry_judge(g->book, 100, true, note_refusal, &reason, &g->out), 2);
	rig_confirm(g);
	assert_int_equal(reason, LEASE_DENIED);
	assert_int_equal(g->out.step[0].end, LEASE_END_DENIED);
	assert_string_equal(lease_end_name(LEASE_END_DENIED), "denied");
	assert_null(at(g, 3074));
	assert_non_null(at(g, 5000));
	deny(g, &d, "192.168.1.21");
	g->out.n = 0;
	assert_int_equal(
		registry_judge(g->book, 100, true, note_refusal, &reason, &g->out), 1);
	rig_confirm(g);
	assert_int_equal(registry_count(g->book), 0);
	g->policy.n_denials = 0;
	assert_int_equal(ask(g, upnp(20, 3074, 3074)), LEASE_OK);
}

static void is_kept_in_a_file(void **state)
{
	static struct denials kept, again;
	char dir[] = "/tmp/denialsXXXXXX", path[64];
	struct lease_denial one = denial("udp/3074"), other = denial("192.168.1.20");
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	denials_load(&kept, dir);
	assert_int_equal(kept.n, 0);
	assert_int_equal(denials_remove(&kept, &one), -ENOENT);
	assert_int_equal(denials_add(&kept, &one), 0);
	assert_int_equal(denials_add(&kept, &other), 0);
	kept.one[0].since_s = 5;
	assert_int_equal(denials_add(&kept, &one), 0); /* there already */
	assert_int_equal(kept.n, 2);
	denials_load(&again, dir);
	assert_int_equal(again.n, 2);
	assert_true(denial_same(&again.one[0], &one) && again.one[0].since_s > 5);
	assert_int_equal(stat(again.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(denials_remove(&again, &one), 0);
	denials_load(&kept, dir);
	assert_int_equal(kept.n, 1);
	assert_true(denial_same(&kept.one[0], &other));
	/* What cannot be kept does not hold. */
	snprintf(path, sizeof(path), "%s/nowhere", dir);
	denials_load(&again, path);
	assert_int_equal(denials_add(&again, &one), -ENOENT);
	assert_int_equal(again.n, 0);
	unlink(kept.path);
	rmdir(dir);
}

static void takes_what_can_be_read_of_a_damaged_file(void **state)
{
	static struct denials d;
	char dir[] = "/tmp/denialsXXXXXX", path[64];
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/" DENIALS_FILE, dir);
	f = fopen(path, "w");
	fputs("17 udp/3074\nx udp/1\n18 192.168.1.20 nothing\n\n19 192.168.1.20", f);
	fclose(f);
	denials_load(&d, dir);
	assert_int_equal(d.n, 2);
	assert_int_equal(d.one[0].since_s, 17);
	assert_int_equal(d.one[1].since_s, 19);
	f = fopen(path, "w");
	for (int i = 1; i <= LEASE_DENIALS_MAX + 1; i++)
		fprintf(f, "1 udp/%d\n", i);
	fclose(f);
	denials_load(&d, dir);
	assert_int_equal(d.n, LEASE_DENIALS_MAX);
	d.one[0] = denial("tcp/1");
	assert_int_equal(denials_add(&d, &(struct lease_denial){.ports = {.udp = true,
									  .first = 1,
									  .last = 1}}),
			 -ENOSPC);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_up, rig_down)
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_written_as_it_is_read),
		TEST(concerns_its_ports_and_hosts_only),
		TEST(knows_a_host_by_its_mac_address),
		TEST(refuses_each_way_to_ask),
		TEST(ends_the_leases_that_it_forbids),
		cmocka_unit_test(is_kept_in_a_file),
		cmocka_unit_test(takes_what_can_be_read_of_a_damaged_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
