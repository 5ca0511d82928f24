/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who this router is, across reboots: 16 random bytes in the state directory, from which
 * each LAN's UPnP devices get their UDNs.
 */
#pragma once

#include <stdint.h>

struct identity {
	uint8_t id[16];
};

/* Reads it, or makes and keeps a new one. If it cannot be kept, says so and goes on. */
void identity_load(struct identity *self, const char *state_dir);
/* A UUID (RFC 9562 version 8) for a LAN of that name; the same at every start. */
void identity_uuid(const struct identity *self, const char *lan, uint8_t uuid[16]);
