/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/description.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "igd/page.h"

#define DEVICE "urn:schemas-upnp-org:device:"
#define SERVICE "urn:schemas-upnp-org:service:"
#define UDN_TEXT 48
#define DOCUMENTS 8

/* Of the faces the paths differ, because libupnp tells its devices apart by path. */
static const struct igd_service_def services[IGD_FACES][IGD_SERVICES] = {
	{
		[IGD_LAYER3] = {SERVICE "Layer3Forwarding", 1, 0,
				"urn:upnp-org:serviceId:L3Forwarding1", "/L3F.xml",
				"/ctl/L3F", "/evt/L3F", &scpd_layer3_forwarding},
		[IGD_COMMON] = {SERVICE "WANCommonInterfaceConfig", 1, 1,
				"urn:upnp-org:serviceId:WANCommonIFC1", "/WANCfg.xml",
				"/ctl/CmnIfCfg", "/evt/CmnIfCfg", &scpd_common_interface},
		[IGD_CONNECTION] = {SERVICE "WANIPConnection", 1, 2,
				    "urn:upnp-org:serviceId:WANIPConn1", "/WANIPCn.xml",
				    "/ctl/IPConn", "/evt/IPConn", &scpd_ip_connection_1},
		/* Behind the other: clients take the first connection that they know. */
		[IGD_PPP] = {SERVICE "WANPPPConnection", 1, 2,
			     "urn:upnp-org:serviceId:WANPPPConn1", "/WANPPPCn.xml",
			     "/ctl/PPPConn", "/evt/PPPConn", &scpd_ppp_connection_1},
	},
	{
		[IGD_LAYER3] = {SERVICE "Layer3Forwarding", 1, 0,
				"urn:upnp-org:serviceId:L3Forwarding1", "/L3F.xml",
				"/ctl2/L3F", "/evt2/L3F", &scpd_layer3_forwarding},
		[IGD_COMMON] = {SERVICE "WANCommonInterfaceConfig", 1, 1,
				"urn:upnp-org:serviceId:WANCommonIFC1", "/WANCfg.xml",
				"/ctl2/CmnIfCfg", "/evt2/CmnIfCfg",
				&scpd_common_interface},
		[IGD_CONNECTION] = {SERVICE "WANIPConnection", 2, 2,
				    "urn:upnp-org:serviceId:WANIPConn1", "/WANIPCn2.xml",
				    "/ctl2/IPConn", "/evt2/IPConn",
				    &scpd_ip_connection_2},
		[IGD_FIREWALL] = {SERVICE "WANIPv6FirewallControl", 1, 2,
				  "urn:upnp-org:serviceId:WANIPv6Firewall1",
				  "/WANIP6FC.xml", "/ctl2/IP6FCtl", "/evt2/IP6FCtl",
				  &scpd_ipv6_firewall},
	},
};

static const struct {
	const char *type;
	const char *name;
} devices[IGD_DEVICES] = {
	{DEVICE "InternetGatewayDevice", "portreeve"},
	{DEVICE "WANDevice", "WAN Device"},
	{DEVICE "WANConnectionDevice", "WAN Connection Device"},
};

static const char *const root_paths[IGD_FACES] = {"/rootDesc.xml", "/rootDesc2.xml"};

struct description {
	char udn[IGD_FACES][IGD_DEVICES][UDN_TEXT];
	char connection[IGD_FACES][160];
	struct document {
		const char *path;
		size_t len;
		char *text;
	} documents[DOCUMENTS];
};

/* One identity per device and face out of the one that the core keeps: in the last byte. */
static void description_write_udn(char out[UDN_TEXT], const uint8_t uuid[16],
				  unsigned int n)
{
	uint8_t u[16];

	memcpy(u, uuid, sizeof(u));
	u[15] ^= (uint8_t)(n + 1);
	snprintf(
		out, UDN_TEXT,
		"uuid:%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11],
		u[12], u[13], u[14], u[15]);
}

static void description_write_device(const struct description *d, unsigned int face,
				     unsigned int device, struct text *t)
{
	/* IGD:2 raises all three devices; some clients want the versions to match. */
	text_printf(
		t,
		"<device><deviceType>%s:%u</deviceType><friendlyName>%s</friendlyName>"
		"<manufacturer>portreeve</manufacturer>"
		"<modelDescription>Internet gateway</modelDescription>"
		"<modelName>portreeve</modelName><modelNumber>0.1</modelNumber>"
		"<UDN>%s</UDN>\n<serviceList>",
		devices[device].type, face + 1, devices[device].name,
		d->udn[face][device]);
	for (unsigned int i = 0; i < IGD_SERVICES; i++) {
		const struct igd_service_def *s = &services[face][i];

		if (s->type && s->device == device)
			text_printf(t,
				    "<service><serviceType>%s:%u</serviceType>"
				    "<serviceId>%s</serviceId><SCPDURL>%s</SCPDURL>"
				    "<controlURL>%s</controlURL>"
				    "<eventSubURL>%s</eventSubURL></service>\n",
				    s->type, s->version, s->id, s->scpd_path,
				    s->control_path, s->event_path);
	}
	text_put(t, "</serviceList>\n");
	if (device + 1 < IGD_DEVICES) {
		text_put(t, "<deviceList>");
		description_write_device(d, face, device + 1, t);
		text_put(t, "</deviceList>");
	}
	if (device == 0)
		text_put(t, "<presentationURL>" PAGE_PATH "</presentationURL>");
	text_put(t, "</device>\n");
}

