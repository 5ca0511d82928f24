/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "firewall/element.h"

static struct lease xbox(void)
{
	struct lease l = {.protocol = IPPROTO_UDP,
			  .ext_port = 3075,
			  .int_port = 3074,
			  .twin = true,
			  .enabled = true,
			  .origin = LEASE_BY_UPNP,
			  .claims = 1U << LEASE_BY_UPNP,
			  .created_ms = 0x1234567890aULL,
			  .deadline_ms = 5000000,
			  .kernel_ms = 5000000};

	addr_parse("192.168.1.20", &l.internal);
	l.until_ms[LEASE_BY_UPNP] = 5000000;
	strcpy(l.description, "xbox");
	return l;
}

static struct lease pinhole(void)
{
	struct lease l = xbox();

	l.twin = false;
	l.ext_port = l.int_port = 8333;
	addr_parse("2001:db8:1::20", &l.internal);
	return l;
}

/* Everything that can be on a lease, with the longest text. */
static struct lease fullest(void)
{
	struct lease l = xbox();

	l.claims = (1U << LEASE_BY_END) - 1;
	l.until_gone = 1U << LEASE_BY_UPNP;
	l.origin = LEASE_BY_OPEN_NAT;
	for (int by = 0; by < LEASE_BY_END; by++)
		l.until_ms[by] = 1000000000000ULL + (unsigned int)by;
	l.until_ms[LEASE_BY_STATIC] = LEASE_NO_DEADLINE;
	l.deadline_ms = LEASE_NO_DEADLINE;
	l.has_nonce = true;
	memset(l.nonce, 0xee, sizeof(l.nonce));
	memset(l.description, 'd', LEASE_DESCRIPTION_MAX);
	return l;
}

/* Encodes and decodes; 0 or the error. */
static int there_and_back(const struct lease *l, struct lease *out)
{
	uint8_t userdata[ELEMENT_USERDATA_MAX], dest[ELEMENT_DEST];
	struct element_key key;
	size_t len = element_userdata(l, userdata);
	int err = element_key(l, &key);

	if (err)
		return err;
	assert_in_range(len, 1, ELEMENT_USERDATA_MAX);
	element_dest(l, dest);
	return element_decode(&key, dest, userdata, len, l->kernel_ms, out);
}

static void assert_same(const struct lease *a)
{
	struct lease b;

	assert_int_equal(there_and_back(a, &b), 0);
	assert_memory_equal(a, &b, sizeof(b));
}

static const char *comment_of(const struct lease *l,
			      uint8_t userdata[ELEMENT_USERDATA_MAX])
{
	size_t len = element_userdata(l, userdata);

	assert_int_equal(userdata[0], 0);
	assert_true((size_t)userdata[1] + 2 < len);
	assert_int_equal(userdata[1 + userdata[1]], 0);
	return (const char *)userdata + 2;
}

static void a_lease_comes_back_as_it_was(void **state)
{
	struct lease l = xbox();

	(void)state;
	assert_same(&l);
	l.description[0] = 0;
	memset(l.description, 0, sizeof(l.description));
	assert_same(&l);
	l.twin = l.enabled = false;
	l.protocol = IPPROTO_TCP;
	assert_same(&l);
	l = fullest();
	assert_same(&l);
}

static void every_origin_and_claim_comes_back(void **state)
{
	(void)state;
	for (uint8_t by = 0; by < LEASE_BY_END; by++) {
		struct lease l = xbox();

		l.origin = by;
		assert_same(&l);
		l.until_ms[LEASE_BY_UPNP] = 0;
		l.claims = (uint8_t)(1U << by);
		l.until_ms[by] = l.deadline_ms;
		assert_same(&l);
	}
}

static void a_lease_without_a_clock_keeps_its_own_end(void **state)
{
	struct lease l = xbox();

	(void)state;
	l.until_gone = l.claims;
	l.until_ms[LEASE_BY_UPNP] = l.deadline_ms = 604800000;
	l.kernel_ms = 1800000; /* re-armed every now and then */
	assert_same(&l);
}

