/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the load generators that send packets by hand share. */
#pragma once

#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define BATCH 32
#define FIRST_PORT 1024

struct datagram {
	struct iphdr ip;
	struct udphdr udp;
	uint32_t number;
};

static inline struct datagram datagram(in_addr_t from, uint16_t sport, in_addr_t to,
				       uint16_t dport, uint32_t number)
{
	return (struct datagram){
		.ip = {.version = 4,
		       .ihl = 5,
		       .ttl = 64,
		       .protocol = IPPROTO_UDP,
		       .tot_len = htons(sizeof(struct datagram)),
		       .saddr = from,
		       .daddr = to},
		.udp = {.source = htons(sport),
			.dest = htons(dport),
			.len = htons(sizeof(struct udphdr) + sizeof(uint32_t))},
		.number = htonl(number),
	};
}

static inline void enter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		err(1, "%s", path);
	close(fd);
}

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* On one processor and ahead of others there: what the kernel puts off of a packet's way is done
 * there, when we yield. */
static inline void stay(void)
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

/* One more member of a JSON object. */
static inline void print_us(const char *name, const double *us, size_t n)
{
	printf(",\"%s\":[", name);
	for (size_t i = 0; i < n; i++)
		printf("%s%.3f", i ? "," : "", us[i]);
	printf("]");
}
