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
#include <stdlib.h>
#include <sys/socket.h>

#include "datagram.h"

#define LAST_MS 200 /* so long after the last one we wait for late ones */

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
	of = datagram(inet_addr(argv[3]), 0, inet_addr(argv[4]),
		      (uint16_t)strtoul(argv[5], NULL, 10), 0);
	stay();
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
	printf("{\"sent\":%u,\"arrived\":%u", count, arrived);
	print_us("us", us, n);
	puts("}");
	return 0;
}
