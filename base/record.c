/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/record.h"

#include <string.h>

#include "base/addr.h"

size_t record_size(enum record_kind kind)
{
	switch (kind) {
	case RECORD_SETUP:
		return sizeof(struct record_setup);
	case RECORD_STATE:
		return sizeof(struct record_state);
	case RECORD_REPLY:
		return sizeof(struct lease_reply);
	case RECORD_REQUEST:
		return sizeof(struct lease_request);
	case RECORD_LIST:
	case RECORD_LISTED:
		return sizeof(struct record_list);
	case RECORD_ROWS:
		return sizeof(struct record_row);
	case RECORD_STORE_SETUP:
		return sizeof(struct store_setup);
	case RECORD_STORE_ABOUT:
		return sizeof(struct store_about);
	case RECORD_STORE_LEASE:
		return sizeof(struct store_lease);
	case RECORD_STORE_EVENT:
		return sizeof(struct store_event);
	case RECORD_STORE_QUESTION:
		return sizeof(struct store_question);
	case RECORD_STORE_LOADED:
		return sizeof(struct store_loaded);
	case RECORD_STORE_ANSWER:
		return sizeof(struct store_answer);
	case RECORD_UPSTREAM_SETUP:
		return sizeof(struct upstream_setup);
	case RECORD_UPSTREAM_ANSWER:
		return sizeof(struct upstream_answer);
	case RECORD_TRIGGER_SETUP:
		return sizeof(struct trigger_setup);
	case RECORD_TRIGGER_EVENT:
		return sizeof(struct trigger_event);
	case RECORD_PING:
	case RECORD_READY:
	case RECORD_PONG:
	case RECORD_REFRESH:
	case RECORD_STORE_SYNC:
	case RECORD_STORE_SYNCED:
	case RECORD_STORE_BYE:
	case RECORD_STORE_AGAIN:
	case RECORD_KIND_END:
		break;
	}
	return 0;
}

bool record_from_worker(unsigned int kind, size_t count)
{
	switch (kind) {
	case RECORD_READY:
	case RECORD_PONG:
	case RECORD_REFRESH:
		return count == 0;
	case RECORD_LIST:
		return count == 1;
	case RECORD_REQUEST:
		return count >= 1 && count <= RECORDS_PER_MESSAGE;
	default:
		return false;
	}
}

bool record_from_core(unsigned int kind, size_t count)
{
	switch (kind) {
	case RECORD_SETUP:
	case RECORD_STATE:
	case RECORD_LISTED:
		return count == 1;
	case RECORD_PING:
		return count == 0;
	case RECORD_REPLY:
	case RECORD_ROWS:
		return count >= 1 && count <= RECORDS_PER_MESSAGE;
	default:
		return false;
	}
}

bool record_from_store(unsigned int kind, size_t count)
{
	switch (kind) {
	case RECORD_STORE_LEASE:
	case RECORD_STORE_EVENT:
		return count >= 1 && count <= RECORDS_PER_MESSAGE;
	case RECORD_STORE_LOADED:
	case RECORD_STORE_ANSWER:
		return count == 1;
	case RECORD_STORE_AGAIN:
	case RECORD_PONG:
		return count == 0;
	default:
		return false;
	}
}

bool record_to_store(unsigned int kind, size_t count)
{
	switch (kind) {
	case RECORD_STORE_LEASE:
	case RECORD_STORE_EVENT:
		return count >= 1 && count <= RECORDS_PER_MESSAGE;
	case RECORD_STORE_SETUP:
	case RECORD_STORE_ABOUT:
	case RECORD_STORE_QUESTION:
		return count == 1;
	case RECORD_STORE_SYNC:
	case RECORD_STORE_SYNCED:
	case RECORD_STORE_BYE:
	case RECORD_PING:
		return count == 0;
	default:
		return false;
	}
}

bool record_from_upstream(unsigned int kind, size_t count)
{
	return kind == RECORD_UPSTREAM_ANSWER && count == 1;
}

