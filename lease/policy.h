/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the configuration allows: which hosts may ask, for whom, and which ports. One question
 * each, answered with the reason. Knows nothing of the leases there are.
 */
#pragma once

#include "lease/registry.h"

/* The admin, not a host. */
bool policy_privileged(int lan, const struct lease_request *req);

/* Is the request about the leases of its inside address? */
bool policy_owns(const struct lease_request *req);

/* May this host ask, and for that inside address? Unicast, in a network of that LAN, not the
 * router's own; towards itself, or where third parties are allowed. LEASE_ACCESS also for a
 * unique local address (RFC 4193), which cannot be reached from outside. */
enum lease_reason policy_host(const struct lease_policy *p, int lan,
			      const struct lease_request *req);
/* The same for a lease that is there already: on any LAN. */
enum lease_reason policy_internal(const struct lease_policy *p, const struct in6_addr *a);

/* TCP or UDP. */
enum lease_reason policy_protocol(uint8_t protocol);

/* The inside port of a new lease of that host. Hosts get none below 1024 (WANIPConnection:2
 * 2.5.16 asks for that too), but where an access rule names it. */
enum lease_reason policy_int_port(const struct lease_policy *p, enum lease_by by,
				  uint8_t protocol, uint16_t port,
				  const struct in6_addr *internal);
/* That external port and no other, for that inside host. */
enum lease_reason policy_ext_port(const struct lease_policy *p, enum lease_by by,
				  uint8_t protocol, uint16_t port,
				  const struct in6_addr *internal);
/* That port of an IPv6 host, inside and outside. */
enum lease_reason policy_pinhole(const struct lease_policy *p, enum lease_by by,
				 uint8_t protocol, uint16_t port,
				 const struct in6_addr *internal);
/* The ports of a lease that is there. As long as the MAC address of its host is not known it may
 * be what any rule allows that could be the host's: it was granted when that was known. */
enum lease_reason policy_kept(const struct lease_policy *p, enum lease_by by,
			      const struct lease *l);
/* Does the admin deny that port, outside or inside, to that host; and by which denial? */
const struct lease_denial *policy_denial(const struct lease_policy *p, uint8_t protocol,
					 uint16_t port, const struct in6_addr *internal);
bool policy_denies(const struct lease_policy *p, uint8_t protocol, uint16_t port,
		   const struct in6_addr *internal);
/* How many leases that host may have; and may keep, in the same sense as policy_kept(). */
uint32_t policy_quota(const struct lease_policy *p, const struct in6_addr *internal);
uint32_t policy_quota_kept(const struct lease_policy *p, const struct in6_addr *internal);
/* May ports open to that host that it did not ask for? */
bool policy_unasked(const struct lease_policy *p, const struct in6_addr *internal);
/* Is its rule, or what is denied, one of those that its MAC address decides, which is not known
 * now? */
bool policy_undecided(const struct lease_policy *p, const struct in6_addr *internal);
/* The rule of that host, or NULL: also where only its MAC address would tell, and that is not
 * known. */
const struct lease_access *policy_access(const struct lease_policy *p,
					 const struct in6_addr *internal);
/* Could the server choose that port for that inside host? */
bool policy_may_choose(const struct lease_policy *p, uint8_t protocol, uint16_t port,
		       const struct in6_addr *internal);
const struct portset *policy_forwarded(const struct lease_policy *p, uint8_t protocol);
const struct portset *policy_reserved(const struct lease_policy *p, uint8_t protocol);

/* Brings a remote prefix to its only form: host bits zero, "everybody" as :: with length 0.
 * LEASE_REMOTE: not of that family. */
enum lease_reason policy_remote(struct in6_addr *remote, uint8_t *len, bool v6);
