/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The form of the table: which sets and chains it has.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firewall/kernel.h"

enum set_use {
	SET_PLAIN,
	SET_LEASES, /* is never deleted */
	SET_TOLD,   /* holds what we have put there, until its time is over */
};

struct set_spec {
	const char *name;
	enum set_use use;
	uint32_t flags;
	uint32_t key_type;
	uint32_t key_len;
	uint32_t data_type;
	uint32_t data_len;
	uint64_t timeout_ms;
	uint32_t size; /* 0: no limit, as an interval set that is full never empties */
	uint8_t fields[5]; /* of an interval set with a concatenation */
	uint8_t n_fields;
	bool host_order; /* nft has to be told, or cannot print the elements */
	bool counted; /* each element has a counter; nft reads them back only if told */
};

struct chain_spec {
	const char *name;
	const char *type; /* NULL: no base chain */
	uint32_t hook;
	int32_t priority;
	enum chain_use use;
	uint32_t policy;
	bool adapts; /* its rules are those of rules_adapt() */
};

#define FORM_SETS_MAX 80
#define FORM_CHAINS_MAX 32

extern const struct set_spec form_set[];
extern const size_t form_sets;
extern const struct chain_spec form_chain[];
extern const size_t form_chains;
