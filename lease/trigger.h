/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The admin's trigger rules: a host that sends to certain ports gets certain ports opened to
 * it, until it has been silent towards the first ones and from the others for a time. Knows
 * nothing of the configuration or the kernel. Ports are in host order.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/portset.h"

#define LEASE_TRIGGERS_MAX 128
#define LEASE_TRIGGER_NAME 32
#define LEASE_TRIGGER_RANGES 32 /* in `when`, and in `open` */
#define LEASE_TRIGGER_WHEN 4096 /* ports that one rule watches */
#define LEASE_TRIGGER_PORTS 256 /* that one rule opens to one host */
#define LEASE_TRIGGER_LANS 4
#define LEASE_TRIGGER_HOSTS 8

struct lease_trigger {
	char name[LEASE_TRIGGER_NAME];
	size_t n_when; /* at least 1 */
	struct port_range when[LEASE_TRIGGER_RANGES];
	size_t n_open; /* at least 1 */
	struct port_range open[LEASE_TRIGGER_RANGES];
	/* Each range of `open` is one port of the host, its first one: the host gets the first
	 * external port of the range that is free. Else every port is opened as it is. */
	bool share;
	uint32_t idle_s;
	size_t n_lans; /* 0: each where hosts may be opened to without asking */
	char lan[LEASE_TRIGGER_LANS][IFNAMSIZ];
	size_t n_hosts; /* 0: all */
	struct prefix host[LEASE_TRIGGER_HOSTS];
};