static void a_static_lease_never_ends(void **state)
{
	struct lease l = xbox();

	(void)state;
	l.origin = LEASE_BY_STATIC;
	l.claims = 1U << LEASE_BY_STATIC;
	l.until_ms[LEASE_BY_UPNP] = 0;
	l.until_ms[LEASE_BY_STATIC] = l.deadline_ms = l.kernel_ms = LEASE_NO_DEADLINE;
	assert_same(&l);
}

/* nftables keeps userdata for good, so a renewal in place must not need another one. */
static void renewing_an_only_claim_leaves_the_userdata_alone(void **state)
{
	uint8_t one[ELEMENT_USERDATA_MAX], two[ELEMENT_USERDATA_MAX];
	struct lease l = xbox();
	size_t len = element_userdata(&l, one);

	(void)state;
	l.deadline_ms = l.kernel_ms = l.until_ms[LEASE_BY_UPNP] = 9000000;
	assert_int_equal(element_userdata(&l, two), len);
	assert_memory_equal(one, two, len);
}

static void renewing_one_of_two_claims_changes_it(void **state)
{
	uint8_t one[ELEMENT_USERDATA_MAX], two[ELEMENT_USERDATA_MAX];
	struct lease l = xbox();
	size_t len;

	(void)state;
	l.claims |= 1U << LEASE_BY_PCP;
	l.until_ms[LEASE_BY_PCP] = 4000000;
	assert_same(&l);
	len = element_userdata(&l, one);
	l.deadline_ms = l.kernel_ms = l.until_ms[LEASE_BY_UPNP] = 9000000;
	assert_int_equal(element_userdata(&l, two), len);
	assert_memory_not_equal(one, two, len);
	assert_same(&l);
}

static void the_end_of_an_only_claim_is_the_kernels(void **state)
{
	uint8_t userdata[ELEMENT_USERDATA_MAX], dest[ELEMENT_DEST];
	struct lease l = xbox(), got;
	struct element_key key;
	size_t len = element_userdata(&l, userdata);

	(void)state;
	assert_int_equal(element_key(&l, &key), 0);
	element_dest(&l, dest);
	assert_int_equal(element_decode(&key, dest, userdata, len, 777, &got), 0);
	assert_int_equal(got.deadline_ms, 777);
	assert_int_equal(got.until_ms[LEASE_BY_UPNP], 777);
}

static void keys_have_the_kernels_layout(void **state)
{
	static const uint8_t port[] = {17, 0, 0, 0, 0x0c, 0x03, 0, 0};
	static const uint8_t dest[] = {192, 168, 1, 20, 0x0c, 0x02, 0, 0};
	static const uint8_t rev[] = {192, 168, 1, 20, 17, 0, 0, 0, 0x0c, 0x02, 0, 0};
	uint8_t buf[ELEMENT_HOST_KEY];
	struct lease l = xbox();
	struct element_key key;

	(void)state;
	assert_int_equal(element_key(&l, &key), 0);
	assert_int_equal(key.map, ELEMENT_LEASES);
	assert_int_equal(key.len, sizeof(port));
	assert_memory_equal(key.from, port, sizeof(port));
	element_held_key(&l, buf);
	assert_memory_equal(buf, port, sizeof(port));
	element_dest(&l, buf);
	assert_memory_equal(buf, dest, sizeof(dest));
	element_rev_key(&l, buf);
	assert_memory_equal(buf, rev, sizeof(rev));
	l.enabled = false;
	assert_int_equal(element_key(&l, &key), 0);
	assert_int_equal(key.map, ELEMENT_DISABLED);
}

