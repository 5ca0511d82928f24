/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stage.c and commit.c share: the steps that are staged.
 */
#pragma once

#include "firewall/kernel.h"

#define CHUNK_STEPS 1024

/* The lease's own elements, by their number among those before or after, come first. */
enum object {
	OBJECT_LEASE,
	OBJECT_REV = LEASE_FILTERS_MAX,
	OBJECT_HELD,
	OBJECT_OWNER,
	OBJECTS
};
struct staged {
	size_t before; /* index into fw->key: of the elements that were there ... */
	size_t after;  /* ... and of those that are there now */
	uint8_t n_before;
	uint8_t n_after;
	/* 1 + the place of the same key on the other side; 0: it is not there. */
	uint8_t after_of[LEASE_FILTERS_MAX];
	uint8_t before_of[LEASE_FILTERS_MAX];
	uint8_t dest[ELEMENT_DEST];
	uint8_t rev_before[ELEMENT_HOST_KEY];
	uint8_t rev_after[ELEMENT_HOST_KEY];
	uint8_t held[ELEMENT_PORT_KEY];
	uint8_t owner[ELEMENT_HOST_KEY];
	const char *owner_before; /* the set in which it is; NULL: in none */
	const char *owner_after;
	uint64_t owner_ms;
	uint64_t rev_ms;
	bool rearm;                 /* only `rev` needs it */
	uint8_t port[ELEMENT_PORT]; /* rev's data: the external port */
	bool pinhole;               /* takes no port: no `held`, no `rev` */
	bool had_rev;
	bool has_rev;
	/* Lease elements by their place after (renews, force) or before (gone). */
	bool renews[OBJECTS]; /* same element as before, to be added again as it stands */
	bool gone[OBJECTS];   /* the kernel says that it is not there (any more) */
	bool force[OBJECTS];  /* something is in the way: delete it first */
	bool moves; /* to another map: its former elements go in a transaction of their own */
	bool late; /* the twin comes from a lease whose step stands further on */
	uint8_t userdata_len;
	uint64_t packets;    /* of a pinhole: those that its former element has counted */
	size_t userdata;     /* offset */
	uint64_t timeout_ms; /* 0: for good */
	uint64_t until_ms;   /* the same as a time */
	size_t use;          /* index into fw->use */
	struct port_use use_before;
	int err;
};

/* Is the element kept and only added again? */
bool staged_keeps(const struct firewall *fw, const struct staged *s, unsigned int object);
