/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Drives firewall/ in a namespace for test_nft.py: one command a line on stdin, the answer
 * on stdout, ended by a line that says "ok" or "error NAME". Leases are written
 *
 *	PROTO EXT HOST:PORT MS [remote=PREFIX] [filter=PREFIX[@PORT]]... [twin] [off]
 *		[by=N[,N...]] [nonce] [text=...]
 *
 * where an IPv6 HOST stands in brackets and makes a pinhole.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/log.h"
#include "firewall/firewall.h"
#include "firewall/links.h"
#include "lease/filters.h"

#define WORDS 32
#define BULK_FIRST 1024

static struct firewall *fw;
static struct links *watch;
static struct firewall_options options;

/* What is in the kernel, as the registry would know it. */
static struct lease *book;
static size_t n_book;

/* Leases */

static struct lease *book_find(const struct lease *key)
{
	for (size_t i = 0; i < n_book; i++)
		if (lease_same_key(&book[i], key))
			return &book[i];
	return NULL;
}

static void book_put(const struct lease *l)
{
	struct lease *old = book_find(l);
	struct lease *more;

	if (old) {
		*old = *l;
		return;
	}
	more = realloc(book, (n_book + 1) * sizeof(*book));
	if (!more)
		abort();
	book = more;
	book[n_book++] = *l;
}

static void book_del(const struct lease *l)
{
	struct lease *old = book_find(l);

	if (old)
		*old = book[--n_book];
}

/* "MS", or "-" for one that never ends. */
static uint64_t parse_until(const char *ms)
{
	if (!strcmp(ms, "-"))
		return LEASE_NO_DEADLINE;
	return clock_ms() + strtoull(ms, NULL, 10);
}

static bool add_filter(struct lease *l, const char *word)
{
	struct lease_request req = {.n_filters = 1};
	char text[ADDR_PORT_TEXT + 8], *port;
	struct prefix p;

	snprintf(text, sizeof(text), "%s", word);
	port = strchr(text, '@');
	if (port)
		*port++ = '\0';
	if (prefix_parse(text, &p))
		return false;
	req.filters[0] = (struct lease_filter){.addr = p.addr, .len = p.len};
	req.filters[0].port = port ? (uint16_t)strtoul(port, NULL, 10) : 0;
	return filters_apply(l, &req) == LEASE_OK;
}

static void parse_option(struct lease *l, const char *word, uint64_t until)
{
	struct prefix p;

	if (!strncmp(word, "filter=", 7)) {
		if (!add_filter(l, word + 7))
			printf("bad %s\n", word);
	} else if (!strncmp(word, "remote=", 7) && !prefix_parse(word + 7, &p)) {
		l->remote = p.addr;
		l->remote_len = p.len;
	} else if (!strcmp(word, "twin")) {
		l->twin = true;
	} else if (!strcmp(word, "off")) {
		l->enabled = false;
	} else if (!strcmp(word, "nonce")) {
		l->has_nonce = true;
		memset(l->nonce, 0xa5, sizeof(l->nonce));
	} else if (!strncmp(word, "text=", 5)) {
		snprintf(l->description, sizeof(l->description), "%s", word + 5);
	} else if (!strncmp(word, "by=", 3)) {
		char *s = (char *)word + 3;

		l->claims = 0;
		l->origin = (uint8_t)strtoul(s, NULL, 10);
		for (char *by = strtok(s, ","); by; by = strtok(NULL, ",")) {
			unsigned long n = strtoul(by, NULL, 10) % LEASE_BY_END;

			l->claims |= (uint8_t)(1U << n);
			l->until_ms[n] = until;
		}
	}
}

static int parse_lease(char **word, int n, struct lease *l)
{
	uint64_t until;
	char *host, *port;

	if (n < 4)
		return -EINVAL;
	memset(l, 0, sizeof(*l));
	l->protocol = !strcmp(word[0], "tcp") ? IPPROTO_TCP : IPPROTO_UDP;
	l->ext_port = (uint16_t)strtoul(word[1], NULL, 10);
	port = strrchr(word[2], ':');
	if (!port)
		return -EINVAL;
	*port++ = '\0';
	host = word[2];
	if (*host == '[' && port - host > 3 && port[-2] == ']') {
		port[-2] = '\0';
		host++;
	}
	if (addr_parse(host, &l->internal))
		return -EINVAL;
	l->int_port = (uint16_t)strtoul(port, NULL, 10);
	until = parse_until(word[3]);
	l->enabled = true;
	l->origin = LEASE_BY_PCP;
	l->claims = 1U << LEASE_BY_PCP;
	l->until_ms[LEASE_BY_PCP] = until;
	l->created_ms = 1000;
	l->deadline_ms = l->kernel_ms = until;
	for (int i = 4; i < n; i++)
		parse_option(l, word[i], until);
	return 0;
}

