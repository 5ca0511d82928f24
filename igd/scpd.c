/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/scpd.h"

#include <string.h>

#define IN(name, variable)                                                               \
	{                                                                                \
		name, variable, false                                                    \
	}
#define OUT(name, variable)                                                              \
	{                                                                                \
		name, variable, true                                                     \
	}

/* Layer3Forwarding:1 section 2.4 */
static const struct scpd_action layer3_actions[] = {
	{"SetDefaultConnectionService",
	 {IN("NewDefaultConnectionService", "DefaultConnectionService")}},
	{"GetDefaultConnectionService",
	 {OUT("NewDefaultConnectionService", "DefaultConnectionService")}},
	{0},
};
static const struct scpd_variable layer3_variables[] = {
	{"DefaultConnectionService", "string", true, NULL, NULL},
	{0},
};
const struct scpd scpd_layer3_forwarding = {layer3_actions, layer3_variables};

/* WANCommonInterfaceConfig:1 section 2.4 */
static const struct scpd_action common_actions[] = {
	{"GetCommonLinkProperties",
	 {OUT("NewWANAccessType", "WANAccessType"),
	  OUT("NewLayer1UpstreamMaxBitRate", "Layer1UpstreamMaxBitRate"),
	  OUT("NewLayer1DownstreamMaxBitRate", "Layer1DownstreamMaxBitRate"),
	  OUT("NewPhysicalLinkStatus", "PhysicalLinkStatus")}},
	{"GetTotalBytesSent", {OUT("NewTotalBytesSent", "TotalBytesSent")}},
	{"GetTotalBytesReceived", {OUT("NewTotalBytesReceived", "TotalBytesReceived")}},
	{"GetTotalPacketsSent", {OUT("NewTotalPacketsSent", "TotalPacketsSent")}},
	{"GetTotalPacketsReceived",
	 {OUT("NewTotalPacketsReceived", "TotalPacketsReceived")}},
	{0},
};
static const struct scpd_variable common_variables[] = {
	{"WANAccessType", "string", false, "DSL POTS Cable Ethernet", NULL},
	{"Layer1UpstreamMaxBitRate", "ui4", false, NULL, NULL},
	{"Layer1DownstreamMaxBitRate", "ui4", false, NULL, NULL},
	{"PhysicalLinkStatus", "string", true, "Up Down Initializing Unavailable", NULL},
	{"TotalBytesSent", "ui4", false, NULL, NULL},
	{"TotalBytesReceived", "ui4", false, NULL, NULL},
	{"TotalPacketsSent", "ui4", false, NULL, NULL},
	{"TotalPacketsReceived", "ui4", false, NULL, NULL},
	{0},
};
const struct scpd scpd_common_interface = {common_actions, common_variables};

