/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The document that GetListOfPortMappings answers with, WANIPConnection:2 section 2.3.25,
 * written entry by entry as the core tells them. Knows nothing of SOAP.
 */
#pragma once

#include "base/record.h"

/* So much, and no entry more: whoever needs the rest asks on from the last port. */
#define LISTING_MAX (64 * 1024)

struct listing;

/* Of what that request (LEASE_OP_GET_NEXT) begins; at most so many entries, 0: all. NULL: no
 * memory. */
struct listing *listing_new(const struct lease_request *first, uint32_t most);
void listing_free(struct listing *l); /* NULL is fine */

/* Takes an entry in, with the seconds to show for it. True: there may be another one, and
 * *next asks for it; false: that was all, or is all that there is room for. A reply that
 * holds no entry is the end. */
bool listing_add(struct listing *l, const struct lease_reply *entry, uint32_t seconds,
		 struct lease_request *next);
/* The document, lent; NULL: there is no entry in it. */
const char *listing_end(struct listing *l);
