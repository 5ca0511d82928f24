/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What packets of LAN hosts cost on their way out through the gateway, and how soon a port is
 * open to strangers.
 *
 *	packets flood LAN-NS GATEWAY-MAC FIRST-HOST HOSTS SOURCE-PORT REMOTE PORT COUNT NEW RATE
 *	packets latency LAN-NS INTERNET-NS WAN REMOTE1 REMOTE2 FIRST-PORT PORTS
 *
 * flood: frames from so many hosts in turn; NEW: each from another source port. RATE a second, 0:
 * as fast as it goes, ahead of others on that processor. Prints {"sent":n,"us":[...]}: the
 * microseconds of one frame in each batch of 32; the kernel takes it all the way while it is sent.
 * latency: from each port one datagram to either remote, then others from REMOTE1 to it, each from
 * another port. Prints the microseconds from the second datagram to the first of those that came
 * in, in ascending order: {"shut":n,"us":[...],"wake_us":[...]}; shut: of ports that did not open
 * within 2 s; wake_us: between them, till a process runs that has slept as long and is woken.
 */
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "datagram.h"

#define PROBES 4000
#define SLEEP_US 10000
#define PATIENCE_NS 2000000000ULL
#define NEAR_NS 20000000ULL /* till then a stranger comes every 20 us, later every ms */

struct frame {
	struct ether_header eth;
	struct datagram d;
} __attribute__((packed));

static uint16_t checksum(const void *data, size_t n)
{
	const uint16_t *p = data;
	uint32_t sum = 0;

	for (size_t i = 0; i < n / 2; i++)
		sum += p[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* ---- flood ---- */

struct flood {
	int fd;
	uint8_t mac[6];
	uint32_t first; /* host order */
	uint32_t hosts;
	uint16_t sport;
	in_addr_t remote;
	uint16_t dport;
	uint32_t count;
	int fresh;
	uint64_t rate;
};

static void flood_frame(const struct flood *f, uint32_t i, struct frame *out)
{
	uint32_t host = f->first + i % f->hosts, port = f->sport;

	if (f->fresh)
		port = FIRST_PORT + i % (65536 - FIRST_PORT);
	memset(out, 0, sizeof(*out));
	memcpy(out->eth.ether_dhost, f->mac, 6);
	memcpy(out->eth.ether_shost, "\2\0\0\0\0\1", 6);
	out->eth.ether_type = htons(ETHERTYPE_IP);
	out->d = datagram(htonl(host), (uint16_t)port, f->remote, f->dport, i);
	out->d.ip.check = checksum(&out->d, sizeof(struct iphdr));
}

static void flood_batch(const struct flood *f, uint32_t first, uint32_t n)
{
	static struct frame frame[BATCH];
	struct mmsghdr m[BATCH] = {{.msg_len = 0}};
	struct iovec iov[BATCH];

	for (uint32_t i = 0; i < n; i++) {
		flood_frame(f, first + i, &frame[i]);
		iov[i] = (struct iovec){&frame[i], sizeof(frame[i])};
		m[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
	}
	if (sendmmsg(f->fd, m, n, 0) != (int)n)
		err(1, "sendmmsg");
}

static int flood(char **argv)
{
	const int one = 1;
	struct sockaddr_ll at = {.sll_family = AF_PACKET};
	struct flood f = {
		.first = ntohl(inet_addr(argv[4])),
		.hosts = (uint32_t)strtoul(argv[5], NULL, 10),
		.sport = (uint16_t)strtoul(argv[6], NULL, 10),
		.remote = inet_addr(argv[7]),
		.dport = (uint16_t)strtoul(argv[8], NULL, 10),
		.count = (uint32_t)strtoul(argv[9], NULL, 10),
		.fresh = atoi(argv[10]),
		.rate = strtoul(argv[11], NULL, 10),
	};
	uint64_t began, last, now;
	double *took;
	size_t n = 0;

	if (sscanf(argv[3], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &f.mac[0], &f.mac[1],
		   &f.mac[2], &f.mac[3], &f.mac[4], &f.mac[5]) != 6 ||
	    !f.hosts)
		errx(64, "flood: a MAC address and hosts");
	enter(argv[2]);
	f.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	at.sll_ifindex = (int)if_nametoindex("eth0");
	if (f.fd < 0 || bind(f.fd, (struct sockaddr *)&at, sizeof(at)) ||
	    setsockopt(f.fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)))
		err(1, "eth0");
	stay();
	took = calloc(f.count / BATCH + 1, sizeof(*took));
	if (!took)
		err(1, "calloc");
	began = last = now_ns();
	for (uint32_t i = 0; i < f.count; i += BATCH) {
		flood_batch(&f, i, f.count - i < BATCH ? f.count - i : BATCH);
		while (f.rate && now_ns() - began < (i + BATCH) * 1000000000ULL / f.rate)
			;
		sched_yield();
		now = now_ns();
		if (f.count - i >= BATCH)
			took[n++] = (double)(now - last) / 1000 / BATCH;
		last = now_ns();
	}
	printf("{\"sent\":%u", f.count);
	print_us("us", took, n);
	puts("}");
	free(took);
	return 0;
}

/* ---- latency ---- */

struct latency {
	int tx; /* raw, in the internet */
	in_addr_t wan;
	in_addr_t remote[2];
};

static int console_socket(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)))
		err(1, "port %u", port);
	return fd;
}

