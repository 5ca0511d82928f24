/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each transaction comes as messages that say what was done, and a last one that says by whom.
 * Our own do not even reach the socket.
 */
#include "firewall/watch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "firewall/kernel.h"

#define WATCH_BUFFER (8 << 20)
#define WATCH_RX (64 * 1024)
#define WATCH_BURST 512 /* datagrams of one turn */
/* The table's name is the first attribute of every message but those of generations. */
#define ATTR_TABLE 1

struct watch {
	struct mnl_socket *sock;
	uint32_t own;
	struct watch_turn turn;
	uint8_t *rx;
	char table[FIREWALL_TABLE_MAX];
};

/* What stands in a set of ours. */
enum kind {
	KIND_OTHER,  /* none of ours, or without contents that we have put there */
	KIND_ROUTER, /* what describes the router */
	KIND_CLAIMS,
	KIND_PORTS, /* leases; the key names the external port */
	KIND_REV,   /* leases; the data does */
};

static const struct named {
	const char *name;
	enum kind kind;
	uint8_t key_len;
	uint8_t protocol_at; /* in the key, and two bytes of port */
	uint8_t port_at;
} sets[] = {
	{"leases", KIND_PORTS, ELEMENT_PORT_KEY, 0, 4},
	{"leases_from", KIND_PORTS, ELEMENT_FROM_KEY, 8, 12},
	{"disabled", KIND_PORTS, ELEMENT_PORT_KEY, 0, 4},
	{"disabled_from", KIND_PORTS, ELEMENT_FROM_KEY, 8, 12},
	{"pin6", KIND_PORTS, ELEMENT_PIN6_KEY, 16, 20},
	{"pin6_from", KIND_PORTS, ELEMENT_PIN6_FROM_KEY, 36, 40},
	{"held", KIND_PORTS, ELEMENT_PORT_KEY, 0, 4},
	{"rev", KIND_REV, ELEMENT_HOST_KEY, 4, 0},
	{"taken", KIND_CLAIMS, 0, 0, 0},
	{"mine", KIND_CLAIMS, 0, 0, 0},
};

static const struct named *find_set(const char *name)
{
	static const struct named other = {.kind = KIND_OTHER};
	static const struct named router = {.kind = KIND_ROUTER};

	for (size_t i = 0; name && i < sizeof(sets) / sizeof(sets[0]); i++)
		if (!strcmp(sets[i].name, name))
			return &sets[i];
	return name && ruleset_is_constant(name) ? &router : &other;
}

/* Reading */

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

/* NULL: none, or not ended. */
static const char *text_of(const struct nlattr *attr)
{
	return attr && mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0
		       ? mnl_attr_get_str(attr)
		       : NULL;
}

struct element_note {
	const struct named *set;
	struct watch_report *r;
};

static int note_element(void *arg, const struct dumped *d)
{
	const struct element_note *n = arg;
	const struct named *s = n->set;
	const uint8_t *port;
	struct portset *ports;
	uint16_t p;

	if (d->key_len != s->key_len ||
	    (s->kind == KIND_REV && d->data_len != ELEMENT_PORT)) {
		n->r->leases = true; /* of a set that only bears the name */
		return 0;
	}
	port = s->kind == KIND_REV ? d->data : d->key + s->port_at;
	p = (uint16_t)(port[0] << 8 | port[1]);
	ports = d->key[s->protocol_at] == IPPROTO_TCP ? &n->r->tcp : &n->r->udp;
	portset_add(ports, p, p);
	n->r->ports = true;
	return 0;
}

static void take_elements(const struct nlmsghdr *nlh, const char *name, bool gone,
			  struct watch_report *r)
{
	struct element_note n = {.set = find_set(name), .r = r};

	switch (n.set->kind) {
	case KIND_OTHER:
		break;
	case KIND_ROUTER:
		r->structure = true;
		break;
	case KIND_CLAIMS:
		r->claims = r->claims || gone;
		break;
	case KIND_PORTS:
	case KIND_REV:
		if (elements_of(nlh, note_element, &n))
			r->leases = true;
		break;
	}
}

static void take_set_gone(const char *name, struct watch_report *r)
{
	enum kind kind = find_set(name)->kind;

	r->structure = true;
	r->leases = r->leases || kind == KIND_PORTS || kind == KIND_REV;
	r->claims = r->claims || kind == KIND_CLAIMS;
}

/* Which names a message of that type has, besides the table's. */
static uint16_t name_attr(uint16_t type)
{
	switch (type) {
	case NFT_MSG_NEWSET:
	case NFT_MSG_DELSET:
		return NFTA_SET_NAME;
	case NFT_MSG_NEWSETELEM:
	case NFT_MSG_DELSETELEM:
		return NFTA_SET_ELEM_LIST_SET;
	default:
		return 0;
	}
}

/* Did it touch our table? A rule that somebody adds is theirs. */
static bool take_object(const char *table, const struct nlmsghdr *nlh,
			struct watch_report *r)
{
	const struct nlattr *a[NFTA_SET_MAX + 1] = {NULL};
	struct attrs attrs = {.attr = a, .max = NFTA_SET_MAX};
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
	uint16_t type = nlh->nlmsg_type & 0xff;
	const char *of, *name;

