/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hostile TCP connections to a server, and one honest client beside them. Prints one line of
 * JSON.
 *
 *   storm hold KIND SOURCE SERVER PORT CONNECTIONS SECONDS [DIALS]
 *	Keeps so many connections open from the source address, and dials again what was
 *	closed, at most DIALS (2000 if not said) times a second; with 0 never again. KINDs:
 *	idle  says nothing
 *	half  says half of a request's head, then nothing
 *	drip  says a good request, a byte each 200 ms
 *	slow  asks for the description many times over and reads nothing
 *   storm probe SOURCE SERVER PORT PERIOD-MS SECONDS PATH [BODY-FILE SOAPACTION]
 *	One request each period, a GET or a POST; what is late is not made up for.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 4096
#define EVENTS 256
#define DRIP_NS 200000000ULL
#define TURN_MS 5
#define DIALS_PER_S 2000
#define PROBE_PATIENCE_S 5
#define SAMPLES_MAX 100000
#define SLOW_REQUESTS 64

enum storm_kind {
	STORM_IDLE,
	STORM_HALF,
	STORM_DRIP,
	STORM_SLOW,
	STORM_KINDS,
};

static const char *const kinds[STORM_KINDS] = {"idle", "half", "drip", "slow"};

struct conn {
	int fd;        /* -1: to be dialled */
	bool open;     /* the server's kernel took it */
	size_t at;     /* of the request, for drip */
	uint64_t next; /* when the next byte is due */
};

struct storm {
	enum storm_kind kind;
	struct sockaddr_in source, server;
	size_t n;
	uint64_t end, dials_per_s;
	char request[1024];
	int poll;
	struct conn conns[CONNECTIONS_MAX];
	unsigned long dialled, opened, closed, most;
	unsigned long now_open;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static unsigned long number(const char *text, unsigned long low, unsigned long high)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || end == text || n < low || n > high) {
		fprintf(stderr, "storm: %s: a number from %lu to %lu\n", text, low, high);
		exit(64);
	}
	return n;
}

static struct sockaddr_in address(const char *text, unsigned int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	if (inet_pton(AF_INET, text, &a.sin_addr) != 1) {
		fprintf(stderr, "storm: %s: no IPv4 address\n", text);
		exit(64);
	}
	return a;
}

/* --- hold --- */

static void conn_close(struct storm *s, struct conn *c)
{
	if (c->open) {
		s->closed++;
		s->now_open--;
	}
	close(c->fd);
	c->fd = -1;
	c->open = false;
}

static void conn_dial(struct storm *s, struct conn *c)
{
	struct epoll_event ev = {.events = EPOLLOUT, .data.ptr = c};
	const int small = 2048;
	/* A reset at the end, so that no port waits in TIME_WAIT. */
	const struct linger hard = {.l_onoff = 1, .l_linger = 0};

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket");
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	if (s->kind == STORM_SLOW)
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (bind(c->fd, (struct sockaddr *)&s->source, sizeof(s->source)) ||
	    epoll_ctl(s->poll, EPOLL_CTL_ADD, c->fd, &ev))
		die("bind");
	s->dialled++;
	if (connect(c->fd, (struct sockaddr *)&s->server, sizeof(s->server)) &&
	    errno != EINPROGRESS)
		conn_close(s, c);
}

