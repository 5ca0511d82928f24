/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store process: carries the core's records to the file and back (lease/store.h). Knows
 * nothing of why a lease is kept. It alone waits for the disk; while it does, the core's
 * records wait in the channel.
 */
#pragma once

struct store_role;

/* Before the sandbox shuts. NULL: it has said why. */
struct store_role *store_role_new(int channel, const char *state_dir);
/* Serves until the core closes its channel. An exit status. */
int store_role_run(struct store_role *r);
