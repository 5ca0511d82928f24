/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Nothing is listened to, so that a busy LAN wakes nobody: an entry itself tells when it was
 * last confirmed, and is read when somebody wants to know.
 */
#include "firewall/neighbours.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "firewall/netlink.h"

#define RX_SIZE 8192

struct neighbours {
	struct mnl_socket *nl;
	uint32_t seq;
	long ticks; /* of the kernel's times, per second */
	_Alignas(struct nlmsghdr) uint8_t rx[RX_SIZE];
};

struct entry {
	uint16_t state; /* NUD_* */
	bool timed;
	uint64_t confirmed_ms; /* ago */
	bool has_mac;
	uint8_t mac[MAC_LEN];
};

int neighbours_open(struct neighbours **out)
{
	struct neighbours *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->ticks = sysconf(_SC_CLK_TCK);
	n->nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!n->nl || mnl_socket_bind(n->nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		int err = -errno;

		neighbours_close(n);
		return err;
	}
	*out = n;
	return 0;
}

void neighbours_close(struct neighbours *n)
{
	if (!n)
		return;
	if (n->nl)
		mnl_socket_close(n->nl);
	free(n);
}

static struct nlmsghdr *request(struct neighbours *n, void *buf, uint16_t type,
				uint16_t flags, uint32_t ifindex,
				const struct in6_addr *addr, struct ndmsg **head)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	bool v4 = addr_is_v4(addr);
	struct in_addr short_addr = {0};

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	nlh->nlmsg_seq = ++n->seq;
	*head = mnl_nlmsg_put_extra_header(nlh, sizeof(**head));
	(*head)->ndm_family = v4 ? AF_INET : AF_INET6;
	(*head)->ndm_ifindex = (int)ifindex;
	if (v4)
		short_addr = addr_to_v4(addr);
	mnl_attr_put(nlh, NDA_DST, v4 ? sizeof(short_addr) : sizeof(*addr),
		     v4 ? (const void *)&short_addr : (const void *)addr);
	return nlh;
}

struct attrs {
	const struct nlattr *cache;
	const struct nlattr *mac;
};

static int note_attr(const struct nlattr *attr, void *data)
{
	struct attrs *a = data;

	if (mnl_attr_get_type(attr) == NDA_CACHEINFO)
		a->cache = attr;
	if (mnl_attr_get_type(attr) == NDA_LLADDR)
		a->mac = attr;
	return MNL_CB_OK;
}

static int read_entry(const struct neighbours *n, const struct nlmsghdr *nlh,
		      struct entry *e)
{
	const struct ndmsg *head = mnl_nlmsg_get_payload(nlh);
	struct nda_cacheinfo cache;
	struct attrs attrs = {0};

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*head) ||
	    mnl_attr_parse(nlh, sizeof(*head), note_attr, &attrs) < 0)
		return -EBADMSG;
	e->state = head->ndm_state;
	e->has_mac = attrs.mac && mnl_attr_get_payload_len(attrs.mac) == MAC_LEN;
	if (e->has_mac)
		memcpy(e->mac, mnl_attr_get_payload(attrs.mac), MAC_LEN);
	if (!attrs.cache || mnl_attr_get_payload_len(attrs.cache) < sizeof(cache))
		return 0;
	memcpy(&cache, mnl_attr_get_payload(attrs.cache), sizeof(cache));
	e->timed = true;
	e->confirmed_ms = cache.ndm_confirmed * 1000ULL / (uint64_t)n->ticks;
	return 0;
}

struct reading {
	const struct neighbours *n;
	struct entry *e; /* NULL: nothing is asked for */
};

static int note_entry(void *arg, const struct nlmsghdr *nlh)
{
	const struct reading *r = arg;

	return nlh->nlmsg_type == RTM_NEWNEIGH && r->e ? read_entry(r->n, nlh, r->e) : 0;
}

static int ask(struct neighbours *n, const struct nlmsghdr *request, struct entry *e)
{
	struct reading r = {.n = n, .e = e};

	if (mnl_socket_sendto(n->nl, request, request->nlmsg_len) < 0)
		return -errno;
	return nl_answer(mnl_socket_get_fd(n->nl), n->rx, sizeof(n->rx), request,
			 note_entry, &r);
}

static int look_up(struct neighbours *n, uint32_t ifindex, const struct in6_addr *addr,
		   struct entry *e)
{
	uint8_t buf[256];
	struct ndmsg *head;
	struct nlmsghdr *nlh = request(n, buf, RTM_GETNEIGH, 0, ifindex, addr, &head);
	int err;

	memset(e, 0, sizeof(*e));
	err = ask(n, nlh, e);
	return err == -ENOENT ? 0 : err;
}

/* States in which the kernel has an address for the host that was good once. One that failed,
 * or that is just being looked for, has no time of confirmation but one that was made up. */
#define WAS_THERE (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE)
#define BY_ADMIN (NUD_PERMANENT | NUD_NOARP)

int neighbours_silence(struct neighbours *n, uint32_t ifindex,
		       const struct in6_addr *addr, uint64_t *silence_ms)
{
	struct entry e;
	int err = look_up(n, ifindex, addr, &e);

	*silence_ms = NEIGHBOURS_NEVER;
	if (err)
		return err;
	if (e.state & BY_ADMIN)
		*silence_ms = 0;
	else if (e.state & WAS_THERE && e.timed)
		*silence_ms = e.confirmed_ms;
	return 0;
}

int neighbours_has(struct neighbours *n, uint32_t ifindex, const struct in6_addr *addr,
		   const uint8_t mac[MAC_LEN], bool *has)
{
	static const uint8_t unknown[MAC_LEN];
	struct entry e;
	int err = look_up(n, ifindex, addr, &e);

	*has = !err && (e.state & BY_ADMIN || (e.state & WAS_THERE && e.timed)) &&
	       (!e.has_mac || !memcmp(mac, unknown, MAC_LEN) ||
		!memcmp(mac, e.mac, MAC_LEN));
	return err;
}

int neighbours_mac(struct neighbours *n, uint32_t ifindex, const struct in6_addr *addr,
		   uint8_t mac[MAC_LEN])
{
	struct entry e;
	int err = look_up(n, ifindex, addr, &e);

	if (err)
		return err;
	if (!e.has_mac || !(e.state & (WAS_THERE | NUD_PERMANENT)))
		return -ENOENT;
	memcpy(mac, e.mac, MAC_LEN);
	return 0;
}

/* An entry with an address is put to the test at once; else the host is looked for. */
int neighbours_probe(struct neighbours *n, uint32_t ifindex, const struct in6_addr *addr)
{
	uint8_t buf[256];
	struct ndmsg *head;
	struct nlmsghdr *nlh;
	struct entry e;
	int err = look_up(n, ifindex, addr, &e);

	if (err || e.state & BY_ADMIN)
		return err;
	nlh = request(n, buf, RTM_NEWNEIGH,
		      NLM_F_ACK | (e.state & WAS_THERE ? 0 : NLM_F_CREATE), ifindex, addr,
		      &head);
	if (e.state & WAS_THERE)
		head->ndm_state = NUD_PROBE;
	else
		head->ndm_flags = NTF_USE;
	return ask(n, nlh, NULL);
}
