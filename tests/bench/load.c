/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Load for a gateway: maps a port, deletes it, and again, with a number of requests
 * outstanding, by NAT-PMP, PCP or SOAP (a connection for each request, as clients do).
 * With a fill count it maps so many ports once and keeps them. Prints one line of JSON.
 *
 *   load natpmp|pcp GATEWAY OUTSTANDING SECONDS FIRST-PORT PORTS
 *   load fill       GATEWAY OUTSTANDING COUNT   FIRST-PORT
 *   load soap       GATEWAY OUTSTANDING SECONDS FIRST-PORT PORTS HTTP-PORT PATH SERVICE
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OUTSTANDING_MAX 256
#define SAMPLES_MAX (8U << 20)
#define WARM_UP_NS 300000000ULL
#define PATIENCE_NS 5000000000ULL
#define ANSWER_MAX 4096

enum load_kind { LOAD_NATPMP, LOAD_PCP, LOAD_FILL, LOAD_SOAP };

struct slot {
	uint16_t base; /* of the slot's own range of ports */
	uint16_t next; /* how far in it */
	uint16_t port; /* that is being mapped or deleted */
	bool mapped;   /* the next request, or the one under way, is the delete */
	bool busy;
	uint64_t sent; /* ns */
	int fd;        /* of SOAP's connection */
	bool asked;    /* it stands, and the request is out */
	size_t got;
	char answer[ANSWER_MAX + 1];
};

struct load {
	enum load_kind kind;
	struct sockaddr_in gateway;
	struct in_addr own;
	unsigned int outstanding, first, stride, fill, filled;
	uint64_t begin, end; /* what is measured */
	const char *path, *service;
	int fd; /* UDP */
	struct slot slots[OUTSTANDING_MAX];
	uint32_t *samples; /* ns */
	size_t n_samples;
	unsigned long refused, lost;
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

static void put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static unsigned int get16(const uint8_t *p)
{
	return (unsigned int)(p[0] << 8 | p[1]);
}

/* What an answer settles. */
static void slot_done(struct load *l, struct slot *s, bool good)
{
	uint64_t now = now_ns();

	s->busy = false;
	if (!good)
		l->refused++;
	if (good && s->sent >= l->begin && now <= l->end && l->n_samples < SAMPLES_MAX)
		l->samples[l->n_samples++] = (uint32_t)(now - s->sent);
	if (l->kind == LOAD_FILL) {
		l->filled++;
		return;
	}
	s->mapped = !s->mapped;
	if (!s->mapped) {
		s->next = (uint16_t)((s->next + 1U) % l->stride);
		s->port = (uint16_t)(s->base + s->next);
	}
}

/* RFC 6886 section 3.3 and RFC 6887 section 11.1. */
static void udp_send(struct load *l, struct slot *s)
{
	uint8_t buf[60] = {0};
	size_t len = 12;
	uint32_t lifetime = s->mapped ? 0 : 7200;

	if (l->kind == LOAD_PCP) {
		len = sizeof(buf);
		buf[0] = 2;
		buf[1] = 1;
		put32(buf + 4, lifetime);
		buf[18] = buf[19] = 0xff;
		memcpy(buf + 20, &l->own, 4);
		memset(buf + 24, 'n', 12);
		buf[36] = IPPROTO_UDP;
		put16(buf + 40, s->port);
		put16(buf + 42, s->mapped ? 0 : s->port);
		buf[54] = buf[55] = 0xff;
	} else {
		buf[1] = 1;
		put16(buf + 4, s->port);
		put16(buf + 6, s->mapped ? 0 : s->port);
		put32(buf + 8, lifetime);
	}
	s->busy = true;
	s->sent = now_ns();
	if (send(l->fd, buf, len, 0) < 0)
		die("send");
}

/* Which slot an answer belongs to: each has ports of its own. */
static struct slot *udp_slot(struct load *l, unsigned int port)
{
	unsigned int n = (port - l->first) / l->stride;

