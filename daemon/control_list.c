/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The method List. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/room.h"
#include "daemon/control_inside.h"

void control_keys_add(void *arg, const struct lease *l)
{
	struct control_keys *k = arg;
	struct control_key *key = room_for(k->key, &k->room, k->n + 1, sizeof(*key));

	k->failed = k->failed || !key;
	if (!key)
		return;
	k->key = key;
	k->key[k->n++] = (struct control_key){
		.protocol = l->protocol,
		.ext_port = l->ext_port,
		.remote = l->remote,
		.remote_len = l->remote_len,
		.remote_port = l->remote_port,
		.internal = lease_is_pinhole(l) ? l->internal
						: (struct in6_addr)IN6ADDR_ANY_INIT,
	};
}

struct listing {
	struct control *control;
	struct varlink_call *call;
	bool traffic; /* what goes by each, too */
	struct control_keys keys;
	size_t pos;
	size_t piece; /* so many at a time */
};

static void listing_free(void *arg)
{
	struct listing *ls = arg;

	free(ls->keys.key);
	free(ls);
}

static json_t *listing_lease(const struct listing *ls, const struct lease *l,
			     uint64_t now_ms)
{
	const struct control *c = ls->control;
	struct traffic_sum sum;

	if (!ls->traffic)
		return control_lease(c, l, now_ms);
	return control_lease_with(c, l, now_ms,
				  c->ops->traffic(c->core, l, &sum) ? &sum : NULL);
}

/* Leases that have ended since the keys were taken are left out. */
static json_t *listing_next(void *arg, bool *last)
{
	struct listing *ls = arg;
	struct control *c = ls->control;
	size_t left = ls->keys.n - ls->pos;
	size_t end = ls->pos + (left < ls->piece ? left : ls->piece);
	json_t *leases = json_array();
	uint64_t now_ms = clock_ms();

	for (; ls->pos < end; ls->pos++) {
		const struct lease *l = c->ops->find_lease(c->core,
							   &ls->keys.key[ls->pos]);

		if (l && json_array_append_new(leases, listing_lease(ls, l, now_ms))) {
			json_decref(leases);
			return NULL;
		}
	}
	*last = end == ls->keys.n;
	return json_pack("{s:o}", "leases", leases);
}

static const struct varlink_stream listing_stream = {.next = listing_next,
						     .free = listing_free};

static void listing_answer(void *arg)
{
	struct listing *ls = arg;
	bool last;

	if (varlink_more(ls->call)) {
		varlink_stream(ls->call, &listing_stream, ls);
		return;
	}
	varlink_reply(ls->call, listing_next(ls, &last));
	listing_free(ls);
}

void control_list(void *arg, struct varlink_call *call)
{
	static const char *const names[] = {"traffic"};
	const json_t *traffic = json_object_get(varlink_parameters(call), "traffic");
	struct control *c = arg;
	struct listing *ls;

	if (!control_has_only(call, names, 1))
		return;
	if (traffic && !json_is_null(traffic) && !json_is_boolean(traffic)) {
		varlink_invalid(call, "traffic");
		return;
	}
	ls = calloc(1, sizeof(*ls));
	if (!ls) {
		control_no_memory(call);
		return;
	}
	*ls = (struct listing){.control = c,
			       .call = call,
			       .traffic = json_is_true(traffic),
			       .piece = varlink_more(call) ? CONTROL_PIECE
							   : CONTROL_REPLY_MAX};
	c->ops->each_lease(c->core, control_keys_add, &ls->keys);
	if (ls->keys.failed) {
		control_no_memory(call);
		listing_free(ls);
	} else if (!varlink_more(call) && ls->keys.n > CONTROL_REPLY_MAX) {
		varlink_error(call, "org.portreeve.TooMany",
			      json_pack("{s:i}", "limit", CONTROL_REPLY_MAX));
		listing_free(ls);
	} else if (ls->traffic) {
		c->ops->look(c->core, listing_answer, ls);
	} else {
		listing_answer(ls);
	}
}
