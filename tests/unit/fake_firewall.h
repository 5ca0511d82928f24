/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A firewall without a kernel, for tests of what stands above it: takes every step, or
 * refuses those of one port.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

extern size_t fake_firewall_commits;   /* transactions so far */
extern size_t fake_firewall_steps;     /* steps that they carried */
extern uint16_t fake_firewall_refuses; /* steps of this external port fail */
extern uint64_t fake_firewall_packets; /* that came through any pinhole */
