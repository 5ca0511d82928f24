/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is found in a kernel whose answers lie ready in a pair of sockets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "base/addr.h"
#include "firewall/kernel.h"

#define SETS (ELEMENT_MAPS + 2) /* and `rev` and `held`, in that order */
#define ROUNDS 5                /* of looks at what does not fit together */
#define LEASES_MAX 8

struct rig {
	struct firewall fw;
	int kernel;
	uint32_t seq; /* of the next request that is answered */
	struct lease lease[LEASES_MAX];
	size_t n;
	struct firewall_adopted report;
};

static int rig_up(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));
	int fd[2];

	assert_non_null(g);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	g->kernel = fd[1];
	g->fw.nl.rx = malloc(128 * 1024);
	g->fw.nl.sock = mnl_socket_fdopen(fd[0]);
	g->fw.use = calloc(PORT_USES, sizeof(*g->fw.use));
	strcpy(g->fw.table, FIREWALL_TABLE);
	assert_non_null(g->fw.nl.rx);
	assert_non_null(g->fw.nl.sock);
	assert_non_null(g->fw.use);
	*state = g;
	return 0;
}

static int rig_down(void **state)
{
	struct rig *g = *state;

	close(g->kernel);
	nl_close(&g->fw.nl);
	nl_batch_free(&g->fw.batch);
	free(g->fw.use);
	free(g->fw.staged);
	free(g->fw.key);
	free(g->fw.userdata);
	free(g->fw.message);
	free(g);
	return 0;
}

static struct lease lease_of(const char *internal, uint16_t port)
{
	struct lease l = {.protocol = IPPROTO_UDP,
			  .ext_port = port,
			  .int_port = port,
			  .enabled = true,
			  .claims = 1U << LEASE_BY_PCP,
			  .kernel_ms = LEASE_NO_DEADLINE};

	assert_int_equal(addr_parse(internal, &l.internal), 0);
	l.until_ms[LEASE_BY_PCP] = 1000000;
	return l;
}

static void add_filter(struct lease *l, const char *addr, uint16_t port)
{
	struct lease_filter *f = &l->filters[l->n_filters++];

	assert_int_equal(addr_parse(addr, &f->addr), 0);
	f->len = 128;
	f->port = port;
}

static void put_lease(struct nlmsghdr *nlh, const struct lease *l, enum element_map map)
{
	uint8_t userdata[ELEMENT_USERDATA_MAX], dest[ELEMENT_DEST];
	struct element_key key;

	element_dest(l, dest);
	for (size_t i = 0; i < element_count(l); i++) {
		struct kernel_element e = {
			.key = key.from, .userdata = userdata, .data_len = ELEMENT_DEST};

		assert_int_equal(element_key_of(l, i, &key), 0);
		if (key.map != map)
			continue;
		e.key_len = key.len;
		e.key_to = element_map_is_range(map) ? key.to : NULL;
		e.data = element_map_has_dest(map) ? dest : NULL;
		e.userdata_len = (uint8_t)element_userdata(l, userdata);
		elements_put(nlh, &e);
	}
}

static void put_held(struct nlmsghdr *nlh, const struct lease *l)
{
	uint8_t key[ELEMENT_PORT_KEY];

	if (lease_is_pinhole(l))
		return;
	element_held_key(l, key);
	elements_put(nlh,
		     &(struct kernel_element){.key = key, .key_len = ELEMENT_PORT_KEY});
}

static struct nlmsghdr *put_head(void *at, uint16_t type, uint32_t seq)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(at);

	nlh->nlmsg_type = type;
	nlh->nlmsg_seq = seq;
	return nlh;
}

/* The answer to a dump: the leases of one map, or with `held` what belongs to the first of
 * them. */
static void answer_dump(struct rig *g, const struct lease *l, size_t n, unsigned int set,
			size_t held)
{
	uint8_t buf[8192];
	struct nlmsghdr *nlh = put_head(
		buf, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM, g->seq);
	struct nlattr *list;
	size_t len;

	mnl_nlmsg_put_extra_header(nlh, sizeof(struct nfgenmsg));
	list = elements_begin(nlh, FIREWALL_TABLE, "");
	for (size_t i = 0; i < n; i++) {
		if (set < ELEMENT_MAPS)
			put_lease(nlh, &l[i], set);
		else if (set == ELEMENT_MAPS + 1 && i < held)
			put_held(nlh, &l[i]);
	}
	elements_end(nlh, list);
	len = nlh->nlmsg_len;
	nlh = put_head(buf + len, NLMSG_DONE, g->seq++);
	mnl_nlmsg_put_extra_header(nlh, sizeof(int));
	len += nlh->nlmsg_len;
	assert_int_equal(send(g->kernel, buf, len, 0), len);
}

