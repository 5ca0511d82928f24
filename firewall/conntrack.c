/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/room.h"
#include "firewall/conntrack_inside.h"
#include "firewall/firewall.h"
#include "firewall/netlink.h"

#define RX_SIZE (128 * 1024)
#define RX_BUFFER (4 << 20)
#define TX_SIZE (32 * 1024)
#define REQUEST_MAX 512
/* So many ports are asked for one by one; each question costs as much as a dump that the
 * kernel filters by the address alone, but answers less. */
#define PORTS_MAX 2

/* The parts of a tuple by which a dump is filtered (CTA_FILTER_*_FLAGS). */
enum {
	BY_SRC = 1 << 0,
	BY_DST = 1 << 1,
	BY_PROTOCOL = 1 << 3,
	BY_SPORT = 1 << 4,
	BY_DPORT = 1 << 5,
	BY_PORT = BY_PROTOCOL | BY_DPORT,
};

struct conntrack {
	struct mnl_socket *sock;
	uint32_t seq;
	uint8_t *rx;
	uint8_t *tx;
	/* What a dump has found to end: its messages' tuples, as they came. */
	struct conntrack_entry *victim;
	size_t n_victims;
	size_t victim_room;
};

int conntrack_open(struct conntrack **out)
{
	struct conntrack *ct = calloc(1, sizeof(*ct));
	int size = RX_BUFFER, err = 0;

	if (!ct)
		return -ENOMEM;
	ct->rx = malloc(RX_SIZE);
	ct->tx = malloc(TX_SIZE + REQUEST_MAX);
	ct->sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!ct->sock || mnl_socket_bind(ct->sock, 0, MNL_SOCKET_AUTOPID) < 0)
		err = -errno;
	else if (!ct->rx || !ct->tx)
		err = -ENOMEM;
	if (err) {
		conntrack_close(ct);
		return err;
	}
	setsockopt(mnl_socket_get_fd(ct->sock), SOL_SOCKET, SO_RCVBUFFORCE, &size,
		   sizeof(size));
	*out = ct;
	return 0;
}

void conntrack_close(struct conntrack *ct)
{
	if (!ct)
		return;
	if (ct->sock)
		mnl_socket_close(ct->sock);
	free(ct->rx);
	free(ct->tx);
	free(ct->victim);
	free(ct);
}

/* ---- Asking ---- */

static struct nlmsghdr *put_header(struct conntrack *ct, void *buf, uint16_t type,
				   uint16_t flags, uint8_t family)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	nlh->nlmsg_seq = ++ct->seq;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	return nlh;
}

static void put_address(struct nlmsghdr *nlh, const struct in6_addr *a, uint16_t v4,
			uint16_t v6)
{
	if (addr_is_v4(a))
		mnl_attr_put_u32(nlh, v4, addr_to_v4(a).s_addr);
	else
		mnl_attr_put(nlh, v6, sizeof(*a), a);
}

static void put_tuple(struct nlmsghdr *nlh, uint16_t type, uint8_t protocol,
		      const struct flow_end *e, uint32_t parts)
{
	struct nlattr *tuple = mnl_attr_nest_start(nlh, type);
	struct nlattr *nest = mnl_attr_nest_start(nlh, CTA_TUPLE_IP);

	if (parts & BY_SRC)
		put_address(nlh, &e->src, CTA_IP_V4_SRC, CTA_IP_V6_SRC);
	if (parts & BY_DST)
		put_address(nlh, &e->dst, CTA_IP_V4_DST, CTA_IP_V6_DST);
	mnl_attr_nest_end(nlh, nest);
	nest = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);
	if (parts & BY_PROTOCOL)
		mnl_attr_put_u8(nlh, CTA_PROTO_NUM, protocol);
	if (parts & BY_SPORT)
		mnl_attr_put_u16(nlh, CTA_PROTO_SRC_PORT, htons(e->sport));
	if (parts & BY_DPORT)
		mnl_attr_put_u16(nlh, CTA_PROTO_DST_PORT, htons(e->dport));
	mnl_attr_nest_end(nlh, nest);
	mnl_attr_nest_end(nlh, tuple);
}

