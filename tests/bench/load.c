/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Load for a gateway. Prints one line of JSON.
 *
 *   load natpmp|pcp GATEWAY OUTSTANDING SECONDS FIRST-PORT PORTS [again]
 *   load soap       GATEWAY OUTSTANDING SECONDS FIRST-PORT PORTS HTTP-PORT PATH SERVICE
 *	Maps a port, deletes it, and so on, with a number of requests outstanding; SOAP with
 *	a connection for each, as clients do. "again": what has no answer is sent again at the
 *	times of RFC 6886 section 3.1 and RFC 6887 section 8.1.1, up to 9 times in all.
 *   load fill       GATEWAY OUTSTANDING COUNT   FIRST-PORT [UNTIL]
 *	Maps so many ports by NAT-PMP, once each; with UNTIL all of them end so many seconds
 *	from the start, give or take one.
 *   load refused    GATEWAY OUTSTANDING COUNT
 *	Asks by NAT-PMP for inside ports below 1024, which nobody gets.
 *   load probe      GATEWAY PERIOD-US   SECONDS PORT
 *	Renews one mapping over and over, one request each period; no second try.
 *   load flood      GATEWAY 1           SECONDS PORT
 *	Renews one mapping as fast as packets go out, and hears no answer.
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
#define PROBE_PATIENCE_NS 1000000000ULL
#define RESEND_NATPMP_NS 250000000ULL
#define RESEND_PCP_NS 3000000000ULL
#define RESENDS 8 /* and doubled each time */
#define FLOOD_BATCH 64
#define ANSWER_MAX 4096

enum load_kind {
	LOAD_NATPMP,
	LOAD_PCP,
	LOAD_FILL,
	LOAD_REFUSED,
	LOAD_PROBE,
	LOAD_FLOOD,
	LOAD_SOAP
};

struct slot {
	uint16_t base; /* of the slot's own range of ports */
	uint16_t next; /* how far in it */
	uint16_t port; /* that is being mapped or deleted */
	bool mapped;   /* the next request, or the one under way, is the delete */
	bool busy;
	uint64_t sent;   /* ns; the first time */
	uint64_t resend; /* ns; when, if there is no answer */
	unsigned int resent;
	int fd;     /* of SOAP's connection */
	bool asked; /* it stands, and the request is out */
	size_t got;
	char answer[ANSWER_MAX + 1];
};

struct load {
	enum load_kind kind;
	struct sockaddr_in gateway;
	struct in_addr own;
	unsigned int outstanding, first, stride, fill, filled;
	uint64_t start, begin, end; /* of the whole; of what is measured */
	uint64_t until;             /* when what is mapped ends, or 0 */
	bool again;                 /* sends again what has no answer */
	uint64_t period, due;       /* of probes */
	const char *path, *service;
	int fd; /* UDP */
	struct slot slots[OUTSTANDING_MAX];
	uint32_t *samples; /* ns */
	size_t n_samples;
	unsigned long refused, lost, resent;
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

static void slot_next(struct load *l, struct slot *s)
{
	s->next = (uint16_t)((s->next + 1U) % l->stride);
	s->port = (uint16_t)(s->base + s->next);
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
	if (l->kind == LOAD_FILL || l->kind == LOAD_REFUSED) {
		l->filled++;
		return;
	}
	if (l->kind == LOAD_PROBE)
		return;
	s->mapped = !s->mapped;
	if (!s->mapped)
		slot_next(l, s);
}

static uint32_t lifetime_of(const struct load *l, const struct slot *s)
{
	uint64_t now = now_ns();

	if (l->until)
		return now < l->until ? (uint32_t)((l->until - now) / 1000000000U) + 1
				      : 1;
	return s->mapped ? 0 : 7200;
}

/* RFC 6886 section 3.3 and RFC 6887 section 11.1. */
static size_t udp_request(const struct load *l, const struct slot *s, uint8_t buf[60])
{
	unsigned int wanted = s->mapped ? 0 : s->port;

	memset(buf, 0, 60);
	if (l->kind == LOAD_PCP) {
		buf[0] = 2;
		buf[1] = 1;
		put32(buf + 4, lifetime_of(l, s));
		buf[18] = buf[19] = 0xff;
		memcpy(buf + 20, &l->own, 4);
		memset(buf + 24, 'n', 12);
		buf[36] = IPPROTO_UDP;
		put16(buf + 40, s->port);
		put16(buf + 42, wanted);
		buf[54] = buf[55] = 0xff;
		return 60;
	}
	buf[1] = 1;
	put16(buf + 4, s->port);
	put16(buf + 6, wanted);
	put32(buf + 8, lifetime_of(l, s));
	return 12;
}

static void udp_send_again(struct load *l, struct slot *s)
{
	uint64_t first = l->kind == LOAD_PCP ? RESEND_PCP_NS : RESEND_NATPMP_NS;
	uint8_t buf[60];
	size_t len = udp_request(l, s, buf);

	s->resend = now_ns() + (first << s->resent);
	if (send(l->fd, buf, len, 0) < 0)
		die("send");
}

static void udp_send(struct load *l, struct slot *s)
{
	s->busy = true;
	s->sent = now_ns();
	s->resent = 0;
	udp_send_again(l, s);
}

/* An answer to an earlier try may come after that to a later one. */
static bool udp_answers(const struct load *l, const struct slot *s, const uint8_t *buf,
			bool good)
{
	bool pcp = l->kind == LOAD_PCP;
	const uint8_t *lifetime = buf + (pcp ? 4 : 12);
	bool none = !(lifetime[0] | lifetime[1] | lifetime[2] | lifetime[3]);

	return !good || none == s->mapped;
}

/* Which slot an answer belongs to: each has ports of its own. */
static struct slot *udp_slot(struct load *l, unsigned int port)
{
	unsigned int n = (port - l->first) / l->stride;