static void remotes_become_ranges_and_come_back(void **state)
{
	static const struct {
		const char *text;
		uint8_t from[4], to[4];
	} c[] = {{"11.0.0.7", {11, 0, 0, 7}, {11, 0, 0, 7}},
		 {"11.0.0.0/24", {11, 0, 0, 0}, {11, 0, 0, 255}},
		 {"11.0.0.4/31", {11, 0, 0, 4}, {11, 0, 0, 5}},
		 {"11.128.0.0/9", {11, 128, 0, 0}, {11, 255, 255, 255}},
		 {"0.0.0.0/0", {0, 0, 0, 0}, {255, 255, 255, 255}}};

	(void)state;
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct lease l = xbox();
		struct element_key key;
		struct prefix p;

		assert_int_equal(prefix_parse(c[i].text, &p), 0);
		l.remote = p.addr;
		l.remote_len = p.len;
		assert_int_equal(element_key(&l, &key), 0);
		assert_int_equal(key.map, ELEMENT_LEASES_FROM);
		assert_memory_equal(key.from, c[i].from, 4);
		assert_memory_equal(key.to, c[i].to, 4);
		assert_same(&l);
		l.enabled = false;
		assert_same(&l);
	}
}

static void families_do_not_mix(void **state)
{
	struct lease l = xbox();
	struct element_key key;

	(void)state;
	l.remote_len = 64;
	addr_parse("fd00::", &l.remote);
	assert_int_equal(element_key(&l, &key), -EAFNOSUPPORT);
	l = xbox();
	l.protocol = IPPROTO_SCTP;
	assert_int_equal(element_key(&l, &key), -EINVAL);
	l = pinhole();
	l.remote_len = 128;
	addr_parse("11.0.0.2", &l.remote);
	assert_int_equal(element_key(&l, &key), -EAFNOSUPPORT);
	l = pinhole();
	l.enabled = false;
	assert_int_equal(element_key(&l, &key), -EAFNOSUPPORT);
	l = pinhole();
	l.ext_port++;
	assert_int_equal(element_key(&l, &key), -EINVAL);
}

static void pinholes_come_back(void **state)
{
	static const uint8_t open[] = {0x20, 1, 0xd, 0xb8, 0,  1, 0, 0, 0,    0,    0, 0,
				       0,    0, 0,   0x20, 17, 0, 0, 0, 0x20, 0x8d, 0, 0};
	struct lease l = pinhole();
	struct element_key key;

	(void)state;
	assert_int_equal(element_key(&l, &key), 0);
	assert_int_equal(key.map, ELEMENT_PIN6);
	assert_int_equal(key.len, sizeof(open));
	assert_memory_equal(key.from, open, sizeof(open));
	assert_same(&l);
	l.remote_len = 33;
	addr_parse("2001:db8:8000::", &l.remote);
	assert_int_equal(element_key(&l, &key), 0);
	assert_int_equal(key.map, ELEMENT_PIN6_FROM);
	assert_int_equal(key.len, ELEMENT_PIN6_FROM_KEY);
	assert_memory_equal(key.from + 20, open, sizeof(open));
	assert_memory_equal(key.to + 20, open, sizeof(open));
	assert_int_equal(key.to[4], 0xff); /* 0x80 | 0x7f of the fifth byte */
	assert_int_equal(key.from[17] | key.from[16], 0);
	assert_int_equal(key.to[16] & key.to[17], 0xff);
	assert_same(&l);
	l.remote_len = 1;
	memset(&l.remote, 0, sizeof(l.remote));
	assert_same(&l);
	l.remote_port = 5000;
	assert_same(&l);
	l.remote_len = 0; /* from anybody's port */
	assert_int_equal(element_key(&l, &key), 0);
	assert_int_equal(key.map, ELEMENT_PIN6_FROM);
	assert_same(&l);
	l.number = 65535;
	assert_same(&l);
	l = pinhole();
	l.number = 1;
	assert_same(&l);
	l.has_nonce = true;
	memset(l.nonce, 0xee, sizeof(l.nonce));
	memset(l.description, 'd', LEASE_DESCRIPTION_MAX);
	assert_same(&l);
}

