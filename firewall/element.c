/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/element.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/wire.h"

#define V4_MAPPED 96 /* the bits of ::ffff:0:0/96 before an IPv4 address */
#define TLV_COMMENT 0
#define TLV_HEAD 2
#define BODY_FIXED (5 + 8) /* up to created_ms */
#define BODY_MAX                                                                         \
	(BODY_FIXED + 8 * LEASE_BY_END + PCP_NONCE_LEN + 2 + 4 + LEASE_DESCRIPTION_MAX)

/* With everything in it there is still room for a short comment and its NUL. */
static_assert(BODY_MAX + 2 * TLV_HEAD + 16 <= ELEMENT_USERDATA_MAX,
	      "userdata is too small");
static_assert(LEASE_BY_END <= 8, "claims fit one byte");

static const struct {
	const char *name;
	uint8_t key_len;
	bool range;
	bool dest;
} maps[ELEMENT_MAPS] = {
	[ELEMENT_LEASES] = {"leases", ELEMENT_PORT_KEY, false, true},
	[ELEMENT_LEASES_FROM] = {"leases_from", ELEMENT_FROM_KEY, true, true},
	[ELEMENT_DISABLED] = {"disabled", ELEMENT_PORT_KEY, false, true},
	[ELEMENT_DISABLED_FROM] = {"disabled_from", ELEMENT_FROM_KEY, true, true},
	[ELEMENT_PIN6] = {"pin6", ELEMENT_PIN6_KEY, false, false},
	[ELEMENT_PIN6_FROM] = {"pin6_from", ELEMENT_PIN6_FROM_KEY, true, false},
};

const char *element_map_name(enum element_map map)
{
	return maps[map].name;
}

uint8_t element_map_key_len(enum element_map map)
{
	return maps[map].key_len;
}

bool element_map_is_range(enum element_map map)
{
	return maps[map].range;
}

bool element_map_has_dest(enum element_map map)
{
	return maps[map].dest;
}

/* Keys and data */

static void put_port(uint8_t field[4], uint16_t port)
{
	field[0] = (uint8_t)(port >> 8);
	field[1] = (uint8_t)port;
	field[2] = field[3] = 0;
}

static uint16_t get_port(const uint8_t field[4])
{
	return (uint16_t)(field[0] << 8 | field[1]);
}

static void put_proto_port(uint8_t key[ELEMENT_PORT_KEY], uint8_t protocol, uint16_t port)
{
	key[0] = protocol;
	key[1] = key[2] = key[3] = 0;
	put_port(key + 4, port);
}

/* The first and the last address of a prefix that counts 128 bits. */
static void put_range(const struct in6_addr *addr, unsigned int len,
		      struct in6_addr *from, struct in6_addr *to)
{
	for (unsigned int i = 0; i < 16; i++) {
		unsigned int own = len >= 8 * (i + 1) ? 8 : len > 8 * i ? len - 8 * i : 0;
		uint8_t host = (uint8_t)(0xff >> own);

		from->s6_addr[i] = (uint8_t)(addr->s6_addr[i] & ~host);
		to->s6_addr[i] = (uint8_t)(addr->s6_addr[i] | host);
	}
}

/* The reverse; -EINVAL if the range is no prefix. */
static int get_prefix(const struct in6_addr *from, const struct in6_addr *to,
		      uint8_t *len)
{
	bool host = false;

	*len = 0;
	for (unsigned int bit = 0; bit < 128; bit++) {
		uint8_t mask = (uint8_t)(0x80 >> (bit % 8));
		bool first = from->s6_addr[bit / 8] & mask;
		bool last = to->s6_addr[bit / 8] & mask;

		host = host || first != last;
		if (host && (first || !last))
			return -EINVAL;
		*len = (uint8_t)(*len + !host);
	}
	return 0;
}

/* Who may come in by one element: the remote, a filter, or everybody. */
static struct lease_filter element_from(const struct lease *l, size_t i)
{
	if (i < l->n_filters)
		return l->filters[i];
	return (struct lease_filter){
		.addr = l->remote, .len = l->remote_len, .port = l->remote_port};
}

size_t element_count(const struct lease *l)
{
	return l->n_filters ? l->n_filters : 1;
}

