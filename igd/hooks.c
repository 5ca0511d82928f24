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
#include "base/log.h"
#include "igd/rate.h"
#include "igd/ssdp.h"

#define HOOKS_SSDP_PORT 1900
#define HOOKS_SSDP_V6 2 /* sockets of one libupnp: of the link and of the site */
#define HOOKS_PAUSE_US 20000
#define HOOKS_BURST 64 /* datagrams looked at in one go */
#define HOOKS_TTL 4    /* of NOTIFYs, UDA 1.0 section 1.2.2 */
#define SEARCHES_PER_SECOND 20
#define SEARCHES_BURST 40
#define HOOKS_PACE_US 200 /* how often we look whether libupnp is through */
#define HOOKS_PACES 100   /* and how often at most */

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

/* A socket of libupnp's that searches come by. Only its one reading thread comes to what is
 * at hand. */
struct hooks_source {
	atomic_int fd; /* -1 */
	size_t len;    /* of the search that is at hand: accepted, not yet read */
	char search[SSDP_SEARCH_MAX];
	struct sockaddr_storage from;
};

/* Process-wide, as the symbols are. */
static struct {
	struct hooks_config config;
	struct hooks_source v4;
	struct hooks_source v6[HOOKS_SSDP_V6];
	int probe;         /* an eventfd: libupnp is to be handed a search of ours */
	atomic_uint asked; /* the latest of those */
	atomic_uint answered;
	struct rate searches; /* the reading thread's, too */
	atomic_ullong handed; /* whose search has no answer yet; 0: nobody's */
} hooks = {.v4 = {.fd = -1}, .v6 = {{.fd = -1}, {.fd = -1}}, .probe = -1};

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

static bool hooks_on_lan(const struct in6_addr *addr)
{
	for (size_t i = 0; i < hooks.config.n_nets; i++)
		if (prefix_has(&hooks.config.nets[i], addr))
			return true;
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
		atomic_store(&hooks.v4.fd, fd);
	return 0;
}

static int hooks_bind_ssdp_v6(int fd, const struct sockaddr *addr, socklen_t len)
{
	const int none = 0, hops = HOOKS_TTL, lan = (int)hooks.config.ifindex;

	/* Of two that are bound alike each hears its own group only. */
	if (hooks_to_device(fd, hooks.config.ifname) ||
	    real_setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, &none, sizeof(none)) ||
	    real_setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops)) ||
	    real_setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &lan, sizeof(lan)) ||
	    real_bind(fd, addr, len))
		return -1;
	for (size_t i = 0; i < HOOKS_SSDP_V6; i++) {
		int none_yet = -1;

		if (port_from_sockaddr(addr) != HOOKS_SSDP_PORT ||
		    atomic_compare_exchange_strong(&hooks.v6[i].fd, &none_yet, fd))
			return 0;
	}
	errno = EADDRINUSE; /* one more than we know would go unwatched */
	return -1;
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
int hook_nanosleep(const struct timespec *t, struct timespec *left) __asm__("nanosleep");
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
static bool hooks_search(struct hooks_source *src)
{
	for (int i = 0; i < HOOKS_BURST && !src->len; i++) {
		static char
			buf[SSDP_DATAGRAM_MAX + 1]; /* one more: an overlong one shows */
		char target[SSDP_TARGET_MAX + 1];
		struct sockaddr_storage from = {0};
		const struct sockaddr *name = (const struct sockaddr *)&from;
		socklen_t from_len = sizeof(from);
		struct in6_addr addr;
		ssize_t n = real_recvfrom(atomic_load(&src->fd), buf, sizeof(buf),
					  MSG_DONTWAIT, (struct sockaddr *)&from,
					  &from_len);

		if (n < 0)
			break;
		addr = addr_from_sockaddr(name);
		if ((src != &hooks.v4 && !hooks.config.v6) || !hooks_on_lan(&addr) ||
		    !port_from_sockaddr(name) || ssdp_parse(buf, (size_t)n, target) ||
		    !rate_take(&hooks.searches, &addr, clock_ms()))
			continue;
		src->len = ssdp_canonical(hooks.config.description, target, src->search);
		src->from = from;
	}
	return src->len > 0;
}

static void hooks_from_nobody(struct hooks_source *src)
{
	const struct sockaddr_in from = nobody();

	memcpy(&src->from, &from, sizeof(from));
}

/* Our own search, which asks for one device and whose answer goes nowhere. */
static void hooks_take_probe(void)
{
	uint64_t count;

	if (hooks.v4.len || read(hooks.probe, &count, sizeof(count)) < 0)
		return;
	hooks.v4.len = ssdp_canonical(hooks.config.description,
				      description_udn(hooks.config.description, 0, 0),
				      hooks.v4.search);
	hooks_from_nobody(&hooks.v4);
}

