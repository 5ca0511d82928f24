/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether a port stays open whose packets a flowtable passes by the rules (opennat 8.10). The
 * kernel's answers are made up here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "firewall/conntrack_inside.h"
#include "firewall/kernel.h"
#include "firewall/offload.h"

static struct {
	unsigned int flowtables;
	int err;
	int flows_err;
	struct conntrack_flow flow[2];
	size_t n;
	unsigned int asked; /* for flows */
	unsigned int interrupted;
} kernel;

int __wrap_nl_query(struct nl *nl, struct nlmsghdr *nlh, nl_message_cb each, void *arg);
int __wrap_conntrack_lease(struct conntrack *ct, const struct lease *l,
			   struct in_addr wan4,
			   void (*each)(void *arg, const struct conntrack_flow *f),
			   void *arg);

int __wrap_nl_query(struct nl *nl, struct nlmsghdr *nlh, nl_message_cb each, void *arg)
{
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
	struct nlmsghdr answer = {.nlmsg_len = sizeof(answer),
				  .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 |
						NFT_MSG_NEWFLOWTABLE};

	(void)nl;
	assert_int_equal(nlh->nlmsg_type,
			 NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETFLOWTABLE);
	assert_int_equal(nfg->nfgen_family, AF_UNSPEC);
	if (kernel.interrupted) {
		kernel.interrupted--;
		return -EINTR;
	}
	for (unsigned int i = 0; i < kernel.flowtables; i++)
		each(arg, &answer);
	return kernel.err;
}

int __wrap_conntrack_lease(struct conntrack *ct, const struct lease *l,
			   struct in_addr wan4,
			   void (*each)(void *arg, const struct conntrack_flow *f),
			   void *arg)
{
	(void)ct;
	assert_int_equal(l->ext_port, 3074);
	assert_int_equal(wan4.s_addr, htonl(0x0b000001));
	kernel.asked++;
	for (size_t i = 0; i < kernel.n; i++)
		each(arg, &kernel.flow[i]);
	return kernel.flows_err;
}

static int goes_on(void)
{
	static struct firewall fw;
	const struct lease l = {.protocol = IPPROTO_UDP, .ext_port = 3074};

	return offload_goes_on(&fw, NULL, &l, (struct in_addr){htonl(0x0b000001)});
}

static int clean(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	return 0;
}

static void without_a_flowtable_no_flow_is_looked_at(void **state)
{
	(void)state;
	kernel.flow[0].offloaded = true;
	kernel.n = 1;
	assert_int_equal(goes_on(), 0);
	assert_int_equal(kernel.asked, 0);
}

static void a_flow_of_the_host_keeps_its_port(void **state)
{
	(void)state;
	kernel.flowtables = 1;
	kernel.interrupted = 2;
	kernel.n = 2;
	assert_int_equal(goes_on(), 0);
	kernel.flow[1].offloaded = true;
	assert_int_equal(goes_on(), 1);
	assert_int_equal(kernel.asked, 2);
}

static void a_flow_of_a_remote_does_not(void **state)
{
	(void)state;
	kernel.flowtables = 2;
	kernel.n = 2;
	kernel.flow[0].offloaded = kernel.flow[0].inbound = true;
	assert_int_equal(goes_on(), 0);
}

static void what_the_kernel_refuses_is_told(void **state)
{
	(void)state;
	kernel.err = -EOPNOTSUPP;
	assert_int_equal(goes_on(), -EOPNOTSUPP);
	kernel.err = 0;
	kernel.flowtables = 1;
	kernel.flows_err = -ENOBUFS;
	assert_int_equal(goes_on(), -ENOBUFS);
}

static void the_kernel_says_which_flows_these_are(void **state)
{
	static const struct {
		uint32_t status;
		bool offloaded;
	} told[] = {
		{IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED | IPS_SRC_NAT, false},
		{IPS_SEEN_REPLY | IPS_ASSURED | IPS_OFFLOAD, true},
		{IPS_HW_OFFLOAD, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		uint8_t buf[256];
		struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
		struct conntrack_flow f = {0};

		mnl_nlmsg_put_extra_header(nlh, sizeof(struct nfgenmsg));
		mnl_attr_put_u32(nlh, CTA_STATUS, htonl(told[i].status));
		for (uint16_t way = CTA_COUNTERS_ORIG; way <= CTA_COUNTERS_REPLY; way++) {
			struct nlattr *nest = mnl_attr_nest_start(nlh, way);

			mnl_attr_put_u64(nlh, CTA_COUNTERS_PACKETS, htobe64(2));
			mnl_attr_put_u64(nlh, CTA_COUNTERS_BYTES, htobe64(50 + way));
			mnl_attr_nest_end(nlh, nest);
		}
		conntrack_details(nlh, &f);
		assert_int_equal(f.offloaded, told[i].offloaded);
		assert_int_equal(f.counted, !told[i].offloaded); /* not all is */
		assert_int_equal(f.packets, 4);
		assert_int_equal(f.out_bytes, 50 + CTA_COUNTERS_ORIG);
		assert_int_equal(f.in_bytes, 50 + CTA_COUNTERS_REPLY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(without_a_flowtable_no_flow_is_looked_at, clean),
		cmocka_unit_test_setup(a_flow_of_the_host_keeps_its_port, clean),
		cmocka_unit_test_setup(a_flow_of_a_remote_does_not, clean),
		cmocka_unit_test_setup(what_the_kernel_refuses_is_told, clean),
		cmocka_unit_test(the_kernel_says_which_flows_these_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
