/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long a new flow takes from the internet through the gateway to a host of the LAN: sends
 * datagrams, each from another source port, in one namespace and counts them in another.
 *
 *	flows INTERNET-NAMESPACE LAN-NAMESPACE SOURCE WAN PORT LAN-PORT COUNT
 *
 * Prints {"sent":n,"arrived":n,"us":[...]}: the microseconds of one datagram in each batch of 32.
 * All in one thread, on one processor and ahead of others there, as the kernel takes each
 * datagram all the way while it is sent.
 */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 32
#define FIRST_PORT 1024
#define LAST_MS 200 /* so long after the last one we wait for late ones */

struct datagram {
	struct iphdr ip;
	struct udphdr udp;
	uint32_t number;
};

static void enter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		err(1, "%s", path);
	close(fd);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Others on this machine must not show in what is measured. */
static void alone(void)
{
	const struct sched_param first = {.sched_priority = 1};
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)sched_getcpu(), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "sched_setaffinity");
	if (sched_setscheduler(0, SCHED_FIFO, &first))
		warn("SCHED_FIFO");
}

static int open_receiver(const char *ns, uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	const int room = 16 << 20;
	int fd;

	enter(ns);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)))
		err(1, "port %u", port);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)))
		err(1, "SO_RCVBUFFORCE");
	return fd;
}

static int open_sender(const char *ns)
{
	int fd;

	enter(ns);
	fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (fd < 0)
		err(1, "raw socket");
	return fd;
}

static struct datagram make(in_addr_t from, in_addr_t to, uint16_t port)
{
	return (struct datagram){
		.ip = {.version = 4,
		       .ihl = 5,
		       .ttl = 64,
		       .protocol = IPPROTO_UDP,
		       .tot_len = htons(sizeof(struct datagram)),
		       .saddr = from,
		       .daddr = to},
		.udp = {.dest = htons(port),
			.len = htons(sizeof(struct udphdr) + sizeof(uint32_t))},
	};
}

static unsigned int drain(int fd)
{
	static char buf[BATCH][64];
	struct mmsghdr m[BATCH] = {{.msg_len = 0}};
	struct iovec iov[BATCH];
	unsigned int n = 0;
	int r;

	for (size_t i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){buf[i], sizeof(buf[i])};
		m[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
	}
	while ((r = recvmmsg(fd, m, BATCH, MSG_DONTWAIT, NULL)) > 0)
		n += (unsigned int)r;
	return n;
}

static void send_batch(int fd, const struct datagram *of, unsigned int first,
		       unsigned int n)
{
	static struct datagram d[BATCH];
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = of->ip.daddr};
	struct mmsghdr m[BATCH] = {{.msg_len = 0}};
	struct iovec iov[BATCH];

	for (unsigned int i = 0; i < n; i++) {
		d[i] = *of;
		d[i].udp.source = htons((uint16_t)(FIRST_PORT + first + i));
		d[i].number = htonl(first + i);
		iov[i] = (struct iovec){&d[i], sizeof(d[i])};
		m[i].msg_hdr = (struct msghdr){.msg_name = &to,
					       .msg_namelen = sizeof(to),
					       .msg_iov = &iov[i],
					       .msg_iovlen = 1};
	}
	if (sendmmsg(fd, m, n, 0) != (int)n)
		err(1, "sendmmsg");
}

int main(int argc, char **argv)
{
	static double us[65536 / BATCH];
	unsigned int count, arrived = 0;
	struct datagram of;
	size_t n = 0;
	int rx, tx;

	if (argc != 8)
		errx(64, "flows INTERNET-NS LAN-NS SOURCE WAN PORT LAN-PORT COUNT");
	count = (unsigned int)strtoul(argv[7], NULL, 10);
	if (!count || count > 65535 - FIRST_PORT)
		errx(64, "COUNT: 1 to %u", 65535 - FIRST_PORT);
	rx = open_receiver(argv[2], (uint16_t)strtoul(argv[6], NULL, 10));
	tx = open_sender(argv[1]);
	of = make(inet_addr(argv[3]), inet_addr(argv[4]),
		  (uint16_t)strtoul(argv[5], NULL, 10));
	alone();
	for (unsigned int i = 0; i < count; i += BATCH) {
		unsigned int some = count - i < BATCH ? count - i : BATCH;
		uint64_t began = now_ns();

		send_batch(tx, &of, i, some);
		arrived += drain(rx);
		us[n++] = (double)(now_ns() - began) / 1000 / some;
	}
	for (uint64_t end = now_ns() + LAST_MS * 1000000ULL;
	     arrived < count && now_ns() < end;)
		arrived += drain(rx);
	printf("{\"sent\":%u,\"arrived\":%u,\"us\":[", count, arrived);
	for (size_t i = 0; i < n; i++)
		printf("%s%.3f", i ? "," : "", us[i]);
	printf("]}\n");
	return 0;
}
