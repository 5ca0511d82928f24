/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/hooks.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <net/if.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "igd/rate.h"
#include "igd/ssdp.h"

#define HOOKS_GROUP "239.255.255.250"
#define HOOKS_SSDP_PORT 1900
#define HOOKS_SSDP_V6 4 /* sockets of one libupnp */
#define HOOKS_PAUSE_US 20000
#define HOOKS_BURST 64 /* datagrams looked at in one go */
#define HOOKS_TTL 4    /* of NOTIFYs, UDA 1.0 section 1.2.2 */
#define SEARCHES_PER_SECOND 20
#define SEARCHES_BURST 40

/* What libupnp reads when there is nothing for it after all: a search for nobody. Its own
 * readers take an error for the end of the socket. */
static const char nothing[] = "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n"
			      "MAN: \"ssdp:discover\"\r\nMX: 1\r\nST: uuid:0\r\n\r\n";

/* Where such searches, and our own, come from. */
static struct sockaddr_in nobody(void)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

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
	atomic_int ssdp; /* libupnp's IPv4 socket of port 1900; -1 */
	atomic_int ssdp_v6[HOOKS_SSDP_V6];
	int probe;         /* an eventfd: libupnp is to be handed a search of ours */
	atomic_uint asked; /* the latest of those */
	atomic_uint answered;

	/* Only libupnp's one reading thread comes to these. */
	struct rate searches;
	char search[SSDP_SEARCH_MAX]; /* accepted, not yet read */
	size_t search_len;
	struct sockaddr_in search_from;
} hooks = {.ssdp = -1, .ssdp_v6 = {-1, -1, -1, -1}, .probe = -1};

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
	hooks.probe = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return err || hooks.probe >= 0 ? err : -errno;
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
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	return real_bind(fd, (const struct sockaddr *)&to, sizeof(to));
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
int hook_usleep(useconds_t us) __asm__("usleep");
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

/* Our own search, which asks for one device and whose answer goes nowhere. */
static void hooks_take_probe(void)
{
	uint64_t count;

	if (hooks.search_len || read(hooks.probe, &count, sizeof(count)) < 0)
		return;
	hooks.search_len = ssdp_canonical(hooks.config.description,
					  description_udn(hooks.config.description, 0, 0),
					  hooks.search);
	hooks.search_from = nobody();
}

/* Was readable, but holds nothing for libupnp. */
static int hooks_unset(int fd, fd_set *set)
{
	FD_CLR(fd, set);
	return 1;
}

/* What libupnp may read of what the kernel says is ready. */
static int hooks_sift(int n, fd_set *in, int ready, int ssdp)
{
	bool probed = FD_ISSET(hooks.probe, in), search;

	if (probed) {
		ready -= hooks_unset(hooks.probe, in);
		hooks_take_probe();
	}
	search = (probed || FD_ISSET(ssdp, in)) && hooks_search(ssdp);
	ready += search - (FD_ISSET(ssdp, in) != 0);
	if (search)
		FD_SET(ssdp, in);
	else
		FD_CLR(ssdp, in);
	for (size_t i = 0; i < HOOKS_SSDP_V6; i++) {
		int fd = atomic_load(&hooks.ssdp_v6[i]);

		if (fd < 0 || fd >= n || !FD_ISSET(fd, in))
			continue;
		hooks_discard(fd);
		ready -= hooks_unset(fd, in);
	}
	return ready;
}

