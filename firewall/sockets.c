/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/sockets.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/portset.h"
#include "firewall/netlink.h"

#define SOCKETS_FRESH_MS 1000
#define SOCKETS_BUFFER 32768

struct sockets {
	struct mnl_socket *nl;
	uint32_t seq;
	bool known;
	uint64_t read_ms;
	uint32_t wan_index; /* what the sets were read for */
	struct in6_addr wan4;
	struct portset tcp;
	struct portset udp;
	struct portset *into; /* while a dump runs */
	char buf[SOCKETS_BUFFER];
};

struct sockets *sockets_open(void)
{
	struct sockets *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	if (!s->nl || mnl_socket_bind(s->nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		sockets_close(s);
		return NULL;
	}
	return s;
}

void sockets_close(struct sockets *s)
{
	if (!s)
		return;
	if (s->nl)
		mnl_socket_close(s->nl);
	free(s);
}

/* Where does a socket listen: on every address, or on the WAN's? */
static bool address_counts(const struct sockets *s, const struct inet_diag_msg *m)
{
	struct in6_addr a;
	struct in_addr v4;

	if (m->idiag_family == AF_INET) {
		memcpy(&v4, m->id.idiag_src, sizeof(v4));
		a = addr_from_v4(v4);
	} else {
		memcpy(&a, m->id.idiag_src, sizeof(a));
	}
	return addr_is_none(&a) || addr_equal(&a, &s->wan4);
}

static int take_socket(void *arg, const struct nlmsghdr *nlh)
{
	struct sockets *s = arg;
	struct inet_diag_msg m;
	uint16_t port;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(m))
		return 0;
	memcpy(&m, mnl_nlmsg_get_payload(nlh), sizeof(m));
	port = ntohs(m.id.idiag_sport);
	if (port && address_counts(s, &m) &&
	    (!m.id.idiag_if || m.id.idiag_if == s->wan_index))
		portset_add(s->into, port, port);
	return 0;
}

/* One dump: TCP sockets that listen, or UDP ones that are connected to nobody. */
static int read_sockets(struct sockets *s, uint8_t family, uint8_t protocol)
{
	struct inet_diag_req_v2 *req;
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(s->buf);

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = ++s->seq;
	req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
	req->sdiag_family = family;
	req->sdiag_protocol = protocol;
	req->idiag_states = protocol == IPPROTO_TCP ? 1U << TCP_LISTEN : 1U << TCP_CLOSE;
	if (mnl_socket_sendto(s->nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	return nl_answer(mnl_socket_get_fd(s->nl), s->buf, sizeof(s->buf), nlh,
			 take_socket, s);
}

/* The sets as they were stay when the kernel does not answer. */
static void sockets_read(struct sockets *s)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	struct portset tcp = s->tcp, udp = s->udp;
	int err = 0;

	memset(&s->tcp, 0, sizeof(s->tcp));
	memset(&s->udp, 0, sizeof(s->udp));
	for (size_t i = 0; i < sizeof(families) && !err; i++) {
		s->into = &s->tcp;
		err = read_sockets(s, families[i], IPPROTO_TCP);
		s->into = &s->udp;
		if (!err)
			err = read_sockets(s, families[i], IPPROTO_UDP);
	}
	if (!err)
		return;
	s->tcp = tcp;
	s->udp = udp;
	errno = -err;
	log_warn("the router's own ports could not be read: %m");
}

static void sockets_refresh(struct sockets *s, uint32_t wan_index,
			    const struct in6_addr *wan4, uint64_t now_ms)
{
	if (s->known && now_ms - s->read_ms < SOCKETS_FRESH_MS &&
	    s->wan_index == wan_index && addr_equal(&s->wan4, wan4))
		return;
	s->known = true;
	s->read_ms = now_ms;
	s->wan_index = wan_index;
	s->wan4 = *wan4;
	sockets_read(s);
}

bool sockets_listen(struct sockets *s, uint8_t protocol, uint16_t port,
		    uint32_t wan_index, const struct in6_addr *wan4, uint64_t now_ms)
{
	sockets_refresh(s, wan_index, wan4, now_ms);
	return portset_has(protocol == IPPROTO_TCP ? &s->tcp : &s->udp, port);
}

void sockets_ports(struct sockets *s, uint32_t wan_index, const struct in6_addr *wan4,
		   uint64_t now_ms, const struct portset **tcp,
		   const struct portset **udp)
{
	sockets_refresh(s, wan_index, wan4, now_ms);
	*tcp = &s->tcp;
	*udp = &s->udp;
}
