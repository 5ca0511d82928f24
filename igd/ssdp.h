/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads searches (M-SEARCH) and writes the one canonical form that libupnp is given: what
 * nobody here answers to is dropped, so no byte of a datagram gets further. Puts our own name
 * into what libupnp sends, and says good-bye. Pure.
 */
#pragma once

#include <stddef.h>

#include "igd/description.h"

#define SSDP_DATAGRAM_MAX 8192
#define SSDP_TARGET_MAX 127
#define SSDP_SEARCH_MAX 320
#define SSDP_NOTIFY_MAX 384
#define SSDP_GROUP "239.255.255.250"
#define SSDP_GROUP6 "FF02::C" /* of the link; nobody routes searches */
#define SSDP_SENT_MAX 1400    /* longer than anything that libupnp sends here */

/* Finds the target (ST) of a search, without its white space. -EBADMSG: no search. */
int ssdp_parse(const char *data, size_t len, char target[SSDP_TARGET_MAX + 1]);

/* Writes a search for this target if one of our devices or services answers to it (rows
 * U6, U8). Returns its length, 0: nobody does. */
size_t ssdp_canonical(const struct description *d, const char *target,
		      char out[SSDP_SEARCH_MAX]);

/* Is this answer of libupnp the second to one search: that of face 1 to a search for an
 * older version, which face 0 answers for itself? */
bool ssdp_is_double(const struct description *d, const char *answer, size_t len);

/* Copies an answer or NOTIFY of libupnp with our SERVER in place of its own, which names the
 * kernel's version, with the HOST of the group that it goes to, and without its X-User-Agent.
 * Returns the length, 0: it is too long. */
size_t ssdp_reword(const char *data, size_t len, bool v6, char out[SSDP_SENT_MAX]);

/* Writes the n-th of the NOTIFYs that say good-bye for both root devices with all they hold
 * (rows U2, U4). Returns its length, 0: there are no more. */
size_t ssdp_goodbye(const struct description *d, unsigned int n, bool v6,
		    char out[SSDP_NOTIFY_MAX]);