static int stage(const struct lease *l, bool add)
{
	const struct lease *old = book_find(l);
	struct lease_change step = {.had = old != NULL, .has = add};

	if (!add && !old)
		return -ENOENT;
	if (old)
		step.before = *old;
	if (add)
		step.after = *l;
	if (add)
		book_put(l);
	else
		book_del(l);
	return firewall_stage(fw, &step, clock_ms());
}

static void print_result(void *arg, size_t index, int err)
{
	(void)arg;
	if (err)
		printf("step %zu %s\n", index, strerrorname_np(-err));
}

static void print_lease(void *arg, const struct lease *l)
{
	uint64_t now = clock_ms();
	char host[ADDR_TEXT], to[ADDR_PORT_TEXT];

	(void)arg;
	book_put(l);
	printf("lease %s %u %s", l->protocol == IPPROTO_TCP ? "tcp" : "udp", l->ext_port,
	       addr_port_text(&l->internal, l->int_port, to));
	if (l->kernel_ms == LEASE_NO_DEADLINE)
		printf(" -");
	else
		printf(" %" PRId64, (int64_t)(l->kernel_ms - now));
	printf(" claims=%x origin=%u twin=%d enabled=%d nonce=%d remote=%s/%u created=%" PRIu64
	       " filters=",
	       l->claims, l->origin, l->twin, l->enabled, l->has_nonce,
	       addr_text(&l->remote, host), l->remote_len, l->created_ms);
	for (size_t i = 0; i < l->n_filters; i++) {
		struct prefix p = {l->filters[i].addr, l->filters[i].len};
		char text[PREFIX_TEXT];

		printf("%s%s@%u", i ? "," : "", prefix_text(&p, text),
		       l->filters[i].port);
	}
	printf(" text=%s\n", l->description);
}

/* Bulk and measurement */

static struct lease bulk_lease(uint32_t i, uint64_t ms)
{
	struct lease l = {.protocol = i & 1 ? IPPROTO_TCP : IPPROTO_UDP,
			  .ext_port = (uint16_t)(BULK_FIRST + i / 2),
			  .int_port = (uint16_t)(BULK_FIRST + i / 2),
			  .twin = true,
			  .enabled = true,
			  .has_nonce = true,
			  .origin = LEASE_BY_PCP,
			  .claims = 1U << LEASE_BY_PCP,
			  .created_ms = 1000};
	struct in_addr host = {.s_addr = htonl(0xc0a84e02 + i % 200)};

	l.internal = addr_from_v4(host);
	l.deadline_ms = l.kernel_ms = l.until_ms[LEASE_BY_PCP] = clock_ms() + ms;
	memset(l.description, 'x', LEASE_DESCRIPTION_MAX);
	return l;
}

/* One with so many filters. */
static struct lease bulk_filtered(uint32_t i, uint64_t ms, uint32_t filters)
{
	struct lease l = bulk_lease(i, ms);

	for (uint32_t f = 0; f < filters && f < LEASE_FILTERS_MAX; f++) {
		struct in_addr v4 = {.s_addr = htonl(0x0b000000 + i * 8 + f)};

		l.filters[f] = (struct lease_filter){
			.addr = addr_from_v4(v4), .len = 128, .port = 7000};
		l.n_filters++;
	}
	return l;
}

static void count_failures(void *arg, size_t index, int err)
{
	int *last = arg;

	(void)index;
	if (err)
		*last = err;
}

/* bulk add|del N MS [PER [FILTERS]]: commits of PER steps each (all in one without), leases
 * with so many filters. */
static int bulk(bool add, uint32_t n, uint64_t ms, uint32_t per, uint32_t filters)
{
	int last = 0;
	size_t failed = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct lease l = bulk_filtered(i, ms, filters);
		struct lease_change step = {
			.had = !add, .has = add, .before = l, .after = l};
		int err = firewall_stage(fw, &step, clock_ms());

		if (err)
			return err;
		if (i + 1 == n || (per && (i + 1) % per == 0))
			failed += firewall_commit(fw, count_failures, &last);
	}
	printf("failed %zu %s\n", failed, last ? strerrorname_np(-last) : "-");
	return 0;
}

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void print_quantiles(const char *what, double *us, size_t n, uint32_t per)
{
	qsort(us, n, sizeof(*us), by_value);
	printf("%s %u: p50 %.1f us p99 %.1f us\n", what, per, us[n / 2],
	       us[n * 99 / 100]);
}