int hook_select(int n, fd_set *in, fd_set *out, fd_set *ex, struct timeval *t)
{
	int ssdp = atomic_load(&hooks.ssdp);
	int ready;

	if (hooks_resolve()) {
		errno = ENOSYS;
		return -1;
	}
	if (!in || ssdp < 0 || ssdp >= n || !FD_ISSET(ssdp, in))
		return real_select(n, in, out, ex, t);
	FD_SET(hooks.probe, in);
	ready = real_select(n > hooks.probe ? n : hooks.probe + 1, in, out, ex, t);
	return ready > 0 ? hooks_sift(n, in, ready, ssdp) : ready;
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
		hooks.search_from = nobody();
	}
	len = len < size ? len : size;
	memcpy(buf, data, len);
	if (from && from_len && *from_len >= sizeof(hooks.search_from)) {
		memcpy(from, &hooks.search_from, sizeof(hooks.search_from));
		*from_len = sizeof(hooks.search_from);
	}
	return (ssize_t)len;
}

/* Does this leave, by the way libupnp chose the address? */
static bool hooks_may_send(const struct sockaddr_in *to, const void *buf, size_t len)
{
	if (IN_MULTICAST(ntohl(to->sin_addr.s_addr)))
		return true;
	if (to->sin_addr.s_addr == nobody().sin_addr.s_addr) {
		atomic_store(&hooks.answered, atomic_load(&hooks.asked));
		return false;
	}
	return hooks_on_lan(to->sin_addr) &&
	       !ssdp_is_double(hooks.config.description, buf, len);
}

/* Answers and NOTIFYs leave by the socket that is bound to the LAN and to port 1900, which
 * is where clients expect them from (row U7); nothing goes elsewhere. */
ssize_t hook_sendto(int fd, const void *buf, size_t len, int flags,
		    const struct sockaddr *to, socklen_t to_len)
{
	int ssdp = atomic_load(&hooks.ssdp);
	char ours[SSDP_SENT_MAX];
	struct sockaddr_in v4;
	size_t n;

	if (hooks_resolve()) {
		errno = ENOSYS;
		return -1;
	}
	if (!to || to->sa_family != AF_INET || to_len < sizeof(v4) || ssdp < 0 ||
	    hooks_socket_type(fd) != SOCK_DGRAM)
		return real_sendto(fd, buf, len, flags, to, to_len);
	memcpy(&v4, to, sizeof(v4));
	n = hooks_may_send(&v4, buf, len) ? ssdp_reword(buf, len, ours) : 0;
	if (n && real_sendto(ssdp, ours, n, flags, to, to_len) < 0)
		return -1;
	return (ssize_t)len;
}

/* libupnp holds its lock while it pauses for 100 ms between two announcements of the same;
 * whoever searches then would wait for it. */
int hook_usleep(useconds_t us)
{
	const useconds_t most = HOOKS_PAUSE_US;
	const struct timespec pause = {.tv_nsec = (long)(us < most ? us : most) * 1000};

	return nanosleep(&pause, NULL);
}

/* Nobody gets in: our front answers HTTP. libevent uses accept4. */
int hook_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	int conn;

	(void)addr;
	(void)len;
	if (hooks_resolve()) {
		errno = ENOSYS;
		return -1;
	}
	conn = real_accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (conn >= 0) {
		close(conn);
		errno = ECONNABORTED;
	}
	return -1;
}

void hooks_goodbye(void)
{
	const struct sockaddr_in group = {.sin_family = AF_INET,
					  .sin_port = htons(HOOKS_SSDP_PORT),
					  .sin_addr.s_addr = inet_addr(HOOKS_GROUP)};
	int ssdp = atomic_load(&hooks.ssdp);
	char out[SSDP_NOTIFY_MAX];
	size_t len;

	for (unsigned int n = 0;
	     ssdp >= 0 && (len = ssdp_goodbye(hooks.config.description, n, out)); n++)
		real_sendto(ssdp, out, len, MSG_DONTWAIT, (const struct sockaddr *)&group,
			    sizeof(group));
}

bool hooks_lives(void)
{
	static const uint64_t one = 1;
	unsigned int asked = atomic_load(&hooks.asked);
	bool answered = atomic_load(&hooks.answered) == asked;

	atomic_store(&hooks.asked, asked + 1);
	return write(hooks.probe, &one, sizeof(one)) == sizeof(one) && answered;
}