/* The host and port of a search, as good as unique; never 0. */
static unsigned long long hooks_whose(const struct sockaddr *from)
{
	const struct in6_addr addr = addr_from_sockaddr(from);
	unsigned long long tail;

	memcpy(&tail, &addr.s6_addr[8], sizeof(tail));
	return (tail ^ (unsigned long long)port_from_sockaddr(from) << 17) | 1;
}

/* libupnp queues a hundred jobs, throws away what is more, and says so on stderr each time:
 * it is handed the next search when it begins to answer the last one. */
static void hooks_pace(void)
{
	const struct timespec pause = {.tv_nsec = HOOKS_PACE_US * 1000};

	for (int i = 0; i < HOOKS_PACES && atomic_load(&hooks.handed); i++)
		nanosleep(&pause, NULL);
}

/* Is there something for libupnp to read, whether the kernel says so or not? The change of
 * how many sockets are ready. */
static int hooks_sift_source(struct hooks_source *src, int n, fd_set *in)
{
	int fd = atomic_load(&src->fd);
	bool was, is;

	if (fd < 0 || fd >= n)
		return 0;
	was = FD_ISSET(fd, in);
	is = src->len || (was && hooks_search(src));
	if (is)
		FD_SET(fd, in);
	else
		FD_CLR(fd, in);
	return is - was;
}

/* What libupnp may read of what the kernel says is ready. */
static int hooks_sift(int n, fd_set *in, int ready)
{
	if (FD_ISSET(hooks.probe, in)) {
		FD_CLR(hooks.probe, in);
		ready--;
		hooks_take_probe();
	}
	ready += hooks_sift_source(&hooks.v4, n, in);
	for (size_t i = 0; i < HOOKS_SSDP_V6; i++)
		ready += hooks_sift_source(&hooks.v6[i], n, in);
	return ready;
}

int hook_select(int n, fd_set *in, fd_set *out, fd_set *ex, struct timeval *t)
{
	int ssdp = atomic_load(&hooks.v4.fd);
	int ready;

	if (hooks_resolve()) {
		errno = ENOSYS;
		return -1;
	}
	if (!in || ssdp < 0 || ssdp >= n || !FD_ISSET(ssdp, in))
		return real_select(n, in, out, ex, t);
	FD_SET(hooks.probe, in);
	ready = real_select(n > hooks.probe ? n : hooks.probe + 1, in, out, ex, t);
	return ready > 0 ? hooks_sift(n, in, ready) : ready;
}

static struct hooks_source *hooks_source_of(int fd)
{
	if (fd < 0)
		return NULL;
	for (size_t i = 0; i < HOOKS_SSDP_V6; i++)
		if (fd == atomic_load(&hooks.v6[i].fd))
			return &hooks.v6[i];
	return fd == atomic_load(&hooks.v4.fd) ? &hooks.v4 : NULL;
}

ssize_t hook_recvfrom(int fd, void *buf, size_t size, int flags, struct sockaddr *from,
		      socklen_t *from_len)
{
	struct hooks_source *src = hooks_source_of(fd);
	const char *data = nothing;
	size_t len = sizeof(nothing) - 1;
	socklen_t name_len;

	if (hooks_resolve()) {
		errno = ENOSYS;
		return -1;
	}
	if (!src)
		return real_recvfrom(fd, buf, size, flags, from, from_len);
	if (hooks_search(src)) {
		hooks_pace();
		atomic_store(&hooks.handed,
			     hooks_whose((const struct sockaddr *)&src->from));
		data = src->search;
		len = src->len;
		src->len = 0;
	} else {
		hooks_from_nobody(src);
	}
	len = len < size ? len : size;
	memcpy(buf, data, len);
	name_len = src->from.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
						   : sizeof(struct sockaddr_in);
	if (from && from_len && *from_len >= name_len) {
		memcpy(from, &src->from, name_len);
		*from_len = name_len;
	}
	return (ssize_t)len;
}

/* SSDP's port at an address, which may be "::" or "0.0.0.0". Returns the length. */
static socklen_t hooks_ssdp_name(const char *addr, bool v6, struct sockaddr_storage *out)
{
	struct sockaddr_in to4 = {.sin_family = AF_INET,
				  .sin_port = htons(HOOKS_SSDP_PORT)};
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6,
				   .sin6_port = htons(HOOKS_SSDP_PORT),
				   .sin6_scope_id = hooks.config.ifindex};

	inet_pton(v6 ? AF_INET6 : AF_INET, addr,
		  v6 ? (void *)&to6.sin6_addr : (void *)&to4.sin_addr);
	if (v6)
		memcpy(out, &to6, sizeof(to6));
	else
		memcpy(out, &to4, sizeof(to4));
	return v6 ? sizeof(to6) : sizeof(to4);
}

static socklen_t hooks_group(bool v6, struct sockaddr_storage *out)
{
	return hooks_ssdp_name(v6 ? SSDP_GROUP6 : SSDP_GROUP, v6, out);
}

