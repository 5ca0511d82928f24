/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads the arguments of a SOAP call, and knows the UPnP errors. The readers return 0 or
 * such an error: 402 for what is missing or cannot be read, 601 for what is out of range.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/record.h"
#include "igd/soap.h"

enum {
	ERROR_INVALID_ACTION = 401,
	ERROR_INVALID_ARGS = 402,
	ERROR_ACTION_FAILED = 501,
	ERROR_VALUE_OUT_OF_RANGE = 601,
	ERROR_OPTIONAL = 602,
	ERROR_OUT_OF_MEMORY = 603,
	ERROR_NOT_AUTHORIZED = 606,
	ERROR_CONNECTION_SETUP_FAILED = 704,
	ERROR_INDEX_INVALID = 713,
	ERROR_NO_SUCH_ENTRY = 714,
	ERROR_WILDCARD_SOURCE = 715,
	ERROR_WILDCARD_EXT_PORT = 716,
	ERROR_CONFLICT = 718,
	ERROR_INVALID_UUID = 720,
	ERROR_INVALID_SERVICE_ID = 721,
	ERROR_REMOTE_HOST_ONLY_WILDCARD = 726,
	ERROR_NO_PORT_MAPS = 728,
	ERROR_CONFLICT_WITH_OTHER = 729,
	ERROR_NOT_FOUND = 730,
	ERROR_READ_ONLY = 731,
	ERROR_WILDCARD_INT_PORT = 732,
	ERROR_INCONSISTENT = 733,
};

/* The standard's words for an error. */
const char *args_error_text(int code);

/* Rows W5, W6: ui2 and ui4, digits only. */
int args_number(const struct soap_call *call, const char *name, uint32_t max,
		uint32_t *out);
int args_port(const struct soap_call *call, const char *name, uint16_t *out);
/* Row U18: 0, 1, true, false, yes, no. */
int args_bool(const struct soap_call *call, const char *name, bool *out);
/* Row W7: NewProtocol, in any case. */
int args_protocol(const struct soap_call *call, uint8_t *out);
/* An IPv4 literal; host names are refused (row W10). */
int args_v4(const char *text, struct in6_addr *out);
/* NewRemoteHost; empty and 0.0.0.0 both mean everybody. */
int args_remote(const struct soap_call *call, struct lease_request *req);
/* The key of an entry: remote host, external port, protocol. */
int args_key(const struct soap_call *call, struct lease_request *req);