static void a_number_is_a_pinholes_and_not_0(void **state)
{
	uint8_t userdata[ELEMENT_USERDATA_MAX], dest[ELEMENT_DEST];
	struct lease l = pinhole(), like = xbox(), got;
	struct element_key key, other;
	size_t len;

	(void)state;
	l.number = 7;
	assert_int_equal(element_key(&l, &key), 0);
	assert_int_equal(element_key(&like, &other), 0);
	element_dest(&like, dest);
	len = element_userdata(&l, userdata);
	assert_int_equal(element_decode(&key, NULL, userdata, len, l.kernel_ms, &got), 0);
	assert_int_equal(element_decode(&other, dest, userdata, len, l.kernel_ms, &got),
			 -EBADMSG);
	userdata[len - 2] = userdata[len - 1] = 0; /* it stands last */
	assert_int_equal(element_decode(&key, NULL, userdata, len, l.kernel_ms, &got),
			 -EBADMSG);
	like.remote_port = 5000; /* leases have no such remote */
	assert_int_equal(element_key(&like, &other), -EAFNOSUPPORT);
}

/* A lease of three filters is three elements with one userdata. */
static void filters_come_back_one_by_one(void **state)
{
	struct lease l[] = {xbox(), pinhole()}, got;
	uint8_t userdata[ELEMENT_USERDATA_MAX], dest[ELEMENT_DEST];

	(void)state;
	addr_parse("11.0.0.2", &l[0].filters[0].addr);
	addr_parse("12.0.0.0", &l[0].filters[1].addr);
	addr_parse("2001:db8::2", &l[1].filters[0].addr);
	addr_parse("2001:db9::", &l[1].filters[1].addr);
	for (size_t i = 0; i < 2; i++) {
		size_t len;

		l[i].n_filters = 2;
		l[i].filters[0].len = 128;
		l[i].filters[0].port = 5000;
		l[i].filters[1].len = i ? 32 : 104;
		assert_int_equal(element_count(&l[i]), 2);
		element_dest(&l[i], dest);
		len = element_userdata(&l[i], userdata);
		for (size_t f = 0; f < 2; f++) {
			struct lease one = l[i];
			struct element_key key;

			assert_int_equal(element_key_of(&l[i], f, &key), 0);
			assert_int_equal(key.map,
					 i ? ELEMENT_PIN6_FROM : ELEMENT_LEASES_FROM);
			assert_int_equal(element_decode(&key, dest, userdata, len,
							l[i].kernel_ms, &got),
					 0);
			memset(one.filters, 0, sizeof(one.filters));
			one.n_filters = 1;
			one.filters[0] = l[i].filters[f];
			assert_memory_equal(&got, &one, sizeof(one));
		}
	}
	l[0].enabled = false;
	l[0].n_filters = 1;
	memset(&l[0].filters[1], 0, sizeof(l[0].filters[1]));
	assert_same(&l[0]);
}

/* Without the mark in its userdata an element with a port is nobody's lease, and with it one
 * without a range is not either. */
static void a_filter_that_belies_its_map_is_refused(void **state)
{
	uint8_t userdata[ELEMENT_USERDATA_MAX], dest[ELEMENT_DEST];
	struct lease open = xbox(), l = xbox(), got;
	struct element_key key, open_key;
	size_t len;

	(void)state;
	l.n_filters = 1;
	l.filters[0].len = 128;
	l.filters[0].port = 5000;
	addr_parse("11.0.0.2", &l.filters[0].addr);
	element_dest(&l, dest);
	element_key(&l, &key);
	element_key(&open, &open_key);
	len = element_userdata(&l, userdata);
	assert_int_equal(element_decode(&open_key, dest, userdata, len, 1, &got),
			 -EBADMSG);
	len = element_userdata(&open, userdata);
	assert_int_equal(element_decode(&key, dest, userdata, len, 1, &got), -ENOENT);
	key.len = ELEMENT_PORT_KEY;
	assert_int_equal(element_decode(&key, dest, userdata, len, 1, &got), -ENOENT);
	key.len = ELEMENT_FROM_KEY;
	key.to[5]++; /* a range of source ports */
	len = element_userdata(&l, userdata);
	assert_int_equal(element_decode(&key, dest, userdata, len, 1, &got), -ENOENT);
}

