/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/hooks.h"

#include <dlfcn.h>
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "igd/rate.h"
#include "igd/ssdp.h"

#define HOOKS_PEERS 32
#define HOOKS_SSDP_PORT 1900
#define HOOKS_SSDP_V6 4 /* sockets of one libupnp */
#define HOOKS_BURST 64  /* datagrams looked at in one go */
#define HOOKS_TTL 4     /* of NOTIFYs, UDA 1.0 section 1.2.2 */
#define SEARCHES_PER_SECOND 20
#define SEARCHES_BURST 40

/* What libupnp reads when there is nothing for it after all: a search for nobody. Its own
 * readers take an error for the end of the socket. */
static const char nothing[] = "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n"
			      "MAN: \"ssdp:discover\"\r\nMX: 1\r\nST: uuid:0\r\n\r\n";

/* The C library's own. */
static int (*real_bind)(int, const struct sockaddr *, socklen_t);
static int (*real_setsockopt)(int, int, int, const void *, socklen_t);
static int (*real_select)(int, fd_set *, fd_set *, fd_set *, struct timeval *);
static int (*real_accept4)(int, struct sockaddr *, socklen_t *, int);
static ssize_t (*real_recvfrom)(int, void *, size_t, int, struct sockaddr *, socklen_t *);
static ssize_t (*real_sendto)(int, const void *, size_t, int, const struct sockaddr *,
			      socklen_t);

/* Process-wide, as the symbols are. */
static struct {
	struct hooks_config config;
	atomic_int listener;   /* libupnp's own HTTP, on loopback; -1 */
	atomic_uint http_port; /* where that is */
	atomic_int ssdp;       /* its IPv4 socket of port 1900; -1 */
	atomic_int ssdp_v6[HOOKS_SSDP_V6];

	/* Only libupnp's one reading thread comes to these. */
	struct rate searches;
	char search[SSDP_SEARCH_MAX]; /* accepted, not yet read */
	size_t search_len;
	struct sockaddr_in search_from;

	pthread_mutex_t lock; /* of peers */
	struct {
		uint16_t port; /* 0: free */
		struct in_addr client;
	} peers[HOOKS_PEERS];
} hooks = {.listener = -1,
	   .ssdp = -1,
	   .ssdp_v6 = {-1, -1, -1, -1},
	   .lock = PTHREAD_MUTEX_INITIALIZER};

/* dlsym() gives objects, the standard knows no way from them to functions but this. */
static int hooks_symbol(void *function, const char *name)
{
	void *symbol = dlsym(RTLD_NEXT, name);

	memcpy(function, &symbol, sizeof(symbol));
	return symbol ? 0 : -ENOSYS;
}

/* Others may call before hooks_init(), from one thread. */
static int hooks_resolve(void)
{
	int err;

	if (real_sendto)
		return 0;
	err = hooks_symbol(&real_bind, "bind");
	err = err ? err : hooks_symbol(&real_setsockopt, "setsockopt");
	err = err ? err : hooks_symbol(&real_select, "select");
	err = err ? err : hooks_symbol(&real_accept4, "accept4");
	err = err ? err : hooks_symbol(&real_recvfrom, "recvfrom");
	return err ? err : hooks_symbol(&real_sendto, "sendto");
}

int hooks_init(const struct hooks_config *config)
{
	int err = hooks_resolve();

	hooks.config = *config;
	rate_init(&hooks.searches, SEARCHES_PER_SECOND, SEARCHES_BURST);
	return err;
}

static bool hooks_on_lan(struct in_addr addr)
{
	for (size_t i = 0; i < hooks.config.n_nets; i++) {
		const struct hooks_net *net = &hooks.config.nets[i];

		if (((addr.s_addr ^ net->addr.s_addr) & net->mask.s_addr) == 0)
			return true;
	}
	return false;
}

/* Needs no capability while the socket is unbound (Linux 5.7). */
static int hooks_to_device(int fd, const char *ifname)
{
	return real_setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, ifname,
			       (socklen_t)strlen(ifname) + 1);
}

static int hooks_socket_type(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) ? -1 : type;
}

