/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/forward.h"

#include <stdio.h>
#include <string.h>

static bool prefixes_meet(const struct prefix *a, const struct prefix *b)
{
	return a->len <= b->len ? prefix_has(a, &b->addr) : prefix_has(b, &a->addr);
}

bool forward_overlaps(const struct lease_forward *a, const struct lease_forward *b)
{
	if (a->protocol != b->protocol || a->last < b->first || b->last < a->first)
		return false;
	if (!a->n_from || !b->n_from)
		return true;
	for (size_t i = 0; i < a->n_from; i++)
		for (size_t k = 0; k < b->n_from; k++)
			if (prefixes_meet(&a->from[i], &b->from[k]))
				return true;
	return false;
}

static size_t entries_of(const struct lease_forward *f)
{
	return f->n_from ? f->n_from : 1;
}

size_t forward_entries(const struct lease_forward *f, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += entries_of(&f[i]);
	return sum;
}

void forward_lease(const struct lease_forward *f, uint16_t port, size_t which,
		   struct lease *l)
{
	*l = (struct lease){
		.protocol = f->protocol,
		.ext_port = port,
		.int_port = (uint16_t)(f->int_first + (port - f->first)),
		.internal = f->internal,
		.enabled = true,
		.origin = LEASE_BY_STATIC,
		.claims = 1U << LEASE_BY_STATIC,
		.deadline_ms = LEASE_NO_DEADLINE,
		.kernel_ms = LEASE_NO_DEADLINE,
	};
	l->until_ms[LEASE_BY_STATIC] = LEASE_NO_DEADLINE;
	if (f->n_from) {
		l->remote = f->from[which].addr;
		l->remote_len = f->from[which].len;
	}
	if (f->first == f->last)
		snprintf(l->description, sizeof(l->description), "%s", f->name);
	else
		snprintf(l->description, sizeof(l->description), "%s %u-%u", f->name,
			 f->first, f->last);
}

bool forward_entry(const struct lease_forward *f, size_t n, size_t index, struct lease *l,
		   uint16_t *last)
{
	for (size_t i = 0; i < n; i++) {
		if (index < entries_of(&f[i])) {
			forward_lease(&f[i], f[i].first, index, l);
			*last = f[i].last;
			return true;
		}
		index -= entries_of(&f[i]);
	}
	return false;
}

const struct lease_forward *forward_find(const struct lease_forward *f, size_t n,
					 uint8_t protocol, uint16_t port,
					 const struct in6_addr *remote,
					 uint8_t remote_len)
{
	for (size_t i = 0; i < n; i++) {
		if (f[i].protocol != protocol || port < f[i].first || port > f[i].last)
			continue;
		if (!remote_len)
			return &f[i];
		for (size_t k = 0; k < f[i].n_from; k++)
			if (f[i].from[k].len == remote_len &&
			    addr_equal(&f[i].from[k].addr, remote))
				return &f[i];
	}
	return NULL;
}

const struct lease_forward *forward_inside(const struct lease_forward *f, size_t n,
					   uint8_t protocol,
					   const struct in6_addr *internal,
					   uint16_t int_port)
{
	for (size_t i = 0; i < n; i++)
		if (f[i].protocol == protocol && int_port >= f[i].int_first &&
		    int_port - f[i].int_first <= f[i].last - f[i].first &&
		    addr_equal(&f[i].internal, internal))
			return &f[i];
	return NULL;
}