bool record_to_upstream(unsigned int kind, size_t count)
{
	return kind == RECORD_UPSTREAM_SETUP && count == 1;
}

bool record_from_trigger(unsigned int kind, size_t count)
{
	if (kind == RECORD_PONG || kind == RECORD_READY)
		return count == 0;
	return kind == RECORD_TRIGGER_EVENT && count >= 1 && count <= RECORDS_PER_MESSAGE;
}

bool record_to_trigger(unsigned int kind, size_t count)
{
	return (kind == RECORD_TRIGGER_SETUP && count == 1) ||
	       (kind == RECORD_PING && count == 0);
}

static bool lease_filter_valid(const struct lease_filter *f)
{
	return f->len <= 128 && f->zero == 0;
}

bool lease_request_valid(const struct lease_request *req)
{
	static const uint8_t zero[sizeof(req->zero)];

	if (req->op < LEASE_OP_MAP || req->op >= LEASE_OP_END ||
	    req->by >= LEASE_BY_END || (req->flags & ~LEASE_FLAGS) ||
	    req->remote_len > 128 || req->n_filters > LEASE_FILTERS_MAX ||
	    memcmp(req->zero, zero, sizeof(zero)) != 0 ||
	    !memchr(req->description, '\0', LEASE_DESCRIPTION_MAX + 1))
		return false;
	for (size_t i = 0; i < req->n_filters; i++)
		if (!lease_filter_valid(&req->filters[i]))
			return false;
	return true;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	while (n && !*p) {
		p++;
		n--;
	}
	return n == 0;
}

static bool description_valid(const char text[RECORD_DESCRIPTION])
{
	return memchr(text, '\0', LEASE_DESCRIPTION_MAX + 1) != NULL;
}

bool store_lease_valid(const struct store_lease *l)
{
	if ((l->protocol != IPPROTO_TCP && l->protocol != IPPROTO_UDP) || !l->ext_port ||
	    l->remote_len > 128 || l->n_filters > LEASE_FILTERS_MAX ||
	    (l->flags & ~STORE_FLAGS) || l->origin >= LEASE_BY_END ||
	    l->claims >> LEASE_BY_END || (l->claims & LEASE_IDLE_CLAIMS) ||
	    (l->until_gone & ~l->claims) || l->zero || !description_valid(l->description))
		return false;
	for (size_t i = 0; i < l->n_filters; i++)
		if (!lease_filter_valid(&l->filters[i]))
			return false;
	return !l->claims || l->int_port;
}

bool store_event_valid(const struct store_event *e)
{
	return e->what >= STORE_GRANTED && e->what < STORE_WHAT_END &&
	       e->reason < LEASE_REASON_END && e->by < LEASE_BY_END && e->times >= 1 &&
	       e->remote_len <= 128 && all_zero(e->zero, sizeof(e->zero)) &&
	       description_valid(e->description);
}

bool store_question_valid(const struct store_question *q)
{
	return q->limit >= 1 && q->limit <= STORE_PAGE && q->newest <= 1 &&
	       all_zero(q->zero, sizeof(q->zero));
}

bool store_answer_valid(const struct store_answer *a)
{
	return a->more <= 1 && a->failed <= 1 && all_zero(a->zero, sizeof(a->zero));
}

bool store_setup_valid(const struct store_setup *s)
{
	return s->load <= 1 && s->debug <= 1 && s->history_rows >= 1 &&
	       s->history_days >= 1 && all_zero(s->zero, sizeof(s->zero));
}

bool store_loaded_valid(const struct store_loaded *l)
{
	return l->state >= STORE_NEW && l->state < STORE_STATE_END &&
	       all_zero(l->zero, sizeof(l->zero));
}