/* The HTTP listener goes to a loopback port of the kernel's choice; libupnp goes on
 * believing in the address that it asked for, and our documents name the front's. */
static int hooks_bind_listener(int fd)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(to);

	if (real_bind(fd, (struct sockaddr *)&to, sizeof(to)) ||
	    getsockname(fd, (struct sockaddr *)&to, &len))
		return -1;
	atomic_store(&hooks.http_port, ntohs(to.sin_port));
	atomic_store(&hooks.listener, fd);
	return 0;
}

/* The IPv6 listener serves nobody. Where there is no ::1 it stays unbound on lo. */
static int hooks_bind_listener_v6(int fd)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6,
				  .sin6_addr = IN6ADDR_LOOPBACK_INIT};

	if (real_bind(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return 0;
	return hooks_to_device(fd, "lo");
}

/* The socket that stops libupnp when somebody sends to it: connected to itself it hears
 * nobody else. */
static int hooks_bind_stop(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr_in self;
	socklen_t self_len = sizeof(self);

	if (real_bind(fd, addr, len) ||
	    getsockname(fd, (struct sockaddr *)&self, &self_len))
		return -1;
	return connect(fd, (struct sockaddr *)&self, self_len);
}

static int hooks_bind_ssdp(int fd, const struct sockaddr *addr, socklen_t len)
{
	const struct ip_mreqn lan = {.imr_ifindex = (int)hooks.config.ifindex};
	const int none = 0, ttl = HOOKS_TTL;

	/* Other LANs' groups are not ours; answers and NOTIFYs leave by this socket. */
	if (hooks_to_device(fd, hooks.config.ifname) ||
	    real_setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &none, sizeof(none)) ||
	    real_setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof(ttl)) ||
	    real_setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &lan, sizeof(lan)) ||
	    real_bind(fd, addr, len))
		return -1;
	if (port_from_sockaddr(addr) == HOOKS_SSDP_PORT)
		atomic_store(&hooks.ssdp, fd);
	return 0;
}

static int hooks_bind_ssdp_v6(int fd, const struct sockaddr *addr, socklen_t len)
{
	if (hooks_to_device(fd, hooks.config.ifname) || real_bind(fd, addr, len))
		return -1;
	for (size_t i = 0; i < HOOKS_SSDP_V6; i++) {
		int none = -1;

		if (atomic_compare_exchange_strong(&hooks.ssdp_v6[i], &none, fd))
			break;
	}
	return 0;
}

static bool hooks_is_loopback(const struct sockaddr *addr)
{
	const struct in6_addr a = addr_from_sockaddr(addr);

	return addr_is_v4(&a) && a.s6_addr[12] == 127;
}

/* The names that libupnp knows; assembler labels, since the C library's own declarations
 * of these functions differ (transparent unions). */
int hook_bind(int fd, const struct sockaddr *addr, socklen_t len) __asm__("bind");
int hook_setsockopt(int fd, int level, int name, const void *value,
		    socklen_t len) __asm__("setsockopt");
int hook_select(int n, fd_set *in, fd_set *out, fd_set *ex,
		struct timeval *t) __asm__("select");
int hook_accept(int fd, struct sockaddr *addr, socklen_t *len) __asm__("accept");
ssize_t hook_recvfrom(int fd, void *buf, size_t size, int flags, struct sockaddr *from,
		      socklen_t *from_len) __asm__("recvfrom");
ssize_t hook_sendto(int fd, const void *buf, size_t len, int flags,
		    const struct sockaddr *to, socklen_t to_len) __asm__("sendto");

int hook_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	int type = hooks_socket_type(fd);

	if (hooks_resolve()) {
		errno = ENOSYS;
		return -1;
	}
	if (addr->sa_family == AF_INET && type == SOCK_STREAM)
		return hooks_bind_listener(fd);
	if (addr->sa_family == AF_INET6 && type == SOCK_STREAM)
		return hooks_bind_listener_v6(fd);
	if (addr->sa_family == AF_INET && type == SOCK_DGRAM)
		return hooks_is_loopback(addr) ? hooks_bind_stop(fd, addr, len)
					       : hooks_bind_ssdp(fd, addr, len);
	if (addr->sa_family == AF_INET6 && type == SOCK_DGRAM)
		return hooks_bind_ssdp_v6(fd, addr, len);
	return real_bind(fd, addr, len); /* netlink */
}

