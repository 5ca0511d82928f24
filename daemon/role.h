/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The processes that portreeved runs as, and the one record that the parent and the core
 * tell each other. Knows nothing of how they are started.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "lease/registry.h"

enum role {
	ROLE_PARENT,
	ROLE_CORE,
	ROLE_PCP, /* one per LAN */
	ROLE_IGD, /* one per LAN */
	ROLE_STORE,
	ROLE_UPSTREAM,
	ROLE_TRIGGER,
	ROLE_END,
};

/* "parent", "core", "pcp", "igd", "store", "upstream", "trigger". */
const char *role_name(enum role role);
/* ROLE_END: no role is called so. */
enum role role_from_name(const char *name);

/* Those that the core may ask for have a place each: one of a kind per LAN, or one. */
#define ROLE_PLACES (2 * LEASE_LANS_MAX + 3)
/* The place of such a role; ROLE_PLACES: it has none. */
unsigned int role_place(unsigned int role, unsigned int lan);

enum role_op {
	ROLE_OP_START = 1, /* core to parent: this worker is wanted */
	ROLE_OP_STOP,      /* core to parent: it is not, let it say good-bye */
	ROLE_OP_KILL,      /* core to parent: it hangs or misbehaves; start another */
	ROLE_OP_SERVING,   /* core to parent: every listener answers */
	ROLE_OP_RELOAD,    /* core to parent: read the configuration again */
	ROLE_OP_ALIVE,     /* core to parent: the answer to ROLE_OP_ASK */
	ROLE_OP_STARTED, /* parent to core, with the core's end of the worker's channel */
	ROLE_OP_EXITED,  /* parent to core */
	ROLE_OP_PARENT,  /* parent to core, first: pid is the parent's own */
	ROLE_OP_CONFIG,  /* parent to core, with another configuration, checked */
	ROLE_OP_WRONG,   /* parent to core, with a text: why the configuration stays */
	ROLE_OP_ASK,     /* parent to core: do you still answer? */
};

struct role_record {
	uint8_t op;   /* enum role_op */
	uint8_t role; /* enum role: a worker */
	uint16_t lan; /* 0 to LEASE_LANS_MAX - 1; 0 for the store */
	int32_t pid;  /* from the parent; of ROLE_OP_KILL: of which one, 0: of any */
};
static_assert(sizeof(struct role_record) == 8, "role_record has no hidden padding");

/* Is it what the core may send the parent? */
bool role_record_from_core(const struct role_record *r);

/* Sends a record, with a descriptor unless fd is negative. -errno. */
int role_send(int channel, const struct role_record *r, int fd);
/* Receives one; *fd is -1 or the caller's own. 1: there, 0: nothing now, -EPIPE: the other
 * side is gone, -EBADMSG: not a record of 8 bytes. */
int role_receive(int channel, struct role_record *r, int *fd);

/* Descriptors that a new process finds open, besides 0, 1 and 2. */
#define ROLE_FD_CHANNEL 3 /* core: to the parent; workers: to the core */
#define ROLE_FD_CONFIG 4  /* core: the checked configuration, struct config */
#define ROLE_FD_CONTROL 5 /* core: the control socket, listening */
