/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A lease in JSON, as all methods tell of it. */
#include "daemon/control_inside.h"

#include "base/addr.h"
#include "base/log.h"

const char *control_protocol(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? "tcp" : "udp";
}

json_t *control_address(const struct in6_addr *a)
{
	char text[ADDR_TEXT];

	return addr_is_none(a) ? json_null() : json_string(addr_text(a, text));
}

/* JSON has its own escapes, so that a client's text arrives as it was sent; only what is no
 * UTF-8 cannot. */
json_t *control_text(const char *description)
{
	json_t *text = json_string(description);
	char safe[4 * LEASE_DESCRIPTION_MAX + 1];

	return text ? text : json_string(log_escape(description, safe, sizeof(safe)));
}

json_int_t control_seconds_since(uint64_t then_ms, uint64_t now_ms)
{
	int64_t ms = (int64_t)(now_ms - then_ms);

	return ms > 0 ? ms / 1000 : 0;
}

static json_t *claims_json(const struct lease *l)
{
	json_t *claims = json_array();

	for (unsigned int by = 0; by < LEASE_BY_END; by++)
		if (l->claims >> by & 1)
			json_array_append_new(claims, json_string(lease_by_name(by)));
	return claims;
}

/* Who may come in, where that is restricted. */
static json_t *filters_json(const struct lease *l)
{
	json_t *filters = json_array();

	for (size_t i = 0; i < l->n_filters; i++) {
		const struct prefix p = {l->filters[i].addr, l->filters[i].len};
		char text[PREFIX_TEXT];

		json_array_append_new(filters, json_pack("{s:s,s:i}", "remote",
							 prefix_text(&p, text), "port",
							 (int)l->filters[i].port));
	}
	return filters;
}

static json_t *remaining_json(const struct lease *l, uint64_t now_ms)
{
	if (l->deadline_ms == LEASE_NO_DEADLINE || l->until_gone & l->claims)
		return json_null();
	if (l->deadline_ms <= now_ms)
		return json_integer(0);
	return json_integer((json_int_t)((l->deadline_ms - now_ms + 999) / 1000));
}

json_t *control_lease(const struct control *c, const struct lease *l, uint64_t now_ms)
{
	const struct prefix remote = {.addr = l->remote, .len = l->remote_len};
	char from[PREFIX_TEXT], to[ADDR_TEXT];
	json_t *o;

	/* clang-format off */
	o = json_pack("{s:s,s:i,s:s,s:i,s:s?,s:s,s:o,s:o,s:b,s:I,s:o}",
		      "protocol", control_protocol(l->protocol),
		      "external_port", (int)l->ext_port,
		      "internal_address", addr_text(&l->internal, to),
		      "internal_port", (int)l->int_port,
		      "remote", l->remote_len ? prefix_text(&remote, from) : NULL,
		      "origin", lease_by_name(l->origin),
		      "claims", claims_json(l),
		      "description", control_text(l->description),
		      "enabled", (int)l->enabled,
		      "age_s", control_seconds_since(l->created_ms, now_ms),
		      "remaining_s", remaining_json(l, now_ms));
	/* clang-format on */
	if (o && l->n_filters)
		json_object_set_new(o, "filters", filters_json(l));
	if (o && l->remote_port)
		json_object_set_new(o, "remote_port", json_integer(l->remote_port));
	if (o && c->ops->last_port(c->core, l) != l->ext_port)
		json_object_set_new(o, "external_port_last",
				    json_integer(c->ops->last_port(c->core, l)));
	if (o && lease_is_pinhole(l))
		json_object_set_new(o, "family", json_string("ipv6"));
	return o;
}

/* A sum of some is none of all. */
static json_t *counted_json(const struct traffic_sum *sum, uint64_t n)
{
	return sum->connections && sum->counted == sum->connections
		       ? json_integer((json_int_t)n)
		       : json_null();
}

json_t *control_lease_with(const struct control *c, const struct lease *l,
			   uint64_t now_ms, const struct traffic_sum *sum)
{
	json_t *o = control_lease(c, l, now_ms), *traffic = json_null();

	if (sum)
		traffic = json_pack("{s:I,s:o,s:o,s:o,s:o}", "connections",
				    (json_int_t)sum->connections, "packets",
				    counted_json(sum, sum->packets), "bytes_in",
				    counted_json(sum, sum->in_bytes), "bytes_out",
				    counted_json(sum, sum->out_bytes), "idle_s",
				    sum->idle_s < 0 ? json_null()
						    : json_integer(sum->idle_s));
	if (o && json_object_set_new(o, "traffic", traffic)) {
		json_decref(o);
		return NULL;
	}
	if (!o)
		json_decref(traffic);
	return o;
}
