/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A lease in the form in which it is kept (struct store_lease), and back. Pure; knows no
 * SQLite.
 */
#pragma once

#include "lease/lease.h"

/* A lease as it is; `gone`: that it has ended. */
void kept_from_lease(const struct lease *l, bool gone, struct store_lease *out);
/* Back; deadline_ms and kernel_ms are left to registry_restore(). The record is valid and has
 * claims. */
void kept_to_lease(const struct store_lease *kept, struct lease *out);
