/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pcp/pcp.h"

#include <errno.h>

#include "base/addr.h"
#include "base/wire.h"

#define PCP_DESCRIPTION_MAX 1016 /* RFC 7220 section 2 */

#define PCP_DESCRIPTION_ROOM (4 + LEASE_DESCRIPTION_MAX) /* in a reply, at most */

struct pcp_option {
	uint8_t code;
	uint16_t len; /* without the padding */
	const uint8_t *data;
};

/* RFC 6887 section 7.3. 1: *opt is the next option, 0: that was the last,
 * -EBADMSG: it runs past the packet. */
static int pcp_option_next(struct wire *w, struct pcp_option *opt)
{
	if (!w->bad && w->pos == w->end)
		return 0;
	opt->code = wire_u8(w);
	wire_take(w, 1); /* reserved, to be ignored */
	opt->len = wire_u16(w);
	opt->data = wire_take(w, opt->len);
	wire_take(w, -(size_t)opt->len & 3); /* padding */
	return w->bad ? -EBADMSG : 1;
}

/* The length of the UTF-8 sequence at s, RFC 3629 section 4; 0: not one, or a NUL. */
static size_t pcp_utf8(const uint8_t *s, size_t left)
{
	uint8_t low = 0x80, high = 0xbf; /* of the second byte */
	size_t n;

	if (s[0] >= 0x01 && s[0] <= 0x7f)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (s[0] == 0xe0)
		low = 0xa0; /* overlong */
	else if (s[0] == 0xed)
		high = 0x9f; /* surrogates */
	else if (s[0] == 0xf0)
		low = 0x90; /* overlong */
	else if (s[0] == 0xf4)
		high = 0x8f; /* past U+10FFFF */
	if (left < n || s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* RFC 7220 section 3: text that is no UTF-8 is as if it had not been sent; longer text than
 * we store is cut, at a character. */
static void pcp_take_description(struct pcp_request *req, const struct pcp_option *opt)
{
	size_t used = 0, n;

	if (opt->len > PCP_DESCRIPTION_MAX)
		return;
	for (size_t at = 0; at < opt->len; at += n) {
		n = pcp_utf8(opt->data + at, opt->len - at);
		if (!n)
			return;
		if (at + n <= LEASE_DESCRIPTION_MAX)
			used = at + n;
	}
	memcpy(req->description, opt->data, used);
	req->description[used] = '\0';
	req->description_asked = true;
}

/* RFC 6887 section 13.1: once. Whether it is allowed is not ours to say. */
static enum pcp_result pcp_take_third_party(struct pcp_request *req,
					    const struct pcp_option *opt)
{
	if (req->third_party || opt->len != PCP_THIRD_PARTY_LEN)
		return PCP_MALFORMED_OPTION;
	memcpy(&req->internal, opt->data, sizeof(req->internal));
	if (addr_equal(&req->internal, &req->client))
		return PCP_MALFORMED_REQUEST;
	req->third_party = true;
	req->echoed += 4 + PCP_THIRD_PARTY_LEN;
	return PCP_SUCCESS;
}

/* Section 13.3: one after the other; with the prefix length 0 all that came before goes. */
static enum pcp_result pcp_take_filter(struct pcp_request *req,
				       const struct pcp_option *opt)
{
	struct wire w = wire_of(opt->data, opt->len);
	struct lease_filter f = {0};

	wire_take(&w, 1); /* reserved, to be ignored */
	f.len = wire_u8(&w);
	f.port = wire_u16(&w);
	wire_copy(&w, &f.addr, sizeof(f.addr));
	if (opt->len != PCP_FILTER_LEN || f.len > 128 ||
	    (f.len && f.len < 96 && addr_is_v4(&f.addr)))
		return PCP_MALFORMED_OPTION;
	req->filter = true;
	req->echoed += 4 + PCP_FILTER_LEN;
	if (!f.len) {
		req->unfilter = true;
		req->n_filters = 0;
		return PCP_SUCCESS;
	}
	if (req->n_filters < LEASE_FILTERS_MAX)
		req->filters[req->n_filters] = f;
	req->n_filters++;
	return PCP_SUCCESS;
}

static enum pcp_result pcp_take_prefer_failure(struct pcp_request *req,
					       const struct pcp_option *opt)
{
	if (req->prefer_failure || opt->len) /* section 13.2: once, no data */
		return PCP_MALFORMED_OPTION;
	req->prefer_failure = true;
	req->echoed += 4;
	return PCP_SUCCESS;
}

/* Of an ANNOUNCE: no option means anything there. */
static enum pcp_result pcp_refuse_option(const struct pcp_option *opt)
{
	if (opt->code == PCP_PREFER_FAILURE)
		return PCP_MALFORMED_OPTION;
	return opt->code < PCP_OPTIONAL ? PCP_UNSUPP_OPTION : PCP_SUCCESS;
}

/* PORT_SET (RFC 7753) is among those that may be ignored: no known client sends it. */
static enum pcp_result pcp_take_option(struct pcp_request *req,
				       const struct pcp_option *opt, bool *described)
{
	switch (opt->code) {
	case PCP_THIRD_PARTY:
		return pcp_take_third_party(req, opt);
	case PCP_PREFER_FAILURE:
		return pcp_take_prefer_failure(req, opt);
	case PCP_FILTER:
		return pcp_take_filter(req, opt);
	case PCP_DESCRIPTION:
		if (*described)
			return PCP_MALFORMED_OPTION;
		*described = true;
		pcp_take_description(req, opt);
		return PCP_SUCCESS;
	}
	return opt->code < PCP_OPTIONAL ? PCP_UNSUPP_OPTION : PCP_SUCCESS;
}

/* RFC 6887 section 7.3: the structure of all options first, then one after the other. */
static enum pcp_result pcp_parse_options(struct pcp_request *req, struct wire w)
{
	enum pcp_result result = PCP_SUCCESS;
	struct wire check = w;
	struct pcp_option opt;
	bool described = false;
	int r;

	do
		r = pcp_option_next(&check, &opt);
	while (r > 0);
	if (r < 0)
		return PCP_MALFORMED_OPTION;
	while (result == PCP_SUCCESS && pcp_option_next(&w, &opt) > 0)
		result = req->opcode == PCP_MAP ? pcp_take_option(req, &opt, &described)
						: pcp_refuse_option(&opt);
	return result;
}

/* RFC 6887 section 11.1. */
static void pcp_parse_map(struct pcp_map *map, struct wire *w)
{
	wire_copy(w, map->nonce, sizeof(map->nonce));
	map->protocol = wire_u8(w);
	wire_take(w, 3); /* reserved, to be ignored */
	map->int_port = wire_u16(w);
	map->ext_port = wire_u16(w);
	wire_copy(w, &map->ext_addr, sizeof(map->ext_addr));
}

/* RFC 6887 sections 11.3 and 15.1: lifetime, protocol and port, then the options. */
static enum pcp_result pcp_judge_map(const struct pcp_request *req)
{
	const struct pcp_map *map = &req->map;

	if (map->protocol == 0 && map->int_port != 0)
		return PCP_MALFORMED_REQUEST;
	/* All ports or all protocols cannot be fulfilled in their entirety. */
	if (req->lifetime && (map->int_port == 0 || (map->protocol != IPPROTO_TCP &&
						     map->protocol != IPPROTO_UDP)))
		return PCP_UNSUPP_PROTOCOL;
	if (req->prefer_failure && (!req->lifetime || !map->ext_port))
		return PCP_MALFORMED_OPTION;
	if (req->filter && !req->lifetime)
		return PCP_MALFORMED_OPTION;
	if (req->n_filters > LEASE_FILTERS_MAX)
		return PCP_EXCESSIVE_REMOTE_PEERS;
	return PCP_SUCCESS;
}

/* Section 7.3: a reply with all options that come back must fit. What is stored of a
 * description may be longer than what was sent. */
static bool pcp_reply_fits(const struct pcp_request *req)
{
	return PCP_MAP_LEN + req->echoed +
		       (req->description_asked ? PCP_DESCRIPTION_ROOM : 0) <=
	       PCP_MAX_LEN;
}

int pcp_parse(struct pcp_request *req, const void *buf, size_t len,
	      const struct in6_addr *source)
{
	struct wire w = wire_of(buf, len);
	enum pcp_result result;
	uint8_t version;

	memset(req, 0, sizeof(*req));
	version = wire_u8(&w);
	req->opcode = wire_u8(&w);
	if (w.bad || (req->opcode & PCP_REPLY))
		return -EBADMSG;
	if (version != PCP_VERSION)
		return PCP_UNSUPP_VERSION;
	wire_take(&w, 2); /* reserved, to be ignored */
	req->lifetime = wire_u32(&w);
	wire_copy(&w, &req->client, sizeof(req->client));
	if (w.bad)
		return -EBADMSG;
	if (req->opcode == PCP_MAP)
		pcp_parse_map(&req->map, &w);
	if (w.bad || len > PCP_MAX_LEN || len % 4)
		return PCP_MALFORMED_REQUEST;
	if (!addr_equal(&req->client, source))
		return PCP_ADDRESS_MISMATCH;
	if (req->opcode != PCP_ANNOUNCE && req->opcode != PCP_MAP)
		return PCP_UNSUPP_OPCODE;
	req->internal = req->client;
	result = pcp_parse_options(req, w);
	if (result == PCP_SUCCESS && req->opcode == PCP_MAP)
		result = pcp_judge_map(req);
	if (result == PCP_SUCCESS && !pcp_reply_fits(req))
		result = PCP_MALFORMED_REQUEST;
	return (int)result;
}

/* Section 7.2: was the fault found while the request was being parsed? */
static bool pcp_parse_failed(enum pcp_result result)
{
	return (result >= PCP_UNSUPP_VERSION && result <= PCP_MALFORMED_OPTION &&
		result != PCP_NOT_AUTHORIZED) ||
	       result == PCP_ADDRESS_MISMATCH;
}

/* Version to epoch: 12 bytes. */
static void pcp_put_head(struct wire_out *w, uint8_t opcode, enum pcp_result result,
			 uint32_t lifetime, uint32_t epoch)
{
	wire_put_u8(w, PCP_VERSION);
	wire_put_u8(w, opcode | PCP_REPLY);
	wire_put_u8(w, 0);
	wire_put_u8(w, (uint8_t)result);
	wire_put_u32(w, lifetime);
	wire_put_u32(w, epoch);
}

size_t pcp_write_error(void *out, size_t room, const void *request, size_t len,
		       enum pcp_result result, uint32_t lifetime, uint32_t epoch)
{
	struct wire in = wire_of(request, len < PCP_MAX_LEN ? len : PCP_MAX_LEN);
	uint8_t head[PCP_HEADER_LEN] = {0};
	struct wire_out h = wire_to(head, sizeof(head)), w = wire_to(out, room);
	size_t fixed = pcp_parse_failed(result) ? 12 : PCP_HEADER_LEN;
	size_t total = (wire_left(&in) + 3) & ~(size_t)3;

	wire_take(&in, 1);
	pcp_put_head(&h, wire_u8(&in), result, lifetime, epoch);
	/* A packet of another version may be shorter than our header: as long as it was. */
	if (fixed > total)
		fixed = total;
	wire_put(&w, head, fixed);
	wire_take(&in, fixed - 2 < wire_left(&in) ? fixed - 2 : wire_left(&in));
	wire_put(&w, in.pos, wire_left(&in));
	if (!w.bad)
		wire_zero(&w, total - wire_len(&w));
	return wire_len(&w);
}

size_t pcp_write_announce(void *out, size_t room, uint32_t epoch)
{
	struct wire_out w = wire_to(out, room);

	pcp_put_head(&w, PCP_ANNOUNCE, PCP_SUCCESS, 0, epoch);
	wire_zero(&w, PCP_HEADER_LEN - 12);
	return wire_len(&w);
}

static void pcp_put_option(struct wire_out *w, uint8_t code, const void *data, size_t len)
{
	wire_put_u8(w, code);
	wire_put_u8(w, 0);
	wire_put_u16(w, (uint16_t)len);
	wire_put(w, data, len);
	wire_zero(w, -len & 3);
}

/* Section 11.1: the part behind the header. */
static void pcp_put_map(struct wire_out *w, const struct pcp_map *map)
{
	wire_put(w, map->nonce, sizeof(map->nonce));
	wire_put_u8(w, map->protocol);
	wire_zero(w, 3);
	wire_put_u16(w, map->int_port);
	wire_put_u16(w, map->ext_port);
	wire_put(w, &map->ext_addr, sizeof(map->ext_addr));
}

/* Section 7.3: what was processed comes back, and nothing else. */
static void pcp_put_options(struct wire_out *out, const struct pcp_map_reply *reply)
{
	struct wire w = wire_of(reply->options, reply->options_len);
	struct pcp_option opt;

	while (pcp_option_next(&w, &opt) > 0) {
		if (opt.code == PCP_THIRD_PARTY || opt.code == PCP_PREFER_FAILURE ||
		    opt.code == PCP_FILTER)
			pcp_put_option(out, opt.code, opt.data, opt.len);
		else if (opt.code == PCP_DESCRIPTION && reply->description)
			pcp_put_option(out, opt.code, reply->description,
				       strlen(reply->description));
	}
}

/* RFC 6887 section 11.1. */
size_t pcp_write_map(void *out, size_t room, const struct pcp_map_reply *reply)
{
	struct wire_out w = wire_to(out, room);

	pcp_put_head(&w, PCP_MAP, PCP_SUCCESS, reply->lifetime, reply->epoch);
	wire_zero(&w, PCP_HEADER_LEN - 12);
	pcp_put_map(&w, &reply->map);
	if (reply->options)
		pcp_put_options(&w, reply);
	return wire_len(&w);
}

size_t pcp_write_request(void *out, size_t room, const struct pcp_request *req,
			 const void *options, size_t options_len)
{
	struct wire_out w = wire_to(out, room);

	wire_put_u8(&w, PCP_VERSION);
	wire_put_u8(&w, req->opcode);
	wire_put_u16(&w, 0);
	wire_put_u32(&w, req->lifetime);
	wire_put(&w, &req->client, sizeof(req->client));
	pcp_put_map(&w, &req->map);
	if (options_len)
		wire_put(&w, options, options_len);
	return wire_len(&w);
}

/* Is it a FILTER that removes all others? */
static bool pcp_unfilters(const struct pcp_option *opt)
{
	return opt->code == PCP_FILTER && opt->len == PCP_FILTER_LEN && !opt->data[1];
}

size_t pcp_write_kept(void *out, size_t room, const void *options, size_t len)
{
	struct wire w = wire_of(options, len);
	struct wire_out o = wire_to(out, room);
	const uint8_t *from = options;
	struct pcp_option opt;

	while (pcp_option_next(&w, &opt) > 0)
		if (pcp_unfilters(&opt))
			from = opt.data;
	w = wire_of(options, len);
	while (pcp_option_next(&w, &opt) > 0)
		if (opt.code == PCP_THIRD_PARTY ||
		    (opt.code == PCP_FILTER && opt.data >= from))
			pcp_put_option(&o, opt.code, opt.data, opt.len);
	return wire_len(&o);
}