/* WANIPConnection:1 section 2.4; :2 keeps these and adds its own. */
#define CONNECTION_ACTIONS                                                               \
	{"SetConnectionType", {IN("NewConnectionType", "ConnectionType")}},              \
		{"GetConnectionTypeInfo",                                                \
		 {OUT("NewConnectionType", "ConnectionType"),                            \
		  OUT("NewPossibleConnectionTypes", "PossibleConnectionTypes")}},        \
		{"RequestConnection", {{0}}}, {"RequestTermination", {{0}}},             \
		{"ForceTermination", {{0}}},                                             \
		{"GetStatusInfo",                                                        \
		 {OUT("NewConnectionStatus", "ConnectionStatus"),                        \
		  OUT("NewLastConnectionError", "LastConnectionError"),                  \
		  OUT("NewUptime", "Uptime")}},                                          \
		{"GetNATRSIPStatus",                                                     \
		 {OUT("NewRSIPAvailable", "RSIPAvailable"),                              \
		  OUT("NewNATEnabled", "NATEnabled")}},                                  \
		{"GetGenericPortMappingEntry",                                           \
		 {IN("NewPortMappingIndex", "PortMappingNumberOfEntries"),               \
		  OUT("NewRemoteHost", "RemoteHost"),                                    \
		  OUT("NewExternalPort", "ExternalPort"),                                \
		  OUT("NewProtocol", "PortMappingProtocol"),                             \
		  OUT("NewInternalPort", "InternalPort"),                                \
		  OUT("NewInternalClient", "InternalClient"),                            \
		  OUT("NewEnabled", "PortMappingEnabled"),                               \
		  OUT("NewPortMappingDescription", "PortMappingDescription"),            \
		  OUT("NewLeaseDuration", "PortMappingLeaseDuration")}},                 \
		{"GetSpecificPortMappingEntry",                                          \
		 {IN("NewRemoteHost", "RemoteHost"),                                     \
		  IN("NewExternalPort", "ExternalPort"),                                 \
		  IN("NewProtocol", "PortMappingProtocol"),                              \
		  OUT("NewInternalPort", "InternalPort"),                                \
		  OUT("NewInternalClient", "InternalClient"),                            \
		  OUT("NewEnabled", "PortMappingEnabled"),                               \
		  OUT("NewPortMappingDescription", "PortMappingDescription"),            \
		  OUT("NewLeaseDuration", "PortMappingLeaseDuration")}},                 \
		{"AddPortMapping",                                                       \
		 {IN("NewRemoteHost", "RemoteHost"),                                     \
		  IN("NewExternalPort", "ExternalPort"),                                 \
		  IN("NewProtocol", "PortMappingProtocol"),                              \
		  IN("NewInternalPort", "InternalPort"),                                 \
		  IN("NewInternalClient", "InternalClient"),                             \
		  IN("NewEnabled", "PortMappingEnabled"),                                \
		  IN("NewPortMappingDescription", "PortMappingDescription"),             \
		  IN("NewLeaseDuration", "PortMappingLeaseDuration")}},                  \
		{"DeletePortMapping",                                                    \
		 {IN("NewRemoteHost", "RemoteHost"),                                     \
		  IN("NewExternalPort", "ExternalPort"),                                 \
		  IN("NewProtocol", "PortMappingProtocol")}},                            \
	{                                                                                \
		"GetExternalIPAddress",                                                  \
		{                                                                        \
			OUT("NewExternalIPAddress", "ExternalIPAddress")                 \
		}                                                                        \
	}

#define CONNECTION_VARIABLES                                                                       \
	{"ConnectionType", "string", false, NULL, NULL},                                           \
		{"PossibleConnectionTypes", "string", true,                                        \
		 "Unconfigured IP_Routed IP_Bridged", NULL},                                       \
		{"ConnectionStatus", "string", true,                                               \
		 "Unconfigured Connecting Connected PendingDisconnect Disconnecting Disconnected", \
		 NULL},                                                                            \
		{"Uptime", "ui4", false, NULL, NULL},                                              \
		{"LastConnectionError", "string", false,                                           \
		 "ERROR_NONE ERROR_COMMAND_ABORTED ERROR_NOT_ENABLED_FOR_INTERNET "                \
		 "ERROR_USER_DISCONNECT ERROR_ISP_DISCONNECT ERROR_IDLE_DISCONNECT "               \
		 "ERROR_FORCED_DISCONNECT ERROR_NO_CARRIER ERROR_IP_CONFIGURATION ERROR_UNKNOWN",  \
		 NULL},                                                                            \
		{"RSIPAvailable", "boolean", false, NULL, NULL},                                   \
		{"NATEnabled", "boolean", false, NULL, NULL},                                      \
		{"ExternalIPAddress", "string", true, NULL, NULL},                                 \
		{"PortMappingNumberOfEntries", "ui2", true, NULL, NULL},                           \
		{"PortMappingEnabled", "boolean", false, NULL, NULL},                              \
		{"RemoteHost", "string", false, NULL, NULL},                                       \
		{"ExternalPort", "ui2", false, NULL, NULL},                                        \
		{"PortMappingProtocol", "string", false, "TCP UDP", NULL},                         \
		{"InternalClient", "string", false, NULL, NULL},                                   \
	{                                                                                          \
		"PortMappingDescription", "string", false, NULL, NULL                              \
	}

static const struct scpd_action connection_actions_1[] = {
	CONNECTION_ACTIONS,
	{0},
};
static const struct scpd_variable connection_variables_1[] = {
	CONNECTION_VARIABLES,
	{"InternalPort", "ui2", false, NULL, NULL},
	{"PortMappingLeaseDuration", "ui4", false, NULL, NULL},
	{0},
};
const struct scpd scpd_ip_connection_1 = {connection_actions_1, connection_variables_1};

