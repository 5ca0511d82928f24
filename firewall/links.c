/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One socket listens, another one asks. Whatever is heard, everything is asked anew: bursts
 * of events cost one round, and lost ones (-ENOBUFS) nothing.
 */
#include "firewall/links.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/room.h"
#include "firewall/netlink.h"

#define RX_SIZE (64 * 1024)
#define EVENT_BUFFER (1 << 20)
#define REFRESH_TRIES 10

struct view {
	struct link *link;
	size_t n;
	size_t room;
	uint32_t route_index; /* 0: no default route */
	uint32_t route_metric;
	struct in_addr
		gateway; /* of that route; 0.0.0.0: none, as on a point-to-point link */
};

struct links {
	struct mnl_socket *events;
	struct mnl_socket *ask;
	uint32_t seq;
	uint8_t *rx;
	struct view view;
};

/* Attributes by type */

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

static uint32_t attr_u32(const struct nlattr *attr)
{
	return attr && mnl_attr_get_payload_len(attr) == sizeof(uint32_t)
		       ? mnl_attr_get_u32(attr)
		       : 0;
}

/* Asking */

static int ask(struct links *l, const struct nlmsghdr *request, nl_message_cb each,
	       void *arg)
{
	if (mnl_socket_sendto(l->ask, request, request->nlmsg_len) < 0)
		return -errno;
	return nl_answer(mnl_socket_get_fd(l->ask), l->rx, RX_SIZE, request, each, arg);
}

/* A dump of RTM_GET* with a header of `size` zero bytes but for the family. */
static int ask_all(struct links *l, uint16_t type, uint8_t family, size_t size,
		   nl_message_cb each, void *arg)
{
	uint8_t buf[256], *head;
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = ++l->seq;
	head = mnl_nlmsg_put_extra_header(nlh, size);
	head[0] = family; /* the first byte of ifinfomsg, ifaddrmsg and rtmsg */
	return ask(l, nlh, each, arg);
}

static int read_link(void *arg, const struct nlmsghdr *nlh)
{
	const struct nlattr *a[IFLA_MAX + 1] = {NULL};
	struct attrs attrs = {.attr = a, .max = IFLA_MAX};
	const struct ifinfomsg *head = mnl_nlmsg_get_payload(nlh);
	struct view *v = arg;
	struct link *link;

	if (nlh->nlmsg_type != RTM_NEWLINK ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*head) ||
	    mnl_attr_parse(nlh, sizeof(*head), note_attr, &attrs) < 0 ||
	    !a[IFLA_IFNAME] || mnl_attr_validate(a[IFLA_IFNAME], MNL_TYPE_NUL_STRING) < 0)
		return 0;
	link = room_for(v->link, &v->room, v->n + 1, sizeof(*link));
	if (!link)
		return -ENOMEM;
	v->link = link;
	link = &v->link[v->n++];
	memset(link, 0, sizeof(*link));
	strncpy(link->name, mnl_attr_get_str(a[IFLA_IFNAME]), sizeof(link->name) - 1);
	link->index = (uint32_t)head->ifi_index;
	link->up = head->ifi_flags & IFF_UP;
	link->running = head->ifi_flags & IFF_RUNNING;
	link->loopback = head->ifi_flags & IFF_LOOPBACK;
	if (a[IFLA_ADDRESS] &&
	    mnl_attr_get_payload_len(a[IFLA_ADDRESS]) == sizeof(link->mac)) {
		link->has_mac = true;
		memcpy(link->mac, mnl_attr_get_payload(a[IFLA_ADDRESS]),
		       sizeof(link->mac));
	}
	return 0;
}

static struct link *find_index(const struct view *v, uint32_t index)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->link[i].index == index)
			return &v->link[i];
	return NULL;
}

/* The address of an attribute, whatever its family. */
static bool read_address(const struct nlattr *attr, struct in6_addr *out)
{
	struct in_addr v4;

	if (!attr)
		return false;
	switch (mnl_attr_get_payload_len(attr)) {
	case sizeof(v4):
		memcpy(&v4, mnl_attr_get_payload(attr), sizeof(v4));
		*out = addr_from_v4(v4);
		return true;
	case sizeof(*out):
		memcpy(out, mnl_attr_get_payload(attr), sizeof(*out));
		return true;
	default:
		return false;
	}
}

