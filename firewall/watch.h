/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What other programs do to our table, as the kernel tells it (NFNLGRP_NFTABLES). Knows the
 * names of our sets and what their keys say; puts nothing right.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/portset.h"

struct watch;

#define WATCH_NAME 16 /* of a process, as the kernel cuts it */

/* What has happened to the table since the report was empty; {0} is an empty one. */
struct watch_report {
	bool foreign; /* others have changed some table */
	bool lost;    /* events were lost (ENOBUFS): anything may have happened */
	bool structure; /* the table, its chains, rules or sets, or what describes the router */
	bool leases; /* a set that leases stand in went: all of them have to come back */
	bool claims; /* so did who claims which port */
	bool ports;  /* elements of leases: those of these external ports */
	struct portset tcp;
	struct portset udp;
	/* Whose transaction touched us last; pid 0: nobody's yet. As the kernel has it: a program
	 * can give itself any name. */
	uint32_t pid;
	char name[WATCH_NAME];
	uint32_t generations; /* how many of others there were */
};

/* Transactions of the socket own_portid are left out. -errno. */
int watch_open(const char *table, uint32_t own_portid, struct watch **out);
void watch_close(struct watch *w); /* NULL is fine */
int watch_fd(const struct watch *w);

/* Adds what has come in to the report, a bounded number of datagrams. 1: something is there
 * that has to be put right, 0, or -errno. */
int watch_read(struct watch *w, struct watch_report *r);

/* Is anything to be put right? */
bool watch_touched(const struct watch_report *r);

/* One datagram of events: what watch_read() does with each. `turn` is what a transaction has
 * touched so far; its end comes as a message of its own. */
struct watch_turn {
	bool touched;
};
void watch_take(const char *table, uint32_t own_portid, const void *buf, size_t len,
		struct watch_turn *turn, struct watch_report *r);
