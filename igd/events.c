/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/events.h"

#include <stdio.h>
#include <string.h>

unsigned int events_changed(const struct record_state *told,
			    const struct record_state *now)
{
	unsigned int bits = 0;

	if (!addr_equal(&told->wan4, &now->wan4))
		bits |= EVENTS_EXTERNAL;
	if (!told->wan_up != !now->wan_up)
		bits |= EVENTS_STATUS;
	if (told->entries != now->entries)
		bits |= EVENTS_ENTRIES;
	if (told->update_id != now->update_id)
		bits |= EVENTS_UPDATE;
	return bits;
}

unsigned int events_take(struct events *e, const struct record_state *now,
			 uint64_t now_ms, uint64_t *wait_ms)
{
	unsigned int bits = events_changed(&e->told, now);

	*wait_ms = 0;
	if (!bits)
		return 0;
	if (now_ms < e->next_ms) {
		*wait_ms = e->next_ms - now_ms;
		return 0;
	}
	e->told = *now;
	e->next_ms = now_ms + EVENTS_GAP_MS;
	return bits;
}

static void events_put(struct events_set *set, const char *name, const char *value)
{
	set->names[set->n] = name;
	snprintf(set->values[set->n], sizeof(set->values[set->n]), "%s", value);
	set->n++;
}

static void events_put_number(struct events_set *set, const char *name,
			      unsigned long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lu", value);
	events_put(set, name, text);
}

/* Row U23: the two counters go together in :2, which alone has SystemUpdateID. */
static void events_write_connection(struct events_set *set, unsigned int face,
				    unsigned int bits, const struct record_state *s)
{
	bool v2 = description_service(face, IGD_CONNECTION)->version >= 2;
	unsigned int entries = s->entries > UINT16_MAX ? UINT16_MAX : s->entries;
	char addr[ADDR_TEXT];

	if (bits & EVENTS_FIXED)
		events_put(set, "PossibleConnectionTypes", "IP_Routed");
	if (bits & EVENTS_STATUS)
		events_put(set, "ConnectionStatus", action_status_text(s));
	if (bits & EVENTS_EXTERNAL)
		events_put(set, "ExternalIPAddress", action_external_text(s, addr));
	if (bits & EVENTS_ENTRIES || (v2 && bits & EVENTS_UPDATE))
		events_put_number(set, "PortMappingNumberOfEntries", entries);
	if (v2 && bits & (EVENTS_ENTRIES | EVENTS_UPDATE))
		events_put_number(set, "SystemUpdateID", s->update_id);
}

void events_write(struct events_set *set, unsigned int face, enum igd_service service,
		  unsigned int bits, const struct record_state *s, const char *connection)
{
	set->n = 0;
	switch (service) {
	case IGD_LAYER3:
		if (bits & EVENTS_FIXED)
			events_put(set, "DefaultConnectionService", connection);
		break;
	case IGD_COMMON:
		if (bits & EVENTS_STATUS)
			events_put(set, "PhysicalLinkStatus", s->wan_up ? "Up" : "Down");
		break;
	case IGD_CONNECTION:
	case IGD_PPP:
		events_write_connection(set, face, bits, s);
		break;
	case IGD_FIREWALL:
		if (bits & EVENTS_FIXED) {
			events_put(set, "FirewallEnabled", "1");
			events_put(set, "InboundPinholeAllowed", "1");
		}
		break;
	case IGD_SERVICES:
		break;
	}
}
