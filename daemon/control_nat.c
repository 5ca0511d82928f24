/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The methods NatType and Profiles. */
#include <string.h>

#include "daemon/control_inside.h"

static json_t *reasons_json(const struct nat_type *t)
{
	json_t *reasons = json_array();

	for (size_t i = 0; i < t->n; i++) {
		const struct nat_type_reason *r = &t->reason[i];

		json_array_append_new(reasons, json_pack("{s:s,s:s,s:s?}", "id", r->id,
							 "text", r->text, "fix",
							 r->fix[0] ? r->fix : NULL));
	}
	return reasons;
}

struct verdicts {
	const char *host; /* NULL: any */
	json_t *list;
};

static void add_verdict(void *arg, const char *lan, const struct nat_type *t)
{
	struct verdicts *v = arg;

	/* clang-format off */
	json_array_append_new(v->list, json_pack(
		"{s:s,s:s?,s:s,s:s,s:b,s:s,s:s,s:s,s:o}",
		"lan", lan, "host", v->host,
		"mapping", nat_mapping_name(t->mapping),
		"filtering", nat_filtering_name(t->filtering),
		"at_best", (int)t->at_best,
		"xbox", t->grades.xbox, "playstation", t->grades.playstation,
		"nintendo", t->grades.nintendo, "reasons", reasons_json(t)));
	/* clang-format on */
}

void control_nat_type(void *arg, struct varlink_call *call)
{
	static const char *const names[] = {"host"};
	struct control *c = arg;
	const json_t *host;
	struct verdicts v = {0};
	struct in6_addr addr;

	if (!control_has_only(call, names, 1))
		return;
	host = json_object_get(varlink_parameters(call), "host");
	v.host = json_string_value(host);
	if (host && !json_is_null(host) && (!v.host || addr_parse(v.host, &addr))) {
		varlink_invalid(call, "host");
		return;
	}
	v.list = json_array();
	if (!v.list) {
		varlink_error(call, "org.portreeve.Failed", NULL);
		return;
	}
	if (!c->ops->nat_type(c->core, v.host ? &addr : NULL, add_verdict, &v) && v.host)
		varlink_error(call, "org.portreeve.NotInside",
			      json_pack("{s:s}", "host", v.host));
	else
		varlink_reply(call, json_pack("{s:O}", "verdicts", v.list));
	json_decref(v.list);
}

void control_profiles(void *arg, struct varlink_call *call)
{
	struct control *c = arg;
	const struct config *config;
	json_t *on;

	if (!control_has_only(call, NULL, 0))
		return;
	config = c->ops->config(c->core);
	on = json_array();
	for (size_t i = 0; i < config->n_profiles; i++)
		json_array_append_new(on, json_string(config->profile[i]));
	varlink_reply(call, json_pack("{s:s?,s:o}", "directory",
				      *config->profiles_dir ? config->profiles_dir : NULL,
				      "on", on));
}
