/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the configuration allows: which hosts may ask, for whom, and which ports. One question
 * each, answered with the reason. Knows nothing of the leases there are.
 */
#pragma once

#include "lease/registry.h"

/* The admin and the static forwards of the configuration, not a host. */
bool policy_privileged(int lan, const struct lease_request *req);

/* May this host ask, and for that inside address? Unicast IPv4, in a network of that LAN, not
 * the router's own; towards itself. */
enum lease_reason policy_host(const struct lease_policy *p, int lan,
			      const struct lease_request *req);
/* The same for a lease that is there already: on any LAN. */
enum lease_reason policy_internal(const struct lease_policy *p, const struct in6_addr *a);

/* TCP or UDP. */
enum lease_reason policy_protocol(uint8_t protocol);

/* The inside port of a new lease. Hosts get none below 1024 (WANIPConnection:2 2.5.16 asks
 * for that too). */
enum lease_reason policy_int_port(const struct lease_policy *p, enum lease_by by,
				  uint8_t protocol, uint16_t port);
/* That external port and no other. */
enum lease_reason policy_ext_port(const struct lease_policy *p, enum lease_by by,
				  uint8_t protocol, uint16_t port);
/* Could the server choose that port for a host? */
bool policy_may_choose(const struct lease_policy *p, uint8_t protocol, uint16_t port);
const struct portset *policy_reserved(const struct lease_policy *p, uint8_t protocol);

/* Brings a remote prefix to its only form: host bits zero, "everybody" as :: with length 0.
 * LEASE_REMOTE: not IPv4. */
enum lease_reason policy_remote(struct in6_addr *remote, uint8_t *len);
