/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The external ports that an admin's own rules (DNAT, redirect) send elsewhere before our
 * leases are asked. Knows other programs' tables through foreign.h and walk.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

struct shadows;

struct shadows *shadows_new(void); /* NULL: no memory */
void shadows_free(struct shadows *s);

/* Reads the ruleset anew; what is known of it stays when that fails. -errno. */
int shadows_read(struct shadows *s);

/*
 * Does a rule for that port send what anybody sends to it by the WAN elsewhere? A rule that
 * does so with every port (a DMZ host) is none for this one. Each port is worked out once
 * after shadows_read() or when the WAN's name or address is another one.
 */
bool shadows_has(struct shadows *s, uint8_t protocol, uint16_t port, const char *wan,
		 const struct in6_addr *wan4);
