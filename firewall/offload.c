/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/offload.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "firewall/kernel.h"

static int note_flowtable(void *arg, const struct nlmsghdr *nlh)
{
	bool *any = arg;

	if (NFNL_MSG_TYPE(nlh->nlmsg_type) == NFT_MSG_NEWFLOWTABLE)
		*any = true;
	return 0;
}

/* In whichever table: 1, 0, or -errno. */
static int any_flowtable(struct firewall *fw)
{
	bool any;
	int err;

	do {
		uint8_t buf[NL_REQUEST_MAX];
		struct nlmsghdr *nlh = nl_request(&fw->nl, buf, NFT_MSG_GETFLOWTABLE,
						  NLM_F_DUMP);
		struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);

		nfg->nfgen_family = NFPROTO_UNSPEC;
		any = false;
		err = nl_query(&fw->nl, nlh, note_flowtable, &any);
	} while (err == -EINTR);
	return err ? err : any;
}

static void note_flow(void *arg, const struct conntrack_flow *f)
{
	bool *any = arg;

	*any = *any || (f->offloaded && !f->inbound);
}

int offload_goes_on(struct firewall *fw, struct conntrack *ct, const struct lease *l,
		    struct in_addr wan4)
{
	bool any = false;
	int err = any_flowtable(fw);

	if (err <= 0)
		return err;
	err = conntrack_lease(ct, l, wan4, note_flow, &any);
	return err ? err : any;
}