static int read_addr(void *arg, const struct nlmsghdr *nlh)
{
	const struct nlattr *a[IFA_MAX + 1] = {NULL};
	struct attrs attrs = {.attr = a, .max = IFA_MAX};
	const struct ifaddrmsg *head = mnl_nlmsg_get_payload(nlh);
	struct link_addr addr = {0};
	struct link *link;
	uint32_t flags;

	if (nlh->nlmsg_type != RTM_NEWADDR ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*head) ||
	    mnl_attr_parse(nlh, sizeof(*head), note_attr, &attrs) < 0)
		return 0;
	link = find_index(arg, head->ifa_index);
	if (!link || link->n_addrs == LINK_ADDRS)
		return 0;
	if (!read_address(a[IFA_LOCAL], &addr.addr) &&
	    !read_address(a[IFA_ADDRESS], &addr.addr))
		return 0;
	flags = a[IFA_FLAGS] ? attr_u32(a[IFA_FLAGS]) : head->ifa_flags;
	addr.len = (uint8_t)(head->ifa_prefixlen +
			     (head->ifa_family == AF_INET ? 96 : 0));
	addr.usable = !(flags & (IFA_F_TENTATIVE | IFA_F_DEPRECATED | IFA_F_DADFAILED)) &&
		      (head->ifa_family == AF_INET || !(flags & IFA_F_TEMPORARY));
	link->addrs[link->n_addrs++] = addr;
	return 0;
}

/* The first next hop of a multipath route. */
static uint32_t multipath_index(const struct nlattr *attr)
{
	struct rtnexthop hop;

	if (!attr || mnl_attr_get_payload_len(attr) < sizeof(hop))
		return 0;
	memcpy(&hop, mnl_attr_get_payload(attr), sizeof(hop));
	return (uint32_t)hop.rtnh_ifindex;
}

static int read_route(void *arg, const struct nlmsghdr *nlh)
{
	const struct nlattr *a[RTA_MAX + 1] = {NULL};
	struct attrs attrs = {.attr = a, .max = RTA_MAX};
	const struct rtmsg *head = mnl_nlmsg_get_payload(nlh);
	struct view *v = arg;
	uint32_t table, index, metric;

	if (nlh->nlmsg_type != RTM_NEWROUTE ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*head) || head->rtm_dst_len ||
	    head->rtm_family != AF_INET || head->rtm_type != RTN_UNICAST ||
	    mnl_attr_parse(nlh, sizeof(*head), note_attr, &attrs) < 0)
		return 0;
	table = a[RTA_TABLE] ? attr_u32(a[RTA_TABLE]) : head->rtm_table;
	index = a[RTA_OIF] ? attr_u32(a[RTA_OIF]) : multipath_index(a[RTA_MULTIPATH]);
	metric = attr_u32(a[RTA_PRIORITY]);
	if (table != RT_TABLE_MAIN || !index ||
	    (v->route_index && v->route_metric <= metric))
		return 0;
	v->route_index = index;
	v->route_metric = metric;
	v->gateway = (struct in_addr){0};
	if (a[RTA_GATEWAY] &&
	    mnl_attr_get_payload_len(a[RTA_GATEWAY]) >= sizeof(v->gateway))
		memcpy(&v->gateway, mnl_attr_get_payload(a[RTA_GATEWAY]),
		       sizeof(v->gateway));
	return 0;
}

static int by_addr(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct link_addr));
}

static int look(struct links *l, struct view *v)
{
	int err;

	v->n = 0;
	v->route_index = 0;
	v->gateway = (struct in_addr){0};
	err = ask_all(l, RTM_GETLINK, AF_UNSPEC, sizeof(struct ifinfomsg), read_link, v);
	if (!err)
		err = ask_all(l, RTM_GETADDR, AF_UNSPEC, sizeof(struct ifaddrmsg),
			      read_addr, v);
	if (!err)
		err = ask_all(l, RTM_GETROUTE, AF_INET, sizeof(struct rtmsg), read_route,
			      v);
	for (size_t i = 0; !err && i < v->n; i++)
		qsort(v->link[i].addrs, v->link[i].n_addrs, sizeof(struct link_addr),
		      by_addr);
	return err;
}

static bool same_view(const struct view *a, const struct view *b)
{
	return a->n == b->n && a->route_index == b->route_index &&
	       a->gateway.s_addr == b->gateway.s_addr &&
	       (!a->n || !memcmp(a->link, b->link, a->n * sizeof(*a->link)));
}

/* 1: something is different now. */
static int refresh(struct links *l)
{
	struct view v = {0};
	int err = -EINTR;

	for (int i = 0; i < REFRESH_TRIES && err == -EINTR; i++)
		err = look(l, &v);
	if (err || same_view(&v, &l->view)) {
		free(v.link);
		return err;
	}
	free(l->view.link);
	l->view = v;
	return 1;
}