/* WANPPPConnection:1 sections 2.2 and 2.4: of PPP itself only what it demands. */
static const struct scpd_action ppp_actions[] = {
	CONNECTION_ACTIONS,
	{"GetLinkLayerMaxBitRates",
	 {OUT("NewUpstreamMaxBitRate", "UpstreamMaxBitRate"),
	  OUT("NewDownstreamMaxBitRate", "DownstreamMaxBitRate")}},
	{0},
};
static const struct scpd_variable ppp_variables[] = {
	CONNECTION_VARIABLES,
	{"InternalPort", "ui2", false, NULL, NULL},
	{"PortMappingLeaseDuration", "ui4", false, NULL, NULL},
	{"UpstreamMaxBitRate", "ui4", false, NULL, NULL},
	{"DownstreamMaxBitRate", "ui4", false, NULL, NULL},
	{0},
};
const struct scpd scpd_ppp_connection_1 = {ppp_actions, ppp_variables};

/* WANIPConnection:2 sections 2.3.16, 2.3.18, 2.3.23-2.3.25, 2.5.17, 2.5.19, 2.5.21 */
static const struct scpd_action connection_actions_2[] = {
	CONNECTION_ACTIONS,
	{"AddAnyPortMapping",
	 {IN("NewRemoteHost", "RemoteHost"), IN("NewExternalPort", "ExternalPort"),
	  IN("NewProtocol", "PortMappingProtocol"), IN("NewInternalPort", "InternalPort"),
	  IN("NewInternalClient", "InternalClient"),
	  IN("NewEnabled", "PortMappingEnabled"),
	  IN("NewPortMappingDescription", "PortMappingDescription"),
	  IN("NewLeaseDuration", "PortMappingLeaseDuration"),
	  OUT("NewReservedPort", "ExternalPort")}},
	{"DeletePortMappingRange",
	 {IN("NewStartPort", "ExternalPort"), IN("NewEndPort", "ExternalPort"),
	  IN("NewProtocol", "PortMappingProtocol"),
	  IN("NewManage", "A_ARG_TYPE_Manage")}},
	{"GetListOfPortMappings",
	 {IN("NewStartPort", "ExternalPort"), IN("NewEndPort", "ExternalPort"),
	  IN("NewProtocol", "PortMappingProtocol"), IN("NewManage", "A_ARG_TYPE_Manage"),
	  IN("NewNumberOfPorts", "PortMappingNumberOfEntries"),
	  OUT("NewPortListing", "A_ARG_TYPE_PortListing")}},
	{0},
};
static const struct scpd_variable connection_variables_2[] = {
	CONNECTION_VARIABLES,
	{"InternalPort", "ui2", false, NULL, "1 65535"},
	{"PortMappingLeaseDuration", "ui4", false, NULL, "0 604800"},
	{"SystemUpdateID", "ui4", true, NULL, NULL},
	{"A_ARG_TYPE_Manage", "boolean", false, NULL, NULL},
	{"A_ARG_TYPE_PortListing", "string", false, NULL, NULL},
	{0},
};
const struct scpd scpd_ip_connection_2 = {connection_actions_2, connection_variables_2};

/* WANIPv6FirewallControl:1 sections 2.3 and 2.5 */
#define PINHOLE_ENDS                                                                     \
	IN("RemoteHost", "A_ARG_TYPE_IPv6Address"), IN("RemotePort", "A_ARG_TYPE_Port"), \
		IN("InternalClient", "A_ARG_TYPE_IPv6Address"),                          \
		IN("InternalPort", "A_ARG_TYPE_Port"),                                   \
		IN("Protocol", "A_ARG_TYPE_Protocol")

