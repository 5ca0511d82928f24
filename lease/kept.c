/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/kept.h"

#include <string.h>

void kept_from_lease(const struct lease *l, bool gone, struct store_lease *out)
{
	*out = (struct store_lease){
		.created_ms = l->created_ms,
		.remote = l->remote,
		.internal = l->internal,
		.ext_port = l->ext_port,
		.int_port = l->int_port,
		.protocol = l->protocol,
		.remote_len = l->remote_len,
		.n_filters = l->n_filters,
		.flags = (uint8_t)((l->twin ? STORE_TWIN : 0) |
				   (l->enabled ? STORE_ENABLED : 0) |
				   (l->has_nonce ? STORE_NONCE : 0)),
		.origin = l->origin,
		.remote_port = l->remote_port,
	};
	if (gone || !(l->claims & ~LEASE_IDLE_CLAIMS))
		return;
	out->number = l->number;
	out->claims = (uint8_t)(l->claims & ~LEASE_IDLE_CLAIMS);
	out->until_gone = l->until_gone & out->claims;
	for (unsigned int by = 0; by < LEASE_BY_END; by++)
		if (out->claims >> by & 1)
			out->until_ms[by] = l->until_ms[by];
	if (l->has_nonce)
		memcpy(out->nonce, l->nonce, sizeof(out->nonce));
	memcpy(out->filters, l->filters, l->n_filters * sizeof(out->filters[0]));
	memcpy(out->description, l->description,
	       strnlen(l->description, LEASE_DESCRIPTION_MAX));
}

void kept_to_lease(const struct store_lease *kept, struct lease *out)
{
	*out = (struct lease){
		.protocol = kept->protocol,
		.ext_port = kept->ext_port,
		.remote_len = kept->remote_len,
		.remote = kept->remote,
		.n_filters = kept->n_filters,
		.remote_port = kept->remote_port,
		.int_port = kept->int_port,
		.number = kept->number,
		.internal = kept->internal,
		.twin = kept->flags & STORE_TWIN,
		.enabled = kept->flags & STORE_ENABLED,
		.has_nonce = kept->flags & STORE_NONCE,
		.origin = kept->origin,
		.claims = kept->claims,
		.until_gone = kept->until_gone,
		.created_ms = kept->created_ms,
		.deadline_ms = LEASE_NO_DEADLINE,
		.kernel_ms = LEASE_NO_DEADLINE,
	};
	memcpy(out->filters, kept->filters, kept->n_filters * sizeof(out->filters[0]));
	memcpy(out->nonce, kept->nonce, sizeof(out->nonce));
	memcpy(out->until_ms, kept->until_ms, sizeof(out->until_ms));
	memcpy(out->description, kept->description,
	       strnlen(kept->description, LEASE_DESCRIPTION_MAX));
}
