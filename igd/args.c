/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/args.h"

#include <string.h>
#include <strings.h>

#include "base/addr.h"

static const struct {
	int code;
	const char *text;
} errors[] = {
	{ERROR_INVALID_ACTION, "Invalid Action"},
	{ERROR_INVALID_ARGS, "Invalid Args"},
	{ERROR_ACTION_FAILED, "Action Failed"},
	{ERROR_VALUE_OUT_OF_RANGE, "Argument Value Out of Range"},
	{ERROR_OPTIONAL, "Optional Action Not Implemented"},
	{ERROR_OUT_OF_MEMORY, "Out of Memory"},
	{ERROR_NOT_AUTHORIZED, "Action not authorized"},
	{ERROR_CONNECTION_SETUP_FAILED, "ConnectionSetupFailed"},
	{ERROR_INDEX_INVALID, "SpecifiedArrayIndexInvalid"},
	{ERROR_NO_SUCH_ENTRY, "NoSuchEntryInArray"},
	{ERROR_WILDCARD_SOURCE, "WildCardNotPermittedInSrcIP"},
	{ERROR_WILDCARD_EXT_PORT, "WildCardNotPermittedInExtPort"},
	{ERROR_CONFLICT, "ConflictInMappingEntry"},
	{ERROR_INVALID_UUID, "InvalidDeviceUUID"},
	{ERROR_INVALID_SERVICE_ID, "InvalidServiceID"},
	{ERROR_REMOTE_HOST_ONLY_WILDCARD, "RemoteHostOnlySupportsWildcard"},
	{ERROR_NO_PORT_MAPS, "NoPortMapsAvailable"},
	{ERROR_CONFLICT_WITH_OTHER, "ConflictWithOtherMechanisms"},
	{ERROR_NOT_FOUND, "PortMappingNotFound"},
	{ERROR_READ_ONLY, "ReadOnly"},
	{ERROR_WILDCARD_INT_PORT, "WildCardNotPermittedInIntPort"},
	{ERROR_INCONSISTENT, "InconsistentParameters"},
};

const char *args_error_text(int code)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].code == code)
			return errors[i].text;
	return "Action Failed";
}

int args_number(const struct soap_call *call, const char *name, uint32_t max,
		uint32_t *out)
{
	const char *text = soap_arg(call, name);
	uint64_t n = 0;

	if (!text || !*text)
		return ERROR_INVALID_ARGS;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return ERROR_INVALID_ARGS;
		if (n <= UINT32_MAX)
			n = n * 10 + (uint64_t)(*text - '0');
	}
	if (n > max)
		return ERROR_VALUE_OUT_OF_RANGE;
	*out = (uint32_t)n;
	return 0;
}

int args_port(const struct soap_call *call, const char *name, uint16_t *out)
{
	uint32_t n = 0;
	int err = args_number(call, name, UINT16_MAX, &n);

	*out = (uint16_t)n;
	return err;
}

int args_bool(const struct soap_call *call, const char *name, bool *out)
{
	static const char *const yes[] = {"1", "true", "yes"};
	static const char *const no[] = {"0", "false", "no"};
	const char *text = soap_arg(call, name);

	for (size_t i = 0; text && i < sizeof(yes) / sizeof(yes[0]); i++) {
		*out = strcasecmp(text, yes[i]) == 0;
		if (*out || strcasecmp(text, no[i]) == 0)
			return 0;
	}
	return ERROR_INVALID_ARGS;
}

int args_protocol(const struct soap_call *call, uint8_t *out)
{
	const char *text = soap_arg(call, "NewProtocol");

	if (!text || !*text)
		return ERROR_INVALID_ARGS;
	if (strcasecmp(text, "TCP") == 0)
		*out = IPPROTO_TCP;
	else if (strcasecmp(text, "UDP") == 0)
		*out = IPPROTO_UDP;
	else
		return ERROR_VALUE_OUT_OF_RANGE;
	return 0;
}

int args_v4(const char *text, struct in6_addr *out)
{
	return addr_parse(text, out) || !addr_is_v4(out) || strchr(text, ':')
		       ? ERROR_INVALID_ARGS
		       : 0;
}

int args_remote(const struct soap_call *call, struct lease_request *req)
{
	const char *text = soap_arg(call, "NewRemoteHost");

	if (!text)
		return ERROR_INVALID_ARGS;
	if (*text && args_v4(text, &req->remote))
		return ERROR_INVALID_ARGS;
	if (!*text || addr_is_none(&req->remote)) {
		req->remote = (struct in6_addr)IN6ADDR_ANY_INIT;
		req->remote_len = 0;
		return 0;
	}
	req->remote_len = 128;
	return 0;
}

int args_key(const struct soap_call *call, struct lease_request *req)
{
	int err = args_remote(call, req);

	if (!err)
		err = args_port(call, "NewExternalPort", &req->ext_port);
	return err ? err : args_protocol(call, &req->protocol);
}
