/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two hosts send at the same time from the same source port, each from a processor of its own.
 *
 *	at_once HOST1-NAMESPACE HOST2-NAMESPACE REMOTE1 REMOTE2 PORT FIRST COUNT
 *
 * For each of so many source ports: a datagram of host 1 to REMOTE1 and one of host 2 to REMOTE2,
 * at once, then one of each to the other. A datagram says "HOST SOURCE-PORT".
 */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in remote[2];
static unsigned int first, count;
static char **namespaces;
static atomic_uint arrived;

/* Nobody goes on before both are here. */
static void meet(unsigned int round)
{
	atomic_fetch_add(&arrived, 1);
	while (atomic_load(&arrived) < 2 * round)
		;
}

static void say(int fd, unsigned int host, unsigned int port, unsigned int to)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%u %u", host, port);

	if (sendto(fd, text, (size_t)n, 0, (struct sockaddr *)&remote[to],
		   sizeof(remote[to])) != n)
		err(1, "sendto");
}

static void *host(void *arg)
{
	unsigned int me = *(unsigned int *)arg, round = 0;
	cpu_set_t set;
	int ns = open(namespaces[me], O_RDONLY | O_CLOEXEC);

	CPU_ZERO(&set);
	CPU_SET(me, &set);
	sched_setaffinity(0, sizeof(set), &set);
	if (ns < 0 || setns(ns, CLONE_NEWNET))
		err(1, "%s", namespaces[me]);
	for (unsigned int port = first; port < first + count; port++) {
		struct sockaddr_in at = {.sin_family = AF_INET,
					 .sin_port = htons((uint16_t)port)};
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)))
			err(1, "port %u", port);
		meet(++round);
		say(fd, me, port, me);
		meet(++round);
		say(fd, me, port, 1 - me);
		close(fd);
	}
	close(ns);
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned int number[2] = {0, 1};
	pthread_t thread[2];

	if (argc != 8)
		errx(64, "at_once HOST1-NS HOST2-NS REMOTE1 REMOTE2 PORT FIRST COUNT");
	namespaces = argv + 1;
	for (int i = 0; i < 2; i++)
		remote[i] = (struct sockaddr_in){
			.sin_family = AF_INET,
			.sin_port = htons((uint16_t)strtoul(argv[5], NULL, 10)),
			.sin_addr.s_addr = inet_addr(argv[3 + i])};
	first = (unsigned int)strtoul(argv[6], NULL, 10);
	count = (unsigned int)strtoul(argv[7], NULL, 10);
	for (int i = 0; i < 2; i++)
		if (pthread_create(&thread[i], NULL, host, &number[i]))
			err(1, "pthread_create");
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	return 0;
}