/* libupnp 1.8 gives IP_MULTICAST_IF the eight bytes of an unsigned long, which the kernel
 * takes for a group and no interface: NOTIFYs would leave by the default route. */
int hook_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (hooks_resolve()) {
		errno = ENOSYS;
		return -1;
	}
	if (level == IPPROTO_IP && name == IP_MULTICAST_IF &&
	    len == 2 * sizeof(struct in_addr))
		len = sizeof(struct in_addr);
	return real_setsockopt(fd, level, name, value, len);
}

/* Reads the datagrams that are there until one is a search that somebody answers, and keeps
 * it in its canonical form. */
static bool hooks_search(int fd)
{
	for (int i = 0; i < HOOKS_BURST && !hooks.search_len; i++) {
		static char
			buf[SSDP_DATAGRAM_MAX + 1]; /* one more: an overlong one shows */
		char target[SSDP_TARGET_MAX + 1];
		struct sockaddr_in from = {0};
		socklen_t from_len = sizeof(from);
		struct in6_addr addr;
		ssize_t n = real_recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT,
					  (struct sockaddr *)&from, &from_len);

		if (n < 0)
			break;
		addr = addr_from_v4(from.sin_addr);
		if (from.sin_family != AF_INET || !hooks_on_lan(from.sin_addr) ||
		    !from.sin_port || ssdp_parse(buf, (size_t)n, target) ||
		    !rate_take(&hooks.searches, &addr, clock_ms()))
			continue;
		hooks.search_len = ssdp_canonical(hooks.config.description, target,
						  hooks.search);
		hooks.search_from = from;
	}
	return hooks.search_len > 0;
}

/* IPv6 searches are not answered: the front has no IPv6 address to name. */
static void hooks_discard(int fd)
{
	char byte;

	for (int i = 0; i < HOOKS_BURST; i++)
		if (real_recvfrom(fd, &byte, 1, MSG_DONTWAIT, NULL, NULL) < 0)
			break;
}

/* Was readable, but holds nothing for libupnp. */
static int hooks_unset(int fd, fd_set *set)
{
	FD_CLR(fd, set);
	return 1;
}

int hook_select(int n, fd_set *in, fd_set *out, fd_set *ex, struct timeval *t)
{
	int ssdp = atomic_load(&hooks.ssdp);
	int ready;

	if (hooks_resolve()) {
		errno = ENOSYS;
		return -1;
	}
	ready = real_select(n, in, out, ex, t);
	if (ready <= 0 || !in)
		return ready;
	if (ssdp >= 0 && ssdp < n && FD_ISSET(ssdp, in) && !hooks_search(ssdp))
		ready -= hooks_unset(ssdp, in);
	for (size_t i = 0; i < HOOKS_SSDP_V6; i++) {
		int fd = atomic_load(&hooks.ssdp_v6[i]);

		if (fd < 0 || fd >= n || !FD_ISSET(fd, in))
			continue;
		hooks_discard(fd);
		ready -= hooks_unset(fd, in);
	}
	return ready;
}

