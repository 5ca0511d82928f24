/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store's bytes: rows of a file that anything may have happened to, and leases that go
 * there and come back. What is read is valid, or refused; what is written is read as it was.
 *
 * An input: one byte (which), a base of the axis, then the bytes.
 */
#include "lease/kept.h"
#include "lease/store_row.h"
#include "tests/fuzz/fuzz.h"

static void read_row(struct feed *f, int64_t base_ms)
{
	size_t key_len = feed_u8(f), body_len;
	uint8_t key[STORE_KEY], body[STORE_BODY_MAX];
	uint8_t *key_block = feed_block(f, &key_len), *body_block;
	struct store_lease l;
	struct lease lease;

	body_len = f->left;
	body_block = feed_block(f, &body_len);
	if (!store_row_read(key_block, key_len, body_block, body_len, base_ms, &l)) {
		must(store_lease_valid(&l) && l.claims && key_len == STORE_KEY);
		store_row_key(&l, key);
		must(!memcmp(key, key_block, STORE_KEY));
		kept_to_lease(&l, &lease);
		must(lease.n_filters <= LEASE_FILTERS_MAX && lease.claims == l.claims);
		must(!(l.claims & LEASE_IDLE_CLAIMS)); /* not kept */
		must(strlen(lease.description) <= LEASE_DESCRIPTION_MAX);
		must(store_row_body(&l, base_ms, body) <= body_len);
	}
	free(key_block);
	free(body_block);
}

/* A record in form, be it from the core or back: it survives the file. */
static void write_row(struct feed *f, int64_t base_ms)
{
	uint8_t key[STORE_KEY], body[STORE_BODY_MAX];
	struct store_lease l, again, third;
	struct lease lease;
	size_t len;

	feed_copy(f, &l, sizeof(l));
	l.zero = 0;
	l.protocol = l.protocol & 1 ? IPPROTO_TCP : IPPROTO_UDP;
	l.n_filters %= LEASE_FILTERS_MAX + 1;
	for (size_t i = 0; i < LEASE_FILTERS_MAX; i++)
		l.filters[i].zero = 0;
	l.flags &= STORE_FLAGS;
	l.origin %= LEASE_BY_END;
	l.claims &= ((1 << LEASE_BY_END) - 1) & ~LEASE_IDLE_CLAIMS; /* not kept */
	l.until_gone &= l.claims;
	l.description[LEASE_DESCRIPTION_MAX] = '\0';
	if (!l.claims || !store_lease_valid(&l))
		return;
	store_row_key(&l, key);
	len = store_row_body(&l, base_ms, body);
	must(len && len <= STORE_BODY_MAX);
	must(!store_row_read(key, sizeof(key), body, len, base_ms, &again));
	must(store_row_body(&again, base_ms, body) == len);
	must(!store_row_read(key, sizeof(key), body, len, base_ms, &third));
	must(!memcmp(&again, &third, sizeof(again)));
	must(again.created_ms == l.created_ms && again.number == l.number &&
	     again.claims == l.claims && again.int_port == l.int_port);
	kept_to_lease(&again, &lease);
	kept_from_lease(&lease, false, &third);
	must(!memcmp(&again, &third, sizeof(again)));
	kept_from_lease(&lease, true, &third);
	must(store_lease_valid(&third) && !third.claims);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = {data, size};
	bool reads = feed_u8(&f) & 1;
	int64_t base_ms = (int64_t)(feed_u64(&f) & INT64_MAX) >> 8;

	if (reads)
		read_row(&f, base_ms);
	else
		write_row(&f, base_ms);
	return 0;
}