/* Adds, renews and deletes `per` leases at ports above the bulk, `rounds` times. */
static int measure(uint32_t per, uint32_t rounds, uint32_t filters)
{
	enum { ADD, RENEW, DEL, ACTS };
	static const char *const name[ACTS] = {"add", "renew", "del"};
	double *us[ACTS];

	for (int a = 0; a < ACTS; a++)
		us[a] = calloc(rounds, sizeof(double));
	for (uint32_t r = 0; r < rounds; r++)
		for (int a = 0; a < ACTS; a++) {
			double start = now_us();

			for (uint32_t i = 0; i < per; i++) {
				struct lease l = bulk_filtered(128500 + i, 600000,
							       filters);
				struct lease_change step = {.had = a != ADD,
							    .has = a != DEL,
							    .before = l,
							    .after = l};

				step.before.description[0] = step.after.description[0] =
					'y';
				step.before.description[5] = step.after.description[5] =
					0;
				if (firewall_stage(fw, &step, clock_ms()))
					return -EIO;
			}
			if (firewall_commit(fw, print_result, NULL))
				return -EIO;
			us[a][r] = now_us() - start;
		}
	for (int a = 0; a < ACTS; a++) {
		print_quantiles(name[a], us[a], rounds, per);
		free(us[a]);
	}
	return 0;
}

/* swing ROUNDS LEASE / LEASE: commits the one and the other, so often. */
static int swing(char **word, int n)
{
	uint32_t rounds = (uint32_t)strtoul(word[0], NULL, 10);
	struct lease one, two;
	int cut = 1, failed = 0;

	while (cut < n && strcmp(word[cut], "/") != 0)
		cut++;
	if (cut + 1 >= n || parse_lease(word + 1, cut - 1, &one) ||
	    parse_lease(word + cut + 1, n - cut - 1, &two))
		return -EINVAL;
	for (uint32_t i = 0; i < 2 * rounds; i++) {
		struct lease_change step = {.had = true,
					    .has = true,
					    .before = i % 2 ? two : one,
					    .after = i % 2 ? one : two};

		if (firewall_stage(fw, &step, clock_ms()) ||
		    firewall_commit(fw, print_result, NULL))
			failed++;
	}
	printf("failed %d\n", failed);
	return 0;
}

static void count_lease(void *arg, const struct lease *l)
{
	size_t *n = arg;

	(void)l;
	(*n)++;
}

/* Commands */

static int cmd_install(uint32_t max)
{
	static struct portset tcp, udp;
	struct firewall_config config = {.max_leases = max,
					 .reserved_tcp = &tcp,
					 .reserved_udp = &udp,
					 .now_ms = clock_ms()};

	portset_add(&tcp, 0, 1023);
	portset_add(&udp, 0, 1023);
	portset_add(&udp, 5353, 5353);
	return firewall_install(fw, &config);
}

/* "wan NAME... ADDR...": what reads as an address is one. */
static int cmd_names(char **word, int n, bool wan)
{
	const char *names[WORDS];
	struct in_addr addrs[WORDS];
	struct prefix nets[WORDS];
	size_t n_names = 0, n_nets = 0;

	for (int i = 0; i < n; i++) {
		if (prefix_parse(word[i], &nets[n_nets])) {
			names[n_names++] = word[i];
			continue;
		}
		addrs[n_nets] = addr_to_v4(&nets[n_nets].addr);
		n_nets++;
	}
	return wan ? firewall_set_wan(fw, names, n_names, addrs, n_nets)
		   : firewall_set_lan(fw, names, n_names, nets, n_nets, NULL, 0);
}

static int cmd_adopt(bool quiet)
{
	struct firewall_adopted got;
	double start = now_us();
	size_t n = 0;
	int err = firewall_adopt(fw, clock_ms(), quiet ? count_lease : print_lease, &n,
				 &got);

	printf("adopted leases=%zu foreign=%zu repaired=%zu orphans=%zu ms=%.1f\n",
	       got.leases, got.foreign, got.repaired, got.orphans,
	       (now_us() - start) / 1000);
	return err;
}

static void print_link(void *arg, const struct link *l)
{
	(void)arg;
	printf("link %s %u up=%d running=%d mac=%02x:%02x", l->name, l->index, l->up,
	       l->running, l->mac[0], l->mac[5]);
	for (size_t i = 0; i < l->n_addrs; i++) {
		struct prefix p = {.addr = l->addrs[i].addr, .len = l->addrs[i].len};
		char text[PREFIX_TEXT];

		printf(" %s", prefix_text(&p, text));
	}
	printf("\n");
}