static bool is_tcp_udp(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

bool trigger_setup_valid(const struct trigger_setup *s)
{
	if (s->udp_remotes < 1 || s->udp_remotes > TRIGGER_REMOTES_MAX ||
	    s->tcp_remotes < 1 || s->tcp_remotes > TRIGGER_REMOTES_MAX ||
	    s->n_instant > TRIGGER_INSTANT_MAX || !s->window_ms || s->udp_silent > 1 ||
	    s->tcp_silent > 1 || !all_zero(s->zero, sizeof(s->zero)))
		return false;
	for (size_t i = 0; i < s->n_instant; i++)
		if (!is_tcp_udp(s->instant[i].protocol) || s->instant[i].zero ||
		    s->instant[i].first > s->instant[i].last)
			return false;
	return true;
}

bool trigger_event_valid(const struct trigger_event *e)
{
	return e->what >= TRIGGER_COUNTED && e->what < TRIGGER_WHAT_END &&
	       is_tcp_udp(e->protocol) && e->ext_port && e->remote_port &&
	       e->n_told <= TRIGGER_REMOTES_MAX &&
	       (e->n_told > 0) == (e->what == TRIGGER_ALMOST) &&
	       all_zero(e->zero, sizeof(e->zero));
}

const char *lease_by_name(enum lease_by by)
{
	static const char *const names[LEASE_BY_END] = {
		[LEASE_BY_PCP] = "pcp",           [LEASE_BY_NATPMP] = "nat-pmp",
		[LEASE_BY_UPNP] = "upnp",         [LEASE_BY_TRIGGER] = "trigger",
		[LEASE_BY_OPEN_NAT] = "open-nat", [LEASE_BY_STATIC] = "static",
		[LEASE_BY_ADMIN] = "admin",
	};

	return by < LEASE_BY_END ? names[by] : "?";
}

static const struct {
	const char *name;
	const char *text;
} reasons[LEASE_REASON_END] = {
	[LEASE_OK] = {"ok", "granted"},
	[LEASE_NOT_LAN] = {"not-lan", "the host is not in this LAN"},
	[LEASE_THIRD_PARTY] = {"third-party",
			       "a host may open ports only towards itself"},
	[LEASE_PROTOCOL] = {"protocol", "only TCP and UDP can be opened"},
	[LEASE_PORT] = {"port", "not a port that can be opened"},
	[LEASE_ACCESS] =
		{"access",
		 "ports below 1024, and hosts without open NAT, need an access rule"},
	[LEASE_RESERVED] = {"reserved", "the port is on the reserved list"},
	[LEASE_ROUTER] = {"router", "the router itself uses the port"},
	[LEASE_STATIC] = {"static", "a static forward has the port"},
	[LEASE_QUOTA_HOST] = {"quota-host", "the host has as many leases as it may"},
	[LEASE_QUOTA_TABLE] = {"quota-table", "the lease table is full"},
	[LEASE_RATE] = {"rate", "the host asks too often"},
	[LEASE_TAKEN] = {"taken", "another host has the port"},
	[LEASE_NO_PORT] = {"no-port", "no port is free"},
	[LEASE_NONCE_MISMATCH] = {"nonce", "the nonce is not that of the lease"},
	[LEASE_NOT_OWNER] = {"not-owner", "the lease belongs to another host"},
	[LEASE_NOT_FOUND] = {"not-found", "there is no such lease"},
	[LEASE_NO_WAN] = {"no-wan", "there is no external address now"},
	[LEASE_REMOTE] = {"remote", "the restriction to a remote host cannot be kept"},
	[LEASE_FILTERS] =
		{"filters",
		 "more filters than a lease may have, or such as contradict each other"},
	[LEASE_KERNEL] = {"kernel", "the kernel refused the change"},
	[LEASE_DENIED] = {"denied", "the admin denies it"},
};

const char *lease_reason_name(enum lease_reason reason)
{
	return reason < LEASE_REASON_END ? reasons[reason].name : "?";
}

const char *lease_reason_text(enum lease_reason reason)
{
	return reason < LEASE_REASON_END ? reasons[reason].text : "?";
}
