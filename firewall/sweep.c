/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/sweep.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "firewall/conntrack_inside.h"
#include "firewall/netlink.h"

#define SWEEP_RX (32 * 1024) /* the kernel fills no more at a time */

struct sweep {
	struct mnl_socket *sock;
	uint8_t rx[SWEEP_RX];
};

/* For the connections of both families. */
static int sweep_ask(struct sweep *s)
{
	uint8_t buf[64];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_UNSPEC;
	nfg->version = NFNETLINK_V0;
	return mnl_socket_sendto(s->sock, nlh, nlh->nlmsg_len) < 0 ? -errno : 0;
}

int sweep_open(struct sweep **out)
{
	struct sweep *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!s->sock || mnl_socket_bind(s->sock, 0, MNL_SOCKET_AUTOPID) < 0)
		err = -errno;
	else
		err = sweep_ask(s);
	if (err) {
		sweep_close(s);
		return err;
	}
	*out = s;
	return 0;
}

void sweep_close(struct sweep *s)
{
	if (!s)
		return;
	if (s->sock)
		mnl_socket_close(s->sock);
	free(s);
}

int sweep_fd(const struct sweep *s)
{
	return mnl_socket_get_fd(s->sock);
}

static int sweep_error(const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

	return nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*e)) || e->error >= 0 ? -EBADMSG
									  : e->error;
}

int sweep_read(struct sweep *s, void (*each)(void *arg, const struct conntrack_flow *f),
	       void *arg)
{
	ssize_t len = recv(sweep_fd(s), s->rx, sizeof(s->rx), 0);
	struct nl_datagram d = nl_datagram_of(s->rx, len < 0 ? 0 : (size_t)len);
	const struct nlmsghdr *nlh;

	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : -errno;
	while ((nlh = nl_next(&d))) {
		struct conntrack_flow f = {0};
		struct conntrack_entry e;

		if (nlh->nlmsg_type == NLMSG_ERROR)
			return sweep_error(nlh);
		if (nlh->nlmsg_type == NLMSG_DONE)
			return 0;
		if (!conntrack_entry_read(nlh, &e))
			continue;
		f.flow = e.flow;
		f.inbound = true;
		conntrack_details(nlh, &f);
		each(arg, &f);
	}
	return d.bad ? -EBADMSG : 1;
}