/* remote . source port, from field 0 on; addr_len is that of the family. */
static void put_from(struct element_key *key, const struct lease_filter *f,
		     size_t addr_len)
{
	struct in6_addr from, to;

	put_range(&f->addr, f->len, &from, &to);
	memcpy(key->from, &from.s6_addr[16 - addr_len], addr_len);
	memcpy(key->to, &to.s6_addr[16 - addr_len], addr_len);
	put_port(key->from + addr_len, f->port);
	put_port(key->to + addr_len, f->port ? f->port : 0xffff);
}

static int pin6_key(const struct lease *l, size_t i, bool from, struct element_key *key)
{
	struct lease_filter f = element_from(l, i);
	uint8_t at = from ? 16 + 4 : 0;

	if (!l->enabled ||
	    (from && (f.len > 128 || (addr_is_v4(&f.addr) && f.len >= V4_MAPPED))))
		return -EAFNOSUPPORT;
	if (l->ext_port != l->int_port)
		return -EINVAL;
	key->map = from ? ELEMENT_PIN6_FROM : ELEMENT_PIN6;
	if (from)
		put_from(key, &f, 16);
	memcpy(key->from + at, &l->internal, 16);
	put_proto_port(key->from + at + 16, l->protocol, l->ext_port);
	if (from)
		memcpy(key->to + at, key->from + at, ELEMENT_PIN6_KEY);
	key->len = maps[key->map].key_len;
	return 0;
}

static int lease_key(const struct lease *l, size_t i, bool from, struct element_key *key)
{
	struct lease_filter f = element_from(l, i);

	if (from &&
	    (!addr_is_v4(&f.addr) || f.len < V4_MAPPED || f.len > 128 || l->remote_port))
		return -EAFNOSUPPORT;
	if (from) {
		key->map = l->enabled ? ELEMENT_LEASES_FROM : ELEMENT_DISABLED_FROM;
		put_from(key, &f, 4);
		put_proto_port(key->from + 8, l->protocol, l->ext_port);
		memcpy(key->to + 8, key->from + 8, ELEMENT_PORT_KEY);
	} else {
		key->map = l->enabled ? ELEMENT_LEASES : ELEMENT_DISABLED;
		put_proto_port(key->from, l->protocol, l->ext_port);
	}
	key->len = maps[key->map].key_len;
	return 0;
}

int element_key_of(const struct lease *l, size_t i, struct element_key *key)
{
	bool from = lease_has_remote(l) || l->n_filters;

	if (l->protocol != IPPROTO_TCP && l->protocol != IPPROTO_UDP)
		return -EINVAL;
	memset(key, 0, sizeof(*key));
	return lease_is_pinhole(l) ? pin6_key(l, i, from, key)
				   : lease_key(l, i, from, key);
}

int element_key(const struct lease *l, struct element_key *key)
{
	return element_key_of(l, 0, key);
}

void element_dest(const struct lease *l, uint8_t dest[ELEMENT_DEST])
{
	memcpy(dest, &l->internal.s6_addr[12], 4);
	put_port(dest + 4, l->int_port);
}

void element_rev_key(const struct lease *l, uint8_t key[ELEMENT_HOST_KEY])
{
	memcpy(key, &l->internal.s6_addr[12], 4);
	put_proto_port(key + 4, l->protocol, l->int_port);
}

void element_owner_key(const struct lease *l, uint8_t key[ELEMENT_HOST_KEY])
{
	struct in_addr host = addr_to_v4(&l->internal);

	element_held_key(l, key);
	memcpy(key + ELEMENT_PORT_KEY, &host, sizeof(host));
}

void element_held_key(const struct lease *l, uint8_t key[ELEMENT_PORT_KEY])
{
	put_proto_port(key, l->protocol, l->ext_port);
}

/* The comment */

/* The character at s and its length, RFC 3629 section 4; 0: not well-formed. */
static size_t utf8_char(const uint8_t *s, uint32_t *cp)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s[0] < 0x80   ? 1
		   : s[0] < 0xc2 ? 0
		   : s[0] < 0xe0 ? 2
		   : s[0] < 0xf0 ? 3
		   : s[0] < 0xf5 ? 4
				 : 0;

	if (n < 2) {
		*cp = s[0];
		return n;
	}
	*cp = s[0] & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*cp = *cp << 6 | (s[i] & 0x3fU);
	}
	if (*cp < least[n] || *cp > 0x10ffff || (*cp >= 0xd800 && *cp < 0xe000))
		return 0;
	return n;
}