/* The face */

static int open_sockets(struct links *l)
{
	static const int groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
				     RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE};
	int size = EVENT_BUFFER, fd;

	l->events = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	l->ask = l->events ? mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC) : NULL;
	if (!l->ask || mnl_socket_bind(l->events, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_bind(l->ask, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	fd = mnl_socket_get_fd(l->events);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			       sizeof(groups[i])) < 0)
			return -errno;
	return 0;
}

int links_open(struct links **out)
{
	struct links *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	l->rx = malloc(RX_SIZE);
	err = l->rx ? open_sockets(l) : -ENOMEM;
	if (!err)
		err = refresh(l); /* after joining: nothing falls in between */
	if (err < 0) {
		links_close(l);
		return err;
	}
	*out = l;
	return 0;
}

void links_close(struct links *l)
{
	if (!l)
		return;
	if (l->events)
		mnl_socket_close(l->events);
	if (l->ask)
		mnl_socket_close(l->ask);
	free(l->view.link);
	free(l->rx);
	free(l);
}

int links_fd(const struct links *l)
{
	return mnl_socket_get_fd(l->events);
}

/* A route that is no default route does not concern us; routing daemons change many. */
static bool concerns_us(const struct nlmsghdr *nlh)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type != RTM_NEWROUTE && nlh->nlmsg_type != RTM_DELROUTE)
		return nlh->nlmsg_type >= NLMSG_MIN_TYPE;
	return mnl_nlmsg_get_payload_len(nlh) >= sizeof(*route) && !route->rtm_dst_len;
}

int links_read(struct links *l)
{
	bool concerned = false;

	for (;;) {
		ssize_t len = recv(links_fd(l), l->rx, RX_SIZE, MSG_DONTWAIT);
		struct nl_datagram d = nl_datagram_of(l->rx, len < 0 ? 0 : (size_t)len);
		const struct nlmsghdr *nlh;

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && errno == ENOBUFS) {
			concerned = true;
			continue;
		}
		if (len < 0 && errno != EAGAIN)
			return -errno;
		if (len < 0)
			break;
		while ((nlh = nl_next(&d)))
			concerned = concerned || concerns_us(nlh);
	}
	return concerned ? refresh(l) : 0;
}

void links_each(const struct links *l, void (*each)(void *arg, const struct link *link),
		void *arg)
{
	for (size_t i = 0; i < l->view.n; i++)
		each(arg, &l->view.link[i]);
}

const struct link *links_find(const struct links *l, const char *name)
{
	for (size_t i = 0; i < l->view.n; i++)
		if (!strcmp(l->view.link[i].name, name))
			return &l->view.link[i];
	return NULL;
}

const struct link *links_default_route(const struct links *l)
{
	return l->view.route_index ? find_index(&l->view, l->view.route_index) : NULL;
}

struct in_addr links_gateway(const struct links *l)
{
	return l->view.gateway;
}

static int read_counters(void *arg, const struct nlmsghdr *nlh)
{
	const struct nlattr *a[IFLA_MAX + 1] = {NULL};
	struct attrs attrs = {.attr = a, .max = IFLA_MAX};
	struct rtnl_link_stats64 stats = {0};
	struct link_counters *out = arg;

	if (nlh->nlmsg_type != RTM_NEWLINK ||
	    mnl_attr_parse(nlh, sizeof(struct ifinfomsg), note_attr, &attrs) < 0)
		return -EBADMSG;
	if (!a[IFLA_STATS64])
		return -ENOENT;
	/* Newer kernels add fields at the end. */
	memcpy(&stats, mnl_attr_get_payload(a[IFLA_STATS64]),
	       mnl_attr_get_payload_len(a[IFLA_STATS64]) < sizeof(stats)
		       ? mnl_attr_get_payload_len(a[IFLA_STATS64])
		       : sizeof(stats));
	out->rx_bytes = stats.rx_bytes;
	out->tx_bytes = stats.tx_bytes;
	out->rx_packets = stats.rx_packets;
	out->tx_packets = stats.tx_packets;
	return 0;
}

int links_counters(struct links *l, const char *name, struct link_counters *out)
{
	uint8_t buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	memset(out, 0, sizeof(*out));
	if (strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	nlh->nlmsg_type = RTM_GETLINK;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nlh->nlmsg_seq = ++l->seq;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	return ask(l, nlh, read_counters, out);
}
