/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

#include "firewall/conntrack_inside.h"

struct attrs {
	const struct nlattr **attr;
	uint16_t max;
};

static int note_attr(const struct nlattr *attr, void *data)
{
	struct attrs *a = data;

	if (mnl_attr_get_type(attr) <= a->max)
		a->attr[mnl_attr_get_type(attr)] = attr;
	return MNL_CB_OK;
}

static bool read_address(const struct nlattr *v4, const struct nlattr *v6,
			 struct in6_addr *out)
{
	struct in_addr a;

	if (v4 && mnl_attr_get_payload_len(v4) == sizeof(a)) {
		memcpy(&a, mnl_attr_get_payload(v4), sizeof(a));
		*out = addr_from_v4(a);
		return true;
	}
	if (!v6 || mnl_attr_get_payload_len(v6) != sizeof(*out))
		return false;
	memcpy(out, mnl_attr_get_payload(v6), sizeof(*out));
	return true;
}

static bool read_port(const struct nlattr *attr, uint16_t *out)
{
	if (!attr || mnl_attr_get_payload_len(attr) != sizeof(*out))
		return false;
	*out = ntohs(mnl_attr_get_u16(attr));
	return true;
}

static bool read_tuple(const struct nlattr *nest, struct flow_end *e, uint8_t *protocol)
{
	const struct nlattr *t[CTA_TUPLE_MAX + 1] = {NULL}, *ip[CTA_IP_MAX + 1] = {NULL};
	const struct nlattr *p[CTA_PROTO_MAX + 1] = {NULL};
	struct attrs tuple = {t, CTA_TUPLE_MAX}, address = {ip, CTA_IP_MAX};
	struct attrs proto = {p, CTA_PROTO_MAX};

	if (!nest || mnl_attr_parse_nested(nest, note_attr, &tuple) < 0 ||
	    !t[CTA_TUPLE_IP] || !t[CTA_TUPLE_PROTO] ||
	    mnl_attr_parse_nested(t[CTA_TUPLE_IP], note_attr, &address) < 0 ||
	    mnl_attr_parse_nested(t[CTA_TUPLE_PROTO], note_attr, &proto) < 0 ||
	    !p[CTA_PROTO_NUM] || mnl_attr_get_payload_len(p[CTA_PROTO_NUM]) != 1)
		return false;
	*protocol = mnl_attr_get_u8(p[CTA_PROTO_NUM]);
	return read_address(ip[CTA_IP_V4_SRC], ip[CTA_IP_V6_SRC], &e->src) &&
	       read_address(ip[CTA_IP_V4_DST], ip[CTA_IP_V6_DST], &e->dst) &&
	       read_port(p[CTA_PROTO_SRC_PORT], &e->sport) &&
	       read_port(p[CTA_PROTO_DST_PORT], &e->dport);
}

bool conntrack_entry_read(const struct nlmsghdr *nlh, struct conntrack_entry *v)
{
	const struct nlattr *a[CTA_MAX + 1] = {NULL};
	struct attrs attrs = {a, CTA_MAX};
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
	uint8_t protocol;
	uint32_t status = 0;

	memset(v, 0, sizeof(*v));
	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*nfg)) ||
	    mnl_attr_parse(nlh, sizeof(*nfg), note_attr, &attrs) < 0 ||
	    !read_tuple(a[CTA_TUPLE_ORIG], &v->flow.original, &v->flow.protocol) ||
	    !read_tuple(a[CTA_TUPLE_REPLY], &v->flow.reply, &protocol) ||
	    protocol != v->flow.protocol ||
	    (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP))
		return false;
	if (a[CTA_STATUS] && mnl_attr_get_payload_len(a[CTA_STATUS]) == sizeof(status))
		status = ntohl(mnl_attr_get_u32(a[CTA_STATUS]));
	v->flow.dnat = status & IPS_DST_NAT;
	v->flow.snat = status & IPS_SRC_NAT;
	v->family = nfg->nfgen_family;
	if (a[CTA_ZONE] && mnl_attr_get_payload_len(a[CTA_ZONE]) == sizeof(v->zone)) {
		v->has_zone = true;
		v->zone = mnl_attr_get_u16(a[CTA_ZONE]);
	}
	return true;
}

