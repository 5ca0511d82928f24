/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/listing.h"

#include <stdlib.h>

#include "base/addr.h"
#include "igd/text.h"

#define LISTING_NAMESPACE "urn:schemas-upnp-org:gw:WANIPConnection"

static const char listing_foot[] = "</p:PortMappingList>\n";

struct listing {
	struct lease_request next; /* the question for the next entry */
	uint32_t n;
	uint32_t most;
	struct text text;
	char buf[LISTING_MAX];
};

struct listing *listing_new(const struct lease_request *first, uint32_t most)
{
	struct listing *l = malloc(sizeof(*l));

	if (!l)
		return NULL;
	l->next = *first;
	l->n = 0;
	l->most = most ? most : UINT32_MAX;
	/* Room for the last line stays. */
	l->text = text_in(l->buf, sizeof(l->buf) - sizeof(listing_foot));
	text_put(&l->text, "<?xml version=\"1.0\"?>\n"
			   "<p:PortMappingList xmlns:p=\"" LISTING_NAMESPACE "\" "
			   "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
			   "xsi:schemaLocation=\"" LISTING_NAMESPACE
			   " http://www.upnp.org/schemas/gw/WANIPConnection-v2.xsd\">\n");
	return l;
}

void listing_free(struct listing *l)
{
	free(l);
}

static void listing_write(struct text *t, const struct lease_reply *e, uint32_t seconds)
{
	char remote[ADDR_TEXT] = "", internal[ADDR_TEXT];
	char description[LEASE_DESCRIPTION_MAX + 1];

	if (e->remote_len)
		addr_text(&e->remote, remote);
	text_clean(description, LEASE_DESCRIPTION_MAX, e->description);
	text_printf(t,
		    "<p:PortMappingEntry>"
		    "<p:NewRemoteHost>%s</p:NewRemoteHost>"
		    "<p:NewExternalPort>%u</p:NewExternalPort>"
		    "<p:NewProtocol>%s</p:NewProtocol>"
		    "<p:NewInternalPort>%u</p:NewInternalPort>"
		    "<p:NewInternalClient>%s</p:NewInternalClient>"
		    "<p:NewEnabled>%d</p:NewEnabled><p:NewDescription>",
		    remote, e->ext_port, e->protocol == IPPROTO_TCP ? "TCP" : "UDP",
		    e->int_port, addr_text(&e->internal, internal),
		    !(e->flags & LEASE_DISABLED));
	text_escape(t, description);
	text_printf(t,
		    "</p:NewDescription><p:NewLeaseTime>%u</p:NewLeaseTime>"
		    "</p:PortMappingEntry>\n",
		    seconds);
}

bool listing_add(struct listing *l, const struct lease_reply *entry, uint32_t seconds,
		 struct lease_request *next)
{
	struct text before = l->text;

	if (entry->reason)
		return false;
	listing_write(&l->text, entry, seconds);
	if (l->text.bad) { /* half of it is none */
		l->text = before;
		return false;
	}
	l->n++;
	l->next.index = l->n;
	l->next.ext_port = entry->ext_port;
	l->next.remote = entry->remote;
	l->next.remote_len = entry->remote_len;
	*next = l->next;
	return l->n < l->most;
}

const char *listing_end(struct listing *l)
{
	if (!l->n)
		return NULL;
	l->text.size = sizeof(l->buf);
	text_put(&l->text, listing_foot);
	return l->buf;
}
