/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is in the sets that describe the router itself: interfaces, addresses, reserved ports.
 * A set is emptied and filled anew in one transaction.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "firewall/kernel.h"

/* Appends to a list of elements; a full message is ended and another one begun. */
struct filler {
	struct firewall *fw;
	const char *set;
	struct nlmsghdr *nlh;
	struct nlattr *list;
};

/* The kernel counts the length of a list in 16 bits and takes a longer one as a short one. */
#define FILL_MAX (48 * 1024)

static void fill_begin(struct filler *f)
{
	f->nlh = nl_batch_put(&f->fw->batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
	if (f->nlh)
		f->list = elements_begin(f->nlh, f->fw->table, f->set);
}

static void fill_end(struct filler *f)
{
	if (f->nlh)
		elements_end(f->nlh, f->list);
	f->nlh = NULL;
}

static void fill(struct filler *f, const struct kernel_element *e)
{
	if (f->nlh && f->nlh->nlmsg_len > FILL_MAX)
		fill_end(f);
	if (!f->nlh)
		fill_begin(f);
	if (f->nlh)
		elements_put(f->nlh, e);
}

static void fill_ports(struct filler *f, uint8_t protocol, const struct portset *ports)
{
	uint8_t from[ELEMENT_PORT_KEY] = {protocol}, to[ELEMENT_PORT_KEY] = {protocol};

	for (uint32_t p = 0; ports && p < 65536; p++) {
		uint32_t last = p;

		if (!portset_has(ports, (uint16_t)p))
			continue;
		while (last < 65535 && portset_has(ports, (uint16_t)(last + 1)))
			last++;
		from[4] = (uint8_t)(p >> 8);
		from[5] = (uint8_t)p;
		to[4] = (uint8_t)(last >> 8);
		to[5] = (uint8_t)last;
		fill(f, &(struct kernel_element){
				.key = from, .key_to = to, .key_len = ELEMENT_PORT_KEY});
		p = last;
	}
}

static void fill_names(struct firewall *fw, const char *set, const char *const *names,
		       size_t n)
{
	struct filler f = {.fw = fw, .set = set};

	flush_message(&fw->batch, fw->table, set);
	for (size_t i = 0; i < n; i++) {
		char key[IFNAMSIZ] = {0};

		memcpy(key, names[i], strlen(names[i]));
		fill(&f, &(struct kernel_element){.key = key, .key_len = sizeof(key)});
	}
	fill_end(&f);
}

static int check_names(const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!names[i][0] || strlen(names[i]) >= IFNAMSIZ)
			return -EINVAL;
	return 0;
}

int firewall_set_wan(struct firewall *fw, const char *const *names, size_t n_names,
		     const struct in_addr *addrs, size_t n_addrs)
{
	struct filler f = {.fw = fw, .set = "wan4"};

	if (check_names(names, n_names))
		return -EINVAL;
	nl_batch_begin(&fw->batch);
	fill_names(fw, "wan", names, n_names);
	flush_message(&fw->batch, fw->table, "wan4");
	for (size_t i = 0; i < n_addrs; i++)
		fill(&f, &(struct kernel_element){.key = &addrs[i],
						  .key_len = sizeof(addrs[i])});
	fill_end(&f);
	return nl_commit_whole(&fw->nl, &fw->batch);
}

struct range {
	uint32_t first; /* in host order */
	uint32_t last;
};

static int by_first(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/* Sorted, without overlaps: the kernel refuses those. How many are left. */
static size_t merge(struct range *r, size_t n)
{
	size_t out = 0;

	qsort(r, n, sizeof(*r), by_first);
	for (size_t i = 0; i < n; i++) {
		bool joins = out && (r[out - 1].last == UINT32_MAX ||
				     r[i].first <= r[out - 1].last + 1);

		if (!joins)
			r[out++] = r[i];
		else if (r[i].last > r[out - 1].last)
			r[out - 1].last = r[i].last;
	}
	return out;
}

/* An interval is where it begins and, marked, where it is over. */
static void fill_range(struct filler *f, const struct range *r)
{
	uint32_t first = htonl(r->first), over = htonl(r->last + 1);

	fill(f, &(struct kernel_element){.key = &first, .key_len = sizeof(first)});
	if (r->last != UINT32_MAX)
		fill(f, &(struct kernel_element){.key = &over,
						 .key_len = sizeof(over),
						 .flags = NFT_SET_ELEM_INTERVAL_END});
}

int firewall_set_lan(struct firewall *fw, const char *const *names, size_t n_names,
		     const struct prefix *nets, size_t n_nets)
{
	struct filler f = {.fw = fw, .set = "lan4"};
	struct range *r = calloc(n_nets + 1, sizeof(*r));
	size_t n = 0;
	int err = check_names(names, n_names);

	if (!r || err) {
		free(r);
		return r ? err : -ENOMEM;
	}
	for (size_t i = 0; i < n_nets; i++) {
		uint32_t host;

		if (!addr_is_v4(&nets[i].addr) || nets[i].len < 96 || nets[i].len > 128)
			continue;
		host = nets[i].len == 96 ? UINT32_MAX : (1U << (128 - nets[i].len)) - 1;
		r[n].first = ntohl(addr_to_v4(&nets[i].addr).s_addr) & ~host;
		r[n].last = r[n].first | host;
		n++;
	}
	n = merge(r, n);
	nl_batch_begin(&fw->batch);
	fill_names(fw, "lan", names, n_names);
	flush_message(&fw->batch, fw->table, "lan4");
	for (size_t i = 0; i < n; i++)
		fill_range(&f, &r[i]);
	fill_end(&f);
	free(r);
	return nl_commit_whole(&fw->nl, &fw->batch);
}

void reserved_put(struct firewall *fw, const struct firewall_config *config)
{
	struct filler f = {.fw = fw, .set = "reserved"};

	flush_message(&fw->batch, fw->table, f.set);
	fill_ports(&f, IPPROTO_TCP, config->reserved_tcp);
	fill_ports(&f, IPPROTO_UDP, config->reserved_udp);
	fill_end(&f);
}
