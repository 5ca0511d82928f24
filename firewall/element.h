/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a lease looks like as elements of the kernel's maps, and back: keys, data and the
 * userdata in which a lease survives a restart of the daemon. Pure; knows no netlink.
 *
 * Userdata is nft's TLV form (type, length, value). Type 0 is the comment that `nft list`
 * shows; type ELEMENT_TLV is ours, big endian:
 *
 *	u8 version, u8 flags, u8 origin, u8 claims, u8 until_gone, u64 created_ms,
 *	u64 until_ms of each claim in order of bits (not with ELEMENT_CLOCK),
 *	12 bytes nonce (with ELEMENT_NONCE), u16 number (with ELEMENT_NUMBER),
 *	u32 idle_s (with ELEMENT_IDLE),
 *	the description (with ELEMENT_DESCRIPTION, else it is in the comment as it was sent)
 *
 * A lease with filters has one element for each, all with the same userdata, in which
 * ELEMENT_FILTERED says that the remote in the key is a filter and no key of the lease.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lease/lease.h"

#define ELEMENT_VERSION 1
#define ELEMENT_TLV 0x80
#define ELEMENT_USERDATA_MAX 254 /* 256 would be taken and silently not kept */
#define ELEMENT_COMMENT_MAX 128  /* bytes; nft reads no longer ones back */

enum element_flag {
	ELEMENT_ENABLED = 1,
	ELEMENT_TWIN = 2,
	ELEMENT_NONCE = 4,
	ELEMENT_CLOCK = 8, /* one claim, whose end is the element's own timeout */
	ELEMENT_DESCRIPTION = 16,
	ELEMENT_FILTERED = 32,
	ELEMENT_NUMBER = 64, /* of a pinhole */
	ELEMENT_IDLE = 128,  /* some claim lasts while its host sends */
	ELEMENT_FLAGS = 255,
};

/* A lease is in exactly one of these maps. */
enum element_map {
	ELEMENT_LEASES,
	ELEMENT_LEASES_FROM,
	ELEMENT_DISABLED,
	ELEMENT_DISABLED_FROM,
	/* Of pinholes; these are sets, as there is no translation. */
	ELEMENT_PIN6,
	ELEMENT_PIN6_FROM,
	ELEMENT_MAPS,
};

#define ELEMENT_PORT_KEY 8  /* proto . port, each field padded to four bytes */
#define ELEMENT_HOST_KEY 12 /* ip . proto . port */
#define ELEMENT_FROM_KEY 16 /* ip . source port . proto . port; a range */
#define ELEMENT_PIN6_KEY 24 /* ip6 . proto . port */
#define ELEMENT_PIN6_FROM_KEY                                                            \
	44 /* remote ip6 . source port . ip6 . proto . port; a range */
#define ELEMENT_KEY_MAX ELEMENT_PIN6_FROM_KEY
#define ELEMENT_DEST 8 /* ip . port */
#define ELEMENT_PORT 2

struct wire_out;

struct element_key {
	uint8_t map; /* enum element_map */
	uint8_t len; /* as above, by the map */
	uint8_t from[ELEMENT_KEY_MAX];
	uint8_t to[ELEMENT_KEY_MAX]; /* of a range */
};

/* "leases", "leases_from", "disabled", "disabled_from", "pin6", "pin6_from". */
const char *element_map_name(enum element_map map);
uint8_t element_map_key_len(enum element_map map);
bool element_map_is_range(enum element_map map);
bool element_map_has_dest(enum element_map map);

/* How many elements the lease has: as many as filters, or one. */
size_t element_count(const struct lease *l);
/* The key of the i-th. -EAFNOSUPPORT: a remote of another family, or a pinhole that is
 * disabled. -EINVAL: no TCP or UDP. */
int element_key_of(const struct lease *l, size_t i, struct element_key *key);
/* Of the first. */
int element_key(const struct lease *l, struct element_key *key);
/* Of maps, not of pinholes. */
void element_dest(const struct lease *l, uint8_t dest[ELEMENT_DEST]);
/* Of `rev`: the inside host and port, which leaves from the lease's external port. */
void element_rev_key(const struct lease *l, uint8_t key[ELEMENT_HOST_KEY]);
/* Of the sets of owners: who has to send that the lease lasts. */
void element_owner_key(const struct lease *l, uint8_t key[ELEMENT_HOST_KEY]);
/* Of `held`. */
void element_held_key(const struct lease *l, uint8_t key[ELEMENT_PORT_KEY]);

/* One attribute. Not inlined anywhere: GCC 12 then warns of what wire_put() rules out. */
__attribute__((noinline)) void element_put_tlv(struct wire_out *w, uint8_t type,
					       const void *value, size_t len);

/* The userdata of the lease; its length, at most ELEMENT_USERDATA_MAX. */
size_t element_userdata(const struct lease *l, uint8_t buf[ELEMENT_USERDATA_MAX]);

/*
 * The lease of an element that the kernel will drop at kernel_ms, without the grace
 * (LEASE_NO_DEADLINE: never), with that one filter; dest is not read where there is none.
 * -ENOENT: not one of ours; -EPROTO: ours, of another version;
 * -EBADMSG: ours, but it makes no sense.
 */
int element_decode(const struct element_key *key, const uint8_t dest[ELEMENT_DEST],
		   const void *userdata, size_t len, uint64_t kernel_ms, struct lease *l);
