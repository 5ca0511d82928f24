/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Elements of the kernel's maps to leases and back. What decodes, encodes to an element that
 * decodes to the same lease; and each lease that the book can hold survives the way there
 * and back.
 *
 * An input: one byte says which way, then 48 bytes of key, destination, times or of the
 * lease's fields, then userdata or the description.
 */
#include <errno.h>

#include "base/addr.h"
#include "firewall/element.h"
#include "lease/filters.h"
#include "tests/fuzz/fuzz.h"

static void check_lease(const struct lease *l)
{
	struct lease again = *l;
	uint64_t latest = 0;

	must(l->protocol == IPPROTO_TCP || l->protocol == IPPROTO_UDP);
	must(l->ext_port && l->claims && l->claims < 1 << LEASE_BY_END);
	must(l->origin < LEASE_BY_END && !(l->until_gone & ~l->claims));
	must(l->remote_len <= 128 && l->n_filters <= 1);
	must(!lease_has_remote(l) || !l->n_filters);
	must(lease_is_pinhole(l) || (!l->remote_port && !l->number));
	must(lease_is_pinhole(l) || !l->remote_len || l->remote_len >= 96);
	must(!lease_is_pinhole(l) ||
	     (l->ext_port == l->int_port && l->enabled && !l->twin));
	must(!l->n_filters || filters_check(&again) == LEASE_OK);
	must(!l->n_filters || !memcmp(&again, l, sizeof(again)));
	must(strnlen(l->description, RECORD_DESCRIPTION) <= LEASE_DESCRIPTION_MAX);
	for (int by = 0; by < LEASE_BY_END; by++) {
		must(l->claims >> by & 1 || !l->until_ms[by]);
		if (l->until_ms[by] > latest)
			latest = l->until_ms[by];
	}
	must(l->deadline_ms == latest);
}

static void same_lease(const struct lease *a, const struct lease *b)
{
	must(lease_same_key(a, b) && a->int_port == b->int_port);
	must(addr_equal(&a->internal, &b->internal));
	must(a->twin == b->twin && a->enabled == b->enabled);
	must(a->has_nonce == b->has_nonce);
	must(!a->has_nonce || !memcmp(a->nonce, b->nonce, sizeof(a->nonce)));
	must(a->origin == b->origin && a->claims == b->claims &&
	     a->until_gone == b->until_gone);
	must(!strcmp(a->description, b->description));
	must(a->created_ms == b->created_ms && a->deadline_ms == b->deadline_ms &&
	     a->kernel_ms == b->kernel_ms);
	must(!memcmp(a->until_ms, b->until_ms, sizeof(a->until_ms)));
	must(a->number == b->number && a->n_filters == b->n_filters);
	must(!memcmp(a->filters, b->filters, sizeof(a->filters)));
}

/* The userdata in a block of its own size. */
static int decode(const struct element_key *key, const uint8_t dest[ELEMENT_DEST],
		  const uint8_t *userdata, size_t len, uint64_t kernel_ms,
		  struct lease *l)
{
	uint8_t *copy = fuzz_alloc(len);
	int err;

	if (len)
		memcpy(copy, userdata, len);
	err = element_decode(key, dest, copy, len, kernel_ms, l);
	free(copy);
	must(err == 0 || err == -ENOENT || err == -EPROTO || err == -EBADMSG);
	return err;
}

/* nft shows it between quotes on one line, and reads at most 128 bytes back. */
static void check_userdata(const uint8_t *u, size_t len)
{
	must(len <= ELEMENT_USERDATA_MAX && len > 2 && u[0] == 0);
	must(u[1] && u[1] <= ELEMENT_COMMENT_MAX + 1 && !u[1 + u[1]]);
	must(!memchr(u + 2, '"', u[1]) && !memchr(u + 2, '\n', u[1]));
}

static void there_and_back(const struct lease *l)
{
	uint8_t dest[ELEMENT_DEST], userdata[ELEMENT_USERDATA_MAX],
		again[sizeof(userdata)];
	struct element_key key;
	struct lease back;
	size_t len;

	must(!element_key(l, &key));
	element_dest(l, dest);
	len = element_userdata(l, userdata);
	check_userdata(userdata, len);
	must(!decode(&key, dest, userdata, len, l->kernel_ms, &back));
	check_lease(&back);
	same_lease(l, &back);
	must(element_userdata(&back, again) == len && !memcmp(userdata, again, len));
}