/* What may stand in a one-line comment between double quotes: no controls, no quote, nothing
 * that breaks the line or turns the direction of writing. */
static bool is_plain(uint32_t cp)
{
	return cp >= 0x20 && cp != '"' && !(cp >= 0x7f && cp < 0xa0) &&
	       !(cp >= 0x2028 && cp <= 0x202e) && !(cp >= 0x2066 && cp <= 0x2069) &&
	       cp != 0x200e && cp != 0x200f && cp != 0xfeff;
}

/* "pcp", or "upnp xbox": at most `room` bytes with the NUL. Returns whether the description
 * is in it unchanged. */
static bool write_comment(const struct lease *l, char *buf, size_t room)
{
	const uint8_t *s = (const uint8_t *)l->description;
	size_t used = (size_t)snprintf(buf, room, "%s", lease_by_name(l->origin));
	bool whole = true;

	assert(used + 1 < room);
	if (*s)
		buf[used++] = ' ';
	while (*s) {
		uint32_t cp;
		size_t n = utf8_char(s, &cp);
		bool plain = n && is_plain(cp);
		size_t put = plain ? n : 1;

		if (used + put >= room) {
			whole = false;
			break;
		}
		if (plain)
			memcpy(buf + used, s, n);
		else
			buf[used] = cp == '"' ? '\'' : '?';
		whole = whole && plain;
		used += put;
		s += n ? n : 1;
	}
	buf[used] = '\0';
	return whole;
}

/* Userdata */

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

static bool one_claim(uint8_t claims)
{
	return claims && !(claims & (claims - 1));
}

/* An only claim that ends when the kernel drops the element needs no time of its own: its
 * userdata stays the same at each renewal, which then can be done in place. */
static bool clock_is_kernels(const struct lease *l)
{
	if (!one_claim(l->claims) || l->until_gone)
		return false;
	for (int by = 0; by < LEASE_BY_END; by++)
		if (l->claims >> by & 1)
			return l->until_ms[by] == l->kernel_ms;
	return false;
}

static void write_body(struct wire_out *w, const struct lease *l, uint8_t flags)
{
	wire_put_u8(w, ELEMENT_VERSION);
	wire_put_u8(w, flags);
	wire_put_u8(w, l->origin);
	wire_put_u8(w, l->claims);
	wire_put_u8(w, l->until_gone);
	put_u64(w, l->created_ms);
	for (int by = 0; by < LEASE_BY_END && !(flags & ELEMENT_CLOCK); by++)
		if (l->claims >> by & 1)
			put_u64(w, l->until_ms[by]);
	if (flags & ELEMENT_NONCE)
		wire_put(w, l->nonce, sizeof(l->nonce));
	if (flags & ELEMENT_NUMBER)
		wire_put_u16(w, l->number);
	if (flags & ELEMENT_IDLE)
		wire_put_u32(w, l->idle_s);
	if (flags & ELEMENT_DESCRIPTION)
		wire_put(w, l->description,
			 strnlen(l->description, LEASE_DESCRIPTION_MAX));
}

void element_put_tlv(struct wire_out *w, uint8_t type, const void *value, size_t len)
{
	wire_put_u8(w, type);
	wire_put_u8(w, (uint8_t)len);
	wire_put(w, value, len);
}

