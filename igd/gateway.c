/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The actions of WANCommonInterfaceConfig and of Layer3Forwarding. */
#include <string.h>

#include "igd/action.h"
#include "igd/args.h"

uint32_t action_rate(uint64_t bits_per_s)
{
	return bits_per_s > UINT32_MAX ? UINT32_MAX : (uint32_t)bits_per_s;
}

static int run_link(const struct action_run *r)
{
	const struct record_state *s = r->env->state;

	soap_put(r->w, "NewWANAccessType", "Ethernet");
	soap_put_number(r->w, "NewLayer1UpstreamMaxBitRate",
			action_rate(s->tx_bits_per_s));
	soap_put_number(r->w, "NewLayer1DownstreamMaxBitRate",
			action_rate(s->rx_bits_per_s));
	soap_put(r->w, "NewPhysicalLinkStatus", s->wan_up ? "Up" : "Down");
	return 0;
}

/* Row W24: ui4 that wraps. */
static int run_bytes_sent(const struct action_run *r)
{
	soap_put_number(r->w, "NewTotalBytesSent", (uint32_t)r->env->state->tx_bytes);
	return 0;
}

static int run_bytes_received(const struct action_run *r)
{
	soap_put_number(r->w, "NewTotalBytesReceived", (uint32_t)r->env->state->rx_bytes);
	return 0;
}

static int run_packets_sent(const struct action_run *r)
{
	soap_put_number(r->w, "NewTotalPacketsSent", (uint32_t)r->env->state->tx_packets);
	return 0;
}

static int run_packets_received(const struct action_run *r)
{
	soap_put_number(r->w, "NewTotalPacketsReceived",
			(uint32_t)r->env->state->rx_packets);
	return 0;
}

static int run_get_default(const struct action_run *r)
{
	soap_put(r->w, "NewDefaultConnectionService", r->env->connection);
	return 0;
}

/* There is one connection: it is the default, and stays so. */
static int run_set_default(const struct action_run *r)
{
	const char *value = soap_arg(r->call, "NewDefaultConnectionService");
	const char *ours = r->env->connection;
	size_t udn = strlen("uuid:") + strcspn(ours + strlen("uuid:"), ":");

	if (!value)
		return ERROR_INVALID_ARGS;
	if (strcmp(value, ours) == 0)
		return 0;
	return strncmp(value, ours, udn + 1) == 0 ? ERROR_INVALID_SERVICE_ID
						  : ERROR_INVALID_UUID;
}

#define OPTIONAL(action)                                                                 \
	{                                                                                \
		.name = (action), .version = 1, .run = action_is_optional                \
	}

const struct action_def actions_common[] = {
	{.name = "GetCommonLinkProperties", .version = 1, .run = run_link},
	{.name = "GetTotalBytesSent",
	 .version = 1,
	 .counters = true,
	 .run = run_bytes_sent},
	{.name = "GetTotalBytesReceived",
	 .version = 1,
	 .counters = true,
	 .run = run_bytes_received},
	{.name = "GetTotalPacketsSent",
	 .version = 1,
	 .counters = true,
	 .run = run_packets_sent},
	{.name = "GetTotalPacketsReceived",
	 .version = 1,
	 .counters = true,
	 .run = run_packets_received},
	OPTIONAL("SetEnabledForInternet"),
	OPTIONAL("GetEnabledForInternet"),
	OPTIONAL("GetMaximumActiveConnections"),
	OPTIONAL("GetActiveConnection"),
	{0},
};

const struct action_def actions_layer3[] = {
	{.name = "SetDefaultConnectionService", .version = 1, .run = run_set_default},
	{.name = "GetDefaultConnectionService", .version = 1, .run = run_get_default},
	{0},
};
