/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is logged of leases: one line each for a grant, a renewal, an end and a refusal, with
 * fields for the journal (PORTREEVE_EVENT ...). Knows nothing of when.
 */
#pragma once

#include "base/log.h"
#include "lease/lease.h"

/* Info; renewals are debug. */
void lease_log_step(const struct lease_change *s);
/* `left_out` others were not logged since the last one that was. */
void lease_log_refused(enum log_level level, const struct lease_request *req,
		       enum lease_reason reason, unsigned int left_out);
