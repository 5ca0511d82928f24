/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two root devices that one LAN sees: their identities, addresses and documents. Face 0
 * is the clean IGD:1, face 1 the IGD:2. Knows nothing of connections or of libupnp.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "igd/scpd.h"

#define IGD_FACES 2
#define IGD_DEVICES 3 /* gateway, WAN, WAN connection */
#define IGD_DOCUMENT_MAX 16384
#define IGD_SERVER "Linux/1.0 UPnP/1.1 portreeve/0.1" /* no version of a kernel */

enum igd_service {
	IGD_LAYER3,
	IGD_COMMON,
	IGD_CONNECTION,
	IGD_PPP,      /* the same connection under the name that old clients ask for */
	IGD_FIREWALL, /* of IPv6 */
	IGD_SERVICES,
};

struct igd_service_def {
	const char *type; /* without version */
	unsigned int version;
	unsigned int device; /* the one it sits in: 0, 1, 2 */
	const char *id;
	const char *scpd_path;
	const char *control_path;
	const char *event_path;
	const struct scpd *scpd;
};

struct description; /* opaque */

/* uuid as in record_setup. NULL: no memory. */
struct description *description_new(const uint8_t uuid[16]);
void description_free(struct description *d);

/* NULL: that face has no such service. */
const struct igd_service_def *description_service(unsigned int face, enum igd_service s);
/* "uuid:..." of a device. */
const char *description_udn(const struct description *d, unsigned int face,
			    unsigned int device);
/* "urn:schemas-upnp-org:device:WANDevice" and the like, without version. */
const char *description_device_type(unsigned int device);
/* The root document of a face: "/rootDesc.xml", "/rootDesc2.xml". */
const char *description_path(unsigned int face);
/* What Layer3Forwarding calls the connection of this face. */
const char *description_default_connection(const struct description *d,
					   unsigned int face);

/* Where a path leads. */
struct description_route {
	enum description_kind {
		DESCRIPTION_NOTHING,
		DESCRIPTION_DOCUMENT,
		DESCRIPTION_CONTROL,
		DESCRIPTION_EVENT,
	} kind;
	unsigned int face;
	enum igd_service service;
	const char *document;
	size_t len;
};
struct description_route description_find(const struct description *d, const char *path);
