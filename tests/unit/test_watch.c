/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events as the kernel writes them, and what they say about our table. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "firewall/kernel.h"
#include "firewall/watch.h"

#define TABLE "portreeve"
#define OWN 4711
#define OTHER 815

struct rig {
	_Alignas(struct nlmsghdr) uint8_t buf[4096];
	size_t len;
	struct watch_turn turn;
	struct watch_report r;
};

static struct nlmsghdr *put(struct rig *g, uint16_t type, uint8_t family)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(g->buf + g->len);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
	nlh->nlmsg_pid = OTHER;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
	return nlh;
}

static void end(struct rig *g, const struct nlmsghdr *nlh)
{
	g->len += NLMSG_ALIGN(nlh->nlmsg_len);
}

static void put_named(struct rig *g, uint16_t type, const char *table, uint16_t attr,
		      const char *name)
{
	struct nlmsghdr *nlh = put(g, type, NFPROTO_INET);

	mnl_attr_put_strz(nlh, 1, table);
	if (name)
		mnl_attr_put_strz(nlh, attr, name);
	end(g, nlh);
}

static void put_element(struct rig *g, uint16_t type, const char *set, const void *key,
			uint8_t key_len, const void *data, uint8_t data_len)
{
	struct nlmsghdr *nlh = put(g, type, NFPROTO_INET);
	struct kernel_element e = {
		.key = key, .key_len = key_len, .data = data, .data_len = data_len};
	struct nlattr *list = elements_begin(nlh, TABLE, set);

	elements_put(nlh, &e);
	elements_end(nlh, list);
	end(g, nlh);
}

static void put_generation(struct rig *g, uint32_t pid, const char *name)
{
	struct nlmsghdr *nlh = put(g, NFT_MSG_NEWGEN, AF_UNSPEC);

	mnl_attr_put_u32(nlh, NFTA_GEN_ID, htonl(7));
	mnl_attr_put_u32(nlh, NFTA_GEN_PROC_PID, htonl(pid));
	mnl_attr_put_strz(nlh, NFTA_GEN_PROC_NAME, name);
	end(g, nlh);
}

/* Reads what was put, from a block of exactly that size. */
static void take(struct rig *g)
{
	uint8_t *copy = malloc(g->len);

	assert_non_null(copy);
	memcpy(copy, g->buf, g->len);
	watch_take(TABLE, OWN, copy, g->len, &g->turn, &g->r);
	free(copy);
	g->len = 0;
}

static void a_deleted_table_takes_everything(void **state)
{
	struct rig g = {0};

	(void)state;
	put_named(&g, NFT_MSG_DELRULE, TABLE, NFTA_RULE_CHAIN, "pre");
	put_named(&g, NFT_MSG_DELTABLE, TABLE, 0, NULL);
	put_generation(&g, 12, "nft");
	take(&g);
	assert_true(g.r.structure && g.r.leases && g.r.claims && g.r.foreign);
	assert_true(watch_touched(&g.r));
	assert_int_equal(g.r.pid, 12);
	assert_string_equal(g.r.name, "nft");
	assert_int_equal(g.r.generations, 1);
}

static void other_tables_do_not_count(void **state)
{
	struct rig g = {0};
	struct nlmsghdr *nlh;

	(void)state;
	put_named(&g, NFT_MSG_DELTABLE, "portreeve2", 0, NULL);
	put_named(&g, NFT_MSG_DELSET, "fw4", NFTA_SET_NAME, "leases");
	put_named(&g, NFT_MSG_NEWRULE, TABLE, NFTA_RULE_CHAIN, "pre");
	nlh = put(&g, NFT_MSG_DELTABLE, NFPROTO_IPV4); /* table ip portreeve */
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, TABLE);
	end(&g, nlh);
	put_generation(&g, 12, "nft");
	take(&g);
	assert_false(watch_touched(&g.r));
	assert_true(g.r.foreign);
}

static void what_we_do_ourselves_does_not_count(void **state)
{
	struct rig g = {0};

	(void)state;
	put_named(&g, NFT_MSG_DELTABLE, TABLE, 0, NULL);
	((struct nlmsghdr *)(void *)g.buf)->nlmsg_pid = OWN;
	take(&g);
	assert_false(watch_touched(&g.r) || g.r.foreign);
}

