/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ports that the router's own programs listen on where the WAN can reach them, asked
 * from the kernel (sock_diag). A port of theirs is never given away.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/portset.h"

struct sockets;

/* NULL with errno. */
struct sockets *sockets_open(void);
void sockets_close(struct sockets *s); /* NULL is fine */

/*
 * Does a program listen on that port, on any address or on the WAN's, and not on another
 * device only? The kernel is asked again when what is known is more than a second old. When
 * it does not answer, what was known last holds.
 */
bool sockets_listen(struct sockets *s, uint8_t protocol, uint16_t port,
		    uint32_t wan_index, const struct in6_addr *wan4, uint64_t now_ms);
/* All of them, in the same way; good until the next call. */
void sockets_ports(struct sockets *s, uint32_t wan_index, const struct in6_addr *wan4,
		   uint64_t now_ms, const struct portset **tcp,
		   const struct portset **udp);
