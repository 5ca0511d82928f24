/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The actions of WANIPv6FirewallControl:1. A pinhole is a lease of the IPv6 host that asks;
 * the core numbers it.
 */
#include <netinet/in.h>

#include "igd/action.h"
#include "igd/args.h"

#define PINHOLE_LEASE_MAX 86400u /* seconds; section 2.3.8 */
#define PINHOLE_ANY_PROTOCOL 65535u

enum {
	FIREWALL_NO_SPACE = 701,
	FIREWALL_NO_SUCH_ENTRY = 704,
	FIREWALL_PROTOCOL = 705,
	FIREWALL_WILDCARD_PORT = 706,
	FIREWALL_WILDCARD_PROTOCOL = 707,
	FIREWALL_WILDCARD_SOURCE = 708,
	FIREWALL_NO_TRAFFIC = 709,
};

const char *firewall_error_text(int code)
{
	switch (code) {
	case FIREWALL_NO_SPACE:
		return "PinholeSpaceExhausted";
	case FIREWALL_NO_SUCH_ENTRY:
		return "NoSuchEntry";
	case FIREWALL_PROTOCOL:
		return "ProtocolNotSupported";
	case FIREWALL_WILDCARD_PORT:
		return "InternalPortWildcardingNotAllowed";
	case FIREWALL_WILDCARD_PROTOCOL:
		return "ProtocolWildcardingNotAllowed";
	case FIREWALL_WILDCARD_SOURCE:
		return "WildCardNotPermittedInSrcIP";
	case FIREWALL_NO_TRAFFIC:
		return "NoTrafficReceived";
	default:
		return NULL;
	}
}

/* Here out of range is as bad as not readable: there is no 601. */
static int read_number(const struct action_run *r, const char *name, uint32_t max,
		       uint32_t *out)
{
	return args_number(r->call, name, max, out) ? ERROR_INVALID_ARGS : 0;
}

static int read_port(const struct action_run *r, const char *name, uint16_t *out)
{
	uint32_t n = 0;
	int err = read_number(r, name, UINT16_MAX, &n);

	*out = (uint16_t)n;
	return err;
}

/* An IPv6 literal, or nothing: *out is :: then. Host names are refused. */
static int read_address(const struct action_run *r, const char *name,
			struct in6_addr *out)
{
	const char *text = soap_arg(r->call, name);

	*out = (struct in6_addr)IN6ADDR_ANY_INIT;
	if (!text)
		return ERROR_INVALID_ARGS;
	if (!*text)
		return 0;
	return addr_parse(text, out) || addr_is_v4(out) ? ERROR_INVALID_ARGS : 0;
}

/* Rows F1, F2. First what cannot be read, then what cannot be had. */
static int read_ends(const struct action_run *r)
{
	struct lease_request *req = r->req;
	uint32_t protocol = 0;
	int err = read_address(r, "RemoteHost", &req->remote);

	if (!err)
		err = read_port(r, "RemotePort", &req->remote_port);
	if (!err)
		err = read_address(r, "InternalClient", &req->internal);
	if (!err)
		err = read_port(r, "InternalPort", &req->int_port);
	if (!err)
		err = read_number(r, "Protocol", UINT16_MAX, &protocol);
	if (err)
		return err;
	req->remote_len = addr_is_none(&req->remote) ? 0 : 128;
	if (addr_is_none(&req->internal))
		return FIREWALL_WILDCARD_SOURCE;
	if (protocol == PINHOLE_ANY_PROTOCOL)
		return FIREWALL_WILDCARD_PROTOCOL;
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return FIREWALL_PROTOCOL;
	req->protocol = (uint8_t)protocol;
	return 0;
}

static int read_lease(const struct action_run *r, const char *name)
{
	int err = read_number(r, name, PINHOLE_LEASE_MAX, &r->req->lifetime);

	return err || !r->req->lifetime ? ERROR_INVALID_ARGS : 0;
}

/* Row F3: a request over IPv4 proves no IPv6 address, so it is somebody else's. */
static int run_add(const struct action_run *r)
{
	struct lease_request *req = r->req;
	int err = read_lease(r, "LeaseTime");

	if (!err)
		err = read_ends(r);
	if (!err && !req->int_port)
		err = FIREWALL_WILDCARD_PORT;
	if (!err && !addr_equal(&req->internal, &req->client))
		err = ERROR_NOT_AUTHORIZED;
	req->ext_port = req->int_port;
	req->flags |= LEASE_EXACT; /* the very remote that was named */
	return err;
}

static int run_number(const struct action_run *r)
{
	return read_number(r, "UniqueID", UINT16_MAX, &r->req->index);
}