/* The name is that of whoever touched us, not of who came after. */
static void it_is_blamed_who_did_it(void **state)
{
	struct rig g = {0};

	(void)state;
	put_generation(&g, 1, "before");
	put_named(&g, NFT_MSG_DELCHAIN, TABLE, NFTA_CHAIN_NAME, "pre");
	put_generation(&g, 2, "culprit");
	put_named(&g, NFT_MSG_DELTABLE, "fw4", 0, NULL);
	put_generation(&g, 3, "after");
	take(&g);
	assert_int_equal(g.r.pid, 2);
	assert_string_equal(g.r.name, "culprit");
	assert_int_equal(g.r.generations, 3);
}

static void elements_name_the_ports_of_their_leases(void **state)
{
	static const uint8_t port_key[] = {IPPROTO_UDP, 0,          0, 0,
					   3074 >> 8,   3074 & 255, 0, 0};
	static const uint8_t from_key[] = {11,        0,          0,           2, 0, 0,
					   0,         0,          IPPROTO_TCP, 0, 0, 0,
					   8080 >> 8, 8080 & 255, 0,           0};
	static const uint8_t rev_key[] = {192, 168, 1, 20, IPPROTO_UDP, 0,
					  0,   0,   1, 2,  0,           0};
	static const uint8_t rev_port[] = {4000 >> 8, 4000 & 255};
	struct rig g = {0};

	(void)state;
	put_element(&g, NFT_MSG_DELSETELEM, "leases", port_key, sizeof(port_key), NULL,
		    0);
	put_element(&g, NFT_MSG_DELSETELEM, "leases_from", from_key, sizeof(from_key),
		    NULL, 0);
	put_element(&g, NFT_MSG_DELSETELEM, "rev", rev_key, sizeof(rev_key), rev_port, 2);
	put_generation(&g, 12, "nft");
	take(&g);
	assert_true(g.r.ports);
	assert_false(g.r.leases || g.r.structure || g.r.claims);
	assert_true(portset_has(&g.r.udp, 3074));
	assert_true(portset_has(&g.r.tcp, 8080));
	assert_true(portset_has(&g.r.udp, 4000));
	assert_false(portset_has(&g.r.tcp, 3074));
}

static void elements_of_another_form_mean_all(void **state)
{
	static const uint8_t key[] = {1, 2, 3, 4};
	struct rig g = {0};

	(void)state;
	put_element(&g, NFT_MSG_NEWSETELEM, "leases", key, sizeof(key), NULL, 0);
	take(&g);
	assert_true(g.r.leases);
}

static void the_routers_own_sets_are_structure(void **state)
{
	static const uint8_t key[] = {11, 0, 0, 1};
	struct rig g = {0};

	(void)state;
	put_element(&g, NFT_MSG_DELSETELEM, "wan4", key, sizeof(key), NULL, 0);
	take(&g);
	assert_true(g.r.structure);
	assert_false(g.r.leases);
	g.r = (struct watch_report){0};
	put_element(&g, NFT_MSG_DELSETELEM, "taken", key, sizeof(key), NULL, 0);
	take(&g);
	assert_true(g.r.claims);
	assert_false(g.r.structure);
}

static void a_name_is_cut_and_ended(void **state)
{
	struct rig g = {0};

	(void)state;
	put_named(&g, NFT_MSG_DELTABLE, TABLE, 0, NULL);
	put_generation(&g, 12, "a name that is longer than the kernel's");
	take(&g);
	assert_string_equal(g.r.name, "a name that is ");
}

/* Any piece of a datagram is read without a step beyond its end. */
static void a_datagram_may_end_anywhere(void **state)
{
	static const uint8_t key[] = {IPPROTO_UDP, 0, 0, 0, 12, 2, 0, 0};
	struct rig g = {0};

	(void)state;
	put_named(&g, NFT_MSG_DELSET, TABLE, NFTA_SET_NAME, "leases");
	put_element(&g, NFT_MSG_DELSETELEM, "leases", key, sizeof(key), NULL, 0);
	put_generation(&g, 12, "nft");
	for (size_t len = 0; len < g.len; len++) {
		uint8_t *copy = malloc(len + !len);
		struct watch_report r = {0};
		struct watch_turn turn = {0};

		assert_non_null(copy);
		memcpy(copy, g.buf, len);
		watch_take(TABLE, OWN, copy, len, &turn, &r);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_deleted_table_takes_everything),
		cmocka_unit_test(other_tables_do_not_count),
		cmocka_unit_test(what_we_do_ourselves_does_not_count),
		cmocka_unit_test(it_is_blamed_who_did_it),
		cmocka_unit_test(elements_name_the_ports_of_their_leases),
		cmocka_unit_test(elements_of_another_form_mean_all),
		cmocka_unit_test(the_routers_own_sets_are_structure),
		cmocka_unit_test(a_name_is_cut_and_ended),
		cmocka_unit_test(a_datagram_may_end_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