static void play(int fd, in_addr_t remote)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(5000),
				 .sin_addr.s_addr = remote};

	if (sendto(fd, "play", 4, 0, (struct sockaddr *)&to, sizeof(to)) != 4)
		err(1, "sendto");
}

/* Microseconds; -1: it stayed shut. Source ports of strangers are not used twice in a row. */
static double one_port(const struct latency *l, uint16_t port, uint32_t *source)
{
	static uint64_t sent[PROBES];
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = l->wan};
	int fd = console_socket(port);
	uint64_t began;
	uint32_t got = PROBES;

	play(fd, l->remote[0]);
	usleep(SLEEP_US); /* within what one host may at a time */
	began = now_ns();
	play(fd, l->remote[1]);
	for (uint32_t i = 0; i < PROBES && now_ns() - began < PATIENCE_NS; i++) {
		struct datagram d = datagram(l->remote[0],
					     (uint16_t)(FIRST_PORT + *source % 60000),
					     l->wan, port, i);

		(*source)++;
		sent[i] = now_ns();
		if (i && sent[i] - began > NEAR_NS)
			usleep(1000);
		while (i && (sent[i] = now_ns()) - sent[i - 1] < 20000)
			;
		if (sendto(l->tx, &d, sizeof(d), 0, (struct sockaddr *)&to, sizeof(to)) <
		    0)
			err(1, "sendto");
		if (recv(fd, &got, sizeof(got), 0) == sizeof(got)) {
			got = ntohl(got);
			break;
		}
		got = PROBES;
	}
	close(fd);
	return got < PROBES ? (double)(sent[got] - began) / 1000 : -1;
}

struct sleeper {
	int call;
	int answer;
};

/* A process that tells when it runs, each time it is called. */
static struct sleeper new_sleeper(void)
{
	int call[2], answer[2];
	uint64_t ns;
	pid_t pid;
	char c;

	if (pipe2(call, O_CLOEXEC) || pipe2(answer, O_CLOEXEC | O_NONBLOCK))
		err(1, "pipe");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		close(call[1]);
		while (read(call[0], &c, 1) == 1) {
			ns = now_ns();
			if (write(answer[1], &ns, sizeof(ns)) != sizeof(ns))
				err(1, "write");
		}
		_exit(0);
	}
	close(call[0]);
	return (struct sleeper){call[1], answer[0]};
}

static double one_wake(const struct sleeper *s)
{
	uint64_t began, ns;

	usleep(SLEEP_US);
	began = now_ns();
	if (write(s->call, "w", 1) != 1)
		err(1, "write");
	while (read(s->answer, &ns, sizeof(ns)) != sizeof(ns))
		;
	return (double)(ns - began) / 1000;
}

static int latency(char **argv)
{
	struct latency l = {.wan = inet_addr(argv[4]),
			    .remote = {inet_addr(argv[5]), inet_addr(argv[6])}};
	uint32_t first = (uint32_t)strtoul(argv[7], NULL, 10), source = 0;
	uint32_t n = (uint32_t)strtoul(argv[8], NULL, 10), n_us = 0;
	double *us = calloc(n + 1, sizeof(*us)), *wake = calloc(n + 1, sizeof(*wake));
	struct sleeper sleeper = new_sleeper();

	enter(argv[3]);
	l.tx = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (l.tx < 0 || !us || !wake)
		err(1, "raw socket");
	enter(argv[2]);
	for (uint32_t i = 0; i < n; i++) {
		us[n_us] = one_port(&l, (uint16_t)(first + i), &source);
		n_us += us[n_us] >= 0;
		wake[i] = one_wake(&sleeper);
	}
	qsort(us, n_us, sizeof(*us), by_size);
	qsort(wake, n, sizeof(*wake), by_size);
	printf("{\"shut\":%u", n - n_us);
	print_us("us", us, n_us);
	print_us("wake_us", wake, n);
	puts("}");
	free(us);
	free(wake);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 12 && !strcmp(argv[1], "flood"))
		return flood(argv);
	if (argc == 9 && !strcmp(argv[1], "latency"))
		return latency(argv);
	errx(64, "packets flood ... | packets latency ...: see the source");
}