static void a_pinhole_with_a_twin_is_refused(void **state)
{
	uint8_t userdata[ELEMENT_USERDATA_MAX];
	struct lease l = pinhole(), like = xbox(), got;
	struct element_key key;
	size_t len;

	(void)state;
	element_key(&l, &key);
	len = element_userdata(&like, userdata); /* it has one */
	assert_int_equal(element_decode(&key, NULL, userdata, len, 1, &got), -EBADMSG);
	len = element_userdata(&l, userdata);
	assert_int_equal(element_decode(&key, NULL, userdata, len, 1, &got), 0);
	memset(key.from, 0, 16);
	memset(key.from + 10, 0xff, 2); /* ::ffff:0.0.0.0 */
	assert_int_equal(element_decode(&key, NULL, userdata, len, 1, &got), -ENOENT);
}

static void the_comment_reads_well(void **state)
{
	uint8_t userdata[ELEMENT_USERDATA_MAX];
	struct lease l = xbox();

	(void)state;
	assert_string_equal(comment_of(&l, userdata), "upnp xbox");
	l.description[0] = 0;
	assert_string_equal(comment_of(&l, userdata), "upnp");
	l.origin = LEASE_BY_NATPMP;
	strcpy(l.description, "caf\xc3\xa9 \xe2\x9c\x93");
	assert_string_equal(comment_of(&l, userdata), "nat-pmp caf\xc3\xa9 \xe2\x9c\x93");
}

/* A quote would end it in `nft list`, an escape sequence would run in a terminal. */
static void the_comment_holds_nothing_unprintable(void **state)
{
	static const struct {
		const char *text, *comment;
	} c[] = {{"a\"b", "upnp a'b"},
		 {"a\nb\x1b[2J", "upnp a?b?[2J"},
		 {"\xff\xfe\x80", "upnp ???"},
		 {"\xc2\x9b"
		  "31m",
		  "upnp ?31m"}, /* C1: CSI */
		 {"\xe2\x80\xae"
		  "evil",
		  "upnp ?evil"},               /* right to left override */
		 {"\xed\xa0\x80", "upnp ???"}, /* surrogate */
		 {"\xc0\x80", "upnp ??"},      /* overlong */
		 {"x\xe2\x9c", "upnp x??"},    /* cut */
		 {"\x7f", "upnp ?"}};

	(void)state;
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		uint8_t userdata[ELEMENT_USERDATA_MAX];
		struct lease l = xbox();

		memset(l.description, 0, sizeof(l.description));
		strcpy(l.description, c[i].text);
		assert_string_equal(comment_of(&l, userdata), c[i].comment);
		assert_same(&l); /* the true text is kept all the same */
	}
}

static void the_longest_comment_is_one_that_nft_reads_back(void **state)
{
	uint8_t userdata[ELEMENT_USERDATA_MAX];
	struct lease l = fullest();

	(void)state;
	assert_in_range(strlen(comment_of(&l, userdata)), 8, ELEMENT_COMMENT_MAX);
	l = xbox();
	memset(l.description, 'd', LEASE_DESCRIPTION_MAX);
	assert_in_range(strlen(comment_of(&l, userdata)), 8, ELEMENT_COMMENT_MAX);
	assert_same(&l);
	for (size_t i = 0; i + 2 < LEASE_DESCRIPTION_MAX; i += 3)
		memcpy(l.description + i, "\xe2\x9c\x93", 3);
	l.description[126] = l.description[127] = 0;
	comment_of(&l, userdata);
	assert_same(&l); /* cut between two characters */
}