bool conntrack_read(const void *nlh, struct flow *out)
{
	struct conntrack_entry v;
	bool ok = conntrack_entry_read(nlh, &v);

	*out = v.flow;
	return ok;
}

static uint64_t read_u64(const struct nlattr *attr)
{
	return attr && mnl_attr_get_payload_len(attr) == 8
		       ? be64toh(mnl_attr_get_u64(attr))
		       : 0;
}

static bool read_count(const struct nlattr *nest, uint64_t *packets, uint64_t *bytes)
{
	const struct nlattr *c[CTA_COUNTERS_MAX + 1] = {NULL};
	struct attrs attrs = {c, CTA_COUNTERS_MAX};

	if (!nest || mnl_attr_parse_nested(nest, note_attr, &attrs) < 0)
		return false;
	*packets += read_u64(c[CTA_COUNTERS_PACKETS]);
	*bytes = read_u64(c[CTA_COUNTERS_BYTES]);
	return true;
}

/* The state of a TCP connection; TCP_CONNTRACK_NONE: there is none. */
static uint8_t read_state(const struct nlattr *nest)
{
	const struct nlattr *p[CTA_PROTOINFO_MAX + 1] = {NULL};
	const struct nlattr *t[CTA_PROTOINFO_TCP_MAX + 1] = {NULL};
	struct attrs info = {p, CTA_PROTOINFO_MAX}, tcp = {t, CTA_PROTOINFO_TCP_MAX};
	const struct nlattr *state;

	if (!nest || mnl_attr_parse_nested(nest, note_attr, &info) < 0 ||
	    !p[CTA_PROTOINFO_TCP] ||
	    mnl_attr_parse_nested(p[CTA_PROTOINFO_TCP], note_attr, &tcp) < 0)
		return TCP_CONNTRACK_NONE;
	state = t[CTA_PROTOINFO_TCP_STATE];
	return state && mnl_attr_get_payload_len(state) == 1 ? mnl_attr_get_u8(state)
							     : TCP_CONNTRACK_NONE;
}

void conntrack_details(const struct nlmsghdr *nlh, struct conntrack_flow *f)
{
	const struct nlattr *a[CTA_MAX + 1] = {NULL};
	const struct nlattr *t[CTA_TIMESTAMP_MAX + 1] = {NULL};
	struct attrs attrs = {a, CTA_MAX}, stamp = {t, CTA_TIMESTAMP_MAX};
	uint64_t original = 0, reply = 0;
	uint8_t state;

	mnl_attr_parse(nlh, sizeof(struct nfgenmsg), note_attr, &attrs);
	if (a[CTA_STATUS] && mnl_attr_get_payload_len(a[CTA_STATUS]) == 4) {
		f->answered = ntohl(mnl_attr_get_u32(a[CTA_STATUS])) & IPS_SEEN_REPLY;
		f->assured = ntohl(mnl_attr_get_u32(a[CTA_STATUS])) & IPS_ASSURED;
		f->offloaded = ntohl(mnl_attr_get_u32(a[CTA_STATUS])) &
			       (IPS_OFFLOAD | IPS_HW_OFFLOAD);
	}
	if (a[CTA_TIMEOUT] && mnl_attr_get_payload_len(a[CTA_TIMEOUT]) == 4)
		f->left_s = ntohl(mnl_attr_get_u32(a[CTA_TIMEOUT]));
	f->counted = read_count(a[CTA_COUNTERS_ORIG], &f->packets, &original) &&
		     read_count(a[CTA_COUNTERS_REPLY], &f->packets, &reply);
	f->counted = f->counted && !f->offloaded;
	f->in_bytes = f->inbound ? original : reply;
	f->out_bytes = f->inbound ? reply : original;
	state = read_state(a[CTA_PROTOINFO]);
	f->established = state == TCP_CONNTRACK_ESTABLISHED;
	f->closing = state > TCP_CONNTRACK_ESTABLISHED && state <= TCP_CONNTRACK_CLOSE;
	if (a[CTA_TIMESTAMP] &&
	    mnl_attr_parse_nested(a[CTA_TIMESTAMP], note_attr, &stamp) >= 0)
		f->began_ns = read_u64(t[CTA_TIMESTAMP_START]);
}
