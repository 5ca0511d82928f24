/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tells the service manager how we are, sd_notify(3).
 */
#pragma once

/* Sends e.g. "READY=1\nSTATUS=serving"; nothing when no manager asked for it. */
void notify(const char *state);