/* The trap of nftables.md 3: 255 is refused, 256 is taken and not kept. */
static void userdata_never_passes_254_bytes(void **state)
{
	(void)state;
	for (unsigned int claims = 1; claims < 1U << LEASE_BY_END; claims++)
		for (size_t len = 0; len <= LEASE_DESCRIPTION_MAX; len++) {
			struct lease l = fullest();

			l.claims = (uint8_t)claims;
			l.until_gone &= l.claims;
			for (int by = 0; by < LEASE_BY_END; by++)
				if (!(claims >> by & 1))
					l.until_ms[by] = 0;
			l.deadline_ms = 0;
			for (int by = 0; by < LEASE_BY_END; by++)
				if (l.until_ms[by] > l.deadline_ms)
					l.deadline_ms = l.until_ms[by];
			memset(l.description + len, 0, sizeof(l.description) - len);
			if (len % 2)
				l.description[0] = '\n';
			assert_same(&l);
		}
}

/* Decodes from a heap block of exactly that size, so that ASan sees every byte too far. */
static int decode_exactly(const uint8_t *userdata, size_t len, struct lease *l)
{
	struct lease like = xbox();
	struct element_key key;
	uint8_t dest[ELEMENT_DEST];
	uint8_t *copy = malloc(len ? len : 1);
	int err;

	assert_non_null(copy);
	memcpy(copy, userdata, len);
	element_key(&like, &key);
	element_dest(&like, dest);
	err = element_decode(&key, dest, len ? copy : copy + 1, len, 5000000, l);
	free(copy);
	return err;
}

static void any_truncation_is_refused(void **state)
{
	struct lease l[] = {xbox(), fullest(), xbox()}, got;

	(void)state;
	strcpy(l[2].description, "tab\t");
	for (size_t i = 0; i < sizeof(l) / sizeof(l[0]); i++) {
		uint8_t userdata[ELEMENT_USERDATA_MAX];
		size_t len = element_userdata(&l[i], userdata);

		assert_int_equal(decode_exactly(userdata, len, &got), 0);
		for (size_t cut = 0; cut < len; cut++)
			assert_int_not_equal(decode_exactly(userdata, cut, &got), 0);
	}
}

/* The private attribute cut short, with a length that says so. */
static void a_shorter_body_is_refused(void **state)
{
	struct lease l = xbox(), got;
	uint8_t userdata[ELEMENT_USERDATA_MAX];
	size_t len, at;

	(void)state;
	l.claims |= 1U << LEASE_BY_PCP;
	l.until_ms[LEASE_BY_PCP] = 1;
	l.has_nonce = true;
	len = element_userdata(&l, userdata);
	at = 2U + userdata[1]; /* of the private attribute */
	for (uint8_t n = userdata[at + 1]; n-- > 0;) {
		userdata[at + 1] = n;
		assert_int_not_equal(decode_exactly(userdata, --len, &got), 0);
	}
}

static void noise_is_refused_or_makes_a_sane_lease(void **state)
{
	uint32_t r = 1;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		struct lease l = i & 1 ? fullest() : xbox(), got;
		uint8_t userdata[ELEMENT_USERDATA_MAX];
		size_t len = element_userdata(&l, userdata);

		for (int k = 0; k < 1 + i % 3; k++) {
			r = r * 1103515245 + 12345;
			userdata[(r >> 16) % len] ^= (uint8_t)(1U << (r >> 8 & 7));
		}
		if (decode_exactly(userdata, len, &got))
			continue;
		assert_true(got.origin < LEASE_BY_END);
		assert_true(got.claims && got.claims < 1U << LEASE_BY_END);
		assert_int_equal(got.until_gone & ~got.claims, 0);
		assert_in_range(strnlen(got.description, sizeof(got.description)), 0,
				LEASE_DESCRIPTION_MAX);
	}
}

