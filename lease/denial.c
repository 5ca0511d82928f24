/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/denial.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool has_port(const struct port_range *r, uint8_t protocol, uint16_t port)
{
	if (!r->first)
		return true;
	return port >= r->first && port <= r->last &&
	       (protocol == IPPROTO_TCP ? r->tcp : r->udp);
}

static bool has_host(const struct lease_denial *d, const struct access_host *host)
{
	if (d->has_mac)
		return host->has_mac == ACCESS_MAC_KNOWN &&
		       memcmp(d->mac, host->mac, MAC_LEN) == 0;
	return !d->host.len || prefix_has(&d->host, &host->addr);
}

const struct lease_denial *denial_of(const struct lease_denial *d, size_t n,
				     uint8_t protocol, uint16_t port,
				     const struct access_host *host)
{
	for (size_t i = 0; i < n; i++)
		if (has_port(&d[i].ports, protocol, port) && has_host(&d[i], host))
			return &d[i];
	return NULL;
}

bool denial_same(const struct lease_denial *a, const struct lease_denial *b)
{
	const struct port_range *p = &a->ports, *q = &b->ports;

	return a->has_mac == b->has_mac && memcmp(a->mac, b->mac, MAC_LEN) == 0 &&
	       a->host.len == b->host.len && addr_equal(&a->host.addr, &b->host.addr) &&
	       p->first == q->first && p->last == q->last && p->tcp == q->tcp &&
	       p->udp == q->udp;
}

/* A host, or nothing that is one: then d stays as it is. */
static bool host_parse(const char *text, size_t len, struct lease_denial *d)
{
	char host[PREFIX_TEXT];

	if (len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	d->has_mac = !mac_parse(host, d->mac);
	if (d->has_mac)
		return true;
	if (!strpbrk(host, ".:") || prefix_parse(host, &d->host) || !d->host.len)
		return false;
	prefix_trim(&d->host);
	return true;
}

int denial_parse(const char *text, struct lease_denial *out)
{
	struct lease_denial d = {.since_s = out->since_s,
				 .ports = {.tcp = true, .udp = true}};
	size_t len = strcspn(text, " ");
	bool host = host_parse(text, len, &d), both = host && text[len];

	if (host && !both) {
		*out = d;
		return 0;
	}
	if (port_range_parse(both ? text + len + 1 : text, &d.ports) || !d.ports.first)
		return -EINVAL;
	*out = d;
	return 0;
}

const char *denial_text(const struct lease_denial *d, char buf[DENIAL_TEXT])
{
	const struct port_range *r = &d->ports;
	char host[PREFIX_TEXT] = "", last[8] = "";

	if (d->has_mac)
		mac_text(d->mac, host);
	else if (d->host.len)
		prefix_text(&d->host, host);
	if (r->last != r->first)
		snprintf(last, sizeof(last), "-%u", r->last);
	if (r->first)
		snprintf(buf, DENIAL_TEXT, "%s%s%s%u%s", host, *host ? " " : "",
			 r->tcp && r->udp ? ""
			 : r->tcp         ? "tcp/"
					  : "udp/",
			 r->first, last);
	else
		snprintf(buf, DENIAL_TEXT, "%s", host);
	return buf;
}