/* Does this answer leave? */
static bool hooks_may_answer(const struct sockaddr *to, const void *buf, size_t len)
{
	const struct in6_addr addr = addr_from_sockaddr(to);

	if (atomic_load(&hooks.handed) == hooks_whose(to))
		atomic_store(&hooks.handed, 0);
	if (hooks_is_loopback(to)) {
		atomic_store(&hooks.answered, atomic_load(&hooks.asked));
		return false;
	}
	return hooks_on_lan(&addr) && !ssdp_is_double(hooks.config.description, buf, len);
}

static bool hooks_is_group(const struct sockaddr *to)
{
	const struct in6_addr addr = addr_from_sockaddr(to);

	return addr_is_v4(&addr) ? IN_MULTICAST(ntohl(addr_to_v4(&addr).s_addr))
				 : IN6_IS_ADDR_MULTICAST(&addr);
}

/* Makes libupnp's socket of this answer one that speaks from port 1900 on the LAN, to that
 * host alone: connected, it takes no search away from the socket that reads them. */
static int hooks_answer_by(int fd, const struct sockaddr *to, socklen_t to_len)
{
	bool v6 = to->sa_family == AF_INET6;
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	const int on = 1;

	if (getpeername(fd, (struct sockaddr *)&name, &len) == 0)
		return 0;
	len = hooks_ssdp_name(v6 ? "::" : "0.0.0.0", v6, &name);
	if (hooks_to_device(fd, hooks.config.ifname) ||
	    real_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    real_bind(fd, (struct sockaddr *)&name, len) || connect(fd, to, to_len))
		return -1;
	return 0;
}

/* NOTIFYs leave by the socket that is bound to the LAN and to port 1900, which is where
 * clients expect them from (row U7), answers by one of their own: what waits for a host that
 * is not there would fill the one, and hold up the others. Nothing goes elsewhere. */
ssize_t hook_sendto(int fd, const void *buf, size_t len, int flags,
		    const struct sockaddr *to, socklen_t to_len)
{
	bool v6 = to && to->sa_family == AF_INET6;
	int ssdp = atomic_load(v6 ? &hooks.v6[0].fd : &hooks.v4.fd);
	struct sockaddr_storage group;
	char ours[SSDP_SENT_MAX];
	size_t n;

	if (hooks_resolve()) {
		errno = ENOSYS;
		return -1;
	}
	if (!to || (!v6 && to->sa_family != AF_INET) || ssdp < 0 ||
	    hooks_socket_type(fd) != SOCK_DGRAM)
		return real_sendto(fd, buf, len, flags, to, to_len);
	if (hooks_is_group(to)) {
		to_len = hooks_group(v6, &group);
		to = (const struct sockaddr *)&group;
	} else if (!hooks_may_answer(to, buf, len) || hooks_answer_by(fd, to, to_len)) {
		return (ssize_t)len;
	} else {
		ssdp = fd;
		to = NULL;
		to_len = 0;
	}
	n = ssdp_reword(buf, len, v6, ours);
	if (n && real_sendto(ssdp, ours, n, flags | MSG_DONTWAIT, to, to_len) < 0)
		log_debug("not sent: %m");
	return (ssize_t)len;
}

/* libupnp holds its lock while it pauses for 100 ms between two announcements of the same;
 * whoever searches then would wait for it. 1.8 does so by usleep(), 1.14 by nanosleep(). */
static int hooks_pause(uint64_t us)
{
	const uint64_t most = HOOKS_PAUSE_US;
	const struct timespec pause = {.tv_nsec = (long)(us < most ? us : most) * 1000};
	int err = clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);

	errno = err;
	return err ? -1 : 0;
}

int hook_usleep(useconds_t us)
{
	return hooks_pause(us);
}

int hook_nanosleep(const struct timespec *t, struct timespec *left)
{
	if (left)
		*left = (struct timespec){0};
	return hooks_pause((uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_nsec / 1000);
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

static void hooks_goodbye_by(int fd, bool v6)
{
	struct sockaddr_storage group;
	socklen_t group_len = hooks_group(v6, &group);
	char out[SSDP_NOTIFY_MAX];
	size_t len;

	for (unsigned int n = 0;
	     fd >= 0 && (len = ssdp_goodbye(hooks.config.description, n, v6, out)); n++)
		real_sendto(fd, out, len, MSG_DONTWAIT, (const struct sockaddr *)&group,
			    group_len);
}

void hooks_goodbye(void)
{
	hooks_goodbye_by(atomic_load(&hooks.v4.fd), false);
	if (hooks.config.v6)
		hooks_goodbye_by(atomic_load(&hooks.v6[0].fd), true);
}

bool hooks_lives(void)
{
	static const uint64_t one = 1;
	unsigned int asked = atomic_load(&hooks.asked);
	bool answered = atomic_load(&hooks.answered) == asked;

	atomic_store(&hooks.asked, asked + 1);
	return write(hooks.probe, &one, sizeof(one)) == sizeof(one) && answered;
}