static void description_write_root(const struct description *d, unsigned int face,
				   struct text *t)
{
	text_put(t, "<?xml version=\"1.0\"?>\n"
		    "<root xmlns=\"urn:schemas-upnp-org:device-1-0\">"
		    "<specVersion><major>1</major><minor>0</minor></specVersion>\n");
	description_write_device(d, face, 0, t);
	text_put(t, "</root>\n");
}

/* Starts the next document. */
static struct text description_open(struct description *d, const char *path)
{
	struct document *doc = d->documents;

	while (doc->path)
		doc++;
	assert(doc < d->documents + DOCUMENTS);
	doc->path = path;
	doc->text = malloc(IGD_DOCUMENT_MAX);
	if (!doc->text)
		return (struct text){.bad = true};
	return text_in(doc->text, IGD_DOCUMENT_MAX);
}

/* Ends it, and gives back the room that it did not need. */
static bool description_close(struct description *d, const struct text *t)
{
	if (t->bad)
		return false;
	for (size_t i = 0; i < DOCUMENTS; i++) {
		char *shorter;

		if (d->documents[i].text != t->buf)
			continue;
		d->documents[i].len = t->len;
		shorter = realloc(d->documents[i].text, t->len + 1);
		if (shorter)
			d->documents[i].text = shorter;
	}
	return true;
}

static bool description_has(const struct description *d, const char *path)
{
	for (size_t i = 0; i < DOCUMENTS && d->documents[i].path; i++)
		if (strcmp(d->documents[i].path, path) == 0)
			return true;
	return false;
}

static bool description_build(struct description *d)
{
	bool good = true;

	for (unsigned int face = 0; face < IGD_FACES && good; face++) {
		struct text t = description_open(d, root_paths[face]);

		if (!t.bad)
			description_write_root(d, face, &t);
		good = description_close(d, &t);
		for (unsigned int i = 0; i < IGD_SERVICES && good; i++) {
			if (!services[face][i].type ||
			    description_has(d, services[face][i].scpd_path))
				continue;
			t = description_open(d, services[face][i].scpd_path);
			if (!t.bad)
				scpd_write(services[face][i].scpd, &t);
			good = description_close(d, &t);
		}
	}
	return good;
}

struct description *description_new(const uint8_t uuid[16])
{
	struct description *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	for (unsigned int face = 0; face < IGD_FACES; face++) {
		for (unsigned int i = 0; i < IGD_DEVICES; i++)
			description_write_udn(d->udn[face][i], uuid,
					      face * IGD_DEVICES + i);
		snprintf(d->connection[face], sizeof(d->connection[face]),
			 "%s:WANConnectionDevice:%u,%s", d->udn[face][2], face + 1,
			 services[face][IGD_CONNECTION].id);
	}
	if (!description_build(d)) {
		description_free(d);
		return NULL;
	}
	return d;
}

void description_free(struct description *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < DOCUMENTS; i++)
		free(d->documents[i].text);
	free(d);
}

const struct igd_service_def *description_service(unsigned int face, enum igd_service s)
{
	return services[face][s].type ? &services[face][s] : NULL;
}

const char *description_udn(const struct description *d, unsigned int face,
			    unsigned int device)
{
	return d->udn[face][device];
}

const char *description_device_type(unsigned int device)
{
	return devices[device].type;
}

const char *description_path(unsigned int face)
{
	return root_paths[face];
}

const char *description_default_connection(const struct description *d, unsigned int face)
{
	return d->connection[face];
}

struct description_route description_find(const struct description *d, const char *path)
{
	for (size_t i = 0; i < DOCUMENTS && d->documents[i].path; i++)
		if (strcmp(d->documents[i].path, path) == 0)
			return (struct description_route){
				.kind = DESCRIPTION_DOCUMENT,
				.document = d->documents[i].text,
				.len = d->documents[i].len};
	for (unsigned int face = 0; face < IGD_FACES; face++) {
		for (unsigned int i = 0; i < IGD_SERVICES; i++) {
			struct description_route r = {.face = face, .service = i};

			if (!services[face][i].type)
				continue;
			if (strcmp(services[face][i].control_path, path) == 0)
				r.kind = DESCRIPTION_CONTROL;
			else if (strcmp(services[face][i].event_path, path) == 0)
				r.kind = DESCRIPTION_EVENT;
			else
				continue;
			return r;
		}
	}
	return (struct description_route){0};
}