ssize_t hook_recvfrom(int fd, void *buf, size_t size, int flags, struct sockaddr *from,
		      socklen_t *from_len)
{
	const char *data = nothing;
	size_t len = sizeof(nothing) - 1;

	if (hooks_resolve()) {
		errno = ENOSYS;
		return -1;
	}
	if (fd < 0 || fd != atomic_load(&hooks.ssdp))
		return real_recvfrom(fd, buf, size, flags, from, from_len);
	if (hooks_search(fd)) {
		data = hooks.search;
		len = hooks.search_len;
		hooks.search_len = 0;
	} else {
		hooks.search_from = (struct sockaddr_in){
			.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	}
	len = len < size ? len : size;
	memcpy(buf, data, len);
	if (from && from_len && *from_len >= sizeof(hooks.search_from)) {
		memcpy(from, &hooks.search_from, sizeof(hooks.search_from));
		*from_len = sizeof(hooks.search_from);
	}
	return (ssize_t)len;
}

/* Answers and NOTIFYs leave by the socket that is bound to the LAN and to port 1900, which
 * is where clients expect them from (row U7); nothing goes elsewhere. */
ssize_t hook_sendto(int fd, const void *buf, size_t len, int flags,
		    const struct sockaddr *to, socklen_t to_len)
{
	int ssdp = atomic_load(&hooks.ssdp);
	struct sockaddr_in v4;

	if (hooks_resolve()) {
		errno = ENOSYS;
		return -1;
	}
	if (!to || to->sa_family != AF_INET || to_len < sizeof(v4) || ssdp < 0 ||
	    hooks_socket_type(fd) != SOCK_DGRAM)
		return real_sendto(fd, buf, len, flags, to, to_len);
	memcpy(&v4, to, sizeof(v4));
	if (!IN_MULTICAST(ntohl(v4.sin_addr.s_addr)) &&
	    (!hooks_on_lan(v4.sin_addr) ||
	     ssdp_is_double(hooks.config.description, buf, len)))
		return (ssize_t)len;
	return real_sendto(ssdp, buf, len, flags, to, to_len);
}

/* Whose connection from this loopback port is; takes the entry. */
static bool hooks_take_peer(uint16_t port, struct in_addr *client)
{
	bool found = false;

	pthread_mutex_lock(&hooks.lock);
	for (size_t i = 0; i < HOOKS_PEERS && port && !found; i++) {
		if (hooks.peers[i].port != port)
			continue;
		*client = hooks.peers[i].client;
		hooks.peers[i].port = 0;
		found = true;
	}
	pthread_mutex_unlock(&hooks.lock);
	return found;
}

/* Only our front gets in, and libupnp sees its client's address. libevent uses accept4. */
int hook_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct sockaddr_in from = {0};
	socklen_t from_len = sizeof(from);
	struct in_addr client;
	int conn;

	if (hooks_resolve()) {
		errno = ENOSYS;
		return -1;
	}
	conn = real_accept4(fd, (struct sockaddr *)&from, &from_len, SOCK_CLOEXEC);
	if (conn < 0)
		return -1;
	if (fd != atomic_load(&hooks.listener) || from.sin_family != AF_INET ||
	    from.sin_addr.s_addr != htonl(INADDR_LOOPBACK) ||
	    !hooks_take_peer(ntohs(from.sin_port), &client)) {
		close(conn);
		errno = ECONNABORTED;
		return -1;
	}
	from.sin_addr = client;
	if (addr && len && *len >= sizeof(from)) {
		memcpy(addr, &from, sizeof(from));
		*len = sizeof(from);
	}
	return conn;
}

static int hooks_add_peer(uint16_t port, struct in_addr client)
{
	int err = -EBUSY;

	pthread_mutex_lock(&hooks.lock);
	for (size_t i = 0; i < HOOKS_PEERS && err; i++) {
		if (hooks.peers[i].port)
			continue;
		hooks.peers[i].port = port;
		hooks.peers[i].client = client;
		err = 0;
	}
	pthread_mutex_unlock(&hooks.lock);
	return err;
}

void hooks_forget(uint16_t port)
{
	struct in_addr client;

	hooks_take_peer(port, &client);
}

int hooks_connect(struct in_addr client, uint16_t *port)
{
	struct sockaddr_in self = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in to = self;
	socklen_t len = sizeof(self);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	to.sin_port = htons((uint16_t)atomic_load(&hooks.http_port));
	/* The port must be known before libupnp can see it. */
	if (real_bind(fd, (struct sockaddr *)&self, sizeof(self)) ||
	    getsockname(fd, (struct sockaddr *)&self, &len)) {
		err = -errno;
		close(fd);
		return err;
	}
	*port = ntohs(self.sin_port);
	err = hooks_add_peer(*port, client);
	if (!err && connect(fd, (struct sockaddr *)&to, sizeof(to)) &&
	    errno != EINPROGRESS)
		err = -errno;
	if (err) {
		hooks_forget(*port);
		close(fd);
		return err;
	}
	return fd;
}
