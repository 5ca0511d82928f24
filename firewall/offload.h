/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flowtables (nft's `flow add`): the packets of flows that are in one pass by our rules, so that
 * these do not see that a host still sends.
 */
#pragma once

#include "firewall/conntrack.h"
#include "firewall/firewall.h"

/* Has the host of that lease begun a flow through it that passes by the rules now? What a remote
 * has begun does not count: it would keep the port open by itself. Where no table has a flowtable
 * no flow is looked at. 1, 0, or -errno. */
int offload_goes_on(struct firewall *fw, struct conntrack *ct, const struct lease *l,
		    struct in_addr wan4);
