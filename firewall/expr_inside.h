/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the halves of expr.h share: expressions of libnftnl and their attributes. NULL for an
 * expression, for want of memory, is taken everywhere.
 */
#pragma once

#include "firewall/expr.h"

struct nftnl_expr;

uint32_t expr_reg(unsigned int at);
struct nftnl_expr *expr_add(struct expr *e, const char *name);
void expr_u32(struct nftnl_expr *x, uint16_t attr, uint32_t v);
void expr_u8(struct nftnl_expr *x, uint16_t attr, uint8_t v);
void expr_str(struct expr *e, struct nftnl_expr *x, uint16_t attr, const char *s);
void expr_data(struct expr *e, struct nftnl_expr *x, uint16_t attr, const void *data,
	       uint32_t len);

/* Load into the field `at`. */
void expr_meta(struct expr *e, uint32_t key, unsigned int at);
void expr_ct(struct expr *e, uint32_t key, unsigned int at);
void expr_payload(struct expr *e, uint32_t base, uint32_t offset, uint32_t len,
		  unsigned int at);
/* (field 0 & mask) ^ bits */
void expr_bitwise(struct expr *e, uint32_t mask, uint32_t bits);