	if (nfg->nfgen_family != NFPROTO_INET ||
	    mnl_attr_parse(nlh, sizeof(*nfg), note_attr, &attrs) < 0)
		return false;
	of = text_of(a[ATTR_TABLE]);
	name = name_attr(type) ? text_of(a[name_attr(type)]) : NULL;
	if (!of || strcmp(of, table) != 0)
		return false;
	switch (type) {
	case NFT_MSG_DELTABLE:
		r->structure = r->leases = r->claims = true;
		return true;
	case NFT_MSG_DELSET:
		take_set_gone(name, r);
		return true;
	case NFT_MSG_NEWTABLE: /* put to sleep, perhaps */
	case NFT_MSG_NEWCHAIN:
	case NFT_MSG_DELCHAIN:
	case NFT_MSG_DELRULE:
	case NFT_MSG_NEWSET:
		r->structure = true;
		return true;
	case NFT_MSG_NEWSETELEM:
	case NFT_MSG_DELSETELEM:
		take_elements(nlh, name, type == NFT_MSG_DELSETELEM, r);
		return true;
	default:
		return false;
	}
}

static void take_generation(const struct nlmsghdr *nlh, struct watch_turn *turn,
			    struct watch_report *r)
{
	const struct nlattr *a[NFTA_GEN_MAX + 1] = {NULL};
	struct attrs attrs = {.attr = a, .max = NFTA_GEN_MAX};
	const char *name;

	r->foreign = true;
	r->generations++;
	if (mnl_attr_parse(nlh, sizeof(struct nfgenmsg), note_attr, &attrs) >= 0 &&
	    (turn->touched || !r->pid) && a[NFTA_GEN_PROC_PID] &&
	    mnl_attr_get_payload_len(a[NFTA_GEN_PROC_PID]) == sizeof(uint32_t)) {
		r->pid = ntohl(mnl_attr_get_u32(a[NFTA_GEN_PROC_PID]));
		name = text_of(a[NFTA_GEN_PROC_NAME]);
		memset(r->name, 0, sizeof(r->name));
		strncpy(r->name, name ? name : "", sizeof(r->name) - 1);
	}
	turn->touched = false;
}

void watch_take(const char *table, uint32_t own_portid, const void *buf, size_t len,
		struct watch_turn *turn, struct watch_report *r)
{
	struct nl_datagram d = nl_datagram_of(buf, len);
	const struct nlmsghdr *nlh;

	while ((nlh = nl_next(&d))) {
		if (nlh->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES ||
		    nlh->nlmsg_len < NLMSG_LENGTH(sizeof(struct nfgenmsg)) ||
		    nlh->nlmsg_pid == own_portid)
			continue;
		if ((nlh->nlmsg_type & 0xff) == NFT_MSG_NEWGEN)
			take_generation(nlh, turn, r);
		else if (take_object(table, nlh, r))
			turn->touched = true;
	}
	if (d.bad)
		r->lost = true;
}

bool watch_touched(const struct watch_report *r)
{
	return r->lost || r->structure || r->leases || r->claims || r->ports;
}

/* The socket */

/* Leaves out what our own socket has done: all messages of one datagram are of one
 * transaction. The filter reads a word as big endian. */
static int leave_out_own(int fd, uint32_t own)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(own), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog prog = {sizeof(code) / sizeof(code[0]), code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) ? -errno
										 : 0;
}

static int open_socket(struct watch *w)
{
	int group = NFNLGRP_NFTABLES, size = WATCH_BUFFER, fd, err;

	w->sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!w->sock || mnl_socket_bind(w->sock, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	fd = mnl_socket_get_fd(w->sock);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	err = leave_out_own(fd, w->own);
	if (!err && setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
			       sizeof(group)) < 0)
		err = -errno;
	return err;
}

int watch_open(const char *table, uint32_t own_portid, struct watch **out)
{
	struct watch *w = calloc(1, sizeof(*w));
	int err = strlen(table) < sizeof(w->table) ? 0 : -ENAMETOOLONG;

	if (!w || err) {
		free(w);
		return w ? err : -ENOMEM;
	}
	strcpy(w->table, table);
	w->own = own_portid;
	w->rx = malloc(WATCH_RX);
	err = w->rx ? open_socket(w) : -ENOMEM;
	if (err) {
		watch_close(w);
		return err;
	}
	*out = w;
	return 0;
}

void watch_close(struct watch *w)
{
	if (!w)
		return;
	if (w->sock)
		mnl_socket_close(w->sock);
	free(w->rx);
	free(w);
}

int watch_fd(const struct watch *w)
{
	return mnl_socket_get_fd(w->sock);
}

int watch_read(struct watch *w, struct watch_report *r)
{
	for (int i = 0; i < WATCH_BURST; i++) {
		ssize_t len = recv(watch_fd(w), w->rx, WATCH_RX, MSG_DONTWAIT);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && errno == ENOBUFS) {
			r->lost = true;
			w->turn.touched = false;
			continue;
		}
		if (len < 0 && errno != EAGAIN)
			return -errno;
		if (len < 0)
			break;
		watch_take(w->table, w->own, w->rx, (size_t)len, &w->turn, r);
	}
	return watch_touched(r);
}