	if (l->kind != LOAD_NATPMP && l->kind != LOAD_PCP) {
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
		bool good;

		if (n < (pcp ? 60 : 16))
			continue;
		s = udp_slot(l, get16(buf + (pcp ? 40 : 8)));
		good = pcp ? !buf[3] : !get16(buf + 2);
		if (s && udp_answers(l, s, buf, good))
			slot_done(l, s, good);
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
	if (strstr(s->answer,
		   "<errorCode>718<")) { /* somebody has it: the next port, as clients do */
		s->busy = false;
		slot_next(l, s);
		return;
	}
	slot_done(l, s,
		  strncmp(s->answer, "HTTP/1.", 7) == 0 &&
			  strncmp(s->answer + 8, " 200", 4) == 0);
}

/* Gives up on a request that had no answer. */
static void slot_lost(struct load *l, struct slot *s)
{
	l->lost++;
	if (l->kind == LOAD_SOAP)
		close(s->fd);
	s->busy = false;
	if (l->kind == LOAD_FILL || l->kind == LOAD_REFUSED)
		l->filled++;
}

static void slot_wait(struct load *l, struct slot *s, uint64_t now)
{
	uint64_t patience = l->kind == LOAD_PROBE ? PROBE_PATIENCE_NS : PATIENCE_NS;

	if (!l->again) {
		if (now - s->sent > patience)
			slot_lost(l, s);
		return;
	}
	if (now < s->resend)
		return;
	if (s->resent == RESENDS) {
		slot_lost(l, s);
		return;
	}
	s->resent++;
	l->resent++;
	udp_send_again(l, s);
}

static void slot_begin(struct load *l, struct slot *s, uint64_t now)
{
	switch (l->kind) {
	case LOAD_FILL:
	case LOAD_REFUSED:
		if (!l->fill)
			return;
		l->fill--;
		s->port = (uint16_t)l->first++;
		if (l->kind == LOAD_REFUSED && l->first == 1024)
			l->first = 1;
		udp_send(l, s);
		return;
	case LOAD_PROBE:
		if (now >= l->end || now < l->due)
			return;
		/* One that was late is late itself: no burst makes up for it. */
		l->due = now + l->period;
		udp_send(l, s);
		return;
	case LOAD_NATPMP:
	case LOAD_PCP:
	case LOAD_SOAP:
	case LOAD_FLOOD:
		break;
	}
	/* A lease that was mapped last is deleted, whatever the time. */
	if (now >= l->end && !s->mapped)
		return;
	if (l->kind == LOAD_SOAP)
		soap_connect(l, s);
	else
		udp_send(l, s);
}

/* Sends where nothing is under way, and again what has no answer. */
static bool load_feed(struct load *l)
{
	uint64_t now = now_ns();
	bool busy = l->kind == LOAD_PROBE && now < l->end;

	for (unsigned int i = 0; i < l->outstanding; i++) {
		struct slot *s = &l->slots[i];

		if (s->busy)
			slot_wait(l, s, now);
		if (!s->busy)
			slot_begin(l, s, now);
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
	uint64_t now = now_ns();
	struct timespec wait = {.tv_nsec = 50000000};

	if (l->kind == LOAD_PROBE && !l->slots[0].busy)
		wait.tv_nsec = l->due > now ? (long)(l->due - now) : 0;
	if (ppoll(&p, 1, &wait, NULL) < 0)
		die("ppoll");
	udp_read(l);
}

static void load_flood(struct load *l)
{
	struct mmsghdr head[FLOOD_BATCH] = {0};
	struct iovec iov[FLOOD_BATCH];
	uint8_t buf[60], answer[64];
	size_t len = udp_request(l, &l->slots[0], buf);

	for (unsigned int i = 0; i < FLOOD_BATCH; i++) {
		iov[i] = (struct iovec){buf, len};
		head[i].msg_hdr.msg_iov = &iov[i];
		head[i].msg_hdr.msg_iovlen = 1;
	}
	l->begin = now_ns();
	while (now_ns() < l->end) {
		int n = sendmmsg(l->fd, head, FLOOD_BATCH, 0);

		if (n < 0)
			die("sendmmsg");
		l->n_samples += (unsigned int)n;
		while (recv(l->fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
			l->filled++;
	}
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

	if (!l->n_samples || l->kind == LOAD_FLOOD)
		return 0;
	return l->samples[i < l->n_samples ? i : l->n_samples - 1] / 1000.0;
}

static void load_report(struct load *l)
{
	double seconds = (double)(l->end - l->begin) / 1e9;

	if (l->kind == LOAD_FILL || l->kind == LOAD_REFUSED)
		l->n_samples = l->filled;
	else if (l->kind != LOAD_FLOOD)
		qsort(l->samples, l->n_samples, sizeof(*l->samples), by_size);
	printf("{\"requests\":%zu,\"per_second\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
	       "\"max_us\":%.1f,\"filled\":%u,\"refused\":%lu,\"lost\":%lu,"
	       "\"resent\":%lu}\n",
	       l->n_samples, (double)l->n_samples / seconds, percentile_us(l, 0.5),
	       percentile_us(l, 0.99), percentile_us(l, 1), l->filled, l->refused,
	       l->lost, l->resent);
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

static void load_timed(struct load *l, const char *seconds)
{
	l->begin = l->start + (l->kind == LOAD_PROBE ? 0 : WARM_UP_NS);
	l->end = l->begin + (uint64_t)(strtod(seconds, NULL) * 1e9);
}

/* Those with a range of ports for each slot. */
static void load_ranges(struct load *l, int argc, char **argv)
{
	if (l->kind != LOAD_SOAP)
		l->again = argc == 8 && strcmp(argv[7], "again") == 0;
	l->outstanding = number(argv[3], 1, OUTSTANDING_MAX);
	load_timed(l, argv[4]);
	l->stride = number(argv[6], l->outstanding, 65536 - l->first) / l->outstanding;
	for (unsigned int i = 0; i < l->outstanding; i++)
		l->slots[i].base = l->slots[i].port = (uint16_t)(l->first +
								 i * l->stride);
}

/* Those that ask once for each of many ports. */
static void load_counted(struct load *l, int argc, char **argv)
{
	l->again = l->kind == LOAD_FILL;
	l->outstanding = number(argv[3], 1, OUTSTANDING_MAX);
	l->fill = number(argv[4], 1, l->kind == LOAD_FILL ? 65536 - l->first : 100000000);
	if (argc == 7)
		l->until = l->start + number(argv[6], 1, 86400) * 1000000000ULL;
}

static void load_arguments(struct load *l, int argc, char **argv)
{
	static const struct {
		const char *name;
		int least, most;
	} kinds[] = {[LOAD_NATPMP] = {"natpmp", 7, 8}, [LOAD_PCP] = {"pcp", 7, 8},
		     [LOAD_FILL] = {"fill", 6, 7},     [LOAD_REFUSED] = {"refused", 5, 5},
		     [LOAD_PROBE] = {"probe", 6, 6},   [LOAD_FLOOD] = {"flood", 6, 6},
		     [LOAD_SOAP] = {"soap", 10, 10}};
	unsigned int k = 0;

	while (argc > 1 && k <= LOAD_SOAP && strcmp(argv[1], kinds[k].name))
		k++;
	if (argc < 2 || k > LOAD_SOAP || argc < kinds[k].least || argc > kinds[k].most) {
		fprintf(stderr, "usage: see the head of tests/bench/load.c\n");
		exit(64);
	}
	l->kind = (enum load_kind)k;
	l->start = now_ns();
	l->gateway.sin_family = AF_INET;
	l->gateway.sin_port = htons(5351);
	if (inet_pton(AF_INET, argv[2], &l->gateway.sin_addr) != 1) {
		fprintf(stderr, "load: %s: no IPv4 address\n", argv[2]);
		exit(64);
	}
	l->outstanding = l->stride = 1;
	l->first = argc > 5 ? number(argv[5], 1024, 65535) : 1;
	switch (l->kind) {
	case LOAD_FILL:
	case LOAD_REFUSED:
		load_counted(l, argc, argv);
		break;
	case LOAD_PROBE:
		l->period = number(argv[3], 1, 1000000) * 1000ULL;
		/* fall through */
	case LOAD_FLOOD:
		load_timed(l, argv[4]);
		l->slots[0].port = (uint16_t)l->first;
		break;
	case LOAD_SOAP:
		l->gateway.sin_port = htons((uint16_t)number(argv[7], 1, 65535));
		l->path = argv[8];
		l->service = argv[9];
		/* fall through */
	case LOAD_NATPMP:
	case LOAD_PCP:
		load_ranges(l, argc, argv);
		break;
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
	if (l.kind == LOAD_FLOOD)
		load_flood(&l);
	else
		load_run(&l);
	if (l.kind == LOAD_FILL || l.kind == LOAD_REFUSED) {
		l.begin = l.start; /* no latencies, only how long all took */
		l.end = now_ns();
	}
	load_report(&l);
	free(l.samples);
	return 0;
}