static void answer_look(struct rig *g, const struct lease *l, size_t n, size_t held)
{
	for (unsigned int set = 0; set < SETS; set++)
		answer_dump(g, l, n, set, held);
}

/* A batch of n messages, the first of which has that error. */
static void answer_batch(struct rig *g, uint32_t n, int err)
{
	uint8_t buf[64];
	struct nlmsghdr *nlh = put_head(buf, NLMSG_ERROR, g->seq + (err ? 1 : n));
	struct nlmsgerr *e = mnl_nlmsg_put_extra_header(nlh, sizeof(*e));

	e->error = err;
	assert_int_equal(send(g->kernel, buf, nlh->nlmsg_len, 0), nlh->nlmsg_len);
	g->seq += n + 2;
}

static void note(void *arg, const struct lease *l)
{
	struct rig *g = arg;

	assert_true(g->n < LEASES_MAX);
	g->lease[g->n++] = *l;
}

static int adopt(struct rig *g)
{
	return firewall_adopt(&g->fw, 500000, note, g, &g->report);
}

static void filters_become_one_lease(void **state)
{
	struct rig *g = *state;
	struct lease l[] = {
		lease_of("192.168.1.20", 7000), lease_of("192.168.1.20", 7001),
		lease_of("2001:db8::20", 7002), lease_of("2001:db8::20", 7003)};

	add_filter(&l[1], "11.0.0.2", 0);
	add_filter(&l[1], "11.0.0.3", 53);
	add_filter(&l[1], "11.0.0.3", 54);
	add_filter(&l[3], "2001:db8:2::1", 0);
	add_filter(&l[3], "2001:db8:2::2", 80);
	answer_look(g, l, 4, 4);
	assert_int_equal(adopt(g), 0);
	assert_int_equal(g->report.leases, 4);
	assert_int_equal(g->report.foreign + g->report.repaired + g->report.orphans, 0);
	for (size_t i = 0; i < g->n; i++) {
		size_t is = g->lease[i].ext_port - 7000U;

		assert_in_range(is, 0, 3);
		assert_true(addr_equal(&g->lease[i].internal, &l[is].internal));
		assert_int_equal(g->lease[i].n_filters, l[is].n_filters);
		assert_memory_equal(g->lease[i].filters, l[is].filters,
				    sizeof(l[is].filters));
	}
}

static void the_narrower_of_two_forms_stays(void **state)
{
	struct rig *g = *state;
	struct lease l[] = {lease_of("192.168.1.20", 7001),
			    lease_of("192.168.1.20", 7001)};

	add_filter(&l[1], "11.0.0.2", 0);
	answer_look(g, l, 2, 1);
	answer_batch(g, 1, 0);
	assert_int_equal(adopt(g), 0);
	assert_int_equal(g->n, 1);
	assert_int_equal(g->lease[0].n_filters, 1);
	assert_int_equal(g->report.repaired, 1);
}

/* One lease is to be put right, then the kernel refuses to let go of the wider form of
 * another one: nothing is left that a later commit would send. */
static void a_failed_adoption_leaves_nothing_staged(void **state)
{
	struct rig *g = *state;
	struct lease l[] = {lease_of("192.168.1.20", 7001),
			    lease_of("192.168.1.20", 7001),
			    lease_of("192.168.1.20", 7000)};

	add_filter(&l[1], "11.0.0.2", 0);
	for (int i = 0; i < ROUNDS; i++)
		answer_look(g, l, 3, 2);
	answer_batch(g, 1, -EBUSY);
	assert_true(adopt(g) < 0);
	assert_int_equal(g->n, 0);
	assert_int_equal(firewall_staged(&g->fw), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(filters_become_one_lease, rig_up,
						rig_down),
		cmocka_unit_test_setup_teardown(the_narrower_of_two_forms_stays, rig_up,
						rig_down),
		cmocka_unit_test_setup_teardown(a_failed_adoption_leaves_nothing_staged,
						rig_up, rig_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
