/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the control socket share. */
#pragma once

#include <jansson.h>

#include "daemon/control.h"
#include "daemon/varlink.h"

struct control {
	struct varlink *varlink;
	const struct control_ops *ops;
	void *core;
};

/* A parameter that we do not know might narrow what is meant: refused by its name. */
bool control_has_only(struct varlink_call *call, const char *const *names, size_t n);
const char *control_protocol(uint8_t protocol);
json_t *control_address(const struct in6_addr *a);
/* A client's text as JSON can have it. NULL: no memory. */
json_t *control_text(const char *description);

void control_history(void *arg, struct varlink_call *call);
void control_explain(void *arg, struct varlink_call *call);
void control_flows(void *arg, struct varlink_call *call);
json_t *control_lease(const struct control *c, const struct lease *l, uint64_t now_ms);
void control_nat_type(void *arg, struct varlink_call *call);
void control_profiles(void *arg, struct varlink_call *call);
