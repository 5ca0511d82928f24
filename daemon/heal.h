/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps our table in the kernel as it should be: notices what other programs delete and puts
 * it back. Knows when to look and how often; what to put there is the firewall's and the
 * ledger's business.
 */
#pragma once

#include <stdbool.h>

struct cut;
struct event_base;
struct firewall;
struct heal;
struct ledger;

/* Keeps pointers to all three; after firewall_install(). -errno. */
int heal_new(struct event_base *base, struct firewall *fw, struct ledger *ledger,
	     struct cut *cut, struct heal **out);
void heal_free(struct heal *h); /* NULL is fine */

/* The kernel has just said that our table, or a set of it, is not there. true: it is again,
 * without leases; those follow at once. */
bool heal_now(struct heal *h);

/* Has somebody changed nftables since it was asked last? */
bool heal_others_changed(struct heal *h);
