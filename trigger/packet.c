/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trigger/packet.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <string.h>

#include "base/wire.h"

#define LOG_PACKET (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET)

/* RFC 791 section 3.1, and the two ports with which TCP and UDP begin; of the IPv4 header are
 * skipped: TOS, total length (the copy is shorter), identification, TTL, checksum, options. */
static bool read_header(struct packet *p, const void *buf, size_t len)
{
	struct wire w = wire_of(buf, len);
	uint8_t first = wire_u8(&w);
	size_t header = (first & 0xfU) * 4U;
	const uint8_t *addr;
	uint16_t fragment;

	wire_take(&w, 5); /* TOS, total length, identification */
	fragment = wire_u16(&w);
	wire_take(&w, 1); /* TTL */
	p->protocol = wire_u8(&w);
	wire_take(&w, 2); /* checksum */
	addr = wire_take(&w, 8);
	if (!addr || first >> 4 != 4 || header < 20 || fragment & 0x1fff ||
	    (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP))
		return false;
	memcpy(&p->external, addr, 4);
	memcpy(&p->remote, addr + 4, 4);
	wire_take(&w, header - 20);
	p->port = wire_u16(&w);
	p->remote_port = wire_u16(&w);
	return !w.bad && p->port && p->remote_port;
}

struct attrs {
	const struct nlattr *payload;
	const struct nlattr *sender;
};

static int note_attr(const struct nlattr *attr, void *data)
{
	struct attrs *a = data;

	if (mnl_attr_get_type(attr) == NFULA_PAYLOAD)
		a->payload = attr;
	if (mnl_attr_get_type(attr) == NFULA_HWADDR)
		a->sender = attr;
	return MNL_CB_OK;
}

static void read_sender(struct packet *p, const struct nlattr *attr)
{
	struct nfulnl_msg_packet_hw hw;

	if (!attr || mnl_attr_get_payload_len(attr) < sizeof(hw))
		return;
	memcpy(&hw, mnl_attr_get_payload(attr), sizeof(hw));
	if (ntohs(hw.hw_addrlen) == MAC_LEN)
		memcpy(p->mac, hw.hw_addr, MAC_LEN);
}

static void read_message(const struct nlmsghdr *nlh,
			 void (*each)(void *arg, const struct packet *p), void *arg)
{
	const struct nfgenmsg *head = mnl_nlmsg_get_payload(nlh);
	struct attrs attrs = {0};
	struct packet p = {0};

	if (nlh->nlmsg_type != LOG_PACKET ||
	    nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*head)) ||
	    mnl_attr_parse(nlh, sizeof(*head), note_attr, &attrs) < 0 || !attrs.payload)
		return;
	p.group = ntohs(head->res_id);
	read_sender(&p, attrs.sender);
	if (read_header(&p, mnl_attr_get_payload(attrs.payload),
			mnl_attr_get_payload_len(attrs.payload)))
		each(arg, &p);
}

void packet_read(const void *buf, size_t len,
		 void (*each)(void *arg, const struct packet *p), void *arg)
{
	const uint8_t *pos = buf;

	while (len >= sizeof(struct nlmsghdr)) {
		const struct nlmsghdr *nlh = (const void *)pos;
		size_t whole = ((size_t)nlh->nlmsg_len + NLMSG_ALIGNTO - 1) &
			       ~(size_t)(NLMSG_ALIGNTO - 1);

		if (nlh->nlmsg_len < sizeof(*nlh) || nlh->nlmsg_len > len)
			return;
		read_message(nlh, each, arg);
		if (whole > len)
			return;
		pos += whole;
		len -= whole;
	}
}
