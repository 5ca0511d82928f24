/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of the registry: every change of the book is one of three steps, made here,
 * each undone or confirmed here too. Decides nothing; see registry.c for that.
 */
#pragma once

#include "lease/allocator.h"
#include "lease/deadlines.h"
#include "lease/hosts.h"
#include "lease/pending.h"
#include "lease/registry.h"
#include "lease/released.h"
#include "lease/table.h"

struct registry {
	const struct lease_policy *policy;
	struct lease_table table;
	struct hosts hosts;
	struct released released;
	struct pending pending;
	struct deadlines deadlines;
	struct allocator allocator;
	uint32_t restricted; /* elements of restricted leases */
	uint32_t pinholes;
	uint64_t now_ms; /* the latest that was said */
};

/* Room for `steps` steps, so that the calls below cannot fail. -ENOMEM. */
int book_reserve(struct registry *r, struct lease_changes *out, size_t steps);

/* A new lease of that host; without `out`, one that the kernel has already. The node comes
 * from table_alloc(), with room in the deadlines. One step. */
uint32_t book_alloc(struct registry *r); /* 0: no memory */
void book_grant(struct registry *r, uint32_t id, const struct lease *l, uint32_t host,
		uint32_t who, struct lease_changes *out);
/* Another state of the same key and inside address. One step, or two if the twin of its
 * former inside port passes to another lease. */
void book_change(struct registry *r, uint32_t id, const struct lease *after, uint32_t who,
		 struct lease_changes *out);
/* Ends it. One step, or two if another lease of the inside port gets the twin. */
void book_end(struct registry *r, uint32_t id, enum lease_end end, uint32_t who,
	      struct lease_changes *out);
#define BOOK_STEPS 2

/* Is anybody waiting for the kernel on that external port? */
bool book_port_pending(const struct registry *r, uint8_t protocol, uint16_t port);
/* Or on the inside port of that lease, so also on the lease itself? */
bool book_pending(const struct registry *r, uint32_t id);

/* When to look at the lease again. */
void book_schedule(struct registry *r, uint32_t id, uint64_t not_before_ms);
/* Another lease of its inside port, or itself, has the twin: gives it to this one. */
void book_give_twin(struct registry *r, uint32_t id);
