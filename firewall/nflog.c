/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/nflog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firewall/firewall.h"
#include "firewall/netlink.h"

#define RX_BUFFER (8 << 20) /* 50,000 flows a second and nobody reads for a while */
#define REPLY_MAX 8192
#define NLBUFSIZ 512 /* of one packet; a smaller one lets more of them wait */

static struct nlmsghdr *config_header(void *buf, uint16_t group, uint32_t seq)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	nlh->nlmsg_seq = seq;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_UNSPEC;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(group);
	return nlh;
}

static int ignore(void *arg, const struct nlmsghdr *nlh)
{
	(void)arg;
	(void)nlh;
	return 0;
}

/* Binds the group, and says how much is copied and that nothing is gathered. */
static int bind_group(struct mnl_socket *sock, uint16_t group, uint32_t seq)
{
	uint8_t buf[NL_REQUEST_MAX], rx[REPLY_MAX];
	struct nfulnl_msg_config_cmd cmd = {.command = NFULNL_CFG_CMD_BIND};
	struct nfulnl_msg_config_mode mode = {.copy_range = htonl(FIREWALL_LOG_BYTES),
					      .copy_mode = NFULNL_COPY_PACKET};
	struct nlmsghdr *nlh = config_header(buf, group, seq);

	mnl_attr_put(nlh, NFULA_CFG_CMD, sizeof(cmd), &cmd);
	mnl_attr_put(nlh, NFULA_CFG_MODE, sizeof(mode), &mode);
	mnl_attr_put_u32(nlh, NFULA_CFG_NLBUFSIZ, htonl(NLBUFSIZ));
	mnl_attr_put_u32(nlh, NFULA_CFG_QTHRESH, htonl(1));
	if (mnl_socket_sendto(sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	return nl_answer(mnl_socket_get_fd(sock), rx, sizeof(rx), nlh, ignore, NULL);
}

int nflog_open(const uint16_t *groups, size_t n, int *fd)
{
	struct mnl_socket *sock = mnl_socket_open2(NETLINK_NETFILTER,
						   SOCK_CLOEXEC | SOCK_NONBLOCK);
	int size = RX_BUFFER, err = 0;

	if (!sock || mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0)
		err = -errno;
	for (size_t i = 0; i < n && !err; i++)
		err = bind_group(sock, groups[i], (uint32_t)i + 1);
	if (!err) {
		*fd = fcntl(mnl_socket_get_fd(sock), F_DUPFD_CLOEXEC, 0);
		err = *fd < 0 ? -errno : 0;
	}
	if (!err)
		setsockopt(*fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (sock)
		mnl_socket_close(sock);
	return err;
}