static const struct scpd_action firewall_actions[] = {
	{"GetFirewallStatus",
	 {OUT("FirewallEnabled", "FirewallEnabled"),
	  OUT("InboundPinholeAllowed", "InboundPinholeAllowed")}},
	{"GetOutboundPinholeTimeout",
	 {PINHOLE_ENDS,
	  OUT("OutboundPinholeTimeout", "A_ARG_TYPE_OutboundPinholeTimeout")}},
	{"AddPinhole",
	 {PINHOLE_ENDS, IN("LeaseTime", "A_ARG_TYPE_LeaseTime"),
	  OUT("UniqueID", "A_ARG_TYPE_UniqueID")}},
	{"UpdatePinhole",
	 {IN("UniqueID", "A_ARG_TYPE_UniqueID"),
	  IN("NewLeaseTime", "A_ARG_TYPE_LeaseTime")}},
	{"DeletePinhole", {IN("UniqueID", "A_ARG_TYPE_UniqueID")}},
	{"GetPinholePackets",
	 {IN("UniqueID", "A_ARG_TYPE_UniqueID"),
	  OUT("PinholePackets", "A_ARG_TYPE_PinholePackets")}},
	{"CheckPinholeWorking",
	 {IN("UniqueID", "A_ARG_TYPE_UniqueID"), OUT("IsWorking", "A_ARG_TYPE_Boolean")}},
	{0},
};
static const struct scpd_variable firewall_variables[] = {
	{"FirewallEnabled", "boolean", true, NULL, NULL},
	{"InboundPinholeAllowed", "boolean", true, NULL, NULL},
	{"A_ARG_TYPE_OutboundPinholeTimeout", "ui4", false, NULL, NULL},
	{"A_ARG_TYPE_IPv6Address", "string", false, NULL, NULL},
	{"A_ARG_TYPE_Port", "ui2", false, NULL, NULL},
	{"A_ARG_TYPE_Protocol", "ui2", false, NULL, NULL},
	{"A_ARG_TYPE_LeaseTime", "ui4", false, NULL, "1 86400"},
	{"A_ARG_TYPE_UniqueID", "ui2", false, NULL, NULL},
	{"A_ARG_TYPE_PinholePackets", "ui4", false, NULL, NULL},
	{"A_ARG_TYPE_Boolean", "boolean", false, NULL, NULL},
	{0},
};
const struct scpd scpd_ipv6_firewall = {firewall_actions, firewall_variables};

static void scpd_write_action(const struct scpd_action *a, struct text *t)
{
	text_printf(t, "<action><name>%s</name>", a->name);
	if (a->args[0].name)
		text_put(t, "<argumentList>");
	for (size_t i = 0; i < sizeof(a->args) / sizeof(a->args[0]) && a->args[i].name;
	     i++)
		text_printf(t,
			    "<argument><name>%s</name><direction>%s</direction>"
			    "<relatedStateVariable>%s</relatedStateVariable></argument>",
			    a->args[i].name, a->args[i].out ? "out" : "in",
			    a->args[i].variable);
	if (a->args[0].name)
		text_put(t, "</argumentList>");
	text_put(t, "</action>\n");
}

static void scpd_write_allowed(const char *values, struct text *t)
{
	text_put(t, "<allowedValueList>");
	while (*values) {
		size_t n = strcspn(values, " ");

		text_printf(t, "<allowedValue>%.*s</allowedValue>", (int)n, values);
		values += n + (values[n] == ' ');
	}
	text_put(t, "</allowedValueList>");
}

static void scpd_write_variable(const struct scpd_variable *v, struct text *t)
{
	text_printf(
		t,
		"<stateVariable sendEvents=\"%s\"><name>%s</name><dataType>%s</dataType>",
		v->evented ? "yes" : "no", v->name, v->type);
	if (v->allowed)
		scpd_write_allowed(v->allowed, t);
	if (v->range)
		text_printf(
			t,
			"<allowedValueRange><minimum>%.*s</minimum><maximum>%s</maximum>"
			"</allowedValueRange>",
			(int)strcspn(v->range, " "), v->range, strchr(v->range, ' ') + 1);
	text_put(t, "</stateVariable>\n");
}

void scpd_write(const struct scpd *s, struct text *t)
{
	text_put(t, "<?xml version=\"1.0\"?>\n"
		    "<scpd xmlns=\"urn:schemas-upnp-org:service-1-0\">"
		    "<specVersion><major>1</major><minor>0</minor></specVersion>\n"
		    "<actionList>\n");
	for (const struct scpd_action *a = s->actions; a->name; a++)
		scpd_write_action(a, t);
	text_put(t, "</actionList>\n<serviceStateTable>\n");
	for (const struct scpd_variable *v = s->variables; v->name; v++)
		scpd_write_variable(v, t);
	text_put(t, "</serviceStateTable>\n</scpd>\n");
}
