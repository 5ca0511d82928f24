/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this kernel can do, tried in a table of our own: return codes tell nothing, as a
 * kernel before 6.12 accepts a renewal and does not renew.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "firewall/kernel.h"

#define PROBE_SET "probe"
#define SHORT_MS 10000
#define LONG_MS 3600000

static const uint16_t probe_key = 1;

static void put_table(struct nl_batch *b, const char *table)
{
	/* The kernel removes an owned table when our socket closes, however we end. */
	struct nlmsghdr *nlh = nl_batch_put(b, NFT_MSG_NEWTABLE,
					    NLM_F_CREATE | NLM_F_EXCL);

	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, table);
	mnl_attr_put_u32(nlh, NFTA_TABLE_FLAGS, htonl(NFT_TABLE_F_OWNER));
}

static void put_set(struct nl_batch *b, const char *table)
{
	struct nlmsghdr *nlh = nl_batch_put(b, NFT_MSG_NEWSET, NLM_F_CREATE);

	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_SET_TABLE, table);
	mnl_attr_put_strz(nlh, NFTA_SET_NAME, PROBE_SET);
	mnl_attr_put_u32(nlh, NFTA_SET_FLAGS, htonl(NFT_SET_TIMEOUT));
	mnl_attr_put_u32(nlh, NFTA_SET_KEY_TYPE, htonl(0));
	mnl_attr_put_u32(nlh, NFTA_SET_KEY_LEN, htonl(sizeof(probe_key)));
	mnl_attr_put_u32(nlh, NFTA_SET_ID, htonl(1));
}

static void put_element(struct nl_batch *b, const char *table, uint64_t timeout_ms)
{
	struct kernel_element e = {.key = &probe_key,
				   .key_len = sizeof(probe_key),
				   .timeout_ms = timeout_ms};

	element_message(b, table, PROBE_SET, NFT_MSG_NEWSETELEM, NLM_F_CREATE, &e);
}

static int note_left(void *arg, const struct dumped *d)
{
	uint64_t *left_ms = arg;

	*left_ms = d->left_ms;
	return 0;
}

/* fw->table is the scratch table for as long as this lasts. */
static int try_in_place(struct firewall *fw)
{
	uint64_t left_ms = 0;
	int err;

	nl_batch_begin(&fw->batch);
	put_element(&fw->batch, fw->table, LONG_MS);
	err = nl_commit_whole(&fw->nl, &fw->batch);
	if (!err)
		err = element_get(fw, PROBE_SET, &probe_key, sizeof(probe_key), note_left,
				  &left_ms);
	fw->in_place = !err && left_ms > SHORT_MS;
	return err;
}

static void try_destroy(struct firewall *fw)
{
	static const uint16_t absent = 2;
	struct kernel_element e = {.key = &absent, .key_len = sizeof(absent)};

	nl_batch_begin(&fw->batch);
	element_message(&fw->batch, fw->table, PROBE_SET, NFT_MSG_DESTROYSETELEM_, 0, &e);
	fw->destroy = nl_commit_whole(&fw->nl, &fw->batch) == 0;
}

int firewall_probe(struct firewall *fw)
{
	char table[FIREWALL_TABLE_MAX];
	int err;

	memcpy(table, fw->table, sizeof(table));
	snprintf(fw->table, sizeof(fw->table), "portreeve-probe-%d", (int)getpid());
	nl_batch_begin(&fw->batch);
	put_table(&fw->batch, fw->table);
	put_set(&fw->batch, fw->table);
	put_element(&fw->batch, fw->table, SHORT_MS);
	err = nl_commit_whole(&fw->nl, &fw->batch);
	if (!err) {
		err = try_in_place(fw);
		try_destroy(fw);
		firewall_remove(fw);
	}
	memcpy(fw->table, table, sizeof(table));
	return err;
}