	if (l->kind == LOAD_FILL) {
		for (n = 0; n < l->outstanding; n++)
			if (l->slots[n].busy && l->slots[n].port == port)
				return &l->slots[n];
		return NULL;
	}
	if (port < l->first || n >= l->outstanding || !l->slots[n].busy ||
	    l->slots[n].port != port)
		return NULL;
	return &l->slots[n];
}

static void udp_read(struct load *l)
{
	uint8_t buf[1500];
	ssize_t n;

	while ((n = recv(l->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		bool pcp = l->kind == LOAD_PCP;
		struct slot *s;

		if (n < (pcp ? 60 : 16))
			continue;
		s = udp_slot(l, get16(buf + (pcp ? 40 : 8)));
		if (s)
			slot_done(l, s, pcp ? !buf[3] : !get16(buf + 2));
	}
}

static size_t soap_request(const struct load *l, const struct slot *s, char *buf,
			   size_t size)
{
	static const char map[] =
		"<NewRemoteHost></NewRemoteHost><NewExternalPort>%u</NewExternalPort>"
		"<NewProtocol>UDP</NewProtocol><NewInternalPort>%u</NewInternalPort>"
		"<NewInternalClient>%s</NewInternalClient><NewEnabled>1</NewEnabled>"
		"<NewPortMappingDescription>bench</NewPortMappingDescription>"
		"<NewLeaseDuration>3600</NewLeaseDuration>";
	static const char unmap[] =
		"<NewRemoteHost></NewRemoteHost><NewExternalPort>%u</NewExternalPort>"
		"<NewProtocol>UDP</NewProtocol>";
	const char *action = s->mapped ? "DeletePortMapping" : "AddPortMapping";
	char args[1024], body[2048], own[INET_ADDRSTRLEN], gw[INET_ADDRSTRLEN];
	int n;

	inet_ntop(AF_INET, &l->own, own, sizeof(own));
	inet_ntop(AF_INET, &l->gateway.sin_addr, gw, sizeof(gw));
	if (s->mapped)
		snprintf(args, sizeof(args), unmap, s->port);
	else
		snprintf(args, sizeof(args), map, s->port, s->port, own);
	n = snprintf(body, sizeof(body),
		     "<?xml version=\"1.0\"?>\r\n"
		     "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" "
		     "s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\">"
		     "<s:Body><u:%s xmlns:u=\"%s\">%s</u:%s></s:Body></s:Envelope>\r\n",
		     action, l->service, args, action);
	n = snprintf(buf, size,
		     "POST %s HTTP/1.1\r\nHost: %s:%u\r\nUser-Agent: bench\r\n"
		     "Content-Length: %d\r\nContent-Type: text/xml\r\n"
		     "SOAPAction: \"%s#%s\"\r\nConnection: Close\r\n\r\n%s",
		     l->path, gw, ntohs(l->gateway.sin_port), n, l->service, action,
		     body);
	return (size_t)n < size ? (size_t)n : size - 1;
}

static void soap_end(struct load *l, struct slot *s, bool good)
{
	close(s->fd);
	slot_done(l, s, good);
}

static void soap_connect(struct load *l, struct slot *s)
{
	int one = 1;

	s->busy = true;
	s->asked = false;
	s->got = 0;
	s->sent = now_ns();
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		die("socket");
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(s->fd, (struct sockaddr *)&l->gateway, sizeof(l->gateway)) &&
	    errno != EINPROGRESS)
		soap_end(l, s, false);
}

static void soap_send(struct load *l, struct slot *s)
{
	char buf[4096];
	size_t len = soap_request(l, s, buf, sizeof(buf));

	s->asked = true;
	if (send(s->fd, buf, len, MSG_NOSIGNAL) != (ssize_t)len)
		soap_end(l, s, false);
}

/* Is all that Content-Length promises there? */
static bool soap_whole(struct slot *s)
{
	const char *end = strstr(s->answer, "\r\n\r\n");
	const char *length = strcasestr(s->answer, "\r\nContent-Length:");

	return end && length && length < end &&
	       s->got >= (size_t)(end + 4 - s->answer) + strtoul(length + 17, NULL, 10);
}

static void soap_read(struct load *l, struct slot *s)
{
	ssize_t n = recv(s->fd, s->answer + s->got, ANSWER_MAX - s->got, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		s->got += (size_t)n;
	s->answer[s->got] = '\0';
	if (n > 0 && !soap_whole(s) && s->got < ANSWER_MAX)
		return;
	close(s->fd);
	slot_done(l, s,
		  strncmp(s->answer, "HTTP/1.", 7) == 0 &&
			  strncmp(s->answer + 8, " 200", 4) == 0);
}

/* Sends where nothing is under way; gives up on what has no answer. */
static bool load_feed(struct load *l)
{
	uint64_t now = now_ns();
	bool busy = false;

	for (unsigned int i = 0; i < l->outstanding; i++) {
		struct slot *s = &l->slots[i];

		if (s->busy && now - s->sent > PATIENCE_NS) {
			l->lost++;
			if (l->kind == LOAD_SOAP)
				close(s->fd);
			s->busy = false;
			if (l->kind == LOAD_FILL)
				l->filled++;
		}
		/* A lease that was mapped last is deleted, whatever the time. */
		if (!s->busy && l->kind == LOAD_FILL && l->fill) {
			s->port = (uint16_t)l->first++;
			l->fill--;
			udp_send(l, s);
		} else if (!s->busy && l->kind != LOAD_FILL &&
			   (now < l->end || s->mapped)) {
			if (l->kind == LOAD_SOAP)
				soap_connect(l, s);
			else
				udp_send(l, s);
		}
		busy = busy || s->busy;
	}
	return busy;
}

static void soap_turn(struct load *l)
{
	struct pollfd p[OUTSTANDING_MAX];

	for (unsigned int i = 0; i < l->outstanding; i++) {
		struct slot *s = &l->slots[i];

		p[i].fd = s->busy ? s->fd : -1;
		p[i].events = s->asked ? POLLIN : POLLOUT;
	}
	if (poll(p, l->outstanding, 1000) < 0)
		die("poll");
	for (unsigned int i = 0; i < l->outstanding; i++) {
		struct slot *s = &l->slots[i];

		if (!s->busy || p[i].fd < 0 || !p[i].revents)
			continue;
		if (s->asked)
			soap_read(l, s);
		else
			soap_send(l, s);
	}
}

static void udp_turn(struct load *l)
{
	struct pollfd p = {.fd = l->fd, .events = POLLIN};

	if (poll(&p, 1, 1000) < 0)
		die("poll");
	udp_read(l);
}

static void load_run(struct load *l)
{
	while (load_feed(l)) {
		if (l->kind == LOAD_SOAP)
			soap_turn(l);
		else
			udp_turn(l);
	}
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double percentile_us(const struct load *l, double share)
{
	size_t i = (size_t)(share * (double)l->n_samples);

	if (!l->n_samples)
		return 0;
	return l->samples[i < l->n_samples ? i : l->n_samples - 1] / 1000.0;
}

static void load_report(struct load *l)
{
	double seconds = (double)(l->end - l->begin) / 1e9;

	qsort(l->samples, l->n_samples, sizeof(*l->samples), by_size);
	printf("{\"requests\":%zu,\"per_second\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
	       "\"filled\":%u,\"refused\":%lu,\"lost\":%lu}\n",
	       l->n_samples, (double)l->n_samples / seconds, percentile_us(l, 0.5),
	       percentile_us(l, 0.99), l->filled, l->refused, l->lost);
}

static unsigned int number(const char *text, unsigned int low, unsigned int high)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || end == text || n < low || n > high) {
		fprintf(stderr, "load: %s: a number from %u to %u\n", text, low, high);
		exit(64);
	}
	return (unsigned int)n;
}

static void load_connect(struct load *l)
{
	struct sockaddr_in own;
	socklen_t len = sizeof(own);
	int size = 4 << 20;

	l->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		die("socket");
	setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (connect(l->fd, (struct sockaddr *)&l->gateway, sizeof(l->gateway)) ||
	    getsockname(l->fd, (struct sockaddr *)&own, &len))
		die("connect");
	l->own = own.sin_addr;
}

static void load_arguments(struct load *l, int argc, char **argv)
{
	static const char *const kinds[] = {"natpmp", "pcp", "fill", "soap"};
	static const int counts[] = {7, 7, 6, 10};
	unsigned int k = 0;
	double seconds;

	while (argc > 1 && k < 4 && strcmp(argv[1], kinds[k]))
		k++;
	if (argc < 2 || k == 4 || argc != counts[k]) {
		fprintf(stderr, "usage: see the head of tests/bench/load.c\n");
		exit(64);
	}
	l->kind = (enum load_kind)k;
	l->gateway.sin_family = AF_INET;
	l->gateway.sin_port = htons(5351);
	if (inet_pton(AF_INET, argv[2], &l->gateway.sin_addr) != 1) {
		fprintf(stderr, "load: %s: no IPv4 address\n", argv[2]);
		exit(64);
	}
	l->outstanding = number(argv[3], 1, OUTSTANDING_MAX);
	l->first = number(argv[5], 1024, 65535);
	l->stride = 1;
	if (l->kind == LOAD_FILL) {
		l->fill = number(argv[4], 1, 65536 - l->first);
		return;
	}
	seconds = strtod(argv[4], NULL);
	l->begin = now_ns() + WARM_UP_NS;
	l->end = l->begin + (uint64_t)(seconds * 1e9);
	l->stride = number(argv[6], l->outstanding, 65536 - l->first) / l->outstanding;
	for (unsigned int i = 0; i < l->outstanding; i++)
		l->slots[i].base = l->slots[i].port = (uint16_t)(l->first +
								 i * l->stride);
	if (l->kind == LOAD_SOAP) {
		l->gateway.sin_port = htons((uint16_t)number(argv[7], 1, 65535));
		l->path = argv[8];
		l->service = argv[9];
	}
}

int main(int argc, char **argv)
{
	static struct load l;

	load_arguments(&l, argc, argv);
	l.samples = malloc(SAMPLES_MAX * sizeof(*l.samples));
	if (!l.samples)
		die("malloc");
	load_connect(&l);
	load_run(&l);
	if (l.kind == LOAD_FILL)
		l.begin = 0, l.end = 1000000000;
	load_report(&l);
	free(l.samples);
	return 0;
}