size_t element_userdata(const struct lease *l, uint8_t buf[ELEMENT_USERDATA_MAX])
{
	uint8_t flags = (uint8_t)((l->enabled ? ELEMENT_ENABLED : 0) |
				  (l->twin ? ELEMENT_TWIN : 0) |
				  (l->has_nonce ? ELEMENT_NONCE : 0) |
				  (l->n_filters ? ELEMENT_FILTERED : 0) |
				  (l->number ? ELEMENT_NUMBER : 0) |
				  (l->idle_s ? ELEMENT_IDLE : 0) |
				  (clock_is_kernels(l) ? ELEMENT_CLOCK : 0));
	struct wire_out out = wire_to(buf, ELEMENT_USERDATA_MAX);
	char comment[ELEMENT_COMMENT_MAX + 1];
	struct wire_out w;
	uint8_t body[BODY_MAX];
	size_t room;

	w = wire_to(body, sizeof(body));
	write_body(&w, l, flags);
	room = ELEMENT_USERDATA_MAX - 2 * TLV_HEAD - wire_len(&w);
	if (!write_comment(l, comment, room < sizeof(comment) ? room : sizeof(comment))) {
		w = wire_to(body, sizeof(body));
		write_body(&w, l, flags | ELEMENT_DESCRIPTION);
		room = ELEMENT_USERDATA_MAX - 2 * TLV_HEAD - wire_len(&w);
		write_comment(l, comment,
			      room < sizeof(comment) ? room : sizeof(comment));
	}
	element_put_tlv(&out, TLV_COMMENT, comment, strlen(comment) + 1);
	element_put_tlv(&out, ELEMENT_TLV, body, wire_len(&w));
	assert(!w.bad && !out.bad);
	return wire_len(&out);
}

/* The two attributes that we write, each at most once. */
struct tlvs {
	const uint8_t *comment;
	const uint8_t *body;
	size_t comment_len;
	size_t body_len;
};

static int read_tlvs(struct tlvs *t, const void *buf, size_t len)
{
	struct wire w = wire_of(buf, len);

	memset(t, 0, sizeof(*t));
	while (wire_left(&w)) {
		uint8_t type = wire_u8(&w);
		size_t n = wire_u8(&w);
		const uint8_t *value = wire_take(&w, n);

		if (!value)
			return -EBADMSG;
		if (type == TLV_COMMENT && !t->comment) {
			t->comment = value;
			t->comment_len = n;
		} else if (type == ELEMENT_TLV && !t->body) {
			t->body = value;
			t->body_len = n;
		}
	}
	return t->body ? 0 : -ENOENT;
}

/* The description out of "upnp xbox". */
static int read_comment(struct lease *l, const struct tlvs *t)
{
	const char *by = lease_by_name(l->origin);
	size_t n = strlen(by);
	const char *s = (const char *)t->comment;

	if (!s || t->comment_len < n + 1 || s[t->comment_len - 1] || memcmp(s, by, n))
		return -EBADMSG;
	if (!s[n])
		return 0;
	if (s[n] != ' ' || strlen(s + n + 1) > LEASE_DESCRIPTION_MAX)
		return -EBADMSG;
	strcpy(l->description, s + n + 1);
	return 0;
}

static int read_description(struct lease *l, struct wire *w)
{
	size_t n = wire_left(w);

	if (n > LEASE_DESCRIPTION_MAX)
		return -EBADMSG;
	wire_copy(w, l->description, n);
	return w->bad || memchr(l->description, '\0', n) ? -EBADMSG : 0;
}

/* Every claim's end, from the element's own time or from the userdata. */
static void read_times(struct lease *l, struct wire *w, uint8_t flags)
{
	for (int by = 0; by < LEASE_BY_END; by++) {
		if (!(l->claims >> by & 1))
			continue;
		l->until_ms[by] = flags & ELEMENT_CLOCK ? l->kernel_ms : get_u64(w);
		if (l->until_ms[by] > l->deadline_ms)
			l->deadline_ms = l->until_ms[by];
	}
}