static int run_update(const struct action_run *r)
{
	int err = run_number(r);

	return err ? err : read_lease(r, "NewLeaseTime");
}

static int refusal_add(const struct action *a, enum lease_reason reason)
{
	(void)a;
	switch (reason) {
	case LEASE_NOT_LAN:
	case LEASE_THIRD_PARTY:
	case LEASE_ACCESS:
	case LEASE_DENIED:
	case LEASE_RESERVED:
	case LEASE_ROUTER:
	case LEASE_STATIC:
	case LEASE_NOT_OWNER:
	case LEASE_NONCE_MISMATCH:
		return ERROR_NOT_AUTHORIZED;
	case LEASE_PROTOCOL:
		return FIREWALL_PROTOCOL;
	case LEASE_PORT:
		return FIREWALL_WILDCARD_PORT;
	case LEASE_QUOTA_HOST:
	case LEASE_QUOTA_TABLE:
	case LEASE_NO_PORT:
	case LEASE_TAKEN:
	case LEASE_FILTERS:
	case LEASE_REMOTE: /* it would lie across another one of that port */
		return FIREWALL_NO_SPACE;
	case LEASE_OK:
	case LEASE_RATE:
	case LEASE_NOT_FOUND:
	case LEASE_NO_WAN:
	case LEASE_KERNEL:
	case LEASE_REASON_END:
		break;
	}
	return ERROR_ACTION_FAILED;
}

static int refusal_number(const struct action *a, enum lease_reason reason)
{
	(void)a;
	if (reason == LEASE_NOT_FOUND)
		return FIREWALL_NO_SUCH_ENTRY;
	return reason == LEASE_KERNEL ? ERROR_ACTION_FAILED : ERROR_NOT_AUTHORIZED;
}

static int reply_add(const struct action *a, const struct lease_reply *reply,
		     struct soap_writer *w)
{
	(void)a;
	soap_put_number(w, "UniqueID", reply->number);
	return 0;
}

static int reply_packets(const struct action *a, const struct lease_reply *reply,
			 struct soap_writer *w)
{
	(void)a;
	soap_put_number(w, "PinholePackets", reply->packets);
	return 0;
}

/* Row F7: it works if something has come through it; else nothing is known. */
static int reply_working(const struct action *a, const struct lease_reply *reply,
			 struct soap_writer *w)
{
	(void)a;
	if (!reply->packets)
		return FIREWALL_NO_TRAFFIC;
	soap_put(w, "IsWorking", "1");
	return 0;
}

/* Nobody on the LAN switches these: pinholes are always kept, and always to be had. */
static int run_status(const struct action_run *r)
{
	soap_put(r->w, "FirewallEnabled", "1");
	soap_put(r->w, "InboundPinholeAllowed", "1");
	return 0;
}

/* Row F8. What one packet of the host outwards lets in, the kernel forgets after this silence. */
static int run_outbound(const struct action_run *r)
{
	struct lease_request ends = {.client = r->env->client};
	struct action_run read = *r;
	const struct record_state *s = r->env->state;
	uint32_t seconds;
	int err;

	read.req = &ends;
	err = read_ends(&read);
	if (err)
		return err;
	seconds = ends.protocol == IPPROTO_TCP ? s->tcp_idle_s : s->udp_idle_s;
	if (!seconds)
		return ERROR_ACTION_FAILED;
	soap_put_number(r->w, "OutboundPinholeTimeout", seconds);
	return 0;
}

const struct action_def actions_firewall[] = {
	{.name = "GetFirewallStatus", .version = 1, .run = run_status},
	{.name = "GetOutboundPinholeTimeout", .version = 1, .run = run_outbound},
	{.name = "AddPinhole",
	 .version = 1,
	 .op = LEASE_OP_MAP,
	 .run = run_add,
	 .refusal = refusal_add,
	 .reply = reply_add},
	{.name = "UpdatePinhole",
	 .version = 1,
	 .op = LEASE_OP_PIN_RENEW,
	 .run = run_update,
	 .refusal = refusal_number},
	{.name = "DeletePinhole",
	 .version = 1,
	 .op = LEASE_OP_PIN_END,
	 .run = run_number,
	 .refusal = refusal_number},
	{.name = "GetPinholePackets",
	 .version = 1,
	 .op = LEASE_OP_PIN_GET,
	 .run = run_number,
	 .refusal = refusal_number,
	 .reply = reply_packets},
	{.name = "CheckPinholeWorking",
	 .version = 1,
	 .op = LEASE_OP_PIN_GET,
	 .run = run_number,
	 .refusal = refusal_number,
	 .reply = reply_working},
	{0},
};
