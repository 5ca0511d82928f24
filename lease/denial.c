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

const struct lease_denial *denial_of(const struct lease_denial *d, size_t n,
				     uint8_t protocol, uint16_t port,
				     const struct in6_addr *host)
{
	for (size_t i = 0; i < n; i++)
		if (has_port(&d[i].ports, protocol, port) &&
		    (!d[i].host.len || prefix_has(&d[i].host, host)))
			return &d[i];
	return NULL;
}

bool denial_same(const struct lease_denial *a, const struct lease_denial *b)
{
	const struct port_range *p = &a->ports, *q = &b->ports;

	return a->host.len == b->host.len && addr_equal(&a->host.addr, &b->host.addr) &&
	       p->first == q->first && p->last == q->last && p->tcp == q->tcp &&
	       p->udp == q->udp;
}

int denial_parse(const char *text, struct lease_denial *out)
{
	struct lease_denial d = {.since_s = out->since_s};
	const char *ports = text;
	char host[PREFIX_TEXT];
	size_t len = strcspn(text, " ");

	if (memchr(text, '.', len) || memchr(text, ':', len)) {
		if (len >= sizeof(host))
			return -EINVAL;
		memcpy(host, text, len);
		host[len] = '\0';
		if (prefix_parse(host, &d.host) || !d.host.len)
			return -EINVAL;
		prefix_trim(&d.host);
		ports = text[len] ? text + len + 1 : NULL;
	}
	if (!ports)
		d.ports = (struct port_range){.tcp = true, .udp = true};
	else if (port_range_parse(ports, &d.ports) || !d.ports.first)
		return -EINVAL;
	*out = d;
	return 0;
}

const char *denial_text(const struct lease_denial *d, char buf[DENIAL_TEXT])
{
	const struct port_range *r = &d->ports;
	char host[PREFIX_TEXT] = "", last[8] = "";

	if (d->host.len)
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