static int read_body(struct lease *l, const struct tlvs *t)
{
	struct wire w = wire_of(t->body, t->body_len);
	uint8_t version = wire_u8(&w);
	uint8_t flags = wire_u8(&w);

	if (!w.bad && version != ELEMENT_VERSION)
		return -EPROTO;
	l->origin = wire_u8(&w);
	l->claims = wire_u8(&w);
	l->until_gone = wire_u8(&w);
	l->created_ms = get_u64(&w);
	if (w.bad || l->origin >= LEASE_BY_END || !l->claims ||
	    l->claims >> LEASE_BY_END || (l->until_gone & ~l->claims))
		return -EBADMSG;
	if ((flags & ELEMENT_CLOCK) && (!one_claim(l->claims) || l->until_gone))
		return -EBADMSG;
	if (!(flags & ELEMENT_ENABLED) == l->enabled) /* the map says the same */
		return -EBADMSG;
	if ((flags & ELEMENT_TWIN) && lease_is_pinhole(l))
		return -EBADMSG;
	if ((flags & ELEMENT_NUMBER) && !lease_is_pinhole(l))
		return -EBADMSG;
	if ((flags & ELEMENT_FILTERED) && !l->n_filters)
		return -EBADMSG;
	if (!(flags & ELEMENT_FILTERED) && l->n_filters) {
		if (l->filters[0].port && !lease_is_pinhole(l))
			return -ENOENT; /* such remotes have no port */
		l->remote = l->filters[0].addr;
		l->remote_len = l->filters[0].len;
		l->remote_port = l->filters[0].port;
		l->n_filters = 0;
		memset(l->filters, 0, sizeof(l->filters));
	}
	l->twin = flags & ELEMENT_TWIN;
	l->has_nonce = flags & ELEMENT_NONCE;
	read_times(l, &w, flags);
	if (l->has_nonce)
		wire_copy(&w, l->nonce, sizeof(l->nonce));
	if (flags & ELEMENT_NUMBER)
		l->number = wire_u16(&w);
	if (!(flags & ELEMENT_NUMBER) == (l->number != 0))
		return -EBADMSG;
	if (flags & ELEMENT_IDLE)
		l->idle_s = wire_u32(&w);
	if (!(flags & ELEMENT_IDLE) == (l->idle_s != 0) ||
	    (l->idle_s && (!(l->claims & LEASE_IDLE_CLAIMS) || lease_is_pinhole(l))))
		return -EBADMSG;
	if (flags & ELEMENT_DESCRIPTION)
		return read_description(l, &w);
	return w.bad || wire_left(&w) ? -EBADMSG : read_comment(l, t);
}

/* The remote of a range, for now as a filter. */
static int read_from(struct lease *l, const struct element_key *key, size_t addr_len)
{
	struct in6_addr from = {.s6_addr = {[10] = 0xff, [11] = 0xff}}, to;
	struct lease_filter *f = &l->filters[0];
	uint16_t first = get_port(key->from + addr_len);
	uint16_t last = get_port(key->to + addr_len);

	to = from;
	memcpy(&from.s6_addr[16 - addr_len], key->from, addr_len);
	memcpy(&to.s6_addr[16 - addr_len], key->to, addr_len);
	if (get_prefix(&from, &to, &f->len) || (first ? last != first : last != 0xffff) ||
	    (addr_len == 16 &&
	     ((!f->len && !first) || (addr_is_v4(&from) && f->len >= V4_MAPPED))))
		return -ENOENT;
	f->addr = from;
	f->port = first;
	l->n_filters = 1;
	return 0;
}

static int read_key(struct lease *l, const struct element_key *key,
		    const uint8_t dest[ELEMENT_DEST])
{
	size_t addr_len = maps[key->map].dest ? 4 : 16;
	const uint8_t *at = key->from;
	struct in_addr host;

	if (key->len != maps[key->map].key_len)
		return -ENOENT;
	if (maps[key->map].range) {
		size_t rest = addr_len + 4;

		if (memcmp(key->from + rest, key->to + rest, key->len - rest) ||
		    read_from(l, key, addr_len))
			return -ENOENT;
		at += rest;
	}
	if (!maps[key->map].dest) {
		memcpy(&l->internal, at, 16);
		at += 16;
		if (addr_is_v4(&l->internal))
			return -ENOENT;
	}
	l->protocol = at[0];
	l->ext_port = l->int_port = get_port(at + 4);
	if (maps[key->map].dest) {
		memcpy(&host, dest, sizeof(host));
		l->internal = addr_from_v4(host);
		l->int_port = get_port(dest + 4);
	}
	if (l->protocol != IPPROTO_TCP && l->protocol != IPPROTO_UDP)
		return -ENOENT;
	return l->ext_port ? 0 : -ENOENT;
}

int element_decode(const struct element_key *key, const uint8_t dest[ELEMENT_DEST],
		   const void *userdata, size_t len, uint64_t kernel_ms, struct lease *l)
{
	struct tlvs t;
	int err = read_tlvs(&t, userdata, len);

	if (err)
		return err;
	memset(l, 0, sizeof(*l));
	err = read_key(l, key, dest);
	if (err)
		return err;
	l->enabled = key->map != ELEMENT_DISABLED && key->map != ELEMENT_DISABLED_FROM;
	l->kernel_ms = kernel_ms;
	return read_body(l, &t);
}