static int ask(struct conntrack *ct, struct nlmsghdr *nlh, nl_message_cb each, void *arg)
{
	if (mnl_socket_sendto(ct->sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	return nl_answer(mnl_socket_get_fd(ct->sock), ct->rx, RX_SIZE, nlh, each, arg);
}

/* A dump of what has those parts in the first packet (tuple CTA_TUPLE_ORIG) or in the answers
 * (CTA_TUPLE_REPLY). Kernels before 5.8 do not filter and send everything: whoever reads looks
 * at each. */
static int dump(struct conntrack *ct, uint16_t tuple, uint8_t protocol,
		const struct flow_end *e, uint32_t parts, nl_message_cb each, void *arg)
{
	uint8_t buf[REQUEST_MAX];
	struct nlmsghdr *nlh = put_header(ct, buf, IPCTNL_MSG_CT_GET, NLM_F_DUMP,
					  AF_INET);
	struct nlattr *nest;

	put_tuple(nlh, tuple, protocol, e, parts);
	nest = mnl_attr_nest_start(nlh, CTA_FILTER);
	mnl_attr_put_u32(nlh, CTA_FILTER_ORIG_FLAGS, tuple == CTA_TUPLE_ORIG ? parts : 0);
	mnl_attr_put_u32(nlh, CTA_FILTER_REPLY_FLAGS,
			 tuple == CTA_TUPLE_REPLY ? parts : 0);
	mnl_attr_nest_end(nlh, nest);
	return ask(ct, nlh, each, arg);
}

/* Of the flows that pinholes have let in: they bear our mark. */
static int dump_pinholes(struct conntrack *ct, nl_message_cb each, void *arg)
{
	uint8_t buf[REQUEST_MAX];
	struct nlmsghdr *nlh = put_header(ct, buf, IPCTNL_MSG_CT_GET, NLM_F_DUMP,
					  AF_INET6);

	mnl_attr_put_u32(nlh, CTA_MARK, htonl(FIREWALL_PINHOLE_MARK));
	mnl_attr_put_u32(nlh, CTA_MARK_MASK, htonl(FIREWALL_PINHOLE_MARK));
	return ask(ct, nlh, each, arg);
}

/* ---- Ending flows ---- */

struct judge {
	struct conntrack *ct;
	const struct flows *f;
};

static int judge_one(void *arg, const struct nlmsghdr *nlh)
{
	struct judge *j = arg;
	struct conntrack *ct = j->ct;
	struct conntrack_entry v, *more;

	if (!conntrack_entry_read(nlh, &v) || !flows_must_go(j->f, &v.flow))
		return 0;
	more = room_for(ct->victim, &ct->victim_room, ct->n_victims + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	ct->victim = more;
	ct->victim[ct->n_victims++] = v;
	return 0;
}

/* One by one, those that go by few questions to the kernel. */
static int find_by_ports(struct judge *j)
{
	const struct flows *f = j->f;
	int err = 0;

	for (size_t i = 0; i < f->n_ports && !err; i++) {
		const struct flow_port *p = &f->port[i];
		struct flow_end e = {.dport = p->ext_port};
		bool again = i && f->port[i - 1].protocol == p->protocol &&
			     f->port[i - 1].ext_port == p->ext_port;

		if (!addr_is_v4(&p->internal))
			continue;
		if (!again)
			err = dump(j->ct, CTA_TUPLE_ORIG, p->protocol, &e, BY_PORT,
				   judge_one, j);
		if (!err && p->contested)
			err = dump(j->ct, CTA_TUPLE_REPLY, p->protocol, &e, BY_PORT,
				   judge_one, j);
	}
	return err;
}

/* How many questions find_by_ports() would ask. */
static size_t n_questions(const struct flows *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n_ports; i++) {
		const struct flow_port *p = &f->port[i];

		if (!i || p[-1].ext_port != p->ext_port || p[-1].protocol != p->protocol)
			n++;
		if (p->contested)
			n++;
	}
	return n;
}

static int find_v4(struct judge *j)
{
	const struct flows *f = j->f;
	struct flow_end e = {0};
	bool former = !addr_is_none(&f->former);
	int err = 0;

	if (former) {
		e.dst = f->former;
		err = dump(j->ct, CTA_TUPLE_ORIG, 0, &e, BY_DST, judge_one, j);
	}
	if (err || !(f->n_ports || f->all))
		return err;
	if (!f->all && n_questions(f) <= PORTS_MAX)
		return find_by_ports(j);
	if (addr_is_none(&f->wan4))
		return 0;
	/* Twice through the table, but without what ends at the router: often that is most. */
	e.dst = f->wan4;
	err = dump(j->ct, CTA_TUPLE_ORIG, 0, &e, BY_DST, judge_one, j);
	if (!err && f->contested)
		err = dump(j->ct, CTA_TUPLE_REPLY, 0, &e, BY_DST, judge_one, j);
	return err;
}

/* What the kernel says of the deletes: that one is gone already is no matter. */
static void read_errors(struct conntrack *ct)
{
	while (recv(mnl_socket_get_fd(ct->sock), ct->rx, RX_SIZE, MSG_DONTWAIT) > 0)
		;
}

static void end_victims(struct conntrack *ct)
{
	size_t len = 0;

	for (size_t i = 0; i < ct->n_victims; i++) {
		const struct conntrack_entry *v = &ct->victim[i];
		struct nlmsghdr *nlh = put_header(ct, ct->tx + len, IPCTNL_MSG_CT_DELETE,
						  0, v->family);

		put_tuple(nlh, CTA_TUPLE_ORIG, v->flow.protocol, &v->flow.original,
			  BY_SRC | BY_DST | BY_PROTOCOL | BY_SPORT | BY_DPORT);
		if (v->has_zone)
			mnl_attr_put_u16(nlh, CTA_ZONE, v->zone);
		len += NLMSG_ALIGN(nlh->nlmsg_len);
		if (len < TX_SIZE && i + 1 < ct->n_victims)
			continue;
		mnl_socket_sendto(ct->sock, ct->tx, len);
		read_errors(ct);
		len = 0;
	}
}

long conntrack_cut(struct conntrack *ct, const struct flows *f)
{
	struct judge j = {ct, f};
	int err;

	ct->n_victims = 0;
	err = find_v4(&j);
	if (!err && f->pinholes)
		err = dump_pinholes(ct, judge_one, &j);
	end_victims(ct);
	return err ? err : (long)ct->n_victims;
}

/* ---- Questions ---- */

struct port_question {
	uint8_t protocol;
	uint16_t int_port;
	struct in6_addr internal;
	struct in6_addr wan4;
	uint16_t found;
};

static int note_port(void *arg, const struct nlmsghdr *nlh)
{
	struct port_question *q = arg;
	struct conntrack_entry v;

	if (conntrack_entry_read(nlh, &v) && v.flow.snat &&
	    v.flow.protocol == q->protocol && v.flow.original.sport == q->int_port &&
	    addr_equal(&v.flow.original.src, &q->internal) &&
	    addr_equal(&v.flow.reply.dst, &q->wan4))
		q->found = v.flow.reply.dport;
	return 0;
}

long conntrack_port(struct conntrack *ct, uint8_t protocol, struct in_addr internal,
		    uint16_t int_port, struct in_addr wan4)
{
	struct port_question q = {.protocol = protocol,
				  .int_port = int_port,
				  .internal = addr_from_v4(internal),
				  .wan4 = addr_from_v4(wan4)};
	struct flow_end e = {.src = q.internal, .sport = int_port};
	int err = dump(ct, CTA_TUPLE_ORIG, protocol, &e, BY_SRC | BY_PROTOCOL | BY_SPORT,
		       note_port, &q);

	return err ? err : q.found;
}

struct origin {
	uint8_t protocol;
	bool found;
	struct flow flow;
};

static int note_origin(void *arg, const struct nlmsghdr *nlh)
{
	struct origin *o = arg;
	struct conntrack_entry v;

	if (conntrack_entry_read(nlh, &v) && v.flow.protocol == o->protocol &&
	    v.flow.snat) {
		o->found = true;
		o->flow = v.flow;
	}
	return 0;
}

int conntrack_origin(struct conntrack *ct, uint8_t protocol, struct in_addr external,
		     uint16_t ext_port, struct in_addr remote, uint16_t remote_port,
		     struct in_addr *internal, uint16_t *int_port)
{
	struct origin o = {.protocol = protocol};
	const struct flow_end answers = {.src = addr_from_v4(remote),
					 .dst = addr_from_v4(external),
					 .sport = remote_port,
					 .dport = ext_port};
	uint8_t buf[REQUEST_MAX];
	struct nlmsghdr *nlh = put_header(ct, buf, IPCTNL_MSG_CT_GET, 0, AF_INET);
	int err;

	put_tuple(nlh, CTA_TUPLE_REPLY, protocol, &answers,
		  BY_SRC | BY_DST | BY_PROTOCOL | BY_SPORT | BY_DPORT);
	err = ask(ct, nlh, note_origin, &o);
	if (err || !o.found)
		return err ? err : -ENOENT;
	*internal = addr_to_v4(&o.flow.original.src);
	*int_port = o.flow.original.sport;
	return 0;
}

struct claims_question {
	struct in6_addr wan4;
	void (*each)(void *arg, uint8_t protocol, uint16_t port, struct in_addr internal);
	void *arg;
};

static int note_claim(void *arg, const struct nlmsghdr *nlh)
{
	const struct claims_question *q = arg;
	struct conntrack_entry v;

	if (conntrack_entry_read(nlh, &v) && v.flow.snat &&
	    v.flow.original.sport == v.flow.reply.dport &&
	    addr_equal(&v.flow.reply.dst, &q->wan4))
		q->each(q->arg, v.flow.protocol, v.flow.original.sport,
			addr_to_v4(&v.flow.original.src));
	return 0;
}

int conntrack_claims(struct conntrack *ct, struct in_addr wan4,
		     void (*each)(void *arg, uint8_t protocol, uint16_t port,
				  struct in_addr internal),
		     void *arg)
{
	struct claims_question q = {addr_from_v4(wan4), each, arg};
	struct flow_end e = {.dst = q.wan4};

	return dump(ct, CTA_TUPLE_REPLY, 0, &e, BY_DST, note_claim, &q);
}

/* ---- The flows of one lease ---- */

struct lease_question {
	const struct lease *lease;
	struct in6_addr wan4;
	bool pinhole;
	bool only_in;
	bool only_out;
	void (*each)(void *arg, const struct conntrack_flow *f);
	void *arg;
};

static bool is_inbound(const struct lease_question *q, const struct flow *f)
{
	const struct lease *l = q->lease;

	return f->original.dport == l->ext_port && f->reply.sport == l->int_port &&
	       addr_equal(&f->reply.src, &l->internal) &&
	       (q->pinhole || addr_equal(&f->original.dst, &q->wan4));
}

static bool is_outbound(const struct lease_question *q, const struct flow *f)
{
	const struct lease *l = q->lease;

	return f->original.sport == l->int_port && f->reply.dport == l->ext_port &&
	       addr_equal(&f->original.src, &l->internal) &&
	       (q->pinhole || addr_equal(&f->reply.dst, &q->wan4));
}

static int note_lease_flow(void *arg, const struct nlmsghdr *nlh)
{
	const struct lease_question *q = arg;
	struct conntrack_flow f = {0};
	struct conntrack_entry v;

	if (!conntrack_entry_read(nlh, &v) || v.flow.protocol != q->lease->protocol)
		return 0;
	f.flow = v.flow;
	f.inbound = is_inbound(q, &v.flow);
	if ((!f.inbound && !is_outbound(q, &v.flow)) || (q->only_in && !f.inbound) ||
	    (q->only_out && f.inbound))
		return 0;
	conntrack_details(nlh, &f);
	q->each(q->arg, &f);
	return 0;
}

/* Outbound flows need not bear the mark of pinholes. */
static int dump_ipv6(struct conntrack *ct, struct lease_question *q)
{
	uint8_t buf[REQUEST_MAX];
	struct nlmsghdr *nlh = put_header(ct, buf, IPCTNL_MSG_CT_GET, NLM_F_DUMP,
					  AF_INET6);

	return ask(ct, nlh, note_lease_flow, q);
}

int conntrack_lease(struct conntrack *ct, const struct lease *l, struct in_addr wan4,
		    void (*each)(void *arg, const struct conntrack_flow *f), void *arg)
{
	struct lease_question q = {.lease = l,
				   .wan4 = addr_from_v4(wan4),
				   .pinhole = lease_is_pinhole(l),
				   .each = each,
				   .arg = arg};
	struct flow_end e = {.dport = l->ext_port};
	int err;

	if (q.pinhole)
		return dump_ipv6(ct, &q);
	q.only_in = true;
	err = dump(ct, CTA_TUPLE_ORIG, l->protocol, &e, BY_PORT, note_lease_flow, &q);
	if (err)
		return err;
	/* One whose remote has the same port is in both answers. */
	q.only_in = false;
	q.only_out = true;
	return dump(ct, CTA_TUPLE_REPLY, l->protocol, &e, BY_PORT, note_lease_flow, &q);
}