/* What a dump gave. Its key has the form of its map, or that of another one. */
static void from_kernel(struct feed *f, uint8_t bits)
{
	struct element_key key = {.map = feed_u8(f) % ELEMENT_MAPS}, ours;
	uint8_t dest[ELEMENT_DEST], mine[ELEMENT_DEST];
	bool range = element_map_is_range(key.map);
	uint64_t kernel_ms;
	struct lease l;

	size_t at, addr;

	key.len = element_map_key_len(key.map);
	if (!(bits & 2))
		key.len = (uint8_t)(feed_u8(f) % (ELEMENT_KEY_MAX + 1));
	feed_copy(f, key.from, key.len);
	addr = element_map_has_dest(key.map) ? 4 : 16;
	at = range ? addr + 4 : 0;
	if (range)
		feed_copy(f, key.to, bits & 8 ? addr : key.len);
	if (range && (bits & 8) &&
	    key.len > at) { /* a host or a network, any port or one */
		memcpy(key.to + at, key.from + at, key.len - at);
		key.from[addr + 2] = key.from[addr + 3] = 0;
		memcpy(key.to + addr, key.from + addr, 4);
		if (bits & 4) {
			memset(key.from + addr, 0, 4);
			key.to[addr] = key.to[addr + 1] = 0xff;
		}
		for (size_t i = 0; i < addr && (bits & 2); i++)
			key.to[i] = i + 2 < addr ? key.from[i] : key.from[i] | key.to[i];
	}
	if (bits & 16) {
		at += addr == 16 ? 16 : 0;
		key.from[at] = bits & 32 ? IPPROTO_TCP : IPPROTO_UDP;
		if (range)
			key.to[at] = key.from[at];
	}
	feed_copy(f, dest, sizeof(dest));
	kernel_ms = bits & 64 ? LEASE_NO_DEADLINE : feed_u64(f);
	if (decode(&key, dest, f->pos, f->left, kernel_ms, &l))
		return;
	check_lease(&l);
	must(l.kernel_ms == kernel_ms);
	there_and_back(&l);
	/* The key that the kernel has is the one that we would write, but for padding. */
	must(!element_key(&l, &ours));
	must((ours.map == key.map && ours.len == key.len) || !(bits & 2));
	element_dest(&l, mine);
	must(!element_map_has_dest(key.map) || !memcmp(mine, dest, 6));
}

/* The same fields for a host of IPv6. */
static void become_pinhole(struct lease *l, uint8_t bits)
{
	struct in6_addr host = {.s6_addr = {0x20, 0x01, 0x0d, 0xb8}};

	memcpy(&host.s6_addr[12], &l->internal.s6_addr[12], 4);
	l->internal = host;
	l->int_port = l->ext_port;
	l->enabled = true;
	l->twin = false;
	l->number = bits & 1 ? bits : 0;
	l->remote_port = bits & 2 ? bits : 0;
	if (l->remote_len) { /* host bits are zero there, too */
		memcpy(&host.s6_addr[12], &l->remote.s6_addr[12], 4);
		l->remote = host;
	}
}

/* A lease as the book makes them. */
static void from_book(struct feed *f, uint8_t bits)
{
	struct lease l = {.protocol = bits & 2 ? IPPROTO_TCP : IPPROTO_UDP};
	uint32_t v4 = feed_u32(f);

	l.enabled = bits & 4;
	l.twin = bits & 8;
	l.has_nonce = bits & 16;
	l.internal = addr_from_v4((struct in_addr){v4});
	l.ext_port = feed_u16(f) | 1;
	l.int_port = feed_u16(f);
	l.remote_len = feed_u8(f);
	l.remote_len = l.remote_len ? (uint8_t)(97 + l.remote_len % 32) : 0;
	v4 = feed_u32(f);
	if (l.remote_len) { /* host bits are zero, as policy_remote() makes it */
		v4 &= UINT32_MAX << (128 - l.remote_len);
		l.remote = addr_from_v4((struct in_addr){htonl(v4)});
	}
	if (bits & 32)
		become_pinhole(&l, feed_u8(f));
	if (bits & 64 && !lease_has_remote(&l)) {
		l.n_filters = 1;
		l.filters[0] = (struct lease_filter){
			.addr = l.internal,
			.len = (uint8_t)(bits & 128 ? 128 : 97),
			.port = l.int_port};
		must(!filters_check(&l));
	}
	l.origin = feed_u8(f) % LEASE_BY_END;
	l.claims = feed_u8(f) & 0x7f;
	l.claims = l.claims ? l.claims : 1;
	l.until_gone = feed_u8(f) & l.claims;
	l.created_ms = feed_u64(f);
	l.kernel_ms = feed_u64(f);
	if (l.has_nonce)
		feed_copy(f, l.nonce, sizeof(l.nonce));
	for (int by = 0; by < LEASE_BY_END; by++) {
		uint32_t ms = feed_u32(f);

		if (!(l.claims >> by & 1))
			continue;
		l.until_ms[by] = ms & 1 ? l.kernel_ms : ms;
		if (l.until_ms[by] > l.deadline_ms)
			l.deadline_ms = l.until_ms[by];
	}
	feed_copy(f, l.description,
		  f->left < LEASE_DESCRIPTION_MAX ? f->left : LEASE_DESCRIPTION_MAX);
	/* After the end of the text there is nothing. */
	memset(l.description + strlen(l.description), 0,
	       sizeof(l.description) - strlen(l.description));
	there_and_back(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = {data, size};
	uint8_t bits = feed_u8(&f);

	if (bits & 1)
		from_book(&f, bits);
	else
		from_kernel(&f, bits);
	return 0;
}
