/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/store_row.h"

#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "base/wire.h"

static void put_u64(struct wire_out *w, uint64_t v)
{
	wire_put_u32(w, (uint32_t)(v >> 32));
	wire_put_u32(w, (uint32_t)v);
}

static uint64_t get_u64(struct wire *w)
{
	uint64_t high = wire_u32(w);

	return high << 32 | wire_u32(w);
}

/* Never stays never; a time that is over need not be told from others that are. */
static uint64_t until_to_axis(uint64_t until_ms, int64_t base_ms)
{
	return until_ms == UINT64_MAX ? until_ms : until_ms + (uint64_t)base_ms;
}

static uint64_t until_from_axis(uint64_t axis_ms, int64_t base_ms)
{
	uint64_t until_ms = axis_ms - (uint64_t)base_ms;

	if (axis_ms == UINT64_MAX)
		return axis_ms;
	return until_ms > INT64_MAX ? 0 : until_ms; /* before this boot */
}

void store_row_key(const struct store_lease *l, uint8_t key[STORE_KEY])
{
	struct wire_out w = wire_to(key, STORE_KEY);

	wire_put_u8(&w, l->protocol);
	wire_put_u16(&w, l->ext_port);
	wire_put_u8(&w, l->remote_len);
	wire_put(&w, &l->remote, 16);
	wire_put_u16(&w, l->remote_port);
	if (addr_is_v4(&l->internal))
		wire_zero(&w, 16);
	else
		wire_put(&w, &l->internal, 16);
}

size_t store_row_body(const struct store_lease *l, int64_t base_ms,
		      uint8_t body[STORE_BODY_MAX])
{
	struct wire_out w = wire_to(body, STORE_BODY_MAX);

	wire_put(&w, &l->internal, 16);
	wire_put_u16(&w, l->int_port);
	wire_put_u16(&w, l->number);
	wire_put_u8(&w, l->flags);
	wire_put_u8(&w, l->origin);
	wire_put_u8(&w, l->claims);
	wire_put_u8(&w, l->until_gone);
	put_u64(&w, l->created_ms + (uint64_t)base_ms);
	for (unsigned int by = 0; by < LEASE_BY_END; by++)
		if (l->claims >> by & 1)
			put_u64(&w, until_to_axis(l->until_ms[by], base_ms));
	if (l->flags & STORE_NONCE)
		wire_put(&w, l->nonce, sizeof(l->nonce));
	wire_put_u8(&w, l->n_filters);
	for (size_t i = 0; i < l->n_filters; i++) {
		wire_put(&w, &l->filters[i].addr, 16);
		wire_put_u8(&w, l->filters[i].len);
		wire_put_u16(&w, l->filters[i].port);
	}
	wire_put(&w, l->description, strnlen(l->description, LEASE_DESCRIPTION_MAX));
	return wire_len(&w);
}

static void read_key(struct wire *w, struct store_lease *l, struct in6_addr *inside)
{
	l->protocol = wire_u8(w);
	l->ext_port = wire_u16(w);
	l->remote_len = wire_u8(w);
	wire_copy(w, &l->remote, 16);
	l->remote_port = wire_u16(w);
	wire_copy(w, inside, 16);
}

static void read_filters(struct wire *w, struct store_lease *l)
{
	l->n_filters = wire_u8(w);
	if (l->n_filters > LEASE_FILTERS_MAX)
		w->bad = true;
	for (size_t i = 0; i < l->n_filters && !w->bad; i++) {
		wire_copy(w, &l->filters[i].addr, 16);
		l->filters[i].len = wire_u8(w);
		l->filters[i].port = wire_u16(w);
	}
}

static void read_body(struct wire *w, int64_t base_ms, struct store_lease *l)
{
	size_t left;

	wire_copy(w, &l->internal, 16);
	l->int_port = wire_u16(w);
	l->number = wire_u16(w);
	l->flags = wire_u8(w);
	l->origin = wire_u8(w);
	l->claims = wire_u8(w);
	l->until_gone = wire_u8(w);
	l->created_ms = get_u64(w) - (uint64_t)base_ms;
	for (unsigned int by = 0; by < LEASE_BY_END; by++)
		if (l->claims >> by & 1)
			l->until_ms[by] = until_from_axis(get_u64(w), base_ms);
	if (l->flags & STORE_NONCE)
		wire_copy(w, l->nonce, sizeof(l->nonce));
	read_filters(w, l);
	left = wire_left(w);
	if (left > LEASE_DESCRIPTION_MAX)
		w->bad = true;
	wire_copy(w, l->description, left);
}

int store_row_read(const void *key, size_t key_len, const void *body, size_t body_len,
		   int64_t base_ms, struct store_lease *l)
{
	struct wire k = wire_of(key, key_len), b = wire_of(body, body_len);
	uint8_t again[STORE_KEY];
	struct in6_addr inside;

	*l = (struct store_lease){0};
	read_key(&k, l, &inside);
	read_body(&b, base_ms, l);
	if (k.bad || b.bad || wire_left(&k) || !l->claims || !store_lease_valid(l))
		return -EBADMSG;
	store_row_key(l, again); /* the inside address is in both */
	return memcmp(again, key, STORE_KEY) ? -EBADMSG : 0;
}
