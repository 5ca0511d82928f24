/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who keeps a lease and until when: the arithmetic on one struct lease. Knows nothing of
 * other leases.
 */
#pragma once

#include "lease/registry.h"

#define CLAIM_FOREVER UINT32_MAX

static inline bool claim_has(const struct lease *l, enum lease_by by)
{
	return l->claims >> by & 1;
}

/* The seconds that this request is granted; CLAIM_FOREVER: no end. */
uint32_t claim_granted(const struct lease_policy *p, const struct lease_request *req);

/* After how much silence a host has left. */
uint64_t claim_silence(const struct lease_policy *p);

/* Sets or renews the claim of the request, with its nonce, description and enabled flag. */
void claim_put(struct lease *l, const struct lease_policy *p,
	       const struct lease_request *req, uint32_t seconds, uint64_t now_ms);
/* Takes claims off. */
void claim_drop(struct lease *l, unsigned int bits);
/* Those whose time has come, as bits. */
unsigned int claim_expired(const struct lease *l, uint64_t now_ms);

/* Works out deadline_ms and kernel_ms from the claims. */
void claim_settle(struct lease *l, uint64_t now_ms);
/* When something has to be done about the lease next. */
uint64_t claim_next(const struct lease *l);

/* Seconds left, rounded up; CLAIM_FOREVER for LEASE_NO_DEADLINE. */
uint32_t claim_left(uint64_t until_ms, uint64_t now_ms);