static void strangers_and_other_versions_are_told_apart(void **state)
{
	static const uint8_t admins[] = {0, 4, 'w', 'e', 'b', 0};
	uint8_t userdata[ELEMENT_USERDATA_MAX];
	struct lease l = xbox(), got;
	size_t len = element_userdata(&l, userdata);

	(void)state;
	assert_int_equal(decode_exactly(admins, sizeof(admins), &got), -ENOENT);
	assert_int_equal(decode_exactly(admins, 0, &got), -ENOENT);
	userdata[2 + userdata[1] + 2] = ELEMENT_VERSION + 1;
	assert_int_equal(decode_exactly(userdata, len, &got), -EPROTO);
}

static void a_map_that_belies_the_userdata_is_refused(void **state)
{
	uint8_t userdata[ELEMENT_USERDATA_MAX], dest[ELEMENT_DEST];
	struct lease l = xbox(), got;
	size_t len = element_userdata(&l, userdata);
	struct element_key key;

	(void)state;
	element_key(&l, &key);
	element_dest(&l, dest);
	key.map = ELEMENT_DISABLED;
	assert_int_equal(element_decode(&key, dest, userdata, len, 1, &got), -EBADMSG);
	key.map = ELEMENT_LEASES;
	key.from[0] = IPPROTO_ICMP;
	assert_int_equal(element_decode(&key, dest, userdata, len, 1, &got), -ENOENT);
}

static void a_range_that_is_no_prefix_is_not_ours(void **state)
{
	uint8_t userdata[ELEMENT_USERDATA_MAX], dest[ELEMENT_DEST];
	struct lease l = xbox(), got;
	struct element_key key;
	size_t len;

	(void)state;
	l.remote_len = 120;
	addr_parse("11.0.0.0", &l.remote);
	len = element_userdata(&l, userdata);
	element_key(&l, &key);
	element_dest(&l, dest);
	assert_int_equal(element_decode(&key, dest, userdata, len, 1, &got), 0);
	key.to[3] = 9;
	assert_int_equal(element_decode(&key, dest, userdata, len, 1, &got), -ENOENT);
	key.to[3] = 255;
	key.to[9]++; /* a range of ports */
	assert_int_equal(element_decode(&key, dest, userdata, len, 1, &got), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lease_comes_back_as_it_was),
		cmocka_unit_test(every_origin_and_claim_comes_back),
		cmocka_unit_test(a_lease_without_a_clock_keeps_its_own_end),
		cmocka_unit_test(a_static_lease_never_ends),
		cmocka_unit_test(renewing_an_only_claim_leaves_the_userdata_alone),
		cmocka_unit_test(renewing_one_of_two_claims_changes_it),
		cmocka_unit_test(the_end_of_an_only_claim_is_the_kernels),
		cmocka_unit_test(keys_have_the_kernels_layout),
		cmocka_unit_test(remotes_become_ranges_and_come_back),
		cmocka_unit_test(families_do_not_mix),
		cmocka_unit_test(pinholes_come_back),
		cmocka_unit_test(a_number_is_a_pinholes_and_not_0),
		cmocka_unit_test(filters_come_back_one_by_one),
		cmocka_unit_test(a_filter_that_belies_its_map_is_refused),
		cmocka_unit_test(a_pinhole_with_a_twin_is_refused),
		cmocka_unit_test(the_comment_reads_well),
		cmocka_unit_test(the_comment_holds_nothing_unprintable),
		cmocka_unit_test(the_longest_comment_is_one_that_nft_reads_back),
		cmocka_unit_test(userdata_never_passes_254_bytes),
		cmocka_unit_test(any_truncation_is_refused),
		cmocka_unit_test(a_shorter_body_is_refused),
		cmocka_unit_test(noise_is_refused_or_makes_a_sane_lease),
		cmocka_unit_test(strangers_and_other_versions_are_told_apart),
		cmocka_unit_test(a_map_that_belies_the_userdata_is_refused),
		cmocka_unit_test(a_range_that_is_no_prefix_is_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
