/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a connection tells of itself, and that nobody on the LAN may change it. */
#include "igd/action.h"
#include "igd/args.h"

const char *action_status_text(const struct record_state *s)
{
	return s->wan_up ? "Connected" : "Disconnected";
}

const char *action_external_text(const struct record_state *s, char buf[ADDR_TEXT])
{
	return addr_is_none(&s->wan4) ? "" : addr_text(&s->wan4, buf);
}

static int run_external(const struct action_run *r)
{
	char addr[ADDR_TEXT];

	soap_put(r->w, "NewExternalIPAddress", action_external_text(r->env->state, addr));
	return 0;
}

static int run_status(const struct action_run *r)
{
	const struct record_state *s = r->env->state;
	uint64_t up_ms = s->wan_since_ms && r->env->now_ms > s->wan_since_ms
				 ? r->env->now_ms - s->wan_since_ms
				 : 0;

	soap_put(r->w, "NewConnectionStatus", action_status_text(s));
	soap_put(r->w, "NewLastConnectionError", "ERROR_NONE");
	soap_put_number(r->w, "NewUptime", (uint32_t)(s->wan_up ? up_ms / 1000 : 0));
	return 0;
}

/* Row W20: go-ethereum and go-libp2p want exactly these. */
static int run_nat(const struct action_run *r)
{
	soap_put(r->w, "NewRSIPAvailable", "0");
	soap_put(r->w, "NewNATEnabled", "1");
	return 0;
}

static int run_type(const struct action_run *r)
{
	soap_put(r->w, "NewConnectionType", "IP_Routed");
	soap_put(r->w, "NewPossibleConnectionTypes", "IP_Routed");
	return 0;
}

/* Row W21: nobody on the LAN changes the connection. */
static int run_set_type(const struct action_run *r)
{
	if (!soap_arg(r->call, "NewConnectionType"))
		return ERROR_INVALID_ARGS;
	return r->action->version >= 2 ? ERROR_READ_ONLY : ERROR_ACTION_FAILED;
}

static int run_connect(const struct action_run *r)
{
	return r->env->state->wan_up ? 0 : ERROR_CONNECTION_SETUP_FAILED;
}

static int run_disconnect(const struct action_run *r)
{
	(void)r;
	return ERROR_NOT_AUTHORIZED;
}

/* WANPPPConnection:1 section 2.4.4 */
static int run_link_rates(const struct action_run *r)
{
	soap_put_number(r->w, "NewUpstreamMaxBitRate",
			action_rate(r->env->state->tx_bits_per_s));
	soap_put_number(r->w, "NewDownstreamMaxBitRate",
			action_rate(r->env->state->rx_bits_per_s));
	return 0;
}

#define OPTIONAL(action)                                                                 \
	{                                                                                \
		.name = (action), .version = 1, .run = action_is_optional                \
	}
#define OPTIONAL_PPP(action)                                                             \
	{                                                                                \
		.name = (action), .version = 1, .ppp = true, .run = action_is_optional   \
	}

const struct action_def actions_connection[] = {
	{.name = "GetExternalIPAddress", .version = 1, .run = run_external},
	{.name = "GetStatusInfo", .version = 1, .run = run_status},
	{.name = "GetNATRSIPStatus", .version = 1, .run = run_nat},
	{.name = "GetConnectionTypeInfo", .version = 1, .run = run_type},
	{.name = "SetConnectionType", .version = 1, .run = run_set_type},
	{.name = "RequestConnection", .version = 1, .run = run_connect},
	{.name = "RequestTermination", .version = 1, .run = run_disconnect},
	{.name = "ForceTermination", .version = 1, .run = run_disconnect},
	{.name = "GetLinkLayerMaxBitRates",
	 .version = 1,
	 .ppp = true,
	 .run = run_link_rates},
	OPTIONAL("SetAutoDisconnectTime"),
	OPTIONAL("SetIdleDisconnectTime"),
	OPTIONAL("SetWarnDisconnectDelay"),
	OPTIONAL("GetAutoDisconnectTime"),
	OPTIONAL("GetIdleDisconnectTime"),
	OPTIONAL("GetWarnDisconnectDelay"),
	OPTIONAL_PPP("ConfigureConnection"),
	OPTIONAL_PPP("GetPPPEncryptionProtocol"),
	OPTIONAL_PPP("GetPPPCompressionProtocol"),
	OPTIONAL_PPP("GetPPPAuthenticationProtocol"),
	OPTIONAL_PPP("GetUserName"),
	OPTIONAL_PPP("GetPassword"),
	{0},
};
