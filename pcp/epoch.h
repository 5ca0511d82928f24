/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The epoch that both protocols tell: seconds since the lease table was initialised (RFC
 * 6886 section 3.6, RFC 6887 section 8.5). Times are milliseconds of CLOCK_BOOTTIME, modulo
 * 2^64: an epoch that began before the boot lies before zero.
 */
#pragma once

#include <stdint.h>

static inline uint32_t epoch_at(uint64_t epoch_ms, uint64_t now_ms)
{
	uint64_t age_ms = now_ms - epoch_ms;

	return age_ms <= INT64_MAX ? (uint32_t)(age_ms / 1000) : 0;
}
