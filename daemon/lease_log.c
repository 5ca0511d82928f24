/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/lease_log.h"

#include <stdio.h>

#include "base/addr.h"
#include "base/clock.h"

#define FIELDS_MAX 10

struct fields {
	struct log_field field[FIELDS_MAX];
	size_t n;
	char ext_port[8];
	char int_port[8];
	char lifetime[24];
	char host[ADDR_TEXT];
	char remote[PREFIX_TEXT];
	char text[4 * RECORD_DESCRIPTION];
};

static void put(struct fields *f, const char *name, const char *value)
{
	if (f->n < FIELDS_MAX)
		f->field[f->n++] = (struct log_field){name, value};
}

static const char *number(char *buf, size_t size, unsigned long n)
{
	snprintf(buf, size, "%lu", n);
	return buf;
}

static const char *protocol_name(uint8_t protocol)
{
	return protocol == IPPROTO_TCP   ? "tcp"
	       : protocol == IPPROTO_UDP ? "udp"
					 : "other";
}

static void put_port(struct fields *f, uint8_t protocol, uint16_t ext_port,
		     const struct in6_addr *internal, uint16_t int_port)
{
	put(f, "PORTREEVE_PROTOCOL", protocol_name(protocol));
	put(f, "PORTREEVE_EXTERNAL_PORT",
	    number(f->ext_port, sizeof(f->ext_port), ext_port));
	put(f, "PORTREEVE_HOST", addr_text(internal, f->host));
	put(f, "PORTREEVE_INTERNAL_PORT",
	    number(f->int_port, sizeof(f->int_port), int_port));
}

static void put_remote(struct fields *f, const struct in6_addr *addr, uint8_t len)
{
	const struct prefix p = {*addr, len};

	if (len)
		put(f, "PORTREEVE_REMOTE", prefix_text(&p, f->remote));
}

void lease_log_step(const struct lease_change *s)
{
	const struct lease *l = s->has ? &s->after : &s->before;
	const char *what = !s->has ? "ended" : !s->had ? "granted" : "renewed";
	bool renewed = s->has && s->had;
	struct fields f = {.n = 0};
	char to[ADDR_PORT_TEXT];
	unsigned long left = 0;

	if ((renewed && !log_debug_on()) || !log_admit())
		return;
	if (s->has && l->deadline_ms != LEASE_NO_DEADLINE && !l->until_gone)
		left = (l->deadline_ms - clock_ms() + 500) / 1000;
	log_escape(l->description, f.text, sizeof(f.text));
	put(&f, "PORTREEVE_EVENT", what);
	put_port(&f, l->protocol, l->ext_port, &l->internal, l->int_port);
	put_remote(&f, &l->remote, l->remote_len);
	put(&f, "PORTREEVE_ORIGIN", lease_by_name((enum lease_by)l->origin));
	if (!s->has)
		put(&f, "PORTREEVE_REASON", lease_end_name(s->end));
	number(f.lifetime, sizeof(f.lifetime), left);
	if (s->has)
		put(&f, "PORTREEVE_LIFETIME", f.lifetime);
	put(&f, "PORTREEVE_DESCRIPTION", f.text);
	log_event(
		renewed ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, f.field, f.n,
		"lease %s port=%s/%u to=%s%s%s by=%s%s%s lifetime=%s description=\"%s\"",
		what, protocol_name(l->protocol), l->ext_port,
		addr_port_text(&l->internal, l->int_port, to),
		f.remote[0] ? " remote=" : "", f.remote,
		lease_by_name((enum lease_by)l->origin),
		s->has ? "" : " reason=", s->has ? "" : lease_end_name(s->end),
		f.lifetime, f.text);
}

void lease_log_refused(enum log_level level, const struct lease_request *req,
		       enum lease_reason reason, unsigned int left_out)
{
	struct fields f = {.n = 0};
	char to[ADDR_PORT_TEXT], more[48] = "";

	if (!log_admit())
		return;
	put(&f, "PORTREEVE_EVENT", "refused");
	put_port(&f, req->protocol, req->ext_port, &req->internal, req->int_port);
	put_remote(&f, &req->remote, req->remote_len);
	put(&f, "PORTREEVE_ORIGIN", lease_by_name((enum lease_by)req->by));
	put(&f, "PORTREEVE_REASON", lease_reason_name(reason));
	put(&f, "PORTREEVE_DESCRIPTION",
	    log_escape(req->description, f.text, sizeof(f.text)));
	if (left_out)
		snprintf(more, sizeof(more), "; %u others before it", left_out);
	log_event(level, f.field, f.n,
		  "lease refused port=%s/%u to=%s by=%s reason=%s description=\"%s\"%s",
		  protocol_name(req->protocol), req->ext_port,
		  addr_port_text(&req->internal, req->int_port, to),
		  lease_by_name((enum lease_by)req->by), lease_reason_name(reason),
		  f.text, more);
}
