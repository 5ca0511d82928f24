/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When the epoch begins anew: RFC 6887 section 8.5, RFC 6886 section 3.6. Knows nothing of
 * where it is kept.
 */
#pragma once

#include "firewall/firewall.h"

/*
 * The external address is that one now; :: if there is none. A new one resets the epoch, so
 * that clients ask anew, also when there was none for a while, as in each PPPoE redial, or
 * when it came while the daemon was down. True: `e` is another one, and is to be kept.
 */
bool epoch_follow(struct firewall_epoch *e, const struct in6_addr *wan4, uint64_t now_ms);
