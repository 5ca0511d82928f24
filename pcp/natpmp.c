/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pcp/natpmp.h"

#include <errno.h>

#include "base/wire.h"

/* RFC 6886 sections 3.2 and 3.3. What follows the request is ignored. */
int natpmp_parse(struct natpmp_request *req, const void *buf, size_t len)
{
	struct wire w = wire_of(buf, len);

	*req = (struct natpmp_request){0};
	wire_take(&w, 1); /* version: the dispatcher read it */
	req->opcode = wire_u8(&w);
	if (w.bad || (req->opcode & NATPMP_REPLY))
		return -EBADMSG;
	if (req->opcode == NATPMP_ADDRESS)
		return 0;
	if (req->opcode != NATPMP_MAP_UDP && req->opcode != NATPMP_MAP_TCP)
		return -EOPNOTSUPP;
	wire_take(&w, 2); /* reserved, to be ignored */
	req->int_port = wire_u16(&w);
	req->ext_port = wire_u16(&w);
	req->lifetime = wire_u32(&w);
	return w.bad ? -EBADMSG : 0;
}

static void natpmp_put_head(struct wire_out *w, uint8_t opcode, enum natpmp_result result,
			    uint32_t epoch)
{
	wire_put_u8(w, NATPMP_VERSION);
	wire_put_u8(w, opcode);
	wire_put_u16(w, (uint16_t)result);
	wire_put_u32(w, epoch);
}

size_t natpmp_write_address(void *out, size_t room, enum natpmp_result result,
			    uint32_t epoch, struct in_addr wan)
{
	struct wire_out w = wire_to(out, room);

	natpmp_put_head(&w, NATPMP_ADDRESS | NATPMP_REPLY, result, epoch);
	wire_put(&w, &wan.s_addr, sizeof(wan.s_addr));
	return wire_len(&w);
}

size_t natpmp_write_map(void *out, size_t room, const struct natpmp_map_reply *reply)
{
	struct wire_out w = wire_to(out, room);

	natpmp_put_head(&w, reply->opcode | NATPMP_REPLY, reply->result, reply->epoch);
	wire_put_u16(&w, reply->int_port);
	wire_put_u16(&w, reply->ext_port);
	wire_put_u32(&w, reply->lifetime);
	return wire_len(&w);
}

size_t natpmp_write_unknown(void *out, size_t room, const void *request, size_t len,
			    uint32_t epoch)
{
	struct wire in = wire_of(request, len < room ? len : room);
	struct wire_out w = wire_to(out, room);
	uint8_t opcode;

	wire_take(&in, 1);
	opcode = wire_u8(&in);
	natpmp_put_head(&w, opcode | NATPMP_REPLY, NATPMP_UNSUPP_OPCODE, epoch);
	wire_take(&in, 6); /* result and epoch stand there now */
	wire_put(&w, in.pos, wire_left(&in));
	return wire_len(&w);
}

size_t natpmp_write_version(void *out, size_t room, uint32_t epoch)
{
	struct wire_out w = wire_to(out, room);

	/* RFC 6886 section 3.5: opcode 0, without the top bit. */
	natpmp_put_head(&w, NATPMP_ADDRESS, NATPMP_UNSUPP_VERSION, epoch);
	return wire_len(&w);
}