static void conn_say(struct storm *s, struct conn *c, const char *text, size_t n)
{
	if (send(c->fd, text, n, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
		conn_close(s, c);
}

static void conn_opened(struct storm *s, struct conn *c)
{
	struct epoll_event ev = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = c};
	size_t len = strlen(s->request);

	if (s->kind != STORM_SLOW)
		ev.events |= EPOLLIN;
	c->open = true;
	c->at = 0;
	c->next = now_ns();
	s->opened++;
	s->now_open++;
	if (s->now_open > s->most)
		s->most = s->now_open;
	epoll_ctl(s->poll, EPOLL_CTL_MOD, c->fd, &ev);
	if (s->kind == STORM_HALF)
		conn_say(s, c, s->request, len / 2);
	for (int i = 0; i < SLOW_REQUESTS && s->kind == STORM_SLOW && c->open; i++)
		conn_say(s, c, s->request, len);
}

static void conn_drip(struct storm *s, struct conn *c, uint64_t now)
{
	if (!c->open || now < c->next || c->at >= strlen(s->request))
		return;
	c->next = now + DRIP_NS;
	conn_say(s, c, s->request + c->at++, 1);
}

static void conn_event(struct storm *s, struct conn *c, uint32_t events)
{
	char buf[4096];
	ssize_t n = 0;

	if (c->fd < 0)
		return;
	if (events & (EPOLLERR | EPOLLHUP)) {
		conn_close(s, c);
		return;
	}
	if (!c->open && events & EPOLLOUT)
		conn_opened(s, c);
	if (c->fd < 0 || !(events & (EPOLLIN | EPOLLRDHUP)))
		return;
	while (s->kind != STORM_SLOW && (n = recv(c->fd, buf, sizeof(buf), 0)) > 0)
		;
	if (n == 0 || errno != EAGAIN)
		conn_close(s, c);
}

static void storm_hold(struct storm *s)
{
	uint64_t begin = now_ns(), now = begin;
	struct epoll_event events[EVENTS];
	bool again = s->dials_per_s != 0;
	uint64_t rate = again ? s->dials_per_s : DIALS_PER_S;

	s->poll = epoll_create1(EPOLL_CLOEXEC);
	for (size_t i = 0; i < s->n; i++)
		s->conns[i].fd = -1;
	for (; now < s->end; now = now_ns()) {
		uint64_t allowed = s->n + (now - begin) * rate / 1000000000U;
		int n;

		for (size_t i = 0; i < s->n; i++) {
			struct conn *c = &s->conns[i];

			if (c->fd < 0 && s->dialled < (again ? allowed : s->n))
				conn_dial(s, c);
			if (s->kind == STORM_DRIP)
				conn_drip(s, c, now);
		}
		n = epoll_wait(s->poll, events, EVENTS, TURN_MS);
		for (int i = 0; i < n; i++)
			conn_event(s, events[i].data.ptr, events[i].events);
	}
	printf("{\"dialled\":%lu,\"opened\":%lu,\"closed\":%lu,\"most_open\":%lu,"
	       "\"open\":%lu}\n",
	       s->dialled, s->opened, s->closed, s->most, s->now_open);
}

static void hold_arguments(struct storm *s, int argc, char **argv)
{
	const char *connection = "";
	unsigned int k = 0;

	if (argc != 8 && argc != 9)
		exit(64);
	while (k < STORM_KINDS && strcmp(argv[2], kinds[k]) != 0)
		k++;
	if (k == STORM_KINDS)
		exit(64);
	s->kind = (enum storm_kind)k;
	s->source = address(argv[3], 0);
	s->server = address(argv[4], (unsigned int)number(argv[5], 1, 65535));
	s->n = number(argv[6], 1, CONNECTIONS_MAX);
	s->end = now_ns() + (uint64_t)(strtod(argv[7], NULL) * 1e9);
	s->dials_per_s = argc == 9 ? number(argv[8], 0, 1000000) : DIALS_PER_S;
	if (s->kind == STORM_SLOW)
		connection = "Connection: keep-alive\r\n";
	snprintf(
		s->request, sizeof(s->request),
		"GET /rootDesc.xml HTTP/1.1\r\nHost: %s:%s\r\n%sUser-Agent: storm\r\n\r\n",
		argv[4], argv[5], connection);
}

/* --- probe --- */

struct probe {
	struct sockaddr_in source, server;
	char request[16384];
	size_t len;
	uint32_t samples[SAMPLES_MAX]; /* us */
	size_t n;
	unsigned long failed;
};

/* One request on a connection of its own. */
static bool probe_once(struct probe *p)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval limit = {.tv_sec = PROBE_PATIENCE_S};
	char answer[65536];
	size_t got = 0;
	ssize_t n = -1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (bind(fd, (struct sockaddr *)&p->source, sizeof(p->source)))
		die("bind");
	if (connect(fd, (struct sockaddr *)&p->server, sizeof(p->server)) == 0 &&
	    send(fd, p->request, p->len, MSG_NOSIGNAL) == (ssize_t)p->len)
		while (got < sizeof(answer) &&
		       (n = recv(fd, answer + got, sizeof(answer) - got, 0)) > 0)
			got += (size_t)n;
	close(fd);
	return n == 0 && got > 12 && memcmp(answer, "HTTP/1.1 200", 12) == 0;
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void probe_run(struct probe *p, uint64_t period_ns, uint64_t seconds_ns)
{
	uint64_t begin = now_ns(), due = begin;

	while (now_ns() < begin + seconds_ns && p->n < SAMPLES_MAX) {
		uint64_t start = now_ns(), after;
		bool good;

		if (start < due) {
			const struct timespec pause = {.tv_nsec = (long)(due - start)};

			nanosleep(&pause, NULL);
			start = now_ns();
		}
		good = probe_once(p);
		after = now_ns();
		if (good)
			p->samples[p->n++] = (uint32_t)((after - start) / 1000);
		else
			p->failed++;
		due = start + period_ns;
	}
	qsort(p->samples, p->n, sizeof(p->samples[0]), by_size);
	printf("{\"good\":%zu,\"failed\":%lu,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u}\n",
	       p->n, p->failed, p->n ? p->samples[p->n / 2] : 0,
	       p->n ? p->samples[p->n * 99 / 100] : 0, p->n ? p->samples[p->n - 1] : 0);
}

static void probe_request(struct probe *p, int argc, char **argv)
{
	char body[8192];
	size_t n = 0;
	FILE *f;
	int head;

	if (argc == 8) {
		head = snprintf(
			p->request, sizeof(p->request),
			"GET %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n\r\n",
			argv[7], argv[3], argv[4]);
		p->len = (size_t)head;
		return;
	}
	f = fopen(argv[8], "r");
	if (!f)
		die(argv[8]);
	n = fread(body, 1, sizeof(body), f);
	fclose(f);
	head = snprintf(
		p->request, sizeof(p->request),
		"POST %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n"
		"Content-Type: text/xml\r\nSOAPAction: %s\r\nContent-Length: %zu\r\n\r\n",
		argv[7], argv[3], argv[4], argv[9], n);
	if (head < 0 || (size_t)head + n > sizeof(p->request))
		exit(64);
	memcpy(p->request + head, body, n);
	p->len = (size_t)head + n;
}

int main(int argc, char **argv)
{
	const struct rlimit files = {CONNECTIONS_MAX + 64, CONNECTIONS_MAX + 64};
	static struct storm storm;
	static struct probe probe;

	setrlimit(RLIMIT_NOFILE, &files);
	if (argc > 2 && strcmp(argv[1], "hold") == 0) {
		hold_arguments(&storm, argc, argv);
		storm_hold(&storm);
		return 0;
	}
	if ((argc != 8 && argc != 10) || strcmp(argv[1], "probe") != 0) {
		fprintf(stderr, "usage: see the head of tests/lab/storm.c\n");
		return 64;
	}
	probe.source = address(argv[2], 0);
	probe.server = address(argv[3], (unsigned int)number(argv[4], 1, 65535));
	probe_request(&probe, argc, argv);
	probe_run(&probe, number(argv[5], 1, 10000) * 1000000U,
		  (uint64_t)(strtod(argv[6], NULL) * 1e9));
	return 0;
}
