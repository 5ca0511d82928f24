/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytes of a lease in the file: its key, and the rest of it, big endian. Times are on the
 * store's axis there. Pure; knows no SQLite.
 *
 *	key:  u8 protocol, u16 external port, u8 length of the remote, 16 bytes remote,
 *	      u16 remote port, 16 bytes inside address of a pinhole, else zeros
 *	body: 16 bytes inside address, u16 inside port, u16 number, u8 flags, u8 origin, u8 claims,
 *	      u8 until_gone, u64 created, u64 until of each claim in order of bits,
 *	      12 bytes nonce with STORE_NONCE, u8 number of filters and for each 16 bytes
 *	      address, u8 length, u16 port; the description to the end
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/record.h"

#define STORE_KEY 38
#define STORE_BODY_MAX 400

void store_row_key(const struct store_lease *l, uint8_t key[STORE_KEY]);
/* The length of the body. */
size_t store_row_body(const struct store_lease *l, int64_t base_ms,
		      uint8_t body[STORE_BODY_MAX]);
/* Back, to a valid record with claims. -EBADMSG: it makes no sense. */
int store_row_read(const void *key, size_t key_len, const void *body, size_t body_len,
		   int64_t base_ms, struct store_lease *l);
