/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration files: values in their ranges, or the defaults and one line that says what
 * is wrong. An input is a file.
 */
#include <ctype.h>
#include <errno.h>

#include "conf/config.h"
#include "tests/fuzz/fuzz.h"

static int read_file(struct config *c, const uint8_t *data, size_t size,
		     char err[CONFIG_ERROR])
{
	FILE *f = fmemopen((void *)(uintptr_t)data, size, "r");
	int r;

	must(f);
	memset(c, 0xa5, sizeof(*c));
	memset(err, 0xa5, CONFIG_ERROR);
	r = config_read(c, f, "p.conf", err);
	fclose(f);
	return r;
}

static void check_lan(const struct config *c, size_t i)
{
	const struct config_lan *l = &c->lan[i];
	size_t n = strnlen(l->name, sizeof(l->name));

	must(n && n < sizeof(l->name) && strcmp(l->name, c->wan));
	for (size_t at = 0; at < n; at++)
		must(isgraph((unsigned char)l->name[at]) && l->name[at] != '/');
	must(l->n_also <= CONFIG_ALSO);
	for (size_t a = 0; a < l->n_also; a++)
		must(addr_is_v4(&l->also[a].addr) && l->also[a].len >= 96 &&
		     l->also[a].len <= 128);
	for (size_t o = 0; o < i; o++) {
		must(strcmp(c->lan[o].name, l->name));
		must(!l->http_port || c->lan[o].http_port != l->http_port);
	}
}

static void check_forward(const struct config *c, size_t i)
{
	const struct lease_forward *f = &c->forward[i];
	uint8_t first = f->internal.s6_addr[12];

	must(f->name[0] && memchr(f->name, '\0', sizeof(f->name)));
	must(f->protocol == IPPROTO_TCP || f->protocol == IPPROTO_UDP);
	must(f->first && f->first <= f->last && f->int_first);
	must(f->first == f->last || f->int_first == f->first);
	must(addr_is_v4(&f->internal) && first && first != 127 && first < 224);
	must(f->n_from <= LEASE_FORWARD_FROM);
	for (size_t o = 0; o < i; o++)
		must(!forward_overlaps(&c->forward[o], f));
}

static void check_access(const struct lease_access *a)
{
	must(a->name[0] && memchr(a->name, '\0', sizeof(a->name)));
	must(a->n_nets || a->n_macs);
	must(a->n_nets <= LEASE_ACCESS_NETS && a->n_macs <= LEASE_ACCESS_MACS);
	for (size_t i = 0; i < a->n_macs; i++)
		must(!(a->macs[i][0] & 1)); /* of one host */
	must(a->n_ports <= LEASE_ACCESS_PORTS && a->leases <= 65535);
	for (size_t i = 0; i < a->n_ports; i++)
		must(a->ports[i].first && a->ports[i].first <= a->ports[i].last);
}

static void check_trigger(const struct lease_trigger *t)
{
	uint32_t ports = 0;

	must(t->name[0] && memchr(t->name, '\0', sizeof(t->name)));
	must(t->n_when && t->n_when <= LEASE_TRIGGER_RANGES);
	must(t->n_open && t->n_open <= LEASE_TRIGGER_RANGES);
	for (size_t i = 0; i < t->n_when; i++)
		must(t->when[i].first && t->when[i].first <= t->when[i].last &&
		     (t->when[i].tcp || t->when[i].udp));
	for (size_t i = 0; i < t->n_open; i++) {
		must(t->open[i].first && t->open[i].first <= t->open[i].last);
		ports += (uint32_t)(t->open[i].tcp + t->open[i].udp) *
			 (t->open[i].last - (uint32_t)t->open[i].first + 1);
	}
	must(ports && ports <= LEASE_TRIGGER_PORTS);
	must(t->idle_s >= 1 && t->idle_s <= 86400);
	must(t->n_lans <= LEASE_TRIGGER_LANS && t->n_hosts <= LEASE_TRIGGER_HOSTS);
}

static void check_config(const struct config *c)
{
	must(c->n_forwards <= LEASE_FORWARDS_MAX && c->n_access <= LEASE_ACCESS_MAX);
	for (size_t i = 0; i < c->n_forwards; i++)
		check_forward(c, i);
	for (size_t i = 0; i < c->n_access; i++)
		check_access(&c->access[i]);
	must(!c->router.on || *c->wan);
	must(memchr(c->wan, '\0', sizeof(c->wan)));
	must(memchr(c->reserved_file, '\0', sizeof(c->reserved_file)));
	must(c->n_lans <= CONFIG_LANS);
	for (size_t i = 0; i < c->n_lans; i++)
		check_lan(c, i);
	must(c->leases >= 1 && c->leases <= 131072);
	must(c->per_host >= 1 && c->per_host <= 65535);
	must(c->requests_per_second >= 1 && c->requests_per_second <= 1000000);
	must(c->min_lifetime_s >= 1 && c->min_lifetime_s <= c->max_lifetime_s);
	must(c->n_triggers <= LEASE_TRIGGERS_MAX && c->n_profiles <= CONFIG_PROFILES);
	for (size_t i = 0; i < c->n_triggers; i++)
		check_trigger(&c->trigger[i]);
	must(c->open_nat.window_s >= 1 && c->open_nat.window_s <= c->open_nat.idle_s);
	must(c->open_nat.n_instant <= CONFIG_PORTS &&
	     c->open_nat.n_quiet <= CONFIG_PORTS);
	must(c->open_nat.udp_remotes >= 1 && c->open_nat.udp_remotes <= 16);
	must(c->open_nat.tcp_remotes >= 1 && c->open_nat.tcp_remotes <= 16);
	must(c->gone_after_s >= 10 && c->gone_after_s <= 7 * 86400);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config c, again;
	static char err[CONFIG_ERROR], err2[CONFIG_ERROR];
	int r;

	if (!size)
		return 0;
	r = read_file(&c, data, size, err);
	must(read_file(&again, data, size, err2) == r);
	check_config(&c);
	must(memchr(err, '\0', sizeof(err)) && !strcmp(err, err2));
	if (!r) {
		must(!*err);
		return 0;
	}
	must(r < 0 && !strncmp(err, "p.conf", 6));
	for (const char *p = err; *p; p++)
		must(!iscntrl((unsigned char)*p));
	config_defaults(&again);
	must(c.n_lans == 0 && !*c.wan && c.leases == again.leases &&
	     !memcmp(&c.reserved_udp, &again.reserved_udp, sizeof(c.reserved_udp)) &&
	     !memcmp(&c.reserved_tcp, &again.reserved_tcp, sizeof(c.reserved_tcp)));
	return 0;
}