static int cmd_links(char **word, int n)
{
	struct link_counters c;
	const struct link *l;
	int err = 0;

	if (!watch)
		err = links_open(&watch);
	else if (n && !strcmp(word[0], "read"))
		printf("changed %d\n", links_read(watch));
	if (err)
		return err;
	if (n > 1 && !strcmp(word[0], "counters")) {
		err = links_counters(watch, word[1], &c);
		printf("rx %" PRIu64 " tx %" PRIu64 "\n", c.rx_packets, c.tx_packets);
		return err;
	}
	links_each(watch, print_link, NULL);
	l = links_default_route(watch);
	printf("default %s\n", l ? l->name : "-");
	return 0;
}

static int cmd_open(void)
{
	int err;

	firewall_close(fw);
	fw = NULL;
	free(book);
	book = NULL;
	n_book = 0;
	err = firewall_open(&options, &fw);
	if (!err)
		printf("in_place %d destroy %d\n", firewall_renews_in_place(fw),
		       firewall_has_destroy(fw));
	return err;
}

static uint32_t number(char **word, int n, int i, uint32_t otherwise)
{
	return i < n ? (uint32_t)strtoul(word[i], NULL, 10) : otherwise;
}

static int run(char **word, int n)
{
	const char *verb = word[0];
	struct lease l;
	struct firewall_epoch epoch = {0};
	char text[ADDR_TEXT];
	int err;

	word++;
	n--;
	if (!strcmp(verb, "links"))
		return cmd_links(word, n);
	if (!strcmp(verb, "open"))
		return cmd_open();
	if (!fw)
		return -EBADF;
	if (!strcmp(verb, "install"))
		return cmd_install(number(word, n, 0, 131072));
	if (!strcmp(verb, "remove"))
		return firewall_remove(fw);
	if (!strcmp(verb, "wan") || !strcmp(verb, "lan"))
		return cmd_names(word, n, verb[0] == 'w');
	if (!strcmp(verb, "map") || !strcmp(verb, "unmap")) {
		err = parse_lease(word, n, &l);
		return err ? err : stage(&l, verb[0] == 'm');
	}
	if (!strcmp(verb, "commit")) {
		printf("failed %zu\n", firewall_commit(fw, print_result, NULL));
		return 0;
	}
	if (!strcmp(verb, "adopt"))
		return cmd_adopt(n > 0);
	if (!strcmp(verb, "count") && n > 0) {
		printf("count %ld\n", firewall_count(fw, word[0]));
		return 0;
	}
	if (!strcmp(verb, "bulk") && n > 2)
		return bulk(word[0][0] == 'a', number(word, n, 1, 0),
			    number(word, n, 2, 0), number(word, n, 3, 0),
			    number(word, n, 4, 0));
	if (!strcmp(verb, "measure"))
		return measure(number(word, n, 0, 1), number(word, n, 1, 200),
			       number(word, n, 2, 0));
	if (!strcmp(verb, "claimed") && n > 2) {
		struct in6_addr host;

		if (addr_parse(word[2], &host))
			return -EINVAL;
		printf("claimed %d\n",
		       firewall_claimed(
			       fw, !strcmp(word[0], "tcp") ? IPPROTO_TCP : IPPROTO_UDP,
			       (uint16_t)number(word, n, 1, 0), addr_to_v4(&host)));
		return 0;
	}
	if (!strcmp(verb, "swing") && n > 4) /* two forms of one lease, in turns */
		return swing(word, n);
	if (!strcmp(verb, "epoch")) {
		epoch.since_ms = n > 0 ? strtoull(word[0], NULL, 10) : 0;
		if (n > 1 && addr_parse(word[1], &epoch.wan4))
			return -EINVAL;
		if (n > 0)
			return firewall_epoch_set(fw, &epoch);
		err = firewall_epoch_get(fw, &epoch);
		if (!err)
			printf("epoch %" PRIu64 " now %" PRIu64 " wan %s\n",
			       epoch.since_ms, clock_ms(), addr_text(&epoch.wan4, text));
		return err;
	}
	return -ENOSYS;
}

int main(int argc, char **argv)
{
	char line[1024];

	log_open("fwtool");
	log_set_debug(getenv("FWTOOL_DEBUG") != NULL);
	options.assume_kernel_61 = argc > 1 && !strcmp(argv[1], "6.1");
	options.table = getenv("FWTOOL_TABLE");
	while (fgets(line, sizeof(line), stdin)) {
		char *word[WORDS], *save = NULL;
		int n = 0, err;

		for (char *w = strtok_r(line, " \n", &save); w && n < WORDS;
		     w = strtok_r(NULL, " \n", &save))
			word[n++] = w;
		if (!n)
			continue;
		err = run(word, n);
		if (err)
			printf("error %s\n", strerrorname_np(-err));
		else
			printf("ok\n");
		fflush(stdout);
	}
	firewall_close(fw);
	links_close(watch);
	free(book);
	return 0;
}
