/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/filters.h"

#include <string.h>

#include "base/addr.h"

#define FILTERS_V4_BITS 96 /* of ::ffff:0:0/96 */

static bool prefix_covers(const struct lease_filter *a, const struct lease_filter *b)
{
	struct prefix p = {a->addr, a->len};

	return a->len <= b->len && prefix_has(&p, &b->addr);
}

static bool filter_covers(const struct lease_filter *a, const struct lease_filter *b)
{
	return prefix_covers(a, b) && (!a->port || a->port == b->port);
}

static bool filter_overlaps(const struct lease_filter *a, const struct lease_filter *b)
{
	return (prefix_covers(a, b) || prefix_covers(b, a)) &&
	       (!a->port || !b->port || a->port == b->port);
}

/* Host bits zero; false: not of that family. */
static bool filter_canonical(struct lease_filter *f, bool v6)
{
	size_t whole = f->len / 8;

	if (f->len > 128 || f->len < (v6 ? 1 : FILTERS_V4_BITS))
		return false;
	if (v6 == (addr_is_v4(&f->addr) && f->len >= FILTERS_V4_BITS))
		return false;
	if (whole < 16) {
		f->addr.s6_addr[whole] &= (uint8_t)(0xff00 >> (f->len % 8));
		memset(&f->addr.s6_addr[whole + 1], 0, 15 - whole);
	}
	f->zero = 0;
	return true;
}

static bool filter_before(const struct lease_filter *a, const struct lease_filter *b)
{
	int order = memcmp(&a->addr, &b->addr, sizeof(a->addr));

	return order < 0 || (order == 0 && a->port < b->port);
}

/* A list under construction: sorted, none covered by another. */
struct filter_list {
	struct lease_filter one[2 * LEASE_FILTERS_MAX];
	size_t n;
};

static void list_add(struct filter_list *list, const struct lease_filter *f)
{
	size_t n = 0, at;

	for (size_t i = 0; i < list->n; i++)
		if (filter_covers(&list->one[i], f))
			return;
	for (size_t i = 0; i < list->n; i++)
		if (!filter_covers(f, &list->one[i]))
			list->one[n++] = list->one[i];
	for (at = n; at && filter_before(f, &list->one[at - 1]); at--)
		list->one[at] = list->one[at - 1];
	list->one[at] = *f;
	list->n = n + 1;
}

static bool list_crosses(const struct filter_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		for (size_t j = i + 1; j < list->n; j++)
			if (filter_overlaps(&list->one[i], &list->one[j]))
				return true;
	return false;
}

static enum lease_reason filters_set(struct lease *l, size_t had,
				     const struct lease_filter *more, size_t n_more)
{
	struct filter_list list = {.n = 0};

	for (size_t i = 0; i < had + n_more; i++) {
		struct lease_filter f = i < had ? l->filters[i] : more[i - had];

		if (!filter_canonical(&f, lease_is_pinhole(l)))
			return LEASE_FILTERS;
		list_add(&list, &f);
	}
	if (list.n > LEASE_FILTERS_MAX || list_crosses(&list))
		return LEASE_FILTERS;
	memset(l->filters, 0, sizeof(l->filters));
	memcpy(l->filters, list.one, list.n * sizeof(*list.one));
	l->n_filters = (uint8_t)list.n;
	return LEASE_OK;
}

enum lease_reason filters_apply(struct lease *l, const struct lease_request *req)
{
	size_t had = req->flags & LEASE_UNFILTER ? 0 : l->n_filters;

	if (!req->n_filters && had == l->n_filters)
		return LEASE_OK;
	if (req->n_filters && lease_has_remote(l))
		return LEASE_REMOTE;
	return filters_set(l, had, req->filters, req->n_filters);
}

enum lease_reason filters_check(struct lease *l)
{
	if (!l->n_filters)
		return LEASE_OK;
	if (l->n_filters > LEASE_FILTERS_MAX)
		return LEASE_FILTERS;
	return lease_has_remote(l) ? LEASE_REMOTE
				   : filters_set(l, l->n_filters, l->filters, 0);
}

static struct lease_filter element_of(const struct lease *l, size_t i)
{
	return l->n_filters ? l->filters[i]
			    : (struct lease_filter){.addr = l->remote,
						    .len = l->remote_len,
						    .port = l->remote_port};
}

bool filters_overlap(const struct lease *a, const struct lease *b)
{
	for (size_t i = 0; i < filters_elements(a); i++)
		for (size_t j = 0; j < filters_elements(b); j++) {
			struct lease_filter x = element_of(a, i), y = element_of(b, j);

			if (filter_overlaps(&x, &y))
				return true;
		}
	return false;
}
